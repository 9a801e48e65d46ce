"""`aiortc.rtcsctptransport`: our classes, and aiortc's values."""

from aiortc.rtcsctptransport import RTCSctpCapabilities

from rtcpeer.aiortc.transports import RTCSctpTransport

__all__ = [
    "RTCSctpCapabilities",
    "RTCSctpTransport",
]
