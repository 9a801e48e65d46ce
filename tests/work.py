"""Counting the work of a test, so that neither the machine nor its load says anything."""

from __future__ import annotations

import sys
from typing import Self


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
