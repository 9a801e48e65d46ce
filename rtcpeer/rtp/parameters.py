"""Parameters of a sender and of a receiver: codecs, encodings and header extensions of one media section.

Frozen values, the only ones of their kind: negotiation (`rtcpeer.jsep`) makes them, senders and receivers
(`rtcpeer.media`) act on them. Nothing here does anything.
"""

from __future__ import annotations

from rtcpeer.records import record
from rtcpeer.values import Codec, HeaderExtension, Priority


@record(frozen=True, slots=True)
class Capabilities:
    """The capabilities of this end for one kind of media; payload types and ids are those it prefers.

    Attributes:
        send: codecs that can be encoded, best first; ``payload_type`` None, or the preferred number.
        receive: codecs that can be decoded, likewise.
        header_extensions: with the direction in which each is offered.
    """

    send: tuple[Codec, ...] = ()
    receive: tuple[Codec, ...] = ()
    header_extensions: tuple[HeaderExtension, ...] = ()


@record(frozen=True, slots=True)
class SendEncoding:
    """An encoding of a sender (webrtc-pc 5.2.5 RTCRtpEncodingParameters) and the SSRCs that belong to it.

    Attributes:
        ssrc: of the media stream; 0 until the engine has drawn it (when the transceiver is made).
        rtx_ssrc: of its retransmission stream (RFC 4588); None for none.
        rid: its name when there are several (RFC 8851).
        active: whether it is sent.
        max_bitrate: what the program allows, in bit/s; None for the codec's default.
        bitrate_limit: what the other end allows, in bit/s; unlike ``max_bitrate`` never a reason to send more. Set in
            `SendParameters` only.
        min_bitrate: what an encoder of pictures aims at, in bit/s, though the path bears less: it then gets fewer
            pictures, not poorer ones. None for the codec's default. W3C has no such member.
        max_framerate: in frames/s; None for the track's own; 0 sends no frame.
        scale_resolution_down_by: at least 1.0; None where the program has not said it (see `scale`).
        scale_resolution_down_to: the most pixels of width and of height, whichever way the picture stands; then
            ``scale_resolution_down_by`` counts for nothing (webrtc-extensions).
        codec: the codec to use when it is not the first of the section.
        scalability_mode: webrtc-svc 4; None for the codec's default.
    """

    ssrc: int = 0
    rtx_ssrc: int | None = None
    rid: str | None = None
    active: bool = True
    max_bitrate: int | None = None
    bitrate_limit: int | None = None
    min_bitrate: int | None = None
    max_framerate: float | None = None
    scale_resolution_down_by: float | None = None
    scale_resolution_down_to: tuple[int, int] | None = None
    priority: Priority = Priority.LOW
    network_priority: Priority = Priority.LOW
    codec: Codec | None = None
    scalability_mode: str | None = None

    @property
    def scale(self) -> float:
        """By what width and height are divided before they are encoded."""
        if self.scale_resolution_down_to is not None:
            return 1.0
        return self.scale_resolution_down_by or 1.0


@record(frozen=True, slots=True)
class SendParameters:
    """How one sender sends.

    Attributes:
        mid: of the media section.
        codecs: in the remote side's order of preference, with the payload types it gave, RTX and telephone-event among
            them; the first one that carries media is to be used unless an encoding names another.
        encodings: one per layer; several only when simulcast was negotiated.
        header_extensions: those we may put into packets, with negotiated ids.
        cname: of our RTCP (RFC 3550 section 6.5.1).
        active: False while the negotiated direction does not send (or the transceiver stops).
        max_bitrate: what all encodings together may take, in bit/s, as the remote section says; None for any.
    """

    mid: str
    codecs: tuple[Codec, ...]
    encodings: tuple[SendEncoding, ...]
    header_extensions: tuple[HeaderExtension, ...] = ()
    cname: str = ""
    active: bool = True
    max_bitrate: int | None = None


@record(frozen=True, slots=True)
class RemoteSource:
    """An RTP stream that the remote description announced with ``a=ssrc``."""

    ssrc: int
    rtx_ssrc: int | None = None
    cname: str | None = None


@record(frozen=True, slots=True)
class ReceiveParameters:
    """The codecs, extensions and streams that one receiver may receive.

    Attributes:
        mid: of the media section.
        codecs: with the payload types that our own description gave.
        sources: announced SSRCs; streams that are not announced are found by MID, rid or payload type.
        header_extensions: those that packets may have, with negotiated ids.
        rids: layers that the remote side may send to us, in order, when simulcast reception was negotiated.
        active: whether we are receptive ([[Receptive]]); False keeps the receiver but drops media.
    """

    mid: str
    codecs: tuple[Codec, ...]
    sources: tuple[RemoteSource, ...] = ()
    header_extensions: tuple[HeaderExtension, ...] = ()
    rids: tuple[str, ...] = ()
    active: bool = True
