"""The sending side of a negotiator: messages that wait for the channel, in order, batched and tried again.

Owns: the queue, the waits after a failure. Never: what a message says, when it is repeated (that is the negotiator's).

A channel that has ``send_candidates(messages)`` gets the candidates of up to 20 ms together (a WHIP client makes one
request of them). A refusal that names a time (`SignalingRefused.retry_after`) is obeyed; one that names none is final
for that message. Any other failure is tried again: five times on a plain channel; on a reliable one, where nobody
repeats the message otherwise, as long as it is in force.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.capabilities import capabilities_of

# waits before a failed send is tried again, in seconds
RETRIES: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
# how long the first candidate of a batch waits for others, in seconds
BATCH_TIME: Final = 0.02


class Outbox:
    """Messages on their way to a channel.

    Args:
        channel: see `SignalingChannel`.
        failed: called with the message and the exception when a message is given up.
        refused: called with each refusal that is tried again later.
    """

    def __init__(
        self,
        channel: Any,
        *,
        failed: Callable[[dict[str, Any], Exception], object],
        refused: Callable[[SignalingRefused], object],
    ) -> None:
        self._channel = channel
        self._failed = failed
        self._refused = refused
        self._queue: deque[dict[str, Any]] = deque()
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, message: dict[str, Any]) -> None:
        """Add a message. An offer supersedes what has not left yet, but for answers, which are still awaited."""
        if self._closed:
            return
        if message.get("type") == "offer":
            self._queue = deque(m for m in self._queue if m.get("type") not in (None, "offer"))
        self._queue.append(message)
        self._filled.set()

    @property
    def has_offer(self) -> bool:
        """Whether an offer waits, or is on its way to the channel."""
        return any(message.get("type") == "offer" for message in self._queue)

    def close(self) -> None:
        """Send nothing more, and forget what waits."""
        self._closed = True
        self._queue.clear()

    async def run(self) -> None:
        """Send until it is closed or cancelled."""
        failures = 0
        # not "while True": a channel's send may swallow our cancellation (asyncio.wait_for did until Python 3.12)
        while not self._closed:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            batch = await self._next()
            if not batch:
                continue  # it was closed meanwhile
            try:
                await self._send(batch)
            except Exception as error:
                wait = self._wait_after(batch, error, failures)
                if wait is not None:
                    failures += 1
                    await asyncio.sleep(wait)
                    continue
                self._failed(batch[0], error)
            failures = 0
            self._remove(batch)

    async def _next(self) -> list[dict[str, Any]]:
        first = self._queue[0]
        if "type" in first or not hasattr(self._channel, "send_candidates"):
            return [first]
        await asyncio.sleep(BATCH_TIME)
        batch: list[dict[str, Any]] = []
        for message in self._queue:  # it may be another queue by now
            if "type" in message:
                break
            batch.append(message)
        return batch or list(self._queue)[:1]

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        if "type" not in batch[0] and hasattr(self._channel, "send_candidates"):
            await self._channel.send_candidates(batch)
        else:
            await self._channel.send(batch[0])

    def _wait_after(self, batch: list[dict[str, Any]], error: Exception, failures: int) -> float | None:
        """Seconds before the next attempt; None: give it up."""
        if isinstance(error, SignalingRefused):
            if error.fatal or error.retry_after is None:
                return None
            self._refused(error)
            return max(0.0, error.retry_after)
        if failures < len(RETRIES):
            return RETRIES[failures]
        lasting = "type" in batch[0] and capabilities_of(self._channel).reliable
        return RETRIES[-1] if lasting else None

    def _remove(self, batch: list[dict[str, Any]]) -> None:
        # they may have been superseded while they were on their way
        for message in batch:
            if self._queue and self._queue[0] is message:
                self._queue.popleft()
