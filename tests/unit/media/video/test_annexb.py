"""NAL units in the byte stream of H.264 and H.265."""

from rtcpeer.media.video.annexb import plain, units


def test_units_stand_between_start_codes_of_three_or_four_bytes():
    assert list(units(b"\0\0\0\1abc\0\0\1de\0\0\0\1f")) == [b"abc", b"de", b"f"]
    assert list(units(b"no start code")) == []
    assert list(units(b"garbage\0\0\1a")) == [b"a"]


def test_zeros_behind_a_unit_and_empty_units_are_left_out():
    assert list(units(b"\0\0\1a\0\0\0\0\1\0\0\1b\0\0")) == [b"a", b"b"]


def test_the_bytes_that_keep_start_codes_out_are_taken_out():
    assert plain(b"\x67\0\0\3\1\0\0\3\0", 9) == b"\x67\0\0\1\0\0\0"
    assert plain(b"\x67\0\0\3\1", 2) == b"\x67\0"
