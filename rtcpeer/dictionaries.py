"""The W3C dictionaries as dataclasses, and the members that calls take as keywords as TypedDicts.

Every call that takes a dictionary takes a mapping or its members as keywords as well; these are for editors and type
checkers. Owns nothing: names of `rtcpeer.peer` in one place.
"""

from __future__ import annotations

from rtcpeer.peer.dictionaries import (
    RTCAnswerOptions,
    RTCDataChannelEventInit,
    RTCDataChannelInit,
    RTCDTMFToneChangeEventInit,
    RTCErrorEventInit,
    RTCErrorInit,
    RTCIceCandidateInit,
    RTCLocalSessionDescriptionInit,
    RTCOfferOptions,
    RTCPeerConnectionIceErrorEventInit,
    RTCPeerConnectionIceEventInit,
    RTCTrackEventInit,
)
from rtcpeer.peer.keywords import (
    AnswerKeywords,
    CandidateKeywords,
    CertificateKeywords,
    ConfigurationKeywords,
    DataChannelKeywords,
    DescriptionKeywords,
    OfferKeywords,
    SetParameterKeywords,
    TransceiverKeywords,
)
from rtcpeer.peer.parameters import RTCRtpEncodingParameters, RTCRtpSendParameters, RTCRtpTransceiverInit

__all__ = [
    "AnswerKeywords",
    "CandidateKeywords",
    "CertificateKeywords",
    "ConfigurationKeywords",
    "DataChannelKeywords",
    "DescriptionKeywords",
    "OfferKeywords",
    "RTCAnswerOptions",
    "RTCDTMFToneChangeEventInit",
    "RTCDataChannelEventInit",
    "RTCDataChannelInit",
    "RTCErrorEventInit",
    "RTCErrorInit",
    "RTCIceCandidateInit",
    "RTCLocalSessionDescriptionInit",
    "RTCOfferOptions",
    "RTCPeerConnectionIceErrorEventInit",
    "RTCPeerConnectionIceEventInit",
    "RTCRtpEncodingParameters",
    "RTCRtpSendParameters",
    "RTCRtpTransceiverInit",
    "RTCTrackEventInit",
    "SetParameterKeywords",
    "TransceiverKeywords",
]
