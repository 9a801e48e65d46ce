"""The codec of SCTP packets: common header, chunks, parameters (RFC 9260 section 3, RFC 3758, RFC 6525).

Pure functions. Transmission sequence numbers (TSN) stand in packets modulo 2**32; inside this package they are plain
integers that never wrap, so that order is `<`. `unwrap` makes one of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import extend as extend_crc32c
from google_crc32c import value as crc32c

from rtcpeer.records import record

__all__ = [
    "BODY_MAX",
    "CHUNK_HEADER_SIZE",
    "PACKET_MAX",
    "STREAMS_MAX",
    "Cause",
    "ChunkType",
    "Init",
    "Parameter",
    "PacketHeader",
    "Sack",
    "chunks_untrusted",
    "parameters_untrusted",
    "read_init_untrusted",
    "read_sack_untrusted",
    "unwrap",
    "write_chunk",
    "write_init",
    "write_parameter",
    "write_sack",
]

# With DTLS, UDP and IPv6 around it a packet stays below 1280 bytes; a multiple of four
PACKET_MAX: Final = 1188
HEADER_SIZE: Final = 12
BODY_MAX: Final = PACKET_MAX - HEADER_SIZE
CHUNK_HEADER_SIZE: Final = 4
# RFC 8832 section 5: 65535 is no stream, so there are 65535 of them
STREAMS_MAX: Final = 65535

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000
_PORTS_AND_TAG: Final = Struct("!HHL")
_INIT: Final = Struct("!LLHHL")
_SACK: Final = Struct("!BBHLLHH")
_SACK_BODY: Final = Struct("!LLHH")


class ChunkType(IntEnum):
    """RFC 9260 section 3.2, RFC 3758 section 3.2, RFC 6525 section 3.1."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    RE_CONFIG = 130
    FORWARD_TSN = 192


class Parameter(IntEnum):
    """Parameters of INIT and RE-CONFIG."""

    STATE_COOKIE = 7
    UNRECOGNIZED = 8
    OUTGOING_RESET = 13
    INCOMING_RESET = 14
    TSN_RESET = 15
    RESET_RESPONSE = 16
    ADD_OUTGOING = 17
    ADD_INCOMING = 18
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000


class Cause(IntEnum):
    """Error causes (RFC 9260 section 3.3.10)."""

    INVALID_STREAM = 1
    UNRECOGNIZED_CHUNK = 6
    USER_ABORT = 12
    PROTOCOL_VIOLATION = 13


def unwrap(value: int, near: int) -> int:
    """The number that stands as `value` in a packet: the one of its equals modulo 2**32 that is nearest to `near`."""
    return near + ((value - near + _HALF) & _MASK) - _HALF


class PacketHeader:
    """The common header of one direction: ports and verification tag, which never change.

    Their checksum is computed once; that of a packet goes on from it.
    """

    __slots__ = ("_crc", "ports_and_tag")

    def __init__(self, source_port: int, destination_port: int, tag: int) -> None:
        self.ports_and_tag: bytes = _PORTS_AND_TAG.pack(source_port, destination_port, tag)
        self._crc: int = crc32c(self.ports_and_tag + bytes(4))

    def seal(self, body: bytes) -> bytes:
        """The packet with these chunks."""
        checksum: int = extend_crc32c(self._crc, body)
        return self.ports_and_tag + checksum.to_bytes(4, "little") + body

    def open_untrusted(self, packet: bytes) -> bytes | None:
        """The chunks of a packet; None if ports, tag or checksum are wrong."""
        if packet[:8] != self.ports_and_tag:
            return None
        body = packet[12:]
        if extend_crc32c(self._crc, body) != int.from_bytes(packet[8:12], "little"):
            return None
        return body


def write_chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """A chunk, padded."""
    size = CHUNK_HEADER_SIZE + len(body)
    return bytes((kind, flags, size >> 8, size & 0xFF)) + body + bytes(-size & 3)


def write_parameter(kind: int, value: bytes = b"") -> bytes:
    """A parameter, padded."""
    size = 4 + len(value)
    return bytes((kind >> 8, kind & 0xFF, size >> 8, size & 0xFF)) + value + bytes(-size & 3)


def chunks_untrusted(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The chunks of a packet: (type, flags, value). Ends where one makes no sense (RFC 9260 section 6.10)."""
    at, size = 0, len(body)
    while at + CHUNK_HEADER_SIZE <= size:
        length = body[at + 2] << 8 | body[at + 3]
        if length < CHUNK_HEADER_SIZE or at + length > size:
            return
        yield body[at], body[at + 1], body[at + CHUNK_HEADER_SIZE : at + length]
        at += length + (-length & 3)


def parameters_untrusted(value: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """The parameters in the value of a chunk, from an offset: (type, value). Ends where one makes no sense."""
    size = len(value)
    while at + 4 <= size:
        length = value[at + 2] << 8 | value[at + 3]
        if length < 4 or at + length > size:
            return
        yield value[at] << 8 | value[at + 1], value[at + 4 : at + length]
        at += length + (-length & 3)


@record(frozen=True, slots=True)
class Init:
    """The content of INIT and INIT ACK (RFC 9260 sections 3.3.2 and 3.3.3).

    Attributes:
        tag: what packets to the sender carry.
        window: its receiver window, in bytes.
        outbound, inbound: how many streams it has, and takes.
        tsn: its first TSN, as it stands there.
        forward_tsn: whether it knows FORWARD TSN (RFC 3758).
        reconfig: whether it knows RE-CONFIG (RFC 6525).
        cookie: the state cookie of an INIT ACK.
        unrecognized: parameters that it must be told of.
    """

    tag: int
    window: int
    outbound: int
    inbound: int
    tsn: int
    forward_tsn: bool = True
    reconfig: bool = True
    cookie: bytes | None = None
    unrecognized: tuple[bytes, ...] = ()


def write_init(init: Init, kind: ChunkType) -> bytes:
    """The INIT or INIT ACK chunk."""
    body = _INIT.pack(init.tag, init.window, init.outbound, init.inbound, init.tsn)
    extensions = bytes(
        ([ChunkType.FORWARD_TSN] if init.forward_tsn else [])
        + ([ChunkType.RE_CONFIG] if init.reconfig else [])
    )
    if init.forward_tsn:
        body += write_parameter(Parameter.FORWARD_TSN_SUPPORTED)
    body += write_parameter(Parameter.SUPPORTED_EXTENSIONS, extensions)
    if init.cookie is not None:
        body += write_parameter(Parameter.STATE_COOKIE, init.cookie)
    for parameter in init.unrecognized:
        body += write_parameter(Parameter.UNRECOGNIZED, parameter)
    return write_chunk(kind, body)


def read_init_untrusted(value: bytes) -> Init:
    """Read an INIT or INIT ACK.

    Raises:
        ValueError: it is cut off, or has a tag, a window or a number of streams that cannot be (section 3.3.2).
    """
    if len(value) < _INIT.size:
        raise ValueError(f"an INIT of {len(value)} bytes is cut off")
    tag, window, outbound, inbound, tsn = _INIT.unpack_from(value)
    if not tag or not outbound or not inbound:
        raise ValueError("an INIT without a tag or without streams")
    cookie: bytes | None = None
    forward_tsn = reconfig = False
    unrecognized: list[bytes] = []
    for kind, content in parameters_untrusted(value, _INIT.size):
        if kind == Parameter.STATE_COOKIE:
            cookie = content
        elif kind == Parameter.FORWARD_TSN_SUPPORTED:
            forward_tsn = True
        elif kind == Parameter.SUPPORTED_EXTENSIONS:
            reconfig = reconfig or ChunkType.RE_CONFIG in content
            forward_tsn = forward_tsn or ChunkType.FORWARD_TSN in content
        else:
            # RFC 9260 section 3.2.1: the second bit asks for a report, the first one to go on
            if kind & 0x4000 and len(unrecognized) < 4 and len(content) < 64:
                unrecognized.append(write_parameter(kind, content))
            if not kind & 0x8000 and kind not in _KNOWN_IN_INIT:
                break
    return Init(tag, window, outbound, inbound, tsn, forward_tsn, reconfig, cookie, tuple(unrecognized))


# Addresses, cookie preservative and the like mean nothing over DTLS (RFC 8261 section 6)
_KNOWN_IN_INIT: Final = frozenset((5, 6, 8, 9, 11, 12))


class Sack(NamedTuple):
    """The content of a SACK; numbers as they stand there."""

    cumulative: int
    window: int
    gaps: list[tuple[int, int]]
    duplicates: list[int]


def write_sack(
    cumulative: int, window: int, gaps: Sequence[tuple[int, int]], duplicates: Sequence[int]
) -> bytes:
    """The SACK chunk; gap blocks are offsets from the cumulative TSN."""
    body = _SACK.pack(
        ChunkType.SACK,
        0,
        16 + 4 * (len(gaps) + len(duplicates)),
        cumulative & _MASK,
        window,
        len(gaps),
        len(duplicates),
    )
    if gaps:
        body += b"".join(start.to_bytes(2) + end.to_bytes(2) for start, end in gaps)
    if duplicates:
        body += b"".join((tsn & _MASK).to_bytes(4) for tsn in duplicates)
    return body


def read_sack_untrusted(value: bytes) -> Sack:
    """Read a SACK.

    Raises:
        ValueError: it is cut off, or its gap blocks are out of order.
    """
    if len(value) < _SACK_BODY.size:
        raise ValueError(f"a SACK of {len(value)} bytes is cut off")
    cumulative, window, count, copies = _SACK_BODY.unpack_from(value)
    gaps: list[tuple[int, int]] = []
    duplicates: list[int] = []
    if count:
        if len(value) < _SACK_BODY.size + 4 * count:
            raise ValueError(f"a SACK with {count} gap blocks is cut off")
        last = 0
        for at in range(_SACK_BODY.size, _SACK_BODY.size + 4 * count, 4):
            start, end = value[at] << 8 | value[at + 1], value[at + 2] << 8 | value[at + 3]
            if not last < start <= end:
                raise ValueError(f"gap block {start}-{end} after {last}")
            gaps.append((start, end))
            last = end
    if copies:
        at = _SACK_BODY.size + 4 * count
        if len(value) < at + 4 * copies:
            raise ValueError(f"a SACK with {copies} duplicates is cut off")
        duplicates = [int.from_bytes(value[n : n + 4]) for n in range(at, at + 4 * copies, 4)]
    return Sack(cumulative, window, gaps, duplicates)
