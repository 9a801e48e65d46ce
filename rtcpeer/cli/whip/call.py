"""A supervised peer over WHIP or WHEP on the command line: its events as lines, its progress, how it ends.

Owns: the wait for the connection, for the end and for Ctrl-C. Never: what is sent or received.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from rtcpeer.cli.report import Reporter
from rtcpeer.cli.running import LEAVE, PATIENCE, settle, stop_event, take_leave, unfinished
from rtcpeer.errors import InvalidStateError, SignalingRefused
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

OK, FAILED, INTERRUPTED = 0, 1, 130
_PROGRESS_EVERY = 1.0


class WatchedCall:
    """A peer that is watched.

    Args:
        peer: not started yet.
        report: where events go.
        wait: how long the connection may take, in seconds.
    """

    def __init__(self, peer: SupervisedPeer, report: Reporter, *, wait: float) -> None:
        self.peer = peer
        self.report = report
        self._wait = wait
        self._stopped = stop_event()
        # what the signaling logs is reported here: without a handler Python would print it as well
        logging.getLogger("rtcpeer.signaling").addHandler(logging.NullHandler())
        self._refusals: set[str] = set()
        peer.addEventListener("statechange", self._on_state)
        peer.addEventListener("signalingerror", self._on_error)

    async def run(
        self,
        work: Callable[[], Awaitable[object]],
        *,
        seconds: float | None,
        numbers: Callable[[], Awaitable[Any]],
        finish: Callable[[], Awaitable[int]],
    ) -> int:
        """Connect, let `work` go on until it is done, the time is over, the other side ends or Ctrl-C; the status.

        Args:
            work: what lasts as long as there is something to do; begun when the peer is connected.
            seconds: counted from the connection on; None: no limit.
            numbers: the numbers to show, as a mapping.
            finish: makes the result whole, before the peer takes leave of the server, which may be dead; the status.
        """
        async with self.peer:
            if await self._first(self.peer.connected(self._wait)) is None:
                self.report("interrupted")
                take_leave(PATIENCE)
                return INTERRUPTED
            with unfinished():
                await self._until_end(work, seconds, numbers)
                status = await finish()
                settle(status)
            # one that nothing is heard of is not waited for
            take_leave(PATIENCE if self.peer.state is PeerState.CONNECTED else LEAVE)
        return status

    async def _until_end(
        self,
        work: Callable[[], Awaitable[object]],
        seconds: float | None,
        numbers: Callable[[], Awaitable[Any]],
    ) -> None:
        tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(self.peer.closed())]
        tasks += [asyncio.ensure_future(self._stopped.wait()), asyncio.ensure_future(self._show(numbers))]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # GaveUp, or what the work met with
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _first(self, waiting: Awaitable[object]) -> object:
        """True when it is over; None when Ctrl-C came first. Its exception is raised."""
        task, stopped = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return None
            task.result()
            return True
        finally:
            for one in (task, stopped):
                one.cancel()
            await asyncio.wait([task, stopped])

    async def _show(self, numbers: Callable[[], Awaitable[Any]]) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_EVERY)
            with contextlib.suppress(InvalidStateError):
                self.report.progress(**await numbers())

    def _on_state(self, event: Any) -> None:
        self.report("state", state=str(event.state), reason=str(event.reason), generation=event.generation)

    def _on_error(self, event: Any) -> None:
        """Each refusal is told once, not each time it is tried again."""
        error = event.error
        if str(error) not in self._refusals:
            self._refusals.add(str(error))
            details: dict[str, Any] = {"error": str(error)}
            if isinstance(error, SignalingRefused):
                details |= {"status": error.status, "retry_after": error.retry_after}
            self.report("refused" if isinstance(error, SignalingRefused) else "signaling", **details)


def failure(report: Reporter, error: Exception) -> int:
    """Report why it went wrong; the status."""
    said = error.refusal if isinstance(error, GaveUp) and error.refusal is not None else error
    report("failed", error=str(said))
    return FAILED


async def totals(peer: SupervisedPeer, kind: str) -> dict[str, int]:
    """Bytes, packets and frames of all streams of one kind ("outbound-rtp" or "inbound-rtp") on the present connection.

    Raises:
        InvalidStateError: the connection was closed meanwhile.
    """
    sums = {"bytes": 0, "packets": 0, "frames": 0, "lost": 0}
    if peer.pc is None:
        return sums
    names = {
        "outbound-rtp": {"bytesSent": "bytes", "packetsSent": "packets", "framesEncoded": "frames"},
        "inbound-rtp": {
            "bytesReceived": "bytes",
            "packetsReceived": "packets",
            "framesDecoded": "frames",
            "packetsLost": "lost",
        },
    }[kind]
    for entry in (await peer.pc.getStats()).values():
        if entry.get("type") == kind:
            for name, sum in names.items():
                sums[sum] += int(entry.get(name) or 0)
    return sums
