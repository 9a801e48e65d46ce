"""Key frame requests of one stream, from all who need one: one is pending, repeated until the frame is seen.

A key frame costs its sender ten others, and one serves everybody; so requests are never sent closer together than
`INTERVAL`, however many ask. Pure: `now` is an argument.
"""

from __future__ import annotations

from math import inf

# No two requests upstream are closer than this, in seconds.
INTERVAL = 0.5
# So often a request is repeated; a sender that does not answer those has nothing to send.
REPEATS_MAX = 20


class KeyframeRequests:
    """The pending request of one stream.

    Attributes:
        asked: how many asked.
        sent: how many requests were sent.
    """

    __slots__ = ("_pending", "_repeats", "_sent_at", "asked", "sent")

    def __init__(self) -> None:
        self._pending = False
        self._sent_at = -inf
        self._repeats = 0
        self.asked: int = 0
        self.sent: int = 0

    @property
    def pending(self) -> bool:
        """Whether somebody waits for a key frame."""
        return self._pending

    def ask(self, now: float) -> bool:
        """Somebody needs a key frame.

        Returns:
            Whether to send a request now; if not, `poll` says so later.
        """
        self.asked += 1
        if not self._pending or self._repeats >= REPEATS_MAX:
            self._pending = True
            self._repeats = 0
        return self.poll(now)

    def poll(self, now: float) -> bool:
        """Whether to send a request now: it is pending and the last one is old enough."""
        if not self._pending or self._repeats >= REPEATS_MAX:
            return False
        if now - self._sent_at < INTERVAL:
            return False
        self._sent_at = now
        self._repeats += 1
        self.sent += 1
        return True

    def due(self) -> float | None:
        """When to call `poll` next; None while nothing is pending."""
        if not self._pending or self._repeats >= REPEATS_MAX:
            return None
        return self._sent_at + INTERVAL

    def seen(self) -> None:
        """A key frame has begun to arrive."""
        self._pending = False
