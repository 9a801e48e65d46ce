"""Events of a call: participants, tracks, messages, the state of the connection, the end.

Each is a frozen record; `Call.events` yields them in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.records import record

if TYPE_CHECKING:
    from rtcpeer.calls.participant import Participant


class EndReason(StrEnum):
    """Why a call has ended, or a participant has left."""

    LEFT = "left"  # of their own accord; of a call: `leave` or `close` was called
    REMOVED = "removed"  # a moderator or the service has put them out
    ROOM_CLOSED = "room-closed"  # the room is gone, or the one publisher that there was
    REFUSED = "refused"  # the service does not let us in any more
    SIGNALING_ENDED = "signaling-ended"  # the service cannot be reached any more, or speaks nonsense
    CONNECTION_LOST = "connection-lost"  # everything was tried to connect again


@record(frozen=True, slots=True)
class CallEvent:
    """The base of all events of a call."""


@record(frozen=True, slots=True)
class ParticipantJoined(CallEvent):
    """A participant is in the call: one who was there when we came, or who has come since."""

    participant: Participant


@record(frozen=True, slots=True)
class ParticipantLeft(CallEvent):
    """A participant has left the call. `TrackUnsubscribed` of each of its tracks has come before."""

    participant: Participant
    reason: str


@record(frozen=True, slots=True)
class ParticipantUpdated(CallEvent):
    """The name or the metadata of a participant has changed; `participant` has the new ones."""

    participant: Participant


@record(frozen=True, slots=True)
class ParticipantAway(CallEvent):
    """The service does not hear a participant at present. It may come back, and media may go on meanwhile."""

    participant: Participant


@record(frozen=True, slots=True)
class ParticipantBack(CallEvent):
    """The service hears a participant again that was away."""

    participant: Participant


@record(frozen=True, slots=True)
class TrackSubscribed(CallEvent):
    """A participant publishes a track, and it arrives here.

    Attributes:
        participant: who publishes it.
        track: a `MediaStreamTrack`, the same object for as long as it is published.
        name: unlike that of every other track of the participant.
        kind: "audio" or "video".
    """

    participant: Participant
    track: MediaStreamTrack
    name: str
    kind: str


@record(frozen=True, slots=True)
class TrackUnsubscribed(CallEvent):
    """A track is not published any more; it has ended. The attributes are those of `TrackSubscribed`."""

    participant: Participant
    track: MediaStreamTrack
    name: str
    kind: str


@record(frozen=True, slots=True)
class TrackMuted(CallEvent):
    """A participant has muted a track, or (`muted` False) speaks or is seen again."""

    participant: Participant
    name: str
    muted: bool


@record(frozen=True, slots=True)
class Message(CallEvent):
    """A message arrived.

    Attributes:
        sender: who sent it; None where the service does not say.
        data: text or bytes, as it was sent; of services with structured messages what they carried.
        topic: what it is about, where the service has such a thing.
    """

    sender: Participant | None
    data: Any
    topic: str = ""


@record(frozen=True, slots=True)
class Reconnecting(CallEvent):
    """A connection is lost and being mended; media may stop until `Reconnected`.

    Attributes:
        reason: why.
        participant: to whom; None: to the service itself.
    """

    reason: str
    participant: Participant | None = None


@record(frozen=True, slots=True)
class Reconnected(CallEvent):
    """The connection is back; `participant` as of `Reconnecting`."""

    participant: Participant | None = None


@record(frozen=True, slots=True)
class Ended(CallEvent):
    """The call is over for us; the last event.

    Attributes:
        reason: why; one of `EndReason`.
        error: what went wrong, if anything.
    """

    reason: str
    error: Exception | None = None


Metadata = Mapping[str, Any]
