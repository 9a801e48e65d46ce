"""Turning frames into payloads: one encoder per stream, run in a thread of the pool.

The encoder is made anew when what it is fed or told changes in a way that it cannot follow.
Owns: the encoder and what it counted. Never: sends, waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from av import AudioFrame, AudioResampler, VideoFrame
from av.frame import Frame
from av.packet import Packet
from av.video.frame import PictureType

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.frames import blank
from rtcpeer.media.orientation import Turner, quarter_turns
from rtcpeer.media.video import choice
from rtcpeer.media.video.pictures import PictureEncoder

# RFC 7587 section 6.1 and aiortc's choice for Opus
AUDIO_BITRATE = 96000
_OPUS_BITRATE_RANGE = (6000, 510000)
_VIDEO_BITRATE_MIN = 30000


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """What to do with one frame.

    Attributes:
        shared: somebody else uses the same frame object now.
        disabled: the track is disabled: silence or black.
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


@dataclass(frozen=True, slots=True)
class EncodedPayloads:
    """One encoded frame; `timestamp` is in ticks of the codec's clock and belongs to `epoch`.

    Attributes:
        turns: quarter turns clockwise that make the picture upright.
    """

    payloads: list[bytes]
    timestamp: int
    epoch: int
    is_key: bool
    width: int
    height: int
    turns: int = 0


class StreamEncoder:
    """The encoder of one stream. `encode` is called by one thread at a time.

    Attributes:
        epoch: counts the encoders: timestamps of different ones have nothing to do with each other.
        frames, key_frames, encode_time, target: for statistics.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.frames = 0
        self.key_frames = 0
        self.encode_time = 0.0
        self.target: int | None = None
        self.encoded_bytes_target = 0.0
        self._encoder: aiortc_adapter.Encoder | None = None
        self._key: tuple[object, ...] = ()
        self._resampler: AudioResampler | None = None
        self._resampler_key: tuple[object, ...] = ()
        self._turner = Turner()

    def encode(self, request: EncodeRequest) -> EncodedPayloads | None:
        """Encode one frame; None when the encoder wants more first."""
        started = time.perf_counter()
        frame = request.frame
        if isinstance(frame, Packet):
            result = self._pack(request, frame)
        elif isinstance(frame, VideoFrame):
            result = self._encode_video(request, frame)
        elif isinstance(frame, AudioFrame):
            result = self._encode_audio(request, frame)
        else:
            raise TypeError(f"a track gives frames or packets of PyAV, not {type(frame).__name__}")
        self.encode_time += time.perf_counter() - started
        if result is not None:
            self.frames += 1
            self.key_frames += result.is_key
        return result

    def _ensure(self, request: EncodeRequest, *what: object) -> aiortc_adapter.Encoder:
        codec = request.format.codec
        key = (codec.name.upper(), codec.fmtp, *what)
        if self._encoder is None or key != self._key:
            self._encoder = choice.make_encoder(codec)
            self._key = key
            self.epoch += 1
        return self._encoder

    def _pack(self, request: EncodeRequest, packet: Packet[Any]) -> EncodedPayloads | None:
        """A packet that is encoded already: only cut it."""
        encoder = self._ensure(request, "packets")
        payloads, timestamp = encoder.pack(packet)
        if not payloads:
            return None
        return EncodedPayloads(payloads, timestamp, self.epoch, bool(packet.is_keyframe), 0, 0)

    def _encode_video(self, request: EncodeRequest, frame: VideoFrame) -> EncodedPayloads | None:
        encoder = self._ensure(request)
        turns = quarter_turns(frame)
        if turns and not request.tells_turns:
            frame, turns = self._turner.turn(frame, turns), 0
        picture = prepare_picture(frame, request)
        self._set_bitrate(encoder, request)
        payloads, timestamp = encoder.encode(picture, request.force_keyframe)
        if not payloads:
            return None
        name = request.format.name
        first = payloads[0]
        is_key, size = request.force_keyframe, (picture.width, picture.height)
        if isinstance(encoder, PictureEncoder):
            is_key, size = encoder.is_key, encoder.size
        elif name == "VP8":
            # behind the descriptor of 4 bytes that aiortc writes (RFC 7741 section 4.2)
            is_key = len(first) > 4 and not first[4] & 1
        elif name == "H264":
            is_key = any(_starts_idr(payload) for payload in payloads[:4])
        return EncodedPayloads(payloads, timestamp, self.epoch, is_key, *size, turns)

    def _set_bitrate(self, encoder: aiortc_adapter.Encoder, request: EncodeRequest) -> None:
        if request.estimate is not None and hasattr(encoder, "target_bitrate"):
            # the property keeps it in the range that the codec is tuned for
            encoder.target_bitrate = request.estimate
        if request.max_bitrate is not None:
            wanted = request.max_bitrate
            if request.estimate is not None:
                wanted = min(wanted, request.estimate)
            _aim_at(encoder, wanted)
        limit, target = request.bitrate_limit, aiortc_adapter.target_bitrate(encoder)
        if limit is not None and target is not None and target > limit:
            _aim_at(encoder, limit)
        self.target = aiortc_adapter.target_bitrate(encoder)
        self.encoded_bytes_target += (self.target or 0) / 8 / 30

    def _encode_audio(self, request: EncodeRequest, frame: AudioFrame) -> EncodedPayloads | None:
        if request.disabled:
            frame = blank(frame)  # type: ignore[assignment]
        frame = self._to_s16(frame)
        rate, layout = frame.sample_rate, frame.layout.name
        bitrate = None
        if request.format.name == "OPUS":
            low, high = _OPUS_BITRATE_RANGE
            bitrate = AUDIO_BITRATE
            if request.max_bitrate is not None:
                bitrate = max(low, min(high, request.max_bitrate))
            if request.bitrate_limit is not None:
                bitrate = max(low, min(bitrate, request.bitrate_limit))
        encoder = self._ensure(request, rate, layout, bitrate)
        if bitrate is not None and bitrate != AUDIO_BITRATE:
            aiortc_adapter.set_audio_bitrate(encoder, bitrate)
        self.target = bitrate
        payloads, timestamp = encoder.encode(frame)
        if not payloads or timestamp is None:
            return None
        return EncodedPayloads(payloads, timestamp, self.epoch, False, 0, 0)

    def _to_s16(self, frame: AudioFrame) -> AudioFrame:
        """Aiortc's audio encoders take 16-bit mono or stereo only."""
        name, layout = frame.format.name, frame.layout.name
        if name == "s16" and layout in ("mono", "stereo"):
            return frame
        target = "mono" if len(frame.layout.channels) == 1 else "stereo"
        key = (name, layout, frame.sample_rate)
        if self._resampler is None or key != self._resampler_key:
            self._resampler = AudioResampler(format="s16", layout=target, rate=frame.sample_rate)
            self._resampler_key = key
        converted = self._resampler.resample(frame)
        return converted[0] if converted else frame


def _aim_at(encoder: aiortc_adapter.Encoder, bitrate: int) -> None:
    """Let an encoder of pictures aim at a bitrate, or at the least that makes a picture."""
    bitrate = max(_VIDEO_BITRATE_MIN, bitrate)
    if isinstance(encoder, PictureEncoder):
        encoder.set_target_bitrate(bitrate)
    else:
        aiortc_adapter.set_target_bitrate(encoder, bitrate)


def prepare_picture(frame: VideoFrame, request: EncodeRequest) -> VideoFrame:
    """The picture that the encoder gets: black, scaled, or a copy where others use the same object."""
    if request.disabled:
        frame = blank(frame)  # type: ignore[assignment]
    if request.scale_down_by > 1.0:
        # both even, for the halved planes of colour
        width = max(2, int(frame.width / request.scale_down_by) // 2 * 2)
        height = max(2, int(frame.height / request.scale_down_by) // 2 * 2)
        return frame.reformat(width=width, height=height, format="yuv420p")
    if request.shared and not request.disabled:
        # an encoder writes into the frame (picture type, time base)
        return copy_picture(frame)
    if frame.pict_type != PictureType.NONE:
        # what the picture was for a decoder says nothing to an encoder
        frame.pict_type = PictureType.NONE
    return frame


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


def _starts_idr(payload: bytes) -> bool:
    """Whether an H.264 payload (RFC 6184) holds the beginning of an IDR picture or its parameter sets."""
    kind = payload[0] & 0x1F
    if kind == 28 and len(payload) > 1:
        return payload[1] & 0x1F == 5 and bool(payload[1] & 0x80)
    if kind == 24 and len(payload) > 3:
        return payload[3] & 0x1F in (5, 7)
    return kind in (5, 7)
