"""Rooms of several processes in Redis (or Valkey) Streams. Needs the extra ``rtcpeer[redis]`` (redis-py).

Owns: a node's connection to Redis, the reader of the node's stream, its heart beat, what it would register again if
Redis lost its memory. Never: a socket of a client; the operations themselves, which are one script, `redis.lua`.

A frame for a member is in the member's stream until it is acknowledged, and in the stream of the node that has the
member's socket. The node reads its own stream; where a number is missing there, it reads the member's. A node that
stops beating is given up by any other node: its members are away from its last beat on. While Redis cannot be reached,
frames wait in the clients, entries are refused after a while, and nobody's grace time passes.

What a node does not know: whether a command without an answer was done. So every command carries the time, on Redis'
clock, until which it may be done: after `_TIMEOUT` without an answer it is done already or never will be, and what the
node asks next cannot be overtaken by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter, deque
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, Final
from weakref import WeakValueDictionary

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rtcpeer.aio import TaskSet
from rtcpeer.errors import NetworkError
from rtcpeer.records import record
from rtcpeer.signaling.rooms.state import EVENTS, Entered, Entry, NodeSink, Submission
from rtcpeer.signaling.rooms.wire import CLOSE_RESTART, RoomError

logger = logging.getLogger(__name__)

_BEAT: Final = 0.5
_LONGEST_TTL: Final = 5.0
# how long a command may take, in seconds (Redis does it within this time or not at all), and how long the reader waits
# for news
_TIMEOUT: Final = 2.0
_BLOCK_MS: Final = 1000
_READ_COUNT: Final = 200
_ACK_TIME: Final = 0.1
# acknowledgements of so many members in one command
_ACKS: Final = 300
_RETRY: Final = 0.2
_CONNECTIONS: Final = 32
# Redis' clock is judged by so many beats
_CLOCKS: Final = 20
# for so many beats in a row, Redis has another number of members here than this node: it looks who they are; those who
# have been wrong for as many are let go
_STRAY_BEATS: Final = 3
# answers that another memory of Redis' makes worthless
_OF_ONE_MEMORY: Final = ("enter", "resume", "missed", "mine")
# after the memory was lost, every node has registered its members within this time
_SETTLE: Final = 1.5

_REFUSALS: Final = {
    "not-found": "there is no room of that name",
    "exists": "the room exists already",
    "full": "there are too many rooms, or members in this one",
    "superseded": "this socket is no longer the member's",
    "bad-frame": "a number was left out: some frames are missing",
}


@record(slots=True)
class _Local:
    """A member whose socket is at this node, with what is needed to register it again."""

    room: str
    public: str
    attach: str
    may_kick: bool
    received: int
    seq: int  # the number of the last frame that was delivered
    is_settled: bool = False  # whether Redis has said that it is a member


class RedisBackend:
    """Rooms in Redis, for any number of servers; give all of them the same `secret`.

    Args:
        url: of the server, such as ``redis://localhost:6379/0``.
        prefix: of all keys; servers with the same one share their rooms.
        max_rooms: more are refused.
        max_members: of one room.
        backlog: bytes that wait for one member, at most.
    """

    shared = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "rtcpeer",
        max_rooms: int = 10_000,
        max_members: int = 100,
        backlog: int = 1_048_576,
    ) -> None:
        self._url = url
        self._prefix = f"{{{prefix}}}:"
        self._limits = (max_rooms, max_members)
        self._backlog = backlog
        self._grace = 30.0
        self._node = secrets.token_urlsafe(9)
        self._generation = ""
        self._sink: NodeSink | None = None
        self._local: dict[str, _Local] = {}
        self._acks: dict[str, tuple[str, int]] = {}
        self._acks_wanted = asyncio.Event()
        self._resuming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Redis' clock less ours, too small rather than too large
        self._clocks: deque[float] = deque(maxlen=_CLOCKS)
        self._is_behind = False  # whether the members' own streams must be read
        self._is_trimmed = False  # whether entries of this node's stream are gone
        self._strays = 0
        self._suspects: Counter[tuple[str, str]] = Counter()  # members with their sockets
        self._tasks = TaskSet("rooms in Redis")
        self._client: Any = None
        self._script: Any = None

    def __repr__(self) -> str:
        return f"<RedisBackend node {self._node}, {len(self._local)} members>"

    async def start(self, sink: NodeSink, grace: float) -> None:
        """Connect, and begin to beat and to read.

        Raises:
            NetworkError: Redis cannot be reached.
        """
        self._sink, self._grace = sink, grace
        self._node = secrets.token_urlsafe(9)
        self._clocks.clear()
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            self._url,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._client = redis.asyncio.Redis.from_pool(pool)
        self._script = self._client.register_script(
            files("rtcpeer.signaling.rooms").joinpath("redis.lua").read_text()
        )
        try:
            self._generation = (await self._beat())[0]
        except NetworkError:
            await self._client.aclose()
            raise
        for work in (self._beat_forever(), self._read_forever(), self._acknowledge_forever()):
            self._tasks.start(work)

    async def close(self) -> None:
        """The members of this node are away from now on; disconnect."""
        if self._client is None:
            return
        await self._tasks.cancel()
        with contextlib.suppress(NetworkError):  # then the others give this node up
            await self._ask("bye")
        client, self._client = self._client, None
        await client.aclose()
        self._local.clear()

    async def enter(self, entry: Entry) -> Entered:
        """Implements `RoomBackend.enter`."""
        local = _Local(entry.room, entry.public, entry.attach, entry.may_kick, 0, 0)
        self._local[entry.id] = local
        try:
            opened, others = await self._ask(
                "enter",
                entry.id,
                entry.room,
                entry.mode,
                entry.public,
                entry.attach,
                int(entry.may_kick),
                *self._limits,
            )
        except RoomError:
            del self._local[entry.id]
            raise
        local.is_settled = True
        return Entered(opened == "1", others)

    async def resume(self, id: str, room: str, attach: str, received: int) -> Entered | None:
        """Implements `RoomBackend.resume`."""
        # one after the other: who is the member's in the end must be the same here and in Redis
        async with self._resuming.setdefault(id, asyncio.Lock()):
            before = self._local.get(id)
            # at once: what comes for it while the answer is on its way must not pass by
            local = self._local[id] = _Local(room, "", attach, False, 0, received)
            answer = None
            try:
                answer = await self._ask("resume", id, room, attach, received, refusals=("gone",))
            finally:
                if answer is None and self._local.get(id) is local:
                    if before is None:
                        del self._local[id]
                    else:
                        self._local[id] = before
                        self._is_behind = True  # what came meanwhile was not for it
            if answer is None:
                return None
            others, submitted, missed, local.public, kick = answer
            frames = _numbered(missed)
            local.received, local.may_kick, local.is_settled = int(submitted), kick == "1", True
            local.seq = max(local.seq, frames[-1][0] if frames else 0)
            return Entered(False, others, local.received, received, frames)

    async def submit(self, id: str, attach: str, seq: int, submission: Submission) -> None:
        """Implements `RoomBackend.submit`."""
        local = self._local.get(id)
        if local is not None and local.attach != attach:
            local = None
        await self._ask(
            "submit",
            id,
            attach,
            seq,
            local.received if local is not None else 0,
            submission.kind,
            submission.to,
            submission.text,
            submission.public,
            submission.reason,
        )
        if local is not None:
            local.received = max(local.received, seq)
            local.public = submission.public or local.public

    async def acknowledge(self, id: str, attach: str, seq: int) -> None:
        """Implements `RoomBackend.acknowledge`; acknowledgements are sent together."""
        self._acks[id] = (attach, seq)
        self._acks_wanted.set()

    async def lose(self, id: str, attach: str) -> None:
        """Implements `RoomBackend.lose`."""
        self._forget(id, attach)
        await self._ask("lose", id, attach)

    async def leave(self, id: str, attach: str) -> None:
        """Implements `RoomBackend.leave`."""
        self._forget(id, attach)
        await self._ask("leave", id, attach)

    async def kick(self, room: str, id: str, reason: str) -> bool:
        """Implements `RoomBackend.kick`."""
        return bool((await self._ask("kick", id, room, reason))[0] == "1")

    async def presence(self, room: str) -> int:
        """Implements `RoomBackend.presence`."""
        return int((await self._ask("presence", room))[0])

    # -- Redis -------------------------------------------------------------------------------------

    async def _ask(self, op: str, *arguments: object, refusals: tuple[str, ...] = ()) -> Any:
        """Do an operation; its answer, or None for one of `refusals`.

        Raises:
            RoomError: it is refused.
            NetworkError: Redis cannot be reached, or has lost its memory and the members come back right now, or the
                member's socket is about to be closed; or it took too long.
        """
        if self._client is None:
            raise NetworkError("the backend is closed", fault="network")
        generation = self._generation
        until = asyncio.get_running_loop().time() + max(self._clocks, default=0.0) + _TIMEOUT
        values = [op, generation, self._node, self._grace, self._backlog, EVENTS, f"{until:.3f}", *arguments]
        try:
            answer = await self._script(keys=[self._prefix], args=values)
        except (RedisError, OSError, TimeoutError) as error:
            raise NetworkError(f"Redis cannot be reached: {type(error).__name__}", fault="network") from error
        if answer[0] == "ok" and (op not in _OF_ONE_MEMORY or generation == self._generation):
            return answer[1:]
        if answer[0] in refusals:
            return None
        if answer[0] in ("forgotten", "ok"):
            raise NetworkError("Redis has lost its memory", fault="network")
        if answer[0] == "late":
            raise NetworkError("Redis was asked too late", fault="network")
        # no refusal: how the socket is closed says whether the member may come back
        if answer[0] == "detached":
            raise NetworkError(
                "the member's socket is given up, as this node is about to hear", fault="network"
            )
        raise RoomError(answer[0], _REFUSALS[answer[0]])

    async def _beat(self) -> tuple[str, bool, int]:
        """Tell that this node lives; the generation, whether the node was known, how many members Redis has here."""
        ttl = max(3 * _BEAT, min(_LONGEST_TTL, self._grace / 2))
        generation, known, members, time = await self._ask("beat", secrets.token_hex(8), ttl)
        self._clocks.append(float(time) - asyncio.get_running_loop().time())
        return generation, known == "1", int(members)

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            try:
                generation, known, members = await self._beat()
                if generation != self._generation:
                    logger.warning("Redis has lost its memory: %d members register again", len(self._local))
                    self._generation = generation
                    await self._register_all()
                    self._tasks.start(self._doubt_all())
                elif not known:
                    logger.warning("this node was given up: its members resume")
                    self._detach_all()
                else:
                    await self._compare(members)
            except NetworkError as error:
                logger.warning("no beat: %s", error)

    async def _compare(self, members: int) -> None:
        """Let go who is at this node for Redis only, or for this node only: nobody would ever tell the other side."""
        self._strays = self._strays + 1 if members != len(self._local) else 0
        if self._strays < _STRAY_BEATS:
            self._suspects.clear()
            return
        (known,) = await self._ask("mine")
        there = set(zip(known[::2], known[1::2], strict=True))
        here = {(id_, local.attach) for id_, local in self._local.items()}
        strays = {stray for stray in there - here if stray[0] not in self._local}
        strays |= {stray for stray in here - there if self._local[stray[0]].is_settled}
        self._suspects = Counter({stray: self._suspects[stray] + 1 for stray in strays})
        for (id_, attach), seen in self._suspects.items():
            if seen < _STRAY_BEATS:
                continue  # it may have come or gone right now
            logger.warning("a member is let go that either Redis or this node does not know")
            if (id_, attach) in there:
                await self._ask("lose", id_, attach)
            else:
                self._detach(id_, attach, CLOSE_RESTART, "this server has lost the member")

    async def _register_all(self) -> None:
        for id_, local in tuple(self._local.items()):
            if not local.is_settled:
                continue  # it asks again, and Redis decides
            try:
                await self._ask(
                    "register",
                    id_,
                    local.room,
                    local.public,
                    local.attach,
                    int(local.may_kick),
                    local.received,
                    local.seq,
                )
            except NetworkError:  # with the next beat, under another generation: all of them
                self._generation = ""
                raise

    async def _doubt_all(self) -> None:
        """Tell the members of this node who is there, and that messages on their way may be lost."""
        await asyncio.sleep(_SETTLE)
        for id_, local in tuple(self._local.items()):
            with contextlib.suppress(NetworkError):
                (others,) = await self._ask("others", local.room, id_)
                assert self._sink is not None
                self._sink.doubt(id_, others)

    def _detach_all(self) -> None:
        for id_, local in tuple(self._local.items()):
            self._detach(id_, local.attach, CLOSE_RESTART, "this server restarts")

    def _forget(self, id: str, attach: str) -> None:
        local = self._local.get(id)
        if local is not None and local.attach == attach:
            del self._local[id]

    def _detach(self, id: str, attach: str, code: int, reason: str) -> None:
        self._forget(id, attach)
        assert self._sink is not None
        self._sink.detach(id, attach, code, reason)

    # -- what is for the members of this node ------------------------------------------------------

    async def _read_forever(self) -> None:
        last = "0"
        generation = self._generation
        while True:
            if generation != self._generation:
                last, generation = "0", self._generation
            stream = f"{self._prefix}node:{self._node}"
            try:
                if self._is_behind:
                    await self._catch_up()
                    self._is_behind = False
                answer = await self._client.xread({stream: last}, count=_READ_COUNT, block=_BLOCK_MS)
                entries = answer[0][1] if answer else []
                if len(entries) == _READ_COUNT and last != "0":
                    oldest = await self._client.xrange(stream, count=1)
                    if oldest and _position(oldest[0][0]) > _position(last):
                        logger.warning("this node has read too late: entries of its stream are gone")
                        self._is_behind = self._is_trimmed = True
                for last, fields in entries:  # noqa: B007  # where to go on
                    if generation != self._generation:
                        break  # of the memory that was lost: these numbers are given again
                    await self._take(fields)
                if self._is_trimmed and len(entries) < _READ_COUNT:
                    self._is_trimmed = False
                    await self._catch_up(closing=True)
            except (RedisError, OSError, TimeoutError, NetworkError) as error:
                logger.warning("the stream of this node cannot be read: %s", type(error).__name__)
                self._is_behind = True
                await asyncio.sleep(_RETRY)

    async def _take(self, fields: dict[str, str]) -> None:
        if fields["k"] == "detach":
            self._detach(fields["m"], fields["a"], int(fields["c"]), fields["r"])
            return
        words = fields["m"].split(" ")
        for id_, number in zip(words[::2], words[1::2], strict=True):
            local, seq = self._local.get(id_), int(number)
            if local is None or seq <= local.seq:
                continue
            if seq == local.seq + 1 and fields["f"]:
                self._deliver(id_, local, [(seq, fields["f"])])
            else:
                await self._fill(id_, local)

    async def _fill(self, id: str, local: _Local, *, closing: bool = False) -> None:
        """Deliver everything that the member has not had, from its own stream; `closing`: or close its lost socket."""
        missed, code = await self._ask("missed", id, local.seq, local.attach)
        if self._local.get(id) is not local:
            return  # it is another socket's by now, which gets it all
        frames = [frame for frame in _numbered(missed) if frame[0] > local.seq]
        if frames and frames[0][0] != local.seq + 1:
            self._detach(id, local.attach, CLOSE_RESTART, "frames are missing")
        elif code and closing and local.is_settled:
            self._detach(id, local.attach, int(code), "this socket is no longer the member's")
        else:
            self._deliver(id, local, frames)

    async def _catch_up(self, *, closing: bool = False) -> None:
        for id_, local in tuple(self._local.items()):
            await self._fill(id_, local, closing=closing)

    def _deliver(self, id: str, local: _Local, frames: Iterable[tuple[int, str]]) -> None:
        assert self._sink is not None
        for seq, text in frames:
            local.seq = seq
            self._sink.deliver(id, seq, text)

    async def _acknowledge_forever(self) -> None:
        while True:
            await self._acks_wanted.wait()
            await asyncio.sleep(_ACK_TIME)
            self._acks_wanted.clear()
            acks, self._acks = self._acks, {}
            items = list(acks.items())
            for first in range(0, len(items), _ACKS):
                some = items[first : first + _ACKS]
                try:
                    await self._ask("acknowledge", *(value for id_, ack in some for value in (id_, *ack)))
                except NetworkError:
                    for id_, ack in some:
                        self._acks.setdefault(id_, ack)
            if self._acks:
                self._acks_wanted.set()
                await asyncio.sleep(_RETRY)


def _position(entry: str) -> tuple[int, ...]:
    """The id of an entry of a stream, to compare."""
    return tuple(map(int, entry.split("-")))


def _numbered(values: list[str]) -> list[tuple[int, str]]:
    """Pairs of a number and a text, from a list in which they alternate."""
    return [(int(seq), text) for seq, text in zip(values[::2], values[1::2], strict=True)]
