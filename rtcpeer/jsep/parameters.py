"""What negotiation decided for one sender or receiver, as frozen values that a media transport can be set up from.

Owns the records only.  The peer translates them into the arguments of `rtcpeer.media.endpoints`; the
engine never sees a media object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtcpeer.values import BundlePolicy, Codec, Direction, HeaderExtension, MediaKind


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this endpoint can do, per kind (RTCRtpCapabilities plus what the face does not show).

    Attributes:
        send: codecs that can be encoded, best first; ``payload_type`` None, or the preferred number.
            A single "video/rtx" without ``apt`` stands for retransmission of every video codec.
        receive: codecs that can be decoded, likewise.
        header_extensions: with the direction in which each is offered.
    """

    send: tuple[Codec, ...] = ()
    receive: tuple[Codec, ...] = ()
    header_extensions: tuple[HeaderExtension, ...] = ()


def _nothing(_kind: str) -> Capabilities:
    return Capabilities()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything about an endpoint that negotiation must know and that never changes afterwards.

    Attributes:
        capabilities: of one kind ("audio" or "video"), always the same; asked for when the kind is used first.
        bundle_policy: webrtc-pc 4.2.5.
        max_send_encodings: how many simulcast layers a video sender may have ("maxN" of webrtc-pc 5.1).
        receive_simulcast: whether an offered ``a=simulcast:send`` is accepted as several layers.
        max_message_size: what ``a=max-message-size`` says; 0 = no limit (RFC 8841 section 6).
        sctp_port: what ``a=sctp-port`` says.
        declare_ssrcs: write ``a=ssrc`` lines for senders without rids, as browsers do.
    """

    capabilities: Callable[[str], Capabilities] = _nothing
    bundle_policy: BundlePolicy = BundlePolicy.BALANCED
    max_send_encodings: int = 3
    receive_simulcast: bool = True
    max_message_size: int = 262144
    sctp_port: int = 5000
    declare_ssrcs: bool = True


@dataclass(frozen=True, slots=True)
class SendEncoding:
    """One RTCRtpEncodingParameters (webrtc-pc 5.2.5) and the SSRCs that belong to it.

    ``ssrc`` and ``rtx_ssrc`` are 0 until the engine has drawn them (when the transceiver is made).
    """

    rid: str | None = None
    active: bool = True
    max_bitrate: int | None = None
    max_framerate: float | None = None
    scale_resolution_down_by: float | None = None
    priority: str = "low"
    network_priority: str = "low"
    codec: Codec | None = None
    scalability_mode: str | None = None
    ssrc: int = 0
    rtx_ssrc: int = 0


@dataclass(frozen=True, slots=True)
class SendParameters:
    """How to send on one section.

    Attributes:
        codecs: in the remote side's order of preference, with the payload types it gave; the first one that
            is not rtx/red/fec is to be used unless an encoding names another.
        header_extensions: those we may put into packets, with negotiated ids.
        encodings: one per layer; several only when simulcast was negotiated.
        active: False while the negotiated direction does not send (or the transceiver stops).
        stream_ids: for ``a=msid`` and statistics.
        max_bitrate: what all encodings together may take, in bit/s, as the remote section says; None = any.
    """

    mid: str
    kind: MediaKind
    codecs: tuple[Codec, ...]
    header_extensions: tuple[HeaderExtension, ...]
    encodings: tuple[SendEncoding, ...]
    cname: str
    active: bool = True
    reduced_size_rtcp: bool = False
    stream_ids: tuple[str, ...] = ()
    max_bitrate: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """One RTP stream that the remote description announced with ``a=ssrc``."""

    ssrc: int
    rtx_ssrc: int | None = None
    cname: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiveParameters:
    """How to receive on one section.

    Attributes:
        codecs: with the payload types that our own description gave.
        sources: announced SSRCs; may be empty (then packets are found by mid, rid or payload type).
        rids: layers that the remote side may send to us, in order, when simulcast reception was negotiated.
        active: whether we are receptive ([[Receptive]]); False keeps the receiver but drops media.
    """

    mid: str
    kind: MediaKind
    codecs: tuple[Codec, ...]
    header_extensions: tuple[HeaderExtension, ...]
    sources: tuple[RemoteSource, ...] = ()
    rids: tuple[str, ...] = ()
    active: bool = True
    reduced_size_rtcp: bool = False


@dataclass(frozen=True, slots=True)
class OfferOptions:
    """RTCOfferOptions with its legacy part (webrtc-pc 4.4.3.2)."""

    ice_restart: bool = False
    offer_to_receive_audio: bool | None = None
    offer_to_receive_video: bool | None = None


@dataclass(frozen=True, slots=True)
class TransceiverInit:
    """What `addTransceiver` and `addTrack` say about a new transceiver, already converted by the face.

    Attributes:
        track_id: id of the sender's track, or None when there is no track.
        encodings: already checked by `rtcpeer.jsep.encodings.check_new`; empty = the default single encoding.
        pairs_with_remote: a section of a remote offer may find it, as if addTrack had made it (aiortc's convention).
    """

    kind: MediaKind
    direction: Direction = Direction.SENDRECV
    stream_ids: tuple[str, ...] = ()
    track_id: str | None = None
    encodings: tuple[SendEncoding, ...] = ()
    pairs_with_remote: bool = False
