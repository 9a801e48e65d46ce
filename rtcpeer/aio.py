"""asyncio helpers: owned tasks, inboxes, awaitables of `stop` methods, one timer for many deadlines, time of day."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

from rtcpeer.values import NEVER

logger = logging.getLogger(__name__)


# What is not gone after this, in seconds, is not waited for any longer.
STOP_TIMEOUT = 2.0


T = TypeVar("T")


def start_task(
    coroutine: Coroutine[Any, Any, T],
    *,
    name: str | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.Task[T]:
    """A task that begins in the next turn of a loop, by default the running one, also where it starts tasks eagerly.

    An eager task (Python 3.12) runs before its creator has it, and may end before its creator has kept it. Another task
    factory of the program is used as it is.
    """
    loop = asyncio.get_running_loop() if loop is None else loop
    if _is_eager(loop.get_task_factory()):
        return asyncio.Task(coroutine, loop=loop, name=name)
    return loop.create_task(coroutine, name=name)


def _is_eager(factory: object) -> bool:
    # whatever class of tasks it was made for
    return getattr(factory, "__qualname__", "").startswith("create_eager_task_factory.")


class Inbox(Generic[T]):
    """Items between a producer that never waits and readers that do; in order, and with an end.

    Args:
        items: the first ones.
        bound: how many may wait; the oldest is dropped for one that has no room. None: any number.

    Attributes:
        items: those that wait, the oldest first.
        dropped: how many were dropped.
    """

    __slots__ = ("_ended", "_waiter", "dropped", "items")

    def __init__(self, items: Iterable[T] = (), *, bound: int | None = None) -> None:
        self.items: deque[T] = deque(items, bound)
        self.dropped = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: T) -> None:
        """Put an item in, unless the inbox has ended."""
        if self._ended:
            return
        if len(self.items) == self.items.maxlen:
            self.dropped += 1
        self.items.append(item)
        self._wake()

    def end(self) -> None:
        """End: nothing more comes; what waits can still be read."""
        self._ended = True
        self._wake()

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    async def get(self) -> T:
        """The next item, as ``__anext__`` of an iterator gives it; several readers may wait.

        Raises:
            StopAsyncIteration: nothing waits, and nothing more comes.
        """
        while not self.items:
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
            # a reader that is cancelled takes nothing from the others
            await asyncio.shield(self._waiter)
        return self.items.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def can_run(future: asyncio.Future[Any]) -> bool:
    """Whether a future or task may still be done: a loop that was closed has left it where it was, for good."""
    return not future.done() and not future.get_loop().is_closed()


class Gone:
    """Awaitable that `stop` methods return: it ends when these are done; it need not be awaited."""

    __slots__ = ("_futures",)

    def __init__(self, futures: Iterable[asyncio.Future[Any]] = ()) -> None:
        self._futures = [future for future in futures if can_run(future)]

    def __await__(self) -> Generator[Any, None, None]:
        if self._futures:
            yield from asyncio.wait(self._futures, timeout=STOP_TIMEOUT).__await__()


class Closing(Coroutine[Any, Any, None]):
    """Awaitable that `close()` returns: it ends with the task that closes, and need not be awaited.

    A coroutine in name, so that `create_task`, a `TaskGroup`, `run` and `run_coroutine_threadsafe` take it. Unlike
    one it may be awaited twice, or not at all.

    Args:
        task: None where nothing runs.
        loop: of the task. In another loop there is nothing to wait for.
    """

    __slots__ = ("_loop", "_steps", "_task")

    def __init__(
        self, task: asyncio.Task[None] | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._task = task
        self._loop = loop
        self._steps: Generator[Any, Any, None] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        if self._task is not None and self._loop is asyncio.get_running_loop():
            yield from asyncio.shield(self._task).__await__()

    def send(self, value: Any, /) -> Any:
        """Implements `Coroutine.send`."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """Implements `Coroutine.throw`."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        """Implements `Coroutine.close`."""
        if self._steps is not None:
            self._steps.close()


class TaskSet:
    """The tasks of one owner: errors are logged with the owner's name, and all can be ended at once."""

    __slots__ = ("_name", "_tasks")

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(
        self,
        coroutine: Coroutine[Any, Any, T],
        name: str | None = None,
        *,
        on_error: Callable[[Exception], object] | None = None,
    ) -> asyncio.Task[T]:
        """Run a coroutine until it ends, or `cancel` or `end` is called.

        Args:
            coroutine: of the task.
            name: of the task, behind the owner's.
            on_error: called with the exception of a task that its owner cannot do without.
        """
        full = None if name is None else f"rtcpeer {self._name}: {name}"
        task = start_task(coroutine, name=full)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if on_error is not None:
            task.add_done_callback(partial(_report, on_error))
        return task

    def cancel(self, also: Iterable[asyncio.Future[Any]] = ()) -> Gone:
        """Cancel all tasks; the result can be awaited until they, and `also`, are done."""
        tasks: list[asyncio.Future[Any]] = [task for task in self._tasks if can_run(task)]
        for task in tasks:
            task.cancel()
        return Gone([*tasks, *also])

    def cancel_others(self) -> set[asyncio.Task[Any]]:
        """Cancel all tasks but the caller's own, which may be one of them; gives them."""
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        return others

    async def end(self) -> None:
        """Cancel all tasks but the caller's own, which may be one of them, and wait until they have ended."""
        if others := self.cancel_others():
            await asyncio.wait(others)

    async def done(self) -> None:
        """Wait until all tasks have ended by themselves."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("%s: a task failed: %s", self._name, task.get_name(), exc_info=exc)


class Ending:
    """The work of a `close()` that may be called several times: it is done even if who waits for it is cancelled.

    Args:
        name: of its task.
    """

    __slots__ = ("_name", "_task")

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work, or wait for the one who is doing it. The work itself may call this as well."""
        if self._task is None or self._task.done():
            self._task = start_task(work(), name=self._name)
        if asyncio.current_task() is not self._task:
            await asyncio.shield(self._task)


def _report(on_error: Callable[[Exception], object], task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and isinstance(error := task.exception(), Exception):
        on_error(error)


# ---- Tasks that may be left behind when their loop is closed: one private attribute of asyncio's tasks.
# `asyncio.run` cancels the tasks that it sees when its program ends; what a callback begins after that look is
# destroyed pending, and asyncio would complain about it.


def quiet(task: asyncio.Task[Any]) -> None:
    """Do not complain when the task is destroyed with its closed loop. `asyncio.gather` does the same."""
    with contextlib.suppress(AttributeError):  # of another implementation of tasks
        task._log_destroy_pending = False  # type: ignore[attr-defined]


# ---- The time of day. A loop on virtual time (`rtcpeer.testing.clock`) offers ``wall_time()``; reports and gaps
# must follow it.

# The system's clock is read once, as browsers do for timestamps (High Resolution Time, section 5): frames, key frames
# and reports are due by differences of this time, and a clock that is set, by NTP or by hand, must move none of them
_EPOCH = time.time() - time.monotonic()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs; None where none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def wall_time(loop: asyncio.AbstractEventLoop | None = None) -> float:
    """Seconds since the epoch, which never go back: what the system's clock said at the start, and what has passed.

    Args:
        loop: the one that runs, from who needs the time with every packet: before Python 3.12 to look for it is a
            system call, and costs more than all the rest.
    """
    if loop is None:
        loop = running_loop()
        if loop is None:
            return _EPOCH + time.monotonic()
    read = getattr(loop, "wall_time", None)
    return _EPOCH + time.monotonic() if read is None else float(read())


# ---- One timer for many deadlines. It may fire a little too early; then it is set again, which is cheaper than
# moving it each time that something is put off: on idle paths each packet puts off what is due.


# The loop's clock and its timers may disagree by this much.
_EARLY = 0.0005


# A timer that is set this much too early is moved; less is not worth the trouble. To fire costs ten times as much.
_LATE = 0.1


class Alarm:
    """The timer.

    Args:
        wanted: asked with the time for when something is due; infinity for never.
        due: called with the time and by how much it is too late, perhaps too early; it sets the timer again.
    """

    __slots__ = ("_at", "_due", "_loop", "_timer", "_wanted")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wanted: Callable[[float], float],
        due: Callable[[float, float], None],
    ) -> None:
        self._loop = loop
        self._wanted = wanted
        self._due = due
        self._timer: asyncio.TimerHandle | None = None
        self._at = NEVER

    def set(self) -> None:
        """Fire no later than somebody wants it."""
        now = self._loop.time()
        wanted = self._wanted(now)
        if wanted < self._at - _EARLY or wanted > self._at + _LATE or self._timer is None:
            self.stop()
            self._at = wanted
            if wanted != NEVER:
                self._at = max(wanted, now)
                self._timer = self._loop.call_at(self._at, self._fire)

    def fire_by(self, at: float) -> None:
        """Something is due at this time now; the timer is moved only if it would fire later."""
        if at < self._at - _EARLY:
            self.set()

    def stop(self) -> None:
        """Do not fire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = now - self._at
        self._at = NEVER
        self._due(now, late)
