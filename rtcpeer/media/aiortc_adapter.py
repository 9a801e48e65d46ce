"""Adapter for aiortc's private classes, as far as media needs them: one place to mend when a name moves.

`tests/architecture/test_upstream_names.py` names each of these and fails loudly when one is gone. The rest of
`rtcpeer.media` imports the names below and never aiortc's own modules.
Owns nothing: codecs and tracks of aiortc under our names.
"""

from __future__ import annotations

from aiortc.codecs import depayload, get_decoder
from aiortc.codecs.base import Decoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

__all__ = [
    "Decoder",
    "JitterFrame",
    "MediaStreamError",
    "MediaStreamTrack",
    "depayload",
    "get_decoder",
    "packetize_h264",
]


def codec_parameters(mime_type: str, clock_rate: int, channels: int | None) -> RTCRtpCodecParameters:
    """Codec parameters as aiortc's codec factories take them."""
    return RTCRtpCodecParameters(mimeType=mime_type, clockRate=clock_rate, channels=channels, payloadType=0)


def packetize_h264(units: list[bytes]) -> list[bytes]:
    """The payloads (RFC 6184, packetization mode 1) of the NAL units of one picture."""
    payloads: list[bytes] = H264Encoder._packetize(units)
    return payloads
