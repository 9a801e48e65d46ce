"""Frames that are left out because an encoder makes more of them than the path bears.

Encoders keep to a bitrate by quality alone, and at their worst quality a difficult picture still costs what it costs.
Then fewer pictures are the only way: what was made beyond the allowed rate is worked off before the next one.
Pure: `now` is an argument.
"""

from __future__ import annotations

# What may have been made beyond the rate, in seconds of it: a key frame, and the time that the control of an encoder
# takes to follow a change.
DEBT_MAX = 0.5
# Nothing is owed for longer than this, in seconds: there is a picture now and then, however poor the path is.
PAUSE_MAX = 2.0


class FrameBudget:
    """The debt of one encoder: bits that it has made beyond its rate.

    Attributes:
        left_out: frames that were not encoded.
    """

    __slots__ = ("_at", "_owed", "left_out")

    def __init__(self) -> None:
        # in seconds of the rate that was allowed when it was made
        self._owed = 0.0
        self._at = 0.0
        self.left_out: int = 0

    def spend(self, size: int, bitrate: int, now: float) -> None:
        """A frame of so many bytes was made, where so many bit/s are allowed."""
        self._work_off(now)
        self._owed = min(self._owed + 8 * size / bitrate, PAUSE_MAX)

    def forgive(self) -> None:
        """Forget the debt: nobody says what is allowed."""
        self._owed = 0.0

    def allows(self, now: float) -> bool:
        """Whether a frame may be encoded now."""
        if not self._owed:
            return True
        self._work_off(now)
        if self._owed <= DEBT_MAX:
            return True
        self.left_out += 1
        return False

    def _work_off(self, now: float) -> None:
        self._owed = max(0.0, self._owed - max(0.0, now - self._at))
        self._at = now
