"""Rooms: who is in them, and who gets which message. The part of the room server that knows no socket.

Owns: the rooms of one process, in memory. Never: I/O, a clock (whoever keeps time calls `expire`), the content of a
message, which is relayed as it is.

The wire (JSON text frames; `roomclient` and any browser page speak it):

    client                                              server
    {"type": "enter", "room": r, "mode": "openOrJoin"}  {"type": "entered", "room", "id", "token", "opened", "members"}
    {"type": "enter", ..., "resume": token}             the same, within a grace time after the socket was lost
    {"type": "presence", "room": r}                     {"type": "presence", "room": r, "members": n}
    {"type": "message", "to": id, "message": {...}}     {"type": "message", "from": id, "message": {...}}
    {"type": "close", "to": id}                         {"type": "close", "from": id}
    {"type": "leave"}                                   {"type": "joined", "member": {...}}, {"type": "left", "id"}
                                                        {"type": "error", "code", "reason"}
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rtcpeer.errors import OperationError, RTCSyntaxError

Mode = Literal["open", "join", "openOrJoin"]
Frame = Mapping[str, Any]

MAX_FRAME = 1_000_000
_MAX_NAME = 200
# what waits for a member whose socket was lost
_BACKLOG = 256


class RoomError(OperationError):
    """The server refuses.

    Attributes:
        code: "exists", "not-found", "full", "forbidden", "not-entered", "no-member" or "bad-frame".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, fault="caller")
        self.code = code


@dataclass(eq=False, slots=True)
class Member:
    """One client in one room.

    Attributes:
        id: unique in the process; told to the others.
        token: told to the member alone; with it, it comes back.
        deliver: takes frames for it; None while its socket is lost.
    """

    id: str
    token: str
    name: str | None
    room: str
    deliver: Callable[[Frame], None] | None
    _backlog: deque[Frame] = field(default_factory=lambda: deque(maxlen=_BACKLOG))

    @property
    def public(self) -> dict[str, Any]:
        """What the others may know."""
        return {"id": self.id, "name": self.name}

    def tell(self, frame: Frame) -> None:
        """Deliver a frame, or keep it until the member is back."""
        if self.deliver is not None:
            self.deliver(frame)
        else:
            self._backlog.append(frame)

    def resume(self, deliver: Callable[[Frame], None]) -> list[Frame]:
        """The member is back; returns what it has missed."""
        self.deliver = deliver
        missed = list(self._backlog)
        self._backlog.clear()
        return missed


class Rooms:
    """All rooms of a process.

    Args:
        max_rooms: more are refused.
        max_members: of one room.
        new_id: makes ids and tokens that nobody guesses.
    """

    def __init__(
        self,
        *,
        max_rooms: int = 10_000,
        max_members: int = 100,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(12),
    ) -> None:
        self._max_rooms = max_rooms
        self._max_members = max_members
        self._new_id = new_id
        self._rooms: dict[str, dict[str, Member]] = {}
        self._tokens: dict[str, Member] = {}

    def __repr__(self) -> str:
        return f"<Rooms {len(self._rooms)} rooms, {len(self._tokens)} members>"

    def presence(self, room: str) -> int:
        """How many members a room has; 0: there is none of that name."""
        return len(self._rooms.get(room, ()))

    def check(self, room: str, mode: Mode) -> None:
        """Whether one could enter.

        Raises:
            RoomError: one could not.
        """
        members = self._rooms.get(room)
        if members is None and mode == "join":
            raise RoomError("not-found", f"there is no room {room!r}")
        if members is not None and mode == "open":
            raise RoomError("exists", f"the room {room!r} exists already")
        if members is None and len(self._rooms) >= self._max_rooms:
            raise RoomError("full", "there are too many rooms")
        if members is not None and len(members) >= self._max_members:
            raise RoomError("full", f"the room {room!r} is full")

    def enter(
        self, room: str, mode: Mode, name: str | None, deliver: Callable[[Frame], None]
    ) -> tuple[Member, dict[str, Any]]:
        """Enter a room.

        Returns:
            The member, and the frame that tells it so.

        Raises:
            RoomError: see `check`.
        """
        self.check(room, mode)
        opened = room not in self._rooms
        members = self._rooms.setdefault(room, {})
        member = Member(self._new_id(), self._new_id(), name, room, deliver)
        entered = self._entered(member, opened=opened)
        self._tell_others(member, {"type": "joined", "member": member.public})
        members[member.id] = member
        self._tokens[member.token] = member
        return member, entered

    def resume(
        self, token: str, deliver: Callable[[Frame], None]
    ) -> tuple[Member, dict[str, Any], list[Frame]] | None:
        """Come back after the socket was lost.

        Returns:
            The member, the frame that tells it so, what it has missed; None when it is too late.
        """
        member = self._tokens.get(token)
        if member is None:
            return None
        missed = member.resume(deliver)
        return member, self._entered(member, opened=False), missed

    def relay(self, member: Member, frame: Frame) -> None:
        """Hand a "message" or "close" frame on.

        Raises:
            RoomError: the addressee is not in the room.
        """
        other = self._rooms.get(member.room, {}).get(str(frame.get("to")))
        if other is None or other is member:
            raise RoomError("no-member", "the addressee is not in the room")
        handed = {"type": frame["type"], "from": member.id}
        if "message" in frame:
            handed["message"] = frame["message"]
        other.tell(handed)

    def lost(self, member: Member, deliver: Callable[[Frame], None]) -> bool:
        """The socket of a member was lost; frames wait. False if it has another one already."""
        if member.deliver != deliver:  # bound methods are equal, never identical
            return False
        member.deliver = None
        return True

    def leave(self, member: Member) -> None:
        """The member leaves, or did not come back in time. Idempotent; empty rooms vanish."""
        members = self._rooms.get(member.room, {})
        if members.pop(member.id, None) is None:
            return
        self._tokens.pop(member.token, None)
        member.deliver = None
        if members:
            self._tell_others(member, {"type": "left", "id": member.id})
        else:
            del self._rooms[member.room]

    def _entered(self, member: Member, *, opened: bool) -> dict[str, Any]:
        others = [other.public for other in self._rooms[member.room].values() if other is not member]
        return {
            "type": "entered",
            "room": member.room,
            "id": member.id,
            "token": member.token,
            "opened": opened,
            "members": others,
        }

    def _tell_others(self, member: Member, frame: Frame) -> None:
        for other in tuple(self._rooms.get(member.room, {}).values()):
            if other is not member:
                other.tell(frame)


def read_frame_untrusted(text: str | bytes) -> dict[str, Any]:
    """Read one frame.

    Raises:
        RTCSyntaxError: it is no JSON object with a "type", or too large, or a member has the wrong type.
    """
    if len(text) > MAX_FRAME:
        raise RTCSyntaxError("the frame is too large", fault="remote")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise RTCSyntaxError("the frame is not JSON", fault="remote") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise RTCSyntaxError("the frame is not an object with a type", fault="remote")
    for member in ("room", "name", "mode", "resume", "to", "from", "id", "token"):
        value = frame.get(member)
        if value is not None and (not isinstance(value, str) or len(value) > _MAX_NAME):
            raise RTCSyntaxError(f"{member!r} of the frame is no short string", fault="remote")
    if frame["type"] == "enter":
        if not frame.get("room"):
            raise RTCSyntaxError("the room has no name", fault="remote")
        if frame.setdefault("mode", "openOrJoin") not in get_args(Mode):
            raise RTCSyntaxError(f"mode must be one of {', '.join(get_args(Mode))}", fault="remote")
    if frame["type"] == "message" and not isinstance(frame.get("message"), dict):
        raise RTCSyntaxError("the message is not an object", fault="remote")
    return frame
