"""What RTCPeerConnection has for people who would rather await than listen, and ask why. None of it is W3C's.

Owns: nothing; it reads the session and listens. Never: a change of anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rtcpeer.media.event_target import EventTarget
from rtcpeer.peer.errors import InvalidStateError, OperationError, RTCTimeoutError
from rtcpeer.peer.session.diagnosis import Finding, Level, take_snapshot
from rtcpeer.peer.session.explain import explain
from rtcpeer.values import IceGatheringState, PeerConnectionState

if TYPE_CHECKING:
    from rtcpeer.peer.session.session import PeerSession


class Awaiting(EventTarget):
    """The Python side of a connection."""

    _session: PeerSession

    async def connected(self, timeout: float | None = 30.0) -> None:
        """Wait until `connectionState` is "connected".

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            RTCTimeoutError: it took longer.
            OperationError: the connection failed.
            InvalidStateError: the connection is closed, or was closed meanwhile.
        """

        async def wait() -> None:
            async with self.events("connectionstatechange") as changes:
                while True:
                    state = self._session.aggregates.connection
                    if state is PeerConnectionState.CONNECTED:
                        return
                    if state is PeerConnectionState.FAILED:
                        raise OperationError(f"the connection failed{self._why()}", fault="network")
                    if self._session.closed or await anext(changes, None) is None:
                        raise InvalidStateError("the connection is closed")

        await self._within(wait(), timeout, "connected")

    async def gathered(self, timeout: float | None = 30.0) -> None:
        """Wait until `iceGatheringState` is "complete": `localDescription` then holds all candidates.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            RTCTimeoutError: it took longer.
            InvalidStateError: the connection is closed, or was closed meanwhile.
        """

        async def wait() -> None:
            async with self.events("icegatheringstatechange") as changes:
                while self._session.aggregates.ice_gathering is not IceGatheringState.COMPLETE:
                    if self._session.closed or await anext(changes, None) is None:
                        raise InvalidStateError("the connection is closed")

        await self._within(wait(), timeout, "gathered")

    async def _within(self, wait: Any, timeout: float | None, what: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                await wait
        except TimeoutError:
            session = self._session
            error = RTCTimeoutError(
                f"not {what} within {timeout:g} s: connection {session.aggregates.connection}, "
                f"ICE {session.aggregates.ice_connection}, gathering {session.aggregates.ice_gathering}, "
                f"signaling {session.engine.state.signaling}{self._why()}"
            )
            error.findings = tuple(self.explain())
            raise error from None

    def _why(self) -> str:
        """What `explain` calls problems, for error messages."""
        problems = [str(finding) for finding in self.explain() if finding.level is Level.PROBLEM]
        return "".join(f". {problem.rstrip('.')}" for problem in problems[:3])

    def explain(self) -> list[Finding]:
        """Why the connection is where it is, in sentences (ours, not W3C's).

        ``for finding in pc.explain(): print(finding)`` shows them. Each has a `code` for programs and a `level`:
        "problem", "waiting" or "fact"; how things stand comes first, problems next. It may be asked at any moment,
        also before there is anything and after `close()`.
        """
        return explain(take_snapshot(self._session))
