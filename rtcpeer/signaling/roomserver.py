"""A WebSocket server for rooms. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

Owns: the sockets of the clients and the grace time of those that were lost. What a room is, is in `rooms`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import WSMsgType, web

from rtcpeer.config.provider import IceServerProvider
from rtcpeer.errors import RtcPeerError, RTCSyntaxError
from rtcpeer.signaling.rooms import MAX_FRAME, Frame, Member, RoomError, Rooms, read_frame_untrusted

logger = logging.getLogger(__name__)

Authorize = Callable[[web.Request, str, str | None], bool | Awaitable[bool]]

_HEARTBEAT = 20.0
# frames that wait for a slow client; who is slower than that is cut off and may resume
_OUTBOX = 1000


class RoomServer:
    """Serves rooms at one path; on its own, or as a part of an aiohttp application (`add_to`).

        async with RoomServer(port=8080) as server:
            print(server.url)
            ...

    Args:
        host: to listen on.
        port: 0 for a free one.
        path: of the WebSocket.
        authorize: called with request, room and name before a client enters; says whether it may.
        provider: ICE servers that are told to everybody who enters.
        grace: how long a member whose socket was lost may come back, in seconds.
        rooms: where the rooms are kept.
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
        rooms: Rooms | None = None,
    ) -> None:
        self.rooms = rooms or Rooms()
        self._host = host
        self._port = port
        self._path = path
        self._authorize = authorize
        self._provider = provider
        self._grace = grace
        self._sockets: set[web.WebSocketResponse] = set()
        self._expiring: dict[Member, asyncio.TimerHandle] = {}
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<RoomServer {self.url}, {len(self._sockets)} clients, {self.rooms!r}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{self._path}"

    def add_to(self, application: web.Application) -> None:
        """Serve as a part of another application; it closes the sockets when it shuts down."""
        application.router.add_get(self._path, self.handle)

        async def shut_down(_: web.Application) -> None:
            await self.close()

        application.on_shutdown.append(shut_down)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        application = web.Application()
        self.add_to(application)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        if not self._port:
            self._port = runner.addresses[0][1]

    async def close(self) -> None:
        """Close all sockets and forget the rooms. Idempotent."""
        for timer in self._expiring.values():
            timer.cancel()
        self._expiring.clear()
        sockets, self._sockets = self._sockets, set()
        await asyncio.gather(*(socket.close(code=1001) for socket in sockets), return_exceptions=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One client."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=MAX_FRAME)
        await socket.prepare(request)
        self._sockets.add(socket)
        client = _Client(socket)
        writer = asyncio.get_running_loop().create_task(client.write_all(), name="rtcpeer room writer")
        try:
            async for message in socket:
                if message.type != WSMsgType.TEXT:
                    continue
                try:
                    await self._frame(client, request, read_frame_untrusted(message.data))
                except RoomError as error:
                    client.send({"type": "error", "code": error.code, "reason": str(error)})
                except RTCSyntaxError as error:
                    client.send({"type": "error", "code": "bad-frame", "reason": str(error)})
        finally:
            self._sockets.discard(socket)
            writer.cancel()
            if client.member is not None and self.rooms.lost(client.member, client.send):
                self._expire_later(client.member)
        return socket

    async def _frame(self, client: _Client, request: web.Request, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "enter":
            await self._enter(client, request, frame)
        elif kind == "presence":
            room = str(frame.get("room"))
            client.send({"type": "presence", "room": room, "members": self.rooms.presence(room)})
        elif client.member is None:
            raise RoomError("not-entered", "enter a room first")
        elif kind in ("message", "close"):
            self.rooms.relay(client.member, frame)
        elif kind == "leave":
            member, client.member = client.member, None
            self.rooms.leave(member)
        else:
            raise RoomError("bad-frame", f"there is no frame of type {kind[:50]!r}")

    async def _enter(self, client: _Client, request: web.Request, frame: dict[str, Any]) -> None:
        if client.member is not None:
            raise RoomError("bad-frame", "this client is in a room already")
        back = self.rooms.resume(frame["resume"], client.send) if frame.get("resume") else None
        missed: list[Frame] = []
        if back is not None:
            client.member, entered, missed = back
            timer = self._expiring.pop(client.member, None)
            if timer is not None:
                timer.cancel()
        else:
            room, name = frame["room"], frame.get("name")
            self.rooms.check(room, frame["mode"])
            if self._authorize is not None:
                allowed = self._authorize(request, room, name)
                if not (await allowed if inspect.isawaitable(allowed) else allowed):
                    raise RoomError("forbidden", f"entering the room {room!r} is not allowed")
            client.member, entered = self.rooms.enter(room, frame["mode"], name, client.send)
        client.send(entered | await self._ice_servers())
        for one in missed:
            client.send(one)

    async def _ice_servers(self) -> dict[str, Any]:
        if self._provider is None:
            return {}
        try:
            servers = await self._provider.servers()
        except RtcPeerError as error:  # rooms are of use without them
            logger.warning("no ICE servers for a room: %s", error)
            return {}
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
        left = self._provider.expires_in
        recommended: dict[str, Any] = {"iceServers": told}
        return recommended | ({} if left is None else {"ttl": max(0.0, left)})

    def _expire_later(self, member: Member) -> None:
        def expire() -> None:
            self._expiring.pop(member, None)
            if member.deliver is None:
                self.rooms.leave(member)

        self._expiring[member] = asyncio.get_running_loop().call_later(self._grace, expire)


class _Client:
    """A socket and the frames that wait for it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.member: Member | None = None
        self._socket = socket
        self._outbox: asyncio.Queue[Frame] = asyncio.Queue()

    def send(self, frame: Frame) -> None:
        self._outbox.put_nowait(frame)

    async def write_all(self) -> None:
        while True:
            frame = await self._outbox.get()
            if self._outbox.qsize() > _OUTBOX:
                await self._socket.close(code=1013)
                return
            try:
                await self._socket.send_str(json.dumps(frame))
            except (ConnectionError, RuntimeError):
                return  # the reader sees it too, and tidies up
