"""The threads that encode and decode: one small pool for the whole process, there while somebody needs it.

Owns: the pool. Users count themselves in and out; when the last one has gone, its threads end.
A child process that `fork()` makes inherits the pool without its threads: it gets one of its own, and the users that it
has inherited (the parent's) count no more.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

_users = 0
_pool: ThreadPoolExecutor | None = None
# counts the processes on the way from the first one to this
_process = 0


def _forked() -> None:
    global _users, _pool, _process
    _users, _pool = 0, None
    _process += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Workers:
    """One user's hold on the pool."""

    __slots__ = ("_held", "_process")

    def __init__(self) -> None:
        self._held = False
        # in which it was acquired
        self._process = _process

    def acquire(self) -> ThreadPoolExecutor:
        """The pool; it stays until `release`."""
        global _users, _pool
        if not self._held or self._process != _process:
            self._held, self._process = True, _process
            _users += 1
        if _pool is None:
            _pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="rtcpeer-codec")
        return _pool

    def release(self) -> None:
        """This user needs it no more."""
        global _users, _pool
        held, self._held = self._held, False
        if held and self._process == _process:
            _users -= 1
            if _users == 0 and _pool is not None:
                pool, _pool = _pool, None
                # without waiting: a job under way ends by itself, then its thread does
                pool.shutdown(wait=False)
