"""The state of a relay: a table below the lines on a terminal, or an event in a line for programs.

Owns: the drawing, the counters of the last time, one task. Never: broadcasts, the lines above.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rtcpeer.aio import start_task
from rtcpeer.cli.relay.broadcast import Broadcast, Broadcasts
from rtcpeer.cli.report import printable

# How often it is drawn, and told to programs, in seconds.
INTERVAL = 2.0
_HEAD = ("stream", "kinds", "subscribers", "packets", "kbit/s", "lost", "layers", "least estimate")
_WIDTHS = (20, 12, 11, 10, 8, 7, 16, 14)


class RelayTable:
    """The table, and the reporter that steps aside for it.

    Args:
        report: prints a line.
        as_json: tell an event "status" in place of drawing.
    """

    def __init__(self, report: Callable[..., None], *, as_json: bool) -> None:
        self._report = report
        self._as_json = as_json
        self._wanted = as_json or sys.stdout.isatty()
        self._broadcasts: Broadcasts | None = None
        self._task: asyncio.Task[None] | None = None
        # lines that stand on the terminal
        self._lines = 0
        self._at, self._cpu = time.monotonic(), time.process_time()
        # by stream: bytes that had been sent
        self._bytes: dict[str, int] = {}
        self._status: dict[str, Any] = {}

    def __call__(self, event: str, **details: Any) -> None:
        """Report an event above the table, and draw that again."""
        self._clear()
        self._report(event, **details)
        if not self._as_json:
            self._draw()

    def start(self, broadcasts: Broadcasts) -> None:
        """Show these from now on."""
        self._broadcasts = broadcasts
        if self._wanted:
            self._task = start_task(self._run(), name="rtcpeer relay table")

    async def close(self) -> None:
        """Show nothing more; the last table stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._lines, self._status = 0, {}

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.update()
            if self._as_json:
                self._report("status", **self._status)
            else:
                self._clear()
                self._draw()

    def update(self) -> dict[str, Any]:
        """Look again.

        Returns:
            ``streams``, one object per broadcast: name, kinds, subscribers; packets, bytes and lost since each began;
            bitrate in bit/s, layers with the number of subscribers that get each, the least estimate in bit/s or None.
            The sums of them, and ``cpu``: the part of one processor that this process takes, in percent.
        """
        now, cpu = time.monotonic(), time.process_time()
        elapsed = max(1e-3, now - self._at)
        streams = [self._row(one, elapsed) for one in self._broadcasts.live] if self._broadcasts else []
        self._status = {
            "streams": streams,
            "subscribers": sum([row["subscribers"] for row in streams]),
            "packets": sum([row["packets"] for row in streams]),
            "lost": sum([row["lost"] for row in streams]),
            "cpu": round(100 * (cpu - self._cpu) / elapsed, 1),
        }
        self._at, self._cpu = now, cpu
        self._bytes = {row["name"]: row["bytes"] for row in streams}
        return self._status

    def _row(self, one: Broadcast, elapsed: float) -> dict[str, Any]:
        outputs = [output.stats() for forwarder in one.forwarders.values() for output in forwarder.outputs]
        size = sum([stats["bytes"] + stats["retransmittedBytes"] for stats in outputs])
        layers = Counter([stats["layer"] for stats in outputs if stats["layer"] is not None])
        estimates = [stats["estimate"] for stats in outputs if stats["estimate"] is not None]
        # who leaves takes its counters along
        grown = max(0, size - self._bytes.get(one.name, 0))
        return {
            "name": one.name,
            "kinds": sorted(one.forwarders),
            "subscribers": len(one.viewers),
            "packets": sum([stats["packets"] for stats in outputs]),
            "bytes": size,
            "bitrate": round(8 * grown / elapsed),
            "lost": sum([stats["lost"] for stats in outputs]),
            "layers": dict(layers),
            "estimate": min(estimates, default=None),
        }

    # -- the terminal ------------------------------------------------------------------------------

    def draw(self) -> list[str]:
        """The table as it was looked at last, in lines."""
        rows = [_HEAD]
        for row in self._status["streams"]:
            layers = ", ".join([f"{name} {count}" for name, count in sorted(row["layers"].items())])
            estimate = "-" if row["estimate"] is None else f"{row['estimate'] // 1000} kbit/s"
            rows.append(
                (
                    row["name"],
                    ", ".join(row["kinds"]),
                    str(row["subscribers"]),
                    str(row["packets"]),
                    str(row["bitrate"] // 1000),
                    str(row["lost"]),
                    layers or "-",
                    estimate,
                )
            )
        lines = ["  ".join(_cell(*cell) for cell in zip(row, _WIDTHS, strict=True)).rstrip() for row in rows]
        return [
            *lines,
            f"{self._status['subscribers']} subscribers, {self._status['cpu']:.1f} % of a processor",
        ]

    def _draw(self) -> None:
        if self._wanted and self._status:
            lines = self.draw()
            print("\n".join(lines), flush=True)
            self._lines = len(lines)

    def _clear(self) -> None:
        if self._lines:
            print(f"\x1b[{self._lines}F\x1b[J", end="", flush=True)
            self._lines = 0


def _cell(text: str, width: int) -> str:
    shown = printable(text)
    return (shown if len(shown) <= width else shown[: width - 3] + "...").ljust(width)
