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
        self._is_connected_ = is_connected
        self._limits_ = limits
        self._on_closed_ = on_closed
        self._channel_: Any = None  # the RTCDataChannel of the present connection
        self._generation_ = 0
        self._queue_: deque[Any] = deque()
        self._queued_bytes_ = 0
        # what an earlier connection did not deliver; goes before the queue
        self._again_: deque[Any] = deque()
        self._again_bytes_ = 0
        self.delivery: DeliveryRecord = DeliveryRecord(limits)
        # the channel of an earlier connection, whose messages are in doubt until the other peer has spoken, with
        # the reason why it is not in force any more
        self._former_: Any = None
        self._former_reason_ = Reason.START
        self._former_generation_ = 0
        self._room_ = asyncio.Event()
        self._room_.set()
        self._low_threshold_ = 0
        self._binary_type_: str | None = None
        self._closed_ = False

    def __repr__(self) -> str:
        waiting = len(self._again_) + len(self._queue_)
        return f"<SupervisedChannel {self.label!r} {self.readyState}, {waiting} waiting>"

    @property
    def channel(self) -> Any:
        """The RTCDataChannel of the present connection; None while there is none."""
        return self._channel_

    @property
    def id(self) -> int | None:
        """The SCTP stream of the present connection."""
        return self._channel_.id if self._channel_ is not None else self.options.get("id")

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
        if self._closed_:
            return "closed"
        return "open" if self._can_send_() else "connecting"

    @property
    def bufferedAmount(self) -> int:
        """Bytes that wait here and in the connection."""
        handed = self._channel_.bufferedAmount if self._channel_ is not None else 0
        return self._again_bytes_ + self._queued_bytes_ + handed

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """Bytes queued at or below which `bufferedamountlow` fires, as of RTCDataChannel; kept over connections."""
        return self._low_threshold_

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        self._low_threshold_ = value
        if self._channel_ is not None:
            self._channel_.bufferedAmountLowThreshold = value

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send, or let wait until there is a connection. Never blocks.

        Raises:
            InvalidStateError: the channel is closed.
            TypeError: no text and no bytes; also, from the connection, a message that is too large.
        """
        if self._closed_:
            raise InvalidStateError(f"the channel {self.label!r} is closed")
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        if not isinstance(data, (str, bytes)):
            data = bytes(data)  # it may wait, and the caller may go on writing into it
        if self._can_send_() and not self._is_waiting_:
            self._hand_over_(data)
        elif self.is_reliable:
            self._enqueue_(data)
        else:
            self._tell_lost_((data,), Reason.NETWORK)

    async def send_async(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send; before that, wait for room in the queue if it is full.

        Raises:
            InvalidStateError: the channel is closed, perhaps while waiting.
        """
        while not self._closed_ and self._is_full_(data):
            self._room_.clear()
            await self._room_.wait()
        self.send(data)

    def close(self) -> None:
        """Close it for good; it is not made again."""
        if not self._closed_:
            channel = self._channel_
            self._end_(Reason.API)
            if channel is not None:
                channel.close()

    # -- for the peer ------------------------------------------------------------------------------

    def attach(self, channel: Any, generation: int) -> None:
        """Take the channel of a new connection."""
        self._channel_ = channel
        self._generation_ = generation
        if self._low_threshold_:
            channel.bufferedAmountLowThreshold = self._low_threshold_
        channel.addEventListener("open", self._on_open_)
        channel.addEventListener("close", self._on_close_)
        for type_ in ("bufferedamountlow", "error"):
            channel.addEventListener(type_, self._forward_)
        # it stays until the connection is closed: messages may arrive by it while the next one is made
        channel.addEventListener("message", partial(self._on_message_, generation))
        if channel.readyState == "open":
            self._on_open_(Event("open"))

    def detach(self, unhealthy_since: float | None, reason: Reason) -> None:
        """The connection is not in force any more. What it may not have delivered is in doubt until `settle`."""
        channel, self._channel_ = self._channel_, None
        if channel is None:
            return
        channel.removeEventListener("open", self._on_open_)
        channel.removeEventListener("close", self._on_close_)
        for type_ in ("bufferedamountlow", "error"):
            channel.removeEventListener(type_, self._forward_)
        if self._former_ is None:  # else nothing was sent by this one: the other peer never took it
            self.delivery.doubt(channel, unhealthy_since, asyncio.get_running_loop().time())
            self._former_, self._former_reason_ = channel, reason
            self._former_generation_ = self._generation_

    def settle(self, *, resend: bool, arrived: int | None, is_final: bool = True) -> None:
        """The other peer has taken a new connection: send again, or tell, what the earlier one did not deliver.

        Args:
            resend: whether the other peer is supervised, so that what is sent again finds its place.
            arrived: how many messages have arrived there, if it has counted them.
            is_final: whether nothing can have arrived since it counted.
        """
        if self._former_ is None:
            return
        former, self._former_ = self._former_, None
        self.delivery.acknowledge(former)
        if arrived is not None and self.is_reliable:
            self.delivery.compare(arrived, is_ordered=self.ordered, is_final=is_final)
        messages, untracked = self.delivery.take()
        if resend and self.is_reliable:
            self._again_.extend(messages)
            self._again_bytes_ += sum(map(_size, messages))
            messages = ()
        self._tell_doubted_(messages, untracked, self._former_generation_, self._former_reason_)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the connection takes it."""
        while self._is_waiting_ and self._can_send_():
            data = self._again_[0] if self._again_ else self._queue_[0]
            try:
                self._hand_over_(data)
            except Exception:
                if not self._can_send_():
                    break
                # it is this message: others must not wait for it for ever
                self._tell_lost_((data,), Reason.API)
            self._unqueue_()

    def end(self, reason: Reason) -> None:
        """The peer has ended."""
        self._end_(reason)

    # -- inside ------------------------------------------------------------------------------------

    def _can_send_(self) -> bool:
        return (
            self._former_ is None
            and self._channel_ is not None
            and self._channel_.readyState == "open"
            and self._is_connected_()
        )

    @property
    def _is_waiting_(self) -> bool:
        return bool(self._again_ or self._queue_)

    def _is_full_(self, data: Any) -> bool:
        if self._can_send_() and not self._is_waiting_:
            return False
        limits = self._limits_
        size = self._queued_bytes_ + _size(data)
        return len(self._queue_) >= limits.messages or (bool(self._queue_) and size > limits.size_bytes)

    def _enqueue_(self, data: str | bytes) -> None:
        self._queue_.append(data)
        self._queued_bytes_ += _size(data)
        dropped = []
        while len(self._queue_) > self._limits_.messages or self._queued_bytes_ > self._limits_.size_bytes:
            dropped.append(self._queue_.popleft())
            self._queued_bytes_ -= _size(dropped[-1])
        if dropped:
            self._tell_lost_(tuple(dropped), Reason.POLICY)

    def _unqueue_(self) -> None:
        """Take out the message that has waited longest."""
        if self._again_:
            self._again_bytes_ -= _size(self._again_.popleft())
            return
        self._queued_bytes_ -= _size(self._queue_.popleft())
        self._room_.set()

    def _hand_over_(self, data: str | bytes) -> None:
        self._channel_.send(data)
        self.delivery.note_sent(data, _size(data), asyncio.get_running_loop().time(), self._channel_)

    def _tell_lost_(self, messages: tuple[Any, ...], reason: Reason) -> None:
        fire(self, MessagesLostEvent(messages, certain=True, generation=self._generation_, reason=reason))

    def _tell_doubted_(
        self, messages: tuple[Any, ...], untracked: int, generation: int, reason: Reason
    ) -> None:
        if messages or untracked:
            event = MessagesLostEvent(
                messages, certain=False, untracked=untracked, generation=generation, reason=reason
            )
            fire(self, event)

    def _on_message_(self, generation: int, event: Any) -> None:
        if self.delivery.note_received():
            fire(self, copy_event(event, generation=generation))

    def _on_open_(self, _event: Any) -> None:
        if not self._closed_:
            self.flush()
            event = Event("open")
            event.generation = self._generation_  # type: ignore[attr-defined]
            fire(self, event)

    def _on_close_(self, event: Any) -> None:
        # The other side closed this channel, or its whole connection, which is the peer's matter: a moment
        # later one can tell.
        asyncio.get_running_loop().call_later(_CLOSE_DELAY, self._closed_remotely_, self._channel_)

    def _closed_remotely_(self, channel: Any) -> None:
        if channel is self._channel_ and channel is not None and self._is_connected_():
            self._end_(Reason.REMOTE_CLOSED)

    def _end_(self, reason: Reason) -> None:
        if self._closed_:
            return
        self._closed_ = True
        self._room_.set()
        last = self._channel_ if self._former_ is None else self._former_
        if last is not None:
            self.delivery.acknowledge(last)
        doubted, untracked = self.delivery.take()
        if reason == Reason.API:  # whoever closes it has chosen not to wait for what is on its way
            doubted, untracked = (), 0
        self._tell_doubted_((*doubted, *self._again_), untracked, self._generation_, reason)
        waiting = tuple(self._queue_)
        self._again_.clear()
        self._queue_.clear()
        self._queued_bytes_ = self._again_bytes_ = 0
        if waiting:
            self._tell_lost_(waiting, reason)
        self._on_closed_(self)
        fire(self, Event("close"))
        close_events(self)

    def _forward_(self, event: Any) -> None:
        fire(self, copy_event(event, generation=self._generation_))


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
