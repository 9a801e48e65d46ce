"""A client for rooms: each other member is a signaling channel. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

Owns: one WebSocket per room, its reconnection, the channels of the members. Never: a peer connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp

from rtcpeer.config.configuration import RTCIceServer, read_configuration
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError
from rtcpeer.media.event_target import Event, EventTarget, handler
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.signaling.rooms import MAX_FRAME, Mode, RoomError, read_frame_untrusted

_TIMEOUT = 10.0
_HEARTBEAT = 15.0
# waits before attempts to reconnect; the last one repeats
_WAITS = (0.0, 0.3, 1.0, 2.0, 5.0)
# messages of one member that nobody reads
_ARRIVED = 1000


class RoomEvent(Event):
    """``join``, ``leave``, ``connectionlost``, ``connectionback`` of a room.

    Attributes:
        member: the `RoomMember`, for the first two.
    """

    def __init__(self, type: str, member: RoomMember | None = None) -> None:
        super().__init__(type)
        self.member = member


class RoomMember:
    """Another member of the room, as a `SignalingChannel`.

    Attributes:
        id: unique.
        name: what it calls itself.
        polite: whether we are the polite side towards it: pass it on to `Negotiator` or `SupervisedPeer`.
    """

    def __init__(self, room: Room, id: str, name: str | None, *, polite: bool) -> None:
        self.id = id
        self.name = name
        self.polite = polite
        self._room = room
        self._arrived: deque[Message] = deque(maxlen=_ARRIVED)
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<RoomMember {self.name or self.id}{', closed' if self._closed else ''}>"

    @property
    def capabilities(self) -> ChannelCapabilities:
        """Those of a plain path, and who is polite."""
        return ChannelCapabilities(polite=self.polite)

    @property
    def is_closed(self) -> bool:
        """Whether it has left, or the channel was closed."""
        return self._closed

    async def send(self, message: Any, /) -> None:
        """Send a description or candidate to this member.

        Raises:
            InvalidStateError: the channel is closed.
            NetworkError: the socket is lost at present; it comes back by itself.
        """
        if self._closed:
            raise InvalidStateError("the signaling channel is closed")
        await self._room.send_frame({"type": "message", "to": self.id, "message": as_message(message)})

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._arrived:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._arrived.popleft()

    async def close(self) -> None:
        """End this channel, here and there. Both stay in the room."""
        if not self._closed:
            self.end()
            await self._room.try_frame({"type": "close", "to": self.id})

    # -- for the room ------------------------------------------------------------------------------------

    def arrive(self, message: Message) -> None:
        """A message of this member."""
        self._arrived.append(message)
        self._wake()

    def end(self) -> None:
        """The member is gone."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Room(EventTarget):
    """A room that was entered; `RoomClient` makes it.

        async for member in room:           # those who are there, and those who come
            peer = SupervisedPeer(member, polite=member.polite, iceServers=room.iceServers)

    Events: `join`, `leave` (with `member`), `connectionlost`, `connectionback`.

    Attributes:
        name: of the room.
        id: our own.
        opened: whether it is we who have opened it.
        iceServers: what the server recommends.
    """

    onjoin = handler("join")
    onleave = handler("leave")
    onconnectionlost = handler("connectionlost")
    onconnectionback = handler("connectionback")

    def __init__(self, client: RoomClient, name: str) -> None:
        self.name = name
        self.id = ""
        self.opened = False
        self.iceServers: list[RTCIceServer] = []
        self._client = client
        self._token: str | None = None
        self._members: dict[str, RoomMember] = {}
        self._new: deque[RoomMember] = deque()  # not yet given to who iterates
        self._waiter: asyncio.Future[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Room {self.name!r} {'closed' if self._closed else 'open'}, {len(self._members)} others>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def members(self) -> tuple[RoomMember, ...]:
        """The others."""
        return tuple(self._members.values())

    @property
    def is_closed(self) -> bool:
        """Whether it was left, or could not be entered again."""
        return self._closed

    def __aiter__(self) -> AsyncIterator[RoomMember]:
        return self

    async def __anext__(self) -> RoomMember:
        while not self._new:
            if self._closed:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._new.popleft()

    async def close(self) -> None:
        """Leave the room. Idempotent."""
        if self._closed and self._task is None:
            return
        await self.try_frame({"type": "leave"})
        task, self._task = self._task, None
        self._end()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self._socket is not None:
            await self._socket.close()
        self._client.forget(self)

    # -- for client and members --------------------------------------------------------------------------

    async def enter(self, mode: Mode) -> None:
        """Connect and enter."""
        await self._connect(mode)
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"rtcpeer room {self.name}")

    async def send_frame(self, frame: dict[str, Any]) -> None:
        """Send a frame.

        Raises:
            NetworkError: the socket is lost at present.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise NetworkError("the connection to the room server is lost", fault="network")
        try:
            await socket.send_str(json.dumps(frame))
        except (ConnectionError, RuntimeError) as error:
            raise NetworkError("the connection to the room server is lost", fault="network") from error

    async def try_frame(self, frame: dict[str, Any]) -> None:
        """Send a frame whose loss does no harm."""
        with contextlib.suppress(NetworkError):
            await self.send_frame(frame)

    # -- inside ------------------------------------------------------------------------------------------

    async def _connect(self, mode: Mode) -> None:
        frame: dict[str, Any] = {"type": "enter", "room": self.name, "mode": mode, "name": self._client.name}
        if self._token is not None:
            frame["resume"] = self._token
        socket = await self._client.open_socket()
        try:
            await socket.send_str(json.dumps(frame))
            async with asyncio.timeout(_TIMEOUT):
                entered = await _answer(socket)
            self._entered(entered)
        except BaseException as error:
            await socket.close()
            if isinstance(error, TimeoutError):
                raise RTCTimeoutError("the room server does not answer", fault="network") from None
            raise
        self._socket = socket

    def _entered(self, frame: dict[str, Any]) -> None:
        same = frame.get("id") == self.id
        self.id = str(frame.get("id"))
        self._token = frame.get("token")
        self.opened = bool(frame.get("opened"))
        self.iceServers = read_configuration(iceServers=frame.get("iceServers") or []).iceServers
        present = {str(member["id"]): member for member in frame.get("members") or []}
        for id_ in tuple(self._members):
            if id_ not in present or not same:  # to the others, we are somebody else now
                self._leave(id_)
        for id_, member in present.items():
            self._join(id_, member.get("name"))

    async def _run(self) -> None:
        attempt = 0
        while not self._closed:
            socket = self._socket
            if socket is not None:
                attempt = 0
                await self._read(socket)
                self._socket = None
                await socket.close()
                self.fire(RoomEvent("connectionlost"))
            wait = _WAITS[min(attempt, len(_WAITS) - 1)] * random.uniform(0.75, 1.25)
            attempt += 1
            await asyncio.sleep(wait)
            try:
                await self._connect("openOrJoin")
            except RoomError:
                self._end()  # not allowed any more
            except (NetworkError, RTCTimeoutError, TypeError, ValueError):
                continue
            else:
                self.fire(RoomEvent("connectionback"))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                continue
            try:
                self._frame(read_frame_untrusted(message.data))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # a frame that is not understood is not for us

    def _frame(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "message":
            sender = frame["from"]
            member = self._members.get(sender)
            if member is None or member.is_closed:  # it begins anew
                member = self._join(sender, member.name if member is not None else None)
            member.arrive(frame["message"])
        elif kind == "close":
            member = self._members.get(frame["from"])
            if member is not None:
                member.end()
        elif kind == "joined":
            self._join(str(frame["member"]["id"]), frame["member"].get("name"))
        elif kind == "left":
            self._leave(str(frame["id"]))

    def _join(self, id: str, name: str | None) -> RoomMember:
        member = self._members.get(id)
        if member is None or member.is_closed:
            member = self._members[id] = RoomMember(self, id, name, polite=self.id < id)
            self._new.append(member)
            self._wake()
            self.fire(RoomEvent("join", member))
        return member

    def _leave(self, id: str) -> None:
        member = self._members.pop(id, None)
        if member is not None:
            member.end()
            self.fire(RoomEvent("leave", member))

    def _end(self) -> None:
        self._closed = True
        for id_ in tuple(self._members):
            self._leave(id_)
        self._wake()
        self.close_events()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class RoomClient:
    """Enters rooms of a `RoomServer`.

        async with RoomClient("wss://example.org/rooms", name="bot") as client:
            room = await client.openOrJoin("lobby")

    Args:
        url: of the server's WebSocket.
        name: how we are called in the rooms.
        session: an aiohttp session to use; by default an own one.
        headers: for the WebSocket request, for example an Authorization.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        session: aiohttp.ClientSession | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.url = url
        self.name = name
        self._session = session
        self._owns_session = session is None
        self._headers = headers
        self._rooms: set[Room] = set()

    def __repr__(self) -> str:
        return f"<RoomClient {self.name or ''} {len(self._rooms)} rooms>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def openOrJoin(self, room: str) -> Room:
        """Enter a room; it is opened if there is none of that name.

        Raises:
            RoomError: the server refuses; `.code` tells why.
            NetworkError, RTCTimeoutError: the server cannot be reached.
        """
        return await self._enter(room, "openOrJoin")

    async def open(self, room: str) -> Room:
        """Open a room; RoomError "exists" if there is one. See `openOrJoin`."""
        return await self._enter(room, "open")

    async def join(self, room: str) -> Room:
        """Enter a room; RoomError "not-found" if there is none. See `openOrJoin`."""
        return await self._enter(room, "join")

    async def checkPresence(self, room: str) -> int:
        """How many are in a room; 0: there is none of that name."""
        socket = await self.open_socket()
        try:
            await socket.send_str(json.dumps({"type": "presence", "room": room}))
            async with asyncio.timeout(_TIMEOUT):
                return int((await _answer(socket)).get("members") or 0)
        finally:
            await socket.close()

    async def close(self) -> None:
        """Leave all rooms."""
        await asyncio.gather(*(room.close() for room in tuple(self._rooms)))
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    # -- for rooms ---------------------------------------------------------------------------------------

    async def open_socket(self) -> aiohttp.ClientWebSocketResponse:
        """A new WebSocket.

        Raises:
            NetworkError: the server cannot be reached.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._session.ws_connect(
                    self.url, heartbeat=_HEARTBEAT, max_msg_size=MAX_FRAME, headers=self._headers
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NetworkError(f"the room server cannot be reached: {error}", fault="network") from error

    def forget(self, room: Room) -> None:
        """The room was left."""
        self._rooms.discard(room)

    async def _enter(self, name: str, mode: Mode) -> Room:
        room = Room(self, name)
        await room.enter(mode)
        self._rooms.add(room)
        return room


async def _answer(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message = await socket.receive()
    if message.type != aiohttp.WSMsgType.TEXT:
        raise NetworkError("the room server has closed the connection", fault="network")
    frame = read_frame_untrusted(message.data)
    if frame["type"] == "error":
        raise RoomError(str(frame.get("code")), str(frame.get("reason")))
    return frame
