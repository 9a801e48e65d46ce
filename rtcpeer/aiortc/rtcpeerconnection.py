"""`aiortc.rtcpeerconnection`: our classes."""

from rtcpeer.aiortc.connection import RTCPeerConnection

__all__ = [
    "RTCPeerConnection",
]
