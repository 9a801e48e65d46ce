"""Counting the work of a test, so that neither the machine nor its load says anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

TraceFunction = Callable[[FrameType, str, Any], Any]


class Steps:
    """Counts the instructions of Python's own code in this thread while it is entered, those of loops too.

    What C does in one go, such as sorting, counts as one.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: TraceFunction | None = None

    def __enter__(self) -> Self:
        def trace(frame: FrameType, event: str, _argument: object) -> TraceFunction:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self.count += event == "opcode"
            return trace

        self._before = sys.gettrace()
        sys.settrace(trace)
        return self

    def __exit__(self, *_unused: object) -> None:
        sys.settrace(self._before)


class Work:
    """Counts the calls of functions in this thread, written in Python or C, while it is entered.

    Within a coroutine that is all that the loop does meanwhile, whichever task does it.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Self:
        def count(_frame: object, event: str, _argument: object) -> None:
            self.calls += event in ("call", "c_call")

        sys.setprofile(count)
        return self

    def __exit__(self, *_unused: object) -> None:
        sys.setprofile(None)
