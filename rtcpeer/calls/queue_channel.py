"""A signaling channel with a queue that its owner fills: the base of channels that share one connection."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Self

from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.channel import Message

UNREAD_MAX: Final = 512


class QueueChannel:
    """The receiving half of a `SignalingChannel`; of messages that nobody reads the oldest is dropped."""

    def __init__(self) -> None:
        self._arrived: deque[Message] = deque(maxlen=UNREAD_MAX)
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def check_open(self) -> None:
        """Raise InvalidStateError when it is closed."""
        if self._closed:
            raise InvalidStateError("the signaling channel is closed")

    def put(self, message: Any) -> None:
        """A message has arrived."""
        self._arrived.append(message)
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._arrived:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._arrived.popleft()

    async def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._changed.set()
