"""The encoder, decoder and payload format of a negotiated video codec; which codecs libav has here at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import av
from av.codec import Codec as LibavCodec
from av.codec.codec import UnknownCodecError

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import annexb, av1, h264, h265, vp8, vp9
from rtcpeer.media.video.pictures import PictureDecoder, PictureEncoder
from rtcpeer.media.video.registered import registered_encoder
from rtcpeer.values import Codec

PIXELS_MAX = 4096 * 2304
"""The largest picture that is decoded, unless somebody says otherwise."""
# (encoder, decoder) by their names in libav; a build of PyAV may be without
_NEEDED = {
    "VP9": ("libvpx-vp9", "vp9"),
    "AV1": ("libsvtav1", "libdav1d"),
    "H265": ("libx265", "hevc"),
}
# the oldest libavcodec with which our encoder works. SVT-AV1 2 of PyAV 14's wheels keeps each picture until the next
# one comes, so that a still picture would never arrive; PyAV 15's wheels have SVT-AV1 3, which gives it at once.
_ENCODES_FROM = {"AV1": (61, 19, 101)}
_ENCODERS: dict[str, Callable[[Codec], PictureEncoder]] = {
    "VP8": lambda _codec: vp8.Vp8Encoder(),
    "H264": h264.H264Encoder,
    "VP9": lambda _codec: vp9.Vp9Encoder(),
    "AV1": lambda _codec: av1.Av1Encoder(),
    "H265": lambda _codec: h265.H265Encoder(),
}
_DECODERS: dict[str, type[PictureDecoder]] = {
    "VP8": vp8.Vp8Decoder,
    "H264": h264.H264Decoder,
    "VP9": vp9.Vp9Decoder,
    "AV1": av1.Av1Decoder,
    "H265": h265.H265Decoder,
}
_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "VP8": vp8.picture_size,
    "H264": h264.picture_size,
    "VP9": vp9.picture_size,
    "AV1": av1.picture_size,
    "H265": h265.picture_size,
}
_VP8, _H264 = (aiortc_adapter.codec_parameters(f"video/{name}", 90000, None) for name in ("VP8", "H264"))


def _join_vp8(payloads: list[bytes]) -> bytes:
    if not payloads[0] or not payloads[0][0] & 0x10:
        raise ValueError("the beginning of the picture is missing")
    return b"".join([aiortc_adapter.depayload(_VP8, payload) for payload in payloads])


def _join_h264(payloads: list[bytes]) -> bytes:
    return b"".join([_unit_of_h264(payload) for payload in payloads])


def _unit_of_h264(payload: bytes) -> bytes:
    if len(payload) == 1 and 0 < payload[0] & 0x1F < 24:
        # all of a unit that has only a header: the end of a sequence or of the stream
        return annexb.START_CODE + payload
    data: bytes = aiortc_adapter.depayload(_H264, payload)
    return data


_DEPACKETIZERS: dict[str, Callable[[list[bytes]], bytes]] = {
    "VP8": _join_vp8,
    "H264": _join_h264,
    "VP9": vp9.depacketize,
    "AV1": av1.depacketize,
    "H265": h265.depacketize,
}
_CONFIGURATION_TESTS: dict[str, Callable[[bytes], bool]] = {
    "H264": h264.is_configuration,
    "H265": h265.is_configuration,
}
NAMES = frozenset(_DEPACKETIZERS)
"""The video codecs whose payloads can be read, in upper case."""


@cache
def can_encode(name: str) -> bool:
    """Whether libav has here what our encoder of this codec needs."""
    if av.library_versions["libavcodec"] < _ENCODES_FROM.get(name, (0, 0, 0)):
        return False
    return name not in _NEEDED or _has(_NEEDED[name][0], "w")


@cache
def can_decode(name: str) -> bool:
    """Whether libav has here what our decoder of this codec needs."""
    return name not in _NEEDED or _has(_NEEDED[name][1], "r")


def _has(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        LibavCodec(name, mode)
    except UnknownCodecError:
        return False
    return True


def make_encoder(codec: Codec) -> PictureEncoder:
    """The encoder of a negotiated video codec; its parameters are the other end's.

    Raises:
        ValueError: there is none.
    """
    make = _ENCODERS.get(codec.name.upper())
    if make is None:
        raise ValueError(f"there is no encoder for {codec.mime_type}")
    encoder = make(codec)
    encoder.registered = registered_encoder(codec.name.upper())
    return encoder


def make_decoder(codec: Codec, pixels_max: int = PIXELS_MAX) -> aiortc_adapter.Decoder:
    """The decoder of a negotiated codec, of any kind.

    Args:
        pixels_max: of the largest picture that will be decoded.

    Raises:
        ValueError: there is none.
    """
    ours = _DECODERS.get(codec.name.upper())
    if ours is not None:
        return ours(pixels_max)
    return aiortc_adapter.get_decoder(
        aiortc_adapter.codec_parameters(codec.mime_type, codec.clock_rate, codec.channels)
    )


def picture_size(name: str, data: bytes) -> tuple[int, int] | None:
    """Width and height that an encoded picture announces, before it is decoded.

    Args:
        name: of the codec, in upper case.
        data: as `depacketize` gives it.

    Returns:
        None if it has the size of those before it.

    Raises:
        ValueError: its headers are malformed.
    """
    read = _SIZES.get(name)
    return None if read is None or not data else read(data)


def is_configuration(name: str, data: bytes) -> bool:
    """Whether these are parameter sets (or other words about pictures) without a picture: some cameras send them so."""
    test = _CONFIGURATION_TESTS.get(name)
    return test is not None and test(data)


def depacketize(name: str, payloads: list[bytes]) -> bytes:
    """The encoded picture in the payloads of one timestamp; what is no picture is taken as it is.

    Args:
        name: of the codec, in upper case.
        payloads: at least one.

    Raises:
        ValueError: they are malformed, or a piece of the picture is missing.
    """
    join = _DEPACKETIZERS.get(name)
    return b"".join(payloads) if join is None else join(payloads)
