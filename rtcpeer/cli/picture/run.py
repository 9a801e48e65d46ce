"""What ``rtcpeer report`` does: reads a dump, writes a page."""

from __future__ import annotations

import sys
from pathlib import Path

from rtcpeer.cli.picture.dump import UnreadableDumpError, read
from rtcpeer.cli.picture.page import page
from rtcpeer.cli.report import printable


def make_report(source: Path, output: Path) -> int:
    """Write the page; the exit status."""
    try:
        records = read(source)
        output.write_text(page(f"Call {source.name}", records), encoding="utf-8")
    except UnreadableDumpError as error:
        print(printable(f"rtcpeer: {str(source)!r} cannot be shown: {error}"), file=sys.stderr)
        return 2
    except OSError as error:
        print(printable(f"rtcpeer: {error}"), file=sys.stderr)
        return 2
    print(printable(f"{output}: {len(records)} connection{'' if len(records) == 1 else 's'}"))
    return 0
