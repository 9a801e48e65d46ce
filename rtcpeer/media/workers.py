"""Threads that encode and decode: one small pool for the whole process, kept while somebody needs it.

A step of a coder cannot be interrupted, and foreign coders hang: SVT-AV1 now and then waits for itself for ever. A step
that has not come to its end after `PATIENCE` is given up: who waits for it gets `CoderStuckError`, another thread takes
the place of the one that is in it, and the coder is to be left alone.
Where the machine is so busy that this process waits for processors more than it runs, a step has `PATIENCE_MAX`: a
coder that hangs waits for nothing of the kind.

Owns: the pool, and the patience, also that for coders with threads of their own. Users of the pool count themselves in
and out; when the last one has gone, its threads end.
A child process that `fork()` makes inherits the pool without its threads: it gets one of its own, and the users that it
has inherited (the parent's) count no more.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rtcpeer import threads
from rtcpeer.errors import OperationError
from rtcpeer.threads import DaemonPool

_T = TypeVar("_T")

# A step that takes longer, in seconds, never ends; with the largest picture, a slow machine is busy for two.
PATIENCE = 10.0
# On a machine that gives us no processor it may take so long, as far as the system tells (Linux).
PATIENCE_MAX = 60.0
# How often is looked: a process that stood still for an hour has missed one look, not all.
_LOOKS = 4
# When its user has gone, a step is waited for so long.
PATIENCE_AT_END = 1.0
# With so many threads that never came back, no more are given away.
STUCK_MAX = 32

_users = 0
_pool: DaemonPool | None = None
# counts the processes on the way from the first one to this
_process = 0


def processor_times() -> tuple[float, float] | None:
    """How long the threads of this process have run, and waited for a processor, in seconds; None if nobody says."""
    run = waited = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{thread}/schedstat", encoding="ascii") as file:
                    one = file.read().split()
            except (FileNotFoundError, ProcessLookupError):
                if thread == str(os.getpid()):
                    return None
                # it has ended
                continue
            run += int(one[0])
            waited += int(one[1])
    except (OSError, ValueError, IndexError):
        return None
    return run / 1e9, waited / 1e9


class CoderStuckError(OperationError):
    """A coder does not come back: neither it nor what it was given is to be used any more."""


def _forked() -> None:
    global _users, _pool, _process
    _users, _pool = 0, None
    _process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class _Step:
    """A call on its way through a thread.

    Attributes:
        thread: which one is in it.
        looks: how often it was found in it.
        starved: how often of those this process had waited for processors since the look before.
        times: of the last look, see `processor_times`.
    """

    __slots__ = ("_arguments", "_call", "inner", "looks", "outer", "pool", "starved", "thread", "times")

    def __init__(self, pool: DaemonPool, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.pool = pool
        self._call = call
        self._arguments = arguments
        self.thread: threading.Thread | None = None
        self.looks = 0
        self.starved = 0
        self.times: tuple[float, float] | None = None
        self.inner: asyncio.Future[Any]
        self.outer: asyncio.Future[Any]

    def __call__(self) -> Any:
        self.thread = threading.current_thread()
        return self._call(*self._arguments)

    def look(self, interval: float) -> None:
        """The step is found in its thread once more, so many seconds after the last time."""
        self.looks += 1
        before, self.times = self.times, processor_times()
        if before is not None and self.times is not None:
            run, waited = self.times[0] - before[0], self.times[1] - before[1]
            self.starved += waited > max(run, interval / 2)

    def settle(self, inner: asyncio.Future[Any]) -> None:
        """The thread has come back."""
        error = None if inner.cancelled() else inner.exception()
        if self.outer.done():
            return
        if inner.cancelled():
            self.outer.cancel()
        elif error is not None:
            self.outer.set_exception(error)
        else:
            self.outer.set_result(inner.result())


class Workers:
    """A user's hold on the pool, for one coder: its steps are made one after the other.

    Args:
        own: the name of a thread of its own, outside the pool; "" to use the pool.
        patience: seconds after which a step is given up.
    """

    __slots__ = ("_held", "_own", "_own_pool", "_patience", "_process", "_step", "_timer")

    def __init__(self, own: str = "", patience: float = PATIENCE) -> None:
        self._own = own
        self._own_pool: DaemonPool | None = None
        self._patience = patience
        self._held = False
        # in which it was acquired
        self._process = _process
        self._step: _Step | None = None
        self._timer: asyncio.TimerHandle | None = None

    def run(self, call: Callable[..., _T], *arguments: Any) -> asyncio.Future[_T]:
        """Have a thread make a step of the coder; the pool stays until `release`.

        Returns:
            The result of the call, or what it raised; CoderStuckError if it does not come to an end.
        """
        loop = asyncio.get_running_loop()
        if len(threads.stuck) >= STUCK_MAX:
            refused: asyncio.Future[_T] = loop.create_future()
            refused.set_exception(
                CoderStuckError(f"{STUCK_MAX} threads hang in coders that do not come back: no more are used")
            )
            return refused
        pool = self._acquire_own() if self._own else self._acquire()
        step = self._step = _Step(pool, call, arguments)
        step.outer = loop.create_future()
        step.outer.add_done_callback(self._settled)
        step.inner = loop.run_in_executor(pool, step)
        step.inner.add_done_callback(step.settle)
        if self._timer is None:
            self._timer = loop.call_later(self._patience / _LOOKS, self._look)
        return step.outer

    def finish(self, call: Callable[[], object]) -> asyncio.Future[object] | None:
        """Make a last step, where a step was made before, and release; None if there is nothing to wait for.

        A coder is let go in a thread, as that can take long, or hang.
        """
        last: asyncio.Future[object] | None = None
        if self._held and self._process == _process:
            try:
                last = self.run(call)
            except RuntimeError:
                # the loop has ended
                last = None
            else:
                last.add_done_callback(_retrieve)
        self.release()
        return last

    def release(self) -> None:
        """Let the pool go; this user needs it no more."""
        global _users, _pool
        held, self._held = self._held, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        step = self._step
        if held and step is not None and not step.outer.done():
            loop = step.outer.get_loop()
            if not loop.is_closed():
                loop.call_later(PATIENCE_AT_END, self._give_up, step)
        own, self._own_pool = self._own_pool, None
        if own is not None:
            own.shutdown(wait=False)
        elif held and self._process == _process:
            _users -= 1
            if _users == 0 and _pool is not None:
                pool, _pool = _pool, None
                # without waiting: a job under way ends by itself, then its thread does
                pool.shutdown(wait=False)

    def _acquire_own(self) -> DaemonPool:
        if self._own_pool is None or self._process != _process:
            self._held, self._process = True, _process
            self._own_pool = DaemonPool(1, self._own)
        return self._own_pool

    def _acquire(self) -> DaemonPool:
        global _users, _pool
        if not self._held or self._process != _process:
            self._held, self._process = True, _process
            _users += 1
        if _pool is None:
            _pool = DaemonPool(max(2, os.cpu_count() or 2), "rtcpeer-codec")
        return _pool

    def _settled(self, outer: asyncio.Future[Any]) -> None:
        step = self._step
        if step is None or step.outer is not outer:
            return
        # nothing of it is kept
        self._step = None
        if outer.cancelled():
            # whoever waited has lost interest: a call that has not begun need not begin
            step.inner.cancel()

    def _look(self) -> None:
        step, self._timer = self._step, None
        if step is None or step.outer.done():
            # the next step begins a new series
            return
        if step.thread is not None:
            step.look(self._patience / _LOOKS)
        if step.looks - step.starved > _LOOKS or step.looks > _LOOKS * PATIENCE_MAX / PATIENCE:
            self._give_up(step)
        else:
            self._timer = step.outer.get_loop().call_later(self._patience / _LOOKS, self._look)

    def _give_up(self, step: _Step) -> None:
        if step.outer.done():
            return
        if step.thread is not None:
            step.pool.give_up(step.thread)
            step.outer.set_exception(CoderStuckError("the coder does not come back and is given up"))
        step.inner.cancel()


def _retrieve(job: asyncio.Future[Any]) -> None:
    """The error of a job that nobody awaits any more is nobody's."""
    if not job.cancelled():
        job.exception()
