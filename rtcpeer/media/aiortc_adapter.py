"""aiortc's inside, as far as media needs it: one place to mend when it moves (`upstream_sctp` has the rest).

`tests/architecture/test_upstream_names.py` names each of these and fails loudly when one is gone. The rest of
`transport/` imports the names below and never aiortc's own modules.
Owns nothing: RTCP packets, bandwidth estimation, codecs under our names.
"""

from __future__ import annotations

from aiortc.codecs import depayload, get_decoder, get_encoder
from aiortc.codecs.base import Decoder, Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

__all__ = [
    "Decoder",
    "Encoder",
    "JitterFrame",
    "MediaStreamError",
    "MediaStreamTrack",
    "depayload",
    "get_decoder",
    "get_encoder",
    "packetize_h264",
]


# -- RTCP ------------------------------------------------------------------------------------------


# -- codecs ----------------------------------------------------------------------------------------


def codec_parameters(mime_type: str, clock_rate: int, channels: int | None) -> RTCRtpCodecParameters:
    """What aiortc's codec factories take."""
    return RTCRtpCodecParameters(mimeType=mime_type, clockRate=clock_rate, channels=channels, payloadType=0)


def packetize_h264(units: list[bytes]) -> list[bytes]:
    """The payloads (RFC 6184, packetization mode 1) of the NAL units of one picture."""
    payloads: list[bytes] = H264Encoder._packetize(units)
    return payloads


def set_target_bitrate(encoder: Encoder, bitrate: int) -> None:
    """Set an encoder's bitrate beyond the narrow range that aiortc's property allows.

    The property clamps; the value behind it does not.
    """
    name = type(encoder).__name__
    attribute = f"_{name}__target_bitrate"
    if hasattr(encoder, attribute):
        setattr(encoder, attribute, bitrate)


def set_audio_bitrate(encoder: Encoder, bitrate: int) -> None:
    """Set the bitrate of an Opus encoder that has not encoded anything yet."""
    codec = getattr(encoder, "codec", None)
    if codec is not None and not codec.is_open:
        codec.bit_rate = bitrate


def target_bitrate(encoder: Encoder) -> int | None:
    """The bitrate an encoder aims at; None if it has no such thing."""
    return getattr(encoder, "target_bitrate", None)
