"""VP8: payload format (RFC 7741) of what we send, what the header of a picture says, the coders."""

from __future__ import annotations

import os
import random
from typing import ClassVar

from av.frame import Frame
from av.video.codeccontext import VideoCodecContext

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import libvpx
from rtcpeer.media.video.layering import LayeredPicture
from rtcpeer.media.video.pictures import (
    FRAMERATE,
    KEYFRAME_DISTANCE,
    TIME_BASE,
    PictureDecoder,
    PictureEncoder,
)

# Payloads with the descriptor; above it stand at most 96 bytes of RTP, SRTP, UDP and IPv6.
_PAYLOAD_MAX = 1300
# The payload descriptor (section 4.2): X, N, S; I, L, T; a picture id of 15 bits (M); Y beside the temporal layer
_EXTENDED, _DISCARDABLE, _STARTS, _LONG_ID = 0x80, 0x20, 0x10, 0x8000
_HAS_PICTURE_ID, _HAS_BASE, _HAS_LAYER, _SYNC = 0x80, 0x40, 0x20, 0x20
_START_CODE = b"\x9d\x01\x2a"
_QUANTIZER = 2, 56
# Libvpx's presets for conversation: the faster the lower.
_CPU_USED, _NOISE_SENSITIVITY = -6, 4


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame (RFC 6386 section 9.1); None for others, which cannot change it."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != _START_CODE:
        return None
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def packetize(data: bytes, picture_id: int, layered: LayeredPicture | None = None) -> list[bytes]:
    """The payloads of one encoded picture.

    Args:
        data: the picture.
        picture_id: counts pictures, 15 bits.
        layered: its place in temporal layers, if there are any.
    """
    octet, fields = _EXTENDED, _HAS_PICTURE_ID
    tail = (picture_id & 0x7FFF | _LONG_ID).to_bytes(2, "big")
    if layered is not None:
        octet |= _DISCARDABLE if layered.is_discardable else 0
        fields |= _HAS_BASE | _HAS_LAYER
        tail += bytes((layered.base, layered.layer << 6 | (_SYNC if layered.is_sync else 0)))
    room = _PAYLOAD_MAX - 2 - len(tail)
    head = bytes((octet | _STARTS, fields)) + tail
    result = []
    for at in range(0, len(data), room):
        result.append(head + data[at : at + room])
        head = bytes((octet, fields)) + tail
    return result


def _threads(pixels: int) -> int:
    processors = os.cpu_count() or 1
    if pixels >= 1920 * 1080 and processors > 8:
        return 8
    if pixels > 1280 * 960 and processors >= 6:
        return 3
    return 2 if pixels > 640 * 480 and processors >= 3 else 1


class Vp8Encoder(PictureEncoder):
    """Libvpx in real time, with constant bitrate and key frames on demand only."""

    coder: ClassVar[str] = "libvpx"

    def __init__(self) -> None:
        super().__init__()
        self._picture_id = random.getrandbits(15)

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Implements `PictureEncoder.options`."""
        return {
            # libav makes it the buffer of the rate control: 1 s
            "bufsize": str(bitrate),
            # with the same rate as least and most, the rate is constant
            "minrate": str(bitrate),
            "maxrate": str(bitrate),
            "cpu-used": str(_CPU_USED),
            "deadline": "realtime",
            "lag-in-frames": "0",
            "noise-sensitivity": str(_NOISE_SENSITIVITY),
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "partitions": "0",
            "static-thresh": "1",
        }

    def open_libvpx(self, width: int, height: int, bitrate: int) -> libvpx.LibvpxEncoder | None:
        """Implements `PictureEncoder.open_libvpx`."""
        return libvpx.open_encoder(
            "vp8",
            size=(width, height),
            bitrate=bitrate,
            quantizer=_QUANTIZER,
            threads=_threads(width * height),
            key_distance=KEYFRAME_DISTANCE,
            time_base=TIME_BASE,
            duration=TIME_BASE.denominator // FRAMERATE,
            controls={
                libvpx.CPU_USED: _CPU_USED,
                libvpx.NOISE_SENSITIVITY: _NOISE_SENSITIVITY,
                libvpx.STATIC_THRESHOLD: 1,
                libvpx.TOKEN_PARTITIONS: 0,
            },
            layers=self.layers,
        )

    def adapt(self, codec: VideoCodecContext) -> None:
        """Implements `PictureEncoder.adapt`."""
        codec.qmin, codec.qmax = _QUANTIZER
        codec.thread_count = _threads(codec.width * codec.height)

    def packetize(self, data: bytes) -> list[bytes]:
        """Implements `PictureEncoder.packetize`."""
        self._picture_id = self._picture_id + 1 & 0x7FFF
        return packetize(data, self._picture_id, self.layered)


class Vp8Decoder(PictureDecoder):
    """Libvpx. It takes any size, so that is looked at before it is asked."""

    coder: ClassVar[str] = "libvpx"

    def __init__(self, pixels_max: int) -> None:
        super().__init__(pixels_max)
        self._pixels_max = pixels_max

    def decode(self, encoded_frame: aiortc_adapter.JitterFrame) -> list[Frame]:
        """Decode one picture.

        Raises:
            ValueError: it is larger than the limit.
        """
        width, height = picture_size(encoded_frame.data) or (0, 0)
        if width * height > self._pixels_max:
            raise ValueError(f"a VP8 picture of {width} x {height} is above the limit")
        return super().decode(encoded_frame)
