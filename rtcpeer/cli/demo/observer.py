"""Observer of remote tracks: it counts frames and measures brightness and loudness.

Owns: one reading task per track.  Never: the tracks; stopping to look does not stop them.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import math
from dataclasses import asdict, dataclass
from typing import Any

from rtcpeer.aio import start_task
from rtcpeer.media.track import MediaStreamError

# Measuring every picture would cost as much as decoding it
MEASURE_EVERY = 10
SAMPLE_STEP = 16


@dataclass(slots=True)
class Seen:
    """Counters over all tracks of a call."""

    video_frames: int = 0
    width: int = 0
    height: int = 0
    luma: float = 0.0
    audio_frames: int = 0
    level: float = 0.0


class MediaObserver:
    """Reads every track it is shown until the track ends."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._tasks: set[asyncio.Task[None]] = set()

    def watch(self, track: Any) -> None:
        """Begin to read a track."""
        reader = self._look if track.kind == "video" else self._listen
        task = start_task(reader(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if self.seen.video_frames % MEASURE_EVERY == 0:
                    self.seen.luma = mean_luma(frame)
                    self.seen.width, self.seen.height = frame.width, frame.height
                self.seen.video_frames += 1

    async def _listen(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if self.seen.audio_frames % MEASURE_EVERY == 0:
                    self.seen.level = loudness(frame)
                self.seen.audio_frames += 1

    def report(self) -> dict[str, float]:
        """The counters as a mapping."""
        return asdict(self.seen)

    async def close(self) -> None:
        """Stop looking."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def mean_luma(frame: Any) -> float:
    """The mean of the Y plane of a planar YUV picture, from every 16th point of every 16th row."""
    plane = frame.planes[0]
    data, stride = memoryview(plane).cast("B"), plane.line_size
    total = points = 0
    for row in range(0, frame.height, SAMPLE_STEP):
        line = data[row * stride : row * stride + frame.width : SAMPLE_STEP]
        total += sum(line)
        points += len(line)
    return total / points


def loudness(frame: Any) -> float:
    """The root mean square of a 16-bit sound frame, 0 to 1."""
    samples = array.array("h", bytes(frame.planes[0])[: 2 * frame.samples])
    part = samples[::4]
    return math.sqrt(sum(s * s for s in part) / max(1, len(part))) / 32768
