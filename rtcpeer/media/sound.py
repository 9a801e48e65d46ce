"""Encoder of sound: frames of any format, rate, channels and length become pieces of 20 ms with a time each.

Samples are counted, so times rise by 20 ms whatever the frames' own times say: frames without them, of several
rates in turn, or whose times go back make no difference. One jump forward in a track whose times were right until
then is time in which there was no sound, and is left out.
Mono stays mono: libav would widen it at -3 dB (RFC 7587 section 4.1 lets Opus be either in any packet).
Owns: the encoder of libav, the resampler and the samples that do not fill a piece yet.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av import AudioFrame, CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

from rtcpeer.media.pcm import SAMPLE_BYTES, SampleConverter, frame_of, layout_of, widened
from rtcpeer.records import record

# RFC 3551 section 4.2 and RFC 7587 section 4.2 recommend it, and what browsers send
PIECE_SECONDS = 0.02
# A step of a track's time may differ so much from its samples, in seconds, by rounding.
_TOLERANCE = 0.002
# What libav's encoder of Opus takes for each channel, in bit/s; it refuses to open with more.
_CHANNEL_BITRATE_MAX = 256_000
# A jump forward, in seconds: shorter ones are jitter, longer ones another time line.
_GAP_MIN, _GAP_MAX = 0.04, 5.0


@record(frozen=True, slots=True)
class SoundFormat:
    """How a codec takes samples and counts time.

    Attributes:
        coder: its encoder in libav.
        rate: samples a second.
        clock_rate: ticks a second of RTP timestamps; G.722 has 8000 by an old mistake (RFC 3551 section 4.5.2).
        channels: at most.
    """

    coder: str
    rate: int
    clock_rate: int
    channels: int
    options: tuple[tuple[str, str], ...] = ()


FORMATS = {
    "OPUS": SoundFormat("libopus", 48000, 48000, 2, (("application", "voip"),)),
    "G722": SoundFormat("g722", 16000, 8000, 1),
    "PCMU": SoundFormat("pcm_mulaw", 8000, 8000, 1),
    "PCMA": SoundFormat("pcm_alaw", 8000, 8000, 1),
}


class SoundEncoder:
    """The encoder of one codec.

    Args:
        name: of the codec, in upper case: one of `FORMATS`.

    Raises:
        ValueError: there is no encoder of this name.

    Attributes:
        step: ticks from one piece to the next.
    """

    def __init__(self, name: str) -> None:
        found = FORMATS.get(name)
        if found is None:
            raise ValueError(f"there is no encoder for audio/{name}")
        self._format = found
        self.step: int = round(found.clock_rate * PIECE_SECONDS)
        self._samples = round(found.rate * PIECE_SECONDS)
        self._codec: AudioCodecContext | None = None
        self._bitrate: int | None = None
        # grows to two when a frame with more than one channel comes, and stays
        self._channels = 1
        self._converter = SampleConverter(found.rate, 1)
        # samples of 16 bits, interleaved, that are not encoded yet
        self._waiting = bytearray()
        # the time of the first of them, in ticks; what was given to the encoder, in samples
        self._time = 0
        self._encoded = 0
        # the end of the last frame in the track's own time, in seconds, and whether it began where expected
        self._expected: Fraction | None = None
        self._is_steady = False

    def set_bitrate(self, bitrate: int) -> None:
        """Aim at so many bit/s from the next piece on, if the codec can choose."""
        if bitrate != self._bitrate:
            self._bitrate = bitrate
            self._codec = None

    def encode(self, frame: AudioFrame) -> list[tuple[bytes, int]]:
        """Take a frame; give the pieces that are full now: payload and time in ticks.

        Raises:
            FFmpegError: libav refuses the frame.
            ValueError: it has no sample rate.
        """
        gap = self._gap(frame)
        pieces = self._leave_out(gap) if gap else []
        self._take(frame)
        return pieces + self._full_pieces()

    def pack(self, packet: Packet[Any]) -> tuple[list[bytes], int]:
        """A packet that is encoded already, and its time in ticks.

        Raises:
            ValueError: it has no time.
        """
        if packet.pts is None or packet.time_base is None:
            raise ValueError("an encoded packet needs pts and time_base")
        return [bytes(packet)], int(packet.pts * packet.time_base * self._format.clock_rate)

    # -- time --------------------------------------------------------------------------------------

    def _gap(self, frame: AudioFrame) -> float:
        """Seconds without sound before this frame, as far as its time can be believed."""
        if frame.pts is None or not frame.time_base or not frame.sample_rate:
            self._expected = None
            return 0.0
        begin = frame.pts * frame.time_base
        expected, was_steady = self._expected, self._is_steady
        self._expected = begin + Fraction(frame.samples, frame.sample_rate)
        if expected is None:
            self._is_steady = False
            return 0.0
        jump = float(begin - expected)
        self._is_steady = abs(jump) <= _TOLERANCE
        return jump if was_steady and _GAP_MIN <= jump <= _GAP_MAX else 0.0

    def _leave_out(self, gap: float) -> list[tuple[bytes, int]]:
        """Let time pass: a piece that has begun is filled with silence, the rest of the gap is skipped."""
        size = self._samples * self._channels * SAMPLE_BYTES
        if self._waiting:
            missing = size - len(self._waiting)
            self._waiting += bytes(missing)
            gap -= PIECE_SECONDS * missing / size
        pieces = self._full_pieces()
        self._time += max(0, round(gap * self._format.clock_rate))
        return pieces

    def _full_pieces(self) -> list[tuple[bytes, int]]:
        """Encode what waits, as far as it fills pieces."""
        size = self._samples * self._channels * SAMPLE_BYTES
        pieces = []
        while len(self._waiting) >= size:
            samples = bytes(self._waiting[:size])
            del self._waiting[:size]
            time, self._time = self._time, self._time + self.step
            payload = self._encode_piece(samples)
            if payload:
                pieces.append((payload, time))
        return pieces

    # -- samples -----------------------------------------------------------------------------------

    def _take(self, frame: AudioFrame) -> None:
        """Append a frame's samples in our rate and channels."""
        if len(frame.layout.channels) > 1 and self._format.channels > 1 and self._channels == 1:
            # what waits, and what the resampler has kept back, is mono
            self._waiting += self._converter.drain()
            self._waiting = bytearray(widened(self._waiting))
            self._channels = 2
            self._converter = SampleConverter(self._format.rate, 2)
            self._codec = None
        self._waiting += self._converter.convert(frame)

    # -- the encoder -------------------------------------------------------------------------------

    def _encode_piece(self, data: bytes) -> bytes:
        codec = self._codec
        if codec is None:
            codec = self._codec = self._open()
        frame = frame_of(data, self._format.rate, self._channels, self._encoded)
        self._encoded += self._samples
        try:
            return b"".join([bytes(packet) for packet in codec.encode(frame)])
        except BaseException:
            # one that has failed is never used again
            self._codec = None
            raise

    def _open(self) -> AudioCodecContext:
        codec = CodecContext.create(self._format.coder, "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = self._format.rate
        codec.layout = layout_of(self._channels)
        codec.format = "s16"
        codec.time_base = Fraction(1, self._format.rate)
        codec.options = dict(self._format.options)
        if self._bitrate is not None:
            codec.bit_rate = min(self._bitrate, _CHANNEL_BITRATE_MAX * self._channels)
        codec.open()
        self._encoded = 0
        return codec
