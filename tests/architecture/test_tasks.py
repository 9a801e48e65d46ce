"""Tasks begin in the next turn of the loop, whatever its task factory does: they are started by `aio.start_task`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# `TaskGroup.create_task` keeps its tasks itself, and what it starts keeps nothing of them
_STARTED = re.compile(
    r"^(?!.*``?).*\b(?:loop|asyncio|get_running_loop\(\)|_loop)\.create_task\(", re.MULTILINE
)


def test_tasks_are_started_in_one_place():
    found = {
        path.relative_to(ROOT).as_posix(): _STARTED.findall(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "rtcpeer").rglob("*.py"))
        if path.name not in ("aio.py", "scripted.py")
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_task_that_is_started_otherwise_is_found():
    assert _STARTED.findall("        task = asyncio.get_running_loop().create_task(work())\n")
    assert _STARTED.findall("task = self._loop.create_task(work())\n")
    assert not _STARTED.findall("    group.create_task(work())\n")
