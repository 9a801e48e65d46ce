"""SupervisedChannel: a data channel that outlives its connection.

Owns: the options with which the channel is made again, the messages that wait while there is no connection.
Never: a decision about the connection, the record of what was delivered (`delivery`).

What happens to a message: while the peer is connected and the channel open it is sent at once. Otherwise it
waits, within `QueueLimits`; when that is exceeded the oldest is dropped and told (`messageslost`, certain). A
restart of ICE loses nothing, SCTP repeats. When the connection is made anew, what the old one had not seen
acknowledged is sent again, before all that waits, if the other side is supervised too (see `handover`);
otherwise it is told (`messageslost`, not certain). Messages of a channel that is not reliable never wait and
are never sent again: they would be old.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rtcpeer.media.event_target import Event, close_events, fire, handler
from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.peer.events import MessageEvent, RTCErrorEvent
from rtcpeer.supervisor.delivery import DeliveryRecord, QueueLimits
from rtcpeer.supervisor.events import MessagesLostEvent
from rtcpeer.supervisor.listening import SupervisedChannelEvents
from rtcpeer.supervisor.policy import Reason

__all__ = ["QueueLimits", "SupervisedChannel", "copy_event"]

_CLOSE_DELAY = 0.1


class SupervisedChannel(SupervisedChannelEvents):
    """A data channel that outlives connections, like an RTCDataChannel; `SupervisedPeer.createDataChannel` makes it.

    Events: `open` (each time it can send again), `message`, `messageslost`, `bufferedamountlow`, `error`, `close` (for
    good). Those of the connection's channel carry `generation` as well.
    """

    onopen: handler[Event] = handler("open")
    onmessage: handler[MessageEvent] = handler("message")
    onmessageslost: handler[MessagesLostEvent] = handler("messageslost")
    onbufferedamountlow: handler[Event] = handler("bufferedamountlow")
    onerror: handler[RTCErrorEvent] = handler("error")
    onclose: handler[Event] = handler("close")

    def __init__(
        self,
        label: str,
        options: Mapping[str, Any],
        *,
        is_ours: bool,
        is_connected: Callable[[], bool],
        limits: QueueLimits,
        on_closed: Callable[[SupervisedChannel], None],
    ) -> None:
        self.label = label
        self.options: dict[str, Any] = dict(options)
        self.is_ours = is_ours  # we make it again; else the other side does, unless it is negotiated
        self._is_connected = is_connected
        self._limits = limits
        self._on_closed = on_closed
        self._channel: Any = None  # the RTCDataChannel of the present connection
        self._generation = 0
        self._queue: deque[Any] = deque()
        self._queued_bytes = 0
        self._again: deque[Any] = deque()  # what an earlier connection did not deliver; goes before the queue
        self._again_bytes = 0
        self.delivery: DeliveryRecord = DeliveryRecord(limits)
        # the channel of an earlier connection, whose messages are in doubt until the other peer has spoken, with
        # the reason why it is not in force any more
        self._former: Any = None
        self._former_reason = Reason.START
        self._former_generation = 0
        self._room = asyncio.Event()
        self._room.set()
        self._low_threshold = 0
        self._binary_type: str | None = None
        self._closed = False

    def __repr__(self) -> str:
        waiting = len(self._again) + len(self._queue)
        return f"<SupervisedChannel {self.label!r} {self.readyState}, {waiting} waiting>"

    @property
    def channel(self) -> Any:
        """The RTCDataChannel of the present connection; None while there is none."""
        return self._channel

    @property
    def id(self) -> int | None:
        """The SCTP stream of the present connection."""
        return self._channel.id if self._channel is not None else self.options.get("id")

    @property
    def negotiated(self) -> bool:
        """Whether both applications make it, with the same id."""
        return bool(self.options.get("negotiated", False))

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in order."""
        return bool(self.options.get("ordered", True))

    @property
    def protocol(self) -> str:
        """The subprotocol."""
        return str(self.options.get("protocol", ""))

    @property
    def is_reliable(self) -> bool:
        """Whether messages are repeated until they arrive."""
        return self.options.get("maxRetransmits") is None and self.options.get("maxPacketLifeTime") is None

    @property
    def readyState(self) -> str:
        """The state, as of RTCDataChannel: "connecting" also while the connection is mended, "closed" for good."""
        if self._closed:
            return "closed"
        return "open" if self._can_send() else "connecting"

    @property
    def bufferedAmount(self) -> int:
        """Bytes that wait here and in the connection."""
        handed = self._channel.bufferedAmount if self._channel is not None else 0
        return self._again_bytes + self._queued_bytes + handed

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """Bytes queued at or below which `bufferedamountlow` fires, as of RTCDataChannel; kept over connections."""
        return self._low_threshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        self._low_threshold = value
        if self._channel is not None:
            self._channel.bufferedAmountLowThreshold = value

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send, or let wait until there is a connection. Never blocks.

        Raises:
            InvalidStateError: the channel is closed.
            TypeError: no text and no bytes; also, from the connection, a message that is too large.
        """
        if self._closed:
            raise InvalidStateError(f"the channel {self.label!r} is closed")
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        if not isinstance(data, (str, bytes)):
            data = bytes(data)  # it may wait, and the caller may go on writing into it
        if self._can_send() and not self._is_waiting:
            self._hand_over(data)
        elif self.is_reliable:
            self._enqueue(data)
        else:
            self._tell_lost((data,), Reason.NETWORK)

    async def send_async(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send; before that, wait for room in the queue if it is full.

        Raises:
            InvalidStateError: the channel is closed, perhaps while waiting.
        """
        while not self._closed and self._is_full(data):
            self._room.clear()
            await self._room.wait()
        self.send(data)

    def close(self) -> None:
        """Close it for good; it is not made again."""
        if not self._closed:
            channel = self._channel
            self._end(Reason.API)
            if channel is not None:
                channel.close()

    # -- for the peer ------------------------------------------------------------------------------

    def attach(self, channel: Any, generation: int) -> None:
        """Take the channel of a new connection."""
        self._channel = channel
        self._generation = generation
        if self._low_threshold:
            channel.bufferedAmountLowThreshold = self._low_threshold
        channel.addEventListener("open", self._on_open)
        channel.addEventListener("close", self._on_close)
        for type_ in ("bufferedamountlow", "error"):
            channel.addEventListener(type_, self._forward)
        # it stays until the connection is closed: messages may arrive by it while the next one is made
        channel.addEventListener("message", partial(self._on_message, generation))
        if channel.readyState == "open":
            self._on_open(Event("open"))

    def detach(self, unhealthy_since: float | None, reason: Reason) -> None:
        """The connection is not in force any more. What it may not have delivered is in doubt until `settle`."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        channel.removeEventListener("open", self._on_open)
        channel.removeEventListener("close", self._on_close)
        for type_ in ("bufferedamountlow", "error"):
            channel.removeEventListener(type_, self._forward)
        if self._former is None:  # else nothing was sent by this one: the other peer never took it
            self.delivery.doubt(channel, unhealthy_since, asyncio.get_running_loop().time())
            self._former, self._former_reason = channel, reason
            self._former_generation = self._generation

    def settle(self, *, resend: bool, arrived: int | None, is_final: bool = True) -> None:
        """The other peer has taken a new connection: send again, or tell, what the earlier one did not deliver.

        Args:
            resend: whether the other peer is supervised, so that what is sent again finds its place.
            arrived: how many messages have arrived there, if it has counted them.
            is_final: whether nothing can have arrived since it counted.
        """
        if self._former is None:
            return
        former, self._former = self._former, None
        self.delivery.acknowledge(former)
        if arrived is not None and self.is_reliable:
            self.delivery.compare(arrived, is_ordered=self.ordered, is_final=is_final)
        messages, untracked = self.delivery.take()
        if resend and self.is_reliable:
            self._again.extend(messages)
            self._again_bytes += sum(map(_size, messages))
            messages = ()
        self._tell_doubted(messages, untracked, self._former_generation, self._former_reason)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the connection takes it."""
        while self._is_waiting and self._can_send():
            data = self._again[0] if self._again else self._queue[0]
            try:
                self._hand_over(data)
            except Exception:
                if not self._can_send():
                    break
                # it is this message: others must not wait for it for ever
                self._tell_lost((data,), Reason.API)
            self._unqueue()

    def end(self, reason: Reason) -> None:
        """The peer has ended."""
        self._end(reason)

    # -- inside ------------------------------------------------------------------------------------

    def _can_send(self) -> bool:
        return (
            self._former is None
            and self._channel is not None
            and self._channel.readyState == "open"
            and self._is_connected()
        )

    @property
    def _is_waiting(self) -> bool:
        return bool(self._again or self._queue)

    def _is_full(self, data: Any) -> bool:
        if self._can_send() and not self._is_waiting:
            return False
        limits = self._limits
        size = self._queued_bytes + _size(data)
        return len(self._queue) >= limits.messages or (bool(self._queue) and size > limits.size_bytes)

    def _enqueue(self, data: str | bytes) -> None:
        self._queue.append(data)
        self._queued_bytes += _size(data)
        dropped = []
        while len(self._queue) > self._limits.messages or self._queued_bytes > self._limits.size_bytes:
            dropped.append(self._queue.popleft())
            self._queued_bytes -= _size(dropped[-1])
        if dropped:
            self._tell_lost(tuple(dropped), Reason.POLICY)

    def _unqueue(self) -> None:
        """Take out the message that has waited longest."""
        if self._again:
            self._again_bytes -= _size(self._again.popleft())
            return
        self._queued_bytes -= _size(self._queue.popleft())
        self._room.set()

    def _hand_over(self, data: str | bytes) -> None:
        self._channel.send(data)
        self.delivery.note_sent(data, _size(data), asyncio.get_running_loop().time(), self._channel)

    def _tell_lost(self, messages: tuple[Any, ...], reason: Reason) -> None:
        fire(self, MessagesLostEvent(messages, certain=True, generation=self._generation, reason=reason))

    def _tell_doubted(
        self, messages: tuple[Any, ...], untracked: int, generation: int, reason: Reason
    ) -> None:
        if messages or untracked:
            event = MessagesLostEvent(
                messages, certain=False, untracked=untracked, generation=generation, reason=reason
            )
            fire(self, event)

    def _on_message(self, generation: int, event: Any) -> None:
        if self.delivery.note_received():
            fire(self, copy_event(event, generation=generation))

    def _on_open(self, _event: Any) -> None:
        if not self._closed:
            self.flush()
            event = Event("open")
            event.generation = self._generation  # type: ignore[attr-defined]
            fire(self, event)

    def _on_close(self, event: Any) -> None:
        # The other side closed this channel, or its whole connection, which is the peer's matter: a moment
        # later one can tell.
        asyncio.get_running_loop().call_later(_CLOSE_DELAY, self._closed_remotely, self._channel)

    def _closed_remotely(self, channel: Any) -> None:
        if channel is self._channel and channel is not None and self._is_connected():
            self._end(Reason.REMOTE_CLOSED)

    def _end(self, reason: Reason) -> None:
        if self._closed:
            return
        self._closed = True
        self._room.set()
        last = self._channel if self._former is None else self._former
        if last is not None:
            self.delivery.acknowledge(last)
        doubted, untracked = self.delivery.take()
        if reason == Reason.API:  # whoever closes it has chosen not to wait for what is on its way
            doubted, untracked = (), 0
        self._tell_doubted((*doubted, *self._again), untracked, self._generation, reason)
        waiting = tuple(self._queue)
        self._again.clear()
        self._queue.clear()
        self._queued_bytes = self._again_bytes = 0
        if waiting:
            self._tell_lost(waiting, reason)
        self._on_closed(self)
        fire(self, Event("close"))
        close_events(self)

    def _forward(self, event: Any) -> None:
        fire(self, copy_event(event, generation=self._generation))


def copy_event(event: Any, **attributes: Any) -> Any:
    """A copy of an event, for another target."""
    copied = copy.copy(event)
    for name, value in attributes.items():
        setattr(copied, name, value)
    return copied


def _size(data: Any) -> int:
    if isinstance(data, str):
        return len(data) if data.isascii() else len(data.encode("utf-8", "replace"))
    return len(data)
