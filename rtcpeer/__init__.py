"""rtcpeer: a browser-grade RTCPeerConnection for Python asyncio.

The packages, from what programs see to the wire: `calls` (one call over many services), `supervisor` (a peer that
stays connected), `signaling` (descriptions to the other side and back), `peer` (the W3C face), `media` (tracks,
codecs, files); `jsep` and `sdp` (descriptions), `config` (which servers); `sctp` (data), `rtp`, `dtls`, `ice` with
`turn` and `stun`, `net`. Beside them: `aiortc` (a drop-in), `testing`, `metrics`, `trace`, `cli` (`__main__` calls
it).

On the ground floor: `values` and `errors` (what all speak), `webidl`, `aio`, `threads`, `log`, `lazy`. `dictionaries`
names the dictionaries of W3C.

Names are imported on demand (PEP 562): importing the package loads nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_EXPORTS = {
    "rtcpeer.peer.connection": ("RTCPeerConnection",),
    "rtcpeer.peer.settings": ("PeerSettings",),
    "rtcpeer.ice.settings": ("IceSettings",),
    "rtcpeer.config.configuration": ("RTCConfiguration", "RTCIceServer"),
    "rtcpeer.peer.descriptions": ("RTCSessionDescription", "RTCSessionDescriptionInit", "RTCIceCandidate"),
    "rtcpeer.peer.certificate": ("RTCCertificate", "RTCDtlsFingerprint"),
    "rtcpeer.peer.transports": (
        "RTCIceTransport",
        "RTCDtlsTransport",
        "RTCSctpTransport",
        "RTCIceCandidatePair",
        "RTCIceParameters",
    ),
    "rtcpeer.peer.data_channel": ("RTCDataChannel",),
    "rtcpeer.peer.forwarder": ("Forwarder", "ForwarderOutput"),
    "rtcpeer.peer.rtp": ("RTCRtpSender", "RTCRtpReceiver", "RTCRtpTransceiver"),
    "rtcpeer.peer.parameters": (
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
        "RTCDataChannelEventInit",
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
    "rtcpeer.peer.stats": ("RTCStats", "RTCStatsReport"),
    "rtcpeer.media.audio_source": ("AudioSource", "AudioTap"),
    "rtcpeer.media.video.registered": ("registerEncoder",),
    "rtcpeer.media.encoded_frames": (
        "EncodedFrameReader",
        "RTCEncodedAudioFrame",
        "RTCEncodedAudioFrameMetadata",
        "RTCEncodedVideoFrame",
        "RTCEncodedVideoFrameMetadata",
    ),
    "rtcpeer.media.encoded_track": ("EncodedTrack",),
    "rtcpeer.media.sframe": ("SFrameTransform", "SFrameTransformErrorEvent"),
    "rtcpeer.media.transforms": ("KeyFrameRequestEvent", "RTCRtpScriptTransform", "RTCRtpScriptTransformer"),
    "rtcpeer.media.track": ("MediaStreamTrack",),
    "rtcpeer.media.player": ("MediaPlayer",),
    "rtcpeer.media.recorder": ("MediaRecorder",),
    "rtcpeer.media.stream": ("MediaStream",),
    "rtcpeer.media.event_target": ("Event", "EventTarget"),
    "rtcpeer.peer.events": (
        "MediaStreamTrackEvent",
        "MessageEvent",
        "RTCDTMFToneChangeEvent",
        "RTCDataChannelEvent",
        "RTCErrorEvent",
        "RTCPeerConnectionIceErrorEvent",
        "RTCPeerConnectionIceEvent",
        "RTCSenderErrorEvent",
        "RTCTrackEvent",
    ),
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
    # the bases: what the face raises derives from them, and what is used beside the face raises them
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
}

_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "AbortError",
    "AudioSource",
    "AudioTap",
    "Event",
    "EventTarget",
    "IceServerProvider",
    "IceSettings",
    "InvalidAccessError",
    "InvalidModificationError",
    "InvalidStateError",
    "MediaPlayer",
    "MediaRecorder",
    "MediaStream",
    "MediaStreamTrack",
    "MediaStreamTrackEvent",
    "MessageEvent",
    "Negotiator",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "OverconstrainedError",
    "PeerSettings",
    "RTCAnswerOptions",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDTMFSender",
    "RTCDTMFToneChangeEvent",
    "RTCDTMFToneChangeEventInit",
    "RTCDataChannel",
    "RTCDataChannelEvent",
    "RTCDataChannelEventInit",
    "RTCDataChannelInit",
    "RTCDtlsFingerprint",
    "RTCDtlsTransport",
    "RTCError",
    "RTCErrorEvent",
    "RTCErrorEventInit",
    "RTCErrorInit",
    "RTCIceCandidate",
    "RTCIceCandidateInit",
    "RTCIceCandidatePair",
    "RTCIceParameters",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCLocalSessionDescriptionInit",
    "RTCOfferOptions",
    "RTCPeerConnection",
    "RTCPeerConnectionIceErrorEvent",
    "RTCPeerConnectionIceErrorEventInit",
    "RTCPeerConnectionIceEvent",
    "RTCPeerConnectionIceEventInit",
    "RTCRangeError",
    "RTCRtcpParameters",
    "RTCRtpCapabilities",
    "RTCRtpCodec",
    "RTCRtpCodecParameters",
    "RTCRtpContributingSource",
    "RTCRtpEncodingParameters",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpHeaderExtensionParameters",
    "RTCRtpReceiveParameters",
    "RTCRtpReceiver",
    "RTCRtpSendParameters",
    "RTCRtpSender",
    "RTCRtpSynchronizationSource",
    "RTCRtpTransceiver",
    "RTCRtpTransceiverInit",
    "RTCSctpTransport",
    "RTCSenderErrorEvent",
    "RTCSessionDescription",
    "RTCSessionDescriptionInit",
    "RTCStats",
    "RTCStatsReport",
    "RTCSyntaxError",
    "RTCTimeoutError",
    "RTCTrackEvent",
    "RTCTrackEventInit",
    "RtcPeerError",
    "Session",
    "SignalingRefused",
    "SupervisedPeer",
    "check_signaling_channel",
    "memory_pair",
    "Forwarder",
    "EncodedFrameReader",
    "RTCEncodedAudioFrame",
    "RTCEncodedAudioFrameMetadata",
    "RTCEncodedVideoFrame",
    "RTCEncodedVideoFrameMetadata",
    "EncodedTrack",
    "SFrameTransform",
    "SFrameTransformErrorEvent",
    "KeyFrameRequestEvent",
    "RTCRtpScriptTransform",
    "RTCRtpScriptTransformer",
    "ForwarderOutput",
    "registerEncoder",
    "Call",
    "join",
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
    from rtcpeer.media.encoded_frames import (
        EncodedFrameReader,
        RTCEncodedAudioFrame,
        RTCEncodedAudioFrameMetadata,
        RTCEncodedVideoFrame,
        RTCEncodedVideoFrameMetadata,
    )
    from rtcpeer.media.encoded_track import EncodedTrack
    from rtcpeer.media.event_target import Event, EventTarget
    from rtcpeer.media.player import MediaPlayer
    from rtcpeer.media.recorder import MediaRecorder
    from rtcpeer.media.sframe import SFrameTransform, SFrameTransformErrorEvent
    from rtcpeer.media.stream import MediaStream
    from rtcpeer.media.track import MediaStreamTrack
    from rtcpeer.media.transforms import KeyFrameRequestEvent, RTCRtpScriptTransform, RTCRtpScriptTransformer
    from rtcpeer.media.video.registered import registerEncoder
    from rtcpeer.peer.certificate import RTCCertificate, RTCDtlsFingerprint
    from rtcpeer.peer.connection import RTCPeerConnection
    from rtcpeer.peer.data_channel import RTCDataChannel
    from rtcpeer.peer.descriptions import RTCIceCandidate, RTCSessionDescription, RTCSessionDescriptionInit
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
    from rtcpeer.peer.dtmf import RTCDTMFSender
    from rtcpeer.peer.errors import RTCError
    from rtcpeer.peer.events import (
        MediaStreamTrackEvent,
        MessageEvent,
        RTCDataChannelEvent,
        RTCDTMFToneChangeEvent,
        RTCErrorEvent,
        RTCPeerConnectionIceErrorEvent,
        RTCPeerConnectionIceEvent,
        RTCSenderErrorEvent,
        RTCTrackEvent,
    )
    from rtcpeer.peer.forwarder import Forwarder, ForwarderOutput
    from rtcpeer.peer.parameters import (
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
    from rtcpeer.peer.rtp import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
    from rtcpeer.peer.settings import PeerSettings
    from rtcpeer.peer.stats import RTCStats, RTCStatsReport
    from rtcpeer.peer.transports import (
        RTCDtlsTransport,
        RTCIceCandidatePair,
        RTCIceParameters,
        RTCIceTransport,
        RTCSctpTransport,
    )
    from rtcpeer.signaling.channel import memory_pair
    from rtcpeer.signaling.check import check_signaling_channel
    from rtcpeer.signaling.negotiator import Negotiator
    from rtcpeer.supervisor.peer import SupervisedPeer
    from rtcpeer.supervisor.session import Session


if os.environ.get("RTCPEER_LOG"):
    from rtcpeer.log import configure as _configure_log

    _configure_log(os.environ["RTCPEER_LOG"])


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'rtcpeer' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
