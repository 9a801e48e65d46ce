"""Time line of one track in a recorded file. Pure: `now` is an argument.

A file has one time line, which begins with the recording and only rises. A track's own times begin anywhere, leap when
a camera restarts, an SFU switches or a connection is replaced, stand still, or are not there.
"""

from __future__ import annotations

# A track's own step forward may be so long, in seconds: silence, lost pictures. What is longer is another time line.
STEP_MAX = 1.0
# A track's own line may be so far from the time that has passed, in seconds; then what has passed counts.
DRIFT_MAX = 2.0
# Sound may begin so much before the end of what was before it, in seconds
_ROUNDING = 0.001


class FileTime:
    """The time line of one track.

    Args:
        step_min: seconds between the beginnings of two frames at least.
    """

    def __init__(self, step_min: float = 0.0) -> None:
        self._step_min = step_min
        self._own_end: float | None = None  # of the last frame, on the track's own line
        self._begin = 0.0  # of the last frame, in the file
        self._end: float | None = None  # of the last frame, in the file

    def place(self, at: float | None, length: float, now: float) -> float:
        """The place in the file where a frame begins, in seconds.

        Args:
            at: its time on the track's own line; None if it has none.
            length: how long it lasts; 0 for a picture.
            now: seconds since the recording began.
        """
        if self._end is None:
            begin = max(0.0, now)
        else:
            begin = self._next(at, length, now, self._end)
            begin = max(begin, self._begin + self._step_min, self._end if length else 0.0)
        self._own_end = None if at is None else at + length
        self._begin, self._end = begin, begin + length
        return begin

    def _next(self, at: float | None, length: float, now: float, end: float) -> float:
        if at is None or self._own_end is None:
            # sound follows sound; of a picture only its arrival is known
            return end if length and end > now - STEP_MAX else now
        step = at - self._own_end
        if step > STEP_MAX or step < -_ROUNDING or (step <= 0 and not length):
            return now
        begin = end + max(0.0, step)
        return now if abs(begin - now) > DRIFT_MAX else begin
