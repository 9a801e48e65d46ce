"""Turning encoded frames into pictures and sound: one decoder per section, run in a thread of the pool.

Owns: the decoder. Never: decides what is decoded, waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from av import VideoFrame
from av.frame import Frame

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.orientation import Turner
from rtcpeer.media.video import choice
from rtcpeer.rtp.inbound import InboundStream


@dataclass(slots=True)
class DecodeJob:
    """An encoded frame on its way through the decoder; `turns` clockwise by quarters make it upright."""

    stream: InboundStream
    format: PayloadFormat
    data: bytes
    presentation: int
    is_key: bool
    turns: int = 0
    took: float = 0.0


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
        self._turner = Turner()

    def run(self, job: DecodeJob) -> list[Frame]:
        """Decode; raises what libav raises."""
        started = time.perf_counter()
        key = (job.format.name, job.format.codec.fmtp)
        if self._decoder is None or key != self._key:
            self._decoder = choice.make_decoder(job.format.codec, self._pixels_max)
            self._key = key
        frames = self._decoder.decode(aiortc_adapter.JitterFrame(job.data, job.presentation))
        if job.turns:
            frames = [self._turner.turn(f, job.turns) if isinstance(f, VideoFrame) else f for f in frames]
        job.took = time.perf_counter() - started
        return frames
