"""Signaling channel: the protocol that a signaling path fulfils, the forms of a message, an in-memory pair.

Owns: the protocol and the reading of messages. Never: a socket (that is in `rooms`), a decision about
negotiation.

A message is a session description or an ICE candidate in the form that a browser's ``JSON.stringify`` gives:
``{"type": "offer", "sdp": "v=0..."}`` or ``{"candidate": "candidate:...", "sdpMid": "0", ...}``. Nothing else
needs to pass, so any path of an existing application will do. It may lose, repeat and reorder messages: the
negotiator copes, slower. What a path promises beyond that, and what it cannot do, its `capabilities` say.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

from rtcpeer.aio import Inbox
from rtcpeer.errors import InvalidStateError, RTCSyntaxError
from rtcpeer.sdp.text import MAX_LENGTH

Message = Mapping[str, Any]

_TYPES = ("offer", "answer", "pranswer", "rollback")


@runtime_checkable
class SignalingChannel(Protocol):
    """A path to the other side. `check_signaling_channel` tests an implementation.

    `send` takes a description or candidate as `as_message` does: an object with ``toJSON()`` or a mapping. It
    returns when the message is on its way and raises if it certainly is not. Iteration yields messages as
    mappings, in the order in which they arrived, and ends when the channel is closed from either end. `close`
    is idempotent.

    Some things more are read where a channel has them: `capabilities`, a `ChannelCapabilities`, says what it promises
    and cannot do; ``await send_candidates(messages)`` takes the candidates of up to 20 ms together; where
    `capabilities.restart` is "ask", ``await request_restart()`` asks the other side for a restart of ICE. A service
    that says no makes `send` raise `SignalingRefused`. `SupervisedPeer` also reads `configuration`, a mapping of
    members that its connections take where the application left the default, and `ice_servers`, a list of
    `RTCIceServer` that the service recommends for the next gathering.
    """

    async def send(self, message: Any, /) -> None:
        """Send a description or a candidate."""
        ...

    def __aiter__(self) -> AsyncIterator[Message]:
        """An iterator over the messages that arrive."""
        ...

    async def close(self) -> None:
        """Close the channel; iterating over it ends."""
        ...


def as_message(value: Any) -> dict[str, Any]:
    """The JSON form of a description or candidate.

    Args:
        value: an `RTCSessionDescription`, an `RTCIceCandidate`, or anything with ``toJSON()``; a description of
            another stack, with `type` and `sdp`; or a mapping.

    Raises:
        TypeError: it is none of these.
    """
    to_json = getattr(value, "toJSON", None)
    if callable(to_json):
        value = to_json()
    elif hasattr(value, "sdp") and hasattr(value, "type"):
        value = {"type": str(value.type), "sdp": value.sdp}
    if not isinstance(value, Mapping):
        raise TypeError(f"a message is a description or a candidate, not {type(value).__name__}")
    return {str(key): getattr(member, "value", member) for key, member in value.items()}


def read_message_untrusted(value: Any) -> Message:
    """Check and unwrap what arrived.

    The wrapped forms ``{"description": {...}}``, ``{"sdp": {...}}`` and ``{"candidate": {...}}``, which many
    programs send, are unwrapped; a candidate of None becomes the empty candidate, which means the end of
    candidates.

    Returns:
        A description (with "type" and "sdp") or a candidate (with "candidate").

    Raises:
        RTCSyntaxError: it is neither; the fault is "remote".
    """
    if isinstance(value, Mapping):
        for wrapper in ("description", "sdp", "candidate"):
            inner = value.get(wrapper)
            if isinstance(inner, Mapping):
                value = inner
                break
    if not isinstance(value, Mapping):
        raise RTCSyntaxError("the signaling message is not an object", fault="remote")
    if "type" in value and ("sdp" in value or value["type"] == "rollback"):
        if value["type"] not in _TYPES or not isinstance(value.get("sdp", ""), str):
            raise RTCSyntaxError("the signaling message is no description", fault="remote")
        if len(value.get("sdp", "")) > MAX_LENGTH:
            raise RTCSyntaxError(f"the description is longer than {MAX_LENGTH} characters", fault="remote")
        return value
    if "candidate" in value:
        if value["candidate"] is None:
            return {**value, "candidate": ""}
        if isinstance(value["candidate"], str):
            return value
    raise RTCSyntaxError("the signaling message is neither a description nor a candidate", fault="remote")


class MemoryChannel:
    """One end of an in-memory path within one process; `memory_pair` makes both.

    Attributes:
        sent: how many messages this end has sent.
        lost: how many of them the path has lost.
    """

    def __init__(self, path: _Path) -> None:
        self._path = path
        self._peer: MemoryChannel | None = None
        self._inbox: Inbox[Message] = Inbox()
        self._last = -math.inf  # loop time at which the newest message arrives
        self.sent: int = 0
        self.lost: int = 0

    def __repr__(self) -> str:
        return f"<MemoryChannel {'closed' if self._inbox.is_ended else 'open'}, {self.sent} sent>"

    async def send(self, message: Any, /) -> None:
        """Send a description or candidate; it passes through JSON, as on a real path.

        Raises:
            InvalidStateError: the channel is closed.
        """
        if self._inbox.is_ended or self._peer is None:
            raise InvalidStateError("the signaling channel is closed")
        text = json.dumps(as_message(message))
        self.sent += 1
        delays = self._path.delays()
        self.lost += not delays
        for delay in delays:
            self._after(delay, self._peer._arrive, json.loads(text))

    async def close(self) -> None:
        """Close this end now, and the other when what was sent before has arrived there."""
        if self._inbox.is_ended:
            return
        self._end()
        if self._peer is not None:
            self._after(self._path.longest, self._peer._end)

    def _after(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do something at the other end, after what was sent earlier unless the path reorders."""
        if delay <= 0:
            action(*arguments)
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if self._path.keeps_order:  # timers of the same moment fire in any order
            when = self._last = max(when, math.nextafter(self._last, math.inf))
        loop.call_at(when, action, *arguments)

    def _end(self) -> None:
        self._inbox.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return await self._inbox.get()

    def _arrive(self, message: Message) -> None:
        self._inbox.put(message)


class _Path:
    """The fate of a message on a path, as a list of delays: none (lost), one, or two (repeated)."""

    def __init__(
        self, delay: float, jitter: float, loss: float, repeat: float, random_source: random.Random | None
    ) -> None:
        self._delay = delay
        self._jitter = jitter
        self._loss = loss
        self._repeat = repeat
        self._random = random_source or random.Random(0)
        self.is_up = True

    @property
    def keeps_order(self) -> bool:
        return not self._jitter

    @property
    def longest(self) -> float:
        return self._delay + self._jitter

    def delays(self) -> list[float]:
        draw = self._random.random
        if not self.is_up or (self._loss and draw() < self._loss):
            return []
        count = 2 if self._repeat and draw() < self._repeat else 1
        return [self._delay + (self._jitter * draw() if self._jitter else 0.0) for _ in range(count)]


class MemoryPair(tuple[MemoryChannel, MemoryChannel]):
    """Two connected ends: ``a, b = memory_pair()``.

    Set `is_up` to False, and both directions lose everything until it is True again.
    """

    _path: _Path

    @property
    def is_up(self) -> bool:
        """Whether messages pass."""
        return self._path.is_up

    @is_up.setter
    def is_up(self, value: bool) -> None:
        self._path.is_up = value


def memory_pair(
    *,
    delay: float = 0.0,
    jitter: float = 0.0,
    loss: float = 0.0,
    repeat: float = 0.0,
    random_source: random.Random | None = None,
) -> MemoryPair:
    """A signaling path within the process, as bad as wanted.

    Args:
        delay: seconds that each message takes.
        jitter: up to so much longer, drawn for each message, so that they overtake one another.
        loss: probability that a message is lost.
        repeat: probability that a message arrives twice.
        random_source: where the path draws from; the same numbers every time by default.
    """
    path = _Path(delay, jitter, loss, repeat, random_source)
    first, second = MemoryChannel(path), MemoryChannel(path)
    first._peer, second._peer = second, first
    pair = MemoryPair((first, second))
    pair._path = path
    return pair
