"""rtcpeer: a browser-grade RTCPeerConnection for Python asyncio.

The packages, from what programs see to the wire: `calls` (one call over many services), `supervisor` (a peer that
stays connected), `signaling` (descriptions to the other side and back), `peer` (the W3C face), `media` (tracks,
codecs, files); `jsep` and `sdp` (descriptions), `config` (which servers); `sctp` (data), `rtp`, `dtls`, `ice` with
`turn` and `stun`, `net`. Beside them: `aiortc` (a drop-in), `testing`, `metrics`, `trace`, `cli` (`__main__` calls
it).

On the ground floor: `values` and `errors` (what all speak), `records` (what dataclasses are made by), `webidl`, `aio`,
`threads`, `log`, `lazy`. `dictionaries` names the dictionaries of W3C, `protocols` what signaling and supervisor ask of
a connection and of a track.

Names are imported on demand (PEP 562): importing the package loads nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rtcpeer.lazy import lazy_names

__version__ = "0.2.0"

__all__ = [
    "AbortError",
    "AudioSource",
    "AudioTap",
    "Call",
    "EncodedFrameReader",
    "EncodedTrack",
    "Event",
    "EventTarget",
    "Forwarder",
    "ForwarderOutput",
    "IceServerProvider",
    "IceSettings",
    "InvalidAccessError",
    "InvalidModificationError",
    "InvalidStateError",
    "KeyFrameRequestEvent",
    "MediaPlayer",
    "MediaRecorder",
    "MediaStream",
    "MediaStreamError",
    "MediaStreamTrack",
    "MediaStreamEvent",
    "MediaStreamTrackEvent",
    "MessageEvent",
    "Negotiator",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "OverconstrainedError",
    "PeerConnection",
    "PeerSettings",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDTMFSender",
    "RTCDTMFToneChangeEvent",
    "RTCDataChannel",
    "RTCDataChannelEvent",
    "RTCDtlsTransport",
    "RTCEncodedAudioFrame",
    "RTCEncodedVideoFrame",
    "RTCError",
    "RTCErrorEvent",
    "RTCIceCandidate",
    "RTCIceCandidatePair",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCPeerConnection",
    "RTCPeerConnectionIceErrorEvent",
    "RTCPeerConnectionIceEvent",
    "RTCRangeError",
    "RTCRtpReceiver",
    "RTCRtpScriptTransform",
    "RTCRtpScriptTransformer",
    "RTCRtpSender",
    "RTCRtpTransceiver",
    "RTCSctpTransport",
    "RTCSenderErrorEvent",
    "RTCSessionDescription",
    "RTCStatsReport",
    "RTCSyntaxError",
    "RTCTimeoutError",
    "RTCTrackEvent",
    "RtcPeerError",
    "SFrameTransform",
    "SFrameTransformErrorEvent",
    "Session",
    "SignalingRefused",
    "SupervisedPeer",
    "Track",
    "check_signaling_channel",
    "join",
    "memory_pair",
    "registerEncoder",
    "run",
]

if TYPE_CHECKING:
    from rtcpeer.calls.call import Call
    from rtcpeer.calls.joining import join
    from rtcpeer.calls.running import run
    from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer
    from rtcpeer.config.provider import IceServerProvider
    from rtcpeer.errors import (
        AbortError,
        InvalidAccessError,
        InvalidModificationError,
        InvalidStateError,
        NetworkError,
        NotSupportedError,
        OperationError,
        OverconstrainedError,
        RtcPeerError,
        RTCRangeError,
        RTCSyntaxError,
        RTCTimeoutError,
        SignalingRefused,
    )
    from rtcpeer.ice.settings import IceSettings
    from rtcpeer.media.audio_source import AudioSource, AudioTap
    from rtcpeer.media.encoded_frames import EncodedFrameReader, RTCEncodedAudioFrame, RTCEncodedVideoFrame
    from rtcpeer.media.encoded_frames import RTCEncodedAudioFrameMetadata as RTCEncodedAudioFrameMetadata
    from rtcpeer.media.encoded_frames import RTCEncodedVideoFrameMetadata as RTCEncodedVideoFrameMetadata
    from rtcpeer.media.encoded_track import EncodedTrack
    from rtcpeer.media.event_target import Event, EventTarget
    from rtcpeer.media.player import MediaPlayer
    from rtcpeer.media.recorder import MediaRecorder
    from rtcpeer.media.sframe import SFrameTransform, SFrameTransformErrorEvent
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.track import MediaStreamError, MediaStreamTrack
    from rtcpeer.media.transforms import KeyFrameRequestEvent, RTCRtpScriptTransform, RTCRtpScriptTransformer
    from rtcpeer.media.video.registered import registerEncoder
    from rtcpeer.peer.certificate import RTCCertificate
    from rtcpeer.peer.certificate import RTCDtlsFingerprint as RTCDtlsFingerprint
    from rtcpeer.peer.connection import RTCPeerConnection
    from rtcpeer.peer.data_channel import RTCDataChannel, RTCDataChannelEvent
    from rtcpeer.peer.data_channel import RTCDataChannelEventInit as RTCDataChannelEventInit
    from rtcpeer.peer.descriptions import RTCIceCandidate, RTCSessionDescription
    from rtcpeer.peer.descriptions import RTCSessionDescriptionInit as RTCSessionDescriptionInit
    from rtcpeer.peer.dictionaries import RTCAnswerOptions as RTCAnswerOptions
    from rtcpeer.peer.dictionaries import RTCDataChannelInit as RTCDataChannelInit
    from rtcpeer.peer.dictionaries import RTCDTMFToneChangeEventInit as RTCDTMFToneChangeEventInit
    from rtcpeer.peer.dictionaries import RTCErrorEventInit as RTCErrorEventInit
    from rtcpeer.peer.dictionaries import RTCErrorInit as RTCErrorInit
    from rtcpeer.peer.dictionaries import RTCIceCandidateInit as RTCIceCandidateInit
    from rtcpeer.peer.dictionaries import RTCLocalSessionDescriptionInit as RTCLocalSessionDescriptionInit
    from rtcpeer.peer.dictionaries import RTCOfferOptions as RTCOfferOptions
    from rtcpeer.peer.dictionaries import (
        RTCPeerConnectionIceErrorEventInit as RTCPeerConnectionIceErrorEventInit,
    )
    from rtcpeer.peer.dictionaries import RTCPeerConnectionIceEventInit as RTCPeerConnectionIceEventInit
    from rtcpeer.peer.dictionaries import RTCTrackEventInit as RTCTrackEventInit
    from rtcpeer.peer.dtmf import RTCDTMFSender
    from rtcpeer.peer.errors import RTCError
    from rtcpeer.peer.events import (
        MediaStreamEvent,
        MediaStreamTrackEvent,
        MessageEvent,
        RTCDTMFToneChangeEvent,
        RTCErrorEvent,
        RTCPeerConnectionIceErrorEvent,
        RTCPeerConnectionIceEvent,
        RTCSenderErrorEvent,
        RTCTrackEvent,
    )
    from rtcpeer.peer.forwarder import Forwarder, ForwarderOutput
    from rtcpeer.peer.parameters import RTCResolutionRestriction as RTCResolutionRestriction
    from rtcpeer.peer.parameters import RTCRtcpParameters as RTCRtcpParameters
    from rtcpeer.peer.parameters import RTCRtpCapabilities as RTCRtpCapabilities
    from rtcpeer.peer.parameters import RTCRtpCodec as RTCRtpCodec
    from rtcpeer.peer.parameters import RTCRtpCodecParameters as RTCRtpCodecParameters
    from rtcpeer.peer.parameters import RTCRtpContributingSource as RTCRtpContributingSource
    from rtcpeer.peer.parameters import RTCRtpEncodingParameters as RTCRtpEncodingParameters
    from rtcpeer.peer.parameters import RTCRtpHeaderExtensionCapability as RTCRtpHeaderExtensionCapability
    from rtcpeer.peer.parameters import RTCRtpHeaderExtensionParameters as RTCRtpHeaderExtensionParameters
    from rtcpeer.peer.parameters import RTCRtpReceiveParameters as RTCRtpReceiveParameters
    from rtcpeer.peer.parameters import RTCRtpSendParameters as RTCRtpSendParameters
    from rtcpeer.peer.parameters import RTCRtpSynchronizationSource as RTCRtpSynchronizationSource
    from rtcpeer.peer.parameters import RTCRtpTransceiverInit as RTCRtpTransceiverInit
    from rtcpeer.peer.rtp import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
    from rtcpeer.peer.settings import PeerSettings
    from rtcpeer.peer.stats import RTCStats as RTCStats
    from rtcpeer.peer.stats import RTCStatsReport
    from rtcpeer.peer.transports import (
        RTCDtlsTransport,
        RTCIceCandidatePair,
        RTCIceTransport,
        RTCSctpTransport,
    )
    from rtcpeer.peer.transports import RTCIceParameters as RTCIceParameters
    from rtcpeer.protocols import PeerConnection, Track
    from rtcpeer.signaling.channel import memory_pair
    from rtcpeer.signaling.check import check_signaling_channel
    from rtcpeer.signaling.negotiator import Negotiator
    from rtcpeer.supervisor.peer import SupervisedPeer
    from rtcpeer.supervisor.session import Session
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rtcpeer.peer.connection": ("RTCPeerConnection",),
            "rtcpeer.peer.settings": ("PeerSettings",),
            "rtcpeer.ice.settings": ("IceSettings",),
            "rtcpeer.config.configuration": (
                "RTCConfiguration",
                "RTCIceServer",
            ),
            "rtcpeer.peer.descriptions": (
                "RTCSessionDescription",
                "RTCSessionDescriptionInit",
                "RTCIceCandidate",
            ),
            "rtcpeer.peer.certificate": (
                "RTCCertificate",
                "RTCDtlsFingerprint",
            ),
            "rtcpeer.peer.transports": (
                "RTCIceTransport",
                "RTCDtlsTransport",
                "RTCSctpTransport",
                "RTCIceCandidatePair",
                "RTCIceParameters",
            ),
            "rtcpeer.peer.data_channel": (
                "RTCDataChannel",
                "RTCDataChannelEvent",
                "RTCDataChannelEventInit",
            ),
            "rtcpeer.peer.forwarder": (
                "Forwarder",
                "ForwarderOutput",
            ),
            "rtcpeer.peer.rtp": (
                "RTCRtpSender",
                "RTCRtpReceiver",
                "RTCRtpTransceiver",
            ),
            "rtcpeer.peer.parameters": (
                "RTCResolutionRestriction",
                "RTCRtpCapabilities",
                "RTCRtpCodec",
                "RTCRtpCodecParameters",
                "RTCRtpContributingSource",
                "RTCRtpEncodingParameters",
                "RTCRtpHeaderExtensionCapability",
                "RTCRtpHeaderExtensionParameters",
                "RTCRtcpParameters",
                "RTCRtpReceiveParameters",
                "RTCRtpSendParameters",
                "RTCRtpSynchronizationSource",
                "RTCRtpTransceiverInit",
            ),
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
            "rtcpeer.peer.dtmf": ("RTCDTMFSender",),
            "rtcpeer.peer.stats": (
                "RTCStats",
                "RTCStatsReport",
            ),
            "rtcpeer.media.audio_source": (
                "AudioSource",
                "AudioTap",
            ),
            "rtcpeer.media.video.registered": ("registerEncoder",),
            "rtcpeer.media.encoded_frames": (
                "EncodedFrameReader",
                "RTCEncodedAudioFrame",
                "RTCEncodedAudioFrameMetadata",
                "RTCEncodedVideoFrame",
                "RTCEncodedVideoFrameMetadata",
            ),
            "rtcpeer.media.encoded_track": ("EncodedTrack",),
            "rtcpeer.media.sframe": (
                "SFrameTransform",
                "SFrameTransformErrorEvent",
            ),
            "rtcpeer.media.transforms": (
                "KeyFrameRequestEvent",
                "RTCRtpScriptTransform",
                "RTCRtpScriptTransformer",
            ),
            "rtcpeer.media.track": ("MediaStreamError", "MediaStreamTrack"),
            "rtcpeer.media.player": ("MediaPlayer",),
            "rtcpeer.media.recorder": ("MediaRecorder",),
            "rtcpeer.media.stream": ("MediaStream",),
            "rtcpeer.media.event_target": (
                "Event",
                "EventTarget",
            ),
            "rtcpeer.peer.events": (
                "MediaStreamEvent",
                "MediaStreamTrackEvent",
                "MessageEvent",
                "RTCDTMFToneChangeEvent",
                "RTCErrorEvent",
                "RTCPeerConnectionIceErrorEvent",
                "RTCPeerConnectionIceEvent",
                "RTCSenderErrorEvent",
                "RTCTrackEvent",
            ),
            "rtcpeer.protocols": ("PeerConnection", "Track"),
            "rtcpeer.signaling.channel": ("memory_pair",),
            "rtcpeer.signaling.check": ("check_signaling_channel",),
            "rtcpeer.signaling.negotiator": ("Negotiator",),
            "rtcpeer.config.provider": ("IceServerProvider",),
            "rtcpeer.supervisor.peer": ("SupervisedPeer",),
            "rtcpeer.supervisor.session": ("Session",),
            "rtcpeer.calls.call": ("Call",),
            "rtcpeer.calls.joining": ("join",),
            "rtcpeer.calls.running": ("run",),
            "rtcpeer.peer.errors": ("RTCError",),
            "rtcpeer.errors": (
                "AbortError",
                "InvalidAccessError",
                "InvalidModificationError",
                "InvalidStateError",
                "NetworkError",
                "NotSupportedError",
                "OperationError",
                "OverconstrainedError",
                "RTCRangeError",
                "RTCSyntaxError",
                "RTCTimeoutError",
                "RtcPeerError",
                "SignalingRefused",
            ),
        },
    )

if os.environ.get("RTCPEER_LOG"):
    from rtcpeer.log import configure as _configure_log

    _configure_log(os.environ["RTCPEER_LOG"])
