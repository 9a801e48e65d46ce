"""What the tests of rooms share: a sink that keeps what it gets, a proxy that swallows bytes, raw clients."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp

from rtcpeer.signaling.rooms.client import Room, RoomClient
from rtcpeer.signaling.rooms.server import RoomServer
from rtcpeer.signaling.rooms.state import Entry, Limits, Rooms, Submission, public_text
from rtcpeer.signaling.rooms.wire import Mode, with_number

CANDIDATE = {"candidate": "candidate:1", "sdpMid": "0"}


class Told:
    """A sink: what each member was told, and whose sockets were taken away."""

    def __init__(self) -> None:
        self.frames: dict[str, list[dict[str, Any]]] = {}
        self.detached: list[tuple[str, str, int]] = []

    def deliver(self, id: str, seq: int, text: str) -> None:
        self.frames.setdefault(id, []).append(json.loads(with_number(seq, text)))

    def detach(self, id: str, attach: str, code: int, reason: str) -> None:
        self.detached.append((id, attach, code))

    def doubt(self, id: str, members: list[str]) -> None:
        raise AssertionError("memory forgets nothing")

    def of(self, id: str, kind: str | None = None) -> list[dict[str, Any]]:
        return [f for f in self.frames.get(id, []) if kind in (None, f["type"])]


def make_rooms(*, grace: float = 30.0, **limits: int) -> tuple[Rooms, Told]:
    told = Told()
    values = {"max_rooms": 100, "max_members": 100, "backlog": 10_000} | limits
    return Rooms(told, grace, Limits(**values)), told


def entry(id: str, room: str = "lobby", mode: Mode = "openOrJoin", **options: Any) -> Entry:
    return Entry(id, room, mode, public_text(id, id.upper(), {}), f"socket-{id}", **options)


def message(to: str, sender: str, value: Any = 1) -> Submission:
    return Submission("message", to, json.dumps({"type": "message", "from": sender, "message": {"n": value}}))


class Proxy:
    """TCP in front of a server, which can swallow bytes for a while, leave them unread, or cut its connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.hole = False
        self.deaf = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/rooms"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hole:
            writer.transport.abort()
            return
        to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, to_server[1]}
        for source, sink in ((reader, to_server[1]), (to_server[0], writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if not self.hole:  # else it is gone for good: such a connection ends with the hole
                    sink.write(data)
                    await sink.drain()
                while self.deaf:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        sink.close()


@contextlib.asynccontextmanager
async def raw(server: RoomServer, **options: Any) -> AsyncIterator["RawClient"]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url, **options) as socket:
        yield RawClient(socket)


class RawClient:
    """A client that says what a test wants."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, *frames: Any) -> None:
        for frame in frames:
            await self.socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def receive(self, kind: str | None = None) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                message = await self.socket.receive()
                assert message.type == aiohttp.WSMsgType.TEXT, (message.type, self.socket.close_code)
                frame: dict[str, Any] = json.loads(message.data)
                if kind in (None, frame["type"]):
                    return frame

    async def ask(self, frame: Any, kind: str | None = None) -> dict[str, Any]:
        await self.send(frame)
        return await self.receive(kind)

    async def enter(self, room: str = "lobby", **members: Any) -> dict[str, Any]:
        return await self.ask({"type": "enter", "room": room, **members}, "entered")

    async def closed(self) -> int | None:
        """The code with which the server closes."""
        async with asyncio.timeout(20):
            while not self.socket.closed:
                message = await self.socket.receive()
                if message.type == aiohttp.WSMsgType.CLOSE:
                    return int(message.data)
        return self.socket.close_code


async def pair(server: RoomServer, url_b: str | None = None) -> tuple[RoomClient, Room, RoomClient, Room]:
    a, b = RoomClient(server.url, name="alice"), RoomClient(url_b or server.url, name="bob")
    return a, await a.openOrJoin("lobby"), b, await b.openOrJoin("lobby")
