"""The threads that encode and decode: one small pool for the whole process, there while somebody needs it.

Owns: the pool. Users count themselves in and out; when the last one has gone, its threads end.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

_users = 0
_pool: ThreadPoolExecutor | None = None


class Workers:
    """One user's hold on the pool."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = False

    def acquire(self) -> ThreadPoolExecutor:
        """The pool; it stays until `release`."""
        global _users, _pool
        if not self._held:
            self._held = True
            _users += 1
        if _pool is None:
            _pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="rtcpeer-codec")
        return _pool

    def release(self) -> None:
        """This user needs it no more."""
        global _users, _pool
        if self._held:
            self._held = False
            _users -= 1
            if _users == 0 and _pool is not None:
                pool, _pool = _pool, None
                # without waiting: a job under way ends by itself, then its thread does
                pool.shutdown(wait=False)
