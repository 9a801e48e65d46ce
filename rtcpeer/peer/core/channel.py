"""DataChannelCore: the state of one data channel, between its face and SCTP (webrtc-pc 6.2).

Owns: the state that listeners see, the order of events, the waiting for room, who reads the messages.
Never: ids, SCTP, or the set of channels of a connection (`sctp.transport`, `peer.connection`).

Theory of operation. The transport tells a core what happens; the core sets its state, tells its owner, then
the listeners. A channel that the other end opened is announced in a later turn of the loop than its
``datachannel`` event, so that handlers can be attached; what arrives until then waits in `_deferred`.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar

from rtcpeer.errors import RTCError as InnerRTCError
from rtcpeer.media.event_target import Event, EventTarget, close_events, fire, has_listeners
from rtcpeer.peer.errors import InvalidStateError, OperationError, RTCError, RTCTimeoutError, to_face
from rtcpeer.peer.events import RTCErrorEvent, message_event
from rtcpeer.peer.messages import MessageStream, end_messages, outgoing, push_message
from rtcpeer.sctp.channel import ChannelParameters
from rtcpeer.sctp.transport import ChannelListener, DataChannel
from rtcpeer.values import DataChannelState

# webrtc-pc 6.1.1.1 makes [[MaxBufferSize]] "the larger of" the two sides' message sizes, 256 kB as a rule. A
# program that sends a file in a loop, as those written for browsers do, would fail there; they take 16 MiB.
MAX_BUFFERED_BYTES = 16 * 1024 * 1024
# `send_async` waits above the first and goes on below the second: enough to keep a fast path busy.
HIGH_WATER_BYTES = 1024 * 1024
LOW_WATER_BYTES = 256 * 1024
# Messages that come before anybody listens wait for the first iterator: so many bytes and so many messages.
BACKLOG_BYTES = 1024 * 1024
BACKLOG_MESSAGES = 1024

_State = DataChannelState

FaceT = TypeVar("FaceT", bound=EventTarget)


class DataChannelOwner(Protocol):
    """The connection, as its channels know it."""

    @property
    def max_message_size(self) -> float | None:
        """[[MaxMessageSize]]: the largest message, `inf` for any; None before it is known."""

    def on_channel_open(self, core: DataChannelCore[Any]) -> None:
        """The channel is open (called before the ``open`` event)."""

    def on_channel_left(self, core: DataChannelCore[Any]) -> None:
        """Closing began, or it is closed: remove it from [[DataChannels]]. Called once, before any event."""

    def on_channel_closed(self, core: DataChannelCore[Any]) -> None:
        """The channel is closed. Called once, before ``error`` and ``close``."""


class DataChannelCore(Generic[FaceT]):
    """State of one data channel, between its face and the transport. Implements `sctp.transport.ChannelListener`.

    Make one with `DataChannelCore.opening` or `DataChannelCore.incoming`.

    Attributes:
        face: the RTCDataChannel; another class for programs of other conventions (`rtcpeer.aiortc`).
        channel: the transport's channel.
        state: [[ReadyState]].
        was_open: whether it ever was open (for statistics).
        error: why it closed, if not by anybody's wish.
    """

    def __init__(self, owner: DataChannelOwner, make_face: Callable[[DataChannelCore[FaceT]], FaceT]) -> None:
        self.owner = owner
        self.face: FaceT = make_face(self)
        # set by the makers below; the transport calls nothing before
        self.channel: DataChannel
        self.state: DataChannelState = _State.CONNECTING
        self.was_open: bool = False
        self.error: RTCError | None = None
        self.threshold: int = 0
        # whether the buffered amount was above the threshold when last looked at
        self._above = False
        # what happened before the channel was announced; None = it is announced
        self._deferred: list[Callable[[], None]] | None = None
        # it is announced when `release` is called, not before; messages that have come meanwhile, and their size
        self._held = False
        self._held_messages = self._held_bytes = 0
        self._left = False
        self._open_waiters: list[asyncio.Future[None]] = []
        self._room_waiters: deque[asyncio.Future[None]] = deque()
        self._streams: list[weakref.ref[MessageStream]] = []
        # messages that came while nobody had ever listened; None = somebody has
        self._backlog: deque[str | bytes] | None = deque()
        self._backlog_bytes = 0

    @classmethod
    def opening(
        cls,
        open_channel: Callable[[ChannelParameters, ChannelListener], DataChannel],
        parameters: ChannelParameters,
        owner: DataChannelOwner,
        make_face: Callable[[DataChannelCore[FaceT]], FaceT],
    ) -> Self:
        """A channel of our own.

        Args:
            open_channel: `DataTransport.open`.
            parameters: from `read_data_channel_init`.
            owner: the connection.
            make_face: makes the RTCDataChannel.

        Raises:
            OperationError: the id is taken or none is left. Nothing was made.
        """
        core = cls(owner, make_face)
        core.channel = open_channel(parameters, core)
        return core

    @classmethod
    def incoming(
        cls,
        channel: DataChannel,
        owner: DataChannelOwner,
        make_face: Callable[[DataChannelCore[FaceT]], FaceT],
    ) -> Self:
        """A channel that the other end opened: open, but not announced.

        The owner fires ``datachannel`` and then calls `announce`.
        """
        core = cls(owner, make_face)
        core.channel = channel
        core.state = _State.OPEN
        core._deferred = []
        channel.listener = core
        return core

    # -- told by the transport ---------------------------------------------------------------------

    def announce(self) -> None:
        """Webrtc-pc "announce the channel as open", in a later turn of the loop."""
        if self._held:
            return
        asyncio.get_running_loop().call_soon(self._announce)

    def hold(self) -> None:
        """Announce it only when `release` is called: whoever was told of it is not ready yet.

        Not for ever: the end of the channel, and more than `BACKLOG_BYTES` or `BACKLOG_MESSAGES`, release it.
        """
        self._held = True

    def release(self) -> None:
        """Whoever was told of it is ready: announce it now."""
        if self._held:
            self._held = False
            self.announce()

    def _announce(self) -> None:
        # 1 and 3 (a connection that is closed has closed its channels), then 4 and 5
        deferred, self._deferred = self._deferred, None
        if self.state is _State.OPEN:
            self._set_open()
        for step in deferred or ():
            step()

    def on_open(self) -> None:
        """Implements `ChannelListener.on_open`."""
        if self.state is _State.CONNECTING:
            self.state = _State.OPEN
            self._set_open()

    def _set_open(self) -> None:
        self.was_open = True
        self.owner.on_channel_open(self)
        self._finish(self._open_waiters, None)
        fire(self.face, Event("open"))

    def on_message(self, data: str | bytes) -> None:
        """Implements `ChannelListener.on_message`; webrtc-pc 6.2 "receiving messages on a data channel"."""
        if self._deferred is not None:
            self._deferred.append(functools.partial(self.on_message, data))
            self._held_messages += 1
            self._held_bytes += len(data)
            if self._held_messages >= BACKLOG_MESSAGES or self._held_bytes >= BACKLOG_BYTES:
                self.release()
            return
        # receiving messages, 3
        if self.state is not _State.OPEN:
            return
        # 4 and 5
        streamed = self._push(data) if self._streams else False
        if has_listeners(self.face, "message"):
            self._backlog = None
            fire(self.face, message_event(data))
        elif not streamed and self._backlog is not None:
            self._keep(data)

    def _push(self, data: str | bytes) -> bool:
        found = False
        for ref in self._streams:
            stream = ref()
            if stream is not None:
                push_message(stream, data)
                found = True
        if not found:
            self._streams.clear()
        return found

    def _keep(self, data: str | bytes) -> None:
        assert self._backlog is not None
        size = len(data)
        if self._backlog_bytes + size <= BACKLOG_BYTES and len(self._backlog) < BACKLOG_MESSAGES:
            self._backlog.append(data)
            self._backlog_bytes += size

    def on_buffered_amount_low(self) -> None:
        """Implements `ChannelListener.on_buffered_amount_low`."""
        if self._deferred is not None:
            self._deferred.append(self.on_buffered_amount_low)
            if self.channel.buffered_amount <= LOW_WATER_BYTES:
                self._wake_sender()  # it may be what the channel is held for
            return
        amount = self.channel.buffered_amount
        fell = self._above and amount <= self.threshold
        if fell:
            self._above = False
        if amount <= LOW_WATER_BYTES:
            self._wake_sender()
        self._arm()
        if fell and self.state is not _State.CLOSED and has_listeners(self.face, "bufferedamountlow"):
            fire(self.face, Event("bufferedamountlow"))

    def on_closing(self) -> None:
        """Implements `ChannelListener.on_closing`; webrtc-pc 6.2 "closing procedure", not initiated by our `close`."""
        if self._deferred is not None:
            self._deferred.append(self.on_closing)
            self.release()
            return
        if self.state in (_State.CONNECTING, _State.OPEN):
            # 3 and 4; 5 is the transport's
            self.state = _State.CLOSING
            self._leave()
            self._refuse_waiters()
            fire(self.face, Event("closing"))

    def on_closed(self, error: InnerRTCError | None) -> None:
        """Implements `ChannelListener.on_closed`; webrtc-pc 6.2 "announcing a data channel as closed"."""
        if self._deferred is not None:
            self._deferred.append(functools.partial(self.on_closed, error))
            self.release()
            return
        # 2
        if self.state is _State.CLOSED:
            return
        if error is not None:
            face_error = to_face(error)
            assert isinstance(face_error, RTCError)
            self.error = face_error
        # 3 and 4
        self._end()
        # 5
        if self.error is not None:
            fire(self.face, RTCErrorEvent("error", {"error": self.error}))
        fire(self.face, Event("close"))
        close_events(self.face)

    # -- told by the connection --------------------------------------------------------------------

    def shut(self) -> None:
        """The connection was closed: closed at once and without an event (webrtc-pc 4.4.2 "close")."""
        if self.state is not _State.CLOSED:
            self._deferred = None
            self._end()
            close_events(self.face)

    def _end(self) -> None:
        self.state = _State.CLOSED
        self._leave()
        self.owner.on_channel_closed(self)
        self._refuse_waiters()
        for ref in self._streams:
            stream = ref()
            if stream is not None:
                end_messages(stream)
        self._streams.clear()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self.owner.on_channel_left(self)

    # -- told by the user --------------------------------------------------------------------------

    def send(self, data: Any) -> None:
        """webrtc-pc 6.2 "send() algorithm"."""
        # send() algorithm, 3
        if self.state is not _State.OPEN:
            raise InvalidStateError(f"the data channel is {self.state.value}, not open")
        # 4
        message, size = outgoing(data)
        limit = self.owner.max_message_size
        # 5
        if limit is not None and size > limit:
            raise TypeError(f"a message of {size} bytes is larger than the other end takes ({limit:.0f})")
        amount = self.channel.buffered_amount
        # 6, but for one message of any size
        if amount and amount + size > MAX_BUFFERED_BYTES:
            raise OperationError(f"the buffer of the data channel is full ({amount} bytes); use send_async()")
        # 7 and 8; 2 ([[IsTransferable]]) has no case: there are no workers
        self.channel.send(message)
        if amount + size > self.threshold and not self._above:
            self._above = True
            self._arm()

    async def send_async(self, data: Any) -> None:
        """`send`, once it is open and there is room."""
        if self.state is _State.CONNECTING:
            await self.opened(None)
        if self._room_waiters or self.channel.buffered_amount >= HIGH_WATER_BYTES:
            await self._wait_for_room()
        self.send(data)
        if self.channel.buffered_amount < HIGH_WATER_BYTES:
            self._wake_sender()

    async def _wait_for_room(self) -> None:
        if self.state is not _State.OPEN:
            raise InvalidStateError(f"the data channel is {self.state.value}, not open")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room_waiters.append(turn)
        self._arm()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._room_waiters:
                self._room_waiters.remove(turn)
            else:
                self._wake_sender()  # it had its turn and does not take it
            raise

    def _wake_sender(self) -> None:
        while self._room_waiters:
            turn = self._room_waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _arm(self) -> None:
        """Have the transport call at the next level that anybody waits for; it knows one at a time."""
        level = self.threshold
        if self._room_waiters and self.channel.buffered_amount > LOW_WATER_BYTES:
            level = max(level, LOW_WATER_BYTES) if self._above else LOW_WATER_BYTES
        self.channel.buffered_amount_low_threshold = level

    def set_threshold(self, value: int) -> None:
        """BufferedAmountLowThreshold."""
        self.threshold = value
        self._above = self.channel.buffered_amount > value
        self._arm()

    async def opened(self, timeout: float | None) -> None:
        """Wait until it is open."""
        if self.state is _State.OPEN:
            return
        if self.state is not _State.CONNECTING:
            raise InvalidStateError(f"the data channel is {self.state.value}: it will not open")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open_waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            raise RTCTimeoutError(
                f"the data channel did not open within {timeout} s", fault="network"
            ) from None
        finally:
            if waiter in self._open_waiters:
                self._open_waiters.remove(waiter)

    def close(self) -> None:
        """webrtc-pc 6.2 "close"."""
        if self.state in (_State.CONNECTING, _State.OPEN):
            self.state = _State.CLOSING
            self._leave()
            self._refuse_waiters()
            self.channel.close()

    def messages(self, bound_bytes: int) -> MessageStream:
        """An iterator over messages from now on, and over those that came before anybody listened."""
        stream = MessageStream(bound_bytes)
        backlog, self._backlog = self._backlog, None
        for message in backlog or ():
            push_message(stream, message)
        if self.state is _State.CLOSED:
            end_messages(stream)
        else:
            self._streams.append(weakref.ref(stream))
        return stream

    def _refuse_waiters(self) -> None:
        error = InvalidStateError(f"the data channel is {self.state.value}")
        self._finish(self._open_waiters, error)
        self._finish(self._room_waiters, error)

    @staticmethod
    def _finish(
        waiters: list[asyncio.Future[None]] | deque[asyncio.Future[None]], error: Exception | None
    ) -> None:
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
        waiters.clear()
