"""RTCDataChannel with aiortc's events: "open", "message" with the data itself, "bufferedamountlow", "close"."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import aiortc

from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.aiortc.ortc import by_hand
from rtcpeer.media.event_target import Event, has_listeners
from rtcpeer.peer import data_channel as w3c
from rtcpeer.peer.core.channel import DataChannelCore
from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.peer.messages import MessageStream
from rtcpeer.peer.transports import RTCSctpTransport
from rtcpeer.values import DataChannelState
from rtcpeer.webidl import UNSIGNED_LONG


class RTCDataChannel(Emitter, w3c.RTCDataChannel):
    """A data channel; `rtcpeer.RTCDataChannel` with pyee's listeners beside W3C's.

    As in aiortc a channel that the other end opened is open when it is announced, and emits no "open". What arrives
    before its "datachannel" listener is done waits.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, DataChannelCore, aiortc.RTCDataChannel, args, kwargs)

    def __init__(
        self,
        core: DataChannelCore[Any] | None = None,
        *,
        incoming: bool = False,
        foreseen: RTCSctpTransport | None = None,
    ) -> None:
        w3c.RTCDataChannel.__init__(self, core)
        self._incoming_ = incoming
        self._foreseen_ = foreseen
        self._close_told_ = False
        # where it lives, once it is open
        self._loop_: asyncio.AbstractEventLoop | None = None
        self._thread_ = 0
        if incoming:
            self._settle_()

    @property
    def transport(self) -> RTCSctpTransport | None:
        """The SCTP transport that it runs over."""
        sctp = getattr(self._core_.owner, "face", None)
        return sctp if isinstance(sctp, RTCSctpTransport) else self._foreseen_

    @property
    def readyState(self) -> DataChannelState:
        """The state; a channel that was closed before it ever opened is closed at once."""
        state = super().readyState
        if state is DataChannelState.CLOSING and not self._core_.was_open:
            return DataChannelState.CLOSED
        return state

    def close(self) -> None:
        """Close it; what was sent before is still delivered."""
        super().close()
        if self.readyState is DataChannelState.CLOSED:
            self._tell_closed_()

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """Emit "bufferedamountlow" when `bufferedAmount` falls to this.

        Raises:
            ValueError: (setting) it is outside 0..4294967295.
        """
        return self._core_.threshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        if value < 0 or value > UNSIGNED_LONG:
            raise ValueError(f"bufferedAmountLowThreshold must be in range 0 - {UNSIGNED_LONG}")
        self._core_.set_threshold(value)

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Queue a message; from another thread than the loop's, too, as programs with worker threads do.

        Raises:
            InvalidStateError: the channel is not open.
            ValueError: it is neither text nor bytes.
        """
        if self.readyState == "open" and not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise ValueError(f"Cannot send unsupported data type: {type(data)}")
        if self._loop_ is not None and threading.get_ident() != self._thread_:
            if self.readyState != "open":
                raise InvalidStateError(f"the data channel is {self.readyState}, not open")
            self._loop_.call_soon_threadsafe(self._send_later_, data)
            return
        super().send(data)

    def _settle_(self) -> None:
        self._loop_, self._thread_ = asyncio.get_running_loop(), threading.get_ident()

    def _send_later_(self, data: str | bytes | bytearray | memoryview) -> None:
        # closed meanwhile: nobody is left to be told
        with contextlib.suppress(InvalidStateError):
            super().send(data)

    def _wait_for_(self, listeners: set[asyncio.Future[Any]]) -> None:
        """Keep messages until these listeners of "datachannel" are done, or one of them listens to messages."""
        if has_listeners(self, "message"):
            return
        self._core_.hold()
        left = set(listeners)

        def done(listener: asyncio.Future[Any]) -> None:
            left.discard(listener)
            if not left:
                self._core_.release()

        for listener in listeners:
            listener.add_done_callback(done)

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners of `event`; True if there are any."""
        if event == "new_listener" and args and args[0] == "message":
            self._core_.release()
        return super().emit(event, *args, **kwargs)

    def addEventListener(self, *args: Any, **kwargs: Any) -> None:
        """Call a listener for each event of a type, as W3C's `addEventListener`."""
        super().addEventListener(*args, **kwargs)
        if args and args[0] == "message":
            self._core_.release()

    def messages(self, *args: Any, **kwargs: Any) -> MessageStream:
        """The messages from now on, and those that came before anybody listened, until the channel closes."""
        stream = super().messages(*args, **kwargs)
        self._core_.release()
        return stream

    def _has_listeners_(self, type: str) -> bool:
        """Whether anybody would notice an event of this type."""
        return bool(self.listeners(type)) or super()._has_listeners_(type)

    def _fire_(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        if event.type == "open":
            self._settle_()
        result = super()._fire_(event)
        if event.type == "message":
            data: Any = getattr(event, "data", None)
            self.emit("message", data)
        elif event.type == "open":
            if not self._incoming_:
                self.emit("open")
        elif event.type == "bufferedamountlow":
            self.emit("bufferedamountlow")
        elif event.type == "close":
            self._tell_closed_()
        return result

    def _tell_closed_(self) -> None:
        """Emit "close", once; no event follows."""
        if not self._close_told_:
            self._close_told_ = True
            self.emit("close")
            self.remove_all_listeners()
