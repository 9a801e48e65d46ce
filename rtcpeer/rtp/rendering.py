"""Pictures as whoever reads the track sees them: how many, how evenly, and when they stood still (webrtc-stats).

Owns: counters of one stream; the time is an argument.  Never: a picture.  The program is the display here: a picture
is rendered when it is handed to who reads the track.
"""

from __future__ import annotations

from collections import deque

# webrtc-stats freezeCount: over how many pictures the usual delay is taken
_USUAL_OVER = 30
# of fewer than these nothing is usual yet
_USUAL_FROM = 5
_FREEZE_FACTOR = 3
_FREEZE_MORE = 0.15
# webrtc-stats pauseCount
_PAUSE = 5.0


class Rendering:
    """Counters of pictures that were handed out; attributes have the meaning of their W3C namesakes."""

    __slots__ = (
        "_delays",
        "_last",
        "_sum",
        "delay",
        "frames",
        "freezes",
        "frozen",
        "paused",
        "pauses",
        "squared_delay",
    )

    delay: float
    squared_delay: float
    freezes: int
    pauses: int
    frozen: float
    paused: float

    def __init__(self) -> None:
        self.frames: int = 0
        self.delay = self.squared_delay = 0.0
        self.freezes = self.pauses = 0
        self.frozen = self.paused = 0.0
        self._last: float | None = None
        self._delays: deque[float] = deque(maxlen=_USUAL_OVER)
        self._sum = 0.0

    def take(self, now: float) -> None:
        """A picture was handed out."""
        self.frames += 1
        last, self._last = self._last, now
        if last is None:
            return
        delay = max(0.0, now - last)
        self.delay += delay
        self.squared_delay += delay * delay
        delays = self._delays
        if len(delays) >= _USUAL_FROM:
            usual = self._sum / len(delays)
            if delay >= max(_FREEZE_FACTOR * usual, usual + _FREEZE_MORE):
                self.freezes += 1
                self.frozen += delay
        if delay > _PAUSE:
            self.pauses += 1
            self.paused += delay
        if len(delays) == _USUAL_OVER:
            self._sum -= delays[0]
        delays.append(delay)
        self._sum += delay

    def interrupt(self) -> None:
        """Note that nobody reads any more: the time until somebody does is no standstill."""
        self._last = None

    def stats(self) -> dict[str, object]:
        """Members of RTCInboundRtpStreamStats by their W3C names."""
        return {
            "framesRendered": self.frames,
            "totalInterFrameDelay": self.delay,
            "totalSquaredInterFrameDelay": self.squared_delay,
            "freezeCount": self.freezes,
            "totalFreezesDuration": self.frozen,
            "pauseCount": self.pauses,
            "totalPausesDuration": self.paused,
        }
