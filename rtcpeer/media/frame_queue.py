"""Frames that wait for a reader: bounded by time, the oldest go first.

A reader may stall for moments (an encoder in its loop, a garbage collection) without losing a picture. One that
is too slow altogether is not led ever further into the past: it gets the latest pictures, and loses the rest.
Pure: `now` is an argument.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from av import VideoFrame

# A reader may stall for so long without losing anything, in seconds
SPAN = 1.0
# Whatever their age, at most so many wait, and of pictures so many bytes (more than `LATEST` of them)
AUDIO_BOUND = 50
VIDEO_BOUND = 60
VIDEO_BYTES = 64 * 1024 * 1024
# What a reader that is too slow keeps, and after how many pictures without a loss it is not too slow any more
LATEST = 3
RECOVERED = 30
# What waits for an encoder: it shall send what is now
AUDIO_BOUND_IMPATIENT = 25


class FrameQueue:
    """Frames of one track for one reader.

    Args:
        kind: "audio" or "video".
        patient: whether the reader may stall for a moment without losing pictures.

    Attributes:
        dropped: frames that nobody read in time.
    """

    __slots__ = ("_bound", "_frames", "_is_video", "_since_drop", "dropped")

    def __init__(self, kind: str, *, patient: bool) -> None:
        self.dropped = 0
        self._is_video = kind != "audio"
        if patient:
            self._bound = VIDEO_BOUND if self._is_video else AUDIO_BOUND
        else:
            self._bound = LATEST if self._is_video else AUDIO_BOUND_IMPATIENT
        # (when it came, frame)
        self._frames: deque[tuple[float, Any]] = deque()
        self._since_drop = RECOVERED

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: Any, now: float) -> None:
        """A frame for the reader."""
        frames = self._frames
        frames.append((now, frame))
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
        return self._frames.popleft()[1]

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()
