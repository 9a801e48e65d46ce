"""Where key frames begin in the payloads of each codec, and the VP8 descriptor, with every field and cut off
anywhere."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.payloads import begins_keyframe_untrusted, read_vp8_untrusted


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("10", (1, 0, 0, 0, 0, 0, 0)),
        ("90 00", (2, 0, 0, 0, 0, 0, 0)),
        ("90 80 7f", (3, 2, 1, 127, 0, 0, 0)),
        ("90 80 ff fe", (4, 2, 2, 0x7FFE, 0, 0, 0)),
        ("90 40 05", (3, 0, 0, 0, 2, 0, 0)),
        ("90 20 40", (3, 0, 0, 0, 0, 2, 0x20)),
        ("90 10 1f", (3, 0, 0, 0, 0, 2, 0x10)),
        ("90 30 5f", (3, 0, 0, 0, 0, 2, 0x30)),
        ("90 f0 80 01 05 5f", (6, 2, 2, 1, 4, 5, 0x30)),
        ("90 f0 01 05 5f", (5, 2, 1, 1, 3, 4, 0x30)),
    ],
)
def test_fields_of_a_vp8_descriptor(payload, expected):
    data = bytes.fromhex(payload)
    assert read_vp8_untrusted(data) == expected
    assert read_vp8_untrusted(data + b"rest") == expected
    for size in range(len(data)):
        with pytest.raises(ValueError, match="descriptor"):
            read_vp8_untrusted(data[:size])


CASES = [
    # S, partition 0, a key frame; S of another partition; no S; an interframe; nothing behind the descriptor
    ("VP8", "10 00", True),
    ("VP8", "11 00", False),
    ("VP8", "00 00", False),
    ("VP8", "10 01", False),
    ("VP8", "10", False),
    ("VP8", "", False),
    ("VP8", "90 80 11 10", True),
    ("VP8", "90 80 11 11", False),
    # B without P; P; no B; with layers the lowest spatial one alone
    ("VP9", "08 00", True),
    ("VP9", "48 00", False),
    ("VP9", "00 00", False),
    ("VP9", "08", False),
    ("VP9", "28 00", True),
    ("VP9", "28 02", False),
    ("VP9", "28 10", True),
    ("VP9", "a8 01 00", True),
    ("VP9", "a8 01 02", False),
    ("VP9", "a8 81 01 00", True),
    ("VP9", "a8 81 01 0e", False),
    ("VP9", "a8 81 01", False),
    # single units, STAP-A, the first and another fragment of FU-A
    ("H264", "65 88", True),
    ("H264", "67 42", True),
    ("H264", "61 88", False),
    ("H264", "68 ce", False),
    ("H264", "78 00 02 67 42", True),
    ("H264", "78 00 02 09 f0", False),
    ("H264", "78 00 02", False),
    ("H264", "7c 85", True),
    ("H264", "7c 05", False),
    ("H264", "7c 81", False),
    ("H264", "7c", False),
    ("H264", "", False),
    # VPS, SPS, PPS, pictures of random access 16 to 21; aggregation packets, fragmentation units
    ("H265", "40 01 0c", True),
    ("H265", "42 01 0c", True),
    ("H265", "44 01 0c", False),
    ("H265", "20 01 0c", True),
    ("H265", "2a 01 0c", True),
    ("H265", "2c 01 0c", False),
    ("H265", "1e 01 0c", False),
    ("H265", "26 01", False),
    ("H265", "60 01 00 02 40 01", True),
    ("H265", "60 01 00 02 02 01", False),
    ("H265", "60 01 00 02", False),
    ("H265", "62 01 93", True),
    ("H265", "62 01 13", False),
    ("H265", "62 01 81", False),
    # N without Z
    ("AV1", "08", True),
    ("AV1", "88", False),
    ("AV1", "10", False),
    ("AV1", "", False),
    # a codec without key frames
    ("OPUS", "", True),
]


@pytest.mark.parametrize(("codec", "payload", "begins"), CASES)
def test_where_key_frames_begin(codec, payload, begins):
    assert begins_keyframe_untrusted(codec, bytes.fromhex(payload)) is begins


def test_a_vp8_descriptor_that_is_cut_off():
    with pytest.raises(ValueError, match="cut off"):
        begins_keyframe_untrusted("VP8", b"\x90")


# what cameras put around a picture, in packets of one unit or several
SPS, PPS, AUD, SEI, IDR, SLICE = b"\x67ab", b"\x68c", b"\x09\xf0", b"\x06\x05\x01a\x80", b"\x65xy", b"\x41xy"


def stap(*units):
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def h265(kind, rest=b"abc"):
    return bytes((kind << 1, 1)) + rest


def ap(*units):
    return h265(48, b"".join(len(unit).to_bytes(2, "big") + unit for unit in units))


@pytest.mark.parametrize(
    ("codec", "payload", "begins"),
    [
        ("H264", stap(SPS, PPS), True),
        ("H264", stap(AUD, SPS, PPS, SEI, IDR), True),
        ("H264", stap(AUD, SEI, IDR), True),
        ("H264", stap(AUD, SEI, SLICE), False),
        ("H264", stap(AUD), False),
        ("H264", b"\x78\xff\xff" + SPS, True),
        ("H264", b"\x78\xff\xff" + AUD + SPS, False),
        ("H264", b"\x78\0", False),
        ("H264", b"\x78\0\0\0\0\0", False),
        ("H264", AUD, False),
        ("H264", b"\x0a", False),
        ("H264", b"\x7c\x85ab", True),
        ("H264", b"\x7c\x05ab", False),
        ("H265", ap(h265(35), h265(32), h265(33), h265(34)), True),
        ("H265", ap(h265(39), h265(19)), True),
        ("H265", ap(h265(35), h265(1)), False),
        ("H265", h265(48, b"\0"), False),
        ("H265", h265(49, bytes((0x80 | 19,)) + b"ab"), True),
        ("H265", h265(49, bytes((19,)) + b"ab"), False),
    ],
)
def test_beginnings_among_other_units(codec, payload, begins):
    assert begins_keyframe_untrusted(codec, payload) is begins
