"""The W3C dictionaries that calls take, as dataclasses; a mapping with the same members or keywords do as well.

Owns: names and defaults, for who likes to be told them by the editor. Never: a conversion or a rule; a call reads
a dataclass as it reads a mapping (`rtcpeer.webidl.members`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rtcpeer.records import record

if TYPE_CHECKING:
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.track import MediaStreamTrack
    from rtcpeer.peer.descriptions import RTCIceCandidate
    from rtcpeer.peer.errors import RTCError


@record(slots=True)
class RTCOfferOptions:
    """Of `createOffer` (webrtc-pc 4.2.6, 4.4.3.2)."""

    iceRestart: bool = False
    offerToReceiveAudio: bool | None = None
    offerToReceiveVideo: bool | None = None


@record(slots=True)
class RTCAnswerOptions:
    """Of `createAnswer` (webrtc-pc 4.2.6): it has no members."""


@record(slots=True)
class RTCLocalSessionDescriptionInit:
    """Of `setLocalDescription` (webrtc-pc 4.6.3): without a type, what the state asks for."""

    type: str | None = None
    sdp: str = ""


@record(slots=True)
class RTCIceCandidateInit:
    """Of `addIceCandidate` and `RTCIceCandidate` (webrtc-pc 4.8.1): "" is the end of candidates."""

    candidate: str = ""
    sdpMid: str | None = None
    sdpMLineIndex: int | None = None
    usernameFragment: str | None = None


@record(slots=True)
class RTCDataChannelInit:
    """Of `createDataChannel` (webrtc-pc 6.2.2)."""

    ordered: bool = True
    maxPacketLifeTime: int | None = None
    maxRetransmits: int | None = None
    protocol: str = ""
    negotiated: bool = False
    id: int | None = None
    priority: str = "low"


@record(slots=True)
class RTCErrorInit:
    """Of `RTCError` (webrtc-pc 11.1.2)."""

    errorDetail: str
    sdpLineNumber: int | None = None
    sctpCauseCode: int | None = None
    receivedAlert: int | None = None
    sentAlert: int | None = None


# --- of events ------------------------------------------------------------------------------------


@record(slots=True)
class RTCPeerConnectionIceEventInit:
    """Of `RTCPeerConnectionIceEvent` (webrtc-pc 4.8.2)."""

    candidate: RTCIceCandidate | None = None
    url: str | None = None


@record(slots=True)
class RTCPeerConnectionIceErrorEventInit:
    """Of `RTCPeerConnectionIceErrorEvent` (webrtc-pc 4.8.3)."""

    errorCode: int
    address: str | None = None
    port: int | None = None
    url: str = ""
    errorText: str = ""


@record(slots=True)
class RTCTrackEventInit:
    """Of `RTCTrackEvent` (webrtc-pc 5.7)."""

    receiver: Any
    track: MediaStreamTrack
    transceiver: Any
    streams: Sequence[MediaStream] = ()


@record(slots=True)
class RTCDTMFToneChangeEventInit:
    """Of `RTCDTMFToneChangeEvent` (webrtc-pc 7.3)."""

    tone: str = ""


@record(slots=True)
class RTCErrorEventInit:
    """Of `RTCErrorEvent` (webrtc-pc 11.2)."""

    error: RTCError
