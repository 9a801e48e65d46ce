"""`aiortc.rtcsessiondescription`: aiortc's own."""

from aiortc.rtcsessiondescription import RTCSessionDescription

__all__ = [
    "RTCSessionDescription",
]
