"""Packets on their way through a relay: read with all that a header may have, cut off anywhere, unwrapped, written."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.relay_packet import (
    URI_AUDIO_LEVEL,
    RelayPacket,
    read_elements,
    read_packet_untrusted,
    unwrap_red_untrusted,
    unwrap_rtx_untrusted,
    write_elements,
)

URIS = {1: URI_AUDIO_LEVEL, 5: "urn:five", 200: "urn:long"}
FIXED = bytes.fromhex("80 e0 1234 00000005 0000000a")


def packet(payload: bytes = b"payload") -> RelayPacket:
    return RelayPacket(96, 0, 7, 5, 10, payload)


def with_extensions(elements: bytes) -> bytes:
    return bytes((FIXED[0] | 0x10,)) + FIXED[1:] + elements + b"payload"


def test_a_plain_packet():
    read = read_packet_untrusted(FIXED + b"payload", URIS)
    assert (read.payload_type, read.marker, read.sequence_number) == (0x60, 0x80, 0x1234)
    assert (read.timestamp, read.ssrc, read.payload) == (5, 10, b"payload")
    assert (read.csrc, read.elements, read.padding_size, read.audio_level) == ((), [], 0, None)


def test_everything_a_header_may_have():
    data = bytes((0x80 | 0x20 | 0x10 | 2,)) + FIXED[1:] + bytes.fromhex("00000001 00000002")
    data += write_elements([(1, b"\xa0"), (5, b"abc")]) + b"payload" + b"\0\0\x03"
    read = read_packet_untrusted(data, URIS)
    assert (read.csrc_count, read.csrc) == (2, (1, 2))
    assert read.elements == [(URI_AUDIO_LEVEL, b"\xa0"), ("urn:five", b"abc")]
    assert (read.element("urn:five"), read.element("urn:six")) == (b"abc", None)
    assert (read.payload, read.padding_size, read.audio_level) == (b"payload", 3, (True, 0x20))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "shorter than an RTP header"),
        (FIXED[:-1], "shorter than an RTP header"),
        (b"\x40" + FIXED[1:], "not version 2"),
        (b"\x81" + FIXED[1:], "cut off"),
        (b"\x81" + FIXED[1:] + bytes(3), "cut off"),
        (b"\x90" + FIXED[1:] + bytes(3), "cut off"),
        (b"\x90" + FIXED[1:] + bytes.fromhex("bede 0001 000000"), "cut off"),
        (b"\x90" + FIXED[1:] + bytes.fromhex("bede 0001"), "cut off"),
        (b"\xa0" + FIXED[1:] + b"payload\x00", "wrong padding"),
        (b"\xa0" + FIXED[1:] + b"x\x03", "wrong padding"),
    ],
)
def test_what_is_no_packet(data, fault):
    with pytest.raises(ValueError, match=fault):
        read_packet_untrusted(data, URIS)


@pytest.mark.parametrize(
    "data", [b"\x81" + FIXED[1:] + bytes(4), b"\x90" + FIXED[1:] + bytes.fromhex("bede 0000")]
)
def test_a_header_may_be_all(data):
    assert read_packet_untrusted(data, URIS).payload == b""


def test_padding_may_be_all():
    read = read_packet_untrusted(b"\xa0" + FIXED[1:] + b"\0\x02", URIS)
    assert (read.payload, read.padding_size) == (b"", 2)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        # one byte: padding between, an unknown id, what is cut off
        ("bede 0002 00 10a0 00 50 61 0000", [(URI_AUDIO_LEVEL, b"\xa0"), ("urn:five", b"a")]),
        ("bede 0001 30ff 10a0", [(URI_AUDIO_LEVEL, b"\xa0")]),
        ("bede 0001 10a0 5361", [(URI_AUDIO_LEVEL, b"\xa0")]),
        ("bede 0001 10a0 0050", [(URI_AUDIO_LEVEL, b"\xa0")]),
        # id 14 with all of the octets that there can be
        ("bede 0005 ef" + "11" * 16 + "10a0 00", [(URI_AUDIO_LEVEL, b"\xa0")]),
        # id 15 ends the reading (section 4.2)
        ("bede 0001 f0 10a0 00", []),
        ("bede 0001 f0 00 10a0", []),
        ("bede 0005 0f" + "00" * 16 + "10a0 00", []),
        # and so does 0 with a length, which the value of another element may look like
        ("bede 0002 50 61 01 0000 10a0 00", [("urn:five", b"a")]),
        # two bytes: any length and id, whatever the application's bits
        ("1000 0002 c8 00 01 01 a0 000000", [("urn:long", b""), (URI_AUDIO_LEVEL, b"\xa0")]),
        ("100f 0001 0501 6100", [("urn:five", b"a")]),
        ("1000 0001 00 0501 61", [("urn:five", b"a")]),
        ("1000 0001 0301 6105", []),
        ("1000 0001 0000 c800", [("urn:long", b"")]),
        ("1000 0001 0503 6161", []),
        # another profile
        ("1234 0001 10a0 0000", []),
    ],
)
def test_header_extensions(elements, expected):
    data = bytes.fromhex(elements)
    assert read_packet_untrusted(with_extensions(data), URIS).elements == expected
    assert read_elements(data, 0, len(data), URIS) == expected


@pytest.mark.parametrize(
    ("elements", "profile"),
    [
        ([(1, b"a")], "bede"),
        ([(1, bytes(16)), (14, b"a"), (5, b"abc")], "bede"),
        ([(1, bytes(17))], "1000"),
        ([(1, b"")], "1000"),
        ([(15, b"a"), (1, b"b")], "1000"),
        ([(200, bytes(255))], "1000"),
    ],
)
def test_written_extensions_are_read_again(elements, profile):
    written = write_elements(elements)
    assert written[:2].hex() == profile
    assert len(written) % 4 == 0
    assert len(written) == 4 + 4 * int.from_bytes(written[2:4], "big")
    uris = {identifier: f"urn:{identifier}" for identifier, _ in elements}
    read = read_packet_untrusted(with_extensions(written), uris)
    assert read.elements == [(f"urn:{identifier}", value) for identifier, value in elements]
    assert read.payload == b"payload"


def test_no_extensions_are_nothing():
    assert write_elements([]) == b""


def test_a_copy_is_numbered_by_itself():
    one = read_packet_untrusted(b"\x82" + FIXED[1:] + bytes.fromhex("00000001 00000002"), URIS)
    one.elements, one.is_told_key, one.number = [("urn:five", b"a")], True, 4
    other = one.copy()
    assert (other.csrc, other.elements, other.is_told_key, other.number) == ((1, 2), one.elements, True, 0)
    other.number = 9
    assert one.number == 4


def test_a_retransmission_becomes_what_it_repeats():
    one = packet(b"\x12\x34rest")
    assert unwrap_rtx_untrusted(one, 100, 11)
    assert (one.payload_type, one.ssrc, one.sequence_number, one.payload) == (100, 11, 0x1234, b"rest")
    empty = packet(b"\x12\x34")
    assert unwrap_rtx_untrusted(empty, 100, 11)
    assert empty.payload == b""


@pytest.mark.parametrize("payload", [b"", b"\x12"])
def test_a_retransmission_of_nothing(payload):
    one = packet(payload)
    assert not unwrap_rtx_untrusted(one, 100, 11)
    assert (one.payload_type, one.ssrc, one.payload) == (96, 10, payload)


@pytest.mark.parametrize(
    ("payload", "payload_type", "primary"),
    [
        ("6f 01 02", 0x6F, "01 02"),
        ("6f", 0x6F, ""),
        ("ef 0000 02 70 aabb 0102", 0x70, "0102"),
        ("ef 0000 01 ef 0000 02 70 aa bbcc 01", 0x70, "01"),
        ("ef 0000 01 70 aa", 0x70, ""),
        ("ef 0001 00 70" + "aa" * 256 + "01", 0x70, "01"),
        ("ef ffff 00 70" + "aa" * 768 + "01", 0x70, "01"),
    ],
)
def test_the_primary_block_of_red(payload, payload_type, primary):
    one = packet(bytes.fromhex(payload))
    unwrap_red_untrusted(one)
    assert (one.payload_type, one.payload) == (payload_type, bytes.fromhex(primary))


@pytest.mark.parametrize("payload", ["", "ef", "ef 0000", "ef 0000 01", "ef 0000 02 70 aa", "ef 0000 00 ef"])
def test_red_that_is_cut_off(payload):
    with pytest.raises(ValueError, match="RED"):
        unwrap_red_untrusted(packet(bytes.fromhex(payload)))


@pytest.mark.parametrize("payload_type", [0, 35, 96, 127])
@pytest.mark.parametrize("marker", [0, 0x80])
def test_marker_and_payload_type(payload_type, marker):
    read = read_packet_untrusted(bytes((0x80, marker | payload_type)) + FIXED[2:], URIS)
    assert (read.payload_type, read.marker) == (payload_type, marker)


@pytest.mark.parametrize("count", [0, 1, 2, 15])
def test_contributing_sources_go_on_as_they_came(count):
    sources = b"".join(number.to_bytes(4, "big") for number in range(1, count + 1))
    read = read_packet_untrusted(bytes((0x80 | count,)) + FIXED[1:] + sources + b"payload", URIS)
    assert (read.csrc_count, read.csrc_bytes, read.payload) == (count, sources, b"payload")
    assert read.csrc == tuple(range(1, count + 1))


def test_a_long_header_extension():
    """Its length is 16 bits of words (RFC 3550 section 5.3.1)."""
    elements = write_elements([(200, bytes(250))] * 5)
    assert elements[2:4] == b"\x01\x3b"
    read = read_packet_untrusted(with_extensions(elements), URIS)
    assert read.elements == [("urn:long", bytes(250))] * 5
    assert read.payload == b"payload"


def test_without_the_bit_for_them_there_are_no_extensions():
    """Whatever the other fields would mean as such."""
    data = bytes.fromhex("80 bede 01 0010a000 0000000a") + b"payload"
    assert read_packet_untrusted(data, URIS).elements == []


@pytest.mark.parametrize(
    ("value", "level"),
    [(b"\x00", (False, 0)), (b"\x7f", (False, 127)), (b"\x80", (True, 0)), (b"\xff", (True, 127))],
)
@pytest.mark.parametrize("more", [b"", b"\x55"])
def test_audio_levels(value, level, more):
    """RFC 6464 section 3: V and seven bits; in the two-byte form an octet may follow."""
    one = packet()
    one.elements = [(URI_AUDIO_LEVEL, value + more)]
    assert one.audio_level == level


def test_no_key_frame_is_told_where_none_is():
    read = read_packet_untrusted(FIXED, URIS)
    assert (read.is_told_key, read.begins, read.vp8) == (False, False, None)
