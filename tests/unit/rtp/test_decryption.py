"""SRTP at the receiving end: late packets, copies, runs of failures, streams without number."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.rtp import libsrtp, routing
from rtcpeer.rtp import session as rtp_session
from rtcpeer.rtp.decryption import RUN_OVER, RUN_PACKETS, RUN_SECONDS, SEARCH_PACKETS, DecryptionWatch
from tests.unit.media.rig import connect, make_ends


class Receiver:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def on_rtp(self, packet, now) -> None:
        self.numbers.append(packet.sequence_number)

    def on_transport(self, connected) -> None:
        pass

    def reports(self, now):
        return []


def packet(number: int, ssrc: int = 7, payload_type: int = 96) -> bytes:
    head = bytes((0x80, payload_type)) + (number & 0xFFFF).to_bytes(2, "big")
    return head + (3000 * number & 0xFFFFFFFF).to_bytes(4, "big") + ssrc.to_bytes(4, "big") + b"payload"


@pytest.fixture
async def path():
    a, b = make_ends()
    receiver = Receiver()
    b.dtls.rtp.add_receiver(receiver, "0", [7], [96], ())
    await connect(a, b)
    yield a, b, receiver
    await a.stop()
    await b.stop()


async def test_a_packet_that_is_500_late_is_decrypted_and_its_copy_is_not(path):
    a, b, receiver = path
    for number in range(1000):
        a.pipe.blocked, a.pipe.keep = number == 499, True
        await send(a, packet(number))
        if number == 499:
            late = a.pipe.sent[-1]
    await asyncio.sleep(0)

    b.pipe.receiver(late)
    b.pipe.receiver(late)

    assert len(receiver.numbers) == 1000
    assert receiver.numbers[-1] == 499
    # a copy is no failure
    assert b.dtls.stats()["packetsUndecrypted"] == 0


async def send(end, *packets):
    """Send packets, and let them leave: they do at the end of a turn of the loop."""
    for one in packets:
        end.dtls.rtp.send_rtp(one)
    await asyncio.sleep(0)


async def send_unheard(a, first, last):
    """Packets that are numbered and protected, and lost; one in 20,000 is enough for the count."""
    a.pipe.blocked = True
    for number in (*range(first, last, 20_000), last - 1):
        await send(a, packet(number))
    a.pipe.blocked = False


@pytest.mark.parametrize("first", [3, 100, 32000, 65535])
@pytest.mark.parametrize("lost", [32_767, 32_769, 40_000, 65_536, 66_000, 131_000])
async def test_a_stream_goes_on_however_many_packets_were_lost(path, first, lost):
    """RFC 3711 section 3.3.1: what a packet does not say of its index would be guessed wrongly for ever."""
    a, b, receiver = path
    await send(a, packet(first))
    await send_unheard(a, first + 1, first + 1 + lost)

    begin = first + 1 + lost
    for number in range(begin, begin + 40):
        await send(a, packet(number))
        await asyncio.sleep(0.02)

    # some are lost until it is sure that this is no forgery
    assert [n & 0xFFFF for n in range(begin + SEARCH_PACKETS - 1, begin + 40)] == receiver.numbers[-31:]
    assert b.dtls.undecrypted_for == 0
    # and over the next cycles
    for number in range(begin + 40, begin + 140_040, 10_000):
        await send(a, packet(number))
    await asyncio.sleep(0)
    assert receiver.numbers[-1] == (begin + 130_040) & 0xFFFF


async def test_nothing_can_be_played_again_by_it(path):
    a, b, receiver = path
    kept = []
    for number in range(0, 200_000, 1000):
        a.pipe.keep = True
        await send(a, packet(number))
        kept.append(a.pipe.sent[-1])
    await asyncio.sleep(0)
    assert len(receiver.numbers) == 200

    # an outage, in which somebody repeats what he has recorded: of this cycle, and of those before
    for recorded in kept:
        b.pipe.receiver(recorded)
        await asyncio.sleep(0.01)

    assert len(receiver.numbers) == 200
    await send(a, packet(200_000))
    await asyncio.sleep(0)
    assert receiver.numbers[-1] == 200_000 & 0xFFFF


async def test_forged_packets_cost_one_search_a_second(path, monkeypatch):
    a, b, receiver = path
    searches = []
    await send(a, packet(0))
    await asyncio.sleep(0)
    session = b.dtls.rtp
    srtp = session._srtp
    session._srtp = srtp._replace(recover=lambda data: searches.append(data) or srtp.recover(data))
    for number in range(1000):
        b.pipe.receiver(packet(number + 20000) + bytes(16))
        await asyncio.sleep(0.01)

    assert 9 <= len(searches) <= 11
    # and the stream is what it was
    await send(a, packet(1))
    await asyncio.sleep(0)
    assert receiver.numbers == [0, 1]


async def test_what_is_out_of_reach_is_noticed(path, monkeypatch):
    monkeypatch.setattr(libsrtp, "CYCLES_MAX", 0)
    a, b, receiver = path
    await send(a, packet(30000))
    await send_unheard(a, 30001, 70000)
    assert b.dtls.undecrypted_for == 0

    for number in range(70000, 70100):
        await send(a, packet(number))
        await asyncio.sleep(0.05)

    assert receiver.numbers == [30000]
    stats = b.dtls.stats()
    assert stats["packetsUndecrypted"] == 100
    assert 4.5 < stats["undecryptedFor"] < 5.5
    # nothing comes any more: there is nothing to say
    await asyncio.sleep(RUN_OVER + 1)
    assert b.dtls.undecrypted_for == 0


async def test_forged_packets_beside_good_ones_are_no_run(path):
    a, b, _receiver = path
    for number in range(100):
        await send(a, packet(number))
        b.pipe.receiver(packet(number + 20000) + bytes(16))
        await asyncio.sleep(0.05)

    assert b.dtls.stats()["packetsUndecrypted"] == 100
    assert b.dtls.undecrypted_for == 0


async def test_forged_packets_of_unknown_streams_are_not_even_counted(path):
    _a, b, _receiver = path
    for ssrc in range(100, 200):
        b.pipe.receiver(packet(1, ssrc) + bytes(16))

    assert b.dtls.stats()["packetsUndecrypted"] == 0


async def test_streams_that_authenticate_are_bounded(path, monkeypatch):
    monkeypatch.setattr(rtp_session, "DECRYPTED_SSRCS_MAX", 10)
    a, b, receiver = path
    session = b.dtls.rtp
    await send(a, packet(0))
    for ssrc in range(100, 200):
        await send(a, packet(1, ssrc, 50))
    await asyncio.sleep(0)

    assert len(session._decrypted) == 10
    # the announced one is not forgotten, and goes on
    assert 7 in session._decrypted
    await send(a, packet(1))
    await asyncio.sleep(0)
    assert receiver.numbers == [0, 1]


async def test_learned_streams_are_bounded_and_the_oldest_goes(path, monkeypatch):
    monkeypatch.setattr(routing, "LEARNED_SSRCS_MAX", 8)
    a, b, receiver = path
    for ssrc in range(100, 120):
        await send(a, packet(1, ssrc))
    await asyncio.sleep(0)

    assert list(b.dtls.rtp._routes.learned) == list(range(112, 120))
    assert set(b.dtls.rtp._routes.by_ssrc) == {7, *range(112, 120)}
    assert len(receiver.numbers) == 20


def test_a_run_needs_packets_and_time():
    watch = DecryptionWatch()
    for _ in range(RUN_PACKETS - 1):
        watch.note_failure(1, 0.0)
    watch.note_failure(1, RUN_SECONDS - 0.1)
    assert watch.failing_for(RUN_SECONDS) == 0
    watch.note_failure(1, RUN_SECONDS)
    assert watch.failing_for(RUN_SECONDS + 2) == RUN_SECONDS + 2

    # a new one after a pause
    watch.note_failure(1, 100.0)
    assert watch.failing_for(101.0) == 0
    for ssrc in range(1000):
        watch.note_failure(ssrc, 101.0)
    assert len(watch.runs) == 64
    assert watch.failed == RUN_PACKETS + 1002


def test_the_run_that_goes_on_longest_counts_and_the_oldest_makes_room():
    watch = DecryptionWatch()
    for ssrc, since in ((1, 0.0), (2, 2.0)):
        for number in range(RUN_PACKETS):
            watch.note_failure(ssrc, since + number * RUN_SECONDS / (RUN_PACKETS - 1))
    assert watch.failing_for(4.0) == 4.0
    for ssrc in range(100, 100 + 62):
        watch.note_failure(ssrc, 4.0)
    # all places are taken: a known stream goes on, and the first one goes for a new one
    watch.note_failure(2, 4.0)
    assert set(watch.runs) >= {1, 2}
    watch.note_failure(500, 4.0)
    assert 1 not in watch.runs
    assert {2, 500} <= set(watch.runs)
    assert watch.failing_for(4.0) == 2.0
