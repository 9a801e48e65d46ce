"""Virtual time for asyncio: when nothing is left to do, the clock jumps to the next timer.

    run_virtual(main())                               # like asyncio.run
    asyncio.Runner(loop_factory=VirtualTimeLoop)      # the same, taken apart
    with VirtualClock(asyncio.get_running_loop()):    # a loop that somebody else has made

Theory of operation: asyncio asks a selector to wait for I/O until the next timer is due. Ours looks whether
I/O is there already; if not, it moves ``loop.time()`` to the timer instead of waiting. So a test of sixty
seconds takes as long as what happens in them.

When nothing is left that could ever happen (no timer, no job, no file descriptor of its own), tasks wait for each
other: that raises `VirtualDeadlockError` out of the run, with what waits where.

Time stands still while work is in flight that the loop cannot see: jobs in executors, and what runs inside
`VirtualClock.hold`. If the loop has file descriptors of its own (real sockets, pipes), they get a moment to
speak before each jump. What does not ask the loop for the time (``time.time()``, OpenSSL's DTLS timer, other
processes) lives on the wall clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import thread as executors
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from rtcpeer.threads import PoolThread

T = TypeVar("T")

# How long (real seconds) time stands still for a job in an executor; one that takes longer, on a busy machine as well,
# waits for something itself, perhaps for a timer of ours
DEFAULT_PATIENCE = 30.0
# How long (real seconds) file descriptors may take to become ready before a jump
DEFAULT_IO_GRACE = 0.002
# How long (real seconds) a loop without anything to do waits for a callback from another thread
_LAST_CHANCE = 0.05
_TASKS_SHOWN = 10


class VirtualDeadlockError(RuntimeError):
    """A loop on virtual time has nothing left to wait for; the message names the tasks that still wait."""


class VirtualClock:
    """Puts virtual time into an event loop; a context manager.

    Args:
        loop: any loop of the standard library (not uvloop, which keeps its own time).
        start: what `time` says at first. Default: the loop's present time.
        patience: real seconds that an executor's job may hold time.
        io_grace: real seconds that open file descriptors may take before each jump.

    Attributes:
        jumps: how often time has jumped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        start: float | None = None,
        patience: float = DEFAULT_PATIENCE,
        io_grace: float = DEFAULT_IO_GRACE,
    ) -> None:
        if not hasattr(loop, "_selector") or not hasattr(loop, "_scheduled"):
            raise TypeError(f"virtual time needs a loop of asyncio itself, not {loop!r}")
        self._loop: Any = loop
        self._start = loop.time() if start is None else start
        self._now = self._start
        self._epoch = time.time()
        self._patience = patience
        self._io_grace = io_grace
        self._held = 0
        self._jobs = 0
        # the jobs in flight have used up the patience; forgotten as soon as one of them ends
        self._impatient = False
        self._selector: _Selector | None = None
        self.jumps: int = 0

    def __repr__(self) -> str:
        return f"<VirtualClock {self.elapsed:.3f} s after the start, {self.jumps} jumps>"

    def time(self) -> float:
        """The virtual time: what ``loop.time()`` returns."""
        return self._now

    def wall_time(self) -> float:
        """Seconds since the epoch: the real time of the start, plus the virtual time since then."""
        return self._epoch + self._now - self._start

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the start."""
        return self._now - self._start

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Time stands still inside: for work in threads or processes that the loop does not know."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    # -- into the loop and out of it ---------------------------------------------------------------

    def install(self) -> None:
        """Take over the loop's time."""
        loop = self._loop
        if isinstance(loop._selector, _Selector):
            raise RuntimeError("the loop has virtual time already")
        self._selector = _Selector(loop._selector, self)
        loop._selector = self._selector
        self._run_in_executor = loop.run_in_executor
        loop.time = self.time
        loop.wall_time = self.wall_time
        loop.hold_time = self.hold
        loop.run_in_executor = self._count_job

    def uninstall(self) -> None:
        """Give the loop its own time back.

        Timers that are still scheduled were made in virtual time: they keep the distance they have now.
        """
        loop = self._loop
        if self._selector is None:
            return
        loop._selector = self._selector.real
        self._selector = None
        del loop.time, loop.wall_time, loop.hold_time, loop.run_in_executor
        shift = loop.time() - self._now
        for timer in loop._scheduled:
            timer._when += shift

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.uninstall()

    def _count_job(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = cast("asyncio.Future[Any]", self._run_in_executor(executor, func, *args))
        self._jobs += 1

        def ended(_: asyncio.Future[Any]) -> None:
            self._jobs -= 1
            self._impatient = False

        future.add_done_callback(ended)
        return future

    # -- waiting -----------------------------------------------------------------------------------

    def wait(self, real: Any, timeout: float | None) -> Any:
        """Instead of waiting for I/O: see what is there, else jump.

        Args:
            real: the selector that would have waited.
            timeout: until the next timer; None without one, 0 if there is something to do at once.
        """
        events = real.select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            # no timer: only a thread, another process or a signal can bring the next event
            return self._wait_for_others(real)
        if self._held:
            return real.select(None)
        if self._jobs and not self._impatient:
            events = real.select(self._patience)
            self._impatient = not events
            return events
        if self._has_descriptors(real):
            events = real.select(self._io_grace)
            if events:
                return events
        self._jump()
        return events

    def _wait_for_others(self, real: Any) -> Any:
        """Wait for threads and real descriptors when nothing is due, ever.

        Raises:
            VirtualDeadlockError: and nobody is there who could change that.
        """
        if self._held or self._jobs or self._has_descriptors(real):
            return real.select(None)
        threads = _other_threads()
        events = real.select(self._patience if threads else _LAST_CHANCE)
        if events:
            return events
        raise VirtualDeadlockError(self._describe_deadlock(threads))

    def _describe_deadlock(self, threads: list[str]) -> str:
        tasks = sorted(asyncio.all_tasks(self._loop), key=lambda task: task.get_name())
        waiting = [f"{task.get_name()} at {_where(task)}" for task in tasks[:_TASKS_SHOWN]]
        if len(tasks) > _TASKS_SHOWN:
            waiting.append(f"and {len(tasks) - _TASKS_SHOWN} more")
        text = f"nothing can happen any more, {self.elapsed:g} s of virtual time after the start: no timer is set"
        if threads:
            text += f", and the threads {', '.join(threads)} have said nothing for {self._patience:g} s"
        return f"{text}. Waiting: {'; '.join(waiting) or 'nobody'}"

    def _has_descriptors(self, real: Any) -> bool:
        try:
            # the loop's own pipe, by which threads wake it, is always there
            return len(real.get_map()) > 1
        except AttributeError:
            return True  # a proactor does not say

    def _jump(self) -> None:
        due = self._loop._scheduled[0]._when
        if due > self._now:
            self._now = due
            self.jumps += 1


def _other_threads() -> list[str]:
    """Threads that may call back: all but this one and the idle ones of executors."""
    pooled = getattr(executors, "_threads_queues", {})
    here = threading.current_thread()
    return [
        t.name
        for t in threading.enumerate()
        if t is not here
        and t is not threading.main_thread()
        and t not in pooled
        and not isinstance(t, PoolThread)
    ]


def _where(task: asyncio.Task[Any]) -> str:
    """The line at which a task waits: the outermost of its coroutines, which its author knows, and the innermost."""
    coroutine: Any = task.get_coro()
    lines: list[str] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            name = getattr(coroutine, "__qualname__", frame.f_code.co_name)
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} ({name})")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return ", in ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else repr(task.get_coro())


class _Selector:
    """A selector that asks the clock instead of waiting."""

    def __init__(self, real: Any, clock: VirtualClock) -> None:
        self.real = real
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        return self._clock.wait(self.real, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that begins at time 0 and jumps. Usable as a ``loop_factory``.

    Attributes:
        clock: its `VirtualClock`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.clock: VirtualClock = VirtualClock(self, start=0.0, **options)
        self.clock.install()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the executor's threads in real time; its own timeout (3.12) must not be jumped to."""
        with self.clock.hold():
            await super().shutdown_default_executor()


def run_virtual(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine to its end in virtual time, as ``asyncio.run`` does in real time."""
    with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def wall_time() -> float:
    """Seconds since the epoch, in the running loop's kind of time."""
    loop = asyncio.get_running_loop()
    clock = getattr(loop, "wall_time", None)
    return cast("float", clock()) if clock is not None else time.time()
