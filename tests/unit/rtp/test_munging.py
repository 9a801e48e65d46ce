"""Numbers on an endless line, and VP8 descriptors that are moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.rtp.munging import SHIFTS_MAX, OffsetSegment, PictureNumbers, Renumbering, later, move_pictures
from rtcpeer.rtp.payloads import read_vp8_untrusted
from tests.unit.rtp.packets import vp8


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=200), st.data())
def test_any_numbers_stay_on_one_line(numbers, data):
    line = Renumbering()
    before = None
    for number in numbers:
        extended = line.extend(number)
        assert line.sequence_number(extended) == number
        if before is not None:
            assert abs(extended - before) < 2 * Renumbering.JUMP
            before = max(before, extended)
        before = before or extended
        if data.draw(st.booleans()):
            line.leave_out(extended)
        else:
            mapped = line.number(extended)
            assert mapped is None or mapped <= extended


def test_a_wrap_goes_on():
    line = Renumbering()
    assert [line.extend(n) - line.OFFSET for n in (65534, 65535, 0, 1)] == [65534, 65535, 65536, 65537]


def test_what_is_left_out_late_leaves_a_gap():
    line = Renumbering()
    first = line.extend(10)
    second = line.extend(12)
    assert not line.leave_out(line.extend(11))
    assert line.leave_out(second)
    assert line.number(line.extend(13)) == first + 2


def test_numbers_from_before_what_was_left_out_keep_their_place():
    line = Renumbering()
    start = line.extend(0)
    for number in range(1, 20):
        if number % 5 == 0:
            line.leave_out(line.extend(number))
        elif number != 7:
            line.number(line.extend(number))
    # 5 was left out before it, 10 and 15 after it
    assert line.number(line.extend(7)) == start + 6


def test_what_came_before_the_first_one_that_is_left_out_keeps_its_place():
    line = Renumbering()
    before, beside, left_out = line.extend(100), line.extend(101), line.extend(102)
    assert line.leave_out(left_out)
    after = line.number(line.extend(103))
    assert [line.number(n) for n in (before, beside)] == [before, beside]
    assert after == left_out


def test_several_in_a_row_are_left_out():
    line = Renumbering()
    first = line.extend(7)
    assert all(line.leave_out(line.extend(number)) for number in (8, 9, 10))
    assert line.number(line.extend(11)) == first + 1
    assert line.number(first) == first
    assert line.shift == 3


def test_what_was_left_out_has_no_number():
    """Not that of the one behind it, when it comes a second time."""
    line = Renumbering()
    line.extend(7)
    for number in (8, 9):
        assert line.leave_out(line.extend(number))
    assert not line.leave_out(line.extend(9))
    assert line.shift == 2
    line.number(line.extend(10))
    assert [line.number(line.extend(number)) for number in (8, 9)] == [None, None]


def test_what_is_too_old_to_tell_has_no_number():
    line = Renumbering()
    first = line.extend(0)
    for number in range(1, 2 * SHIFTS_MAX):
        line.leave_out(line.extend(2 * number))
        line.extend(2 * number + 1)
    assert line.number(first) is None
    newest = line.highest
    assert line.number(newest - 2) == newest - 2 - (2 * SHIFTS_MAX - 2)
    assert line.number(newest - 20) == newest - 20 - (2 * SHIFTS_MAX - 11)
    oldest = first + 2 * SHIFTS_MAX + 1
    assert line.number(oldest) == oldest - SHIFTS_MAX
    assert line.number(oldest - 2) is None


@pytest.mark.parametrize(
    "payload", [vp8(5, layer=3), b"\x90\x80\x05\x01", b"\x10\x01", b"\x90\x40\x07\x01", b"\x90\x20\x40\x01"]
)
def test_a_descriptor_is_moved_and_keeps_its_length(payload):
    segment = OffsetSegment(None, 0, 0, 0)
    segment.picture, segment.layer, segment.key = 10, 20, 30
    descriptor = read_vp8_untrusted(payload)
    moved = move_pictures(payload, descriptor, segment)
    assert len(moved) == descriptor[0]
    size, picture_at, width, picture, layer_at, key_at, flags = read_vp8_untrusted(
        moved + payload[descriptor[0] :]
    )
    assert (size, picture_at, width, layer_at, key_at, flags) == (
        descriptor[0],
        *descriptor[1:3],
        *descriptor[4:],
    )
    if picture_at:
        assert picture == descriptor[3] + 10
    if layer_at:
        assert moved[layer_at] == payload[layer_at] + 20 & 0xFF
    if key_at:
        # TID and Y stay; KEYIDX moves only where there is one
        assert moved[key_at] & 0xE0 == payload[key_at] & 0xE0
        assert moved[key_at] & 0x1F == (payload[key_at] + (30 if flags & 0x10 else 0)) & 0x1F


def test_a_picture_id_of_seven_bits_wraps():
    segment = OffsetSegment(None, 0, 0, 0)
    segment.picture = 100
    assert move_pictures(b"\x90\x80\x7f\x01", read_vp8_untrusted(b"\x90\x80\x7f\x01"), segment)[2] == 99


def test_the_first_picture_of_a_source_comes_after_the_last_of_the_other():
    last, segment = PictureNumbers(), OffsetSegment(None, 0, 0, 0)
    last.note(vp8(0x7FFF, layer=255), read_vp8_untrusted(vp8(0x7FFF, layer=255)))
    payload = vp8(40, layer=9)
    last.align(segment, payload, read_vp8_untrusted(payload))
    moved = move_pictures(payload, read_vp8_untrusted(payload), segment)
    assert read_vp8_untrusted(moved + payload[6:])[3] == 0
    assert moved[4] == 0


def numbers_of(payload):
    last = PictureNumbers()
    last.note(payload, read_vp8_untrusted(payload))
    return last.picture, last.layer, last.key


@pytest.mark.parametrize(
    ("payload", "numbers"),
    # picture id of 15 bits and of 7, TL0PICIDX, TID without KEYIDX, KEYIDX behind TID and Y (RFC 7741 section 4.2)
    [
        (b"\x10\x01", (None, None, None)),
        (b"\x90\x80\xfe\x01\x00", (0x7E01, None, None)),
        (b"\x90\x80\x05\x00", (5, None, None)),
        (b"\x90\x40\xff\x00", (None, 255, None)),
        (b"\x90\x20\xff\x00", (None, None, None)),
        (b"\x90\x10\xf5\x00", (None, None, 0x15)),
        (b"\x90\x30\x35\x00", (None, None, 0x15)),
    ],
)
def test_the_numbers_that_went_out_are_noted(payload, numbers):
    assert numbers_of(payload) == numbers


LAST = b"\x90\xf0\xff\xff\xff\x1f"


@pytest.mark.parametrize(
    ("payload", "moved"),
    [
        # all of them wrap; TID and Y stay
        (b"\x90\xf0\xf1\x23\x40\xf5\x00", b"\x90\xf0\x80\x00\x00\xe0"),
        (b"\x90\xf0\x80\x00\x00\x20\x00", b"\x90\xf0\x80\x00\x00\x20"),
        # what a source does not number is not numbered
        (b"\x90\x40\x40\x00", b"\x90\x40\x00"),
        (b"\x90\x10\x0a\x00", b"\x90\x10\x00"),
        (b"\x90\x20\xff\x00", b"\x90\x20\xff"),
        (b"\x10\x00", b"\x10"),
    ],
)
def test_the_first_picture_of_a_source_has_the_next_numbers(payload, moved):
    last, segment = PictureNumbers(), OffsetSegment(None, 0, 0, 0)
    last.note(LAST, read_vp8_untrusted(LAST))
    descriptor = read_vp8_untrusted(payload)
    last.align(segment, payload, descriptor)
    assert move_pictures(payload, descriptor, segment) == moved
    assert segment.rewrites_pictures is not payload.startswith(moved)


def test_what_went_out_in_a_segment_is_what_the_next_source_goes_on_from():
    last, segment = PictureNumbers(), OffsetSegment(None, 0, 0, 0)
    last.note(LAST, read_vp8_untrusted(LAST))
    segment.picture, segment.layer, segment.key = 0x4104, 0x84, 0x14
    went_out = move_pictures(LAST, read_vp8_untrusted(LAST), segment)
    moved = last.moved(segment)
    assert (moved.picture, moved.layer, moved.key) == numbers_of(went_out) == (0x4103, 0x83, 0x13)
    assert (last.picture, last.layer, last.key) == (0x7FFF, 0xFF, 0x1F)


def test_a_source_without_pictures_leaves_none_to_go_on_from():
    payload, segment = vp8(5), OffsetSegment(None, 0, 0, 0)
    nothing = PictureNumbers().moved(segment)
    assert (nothing.picture, nothing.layer, nothing.key) == (None, None, None)
    nothing.align(segment, payload, read_vp8_untrusted(payload))
    assert not segment.rewrites_pictures


def test_an_output_goes_on_where_it_was():
    segment = OffsetSegment("stream", 70, 1000, 5)
    assert 70 + segment.offset == segment.first == 1000
    assert (segment.stream, segment.start, segment.time_offset) == ("stream", 70, 5)
    assert segment.rewrites_pictures is False
    for name in ("picture", "layer", "key"):
        segment = OffsetSegment(None, 0, 0, 0)
        setattr(segment, name, 1)
        assert segment.rewrites_pictures is True


@pytest.mark.parametrize(("first", "second", "ticks"), [(5, 3, 2), (3, 5, -2), (1, 0xFFFFFFFF, 2), (0, 0, 0)])
def test_later(first, second, ticks):
    assert later(first, second) == ticks
