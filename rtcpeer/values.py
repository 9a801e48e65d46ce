"""Shared values: enumerations with W3C values and small frozen records.

Nothing here does anything. Names are snake_case below the face; W3C spelling appears only in values.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from rtcpeer.records import record, replace


class SignalingState(StrEnum):
    """webrtc-pc 4.3.1."""

    STABLE = "stable"
    HAVE_LOCAL_OFFER = "have-local-offer"
    HAVE_REMOTE_OFFER = "have-remote-offer"
    HAVE_LOCAL_PRANSWER = "have-local-pranswer"
    HAVE_REMOTE_PRANSWER = "have-remote-pranswer"
    CLOSED = "closed"


class IceGatheringState(StrEnum):
    """webrtc-pc 4.3.2 and 5.6.1 (RTCIceGathererState has the same values)."""

    NEW = "new"
    GATHERING = "gathering"
    COMPLETE = "complete"


class PeerConnectionState(StrEnum):
    """webrtc-pc 4.3.3."""

    CLOSED = "closed"
    FAILED = "failed"
    DISCONNECTED = "disconnected"
    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class IceTransportState(StrEnum):
    """webrtc-pc 5.6.2; RTCIceConnectionState (4.3.4) has the same values."""

    CLOSED = "closed"
    FAILED = "failed"
    DISCONNECTED = "disconnected"
    NEW = "new"
    CHECKING = "checking"
    COMPLETED = "completed"
    CONNECTED = "connected"


IceConnectionState = IceTransportState


class DtlsTransportState(StrEnum):
    """webrtc-pc 5.5."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class SctpTransportState(StrEnum):
    """webrtc-pc 6.1.2."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"


class DataChannelState(StrEnum):
    """webrtc-pc 6.2."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Priority(StrEnum):
    """RTCPriorityType (webrtc-priority 4.1)."""

    VERY_LOW = "very-low"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def weight(self) -> float:
        """The part of what the path bears, in relation to others (webrtc-priority 4.1)."""
        return _WEIGHTS[self]


_WEIGHTS = {Priority.VERY_LOW: 0.5, Priority.LOW: 1.0, Priority.MEDIUM: 2.0, Priority.HIGH: 4.0}


class DegradationPreference(StrEnum):
    """RTCDegradationPreference (mst-content-hint section 5.1): what suffers when the path is too small."""

    MAINTAIN_FRAMERATE = "maintain-framerate"
    MAINTAIN_RESOLUTION = "maintain-resolution"
    BALANCED = "balanced"


class SdpType(StrEnum):
    """webrtc-pc 4.6.1."""

    OFFER = "offer"
    PRANSWER = "pranswer"
    ANSWER = "answer"
    ROLLBACK = "rollback"


class Side(StrEnum):
    """The side whose description it is: local or remote."""

    LOCAL = "local"
    REMOTE = "remote"


class Direction(StrEnum):
    """webrtc-pc 5.4: RTCRtpTransceiverDirection."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"
    STOPPED = "stopped"

    @property
    def sends(self) -> bool:
        """Whether media leaves in this direction."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether media arrives in this direction."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def reversed(self) -> Direction:
        """The direction as the other end sees it."""
        return _REVERSED.get(self, self)

    @staticmethod
    def of(*, sends: bool, receives: bool) -> Direction:
        """The direction with these two properties."""
        if sends:
            return Direction.SENDRECV if receives else Direction.SENDONLY
        return Direction.RECVONLY if receives else Direction.INACTIVE


_REVERSED = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


class MediaKind(StrEnum):
    """The kind of a track or transceiver."""

    AUDIO = "audio"
    VIDEO = "video"


class BundlePolicy(StrEnum):
    """webrtc-pc 4.2.5."""

    BALANCED = "balanced"
    MAX_COMPAT = "max-compat"
    MAX_BUNDLE = "max-bundle"


class RtcpMuxPolicy(StrEnum):
    """webrtc-pc 4.2.6. "negotiate" was removed from it; pages still say it, and are told that it is not supported."""

    NEGOTIATE = "negotiate"
    REQUIRE = "require"


class IceTransportPolicy(StrEnum):
    """webrtc-pc 4.2.4."""

    ALL = "all"
    RELAY = "relay"


class IceRole(StrEnum):
    """webrtc-pc 5.6.3."""

    UNKNOWN = "unknown"
    CONTROLLING = "controlling"
    CONTROLLED = "controlled"


class DtlsRole(StrEnum):
    """Which side sends ClientHello; `AUTO` is an offer's actpass (RFC 5763 section 5)."""

    AUTO = "auto"
    CLIENT = "client"
    SERVER = "server"


class CandidateType(StrEnum):
    """RFC 8839 section 5.1, webrtc-pc 4.8.1.4."""

    HOST = "host"
    SRFLX = "srflx"
    PRFLX = "prflx"
    RELAY = "relay"


@record(frozen=True, slots=True)
class Candidate:
    """One ICE candidate, without its place in a description (RFC 8839 section 5.1).

    Attributes:
        address: an IP address, or an mDNS name that ends in ``.local``.
        protocol: "udp" or "tcp".
        tcp_type: "active", "passive" or "so" for TCP, else None.
        ufrag: the generation it belongs to (``a=candidate ... ufrag x``); None when it was not said.
        url: for local srflx and relay candidates, the server URL it came from.
        relay_protocol: for local relay candidates, how the TURN server is reached: "udp", "tcp" or "tls".
        extensions: further (name, value) pairs, kept in order.
    """

    foundation: str
    component: int
    protocol: str
    priority: int
    address: str
    port: int
    type: CandidateType
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None
    ufrag: str | None = None
    url: str | None = None
    relay_protocol: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    def in_generation(self, ufrag: str | None) -> Candidate:
        """A copy of the candidate, of this generation."""
        return self if self.ufrag == ufrag else replace(self, ufrag=ufrag)


@record(frozen=True, slots=True)
class IceParameters:
    """Credentials of one generation of one side (RFC 8839 section 5.4)."""

    ufrag: str
    pwd: str = field(repr=False)
    lite: bool = False


@record(frozen=True, slots=True)
class Fingerprint:
    """A certificate fingerprint (RFC 8122): lower-case algorithm, value as ``AB:CD:...``."""

    algorithm: str
    value: str


@record(frozen=True, slots=True)
class Feedback:
    """One ``a=rtcp-fb`` of a codec: "nack" + "pli", "transport-cc" + ""."""

    type: str
    parameter: str = ""


@record(frozen=True, slots=True)
class Codec:
    """A codec of one media section.

    Attributes:
        mime_type: "audio/opus", "video/VP8", "video/rtx", in the case that the registry uses.
        channels: only for audio; 1 where ``a=rtpmap`` does not say.
        fmtp: the parameters as (name, value) pairs in order; value None for a bare token.
        payload_type: None in a capability.
    """

    mime_type: str
    clock_rate: int
    channels: int | None = None
    fmtp: tuple[tuple[str, str | None], ...] = ()
    feedback: tuple[Feedback, ...] = ()
    payload_type: int | None = None

    @property
    def kind(self) -> str:
        """The part before the slash."""
        return self.mime_type.partition("/")[0].lower()

    @property
    def name(self) -> str:
        """The part after the slash."""
        return self.mime_type.partition("/")[2]

    def parameter(self, name: str) -> str | None:
        """The value of a format parameter, or None; `name` in lower case."""
        for key, value in self.fmtp:
            if key == name or key.lower() == name:
                return value
        return None

    @property
    def repeated_payload_type(self) -> int | None:
        """The payload type that a retransmission repeats (``apt``, RFC 4588 section 8.1), None where none is named."""
        text = self.parameter("apt")
        if text is None or not (text.isascii() and text.isdigit()) or len(text) > 3:
            return None
        return int(text)


@record(frozen=True, slots=True)
class HeaderExtension:
    """An RTP header extension with its id (RFC 8285); id None in a capability."""

    uri: str
    id: int | None = None
    direction: Direction = Direction.SENDRECV


NEVER = float("inf")
