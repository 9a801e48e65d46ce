"""A message to be sent, and a DATA chunk of it.

Owns: what is known of them. Never: decides what becomes of them; `send_queue` does.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from rtcpeer.sctp.packets import BODY_MAX

__all__ = ["DATA_HEADER_SIZE", "PAYLOAD_MAX", "Chunk", "OutgoingMessage"]

DATA_HEADER_SIZE: Final = 16
# a multiple of four
PAYLOAD_MAX: Final = BODY_MAX - DATA_HEADER_SIZE

_DATA: Final = Struct("!BBHLHHL")
_MASK: Final = 0xFFFFFFFF


class OutgoingMessage:
    """A message that was given to the association.

    Attributes:
        stream, protocol, data: what and where to.
        order: 0, or the flag of unordered chunks.
        sequence: its number in the stream, once its first chunk was sent.
        tsn: of its first chunk, once that was sent; the others follow it without a gap.
        at: how many bytes of it have been put into chunks.
        part: how many bytes each chunk takes.
        expiry: when it is given up, by the clock of `now` (RFC 3758, RFC 8831 section 6.6); None for never.
        max_retransmits: how often a chunk is sent again before it is given up; None for ever.
        abandoned: given up.
    """

    __slots__ = (
        "abandoned",
        "at",
        "data",
        "expiry",
        "max_retransmits",
        "order",
        "part",
        "protocol",
        "sequence",
        "size",
        "stream",
        "tsn",
    )

    size: int

    def __init__(
        self,
        stream: int,
        protocol: int,
        data: bytes,
        order: int,
        expiry: float | None,
        max_retransmits: int | None,
    ) -> None:
        self.stream = stream
        self.protocol = protocol
        self.data = data
        self.order = order
        self.expiry = expiry
        self.max_retransmits = max_retransmits
        self.sequence: int = 0
        self.tsn: int = 0
        self.at: int = 0
        size = self.size = len(data)
        if size > PAYLOAD_MAX:
            # chunks of one size: datagrams of one size can be handed to the system together
            part = -(-size // -(-size // PAYLOAD_MAX))
            self.part: int = part + (-part & 3)
        else:
            self.part = size
        self.abandoned: bool = False


class Chunk:
    """A DATA chunk that was sent.

    Attributes:
        body: as it is sent.
        order: number of the packet that carried it last; what was sent later has a higher one.
        sent_at, sent_count: when it was sent last, and how often.
    """

    __slots__ = ("body", "message", "order", "sent_at", "sent_count", "size", "tsn")

    def __init__(
        self, tsn: int, message: OutgoingMessage, flags: int, data: bytes, now: float, order: int
    ) -> None:
        length = len(data)
        body = (
            _DATA.pack(
                0,
                flags | message.order,
                DATA_HEADER_SIZE + length,
                tsn & _MASK,
                message.stream,
                message.sequence,
                message.protocol,
            )
            + data
        )
        if length & 3:
            body += bytes(-length & 3)
        self.tsn = tsn
        self.message = message
        self.body: bytes = body
        self.size: int = len(body)
        self.sent_at = now
        self.sent_count: int = 1
        self.order = order
