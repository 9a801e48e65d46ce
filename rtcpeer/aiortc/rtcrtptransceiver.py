"""`aiortc.rtcrtptransceiver`: our classes."""

from rtcpeer.aiortc.transceivers import RTCRtpTransceiver

__all__ = [
    "RTCRtpTransceiver",
]
