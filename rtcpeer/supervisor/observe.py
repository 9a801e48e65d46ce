"""Observations of a connection, read through the W3C API alone: what it is now, and what has changed since."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.protocols import DtlsTransportLike, IceTransportLike, PeerConnection
from rtcpeer.values import DtlsTransportState

MEDIA_INTERVAL = 2.5
"""Seconds between two looks at whether media can be decrypted."""


def dtls_transports(pc: PeerConnection) -> list[DtlsTransportLike]:
    """The DTLS transports that the connection uses, each once."""
    found: dict[int, DtlsTransportLike] = {}
    holders = [getattr(pc, "sctp", None)]
    transceivers: Any = getattr(pc, "getTransceivers", tuple)()
    holders += [t.sender for t in transceivers if str(getattr(t, "direction", "")) != "stopped"]
    for holder in holders:
        transport = getattr(holder, "transport", None)
        if transport is not None:
            found[id(transport)] = transport
    return list(found.values())


def ice_transports(pc: PeerConnection) -> list[IceTransportLike]:
    """The ICE transports below them."""
    return [transport.iceTransport for transport in dtls_transports(pc)]


def dtls_state(transports: list[DtlsTransportLike]) -> DtlsTransportState | None:
    """The DTLS state of all transports in one word: failed if any is, closed if all are, None if there are none."""
    states = [DtlsTransportState(str(transport.state)) for transport in transports]
    if DtlsTransportState.FAILED in states:
        return DtlsTransportState.FAILED
    open_ones = [state for state in states if state != DtlsTransportState.CLOSED]
    if states and not open_ones:
        return DtlsTransportState.CLOSED
    waiting = [state for state in open_ones if state != DtlsTransportState.CONNECTED]
    return waiting[0] if waiting else (open_ones[0] if open_ones else None)


def has_media(pc: PeerConnection) -> bool:
    """Whether the connection has media sections."""
    transceivers: Any = getattr(pc, "getTransceivers", tuple)()
    return bool(transceivers)


def findings_of(pc: PeerConnection | None) -> tuple[Any, ...]:
    """The findings of a connection's `explain()`; none where another stack has no such thing."""
    explain = getattr(pc, "explain", None)
    return () if explain is None else tuple(explain())


async def bytes_received(pc: PeerConnection) -> int:
    """Bytes that all transports have received so far."""
    return sum(int(_member(stats, "bytesReceived") or 0) for stats in await _transport_stats(pc))


async def undecrypted_for(pc: PeerConnection) -> float:
    """How long arriving media could not be decrypted, in seconds: the longest of all transports.

    It is a member of our own of the transports' statistics; 0.0 where another stack does not have it.
    """
    stats = await _transport_stats(pc)
    return max((float(_member(each, "undecryptedFor") or 0.0) for each in stats), default=0.0)


class ConnectionWatch:
    """A supervisor's memory of the connection in force, by which it sees what has changed.

    Args:
        changed: called when the state of one of its DTLS transports has changed.
    """

    def __init__(self, changed: Callable[[Any], None]) -> None:
        self._changed = changed
        self._listened: list[DtlsTransportLike] = []  # DTLS transports whose state is listened to
        self._bytes = 0  # received when they were counted last; 0 before
        self._media_looked_at = -math.inf  # loop time

    def begin_connection(self) -> None:
        """Another connection is in force."""
        self._listened.clear()
        self._bytes = 0

    def dtls(self, pc: PeerConnection) -> DtlsTransportState | None:
        """The DTLS state of all transports; transports that have come since are listened to."""
        transports = dtls_transports(pc)
        for transport in transports:
            if not any(transport is known for known in self._listened):
                self._listened.append(transport)
                transport.addEventListener("statechange", self._changed)
        return dtls_state(transports)

    def forget_bytes(self) -> None:
        """The connection works: bytes are counted from anew in the next silence."""
        self._bytes = 0

    async def has_received(self, pc: PeerConnection) -> bool:
        """Whether bytes have arrived since the last call."""
        with contextlib.suppress(InvalidStateError):
            total = await bytes_received(pc)
            more = total > self._bytes > 0
            self._bytes = max(total, 1)
            return more
        return False

    async def undecrypted_for(self, pc: PeerConnection, now: float) -> float | None:
        """How long arriving media could not be decrypted, in seconds; None while it is not time to look again."""
        if now < self._media_looked_at + MEDIA_INTERVAL:
            return None
        self._media_looked_at = now
        with contextlib.suppress(InvalidStateError):
            return await undecrypted_for(pc)
        return None


async def _transport_stats(pc: PeerConnection) -> list[Any]:
    report = await pc.getStats()
    return [stats for stats in report.values() if _member(stats, "type") == "transport"]


def _member(stats: Any, name: str) -> Any:
    return stats.get(name) if isinstance(stats, Mapping) else getattr(stats, name, None)
