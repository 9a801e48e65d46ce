"""Encoders and decoders of pictures on libav, for the codecs that aiortc has not: what they have in common.

An encoder takes a frame and gives payloads, in one step and without delay. When its size changes, a new one takes its
place, which begins with a key frame; so it is for the bitrate where the library cannot change it at run time (SVT-AV1
and x265 through libav, registered encoders). Its time is its own and only goes forward, whatever those of frames do.
Owns: contexts of libav. Never: how a codec's payloads look (each codec's module knows).
"""

from __future__ import annotations

import fractions
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from av import CodecContext, VideoFrame
from av.codec.context import Flags
from av.frame import Frame
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from rtcpeer.errors import OperationError
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.media.video.layering import LayeredPicture
from rtcpeer.media.video.libvpx import LibvpxEncoder
from rtcpeer.media.video.registered import RegisteredEncoder

CLOCK_RATE = 90000
TIME_BASE = fractions.Fraction(1, CLOCK_RATE)
# Payloads stay below this: with RTP header, extensions, SRTP, UDP and IPv6 that is within 1280 bytes + a margin.
PAYLOAD_MAX = 1180
FRAMERATE = 30
# What the bandwidth estimation may ask for; `maxBitrate` may go beyond.
BITRATE_DEFAULT = 500_000
BITRATE_MIN = 100_000
BITRATE_MAX = 2_500_000
# Where a new bitrate needs a new encoder: that begins with a key frame, which costs ten others, and just when there is
# too little for it. So it follows an estimate at once only where that has changed by much, and by less than that only
# so many ticks after the last one, or with a key frame that is asked for; meanwhile pictures are left out
# (`frame_budget`) where too much is made.
_DOWN_AT_ONCE, _UP_AT_ONCE = 0.7, 1.5
_DOWN, _UP, _BITRATE_INTERVAL = 0.9, 1.25, 2 * CLOCK_RATE
_DOWN_WITH_KEY, _UP_WITH_KEY = 0.95, 1.05
# Steps of a track's time beyond this (in ticks) are a new time line.
_STEP_MAX = 5 * CLOCK_RATE
# The largest picture that is sent, in either orientation: what receivers decode, in hardware too; ours by default.
LONG_SIDE_MAX, SHORT_SIDE_MAX = 4096, 2304
# Pictures that are too large are made smaller in such steps.
_SCALE_STEP = 0.99
# A registered encoder that has given nothing for so many pictures does not work.
_SWALLOWED_MAX = 30
# No picture needs key frames that nobody asked for.
KEYFRAME_DISTANCE = 30_000


def threads_for(width: int, height: int) -> int:
    """How many threads one picture is worth; other connections want processors too."""
    processors = os.cpu_count() or 1
    if width * height > 1280 * 720 and processors >= 4:
        return 4
    return 2 if width * height > 640 * 480 and processors >= 2 else 1


def ticks(pts: int | None, time_base: fractions.Fraction | None) -> int:
    """A time in ticks of the video clock.

    Raises:
        ValueError: the frame has no time.
    """
    if pts is None or time_base is None:
        raise ValueError("a picture needs pts and time_base")
    return int(pts * time_base * CLOCK_RATE)


PictureContext = VideoCodecContext | LibvpxEncoder
"""An encoder of pictures of one size: libav's or libvpx itself."""


class PictureEncoder(ABC):
    """An encoder with one codec's settings.

    Attributes:
        is_key: whether the picture encoded last can be decoded by itself.
        size: its width and height, as encoded; (0, 0) when they are not known.
        scale: below 1.0 where it had to be made smaller, for the codec or for what the other end takes.
        layers: how many temporal layers are asked for, 1 to 3; it is set before the first picture.
        layered: the place in them of the picture encoded last, where its encoder has them.
        registered: the program's own choice of an encoder, as long as it works.
        warning: why it is not used any more; for who reports it, and takes it away.
    """

    # name of the encoder in libav
    coder: ClassVar[str]
    # the shortest side of pictures that it takes; smaller ones are enlarged
    smallest: ClassVar[int] = 2
    bitrate_default: ClassVar[int] = BITRATE_DEFAULT

    def __init__(self) -> None:
        self.is_key: bool = False
        self.size: tuple[int, int] = (0, 0)
        self.scale: float = 1.0
        self.layers: int = 1
        self.layered: LayeredPicture | None = None
        self.registered: RegisteredEncoder | None = None
        self.warning: OperationError | None = None
        # pictures that the registered encoder has taken since it gave something
        self._swallowed = 0
        self._codec: PictureContext | None = None
        self._bitrate = self.bitrate_default
        # what the bitrate of the encoder in use can be changed to; 0: it cannot be changed
        self._ceiling = 0
        # what `_fit` found for a size; pictures of one track have one
        self._fitted: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
        # the encoder's own time line, which only ever goes forward
        self._source: int | None = None
        self._time = 0

    @abstractmethod
    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Settings for conversation: no delay, constant bitrate, key frames on demand only."""

    @abstractmethod
    def packetize(self, data: bytes) -> list[bytes]:
        """The payloads of one encoded picture, of which `is_key` and `size` tell."""

    def foreign_options(self) -> dict[str, str]:
        """The options that any encoder of this codec has to be told of the other end."""
        return {}

    def adapt(self, codec: VideoCodecContext) -> None:  # noqa: B027 - most have none
        """Further settings of a context that is about to be opened."""

    def ceiling(self, bitrate: int) -> int:
        """The most that one of libav's contexts, opened for a bitrate, can be changed to; 0: it cannot be changed.

        The context is opened for that most, so the options are those for it.
        """
        return 0

    def open_libvpx(self, width: int, height: int, bitrate: int) -> LibvpxEncoder | None:
        """An encoder of libvpx itself, if it has this codec and can be called from here."""
        return None

    def picture_format(self, frame: VideoFrame) -> str:
        """The pixel format in which a frame is encoded."""
        return "yuv420p"

    def allows(self, width: int, height: int) -> bool:
        """Whether pictures of this size may be sent; larger ones are scaled down until they may."""
        return max(width, height) <= LONG_SIDE_MAX and min(width, height) <= SHORT_SIDE_MAX

    @property
    def implementation(self) -> str:
        """Libav's name of the encoder in use."""
        return self.coder if self.registered is None else self.registered.name

    @property
    def layers_in_use(self) -> int:
        """How many temporal layers the encoder in use makes."""
        return self._codec.layers if isinstance(self._codec, LibvpxEncoder) else 1

    @property
    def bitrate_limit(self) -> int:
        """The most that may be sent, in bit/s."""
        return 1 << 31

    @property
    def rate_limit(self) -> float | None:
        """How many pictures a second may be sent, of the size of the last one; None for any number."""
        return None

    @property
    def target_bitrate(self) -> int:
        """The target bitrate in bit/s. Setting it keeps it within what is good for a picture of usual size."""
        return self._bitrate

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._bitrate = min(max(BITRATE_MIN, min(bitrate, BITRATE_MAX)), self.bitrate_limit)

    def set_target_bitrate(self, bitrate: int) -> None:
        """Set it beyond that."""
        self._bitrate = min(bitrate, self.bitrate_limit)

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Encode one picture: its payloads and its time in ticks.

        Raises:
            ValueError: the frame has no time.
            FFmpegError: libav's encoder refuses it.
        """
        if not isinstance(frame, VideoFrame):
            raise TypeError(f"a picture is needed, not {type(frame).__name__}")
        timestamp = ticks(frame.pts, frame.time_base)
        if self.registered is not None:
            try:
                return self._encode_at(timestamp, frame, force_keyframe), timestamp
            except Exception as exc:
                self._fall_back(self.registered, exc)
                force_keyframe = True
        return self._encode_at(timestamp, frame, force_keyframe), timestamp

    def _encode_at(self, timestamp: int, frame: VideoFrame, force_keyframe: bool) -> list[bytes]:
        picture = self._fit(frame)
        codec = self._codec
        if (
            codec is None
            or (codec.width, codec.height, codec.pix_fmt)
            != (picture.width, picture.height, picture.format.name)
            or not self._follows(codec, force_keyframe)
        ):
            codec = self._codec = self._open(picture)
            self._source, self._time = None, 0
        step = 0 if self._source is None else timestamp - self._source
        self._source = timestamp
        self._time += step if 0 < step < _STEP_MAX else CLOCK_RATE // FRAMERATE
        packets = self._encode(codec, picture, force_keyframe)
        data = b"".join([bytes(packet) for packet in packets])
        self.is_key = any(packet.is_keyframe for packet in packets)
        self.size = (picture.width, picture.height)
        self.layered = codec.layered if isinstance(codec, LibvpxEncoder) else None
        if data:
            self._swallowed = 0
            return self.packetize(data)
        self._swallowed += 1
        if self.registered is not None and self._swallowed >= _SWALLOWED_MAX:
            raise OperationError(f"it has taken {self._swallowed} pictures and given none")
        return []

    def _follows(self, codec: PictureContext, is_forced: bool) -> bool:
        """Have the encoder aim at the present bitrate; False where that is worth a new one."""
        if isinstance(codec, LibvpxEncoder) or self._bitrate <= self._ceiling:
            if codec.bit_rate != self._bitrate:
                codec.bit_rate = self._bitrate
            return True
        change = self._bitrate / (codec.bit_rate or 1)
        if is_forced and not _DOWN_WITH_KEY <= change <= _UP_WITH_KEY:
            return False
        if not _DOWN_AT_ONCE <= change <= _UP_AT_ONCE:
            return False
        return self._time < _BITRATE_INTERVAL or _DOWN <= change <= _UP

    def _fall_back(self, registered: RegisteredEncoder, reason: Exception) -> None:
        """Use our own encoder from now on."""
        self.warning = OperationError(
            f"the registered encoder {registered.name} does not work, {self.coder} is used instead: {reason}"
        )
        self.warning.__cause__ = reason
        self.registered = self._codec = None

    def pack(self, packet: Packet[Any]) -> tuple[list[bytes], int]:
        """Cut a picture that is encoded already: its payloads and its time in ticks."""
        self.is_key = bool(packet.is_keyframe)
        self.size, self.layered = (0, 0), None
        return self.packetize(bytes(packet)), ticks(packet.pts, packet.time_base)

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        """The frame in a size and format that the encoder takes and the other end decodes."""
        given = (frame.width, frame.height)
        if self._fitted[0] != given:
            fitted, self.scale = self._fit_size(*given)
            self._fitted = (given, fitted)
        size, registered = self._fitted[1], self.registered
        form = self.picture_format(frame) if registered is None else registered.pixels
        if size == given and form == frame.format.name:
            return frame
        return frame.reformat(width=size[0], height=size[1], format=form)

    def _fit_size(self, width: int, height: int) -> tuple[tuple[int, int], float]:
        """Even sides, as near to those given and their proportion as the codec allows; and the scale."""
        least, most = self.smallest, LONG_SIDE_MAX
        scale = max(1.0, least / min(width, height))
        scale = min(scale, most / max(width, height))
        while True:
            sides = [max(least, min(most, round(side * scale) // 2 * 2)) for side in (width, height)]
            if sides == [least, least] or self.allows(*sides):
                return (sides[0], sides[1]), scale
            scale *= _SCALE_STEP

    def _open(self, picture: VideoFrame) -> PictureContext:
        registered = self.registered
        bitrate, self._ceiling = self._bitrate, 0
        if registered is None:
            direct = self.open_libvpx(picture.width, picture.height, bitrate)
            if direct is not None:
                return direct
            self._ceiling = self.ceiling(bitrate)
        codec = CodecContext.create(self.implementation, "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height = picture.width, picture.height
        codec.pix_fmt = picture.format.name
        codec.bit_rate = self._ceiling or bitrate
        codec.time_base = TIME_BASE
        codec.framerate = fractions.Fraction(FRAMERATE, 1)
        codec.gop_size = KEYFRAME_DISTANCE
        if registered is None:
            codec.options = self.options(picture.width, picture.height, self._ceiling or bitrate)
            self.adapt(codec)
        else:
            codec.options = {**self.foreign_options(), **dict(registered.options)}
            codec.max_b_frames = 0
        # not by the first picture: SVT-AV1 raises the priority of every thread that it sees when it is opened
        with ordinary_scheduling():
            codec.open()
        codec.bit_rate = bitrate
        return codec

    def _encode(self, codec: PictureContext, picture: VideoFrame, is_forced: bool) -> list[Packet[Any]]:
        """Encode on the encoder's own time line; the frame is as before afterwards, it may be the user's."""
        pts, time_base = picture.pts, picture.time_base
        try:
            picture.pts, picture.time_base = self._time, TIME_BASE
            picture.pict_type = PictureType.I if is_forced else PictureType.NONE
            return codec.encode(picture)
        except BaseException:
            # one that has failed may crash when it is used again: the next picture gets a new one
            self._codec = None
            raise
        finally:
            picture.pict_type = PictureType.NONE
            picture.pts = pts
            if time_base is not None:
                picture.time_base = time_base


class PictureDecoder(aiortc_adapter.Decoder):
    """A decoder: a whole encoded picture in, frames of 8 bits and halved colour out, at once.

    Args:
        pixels_max: a larger picture is refused, as libav counts it. libvpx does not: see `choice.picture_size`.
    """

    coder: ClassVar[str]
    """Libav's name of the decoder."""
    low_delay: ClassVar[bool] = True
    """Whether pictures leave in the order in which they come."""

    def __init__(self, pixels_max: int) -> None:
        codec = CodecContext.create(self.coder, "r")
        assert isinstance(codec, VideoCodecContext)
        # one thread and no frame kept back: each picture leaves when it has come
        codec.thread_count = 1
        if self.low_delay:
            codec.flags |= Flags.low_delay
        # what is allocated is a little more than the picture
        codec.options = {"max_pixels": str(pixels_max * 9 // 8)}
        self._codec = codec

    def decode(self, encoded_frame: aiortc_adapter.JitterFrame) -> list[Frame]:
        """Decode one picture; raises what libav raises."""
        packet: Packet[Any] = Packet(encoded_frame.data)
        packet.pts = encoded_frame.timestamp
        packet.time_base = TIME_BASE
        return [_plain(frame) for frame in self._codec.decode(packet) if isinstance(frame, VideoFrame)]


def _plain(frame: VideoFrame) -> VideoFrame:
    """The frame as all programs expect it: 4:2:0 with 8 bits."""
    if frame.format.name in ("yuv420p", "yuvj420p"):
        return frame
    plain = frame.reformat(format="yuv420p")
    plain.pts = frame.pts
    if frame.time_base is not None:
        plain.time_base = frame.time_base
    return plain
