"""`aiortc.stats`: aiortc's own."""

from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCReceivedRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCRtpStreamStats,
    RTCSentRtpStreamStats,
    RTCStats,
    RTCStatsReport,
    RTCTransportStats,
)

__all__ = [
    "RTCInboundRtpStreamStats",
    "RTCOutboundRtpStreamStats",
    "RTCReceivedRtpStreamStats",
    "RTCRemoteInboundRtpStreamStats",
    "RTCRemoteOutboundRtpStreamStats",
    "RTCRtpStreamStats",
    "RTCSentRtpStreamStats",
    "RTCStats",
    "RTCStatsReport",
    "RTCTransportStats",
]
