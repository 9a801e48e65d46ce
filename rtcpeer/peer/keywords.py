"""The members that calls of the face take as keywords, for type checkers and editors (PEP 692).

Each has the members of a W3C dictionary. Owns: names and types. Never: a default or a rule; those are where the call
reads its arguments. `rtcpeer.webidl.check_keywords` refuses other keywords at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from rtcpeer.config.configuration import RTCIceServer
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.peer.certificate import RTCCertificate
    from rtcpeer.peer.parameters import RTCRtpEncodingParameters


class ConfigurationKeywords(TypedDict, total=False):
    """Keywords of `RTCPeerConnection` and `setConfiguration`: RTCConfiguration (webrtc-pc 4.2.1)."""

    iceServers: Iterable[RTCIceServer | Mapping[str, Any]]
    iceTransportPolicy: str
    bundlePolicy: str
    rtcpMuxPolicy: str
    certificates: Iterable[RTCCertificate]
    iceCandidatePoolSize: int


class OfferKeywords(TypedDict, total=False):
    """Keywords of `createOffer`: RTCOfferOptions (webrtc-pc 4.2.6, 4.4.3.2)."""

    iceRestart: bool
    offerToReceiveAudio: bool | None
    offerToReceiveVideo: bool | None


class AnswerKeywords(TypedDict, total=False):
    """Keywords of `createAnswer`: RTCAnswerOptions (webrtc-pc 4.2.6), which has no members."""


class DescriptionKeywords(TypedDict, total=False):
    """Keywords of a description: RTCSessionDescriptionInit (webrtc-pc 4.6.3)."""

    type: str | None
    sdp: str


class CandidateKeywords(TypedDict, total=False):
    """Keywords of a candidate: RTCIceCandidateInit (webrtc-pc 4.8.1), but for `candidate`, the argument before them."""

    sdpMid: str | None
    sdpMLineIndex: int | None
    usernameFragment: str | None


class CertificateKeywords(TypedDict, total=False):
    """Keywords of `generateCertificate`: EcKeyGenParams and RsaHashedKeyGenParams of WebCrypto, and `expires`."""

    name: str
    namedCurve: str
    modulusLength: int
    publicExponent: int | bytes
    hash: str | Mapping[str, Any]
    expires: int


class TransceiverKeywords(TypedDict, total=False):
    """Keywords of `addTransceiver`: RTCRtpTransceiverInit (webrtc-pc 5.1)."""

    direction: str
    streams: Iterable[MediaStream]
    sendEncodings: Iterable[RTCRtpEncodingParameters | Mapping[str, Any]]


class SetParameterKeywords(TypedDict, total=False):
    """Keywords of `setParameters`: RTCSetParameterOptions (webrtc-extensions)."""

    encodingOptions: Iterable[Mapping[str, Any]]


class DataChannelKeywords(TypedDict, total=False):
    """Keywords of `createDataChannel`: RTCDataChannelInit (webrtc-pc 6.2.2)."""

    ordered: bool
    maxPacketLifeTime: int | None
    maxRetransmits: int | None
    protocol: str
    negotiated: bool
    id: int | None
    priority: str
