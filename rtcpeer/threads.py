"""Threads that do not keep a program from ending: for calls into foreign libraries, which may never come back.

Python waits at its end for the threads of its own `ThreadPoolExecutor`, for ever if one hangs; and of those that hang
a pool is soon full. Here a thread that is in a call for too long is given up: another one takes its place.

Owns: the threads.  Never: decides what is too long.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

_T = TypeVar("_T")

# At the end of the program, calls that are under way may take so long, in seconds: a file is finished.
PATIENCE_AT_EXIT = 2.0


class PoolThread(threading.Thread):
    """A thread of a pool: what it does somebody waits for, else it does nothing."""


class DaemonPool(Executor):
    """An executor whose threads are daemons.

    Args:
        limit: of threads.
        name: of the threads, with a number behind it.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        # those that come back for more, and whether each is in a call
        self._threads: dict[threading.Thread, bool] = {}
        self._idle = 0
        self._made = 0
        self._closed = False
        _pools.add(self)

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Implements `concurrent.futures.Executor.submit`.

        Raises:
            RuntimeError: it was shut down.
        """
        future: Future[_T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool was shut down")
            self._jobs.append((future, lambda: fn(*args, **kwargs)))
            self._provide()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Implements `concurrent.futures.Executor.shutdown`; a thread that was given up is not waited for."""
        with self._changed:
            self._closed = True
            while cancel_futures and self._jobs:
                self._jobs.popleft()[0].cancel()
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads if wait else ():
            thread.join()

    def give_up(self, thread: threading.Thread) -> None:
        """A thread is in a call that never ends: another one takes its place. It ends when it comes back after all."""
        with self._changed:
            if self._threads.pop(thread, None) is not None:
                stuck.add(thread)
                self._provide()

    def finish(self, deadline: float) -> None:
        """Take nothing more, and wait for calls that are under way until a time of `time.monotonic`."""
        self.shutdown(wait=False)
        with self._changed:
            busy = [thread for thread, is_busy in self._threads.items() if is_busy or self._jobs]
        for thread in busy:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _provide(self) -> None:
        """Have a thread for each job that waits, as far as that goes; under the lock."""
        if not self._jobs:
            return
        if self._idle >= len(self._jobs):
            self._changed.notify()
        elif len(self._threads) < self._limit:
            thread = PoolThread(target=self._work, name=f"{self._name}_{self._made}", daemon=True)
            self._made += 1
            self._threads[thread] = False
            thread.start()

    def _work(self) -> None:
        """A thread's life."""
        me = threading.current_thread()
        while (job := self._next(me)) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as exc:
                    future.set_exception(exc)
                else:
                    future.set_result(result)
                    result = None
            # what a call took and gave is its user's alone, while the thread waits for the next one
            job = future = call = None  # type: ignore[assignment]

    def _next(self, me: threading.Thread) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            if me in self._threads:
                self._threads[me] = False
            while not self._jobs and not self._closed and me in self._threads:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            if me in self._threads and self._jobs:
                self._threads[me] = True
                return self._jobs.popleft()
            self._threads.pop(me, None)
            stuck.discard(me)
            return None


_pools: weakref.WeakSet[DaemonPool] = weakref.WeakSet()
stuck: set[threading.Thread] = set()
"""Threads that were given up and have not come back."""


def _finish_all() -> None:
    deadline = time.monotonic() + PATIENCE_AT_EXIT
    for pool in list(_pools):
        pool.finish(deadline)


def _forget_all() -> None:
    """Forget all pools, in a child process: the threads are the parent's, and so may be a lock."""
    _pools.clear()
    stuck.clear()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
