"""When packets of one transport leave: spread over time as an estimate allows, in place of whole frames at once.

What is forwarded has been spread by its own sender already. It is held back only where it comes faster than the path to
this subscriber bears, so as long as nothing waits it costs one subtraction.
Owns: one timer, which runs only while packets wait. Never: drops, reorders.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import deque
from collections.abc import Callable

from rtcpeer.rtp.send_state import SendState

# Faster than the estimate, so that a frame is through before the next one is made.
FACTOR = 2.5
# What may leave at once, in seconds of the pace: of a frame that was made here, of what is forwarded.
BURST, FORWARDED_BURST = 0.005, 0.02
# Nothing waits longer than about this, whatever the estimate is: packets of a source that cannot adapt, such as a file,
# are of no use when they are repeated too late.
WAIT_MAX = 0.1


class PacketPacer:
    """Holds packets back.

    Args:
        release: sends one now.
        state: where the budget is kept.

    Attributes:
        tokens: one number, the budget.
        queued: bytes that wait.
        delays: how long packets of each SSRC have waited together, in seconds.
    """

    __slots__ = (
        "_estimate",
        "_loop",
        "_queue",
        "_release",
        "_timer",
        "_updated",
        "delays",
        "queued",
        "tokens",
    )

    def __init__(self, release: Callable[[bytes], None], state: SendState | None = None) -> None:
        self._release = release
        # each with when it came
        self._queue: deque[tuple[bytes, float]] = deque()
        self.queued: int = 0
        self.delays: dict[int, float] = {}
        self._estimate = 0
        self.tokens: array[float] = (SendState() if state is None else state).budget
        self._updated = -math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def budget(self) -> float:
        """Bytes that may leave before anybody looks at the clock; without end while there is no estimate."""
        return self.tokens[0]

    @budget.setter
    def budget(self, value: float) -> None:
        self.tokens[0] = value

    def set_estimate(self, estimate: int) -> None:
        """Send at this pace, in bit/s; 0: everything at once."""
        if estimate and not self._estimate:
            self.budget = 0.0
        elif not estimate:
            self.budget = math.inf
        self._estimate = estimate

    def take(self, packet: bytes) -> None:
        """Send a packet that was made here, or let it wait."""
        if not self._estimate:
            self._release(packet)
            return
        if not self._queue:
            self._refill(BURST)
            if self.budget > 0:
                self.budget -= len(packet)
                self._release(packet)
                return
        self.put(packet)

    def admits(self, size: int) -> bool:
        """Whether a forwarded packet may leave now, though with it the budget is below 0.

        Args:
            size: its bytes, which have been taken off the budget; they are put back if it may not.
        """
        self.budget += size
        if self._queue:
            return False
        self._refill(FORWARDED_BURST)
        if self.budget <= 0:
            return False
        self.budget -= size
        return True

    def put(self, packet: bytes) -> None:
        """Let a packet wait for its turn."""
        self._queue.append((packet, self._now_loop().time()))
        self.queued += len(packet)
        if self._timer is None:
            self._timer = self._now_loop().call_later(BURST, self._drain)

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self.queued = 0

    def _now_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _pace(self) -> float:
        """Bytes per second."""
        return max(FACTOR * self._estimate / 8, self.queued / WAIT_MAX)

    def _refill(self, burst: float) -> None:
        now = self._now_loop().time()
        pace = self._pace()
        self.budget = min(self.budget + pace * (now - self._updated), pace * burst)
        self._updated = now

    def _drain(self) -> None:
        self._timer = None
        queue = self._queue
        # a timer that is late must not slow the pace: what is due meanwhile may leave
        loop = self._now_loop()
        now = loop.time()
        self.budget = min(self.budget, 0.0) + self._pace() * min(now - self._updated, 4 * BURST)
        self._updated = now
        while queue and self.budget > 0:
            packet, since = queue.popleft()
            self.queued -= len(packet)
            ssrc = int.from_bytes(packet[8:12], "big")
            self.delays[ssrc] = self.delays.get(ssrc, 0.0) + now - since
            self.budget -= len(packet)
            self._release(packet)
        if queue:
            self._timer = loop.call_later(BURST, self._drain)
            # what comes now waits behind these
            self.budget = min(self.budget, 0.0)
