"""The estimate on a bottleneck with a buffer of 100 ms: it finds the rate, keeps the queue short, and shares."""

import asyncio
from typing import Any

import pytest

from rtcpeer.rtp.congestion.pacing import PacketPacer
from rtcpeer.rtp.congestion.probing import ProbeResult
from rtcpeer.rtp.congestion.rate import RateEstimate
from rtcpeer.rtp.congestion.receive_side import RemoteBitrateEstimator
from tests.unit.rtp.congestion.path import Flow, Path


def test_most_of_the_bottleneck_is_used_and_its_queue_is_short() -> None:
    path = Path(1e6)
    flow = Flow(path)
    path.flows = [flow]
    path.run(10)
    path.run(20)
    used = flow.throughput(path.now - 20, path.now)
    assert 0.75e6 < used <= 1e6
    assert path.delay(path.now - 20, 0.999) < 0.1
    assert path.dropped < 20


def test_a_bottleneck_that_narrows_is_found_and_so_is_its_return() -> None:
    path = Path(1e6)
    flow = Flow(path)
    path.flows = [flow]
    path.run(15)
    path.rate = 300e3
    path.run(10)
    assert 0.75 * 300e3 < flow.throughput(path.now - 4, path.now) <= 310e3
    assert path.delay(path.now - 4) < 0.1
    path.rate = 1e6
    path.run(10)
    assert flow.throughput(path.now - 3, path.now) > 0.75e6


@pytest.mark.parametrize("rate", [300e3, 1e6])
def test_it_hardly_overshoots_what_the_path_bears(rate: float) -> None:
    """A queue is seen late: near what the path bore, the growth until then has to be small."""
    path = Path(1e6)
    flow = Flow(path)
    path.flows = [flow]
    path.run(8)
    path.rate = rate
    path.run(12)
    seen = []
    for _ in range(90):
        # ten pictures each
        path.run(0.3301)
        seen.append((flow.control.estimate or 0) / rate)
    assert max(seen) < 1.1
    assert sum(seen) / len(seen) > 0.85
    assert path.delay(path.now - 30) < 0.08


@pytest.mark.parametrize("rate", [1e6, 2e6])
@pytest.mark.parametrize("later", [5, 10])
def test_two_flows_share(rate: float, later: int) -> None:
    path = Path(rate)
    first = Flow(path)
    path.flows = [first]
    path.run(later)
    second = Flow(path, delay=0.03)
    path.flows.append(second)
    path.run(20)
    path.run(30)
    shares = sorted(flow.throughput(path.now - 30, path.now) for flow in path.flows)
    assert shares[1] < 2 * shares[0]
    assert 0.7 * rate < sum(shares) <= rate


@pytest.mark.parametrize(("seconds", "least"), [(2, 0.8), (8, 0.45)])
def test_what_an_outage_has_swallowed_is_no_congestion(seconds: float, least: float) -> None:
    """After a long one the estimate begins anew, and not at the floor."""
    path = Path(1e6)
    flow = Flow(path)
    path.flows = [flow]
    path.run(10)
    before = flow.control.estimate or 0
    path.buffer = -1.0
    path.run(seconds)
    path.buffer = 0.1
    seen = []
    for _ in range(3):
        path.run(0.33)
        seen.append((flow.control.estimate or 0) / before)
    assert flow.control.lost > 50
    assert min(seen) > least
    path.run(4)
    path.run(4)
    assert flow.throughput(path.now - 4, path.now) > 0.75e6


def test_loss_alone_lowers_it() -> None:
    estimate = RateEstimate()
    estimate.value = 1e6
    for step in range(1, 20):
        # who adapts
        estimate.throughput.add(int(0.8 * estimate.value * 0.2 / 8), 0.2 * step)
        estimate.note_loss(20, 100, 10.0 + 0.2 * step)
        estimate.update(10.0 + 0.2 * step, 0.1)
    assert estimate.value < 0.4e6
    low = estimate.value
    for step in range(20, 120):
        estimate.throughput.add(25_000, 0.2 * step)
        estimate.note_loss(0, 100, 10.0 + 0.2 * step)
        estimate.update(10.0 + 0.2 * step, 0.1)
    assert estimate.value > 2 * low


def test_loss_does_not_lower_it_below_what_arrives_of_a_source_that_cannot_adapt() -> None:
    estimate = RateEstimate()
    estimate.value = 1e6
    for step in range(1, 40):
        estimate.throughput.add(22_000, 0.2 * step)
        estimate.note_loss(12, 100, 10.0 + 0.2 * step)
        estimate.update(10.0 + 0.2 * step, 0.1)
    assert 0.7e6 < estimate.value < 0.8e6


def test_a_source_that_sends_little_does_not_lower_it() -> None:
    path = Path(2e6)
    flow = Flow(path, limit=100e3)
    path.flows = [flow]
    path.run(30)
    assert flow.control.estimate is not None
    assert flow.control.estimate >= 400e3
    assert path.delay(path.now - 10) < 0.05


def test_a_receiver_estimates_for_senders_that_know_remb_alone() -> None:
    """The path bears 1 Mbit/s; the sender follows what it is told."""
    estimator = RemoteBitrateEstimator()
    now, free_at, rate, told = 50.0, 0.0, 2e6, []
    while now < 80.0:
        now += 1100 * 8 / rate
        free_at = max(now, free_at) + 1100 * 8 / 1e6
        if free_at - now > 0.1:
            free_at -= 1100 * 8 / 1e6
            continue
        found = estimator.add(int(now % 64 * (1 << 18)) & 0xFFFFFF, 1100, 7, free_at)
        if found is not None:
            rate, ssrcs = found[0], found[1]
            assert ssrcs == [7]
            if now > 60:
                told.append(rate)
    assert told
    assert 0.7e6 < sum(told) / len(told) < 1.1e6


async def test_a_frame_leaves_at_the_pace_and_in_order() -> None:
    loop = asyncio.get_running_loop()
    gone: list[tuple[float, bytes]] = []
    pacer = PacketPacer(lambda packet: gone.append((loop.time(), packet)))
    packets = [bytes((index,)) * 1000 for index in range(50)]
    pacer.take(packets[0])
    assert len(gone) == 1
    gone.clear()
    pacer.set_estimate(4_000_000)
    start = loop.time()
    for packet in packets:
        pacer.take(packet)
    # 5 ms at 10 Mbit/s
    assert len(gone) <= 8
    await asyncio.sleep(0.1)
    assert [packet for _at, packet in gone] == packets
    assert 0.025 < gone[-1][0] - start < 0.055
    for index, (at, _packet) in enumerate(gone):
        assert sum(at <= later < at + 0.0049 for later, _ in gone[index:]) <= 8
    assert pacer.queued == 0


async def test_nothing_waits_long_however_small_the_estimate_is() -> None:
    gone: list[Any] = []
    pacer = PacketPacer(gone.append)
    pacer.set_estimate(30_000)
    for _ in range(100):
        pacer.take(bytes(1000))
    await asyncio.sleep(1.5)
    assert len(gone) == 100
    pacer.take(bytes(1000))
    pacer.take(bytes(1000))
    pacer.close()
    assert pacer.queued == 0


def test_an_estimate_without_feedback_is_none_any_more() -> None:
    path = Path(1e6)
    flow = Flow(path)
    path.flows = [flow]
    path.run(3)
    assert flow.control.estimate is not None
    path.flows = []
    path.run(6)
    assert flow.control.estimate is None


def pictures_over(
    estimate: RateEstimate, link: float, *, sizes: list[int], rate: float, seconds: float, begin: float
) -> list[float]:
    """Pictures of so many packets each, 8 ms between those of one, over a link; feedback each 100 ms. The estimates."""
    free, told, size, found = 0.0, begin, 0, []
    for picture in range(round(seconds * rate)):
        for part in range(sizes[picture % len(sizes)]):
            sent = begin + picture / rate + 0.008 * part
            free = max(free, sent) + 8 * 1200 / link
            size += 1200
            if estimate.trend.add(sent, free + 0.02):
                estimate.throughput.add(size, free + 0.02)
                size = 0
            if sent - told > 0.1:
                told = sent
                estimate.update(sent, 0.05)
                found.append(estimate.value or 0.0)
    return found


def test_packets_of_a_picture_that_queue_behind_each_other_are_no_queue() -> None:
    """Pictures of the lowest temporal layer: few, each faster than the path for a moment, and gone before the next."""
    estimate = RateEstimate()
    sizes = [7, 8, 6, 9, 7]
    found = pictures_over(estimate, 400e3, sizes=sizes, rate=3, seconds=40, begin=100.0)
    # what is sent is never taken for more than the path bears
    assert min(found[50:]) > sum(sizes) / len(sizes) * 1200 * 8 * 3


def test_what_a_path_bore_bounds_what_nothing_tests() -> None:
    estimate = RateEstimate()
    pictures_over(estimate, 400e3, sizes=[3], rate=5, seconds=5, begin=100.0)
    assert estimate.value is not None
    estimate.value = 250e3
    # a probe finds that the path is full
    assert estimate.take_probe(ProbeResult(380e3, is_full=True), 105.0)
    found = pictures_over(estimate, 400e3, sizes=[3], rate=5, seconds=15, begin=105.0)
    assert max(found) < 1.11 * 380e3
    # what it bore long ago says nothing any more
    found = pictures_over(estimate, 400e3, sizes=[3], rate=5, seconds=15, begin=120.0)
    assert max(found) > 1.2 * 380e3


def test_the_queue_of_a_probe_lowers_nothing() -> None:
    estimate = RateEstimate()
    pictures_over(estimate, 400e3, sizes=[3], rate=5, seconds=10, begin=100.0)
    before = estimate.value
    assert before is not None
    for shadow in (True, False):
        estimate.value, began = before, 120.0 if shadow else 130.0
        if shadow:
            estimate.expect_probe(began + 1)
        # three groups of which each comes later, and later
        for step in range(40):
            estimate.trend.add(began + step * 0.02, began + step * 0.03)
        estimate.update(began + 0.8, 0.05)
        estimate.update(began + 0.9, 0.05)
        assert (estimate.value >= before) is shadow
