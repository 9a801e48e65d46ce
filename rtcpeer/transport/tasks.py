"""Tasks with an owner, and the awaitables that `stop` methods return."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator, Iterable
from typing import Any

logger = logging.getLogger(__name__)


# What is not gone after this, in seconds, is not waited for any longer.
STOP_TIMEOUT = 2.0


class Gone:
    """What `stop` methods return: awaiting it waits until these are done; it need not be awaited."""

    __slots__ = ("_futures",)

    def __init__(self, futures: Iterable[asyncio.Future[Any]] = ()) -> None:
        self._futures = [future for future in futures if not future.done()]

    def __await__(self) -> Generator[Any, None, None]:
        if self._futures:
            yield from asyncio.wait(self._futures, timeout=STOP_TIMEOUT).__await__()


class TaskSet:
    """The tasks of one owner: errors are logged with the owner's name, and all can be ended at once."""

    __slots__ = ("_name", "_tasks")

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine until it ends or `cancel` is called."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self, also: Iterable[asyncio.Future[Any]] = ()) -> Gone:
        """Cancel all tasks; the result can be awaited until they, and `also`, are done."""
        tasks: list[asyncio.Future[Any]] = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        return Gone([*tasks, *also])

    def __len__(self) -> int:
        return len(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("%s: a task failed", self._name, exc_info=exc)
