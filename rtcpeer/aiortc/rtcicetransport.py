"""`aiortc.rtcicetransport`: our classes, and aiortc's values."""

from aiortc.rtcicetransport import (
    RTCIceCandidate,
    RTCIceParameters,
    candidate_from_aioice,
    candidate_to_aioice,
    parse_stun_turn_uri,
)

from rtcpeer.aiortc.transports import RTCIceGatherer, RTCIceTransport

__all__ = [
    "RTCIceCandidate",
    "RTCIceGatherer",
    "RTCIceParameters",
    "RTCIceTransport",
    "candidate_from_aioice",
    "candidate_to_aioice",
    "parse_stun_turn_uri",
]
