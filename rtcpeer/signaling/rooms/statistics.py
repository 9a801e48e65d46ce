"""The counters of a room server. Pure: plain numbers, which `rtcpeer.metrics` reads.

Owns: the names of the reasons to refuse. Never: a socket, a clock, anything about one client.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import Final

from rtcpeer.records import record

#: Reasons to refuse: before there is a WebSocket, of a frame, and the end of sockets that are too slow.
REASONS: Final = (
    *("site", "too-many", "closed"),
    *("exists", "not-found", "full", "forbidden", "not-entered", "bad-frame", "draining", "unavailable"),
    *("superseded", "no-member", "slow", "no-entry"),
)


@record(slots=True)
class RoomStatistics:
    """Counts since the server was made.

    Attributes:
        frames_received, bytes_received: of all clients.
        frames_sent, bytes_sent: to all clients.
        refusals: by reason, one of `REASONS` or "other".
    """

    frames_received: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def refuse(self, reason: str) -> None:
        """Count a refusal."""
        self.refusals[reason if reason in REASONS else "other"] += 1
