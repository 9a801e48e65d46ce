"""What every program imports defines its dataclasses by `rtcpeer.records`: else they cost a third of the import."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2] / "rtcpeer"
#: Programs and tests, which are not imported by others.
APART = ("cli", "testing", "records.py")


def test_dataclasses_are_records() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in APART
        and re.search(r"^\s*@(?:dataclasses\.)?dataclass\b", path.read_text(), re.MULTILINE)
    ]
    assert found == []
