"""A drop-in for the top-level module `aiortc`: a program changes its import and keeps its conventions.

    from rtcpeer.aiortc import RTCPeerConnection, RTCSessionDescription

Connections, transceivers, channels and transports are rtcpeer's, shown with aiortc's conventions; tracks,
descriptions, candidates, configurations and reports are aiortc's own classes. See docs/moving-from-aiortc.md.

What makes the drop-in, in reading order: `connection`, `negotiation` (descriptions) with `wording`, `shown_states` and
`gathering`; `transceivers`, `channel`, `transports` on `emitter`; `values` and `reports` (aiortc's own
classes). `negotiable` shows a connection of plain aiortc as W3C has it.

The modules that are named as aiortc's have the documented names of those, so that the import may be changed
everywhere: `contrib`, `exceptions`, `jitterbuffer`, `mediastreams`, `rtcconfiguration`, `rtcdatachannel`,
`rtcdtlstransport`, `rtcicetransport`, `rtcpeerconnection`, `rtcrtpparameters`, `rtcrtpreceiver`, `rtcrtpsender`,
`rtcrtptransceiver`, `rtcsctptransport`, `rtcsessiondescription`, `sdp`, `stats`. The rest is aiortc's own (`modules`).
`private_names`, `aioice_view`, `codec_limits` and `ortc` are for programs that reach inside, `__main__` for those that
are not changed.
"""

from __future__ import annotations

from aiortc import (
    AudioStreamTrack,
    InvalidAccessError,
    InvalidStateError,
    MediaStreamError,
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCCertificate,
    RTCConfiguration,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCIceCandidate,
    RTCIceParameters,
    RTCIceServer,
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCRtcpParameters,
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpContributingSource,
    RTCRtpHeaderExtensionCapability,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
    RTCRtpSynchronizationSource,
    RTCSctpCapabilities,
    RTCSessionDescription,
    RTCStatsReport,
    RTCTransportStats,
    VideoStreamTrack,
)
from aiortc import __version__ as __version__

# in aiortc, too, these are attributes (`aiortc.sdp.candidate_from_sdp`) that `import *` does not bring
from rtcpeer.aiortc import (  # noqa: F401
    contrib,
    exceptions,
    jitterbuffer,
    mediastreams,
    rtcconfiguration,
    rtcdatachannel,
    rtcdtlstransport,
    rtcicetransport,
    rtcpeerconnection,
    rtcrtpparameters,
    rtcrtpreceiver,
    rtcrtpsender,
    rtcrtptransceiver,
    rtcsctptransport,
    rtcsessiondescription,
    sdp,
    stats,
)
from rtcpeer.aiortc.channel import RTCDataChannel
from rtcpeer.aiortc.connection import RTCPeerConnection
from rtcpeer.aiortc.gathering import GatheringPatience
from rtcpeer.aiortc.modules import complete as _complete
from rtcpeer.aiortc.modules import replace_aiortc
from rtcpeer.aiortc.rtcconfiguration import RTCIceTransportPolicy
from rtcpeer.aiortc.transceivers import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from rtcpeer.aiortc.transports import RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCSctpTransport

__all__ = [
    "AudioStreamTrack",
    "GatheringPatience",
    "InvalidAccessError",
    "InvalidStateError",
    "MediaStreamError",
    "MediaStreamTrack",
    "RTCBundlePolicy",
    "RTCCertificate",
    "RTCConfiguration",
    "RTCDataChannel",
    "RTCDataChannelParameters",
    "RTCDtlsFingerprint",
    "RTCDtlsParameters",
    "RTCDtlsTransport",
    "RTCIceCandidate",
    "RTCIceGatherer",
    "RTCIceParameters",
    "RTCIceServer",
    "RTCIceTransport",
    "RTCIceTransportPolicy",
    "RTCInboundRtpStreamStats",
    "RTCOutboundRtpStreamStats",
    "RTCPeerConnection",
    "RTCRemoteInboundRtpStreamStats",
    "RTCRemoteOutboundRtpStreamStats",
    "RTCRtcpParameters",
    "RTCRtpCapabilities",
    "RTCRtpCodecCapability",
    "RTCRtpCodecParameters",
    "RTCRtpContributingSource",
    "RTCRtpHeaderExtensionCapability",
    "RTCRtpHeaderExtensionParameters",
    "RTCRtpParameters",
    "RTCRtpReceiver",
    "RTCRtpSender",
    "RTCRtpSynchronizationSource",
    "RTCRtpTransceiver",
    "RTCSctpCapabilities",
    "RTCSctpTransport",
    "RTCSessionDescription",
    "RTCStatsReport",
    "RTCTransportStats",
    "VideoStreamTrack",
    "contrib",
    "replace_aiortc",
]

_complete()
