"""The results of the other modules as the tables of docs/performance.md. `make bench` prints them.

    python -m tests.bench.table build/bench/run.json build/bench/relay.json [--write docs/performance.md]

`--write` puts them between the marks in that file, with the date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- written by tests.bench.table -->", "<!-- end of what tests.bench.table writes -->"

# measurement, members of its result, what they are
_PAIRS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("first", ("cpu_ms", "process_cpu_ms"), "import and first connection: CPU ms / of the whole process"),
    ("setup", ("median_ms", "cpu_ms_per_pair"), "offer to open channel: median ms / CPU ms per pair"),
    ("dead-server", ("median_ms",), "the same with a dead STUN server first: median ms"),
    (
        "restart",
        ("reconnect_median_ms", "largest_gap_ms"),
        "ICE restart: ms to the new pair / largest gap in ms",
    ),
    ("throughput", ("MB_per_s", "cpu_s_per_100MB"), "data, 64 KiB messages: MB/s / CPU s per 100 MB"),
    ("throughput-1k", ("MB_per_s", "cpu_s_per_100MB"), "data, 1 KiB messages: the same"),
    ("ping-pong", ("median_us", "p99_us", "cpu_us_per_round"), "ping-pong, 16 bytes: median / p99 / CPU us"),
    (
        "idle",
        ("kb_per_pair", "idle_cpu_ms_per_pair_per_s"),
        "200 idle pairs: kB per pair / CPU ms per pair and second",
    ),
)
_KINDS = {"video": "VP8 at 1 Mbit/s", "audio": "Opus", "climb": "largest rate without loss"}


def _cell(result: dict[str, Any] | None, members: Sequence[str]) -> str:
    """One result, or what stands for none."""
    if result is None or "skipped" in result:
        return "-"
    if "failed" in result:
        return "failed"
    if "note" in result:
        return str(result["note"])
    return " / ".join(f"{result.get(member, '-'):,}" for member in members)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pairs(results: dict[str, dict[str, Any]]) -> str:
    """What `tests.bench.run` measured."""
    stacks = list(dict.fromkeys(stack for by_stack in results.values() for stack in by_stack))
    rows = [
        [title, *(_cell(results[name].get(stack), members) for stack in stacks)]
        for name, members, title in _PAIRS
        if name in results
    ]
    return _table(["", *stacks], rows)


def relays(results: Sequence[dict[str, Any]]) -> str:
    """What `tests.bench.relay` measured."""
    stacks = list(dict.fromkeys(result["stack"] for result in results))
    found = {(result["kind"], result["subscribers"], result["stack"]): result for result in results}
    rows = []
    for kind, subscribers in dict.fromkeys((result["kind"], result["subscribers"]) for result in results):
        members = ("packets_per_s", "limit") if kind == "climb" else ("cpu_percent", "per_packet_us", "lost")
        cells = [_cell_of_relay(found.get((kind, subscribers, stack)), members) for stack in stacks]
        rows.append([f"{_KINDS[kind]}, 1 -> {subscribers}", *cells])
    return _table(["CPU % / us per packet out / lost; packets/s out, limit", *stacks], rows)


def _cell_of_relay(result: dict[str, Any] | None, members: Sequence[str]) -> str:
    if result is None or "skipped" in result:
        return "-"
    return " / ".join(str(result[member]) for member in members)


def text(run: dict[str, dict[str, Any]], relay: Sequence[dict[str, Any]], today: datetime.date) -> str:
    """Both tables under a line that says when and where."""
    where = f"{today:%-d %B %Y}, Python {platform.python_version()}, {os.cpu_count()} processors"
    return f"`make bench`, {where}:\n\n{pairs(run)}\n\n{relays(relay)}"


def write(path: Path, tables: str) -> None:
    """Put the tables between the marks of a file.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no marks {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, and write them where that is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="what tests.bench.run wrote with --json")
    parser.add_argument("relay", type=Path, help="what tests.bench.relay wrote with --json")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put them between the marks in this file")
    options = parser.parse_args(arguments)
    today = datetime.datetime.now(datetime.UTC).date()
    tables = text(json.loads(options.run.read_text()), json.loads(options.relay.read_text()), today)
    print(tables)
    if options.write is not None:
        write(options.write, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
