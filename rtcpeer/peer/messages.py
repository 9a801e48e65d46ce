"""Messages of data channels on their way out and in: what `send` accepts, and an iterator that loses nothing.

Owns: the conversion of what is sent, and the queue of one reader. Never: a channel.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

from rtcpeer import webidl
from rtcpeer.aio import Inbox
from rtcpeer.peer.errors import OperationError

# What an iterator that does not keep up may let pile up before it fails.
STREAM_BOUND_BYTES = 64 * 1024 * 1024


def outgoing(data: Any) -> tuple[str | bytes, int]:
    """The message to send and its size in bytes; a buffer that can change is copied."""
    if isinstance(data, str):
        if data.isascii():
            return data, len(data)
        data = webidl.usv_string("data", data)
        return data, len(data.encode())
    if isinstance(data, bytes):
        return data, len(data)
    try:
        copy = bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"a message is str or bytes-like, not {webidl.kind(data)}") from None
    return copy, len(copy)


class MessageStream(AsyncIterator["str | bytes"]):
    """Messages in order, until the channel closes. Nothing is dropped; who does not keep up is told so.

    Attributes:
        buffered_bytes: of messages not read yet.
    """

    def __init__(self, bound_bytes: int) -> None:
        self.buffered_bytes: int = 0
        self._bound_bytes = bound_bytes
        self._inbox: Inbox[str | bytes] = Inbox()
        self._overrun = False

    def _push(self, data: str | bytes) -> None:
        if self._inbox.is_ended:
            return
        size = len(data)
        if self._inbox.items and self.buffered_bytes + size > self._bound_bytes:
            self._overrun = True
            self._end()
            return
        self.buffered_bytes += size
        self._inbox.put(data)

    def _end(self) -> None:
        self._inbox.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            data = await self._inbox.get()
        except StopAsyncIteration:
            if self._overrun:
                raise OperationError(
                    f"messages were read too slowly: {self._bound_bytes} bytes piled up and some were lost"
                ) from None
            raise
        self.buffered_bytes -= len(data)
        return data


def push_message(stream: MessageStream, data: str | bytes) -> None:
    """Put a message that has arrived into the stream (for the channel)."""
    stream._push(data)


def end_messages(stream: MessageStream) -> None:
    """End the stream: no further message; what is queued is still delivered (for the channel)."""
    stream._end()
