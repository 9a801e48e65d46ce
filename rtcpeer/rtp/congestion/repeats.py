"""How much may be sent again over one transport: 1.25 times what its path bears, whoever asks for it, however often.

Without an estimate each stream bounds itself by what it has sent for the first time. Pure: `now` is an argument.
"""

from __future__ import annotations

# Of an estimate: repeating whatever is lost must not fill the path by itself.
SHARE = 1.25
# What may be sent again at once, in seconds of that, and at least, in bytes.
BURST_TIME, BURST_MIN = 0.25, 4000.0


class RepeatBudget:
    """Bytes that may be sent again."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0.0
        # None as long as there was no estimate
        self._at: float | None = None

    def take(self, size: int, estimate: int | None, now: float) -> bool:
        """Whether a packet may be sent again now; it counts if so.

        Args:
            size: of the packet, in bytes.
            estimate: what the path bears, in bit/s; None while unknown.
            now: in seconds.
        """
        if estimate is None:
            self._at = None
            return True
        rate = SHARE * estimate / 8
        burst = max(BURST_MIN, BURST_TIME * rate)
        if self._at is None:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + rate * max(0.0, now - self._at))
        self._at = now
        if size > self._tokens:
            return False
        self._tokens -= size
        return True
