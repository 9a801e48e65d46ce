"""A mesh: one supervised connection to each other participant. Services without a media server are built on it.

Owns: the connections, what is published on each, the two data channels of each. Never: how participants are found, and
how descriptions travel (the service brings a signaling channel for each).

On the wire, so that a page in a browser can take part without a library of ours:

- a track's name is the id of its stream: "rtcpeer.NAME" (``event.streams[0].id``); a track of another stream is called
  by its kind;
- each side opens a data channel "messages", and sends on it what the application sends, text or bytes; whatever
  arrives on any other channel than "control" is a message as well;
- each side opens a data channel "control" and sends its state there as JSON, when it opens and when it changes:
  ``{"muted": ["NAME", ...], "metadata": {...}}``. Nobody has to.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MENDING, CallHost
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.errors import InvalidStateError, NotSupportedError, RtcPeerError
from rtcpeer.media.stream import MediaStream
from rtcpeer.signaling.capabilities import politeness
from rtcpeer.supervisor.channel import SupervisedChannel
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.intents import SupervisedSender
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState, Reason

logger = logging.getLogger(__name__)

STREAM_PREFIX: Final = "rtcpeer."
MESSAGES: Final = "messages"
CONTROL: Final = "control"
_CONTROL_MAX: Final = 65_536
_REASONS: Final = {
    Reason.REMOTE_CLOSED: EndReason.LEFT,
    Reason.SIGNALING_ENDED: EndReason.LEFT,
    Reason.API: EndReason.LEFT,
}


class MeshMember:
    """The connection to one participant.

    Args:
        mesh: which it belongs to.
        id: of the participant, who is told to the host already.
        peer: the supervised peer; not started.
        offers: whether we open the connection even if nothing is published; one side does.
    """

    def __init__(self, mesh: Mesh, id: str, peer: SupervisedPeer, *, offers: bool) -> None:
        self.id = id
        self.peer = peer
        self._mesh = mesh
        self._offers = offers
        self._senders: dict[Publication, SupervisedSender] = {}
        self._channels: dict[str, SupervisedChannel] = {}
        self._tracks = ArrivingTracks(peer, self._subscribe, mesh.host.track_unsubscribed)
        peer.addEventListener("statechange", self._on_state)
        peer.addEventListener("datachannel", lambda event: self._listen(event.channel))

    async def run(self) -> EndReason:
        """Connect and stay until the connection ends; why it did. Closes the peer."""
        try:
            for publication in self._mesh.publications:
                self.publish(publication)
            if self._offers:
                self.open_channels()
            await self.peer.start()
            return _REASONS.get(await self.peer.closed(), EndReason.CONNECTION_LOST)
        except GaveUp:
            return EndReason.CONNECTION_LOST
        except InvalidStateError:  # closed meanwhile
            return EndReason.LEFT
        finally:
            await self.peer.close()

    def publish(self, publication: Publication) -> None:
        """Send a track on this connection, unless it is sent already."""
        if publication in self._senders:
            return
        stream = MediaStream([publication.track], id=STREAM_PREFIX + publication.name)
        self._senders[publication] = self.peer.addTrack(publication.track, stream)

    def unpublish(self, publication: Publication) -> None:
        """Send it no more."""
        sender = self._senders.pop(publication, None)
        if sender is not None:
            self.peer.removeTrack(sender)

    async def set_muted(self, publication: Publication) -> None:
        """Put it into force on this connection, and tell."""
        sender = self._senders.get(publication)
        if sender is not None:
            await sender.replaceTrack(None if publication.muted else publication.track)
        self.tell_state()

    def open_channels(self) -> None:
        """Open our channels, unless they are open."""
        if self._channels or self.peer.is_ended:
            return
        for label in (MESSAGES, CONTROL):
            channel = self._channels[label] = self.peer.createDataChannel(label)
            self._listen(channel)
        self._channels[CONTROL].addEventListener("open", lambda _: self.tell_state())

    def connecting(self) -> None:
        """The connection has begun."""
        self.open_channels()

    def send(self, data: str | bytes) -> None:
        """Send a message, or let it wait for the connection."""
        self.open_channels()
        channel = self._channels.get(MESSAGES)
        if channel is not None and channel.readyState != "closed":
            channel.send(data)

    def tell_state(self) -> None:
        """Say what we have muted and what we say of ourselves."""
        channel = self._channels.get(CONTROL)
        if channel is not None and channel.readyState == "open":
            channel.send(json.dumps(self._mesh.state()))

    def end_tracks(self) -> None:
        """The participant is gone."""
        self._tracks.end(self.id)

    def _subscribe(self, event: Any) -> tuple[str, str] | None:
        stream = event.streams[0].id if event.streams else ""
        name = stream[len(STREAM_PREFIX) :] if stream.startswith(STREAM_PREFIX) else event.track.kind
        known = self._mesh.host.track_subscribed(self.id, name, event.track)
        return None if known is None else (self.id, known)

    def _on_state(self, event: Any) -> None:
        if event.state in MENDING:
            self._mesh.host.reconnecting(event.reason, self.id)
        elif event.state == PeerState.CONNECTED:
            self._mesh.host.reconnected(self.id)
        if event.state not in (PeerState.NEW, PeerState.FAILED, PeerState.CLOSED):
            self.connecting()

    def _listen(self, channel: Any) -> None:
        take = self._take_control if channel.label == CONTROL else self._take_message
        channel.addEventListener("message", take)

    def _take_message(self, event: Any) -> None:
        self._mesh.host.message(self.id, event.data)

    def _take_control(self, event: Any) -> None:
        try:
            if not isinstance(event.data, str) or len(event.data) > _CONTROL_MAX:
                raise ValueError("too long, or no text")
            said = json.loads(event.data)
            muted = {str(name) for name in said.get("muted", ())}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self._mesh.host.ignored("control message", error)
            return
        host = self._mesh.host
        participant = host.participants.get(self.id)
        if participant is not None:
            host.participant_updated(self.id, metadata=said.get("metadata"))
            for name in participant.tracks:
                host.track_muted(self.id, name, name in muted)


class Mesh:
    """All connections of a call.

    Args:
        host: the call.
        ended: called with the id and the reason when the connection to a participant has ended by itself; the host
            was told that the participant has left.
        supervise: makes the supervised peers; by default the host.
    """

    def __init__(
        self,
        host: CallHost,
        ended: Callable[[str, EndReason], object] | None = None,
        supervise: Callable[..., SupervisedPeer] | None = None,
    ) -> None:
        self.host = host
        self._supervise = supervise or host.supervise
        self._ended = ended
        self._members: dict[str, MeshMember] = {}
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._closing: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.publications: list[Publication] = []

    @property
    def members(self) -> Mapping[str, MeshMember]:
        """The connections, by the participants' ids; a copy."""
        return dict(self._members)

    def add(
        self,
        id: str,
        channel: Any,
        *,
        name: str | None = None,
        metadata: Any = None,
        polite: bool | None = None,
        member: Callable[..., MeshMember] = MeshMember,
        offers: bool | None = None,
        **options: Any,
    ) -> MeshMember | None:
        """Connect to a participant who is there.

        Args:
            id: of the participant. If there is a connection to it, that one is closed.
            channel: the way to it; closed with the connection.
            name: of the participant.
            metadata: of the participant.
            polite: as of `SupervisedPeer`.
            member: makes the connection's record; for services that speak otherwise on data channels.
            offers: whether we begin even if nothing is published; by default the impolite side.
            **options: of `SupervisedPeer`.

        Returns:
            The record; None when the call is over, or there are too many participants.
        """
        self.remove(id)
        if self._closed or self.host.participant_joined(id, name, metadata) is None:
            self._close_soon(channel.close())
            return None
        peer = self._supervise(channel, polite=polite, **options)
        begins = not politeness(channel, polite) if offers is None else offers
        one = self._members[id] = member(self, id, peer, offers=begins)
        self._running[id] = self.host.spawn(self._run(one), f"connection to {id}")
        return one

    def remove(self, id: str, reason: EndReason = EndReason.LEFT) -> None:
        """Somebody is gone: end the connection and tell the host."""
        member = self._members.pop(id, None)
        if member is not None:
            self._running.pop(id, None)
            member.end_tracks()
            self._close_soon(member.peer.close())
            self.host.participant_left(id, reason)

    async def publish(self, publication: Publication) -> None:
        """Send a track to all. NotSupportedError: somebody cannot be sent it; the others get it."""
        self.publications.append(publication)
        await self._for_all(lambda member: member.publish(publication))

    async def unpublish(self, publication: Publication) -> None:
        """Send it no more."""
        if publication in self.publications:
            self.publications.remove(publication)
        await self._for_all(lambda member: member.unpublish(publication))

    async def set_muted(self, publication: Publication) -> None:
        """Put it into force everywhere."""
        await self._for_all(lambda member: member.set_muted(publication))

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Tell everybody."""
        await self._for_all(lambda member: member.tell_state())

    async def send(self, data: Any, to: Participant | None) -> None:
        """Send a message to one or all; it waits where a connection is not there yet."""
        if not isinstance(data, (str, bytes)):
            raise NotSupportedError(f"this service carries text and bytes, not {type(data).__name__}")
        if to is None:
            await self._for_all(lambda member: member.send(data))
        elif to.id in self._members:
            self._members[to.id].send(data)

    async def _for_all(self, act: Callable[[MeshMember], Awaitable[None] | None]) -> None:
        """Do something with each member. Where it fails with one, the others are served, and the failure is raised."""
        failure: Exception | None = None
        for member in self.members.values():
            try:
                doing = act(member)
                if doing is not None:
                    await doing
            except InvalidStateError:
                continue  # just gone
            except (RtcPeerError, TypeError, ValueError) as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def state(self) -> dict[str, Any]:
        """Our state as the control channel tells it: the names of our tracks and which are muted."""
        muted = [publication.name for publication in self.publications if publication.muted]
        return {"muted": muted, "metadata": dict(self.host.metadata)}

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        members, self._members = tuple(self._members.values()), {}
        self._running.clear()
        await asyncio.gather(*(member.peer.close() for member in members), *self._closing)

    async def _run(self, member: MeshMember) -> None:
        reason = EndReason.CONNECTION_LOST
        try:
            reason = await member.run()
        except Exception:  # of ours: it is one participant's end, not a connection that nobody follows
            logger.exception("the connection to %s failed", member.id)
        if self._members.get(member.id) is member:
            self.remove(member.id, reason)
            if self._ended is not None:
                self._ended(member.id, reason)

    def _close_soon(self, closing: Any) -> None:
        task = asyncio.ensure_future(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
