"""Rooms of several nodes in Redis: what is sent arrives once and in order whatever breaks, or is reported lost."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import WSMsgType

from rtcpeer import NetworkError
from rtcpeer.signaling import RedisBackend, Room, RoomClient, RoomError, RoomMember, RoomServer
from tests.interop.redis_server import RedisServer, redis_server
from tests.unit.signaling.roomkit import CANDIDATE, Proxy, RawClient, raw

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

SECRET = "of this test"
GRACE = 3.0
MEMBERS = int(os.environ.get("RTCPEER_ROOM_MEMBERS", "40"))


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as running:
        yield running


def node(redis: RedisServer, grace: float = GRACE, **limits: int) -> RoomServer:
    return RoomServer(backend=RedisBackend(redis.url, **limits), secret=SECRET, grace=grace, max_waiting=200)


@contextlib.asynccontextmanager
async def two_nodes(redis: RedisServer) -> AsyncIterator[tuple[RoomServer, RoomServer]]:
    async with node(redis) as one, node(redis) as two:
        yield one, two


@contextlib.asynccontextmanager
async def two_members(one: str, two: str) -> AsyncIterator[tuple[Room, RoomMember, Room, RoomMember]]:
    async with RoomClient(one, name="alice") as a, RoomClient(two, name="bob") as b, asyncio.timeout(20):
        room_a, room_b = await a.openOrJoin("lobby"), await b.openOrJoin("lobby")
        yield room_a, await anext(room_a), room_b, await anext(room_b)


async def exchange(pairs: list[tuple[RoomMember, RoomMember]], count: int, pause: float) -> None:
    """Send numbers from first to second of each pair; all must arrive, once and in order."""

    async def send(member: RoomMember) -> None:
        for number in range(count):
            await member.send(CANDIDATE | {"sdpMLineIndex": number})
            await asyncio.sleep(pause)

    async def expect(member: RoomMember) -> None:
        assert [(await anext(member))["sdpMLineIndex"] for _ in range(count)] == list(range(count))
        assert member.unread == 0

    await asyncio.gather(*(send(a) for a, _ in pairs), *(expect(b) for _, b in pairs))


async def test_members_of_two_nodes_are_in_one_room(redis: RedisServer) -> None:
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (room_a, to_b, room_b, to_a):
        assert to_b.name == "bob"
        await exchange([(to_b, to_a), (to_a, to_b)], 50, 0)
        told: asyncio.Queue[Any] = asyncio.Queue()
        for kind in ("broadcast", "metadata", "leave"):
            room_a.addEventListener(
                kind, lambda e: told.put_nowait((e.type, e.member.name, e.data, e.reason))
            )
        await room_b.setMetadata({"hand": "up"})
        await room_b.broadcast([1])
        assert await told.get() == ("metadata", "bob", None, "")
        assert await told.get() == ("broadcast", "bob", [1], "")
        await to_a.send(CANDIDATE | {"x": "y" * 100_000})  # too large for the node's stream
        assert len((await anext(to_b))["x"]) == 100_000
        lost = asyncio.Event()
        room_b.onlost = lambda e: lost.set() if e.reason == "forbidden" else None
        await room_b.kick(to_a)
        await lost.wait()
        assert await two.kick("lobby", room_b.id)
        assert await told.get() == ("leave", "bob", None, "kicked")
        assert await one.backend.presence("lobby") == 1
        async with RoomClient(two.url) as other:
            assert await other.checkPresence("lobby") == 1


async def test_what_all_members_hear_passes_once_per_node_and_not_once_per_member(redis: RedisServer) -> None:
    """Whatever happens to one of many: the work of Redis and of a node must not grow with the square of the members."""
    async with two_nodes(redis) as (one, two), contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
        clients = [await stack.enter_async_context(raw(server)) for server in [one, two] * 10]
        for client in clients:
            await client.enter()
        before = {key: await redis.length(key) for key in await redis.keys("{rtcpeer}:node:*")}
        assert len(before) == 2
        for number in range(5):
            await clients[0].send({"type": "broadcast", "message": number})
        for client in clients[1:]:
            assert [(await client.receive("broadcast"))["message"] for _ in range(5)] == list(range(5))
        grown = [await redis.length(key) - length for key, length in before.items()]
        assert grown == [5, 5]


async def test_a_member_resumes_at_another_node_and_the_old_socket_is_powerless(redis: RedisServer) -> None:
    async with two_nodes(redis) as (one, two), raw(one) as old, raw(two) as new, raw(two) as other:
        entered = await old.enter()
        others = (await other.enter())["id"]
        assert (await old.receive())["type"] == "joined"
        for number in range(5):
            await other.send({"type": "message", "to": entered["id"], "message": {"n": number}})
        assert [(await old.receive("message"))["message"]["n"] for _ in range(5)] == list(range(5))
        again = await new.enter(resume=entered["token"], received=3)
        assert (again["id"], again["resumed"], again["seq"]) == (entered["id"], True, 3)
        assert [(await new.receive("message"))["seq"] for _ in range(3)] == [4, 5, 6]
        assert await old.closed() == 4001
        await new.send({"type": "message", "to": others, "message": {"n": 9}})
        assert (await other.receive("message"))["from"] == entered["id"]


async def test_a_member_whose_node_was_given_up_comes_back(redis: RedisServer) -> None:
    """What it sends before its node hears of it does not end its membership, and is not lost."""
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (_, to_b, room_b, to_a):
        assert isinstance(two.backend, RedisBackend)
        await two.backend._ask("bye")  # what another node does after beats have failed to come
        await exchange([(to_b, to_a), (to_a, to_b)], 30, 0.05)
        assert not room_b.endReason


async def test_two_sockets_of_a_member_race_at_one_node(redis: RedisServer) -> None:
    """In whatever order Redis does what it was asked, one of the sockets is the member's and hears everything."""
    async with node(redis) as server, raw(server) as old, raw(server) as other:
        entered = await old.enter()
        await other.enter()
        for number in range(10):
            async with raw(server) as first, raw(server) as second:
                with redis.stopped():
                    for client in (first, second):
                        await client.send(
                            {"type": "enter", "room": "lobby", "resume": entered["token"], "received": 1}
                        )
                    await asyncio.sleep(0.05)
                for client in (first, second):
                    assert (await client.receive("entered"))["resumed"]
                await other.send({"type": "message", "to": entered["id"], "message": {"n": number}})
                done, _ = await asyncio.wait(
                    [asyncio.create_task(hear(client, number)) for client in (first, second)]
                )
                assert sorted(task.result() for task in done) == [False, True]


async def nobody_in(room: str, server: RoomServer) -> None:
    """Wait until Redis knows nobody in a room, for as long as one may be away and a little more."""
    async with asyncio.timeout(GRACE + 8):
        for _ in iter(int, 1):
            with contextlib.suppress(NetworkError):
                if not await server.backend.presence(room):
                    return
            await asyncio.sleep(0.1)


async def hear(client: RawClient, number: int) -> bool:
    """Whether a socket gets the message with this number; False: it is closed as superseded."""
    while (message := await client.socket.receive(10)).type == WSMsgType.TEXT:
        if json.loads(message.data).get("message") == {"n": number}:
            return True
    assert message.data == 4001
    return False


async def test_who_enters_a_node_that_was_given_up_and_goes_away_is_no_ghost(redis: RedisServer) -> None:
    """The node closes the socket by itself; Redis must hear that the member is away."""
    async with node(redis, 1.0) as server, raw(server) as client:
        assert isinstance(server.backend, RedisBackend)
        await server.backend._ask("bye")
        await client.enter()
        assert await client.closed() == 1012
        await nobody_in("lobby", server)


async def test_an_entry_that_was_given_up_leaves_no_ghost(redis: RedisServer) -> None:
    """Redis does nothing of what it was asked while it stood still, once nobody waits for the answer."""
    async with node(redis, 1.0) as server, raw(server) as client, raw(server) as resuming:
        token = (await resuming.enter("den"))["token"]
        await resuming.socket.close()
        await asyncio.sleep(0.2)
        with redis.stopped():
            async with raw(server) as again:
                await again.send({"type": "enter", "room": "den", "resume": token, "received": 0})
                await client.send({"type": "enter", "room": "lobby"})
                assert (await client.receive("error"))["code"] == "unavailable"
                assert (await again.receive("error"))["code"] == "unavailable"
        await nobody_in("lobby", server)
        await nobody_in("den", server)


async def test_a_member_without_a_socket_is_let_go(redis: RedisServer) -> None:
    """Whatever has brought it about: Redis has a member at a node that does not know of it."""
    async with node(redis, 1.0) as server:
        assert isinstance(server.backend, RedisBackend)
        await server.backend._ask("enter", "ghost", "lobby", "open", '{"away":false}', "no socket", 0, 10, 10)
        await nobody_in("lobby", server)


async def test_a_member_that_redis_does_not_know_comes_back(redis: RedisServer) -> None:
    """A node that has missed that a member is no longer its own closes the socket by itself."""
    async with node(redis) as server, RoomClient(server.url) as client, RoomClient(server.url) as other:
        room = await client.openOrJoin("lobby")
        elsewhere = await other.openOrJoin("lobby")
        key = f"{{rtcpeer}}:member:{room.id}"
        for command in (("DEL", key), ("SREM", (await redis.keys("{rtcpeer}:of:*"))[0], room.id)):
            await redis.command(*command)
        former = room.id
        await until(lambda: room.id != former, 20)
        await until(lambda: room.id in {member.id for member in elsewhere.members}, 20)


async def test_frames_arrive_though_nothing_comes_after_them(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis fails while a node reads what one of its members has not had, and again when the node tries once more."""
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (_, to_b, _room, to_a):
        assert isinstance(two.backend, RedisBackend)
        ask, failures = two.backend._ask, [3]

        async def fail(op: str, *arguments: object, **options: Any) -> Any:
            if op == "missed" and failures[0]:
                failures[0] -= 1
                raise NetworkError("of this test", fault="network")
            return await ask(op, *arguments, **options)

        monkeypatch.setattr(two.backend, "_ask", fail)
        await to_b.send(CANDIDATE | {"x": "y" * 100_000})
        assert len((await anext(to_a))["x"]) == 100_000
        assert failures == [0]


async def test_a_node_reads_too_late_and_nothing_comes_after_it(redis: RedisServer) -> None:
    """What was for a member is gone from the node's stream, and only others get anything afterwards."""
    async with (
        Node(redis, 4 * GRACE) as first,  # nobody is given up meanwhile
        Node(redis, 4 * GRACE) as second,
        two_members(first.url, second.url) as (room_a, to_b, _room, to_a),
        RoomClient(second.url, name="carol") as carol,
    ):
        room_c = await carol.openOrJoin("lobby")
        to_c = await anext(room_a)
        from_a = next(member for member in room_c.members if member.id == room_a.id)
        with second.stopped():
            await to_c.send(CANDIDATE | {"sdpMLineIndex": 0})  # the answer to what the node asked before
            await to_b.send(CANDIDATE | {"quiet": True})
            for number in range(1, 300):
                await to_c.send(CANDIDATE | {"sdpMLineIndex": number})
            await until(lambda: not room_a._link, 20)  # the server has accepted all of it
            for key in await redis.keys("{rtcpeer}:node:*"):
                await redis.command("XTRIM", key, "MAXLEN", "250")
        assert "quiet" in await anext(to_a)
        assert [(await anext(from_a))["sdpMLineIndex"] for _ in range(300)] == list(range(300))


async def test_memory_is_lost_before_a_node_has_heard_of_what_was_done(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node registers a member without its last frame; the next one is no fault of the member's."""
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (room_a, to_b, _room, to_a):
        assert isinstance(one.backend, RedisBackend)
        ask, backend = one.backend._ask, one.backend
        generation = backend._generation

        async def late(op: str, *arguments: object, **options: Any) -> Any:
            answer = await ask(op, *arguments, **options)
            if op == "submit":
                await until(lambda: backend._generation != generation, 10)
            return answer

        doubt = asyncio.Event()
        room_a.onlost = lambda _: doubt.set()
        monkeypatch.setattr(backend, "_ask", late)
        await to_b.send(CANDIDATE | {"sdpMLineIndex": 1})
        assert (await anext(to_a))["sdpMLineIndex"] == 1
        await redis.command("FLUSHALL")
        await doubt.wait()
        await exchange([(to_b, to_a)], 10, 0)
        assert not room_a.endReason


async def test_a_hundred_race_for_ten_places(redis: RedisServer) -> None:
    async with node(redis, max_members=10) as one, node(redis, max_members=10) as two:
        clients = [RoomClient((one, two)[number % 2].url) for number in range(100)]
        rooms = await asyncio.gather(*(c.openOrJoin("lobby") for c in clients), return_exceptions=True)
        assert sum(isinstance(room, Room) for room in rooms) == 10
        assert {room.code for room in rooms if not isinstance(room, Room)} == {"full"}  # type: ignore[union-attr]
        assert await one.backend.presence("lobby") == 10
        await asyncio.gather(*(client.close() for client in clients))
        assert await one.backend.presence("lobby") == 0


async def test_without_redis_a_server_does_not_start_and_takes_nobody(tmp_path: Path) -> None:
    """At the start it is told at once, without the credential of the URL; later, entries are refused after a while."""
    gone = RoomServer(backend=RedisBackend("redis://user:SeCrEt@127.0.0.1:9/0"), secret=SECRET)
    with pytest.raises(NetworkError, match="Redis cannot be reached") as caught:
        await gone.start()
    assert "SeCrEt" not in f"{caught.value!r} {caught.value.__cause__!r} {gone!r}"
    await gone.close()
    async with redis_server(tmp_path) as redis, node(redis) as server, RoomClient(server.url) as client:
        room = await client.openOrJoin("lobby")
        redis.kill()
        async with RoomClient(server.url) as late, asyncio.timeout(30):
            with pytest.raises(RoomError) as refused:
                await late.openOrJoin("lobby")
        assert refused.value.code == "unavailable"
        assert room.endReason == ""


async def test_redis_stands_still_for_five_seconds(redis: RedisServer) -> None:
    """Longer than the grace time: nobody is given up, nothing is lost, and nothing comes twice."""
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (room_a, to_b, room_b, to_a):
        told: list[str] = []
        for room in (room_a, room_b):
            for kind in ("leave", "away", "lost", "connectionlost"):
                room.addEventListener(kind, lambda e: told.append(e.type))

        async def stop() -> None:
            await asyncio.sleep(0.3)
            with redis.stopped():
                await asyncio.sleep(5)

        await asyncio.gather(exchange([(to_b, to_a), (to_a, to_b)], 100, 0.06), stop())
        await asyncio.sleep(1)
        assert told == []


async def test_connections_to_redis_are_cut(redis: RedisServer) -> None:
    async with two_nodes(redis) as (one, two), two_members(one.url, two.url) as (_, to_b, _room, to_a):

        async def cut() -> None:
            for _ in range(6):
                await asyncio.sleep(0.25)
                assert (await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")).startswith(
                    b":"
                )

        await asyncio.gather(exchange([(to_b, to_a), (to_a, to_b)], 60, 0.03), cut())


async def test_redis_loses_its_memory(redis: RedisServer) -> None:
    """Everybody stays in the room and hears that something may be lost; who was away is gone for all."""
    async with (
        two_nodes(redis) as (one, two),
        Proxy(two._port) as proxy,
        RoomClient(proxy.url, name="carol") as carol,
        two_members(one.url, two.url) as (room_a, to_b, room_b, to_a),
    ):
        await carol.openOrJoin("lobby")
        while len(room_a.members) < 2:
            await anext(room_a)
        doubts = [asyncio.Event(), asyncio.Event()]
        room_a.onlost = lambda _: doubts[0].set()
        room_b.onlost = lambda _: doubts[1].set()
        proxy.hole = True
        away = asyncio.Event()
        room_a.onaway = lambda _: away.set()
        proxy.cut()
        await away.wait()
        await redis.command("FLUSHALL")
        async with asyncio.timeout(GRACE + 2):
            await asyncio.gather(*(doubt.wait() for doubt in doubts))
        assert (room_a.members, room_b.members) == ((to_b,), (to_a,))
        await exchange([(to_b, to_a), (to_a, to_b)], 20, 0)
        proxy.hole = False
        assert (await anext(room_a)).name == "carol"


async def test_a_node_that_stood_still(redis: RedisServer) -> None:
    """For a moment, and what was for its members is trimmed away; then for so long that it was given up."""
    async with (
        # a busy machine must not turn the pause into the end of the grace time
        Node(redis, 2 * GRACE) as first,
        Node(redis, 2 * GRACE) as second,
        two_members(first.url, second.url) as members,
    ):
        room_a, to_b, room_b, to_a = members
        told: list[str] = []
        for room in (room_a, room_b):
            for kind in ("leave", "join", "lost"):
                room.addEventListener(kind, lambda e: told.append(e.type))
        for seconds, trim in ((0.6, True), (GRACE + 0.5, False)):

            async def stop(seconds: float = seconds, trim: bool = trim) -> None:
                with second.stopped():
                    await asyncio.sleep(seconds)
                    if trim:
                        for key in await redis.keys("{rtcpeer}:node:*"):
                            await redis.command("XTRIM", key, "MAXLEN", "0")

            await asyncio.gather(exchange([(to_b, to_a), (to_a, to_b)], 30, 0.05), stop())
        assert "lost" not in told
        assert "leave" not in told


async def test_one_of_two_processes_is_killed(redis: RedisServer) -> None:
    """Members of the dead node resume at the other one, or are gone for everybody within the grace time."""
    async with Node(redis) as first, Node(redis) as second, asyncio.timeout(100):
        stays, moves, dies = MEMBERS // 2, MEMBERS // 4, MEMBERS - MEMBERS // 2 - MEMBERS // 4
        clients = [RoomClient(first.url, name=f"stays {n}") for n in range(stays)]
        clients += [RoomClient(second.url, name=f"moves {n}") for n in range(moves)]
        clients += [RoomClient(second.url, name=f"dies {n}") for n in range(dies)]
        rooms = [await client.openOrJoin("lobby") for client in clients]
        await until(lambda: all(len(room.members) == MEMBERS - 1 for room in rooms), 30)
        lost: list[Any] = []
        for room, client in zip(rooms, clients, strict=True):
            room.addEventListener("lost", lambda e: lost.append(e.reason))
            if client.name and client.name.startswith("moves"):
                client.url = first.url  # where a load balancer would send it
        speakers = [
            (by_name(rooms[0], f"moves {n}"), by_name(rooms[stays + n], "stays 0")) for n in range(moves)
        ]
        left = rooms[:stays] + rooms[stays : stays + moves]

        async def kill() -> None:
            await asyncio.sleep(0.3)
            second.kill()
            began = asyncio.get_running_loop().time()
            await until(lambda: all(len(room.members) == len(left) - 1 for room in left), GRACE + 2)
            print(f"{MEMBERS} members consistent after {asyncio.get_running_loop().time() - began:.2f} s")

        await asyncio.gather(exchange([*speakers, *((b, a) for a, b in speakers)], 40, 0.05), kill())
        assert lost == []
        names = {member.name for member in rooms[0].members}
        assert not any(name and name.startswith("dies") for name in names)
        await asyncio.gather(*(client.close() for client in clients))


def by_name(room: Room, name: str) -> RoomMember:
    return next(member for member in room.members if member.name == name)


async def until(condition: Any, seconds: float) -> None:
    give_up = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < give_up
        await asyncio.sleep(0.02)


class Node:
    """A process with a room server."""

    def __init__(self, redis: RedisServer, grace: float = GRACE) -> None:
        self._redis, self._grace = redis, grace

    async def __aenter__(self) -> Self:
        program = Path(__file__).with_name("room_node.py")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            self._redis.url,
            str(self._grace),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            self.url = (await self._process.stdout.readline()).decode().strip()
        return self

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While it lasts, the process stands still."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
