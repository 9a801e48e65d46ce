"""Reads a dump of a tracer or of Chromium's webrtc-internals: series, statistics objects, log.

Owns: that a malformed file is a clear error, and that all of it is data. Never: HTML.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

SIZE_MAX = 256 * 1024 * 1024
# A curve: seconds since the beginning, and values.
Curve = list[tuple[float, float]]


class UnreadableDumpError(Exception):
    """The file is no dump; the message says why."""


@dataclass
class Stat:
    """A statistics object over time.

    Attributes:
        type: as in W3C webrtc-stats.
        members: by member the values with their times (seconds since 1970).
    """

    type: str
    members: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)

    def last(self, member: str) -> Any:
        """The newest value; None without one."""
        values = self.members.get(member)
        return values[-1][1] if values else None


@dataclass(frozen=True)
class Line:
    """A line of the log."""

    at: float
    type: str
    value: str


@dataclass
class CallRecord:
    """A connection in a dump.

    Attributes:
        name: its key in the dump.
        configuration: as text.
        lines: calls and events.
        stats: statistics objects by id.
    """

    name: str
    configuration: str
    lines: list[Line]
    stats: dict[str, Stat]

    def of_type(self, type: str) -> Iterator[tuple[str, Stat]]:
        """Statistics objects of one type."""
        return ((id, stat) for id, stat in self.stats.items() if stat.type == type)

    @functools.cached_property
    def began(self) -> float:
        """When the first thing happened, since 1970."""
        times = [line.at for line in self.lines[:1]]
        times += [v[0][0] for stat in self.stats.values() for v in stat.members.values() if v]
        return min(times, default=0.0)

    @functools.cached_property
    def length(self) -> float:
        """Seconds from the first thing that happened to the last."""
        times = [line.at for line in self.lines[-1:]]
        times += [v[-1][0] for stat in self.stats.values() for v in stat.members.values() if v]
        return max(times, default=self.began) - self.began

    @functools.cached_property
    def selected_pairs(self) -> frozenset[str]:
        """Ids of the candidate pairs that transports use in the end."""
        found = (stat.last("selectedCandidatePairId") for _, stat in self.of_type("transport"))
        return frozenset(str(id) for id in found if id)


def read(path: Path) -> list[CallRecord]:
    """The connections of a dump.

    Raises:
        UnreadableDumpError: it is none, or larger than 256 MiB.
        OSError: it cannot be read.
    """
    if path.stat().st_size > SIZE_MAX:
        raise UnreadableDumpError("it is larger than 256 MiB")
    try:
        dump = json.loads(path.read_text(encoding="utf-8"))
        connections = dump["PeerConnections"]
        return [_connection(str(name), entry) for name, entry in connections.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnreadableDumpError(
            f"it is no dump of a Tracer or of chrome://webrtc-internals ({type(error).__name__})"
        ) from error


def _connection(name: str, entry: dict[str, Any]) -> CallRecord:
    lines = [
        Line(
            _time(line["timestamp"] if "timestamp" in line else line["time"]),
            str(line["type"]),
            str(line.get("value", "")),
        )
        for line in entry.get("updateLog", [])
    ]
    return CallRecord(name, str(entry.get("rtcConfiguration", "")), lines, _stats(entry.get("stats", {})))


def _stats(series: dict[str, dict[str, Any]]) -> dict[str, Stat]:
    stats: dict[str, Stat] = {}
    loaded: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for key, one in series.items():
        id, _, member = key.rpartition("-")
        values = one["values"]
        values = json.loads(values) if isinstance(values, str) else list(values)
        loaded[id][member] = values
        spans[id, member] = _time(one["startTime"]), _time(one["endTime"])
        stats.setdefault(id, Stat(str(one.get("statsType", ""))))
    for id, members in loaded.items():
        clock = [_milliseconds(value) / 1000 for value in members.get("timestamp", [])]
        for member, values in members.items():
            times = clock[-len(values) :] if values and len(clock) >= len(values) else []
            if not times:
                times = _spread(*spans[id, member], len(values))
            stats[id].members[member] = list(zip(times, values, strict=True))
    return stats


def _spread(start: float, end: float, count: int) -> list[float]:
    step = (end - start) / max(1, count - 1)
    return [start + step * index for index in range(count)]


def _milliseconds(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a time that is no number")
    return number


def _time(value: Any) -> float:
    """ISO text, or milliseconds."""
    if isinstance(value, (int, float)):
        return _milliseconds(value) / 1000
    return datetime.fromisoformat(str(value)).timestamp()


def number_curve(stat: Stat, member: str, zero: float) -> Curve:
    """The numbers of a member over time."""
    return [
        (at - zero, float(value))
        for at, value in stat.members.get(member, [])
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    ]


def rate_curve(stat: Stat, member: str, zero: float, factor: float = 1.0) -> Curve:
    """How fast a counter rises, per second; a counter that falls has begun anew."""
    numbers = number_curve(stat, member, zero)
    return [
        (at, max(0.0, value - before) * factor / (at - then))
        for (then, before), (at, value) in itertools.pairwise(numbers)
        if at > then
    ]
