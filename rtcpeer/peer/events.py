"""The events of the face, with their W3C constructors ``(type, init)``.

Owns: the event classes and the reading of their init dictionaries. Never: a dispatch (that is
`rtcpeer.media.event_target`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rtcpeer import webidl
from rtcpeer.errors import RTCError as InnerRTCError
from rtcpeer.media.event_target import Event
from rtcpeer.media.stream import MediaStream, MediaStreamEvent, MediaStreamTrackEvent
from rtcpeer.peer import dictionaries
from rtcpeer.peer.descriptions import RTCIceCandidate
from rtcpeer.peer.errors import OperationError, RTCError, to_face

if TYPE_CHECKING:
    from rtcpeer.media.source import Track
    from rtcpeer.media.track import MediaStreamTrack

__all__ = [
    "MediaStreamEvent",
    "MediaStreamTrackEvent",
    "MessageEvent",
    "RTCDTMFToneChangeEvent",
    "RTCErrorEvent",
    "RTCPeerConnectionIceErrorEvent",
    "RTCPeerConnectionIceEvent",
    "RTCSenderErrorEvent",
    "RTCTrackEvent",
]


# DOM "EventInit"
EVENT_MEMBERS = frozenset({"bubbles", "cancelable", "composed"})


def _read(event: InitEvent, init: Any, members: Mapping[str, Any]) -> dict[str, Any]:
    """The init dictionary, with EventInit's own members already in the event."""
    given = webidl.members(f"{type(event).__name__}Init", init, members, event._member_names)
    Event.__init__(event, event.type, given)
    if given.get("bubbles") or given.get("composed"):
        # class attributes, as nearly no event has them: an instance carries its own only then
        vars(event).update(bubbles=bool(given.get("bubbles")), composed=bool(given.get("composed")))
    return given


class InitEvent(Event):
    """An event that reads an init dictionary; its members can be given as keywords, too."""

    # the names that keywords may have
    _member_names: ClassVar[frozenset[str]] = EVENT_MEMBERS

    def __init__(self, type: str, init: Any = None, **members: Any) -> None:
        self.type: str = webidl.string("type", type)
        self._read_init(_read(self, init, members))

    def _read_init(self, given: dict[str, Any]) -> None:
        """Take the members of the subclass."""


class RTCPeerConnectionIceEvent(InitEvent):
    """A local candidate, or the end of gathering (webrtc-pc 4.8.2).

    Attributes:
        candidate: an `RTCIceCandidate`; its ``candidate`` is "" at the end of one generation; None at the
            very end.
        url: of the server it came from; deprecated, the candidate has it too.
    """

    _member_names = EVENT_MEMBERS | webidl.names(dictionaries.RTCPeerConnectionIceEventInit)
    candidate: RTCIceCandidate | None
    url: str | None

    def _read_init(self, given: dict[str, Any]) -> None:
        self.candidate = given.get("candidate")
        if self.candidate is not None and not isinstance(self.candidate, RTCIceCandidate):
            raise TypeError(f"candidate must be an RTCIceCandidate, not {webidl.kind(self.candidate)}")
        self.url = webidl.optional_string("url", given.get("url"))


class RTCPeerConnectionIceErrorEvent(InitEvent):
    """A STUN or TURN server gave nothing (webrtc-pc 4.8.3).

    Attributes:
        address, port: the local end used; None when it is not exposed.
        url: of the server.
        errorCode: the STUN error code, or 701 when the server could not be reached.
        errorText: its reason.
    """

    _member_names = EVENT_MEMBERS | webidl.names(dictionaries.RTCPeerConnectionIceErrorEventInit)
    address: str | None
    port: int | None
    url: str
    errorCode: int
    errorText: str

    def _read_init(self, given: dict[str, Any]) -> None:
        name = "RTCPeerConnectionIceErrorEventInit"
        self.address = webidl.optional_string("address", given.get("address"))
        self.port = webidl.optional_unsigned("port", given.get("port"), webidl.UNSIGNED_SHORT)
        self.url = webidl.string("url", given.get("url") or "")
        code = webidl.required(name, given, "errorCode")
        self.errorCode = webidl.unsigned("errorCode", code, webidl.UNSIGNED_SHORT)
        self.errorText = webidl.string("errorText", given.get("errorText") or "")


class RTCTrackEvent(InitEvent):
    """Incoming media was negotiated (webrtc-pc 5.7).

    Attributes:
        receiver, track, transceiver: where it comes in.
        streams: the remote streams that the track is in.
    """

    _member_names = EVENT_MEMBERS | webidl.names(dictionaries.RTCTrackEventInit)
    receiver: Any  # an RTCRtpReceiver, whose module imports this one
    track: MediaStreamTrack
    streams: Sequence[MediaStream]
    transceiver: Any  # an RTCRtpTransceiver

    def _read_init(self, given: dict[str, Any]) -> None:
        name = "RTCTrackEventInit"
        self.receiver = webidl.required(name, given, "receiver")
        self.track = webidl.required(name, given, "track")
        self.transceiver = webidl.required(name, given, "transceiver")
        streams = given.get("streams")
        if isinstance(streams, (str, bytes, Mapping)):
            raise TypeError(f"streams must be a sequence, not {webidl.kind(streams)}")
        self.streams = tuple(streams or ())


class RTCDTMFToneChangeEvent(InitEvent):
    """A tone began, or all have ended (webrtc-pc 7.3).

    Attributes:
        tone: the tone, "," included; "" when the last one has ended.
    """

    _member_names = EVENT_MEMBERS | webidl.names(dictionaries.RTCDTMFToneChangeEventInit)
    tone: str

    def _read_init(self, given: dict[str, Any]) -> None:
        self.tone = webidl.string("tone", given.get("tone") or "")


class RTCErrorEvent(InitEvent):
    """A transport or a channel failed (webrtc-pc 11.2).

    Attributes:
        error: why.
    """

    _member_names = EVENT_MEMBERS | webidl.names(dictionaries.RTCErrorEventInit)
    error: RTCError

    def _read_init(self, given: dict[str, Any]) -> None:
        error = webidl.required("RTCErrorEventInit", given, "error")
        if not isinstance(error, InnerRTCError):
            raise TypeError(f"error must be an RTCError, not {webidl.kind(error)}")
        face = to_face(error)
        assert isinstance(face, RTCError)
        self.error = face


class RTCSenderErrorEvent(InitEvent):
    """Something of a track could not be sent; ours, not W3C's. Sending goes on with what can be.

    Once per sender and kind: a frame that its encoder refuses, or sound that came so fast that some was dropped.

    Attributes:
        sender: the `RTCRtpSender`.
        track: what it sends now; None if nothing.
        error: an `OperationError` that names the codec and the reason; its ``__cause__`` is the encoder's exception.
    """

    _member_names = EVENT_MEMBERS | {"sender", "track", "error"}
    sender: Any  # an RTCRtpSender
    track: Track | None
    error: OperationError

    def _read_init(self, given: dict[str, Any]) -> None:
        name = "RTCSenderErrorEventInit"
        self.sender = webidl.required(name, given, "sender")
        self.track = given.get("track")
        error = to_face(webidl.required(name, given, "error"))
        if not isinstance(error, OperationError):
            raise TypeError(f"error must be an OperationError, not {webidl.kind(error)}")
        self.error = error


class MessageEvent(InitEvent):
    """A message arrived on a data channel (HTML 9.1).

    Attributes:
        data: ``str`` or ``bytes``.
        origin: "" (there is no document).
        lastEventId, source, ports: of HTML; always empty here.
    """

    _member_names = EVENT_MEMBERS | {"data", "origin", "lastEventId", "source", "ports"}
    data: Any
    origin: str
    lastEventId: str = ""
    source: None = None
    ports: tuple[Any, ...] = ()

    def _read_init(self, given: dict[str, Any]) -> None:
        self.data = given.get("data")
        self.origin = webidl.string("origin", given.get("origin") or "")


def message_event(data: str | bytes) -> MessageEvent:
    """A "message" event with these data, made without a dictionary (one per message received)."""
    event = MessageEvent.__new__(MessageEvent)
    Event.__init__(event, "message")
    event.data = data
    event.origin = ""
    return event
