"""`aiortc.rtcrtptransceiver`: our classes."""

from rtcpeer.aiortc.rtp import RTCRtpTransceiver

__all__ = [
    "RTCRtpTransceiver",
]
