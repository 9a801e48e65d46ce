"""Tracks that play a media file, again and again, at its own pace.

Owns: one open container per track; decoding happens in a worker thread, frame by frame.  Never: more than one
frame ahead, so nothing piles up while nobody looks.  Time stamps go on when the file begins anew.
"""

from __future__ import annotations

import asyncio
import fractions
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from rtcpeer.media.track import MediaStreamError, MediaStreamTrack

VIDEO_TIME_BASE = fractions.Fraction(1, 90000)
SAMPLE_RATE = 48000
AUDIO_TIME_BASE = fractions.Fraction(1, SAMPLE_RATE)
FRAME_SAMPLES = 960  # 20 ms, what Opus is packed in
# A reader that comes later than this gets the file from there on, not a burst of what it missed.
MAX_LATENESS = 0.2


def open_file(path: Path) -> list[MediaStreamTrack]:
    """The tracks of a file: sound, picture or both.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no media file, or there is nothing to play in it.
    """
    with av.open(str(path)) as container:
        kinds = [kind for kind in ("audio", "video") if getattr(container.streams, kind)]
    if not kinds:
        raise ValueError("there is neither sound nor picture in it")
    return [FileTrack(path, kind) for kind in kinds]


class FileTrack(MediaStreamTrack):
    """A stream of a file, paced and looped."""

    def __init__(self, path: Path, kind: str) -> None:
        self.kind = kind
        super().__init__()
        self._lock = threading.Lock()
        self._container = av.open(str(path))
        self._frames = self._play_sound() if kind == "audio" else self._play_pictures()
        self._start: float | None = None

    async def recv(self) -> Any:
        """The next frame when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        frame = await loop.run_in_executor(None, self._next)
        if frame is None or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        at = float(frame.pts * frame.time_base)
        now = loop.time()
        if self._start is None or now - (self._start + at) > MAX_LATENESS:
            self._start = now - at
        if self._start + at > now:
            await asyncio.sleep(self._start + at - now)
        return frame

    def stop(self) -> None:
        """End the track and close the file."""
        super().stop()
        with self._lock:
            self._container.close()

    def _next(self) -> Any:
        with self._lock:
            return next(self._frames, None) if self.readyState == "live" else None

    def _rounds(self) -> Iterator[Any]:
        """Decoded frames, and None each time the file begins anew; ends when a round has brought nothing."""
        streams = self._container.streams
        stream: Any = streams.audio[0] if self.kind == "audio" else streams.video[0]
        while True:
            empty = True
            for frame in self._container.decode(stream):
                empty = False
                yield frame
            if empty:
                return
            yield None
            self._container.seek(0)

    def _play_pictures(self) -> Iterator[Any]:
        rate = self._container.streams.video[0].average_rate
        step = 1 / float(rate) if rate else 1 / 30
        begin = time = 0.0
        first: float | None = None
        for frame in self._rounds():
            if frame is None:
                begin, first = time + step, None
                continue
            at = frame.time if frame.time is not None else time + step
            first = at if first is None else first
            time = begin + max(0.0, at - first)
            picture = frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
            picture.pts, picture.time_base = round(time / VIDEO_TIME_BASE), VIDEO_TIME_BASE
            yield picture

    def _play_sound(self) -> Iterator[Any]:
        resampler = av.AudioResampler(
            format="s16", layout="stereo", rate=SAMPLE_RATE, frame_size=FRAME_SAMPLES
        )
        samples = 0
        for frame in self._rounds():
            if frame is None:
                continue
            frame.pts = None  # the resampler counts for itself, through the seam of two rounds
            for piece in resampler.resample(frame):
                piece.pts, piece.time_base = samples, AUDIO_TIME_BASE
                samples += piece.samples
                yield piece
