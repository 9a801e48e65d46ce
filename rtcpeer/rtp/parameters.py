"""What transports are told, as frozen values.

Encodings, codecs and header extensions of one media section; the options of one data channel.
The peer makes them from what the JSEP engine decided. Nothing here does anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rtcpeer.values import Codec, HeaderExtension


class Priority(StrEnum):
    """webrtc-priority: RTCPriorityType."""

    VERY_LOW = "very-low"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class SendEncoding:
    """One encoding of one sender (webrtc-pc RTCRtpEncodingParameters).

    Attributes:
        ssrc: of the media stream.
        rtx_ssrc: of its retransmission stream (RFC 4588), if any.
        rid: its name when there are several (RFC 8851).
        active: whether it is sent.
        max_bitrate: in bit/s; None for the codec's default.
        bitrate_limit: what the other end allows, in bit/s; unlike ``max_bitrate`` never a reason to send more.
        max_framerate: in frames/s; None for the track's own; 0 sends no frame.
        scale_resolution_down_by: at least 1.0.
        codec: the codec to use when it is not the first of the section.
    """

    ssrc: int
    rtx_ssrc: int | None = None
    rid: str | None = None
    active: bool = True
    max_bitrate: int | None = None
    bitrate_limit: int | None = None
    max_framerate: float | None = None
    scale_resolution_down_by: float = 1.0
    priority: Priority = Priority.LOW
    codec: Codec | None = None


@dataclass(frozen=True, slots=True)
class SendParameters:
    """How one sender sends now; the codecs in order of preference, RTX and telephone-event among them."""

    mid: str
    codecs: tuple[Codec, ...]
    encodings: tuple[SendEncoding, ...]
    header_extensions: tuple[HeaderExtension, ...] = ()
    cname: str = ""
    reduced_size: bool = True


@dataclass(frozen=True, slots=True)
class ReceiveEncoding:
    """One announced stream of a remote sender: by SSRC, by rid, or both."""

    ssrc: int | None = None
    rtx_ssrc: int | None = None
    rid: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiveParameters:
    """What one receiver may receive now. Streams not announced are found by MID and payload type."""

    mid: str
    codecs: tuple[Codec, ...]
    encodings: tuple[ReceiveEncoding, ...] = ()
    header_extensions: tuple[HeaderExtension, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelParameters:
    """The options of one data channel (webrtc-pc 6.2, RFC 8832).

    Attributes:
        id: the SCTP stream; None until it is assigned, when the channel is not negotiated.
        max_packet_life_time: in milliseconds; excludes `max_retransmits`.
    """

    label: str
    protocol: str = ""
    ordered: bool = True
    max_packet_life_time: int | None = None
    max_retransmits: int | None = None
    negotiated: bool = False
    id: int | None = None
    priority: Priority = Priority.LOW


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this end can send or receive of one kind; payload types and ids are those it prefers."""

    codecs: tuple[Codec, ...]
    header_extensions: tuple[HeaderExtension, ...] = field(default=())
