"""`aiortc.rtcpeerconnection`: our connection, and the values and rules that programs import from there."""

from aiortc import RTCConfiguration, RTCIceCandidate, RTCSessionDescription
from aiortc.rtcpeerconnection import (
    filter_preferred_codecs,
    find_common_codecs,
    find_common_header_extensions,
    is_codec_compatible,
)
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from rtcpeer.aiortc.connection import RTCPeerConnection

__all__ = [
    "RTCConfiguration",
    "RTCIceCandidate",
    "RTCPeerConnection",
    "RTCSessionDescription",
    "RemoteStreamTrack",
    "filter_preferred_codecs",
    "find_common_codecs",
    "find_common_header_extensions",
    "is_codec_compatible",
]
