"""How much may be sent again over one transport: a part of what its path bears, whoever asks for it, however often.

Without an estimate each stream bounds itself by what it has sent for the first time. What is sent again, and
corrections, take their part of the path, so there is less for what is new. Pure: `now` is an argument.
"""

from __future__ import annotations

import math

# Of an estimate. What is new gets the rest of it (`PART_MAX`): together no more than the path bears, or repeating what
# a full path has lost keeps it full.
SHARE = 0.5
# What may be sent again at once, in seconds of that, and at least, in bytes.
BURST_TIME, BURST_MIN = 0.25, 2500.0
# The rate of what was sent again is that of about the last so many seconds. It takes no more than this part of an
# estimate from what is new.
MEASURED = 0.5
PART_MAX = 0.5


class RepeatBudget:
    """Bytes that may be sent again."""

    __slots__ = ("_at", "_rate", "_rated_at", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0.0
        # bytes per second that were sent again, and when that was worked out
        self._rate = 0.0
        self._rated_at = 0.0
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
            self.count(size, now)
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
        self.count(size, now)
        return True

    def left(self, estimate: int, now: float) -> int:
        """The part of an estimate that is left for what is new, in bit/s."""
        part = min(8 * self._current(now), PART_MAX * estimate)
        return int(estimate - part)

    def _current(self, now: float) -> float:
        return self._rate * math.exp(-max(0.0, now - self._rated_at) / MEASURED)

    def count(self, size: int, now: float) -> None:
        """Count bytes that are sent and say nothing new."""
        self._rate = self._current(now) + size / MEASURED
        self._rated_at = now
