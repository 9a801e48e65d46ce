from __future__ import annotations

import pytest

from rtcpeer.sctp.handshake import read_cookie_untrusted, write_cookie
from rtcpeer.sctp.packets import (
    ChunkType,
    Init,
    PacketHeader,
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
    assert read_sack_untrusted(value) == (5, 1000, gaps)


def test_a_cookie_is_ours_or_nobodys():
    init = Init(7, 1000, 2, 3, 4, True, False)
    cookie = write_cookie(b"secret", init)

    assert read_cookie_untrusted(b"secret", cookie) == init
    for wrong in (b"", cookie[:-1], cookie + b"x", bytes((cookie[0] ^ 1,)) + cookie[1:]):
        with pytest.raises(ValueError, match="not ours"):
            read_cookie_untrusted(b"secret", wrong)
    with pytest.raises(ValueError, match="not ours"):
        read_cookie_untrusted(b"other", cookie)
