"""Room backends: where the members of all rooms are kept. The protocol, and the backend in the memory of one process.

Owns: the records that pass between a `RoomServer` (a node) and its backend. Never: a socket, the text of a message.

What every backend promises: operations on a room happen one after the other, in the same order for all nodes;
each frame for a member has the next number of that member, and is kept until it is acknowledged; an operation
with a number that was done before does nothing, so a node may repeat what it has no answer to.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from rtcpeer.signaling.rooms.state import Entered, Entry, Limits, NodeSink, Rooms, Submission

# timers of a room server need not be exact
_SLACK: Final = 0.01


class RoomBackend(Protocol):
    """Storage of rooms: `MemoryBackend` is the default; `RedisBackend` is for several processes.

    All methods but `start` and `close` raise NetworkError when the place cannot be reached; what was asked
    may have been done or not, and asking again with the same arguments is harmless.

    Attributes:
        shared: whether several servers may use the same rooms.
    """

    shared: bool

    async def start(self, sink: NodeSink, grace: float) -> None:
        """Begin; `sink` takes what is for the members of this node. `grace`: how long one may be away, in seconds."""
        ...

    async def close(self) -> None:
        """End: the members of this node are away. Idempotent."""
        ...

    async def enter(self, entry: Entry) -> Entered:
        """A new member. RoomError: "exists", "not-found" or "full"."""
        ...

    async def resume(self, id: str, room: str, attach: str, received: int) -> Entered | None:
        """A member is back on a new socket, at this node; None: it is not known any more."""
        ...

    async def submit(self, id: str, attach: str, seq: int, submission: Submission) -> None:
        """Take what a member sends or changes. RoomError "superseded": that socket is no longer the member's."""
        ...

    async def acknowledge(self, id: str, attach: str, seq: int) -> None:
        """A member has everything up to this number."""
        ...

    async def lose(self, id: str, attach: str) -> None:
        """The socket of a member is lost."""
        ...

    async def leave(self, id: str, attach: str) -> None:
        """A member leaves."""
        ...

    async def kick(self, room: str, id: str, reason: str) -> bool:
        """Remove a member; False: there is none."""
        ...

    async def presence(self, room: str) -> int:
        """How many members a room has."""
        ...


class MemoryBackend:
    """Rooms of one process, for one server.

    Args:
        max_rooms: more are refused.
        max_members: of one room.
        backlog: bytes that wait for one member, at most.
    """

    shared = False

    def __init__(self, *, max_rooms: int = 10_000, max_members: int = 100, backlog: int = 1_048_576) -> None:
        self._limits = Limits(max_rooms, max_members, backlog)
        self._rooms: Rooms | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<MemoryBackend {self._rooms!r}>"

    @property
    def rooms(self) -> Rooms:
        """The rooms; there are some from `start` on."""
        assert self._rooms is not None, "the backend was not started"
        return self._rooms

    async def start(self, sink: NodeSink, grace: float) -> None:
        """Begin with no room."""
        self._rooms = Rooms(sink, grace, self._limits)

    async def close(self) -> None:
        """Forget the rooms."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def enter(self, entry: Entry) -> Entered:
        """Implements `RoomBackend.enter`."""
        return self.rooms.enter(entry)

    async def resume(self, id: str, room: str, attach: str, received: int) -> Entered | None:
        """Implements `RoomBackend.resume`."""
        return self.rooms.resume(id, room, attach, received)

    async def submit(self, id: str, attach: str, seq: int, submission: Submission) -> None:
        """Implements `RoomBackend.submit`."""
        self.rooms.submit(id, attach, seq, submission, asyncio.get_running_loop().time())
        self._set_timer()

    async def acknowledge(self, id: str, attach: str, seq: int) -> None:
        """Implements `RoomBackend.acknowledge`."""
        self.rooms.acknowledge(id, attach, seq)

    async def lose(self, id: str, attach: str) -> None:
        """Implements `RoomBackend.lose`."""
        self.rooms.lose(id, attach, asyncio.get_running_loop().time())
        self._set_timer()

    async def leave(self, id: str, attach: str) -> None:
        """Implements `RoomBackend.leave`."""
        self.rooms.leave(id, attach)

    async def kick(self, room: str, id: str, reason: str) -> bool:
        """Implements `RoomBackend.kick`."""
        return self.rooms.kick(room, id, reason)

    async def presence(self, room: str) -> int:
        """Implements `RoomBackend.presence`."""
        return self.rooms.presence(room)

    def _set_timer(self) -> None:
        due = self.rooms.next_expiry
        if due is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due + _SLACK, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.rooms.expire(asyncio.get_running_loop().time())
        self._set_timer()
