"""When packets of one transport leave: spread over time as an estimate allows, in place of whole frames at once.

Owns: one timer, which runs only while packets wait. Never: drops, reorders.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# Faster than the estimate, so that a frame is through before the next one is made.
FACTOR = 2.5
# What may leave at once, in seconds of the pace.
BURST = 0.005
# Nothing waits longer than about this, whatever the estimate is: packets of a source that cannot adapt, such as a file,
# are of no use when they are repeated too late.
WAIT_MAX = 0.1


class PacketPacer:
    """Holds packets back.

    Args:
        release: sends one now.

    Attributes:
        queued: bytes that wait.
    """

    __slots__ = ("_budget", "_estimate", "_loop", "_queue", "_release", "_timer", "_updated", "queued")

    def __init__(self, release: Callable[[bytes], None]) -> None:
        self._release = release
        self._queue: deque[bytes] = deque()
        self.queued = 0
        self._estimate = 0
        # bytes that may leave now
        self._budget = 0.0
        self._updated = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set_estimate(self, estimate: int) -> None:
        """Send at this pace, in bit/s; 0: everything at once."""
        self._estimate = estimate

    def take(self, packet: bytes) -> None:
        """Send a packet, or let it wait."""
        if not self._estimate:
            self._release(packet)
            return
        queue = self._queue
        if not queue:
            self._refill()
            if self._budget > 0:
                self._budget -= len(packet)
                self._release(packet)
                return
        queue.append(packet)
        self.queued += len(packet)
        if self._timer is None:
            assert self._loop is not None
            self._timer = self._loop.call_later(BURST, self._drain)

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self.queued = 0

    def _pace(self) -> float:
        """Bytes per second."""
        return max(FACTOR * self._estimate / 8, self.queued / WAIT_MAX)

    def _refill(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        pace = self._pace()
        self._budget = min(self._budget + pace * (now - self._updated), pace * BURST)
        self._updated = now

    def _drain(self) -> None:
        self._timer = None
        queue = self._queue
        # a timer that is late must not slow the pace: what is due meanwhile may leave
        assert self._loop is not None
        now = self._loop.time()
        self._budget = min(self._budget, 0.0) + self._pace() * min(now - self._updated, 4 * BURST)
        self._updated = now
        while queue and self._budget > 0:
            packet = queue.popleft()
            self.queued -= len(packet)
            self._budget -= len(packet)
            self._release(packet)
        if queue:
            self._timer = self._loop.call_later(BURST, self._drain)
