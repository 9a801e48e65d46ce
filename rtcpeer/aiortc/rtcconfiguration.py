"""`aiortc.rtcconfiguration`: aiortc's own."""

from aiortc.rtcconfiguration import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
)

__all__ = [
    "RTCBundlePolicy",
    "RTCConfiguration",
    "RTCIceServer",
    "RTCIceTransportPolicy",
]
