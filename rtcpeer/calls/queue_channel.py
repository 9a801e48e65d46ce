"""A signaling channel with a queue that its owner fills: the base of channels that share one connection."""

from __future__ import annotations

from typing import Any, Final, Self

from rtcpeer.aio import Inbox
from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.channel import Message

UNREAD_MAX: Final = 512


class QueueChannel:
    """The receiving half of a `SignalingChannel`; of messages that nobody reads the oldest is dropped."""

    def __init__(self) -> None:
        self._inbox: Inbox[Message] = Inbox(bound=UNREAD_MAX)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._inbox.is_ended

    def check_open(self) -> None:
        """Raise InvalidStateError when it is closed."""
        if self._inbox.is_ended:
            raise InvalidStateError("the signaling channel is closed")

    def put(self, message: Any) -> None:
        """A message has arrived."""
        self._inbox.put(message)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return await self._inbox.get()

    async def close(self) -> None:
        """End the iteration."""
        self._inbox.end()
