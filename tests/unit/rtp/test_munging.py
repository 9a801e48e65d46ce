"""Numbers on an endless line, and VP8 descriptors that are moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.rtp.munging import OffsetSegment, PictureNumbers, Renumbering, later, move_pictures
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


@pytest.mark.parametrize(("first", "second", "ticks"), [(5, 3, 2), (3, 5, -2), (1, 0xFFFFFFFF, 2), (0, 0, 0)])
def test_later(first, second, ticks):
    assert later(first, second) == ticks
