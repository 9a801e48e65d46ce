from __future__ import annotations

import pytest

from rtcpeer.sctp.packets import (
    BODY_MAX,
    PACKET_MAX,
    STREAMS_MAX,
    Cause,
    ChunkType,
    Init,
    PacketHeader,
    Parameter,
    chunks_untrusted,
    parameters_untrusted,
    read_init_untrusted,
    read_sack_untrusted,
    unwrap,
    write_chunk,
    write_init,
    write_parameter,
    write_sack,
)


@pytest.mark.parametrize(
    ("value", "near", "number"),
    [
        (5, 3, 5),
        (0, 2**32 - 1, 2**32),
        (2**32 - 1, 2**32 + 1, 2**32 - 1),
        (7, 5 * 2**32 + 9, 5 * 2**32 + 7),
        (2**31, 0, -(2**31)),
        (2**31 - 1, 0, 2**31 - 1),
    ],
)
def test_numbers_that_wrap(value, near, number):
    assert unwrap(value, near) == number
    assert number % 2**32 == value


def crc32c(data: bytes) -> int:
    """RFC 9260 appendix A, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_a_packet_as_it_stands_on_the_wire():
    """RFC 9260 section 3.1: ports, tag, CRC32c with its lowest byte first."""
    assert crc32c(b"123456789") == 0xE3069283
    packet = PacketHeader(5000, 5001, 0x01020304).seal(b"\x0b\0\0\4")

    assert packet[:8] == bytes.fromhex("1388138901020304")
    assert packet[8:12] == crc32c(packet[:8] + bytes(4) + packet[12:]).to_bytes(4, "little")
    assert PacketHeader(5000, 5001, 0x01020304).open_untrusted(packet) == b"\x0b\0\0\4"


@pytest.mark.parametrize("at", range(12))
def test_a_header_with_a_wrong_byte(at):
    header = PacketHeader(5000, 5000, 7)
    packet = bytearray(header.seal(b"\x0b\0\0\4"))
    packet[at] ^= 0x10

    assert header.open_untrusted(bytes(packet)) is None


@pytest.mark.parametrize("packet", [b"", b"\0", bytes(11), bytes(12)])
def test_packets_that_are_cut_off(packet):
    assert PacketHeader(5000, 5000, 7).open_untrusted(packet) is None


def test_chunks_and_parameters_with_their_padding():
    assert list(chunks_untrusted(write_chunk(4, b"abc", 1) + write_chunk(11))) == [
        (4, 1, b"abc"),
        (11, 0, b""),
    ]
    both = write_parameter(0x8008, b"a") + write_parameter(7)
    assert len(both) == 12
    assert list(parameters_untrusted(b"xx" + both, 2)) == [(0x8008, b"a"), (7, b"")]


@pytest.mark.parametrize("bad", [b"\4\0\0\0", b"\4\0\0\3", b"\4\0\0\x09abc", b"\4\0", b"\4\0\xff\xff"])
def test_what_is_shorter_than_its_header_or_longer_than_the_packet_ends_it(bad):
    assert list(chunks_untrusted(write_chunk(11) + bad)) == [(11, 0, b"")]
    assert list(parameters_untrusted(write_parameter(11) + bad)) == [(11, b"")]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("reconfig", [True, False])
@pytest.mark.parametrize("cookie", [None, b"", b"cookie"])
def test_an_init_there_and_back(forward, reconfig, cookie):
    init = Init(7, 1 << 20, 65535, 300, 2**32 - 1, forward, reconfig, cookie)

    [(kind, _flags, value)] = chunks_untrusted(write_init(init, ChunkType.INIT_ACK))

    assert kind == ChunkType.INIT_ACK
    assert read_init_untrusted(value) == init


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("00000007 00000000 0001 0001 00000001", True),
        ("00000007 00000000 0001 0001 000001", False),
        ("00000000 00000000 0001 0001 00000001", False),
        ("00000007 00000000 0000 0001 00000001", False),
        ("00000007 00000000 0001 0000 00000001", False),
    ],
    ids=["good", "cut off", "no tag", "no outbound stream", "no inbound stream"],
)
def test_what_an_init_must_have(value, good):
    """RFC 9260 section 3.3.2."""
    if good:
        assert read_init_untrusted(bytes.fromhex(value)).tag == 7
    else:
        with pytest.raises(ValueError, match="INIT"):
            read_init_untrusted(bytes.fromhex(value))


def test_unknown_parameters_that_ask_for_it_are_told_back_within_bounds():
    """RFC 9260 section 3.2.1."""
    fixed = write_init(Init(7, 1, 1, 1, 1, False, False), ChunkType.INIT)[4:20]
    asks = [write_parameter(0xC010 + n, b"x") for n in range(6)]
    long, silent = write_parameter(0xC00F, bytes(64)), write_parameter(0x800F, b"x")

    told = read_init_untrusted(fixed + silent + long + b"".join(asks)).unrecognized

    assert told == tuple(asks[:4])
    assert read_init_untrusted(fixed + write_parameter(0xC00F, bytes(63))).unrecognized
    [(_kind, _flags, value)] = chunks_untrusted(
        write_init(Init(7, 1, 1, 1, 1, unrecognized=told), ChunkType.INIT_ACK)
    )
    assert [content for kind, content in parameters_untrusted(value, 16) if kind == 8] == asks[:4]


def test_extensions_may_be_told_in_several_parameters():
    fixed = write_init(Init(7, 1, 1, 1, 1, False, False), ChunkType.INIT)[4:20]
    several = write_parameter(0xC000) + write_parameter(0x8008, b"\x82") + write_parameter(0x8008, b"\x0f")
    init = read_init_untrusted(fixed + several)
    assert (init.forward_tsn, init.reconfig) == (True, True)


@pytest.mark.parametrize("kind", [5, 6, 8, 9, 11, 12])
def test_parameters_of_rfc_9260_that_mean_nothing_here_are_skipped(kind):
    fixed = write_init(Init(7, 1, 1, 1, 1, False, False), ChunkType.INIT)[4:20]
    assert read_init_untrusted(fixed + write_parameter(kind, b"1234") + write_parameter(0xC000)).forward_tsn


def test_extensions_may_stand_in_either_parameter():
    fixed = write_init(Init(7, 1, 1, 1, 1, False, False), ChunkType.INIT)[4:20]
    assert read_init_untrusted(fixed + write_parameter(0x8008, b"\xc0\x82")).forward_tsn
    assert read_init_untrusted(fixed + write_parameter(0xC000)).forward_tsn
    assert not read_init_untrusted(fixed + write_parameter(0x8008, b"\x82")).forward_tsn


def test_parameters_behind_one_that_stops_are_not_read():
    """RFC 9260 section 3.2.1."""
    fixed = write_init(Init(7, 1, 1, 1, 1, False, False), ChunkType.INIT)[4:20]
    init = read_init_untrusted(fixed + write_parameter(0x400F, b"x") + write_parameter(0xC000))
    assert (init.forward_tsn, init.unrecognized) == (False, (write_parameter(0x400F, b"x"),))
    assert read_init_untrusted(fixed + write_parameter(5, b"addr") + write_parameter(0xC000)).forward_tsn


@pytest.mark.parametrize("count", range(3))
def test_a_sack_there_and_back(count):
    gaps = [(2, 3), (65535, 65535)][:count]
    [(kind, _flags, value)] = chunks_untrusted(write_sack(2**32 + 5, 1000, gaps, [7] * count))

    assert kind == ChunkType.SACK
    assert read_sack_untrusted(value) == (5, 1000, gaps, [7] * count)


def test_copies_are_named_as_they_stand_on_the_wire():
    assert write_sack(2**32 + 5, 1000, [], [2**32 + 7])[-4:] == (7).to_bytes(4)


@pytest.mark.parametrize(
    ("gaps", "good"),
    [
        ("0001 0001", True),
        ("0002 0003 0004 0004", True),
        ("0000 0001", False),
        ("0003 0002", False),
        ("0002 0003 0003 0004", False),
        ("0004 0005 0002 0003", False),
    ],
)
def test_gap_blocks_stand_in_order(gaps, good):
    """RFC 9260 section 3.3.4."""
    blocks = bytes.fromhex(gaps)
    value = bytes(8) + (len(blocks) // 4).to_bytes(2) + bytes(2) + blocks
    if good:
        assert len(read_sack_untrusted(value).gaps) == len(blocks) // 4
        with pytest.raises(ValueError, match="cut off"):
            read_sack_untrusted(value[:-1])
    else:
        with pytest.raises(ValueError, match="gap block"):
            read_sack_untrusted(value)


def test_numbers_of_the_registry():
    """RFC 9260 sections 3.2 and 3.3, RFC 3758 section 3, RFC 6525 sections 3 and 4, RFC 5061."""
    assert {kind.name: kind.value for kind in ChunkType} == {
        "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6, "SHUTDOWN": 7,
        "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "SHUTDOWN_COMPLETE": 14, "RE_CONFIG": 130,
        "FORWARD_TSN": 192,
    }  # fmt: skip
    assert {kind.name: kind.value for kind in Parameter} == {
        "STATE_COOKIE": 7, "UNRECOGNIZED": 8, "OUTGOING_RESET": 13, "INCOMING_RESET": 14, "TSN_RESET": 15,
        "RESET_RESPONSE": 16, "ADD_OUTGOING": 17, "ADD_INCOMING": 18, "SUPPORTED_EXTENSIONS": 0x8008,
        "FORWARD_TSN_SUPPORTED": 0xC000,
    }  # fmt: skip
    assert {cause.name: cause.value for cause in Cause} == {
        "INVALID_STREAM": 1, "UNRECOGNIZED_CHUNK": 6, "USER_ABORT": 12, "PROTOCOL_VIOLATION": 13
    }  # fmt: skip
    # RFC 8832 section 5: 0 to 65534
    assert STREAMS_MAX == 65535


def test_a_full_packet_fits_wherever_ipv6_goes():
    """RFC 8831 section 5: without discovery of the path a packet of IPv6 has at most 1280 bytes."""
    packet = PacketHeader(5000, 5000, 7).seal(bytes(BODY_MAX))
    # DTLS 1.2: header, explicit nonce, authentication tag
    dtls = 13 + 8 + 16
    assert len(packet) == PACKET_MAX
    # chunks have multiples of four bytes
    assert 1276 <= 40 + 8 + dtls + (PACKET_MAX + 3) <= 1280
    assert PACKET_MAX % 4 == 0


def test_an_init_says_by_default_that_it_knows_both_extensions():
    [(_kind, _flags, value)] = chunks_untrusted(write_init(Init(7, 1, 1, 1, 1), ChunkType.INIT))
    assert list(parameters_untrusted(value, 16)) == [(0xC000, b""), (0x8008, b"\xc0\x82")]


@pytest.mark.parametrize("size", range(16))
def test_an_init_or_a_sack_that_is_cut_off(size):
    with pytest.raises(ValueError, match="cut off"):
        read_init_untrusted(bytes(size))
    if size < 12:
        with pytest.raises(ValueError, match="cut off"):
            read_sack_untrusted(bytes(size))


@pytest.mark.parametrize("size", range(9))
def test_chunks_and_parameters_say_their_length_without_the_padding(size):
    """RFC 9260 sections 3.2 and 3.2.1."""
    padding = bytes(-size % 4)
    assert write_chunk(0x82, bytes(size), 5) == b"\x82\5\0" + bytes((4 + size,)) + bytes(size) + padding
    assert write_parameter(0xC0A1, bytes(size)) == b"\xc0\xa1\0" + bytes((4 + size,)) + bytes(size) + padding
    long = write_chunk(1, bytes(0x1234 - 4))
    assert long[2:4] == b"\x12\x34"
    assert write_parameter(1, bytes(0x1234 - 4))[2:4] == b"\x12\x34"
    assert list(chunks_untrusted(long + write_chunk(11)))[1:] == [(11, 0, b"")]
    several = write_parameter(1, bytes(0x1234 - 4)) + write_parameter(7)
    assert list(parameters_untrusted(several))[1:] == [(7, b"")]


def test_duplicates_of_a_sack_are_whole_or_it_is_refused():
    """RFC 9260 section 3.3.4: they stand behind the gap blocks."""
    value = write_sack(5, 1000, [(2, 3)], [7, 0x01020304])[4:]
    assert read_sack_untrusted(value).duplicates == [7, 0x01020304]
    for size in range(16, len(value)):
        with pytest.raises(ValueError, match="cut off"):
            read_sack_untrusted(value[:size])
