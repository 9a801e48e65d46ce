"""Pacing of sound that a track gives before its time.

A program that speaks (text to speech) has its sound at once, a track that stood still has some to catch up with.
Receivers keep a few seconds at most (libwebrtc 200 packets) and lose what is beyond. So sound is sent no faster than
`RATE` times real time, and never more than `LEAD` seconds ahead of it. What waits stays in the track.
Pure: `now` is an argument.
"""

from __future__ import annotations

# How far sound may be ahead of the clock, in seconds
LEAD = 2.0
# How much faster than real time it may be sent until then
RATE = 4.0
# Clocks of machines differ: an end whose clock is faster by less than this is never ahead
_DRIFT = 0.01


class SoundPacer:
    """Says how long the next piece of sound of one stream has to wait."""

    __slots__ = ("_begin", "_next", "_until")

    def __init__(self) -> None:
        # until when what was sent lasts, when that was noted, when the next piece may go
        self._until = 0.0
        self._begin = 0.0
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Seconds to wait before the next piece; 0 for sound that comes in its time or later."""
        ahead = self._until - now - _DRIFT * (now - self._begin)
        if ahead <= 0:
            return 0.0
        return max(0.0, ahead - LEAD, self._next - now)

    def sent(self, duration: float, now: float) -> None:
        """A piece of so many seconds was sent."""
        ahead = self._until - now - _DRIFT * (now - self._begin)
        self._begin = now
        self._until = max(now, now + ahead) + duration
        self._next = now + duration / RATE
