"""The operations chain (webrtc-pc 4.4.1.2), and what a description waits for outside it.

The chain lets one operation at a time run, in the order of the calls, and asks for the negotiation-needed check
when it becomes empty. It never looks at what an operation does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rtcpeer.errors import InvalidStateError

T = TypeVar("T")


class OperationsChain:
    """Runs the operations that mutate a session one after the other.

    Args:
        on_empty: called whenever the last operation has ended and the chain is empty.
    """

    __slots__ = ("_closed", "_on_empty", "_running", "_waiting")

    def __init__(self, on_empty: Callable[[], None]) -> None:
        self._on_empty = on_empty
        self._running = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self._waiting

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run `operation` in its turn; before the first suspension when the chain is empty.

        Raises:
            InvalidStateError: the connection is closed, or was closed before the operation ended.
            Exception: whatever the operation raises.
        """
        # 2
        if self._closed:
            raise InvalidStateError("the connection is closed; create a new RTCPeerConnection")
        # 5 and 6
        if self._running:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                elif not self._closed and not turn.cancelled():
                    self._next()  # cancelled in the very moment our turn came: it goes to the next
                raise
            if self._closed:  # after our turn came, before we could take it
                raise InvalidStateError("the connection was closed before this call had its turn")
        self._running = True
        try:
            # 7.2 and 7.3
            return await operation()
        finally:
            # 7.4.1
            if not self._closed:
                self._next()

    def _next(self) -> None:
        # 7.4.2 and 7.4.3
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                # stays "running" between two operations, so that a call made meanwhile queues behind
                turn.set_result(None)
                return
        # 7.4.4 to 7.4.6
        self._running = False
        self._on_empty()

    def close(self) -> None:
        """End the chain: whoever waits for a turn gets InvalidStateError, and nothing runs any more."""
        self._closed = True
        self._on_empty = _nothing
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(
                    InvalidStateError("the connection was closed before this call had its turn")
                )


class Pending:
    """Counts operations outside the chain that a description has to wait for: ``with pending: ...``."""

    __slots__ = ("_count", "_waiters")

    def __init__(self) -> None:
        self._count = 0
        self._waiters: list[asyncio.Future[None]] = []

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_exc: object) -> None:
        self._count -= 1
        if not self._count:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def settled(self) -> None:
        """Wait until none is under way."""
        while self._count:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


def _nothing() -> None:
    """A closed chain asks for nothing."""
