"""Loss concealment for sound: libopus' own where it decodes, else the last piece again, fading.

libav has no call for libopus' concealment, but a packet that says how long it is and has no content leads to it
(RFC 6716 section 3.2.1 allows frames of no bytes, which a decoder takes as lost ones).

Owns: the last piece of one decoder.  Never: decides what is lost.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from av import AudioFrame
from av.frame import Frame

# After this, in seconds, nothing is left of the sound before: silence.
FADE = 0.12
# Until then it is as loud as before.
_WHOLE = 0.02
# RFC 6716 section 3.1: durations in ms by the configuration of a packet
_SILK, _HYBRID, _CELT = (10.0, 20.0, 40.0, 60.0), (10.0, 20.0), (2.5, 5.0, 10.0, 20.0)


def opus_duration(toc: int) -> float:
    """How long one frame of an Opus packet is, in ms, by the packet's first byte."""
    config = toc >> 3
    if config < 12:
        return _SILK[config & 3]
    return _HYBRID[config & 1] if config < 16 else _CELT[config & 3]


class Concealer:
    """The sound that one decoder heard last, and what is made of it where packets are missing.

    Args:
        clock_rate: of the RTP timestamps in which losses are measured.
        is_opus: whether the decoder is libopus.
    """

    def __init__(self, clock_rate: int, *, is_opus: bool) -> None:
        self._clock_rate = clock_rate
        self._is_opus = is_opus
        self._toc: int | None = None
        self._last: AudioFrame | None = None

    def note(self, data: bytes, frames: list[Frame]) -> None:
        """A packet was decoded."""
        if data:
            self._toc = data[0]
        if frames and isinstance(frames[-1], AudioFrame):
            self._last = frames[-1]

    def conceal(
        self, ticks: int, presentation: int, decode: Callable[[bytes, int], list[Frame]]
    ) -> tuple[list[Frame], int]:
        """Sound for a loss.

        Args:
            ticks: how much is lost.
            presentation: when it begins, in ticks.
            decode: decodes a packet of the codec, given its time.

        Returns:
            Pieces, and how many of their samples are silence; none before anything was heard.
        """
        pieces: list[Frame] = []
        silent = done = 0
        last = self._last
        if last is None or not last.sample_rate or not last.samples:
            return pieces, silent
        whole = last.samples * self._clock_rate // last.sample_rate
        while done < ticks:
            made, length = [last], whole
            if self._is_opus and self._toc is not None and self._gain(done):
                lost = bytes((self._toc & 0xFC,))
                made = [f for f in decode(lost, presentation + done) if isinstance(f, AudioFrame)]
                length = round(opus_duration(self._toc) * self._clock_rate / 1000)
            gains = self._gain(done), self._gain(done + length)
            if not gains[0]:
                silent += last.samples
            pieces += [self._faded(frame, gains, presentation + done) for frame in made]
            done += max(1, length)
        return pieces, silent

    def _gain(self, ticks: int) -> float:
        """The part of the sound that is left so many ticks after the loss began, from 1.0 down."""
        return min(1.0, max(0.0, (FADE - ticks / self._clock_rate) / (FADE - _WHOLE)))

    def _faded(self, frame: AudioFrame, gains: tuple[float, float], presentation: int) -> AudioFrame:
        piece = _quieter(frame, gains)
        base = frame.time_base
        # decoders of G.722 count samples, its timestamps half of them (RFC 3551 section 4.5.2)
        piece.pts = presentation if base is None else round(presentation / (self._clock_rate * base))
        return piece


def _quieter(frame: AudioFrame, gains: tuple[float, float]) -> AudioFrame:
    """Sound with a gain that goes from one value to another; of 16 bits, as all decoders of sound give it."""
    result = AudioFrame(format=frame.format.name, layout=frame.layout.name, samples=frame.samples)
    first, last = gains
    for source, target in zip(frame.planes, result.planes, strict=True):
        data = bytes(source)
        if not first or frame.format.name not in ("s16", "s16p"):
            data = bytes(len(data))
        elif gains != (1.0, 1.0):
            samples = array("h", data)
            step = (last - first) / len(samples)
            data = array("h", [int(v * (first + i * step)) for i, v in enumerate(samples)]).tobytes()
        target.update(data[: target.buffer_size].ljust(target.buffer_size, b"\0"))
    result.sample_rate = frame.sample_rate
    if frame.time_base is not None:
        result.time_base = frame.time_base
    return result
