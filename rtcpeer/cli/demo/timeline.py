"""The demo's timeline and its promises, and how both are printed.

Owns: the record and its two forms, text for people and one JSON object for programs.  Never: a judgement of
its own; a promise is kept or broken by what the caller measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

COLOURS = {
    "caller": "36",
    "callee": "33",
    "server": "35",
    "act": "1",
    "kept": "32",
    "broken": "1;31",
    "dim": "2",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A line of the timeline: seconds since the start, who, which event, details."""

    time: float
    who: str
    event: str
    detail: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise of the library and what was measured."""

    text: str
    kept: bool
    measured: str


@dataclass(slots=True)
class Timeline:
    """The record of one run.

    Args:
        show: print each line at once.
    """

    show: bool = True
    entries: list[TimelineEntry] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    _start: float = field(default_factory=time.perf_counter)

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        return all(promise.kept for promise in self.promises)

    def act(self, title: str) -> None:
        """A new part begins."""
        self.entries.append(TimelineEntry(round(self.now, 4), "act", title, ""))
        self._print("")
        self._print(paint("act", f"{self.now:8.3f}  {title}"))

    def note(self, who: str, event: str, detail: object = "") -> None:
        """Something happened."""
        self.entries.append(TimelineEntry(round(self.now, 4), who, event, str(detail)))
        self._print(f"{paint('dim', f'{self.now:8.3f}')}  {paint(who, f'{who:<7}')} {event:<22} {detail}")

    def promise(self, text: str, kept: bool, measured: object) -> None:
        """A promise was put to the test."""
        self.promises.append(Promise(text, bool(kept), str(measured)))
        word = "kept" if kept else "broken"
        mark = "ok" if kept else "BROKEN"
        self._print(f"{'':8}  {paint(word, f'{mark:<7}')} {text}: {measured}")

    def finish(self) -> None:
        """Print the summary."""
        self._print("")
        self._print(paint("act", f"{self.now:8.3f}  Summary"))
        for name, value in self.summary.items():
            self._print(f"{'':10}{name.replace('_', ' '):<38} {describe(value)}")
        broken = [promise for promise in self.promises if not promise.kept]
        self._print("")
        for promise in broken:
            self._print(f"{'':10}{paint('broken', 'BROKEN')}  {promise.text}: {promise.measured}")
        verdict = f"{len(self.promises) - len(broken)} of {len(self.promises)} promises kept"
        self._print(f"{'':10}{paint('broken' if broken else 'kept', verdict)} in {self.now:.1f} s")

    def as_json(self) -> str:
        """Everything as one JSON object."""
        return json.dumps(
            {
                "ok": self.ok,
                "seconds": round(self.now, 3),
                "timeline": [asdict(entry) for entry in self.entries],
                "promises": [asdict(promise) for promise in self.promises],
                "summary": self.summary,
            },
            indent=1,
        )

    def _print(self, text: str) -> None:
        if not self.show:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # the reader has gone (`rtcpeer demo | head`): the run goes on, its status counts
            self.show = False
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)


def paint(name: str, text: str) -> str:
    """Colour for a terminal; plain text elsewhere and under NO_COLOR."""
    colour = COLOURS.get(name)
    if colour is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def describe(value: Any) -> str:
    """A number or a pair of numbers, one per side, for people."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {describe(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
