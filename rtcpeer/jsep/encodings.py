"""Rules for RTCRtpEncodingParameters (webrtc-pc 5.1 addTransceiver, 5.2 setParameters).  Pure.

The face converts dictionaries to `SendEncoding` (member names in snake_case, absent = None) and asks here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtcpeer.errors import InvalidModificationError, OperationError, RTCRangeError
from rtcpeer.jsep.codecs import find, is_auxiliary, loose_match
from rtcpeer.records import replace
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Codec, MediaKind

_RID = re.compile(r"[A-Za-z0-9]{1,16}")
_SCALABILITY_MODE = re.compile(r"L1T[123]|L[23]T[123]h?|L[23]T[123]_KEY|L[23]T[23]_KEY_SHIFT|S[23]T[123]h?")
"""webrtc-svc 6: the modes there are."""
_SPATIAL_CODECS = frozenset({"video/vp9", "video/av1"})
"""The codecs that can put several resolutions into one stream."""


def check_new(
    kind: MediaKind, encodings: Sequence[SendEncoding], codecs: Sequence[Codec], max_encodings: int
) -> tuple[SendEncoding, ...]:
    """The "addTransceiver sendEncodings validation steps"; gives what [[SendEncodings]] becomes.

    Args:
        codecs: the send capabilities of the kind.
        max_encodings: "maxN".

    Raises:
        TypeError: rids malformed, doubled, or on some encodings only.
        OperationError: an encoding asks for a codec that cannot be sent, for a scalability mode that is none, or for a
            size that is none; or only some active encodings have a size.
        RTCRangeError: scaleResolutionDownBy below 1, maxFramerate below 0.
    """
    rids = [e.rid for e in encodings if e.rid is not None]
    if any(_RID.fullmatch(rid) is None for rid in rids):
        raise TypeError("sendEncodings: a rid has 1 to 16 letters and digits (RFC 8852)")
    if len(rids) not in (0, len(encodings)):
        raise TypeError("sendEncodings: either all encodings have a rid or none has")
    if len(set(rids)) != len(rids):
        raise TypeError("sendEncodings: two encodings have the same rid")
    if not rids and len(encodings) > 1:
        raise TypeError("sendEncodings: several encodings need rids")
    for encoding in encodings:
        if encoding.codec is not None and not any(loose_match(encoding.codec, c) for c in codecs):
            raise OperationError(f"sendEncodings: {encoding.codec.mime_type} cannot be sent")
    _check_modes(encodings)
    result = [_for_kind(e, kind) for e in encodings]
    fault = _fault_of_sizes(result)
    if fault is not None:
        raise OperationError(f"sendEncodings: {fault}")
    _check_numbers(result)
    if any(e.scale_resolution_down_by is not None for e in result):
        result = [
            replace(e, scale_resolution_down_by=1.0) if e.scale_resolution_down_by is None else e
            for e in result
        ]
    limit = max_encodings if kind is MediaKind.VIDEO else 1
    result = result[:limit]
    if kind is MediaKind.VIDEO and all(e.scale_resolution_down_by is None for e in result):
        result = scaled(result)
    if len(result) == 1:
        result = [replace(e, rid=None) for e in result]
    return tuple(result)


def as_negotiated(
    encodings: Sequence[SendEncoding], codecs: Sequence[Codec], max_bitrate: int | None
) -> tuple[SendEncoding, ...]:
    """[[SendEncodings]] as a sender is told them: what one section was negotiated for is filled in.

    Args:
        encodings: [[SendEncodings]].
        codecs: the negotiated ones; an encoding's own codec becomes the one of these that it matches.
        max_bitrate: what all encodings together may take, in bit/s; shared by those that are active.
    """
    active = sum(encoding.active for encoding in encodings)
    limit = None if max_bitrate is None else max_bitrate // max(1, active)
    return tuple(
        [
            replace(
                e,
                rid=e.rid if len(encodings) > 1 else None,
                bitrate_limit=limit,
                codec=None if e.codec is None else find(e.codec, codecs),
            )
            for e in encodings
        ]
    )


def scaled(encodings: Sequence[SendEncoding]) -> list[SendEncoding]:
    """Small to large: each encoding half the next one's resolution."""
    count = len(encodings)
    return [replace(e, scale_resolution_down_by=float(2 ** (count - i - 1))) for i, e in enumerate(encodings)]


def _for_kind(encoding: SendEncoding, kind: MediaKind) -> SendEncoding:
    if kind is MediaKind.AUDIO:
        return replace(
            encoding, scale_resolution_down_by=None, scale_resolution_down_to=None, max_framerate=None
        )
    return encoding


def _fault_of_sizes(encodings: Sequence[SendEncoding]) -> str | None:
    """The fault of these scaleResolutionDownTo (webrtc-extensions, RTCRtpEncodingParameters), or None."""
    sizes = [e.scale_resolution_down_to for e in encodings]
    if any(size is not None and min(size) < 1 for size in sizes):
        return "scaleResolutionDownTo needs a maxWidth and a maxHeight of at least 1"
    if any(sizes) and any(e.active and e.scale_resolution_down_to is None for e in encodings):
        return "scaleResolutionDownTo is for all active encodings or for none"
    return None


def _check_modes(encodings: Sequence[SendEncoding]) -> None:
    """webrtc-svc 4.2: a mode that no codec has is refused."""
    for e in encodings:
        if e.scalability_mode is not None and not _SCALABILITY_MODE.fullmatch(e.scalability_mode):
            raise OperationError(f"{e.scalability_mode!r} is not a scalability mode of any codec")


def within_codec(encoding: SendEncoding, codec: Codec | None) -> SendEncoding:
    """The encoding as this codec can make it: without spatial layers where it has none (webrtc-svc 4.1)."""
    mode = encoding.scalability_mode
    if mode is None or codec is None or mode.startswith("L1"):
        return encoding
    if codec.mime_type.lower() in _SPATIAL_CODECS:
        return encoding
    return replace(encoding, scalability_mode=f"L1{mode[2:4]}")


def _check_numbers(encodings: Sequence[SendEncoding]) -> None:
    for e in encodings:
        if e.scale_resolution_down_by is not None and not e.scale_resolution_down_by >= 1.0:
            raise RTCRangeError(
                f"scaleResolutionDownBy must be at least 1.0, not {e.scale_resolution_down_by}"
            )
        if e.max_framerate is not None and not e.max_framerate >= 0.0:
            raise RTCRangeError(f"maxFramerate must not be negative: {e.max_framerate}")


def check_update(
    kind: MediaKind,
    current: Sequence[SendEncoding],
    proposed: Sequence[SendEncoding],
    negotiated: Sequence[Codec],
    capabilities: Sequence[Codec],
) -> tuple[SendEncoding, ...]:
    """The rules of setParameters for ``encodings`` (webrtc-pc 5.2); gives the new [[SendEncodings]].

    Args:
        current: [[SendEncodings]]; proposed: what the user gave.
        negotiated: [[SendCodecs]]; before negotiation, ``capabilities`` decide.

    Raises:
        InvalidModificationError: the number or the order of encodings, or a rid, differs; a codec is not negotiated;
            or a size is none, or only some active encodings have one.
        OperationError: a scalability mode is none (webrtc-svc 4.2).
        RTCRangeError: a number is out of range.
    """
    if len(proposed) != len(current) or [e.rid for e in proposed] != [e.rid for e in current]:
        raise InvalidModificationError(
            "the number of encodings, their order and their rids cannot be changed"
        )
    able = [c for c in (negotiated or capabilities) if not is_auxiliary(c)]
    result = [_for_kind(e, kind) for e in proposed]
    for e in result:
        if e.codec is not None and not any(loose_match(e.codec, c) for c in able):
            raise InvalidModificationError(f"{e.codec.mime_type} has not been negotiated")
    _check_modes(result)
    fault = _fault_of_sizes(result)
    if fault is not None:
        raise InvalidModificationError(fault)
    _check_numbers(result)
    if kind is MediaKind.VIDEO:
        result = [
            replace(e, scale_resolution_down_by=1.0) if e.scale_resolution_down_by is None else e
            for e in result
        ]
    first = next((c for c in negotiated if not is_auxiliary(c)), None)
    result = [within_codec(e, e.codec or first) for e in result]
    return tuple([replace(e, ssrc=c.ssrc, rtx_ssrc=c.rtx_ssrc) for e, c in zip(result, current, strict=True)])
