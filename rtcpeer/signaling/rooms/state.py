"""Rooms: who is in them, and who gets which frame under which number. The state behind the room server; no socket.

Owns: the rooms of one process, in memory. Never: I/O, a clock (the time is an argument), the content of a
message, which is relayed as it is. The same steps, as one script, are in `redis.lua`.

Every frame for a member gets the member's next number and is kept until the member acknowledges it. A member
whose socket is lost is *away*: its frames are kept, and it may come back within the grace time and get
exactly what it has not had. What a member sends is numbered too; a number that was seen is done already. What
cannot reach its addressee is reported to the sender by a frame "lost".
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import field
from typing import Any, Final, Literal, Protocol

from rtcpeer.records import record
from rtcpeer.signaling.rooms.wire import CLOSE_KICKED, CLOSE_SLOW, CLOSE_SUPERSEDED, Mode, RoomError

#: What a frame costs besides its text, in bytes.
OVERHEAD: Final = 100
#: Events of the room are kept for a member in addition to messages; who has more waiting than that is removed
EVENTS: Final = 262_144

LeaveReason = Literal["left", "expired", "kicked", "backlog", "node"]


class NodeSink(Protocol):
    """The server's side of a backend: where frames for members of this node go. Nothing of it may raise."""

    def deliver(self, id: str, seq: int, text: str) -> None:
        """A frame for a member, in the order of its numbers."""
        ...

    def detach(self, id: str, attach: str, code: int, reason: str) -> None:
        """Close this socket, which is no longer the member's. With `CLOSE_RESTART`, `lose` has to follow."""
        ...

    def doubt(self, id: str, members: list[str]) -> None:
        """Frames of this member may be lost, since the backend has lost its memory; `members`: who is there now."""
        ...


@record(frozen=True, slots=True)
class Limits:
    """Bounds of a backend; see `MemoryBackend`."""

    max_rooms: int
    max_members: int
    backlog: int


@record(frozen=True, slots=True)
class Entry:
    """Somebody who enters.

    Attributes:
        id: made by the server; nobody guesses it.
        room: to enter.
        mode: whether it must be there, or must not.
        public: the JSON object that the others see (`public_text`).
        attach: names the socket.
        may_kick: whether it may remove others.
    """

    id: str
    room: str
    mode: Mode
    public: str
    attach: str
    may_kick: bool = False


@record(frozen=True, slots=True)
class Entered:
    """The state of the room for a member that enters or comes back.

    Attributes:
        opened: whether it has opened the room.
        members: the others, each a JSON object.
        received: the number of its last frame that was accepted.
        seq: the number of the last frame for it that it has had.
        missed: frames for it after that, with their numbers.
    """

    opened: bool
    members: list[str]
    received: int = 0
    seq: int = 0
    missed: list[tuple[int, str]] = field(default_factory=list)


@record(frozen=True, slots=True)
class Submission:
    """A message or a change from a member.

    Attributes:
        kind: what it is.
        to: the addressee, of "message", "close" and "kick".
        text: the frame for the others, without a number.
        public: of "metadata": what the others see from now on.
        reason: of "kick".
    """

    kind: Literal["message", "close", "broadcast", "metadata", "kick"]
    to: str = ""
    text: str = ""
    public: str = ""
    reason: str = ""


def public_text(id: str, name: str | None, metadata: dict[str, Any], *, away: bool = False) -> str:
    """The public description of a member, for the others, as JSON."""
    return json.dumps(
        {"id": id, "name": name, "metadata": metadata, "away": away}, separators=(",", ":"), allow_nan=False
    )


def lost_text(number: int, to: str, code: str) -> str:
    """The frame that reports a frame of the member's own as lost."""
    return f'{{"type":"lost","number":{number},"to":{json.dumps(to)},"code":"{code}"}}'


def left_text(id: str, reason: str) -> str:
    """The frame that reports that a member is gone."""
    return f'{{"type":"left","id":"{id}","reason":"{reason}"}}'


@record(eq=False, slots=True)
class Member:
    """A client in a room, as the server knows it.

    Attributes:
        id: unique.
        room: its name.
        public: what the others see.
        attach: names its socket; "" while it is away.
        may_kick: whether it may remove others.
        received: the number of its last frame.
        seq: the number of the last frame for it.
        backlog: frames that it has not acknowledged.
        backlog_bytes: their size, with what each costs besides.
    """

    id: str
    room: str
    public: str
    attach: str
    may_kick: bool
    received: int = 0
    seq: int = 0
    backlog: deque[tuple[int, str]] = field(default_factory=deque)
    backlog_bytes: int = 0

    def acknowledge(self, seq: int) -> None:
        """Forget what it has."""
        while self.backlog and self.backlog[0][0] <= seq:
            self.backlog_bytes -= _size(self.backlog.popleft()[1])


class Rooms:
    """All rooms of a process.

    Args:
        sink: takes what is for the members.
        grace: how long a member may be away, in seconds.
        limits: bounds.
    """

    def __init__(self, sink: NodeSink, grace: float, limits: Limits) -> None:
        self._sink = sink
        self._grace = grace
        self._limits = limits
        self._rooms: dict[str, dict[str, Member]] = {}
        self._members: dict[str, Member] = {}
        self._away: OrderedDict[str, float] = (
            OrderedDict()
        )  # id -> when it is too late; the first is due first
        # what rooms are to be told of who is gone; and whether somebody is telling them
        self._departures: deque[tuple[str, str]] = deque()
        self._is_telling = False

    def __repr__(self) -> str:
        return f"<Rooms {len(self._rooms)} rooms, {len(self._members)} members, {len(self._away)} away>"

    @property
    def next_expiry(self) -> float | None:
        """When `expire` has something to do."""
        return next(iter(self._away.values()), None)

    def presence(self, room: str) -> int:
        """How many members a room has; 0: there is none of that name."""
        return len(self._rooms.get(room, ()))

    def backlog_bytes(self, id: str) -> int:
        """How much waits for a member."""
        return self._members[id].backlog_bytes

    def enter(self, entry: Entry) -> Entered:
        """A new member.

        Raises:
            RoomError: it cannot enter.
        """
        known = self._members.get(entry.id)
        if known is None:
            self._check(entry.room, entry.mode)
        opened = entry.room not in self._rooms
        members = self._rooms.setdefault(entry.room, {})
        found = [other.public for other in members.values() if other.id != entry.id]
        if known is None:
            member = Member(entry.id, entry.room, entry.public, entry.attach, entry.may_kick)
            self._push_all(tuple(members.values()), f'{{"type":"joined","member":{entry.public}}}')
            members = self._rooms.setdefault(
                entry.room, {}
            )  # somebody may have been removed, and the room with it
            members[entry.id] = self._members[entry.id] = member
        return Entered(opened, found)

    def resume(self, id: str, room: str, attach: str, received: int) -> Entered | None:
        """A member is back on a new socket; None: it is not known, or its frames are not there any more.

        An older socket of the member is detached: the newest one wins.
        """
        member = self._members.get(id)
        if member is None or member.room != room or received > member.seq:
            return None
        if received < (member.backlog[0][0] - 1 if member.backlog else member.seq):
            return None  # it has acknowledged more than it says it has
        if member.attach and member.attach != attach:
            self._sink.detach(id, member.attach, CLOSE_SUPERSEDED, "another socket resumed this member")
        member.acknowledge(received)
        member.attach = attach
        if self._away.pop(id, None) is not None:
            member.public = _set_away(member.public, away=False)
            self._push_all(self._others(member), f'{{"type":"back","id":"{id}"}}')
        others = [other.public for other in self._others(member)]
        return Entered(False, others, member.received, received, list(member.backlog))

    def submit(self, id: str, attach: str, seq: int, submission: Submission, now: float) -> None:
        """Do what a member asks, once.

        Raises:
            RoomError: "superseded": that socket is not the member's; "bad-frame": a number was left out.
        """
        member = self._attached(id, attach)
        if seq <= member.received:
            return
        if seq > member.received + 1:
            raise RoomError("bad-frame", f"number {seq} came after {member.received}: some are missing")
        member.received = seq
        if submission.kind == "broadcast":
            for other in self._others(member):
                if not self._push_message(other, submission.text, now):
                    self._push(member, lost_text(seq, other.id, "backlog"))
        elif submission.kind == "metadata":
            member.public = submission.public
            self._push_all(self._others(member), submission.text)
        else:
            code = self._address(member, submission, now)
            if code:
                self._push(member, lost_text(seq, submission.to, code))

    def acknowledge(self, id: str, attach: str, seq: int) -> None:
        """A member has everything up to this number. A number that was never given is ignored."""
        member = self._members.get(id)
        if member is not None and member.attach == attach and seq <= member.seq:
            member.acknowledge(seq)

    def lose(self, id: str, attach: str, now: float) -> None:
        """The socket of a member is lost; frames wait. Nothing happens if it has another one already."""
        member = self._members.get(id)
        if member is not None and attach and member.attach == attach:
            self._set_away(member, now)

    def leave(self, id: str, attach: str) -> None:
        """The member leaves. Idempotent; empty rooms vanish."""
        member = self._members.get(id)
        if member is not None and member.attach == attach:
            self._remove(member, "left")

    def kick(self, room: str, id: str, reason: str) -> bool:
        """Remove a member; False: there is none."""
        member = self._members.get(id)
        if member is None or member.room != room:
            return False
        if member.attach:
            self._sink.detach(id, member.attach, CLOSE_KICKED, reason)
        self._remove(member, "kicked")
        return True

    def expire(self, now: float) -> None:
        """Remove who was away for too long."""
        while self._away and next(iter(self._away.values())) <= now:
            self._remove(self._members[next(iter(self._away))], "expired")

    # -- inside ------------------------------------------------------------------------------------

    def _check(self, room: str, mode: Mode) -> None:
        members = self._rooms.get(room)
        if members is None and mode == "join":
            raise RoomError("not-found", f"there is no room {room!r}")
        if members is not None and mode == "open":
            raise RoomError("exists", f"the room {room!r} exists already")
        if members is None and len(self._rooms) >= self._limits.max_rooms:
            raise RoomError("full", "there are too many rooms")
        if members is not None and len(members) >= self._limits.max_members:
            raise RoomError("full", f"the room {room!r} is full")

    def _attached(self, id: str, attach: str) -> Member:
        member = self._members.get(id)
        if member is None or member.attach != attach:
            raise RoomError("superseded", "this socket is no longer the member's")
        return member

    def _others(self, member: Member) -> tuple[Member, ...]:
        return tuple(other for other in self._rooms.get(member.room, {}).values() if other is not member)

    def _address(self, member: Member, submission: Submission, now: float) -> str:
        """Do what is for one other member; "" or the code of what was wrong."""
        other = self._rooms[member.room].get(submission.to)
        if other is None or other is member:
            return "no-member"
        if submission.kind == "kick":
            if not member.may_kick:
                return "forbidden"
            self.kick(member.room, other.id, submission.reason)
            return ""
        return "" if self._push_message(other, submission.text, now) else "backlog"

    def _push_message(self, other: Member, text: str, now: float) -> bool:
        """A message for a member; False: too much waits for it already."""
        if other.backlog_bytes + _size(text) <= self._limits.backlog:
            self._push(other, text)
            return True
        if other.attach:  # it does not read, or does not acknowledge
            self._sink.detach(other.id, other.attach, CLOSE_SLOW, "too much waits for this client")
            self._set_away(other, now)
        return False

    def _push_all(self, others: Iterable[Member], text: str) -> None:
        for other in others:
            self._push(other, text)

    def _push(self, member: Member, text: str) -> None:
        """An event for a member. It cannot be refused: who has far too much waiting is removed."""
        if member.id not in self._members:
            return
        size = _size(text)
        if member.backlog_bytes + size > self._limits.backlog + EVENTS:
            if member.attach:
                self._sink.detach(member.id, member.attach, CLOSE_SLOW, "too much waits for this client")
            self._remove(member, "backlog")
            return
        member.seq += 1
        member.backlog.append((member.seq, text))
        member.backlog_bytes += size
        if member.attach:
            self._sink.deliver(member.id, member.seq, text)

    def _set_away(self, member: Member, now: float) -> None:
        member.attach = ""
        member.public = _set_away(member.public, away=True)
        self._away[member.id] = now + self._grace
        self._push_all(self._others(member), f'{{"type":"away","id":"{member.id}"}}')

    def _remove(self, member: Member, reason: LeaveReason) -> None:
        if self._members.pop(member.id, None) is None:
            return
        members = self._rooms[member.room]
        del members[member.id]
        self._away.pop(member.id, None)
        member.attach = ""
        if members:
            self._departures.append((member.room, left_text(member.id, reason)))
        else:
            del self._rooms[member.room]
        if not self._is_telling:
            self._tell_departures()

    def _tell_departures(self) -> None:
        """Tell the others; who has too much waiting with that goes too, however many these are."""
        self._is_telling = True
        try:
            while self._departures:
                room, text = self._departures.popleft()
                self._push_all(tuple(self._rooms.get(room, {}).values()), text)
        finally:
            self._is_telling = False


def _size(text: str) -> int:
    """Bytes that a frame which waits costs; frames are ASCII (`write_frame`)."""
    return len(text) + OVERHEAD


def _set_away(public: str, *, away: bool) -> str:
    """The text ends in the member "away", which `public_text` writes last."""
    return public[: public.rindex(":") + 1] + ("true}" if away else "false}")
