"""The record that a tracer keeps of one connection: a log of calls and events, and a series for each statistic.

The form is that of the dump of Chromium's chrome://webrtc-internals: keys, types of values, series as JSON in a string.

Owns: the bounds. Never: a clock, a connection, a file.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

# longer values of the log are cut
VALUE_MAX = 100_000


class Series:
    """The newest values of one member of one statistics object."""

    __slots__ = ("_times", "_values", "type")

    def __init__(self, type: str, samples_max: int) -> None:
        self.type: str = type
        self._values: deque[Any] = deque(maxlen=samples_max)
        self._times: deque[float] = deque(maxlen=samples_max)

    def add(self, time: float, value: Any) -> None:
        """Add a value, at this time since 1970."""
        self._times.append(time)
        self._values.append(value)

    def dump(self) -> dict[str, str]:
        """The series in the form of webrtc-internals."""
        return {
            "startTime": _iso(self._times[0]),
            "endTime": _iso(self._times[-1]),
            "statsType": self.type,
            "values": json.dumps(list(self._values), separators=(",", ":")),
        }


class Record:
    """The record of one connection.

    Args:
        configuration: text of the configuration, without credentials.
        events_max: entries of the log; the first tenth and the newest ones are kept.
        samples_max: values of a series, the newest.
        series_max: series; further statistics are counted and not kept.

    Attributes:
        dropped: entries and series for which there was no room.
    """

    def __init__(self, configuration: str, *, events_max: int, samples_max: int, series_max: int) -> None:
        self._configuration = configuration
        self._samples_max = samples_max
        self._series_max = series_max
        self._series: dict[str, Series] = {}
        # how it began is worth as much as how it ended
        self._first: list[dict[str, Any]] = []
        self._first_max = max(1, events_max // 10)
        self._last: deque[dict[str, Any]] = deque(maxlen=max(1, events_max - self._first_max))
        self.dropped: int = 0

    def log(self, time: float, type: str, value: str) -> None:
        """A call or an event, at this time since 1970."""
        entry = {"timestamp": round(time * 1000, 3), "type": type, "value": value[:VALUE_MAX]}
        if len(self._first) < self._first_max:
            self._first.append(entry)
            return
        self.dropped += len(self._last) == self._last.maxlen
        self._last.append(entry)

    def sample(self, time: float, entries: Iterable[Mapping[str, Any]]) -> None:
        """The statistics of this moment."""
        for entry in entries:
            id, type = str(entry["id"]), str(entry["type"])
            for member, value in entry.items():
                if member in ("id", "type"):
                    continue
                key = f"{id}-{member}"
                series = self._series.get(key)
                if series is None:
                    if len(self._series) >= self._series_max:
                        self.dropped += 1
                        continue
                    series = self._series[key] = Series(type, self._samples_max)
                series.add(time, value)

    def dump(self, pid: int) -> dict[str, Any]:
        """The entry of this connection in ``PeerConnections``."""
        return {
            "pid": pid,
            "url": "rtcpeer",
            "rtcConfiguration": self._configuration,
            "stats": {key: series.dump() for key, series in self._series.items()},
            "updateLog": list(itertools.chain(self._first, self._last)),
        }


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
