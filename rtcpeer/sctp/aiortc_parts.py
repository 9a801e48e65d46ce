"""What aiortc's SCTP association is given to work with, and what it cannot be given (see `upstream_sctp`).

Owns: reading packets, reassembly of one stream. Never: sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from aiortc import rtcsctptransport as _sctp

__all__ = ["Reassembly", "Stream", "Transport", "check_parameters_untrusted", "read_simple_untrusted"]

# Chunks that consist of parameters, and where these begin behind the chunk header (RFC 9260, RFC 6525).
_PARAMETER_CHUNKS: Final = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
# TSN, stream, its sequence number, payload protocol (RFC 9260 section 3.3.1)
_DATA_HEADER: Final = Struct("!LHHL")


def check_parameters_untrusted(data: bytes) -> None:
    """Refuse a packet with a parameter shorter than its own header: aiortc would read it for ever.

    Raises:
        ValueError: there is one.
    """
    at, size = 12, len(data)
    while at + 4 <= size:
        kind, length = data[at], data[at + 2] << 8 | data[at + 3]
        if length < 4:
            raise ValueError("a chunk is shorter than its header")
        offset = _PARAMETER_CHUNKS.get(kind)
        if offset is not None:
            position, end = at + 4 + offset, min(at + length, size)
            while position + 4 <= end:
                inner = data[position + 2] << 8 | data[position + 3]
                if inner < 4:
                    raise ValueError("a parameter is shorter than its header")
                position += inner + (-inner & 3)
        at += length + (-length & 3)


def read_simple_untrusted(data: bytes) -> list[_sctp.DataChunk | _sctp.SackChunk] | None:
    """The chunks of a packet that has only DATA and SACK, as nearly all have; None if it is another one."""
    size, at = len(data), 12
    chunks: list[_sctp.DataChunk | _sctp.SackChunk] = []
    while at < size:
        if at + 16 > size:
            return None
        kind, flags, length = data[at], data[at + 1], data[at + 2] << 8 | data[at + 3]
        end = at + length
        if kind == 0 and length > 16 and end <= size:
            chunk = _sctp.DataChunk.__new__(_sctp.DataChunk)
            chunk.flags = flags
            chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol = _DATA_HEADER.unpack_from(
                data, at + 4
            )
            chunk.user_data = data[at + 16 : end]
            chunks.append(chunk)
        elif kind == 3 and length >= 16 and end <= size:
            chunks.append(_sctp.SackChunk(flags, data[at + 4 : end]))
        else:
            return None
        at = end + (-length & 3)
    return chunks or None


@dataclass(slots=True)
class Stream:
    """What stands in aiortc's table of data channels: only its number matters."""

    id: int
    negotiated: bool = False
    readyState: str = "open"  # noqa: N815 - aiortc's name


class Reassembly(_sctp.InboundStream):
    """A stream that looks for whole messages only when one can have become whole."""

    def __init__(self) -> None:
        super().__init__()
        self._is_middle = False

    def add_chunk(self, chunk: _sctp.DataChunk) -> None:
        """Keep a chunk."""
        super().add_chunk(chunk)
        # more of a message whose end is yet to come, behind all the rest
        self._is_middle = not chunk.flags & _sctp.SCTP_DATA_LAST_FRAG and self.reassembly[-1] is chunk

    def pop_messages(self) -> Iterator[tuple[int, int, bytes]]:
        """The messages that are whole now: (stream, protocol, data)."""
        if self._is_middle:
            self._is_middle = False
            return iter(())
        return super().pop_messages()


class Transport:
    """What aiortc's association takes for its DTLS transport."""

    state = "connected"

    def __init__(self, role: str) -> None:
        self._role = role

    def _register_data_receiver(self, receiver: object) -> None:
        """Data is handed in with `Association.receive`."""

    def _unregister_data_receiver(self, receiver: object) -> None:
        """As above."""
