"""Encoders of libav that a program has chosen in place of ours: those of graphics cards and video processors.

One per codec, for the whole process. Owns: the table. Never: encodes, or falls back (see `pictures`).
"""

from __future__ import annotations

from collections.abc import Mapping

from av.codec import Codec as LibavCodec
from av.codec.codec import UnknownCodecError

from rtcpeer.errors import NotSupportedError
from rtcpeer.records import record

# An encoder of libav of each codec, to compare with
_LIBAV_NAMES = {"VP8": "vp8", "VP9": "vp9", "H264": "h264", "AV1": "av1", "H265": "hevc"}
# Ends of the names of hardware's encoders, and what makes them give each picture at once and key frames on demand
_LOW_DELAY: dict[str, dict[str, str]] = {
    "_nvenc": {"tune": "ull", "zerolatency": "1", "delay": "0", "rc": "cbr", "forced-idr": "1"},
    "_qsv": {"async_depth": "1", "forced_idr": "1"},
    "_amf": {"usage": "ultralowlatency", "rc": "cbr"},
    "_v4l2m2m": {},
    "_videotoolbox": {"realtime": "1"},
    "_mf": {"scenario": "video_conference", "hw_encoding": "1"},
}


@record(frozen=True, slots=True)
class RegisteredEncoder:
    """An encoder of libav.

    Attributes:
        name: in libav.
        options: of libav, as they were given, over those for low delay.
        pixels: the pixel format in which it takes pictures.
        is_hardware: whether it is known to be hardware's.
    """

    name: str
    options: tuple[tuple[str, str], ...]
    pixels: str
    is_hardware: bool


_registered: dict[str, RegisteredEncoder] = {}


def registered_encoder(name: str) -> RegisteredEncoder | None:
    """The encoder that was registered for a codec, by its name in upper case."""
    return _registered.get(name)


def registerEncoder(
    mimeType: str,
    encoder: str | None,
    *,
    options: Mapping[str, object] | None = None,
) -> None:
    """Encode video of a codec by another encoder of libav, from the next sender or codec change on; ours, not W3C's.

    For hardware: `h264_nvenc`, `h264_qsv`, `h264_v4l2m2m`, `h264_amf`, `hevc_nvenc`, `av1_nvenc`, ... Where it cannot
    be opened, fails or gives nothing, ours takes over with the same picture, and `sendererror` of the connection tells.
    `encoderImplementation` in the `outbound-rtp` statistics names the one in use.

    Args:
        mimeType: of a video codec, e.g. "video/H264".
        encoder: its name in libav; None for ours again.
        options: libav's options of the encoder, over those that known hardware needs for low delay.

    Raises:
        NotSupportedError: this is no video codec that can be sent, or libav here has no such encoder.
        TypeError: `encoder` is no encoder of this codec, or an argument has another type.
    """
    if not isinstance(mimeType, str):
        raise TypeError(f"mimeType must be a string, not {mimeType!r}")
    kind, _, codec = mimeType.partition("/")
    codec = codec.upper()
    if kind.lower() != "video" or codec not in _LIBAV_NAMES:
        known = ", ".join(f"video/{name}" for name in sorted(_LIBAV_NAMES))
        raise NotSupportedError(f"encoders can be registered for {known}, not for {mimeType!r}")
    if encoder is None:
        _registered.pop(codec, None)
        return
    if not isinstance(encoder, str):
        raise TypeError(f"encoder must be a name of libav, not {encoder!r}")
    try:
        found = LibavCodec(encoder, "w")
    except UnknownCodecError:
        raise NotSupportedError(
            f"libav has no encoder {encoder!r} here (`av.codecs_available` lists them)"
        ) from None
    if found.canonical_name != _LIBAV_NAMES[codec]:
        raise TypeError(f"{encoder!r} encodes {found.canonical_name}, not {mimeType}")
    formats = [form.name for form in found.video_formats or ()]
    family = next((end for end in _LOW_DELAY if encoder.endswith(end)), None)
    merged = {
        **(_LOW_DELAY[family] if family else {}),
        **{str(k): str(v) for k, v in (options or {}).items()},
    }
    _registered[codec] = RegisteredEncoder(
        encoder,
        tuple(merged.items()),
        "nv12" if "yuv420p" not in formats and "nv12" in formats else "yuv420p",
        family is not None,
    )
