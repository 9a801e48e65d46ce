"""The command ``rtcpeer report``: reads a dump, writes a page."""

from __future__ import annotations

import json
from pathlib import Path

from rtcpeer.cli.picture.dump import UnreadableDumpError, read
from rtcpeer.cli.picture.page import page
from rtcpeer.cli.report import printable, refuse


def make_report(source: Path, output: Path, *, as_json: bool = False) -> int:
    """Write the page; the exit status."""
    try:
        records = read(source)
        output.write_text(page(f"Call {source.name}", records), encoding="utf-8")
    except UnreadableDumpError as error:
        return refuse(f"{str(source)!r} cannot be shown: {error}")
    except OSError as error:
        return refuse(error)
    if as_json:
        print(json.dumps({"file": str(output), "connections": [record.name for record in records]}))
        return 0
    print(printable(f"{output}: {len(records)} connection{'' if len(records) == 1 else 's'}"))
    return 0
