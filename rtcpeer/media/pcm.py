"""PCM samples of 16 bits: frames of PyAV in any format become interleaved samples of one rate and one or two channels.

Mono is put on both channels as loud as it was; libav would make it 3 dB quieter.
"""

from __future__ import annotations

from array import array
from fractions import Fraction

from av import AudioFrame, AudioResampler

SAMPLE_BYTES = 2


def layout_of(channels: int) -> str:
    """The name that libav has for one or two channels."""
    return "mono" if channels == 1 else "stereo"


def widened(data: bytes | bytearray | memoryview) -> bytes:
    """Mono samples on both channels."""
    mono = array("h", bytes(data))
    both = array("h", bytes(2 * SAMPLE_BYTES * len(mono)))
    both[0::2] = both[1::2] = mono
    return both.tobytes()


def frame_of(data: bytes, rate: int, channels: int, pts: int) -> AudioFrame:
    """A frame of interleaved samples; `pts` counts samples."""
    samples = len(data) // (SAMPLE_BYTES * channels)
    frame = AudioFrame(format="s16", layout=layout_of(channels), samples=samples)
    plane = frame.planes[0]
    plane.update(data + bytes(plane.buffer_size - len(data)))
    frame.sample_rate = rate
    frame.pts, frame.time_base = pts, Fraction(1, rate)
    return frame


class SampleConverter:
    """Converts the frames of one source, whose format, rate and channels may change.

    Args:
        rate: samples a second that come out.
        channels: 1 or 2.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._channels = channels
        self._resampler: AudioResampler | None = None
        self._key: tuple[str, str, int] = ("", "", 0)

    def convert(self, frame: AudioFrame) -> bytes:
        """The samples of a frame; a resampler may keep some back for the next one.

        Raises:
            FFmpegError: libav refuses the frame.
            ValueError: it has no sample rate.
        """
        if not frame.samples:
            return b""
        if not frame.sample_rate:
            raise ValueError("a frame of sound needs sample_rate: samples a second")
        layout = layout_of(min(len(frame.layout.channels), self._channels))
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        result = b""
        if key != self._key:
            result = self.drain()
            self._key = key
            if key != ("s16", layout, self._rate):
                self._resampler = AudioResampler(format="s16", layout=layout, rate=self._rate)
        if self._resampler is None:
            return result + self._samples(frame)
        return result + b"".join([self._samples(converted) for converted in self._resampler.resample(frame)])

    def drain(self) -> bytes:
        """The sound that a resampler has kept back: no frame of the same kind follows."""
        resampler, self._resampler, self._key = self._resampler, None, ("", "", 0)
        if resampler is None:
            return b""
        return b"".join([self._samples(converted) for converted in resampler.resample(None)])

    def _samples(self, frame: AudioFrame) -> bytes:
        given = len(frame.layout.channels)
        data = memoryview(frame.planes[0])[: frame.samples * given * SAMPLE_BYTES]
        return widened(data) if given < self._channels else bytes(data)
