"""Another member of a room, as a signaling channel.

Owns: the messages of one member that were not read yet. Never: a socket, a number; that is the room's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.errors import InvalidStateError
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message

# what one member may send that nobody reads
_MAX_UNREAD: Final = 1000
_MAX_UNREAD_BYTES: Final = 4_000_000


class RoomMember:
    """Another member of the room, as a `SignalingChannel`.

    Args:
        put: sends a frame, now or when the server can be reached again; with `always` even if much waits already.
        recommended: gives the ICE servers that the server recommends.

    Attributes:
        id: unique.
        name: what it calls itself.
        metadata: what it says of itself.
        isAway: whether its socket is lost at present; messages wait for it.
        polite: whether we are the polite side towards it; `capabilities` says it to `Negotiator` and `SupervisedPeer`.
        endReason: why the channel has ended: "closed", "left", "expired", "kicked", "backlog", "unread" (more
            arrived than was read), "rejoined" (we are somebody else now, since we came back too late) or
            "room"; "" while it lives.
    """

    def __init__(
        self,
        id: str,
        name: str | None,
        metadata: dict[str, Any],
        *,
        polite: bool,
        put: Callable[..., None],
        recommended: Callable[[], list[RTCIceServer]],
    ) -> None:
        self.id = id
        self.name = name
        self.metadata = metadata
        self.isAway: bool = False
        self.polite = polite
        self.endReason: str = ""
        self._put = put
        self._recommended = recommended
        self._arrived: deque[tuple[Message, int]] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = f", {self.endReason}" if self.endReason else ", away" if self.isAway else ""
        return f"<RoomMember {self.name or self.id}{state}>"

    @property
    def capabilities(self) -> ChannelCapabilities:
        """Messages arrive once and in order, over lost sockets too, or their loss ends the channel or is reported."""
        return ChannelCapabilities(reliable=True, ordered=True, polite=self.polite)

    @property
    def ice_servers(self) -> list[RTCIceServer]:
        """ICE servers that the room server recommends, for the next gathering."""
        return self._recommended()

    @property
    def is_closed(self) -> bool:
        """Whether it has left, or the channel was closed."""
        return bool(self.endReason)

    @property
    def unread(self) -> int:
        """How many messages wait to be read."""
        return len(self._arrived)

    async def send(self, message: Any, /) -> None:
        """Send a description or candidate to this member. While the socket is lost, it waits.

        Raises:
            InvalidStateError: the channel is closed.
            SignalingRefused: too much waits already; `retry_after` says when to try again.
            ValueError: the message is too large, or has no JSON form.
        """
        if self.endReason:
            raise InvalidStateError(f"the signaling channel is closed ({self.endReason})")
        self._put({"type": "message", "to": self.id, "message": as_message(message)})

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not self._arrived:
            if self.endReason:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message, size = self._arrived.popleft()
        self._bytes -= size
        return message

    async def close(self) -> None:
        """End this channel, here and there. Both stay in the room; the next message of either begins a new one."""
        if not self.endReason:
            self.end("closed")
            self._put({"type": "close", "to": self.id}, always=True)

    # -- for the room ------------------------------------------------------------------------------

    def arrive(self, message: Message, size: int) -> None:
        """A message of this member."""
        if len(self._arrived) >= _MAX_UNREAD or self._bytes + size > _MAX_UNREAD_BYTES:
            self.end("unread")
            self._put({"type": "close", "to": self.id}, always=True)
            return
        self._arrived.append((message, size))
        self._bytes += size
        self._wake()

    def end(self, reason: str) -> None:
        """The member is gone, or the channel is closed."""
        self.endReason = self.endReason or reason
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
