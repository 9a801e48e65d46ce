"""The W3C dictionaries as classes, and the members that calls take as keywords as TypedDicts.

Every call that takes a dictionary takes a mapping or its members as keywords as well; these are for editors and type
checkers, and what calls return. `RTCConfiguration` and `RTCIceServer`, which programs name, are in `rtcpeer`; others
can be imported from there, too. Owns nothing: names of other modules in one place, loaded on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

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
    "RTCDtlsFingerprint",
    "RTCEncodedAudioFrameMetadata",
    "RTCEncodedVideoFrameMetadata",
    "RTCErrorEventInit",
    "RTCErrorInit",
    "RTCIceCandidateInit",
    "RTCIceParameters",
    "RTCLocalSessionDescriptionInit",
    "RTCOfferOptions",
    "RTCPeerConnectionIceErrorEventInit",
    "RTCPeerConnectionIceEventInit",
    "RTCResolutionRestriction",
    "RTCRtcpParameters",
    "RTCRtpCapabilities",
    "RTCRtpCodec",
    "RTCRtpCodecParameters",
    "RTCRtpContributingSource",
    "RTCRtpEncodingParameters",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpHeaderExtensionParameters",
    "RTCRtpReceiveParameters",
    "RTCRtpSendParameters",
    "RTCRtpSynchronizationSource",
    "RTCRtpTransceiverInit",
    "RTCSessionDescriptionInit",
    "RTCStats",
    "RTCTrackEventInit",
    "SetParameterKeywords",
    "TransceiverKeywords",
]

if TYPE_CHECKING:
    from rtcpeer.media.encoded_frames import RTCEncodedAudioFrameMetadata, RTCEncodedVideoFrameMetadata
    from rtcpeer.peer.certificate import RTCDtlsFingerprint
    from rtcpeer.peer.data_channel import RTCDataChannelEventInit
    from rtcpeer.peer.descriptions import RTCSessionDescriptionInit
    from rtcpeer.peer.dictionaries import (
        RTCAnswerOptions,
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
    from rtcpeer.peer.parameters import (
        RTCResolutionRestriction,
        RTCRtcpParameters,
        RTCRtpCapabilities,
        RTCRtpCodec,
        RTCRtpCodecParameters,
        RTCRtpContributingSource,
        RTCRtpEncodingParameters,
        RTCRtpHeaderExtensionCapability,
        RTCRtpHeaderExtensionParameters,
        RTCRtpReceiveParameters,
        RTCRtpSendParameters,
        RTCRtpSynchronizationSource,
        RTCRtpTransceiverInit,
    )
    from rtcpeer.peer.stats import RTCStats
    from rtcpeer.peer.transports import RTCIceParameters
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.media.encoded_frames": (
                "RTCEncodedAudioFrameMetadata",
                "RTCEncodedVideoFrameMetadata",
            ),
            "rtcpeer.peer.certificate": ("RTCDtlsFingerprint",),
            "rtcpeer.peer.data_channel": ("RTCDataChannelEventInit",),
            "rtcpeer.peer.descriptions": ("RTCSessionDescriptionInit",),
            "rtcpeer.peer.dictionaries": (
                "RTCAnswerOptions",
                "RTCDTMFToneChangeEventInit",
                "RTCDataChannelInit",
                "RTCErrorEventInit",
                "RTCErrorInit",
                "RTCIceCandidateInit",
                "RTCLocalSessionDescriptionInit",
                "RTCOfferOptions",
                "RTCPeerConnectionIceErrorEventInit",
                "RTCPeerConnectionIceEventInit",
                "RTCTrackEventInit",
            ),
            "rtcpeer.peer.keywords": (
                "AnswerKeywords",
                "CandidateKeywords",
                "CertificateKeywords",
                "ConfigurationKeywords",
                "DataChannelKeywords",
                "DescriptionKeywords",
                "OfferKeywords",
                "SetParameterKeywords",
                "TransceiverKeywords",
            ),
            "rtcpeer.peer.parameters": (
                "RTCRtcpParameters",
                "RTCResolutionRestriction",
                "RTCRtpCapabilities",
                "RTCRtpCodec",
                "RTCRtpCodecParameters",
                "RTCRtpContributingSource",
                "RTCRtpEncodingParameters",
                "RTCRtpHeaderExtensionCapability",
                "RTCRtpHeaderExtensionParameters",
                "RTCRtpReceiveParameters",
                "RTCRtpSendParameters",
                "RTCRtpSynchronizationSource",
                "RTCRtpTransceiverInit",
            ),
            "rtcpeer.peer.stats": ("RTCStats",),
            "rtcpeer.peer.transports": ("RTCIceParameters",),
        },
    )
