"""What this end can do, as the engine and as `getCapabilities` want to hear it."""

from __future__ import annotations

from functools import cache

from rtcpeer.jsep.parameters import Capabilities as EngineCapabilities
from rtcpeer.media import codecs
from rtcpeer.peer.parameters import RTCRtpCapabilities, RTCRtpHeaderExtensionCapability, codec_capability
from rtcpeer.values import Codec

# The engine pairs one retransmission codec with every video codec by itself.
_RTX = Codec("video/rtx", 90000)


def _plain(kind: str, *, sending: bool) -> tuple[Codec, ...]:
    listed = codecs.capabilities(kind, sending=sending).codecs
    media = tuple(codec for codec in listed if codec.name != "rtx")
    return media if len(media) == len(listed) else (*media, _RTX)


@cache
def engine_capabilities() -> tuple[EngineCapabilities, EngineCapabilities]:
    """Audio's and video's, for the engine."""
    audio, video = (
        EngineCapabilities(
            _plain(kind, sending=True),
            _plain(kind, sending=False),
            codecs.capabilities(kind, sending=False).header_extensions,
        )
        for kind in ("audio", "video")
    )
    return audio, video


def capabilities(kind: str, *, sending: bool) -> RTCRtpCapabilities | None:
    """`RTCRtpSender.getCapabilities` or `RTCRtpReceiver.getCapabilities`; None for an unknown kind."""
    if kind not in ("audio", "video"):
        return None
    audio, video = engine_capabilities()
    own = audio if kind == "audio" else video
    return RTCRtpCapabilities(
        codecs=[codec_capability(codec) for codec in (own.send if sending else own.receive)],
        headerExtensions=[RTCRtpHeaderExtensionCapability(e.uri) for e in own.header_extensions],
    )
