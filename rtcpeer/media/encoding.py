"""Encoder of one stream: frames become payloads, in a thread of the pool.

The encoder is made anew when what it is fed or told changes in a way that it cannot follow.
Owns: the encoder and what it counted. Never: sends, waits.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

from av import AudioFrame, VideoFrame
from av.frame import Frame
from av.packet import Packet
from av.video.frame import PictureType

from rtcpeer.errors import OperationError
from rtcpeer.media import sound
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.frames import blank
from rtcpeer.media.orientation import Turner, quarter_turns
from rtcpeer.media.sound import SoundEncoder
from rtcpeer.media.video import choice
from rtcpeer.media.video.layering import LayeredPicture
from rtcpeer.media.video.pictures import PictureEncoder
from rtcpeer.records import record, replace

# RFC 7587 section 6.1 and aiortc's choice for Opus
AUDIO_BITRATE = 96000
_OPUS_BITRATE_RANGE = (6000, 510000)
# What has more digits is no bitrate.
_BITRATE_DIGITS_MAX = 10
_VIDEO_BITRATE_MIN = 30000


@record(frozen=True, slots=True)
class EncodeRequest:
    """A request to encode one frame.

    Attributes:
        shared: somebody else uses the same frame object now.
        disabled: the track is disabled: silence or black.
        scale_down_to: the most pixels of width and of height instead of ``scale_down_by``, whichever way it stands.
        layers: temporal layers that are asked for, 1 to 3.
        divisor: what the sides of the picture are divided by besides, so that the path bears more pictures.
        tells_turns: the other end turns pictures itself when it is told; else they are sent upright.
    """

    frame: Frame | Packet[Any]
    format: PayloadFormat
    force_keyframe: bool
    scale_down_by: float
    max_bitrate: int | None
    estimate: int | None
    shared: bool
    disabled: bool
    tells_turns: bool = False
    bitrate_limit: int | None = None
    scale_down_to: tuple[int, int] | None = None
    min_bitrate: int | None = None
    layers: int = 1
    divisor: float = 1.0


@record(frozen=True, slots=True)
class EncodedPayloads:
    """An encoded frame; `timestamp` is in ticks of the codec's clock and belongs to `epoch`.

    Attributes:
        turns: quarter turns clockwise that make the picture upright.
        times: of each payload, in the same ticks, where each has its own: those of sound.
        seconds: that encoding took.
        target: the bitrate that the encoder aims at, if it has one.
        is_held: whether it would aim at more if the path bore more.
        scale: below 1.0 where the encoder has to make pictures smaller than they are asked for.
        layered: the picture's place in temporal layers, if there are any.
        divisor: as it was asked for.
    """

    payloads: list[bytes]
    timestamp: int
    epoch: int
    is_key: bool
    width: int
    height: int
    turns: int = 0
    times: tuple[int, ...] = ()
    seconds: float = 0.0
    target: int | None = None
    is_held: bool = False
    scale: float = 1.0
    layered: LayeredPicture | None = None
    divisor: float = 1.0


def _in_ticks(form: PayloadFormat, time: int, time_base: Fraction) -> int:
    """A time in ticks of the codec's clock."""
    parts, rate = time_base.denominator, form.clock_rate
    return time if parts == rate and time_base.numerator == 1 else time * time_base.numerator * rate // parts


class StreamEncoder:
    """The encoder of one stream. `encode` is called by one thread at a time.

    Attributes:
        epoch: counts the encoders: timestamps of different ones have nothing to do with each other.
        target: the bitrate that it aims at, if it has one.
        rate_limit: how many pictures a second the other end takes, of the size of the last one; None for any.
        implementation, is_hardware: libav's name of the encoder, for statistics.
        layers: temporal layers that it makes.
        warning: something that was not right and is mended; for who reports it, and takes it away.
    """

    def __init__(self) -> None:
        self.epoch: int = 0
        self.target: int | None = None
        self.rate_limit: float | None = None
        self.implementation: str = "libav"
        self.is_hardware: bool = False
        self.layers: int = 1
        self.warning: OperationError | None = None
        self._pictures: PictureEncoder | None = None
        self._sound: SoundEncoder | None = None
        self._key: tuple[object, ...] = ()
        self._turner = Turner()
        # whether what was registered is not to be used
        self._is_ours = False

    def close(self) -> None:
        """Let go of what was made; in a thread, as libraries may take long."""
        self._pictures = self._sound = None

    def successor(self) -> StreamEncoder:
        """Make the encoder to use when this one hangs, with a thread; ours, if that which hangs was registered."""
        successor = StreamEncoder()
        successor.epoch = self.epoch
        successor._is_ours = self._is_ours or (
            self._pictures is not None and self._pictures.registered is not None
        )
        return successor

    def encode(self, request: EncodeRequest) -> EncodedPayloads | None:
        """Encode one frame; None when the encoder wants more first."""
        started = time.perf_counter()
        frame = request.frame
        if isinstance(frame, Packet):
            result = self._pack(request.format, frame, request.layers)
        elif isinstance(frame, VideoFrame):
            result = self._encode_video(request, frame)
        elif isinstance(frame, AudioFrame):
            result = self._encode_audio(request, frame)
        else:
            raise TypeError(f"a track gives frames or packets of PyAV, not {type(frame).__name__}")
        if result is None:
            return None
        return replace(result, seconds=time.perf_counter() - started, target=self.target)

    def pack(
        self,
        form: PayloadFormat,
        data: bytes,
        time: int,
        time_base: Fraction,
        *,
        is_key: bool,
        layered: LayeredPicture | None = None,
    ) -> EncodedPayloads | None:
        """Cut a frame that is encoded already into payloads; None if there is nothing in it.

        Args:
            time: presentation time in ticks of `time_base`.
            layered: the picture's place in temporal layers, if there are any.
        """
        times: tuple[int, ...] = ()
        if form.name in sound.FORMATS:
            time = self.time_sound(form, time, time_base)
            payloads, times = [data], (time,)
        else:
            time = _in_ticks(form, time, time_base)
            encoder = self._pictures_of(form)
            encoder.is_key, encoder.size, encoder.layered = is_key, (0, 0), layered
            payloads = encoder.packetize(data)
        if not payloads or not data:
            return None
        return EncodedPayloads(payloads, time, self.epoch, is_key, 0, 0, times=times)

    def time_sound(self, form: PayloadFormat, time: int, time_base: Fraction) -> int:
        """The time of a piece of sound that is encoded already, in ticks of the codec's clock; it belongs to `epoch`.

        The piece is its one payload, as it is: nothing else has to be known of it.
        """
        self._sound_of(form)
        return _in_ticks(form, time, time_base)

    def _pictures_of(self, form: PayloadFormat, layers: int = 1) -> PictureEncoder:
        key = (form.name, form.codec.fmtp, layers)
        if self._pictures is None or key != self._key:
            self._pictures = choice.make_encoder(form.codec)
            self._pictures.layers = layers
            if self._is_ours:
                self._pictures.registered = None
            self._key = key
            self.epoch += 1
        return self._pictures

    def _sound_of(self, form: PayloadFormat) -> SoundEncoder:
        key = (form.name,)
        if self._sound is None or key != self._key:
            self._sound = SoundEncoder(form.name)
            self._key = key
            self.epoch += 1
        return self._sound

    def _pack(self, form: PayloadFormat, packet: Packet[Any], layers: int) -> EncodedPayloads | None:
        """A packet that is encoded already: only cut it."""
        is_sound = form.name in sound.FORMATS
        encoder = self._sound_of(form) if is_sound else self._pictures_of(form, layers)
        payloads, timestamp = encoder.pack(packet)
        if not payloads:
            return None
        times = (timestamp,) if is_sound else ()
        return EncodedPayloads(payloads, timestamp, self.epoch, bool(packet.is_keyframe), 0, 0, times=times)

    def _encode_video(self, request: EncodeRequest, frame: VideoFrame) -> EncodedPayloads | None:
        encoder = self._pictures_of(request.format, request.layers)
        turns = quarter_turns(frame)
        if turns and not request.tells_turns:
            frame, turns = self._turner.turn(frame, turns), 0
        picture = prepare_picture(frame, request)
        self._set_bitrate(encoder, request)
        payloads, timestamp = encoder.encode(picture, request.force_keyframe)
        self.rate_limit, self.implementation = encoder.rate_limit, encoder.implementation
        self.layers = encoder.layers_in_use
        self.is_hardware = encoder.registered is not None and encoder.registered.is_hardware
        if encoder.warning is not None:
            self.warning, encoder.warning = encoder.warning, None
        if not payloads:
            return None
        return EncodedPayloads(
            payloads,
            timestamp,
            self.epoch,
            encoder.is_key,
            *encoder.size,
            turns,
            is_held=self._is_held(encoder, request),
            scale=encoder.scale,
            layered=encoder.layered,
            divisor=request.divisor,
        )

    def _set_bitrate(self, encoder: PictureEncoder, request: EncodeRequest) -> None:
        if request.estimate is not None:
            # the property keeps it in the range that the codec is tuned for
            encoder.target_bitrate = request.estimate
        if request.max_bitrate is not None:
            wanted = request.max_bitrate
            if request.estimate is not None:
                wanted = min(wanted, request.estimate)
            encoder.set_target_bitrate(max(_VIDEO_BITRATE_MIN, wanted))
        if request.min_bitrate is not None:
            least = max(_VIDEO_BITRATE_MIN, request.min_bitrate)
            if request.max_bitrate is not None:
                least = min(least, max(_VIDEO_BITRATE_MIN, request.max_bitrate))
            # a low one is below the range, too
            borne = encoder.target_bitrate if request.estimate is None else request.estimate
            encoder.set_target_bitrate(max(least, min(encoder.target_bitrate, borne)))
        limit = request.bitrate_limit
        if limit is not None and encoder.target_bitrate > limit:
            encoder.set_target_bitrate(max(_VIDEO_BITRATE_MIN, limit))
        self.target = encoder.target_bitrate

    def _is_held(self, encoder: PictureEncoder, request: EncodeRequest) -> bool:
        """Whether only what the path bears keeps the encoder from the bitrate that it has without an estimate."""
        if request.estimate is None:
            return False
        wanted = encoder.bitrate_default if request.max_bitrate is None else request.max_bitrate
        if request.bitrate_limit is not None:
            wanted = min(wanted, request.bitrate_limit)
        return encoder.target_bitrate < min(wanted, encoder.bitrate_limit)

    def _encode_audio(self, request: EncodeRequest, frame: AudioFrame) -> EncodedPayloads | None:
        if request.disabled:
            frame = blank(frame)  # type: ignore[assignment]
        encoder = self._sound_of(request.format)
        self.target = None
        if request.format.name == "OPUS":
            low, high = _OPUS_BITRATE_RANGE
            bitrate = AUDIO_BITRATE
            if request.max_bitrate is not None:
                bitrate = max(low, min(high, request.max_bitrate))
            for limit in (request.bitrate_limit, _opus_limit(request.format)):
                if limit is not None:
                    bitrate = max(low, min(bitrate, limit))
            encoder.set_bitrate(bitrate)
            self.target = bitrate
        pieces = encoder.encode(frame)
        if not pieces:
            return None
        payloads, times = [payload for payload, _time in pieces], tuple([time for _payload, time in pieces])
        return EncodedPayloads(payloads, times[0], self.epoch, False, 0, 0, times=times)


def _opus_limit(form: PayloadFormat) -> int | None:
    """The most that the other end wants on average, in bit/s (RFC 7587 section 6.1); None if it does not say."""
    text = form.codec.parameter("maxaveragebitrate") or ""
    return int(text) if text.isdecimal() and len(text) < _BITRATE_DIGITS_MAX else None


def prepare_picture(frame: VideoFrame, request: EncodeRequest) -> VideoFrame:
    """The picture that the encoder gets: black, scaled, or a copy where others use the same object."""
    if request.disabled:
        frame = blank(frame)  # type: ignore[assignment]
    width, height = _sent_size(frame.width, frame.height, request)
    if (width, height) != (frame.width, frame.height):
        # both even, for the halved planes of colour
        width, height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        return frame.reformat(width=width, height=height, format="yuv420p")
    if request.shared and not request.disabled:
        # an encoder writes into the frame (picture type, time base)
        return copy_picture(frame)
    if frame.pict_type != PictureType.NONE:
        # what the picture was for a decoder says nothing to an encoder
        frame.pict_type = PictureType.NONE
    return frame


def _sent_size(width: int, height: int, request: EncodeRequest) -> tuple[int, int]:
    """Width and height of a picture as the encoding asks for it: never larger, and of the same shape."""
    if request.divisor > 1.0:
        sent = _sent_size(width, height, replace(request, divisor=1.0))
        return int(sent[0] / request.divisor), int(sent[1] / request.divisor)
    if request.scale_down_to is None:
        scale = request.scale_down_by
        return (int(width / scale), int(height / scale)) if scale > 1.0 else (width, height)
    long, short = max(width, height), min(width, height)
    most_long, most_short = max(request.scale_down_to), min(request.scale_down_to)
    # the side that is furthest above its limit decides
    most, side = (most_long, long) if most_long * short <= most_short * long else (most_short, short)
    return (width * most // side, height * most // side) if most < side else (width, height)


def copy_picture(frame: VideoFrame) -> VideoFrame:
    """A frame of its own with the same content."""
    source = frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
    if source is not frame:
        source.pts = frame.pts
        source.time_base = frame.time_base
        return source
    copy = VideoFrame(frame.width, frame.height, "yuv420p")
    for target, origin in zip(copy.planes, frame.planes, strict=True):
        if target.line_size == origin.line_size and target.buffer_size == origin.buffer_size:
            target.update(bytes(origin))
        else:
            size, view = min(target.line_size, origin.line_size), memoryview(origin)
            rows = [
                view[at : at + size] for at in range(0, origin.line_size * origin.height, origin.line_size)
            ]
            pad = bytes(target.line_size - size)
            target.update(b"".join(bytes(row) + pad for row in rows))
    copy.pts = frame.pts
    if frame.time_base is not None:
        copy.time_base = frame.time_base
    return copy
