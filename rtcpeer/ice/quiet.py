"""Tasks that may be left behind when their loop is closed, as nothing is lost with them.

Owns: one private attribute of asyncio's tasks. `asyncio.run` cancels the tasks that it sees when its program ends;
what a callback begins after that look is destroyed pending, and asyncio would complain about it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


def quiet(task: asyncio.Task[Any]) -> None:
    """Do not complain when the task is destroyed with its closed loop. `asyncio.gather` does the same."""
    with contextlib.suppress(AttributeError):  # of another implementation of tasks
        task._log_destroy_pending = False  # type: ignore[attr-defined]
