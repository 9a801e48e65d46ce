"""Transport-wide feedback as bytes: what is written is read back, and nonsense is refused."""

import contextlib
import os
import random

import pytest

from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.arrivals import Arrivals
from rtcpeer.rtp.congestion.history import SentPackets
from rtcpeer.rtp.congestion.receiving import read_number
from rtcpeer.rtp.congestion.sending import SendControl
from rtcpeer.rtp.headers import HeaderPlan
from rtcpeer.rtp.outbound import HeaderTemplate
from rtcpeer.rtp.packet import URI_MID, URI_TRANSPORT_CC, write_extensions, write_rtp
from rtcpeer.rtp.relay_packet import RelayPacket
from rtcpeer.values import HeaderExtension
from tests.unit.rtp.congestion.path import numbered

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "300"))


def test_the_bytes_are_those_of_the_draft() -> None:
    packet, told = feedback.write(1, 2, 7, 100, [256 * 5, None, 256 * 5 + 300, 256 * 5 + 299])
    assert told == 4
    assert packet[:4] == bytes((0x80 | 15 | 0x20, 205, 0, 6))
    assert packet[12:16] == bytes((0, 100, 0, 4))
    assert packet[16:20] == bytes((0, 0, 5, 7))
    # two bits each: small, none, large, large
    assert packet[20:22] == (0xC000 | 1 << 12 | 0 << 10 | 2 << 8 | 2 << 6).to_bytes(2, "big")
    assert packet[22:27] == bytes((0, 1, 0x2C, 0xFF, 0xFF))
    assert packet[27:] == bytes((1,))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read(seed: int) -> None:
    draw = random.Random(seed)
    time, times = draw.randrange(1 << 30), list[int | None]()
    for index in range(draw.randrange(1, 900)):
        time += draw.choice((0, 1, 4, 200, 300, 30000, -40))
        times.append(time if index == 0 or draw.random() < draw.choice((0.1, 0.9, 1.0)) else None)
    base = draw.randrange(1 << 16)
    at = 0
    while at < len(times):
        packet, count = feedback.write(1, 2, 0, base + at, times[at:])
        assert len(packet) % 4 == 0
        assert len(packet) < 1100
        read = feedback.parse_untrusted(packet)
        assert read.base == base + at & 0xFFFF
        absolute = [None if a is None else read.reference + a for a in read.arrivals]
        wrap = feedback.TICKS_PER_REFERENCE << 24
        assert absolute == [None if t is None else t % wrap for t in times[at : at + count]]
        at += count


def test_arrivals_are_told_of_once_with_gaps_wraps_and_late_ones() -> None:
    arrivals = Arrivals()
    arrivals.pending += [(65534, 10.0), (65535, 10.01), (1, 10.02)]
    (first,) = map(feedback.parse_untrusted, arrivals.write(1, 2))
    assert first.base == 65534
    assert [a is not None for a in first.arrivals] == [True, True, False, True]
    arrivals.pending += [(0, 10.1), (4, 10.2)]
    late, missing = map(feedback.parse_untrusted, arrivals.write(1, 2))
    assert (late.base, len(late.arrivals)) == (0, 1)
    assert missing.base == 2
    assert [a is not None for a in missing.arrivals] == [False, False, True]
    assert arrivals.write(1, 2) == []
    # a new beginning is no gap of thousands
    arrivals.pending += [(30000, 11.0)]
    (again,) = map(feedback.parse_untrusted, arrivals.write(1, 2))
    assert (again.base, len(again.arrivals)) == (30000, 1)


def test_absurd_numbers_stay_bounded() -> None:
    draw = random.Random(1)
    arrivals = Arrivals()
    for _ in range(50):
        arrivals.pending += [(draw.randrange(65536), draw.random() * 1000) for _ in range(100)]
        packets = arrivals.write(1, 2)
        assert sum(map(len, packets)) < 60_000
        for packet in packets:
            feedback.parse_untrusted(packet)


def test_nonsense_is_refused_and_a_sender_survives_it() -> None:
    draw = random.Random(2)
    control = SendControl(4, clock=lambda: 1.0)
    good, _ = feedback.write(1, 2, 0, 5, [256, None, 257, 900, *range(1000, 1030)])
    for _ in range(CASES):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        cut = bytes(data[: draw.randrange(4, len(data) + 1)])
        told, rest = feedback.split_untrusted(cut)
        assert sum(map(len, told)) + len(rest) == len(cut)
        control.on_feedback(cut)
        with contextlib.suppress(ValueError):
            assert len(feedback.parse_untrusted(cut).arrivals) <= feedback.STATUS_MAX
    assert control.malformed
    assert control.acknowledged == 0


def test_feedback_is_taken_out_of_a_compound_packet() -> None:
    told, _ = feedback.write(1, 2, 0, 5, [256])
    report = bytes((0x80, 201, 0, 1)) + bytes(4)
    assert feedback.split_untrusted(report + told + report) == ([told], report + report)
    assert feedback.split_untrusted(report) == ([], report)
    assert feedback.split_untrusted(told) == ([told], b"")


def test_what_was_sent_is_acknowledged_once() -> None:
    sent = SentPackets()
    sent.number = 65535
    numbers = [sent.add(100 + i, 5.0 + i) for i in range(3)]
    assert numbers == [65535, 0, 1]
    packet, _ = feedback.write(1, 2, 0, 65534, [256, 257, None, 258, 259])
    told = feedback.parse_untrusted(packet)
    # neither what was sent before, nor what was never sent
    assert list(sent.take(told)) == [(5.0, 100, 1), (6.0, 101, None), (7.0, 102, 2)]
    assert list(sent.take(told)) == [(6.0, 101, None)]


@pytest.mark.parametrize("beside", [b"x", b"a mid of 16 byte", b"longer than one byte tells"])
async def test_every_kind_of_packet_gets_its_number(beside: bytes) -> None:
    control = SendControl(4)
    packet = write_rtp(96, True, 1, 2, 3, write_extensions([(4, bytes(2)), (5, beside)]), b"payload")
    first, second = numbered(control, packet), numbered(control, packet)
    assert (read_number(first, 4), read_number(second, 4)) == (1, 2)
    assert len(first) == len(packet)
    assert first.endswith(b"payload")
    other = write_rtp(96, True, 1, 2, 3, write_extensions([(5, beside)]), b"payload")
    assert numbered(control, other) == other
    assert read_number(other, 4) == -1


async def test_templates_and_plans_leave_a_place_for_the_number() -> None:
    extensions = (HeaderExtension(URI_MID, 1), HeaderExtension(URI_TRANSPORT_CC, 4))
    control = SendControl(4)
    template = HeaderTemplate(extensions, "0", None)
    packet = numbered(control, write_rtp(96, True, 1, 2, 3, template.write(0.0, 0), b"payload"))
    assert read_number(packet, 4) == 1
    plan = HeaderPlan({96: 97}, "0", {e.uri: e.id or 0 for e in extensions})
    relayed = RelayPacket(96, 0, 1, 2, 3, b"payload")
    relayed.csrc_count, relayed.csrc_bytes = 2, bytes(range(8))
    written = plan.write(relayed, 0.0)
    assert written is not None
    body = written[2]
    at, number = control.claim(written[0], body, 12)
    assert number == 2
    body = body[:at] + number.to_bytes(2, "big") + body[at + 2 :]
    assert read_number(bytes((written[0], 96)) + bytes(10) + body, 4) == 2
    assert body.endswith(b"payload")


@pytest.mark.parametrize("beside", [b"x", b"a mid of 16 byte", b"longer than one byte tells"])
async def test_a_packet_in_parts_is_numbered_as_a_whole_one(beside: bytes) -> None:
    whole, parts = SendControl(4), SendControl(4)
    for elements in ([(4, bytes(2)), (5, beside)], [(5, beside)], [(6, bytes(2)), (4, bytes(2))]):
        packet = write_rtp(96, True, 1, 2, 3, write_extensions(elements), b"payload")
        at, number = parts.claim(packet[0], packet[12:], 12)
        expected = numbered(whole, packet)
        if at:
            packet = packet[: 12 + at] + number.to_bytes(2, "big") + packet[14 + at :]
        assert packet == expected
    assert parts.claim(0x90, b"\xbe\xde", 12) == (0, 0)


def test_a_number_behind_the_end_of_the_elements_is_none() -> None:
    """RFC 8285 section 4.2: an id of 15, and of 0 with a length, end the reading."""
    for head, number in ((b"\x51", 0x1234), (b"\x01", -1), (b"\xf1", -1)):
        extension = b"\xbe\xde\0\2" + head + b"xx" + b"\x41\x12\x34" + bytes(2)
        assert read_number(write_rtp(96, True, 1, 2, 3, extension, b""), 4) == number


def test_reading_numbers_survives_anything() -> None:
    draw = random.Random(3)
    good = write_rtp(96, True, 1, 2, 3, write_extensions([(5, b"abc"), (4, b"\x12\x34")]), b"")
    assert read_number(good, 4) == 0x1234
    for _ in range(CASES):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        assert -1 <= read_number(bytes(data[: draw.randrange(12, len(data) + 1)]), 4) < 65536
