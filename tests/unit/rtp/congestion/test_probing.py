"""Probes: when they are sent, what they show, and what an application that sends little learns by them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from rtcpeer.rtp.congestion import probing
from rtcpeer.rtp.congestion.prober import Prober
from rtcpeer.rtp.congestion.probing import Probe, ProbeSchedule
from rtcpeer.rtp.packet import write_extensions, write_padding
from rtcpeer.testing import run_virtual
from tests.unit.rtp.congestion.path import Flow, Path, numbered


def probed(rate: int, bottleneck: float, *, lost: int = 0, begin: float = 7.0) -> Probe:
    """A probe on a path of a rate, with a one-way delay of 30 ms and another clock at the end."""
    probe = Probe(rate, begin)
    free_at = 0.0
    step = probing.DURATION / (probing.BURSTS - 1)
    sent = 0
    for burst in range(probing.BURSTS):
        at, left = begin + burst * step, rate / 8 * step
        while left > 0:
            left -= 250
            sent += 250
            free_at = max(free_at, at) + 250 * 8 / bottleneck
            if lost:
                lost -= 1
            else:
                probe.note(at, 1000 + free_at + 0.03, 250)
    probe.ended_at, probe.sent_bytes = begin + probing.DURATION, sent
    return probe


def test_a_path_that_bears_the_rate_shows_it() -> None:
    found = probed(2_000_000, 50e6).result()
    assert found is not None
    assert not found.is_full
    assert 1.7e6 < found.rate < 2.5e6


def test_a_path_that_does_not_shows_what_it_bears() -> None:
    found = probed(2_000_000, 800e3).result()
    assert found is not None
    assert found.is_full
    assert found.rate == pytest.approx(0.95 * 800e3, rel=0.05)


def test_what_is_lost_says_nothing() -> None:
    probe = probed(2_000_000, 50e6, lost=8)
    assert probe.result() is None
    assert not probe.is_over(probe.begun_at + 0.5)
    assert probe.is_over(probe.begun_at + 1.1)
    assert Probe(1, 0.0).result() is None


def test_probes_are_rare_and_rarer_in_vain() -> None:
    schedule, now, times = ProbeSchedule(), 100.0, []
    while now < 400:
        if schedule.rate(now, 500_000, 100_000, 2_000_000) is not None:
            times.append(now)
            schedule.note(now + 0.1, raised=False)
        now += 0.1
    gaps = [round(b - a) for a, b in itertools.pairwise(times)]
    assert gaps[:3] == [10, 15, 15]
    assert max(gaps) <= 15
    # and none at all where they are of no use
    fresh = ProbeSchedule()
    for second in range(100):
        assert fresh.rate(second, 500_000, 400_000, 2_000_000) is None
        assert fresh.rate(second, 500_000, 100_000, 500_000) is None


class ProbedFlow(Flow):
    """A flow of at most `limit` whose sender could use more, and probes for it."""

    def __init__(self, path: Path, *, wanted: int, limit: float) -> None:
        super().__init__(path, limit=limit)
        self.wanted = wanted
        self.padding = 0
        self.prober = Prober(self.control, self.make, self.send_padding)

    def make(self, size: int) -> bytes:
        # a packet with a byte or two of padding makes Janus 1.1 crash
        assert 50 <= size <= 255
        return write_padding(97, 1, 2, 3, write_extensions([(4, bytes(2))]), size)

    def send_padding(self, packet: bytes) -> None:
        self.padding += len(packet)
        self.path.send(self, numbered(self.control, packet))

    def step(self, index: int) -> None:
        super().step(index)
        if index % 100 == 51:
            self.prober.consider(self.wanted)


def run(path: Path, seconds: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path.now = loop.time()
        for index in range(int(seconds / 0.001)):
            path.now = loop.time()
            while path.waiting and path.waiting[0][0] <= path.now:
                at, flow, packet = path.waiting.popleft()
                flow.arrived(packet, at)
            for flow in path.flows:
                flow.step(index)
            await asyncio.sleep(0.001)
        for flow in path.flows:
            flow.prober.close()

    run_virtual(main())


@pytest.mark.parametrize(
    ("rate", "wanted", "least", "most"), [(5e6, 3_000_000, 3e6, 3.6e6), (8e5, 3_000_000, 6e5, 9e5)]
)
def test_an_application_that_sends_little_learns_what_the_path_bears(
    rate: float, wanted: int, least: float, most: float
) -> None:
    path = Path(rate)
    flow = ProbedFlow(path, wanted=wanted, limit=120e3)
    path.flows = [flow]
    run(path, 25)
    assert flow.control.estimate is not None
    assert least <= flow.control.estimate <= most
    # what that costs: less than a hundredth of what it has found
    assert flow.padding * 8 / 25 < 0.02 * rate
    assert path.dropped == 0


def test_without_padding_nothing_is_sent_and_nothing_breaks() -> None:
    path = Path(5e6)
    flow = ProbedFlow(path, wanted=3_000_000, limit=120e3)
    flow.prober._make_padding = lambda size: None
    path.flows = [flow]
    run(path, 8)
    assert flow.padding == 0
    assert not flow.control.is_probing
    assert flow.control.estimate is not None
    assert flow.control.estimate < 1e6
