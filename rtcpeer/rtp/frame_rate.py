"""Frame rate as statistics tell it: how many frames the last whole second had. Pure: `now` is an argument."""

from __future__ import annotations


class FrameRate:
    """Counts frames by the second of the clock."""

    __slots__ = ("_before", "_count", "_second")

    def __init__(self) -> None:
        self._second: int = 0
        self._count: int = 0
        # of the second before that one
        self._before: int = 0

    def note(self, now: float) -> None:
        """A frame came at this time, in seconds."""
        second = int(now)
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1

    def at(self, now: float) -> float:
        """Frames of the last second that is whole at this time; 0.0 where none came in it."""
        seconds = int(now) - self._second
        if seconds > 1:
            return 0.0
        return float(self._count if seconds == 1 else self._before)
