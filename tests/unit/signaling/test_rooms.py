import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant, RTCIceServer
from rtcpeer.errors import InvalidStateError, NetworkError, RTCSyntaxError
from rtcpeer.signaling.check import check_signaling_channel
from rtcpeer.signaling.roomclient import Room, RoomClient, RoomMember
from rtcpeer.signaling.rooms import MAX_FRAME, RoomError, Rooms, read_frame_untrusted
from rtcpeer.signaling.roomserver import RoomServer

CANDIDATE = {"candidate": "candidate:1", "sdpMid": "0"}


# -- the rooms themselves


def make_rooms(**options: Any) -> Rooms:
    numbers = iter(range(1000))
    return Rooms(new_id=lambda: f"id{next(numbers)}", **options)


def test_enter_relay_leave() -> None:
    rooms = make_rooms()
    told_a: list[Any] = []
    told_b: list[Any] = []
    a, entered = rooms.enter("lobby", "openOrJoin", "alice", told_a.append)
    assert entered == {
        "type": "entered",
        "room": "lobby",
        "id": "id0",
        "token": "id1",
        "opened": True,
        "members": [],
    }
    b, entered = rooms.enter("lobby", "join", None, told_b.append)
    assert entered["opened"] is False
    assert entered["members"] == [{"id": "id0", "name": "alice"}]
    assert told_a == [{"type": "joined", "member": {"id": "id2", "name": None}}]
    rooms.relay(b, {"type": "message", "to": "id0", "message": CANDIDATE, "more": 1})
    assert told_a[-1] == {"type": "message", "from": "id2", "message": CANDIDATE}
    rooms.relay(a, {"type": "close", "to": "id2"})
    assert told_b == [{"type": "close", "from": "id0"}]
    for to in ("id0", "nobody", None):
        with pytest.raises(RoomError, match="not in the room"):
            rooms.relay(a, {"type": "message", "to": to, "message": {}})
    rooms.leave(b)
    rooms.leave(b)
    assert told_a[-1] == {"type": "left", "id": "id2"}
    assert rooms.presence("lobby") == 1
    rooms.leave(a)
    assert rooms.presence("lobby") == 0
    assert repr(rooms) == "<Rooms 0 rooms, 0 members>"


def test_refusals() -> None:
    rooms = make_rooms(max_rooms=1, max_members=2)
    with pytest.raises(RoomError) as caught:
        rooms.enter("lobby", "join", None, print)
    assert caught.value.code == "not-found"
    rooms.enter("lobby", "open", None, lambda _: None)
    with pytest.raises(RoomError, match="exists"):
        rooms.enter("lobby", "open", None, print)
    with pytest.raises(RoomError, match="too many"):
        rooms.enter("other", "openOrJoin", None, print)
    rooms.enter("lobby", "openOrJoin", None, lambda _: None)
    with pytest.raises(RoomError, match="full"):
        rooms.enter("lobby", "openOrJoin", None, print)


def test_a_lost_member_comes_back_and_gets_what_it_missed() -> None:
    rooms = make_rooms()
    first: list[Any] = []
    a, _ = rooms.enter("lobby", "open", None, lambda _: None)
    deliver = first.append
    b, entered = rooms.enter("lobby", "join", None, deliver)
    assert not rooms.lost(b, print)
    assert rooms.lost(b, deliver)
    for number in range(300):
        rooms.relay(a, {"type": "message", "to": b.id, "message": {"n": number}})
    again: list[Any] = []
    back = rooms.resume(entered["token"], again.append)
    assert back is not None
    member, frame, missed = back
    assert member is b
    assert frame["id"] == b.id
    assert [m["message"]["n"] for m in missed] == list(range(44, 300))
    rooms.leave(b)
    assert rooms.resume(entered["token"], print) is None
    assert rooms.resume("guess", print) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": "enter"}',
        '{"type": "enter", "room": ""}',
        '{"type": "enter", "room": 5}',
        '{"type": "enter", "room": "x", "mode": "force"}',
        '{"type": "message", "to": "x"}',
        '{"type": "message", "to": "x", "message": "y"}',
        '{"type": "message", "to": ["x"], "message": {}}',
        json.dumps({"type": "enter", "room": "x" * 201}),
        "[" * 100_000,
        "x" * (MAX_FRAME + 1),
    ],
)
def test_bad_frames(text: str) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        read_frame_untrusted(text)
    assert caught.value.fault == "remote"


# -- over sockets


@pytest.fixture
async def server() -> AsyncIterator[RoomServer]:
    async with RoomServer(grace=0.2) as running:
        yield running


async def pair(server: RoomServer) -> tuple[RoomClient, Room, RoomClient, Room]:
    a, b = RoomClient(server.url, name="alice"), RoomClient(server.url, name="bob")
    room_a = await a.openOrJoin("lobby")
    room_b = await b.openOrJoin("lobby")
    return a, room_a, b, room_b


async def test_members_are_signaling_channels(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    number = 0

    async def make() -> tuple[RoomMember, RoomMember]:
        nonlocal number
        number += 1
        x, y = await a.openOrJoin(f"room{number}"), await b.openOrJoin(f"room{number}")
        return await anext(y), await anext(x)

    async with asyncio.timeout(20):
        await check_signaling_channel(make_with_tasks_known(make))
    assert (await anext(room_a)).name == "bob"
    member = await anext(room_b)
    assert member.name == "alice"
    assert member.polite is not room_a.members[0].polite
    assert room_a.opened
    assert not room_b.opened
    await a.close()
    await b.close()
    assert room_a.is_closed
    assert member.is_closed


def make_with_tasks_known(make: Any) -> Any:
    """Rooms keep their reading task while their members are closed: the check must not count it."""

    async def made() -> Any:
        members = await make()
        return tuple(_Leaving(member) for member in members)

    return made


class _Leaving:
    """A member whose room is left when it is closed."""

    def __init__(self, member: RoomMember) -> None:
        self.member = member

    async def send(self, message: Any, /) -> None:
        await self.member.send(message)

    def __aiter__(self) -> Any:
        return aiter(self.member)

    async def close(self) -> None:
        await self.member.close()
        await self.member._room.close()


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


async def test_join_and_leave_are_told(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    told: list[str] = []
    room_a.onleave = lambda e: told.append(f"leave {e.member.name}")
    room_a.onjoin = lambda e: told.append(f"join {e.member.name}")
    member = await anext(room_a)
    await room_b.close()
    assert [m async for m in member] == []
    await b.openOrJoin("lobby")
    assert (await anext(room_a)).name == "bob"
    assert told == ["leave bob", "join bob"]
    await b.close()
    await a.close()


async def test_a_lost_socket_comes_back_and_misses_nothing(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    to_b, to_a = await anext(room_a), await anext(room_b)
    back = asyncio.Event()
    lost = asyncio.Event()
    room_b.onconnectionlost = lambda _: lost.set()
    room_b.onconnectionback = lambda _: back.set()
    connect = room_b._connect
    gate = asyncio.Event()

    async def gated(mode: Any) -> None:
        await gate.wait()
        await connect(mode)

    room_b._connect = gated  # type: ignore[method-assign]
    assert room_b._socket is not None
    room_b._socket._response.connection.transport.abort()  # type: ignore[union-attr]
    async with asyncio.timeout(60):
        await lost.wait()
        with pytest.raises(NetworkError):
            await to_a.send(CANDIDATE)
        await to_b.send(CANDIDATE)
        gate.set()
        await back.wait()
        assert await anext(to_a) == CANDIDATE
        await to_a.send(CANDIDATE)
        assert await anext(to_b) == CANDIDATE
    assert room_a.members == (to_b,)
    await b.close()
    await a.close()


async def test_who_comes_back_too_late_is_somebody_else(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    to_b, to_a = await anext(room_a), await anext(room_b)
    gate = asyncio.Event()
    connect = room_b._connect

    async def gated(mode: Any) -> None:
        await gate.wait()
        await connect(mode)

    room_b._connect = gated  # type: ignore[method-assign]
    assert room_b._socket is not None
    room_b._socket._response.connection.transport.abort()  # type: ignore[union-attr]
    async with asyncio.timeout(60):
        assert [m async for m in to_b] == []
        gate.set()
        new_b, new_a = await anext(room_a), await anext(room_b)
        assert new_b.id != to_b.id
        assert to_a.is_closed
        await new_a.send(CANDIDATE)
        assert await anext(new_b) == CANDIDATE
    await b.close()
    await a.close()


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
        await room_b.send_frame({"type": "message", "to": room_a.id, "message": CANDIDATE})
        again = await anext(room_a)
        assert await anext(again) == CANDIDATE
        assert again.name == "bob"
    await b.close()
    await a.close()


async def test_authorization_and_servers() -> None:
    async def authorize(request: web.Request, room: str, name: str | None) -> bool:
        return request.headers.get("Authorization") == "Bearer x" and room == "lobby"

    async with (
        IceServerProvider(
            lambda: IceServerGrant(
                (RTCIceServer("turn:t.example", "u", "p"), RTCIceServer("stun:s.example")), 60
            )
        ) as provider,
        RoomServer(authorize=authorize, provider=provider) as server,
        RoomClient(server.url) as stranger,
        RoomClient(server.url, headers={"Authorization": "Bearer x"}) as friend,
    ):
        with pytest.raises(RoomError) as caught:
            await stranger.openOrJoin("lobby")
        assert caught.value.code == "forbidden"
        room = await friend.openOrJoin("lobby")
        assert room.iceServers == [
            RTCIceServer(["turn:t.example"], "u", "p"),
            RTCIceServer(["stun:s.example"]),
        ]


async def test_a_provider_that_fails_keeps_nobody_out() -> None:
    def fail() -> Any:
        raise OSError

    async with (
        IceServerProvider(fail) as provider,
        RoomServer(provider=provider, authorize=lambda *_: True) as server,
        RoomClient(server.url) as client,
    ):
        assert (await client.openOrJoin("lobby")).iceServers == []


async def test_bad_clients_are_told_and_harm_nobody(server: RoomServer) -> None:
    a, room_a, b, _ = await pair(server)
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url) as socket:

        async def ask(frame: Any) -> Any:
            await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
            return json.loads((await socket.receive()).data)

        assert (await ask("nonsense"))["code"] == "bad-frame"
        assert (await ask({"type": "message", "to": room_a.id, "message": {}}))["code"] == "not-entered"
        assert (await ask({"type": "enter", "room": "lobby", "resume": "guess"}))["type"] == "entered"
        assert (await ask({"type": "enter", "room": "lobby"}))["code"] == "bad-frame"
        assert (await ask({"type": "fly"}))["code"] == "bad-frame"
        assert (await ask({"type": "message", "to": "nobody", "message": {}}))["code"] == "no-member"
        await socket.send_bytes(b"x")
        assert (await ask({"type": "presence", "room": "lobby"}))["members"] == 3
    assert "clients" in repr(server)
    assert len(room_a.members) >= 1
    await a.close()
    await b.close()


async def test_unreachable_servers() -> None:
    async with RoomClient("ws://127.0.0.1:9/rooms") as client:
        with pytest.raises(NetworkError):
            await client.openOrJoin("lobby")
        with pytest.raises(NetworkError):
            await client.checkPresence("lobby")


async def test_the_server_goes_and_comes_back(server: RoomServer) -> None:
    a, room_a, b, room_b = await pair(server)
    await anext(room_a)
    await anext(room_b)
    await server.close()
    again = RoomServer(port=server._port)
    await again.start()
    async with asyncio.timeout(10):
        new_b = await anext(room_a)
        new_a = await anext(room_b)
        await new_a.send(CANDIDATE)
        assert await anext(new_b) == CANDIDATE
    await a.close()
    await b.close()
    await again.close()


async def test_a_port_that_is_taken(server: RoomServer) -> None:
    with pytest.raises(OSError):
        await RoomServer(port=server._port).start()


async def test_waits_begin_anew_after_each_connection_that_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket:
        async def close(self) -> None:
            pass

    waits: list[float] = []
    outcomes = iter([False, False, True, False, True, True, None])

    class Lost(Room):
        def __init__(self) -> None:
            self._closed, self._socket = False, Socket()  # type: ignore[assignment]

        async def _read(self, socket: Any) -> None:
            pass

        async def _connect(self, mode: Any) -> None:
            outcome = next(outcomes)
            if outcome is None:
                self._closed = True
            elif outcome:
                self._socket = Socket()  # type: ignore[assignment]
            else:
                raise NetworkError("no server")

        def fire(self, event: Any) -> bool:
            return True

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("rtcpeer.signaling.roomclient.random.uniform", lambda low, high: 1.0)
    monkeypatch.setattr("rtcpeer.signaling.roomclient.asyncio.sleep", sleep)
    await Lost()._run()
    assert waits == [0.0, 0.3, 1.0, 0.0, 0.3, 0.0, 0.0]
