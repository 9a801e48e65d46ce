from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.rtp.jitter_buffer import (
    JUMP,
    NACK_MAX,
    OUTAGE,
    OUTAGE_GAP,
    SILENCE,
    VIDEO_PACKETS_MAX,
    VIDEO_WAIT,
    FrameBuffer,
    SequenceUnwrapper,
)
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


@pytest.mark.parametrize("first", [1, 2], ids=["in order", "behind a gap"])
def test_memory_is_bounded(first):
    buffer = FrameBuffer()
    buffer.add(packet(0, 0, last=True), 0.0)

    # one picture without end
    for n in range(first, 30_000):
        buffer.add(packet(n, 1), 0.0)
        assert len(buffer._packets) <= VIDEO_PACKETS_MAX

    assert buffer.lost


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
    # packets from before the first one have numbers above 0
    assert line[0] == 65530 + SequenceUnwrapper.OFFSET
    assert unwrapper.unwrap(3 + 0x8000) == line[-1] - 0x8000
    assert unwrapper.unwrap(3 + 0x7FFF) == line[-1] + 0x7FFF


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


# -- gaps: which are losses, how long they are waited for, what is asked for


@pytest.mark.parametrize(("step", "is_loss"), [(JUMP - 1, True), (JUMP, False), (-JUMP, False)])
def test_how_far_a_loss_reaches(step, is_loss):
    buffer = FrameBuffer()
    feed(buffer, [packet(5000, 0, last=True), packet(5000 + step, 3000, last=True)])

    assert buffer.lost is not is_loss
    assert buffer.is_lacking is is_loss
    assert buffer.skipped is is_loss


def test_what_is_far_behind_is_late_and_no_new_beginning():
    buffer = FrameBuffer()
    feed(buffer, pictures(2, first=5000))

    assert feed(buffer, [packet(5005 - JUMP + 1, 0, last=True)]) == []
    assert not buffer.lost


@pytest.mark.parametrize(
    ("silence", "gap", "is_outage"),
    [
        (OUTAGE, OUTAGE_GAP + 1, False),
        (OUTAGE + 0.01, OUTAGE_GAP, False),
        (OUTAGE + 0.01, OUTAGE_GAP + 1, True),
        (0.01, 100, False),
    ],
)
def test_an_outage_is_a_silence_and_a_gap(silence, gap, is_outage):
    buffer = FrameBuffer()
    # a call that is old
    feed(buffer, pictures(3, 1), start=1000.0, step=0.0)
    buffer.add(packet(2 + gap, 9000, last=True), 1000.0 + silence)

    assert buffer.lost is is_outage
    assert buffer.missing() == ([] if is_outage else list(range(3, 2 + gap)))


def test_only_what_leaves_numbers_out_skips():
    buffer = FrameBuffer()
    first, second, third, fourth = pictures(4, 1, 65534)
    feed(buffer, [first, second])
    assert not buffer.skipped
    buffer.add(fourth, 0.1)
    assert buffer.skipped
    buffer.skipped = False
    for late in (third, fourth, second):
        buffer.add(late, 0.2)
    assert not buffer.skipped


def test_a_gap_before_a_picture_ends_in_time_though_nothing_comes():
    buffer = FrameBuffer()
    packets = pictures(4, 2)
    assert timestamps(feed(buffer, packets[:2], 10.0)) == [0]
    assert buffer.due is None
    assert buffer.expire(100.0) == []
    feed(buffer, [packets[3]], 10.1)
    feed(buffer, packets[4:], 10.2)
    assert buffer.due == 10.1 + VIDEO_WAIT
    assert buffer.missing() == [2]
    assert buffer.expire(10.1 + VIDEO_WAIT) == []
    assert not buffer.lost
    assert timestamps(buffer.expire(10.11 + VIDEO_WAIT)) == [6000, 9000]
    assert buffer.lost
    assert (buffer.due, buffer.missing(), buffer.waiting(), buffer.is_lacking) == (None, [], [], False)
    # its torn neighbour came for nothing, and what comes now is too late
    assert buffer.discarded == 1
    assert buffer.add(packets[2], 11.0) == []
    assert buffer.discarded == 2


def test_a_picture_that_is_torn_is_waited_for_from_when_that_is_known():
    buffer = FrameBuffer()
    first, _middle, last, *rest = pictures(3)
    buffer.add(first, 1.0)
    assert buffer.due is None
    buffer.add(last, 1.2)
    assert buffer.due == 1.2 + VIDEO_WAIT
    assert buffer.waiting() == [first, last]
    assert buffer.expire(1.2 + VIDEO_WAIT) == []
    feed(buffer, rest[:-1], 1.3)
    # the next packet that comes ends it too
    assert timestamps(buffer.add(rest[-1], 1.21 + VIDEO_WAIT)) == [3000, 6000]
    assert buffer.due is None
    assert buffer.discarded == 2


@pytest.mark.parametrize("late", [0.024, VIDEO_WAIT - 0.016])
def test_in_a_picture_that_comes_slowly_a_packet_may_be_late(late):
    """A key frame of 100 kB takes 1.6 s at 500 kbit/s: what is lost in its middle can be sent again."""
    buffer, frames = FrameBuffer(), []
    packets = [packet(n, 0, last=n == 99) for n in range(100)]
    arrivals = [(0.016 * n + late * (n == 60), n) for n in range(100)]
    for at, n in sorted(arrivals):
        frames += buffer.add(packets[n], at)
    assert [len(frame.packets) for frame in frames] == [100]
    assert not buffer.lost


def test_a_picture_that_comes_slowly_and_in_order_is_waited_for():
    buffer = FrameBuffer()
    first, middle, last = pictures(1)
    for each, at in ((first, 1.0), (middle, 9.0)):
        assert buffer.add(each, at) == []
        assert buffer.due is None
        assert buffer.expire(at + 100) == []
    assert timestamps(buffer.add(last, 20.0)) == [0]
    assert not buffer.lost


def test_a_gap_that_is_filled_leaves_the_next_one_its_time():
    buffer = FrameBuffer()
    one, two, three, four, five = pictures(5, 1)
    for each, at in ((one, 1.0), (three, 1.1), (five, 1.3), (two, 1.4)):
        buffer.add(each, at)
    # since something behind it came
    assert buffer.due == 1.3 + VIDEO_WAIT
    assert timestamps(buffer.add(four, 1.5)) == [9000, 12000]
    assert buffer.due is None


def test_each_gap_has_its_own_time():
    buffer = FrameBuffer()
    packets = pictures(7, 2)
    feed(buffer, packets[:2], 1.0, 0.0)
    # lost: the beginning of the second picture, and that of the sixth
    feed(buffer, packets[3:10], 1.125, 0.0)
    feed(buffer, packets[11:], 1.25, 0.0)
    assert buffer.due == 1.125 + VIDEO_WAIT
    assert timestamps(buffer.expire(1.75)) == [6000, 9000, 12000]
    assert buffer.due == 1.25 + VIDEO_WAIT
    assert buffer.missing() == [10]
    assert timestamps(buffer.expire(1.76)) == [18000]
    assert buffer.due is None


def test_gaps_that_have_all_lasted_too_long_end_together():
    buffer = FrameBuffer()
    packets = pictures(7, 2)
    feed(buffer, packets[:2] + packets[3:10] + packets[11:], 1.0, 0.0)
    assert timestamps(buffer.expire(9.0)) == [6000, 9000, 12000, 18000]
    assert buffer.due is None


def test_of_one_picture_in_pieces_nothing_is_left_when_it_is_given_up():
    buffer = FrameBuffer()
    feed(buffer, [packet(0, 0, last=True), packet(2, 9), packet(4, 9)], 1.0, 0.0)
    assert buffer.expire(2.0) == []
    assert (buffer.discarded, buffer.waiting(), buffer.due) == (2, [], None)
    assert timestamps(feed(buffer, [packet(5, 18, last=True)], 2.1)) == [18]


def test_a_new_beginning_forgets_what_was_waited_for():
    buffer = FrameBuffer()
    feed(buffer, [packet(0, 0, last=True), packet(2, 3000)], 1.0, 0.0)
    feed(buffer, [packet(30_000, 6000)], 1.1)
    assert (buffer.due, buffer.missing(), len(buffer.waiting())) == (None, [], 1)
    assert buffer.lost
    assert timestamps(buffer.add(packet(30_001, 6000, last=True), 9.0)) == [6000]


@pytest.mark.parametrize("first", [0, 4, 65535])
def test_which_packets_are_lacking(first):
    buffer = FrameBuffer()
    assert not buffer.lacks(first)
    assert not buffer.is_lacking
    feed(buffer, [packet(first, 0, last=True), packet(first + 2, 3000)])
    assert [n for n in range(-2, 5) if buffer.lacks(first + n & 0xFFFF)] == [1, 3, 4]
    assert buffer.is_lacking
    buffer.add(packet(first + 1, 3000), 1.0)
    assert not buffer.is_lacking
    # it is behind by half a cycle and more
    assert not buffer.lacks(first + 2 + 0x8000 & 0xFFFF)
    assert buffer.lacks(first + 2 + 0x7FFF & 0xFFFF)


def test_in_a_silence_the_end_of_the_last_picture_is_missing():
    buffer = FrameBuffer()
    assert not buffer.note_silence(1.0)
    first, second = pictures(1, 2), pictures(1, 2, 65535)
    feed(buffer, first, 1.0, 0.0)
    assert not buffer.note_silence(9.0)  # it is whole
    buffer = FrameBuffer()
    feed(buffer, [packet(65533, 1), packet(65534, 1, last=True), second[0]], 0.0, 0.0)
    assert not buffer.note_silence(SILENCE)
    assert not buffer.is_lacking
    assert buffer.note_silence(SILENCE + 0.01)
    assert buffer.is_lacking
    assert buffer.missing() == [0]
    # more of it comes, and its end is missing still
    buffer.add(packet(0, 0), 2.0)
    assert not buffer.is_lacking
    assert buffer.missing() == []
    assert buffer.note_silence(2.5)
    assert buffer.missing() == [1]
    buffer.add(packet(2, 3000), 3.0)
    assert buffer.missing() == [1]


def test_pictures_without_markers_or_padding_behind_them_have_no_end_that_could_be_missing():
    buffer = FrameBuffer()
    feed(buffer, [packet(0, 0), packet(1, 3000)])
    assert not buffer.note_silence(9.0)
    buffer = FrameBuffer()
    feed(buffer, [packet(0, 0, last=True), packet(2, 3000), packet(3, 0, payload=b"")])
    assert not buffer.note_silence(9.0)


def test_together_are_the_packets_of_a_picture_also_behind_one_that_came_out_of_order():
    buffer = FrameBuffer()
    (a, b), (c, d), (e, f) = (pictures(3, 2)[n : n + 2] for n in (0, 2, 4))
    frames = []
    for each, at in ((a, 1.0), (c, 1.1), (b, 1.2), (d, 1.5), (e, 2.0), (f, 2.5)):
        frames += buffer.add(each, at)
    assert [frame.assembly for frame in frames] == [pytest.approx(t) for t in (0.2, 0.4, 0.5)]
    assert [frame.received_at for frame in frames] == [1.0, 1.1, 2.0]
