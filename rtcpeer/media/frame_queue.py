"""Frame queue: frames that wait for a reader, bounded by time, the oldest dropped first.

A reader may stall for moments (an encoder in its loop, a garbage collection) without losing a picture. One that
is too slow altogether is not led ever further into the past: it gets the latest pictures, and loses the rest.
Pure: `now` is an argument.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from av import AudioFrame, VideoFrame

# A reader may stall for so long without losing anything, in seconds
SPAN = 1.0
# Whatever their age, at most so many wait, and of pictures so many bytes (more than `LATEST` of them)
AUDIO_BOUND = 50
VIDEO_BOUND = 60
VIDEO_BYTES = 64 * 1024 * 1024
# What a reader that is too slow keeps, and after how many pictures without a loss it is not too slow any more
LATEST = 3
RECOVERED = 30
# Sound that waits for an encoder, in seconds: a program may speak faster than time, or catch up after a stall
SOUND_SECONDS = 5.0
# What a piece of sound lasts that does not say so: one that is encoded already
_PIECE_SECONDS = 0.02


class FrameQueue:
    """Frames of one track for one reader.

    Args:
        kind: "audio" or "video".
        patient: whether the reader may stall for a moment without losing pictures; one that is not is an encoder,
            which sends the latest pictures, and sound of up to `SOUND_SECONDS`.

    Attributes:
        dropped: frames that nobody read in time.
        dropped_seconds: how much sound that was.
        number: of the frame that was read last, as it was given to `push`.
    """

    __slots__ = (
        "_bound",
        "_frames",
        "_is_bounded_by_seconds",
        "_is_video",
        "_seconds",
        "_since_drop",
        "dropped",
        "dropped_seconds",
        "number",
    )

    def __init__(self, kind: str, *, patient: bool) -> None:
        self.dropped: int = 0
        self.dropped_seconds: float = 0.0
        self.number: int = -1
        self._is_video = kind != "audio"
        if patient:
            self._bound = VIDEO_BOUND if self._is_video else AUDIO_BOUND
        else:
            self._bound = LATEST
        self._is_bounded_by_seconds = not self._is_video and not patient
        # of the sound that waits
        self._seconds = 0.0
        # (when it came, frame, number)
        self._frames: deque[tuple[float, Any, int]] = deque()
        self._since_drop = RECOVERED

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: Any, now: float, number: int = -1) -> None:
        """A frame for the reader."""
        frames = self._frames
        frames.append((now, frame, number))
        if self._is_bounded_by_seconds:
            self._seconds += duration(frame)
            while self._seconds > SOUND_SECONDS and len(frames) > 1:
                lost = duration(self.pop())
                self.dropped += 1
                self.dropped_seconds += lost
            return
        self._since_drop += 1
        if len(frames) <= 1:
            return
        bound = self._bound
        if self._is_video:
            if isinstance(frame, VideoFrame):
                bound = max(LATEST, min(bound, VIDEO_BYTES // (frame.width * frame.height * 3 // 2 or 1)))
            if self._since_drop < RECOVERED:
                bound = LATEST
        if len(frames) <= bound and now - frames[0][0] <= SPAN:
            return
        # a stall: pictures go on with the latest, sound loses no more than it must
        keep = LATEST if self._is_video else bound
        while len(frames) > 1 and (len(frames) > keep or now - frames[0][0] > SPAN):
            frames.popleft()
            self.dropped += 1
            self._since_drop = 0

    def pop(self) -> Any:
        """The oldest frame."""
        _now, frame, self.number = self._frames.popleft()
        if self._is_bounded_by_seconds:
            self._seconds -= duration(frame)
        return frame

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()
        self._seconds = 0.0


def duration(frame: Any) -> float:
    """How long a piece of sound lasts, in seconds."""
    if isinstance(frame, AudioFrame) and frame.sample_rate:
        return frame.samples / frame.sample_rate
    return _PIECE_SECONDS
