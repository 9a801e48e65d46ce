"""Codecs of media: what this end can send and receive, and what senders and receivers read from a negotiated codec.

Pure tables and look-ups. Payload types and extension ids are preferences; negotiation may give others.
"""

from __future__ import annotations

from functools import cache

from rtcpeer.media.video import choice
from rtcpeer.records import record
from rtcpeer.rtp import packet
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.parameters import Capabilities
from rtcpeer.values import Codec, Feedback, HeaderExtension

_VIDEO_FEEDBACK = (
    Feedback("goog-remb"),
    Feedback("transport-cc"),
    Feedback("ccm", "fir"),
    Feedback("nack"),
    Feedback("nack", "pli"),
)
# 4:2:0 with 8 bits is what programs expect of received pictures, so nothing else is asked for; those who send us
# more of it (VP9 profile 2, H.265 Main 10) are understood, and the frames are converted.
_BASELINE = ("42001f", "42e01f")
_HIGH = "64001f"
# What x264 can send: level 5.2. What we ask others to send is level 3.1, which one processor decodes with ease.
_HIGH_SENT, _HIGH_444_SENT = "640034", "f40034"
_MAIN = "4d001f"

_Parameters = tuple[tuple[str, str | None], ...]


def _h264(profile: str, mode: str = "1") -> _Parameters:
    return (("level-asymmetry-allowed", "1"), ("packetization-mode", mode), ("profile-level-id", profile))


def _h265(profile: str) -> _Parameters:
    return (("level-id", "93"), ("profile-id", profile), ("tier-flag", "0"), ("tx-mode", "SRST"))


_AV1: _Parameters = (("level-idx", "5"), ("profile", "0"), ("tier", "0"))
# Preferred payload type, name, parameters, and whether it is sent and received; the best known first.
_VIDEO: tuple[tuple[int, str, _Parameters, bool, bool], ...] = (
    (96, "VP8", (), True, True),
    # each profile in packetization mode 1, then 0 (single NAL units, which is all that some devices have), as Chromium
    (98, "H264", _h264(_BASELINE[0]), True, True),
    (36, "H264", _h264(_BASELINE[0], "0"), True, True),
    (100, "H264", _h264(_BASELINE[1]), True, True),
    (108, "H264", _h264(_BASELINE[1], "0"), True, True),
    (112, "H264", _h264(_MAIN), False, True),
    (38, "H264", _h264(_MAIN, "0"), False, True),
    (114, "H264", _h264(_HIGH_444_SENT), True, False),
    (116, "H264", _h264(_HIGH_SENT), True, False),
    (40, "H264", _h264(_HIGH_SENT, "0"), True, False),
    (116, "H264", _h264(_HIGH), False, True),
    (40, "H264", _h264(_HIGH, "0"), False, True),
    (102, "VP9", (("profile-id", "0"),), True, True),
    (118, "VP9", (("profile-id", "2"),), False, True),
    (104, "AV1", _AV1, True, True),
    (106, "H265", _h265("1"), True, True),
    (120, "H265", _h265("2"), False, True),
)


def _audio() -> tuple[Codec, ...]:
    opus = (("minptime", "10"), ("useinbandfec", "1"))
    return (
        Codec("audio/opus", 48000, 2, opus, (Feedback("transport-cc"),), 111),
        Codec("audio/red", 48000, 2, (("111/111", None),), payload_type=63),
        Codec("audio/G722", 8000, 1, payload_type=9),
        Codec("audio/PCMU", 8000, 1, payload_type=0),
        Codec("audio/PCMA", 8000, 1, payload_type=8),
        Codec("audio/telephone-event", 48000, 1, payload_type=110),
        Codec("audio/telephone-event", 8000, 1, payload_type=126),
    )


def _video(*, sending: bool) -> tuple[Codec, ...]:
    able = choice.can_encode if sending else choice.can_decode
    codecs: list[Codec] = []
    for number, name, fmtp, sent, received in _VIDEO:
        if (sent if sending else received) and able(name):
            codecs.append(Codec(f"video/{name}", 90000, None, fmtp, _VIDEO_FEEDBACK, number))
            codecs.append(Codec("video/rtx", 90000, None, (("apt", str(number)),), (), number + 1))
    red = Codec("video/red", 90000, payload_type=122)
    rtx = Codec("video/rtx", 90000, None, (("apt", "122"),), (), 123)
    return (*codecs, red, rtx, Codec("video/ulpfec", 90000, payload_type=124))


@cache
def capabilities(kind: str) -> Capabilities:
    """The codecs and extensions that this end can send and receive of one kind; the best known first.

    Raises:
        ValueError: there is no such kind.
    """
    mid = HeaderExtension(packet.URI_MID, 1)
    if kind == "audio":
        level = HeaderExtension(packet.URI_AUDIO_LEVEL, 2)
        return Capabilities(_audio(), _audio(), (mid, level, HeaderExtension(packet.URI_TRANSPORT_CC, 4)))
    if kind == "video":
        others = (
            HeaderExtension(packet.URI_ABS_SEND_TIME, 3),
            HeaderExtension(packet.URI_TRANSPORT_CC, 4),
            HeaderExtension(packet.URI_RID, 10),
            HeaderExtension(packet.URI_REPAIRED_RID, 11),
            HeaderExtension(packet.URI_DEPENDENCY, 12),
            HeaderExtension(packet.URI_ORIENTATION, 13),
        )
        return Capabilities(_video(sending=True), _video(sending=False), (mid, *others))
    raise ValueError(f"no capabilities for {kind!r}")


# Sample rate and channels that the decoders give. Opus decides per packet; its decoder always gives stereo, as
# browsers' do.
DECODED_AUDIO = {"OPUS": (48000, 2), "G722": (16000, 1), "PCMU": (8000, 1), "PCMA": (8000, 1)}


@record(frozen=True, slots=True)
class PayloadFormat:
    """A negotiated payload type.

    Attributes:
        name: upper case: "OPUS", "VP8", "RTX", "TELEPHONE-EVENT".
        apt: for RTX, the payload type that it repeats.
    """

    payload_type: int
    name: str
    clock_rate: int
    apt: int | None
    nack: bool
    remb: bool
    codec: Codec

    @property
    def is_media(self) -> bool:
        """Whether it carries frames that can be decoded here."""
        return self.name in DECODED_AUDIO or self.name in choice.NAMES


def payload_format(codec: Codec) -> PayloadFormat:
    """Read a codec of a media section. Nothing of it is kept: the other end writes what stands in it."""
    return PayloadFormat(
        payload_type=codec.payload_type if codec.payload_type is not None else -1,
        name=codec.name.upper(),
        clock_rate=codec.clock_rate,
        apt=codec.repeated_payload_type,
        nack=any(f.type == "nack" and not f.parameter for f in codec.feedback),
        remb=any(f.type == "goog-remb" for f in codec.feedback),
        codec=codec,
    )


def preferred_redundancy(formats: list[PayloadFormat], form: PayloadFormat) -> PayloadFormat | None:
    """The "red" that wraps a codec and was preferred to it; behind it, it is only a possibility.

    Args:
        formats: in order of preference.
        form: the codec that is sent.
    """
    for other in formats:
        if other.payload_type == form.payload_type:
            return None
        if other.name == "RED" and other.clock_rate == form.clock_rate:
            # RFC 2198 section 4: the payload types of its blocks
            wrapped = next((name for name, _value in other.codec.fmtp), "").split("/")
            if all(number == str(form.payload_type) for number in wrapped):
                return other
    return None


def protection_of(
    formats: list[PayloadFormat], form: PayloadFormat, extensions: tuple[HeaderExtension, ...]
) -> Protection | None:
    """How a video codec's packets are corrected, if that was negotiated.

    Only of VP8 and VP9: with retransmissions, a receiver waits for lost corrections as well, unless the pictures
    are numbered by themselves; browsers have the same rule.
    """
    red, ulpfec = (next((f for f in formats if f.name == name), None) for name in ("RED", "ULPFEC"))
    if red is None or ulpfec is None or form.name not in ("VP8", "VP9"):
        return None
    send_time_id = next((e.id for e in extensions if e.uri == packet.URI_ABS_SEND_TIME), None)
    return Protection(red.payload_type, ulpfec.payload_type, send_time_id)
