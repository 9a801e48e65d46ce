"""`aiortc.rtcconfiguration`: aiortc's own."""

from __future__ import annotations

import enum

from aiortc import rtcconfiguration
from aiortc.rtcconfiguration import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
)

__all__ = [
    "RTCBundlePolicy",
    "RTCConfiguration",
    "RTCIceServer",
    "RTCIceTransportPolicy",
]


class _IceTransportPolicy(enum.Enum):
    """RTCIceTransportPolicy for releases of aiortc that have none (before 1.15)."""

    ALL = "all"
    RELAY = "relay"


RTCIceTransportPolicy = getattr(rtcconfiguration, "RTCIceTransportPolicy", _IceTransportPolicy)
