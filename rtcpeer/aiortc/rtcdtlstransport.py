"""`aiortc.rtcdtlstransport`: our classes, and aiortc's values."""

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters

from rtcpeer.aiortc.transports import RTCDtlsTransport

__all__ = [
    "RTCCertificate",
    "RTCDtlsFingerprint",
    "RTCDtlsParameters",
    "RTCDtlsTransport",
]
