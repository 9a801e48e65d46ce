"""aiortc's own dataclasses, and the way from rtcpeer's values to them.

The drop-in hands out aiortc's classes themselves (no copies of them), so `isinstance` and `==` hold wherever a
program or `aiortc.contrib` asks.
"""

from __future__ import annotations

from typing import Any

from aiortc import (
    RTCCertificate,
    RTCIceCandidate,
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionCapability,
)
from aiortc.rtcrtpparameters import RTCRtcpFeedback

from rtcpeer.dtls.certificates import Certificate
from rtcpeer.peer import parameters as w3c
from rtcpeer.peer.certificate import RTCCertificate as W3CCertificate
from rtcpeer.peer.certificate import core_of
from rtcpeer.peer.descriptions import RTCIceCandidate as W3CCandidate
from rtcpeer.peer.errors import InvalidAccessError
from rtcpeer.peer.parameters import capabilities as w3c_capabilities
from rtcpeer.values import Codec

_COMPONENTS = {"rtp": 1, "rtcp": 2}


class InvalidDescriptionError(InvalidAccessError, ValueError):
    """A description that cannot be applied; a ValueError, as in aiortc."""


def candidate(value: W3CCandidate) -> RTCIceCandidate:
    """A candidate with its parts, as aiortc has it."""
    return RTCIceCandidate(
        component=_COMPONENTS.get(value.component or "rtp", 1),
        foundation=value.foundation or "",
        ip=value.address or "",
        port=value.port or 0,
        priority=value.priority or 0,
        protocol=value.protocol or "udp",
        type="host" if value.type is None else value.type.value,
        relatedAddress=value.relatedAddress,
        relatedPort=value.relatedPort,
        sdpMid=value.sdpMid,
        sdpMLineIndex=value.sdpMLineIndex,
        tcpType=value.tcpType,
    )


def capabilities(kind: str, *, sending: bool) -> RTCRtpCapabilities:
    """The codecs and extensions of a kind that can be sent or received.

    Of H.264 only what aiortc has: programs take all that are called "video/H264".

    Raises:
        ValueError: the kind is unknown.
    """
    found = w3c_capabilities(kind, sending=sending)
    if found is None:
        raise ValueError(f"cannot get capabilities for unknown media {kind!r}")
    return RTCRtpCapabilities(
        codecs=[
            RTCRtpCodecCapability(c.mimeType, c.clockRate, c.channels, _parameters(c.sdpFmtpLine))
            for c in found.codecs
            if c.mimeType != "video/H264" or _is_aiortcs_h264(_parameters(c.sdpFmtpLine))
        ],
        headerExtensions=[RTCRtpHeaderExtensionCapability(uri=e.uri) for e in found.headerExtensions],
    )


def _is_aiortcs_h264(parameters: dict[str, int | str | None]) -> bool:
    """Whether aiortc has H.264 with these parameters: baseline, in packetization mode 1."""
    return parameters["packetization-mode"] == "1" and str(parameters["profile-level-id"]).startswith("42")


def certificate(value: Any) -> Certificate:
    """The certificate inside aiortc's RTCCertificate, or rtcpeer's.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, W3CCertificate):
        return core_of(value)
    if isinstance(value, RTCCertificate):
        return Certificate(value._key, value._cert)
    raise TypeError(f"a certificate is an RTCCertificate, not {type(value).__name__}")


def codec_parameters(value: Codec) -> RTCRtpCodecParameters:
    """A negotiated codec."""
    return RTCRtpCodecParameters(
        mimeType=value.mime_type,
        clockRate=value.clock_rate,
        channels=value.channels,
        payloadType=value.payload_type,
        rtcpFeedback=[RTCRtcpFeedback(type=f.type, parameter=f.parameter) for f in value.feedback],
        parameters=_parameters(w3c.fmtp_line(value)),
    )


def codec(kind: str, value: Any) -> w3c.RTCRtpCodec:
    """The codec of ours that a codec capability of aiortc names.

    Raises:
        ValueError: there is none.
    """
    both = [w3c_capabilities(kind, sending=sending) for sending in (True, False)]
    for own in [codec for found in both if found is not None for codec in found.codecs]:
        if _key(own.mimeType, own.clockRate, _parameters(own.sdpFmtpLine)) == _key(
            value.mimeType, value.clockRate, getattr(value, "parameters", None) or {}
        ):
            return own
    raise ValueError("Codec is not in capabilities")


def _parameters(line: str | None) -> dict[str, int | str | None]:
    found: dict[str, int | str | None] = {}
    for item in (line or "").split(";"):
        name, equals, rest = item.strip().partition("=")
        if name:
            found[name] = rest if equals else None
    return found


def _key(mime_type: str, clock_rate: int, parameters: dict[str, Any]) -> tuple[str, int, frozenset[Any]]:
    items = frozenset((n, None if v is None else str(v).lower()) for n, v in parameters.items())
    return mime_type.lower(), clock_rate, items
