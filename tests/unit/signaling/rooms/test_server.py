"""Room server and client over sockets."""

import asyncio
import contextlib
import json
import logging
import random
import tracemalloc
from collections.abc import AsyncIterator
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant, RTCIceServer  # type: ignore[attr-defined]
from rtcpeer.errors import InvalidStateError, NetworkError, SignalingRefused
from rtcpeer.signaling import (
    Permit,
    Room,
    RoomClient,
    RoomError,
    RoomMember,
    RoomServer,
    check_signaling_channel,
)
from rtcpeer.signaling.rooms import client as room_client
from rtcpeer.signaling.rooms.backend import MemoryBackend
from rtcpeer.signaling.rooms.socket import RoomSocket
from rtcpeer.signaling.rooms.wire import CLOSE_SLOW, CLOSE_SUPERSEDED, CLOSE_TIMEOUT
from rtcpeer.testing import no_leaks
from tests.unit.signaling.roomkit import CANDIDATE, Proxy, RawClient, pair, raw
from tests.unit.signaling.rooms.test_wire import CASES, CLIENT, mutate


@pytest.fixture
async def server() -> AsyncIterator[RoomServer]:
    async with RoomServer(grace=0.3) as running:
        yield running


# -- clients


async def test_members_are_signaling_channels(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    await asyncio.sleep(0.01)  # their tasks are there before the check counts
    number = 0

    async def make() -> Any:
        nonlocal number
        number += 1
        x, y = await a.openOrJoin(f"room{number}"), await b.openOrJoin(f"room{number}")
        return Leaving(y, await anext(y)), Leaving(x, await anext(x))

    async with asyncio.timeout(30):
        await check_signaling_channel(make)
    assert (await anext(room_a)).name == "bob"
    member = await anext(room_b)
    assert member.name == "alice"
    assert member.polite is not room_a.members[0].polite
    assert member.capabilities.reliable
    assert room_a.opened
    assert not room_b.opened
    await a.close()
    await b.close()
    assert room_a.is_closed
    assert member.is_closed


class Leaving:
    """A member whose room is left when it is closed: rooms keep their tasks while their members are closed."""

    def __init__(self, room: Room, member: RoomMember) -> None:
        self.room = room
        self.member = member
        self.capabilities = member.capabilities

    async def send(self, message: Any, /) -> None:
        await self.member.send(message)

    def __aiter__(self) -> Any:
        return aiter(self.member)

    async def close(self) -> None:
        await self.member.close()
        await self.room.close()


async def test_modes_and_presence(server: RoomServer) -> None:
    async with RoomClient(server.url) as client:
        assert await client.checkPresence("lobby") == 0
        with pytest.raises(RoomError, match="no room"):
            await client.join("lobby")
        async with await client.open("lobby") as room:
            assert await client.checkPresence("lobby") == 1
            with pytest.raises(RoomError) as caught:
                await client.open("lobby")
            assert caught.value.code == "exists"
            assert repr(room) == "<Room 'lobby' open, 0 others>"
            assert repr(client) == "<RoomClient  1 rooms>"
        await room.close()
        assert [m async for m in room] == []
        assert room.endReason == "closed"
        with pytest.raises(InvalidStateError):
            await room.broadcast(1)


async def test_who_is_there_what_they_say_of_themselves_and_to_all(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    told: list[Any] = []
    for kind in ("leave", "join", "metadata", "broadcast", "end"):
        room_a.addEventListener(
            kind, lambda e: told.append((e.type, e.member and e.member.name, e.reason, e.data))
        )
    member = await anext(room_a)
    await room_b.setMetadata({"hand": "up"})
    await room_b.broadcast({"hello": [1, 2]})
    await room_b.close()
    assert [m async for m in member] == []
    assert (member.endReason, member.metadata) == ("left", {"hand": "up"})
    b.metadata = {"camera": False}
    room_b = await b.openOrJoin("lobby")
    assert (await anext(room_a)).metadata == {"camera": False}
    assert told == [
        ("metadata", "bob", "", None),
        ("broadcast", "bob", "", {"hello": [1, 2]}),
        ("leave", "bob", "left", None),
        ("join", "bob", "", None),
    ]
    with pytest.raises(ValueError, match="4096"):
        await room_b.setMetadata({"x": "y" * 5000})
    with pytest.raises(ValueError, match="JSON"):
        await room_b.broadcast(float("nan"))
    await b.close()
    await a.close()
    assert told[-1] == ("end", None, "closed", None)


async def test_a_closed_channel_begins_anew_with_the_next_message(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    to_b, to_a = await anext(room_a), await anext(room_b)
    async with asyncio.timeout(60):
        await to_b.close()
        await to_b.close()
        assert [m async for m in to_a] == []
        with pytest.raises(InvalidStateError):
            await to_b.send(CANDIDATE)
        assert repr(to_a) == "<RoomMember alice, closed>"
        room_b.put({"type": "message", "to": room_a.id, "message": CANDIDATE})
        again = await anext(room_a)
        assert await anext(again) == CANDIDATE
        assert again.name == "bob"
    await b.close()
    await a.close()


async def test_messages_that_nobody_reads_end_the_channel(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    to_a, from_b = await anext(room_b), await anext(room_a)
    with contextlib.suppress(InvalidStateError):  # the end may be known here before all were sent
        for number in range(1100):
            await to_a.send(CANDIDATE | {"sdpMLineIndex": number})
            if number % 100 == 0:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        assert [m async for m in to_a] == []
    assert from_b.endReason == "unread"
    assert len([m async for m in from_b]) == 1000
    await b.close()
    await a.close()


# -- lost sockets


async def test_a_cut_socket_loses_nothing() -> None:
    async with RoomServer() as server, Proxy(server._port) as proxy:
        a, room_a, b, room_b = await pair(server, proxy.url)
        to_b, to_a = await anext(room_a), await anext(room_b)
        for number in range(30):
            await to_a.send(CANDIDATE | {"sdpMLineIndex": number})
            await to_b.send(CANDIDATE | {"sdpMLineIndex": number})
            if number % 7 == 3:
                proxy.cut()
                await asyncio.sleep(0.02)
        async with asyncio.timeout(30):
            for member in (to_a, to_b):
                assert [(await anext(member))["sdpMLineIndex"] for _ in range(30)] == list(range(30))
        assert room_a.members == (to_b,)
        await b.close()
        await a.close()


async def test_a_black_hole_of_five_seconds() -> None:
    """Nothing lost, nothing twice, in order; the others see the member as away, and back."""
    async with RoomServer() as server, Proxy(server._port) as proxy:
        a, room_a, b, room_b = await pair(server, proxy.url)
        to_b, to_a = await anext(room_a), await anext(room_b)
        told: list[str] = []
        for kind in ("away", "back", "leave", "join", "lost"):
            room_a.addEventListener(kind, lambda e: told.append(e.type))
            room_b.addEventListener(kind, lambda e: told.append(f"b {e.type}"))

        async def send(member: RoomMember) -> None:
            for number in range(120):
                await member.send(CANDIDATE | {"sdpMLineIndex": number})
                await asyncio.sleep(0.05)

        async def hole() -> None:
            await asyncio.sleep(0.3)
            proxy.hole = True
            await asyncio.sleep(5)
            proxy.cut()  # what was swallowed is missing: no TCP connection lives on after that
            proxy.hole = False

        async with asyncio.timeout(60):
            await asyncio.gather(send(to_a), send(to_b), hole())
            for member in (to_a, to_b):
                assert [(await anext(member))["sdpMLineIndex"] for _ in range(120)] == list(range(120))
        assert to_a.unread == to_b.unread == 0
        assert told in (["away", "back"], [])
        await b.close()
        await a.close()


async def test_who_comes_back_too_late_is_somebody_else_and_hears_what_is_lost(server: RoomServer) -> None:
    async with Proxy(server._port) as proxy:
        a, room_a, b, room_b = await pair(server, proxy.url)
        to_b, to_a = await anext(room_a), await anext(room_b)
        lost: list[Any] = []
        room_b.onlost = lambda e: lost.append((e.reason, e.data))
        proxy.hole = True
        proxy.cut()
        async with asyncio.timeout(60):
            await to_a.send(CANDIDATE)
            assert [m async for m in to_b] == []
            assert to_b.endReason == "expired"
            proxy.hole = False
            new_b, new_a = await anext(room_a), await anext(room_b)
            assert new_b.id != to_b.id
            assert to_a.endReason == "rejoined"
            assert lost == [("rejoined", [{"type": "message", "to": room_a.id, "message": CANDIDATE}])]
            await new_a.send(CANDIDATE)
            assert await anext(new_b) == CANDIDATE
        await b.close()
        await a.close()


async def test_the_server_goes_and_comes_back(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    await anext(room_a)
    await anext(room_b)
    await server.close()
    again = RoomServer(port=server._port)
    await again.start()
    async with asyncio.timeout(20):
        new_b = await anext(room_a)
        new_a = await anext(room_b)
        await new_a.send(CANDIDATE)
        assert await anext(new_b) == CANDIDATE
    await a.close()
    await b.close()
    await again.close()


async def test_bytes_are_bounded_at_the_call_of_send() -> None:
    async with RoomServer() as server, Proxy(server._port) as proxy:
        a, room_a, b, room_b = await pair(server, proxy.url)
        to_a = await anext(room_b)
        proxy.hole = True
        proxy.cut()
        for _ in range(20):
            await to_a.send(CANDIDATE | {"x": "y" * 50_000})
        with pytest.raises(SignalingRefused) as caught:
            await to_a.send(CANDIDATE | {"x": "y" * 50_000})
        assert caught.value.retry_after == 1.0
        assert not caught.value.fatal
        with pytest.raises(ValueError, match="bytes"):
            await to_a.send(CANDIDATE | {"x": "y" * 500_000})
        proxy.hole = False
        from_b = await anext(room_a)
        async with asyncio.timeout(20):
            for _ in range(20):
                await anext(from_b)
        await to_a.send(CANDIDATE)
        await b.close()
        await a.close()


async def test_no_connection_outlives_a_client_whose_server_does_not_read() -> None:
    async with RoomServer() as server, Proxy(server._port) as proxy:
        a, _, b, room_b = await pair(server, proxy.url)
        to_a = await anext(room_b)
        assert room_b._socket is not None
        connection = room_b._socket._response.connection
        assert connection is not None
        transport: Any = connection.transport
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
        proxy.deaf = True
        for _ in range(9):
            await to_a.send(CANDIDATE | {"x": "y" * 100_000})
        async with asyncio.timeout(30):
            while not transport.get_write_buffer_size():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await b.close()
            while transport.get_extra_info("socket").fileno() >= 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        proxy.deaf = False
        await a.close()


async def test_a_member_has_one_socket_and_the_newest_wins(server: RoomServer) -> None:
    async with raw(server) as first, raw(server) as second, raw(server) as other:
        entered = await first.enter()
        await other.enter()
        again = await second.enter(resume=entered["token"], received=0)
        assert (again["id"], again["resumed"]) == (entered["id"], True)
        assert (await second.receive())["type"] == "joined"
        assert await first.closed() == CLOSE_SUPERSEDED
        await second.send({"type": "leave"})
        assert (await other.receive("left"))["id"] == entered["id"]


# -- order and ICE servers


async def test_entered_comes_before_anything_else() -> None:
    """The provider is slow for everybody; still nobody is told of others before it knows that it is in."""

    async def fetch() -> Any:
        await asyncio.sleep(0.2)
        return [{"urls": "stun:s.example"}]

    async with (
        IceServerProvider(fetch) as provider,
        RoomServer(provider=provider) as server,
        raw(server) as first,
        raw(server) as second,
    ):
        await first.send({"type": "enter", "room": "lobby"})
        await second.send({"type": "enter", "room": "lobby"})
        frames = [await first.receive(), await second.receive()]
        assert [f["type"] for f in frames] == ["entered", "entered"]
        seen = [len(f["members"]) for f in frames]
        assert sorted(seen) == [0, 1]
        joined = await (first if seen[0] == 0 else second).receive()
        assert joined["member"]["id"] == frames[seen.index(1)]["id"]


async def test_ice_servers_are_told_pushed_and_forgotten_in_time() -> None:
    names = iter("abcdefg")
    async with (
        IceServerProvider(
            lambda: IceServerGrant(
                (RTCIceServer("turn:t.example", next(names), "p"), RTCIceServer("stun:s.example")), 60
            )
        ) as provider,
        RoomServer(provider=provider) as server,
        RoomClient(server.url) as client,
    ):
        room = await client.openOrJoin("lobby")
        assert room.iceServers == [
            RTCIceServer(["turn:t.example"], "a", "p"),
            RTCIceServer(["stun:s.example"]),
        ]
        pushed = asyncio.Event()
        room.oniceservers = lambda _: pushed.set()
        await asyncio.sleep(1.1)  # a provider fetches once a second at most
        provider.refresh()
        async with asyncio.timeout(20):
            await pushed.wait()
        async with RoomClient(server.url) as other:
            await other.openOrJoin("lobby")
            member = await anext(room)
        assert [s.username for s in member.ice_servers] == ["b", None]
        room._servers_expire_at = 0.0
        assert [s.urls for s in member.ice_servers] == [["stun:s.example"]]


async def test_a_provider_that_fails_keeps_nobody_out() -> None:
    def fail() -> Any:
        raise OSError

    async with (
        IceServerProvider(fail) as provider,
        RoomServer(provider=provider, authorize=lambda *_: True) as server,
        RoomClient(server.url) as client,
    ):
        assert (await client.openOrJoin("lobby")).iceServers == []


# -- who may


async def test_authorization() -> None:
    async def authorize(request: web.Request, room: str, name: str | None) -> bool:
        return request.headers.get("Authorization") == "Bearer x" and room == "lobby"

    async with (
        RoomServer(authorize=authorize) as server,
        RoomClient(server.url) as stranger,
        RoomClient(server.url, headers={"Authorization": "Bearer x"}) as friend,
    ):
        await friend.openOrJoin("lobby")
        assert await friend.checkPresence("lobby") == 1
        for attempt in (stranger.openOrJoin("lobby"), stranger.checkPresence("lobby")):
            with pytest.raises(RoomError) as caught:
                await attempt
            assert caught.value.code == "forbidden"


async def test_a_stolen_token_is_worth_nothing_to_another_user() -> None:
    banned: set[str] = set()

    def authorize(request: web.Request, room: str, name: str | None) -> Permit | bool:
        user = request.headers["User"]
        return user not in banned and Permit(user=user, name=user.title())

    async with (
        RoomServer(authorize=authorize) as server,
        raw(server, headers={"User": "alice"}) as alice,
        raw(server, headers={"User": "mallory"}) as mallory,
        raw(server, headers={"User": "alice"}) as again,
    ):
        entered = await alice.enter()
        stolen = await mallory.enter(resume=entered["token"])
        assert not stolen["resumed"]
        assert stolen["id"] != entered["id"]
        assert stolen["members"][0]["name"] == "Alice"
        banned.add("alice")
        refused = await again.ask({"type": "enter", "room": "lobby", "resume": entered["token"]})
        assert refused["code"] == "forbidden"


async def test_an_authorize_that_fails_lets_nobody_in() -> None:
    async with RoomServer(authorize=lambda *_: 1 / 0) as server, RoomClient(server.url) as client:  # type: ignore[arg-type, return-value]
        with pytest.raises(RoomError) as caught:
            await client.openOrJoin("lobby")
        assert caught.value.code == "forbidden"


async def test_kicked_members_stay_out() -> None:
    def authorize(request: web.Request, room: str, name: str | None) -> Permit:
        return Permit(may_kick=name == "alice")

    async with RoomServer(authorize=authorize) as server:
        a, room_a, b, room_b = await pair(server)
        to_b, to_a = await anext(room_a), await anext(room_b)
        refused = asyncio.Event()
        room_b.onlost = lambda e: refused.set() if e.reason == "forbidden" else None
        await room_b.kick(to_a)
        async with asyncio.timeout(20):
            await refused.wait()
            await room_a.kick(to_b, "spam")
            assert [m async for m in to_a] == []
        assert room_b.endReason == "kicked"
        assert to_b.endReason in ("", "kicked")
        room_c = await b.openOrJoin("lobby")
        assert await server.kick("lobby", room_c.id)
        assert not await server.kick("lobby", room_c.id)
        await b.close()
        await a.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://127.0.0.1:{port}"}, 101),
        ({"Origin": "https://friend.example"}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost:{port}"}, 101),
    ],
)
async def test_pages_and_host_names(headers: dict[str, str], status: int) -> None:
    async with RoomServer(origins=["https://friend.example"]) as server:
        sent = {key: value.replace("{port}", str(server._port)) for key, value in headers.items()}
        async with aiohttp.ClientSession() as session:
            if status == 101:
                async with session.ws_connect(server.url, headers=sent):
                    return
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(server.url, headers=sent)
            assert caught.value.status == status


# -- bounds


async def test_a_client_that_does_not_read_is_closed_soon_and_costs_little() -> None:
    async with RoomServer() as server, RoomClient(server.url) as client, raw(server) as deaf:
        room = await client.openOrJoin("lobby")
        await deaf.enter()
        member = await anext(room)
        connection = deaf.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()  # type: ignore[attr-defined]
        away = asyncio.Event()
        lost: list[str] = []
        room.onaway = lambda _: away.set()
        room.onlost = lambda e: lost.append(e.reason)
        (socket,) = (one for one in server._sockets if one.id == member.id)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        sent = stuck = 0
        async with asyncio.timeout(60):
            while not away.is_set():
                try:
                    await member.send(CANDIDATE | {"x": "y" * 100_000})
                    sent += 1
                except SignalingRefused:
                    pass
                stuck += socket.lag > 0.05
                await asyncio.sleep(0.01)
        grown = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        connection.transport.abort()
        # two seconds, in turns of the loop: whatever holds this process up holds up the server's timers too
        assert stuck < 200
        assert grown < 4_000_000  # server and client in one process
        assert sent > 10


async def fill(deaf: RawClient, member: RoomMember, server: RoomServer) -> Any:
    """Have a client read nothing and acknowledge all, until writing to it has begun to wait; its transport."""
    connection = deaf.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()  # type: ignore[attr-defined]
    (socket,) = (one for one in server._sockets if one.id == member.id)
    async with asyncio.timeout(60):
        while socket.lag < 0.1:
            with contextlib.suppress(SignalingRefused):
                await member.send(CANDIDATE | {"x": "y" * 100_000})
            await deaf.send({"type": "ack", "seq": socket._sent})
            await asyncio.sleep(0.01)
    return connection.transport


async def test_a_client_that_acknowledges_what_it_does_not_read_is_closed_too() -> None:
    """Nothing of it counts as backlog, so only its socket shows that it does not read."""
    async with RoomServer() as server, RoomClient(server.url) as client, raw(server) as deaf:
        room = await client.openOrJoin("lobby")
        await deaf.enter()
        member = await anext(room)
        away = asyncio.Event()
        room.onaway = lambda _: away.set()
        transport = await fill(deaf, member, server)
        turns = 0
        async with asyncio.timeout(60):
            while not away.is_set():
                turns += 1
                await asyncio.sleep(0.01)
            assert turns < 200  # two seconds
            assert server._listener is not None
            while server._listener.connections > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(server._sockets) == 1
        transport.abort()


async def test_a_server_closes_while_a_client_does_not_read() -> None:
    async with RoomServer() as server, RoomClient(server.url) as client, raw(server) as deaf:
        room = await client.openOrJoin("lobby")
        await deaf.enter()
        transport = await fill(deaf, await anext(room), server)
        async with asyncio.timeout(60):
            await server.close()
        assert not server._sockets
        transport.abort()


async def test_a_slow_client_is_told_so() -> None:
    async with RoomServer() as server, RoomClient(server.url) as client, raw(server) as lazy:
        room = await client.openOrJoin("lobby")
        await lazy.enter()
        member = await anext(room)
        lost = asyncio.Event()
        room.onlost = lambda e: lost.set() if e.reason == "backlog" else None
        async with asyncio.timeout(20):
            while not lost.is_set():  # it reads, but acknowledges nothing
                await member.send(CANDIDATE | {"x": "y" * 20_000})
                await asyncio.sleep(0.005)
        assert await lazy.closed() == CLOSE_SLOW


async def test_why_a_member_is_closed_is_known_without_a_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's TCP connection is closed before we have answered its close frame: superseded is superseded."""
    answer = aiohttp.ClientWebSocketResponse.close

    async def too_late(socket: aiohttp.ClientWebSocketResponse, **options: Any) -> bool:
        connection = socket._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        return await answer(socket, **options)

    async with RoomServer() as server, RoomClient(server.url) as client, raw(server) as other:
        room = await client.open("lobby")
        monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "close", too_late)
        ended = asyncio.Event()
        room.addEventListener("end", lambda _: ended.set())
        await other.enter(resume=room._token, received=0)
        async with asyncio.timeout(20):
            await ended.wait()
        assert room.endReason == "superseded"


async def test_sockets_that_do_not_enter_are_few() -> None:
    async with RoomServer(max_waiting=20) as server, aiohttp.ClientSession() as session:
        waiting = [await session.ws_connect(server.url) for _ in range(20)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(server.url)
        assert caught.value.status == 429
        for socket in waiting:
            await socket.close()


async def test_sockets_that_do_not_enter_are_closed() -> None:
    async with RoomServer(entry_time=0.05, max_waiting=1) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with asyncio.timeout(20):
                async with session.ws_connect(server.url) as socket:
                    assert (await socket.receive()).data == CLOSE_TIMEOUT


async def test_limits_on_sockets_are_told_to_clients() -> None:
    async with RoomServer(max_sockets=1) as server, RoomClient(server.url) as client:
        await client.openOrJoin("lobby")
        with pytest.raises(SignalingRefused) as caught:
            await client.openOrJoin("other")
        assert (caught.value.status, caught.value.retry_after, caught.value.fatal) == (503, 5.0, False)


async def test_each_loss_of_the_connection_begins_with_the_shortest_wait(
    server: RoomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_client, "_WAITS", (0.0, 3600.0))
    async with Proxy(server._port) as proxy, RoomClient(proxy.url) as client:
        room = await client.openOrJoin("lobby")
        for _ in range(2):
            back = asyncio.Event()
            room.onconnectionback = lambda _, back=back: back.set()
            proxy.cut()
            async with asyncio.timeout(20):
                await back.wait()


async def test_draining() -> None:
    async with RoomServer() as server, RoomClient(server.url) as client:
        room = await client.openOrJoin("lobby")
        server.drain()
        with pytest.raises(SignalingRefused):
            await client.openOrJoin("other")
        assert not room.is_closed
        done = asyncio.create_task(server.drained())
        await asyncio.sleep(0.01)
        assert not done.done()
        lost = asyncio.Event()
        room.onconnectionlost = lambda _: lost.set()
        server.drain(move=True)
        async with asyncio.timeout(20):
            await lost.wait()
            await done
        assert "draining" in repr(server)


async def test_bad_clients_are_told_and_harm_nobody(server: RoomServer) -> None:
    a, room_a, b, _ = await pair(server)
    async with raw(server) as bad:
        assert (await bad.ask("nonsense"))["code"] == "bad-frame"
        assert (await bad.ask({"type": "message", "to": room_a.id, "message": {}}))["code"] == "not-entered"
        assert (await bad.ask({"type": "enter", "room": "lobby", "resume": "guess"}))["type"] == "entered"
        assert (await bad.ask({"type": "enter", "room": "lobby"}))["code"] == "bad-frame"
        assert (await bad.ask({"type": "fly"}))["code"] == "bad-frame"
        assert (await bad.ask('{"type": "broadcast", "message": NaN}'))["code"] == "bad-frame"
        assert (await bad.ask({"type": "message", "to": "nobody", "message": {}}, "lost"))[
            "code"
        ] == "no-member"
        await bad.socket.send_bytes(b"x")
        assert (await bad.receive("error"))["code"] == "bad-frame"
        assert (await bad.ask({"type": "presence", "room": "lobby"}, "presence"))["members"] == 3
        assert (await bad.ask({"type": "close", "to": room_a.id, "seq": 99}, "error"))["code"] == "bad-frame"
        assert await bad.closed() == 1002
    assert "clients" in repr(server)
    await a.close()
    await b.close()


async def test_too_much_from_one_client_is_read_later(server: RoomServer) -> None:
    """No frame is refused and none is lost: they wait in the client's socket."""
    async with raw(server) as eager:
        await eager.enter()
        began = asyncio.get_running_loop().time()
        for _ in range(1150):
            await eager.send('{"type":"broadcast","message":1}')
        while (await eager.receive("ack"))["seq"] < 1150:
            pass
        assert asyncio.get_running_loop().time() - began > 0.5


# -- servers that are none


async def test_unreachable_servers() -> None:
    async with RoomClient("ws://127.0.0.1:9/rooms") as client:
        with pytest.raises(NetworkError):
            await client.openOrJoin("lobby")
        with pytest.raises(NetworkError):
            await client.checkPresence("lobby")


@pytest.mark.parametrize(
    "answer",
    [
        "hello",
        "{}",
        '{"type": "welcome"}',
        '{"type": "entered"}',
        '{"type": "entered", "id": 5, "token": "x"}',
        '{"type": "entered", "id": "a", "token": "t", "members": [{}]}',
        '{"type": "presence"}',
        None,
    ],
)
async def test_a_wrong_server_is_a_network_error(answer: str | None) -> None:
    async with strange_server([answer]) as url, RoomClient(url) as client:
        for attempt in (client.openOrJoin("lobby"), client.checkPresence("lobby")):
            with pytest.raises(NetworkError):
                await attempt


async def test_a_room_survives_what_a_wrong_server_sends() -> None:
    entered = {"type": "entered", "id": "b", "token": "t", "members": [{"id": "a", "name": "A"}]}
    frames: list[Any] = [
        entered | {"iceServers": [{"urls": "nonsense"}, 5]},
        {"type": "message", "from": "nobody", "message": {}},
        {"type": "metadata", "id": "nobody", "metadata": {}},
        {"type": "left"},
        {"type": "left", "id": "nobody"},
        {"type": "ack", "seq": 900},
        {"type": "iceServers", "iceServers": [None]},
        {"type": "news"},
        entered,
        "nonsense",
        {"type": "message", "from": "a", "seq": 1, "message": CANDIDATE},
        {"type": "message", "from": "a", "seq": 1, "message": CANDIDATE},
    ]
    texts = [frame if isinstance(frame, str) else json.dumps(frame) for frame in frames]
    async with strange_server(texts) as url, RoomClient(url) as client:
        room = await client.openOrJoin("lobby")
        (member,) = room.members
        async with asyncio.timeout(20):
            assert await anext(member) == CANDIDATE
        await asyncio.sleep(0.05)
        assert member.unread == 0
        assert room.notices.counts["frame"] >= 3


async def test_what_was_on_its_way_when_a_client_leaves_is_no_fault() -> None:
    entered = {"type": "entered", "id": "b", "token": "t", "members": []}
    joined = {"type": "joined", "member": {"id": "a", "name": "A"}}
    texts: list[str | None] = [json.dumps(entered), json.dumps(joined | {"seq": 1})]
    late = json.dumps({"type": "left", "id": "a", "seq": 2})
    async with strange_server(texts, (late,)) as url, RoomClient(url) as client:
        room = await client.openOrJoin("lobby")
        await anext(room)
        await room.close()
        assert room.notices.counts == {}
        assert room.members == ()


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_whose_close_is_cancelled_leaves_nothing(server: RoomServer, turns: int) -> None:
    async with no_leaks():
        client = RoomClient(server.url, name="alice")
        rooms = [await client.openOrJoin(name) for name in ("lobby", "office")]
        closing = asyncio.create_task(client.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        await client.close()
        assert [room.endReason for room in rooms] == ["closed"] * 2


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_server_whose_close_is_cancelled_closes(turns: int) -> None:
    class Backend(MemoryBackend):
        closed = 0

        async def close(self) -> None:
            await super().close()
            self.closed += 1

    async with no_leaks():
        server = RoomServer(backend=(backend := Backend()))
        await server.start()
        async with RoomClient(server.url) as client:
            await client.openOrJoin("lobby")
            closing = asyncio.create_task(server.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
        await server.close()
        assert backend.closed == 1
        async with RoomClient(server.url) as client:
            with pytest.raises(NetworkError):
                await client.checkPresence("lobby")


class strange_server:  # used like a function
    """A WebSocket server that answers the first frame with given texts, and "leave" with others."""

    def __init__(self, texts: list[str | None], afterwards: tuple[str, ...] = ()) -> None:
        self._texts, self._afterwards = texts, afterwards

    async def __aenter__(self) -> str:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse(timeout=0.2)
            await socket.prepare(request)
            await socket.receive()
            for text in self._texts:
                if text is None:
                    await socket.close()
                else:
                    await socket.send_str(text)
            async for message in socket:
                if json.loads(message.data)["type"] == "leave":
                    for text in self._afterwards:
                        await socket.send_str(text)
                    await socket.close()
            return socket

        application = web.Application()
        application.router.add_get("/rooms", handle)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/rooms"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def test_a_port_that_is_taken(server: RoomServer) -> None:
    with pytest.raises(OSError):
        await RoomServer(port=server._port).start()


async def test_racing_for_the_last_places() -> None:
    async with RoomServer(backend=MemoryBackend(max_members=10), max_waiting=200) as server:
        clients = [RoomClient(server.url) for _ in range(40)]
        rooms = await asyncio.gather(
            *(client.openOrJoin("lobby") for client in clients), return_exceptions=True
        )
        assert sum(isinstance(room, Room) for room in rooms) == 10
        assert all(isinstance(room, Room) or room.code == "full" for room in rooms)  # type: ignore[union-attr]
        await asyncio.gather(*(client.close() for client in clients))
        assert server.members == 0


async def test_a_live_server_survives_a_corpus_of_mutated_frames(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a client sends, the others' messages arrive, and nothing is logged as an error."""
    draw = random.Random(5)
    taken: list[int] = []
    pace = RoomSocket.pace

    async def count(self: RoomSocket, size: int) -> None:
        taken.append(size)
        await pace(self, size)

    monkeypatch.setattr(RoomSocket, "pace", count)
    async with RoomServer() as server:
        a, room_a, b, room_b = await pair(server)
        to_b, to_a = await anext(room_a), await anext(room_b)
        sent = rounds = 0
        while sent < CASES // 2:
            async with raw(server) as bad:
                await bad.send({"type": "enter", "room": "lobby", "name": "mallory"})
                for _ in range(900):  # below the rate at which frames wait
                    frame = draw.choice(CLIENT[:-1])
                    if draw.random() < 0.9 and frame["type"] != "ack":
                        frame = {key: value for key, value in frame.items() if key != "seq"}
                    text = mutate(draw, frame)
                    if '"seq"' in text and draw.random() < 0.99:  # a wrong number ends the socket
                        continue
                    sent += 1
                    with contextlib.suppress(ConnectionError):
                        await bad.send(text)
                with contextlib.suppress(ConnectionError):
                    await bad.send({"type": "leave"})
                    await bad.closed()
            rounds += 1
            await to_b.send(CANDIDATE | {"sdpMLineIndex": rounds})
            async with asyncio.timeout(30):
                assert (await anext(to_a))["sdpMLineIndex"] == rounds
        await a.close()
        await b.close()
        assert server.members == 0
    assert len(taken) > sent / 3  # the others came after a frame that ended the socket
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
