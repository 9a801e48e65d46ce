"""Metrics: the sums over connections and forwarders, by group, given to a sink when it asks.

Owns: which connections are measured (weakly held), the counts of those that are gone, groups. Never: a task, a timer:
nothing happens between two readings, but for the last reading of a connection that closes.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from rtcpeer.metrics import names
from rtcpeer.metrics.entries import ConnectionEntry, Counters, ForwarderEntry, Key, RoomEntry, Sums
from rtcpeer.metrics.names import METRICS, Metric
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.forwarder import Forwarder
from rtcpeer.signaling.rooms.statistics import RoomStatistics
from rtcpeer.supervisor.events import StateEvent
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.values import PeerConnectionState

if TYPE_CHECKING:
    from rtcpeer.signaling.rooms.server import RoomServer

Entry = ConnectionEntry | ForwarderEntry | RoomEntry
OTHER = "other"
# how long a thread that asks waits for an event loop
_PATIENCE = 2.0
_WORST = frozenset({names.JITTER, names.ROOM_LAG})


class Sink(Protocol):
    """Destination of numbers: a monitoring system, a log, a test."""

    def sample(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Take one number; `labels` are the values of `metric.labels`, in this order."""


class Metrics:
    """Numbers of the connections that were added.

    Connections are held weakly. What one has counted stays in the sums when it is closed; what happened in a connection
    that was collected without `close()` counts up to the last reading.

    Args:
        groups_max: different values of the label `group`; further ones are counted as "other".
    """

    def __init__(self, *, groups_max: int = 50) -> None:
        self._groups_max = groups_max
        self._groups: set[str] = set()
        self._entries: list[tuple[str, Entry]] = []
        self._past: dict[str, Sums] = defaultdict(lambda: defaultdict(float))
        self._lock = threading.Lock()  # of readings: one at a time
        self._changing = threading.Lock()  # of the list of entries; never held while a loop is waited for
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(
        self, what: RTCPeerConnection | SupervisedPeer | Forwarder | RoomServer, *, group: str = "default"
    ) -> None:
        """Measure a connection, a supervised peer with all its connections, a forwarder, or a room server.

        Args:
            what: what was added before is not added again.
            group: value of the label `group`: a kind of connection, of which there are few. Never an id.

        Raises:
            TypeError: it is none of these.
        """
        # a room server needs aiohttp; whoever has one has imported it
        is_rooms = isinstance(getattr(what, "statistics", None), RoomStatistics)
        if not is_rooms and not isinstance(what, (RTCPeerConnection, SupervisedPeer, Forwarder)):
            raise TypeError(f"metrics measure connections, peers, forwarders and room servers, not {what!r}")
        if what in self._known:
            return
        self._known.add(what)
        group = self._group(group)
        if isinstance(what, SupervisedPeer):
            self._follow(what, group)
        elif isinstance(what, Forwarder):
            self._append(group, ForwarderEntry(what))
        elif isinstance(what, RTCPeerConnection):
            self._append(group, ConnectionEntry(what))
        else:
            self._append(group, RoomEntry(what))

    def _append(self, group: str, entry: Entry) -> None:
        with self._changing:
            self._entries.append((group, entry))

    def _group(self, group: str) -> str:
        if group not in self._groups and len(self._groups) >= self._groups_max:
            return OTHER
        self._groups.add(group)
        return group

    def _follow(self, peer: SupervisedPeer, group: str) -> None:
        """Measure each connection that a supervised peer makes."""
        generations: list[int] = [peer.generation]

        def changed(event: StateEvent) -> None:
            if event.generation > generations[0] >= 1:
                self._past[group][names.RECREATIONS, ()] += event.generation - generations[0]
            generations[0] = max(generations[0], event.generation)
            pc = event.target.pc if event.target is not None else None
            if isinstance(pc, RTCPeerConnection):
                self.add(pc, group=group)

        peer.addEventListener("statechange", changed)
        if isinstance(peer.pc, RTCPeerConnection):
            self.add(peer.pc, group=group)

    def write(self, sink: Sink) -> None:
        """Read everything now and give it to the sink, in the order of `METRICS`.

        May be called in any thread: connections are read in their own event loop, at most 2 s are waited for it, and
        then its last readings count.
        """
        with self._lock:
            totals, gauges = self._read()
        for metric in METRICS:
            found = totals if metric.kind == "counter" else gauges
            for (known, labels), value in sorted(found.items(), key=lambda item: item[0][1]):
                if known is metric:
                    sink.sample(metric, labels, value)

    def _read(self) -> tuple[Sums, Sums]:
        readings = self._read_all()
        gauges: Sums = {}
        trips: dict[str, list[float]] = defaultdict(list)
        for group in {group for group, _ in self._entries} | set(self._past):
            for state in PeerConnectionState:
                if state is not PeerConnectionState.CLOSED:
                    gauges[names.CONNECTIONS, (group, state.value)] = 0.0
        for group, (metric, labels), value in readings:
            key = (metric, (group, *labels))
            if metric is names.ROUND_TRIP:
                trips[group].append(value)
            elif metric in _WORST:
                gauges[key] = max(value, gauges.get(key, 0.0))
            else:
                gauges[key] = gauges.get(key, 0.0) + value
        for group, values in trips.items():
            gauges[names.ROUND_TRIP, (group, "mean")] = sum(values) / len(values)
            gauges[names.ROUND_TRIP, (group, "max")] = max(values)
        totals: Sums = defaultdict(float)
        self._settle()
        for group, sums in self._past.items():
            for (metric, labels), value in sums.items():
                totals[metric, (group, *labels)] += value
        for group, entry in self._entries:
            for (metric, labels), value in entry.counters.sums():
                totals[metric, (group, *labels)] += value
        return totals, gauges

    def _settle(self) -> None:
        """Let those connections that are over leave their counts behind."""
        with self._changing:
            over = [(group, entry) for group, entry in self._entries if entry.is_over]
            self._entries = [item for item in self._entries if item not in over]
        for group, entry in over:
            for key, value in entry.counters.sums():
                self._past[group][key] += value

    def _read_all(self) -> list[tuple[str, Key, float]]:
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        loops: dict[asyncio.AbstractEventLoop | None, list[tuple[str, Entry]]] = {}
        for group, entry in list(self._entries):
            loops.setdefault(entry.loop or here, []).append((group, entry))
        found: list[tuple[str, Key, float]] = []
        for loop, entries in loops.items():
            if loop is here and here is not None:
                found += _read(entries)
            elif loop is not None and loop.is_running():
                found += _read_elsewhere(loop, entries)
        return found

    def close(self) -> None:
        """Measure nothing any more; what was counted stays readable."""
        with self._lock:
            self._read()
        for group, entry in self._entries:
            entry.release()
            for key, value in entry.counters.sums():
                self._past[group][key] += value
        self._entries.clear()


def _read(entries: list[tuple[str, Entry]]) -> list[tuple[str, Key, float]]:
    return [(group, key, value) for group, entry in entries for key, value in entry.read()]


def _read_elsewhere(
    loop: asyncio.AbstractEventLoop, entries: list[tuple[str, Entry]]
) -> list[tuple[str, Key, float]]:
    async def read() -> list[tuple[str, Key, float]]:
        return _read(entries)

    work = read()
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(_PATIENCE)
    except TimeoutError:
        future.cancel()
        return []  # it stands still: its counters are those of the last reading


__all__ = ["Counters", "Metrics", "Sink"]
