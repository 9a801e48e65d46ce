"""H.264: parameter sets, a decoder, and the encoder of the profiles that are negotiated.

Payloads of packetization mode 1 are aiortc's (RFC 6184); in mode 0, where packets are single NAL units, the encoder
cuts pictures into slices that are small enough. What is sent keeps to the level of the other end's decoder (see
`h264_levels`): larger pictures are scaled down, and too many of them left out.
"""

from __future__ import annotations

from typing import ClassVar

from av import VideoFrame

from rtcpeer.errors import OperationError
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import annexb
from rtcpeer.media.video.bits import BitReader
from rtcpeer.media.video.h264_levels import HIGH, HIGH_444, limits_of, macroblocks
from rtcpeer.media.video.pictures import (
    BITRATE_MAX,
    PAYLOAD_MAX,
    PictureDecoder,
    PictureEncoder,
    threads_for,
)
from rtcpeer.values import Codec

_FULL_COLOUR = (
    "yuv444p",
    "yuvj444p",
    "rgb24",
    "bgr24",
    "rgba",
    "bgra",
    "argb",
    "abgr",
    "gbrp",
    "bgr0",
    "rgb0",
)
# What the Baseline profile lacks (annex A.2.1). X264's names of profiles are no options with libav 7.1.0 (PyAV 14).
_X264_BASELINE = "cabac=0:8x8dct=0:weightp=0"
# In packetization mode 0 a unit that is larger than this cannot be sent: as large as single ones in mode 1 may be.
UNIT_MAX = 1300
# How encoders of libav are told the size of a slice, in bytes.
_SLICE_OPTIONS: dict[str, dict[str, str]] = {
    "h264_qsv": {"max_slice_size": str(PAYLOAD_MAX)},
    "libopenh264": {"max_nal_size": str(PAYLOAD_MAX)},
}
# No key frames that nobody asked for.
_X264_LIVE = "scenecut=0"
# The buffer of the rate control, in seconds of the most that an encoder may be changed to: it cannot be changed itself.
_BUFFER = 0.2
# An encoder is opened for so many times the bitrate, as that cannot rise beyond what it was opened for.
_HEADROOM = 2
_SEQUENCE_PARAMETERS = 7
# Section 7.3.2.1.1: profiles whose parameter sets say more of colours and scaling
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
# As much of a parameter set as is read, in bytes: scaling lists are the longest part.
_PARAMETERS_MAX = 1024


def is_configuration(data: bytes) -> bool:
    """Whether a byte stream has units, and no slice of a picture (table 7-1: types 1 to 5) among them."""
    return all(not 0 < unit[0] & 0x1F < 6 for unit in annexb.units(data))


def picture_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height that the sequence parameter sets of a byte stream announce; None without one.

    What is cropped counts as well: it is decoded.

    Raises:
        ValueError: a parameter set is malformed.
    """
    sizes = [_sequence_size(unit) for unit in annexb.units(data) if unit[0] & 0x1F == _SEQUENCE_PARAMETERS]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _sequence_size(unit: bytes) -> tuple[int, int]:
    bits = BitReader(annexb.plain(unit, _PARAMETERS_MAX)[1:])
    profile = bits.read(24) >> 16
    bits.unsigned()
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.unsigned()
        if chroma == 3:
            bits.read(1)
        bits.unsigned()
        bits.unsigned()
        bits.read(1)
        if bits.read(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.unsigned()
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()
    bits.read(1)
    width, height = bits.unsigned() + 1, bits.unsigned() + 1
    return 16 * width, 16 * height * (2 - bits.read(1))


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """Section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) & 0xFF
        last = following or last


class H264Encoder(PictureEncoder):
    """X264 without delay, in one profile and within one level.

    Args:
        codec: as negotiated; its parameters are the other end's.
    """

    coder: ClassVar[str] = "libx264"
    smallest: ClassVar[int] = 16
    bitrate_default: ClassVar[int] = 1_000_000

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        profile = (codec.parameter("profile-level-id") or "")[:2].upper()
        self._is_high = profile in (f"{HIGH:X}", f"{HIGH_444:X}")
        # High 4:4:4 Predictive keeps the colours of pictures that have them in full; others are encoded as High,
        # which each decoder of that profile takes
        self._keeps_colour = profile == f"{HIGH_444:X}"
        self._limits = limits_of(codec)
        # without the parameter it is mode 0 (RFC 6184 section 8.1)
        self._is_single = (codec.parameter("packetization-mode") or "0") == "0"

    def picture_format(self, frame: VideoFrame) -> str:
        """Implements `PictureEncoder.picture_format`."""
        return "yuv444p" if self._keeps_colour and frame.format.name in _FULL_COLOUR else "yuv420p"

    def allows(self, width: int, height: int) -> bool:
        """Implements `PictureEncoder.allows`."""
        return self._limits.fits(width, height) and super().allows(width, height)

    @property
    def bitrate_limit(self) -> int:
        """Implements `PictureEncoder.bitrate_limit`."""
        return self._limits.bitrate

    @property
    def rate_limit(self) -> float | None:
        """Implements `PictureEncoder.rate_limit`."""
        width, height = self.size
        return self._limits.per_second / macroblocks(width, height) if width else None

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """Implements `PictureEncoder.options`."""
        return {
            "preset": "veryfast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "level": str(self._limits.level),
            "maxrate": str(bitrate),
            "bufsize": str(int(_BUFFER * bitrate)),
            "threads": str(threads_for(width, height)),
            "x264-params": self._x264_parameters(),
        }

    def ceiling(self, bitrate: int) -> int:
        """Implements `PictureEncoder.ceiling`: x264 changes a constant bitrate at run time, but not its buffer."""
        return min(self.bitrate_limit, max(BITRATE_MAX, _HEADROOM * bitrate))

    def _x264_parameters(self) -> str:
        parts = [_X264_LIVE] if self._is_high else [_X264_LIVE, _X264_BASELINE]
        if self._is_single:
            parts.append(f"slice-max-size={PAYLOAD_MAX}")
        return ":".join(parts)

    def foreign_options(self) -> dict[str, str]:
        """Implements `PictureEncoder.foreign_options`."""
        name = self.implementation
        if name == self.coder:
            return {"x264-params": self._x264_parameters()}
        options = dict(_SLICE_OPTIONS.get(name, ())) if self._is_single else {}
        if name.endswith("_amf"):
            options["profile"] = "high" if self._is_high else "constrained_baseline"
        elif name.endswith("_nvenc"):
            options["profile"] = "high" if self._is_high else "baseline"
        return options

    def packetize(self, data: bytes) -> list[bytes]:
        """Implements `PictureEncoder.packetize`.

        Raises:
            OperationError: a NAL unit is larger than a packet, and the other end takes no fragments.
        """
        units = list(annexb.units(data))
        if not self._is_single:
            return aiortc_adapter.packetize_h264(units)
        # RFC 6184 section 6.2: single NAL unit packets only; a picture may have any number of them (5.6)
        if any(len(unit) > UNIT_MAX for unit in units):
            raise OperationError(
                f"a NAL unit is larger than one packet ({UNIT_MAX} bytes), and the other end takes H.264 in "
                f"packetization mode 0 alone: encode slices of at most {PAYLOAD_MAX} bytes"
            )
        return units


class H264Decoder(PictureDecoder):
    """Libav's own; cameras send pictures out of their order, so it may keep some back."""

    coder: ClassVar[str] = "h264"
    low_delay: ClassVar[bool] = False
