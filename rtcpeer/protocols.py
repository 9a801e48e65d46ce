"""Protocols of a track and of a connection, as signaling, supervisor and calls use them; other stacks may fulfil them.

`RTCPeerConnection` is a `PeerConnection`, its adapters for plain aiortc and libwebrtc are `NegotiableConnection`s, and
a `Track` is whatever has frames: ours, aiortc's, a class of the program's own.

Owns: shapes for type checkers and readers, under W3C's names (webrtc-pc, mediacapture-main). Never: code that runs; a
test asks whether our own classes fit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rtcpeer.media.source import Track

if TYPE_CHECKING:
    from rtcpeer.config.configuration import RTCConfiguration
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.track import MediaStreamTrack
    from rtcpeer.peer.parameters import RTCRtpCodec, RTCRtpHeaderExtensionCapability, RTCRtpSendParameters

__all__ = [
    "DataChannelLike",
    "DtlsTransportLike",
    "EventSource",
    "IceCandidateLike",
    "IceTransportLike",
    "NegotiableConnection",
    "PeerConnection",
    "ReceiverLike",
    "SctpTransportLike",
    "SenderLike",
    "SessionDescriptionLike",
    "Track",
    "TransceiverLike",
]

Message = str | bytes | bytearray | memoryview


class EventSource(Protocol):
    """Whoever can be listened to (DOM "EventTarget")."""

    def addEventListener(self, type: str, listener: Callable[[Any], object], /) -> None:
        """Call `listener` with each event of this type."""
        ...

    def removeEventListener(self, type: str, listener: Callable[[Any], object], /) -> None:
        """Call it no more."""
        ...


class SessionDescriptionLike(Protocol):
    """A description (webrtc-pc 4.6)."""

    @property
    def type(self) -> object:
        """A value whose `str()` is "offer", "answer", "pranswer" or "rollback"."""
        ...

    @property
    def sdp(self) -> str:
        """The text (SDP)."""
        ...


class NegotiableConnection(EventSource, Protocol):
    """The part of a connection that a `Negotiator` drives: descriptions and candidates.

    States are strings, or have the W3C word as their `str()`. Events: `negotiationneeded`, `icecandidate`.
    """

    @property
    def signalingState(self) -> object:
        """The signaling state (webrtc-pc 4.3.1)."""
        ...

    @property
    def iceConnectionState(self) -> object:
        """The ICE connection state (webrtc-pc 4.3.4)."""
        ...

    @property
    def iceGatheringState(self) -> object:
        """The ICE gathering state (webrtc-pc 4.3.2)."""
        ...

    @property
    def localDescription(self) -> SessionDescriptionLike | None:
        """The newest local description, with the candidates gathered so far."""
        ...

    @property
    def currentLocalDescription(self) -> SessionDescriptionLike | None:
        """The local description that was negotiated last."""
        ...

    @property
    def remoteDescription(self) -> SessionDescriptionLike | None:
        """The newest remote description."""
        ...

    def createOffer(self) -> Awaitable[SessionDescriptionLike]:
        """Make an offer."""
        ...

    def setLocalDescription(self, description: Any = None, /) -> Awaitable[None]:
        """Apply what `createOffer` gave, or a mapping; without one, what the state asks for."""
        ...

    def setRemoteDescription(self, description: Mapping[str, str], /) -> Awaitable[None]:
        """Apply a description of the other side."""
        ...

    def addIceCandidate(self, candidate: Mapping[str, Any], /) -> Awaitable[None]:
        """Add a candidate of the other side."""
        ...


class IceCandidateLike(Protocol):
    """A candidate (webrtc-pc 4.8.1)."""

    @property
    def type(self) -> object:
        """A value whose `str()` is "host", "srflx", "prflx" or "relay"."""
        ...


class CandidatePairLike(Protocol):
    """A pair (webrtc-pc 5.6.5)."""

    @property
    def local(self) -> IceCandidateLike:
        """The local candidate."""
        ...

    @property
    def remote(self) -> IceCandidateLike:
        """Theirs."""
        ...


class IceTransportLike(EventSource, Protocol):
    """An ICE transport (webrtc-pc 5.6)."""

    @property
    def state(self) -> object:
        """The state of the transport (webrtc-pc 5.6.2)."""
        ...

    def getSelectedCandidatePair(self) -> CandidatePairLike | None:
        """The pair in use."""
        ...


class DtlsTransportLike(EventSource, Protocol):
    """A DTLS transport (webrtc-pc 5.5)."""

    @property
    def iceTransport(self) -> IceTransportLike:
        """The ICE transport that it runs over."""
        ...

    @property
    def state(self) -> object:
        """The state of the transport (webrtc-pc 5.5.1)."""
        ...


class SctpTransportLike(Protocol):
    """The transport of the data channels (webrtc-pc 6.1.1)."""

    @property
    def transport(self) -> DtlsTransportLike:
        """The DTLS transport that it runs over."""
        ...


class SenderLike(Protocol):
    """A sender (webrtc-pc 5.2)."""

    @property
    def track(self) -> Track | None:
        """The track that it sends; None if it sends nothing."""
        ...

    @property
    def transport(self) -> DtlsTransportLike | None:
        """The DTLS transport that it sends over; None before there is one."""
        ...

    def replaceTrack(self, track: Track | None, /) -> Awaitable[None]:
        """Send another track of the same kind."""
        ...

    def getParameters(self) -> RTCRtpSendParameters:
        """How it sends."""
        ...

    def setParameters(self, parameters: RTCRtpSendParameters, /) -> Awaitable[None]:
        """Send otherwise."""
        ...


class ReceiverLike(Protocol):
    """A receiver (webrtc-pc 5.3)."""

    @property
    def track(self) -> MediaStreamTrack:
        """The track that it receives."""
        ...

    @property
    def transport(self) -> DtlsTransportLike | None:
        """The DTLS transport that it receives over; None before there is one."""
        ...


class TransceiverLike(Protocol):
    """A transceiver (webrtc-pc 5.4)."""

    @property
    def mid(self) -> str | None:
        """The MID of its media section; None before it has one."""
        ...

    @property
    def sender(self) -> SenderLike:
        """The sending half."""
        ...

    @property
    def receiver(self) -> ReceiverLike:
        """The receiving half."""
        ...

    @property
    def direction(self) -> str:
        """The direction that is wished."""
        ...

    @direction.setter
    def direction(self, value: str) -> None: ...

    @property
    def currentDirection(self) -> str | None:
        """The direction that was negotiated last."""
        ...

    def setCodecPreferences(self, codecs: list[RTCRtpCodec], /) -> None:
        """Set which codecs are offered, best first."""
        ...

    def setHeaderExtensionsToNegotiate(self, extensions: list[RTCRtpHeaderExtensionCapability], /) -> None:
        """Set the direction in which each RTP header extension is negotiated."""
        ...


class DataChannelLike(EventSource, Protocol):
    """A data channel (webrtc-pc 6.2)."""

    @property
    def label(self) -> str:
        """The name of the channel."""
        ...

    @property
    def id(self) -> int | None:
        """The id of the channel's stream."""
        ...

    @property
    def readyState(self) -> str:
        """The state of the channel."""
        ...

    @property
    def bufferedAmount(self) -> int:
        """Bytes that wait."""
        ...

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """When `bufferedamountlow` fires."""
        ...

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None: ...

    def send(self, data: Message, /) -> None:
        """Queue a message."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class PeerConnection(NegotiableConnection, Protocol):
    """The part of RTCPeerConnection (webrtc-pc 4.4) that a supervisor uses of the connection that it keeps alive.

    Of what is ours beside W3C's interface (`explain()`, `RTCRtpReceiver.exchangeTrack()`,
    `RTCDataChannel.unacknowledgedMessages`) it makes use where a connection has it.
    """

    @property
    def connectionState(self) -> object:
        """The state of the connection (webrtc-pc 4.3.3)."""
        ...

    @property
    def sctp(self) -> SctpTransportLike | None:
        """The transport of the data channels."""
        ...

    def getConfiguration(self) -> RTCConfiguration:
        """The configuration in force."""
        ...

    def setConfiguration(self, configuration: RTCConfiguration, /) -> None:
        """Replace it."""
        ...

    def restartIce(self) -> None:
        """Ask for an ICE restart."""
        ...

    def addTrack(self, track: Track, /, *streams: MediaStream) -> SenderLike:
        """Send a track."""
        ...

    def removeTrack(self, sender: Any, /) -> None:
        """Send it no more; the argument is one of this connection's senders."""
        ...

    def addTransceiver(self, trackOrKind: Track | str, init: Mapping[str, Any], /) -> TransceiverLike:
        """Add a sender and a receiver."""
        ...

    def getTransceivers(self) -> Sequence[TransceiverLike]:
        """All of them."""
        ...

    def createDataChannel(self, label: str, options: Mapping[str, Any], /) -> DataChannelLike:
        """Make a data channel."""
        ...

    def getStats(self) -> Awaitable[Mapping[str, Any]]:
        """Statistics of everything."""
        ...

    def close(self) -> Awaitable[None]:
        """Close it: at once for who looks, and its sockets by the time that this has been awaited."""
        ...
