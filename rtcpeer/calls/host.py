"""The state of one call: who is there, what arrives, what was told; the side of the call that its service sees.

Owns: participants and their tracks, the event streams, the tasks of the service, the counters of what was ignored.
Never: a connection, a socket. What services say is checked for sense here, once: an unknown participant, a name that
is too long or a track that was told already is counted and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final

from rtcpeer.aio import Inbox, TaskSet
from rtcpeer.calls.events import (
    CallEvent,
    Ended,
    EndReason,
    Message,
    ParticipantAway,
    ParticipantBack,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Reconnected,
    Reconnecting,
    TrackMuted,
    TrackSubscribed,
    TrackUnsubscribed,
)
from rtcpeer.calls.participant import Participant
from rtcpeer.calls.request import JoinRequest
from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer, read_configuration
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

logger = logging.getLogger(__name__)

# Bounds for what a service may say.
PARTICIPANTS_MAX: Final = 10_000
TRACKS_MAX: Final = 64
TEXT_MAX: Final = 256
METADATA_MAX: Final = 64
MESSAGE_MAX: Final = 1 << 20
# The states of a supervised peer of which a call says that it is reconnecting.
MENDING: Final = (PeerState.DISCONNECTED, PeerState.RESUMING, PeerState.RECREATING)
# Events that one reader may leave unread, and bytes of messages; then messages are dropped, the oldest first.
UNREAD_MAX: Final = 10_000
UNREAD_BYTES_MAX: Final = 32 << 20


class CallEventStream(AsyncIterator[CallEvent]):
    """The events of a call for one reader.

    Attributes:
        dropped: how many messages were dropped because nobody read.
    """

    def __init__(self, first: list[CallEvent]) -> None:
        self._inbox: Inbox[CallEvent] = Inbox(first)
        # of the messages that wait
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self.dropped: int = 0

    def put(self, event: CallEvent) -> None:
        """Put an event in (for the host)."""
        if self._inbox.is_ended:
            return
        waiting = self._inbox.items
        size = size_of(event.data) if isinstance(event, Message) else 0
        if len(waiting) >= UNREAD_MAX:
            self._drop(waiting)
        while size and self._sizes and self._bytes + size > UNREAD_BYTES_MAX:
            self._drop(waiting)
        self._inbox.put(event)
        if isinstance(event, Message):
            self._sizes.append(size)
            self._bytes += size
        elif isinstance(event, Ended):
            self._inbox.end()

    def _drop(self, waiting: deque[CallEvent]) -> None:
        """Drop the oldest message, or where there is none the oldest event."""
        self.dropped += 1
        at = next((n for n, one in enumerate(waiting) if isinstance(one, Message)), 0) if self._sizes else 0
        if self._sizes:
            self._bytes -= self._sizes.popleft()
        del waiting[at]

    async def __anext__(self) -> CallEvent:
        event = await self._inbox.get()
        if isinstance(event, Message):
            self._bytes -= self._sizes.popleft()
        return event


def size_of(value: Any) -> int:
    """About as many bytes as a value takes that came in a message."""
    total, left = 0, [value]
    while left:
        one = left.pop()
        total += 16
        if isinstance(one, (str, bytes)):
            total += len(one)
        elif isinstance(one, Mapping):
            total += 64
            left += one.keys()
            left += one.values()
        elif isinstance(one, (list, tuple)):
            left += one
    return total


class CallHost:
    """A call as its service sees it: what the service tells the call, and what it may ask of it.

    Args:
        request: what was asked for.
        on_end: called once with the last event.

    Attributes:
        request: the same.
        id: who we are in the call, once `entered` was called.
        name: how we are called.
        metadata: what we say of ourselves.
        configuration: for the next connections; `recommend` may have put servers into it.
        counters: what was ignored, by kind.
        trouble: why the service is not entered yet, as far as that is known; for the error when the time is over.
    """

    def __init__(self, request: JoinRequest, on_end: Callable[[Ended], None]) -> None:
        self.request = request
        self.id: str = ""
        self.name: str | None = request.name
        self.metadata: Mapping[str, Any] = MappingProxyType(dict(request.metadata))
        self.configuration: RTCConfiguration = request.configuration
        self.counters: Counter[str] = Counter()
        self.trouble: Exception | None = None
        self.end: Ended | None = None
        self._on_end = on_end
        self._participants: dict[str, Participant] = {}
        self._streams: list[CallEventStream] = []
        self._first: CallEventStream | None = CallEventStream([])  # what happens before anybody reads
        self._is_reconnecting = False
        self._tasks = TaskSet("call")

    @property
    def participants(self) -> Mapping[str, Participant]:
        """The participants that are there, by id; a copy."""
        return dict(self._participants)

    # -- what the service may ask for ------------------------------------------------------------------

    def supervise(self, channel: Any, **options: Any) -> SupervisedPeer:
        """A supervised connection over a signaling channel; not started. The service closes it."""
        return SupervisedPeer(channel, configuration=self.configuration, **options)

    def recommend(self, servers: list[RTCIceServer]) -> None:
        """Use the servers that the service recommends, unless the application has named some."""
        if not self.request.configuration.iceServers and servers != self.configuration.iceServers:
            self.configuration = read_configuration(self.configuration, iceServers=servers)

    def spawn(
        self, coroutine: Coroutine[Any, Any, Any], name: str, *, vital: bool = False
    ) -> asyncio.Task[Any]:
        """Begin a task of the call: cancelled and awaited when the call ends. An exception is logged.

        Args:
            coroutine: what it does.
            name: for logs.
            vital: whether the call would hang without it: an exception ends the call ("signaling-ended").
        """
        return self._tasks.start(coroutine, name, on_error=self._fail if vital else None)

    def ignored(self, what: str, detail: object = "") -> None:
        """Count something that the other side said and that makes no sense; the first of a kind is logged."""
        self.counters[what] += 1
        if self.counters[what] == 1:
            logger.warning("%s: ignored: %s %s", self.request.url.split("?")[0], what, str(detail)[:200])

    # -- what the service tells ------------------------------------------------------------------------

    def entered(self, id: str) -> None:
        """We are in the call, under this id; another one after a service has forgotten us."""
        self.id = id

    def participant_joined(
        self, id: str, name: str | None = None, metadata: Any = None
    ) -> Participant | None:
        """Somebody is there. Whoever is there already is updated. None: there are too many."""
        known = self._participants.get(id)
        if known is not None:
            self.participant_updated(id, name=name, metadata=metadata)
            return known
        if self.end is not None or len(self._participants) >= PARTICIPANTS_MAX or not 0 < len(id) <= TEXT_MAX:
            self.ignored("participant", id)
            return None
        participant = Participant(id, self._name(name), self._metadata(metadata) or {})
        self._participants[id] = participant
        self._tell(ParticipantJoined(participant))
        return participant

    def participant_updated(self, id: str, *, name: Any = None, metadata: Any = None) -> None:
        """Somebody has another name or says something else of itself; None: that has not changed."""
        participant = self._find(id)
        if participant is None:
            return
        new_name, new_metadata = self._name(name), self._metadata(metadata)
        changed = False
        if new_name is not None and new_name != participant.name:
            participant.name, changed = new_name, True
        if new_metadata is not None and new_metadata != dict(participant.metadata):
            participant.metadata, changed = MappingProxyType(new_metadata), True
        if changed:
            self._tell(ParticipantUpdated(participant))

    def participant_left(self, id: str, reason: str = EndReason.LEFT) -> None:
        """Somebody is gone, and so are the tracks; unknown ones are passed over."""
        participant = self._participants.get(id)
        if participant is None:
            return
        for name in tuple(participant.tracks):
            self.track_unsubscribed(id, name)
        del self._participants[id]
        participant.is_present = participant.is_reconnecting = participant.is_away = False
        self._tell(ParticipantLeft(participant, str(reason)))

    def track_subscribed(self, id: str, name: str, track: MediaStreamTrack) -> str | None:
        """A track of a participant arrives.

        Args:
            id: of the participant.
            name: of the track; a number is added where the participant has one of that name.
            track: the same object for as long as it is published.

        Returns:
            The name under which it is known; None when it was ignored.
        """
        participant = self._find(id)
        if participant is None:
            return None
        if len(participant.tracks) >= TRACKS_MAX or any(one is track for one in participant.tracks.values()):
            self.ignored("track", name)
            return None
        name = free_name(name[:TEXT_MAX] or str(track.kind), participant.tracks)
        participant.put_track(name, track)
        self._tell(TrackSubscribed(participant, track, name, str(track.kind)))
        return name

    def track_unsubscribed(self, id: str, name: str) -> None:
        """A track is not published any more. The service has ended the object, or its connection will."""
        participant = self._participants.get(id)
        track = participant.take_track(name) if participant is not None else None
        if participant is not None and track is not None:
            self._tell(TrackUnsubscribed(participant, track, name, str(track.kind)))

    def track_muted(self, id: str, name: str, muted: bool) -> None:
        """A participant has muted a track, or shows it again."""
        participant = self._find(id)
        if participant is not None and name in participant.tracks and participant.mark_muted(name, muted):
            self._tell(TrackMuted(participant, name, muted))

    def message(self, id: str | None, data: Any, topic: str = "") -> None:
        """A message has arrived, from a participant or (None) from the service; `topic`: what it is about."""
        if isinstance(data, (str, bytes)) and len(data) > MESSAGE_MAX:
            self.ignored("huge message", len(data))
            return
        participant = None
        if id is not None and (participant := self._find(id)) is None:
            return
        self._tell(Message(participant, data, topic[:TEXT_MAX]))

    def reconnecting(self, reason: str, id: str | None = None) -> None:
        """A connection is being mended: to a participant, or (None) to the service. Told once until `reconnected`."""
        if id is None:
            if not self._is_reconnecting:
                self._is_reconnecting = True
                self._tell(Reconnecting(str(reason)))
            return
        participant = self._participants.get(id)
        if participant is not None and not participant.is_reconnecting:
            participant.is_reconnecting = True
            self._tell(Reconnecting(str(reason), participant))

    def reconnected(self, id: str | None = None) -> None:
        """Note that a connection is mended: the call's own, or that to a participant."""
        if id is None:
            if self._is_reconnecting:
                self._is_reconnecting = False
                self._tell(Reconnected())
            return
        participant = self._participants.get(id)
        if participant is not None and participant.is_reconnecting:
            participant.is_reconnecting = False
            self._tell(Reconnected(participant))

    def presence(self, id: str, present: bool) -> None:
        """The service has lost a participant for a while, or has it back; the connection to it is another matter."""
        participant = self._find(id)
        if participant is not None and participant.is_away is present:
            participant.is_away = not present
            self._tell(ParticipantBack(participant) if present else ParticipantAway(participant))

    def tell(self, event: CallEvent) -> None:
        """An event that only this service has: a class of its own that is a `CallEvent`."""
        self._tell(event)

    def ended(self, reason: str, error: Exception | None = None) -> None:
        """The call is over. The first reason counts; `CallService.leave` follows."""
        if self.end is not None:
            return
        for id_ in tuple(self._participants):
            self.participant_left(id_, reason)
        self.end = Ended(str(reason), error)
        self._tell(self.end)
        self._on_end(self.end)

    # -- for the call ----------------------------------------------------------------------------------

    def open_stream(self) -> CallEventStream:
        """The first one has everything since the beginning; later ones begin with what is there."""
        if self._first is not None:
            stream, self._first = self._first, None
        else:
            stream = CallEventStream(self._snapshot())
            if self.end is not None:
                stream.put(self.end)
        self._streams.append(stream)
        return stream

    def close_stream(self, stream: CallEventStream) -> None:
        """Close an event stream, which nobody reads any more."""
        if stream in self._streams:
            self._streams.remove(stream)

    async def stop_tasks(self) -> None:
        """Cancel and await the tasks of the service."""
        await self._tasks.end()

    # -- inside ----------------------------------------------------------------------------------------

    def _tell(self, event: CallEvent) -> None:
        if self.end is not None and event is not self.end:
            return
        for stream in self._streams if self._first is None else (self._first, *self._streams):
            stream.put(event)

    def _snapshot(self) -> list[CallEvent]:
        events: list[CallEvent] = []
        for participant in self._participants.values():
            events.append(ParticipantJoined(participant))
            for name, track in participant.tracks.items():
                events.append(TrackSubscribed(participant, track, name, str(track.kind)))
        return events

    def _find(self, id: str) -> Participant | None:
        participant = self._participants.get(id)
        if participant is None and self.end is None:
            self.ignored("unknown participant", id)
        return participant

    def _name(self, name: Any) -> str | None:
        if name is None:
            return None
        if not isinstance(name, str):
            self.ignored("name", type(name).__name__)
            return None
        return name[:TEXT_MAX]

    def _metadata(self, metadata: Any) -> dict[str, Any] | None:
        if metadata is None:
            return None
        if not isinstance(metadata, Mapping) or len(metadata) > METADATA_MAX:
            self.ignored("metadata", type(metadata).__name__)
            return None
        return {str(key): value for key, value in metadata.items()}

    def _fail(self, error: Exception) -> None:
        self.ended(EndReason.SIGNALING_ENDED, error)


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number if there is one like it."""
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)
