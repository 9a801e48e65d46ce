"""Frames of the room protocol (docs/rooms-wire.md): reading, checking and writing them. Pure.

Owns: the form of every frame in both directions and the bounds of its members. Never: I/O, a clock, a room.

A frame is a JSON object in one text message of a WebSocket. What arrives is checked here once: whoever gets a frame
from `read_client_frame_untrusted` or `read_server_frame_untrusted` may rely on its members and their types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn, get_args

from rtcpeer.errors import OperationError, RTCSyntaxError

Mode = Literal["open", "join", "openOrJoin"]
Frame = dict[str, Any]

#: A frame is at most so long, in characters; frames are ASCII, so these are bytes.
MAX_FRAME: Final = 262_144
#: A frame of a server, which may list all members of a room.
MAX_SERVER_FRAME: Final = 4_194_304
#: The metadata of a member, as JSON.
MAX_METADATA: Final = 4096
#: Names, ids and reasons.
MAX_NAME: Final = 200
MAX_TOKEN: Final = 2000
MAX_MEMBERS_READ: Final = 10_000

#: Close codes of the WebSocket.
CLOSE_GOING_AWAY: Final = 1001
CLOSE_PROTOCOL: Final = 1002
CLOSE_RESTART: Final = 1012
CLOSE_SLOW: Final = 1013
CLOSE_SUPERSEDED: Final = 4001
CLOSE_KICKED: Final = 4003
CLOSE_TIMEOUT: Final = 4008

_STRINGS: Final = ("room", "name", "mode", "to", "from", "id", "reason", "code", "token", "resume")
# the largest integer that JavaScript counts exactly
_MAX_NUMBER: Final = 2**53 - 1


class RoomError(OperationError):
    """The room server refuses.

    Attributes:
        code: "exists", "not-found", "full", "forbidden", "not-entered", "no-member", "bad-frame", "draining", "rate",
            "backlog", "kicked", "unavailable" or "superseded".
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, fault="caller")
        self.code = code


def write_frame(frame: Mapping[str, Any], bound: int = MAX_FRAME) -> str:
    """The text of a frame, of at most `bound` bytes.

    Raises:
        ValueError: it is too large, or holds something that JSON has no form for (NaN, an object of Python's).
        TypeError: the same.
    """
    try:
        text = json.dumps(frame, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("the message is nested too deeply") from None
    if len(text) > bound:
        raise ValueError(f"the message has {len(text)} bytes as JSON; a frame takes {bound}")
    return text


def with_number(seq: int, text: str) -> str:
    """The text of a frame with its sequence number in front."""
    return f'{{"seq":{seq},{text[1:]}'


def read_client_frame_untrusted(text: str | bytes) -> Frame:
    """Read a frame that a client has sent.

    Raises:
        RTCSyntaxError: it is none; the fault is "remote".
    """
    frame = _read(text, MAX_FRAME)
    match frame["type"]:
        case "enter":
            if not frame.get("room"):
                _refuse("the room has no name")
            if frame.setdefault("mode", "openOrJoin") not in get_args(Mode):
                _refuse(f"mode must be one of {', '.join(get_args(Mode))}")
            _check_metadata(frame.setdefault("metadata", {}))
            frame.setdefault("received", 0)
        case "presence":
            _check_strings(frame, "room")
        case "message":
            _check_strings(frame, "to")
            if not isinstance(frame.get("message"), dict):
                _refuse("the message is not an object")
        case "broadcast":
            if "message" not in frame:
                _refuse("the broadcast has no message")
        case "close" | "kick":
            _check_strings(frame, "to")
        case "metadata":
            _check_metadata(frame.get("metadata"))
        case "ack":
            if "seq" not in frame:
                _refuse("the acknowledgement has no number")
        case "leave":
            pass
        case kind:
            _refuse(f"there is no frame of type {kind[:50]!r}")
    return frame


def read_server_frame_untrusted(text: str | bytes) -> Frame:
    """Read a frame that a server has sent. One of a type that is not known here is returned as it is.

    Raises:
        RTCSyntaxError: it is none; the fault is "remote".
    """
    frame = _read(text, MAX_SERVER_FRAME)
    match frame["type"]:
        case "entered":
            _check_strings(frame, "id", "token")
            _check_members(frame.setdefault("members", []))
            for name in ("received", "seq"):
                frame.setdefault(name, 0)
        case "members":
            _check_members(frame.get("members"))
        case "joined":
            _check_members([frame.get("member")])
        case "message":
            _check_strings(frame, "from")
            if not isinstance(frame.get("message"), dict):
                _refuse("the message is not an object")
        case "broadcast":
            _check_strings(frame, "from")
            frame.setdefault("message", None)
        case "metadata":
            _check_strings(frame, "id")
            _check_metadata(frame.get("metadata"))
        case "left" | "away" | "back":
            _check_strings(frame, "id")
        case "close":
            _check_strings(frame, "from")
        case "ack":
            if "seq" not in frame:
                _refuse("the acknowledgement has no number")
        case "presence":
            if type(frame.get("members")) is not int:
                _refuse("the presence has no number of members")
        case "iceServers":
            if not isinstance(frame.get("iceServers"), list):
                _refuse("the ICE servers are no list")
    ttl = frame.get("ttl")
    if ttl is not None and (type(ttl) not in (int, float) or ttl < 0):
        _refuse("the time to live is no number of seconds")
    return frame


def _read(text: str | bytes, bound: int) -> Frame:
    if len(text) > bound:
        _refuse("the frame is too large")
    try:
        frame = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        _refuse("the frame is not JSON")
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        _refuse("the frame is not an object with a type")
    for name in _STRINGS:
        value = frame.get(name)
        bound = MAX_TOKEN if name in ("token", "resume") else MAX_NAME
        if value is not None and (not isinstance(value, str) or len(value) > bound):
            _refuse(f"{name!r} of the frame is no short string")
    for name in ("seq", "ack", "received"):
        value = frame.get(name)
        if name in frame and (type(value) is not int or not 0 <= value <= _MAX_NUMBER):
            _refuse(f"{name!r} of the frame is no sequence number")
    return frame


def _check_strings(frame: Frame, *names: str) -> None:
    for name in names:
        if not isinstance(frame.get(name), str) or not frame[name]:
            _refuse(f"the frame {frame['type']!r} has no {name!r}")


def _check_metadata(value: Any) -> None:
    if not isinstance(value, dict):
        _refuse("the metadata is not an object")
    try:
        size = len(json.dumps(value, separators=(",", ":")))
    except (ValueError, RecursionError):
        _refuse("the metadata is nested too deeply")
    if size > MAX_METADATA:
        _refuse(f"the metadata is longer than {MAX_METADATA} bytes")


def _check_members(value: Any) -> None:
    if not isinstance(value, list) or len(value) > MAX_MEMBERS_READ:
        _refuse("the members are no list")
    for member in value:
        if not isinstance(member, dict) or not isinstance(member.get("id"), str) or not member["id"]:
            _refuse("a member has no id")
        if not isinstance(member.get("name"), str | None) or not isinstance(
            member.setdefault("metadata", {}), dict
        ):
            _refuse("a member has no readable name or metadata")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("out of range")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse(reason: str) -> NoReturn:
    raise RTCSyntaxError(reason, fault="remote")
