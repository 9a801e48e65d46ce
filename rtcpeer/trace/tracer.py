"""Tracer: records calls, events and statistics of connections, in memory, and writes them as one file.

Owns: one timer, the records, the file at the end. Never: a secret: passwords of ICE are masked, credentials and tokens
are left out; data and media are not recorded. Connections are held weakly.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import weakref
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from rtcpeer import __version__
from rtcpeer.aio import wall_time
from rtcpeer.media.event_target import Event
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.session.stats_collector import StatsCollector
from rtcpeer.supervisor.events import StateEvent
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.trace.record import Record

_STATES = {
    "connectionstatechange": "connectionState",
    "iceconnectionstatechange": "iceConnectionState",
    "icegatheringstatechange": "iceGatheringState",
    "signalingstatechange": "signalingState",
}
# states that are explained when they begin
_TROUBLE = ("disconnected", "failed")


class Tracer:
    """Records what happens to connections: an asynchronous context manager.

    Args:
        what: a connection, or a supervised peer with all the connections that it makes.
        to: path or text file that gets the dump at the end; None keeps it in memory, for `dump()`.
        interval: seconds between two readings of the statistics.
        events_max: calls and events that are kept of a connection; in the middle they are dropped first.
        samples_max: readings that are kept, the newest.
        series_max: numbers that are followed in a connection.
        connections_max: connections that are kept; further ones are not recorded.

    Raises:
        TypeError: it is no connection and no supervised peer.
        ValueError: a bound is not above zero.
    """

    def __init__(
        self,
        what: RTCPeerConnection | SupervisedPeer,
        to: str | os.PathLike[str] | IO[str] | None = None,
        *,
        interval: float = 1.0,
        events_max: int = 10_000,
        samples_max: int = 3600,
        series_max: int = 4000,
        connections_max: int = 50,
    ) -> None:
        if not isinstance(what, (RTCPeerConnection, SupervisedPeer)):
            raise TypeError(f"a tracer takes a connection or a supervised peer, not {what!r}")
        for name, bound in (
            ("interval", interval),
            ("events_max", events_max),
            ("samples_max", samples_max),
            ("series_max", series_max),
            ("connections_max", connections_max),
        ):
            if not bound > 0:
                raise ValueError(f"{name} must be above 0, not {bound!r}")
        self._to = to
        self._interval = interval
        self._make_record = partial(
            Record, events_max=events_max, samples_max=samples_max, series_max=series_max
        )
        self._connections_max = connections_max
        self._traces: dict[str, _Trace] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._peer: SupervisedPeer | None = None
        if isinstance(what, SupervisedPeer):
            self._peer = what
            what.addEventListener("statechange", self._on_peer_state)
            what = what.pc
        if isinstance(what, RTCPeerConnection):
            self._add(what)

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Record no more, and write the file; a second call has no effect.

        Raises:
            OSError: the file cannot be written.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._peer is not None:
            self._peer.removeEventListener("statechange", self._on_peer_state)
            self._peer = None
        for trace in self._traces.values():
            trace.sample()
            trace.release()
        to, self._to = self._to, None
        if to is not None:
            text = json.dumps(self.dump())
            await asyncio.to_thread(_write, to, text)

    def _tick(self) -> None:
        for trace in list(self._traces.values()):
            trace.sample()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    # -- what is recorded --------------------------------------------------------------------------

    def _add(self, pc: RTCPeerConnection) -> _Trace | None:
        name = pc._session_.name
        known = self._traces.get(name)
        if known is None and len(self._traces) < self._connections_max:
            known = self._traces[name] = _Trace(pc, self._make_record(_configuration(pc)))
        return known

    def _on_peer_state(self, event: StateEvent) -> None:
        pc = None if self._peer is None else self._peer.pc
        if isinstance(pc, RTCPeerConnection) and (trace := self._add(pc)) is not None:
            trace.log(
                "supervisorstate", f"{event.state.value}, generation {event.generation}: {event.reason.value}"
            )

    def note(self, type: str, value: str = "") -> None:
        """Add a line of the application to the log of the newest connection.

        Args:
            type: a word, beside the names of events and calls.
            value: anything; it must not have secrets.
        """
        if self._traces:
            next(reversed(self._traces.values())).log(type, value)

    def dump(self) -> dict[str, Any]:
        """Everything so far, in the form of Chromium's webrtc-internals dump; `json.dumps` takes it."""
        pid = os.getpid()
        return {
            "getUserMedia": [],
            "PeerConnections": {
                f"{pid}-{name}": trace.record.dump(pid) for name, trace in self._traces.items()
            },
            "UserAgent": f"rtcpeer/{__version__} Python/{platform.python_version()} {platform.system()}",
        }

    def __repr__(self) -> str:
        return f"<Tracer of {', '.join(self._traces) or 'nothing yet'}>"


class _Trace:
    """The recording of one connection. Implements `rtcpeer.peer.core.watching.Watcher`."""

    def __init__(self, pc: RTCPeerConnection, record: Record) -> None:
        self.record = record
        self._pc = weakref.ref(pc)
        self._session = weakref.ref(pc._session_)
        pc._session_.watchers.add(self)

    def release(self) -> None:
        """Watch no longer."""
        session = self._session()
        if session is not None:
            session.watchers.remove(self)

    def log(self, type: str, value: str) -> None:
        """A line of the log, now."""
        self.record.log(wall_time(), type, value)

    def sample(self) -> None:
        """Read the statistics, while there are some."""
        session = self._session()
        if session is not None and not session.closed:
            report = StatsCollector(session.executor, session.stats_salt).report(None)
            self.record.sample(wall_time(), report.values())

    def on_call(self, what: str, detail: str) -> None:
        """Implements `Watcher.on_call`."""
        self.log(what, detail)

    def on_event(self, event: Event) -> None:
        """Implements `Watcher.on_event`."""
        pc = self._pc()
        self.log(event.type, _describe(event, pc))
        if pc is not None and event.type == "connectionstatechange" and pc.connectionState in _TROUBLE:
            # why, as far as it can be seen at this moment
            self.log("explain", "\n".join(finding.text for finding in pc.explain()))

    def on_closing(self) -> None:
        """Implements `Watcher.on_closing`."""
        session = self._session()
        if session is not None and session.loop is not None and session.loop.is_running():
            self.sample()


def _describe(event: Any, pc: RTCPeerConnection | None) -> str:
    """The value of an event, in the words of webrtc-internals."""
    state = _STATES.get(event.type)
    if state is not None:
        return "" if pc is None else str(getattr(pc, state))
    if event.type == "icecandidate":
        candidate = event.candidate
        if candidate is None:
            return "null"
        return (
            f"sdpMid: {candidate.sdpMid}, sdpMLineIndex: {candidate.sdpMLineIndex}, "
            f"candidate: {candidate.candidate}, url: {event.url}"
        )
    if event.type == "icecandidateerror":
        return (
            f"url: {event.url}, address: {event.address}, error_code: {event.errorCode}, "
            f"error_text: {event.errorText}"
        )
    if event.type == "datachannel":
        return f"label: {event.channel.label}, id: {event.channel.id}, protocol: {event.channel.protocol}"
    if event.type == "track":
        return f"kind: {event.track.kind}, mid: {event.transceiver.mid}"
    return ""


def _configuration(pc: RTCPeerConnection) -> str:
    """The configuration without user names and credentials, as JSON."""
    found = pc.getConfiguration()
    urls = [
        [server.urls] if isinstance(server.urls, str) else list(server.urls) for server in found.iceServers
    ]
    return json.dumps(
        {
            "iceServers": [{"urls": each} for each in urls],
            "iceTransportPolicy": str(found.iceTransportPolicy),
            "bundlePolicy": str(found.bundlePolicy),
            "rtcpMuxPolicy": str(found.rtcpMuxPolicy),
            "iceCandidatePoolSize": found.iceCandidatePoolSize,
        }
    )


def _write(to: str | os.PathLike[str] | IO[str], text: str) -> None:
    """The whole file or none of it."""
    if not isinstance(to, (str, os.PathLike)):
        to.write(text)
        return
    path = Path(to)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
