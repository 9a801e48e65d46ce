"""Candidates of a LiveKit session that come before the description that they belong to."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from rtcpeer.errors import OperationError, RtcPeerError
from rtcpeer.protocols import NegotiableConnection

# Candidates that may wait.
EARLY_MAX: Final = 64


class EarlyCandidates:
    """The early candidates of the connections of one session."""

    def __init__(self) -> None:
        self._waiting: list[tuple[NegotiableConnection, dict[str, Any]]] = []

    async def take(self, pc: NegotiableConnection, members: dict[str, Any]) -> None:
        """Add a candidate to its connection, or keep it if its description is still to come.

        Args:
            pc: which connection it is of.
            members: of the candidate.

        Raises:
            OperationError: too many wait.
        """
        if pc.remoteDescription is not None:
            try:
                await pc.addIceCandidate(members)
                return
            except OperationError:  # of a description that is still to come
                pass
        if len(self._waiting) >= EARLY_MAX:
            raise OperationError("too many candidates before their description")
        self._waiting.append((pc, members))

    async def add(self, pc: NegotiableConnection) -> None:
        """Add those that have waited for the description that a connection has now."""
        mine = [members for owner, members in self._waiting if owner is pc]
        self._waiting = [one for one in self._waiting if one[0] is not pc]
        for members in mine:
            with contextlib.suppress(RtcPeerError):  # of a description that never came
                await pc.addIceCandidate(members)
