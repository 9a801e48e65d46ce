"""The tap: packets unwrapped, counted, asked for and forwarded, before anything is made of them."""

import asyncio
import struct
from itertools import pairwise

import pytest

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import payload_format
from rtcpeer.media.tapping import ReceiverTap
from rtcpeer.rtp.clocks import RemoteClock
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.packet import URI_DEPENDENCY, URI_MID, URI_REPAIRED_RID, URI_RID, write_extensions, write_rtp
from rtcpeer.rtp.packet_requests import TRIES_MAX, interval
from rtcpeer.rtp.reception import LIFETIME
from rtcpeer.values import Codec, Feedback
from tests.unit.rtp.packets import PLAN, Subscriber, vp8

NACK = (Feedback("nack"),)
CODECS = [
    Codec("video/VP8", 90000, feedback=NACK, payload_type=96),
    Codec("video/rtx", 90000, fmtp=(("apt", "96"),), payload_type=97),
    Codec("video/red", 90000, payload_type=122),
    Codec("video/ulpfec", 90000, payload_type=124),
]
URIS = {1: URI_MID, 2: URI_RID, 3: URI_REPAIRED_RID, 12: URI_DEPENDENCY}
NOW = 1000.0


class Session:
    """What the tap uses of a session."""

    def __init__(self):
        self.extension_uris, self.remote_clock = URIS, RemoteClock()
        self.taps = {}

    def round_trip(self):
        return None

    def tap(self, ssrc, tap):
        self.taps[ssrc] = tap

    def tap_of(self, ssrc):
        return self.taps.get(ssrc)

    def untap(self, ssrc):
        self.taps.pop(ssrc, None)


class Receiver:
    """What the tap uses of what a receiver receives."""

    kind, reads, mid = "video", False, "0"

    def __init__(self):
        self.formats = {c.payload_type: payload_format(c) for c in CODECS}
        self.streams, self.repairs, self.sent, self.asked = {}, {70: 7}, [], []

    def count(self, packet, form, now):
        stream = self.streams.get(packet.ssrc)
        if stream is None:
            stream = self.streams[packet.ssrc] = InboundStream(
                packet.ssrc, FrameBuffer(True), form.clock_rate
            )
        stream.count(packet, now)
        return stream

    def repaired_ssrc(self, ssrc, repaired_rid):
        return self.repairs.get(ssrc)

    def estimate(self, *arguments):
        raise AssertionError("no send times here")

    def repeats(self, ssrc):
        return True

    def ask_packets(self, ssrc, numbers, now):
        assert ssrc in self.streams
        self.sent.append((now, numbers))

    def ask_keyframe(self, ssrc, now):
        self.asked.append(ssrc)


@pytest.fixture
async def tap():
    made = ReceiverTap(Receiver(), name="test")
    made.session, made.receiver = Session(), made._section
    made.attach(made.session)
    made.subscriber = Subscriber(plan=PLAN)
    made.source.add(made.subscriber.output, None, NOW)
    yield made
    made.close()


def rtp(number, payload, *, payload_type=96, ssrc=7, mid="0", more=(), marker=True):
    extensions = write_extensions([(1, mid.encode()), *more])
    return write_rtp(payload_type, marker, number, 3000 * number, ssrc, extensions, payload)


def feed(tap, data, now=NOW):
    ssrc = int.from_bytes(data[8:12], "big")
    if tap.knows(ssrc):
        return tap.session.taps[ssrc](data, now)
    tap.learn(ssrc, data, now)
    return None


async def test_packets_are_forwarded_and_taken(tap):
    feed(tap, rtp(1, vp8(1, key=True)))
    assert feed(tap, rtp(2, vp8(2))) is True
    assert tap.subscriber.numbers == [500, 501]
    # the first one was counted by who had it before
    assert tap.receiver.streams[7].packets_received == 1
    tap.receiver.reads = True
    assert feed(tap, rtp(3, vp8(3))) is False
    assert tap.receiver.streams[7].packets_received == 1
    assert tap.subscriber.numbers == [500, 501, 502]


async def test_a_packet_of_another_section_is_left_alone(tap):
    feed(tap, rtp(1, vp8(1, key=True)))
    assert feed(tap, rtp(2, vp8(2), mid="1")) is False
    assert len(tap.subscriber.sent) == 1


async def test_two_sections_with_one_ssrc(tap):
    """Neither takes the packets of the other away for good."""
    feed(tap, rtp(1, vp8(1, key=True)))
    other = ReceiverTap(Receiver(), name="other")
    other._section.mid = "1"
    other.attach(tap.session)
    other.learn(7, rtp(1, vp8(1, key=True), mid="1"), NOW)
    assert tap.session.taps[7](rtp(2, vp8(2)), NOW) is False
    assert not tap.knows(7)
    feed(tap, rtp(2, vp8(2)))
    assert tap.knows(7)
    other.close()
    assert feed(tap, rtp(3, vp8(3))) is True
    assert tap.subscriber.numbers == [500, 501, 502]


async def test_what_cannot_be_read_is_counted(tap):
    feed(tap, rtp(1, vp8(1, key=True)))
    assert feed(tap, rtp(2, b"\x90")) is True
    assert feed(tap, struct.pack("!BBHLLH", 0x90, 96, 3, 0, 7, 0xBEDE)) is True
    assert feed(tap, rtp(4, b"\xff", payload_type=122)) is True
    assert feed(tap, rtp(5, vp8(5), payload_type=33)) is True
    assert tap.malformed == 3
    assert len(tap.subscriber.sent) == 1


async def test_red_and_corrections(tap):
    feed(tap, rtp(1, bytes((96,)) + vp8(1, key=True), payload_type=122))
    feed(tap, rtp(2, bytes((124,)) + b"correction", payload_type=122))
    feed(tap, rtp(3, bytes((96,)) + vp8(2), payload_type=122))
    feed(tap, rtp(4, b"", marker=False))
    feed(tap, rtp(5, vp8(3)))
    assert tap.subscriber.numbers == [500, 501, 502]
    assert [p.body for p in tap.subscriber.sent] == [vp8(1, key=True), vp8(2), vp8(3)]
    assert not tap.receiver.sent


async def test_what_is_missing_is_asked_for_and_repaired(tap):
    feed(tap, rtp(1, vp8(1, key=True)))
    feed(tap, rtp(4, vp8(4)))
    assert tap.receiver.sent == [(NOW, [2, 3])]
    feed(tap, rtp(900, b"\0\x03" + vp8(3), payload_type=97, ssrc=70), NOW + 0.02)
    # a probe of the path has nothing in it
    feed(tap, rtp(901, b"", payload_type=97, ssrc=70), NOW + 0.02)
    assert tap.subscriber.numbers == [500, 503, 502]
    # the first packet of an SSRC comes by the usual way, and is counted there
    feed(tap, rtp(902, b"\0\x02" + vp8(2), payload_type=97, ssrc=70), NOW + 0.03)
    assert tap.receiver.streams[7].retransmitted_packets == 1
    assert sorted(tap.subscriber.numbers) == [500, 501, 502, 503]


async def test_requests_that_are_lost_are_repeated_though_nothing_comes(tap):
    """And what never comes leads to a key frame."""
    began = wall_time()
    feed(tap, rtp(1, vp8(1, key=True)), began)
    feed(tap, rtp(2, vp8(2)), began)
    assert tap._repair_timer is None
    feed(tap, rtp(4, vp8(4)), began)
    asked = len(tap.receiver.asked)

    await asyncio.sleep(LIFETIME - 0.05)
    assert len(tap.receiver.asked) == asked
    await asyncio.sleep(0.1)
    assert tap.receiver.asked[asked:] == [7]
    await asyncio.sleep(10)
    assert [numbers for _at, numbers in tap.receiver.sent] == [[3]] * TRIES_MAX
    steps = [after - before for (before, _), (after, _) in pairwise(tap.receiver.sent)]
    assert steps == pytest.approx([interval(None)] * (TRIES_MAX - 1), abs=0.01)
    assert tap._repair_timer is None


@pytest.mark.parametrize("is_read", [False, True])
async def test_what_comes_ends_the_requests(tap, is_read):
    began = wall_time()
    feed(tap, rtp(1, vp8(1, key=True)), began)
    tap.receiver.reads = is_read
    feed(tap, rtp(3, vp8(3)), began)
    assert tap._repair_timer is not None
    feed(tap, rtp(2, vp8(2)), began + 0.01)
    assert tap._repair_timer is None
    await asyncio.sleep(10)
    # who reads the stream asks itself
    assert len(tap.receiver.sent) == (not is_read)


async def test_layers_by_rid(tap):
    feed(tap, rtp(1, vp8(1, key=True), more=[(2, b"h")]))
    feed(tap, rtp(1, vp8(1, key=True), ssrc=8, more=[(2, b"f")]))
    assert {s.rid for s in tap.source.streams.values()} == {"h", "f"}
    tap.forget(8)
    assert list(tap.source.streams) == [7]
    assert 8 not in tap.session.taps


async def test_a_key_frame_that_only_its_descriptor_tells(tap):
    encrypted = bytes((0x90, 0x80, 1)) + b"\xff" * 20
    feed(tap, rtp(1, encrypted))
    assert tap.subscriber.sent == []
    feed(tap, rtp(2, encrypted, more=[(12, bytes.fromhex("80000180214eaa860414d14102c11b"))]))
    assert len(tap.subscriber.sent) == 1


async def test_another_session_begins_anew(tap):
    feed(tap, rtp(1, vp8(1, key=True)))
    before, other = tap.session, Session()
    tap.attach(other)
    assert before.taps == {}
    assert not tap.knows(7)
