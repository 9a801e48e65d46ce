"""Waiting for a connection: `connected` and `gathered`, whose errors say why it took too long. None of it is W3C's.

Owns: nothing; it reads the session and listens. Never: a change of anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from rtcpeer.media.event_target import EventTarget
from rtcpeer.peer.errors import InvalidStateError, OperationError, RTCTimeoutError
from rtcpeer.peer.session.diagnosis import Level, take_snapshot
from rtcpeer.peer.session.explain import explain
from rtcpeer.peer.session.session import PeerSession
from rtcpeer.values import IceGatheringState, PeerConnectionState


async def connected(session: PeerSession, target: EventTarget, timeout: float | None) -> None:
    """Wait until the connection is up; see `RTCPeerConnection.connected`.

    Args:
        session: the connection.
        target: where its events are fired.
        timeout: seconds; None waits as long as it takes.
    """

    async def wait() -> None:
        # by its class: a program may have `events` of its own
        async with EventTarget.events(target, "connectionstatechange") as changes:
            while True:
                state = session.aggregates.connection
                if state is PeerConnectionState.CONNECTED:
                    return
                if state is PeerConnectionState.FAILED:
                    raise OperationError(f"the connection failed{_why(session)}", fault="network")
                if session.closed or await anext(changes, None) is None:
                    raise InvalidStateError("the connection is closed")

    await _within(session, wait(), timeout, "connected")


async def gathered(session: PeerSession, target: EventTarget, timeout: float | None) -> None:
    """Wait until all candidates are known; see `RTCPeerConnection.gathered`.

    Args:
        session: the connection.
        target: where its events are fired.
        timeout: seconds; None waits as long as it takes.
    """

    async def wait() -> None:
        async with EventTarget.events(target, "icegatheringstatechange") as changes:
            while session.aggregates.ice_gathering is not IceGatheringState.COMPLETE:
                if session.closed or await anext(changes, None) is None:
                    raise InvalidStateError("the connection is closed")

    await _within(session, wait(), timeout, "gathered")


async def _within(
    session: PeerSession, wait: Coroutine[Any, Any, None], timeout: float | None, what: str
) -> None:
    try:
        async with asyncio.timeout(timeout):
            await wait
    except TimeoutError:
        error = RTCTimeoutError(
            f"not {what} within {timeout:g} s: connection {session.aggregates.connection}, "
            f"ICE {session.aggregates.ice_connection}, gathering {session.aggregates.ice_gathering}, "
            f"signaling {session.engine.state.signaling}{_why(session)}"
        )
        error.findings = tuple(explain(take_snapshot(session)))
        raise error from None


def _why(session: PeerSession) -> str:
    """The problems that `explain` finds, as text for error messages."""
    findings = explain(take_snapshot(session))
    problems = [str(finding) for finding in findings if finding.level is Level.PROBLEM]
    return "".join(f". {problem.rstrip('.')}" for problem in problems[:3])
