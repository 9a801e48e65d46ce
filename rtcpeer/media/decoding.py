"""Decoder of one section: encoded frames become pictures or sound, in threads of the pool, one at a time and in order.

`DecodeQueue` stays in the loop: frames wait there, and it hands on what comes back. `StreamDecoder` runs in a thread.
Owns: the frames that wait, the decoder, and what is done when it hangs. Never: decides what is decoded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from av import AudioFrame, VideoFrame
from av.error import FFmpegError
from av.frame import Frame

from rtcpeer.aio import wall_time
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.concealment import Concealer
from rtcpeer.media.orientation import Turner
from rtcpeer.media.video import choice
from rtcpeer.media.workers import CoderStuckError, Workers
from rtcpeer.records import record
from rtcpeer.rtp.inbound import InboundStream

logger = logging.getLogger(__name__)

# Frames that wait for the decoder: more means that it is too slow.
QUEUE_MAX = 60
# Before another decoder takes the place of one that hangs, and longer each time: each costs a thread.
STUCK_PAUSE, STUCK_PAUSE_MAX = 5.0, 300.0


@record(slots=True)
class DecodeJob:
    """An encoded frame on its way through the decoder, or a loss that it makes up for.

    Attributes:
        turns: clockwise, by quarters, that make a picture upright.
        lost: ticks of sound that were lost; `data` is empty then.
        received_at: when the first packet of the frame came; 0 for a loss.
        assembly: see `EncodedFrame`.
        silent: how many samples of what came out are silence, as nothing is left of the sound before.
    """

    stream: InboundStream
    format: PayloadFormat
    data: bytes
    presentation: int
    is_key: bool
    turns: int = 0
    lost: int = 0
    silent: int = 0
    took: float = 0.0
    received_at: float = 0.0
    assembly: float | None = None


class DecodeQueue:
    """Frames that wait for the decoder of one section, and the decoder.

    Args:
        pixels_max: of the largest picture that is decoded.
        deliver: takes each picture or piece of sound that comes out.
        failed: told whose frame could not be decoded.
        name: for logs.

    Attributes:
        resumes_at: when a decoder is there again, after the last one hung; nothing is to be pushed before.
    """

    def __init__(
        self,
        pixels_max: int,
        deliver: Callable[[Frame], None],
        failed: Callable[[InboundStream], None],
        *,
        name: str = "",
    ) -> None:
        self.resumes_at: float = 0.0
        self._pixels_max = pixels_max
        self._deliver = deliver
        self._failed = failed
        self._name = name
        self._decoder = StreamDecoder(pixels_max)
        self._workers = Workers()
        self._waiting: deque[DecodeJob] = deque()
        self._running: asyncio.Future[list[Frame]] | None = None
        self._hangs = 0
        self._stopped = False

    @property
    def is_full(self) -> bool:
        """Whether so many frames wait that the decoder is too slow."""
        return len(self._waiting) >= QUEUE_MAX

    def push(self, job: DecodeJob) -> None:
        """Decode a frame behind those that wait."""
        self._waiting.append(job)
        if self._running is None:
            self._begin()

    def clear(self) -> int:
        """Drop the frames that wait; gives how many."""
        dropped = len(self._waiting)
        self._waiting.clear()
        return dropped

    def stop(self) -> asyncio.Future[list[Frame]] | None:
        """Decode nothing more; gives what still runs."""
        self._stopped = True
        self._waiting.clear()
        self._workers.release()
        return self._running

    def _begin(self) -> None:
        if not self._waiting or self._stopped:
            return
        job = self._waiting.popleft()
        future = self._workers.run(self._decoder.run, job)
        self._running = future
        future.add_done_callback(lambda done: self._finish(job, done))

    def _finish(self, job: DecodeJob, future: asyncio.Future[list[Frame]]) -> None:
        self._running = None
        if future.cancelled():
            return
        error = future.exception()
        if self._stopped:
            return
        if error is not None:
            if isinstance(error, CoderStuckError):
                self._replace_decoder()
            elif not isinstance(error, FFmpegError | ValueError):
                logger.error("%s: the decoder failed", self._name, exc_info=error)
            job.stream.frames_dropped += 1
            self._failed(job.stream)
        else:
            self._hand_on(job, future.result())
        self._begin()

    def _hand_on(self, job: DecodeJob, frames: list[Frame]) -> None:
        stream = job.stream
        stream.decode_time += job.took
        if job.is_key and job.format.codec.kind == "video":
            stream.key_frames_decoded += 1
        if job.lost:
            made = sum(frame.samples for frame in frames if isinstance(frame, AudioFrame))
            stream.take_concealed(made, job.silent)
        now = wall_time()
        for frame in frames:
            stream.take_decoded(frame, now, job.received_at, job.assembly)
            self._deliver(frame)

    def _replace_decoder(self) -> None:
        """The decoder hangs, and a thread with it: after a pause, longer each time, another one is tried."""
        self._decoder = StreamDecoder(self._pixels_max)
        pause = min(STUCK_PAUSE_MAX, STUCK_PAUSE * 2**self._hangs)
        self._hangs += 1
        self.resumes_at = wall_time() + pause
        self._waiting.clear()
        logger.warning("%s: the decoder hangs; another one is used in %g s", self._name, pause)


class StreamDecoder:
    """A decoder, used by one job at a time in a thread of the pool.

    Args:
        pixels_max: of the largest picture that is decoded.
    """

    def __init__(self, pixels_max: int) -> None:
        self._pixels_max = pixels_max
        # what the decoder was made for: name and parameters
        self._key: tuple[object, ...] = ()
        self._decoder: aiortc_adapter.Decoder | None = None
        self._concealer: Concealer | None = None
        self._turner = Turner()

    def run(self, job: DecodeJob) -> list[Frame]:
        """Decode; raises what libav raises."""
        started = time.perf_counter()
        key = (job.format.name, job.format.codec.fmtp)
        if self._decoder is None or key != self._key:
            self._decoder = choice.make_decoder(job.format.codec, self._pixels_max)
            self._key = key
            is_sound = job.format.codec.kind == "audio"
            self._concealer = (
                Concealer(job.format.clock_rate, is_opus=job.format.name == "OPUS") if is_sound else None
            )
        if job.lost:
            frames = self._conceal(job)
        else:
            frames = self._decode(job.data, job.presentation)
            if self._concealer is not None:
                self._concealer.note(job.data, frames)
        if job.turns:
            frames = [self._turner.turn(f, job.turns) if isinstance(f, VideoFrame) else f for f in frames]
        job.took = time.perf_counter() - started
        return frames

    def _decode(self, data: bytes, presentation: int) -> list[Frame]:
        assert self._decoder is not None
        return self._decoder.decode(aiortc_adapter.JitterFrame(data, presentation))

    def _conceal(self, job: DecodeJob) -> list[Frame]:
        if self._concealer is None:
            return []
        frames, job.silent = self._concealer.conceal(job.lost, job.presentation, self._decode)
        return frames
