"""`aiortc.rtcrtpsender`: our classes."""

from rtcpeer.aiortc.transceivers import RTCRtpSender

__all__ = [
    "RTCRtpSender",
]
