"""A client for rooms: each other member is a signaling channel. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

Owns: one WebSocket per room, its reconnection, the members. Never: a peer connection. The frames are described in
docs/rooms-wire.md; their numbers are `link`'s.
"""

# Longer than 600 lines: entering, resuming, members and frames are one state machine; `RoomClient` only makes rooms.

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from socket import SHUT_RDWR
from typing import Any, Final, Self

import aiohttp

from rtcpeer.aio import Ending, start_task
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.readers import read_ice_servers
from rtcpeer.errors import (
    InvalidStateError,
    NetworkError,
    RtcPeerError,
    RTCSyntaxError,
    RTCTimeoutError,
    SignalingRefused,
)
from rtcpeer.media.event_target import Event, EventTarget, close_events, fire, handler
from rtcpeer.signaling.http.headers import read_retry_after_untrusted
from rtcpeer.signaling.notices import Notices
from rtcpeer.signaling.rooms.link import MemberLink
from rtcpeer.signaling.rooms.member import RoomMember
from rtcpeer.signaling.rooms.wire import (
    CLOSE_KICKED,
    CLOSE_PROTOCOL,
    CLOSE_SUPERSEDED,
    MAX_METADATA,
    MAX_SERVER_FRAME,
    Frame,
    Mode,
    RoomError,
    read_server_frame_untrusted,
    write_frame,
)

_TIMEOUT: Final = 10.0
_HEARTBEAT: Final = 15.0
_CLOSE_TIME: Final = 2.0
# waits before attempts to reconnect; the last one repeats
_WAITS: Final = (0.0, 0.3, 1.0, 2.0, 5.0)
# the server must accept a frame within this time, in seconds, or another socket is tried
_ACCEPT_TIME: Final = 10.0
_ACK_TIME: Final = 0.1
#: Bytes that may wait for the server.
_OUTBOX: Final = 1_048_576
# frames whose "seq" is not their own number
_NOT_NUMBERED: Final = ("ack", "entered")
# refusals that pass
_PASSING: Final = ("unavailable", "draining", "rate")
_FINAL_CODES: Final = {CLOSE_KICKED: "kicked", CLOSE_SUPERSEDED: "superseded", CLOSE_PROTOCOL: "protocol"}


class RoomEvent(Event):
    """An event of a room; `Room` lists them.

    Attributes:
        member: the `RoomMember` that it is about; None where it is about none.
        reason: why, of ``leave``, ``lost`` and ``end``.
        data: what was broadcast, or the frames that were ``lost`` (empty where it is not known which).
    """

    def __init__(
        self, type: str, member: RoomMember | None = None, *, reason: str = "", data: Any = None
    ) -> None:
        super().__init__(type)
        self.member = member
        self.reason = reason
        self.data = data


class Room(EventTarget):
    """A room that was entered; `RoomClient` makes it.

        async for member in room:           # those who are there, and those who come
            peer = SupervisedPeer(member, iceServers=room.iceServers)

    Events (`RoomEvent`): `join` and `leave` (with `member`); `away` and `back` (the member's socket was lost,
    and is there again); `metadata` (of a member); `broadcast` (`member`, `data`); `iceservers` (the server
    has pushed new ones); `lost` (messages that did not arrive and never will: `reason`, `data`, and `member`
    where it was for one); `connectionlost`, `connectionback` (our own socket); `end` (`reason`).

    Attributes:
        name: of the room.
        id: our own.
        opened: whether it is we who have opened it.
        metadata: our own, see `setMetadata`.
        iceServers: what the server recommends at present.
        endReason: "closed", "kicked", "superseded" (another socket has taken our place), "protocol", or the code of the
            refusal, such as "forbidden"; "" while we are in the room.
        notices: frames that were of no use, counted.
    """

    onjoin: handler[RoomEvent] = handler("join")
    onleave: handler[RoomEvent] = handler("leave")
    onaway: handler[RoomEvent] = handler("away")
    onback: handler[RoomEvent] = handler("back")
    onmetadata: handler[RoomEvent] = handler("metadata")
    onbroadcast: handler[RoomEvent] = handler("broadcast")
    oniceservers: handler[RoomEvent] = handler("iceservers")
    onlost: handler[RoomEvent] = handler("lost")
    onconnectionlost: handler[RoomEvent] = handler("connectionlost")
    onconnectionback: handler[RoomEvent] = handler("connectionback")
    onend: handler[RoomEvent] = handler("end")

    def __init__(self, client: RoomClient, name: str, metadata: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.id: str = ""
        self.opened: bool = False
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.iceServers: list[RTCIceServer] = []
        self.endReason: str = ""
        self.notices: Notices = Notices(f"room {name!r}")
        self._client = client
        self._token: str | None = None
        self._link = MemberLink(_OUTBOX)
        self._members: dict[str, RoomMember] = {}
        self._new: deque[RoomMember] = deque()  # not yet given to who iterates
        self._waiter: asyncio.Future[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()  # something is to be written
        self._ack_timer: asyncio.TimerHandle | None = None
        self._servers_expire_at: float | None = None

    def __repr__(self) -> str:
        return f"<Room {self.name!r} {self.endReason or 'open'}, {len(self._members)} others>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def members(self) -> tuple[RoomMember, ...]:
        """The other members of the room."""
        return tuple(self._members.values())

    @property
    def is_closed(self) -> bool:
        """Whether the room was left, or could not be entered again."""
        return bool(self.endReason)

    @property
    def ice_servers(self) -> list[RTCIceServer]:
        """The ICE servers that the server recommends, without those whose credentials have expired."""
        expiry = self._servers_expire_at
        if expiry is not None and asyncio.get_running_loop().time() >= expiry:
            return [server for server in self.iceServers if server.credential is None]
        return list(self.iceServers)

    def __aiter__(self) -> AsyncIterator[RoomMember]:
        return self

    async def __anext__(self) -> RoomMember:
        while not self._new:
            if self.endReason:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._new.popleft()

    async def broadcast(self, data: Any) -> None:
        """Send something that JSON can express to all others, in order with the messages to single ones.

        Raises:
            InvalidStateError: we are not in the room any more.
            SignalingRefused: too much waits for the server already.
            ValueError, TypeError: it is too large, or has no JSON form.
        """
        self.put({"type": "broadcast", "message": data})

    async def setMetadata(self, metadata: Mapping[str, Any]) -> None:
        """Change what the others see of us, at most 4096 bytes of JSON. Raises as `broadcast`."""
        value = dict(metadata)
        if len(write_frame(value)) > MAX_METADATA:
            raise ValueError(f"metadata takes at most {MAX_METADATA} bytes of JSON")
        self.put({"type": "metadata", "metadata": value})
        self.metadata = value

    async def kick(self, member: RoomMember, reason: str = "") -> None:
        """Remove a member, where `authorize` of the server permits it; if not, `lost` is fired with "forbidden"."""
        self.put({"type": "kick", "to": member.id, "reason": reason[:200]})

    async def close(self) -> None:
        """Leave the room, when what was sent has left. Idempotent, and done even if it is cancelled."""
        task, self._task = self._task, None
        if task is not None:
            closing = self._farewell(task)
            self._closing = start_task(closing, name=f"rtcpeer room {self.name} close")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _farewell(self, task: asyncio.Task[None]) -> None:
        socket = self._socket
        if socket is not None and not self.endReason:
            with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
                async with asyncio.timeout(_CLOSE_TIME):
                    await self._write_waiting(socket)
                    await socket.send_str('{"type":"leave"}')
                    self._end("closed")
                    await asyncio.wait([task])  # the server closes the socket
        self._end("closed")
        task.cancel()
        await asyncio.wait([task])
        if socket is not None:  # the task may never have begun
            await _close(socket, socket.get_extra_info("socket"))
        self._client.forget(self)

    # -- for client and members --------------------------------------------------------------------

    async def enter(self, mode: Mode) -> None:
        """Connect and enter."""
        self._socket = socket = await self._connect(mode)
        self._task = start_task(self._run(socket), name=f"rtcpeer room {self.name}")

    def put(self, frame: Mapping[str, Any], *, always: bool = False) -> None:
        """Send a numbered frame, now or when the server can be reached again.

        Raises:
            InvalidStateError: we are not in the room any more.
            SignalingRefused: too much waits for the server already.
        """
        if self.endReason:
            if always:
                return  # it would end what has ended
            raise InvalidStateError(f"the room {self.name!r} is closed ({self.endReason})")
        self._link.put(frame, always=always)
        self._wanted.set()

    # -- the socket --------------------------------------------------------------------------------

    async def _connect(self, mode: Mode) -> aiohttp.ClientWebSocketResponse:
        frame: Frame = {
            "type": "enter",
            "room": self.name,
            "mode": mode,
            "name": self._client.name,
            "metadata": self.metadata,
        }
        if self._token is not None:
            frame |= {"resume": self._token, "received": self._link.received}
        text = write_frame(frame)
        socket = await self._client.open_socket()
        try:
            await socket.send_str(text)
            async with asyncio.timeout(_TIMEOUT):
                entered = await _answer(socket, "entered")
            self._entered(entered)
        except BaseException as error:
            await socket.close()
            if isinstance(error, TimeoutError):
                raise RTCTimeoutError("the room server does not answer", fault="network") from None
            if isinstance(error, ConnectionError):
                raise NetworkError("the connection to the room server is lost", fault="network") from error
            raise
        return socket

    async def _run(self, socket: aiohttp.ClientWebSocketResponse | None) -> None:
        attempt = 0
        while not self.endReason:
            if socket is not None:
                attempt = 0
                await self._serve(socket)
                if self.endReason:
                    return
                fire(self, RoomEvent("connectionlost"))
            wait = _WAITS[min(attempt, len(_WAITS) - 1)] * random.uniform(0.75, 1.25)
            attempt += 1
            await asyncio.sleep(wait)
            socket = await self._reconnect()

    async def _reconnect(self) -> aiohttp.ClientWebSocketResponse | None:
        """Open another socket; None: it failed, and may be tried again."""
        try:
            socket = await self._connect("openOrJoin")
        except RoomError as error:
            if error.code not in _PASSING:
                self._end(error.code)
        except SignalingRefused as error:
            if error.fatal:
                self._end("forbidden")
            elif error.retry_after:
                await asyncio.sleep(min(error.retry_after, _WAITS[-1]))
        except (NetworkError, RTCTimeoutError):
            pass
        else:
            fire(self, RoomEvent("connectionback"))
            return socket
        return None

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read and write until the socket is lost."""
        self._socket = socket
        wire = socket.get_extra_info("socket")
        writer = start_task(self._write(socket), name=f"rtcpeer room {self.name}, writer")
        code = 0
        try:
            code = await self._read(socket)
        finally:
            self._socket = None
            if self._ack_timer is not None:
                self._ack_timer.cancel()
                self._ack_timer = None
            writer.cancel()
            await asyncio.wait([writer])
            await _close(socket, wire)
        reason = _FINAL_CODES.get(code)
        if reason is not None:
            self._end(reason)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> int:
        """Take frames until the socket is closed; the code with which it is, 0 if it has none."""
        while True:
            message = await socket.receive()
            if message.type == aiohttp.WSMsgType.CLOSE:
                # (aiohttp's own code is another one if the server did not wait for our answer)
                return int(message.data or 0)
            if message.type in (aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
                return socket.close_code or 0
            if self.endReason:
                continue  # what was on its way when we left; we wait for the server to close the socket
            if message.type != aiohttp.WSMsgType.TEXT:
                self.notices.add("frame", "the room server has sent a frame that is no text")
                continue
            try:
                frame = read_server_frame_untrusted(message.data)
            except RTCSyntaxError as error:
                self.notices.add("frame", str(error))
                continue
            seq = None if frame["type"] in _NOT_NUMBERED else frame.get("seq")
            if self._link.misses(seq):
                self.notices.add("frame", "the room server has left out frames")
                return 0  # what is missing comes when we resume
            if self._link.arrive(seq, len(message.data)):
                self._frame(frame, len(message.data))
                self._plan_acknowledgement()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Write what waits; give the socket up when the server accepts nothing."""
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            while True:
                self._wanted.clear()
                await self._write_waiting(socket)
                async with asyncio.timeout(_ACCEPT_TIME if self._link.oldest else None):
                    await self._wanted.wait()
        await socket.close()

    async def _write_waiting(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while (text := self._link.next_text()) is not None:
            await socket.send_str(text)
        if self._link.owes and (self._ack_timer is None or self._link.owes_now):
            await socket.send_str(self._link.acknowledgement())

    def _plan_acknowledgement(self) -> None:
        if self._link.owes_now:
            self._wanted.set()
        elif self._link.owes and self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(_ACK_TIME, self._acknowledge)

    def _acknowledge(self) -> None:
        self._ack_timer = None
        self._wanted.set()

    # -- frames ------------------------------------------------------------------------------------

    def _entered(self, frame: Frame) -> None:
        self._read_servers(frame)
        if frame.get("resumed") is True and self._token is not None and frame["id"] == self.id:
            # what has happened to the members comes as frames that we have missed
            self._link.resume(frame["received"])
            self._token = frame["token"]
            return
        first = self._token is None
        lost = self._link.restart()
        for id_ in tuple(self._members):
            self._leave(id_, "rejoined")
        self.id, self._token = frame["id"], frame["token"]
        self.opened = frame.get("opened") is True
        for member in frame["members"]:
            self._join(member)
        if not first:  # what was accepted for a member that we are no longer may have been lost as well
            fire(self, RoomEvent("lost", reason="rejoined", data=lost))

    def _frame(self, frame: Frame, size: int) -> None:
        kind = frame["type"]
        match kind:
            case "ack":
                self._link.acknowledge(frame["seq"])
                self._wanted.set()
            case "message":
                self._message(frame, size)
            case "joined":
                self._join(frame["member"])
            case "left":
                self._leave(frame["id"], str(frame.get("reason") or "left"))
            case "close":
                if frame["from"] in self._members:
                    self._members[frame["from"]].end("closed")
            case "away" | "back" | "metadata" | "broadcast":
                self._about(kind, frame)
            case "members":
                self._all_members(frame["members"])
            case "iceServers":
                self._read_servers(frame)
                fire(self, RoomEvent("iceservers"))
            case "lost":
                self._lost(frame)
            case "kicked":
                self._end("kicked")
            case "error":
                self.notices.add("refusal", f"{frame.get('code')}: {frame.get('reason')}")
            case _:
                self.notices.add("frame", f"the room server has sent {kind[:50]!r}")

    def _message(self, frame: Frame, size: int) -> None:
        member = self._members.get(frame["from"])
        if member is None:
            self.notices.add("message", "of somebody who is not in the room")
            return
        if member.is_closed:  # the other side begins a new channel
            member = self._begin(member.id, member.name, member.metadata, away=member.isAway)
        member.arrive(frame["message"], size)

    def _about(self, kind: str, frame: Frame) -> None:
        member = self._members.get(frame["from"] if kind == "broadcast" else frame["id"])
        if member is None:
            self.notices.add(kind, "of somebody who is not in the room")
            return
        if kind == "metadata":
            member.metadata = frame["metadata"]
        elif kind != "broadcast":
            member.isAway = kind == "away"
        fire(self, RoomEvent(kind, member, data=frame["message"] if kind == "broadcast" else None))

    def _lost(self, frame: Frame) -> None:
        code, to = str(frame.get("code")), frame.get("to")
        self.notices.add("lost message", code)
        fire(self, RoomEvent("lost", self._members.get(str(to)), reason=code, data=[]))

    def _all_members(self, present: list[Frame]) -> None:
        ids = {member["id"] for member in present}
        for id_ in tuple(self._members):
            if id_ not in ids:
                self._leave(id_, "expired")
        for member in present:
            if member["id"] != self.id:
                self._join(member)

    def _join(self, public: Frame) -> None:
        member = self._members.get(public["id"])
        away = public.get("away") is True
        if member is None or member.is_closed:
            self._begin(public["id"], public.get("name"), public["metadata"], away=away)
        else:
            member.metadata, member.isAway = public["metadata"], away

    def _begin(self, id: str, name: str | None, metadata: Frame, *, away: bool) -> RoomMember:
        member = self._members[id] = RoomMember(
            id, name, metadata, polite=self.id < id, put=self.put, recommended=lambda: self.ice_servers
        )
        member.isAway = away
        self._new.append(member)
        self._wake()
        fire(self, RoomEvent("join", member))
        return member

    def _leave(self, id: str, reason: str) -> None:
        member = self._members.pop(id, None)
        if member is None:
            return
        member.end(reason)
        if member in self._new and not member.unread:
            self._new.remove(member)  # nobody has asked for it
        fire(self, RoomEvent("leave", member, reason=reason))

    def _read_servers(self, frame: Frame) -> None:
        if not isinstance(frame.get("iceServers"), list):
            return
        try:
            self.iceServers = list(read_ice_servers({"iceServers": frame["iceServers"]}).servers)
        except (RtcPeerError, ValueError, TypeError) as error:
            self.notices.add("ICE servers", str(error))
            return
        ttl = frame.get("ttl")
        now = asyncio.get_running_loop().time()
        self._servers_expire_at = None if ttl is None else now + ttl

    def _end(self, reason: str) -> None:
        if self.endReason:
            return
        self.endReason = reason
        lost = self._link.restart()
        for id_ in tuple(self._members):
            self._leave(id_, "room")
        if lost and reason != "closed":
            fire(self, RoomEvent("lost", reason=reason, data=lost))
        fire(self, RoomEvent("end", reason=reason))
        self._wake()
        close_events(self)

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
        metadata: what the others see of us, at most 4096 bytes of JSON.
        session: an aiohttp session to use; by default an own one.
        headers: for the WebSocket request, for example an Authorization.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: aiohttp.ClientSession | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.url = url
        self.name = name
        self.metadata = metadata
        self._session = session
        self._ending = Ending("rtcpeer room client close")
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
            SignalingRefused: the server does not take our socket; `.fatal` tells whether another attempt is pointless.
            NetworkError, RTCTimeoutError: the server cannot be reached, or is no room server.
        """
        return await self._enter(room, "openOrJoin")

    async def open(self, room: str) -> Room:
        """Open a room; RoomError "exists" if there is one. See `openOrJoin`."""
        return await self._enter(room, "open")

    async def join(self, room: str) -> Room:
        """Enter a room; RoomError "not-found" if there is none. See `openOrJoin`."""
        return await self._enter(room, "join")

    async def checkPresence(self, room: str) -> int:
        """The number of members of a room; 0: there is none of that name. Raises as `openOrJoin`."""
        socket = await self.open_socket()
        try:
            await socket.send_str(write_frame({"type": "presence", "room": room}))
            async with asyncio.timeout(_TIMEOUT):
                return int((await _answer(socket, "presence"))["members"])
        except ConnectionError as error:
            raise NetworkError("the connection to the room server is lost", fault="network") from error
        except TimeoutError:
            raise RTCTimeoutError("the room server does not answer", fault="network") from None
        finally:
            await socket.close()

    async def close(self) -> None:
        """Leave all rooms. Idempotent, and done even if it is cancelled."""
        await self._ending.run(self._leave_all)

    async def _leave_all(self) -> None:
        await asyncio.gather(*(room.close() for room in tuple(self._rooms)))
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    # -- for rooms ---------------------------------------------------------------------------------

    async def open_socket(self) -> aiohttp.ClientWebSocketResponse:
        """A new WebSocket.

        Raises:
            SignalingRefused: the server answers with another status than 101.
            NetworkError: it cannot be reached.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await self._session.ws_connect(
                    self.url,
                    heartbeat=_HEARTBEAT,
                    max_msg_size=MAX_SERVER_FRAME,
                    headers=self._headers,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIME),
                )
        except aiohttp.WSServerHandshakeError as error:
            retry = read_retry_after_untrusted(error.headers.get("Retry-After") if error.headers else None)
            raise SignalingRefused(
                "no WebSocket of a room server", status=error.status, retry_after=retry
            ) from error
        except (aiohttp.ClientConnectionError, OSError, TimeoutError) as error:
            # first: an error of certificates is a ValueError too
            raise NetworkError(f"the room server cannot be reached: {error}", fault="network") from error
        except ValueError:
            # the URL may hold a credential, and the messages of these repeat it
            raise NetworkError("the URL of the room server is none of a WebSocket", fault="caller") from None
        except aiohttp.ClientError as error:
            raise NetworkError(f"the room server cannot be reached: {error}", fault="network") from error

    def forget(self, room: Room) -> None:
        """The room was left."""
        self._rooms.discard(room)

    async def _enter(self, name: str, mode: Mode) -> Room:
        room = Room(self, name, self.metadata)
        await room.enter(mode)
        self._rooms.add(room)
        return room


async def _close(socket: aiohttp.ClientWebSocketResponse, wire: Any) -> None:
    """Close a WebSocket. What the server has not read by then is given up: no connection may wait for that.

    Args:
        socket: that is closed.
        wire: the TCP socket below it, asked for while it was open.
    """
    await socket.close()
    await asyncio.sleep(0)  # then the transport is closed as well, unless something waits in it
    if wire is not None and wire.fileno() >= 0:
        with contextlib.suppress(OSError, TypeError):  # (TypeError: uvloop does not permit it)
            wire.shutdown(SHUT_RDWR)


async def _answer(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Frame:
    """The first frame.

    Raises:
        RoomError: the server refuses.
        NetworkError: it closes the socket, or says something else.
    """
    message = await socket.receive()
    if message.type != aiohttp.WSMsgType.TEXT:
        raise NetworkError("the room server has closed the connection", fault="network")
    try:
        frame = read_server_frame_untrusted(message.data)
    except RTCSyntaxError as error:
        raise NetworkError(f"that is no room server: {error}", fault="network") from error
    if frame["type"] == "error":
        raise RoomError(str(frame.get("code")), str(frame.get("reason")))
    if frame["type"] != kind:
        raise NetworkError(f"that is no room server: it answers {frame['type'][:50]!r}", fault="network")
    return frame
