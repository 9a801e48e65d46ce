"""Leak check: finds tasks, sockets, threads and unretrieved exceptions that a test has left behind.

async with no_leaks():
    ...                             # raises AssertionError with the list
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

# Real seconds that things may take to end by themselves: an executor's last job, a transport's end
GRACE = 0.5
_PAUSE = 0.005


class LeakCheck:
    """Compares the end of a test with its beginning.

    Attributes:
        errors: what was told to the loop's exception handler; a test that provokes some removes them.
    """

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self._reports: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: set[threading.Thread] = set()
        self._sockets: set[str] = set()
        self._previous: Callable[..., Any] | None = None

    def start(self) -> Self:
        """Remember what is there."""
        loop = asyncio.get_running_loop()
        self._tasks = asyncio.all_tasks(loop)
        self._threads = set(threading.enumerate())
        self._sockets = _socket_names()
        self._previous = loop.get_exception_handler()
        loop.set_exception_handler(self._record)
        # what is there already is not looked at by the collection at the end, which is quick therefore
        gc.freeze()
        return self

    def report(self, text: str) -> None:
        """Add a finding of one's own."""
        self._reports.append(text)

    def _record(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context)
        if self._previous is not None:
            self._previous(loop, context)
        else:
            loop.default_exception_handler(context)

    async def finish(self, grace: float = GRACE) -> list[str]:
        """The leaks that were found, one sentence each; empty if there are none.

        Args:
            grace: seconds to wait for things that are about to end; on virtual time, virtual ones and then
                as many real ones.
        """
        loop = asyncio.get_running_loop()
        end = time.monotonic() + grace
        await asyncio.sleep(0)
        is_virtual = hasattr(loop, "wall_time")
        if is_virtual and self._left(loop):
            await asyncio.sleep(grace)
        # threads and sockets set no event when they end
        while self._left(loop) and time.monotonic() < end:
            if is_virtual:
                # sleeping would take no real time and very much virtual time
                time.sleep(_PAUSE)  # noqa: ASYNC251
            await asyncio.sleep(0 if is_virtual else _PAUSE)
        gc.collect()
        gc.unfreeze()
        # callbacks of what was just collected
        await asyncio.sleep(0)
        loop.set_exception_handler(self._previous)
        errors = [_describe(context) for context in self.errors]
        return [*self._reports, *self._left(loop), *errors]

    def _left(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        own = {asyncio.current_task()}
        tasks = asyncio.all_tasks(loop) - self._tasks - own
        # the threads of the loop's own executor end with the loop
        executor = getattr(loop, "_default_executor", None)
        pooled: set[threading.Thread] = getattr(executor, "_threads", set())
        threads = [t for t in threading.enumerate() if t not in self._threads and t not in pooled]
        return [
            *(f"a task is left: {task!r}" for task in tasks),
            *(f"a thread is left: {thread!r}" for thread in threads),
            *(f"a socket is left: {name}" for name in sorted(_socket_names() - self._sockets)),
        ]


def _socket_names() -> set[str]:
    """Sockets of this process, as the system names them; nothing where it does not tell."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{entry}")
                if target.startswith("socket:"):
                    found.add(target)
    return found


def _describe(context: dict[str, Any]) -> str:
    exception = context.get("exception")
    return f"an exception was not retrieved: {context.get('message', '')} {exception!r}"


@contextlib.asynccontextmanager
async def no_leaks(grace: float = GRACE) -> AsyncIterator[LeakCheck]:
    """Demand that nothing is left at the end.

    Raises:
        AssertionError: something is; each is named.
    """
    check = LeakCheck().start()
    try:
        yield check
    except BaseException:
        # the body's own failure is what matters; leaks follow from it
        await check.finish(0)
        raise
    found = await check.finish(grace)
    if found:
        raise AssertionError("\n".join(found))
