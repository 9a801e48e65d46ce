"""Attackers with many sockets: they are bounded, cut in time, and keep nobody else waiting.

`make bench` has 10,000 of them (tests/bench/sockets.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import RateLimit, RoomServer, WhipServer
from rtcpeer.signaling.http import listening, session_server
from rtcpeer.signaling.http.limits import client_key
from rtcpeer.signaling.http.listening import Listener
from tests.unit.signaling.roomkit import RawClient

pytestmark = pytest.mark.timeout(120)

ATTACKER, OTHER = "127.0.0.1", "127.0.0.2"
MOST = 120  # connections of a server; one address has half
SOCKETS = 300

UPGRADE = (
    b"GET /rooms HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
POST = (
    b"POST /whip/cam HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: 5000\r\n\r\nv=0\r\n"
)
MOST_CONNECTIONS = listening.most_connections  # the fixture puts another one in its place
# what each kind of attacker sends, and never more than that
KINDS = {"silent": b"", "slow header": b"GET / HTTP/1.1\r\nHost: loc", "no entry": UPGRADE, "slow body": POST}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "ASK_TIME", 0.5)
    monkeypatch.setattr(listening, "KEEP_ALIVE", 0.5)
    monkeypatch.setattr(listening, "most_connections", lambda: MOST)
    monkeypatch.setattr(session_server, "_BODY_TIME", 0.5)


async def attack(port: int, count: int, said: bytes) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(count):
        attacker = socket.socket()
        attacker.setblocking(False)
        attacker.bind((ATTACKER, 0))
        with contextlib.suppress(ConnectionError):
            await loop.sock_connect(attacker, ("127.0.0.1", port))
            if said:
                await loop.sock_sendall(attacker, said)
        sockets.append(attacker)
    return sockets


@contextlib.asynccontextmanager
async def attacked(port: int, said: bytes) -> AsyncIterator[None]:
    sockets = await attack(port, SOCKETS, said)
    try:
        yield
    finally:
        for attacker in sockets:
            attacker.close()


def rooms() -> RoomServer:
    return RoomServer(entry_time=0.5, max_waiting=40, address_rate=RateLimit(10_000, 10_000))


def whip() -> WhipServer:
    return WhipServer(lambda session: None, address_rate=RateLimit(10_000, 10_000))


async def enter(port: int) -> None:
    """Somebody else enters a room, and hears of it."""
    connector = aiohttp.TCPConnector(local_addr=(OTHER, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(f"http://127.0.0.1:{port}/rooms") as other,
    ):
        assert (await RawClient(other).enter())["resumed"] is False


async def publish(port: int) -> None:
    """Somebody else publishes."""
    async with RTCPeerConnection() as pc:
        pc.addTransceiver("audio", direction="sendonly")
        await pc.setLocalDescription()
        assert pc.localDescription is not None
        connector = aiohttp.TCPConnector(local_addr=(OTHER, 0))
        sdp = {"Content-Type": "application/sdp"}
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(
                f"http://127.0.0.1:{port}/whip/cam", data=pc.localDescription.sdp, headers=sdp
            ) as answer,
        ):
            assert answer.status == 201, await answer.text()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make", "use"), [(rooms, enter), (whip, publish)], ids=["rooms", "whip"])
async def test_many_sockets_of_one_address(make: Any, use: Any, kind: str) -> None:
    async with make() as server:
        listener = server._listener
        assert listener is not None
        async with attacked(server._port, KINDS[kind]):
            assert listener.connections <= MOST // 2
            assert len(getattr(server, "_sockets", ())) <= 40
            await use(server._port)
            # nothing of them is left, though they hold on to their side
            await until(lambda: listener.connections == 0)
            assert listener.cut >= SOCKETS - MOST // 2 or kind in ("no entry", "slow body")
            assert not getattr(server, "_sockets", ())
            assert not getattr(server, "_waiting", ())
            assert not getattr(server, "_clients", ())
        await use(server._port)


async def test_a_member_that_is_gone_without_a_word_is_away_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half open: the client's machine has gone, no FIN ever comes, and nobody answers the pings."""
    monkeypatch.setattr("rtcpeer.signaling.rooms.socket._HEARTBEAT", 0.4)
    async with (
        RoomServer() as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url, autoping=False) as gone,
        session.ws_connect(server.url) as here,
    ):
        ghost = (await RawClient(gone).enter())["id"]
        witness = RawClient(here)
        await witness.enter()
        assert (await witness.receive("away"))["id"] == ghost
        await until(lambda: len(server._sockets) == 1)


async def test_entered_sockets_of_one_address_are_bounded_too() -> None:
    async with RoomServer(max_per_address=3) as server, contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for _ in range(3):
            await RawClient(await stack.enter_async_context(session.ws_connect(server.url))).enter()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(server.url)
        assert caught.value.status == 429
        await enter(server._port)


async def test_the_rate_of_an_address_is_the_one_that_was_said() -> None:
    async with (
        RoomServer(address_rate=RateLimit(0.1, 2)) as server,
        aiohttp.ClientSession() as session,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(2):
            await stack.enter_async_context(session.ws_connect(server.url))
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(server.url)
        assert caught.value.status == 429
        assert caught.value.headers is not None
        assert int(caught.value.headers["Retry-After"]) > 5
        await enter(server._port)


async def test_a_request_is_not_held_up_and_a_connection_may_ask_again() -> None:
    application = web.Application()

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.8)  # longer than the time in which a connection has to ask
        return web.Response(text="here")

    application.router.add_get("/", slow)
    listener = Listener(application)
    host, port = await listener.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(f"http://{host}:{port}/") as answer:
                assert await answer.text() == "here"
        assert (listener.connections, listener.cut) == (1, 0)
    await until(lambda: listener.connections == 0)
    await listener.close()
    await listener.close()


async def test_a_header_that_comes_in_pieces() -> None:
    application = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    application.router.add_get("/", answer)
    listener = Listener(application)
    host, port = await listener.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    for piece in (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r", b"\n\r", b"\n"):
        writer.write(piece)
        await asyncio.sleep(0.05)
    assert (await reader.read()).endswith(b"here")
    assert listener.cut == 0
    writer.close()
    await listener.close()


HEAD = b"POST /whip/cam HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
MALFORMED = {
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length below zero": HEAD + b"Content-Length: -1\r\n\r\n",
    "chunk of no size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another coding": HEAD + b"Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\nv=0\r\n",
    "long field": HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    "many fields": HEAD + b"X: x\r\n" * 20_000 + b"\r\n",
    "folded field": HEAD + b"X: a\r\n b\r\n\r\n",
    "two hosts": HEAD + b"Host: evil.example\r\n\r\n",
    "bytes in the path": HEAD.replace(b"cam", b"\xff"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "key of a WebSocket": UPGRADE.replace(b"AAAA", b"\xffAAA"),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("make", [rooms, whip])
async def test_a_malformed_request_is_refused_and_no_error_of_ours(
    make: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with make() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server._port)
        writer.write(MALFORMED[kind])
        async with asyncio.timeout(30):
            status = await reader.readline()
        writer.close()
        assert status.split()[1] in (b"400", b"404", b"405")
        assert server._listener is not None
        await until(lambda: server._listener.connections == 0)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_port_that_is_taken_leaves_nothing() -> None:
    first, second = Listener(web.Application()), Listener(web.Application())
    host, port = await first.start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await second.start(host, port)
    await second.close()
    await first.close()
    gc.collect()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_who_counts_as_one(address: str, key: str) -> None:
    assert client_key(address) == key


def test_descriptors_are_left_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    for limits, most in (((1000, 1000), 750), ((resource.RLIM_INFINITY, 0), 20_000), ((10**6, 0), 20_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        assert MOST_CONNECTIONS() == most
