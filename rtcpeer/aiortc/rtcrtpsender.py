"""`aiortc.rtcrtpsender`: our classes."""

from rtcpeer.aiortc.rtp import RTCRtpSender

__all__ = [
    "RTCRtpSender",
]
