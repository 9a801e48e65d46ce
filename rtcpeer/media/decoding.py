"""Decoder of one section: encoded frames become pictures or sound, in a thread of the pool.

Owns: the decoder. Never: decides what is decoded, waits.
"""

from __future__ import annotations

import time

from av import VideoFrame
from av.frame import Frame

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.concealment import Concealer
from rtcpeer.media.orientation import Turner
from rtcpeer.media.video import choice
from rtcpeer.records import record
from rtcpeer.rtp.inbound import InboundStream


@record(slots=True)
class DecodeJob:
    """An encoded frame on its way through the decoder, or a loss that it makes up for.

    Attributes:
        turns: clockwise, by quarters, that make a picture upright.
        lost: ticks of sound that were lost; `data` is empty then.
        received_at: when the first packet of the frame came; 0 for a loss.
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
