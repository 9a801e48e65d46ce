"""PeerJS as calls: "peerjs+https://host:9000/?peer=alice" reaches alice; without "peer" the call waits for others.

Owns: who is a participant, which call carries which publication. Never: the wire (`peer`).

PeerJS has no rooms: a participant is a peer to whom there is at least one connection, and it has left when the last one
has ended. Everything is one offer, so a track that is published later goes out by a call of its own; what is published
within a moment goes out by one call, in one stream. Whoever calls us is answered with what we publish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, cast

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MENDING, CallHost
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.peerjs.connections import PeerJSCall, PeerJSConnection, PeerJSData
from rtcpeer.calls.peerjs.peer import PeerJS
from rtcpeer.calls.peerjs.serialization import Serialization
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import InvalidStateError, NotSupportedError, SignalingRefused
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.policy import PeerState

# How long more tracks are waited for before a call, in seconds.
_TOGETHER: Final = 0.1
_OUTBOX_MAX: Final = 1000
_SERIALIZATIONS: Final = ("binary", "binary-utf8", "json", "raw")


class _Other:
    """The connections with one other peer.

    Attributes:
        connections: those that have not ended.
        data: the one by which messages go; None until there is one.
        senders: by publication, and the call that carries it.
        outbox: messages that wait for the connection.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.connections: list[PeerJSConnection] = []
        self.data: PeerJSData | None = None
        self.senders: dict[Publication, tuple[Any, PeerJSCall]] = {}
        self.outbox: asyncio.Queue[Any] = asyncio.Queue(_OUTBOX_MAX)
        self.sending: asyncio.Task[None] | None = None


class PeerJSService:
    """Calls and data connections with peers of a PeerServer; see `CallService`.

    Args:
        request: its URL is the server's, with its path; in its query ``id`` (ours; by default the server draws one),
            ``key`` of the server, and ``peer``: whom to reach, several separated by commas. Name and metadata are
            told as the metadata of each connection. The option `serialization` ("binary", "json", "raw") is of the data
            connections that we open; messages may be whatever it carries.

    Raises:
        ValueError: there is no such serialization.
    """

    def __init__(self, request: JoinRequest) -> None:
        request.check_options("serialization")
        self._url, taken = request.take("id", "key", "peer")
        self._id, self._key = taken.get("id") or None, taken.get("key") or "peerjs"
        self._peers = [name.strip() for name in taken.get("peer", "").split(",") if name.strip()]
        self.serialization: str = str(request.options.get("serialization") or "binary")
        if self.serialization not in _SERIALIZATIONS:
            raise ValueError(
                f"{self.serialization!r} is no serialization of PeerJS: {', '.join(_SERIALIZATIONS)}"
            )
        self._others: dict[str, _Other] = {}
        self._publications: list[Publication] = []
        self._changed = asyncio.Event()
        self._host: CallHost
        self.peer: PeerJS | None = None

    def __repr__(self) -> str:
        return f"<PeerJSService {self.peer!r}>"

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self._host = host
        peer = self.peer = PeerJS(
            self._url,
            id=self._id,
            key=self._key,
            configuration=host.configuration,
            on_lost=lambda: host.reconnecting("signaling"),
            on_back=host.reconnected,
            on_end=self._over,
            on_nonsense=host.ignored,
        )
        await peer.open()
        host.entered(peer.id)
        host.spawn(self._accept(peer), "PeerJS: whoever comes", vital=True)
        host.spawn(self._follow(), "PeerJS: calls", vital=True)
        for name in self._peers:
            await self._reach(self._other(name))

    def _over(self, error: Exception) -> None:
        refused = isinstance(error, SignalingRefused)
        self._host.ended(EndReason.REFUSED if refused else EndReason.SIGNALING_ENDED, error)

    def _other(self, id: str) -> _Other:
        return self._others.setdefault(id, _Other(id))

    # -- connections -----------------------------------------------------------------------------------

    async def _reach(self, other: _Other) -> None:
        """Open a data connection; whoever it leads to is told when it is there."""
        assert self.peer is not None
        data = await self.peer.connect(
            other.id, serialization=cast("Serialization", self.serialization), metadata=self._metadata()
        )
        self._watch(other, data)
        self._use(other, data)

    async def _accept(self, peer: PeerJS) -> None:
        async for connection in peer:
            other = self._other(connection.peer_id)
            self._watch(other, connection)
            if self._joined(other, connection.metadata) is None:
                self._host.spawn(connection.close(), "PeerJS: too many")
            elif isinstance(connection, PeerJSData):
                self._use(other, connection)
            elif isinstance(connection, PeerJSCall):
                await self._answer(other, connection)

    def _watch(self, other: _Other, connection: PeerJSConnection) -> None:
        other.connections.append(connection)
        host = self._host

        def on_state(event: Any) -> None:
            if event.state in MENDING:
                host.reconnecting(event.reason, other.id)
            elif event.state == PeerState.CONNECTED:
                self._joined(other, None)
                host.reconnected(other.id)

        connection.peer.addEventListener("statechange", on_state)
        host.spawn(self._until_over(other, connection), f"PeerJS: end of a connection with {other.id}")

    def _joined(self, other: _Other, metadata: Any) -> Participant | None:
        said = dict(metadata) if isinstance(metadata, Mapping) else None
        name = said.get("name") if said is not None else None
        known = other.id in self._host.participants
        participant = self._host.participant_joined(other.id, name, said)
        if participant is not None and not known:
            self._changed.set()
        return participant

    async def _until_over(self, other: _Other, connection: PeerJSConnection) -> None:
        reason = EndReason.LEFT
        try:
            await connection.peer.closed()
        except GaveUp:
            reason = EndReason.CONNECTION_LOST
        other.connections.remove(connection)
        if other.data is connection:
            other.data = next((c for c in other.connections if isinstance(c, PeerJSData)), None)
        other.senders = {p: (s, call) for p, (s, call) in other.senders.items() if call is not connection}
        if reason is EndReason.CONNECTION_LOST:
            self._changed.set()  # nobody has hung up: what went by it goes by another call
        if not other.connections and self._others.get(other.id) is other:
            del self._others[other.id]
            if other.sending is not None:
                other.sending.cancel()
            if other.id not in self._host.participants and self._host.end is None:
                self._host.ignored("peer that is not there", other.id)
            self._host.participant_left(other.id, reason)

    def _metadata(self) -> dict[str, Any] | None:
        said = dict(self._host.metadata)
        if self._host.name is not None:
            said.setdefault("name", self._host.name)
        return said or None

    # -- media -----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Call those who do not get what we publish, one call for what is missing."""
        assert self.peer is not None
        while True:
            await self._changed.wait()
            await asyncio.sleep(_TOGETHER)
            self._changed.clear()
            for other in tuple(self._others.values()):
                missing = [p for p in self._publications if p not in other.senders]
                if missing and other.id in self._host.participants:
                    try:
                        await self._call(other, missing)
                    except InvalidStateError as error:  # it has ended meanwhile
                        self._host.ignored("call", error)

    async def _call(self, other: _Other, publications: list[Publication]) -> None:
        assert self.peer is not None
        first = not any(isinstance(one, PeerJSCall) for one in other.connections)
        call = await self.peer.call(
            other.id, *(p.track for p in publications), metadata=self._metadata(), receive=first
        )
        await self._carry(other, call, publications)
        self._watch(other, call)
        self._listen(other, call)

    async def _answer(self, other: _Other, call: PeerJSCall) -> None:
        """With one track of ours for each that is offered; the others go by a call of ours."""
        places = call.offered
        carried = []
        for publication in self._publications:
            if publication not in other.senders and places[publication.kind] > 0:
                places[publication.kind] -= 1
                carried.append(publication)
        self._listen(other, call)
        with contextlib.suppress(InvalidStateError):  # it has ended meanwhile
            await call.answer(*(p.track for p in carried))
            await self._carry(other, call, carried)
        self._changed.set()

    async def _carry(self, other: _Other, call: PeerJSCall, publications: list[Publication]) -> None:
        for publication, sender in zip(publications, call.senders, strict=False):
            other.senders[publication] = sender, call
            if publication.muted:
                await sender.replaceTrack(None)

    def _listen(self, other: _Other, call: PeerJSCall) -> None:
        host = self._host

        def subscribe(event: Any) -> tuple[str, str] | None:
            self._joined(other, None)
            name = host.track_subscribed(other.id, event.track.kind, event.track)
            return None if name is None else (other.id, name)

        ArrivingTracks(call.peer, subscribe, host.track_unsubscribed)

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        self._publications.append(publication)
        self._changed.set()

    async def unpublish(self, publication: Publication) -> None:
        """End the publication's call, if nothing else goes or comes by it; else send nothing of it any more."""
        if publication in self._publications:
            self._publications.remove(publication)
        for other in tuple(self._others.values()):
            if publication not in other.senders:
                continue
            sender, call = other.senders.pop(publication)
            if call.peer.is_ended:
                continue
            if call.tracks or any(carrier is call for _, carrier in other.senders.values()):
                await sender.replaceTrack(None)
            else:
                await call.close()

    async def set_muted(self, publication: Publication) -> None:
        """Do nothing: PeerJS has no word for telling so. Nothing of a muted track is sent."""
        for other in tuple(self._others.values()):
            if publication in other.senders:
                sender, _ = other.senders[publication]
                with contextlib.suppress(InvalidStateError):  # just gone: the others are muted all the same
                    await sender.replaceTrack(None if publication.muted else publication.track)

    # -- messages --------------------------------------------------------------------------------------

    def _use(self, other: _Other, data: PeerJSData) -> None:
        if other.data is None:
            other.data = data
        self._host.spawn(self._read(other, data), f"PeerJS: messages of {other.id}")
        if other.sending is None:
            other.sending = self._host.spawn(self._send_all(other), f"PeerJS: messages to {other.id}")

    async def _read(self, other: _Other, data: PeerJSData) -> None:
        async for value in data:
            self._joined(other, None)
            self._host.message(other.id, value)

    async def _send_all(self, other: _Other) -> None:
        while True:
            value = await other.outbox.get()
            while (data := other.data) is not None:
                try:
                    await data.send(value)
                    break
                except InvalidStateError:  # it has ended: by another one, if there is one
                    await asyncio.sleep(0)
                    if other.data is data:
                        break
                except (
                    TypeError,
                    ValueError,
                ) as error:  # the other side has chosen a serialization without it
                    self._host.ignored("message that cannot be sent", error)
                    break

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`. Any value that the serialization carries.

        Raises:
            NotSupportedError: the serialization does not carry it.
            InvalidStateError: a thousand messages wait already.
        """
        if self.serialization == "raw" and not isinstance(data, (str, bytes)):
            raise NotSupportedError(
                f"the raw serialization carries text and bytes, not {type(data).__name__}"
            )
        if self.serialization == "json" and isinstance(data, bytes):
            raise NotSupportedError("the JSON serialization carries no bytes")
        there = [self._others.get(id_) for id_ in (self._host.participants if to is None else [to.id])]
        failure: InvalidStateError | None = None
        for other in there:
            if other is None:
                continue
            try:
                if other.data is None:
                    await self._reach(other)
                other.outbox.put_nowait(data)
            except asyncio.QueueFull:
                failure = InvalidStateError(f"{_OUTBOX_MAX} messages wait for {other.id} already")
            except InvalidStateError as error:
                failure = error
        if failure is not None:
            raise failure  # the others get it

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Refuse: PeerJS has no metadata but those given at `join`."""
        raise NotSupportedError("PeerJS tells metadata when a connection is made: give them to join()")

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        if self.peer is not None:
            await self.peer.close()
