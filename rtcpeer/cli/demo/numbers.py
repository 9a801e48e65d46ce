"""A numbered stream over a data channel: what was sent, what arrived, what is missing, the longest silence.

Owns: the counting and the sending of numbers.  Never: the channel itself, which others open and close.

On the wire: ``17`` is number 17; ``ping <anything>`` is answered at once by ``pong <the same>``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from rtcpeer.aio import start_task

# Beyond this the sender waits: a path that is away must not make us keep megabytes.
MAX_BUFFERED = 64 * 1024


@dataclass(slots=True)
class Tally:
    """The numbers of one stream that a receiver has seen; `now` is an argument.

    Attributes:
        received: numbers that arrived.
        lost: numbers that were skipped.
        misplaced: numbers that came again or after a later one.
        gap: the longest silence between two numbers, seconds.
        recent: the same since the last `mark`.
    """

    received: int = 0
    lost: int = 0
    misplaced: int = 0
    size_bytes: int = 0
    gap: float = 0.0
    recent: float = 0.0
    expected: int = 0
    last: float | None = None
    marked: float = 0.0

    def take(self, number: int, now: float) -> None:
        """Count one number that has arrived."""
        self.received += 1
        if number < self.expected:
            self.misplaced += 1
            return
        self.lost += number - self.expected
        self.expected = number + 1
        if self.last is not None:
            self.gap = max(self.gap, now - self.last)
            self.recent = max(self.recent, now - max(self.last, self.marked))
        self.last = now

    def mark(self, now: float) -> None:
        """Begin to count `recent` anew."""
        self.marked, self.recent = now, 0.0

    def gap_until(self, now: float) -> float:
        """The longest silence, one that has not ended included."""
        return self.gap if self.last is None else max(self.gap, now - self.last)

    def recent_until(self, now: float) -> float:
        """The longest silence since the last `mark`."""
        return self.recent if self.last is None else max(self.recent, now - max(self.last, self.marked))


class NumberedStream:
    """Counts aloud on a channel and listens to the other side's counting.

    Args:
        channel: an RTCDataChannel; counting begins when it is open.
        interval: seconds between two numbers.
        padding: bytes added to each message, so that a stream can weigh something.

    Attributes:
        late: how late, since the last `mark`, the sender itself was woken at worst, seconds: so long this
            program stood still, and a silence of that length says nothing of the path.
    """

    def __init__(self, channel: Any, *, interval: float = 0.02, padding: int = 0) -> None:
        self.channel = channel
        self.interval = interval
        self.sent = 0
        self.late = 0.0
        self.heard = Tally()
        self._padding = " " + "." * padding if padding else ""
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        channel.addEventListener("message", self._take)
        channel.addEventListener("close", lambda _event: self.pause())
        if channel.readyState == "open":
            self._begin()
        else:
            channel.addEventListener("open", lambda _event: self._begin())

    def _begin(self) -> None:
        if self._task is None:
            self._task = start_task(self._count(), loop=self._loop)

    async def _count(self) -> None:
        start = self._loop.time()
        while self.channel.readyState == "open":
            # numbers that are due since a late wake-up are made up for, so the rate is kept
            # (the tolerance: a clock may wake us a rounding error before the time)
            due = int((self._loop.time() - start) / self.interval + 1e-6) + 1
            while self.sent < due and self.channel.bufferedAmount < MAX_BUFFERED:
                self.channel.send(f"{self.sent}{self._padding}")
                self.sent += 1
            if self.sent < due:
                start = self._loop.time() - self.sent * self.interval
            next_at = start + self.sent * self.interval
            await asyncio.sleep(max(0.0, next_at - self._loop.time()))
            self.late = max(self.late, self._loop.time() - next_at)

    def _take(self, event: Any) -> None:
        text = event.data if isinstance(event.data, str) else ""
        self.heard.size_bytes += len(event.data)
        if text.startswith("ping "):
            if self.channel.readyState == "open":
                self.channel.send(f"pong {text[5:]}")
            return
        number = text.partition(" ")[0]
        if number.isdecimal() and len(number) < 12:
            self.heard.take(int(number), self._loop.time())

    def mark(self) -> None:
        """Begin anew with "the longest silence since ..."."""
        self.heard.mark(self._loop.time())
        self.late = 0.0

    def pause(self) -> None:
        """Stop counting; what has been sent may still arrive."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop counting and wait until the task is gone."""
        self.pause()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def silence(self) -> float | None:
        """How long nothing has come, in seconds; None before the first number."""
        return None if self.heard.last is None else self._loop.time() - self.heard.last

    def report(self) -> dict[str, float]:
        """The numbers as the page shows them."""
        now = self._loop.time()
        return {
            "sent": self.sent,
            "received": self.heard.received,
            "lost": self.heard.lost,
            "misplaced": self.heard.misplaced,
            "gap": self.heard.gap_until(now),
            "recent": self.heard.recent_until(now),
        }
