"""One DATA chunk of an SCTP association, from when it is queued until it is acknowledged or given up.

Owns: what is known of a chunk. Never: decides what becomes of it; `sendqueue` does.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST", "LAST", "UNORDERED", "Chunk"]

# Flags (RFC 9260 section 3.3.1)
FIRST: Final = 2
LAST: Final = 1
UNORDERED: Final = 4


class Chunk:
    """A DATA chunk and what became of it."""

    __slots__ = (
        "abandoned",
        "acked",
        "behind",
        "body",
        "expiry",
        "flags",
        "in_flight",
        "max_retransmits",
        "misses",
        "resend",
        "sent_at",
        "sent_count",
        "size",
        "stream",
        "tsn",
    )

    def __init__(
        self,
        tsn: int,
        flags: int,
        stream: tuple[int, int],
        body: bytes,
        expiry: float | None,
        max_retransmits: int | None,
    ) -> None:
        self.tsn = tsn
        self.flags = flags
        # number of the stream, and of the message in it
        self.stream = stream
        # as it is sent
        self.body = body
        self.size = len(body)
        self.expiry = expiry
        self.max_retransmits = max_retransmits
        self.sent_count = 0
        self.sent_at = 0.0
        # SACKs that say that later ones have arrived; later than this one, once it was sent again
        self.misses = 0
        self.behind = tsn
        # counted in the flight size
        self.in_flight = False
        # the other end has it, behind a gap
        self.acked = False
        # to be sent again
        self.resend = False
        # never to be sent again (RFC 3758)
        self.abandoned = False
