"""The dictionaries of sending and receiving (webrtc-pc 5.2, 5.3), and their way in and out of the engine's values.

Owns: the W3C dataclasses, the WebIDL conversions, and what `getCapabilities` gives. Decides nothing: which parameters
are allowed is `rtcpeer.jsep.encodings`' and the engine's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cache
from typing import Any

from rtcpeer import webidl
from rtcpeer.jsep.inputs import OfferOptions
from rtcpeer.peer.dictionaries import RTCOfferOptions
from rtcpeer.records import record
from rtcpeer.rtp.parameters import Capabilities, SendEncoding
from rtcpeer.values import Codec, Direction, HeaderExtension, MediaKind, Priority

# The engine pairs one retransmission codec with every video codec by itself.
_RTX = Codec("video/rtx", 90000)


@record(slots=True)
class RTCRtpCodec:
    """A codec as capabilities name it (webrtc-pc 5.2.8)."""

    mimeType: str
    clockRate: int
    channels: int | None = None
    sdpFmtpLine: str | None = None


@record(slots=True)
class RTCRtpCodecParameters:
    """A codec with the payload type that was negotiated (webrtc-pc 5.2.9)."""

    payloadType: int
    mimeType: str
    clockRate: int
    channels: int | None = None
    sdpFmtpLine: str | None = None


@record(slots=True)
class RTCRtpHeaderExtensionParameters:
    """A negotiated header extension (webrtc-pc 5.2.7)."""

    uri: str
    id: int
    encrypted: bool = False


@record(slots=True)
class RTCRtpHeaderExtensionCapability:
    """A header extension that can be negotiated (webrtc-pc 5.2.12, webrtc-extensions "RTP header extension control").

    Attributes:
        direction: "sendrecv", "sendonly", "recvonly", "inactive", or "stopped": not negotiated.
    """

    uri: str
    direction: str = "sendrecv"


@record(slots=True)
class RTCRtcpParameters:
    """RTCP settings (webrtc-pc 5.2.6)."""

    cname: str | None = None
    reducedSize: bool | None = None


@record(slots=True)
class RTCResolutionRestriction:
    """The most pixels that pictures are sent with, whichever way they stand (webrtc-extensions).

    Attributes:
        maxWidth: at least 1.
        maxHeight: at least 1.
    """

    maxWidth: int
    maxHeight: int


@record(slots=True)
class RTCRtpEncodingParameters:
    """Parameters of one encoding of a sender (webrtc-pc 5.2.5).

    Attributes:
        rid: its name among several layers; read-only once the transceiver exists.
        active: False stops sending this encoding.
        maxBitrate: in bit/s.
        maxFramerate: in frames per second.
        scaleResolutionDownBy: 1.0 or more; 2.0 sends half the width and height.
        scaleResolutionDownTo: the most pixels instead (webrtc-extensions): pictures are never made larger and keep
            their shape. For all active encodings or for none; then `scaleResolutionDownBy` counts for nothing.
        codec: which of the negotiated codecs to use; None for the first.
        priority: the part of what the path bears, in relation to other encodings: "very-low" half as much as "low",
            "medium" twice, "high" four times (webrtc-priority).
        networkPriority: kept and told; packets are not marked for routers.
        scalabilityMode: "L1T2" or "L1T3" for temporal layers, which a relay can take away from receivers whose path is
            small (webrtc-svc). VP8 and VP9 are made with them; other codecs and spatial layers are not, whatever is
            asked for: `scalabilityMode` of `outbound-rtp` statistics says what is made.
    """

    rid: str | None = None
    active: bool = True
    codec: RTCRtpCodec | None = None
    maxBitrate: int | None = None
    maxFramerate: float | None = None
    scaleResolutionDownBy: float | None = None
    priority: str = "low"
    networkPriority: str = "low"
    scalabilityMode: str | None = None
    scaleResolutionDownTo: RTCResolutionRestriction | None = None


@record(slots=True)
class RTCRtpSendParameters:
    """Parameters of a sender (webrtc-pc 5.2.3), as `getParameters` gives them and `setParameters` takes them back.

    Attributes:
        degradationPreference: what suffers when the path does not bear the pictures of a track at its worst quality
            (mst-content-hint): "maintain-resolution", their number; "maintain-framerate", their size; "balanced",
            first their number, down to two thirds, then their size. None: their size if the track's `contentHint` is
            "motion", else their number.
    """

    transactionId: str
    encodings: list[RTCRtpEncodingParameters]
    headerExtensions: list[RTCRtpHeaderExtensionParameters] = field(default_factory=list)
    rtcp: RTCRtcpParameters = field(default_factory=RTCRtcpParameters)
    codecs: list[RTCRtpCodecParameters] = field(default_factory=list)
    degradationPreference: str | None = None


@record(slots=True)
class RTCRtpReceiveParameters:
    """Parameters of a receiver (webrtc-pc 5.2.4), as `RTCRtpReceiver.getParameters` gives them."""

    headerExtensions: list[RTCRtpHeaderExtensionParameters] = field(default_factory=list)
    rtcp: RTCRtcpParameters = field(default_factory=RTCRtcpParameters)
    codecs: list[RTCRtpCodecParameters] = field(default_factory=list)


@record(slots=True)
class RTCRtpCapabilities:
    """Codecs and header extensions that this end can send or receive of one kind (webrtc-pc 5.2.10)."""

    codecs: list[RTCRtpCodec]
    headerExtensions: list[RTCRtpHeaderExtensionCapability]


@record(slots=True)
class RTCRtpContributingSource:
    """A contributing source, from the CSRC list of packets: who was heard lately (webrtc-pc 5.3).

    Attributes:
        timestamp: when its last packet came, in ms since the epoch.
        source: the SSRC or CSRC.
        rtpTimestamp: of that packet.
        audioLevel: linear, 0.0 to 1.0; None when it is not known.
    """

    timestamp: float
    source: int
    rtpTimestamp: int
    audioLevel: float | None = None


@record(slots=True)
class RTCRtpSynchronizationSource(RTCRtpContributingSource):
    """A synchronization source: an SSRC that was heard lately (webrtc-pc 5.3)."""


@record(slots=True)
class RTCRtpTransceiverInit:
    """Options of `addTransceiver` (webrtc-pc 5.1)."""

    direction: str = "sendrecv"
    streams: list[Any] = field(default_factory=list)
    sendEncodings: list[RTCRtpEncodingParameters] = field(default_factory=list)


# the names that keywords may have
TRANSCEIVER_MEMBERS = webidl.names(RTCRtpTransceiverInit)
OFFER_MEMBERS = webidl.names(RTCOfferOptions)


# --- values -> dictionaries -----------------------------------------------------------------------


def fmtp_line(codec: Codec) -> str | None:
    """The format parameters as ``a=fmtp`` has them, or None when there are none."""
    if not codec.fmtp:
        return None
    return ";".join(name if value is None else f"{name}={value}" for name, value in codec.fmtp)


def codec_capability(codec: Codec) -> RTCRtpCodec:
    """A codec without its payload type."""
    return RTCRtpCodec(codec.mime_type, codec.clock_rate, codec.channels, fmtp_line(codec))


def codec_parameters(codecs: Iterable[Codec]) -> list[RTCRtpCodecParameters]:
    """Negotiated codecs, in order."""
    return [
        RTCRtpCodecParameters(c.payload_type, c.mime_type, c.clock_rate, c.channels, fmtp_line(c))
        for c in codecs
        if c.payload_type is not None
    ]


def header_extension_parameters(
    extensions: Iterable[HeaderExtension],
) -> list[RTCRtpHeaderExtensionParameters]:
    """Negotiated header extensions, in order."""
    return [RTCRtpHeaderExtensionParameters(e.uri, e.id) for e in extensions if e.id is not None]


def header_extension_capabilities(
    extensions: Iterable[HeaderExtension],
) -> list[RTCRtpHeaderExtensionCapability]:
    """Header extensions with the directions they are negotiated in, in order."""
    return [RTCRtpHeaderExtensionCapability(e.uri, e.direction.value) for e in extensions]


def encoding_parameters(encoding: SendEncoding, *, kind: str) -> RTCRtpEncodingParameters:
    """The W3C dictionary of one encoding; members that audio does not have stay absent."""
    scale, most = encoding.scale_resolution_down_by, encoding.scale_resolution_down_to
    return RTCRtpEncodingParameters(
        rid=encoding.rid,
        active=encoding.active,
        codec=None if encoding.codec is None else codec_capability(encoding.codec),
        maxBitrate=encoding.max_bitrate,
        maxFramerate=encoding.max_framerate,
        scaleResolutionDownBy=(1.0 if scale is None else scale) if kind == "video" else None,
        priority=encoding.priority.value,
        networkPriority=encoding.network_priority.value,
        scalabilityMode=encoding.scalability_mode,
        scaleResolutionDownTo=None if most is None else RTCResolutionRestriction(*most),
    )


# --- dictionaries -> values -----------------------------------------------------------------------


def read_codec(name: str, value: Any) -> Codec:
    """An RTCRtpCodec.

    Raises:
        TypeError: a required member is missing or has the wrong type.
    """
    given = webidl.present(name, value)
    for member in ("mimeType", "clockRate"):
        if member not in given:
            raise TypeError(f"{name}: the member {member!r} is required")
    line = given.get("sdpFmtpLine")
    fmtp: list[tuple[str, str | None]] = []
    for item in str(line).split(";") if line else ():
        key, equals, rest = item.strip().partition("=")
        if key:
            fmtp.append((key, rest if equals else None))
    channels = given.get("channels")
    return Codec(
        mime_type=str(given["mimeType"]),
        clock_rate=webidl.unsigned(f"{name}.clockRate", given["clockRate"]),
        channels=None if channels is None else webidl.unsigned(f"{name}.channels", channels),
        fmtp=tuple(fmtp),
    )


def read_header_extension(name: str, value: Any) -> HeaderExtension:
    """An RTCRtpHeaderExtensionCapability.

    Raises:
        TypeError: a required member is missing, or it is no direction.
    """
    given = webidl.present(name, value)
    for member in ("uri", "direction"):
        if not given.get(member):
            raise TypeError(f"{name}: the member {member!r} is required")
    direction = webidl.enumeration(f"{name}.direction", given["direction"], Direction)
    return HeaderExtension(str(given["uri"]), direction=direction)


def read_encoding(name: str, value: Any) -> SendEncoding:
    """An RTCRtpEncodingParameters; SSRCs are the engine's.

    Raises:
        TypeError: a member has the wrong type.
    """
    given = webidl.present(name, value)

    def number(member: str) -> float | None:
        return webidl.double(f"{name}.{member}", given[member]) if member in given else None

    active = given.get("active", True)
    if not isinstance(active, bool):
        raise TypeError(f"{name}.active must be a boolean, not {active!r}")
    rid = given.get("rid")
    if rid is not None and not isinstance(rid, str):
        raise TypeError(f"{name}.rid must be a string, not {rid!r}")
    return SendEncoding(
        rid=rid,
        active=active,
        max_bitrate=webidl.unsigned(f"{name}.maxBitrate", given["maxBitrate"])
        if "maxBitrate" in given
        else None,
        max_framerate=number("maxFramerate"),
        scale_resolution_down_by=number("scaleResolutionDownBy"),
        scale_resolution_down_to=_read_size(
            f"{name}.scaleResolutionDownTo", given.get("scaleResolutionDownTo")
        ),
        priority=webidl.enumeration(f"{name}.priority", given.get("priority", "low"), Priority),
        network_priority=webidl.enumeration(
            f"{name}.networkPriority", given.get("networkPriority", "low"), Priority
        ),
        codec=read_codec(f"{name}.codec", given["codec"]) if "codec" in given else None,
        scalability_mode=given.get("scalabilityMode"),
    )


def _read_size(name: str, value: Any) -> tuple[int, int] | None:
    """An RTCResolutionRestriction; 0 stands for a side that is not said, which is no more allowed than 0 is."""
    if value is None:
        return None
    given = webidl.present(name, value)
    width, height = (
        webidl.unsigned(f"{name}.{side}", given.get(side, 0)) for side in ("maxWidth", "maxHeight")
    )
    return width, height


@record(frozen=True, slots=True)
class TransceiverOptions:
    """An RTCRtpTransceiverInit, converted."""

    direction: Direction
    streams: tuple[Any, ...]
    encodings: tuple[SendEncoding, ...]


def read_transceiver_init(value: Any, keywords: Mapping[str, Any]) -> TransceiverOptions:
    """The options of `addTransceiver`.

    Raises:
        TypeError: a member has the wrong type or is not a direction.
    """
    webidl.check_keywords("RTCRtpTransceiverInit", keywords, TRANSCEIVER_MEMBERS)
    given = webidl.present("RTCRtpTransceiverInit", value) | {
        k: v for k, v in keywords.items() if v is not None
    }
    direction = webidl.enumeration("direction", given.get("direction", "sendrecv"), Direction)
    if direction == Direction.STOPPED:
        raise TypeError("direction must not be 'stopped' for a new transceiver")
    streams = webidl.sequence("streams", given.get("streams", ()))
    for stream in streams:
        if not hasattr(stream, "getTracks"):
            raise TypeError(f"streams must hold MediaStream objects, not {type(stream).__name__}")
    encodings = webidl.sequence("sendEncodings", given.get("sendEncodings", ()))
    return TransceiverOptions(
        direction,
        tuple(streams),
        tuple(read_encoding(f"sendEncodings[{i}]", e) for i, e in enumerate(encodings)),
    )


def read_offer_options(options: Any, keywords: Mapping[str, Any]) -> OfferOptions:
    """The options of `createOffer`.

    Raises:
        TypeError: they are no dictionary, or a keyword is no member.
    """
    given = webidl.members("RTCOfferOptions", options, keywords, OFFER_MEMBERS)

    def flag(name: str) -> bool | None:
        value = given.get(name)
        return None if value is None else bool(value)

    return OfferOptions(
        ice_restart=bool(given.get("iceRestart", False)),
        offer_to_receive_audio=flag("offerToReceiveAudio"),
        offer_to_receive_video=flag("offerToReceiveVideo"),
    )


def kind_of_track(track: Any) -> MediaKind:
    """The kind of a track, ours or aiortc's.

    Raises:
        TypeError: it is not a track.
    """
    kind = getattr(track, "kind", None)
    if kind not in ("audio", "video") or not callable(getattr(track, "recv", None)):
        raise TypeError(f"a MediaStreamTrack of kind 'audio' or 'video' is needed, not {track!r}")
    return MediaKind(kind)


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
        headerExtensions=header_extension_capabilities(own.header_extensions),
    )
