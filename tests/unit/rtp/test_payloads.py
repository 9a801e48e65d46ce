"""Where key frames begin in the payloads of each codec, and the VP8 descriptor, with every field and cut off
anywhere."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.payloads import begins_keyframe_untrusted, is_configuration, read_vp8_untrusted


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


@pytest.mark.parametrize("reserved", [0x00, 0x0F])
def test_reserved_bits_of_a_vp8_descriptor_say_nothing(reserved):
    for flags, size in ((0x00, 2), (0x80, 3), (0x40, 3), (0x20, 3), (0x10, 3), (0xF0, 5)):
        data = bytes((0x90, flags | reserved)) + b"\x05\x06\x07"
        assert read_vp8_untrusted(data)[0] == size
        assert read_vp8_untrusted(data)[6] == flags & 0x30


def test_where_a_vp8_picture_begins_by_its_first_octet():
    """RFC 7741 section 4.2: S with partition 0; X asks for one octet more, R and N say nothing here."""
    for first in range(256):
        payload = bytes((first,)) + (b"\0" if first & 0x80 else b"")
        begins = first & 0x10 and not first & 0x07
        assert begins_keyframe_untrusted("VP8", payload + b"\x00") is bool(begins), hex(first)
        assert not begins_keyframe_untrusted("VP8", payload + b"\x01"), hex(first)


def test_where_a_vp9_picture_begins_by_its_first_octet():
    """RFC 9628 section 4.2: I P L F B E V Z; of spatial layers the lowest, whatever its temporal layer, U and D."""
    for first in range(256):
        picture = b"\x05" if first & 0x80 else b""
        long = b"\x85\x05" if first & 0x80 else b""
        for layer in (*range(16), 0xF0, 0xF1):
            begins = first & 0x08 and not first & 0x40 and (not first & 0x20 or layer & 0x0E == 0)
            for head in (picture, long):
                payload = bytes((first,)) + head + bytes((layer,))
                assert begins_keyframe_untrusted("VP9", payload) is bool(begins), payload.hex()


def test_where_an_av1_sequence_begins_by_its_first_octet():
    """AV1 RTP section 4.4: Z Y W W N and three reserved bits."""
    for first in range(256):
        begins = first & 0x08 and not first & 0x80
        assert begins_keyframe_untrusted("AV1", bytes((first,))) is bool(begins), hex(first)


# RFC 6184 table 1 and H.264 table 7-1: an IDR slice, or the parameter set in front of it
H264_BEGINS = {5, 7}
# messages, parameter sets, delimiters, extensions of parameter sets
H264_AROUND = {6, 7, 8, 9, 13}
# RFC 7798 and H.265 table 7-1: pictures of random access, video and sequence parameter sets
H265_BEGINS = {16, 17, 18, 19, 20, 21, 32, 33}
# parameter sets, delimiters, messages in front of a picture and behind it
H265_AROUND = {32, 33, 34, 35, 39, 40}


@pytest.mark.parametrize("importance", [0x00, 0x60])
def test_units_of_h264_by_their_kind(importance):
    for kind in range(24):
        unit = bytes((importance | kind,)) + b"ab"
        for payload in (unit, unit[:1], stap(unit), stap(AUD, unit), stap(AUD + bytes(300), unit)):
            assert begins_keyframe_untrusted("H264", payload) is (kind in H264_BEGINS), payload[:8].hex()
            assert is_configuration("H264", payload) is (kind in H264_AROUND), payload[:8].hex()
        assert is_configuration("H264", stap(unit, SLICE)) is False
        for header in (0x80, 0x00, 0x40):
            # the first, another and the last fragment of a slice (section 5.8)
            payload = bytes((importance | 28, header | kind)) + b"ab"
            assert begins_keyframe_untrusted("H264", payload) is (header == 0x80 and kind == 5)
            assert not is_configuration("H264", payload)


@pytest.mark.parametrize("layer", [0x00, 0x01])
def test_units_of_h265_by_their_kind(layer):
    """The lowest bit of the first octet belongs to the layer id (section 1.1.4)."""
    for kind in range(48):
        unit = bytes((kind << 1 | layer, 1)) + b"abc"
        aud = h265(35)
        for payload in (unit, unit[:3], ap(unit), ap(aud, unit), ap(aud + bytes(300), unit)):
            assert begins_keyframe_untrusted("H265", payload) is (kind in H265_BEGINS), payload[:8].hex()
            assert is_configuration("H265", payload) is (kind in H265_AROUND), payload[:8].hex()
        assert is_configuration("H265", ap(unit, h265(1))) is False
        for header in (0x80, 0x00, 0x40):
            payload = bytes((49 << 1 | layer, 1, header | kind)) + b"ab"
            assert begins_keyframe_untrusted("H265", payload) is (header == 0x80 and kind in H265_BEGINS)
            assert not is_configuration("H265", payload)
    for size in range(3):
        assert not is_configuration("H265", h265(33)[:size])


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "OPUS", "H264", "H265"])
def test_only_h264_and_h265_send_what_configures_a_picture_by_itself(codec):
    assert is_configuration(codec, b"") is False
    assert is_configuration(codec, SPS) is (codec == "H264")
    assert is_configuration(codec, h265(33)) is (codec == "H265")


@pytest.mark.parametrize(
    ("codec", "payload"),
    [("H264", stap()), ("H264", stap() + b"\0\2"), ("H265", ap() + b"\0"), ("H265", ap() + b"\0\2")],
)
def test_an_aggregation_packet_without_units_configures_nothing(codec, payload):
    """RFC 6184 section 5.7, RFC 7798 section 4.4.2: there is at least one, or two, in each."""
    assert not is_configuration(codec, payload)


def test_what_is_no_extension_of_a_vp8_descriptor_promises_none():
    """RFC 7741 section 4.2: X alone does, whatever the other bits are."""
    for first in range(0x80):
        assert read_vp8_untrusted(bytes((first, 0xF0)))[0] == 1


def test_units_of_one_octet_and_packets_of_other_modes():
    """RFC 6184 table 1: 25 to 27 and 29 are of the interleaved mode, which is not negotiated."""
    for unit, begins in ((b"\x67", True), (b"\x09", False)):
        assert begins_keyframe_untrusted("H264", stap(unit)) is begins
        assert is_configuration("H264", stap(unit))
    for kind in (25, 26, 27, 29, 30, 31):
        assert not is_configuration("H264", bytes((kind,)) + stap(AUD)[1:])
        assert not begins_keyframe_untrusted("H264", bytes((kind,)) + stap(SPS)[1:])


def test_what_an_av1_payload_ends_with_says_nothing():
    assert begins_keyframe_untrusted("AV1", b"\x08\x80")
    assert not begins_keyframe_untrusted("AV1", b"\x80\x08")
