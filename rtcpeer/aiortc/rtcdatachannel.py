"""`aiortc.rtcdatachannel`: our classes, and aiortc's values."""

from aiortc.rtcdatachannel import RTCDataChannelParameters

from rtcpeer.aiortc.channel import RTCDataChannel

__all__ = [
    "RTCDataChannel",
    "RTCDataChannelParameters",
]
