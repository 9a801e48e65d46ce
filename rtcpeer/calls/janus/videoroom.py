"""A VideoRoom of Janus as a call: "janus+ws://host:8188/?room=1234".

Owns: the membership: the handle that has joined as publisher, the supervised peer on it, and the way back into the
room when Janus has forgotten us. Never: the wire of Janus (`session`), how descriptions travel (`channels`), what is
received from the others (`subscriber`).

On data channels, where Janus mixes what all publishers send, a message says whose it is:
``{"from": ID, "to": [ID, ...], "text": "..."}`` or ``"bytes"`` in base64; without "to" it is for all. Each member says
its state the same way, when somebody has come: ``{"from": ID, "state": {"muted": [NAME, ...], "metadata": {...}}}``.
The name of a track is the stream's "description" at Janus; without one it is called by its kind.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MENDING, MESSAGE_MAX, CallHost
from rtcpeer.calls.janus.channels import PublisherChannel
from rtcpeer.calls.janus.session import JanusError, JanusHandle, JanusSession, dicts
from rtcpeer.calls.janus.subscriber import LABEL, PLUGIN, Subscriber
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import (
    InvalidStateError,
    NetworkError,
    NotSupportedError,
    RTCTimeoutError,
    SignalingRefused,
)
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.intents import SupervisedSender
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

_NO_SUCH_ROOM: Final = 426
_ROOM_EXISTS: Final = 427
# After somebody has come, in seconds: our state is told when their connection is likely to be there.
_STATE_DELAYS: Final = (1.0, 4.0, 12.0, 30.0)
_RETRY: Final = 1.0
_LEAVE_TIME: Final = 2.0


class JanusRoom:
    """A VideoRoom; see `CallService`.

    Args:
        request: its URL names the room (``?room=1234``) and perhaps a ``pin``. Options: `create`: make the room if
            there is none, True or a mapping of its properties; `api_secret`: as Janus is configured. The token is that
            of Janus' token authentication.

    Raises:
        ValueError: the URL names no room.
    """

    def __init__(self, request: JoinRequest) -> None:
        request.check_options("create", "api_secret")
        url, taken = request.take("room", "pin")
        if not taken.get("room"):
            raise ValueError("the URL names the room of Janus: janus+ws://host:8188/?room=1234")
        self.room: int | str = int(taken["room"]) if taken["room"].isdecimal() else taken["room"]
        self._pin = taken.get("pin")
        self._create = request.options.get("create")
        self.session: JanusSession = JanusSession(
            url,
            api_secret=request.options.get("api_secret"),
            token=request.token,
            on_lost=lambda: self._host.reconnecting("signaling"),
            on_back=self._back,
            on_end=lambda error: self._host.ended(EndReason.SIGNALING_ENDED, error),
            on_nonsense=lambda what: self._host.ignored(what.partition(":")[0], what),
        )
        self._host: CallHost
        self._handle: JanusHandle | None = None
        self._private_id: Any = None
        self._publisher = _Publisher(self)
        self._subscriber = Subscriber(self)
        self._joining: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._tells_attendees = False  # whether the room announces those who publish nothing
        self._left = False

    def __repr__(self) -> str:
        return f"<JanusRoom {self.room}, {self.session!r}>"

    @property
    def host(self) -> CallHost:
        """The call."""
        return self._host

    @property
    def private_id(self) -> Any:
        """Janus' word that the subscriber belongs to the publisher."""
        return self._private_id

    @property
    def handle(self) -> JanusHandle | None:
        """The handle that has joined as publisher; None while there is none."""
        return self._handle if self._handle is not None and not self._handle.is_gone else None

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self._host = host
        await self.session.open()
        await self._join()

    async def _join(self) -> None:
        handle = self._handle = await self.session.attach(PLUGIN)
        news: list[dict[str, Any]] = []
        handle.on_event = lambda data, _: news.append(data)
        handle.on_hangup = self._publisher.hung_up
        body: dict[str, Any] = {"request": "join", "ptype": "publisher", "room": self.room}
        if self._host.name is not None:
            body["display"] = self._host.name
        if self._pin is not None:
            body["pin"] = self._pin
        try:
            joined, _ = await handle.ask(body)
        except JanusError as error:
            if error.code != _NO_SUCH_ROOM or not self._create:
                raise SignalingRefused(error.reason, status=error.code, fatal=True) from error
            joined = await self._create_and_join(handle, body)
        if joined.get("videoroom") != "joined" or "id" not in joined:
            raise NetworkError("Janus has answered the join with something else", fault="remote")
        self._private_id = joined.get("private_id")
        self._host.entered(str(joined["id"]))
        self._tells_attendees = "attendees" in joined
        self._take_event(joined, None)
        self._hear(handle, news)

    def _hear(self, handle: JanusHandle, news: list[dict[str, Any]]) -> None:
        """Take what the room tells from now on, and what it has told until our task had the answer to a question.

        That comes after the answer, which may not know of it, although both may be read in either order.
        """
        handle.on_event = self._take_event
        for data in news:
            self._take_event(data, None)

    async def _create_and_join(self, handle: JanusHandle, body: dict[str, Any]) -> dict[str, Any]:
        properties = self._create if isinstance(self._create, Mapping) else {}
        try:  # without a wish to the contrary those who publish nothing are announced as well
            create = {"request": "create", "room": self.room, "notify_joining": True, **properties}
            await handle.ask(create)
        except JanusError as error:
            if error.code != _ROOM_EXISTS:  # somebody was faster
                raise
        return (await handle.ask(body))[0]

    # -- what the room tells ---------------------------------------------------------------------------

    def _take_event(self, data: dict[str, Any], _jsep: Any) -> None:
        kind = data.get("videoroom")
        if kind == "destroyed":
            self._host.ended(EndReason.ROOM_CLOSED)
            return
        for one in dicts(data.get("attendees")):
            self._come(one)
        joining = data.get("joining")
        if isinstance(joining, dict):
            self._come(joining)
        for publisher in dicts(data.get("publishers")):
            if self._come(publisher):
                self._subscriber.want(str(publisher["id"]), dicts(publisher.get("streams")))
        if "unpublished" in data and data["unpublished"] != "ok":
            self._subscriber.want(str(data["unpublished"]), [])
        for member in ("leaving", "kicked"):
            if member in data:
                self._go(data[member], removed=member == "kicked" or data.get("reason") == "kicked")

    def _come(self, one: Mapping[str, Any]) -> bool:
        if "id" not in one:
            self._host.ignored("publisher without id")
            return False
        id_ = str(one["id"])
        if id_ == self._host.id:
            return False
        if id_ not in self._host.participants:
            self._publisher.tell_state_later()
        display, metadata = one.get("display"), one.get("metadata")
        return self._host.participant_joined(id_, display, metadata) is not None

    def _go(self, id: Any, *, removed: bool) -> None:
        reason = EndReason.REMOVED if removed else EndReason.LEFT
        if id == "ok" or str(id) == self._host.id:
            if not self._left:
                self._host.ended(EndReason.REMOVED)
            return
        self._subscriber.want(str(id), [])
        self._host.participant_left(str(id), reason)

    # -- the way back ----------------------------------------------------------------------------------

    def _back(self, same: bool) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
        is_joining = self._joining is not None and not self._joining.done()
        if same and is_joining:
            return  # as somebody new, who is told everything
        if same:
            self._catching_up = self._host.spawn(self._catch_up(), "catch up", vital=True)
            return
        if self._joining is not None:
            self._joining.cancel()  # for a session that Janus has forgotten, too
        self._joining = self._host.spawn(self._join_again(self._joining), "join again", vital=True)

    async def _catch_up(self) -> None:
        """The session is the same: what Janus has said while there was no socket is lost, and is asked for."""
        handle = self.handle
        try:
            if handle is not None:
                await self._ask_who_is_there(handle)
                await self._subscriber.look()
        except JanusError as error:
            if error.code == _NO_SUCH_ROOM:
                self._host.ended(EndReason.ROOM_CLOSED)
                return
            self._host.ignored("participants refused", error)
        except (NetworkError, RTCTimeoutError, InvalidStateError) as error:
            self._host.ignored("catching up", error)  # it is lost again: who comes back asks again
            return
        self._host.reconnected()
        await self._subscriber.check()

    async def _ask_who_is_there(self, handle: JanusHandle) -> None:
        news: list[dict[str, Any]] = []
        handle.on_event = lambda data, _: news.append(data)
        try:
            said, _ = await handle.ask({"request": "listparticipants", "room": self.room})
            self._compare(said)
        finally:
            self._hear(handle, news)

    def _compare(self, said: Mapping[str, Any]) -> None:
        """Take the list of those who are in the room."""
        there = {str(one["id"]): one for one in dicts(said.get("participants")) if "id" in one}
        for id_ in set(self._host.participants) - set(there):
            self._go(id_, removed=False)
        for id_, one in there.items():
            if one.get("publisher"):
                if self._come(one):
                    self._subscriber.doubt(id_)
            else:
                self._subscriber.want(id_, [])
                if self._tells_attendees:
                    self._come(one)

    async def _join_again(self, former: asyncio.Task[None] | None) -> None:
        """Janus has forgotten us: those who are in the room now are others."""
        if former is not None:
            await asyncio.wait([former])
        while not self._left and self.session.id is not None:
            if await self._try_to_join_again():
                return
            await asyncio.sleep(_RETRY)

    async def _try_to_join_again(self) -> bool:
        """Join as somebody new; False: it may be tried once more."""
        for id_ in tuple(self._host.participants):
            self._subscriber.want(id_, [])
            self._host.participant_left(id_, EndReason.CONNECTION_LOST)
        await self._subscriber.close()
        self._subscriber = Subscriber(self)
        if self.handle is not None:
            await self.handle.detach()  # an attempt whose answer did not come may have joined
        try:
            await self._join()
        except SignalingRefused as error:
            self._host.ended(EndReason.REFUSED, error)
            return True
        except (NetworkError, RTCTimeoutError, InvalidStateError) as error:
            self._host.ignored("joining again", error)
            return False
        await self._publisher.begin_anew()
        self._host.reconnected()
        return True

    # -- orders ----------------------------------------------------------------------------------------

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        self._publisher.add(publication)

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        self._publisher.remove(publication)

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        await self._publisher.set_muted(publication)

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Implements `CallService.set_metadata`."""
        self._publisher.tell_state()

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`."""
        if isinstance(data, str):
            message: dict[str, Any] = {"text": data}
        elif isinstance(data, bytes):
            message = {"bytes": base64.b64encode(data).decode()}
        else:
            raise NotSupportedError(f"this service carries text and bytes, not {type(data).__name__}")
        if to is not None:
            message["to"] = [to.id]
        self._publisher.say(message)

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        self._left = True
        if self.handle is not None:
            with contextlib.suppress(NetworkError, RTCTimeoutError, InvalidStateError, TimeoutError):
                async with asyncio.timeout(_LEAVE_TIME):
                    await self.handle.ask({"request": "leave"})
        try:
            await asyncio.gather(self._publisher.close(), self._subscriber.close(detach=False))
        finally:
            await self.session.close()  # and with it all handles

    # -- what arrives on data channels -----------------------------------------------------------------

    def take_data(self, data: Any) -> None:
        """Take a message of another participant (for the subscriber)."""
        host = self._host
        try:
            if not isinstance(data, str) or len(data) > 2 * MESSAGE_MAX:
                raise ValueError("no text, or too long")
            said = json.loads(data)
            sender, to, state = str(said["from"]), said.get("to"), said.get("state")
            carried = base64.b64decode(said["bytes"]) if "bytes" in said else said.get("text")
            muted = {str(name) for name in state.get("muted", ())} if isinstance(state, dict) else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
            host.message(None, data)  # of a page that does not speak like this
            return
        if sender == host.id or (
            to is not None and host.id not in map(str, to if isinstance(to, list) else ())
        ):
            return
        participant = host.participants.get(sender)
        if participant is None:
            host.ignored("message of somebody who is not there", sender)
        elif muted is not None:
            host.participant_updated(sender, metadata=state.get("metadata"))
            for name in participant.tracks:
                host.track_muted(sender, name, name in muted)
        elif carried is not None:
            host.message(sender, carried)


class _Publisher:
    """Our side of the room: a supervised peer that sends, made when there is something to send."""

    def __init__(self, room: JanusRoom) -> None:
        self._room = room
        self._peer: SupervisedPeer | None = None
        self._channel: PublisherChannel | None = None
        self._data: Any = None
        self._senders: dict[Publication, SupervisedSender] = {}
        self._publications: list[Publication] = []
        self._telling: list[asyncio.TimerHandle] = []
        self._wanted = False  # whether there was something to send
        self._is_running = False  # there is a peer, or another one follows
        self._closed = False

    def add(self, publication: Publication) -> None:
        self._publications.append(publication)
        if not self._open():
            self._add_to_peer(publication)

    def remove(self, publication: Publication) -> None:
        if publication in self._publications:
            self._publications.remove(publication)
        sender = self._senders.pop(publication, None)
        if sender is not None and self._peer is not None:
            self._peer.removeTrack(sender)

    async def set_muted(self, publication: Publication) -> None:
        sender = self._senders.get(publication)
        if sender is not None:
            await sender.replaceTrack(None if publication.muted else publication.track)
        self.tell_state()

    def say(self, message: dict[str, Any]) -> None:
        self._open()
        if self._data is not None and self._data.readyState != "closed":
            self._data.send(json.dumps({"from": self._room.host.id, **message}))

    def tell_state(self) -> None:
        host = self._room.host
        muted = [publication.name for publication in self._publications if publication.muted]
        if host.end is None and (self._wanted or host.metadata):
            self.say({"state": {"muted": muted, "metadata": dict(host.metadata)}})

    def tell_state_later(self) -> None:
        host = self._room.host
        if host.metadata or any(p.muted for p in self._publications):
            self._tell_no_more()
            loop = asyncio.get_running_loop()
            self._telling = [loop.call_later(delay, self.tell_state) for delay in _STATE_DELAYS]

    def hung_up(self, _reason: str) -> None:
        if self._channel is not None:
            self._channel.hung_up()

    async def begin_anew(self) -> None:
        """Publish by another handle than before."""
        handle = self._room.handle
        if not self._is_running:
            if self._wanted:  # since there was no handle
                self._open()
        elif self._channel is not None and handle is not None and self._peer is not None:
            self._channel.use(handle)
            if not self._peer.is_ended:
                with contextlib.suppress(InvalidStateError, NetworkError):
                    self._peer.recreate()

    async def close(self) -> None:
        self._closed = True
        self._tell_no_more()
        if self._peer is not None:
            await self._peer.close()

    def _tell_no_more(self) -> None:
        for timer in self._telling:
            timer.cancel()
        self._telling = []

    def _open(self) -> bool:
        """Make the peer, unless there is one; whether it was made."""
        self._wanted = True
        handle = self._room.handle
        if self._closed or handle is None or self._is_running:
            return False
        self._is_running = True
        self._channel = PublisherChannel(handle, self._describe)
        self._peer = self._room.host.supervise(self._channel)
        self._peer.addEventListener("statechange", self._on_state)
        self._senders = {}
        for publication in self._publications:
            self._add_to_peer(publication)
        self._data = self._peer.createDataChannel(LABEL)
        self._room.host.spawn(self._run(self._peer), "publisher", vital=True)
        return True

    def _add_to_peer(self, publication: Publication) -> None:
        if self._peer is not None and not self._peer.is_ended and publication not in self._senders:
            init = {"direction": "sendonly"}
            sender = self._senders[publication] = self._peer.addTransceiver(publication.track, init)
            if publication.muted:
                self._room.host.spawn(sender.replaceTrack(None), "mute")

    async def _run(self, peer: SupervisedPeer) -> None:
        """Until the peer ends; if it was not we who ended it, another one follows."""
        with contextlib.suppress(GaveUp, InvalidStateError):
            await peer.start()
            await peer.closed()
        await peer.close()
        if not self._closed and self._room.host.end is None:
            self._room.host.reconnecting("publisher")
            await asyncio.sleep(_RETRY)
            while not self._closed and self._room.handle is None:  # noqa: ASYNC110 (the room joins again)
                await asyncio.sleep(_RETRY)
            handle = self._room.handle
            if self._channel is not None and handle is not None:
                with contextlib.suppress(NetworkError, InvalidStateError):
                    await self._channel.take_back(handle)
            self._is_running = False
            self._open()

    def _describe(self) -> list[dict[str, Any]]:
        sections = ((getattr(s.transceiver, "mid", None), p.name) for p, s in self._senders.items())
        return [{"mid": mid, "description": name} for mid, name in sections if mid is not None]

    def _on_state(self, event: Any) -> None:
        if event.state in MENDING:
            self._room.host.reconnecting(f"publisher {event.reason}")
        elif event.state == PeerState.CONNECTED and self._room.handle is not None:
            self._room.host.reconnected()
