"""Counters of one connection or forwarder, kept so that they never fall.

Owns: last values by stream; what streams that are gone had counted. Never: a strong reference to what is measured.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rtcpeer.media.event_target import Event
from rtcpeer.metrics import names
from rtcpeer.metrics.names import Metric
from rtcpeer.peer.session.stats_collector import StatsCollector
from rtcpeer.values import PeerConnectionState

if TYPE_CHECKING:
    from rtcpeer.peer.connection import RTCPeerConnection
    from rtcpeer.peer.forwarder import Forwarder
    from rtcpeer.peer.session.session import PeerSession
    from rtcpeer.signaling.rooms.server import RoomServer

Key = tuple[Metric, tuple[str, ...]]
Sums = dict[Key, float]


class Counters:
    """Sums that only rise: of streams that are there, and of those that are gone."""

    def __init__(self) -> None:
        self._now: dict[tuple[str, Key], float] = {}
        self._gone: Sums = defaultdict(float)

    def update(self, values: Iterable[tuple[str, Key, float]]) -> None:
        """Take new readings, each with the id of its stream."""
        before, self._now = self._now, {}
        for id, key, value in values:
            self._now[id, key] = max(value, before.pop((id, key), 0.0))
        for (_id, key), value in before.items():
            self._gone[key] += value

    def count(self, key: Key) -> None:
        """Count one more."""
        self._gone[key] += 1

    def sums(self) -> Iterator[tuple[Key, float]]:
        """Everything so far; keys may come several times."""
        yield from list(self._gone.items())  # copies: a thread may sum while the loop counts
        for (_id, key), value in list(self._now.items()):
            yield key, value


class ConnectionEntry:
    """The metrics of one connection. Implements `rtcpeer.peer.core.watching.Watcher`."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self.counters: Counters = Counters()
        self.counters.count((names.OPENED, ()))
        self._pc = weakref.ref(pc)
        self._restarts = 0
        self._session: weakref.ref[PeerSession] = weakref.ref(pc._session_)
        pc._session_.watchers.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that it runs in; None when it is gone or has not begun."""
        session = self._session()
        return None if session is None or session.closed else session.loop

    def release(self) -> None:
        """Watch it no longer."""
        session = self._session()
        if session is not None:
            session.watchers.remove(self)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be counted."""
        session = self._session()
        return session is None or session.closed

    def read(self) -> list[tuple[Key, float]]:
        """Take new readings, in the loop; gives the gauges."""
        session = self._session()
        if session is None or session.closed:
            return []
        entries = StatsCollector(session.executor, session.stats_salt).report(None).values()
        self.counters.update(_readings(entries))
        while self._restarts < session.restarts:
            self._restarts += 1
            self.counters.count((names.RESTARTS, ()))
        return [((names.CONNECTIONS, (session.aggregates.connection.value,)), 1.0), *_gauges(entries)]

    def on_call(self, what: str, detail: str) -> None:
        """Implements `Watcher.on_call`."""

    def on_event(self, event: Event) -> None:
        """Implements `Watcher.on_event`."""
        session = self._session()
        if session is None or event.type != "connectionstatechange":
            return
        if session.aggregates.connection is PeerConnectionState.FAILED:
            self.counters.count((names.FAILED, ()))

    def on_closing(self) -> None:
        """Implements `Watcher.on_closing`: what came since it was read last counts too."""
        session = self._session()
        if session is not None and session.loop is not None and session.loop.is_running():
            self.read()


def _readings(entries: Iterable[Any]) -> Iterator[tuple[str, Key, float]]:
    for entry in entries:
        for metric, member, labels in names.COUNTED.get(entry["type"], ()):
            value = entry.get(member)
            if value is not None:
                kind = (entry["kind"],) if "kind" in metric.labels else ()
                yield entry["id"], (metric, labels + kind), value


def _gauges(entries: Iterable[Any]) -> Iterator[tuple[Key, float]]:
    by_id = {entry["id"]: entry for entry in entries}
    for entry in by_id.values():
        type = entry["type"]
        if type == "transport" and entry.get("selectedCandidatePairId") in by_id:
            pair = by_id[entry["selectedCandidatePairId"]]
            local = by_id.get(pair["localCandidateId"])
            if local is not None:
                yield (names.PATHS, (local["candidateType"],)), 1.0
            if pair.get("currentRoundTripTime") is not None:
                yield (names.ROUND_TRIP, ("mean",)), pair["currentRoundTripTime"]
        elif type == "inbound-rtp" and entry.get("jitter") is not None:
            yield (names.JITTER, (entry["kind"],)), entry["jitter"]
        elif type == "outbound-rtp" and entry.get("targetBitrate") is not None:
            yield (names.TARGET, (entry["kind"],)), entry["targetBitrate"] / 8
        elif type == "data-channel" and entry.get("state") == "open":
            yield (names.CHANNELS, ()), 1.0


class ForwarderEntry:
    """The metrics of one forwarder."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.counters: Counters = Counters()
        self._forwarder = weakref.ref(forwarder)

    loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be counted."""
        return self._forwarder() is None

    def release(self) -> None:
        """Undo nothing: there is nothing to be undone."""

    def read(self) -> list[tuple[Key, float]]:
        """Take new readings; gives the gauges."""
        forwarder = self._forwarder()
        if forwarder is None:
            return []
        outputs = [(str(id(output)), output.stats()) for output in forwarder.outputs]
        self.counters.update(
            (name, (metric, ()), float(stats[member]))
            for name, stats in outputs
            for metric, member in names.FORWARDED
        )
        return [
            ((names.FORWARDER_OUTPUTS, ("paused" if stats["paused"] else "sending",)), 1.0)
            for _name, stats in outputs
        ]


class RoomEntry:
    """The metrics of one room server."""

    def __init__(self, server: RoomServer) -> None:
        self.counters: Counters = Counters()
        self._server = weakref.ref(server)
        self._statistics = server.statistics  # plain numbers: they stay when the server is gone

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that it runs in; None while it does not."""
        server = self._server()
        return None if server is None else server.loop

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be counted."""
        if self._server() is not None:
            return False
        self._count()
        return True

    def release(self) -> None:
        """Undo nothing: there is nothing to be undone."""

    def read(self) -> list[tuple[Key, float]]:
        """Take new readings; gives the gauges."""
        self._count()
        server = self._server()
        if server is None:
            return []
        return [
            ((names.ROOM_MEMBERS, ()), float(server.members)),
            ((names.ROOM_SOCKETS, ()), float(server.sockets)),
            ((names.ROOM_LAG, ()), server.lag),
        ]

    def _count(self) -> None:
        found = self._statistics
        counts: list[tuple[Metric, str, int]] = [
            (names.ROOM_FRAMES, "received", found.frames_received),
            (names.ROOM_FRAMES, "sent", found.frames_sent),
            (names.ROOM_BYTES, "received", found.bytes_received),
            (names.ROOM_BYTES, "sent", found.bytes_sent),
            *((names.ROOM_REFUSALS, reason, count) for reason, count in tuple(found.refusals.items())),
        ]
        self.counters.update(("", (metric, (label,)), float(count)) for metric, label, count in counts)
