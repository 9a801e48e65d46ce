"""The WebSocket of a PeerServer: registered, refused, lost, there again, given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from rtcpeer.calls.peerjs import link as link_module
from rtcpeer.calls.peerjs.link import PeerServerLink
from rtcpeer.errors import NetworkError, SignalingRefused

Script = Callable[[web.WebSocketResponse, int], Awaitable[None]]


@contextlib.asynccontextmanager
async def peer_server(script: Script) -> AsyncIterator[str]:
    """A server that runs the script for each socket; the second argument counts them from 0."""
    count = 0

    async def serve(request: web.Request) -> web.WebSocketResponse:
        nonlocal count
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        number, count = count, count + 1
        await script(ws, number)
        await ws.close()
        return ws

    async def draw(_: web.Request) -> web.Response:
        return web.Response(text=" drawn\n")

    app = web.Application()
    app.router.add_get("/peerjs", serve)
    app.router.add_get("/peerjs/id", draw)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


class Told:
    """A link, and what it has told."""

    def __init__(self, url: str, id: str = "me") -> None:
        self.news: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        put = self.news.put_nowait
        self.link = PeerServerLink(
            url,
            id,
            "peerjs",
            on_message=lambda *message: put(message),
            on_lost=lambda: put(("lost",)),
            on_back=lambda: put(("back",)),
            on_end=lambda error: put(("end", error)),
            on_nonsense=lambda what, _: put(("nonsense", what)),
        )

    async def next(self) -> tuple[Any, ...]:
        async with asyncio.timeout(20):
            return await self.news.get()

    async def leave(self) -> None:
        self.link.begin_leaving()
        await self.link.leave()
        await self.link.release()


async def drain(ws: web.WebSocketResponse) -> None:
    async for _ in ws:
        pass


async def test_what_comes_before_open_is_counted_and_an_id_is_drawn():
    async def script(ws: web.WebSocketResponse, _: int) -> None:
        for frame in (
            "{",
            "[]",
            '{"type": "OPEN"}',
            '{"type": "OFFER", "src": "a", "payload": {"x": 1}}',
            "{}",
        ):
            await ws.send_str(frame)
        await drain(ws)

    async with peer_server(script) as url:
        told = Told(url, id="")
        await told.link.open()
        assert told.link.id == "drawn"
        assert [await told.next() for _ in range(2)] == [("nonsense", "frame before OPEN")] * 2
        assert await told.next() == ("OFFER", "a", {"x": 1})
        assert await told.next() == ("nonsense", "frame")
        assert told.link.counters == {"frame before OPEN": 2, "frame": 1}
        await told.leave()
        assert told.news.empty()  # a loss is none any more


@pytest.mark.parametrize("kind", ["ID-TAKEN", "INVALID-KEY", "ERROR"])
async def test_a_refusal(kind):
    async with peer_server(lambda ws, _: ws.send_json({"type": kind, "payload": {"msg": "no"}})) as url:
        told = Told(url)
        with pytest.raises(SignalingRefused, match=kind):
            await told.link.open()
        await told.leave()


async def test_a_server_that_closes_before_open():
    async with peer_server(lambda ws, _: ws.ping()) as url:
        told = Told(url)
        with pytest.raises(NetworkError, match="closed the connection"):
            await told.link.open()
        with pytest.raises(NetworkError, match="is lost"):
            await told.link.tell("OFFER", "a", {})
        await told.leave()


async def test_nobody_there():
    told = Told("http://127.0.0.1:9/")
    with pytest.raises(NetworkError, match="cannot be reached"):
        await told.link.open()
    await told.leave()


async def test_a_lost_socket_is_opened_again():
    heard: list[Any] = []

    async def script(ws: web.WebSocketResponse, number: int) -> None:
        await ws.send_json({"type": "OPEN"})
        if number:
            heard.append(await ws.receive_json())
            await ws.send_json({"type": "LEAVE", "src": "a"})
            await drain(ws)

    async with peer_server(script) as url:
        told = Told(url)
        await told.link.open()
        assert [await told.next(), await told.next()] == [("lost",), ("back",)]
        await told.link.tell("CANDIDATE", "a", {"n": 1})
        assert await told.next() == ("LEAVE", "a", None)
        assert heard == [{"type": "CANDIDATE", "dst": "a", "payload": {"n": 1}}]
        await told.leave()


@pytest.mark.parametrize("refused", [True, False])
async def test_a_server_that_does_not_take_us_back(refused, monkeypatch):
    monkeypatch.setattr(link_module, "_PATIENCE", 0.0)

    async def script(ws: web.WebSocketResponse, number: int) -> None:
        if not number:
            await ws.send_json({"type": "OPEN"})
        elif refused:
            await ws.send_json({"type": "ID-TAKEN"})

    async with peer_server(script) as url:
        told = Told(url)
        await told.link.open()
        assert await told.next() == ("lost",)
        what, error = await told.next()
        assert what == "end"
        assert isinstance(error, SignalingRefused if refused else NetworkError)
        assert told.link.error is error
        await told.leave()
