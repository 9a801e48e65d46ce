from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.rtp.jitter_buffer import NACK_MAX, VIDEO_WAIT, FrameBuffer, SequenceUnwrapper
from rtcpeer.rtp.packet import RtpPacket


def packet(number, timestamp, *, last=False, payload=b"x"):
    return RtpPacket(96, int(last), number & 0xFFFF, timestamp, 1, payload)


def pictures(count, size=3, first=0):
    """Packets of `count` pictures."""
    return [
        packet(first + n * size + k, n * 3000, last=k == size - 1) for n in range(count) for k in range(size)
    ]


def timestamps(frames):
    return [frame.timestamp for frame in frames]


def feed(buffer, packets, start=0.0, step=0.001):
    frames = []
    for n, one in enumerate(packets):
        frames += buffer.add(one, start + n * step)
    return frames


def test_a_picture_is_given_with_its_last_packet():
    buffer = FrameBuffer()

    given_ = [len(buffer.add(one, 0.0)) for one in pictures(2)]

    assert given_ == [0, 0, 1, 0, 0, 1]


def test_a_picture_without_marker_is_given_with_the_next():
    buffer = FrameBuffer()

    frames = feed(buffer, [packet(0, 0), packet(1, 0), packet(2, 9)])

    assert [len(frame.packets) for frame in frames] == [2]


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 0xFFFF))
def test_reordering_changes_nothing(seed, first):
    packets = pictures(20, 3, first)
    # the first one comes first: what is before it is not known to be missing
    shuffled = list(packets)
    rng = random.Random(seed)
    for n in range(1, len(shuffled) - 4):
        m = rng.randrange(n, n + 4)
        shuffled[n], shuffled[m] = shuffled[m], shuffled[n]

    frames = feed(FrameBuffer(), shuffled)

    assert timestamps(frames) == [n * 3000 for n in range(20)]


def test_duplicates_are_dropped():
    buffer = FrameBuffer()
    packets = pictures(3)

    frames = feed(buffer, [p for p in packets for _ in range(2)])

    assert timestamps(frames) == [0, 3000, 6000]
    # webrtc-stats leaves packets that come twice out of packetsDiscarded
    assert buffer.discarded == 0


def test_a_packet_that_comes_after_its_picture_was_given_up_is_discarded_once():
    buffer = FrameBuffer()
    packets = pictures(3)
    late = packets.pop(4)
    feed(buffer, packets)

    # the picture is torn: two of its packets are here and of no use any more
    buffer.expire(VIDEO_WAIT + 1)
    assert buffer.discarded == 2

    assert feed(buffer, [late, late, packets[0]]) == []
    assert buffer.discarded == 3


def test_what_is_missing_is_named_and_may_come_late():
    buffer = FrameBuffer()
    packets = pictures(4, first=0xFFFE)
    late = packets.pop(4)

    frames = feed(buffer, packets)
    assert timestamps(frames) == [0]
    assert buffer.missing() == [late.sequence_number]
    frames = buffer.add(late, 0.1)

    assert timestamps(frames) == [3000, 6000, 9000]
    assert buffer.missing() == []
    assert not buffer.lost


@pytest.mark.parametrize("gone", [3, 4, 5])
def test_video_gives_up_and_goes_on_with_a_whole_picture(gone):
    buffer = FrameBuffer()
    packets = pictures(6)
    del packets[gone]

    frames = feed(buffer, packets[:8])
    assert timestamps(frames) == [0]
    frames = feed(buffer, packets[8:], start=VIDEO_WAIT + 0.1)

    assert buffer.lost
    assert timestamps(frames)[-3:] == [9000, 12000, 15000]
    assert all(len(frame.packets) == 3 for frame in frames if frame.timestamp > 6000)


def test_padding_is_passed_over():
    buffer = FrameBuffer()
    one, two = pictures(2)[:3], [packet(5, 3000, last=True)]
    padding = [packet(3, 0, payload=b""), packet(4, 0, payload=b"")]

    frames = feed(buffer, one + padding + two)

    assert timestamps(frames) == [0, 3000]


def test_a_jump_begins_anew():
    buffer = FrameBuffer()
    feed(buffer, pictures(2))

    frames = feed(buffer, pictures(2, first=30_000))

    assert timestamps(frames) == [0, 3000]
    assert buffer.lost


def test_memory_is_bounded():
    buffer = FrameBuffer()
    buffer.add(packet(0, 0, last=True), 0.0)

    for n in range(2, 30_000):
        # one picture without end, behind a gap
        buffer.add(packet(n, 1), 0.0)

    assert len(buffer._packets) <= 2049


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
def test_any_loss_leaves_frames_in_order_and_whole(seed, loss):
    rng = random.Random(seed)
    size = 3
    packets = [p for p in pictures(200, size, rng.randrange(0x10000)) if rng.random() >= loss]

    frames = feed(FrameBuffer(), packets, step=0.02)

    stamps = timestamps(frames)
    assert stamps == sorted(set(stamps))
    assert all(frame.packets[-1].marker or len(frame.packets) < size + 1 for frame in frames)


def test_unwrapping():
    unwrapper = SequenceUnwrapper()
    numbers = [65530, 65535, 2, 65534, 3]

    line = [unwrapper.unwrap(number) for number in numbers]

    assert [n - line[0] for n in line] == [0, 5, 8, 4, 9]


def test_after_an_outage_video_goes_on_at_once():
    buffer = FrameBuffer()
    feed(buffer, pictures(3))
    frames = feed(buffer, pictures(2, first=60), start=8.0)

    assert len(frames) == 2
    assert buffer.lost
    assert not buffer.missing()


def test_a_pause_or_a_packet_lost_in_it_is_no_outage():
    buffer = FrameBuffer()
    feed(buffer, pictures(3))
    assert len(feed(buffer, pictures(1, first=9), start=8.0)) == 1
    feed(buffer, pictures(1, first=15), start=16.0)

    assert not buffer.lost
    assert buffer.missing() == [12, 13, 14]


def test_of_very_many_missing_packets_the_newest_are_asked_for():
    buffer = FrameBuffer()
    feed(buffer, pictures(1))
    buffer.add(packet(900, 3000), 0.1)

    assert buffer.missing() == list(range(900 - NACK_MAX, 900))


class Asked(dict[int, Any]):
    """Packets by number, and how often it was asked for one."""

    count = 0

    def __contains__(self, number: object) -> bool:
        self.count += 1
        return super().__contains__(number)


def test_what_leaps_ahead_with_each_packet_costs_no_more_to_look_for() -> None:
    """A sender may leave any number out: what is missing then is not counted through for each packet."""
    buffer = FrameBuffer()
    buffer._packets = asked = Asked()
    for place in range(1000):
        buffer.add(RtpPacket(96, 0, 999 * place & 0xFFFF, place, 1, b"x"), 0.0001 * place)
    asked.count = 0
    missing = buffer.missing()
    newest = 999 * 999
    assert missing == [number & 0xFFFF for number in range(newest - NACK_MAX, newest)]
    assert asked.count == NACK_MAX


def test_how_long_a_picture_was_on_its_way_together():
    """webrtc-stats "totalAssemblyTime": from the packet that came first to the one that came last, of several."""
    buffer, frames = FrameBuffer(), []
    one, two = pictures(2)[:3], packet(3, 9000, last=True)
    for each, at in ((one[0], 1.0), (one[2], 1.2), (two, 1.3), (one[1], 1.5)):
        frames += buffer.add(each, at)

    assert [frame.assembly for frame in frames] == [pytest.approx(0.5), None]
    assert [frame.received_at for frame in frames] == [1.0, 1.3]


def test_what_waits_for_an_earlier_picture_was_together_before():
    buffer = FrameBuffer()
    first, *rest = pictures(2, 2)
    frames = buffer.add(first, 1.0)
    for each, at in zip(reversed(rest), (1.1, 1.2, 1.9), strict=True):
        frames += buffer.add(each, at)

    assert [frame.assembly for frame in frames] == [pytest.approx(0.9), pytest.approx(0.1)]
