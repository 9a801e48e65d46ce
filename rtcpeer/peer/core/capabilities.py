"""Capabilities of this end, in the forms that the engine and `getCapabilities` need."""

from __future__ import annotations

from functools import cache

from rtcpeer.peer.parameters import RTCRtpCapabilities, RTCRtpHeaderExtensionCapability, codec_capability
from rtcpeer.rtp.parameters import Capabilities
from rtcpeer.values import Codec

# The engine pairs one retransmission codec with every video codec by itself.
_RTX = Codec("video/rtx", 90000)


@cache
def engine_capabilities(kind: str) -> Capabilities:
    """The engine's capabilities for one kind; looked up when a connection has its first section of media."""
    # loads libav, which connections for data alone do without
    from rtcpeer.media.codecs import capabilities

    able = capabilities(str(kind))
    return Capabilities(_plain(able.send), _plain(able.receive), able.header_extensions)


def _plain(listed: tuple[Codec, ...]) -> tuple[Codec, ...]:
    media = tuple(codec for codec in listed if codec.name != "rtx")
    return media if len(media) == len(listed) else (*media, _RTX)


def capabilities(kind: str, *, sending: bool) -> RTCRtpCapabilities | None:
    """`RTCRtpSender.getCapabilities` or `RTCRtpReceiver.getCapabilities`; None for an unknown kind."""
    if kind not in ("audio", "video"):
        return None
    own = engine_capabilities(kind)
    return RTCRtpCapabilities(
        codecs=[codec_capability(codec) for codec in (own.send if sending else own.receive)],
        headerExtensions=[RTCRtpHeaderExtensionCapability(e.uri) for e in own.header_extensions],
    )
