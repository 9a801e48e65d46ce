"""What we can send and receive, and how a negotiated codec becomes an encoder or decoder of aiortc.

Pure tables and look-ups. Payload types and extension ids are preferences; negotiation may give others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from rtcpeer.transport import packet, upstream
from rtcpeer.transport.parameters import Capabilities
from rtcpeer.values import Codec, Feedback, HeaderExtension

_VIDEO_FEEDBACK = (
    Feedback("goog-remb"),
    Feedback("ccm", "fir"),
    Feedback("nack"),
    Feedback("nack", "pli"),
)
_H264_PROFILES = ("42001f", "42e01f")


def _audio() -> tuple[Codec, ...]:
    opus = (("minptime", "10"), ("useinbandfec", "1"))
    return (
        Codec("audio/opus", 48000, 2, opus, payload_type=111),
        Codec("audio/G722", 8000, 1, payload_type=9),
        Codec("audio/PCMU", 8000, 1, payload_type=0),
        Codec("audio/PCMA", 8000, 1, payload_type=8),
        Codec("audio/telephone-event", 48000, 1, payload_type=110),
        Codec("audio/telephone-event", 8000, 1, payload_type=126),
    )


def _video() -> tuple[Codec, ...]:
    codecs: list[Codec] = []
    number = 96

    def add(name: str, fmtp: tuple[tuple[str, str | None], ...] = ()) -> None:
        nonlocal number
        codecs.append(Codec(f"video/{name}", 90000, None, fmtp, _VIDEO_FEEDBACK, number))
        codecs.append(Codec("video/rtx", 90000, None, (("apt", str(number)),), (), number + 1))
        number += 2

    add("VP8")
    for profile in _H264_PROFILES:
        add(
            "H264",
            (
                ("level-asymmetry-allowed", "1"),
                ("packetization-mode", "1"),
                ("profile-level-id", profile),
            ),
        )
    return tuple(codecs)


@cache
def capabilities(kind: str) -> Capabilities:
    """What this end can send and receive of one kind.

    Raises:
        ValueError: there is no such kind.
    """
    mid = HeaderExtension(packet.URI_MID, 1)
    if kind == "audio":
        return Capabilities(_audio(), (mid, HeaderExtension(packet.URI_AUDIO_LEVEL, 2)))
    if kind == "video":
        rids = (HeaderExtension(packet.URI_RID, 10), HeaderExtension(packet.URI_REPAIRED_RID, 11))
        return Capabilities(_video(), (mid, HeaderExtension(packet.URI_ABS_SEND_TIME, 3), *rids))
    raise ValueError(f"no capabilities for {kind!r}")


# Sample rate and channels that the decoders give. Opus decides per packet; its decoder always gives stereo, as
# browsers' do.
DECODED_AUDIO = {"OPUS": (48000, 2), "G722": (16000, 1), "PCMU": (8000, 1), "PCMA": (8000, 1)}


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """One negotiated payload type.

    Attributes:
        name: upper case: "OPUS", "VP8", "RTX", "TELEPHONE-EVENT".
        apt: for RTX, the payload type that it repeats.
        parameters: what aiortc's factories take.
    """

    payload_type: int
    name: str
    clock_rate: int
    apt: int | None
    nack: bool
    remb: bool
    codec: Codec
    parameters: RTCRtpCodecParameters

    @property
    def is_media(self) -> bool:
        """Whether it carries frames that can be decoded here."""
        return self.name in ("OPUS", "G722", "PCMU", "PCMA", "VP8", "H264")


@cache
def payload_format(codec: Codec) -> PayloadFormat:
    """Read a codec of a media section."""
    apt = codec.parameter("apt")
    return PayloadFormat(
        payload_type=codec.payload_type if codec.payload_type is not None else -1,
        name=codec.name.upper(),
        clock_rate=codec.clock_rate,
        apt=int(apt) if apt is not None and apt.isdigit() else None,
        nack=any(f.type == "nack" and not f.parameter for f in codec.feedback),
        remb=any(f.type == "goog-remb" for f in codec.feedback),
        codec=codec,
        parameters=upstream.codec_parameters(codec.mime_type, codec.clock_rate, codec.channels),
    )
