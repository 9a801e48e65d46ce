"""A WebSocket server for rooms, one node of possibly several. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

Owns: the sockets of its clients, who may enter, the limits on requests. What a room is, is in `state`; where rooms are
kept, is a `RoomBackend`'s; the frames are described in docs/rooms-wire.md.
"""

# Longer than 600 lines: entering, resuming, draining and limits all act on the same tables of sockets.

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Self, TypeVar

from aiohttp import WSMsgType, web

from rtcpeer.aio import Ending, TaskSet
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.provider import IceServerProvider, ServersSubscription
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.errors import NetworkError, RtcPeerError, RTCSyntaxError
from rtcpeer.records import record
from rtcpeer.signaling.http.limits import RateLimit, client_key
from rtcpeer.signaling.http.listening import Listener
from rtcpeer.signaling.http.sites import hosts_for, refuse_site
from rtcpeer.signaling.rooms.backend import MemoryBackend, RoomBackend
from rtcpeer.signaling.rooms.socket import RoomSocket
from rtcpeer.signaling.rooms.state import Entered, Entry, Submission, public_text
from rtcpeer.signaling.rooms.statistics import RoomStatistics
from rtcpeer.signaling.rooms.tokens import Identity, read_token_untrusted, sign_token
from rtcpeer.signaling.rooms.wire import (
    CLOSE_GOING_AWAY,
    CLOSE_KICKED,
    CLOSE_PROTOCOL,
    CLOSE_RESTART,
    CLOSE_SLOW,
    CLOSE_SUPERSEDED,
    CLOSE_TIMEOUT,
    MAX_SERVER_FRAME,
    Frame,
    RoomError,
    read_client_frame_untrusted,
    write_frame,
)

logger = logging.getLogger(__name__)

# how long a provider may delay an entry, in seconds; later servers are pushed
_SERVERS_TIME: Final = 2.0
_AUTHORIZE_TIME: Final = 10.0
# how long an entry and a frame wait for a backend that cannot be reached
_ENTER_PATIENCE: Final = 3.0
_SUBMIT_PATIENCE: Final = 15.0
_RETRY: Final = 0.25
_MAX_REFUSALS: Final = 5


Answer = TypeVar("Answer")


@record(frozen=True, slots=True)
class Permit:
    """A permission with conditions, which `authorize` may return instead of True.

    Attributes:
        user: who it is, for the token: only the same user may resume with it.
        name: replaces the name that the client gives itself; None: that one stands.
        may_kick: whether it may remove others from the room.
    """

    user: str | None = None
    name: str | None = None
    may_kick: bool = False


Authorize = Callable[[web.Request, str, str | None], "bool | Permit | Awaitable[bool | Permit]"]


class RoomServer:
    """Serves rooms at one path; on its own, or as a part of an aiohttp application (`add_to`).

        async with RoomServer(port=8080) as server:
            print(server.url)
            ...

    Args:
        host: to listen on.
        port: 0 for a free one.
        path: of the WebSocket.
        authorize: called with request, room and name before a client enters, comes back, or asks how many are in a
            room (then the name is None); says whether it may: False, True or a `Permit`.
        provider: ICE servers that are told to everybody who enters, and pushed when they are replaced.
        grace: how long a member whose socket was lost may come back, in seconds.
        backend: where the rooms are kept; by default in the memory of this process.
        secret: signs the tokens of members; the same for all nodes of a backend that several share. By default drawn.
        origins: of pages that may connect, besides those of the same host; "*": any.
        hosts: names that the server answers to; by default loopback's if it listens there, else any.
        entry_time: how long a socket may be open without entering, in seconds.
        max_sockets: more are refused with 503.
        max_per_address: sockets of one address; more are refused with 429. A proxy in front is one address.
        max_waiting: sockets of one address that have not entered yet; more are refused with 429.
        address_rate: new sockets per address; more are refused with 429.

    Attributes:
        statistics: what was counted; `rtcpeer.metrics` reads it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/rooms",
        authorize: Authorize | None = None,
        provider: IceServerProvider | None = None,
        grace: float = 30.0,
        backend: RoomBackend | None = None,
        secret: bytes | str | None = None,
        origins: Collection[str] = (),
        hosts: Collection[str] | None = None,
        entry_time: float = 5.0,
        max_sockets: int = 10_000,
        max_per_address: int = 2_500,
        max_waiting: int = 128,
        address_rate: RateLimit | None = None,
    ) -> None:
        self.backend: RoomBackend | MemoryBackend = MemoryBackend() if backend is None else backend
        if self.backend.shared and not secret:
            raise TypeError(
                "servers that share a backend need the same secret=..., or no member could resume at another one"
            )
        self._host = host
        self._port = port
        self._path = path
        self._authorize = authorize
        self._provider = provider
        self._grace = grace
        self._secret = secret.encode() if isinstance(secret, str) else secret or secrets.token_bytes(32)
        self._origins = frozenset(origins)
        self._hosts = hosts_for(host, hosts)
        self._entry_time = entry_time
        self._max_sockets = max_sockets
        self._max_per_address = max_per_address
        self._max_waiting = max_waiting
        self._address_rate = RateLimit(200, 500) if address_rate is None else address_rate
        self.statistics: RoomStatistics = RoomStatistics()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets: set[RoomSocket] = set()
        self._members: dict[str, RoomSocket] = {}  # by id; also while one enters
        self._resuming: dict[str, set[RoomSocket]] = {}
        self._attached: dict[str, RoomSocket] = {}
        self._clients: Counter[str] = Counter()  # sockets by address
        self._waiting: Counter[str] = Counter()  # those that have not entered
        self._tasks = TaskSet("the room server")
        self._subscription: ServersSubscription | None = None
        self._listener: Listener | None = None
        self._ending = Ending("rtcpeer rooms close")
        self._idle = asyncio.Event()
        self._started = self._draining = False

    def __repr__(self) -> str:
        draining = ", draining" if self._draining else ""
        return f"<RoomServer {self.url}, {len(self._sockets)} clients, {self.backend!r}{draining}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The URL that clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{self._path}"

    @property
    def members(self) -> int:
        """The number of members whose socket is at this server."""
        return sum(socket.is_entered for socket in self._sockets)

    @property
    def sockets(self) -> int:
        """The number of sockets, with those that have not entered yet."""
        return len(self._sockets)

    @property
    def lag(self) -> float:
        """How long the oldest frame has waited for its client, in seconds."""
        return max((socket.lag for socket in self._sockets), default=0.0)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it runs; None while it does not."""
        return self._loop if self._started else None

    def add_to(self, application: web.Application) -> None:
        """Serve as a part of another application: it starts the rooms, and closes the sockets when it shuts down."""
        application.router.add_get(self._path, self.handle)

        async def start_up(_: web.Application) -> None:
            await self._begin()

        async def shut_down(_: web.Application) -> None:
            await self._end()

        application.on_startup.append(start_up)
        application.on_shutdown.append(shut_down)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the port is taken.
            NetworkError: the backend cannot be reached.
        """
        application = web.Application()
        self.add_to(application)
        listener = Listener(application)
        _, self._port = await listener.start(self._host, self._port)
        self._listener = listener

    async def close(self) -> None:
        """Close all sockets and leave the backend. Idempotent, and done even if it is cancelled."""
        await self._ending.run(self._close)

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()  # first: clients that lose their sockets come back at once
        await self._end()
        if listener is not None:
            await listener.close()

    async def kick(self, room: str, member: str, reason: str = "") -> bool:
        """Remove a member from a room, by its id; False: there is none.

        Raises:
            NetworkError: the backend cannot be reached.
        """
        return await self.backend.kick(room, member, reason)

    def drain(self, *, move: bool = False) -> None:
        """Take nobody new.

        Args:
            move: close the sockets as well, so that members resume at another node.
        """
        self._draining = True
        if move:
            for socket in self._sockets:
                socket.close_later(CLOSE_RESTART, "this server restarts")

    async def drained(self) -> None:
        """Wait until the last socket is gone."""
        while self._sockets:
            self._idle.clear()
            await self._idle.wait()

    # -- sockets -----------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client, until its socket closes."""
        address = client_key(request.remote or "")
        refusal = self._refuse(request, address)
        if refusal is not None:
            return refusal
        socket = RoomSocket(request, secrets.token_urlsafe(9), self.statistics)
        self._sockets.add(socket)
        self._clients[address] += 1
        self._waiting[address] += 1
        late = asyncio.get_running_loop().call_later(self._entry_time, self._too_late, socket)
        try:
            try:
                await socket.web.prepare(request)
            except ValueError:  # aiohttp lets that out for some keys
                raise web.HTTPBadRequest(text="no handshake of a WebSocket") from None
            socket.start()
            async for message in socket.web:
                await self._read(socket, message)
                if socket.is_entered and not late.cancelled():
                    late.cancel()
                    self._count_entered(address)
        finally:
            if not late.cancelled():
                late.cancel()
                self._count_entered(address)
            self._clients[address] -= 1
            if not self._clients[address]:
                del self._clients[address]
            self._detach(socket)
            await socket.finish()
        return socket.web

    def _refuse(self, request: web.Request, address: str) -> web.Response | None:
        reason = refuse_site(
            request.host, request.headers.get("Origin"), hosts=self._hosts, origins=self._origins
        )
        if reason is not None:
            self.statistics.refuse("site")
            return web.Response(status=403, text=reason)
        if not self._started or self._draining or len(self._sockets) >= self._max_sockets:
            self.statistics.refuse("closed")
            return web.Response(
                status=503, text="the room server takes nobody new", headers={"Retry-After": "5"}
            )
        wait = self._address_rate.take(address, asyncio.get_running_loop().time())
        many = self._clients[address] >= self._max_per_address or self._waiting[address] >= self._max_waiting
        if wait or many:
            self.statistics.refuse("too-many")
            return web.Response(
                status=429, text="too many sockets", headers={"Retry-After": str(1 + int(wait))}
            )
        return None

    def _count_entered(self, address: str) -> None:
        self._waiting[address] -= 1
        if self._waiting[address] <= 0:
            del self._waiting[address]

    def _too_late(self, socket: RoomSocket) -> None:
        self.statistics.refuse("no-entry")
        socket.close_later(CLOSE_TIMEOUT, "enter a room first")

    def _detach(self, socket: RoomSocket) -> None:
        self._sockets.discard(socket)
        if not self._sockets:
            self._idle.set()
        self._attached.pop(socket.attach, None)
        if self._members.get(socket.id) is socket:
            del self._members[socket.id]
        if socket.is_entered and self._started:
            socket.is_entered = False
            self._tasks.start(self._insist(self.backend.lose, socket.id, socket.attach))

    async def _insist(self, operation: Callable[[str, str], Awaitable[None]], id: str, attach: str) -> None:
        """Do it as soon as the backend can be reached."""
        while self._started:
            try:
                await operation(id, attach)
                return
            except NetworkError:
                await asyncio.sleep(_RETRY)

    # -- frames ------------------------------------------------------------------------------------

    async def _read(self, socket: RoomSocket, message: Any) -> None:
        try:
            if message.type != WSMsgType.TEXT:
                raise RTCSyntaxError("frames are text", fault="remote")
            await socket.pace(len(message.data))
            await self._frame(socket, read_client_frame_untrusted(message.data))
        except RoomError as error:
            self._tell(socket, error)
        except RTCSyntaxError as error:
            self.statistics.refuse("bad-frame")
            socket.send({"type": "error", "code": "bad-frame", "reason": str(error)})

    def _tell(self, socket: RoomSocket, error: RoomError) -> None:
        self.statistics.refuse(error.code)
        if error.code == "superseded":
            socket.close_later(CLOSE_SUPERSEDED, str(error))
            return
        socket.send({"type": "error", "code": error.code, "reason": str(error)})
        if error.code == "bad-frame" and socket.is_entered:
            socket.close_later(CLOSE_PROTOCOL, str(error))
        if not socket.is_entered:
            socket.refusals += 1
            if socket.refusals >= _MAX_REFUSALS:
                socket.close_later(CLOSE_PROTOCOL, "too many attempts")

    async def _frame(self, socket: RoomSocket, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "presence":
            await self._presence(socket, frame["room"])
            return
        if kind == "enter":
            if socket.is_entered:
                raise RTCSyntaxError("this client is in a room already", fault="remote")
            await self._enter(socket, frame)
            return
        if not socket.is_entered:
            raise RoomError("not-entered", "enter a room first")
        if "ack" in frame or kind == "ack":
            await self._acknowledge(socket, frame["seq"] if kind == "ack" else frame["ack"])
        if kind == "leave":
            await self._leave(socket)
        elif kind != "ack":
            await self._submit(socket, frame)

    async def _acknowledge(self, socket: RoomSocket, seq: int) -> None:
        try:
            await self.backend.acknowledge(socket.id, socket.attach, seq)
        except NetworkError:
            logger.debug("an acknowledgement waits for the next one")

    async def _presence(self, socket: RoomSocket, room: str) -> None:
        await self._permit(socket, room, None)
        try:
            members = await self.backend.presence(room)
        except NetworkError as error:
            raise RoomError("unavailable", "the rooms cannot be reached at present") from error
        socket.send({"type": "presence", "room": room, "members": members})

    async def _submit(self, socket: RoomSocket, frame: Frame) -> None:
        seq = frame.get("seq", socket.submitted + 1)
        submission = _submission_of(socket, frame)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _SUBMIT_PATIENCE
        while True:
            try:
                await self.backend.submit(socket.id, socket.attach, seq, submission)
                break
            except NetworkError:  # it is numbered: asking again does no harm
                if loop.time() > give_up or not socket.is_open:
                    socket.close_later(CLOSE_SLOW, "the rooms cannot be reached at present")
                    return
                await asyncio.sleep(_RETRY)
        socket.accept(seq)

    async def _leave(self, socket: RoomSocket) -> None:
        try:
            await self.backend.leave(socket.id, socket.attach)
        except NetworkError:
            logger.info("a member could not leave at once: it will expire")
        else:
            socket.is_entered = False
        await socket.close(1000, "left")

    # -- entering ----------------------------------------------------------------------------------

    async def _enter(self, socket: RoomSocket, frame: Frame) -> None:
        if self._draining:
            raise RoomError("draining", "the room server takes nobody new")
        room, name = frame["room"], frame.get("name")
        permit = await self._permit(socket, room, name)
        servers = await self._servers_text()  # before: nothing may come between the entry and "entered"
        socket.room, socket.user, socket.metadata = room, permit.user, frame["metadata"]
        socket.name = permit.name if permit.name is not None else name
        self._attached[socket.attach] = socket
        try:
            entered = await self._resume(socket, frame)
            resumed = entered is not None
            if entered is None:
                socket.id = secrets.token_urlsafe(12)
                entered = await self._enter_anew(socket, frame, permit)
        except BaseException as error:
            self._members.pop(socket.id, None)
            if isinstance(error, RoomError) and error.code == "unavailable" and socket.id:
                self._tasks.start(self._insist(self.backend.leave, socket.id, socket.attach))
            socket.id = ""
            raise
        socket.submitted = entered.received
        socket.enter(
            self._entered_text(socket, entered, servers, resumed=resumed), entered.seq, entered.missed
        )

    async def _permit(self, socket: RoomSocket, room: str, name: str | None) -> Permit:
        if self._authorize is None:
            return Permit()
        try:
            async with asyncio.timeout(_AUTHORIZE_TIME):
                allowed = self._authorize(socket.request, room, name)
                if inspect.isawaitable(allowed):
                    allowed = await allowed
        except RoomError:
            raise
        except Exception as error:  # of the application: nobody enters unchecked
            logger.exception("authorize failed")
            raise RoomError("forbidden", "it cannot be checked who this is") from error
        if not allowed:
            raise RoomError("forbidden", f"the room {room!r} is not for this client")
        return allowed if isinstance(allowed, Permit) else Permit()

    async def _resume(self, socket: RoomSocket, frame: Frame) -> Entered | None:
        """Let the member that a token names come back; None: there is no such member any more."""
        token = frame.get("resume")
        identity = read_token_untrusted(self._secret, token) if token else None
        if identity is None or identity.room != socket.room or identity.user != socket.user:
            return None
        resuming = self._resuming.setdefault(identity.id, set())
        resuming.add(socket)
        try:
            entered = await self._patiently(
                lambda: self.backend.resume(identity.id, identity.room, socket.attach, frame["received"])
            )
        except RoomError:  # it may have been done: that socket would be the member's for ever
            self._tasks.start(self._insist(self.backend.lose, identity.id, socket.attach))
            raise
        finally:
            resuming.discard(socket)
            if not resuming:
                self._resuming.pop(identity.id, None)
        if entered is None:
            socket.refuse_entry()
            return None
        before = self._members.get(identity.id)
        if before is not None:
            before.is_entered = False  # it must not take the member with it
        socket.id = identity.id
        self._members[identity.id] = socket
        return entered

    async def _enter_anew(self, socket: RoomSocket, frame: Frame, permit: Permit) -> Entered:
        self._members[socket.id] = socket
        public = public_text(socket.id, socket.name, socket.metadata)
        entry = Entry(socket.id, socket.room, frame["mode"], public, socket.attach, permit.may_kick)
        return await self._patiently(lambda: self.backend.enter(entry))

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _ENTER_PATIENCE
        while True:
            try:
                return await ask()
            except NetworkError as error:
                if loop.time() > give_up:
                    raise RoomError("unavailable", "the rooms cannot be reached at present") from error
                await asyncio.sleep(_RETRY)

    def _entered_text(self, socket: RoomSocket, entered: Entered, servers: Frame, *, resumed: bool) -> str:
        token = sign_token(self._secret, Identity(socket.id, socket.room, socket.user))
        frame = {
            "type": "entered",
            "room": socket.room,
            "id": socket.id,
            "token": token,
            "opened": entered.opened,
            "resumed": resumed,
            "received": entered.received,
            "seq": entered.seq,
            "members": [json.loads(member) for member in entered.members],
        }
        return json.dumps(frame | servers, separators=(",", ":"))

    # -- ICE servers -------------------------------------------------------------------------------

    async def _servers_text(self) -> Frame:
        if self._provider is None:
            return {}
        try:
            async with asyncio.timeout(_SERVERS_TIME):
                servers = await self._provider.servers()
        except (RtcPeerError, TimeoutError) as error:  # rooms are of use without them
            logger.warning("no ICE servers for a room: %s", error or type(error).__name__)
            return {}
        return _servers_frame(servers, self._provider.expires_in)

    def _push_servers(self, grant: IceServerGrant) -> None:
        frame = _servers_frame(grant.servers, grant.ttl)
        text = write_frame({"type": "iceServers"} | frame)
        for socket in self._sockets:
            if socket.is_entered:
                socket.send_text(text)

    # -- from the backend (`Sink`) -----------------------------------------------------------------

    def deliver(self, id: str, seq: int, text: str) -> None:
        """Implements `NodeSink.deliver`."""
        socket = self._members.get(id)
        if socket is not None:
            socket.deliver(seq, text)
        for other in self._resuming.get(id, ()):
            other.deliver(seq, text)

    def detach(self, id: str, attach: str, code: int, reason: str) -> None:
        """Implements `NodeSink.detach`."""
        socket = self._attached.get(attach)
        if socket is not None:
            socket.is_entered = False
            if code == CLOSE_KICKED:
                socket.send({"type": "kicked", "reason": reason})
            socket.close_later(code, reason)
            if code == CLOSE_RESTART:  # the backend may still have the member here
                self._tasks.start(self._insist(self.backend.lose, id, attach))

    def doubt(self, id: str, members: list[str]) -> None:
        """Implements `NodeSink.doubt`."""
        socket = self._members.get(id)
        if socket is not None and socket.is_entered:
            others = [json.loads(member) for member in members]
            socket.send_text(json.dumps({"type": "members", "members": others}, separators=(",", ":")))
            socket.send({"type": "lost", "number": 0, "code": "storage"})

    # -- life --------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        await self.backend.start(self, self._grace)
        self._started, self._draining = True, False
        self._loop = asyncio.get_running_loop()
        if self._provider is not None:
            self._subscription = self._provider.subscribe(self._push_servers)

    async def _end(self) -> None:
        if not self._started:
            return
        self._started = False
        if self._subscription is not None:
            self._subscription.close()
        await asyncio.gather(
            *(socket.close(CLOSE_GOING_AWAY, "the room server closes") for socket in tuple(self._sockets))
        )
        await self._tasks.cancel()
        await self.backend.close()


def _servers_frame(servers: Collection[RTCIceServer], ttl: float | None) -> Frame:
    told = [
        {
            key: value
            for key, value in (
                ("urls", server.urls),
                ("username", server.username),
                ("credential", server.credential),
            )
            if value is not None
        }
        for server in servers
    ]
    return {"iceServers": told} | ({} if ttl is None else {"ttl": max(0.0, ttl)})


def _submission_of(socket: RoomSocket, frame: Frame) -> Submission:
    """The submission to the backend that a client's frame asks for.

    Raises:
        RTCSyntaxError: what it carries cannot be handed on.
    """
    kind, to = frame["type"], frame.get("to", "")
    try:
        match kind:
            case "message":
                text = write_frame(
                    {"type": kind, "from": socket.id, "message": frame["message"]}, MAX_SERVER_FRAME
                )
                return Submission("message", to, text)
            case "broadcast":
                text = write_frame(
                    {"type": kind, "from": socket.id, "message": frame["message"]}, MAX_SERVER_FRAME
                )
                return Submission("broadcast", text=text)
            case "metadata":
                socket.metadata = frame["metadata"]
                text = write_frame({"type": kind, "id": socket.id, "metadata": socket.metadata})
                public = public_text(socket.id, socket.name, socket.metadata)
                return Submission("metadata", text=text, public=public)
            case "close":
                return Submission("close", to, write_frame({"type": kind, "from": socket.id}))
            case _:
                return Submission("kick", to, reason=frame.get("reason") or "")
    except ValueError as error:
        raise RTCSyntaxError(str(error), fault="remote") from None
