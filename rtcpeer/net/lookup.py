"""Look-ups of host names by the system's resolver, in a few daemon threads of their own.

Owns: those threads, and which look-ups are under way.  Never: a cache; the system's resolver has one.

Theory of operation. ``getaddrinfo`` blocks, for half a minute when a resolver is dead, and cannot be interrupted. In
the loop's default executor a few of those hold up everything else that runs there, and ``asyncio.run`` at its end.
Here a thread lives as long as there is something to look up; it is a daemon, so that the process may end meanwhile.
Who asks for a name that is being looked up waits for the same answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

#: Host and address family (``socket.AF_UNSPEC`` for both).
Key = tuple[str, int]

# Names that can hang at the same time before others have to wait.
MAX_THREADS = 16


def ask_system(key: Key) -> list[str]:
    """Addresses of a name, in the resolver's order.

    Raises:
        OSError: there are none.
    """
    host, family = key
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"no host name: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Lookup:
    """A name that is being looked up, and who waits for it."""

    __slots__ = ("key", "waiters")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[list[str]]]] = []


class LookupPool:
    """Threads for look-ups, shared by all loops of the process.

    Args:
        look_up: called in a thread.
        limit: of threads.
    """

    def __init__(self, look_up: Callable[[Key], list[str]] = ask_system, limit: int = MAX_THREADS) -> None:
        self._look_up = look_up
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Begin anew: after a fork the threads, and who waited for them, are in the parent."""
        self._lock = threading.Lock()
        self._under_way: dict[Key, _Lookup] = {}
        self._queue: deque[_Lookup] = deque()
        self._threads = 0

    async def resolve(self, host: str, family: int = socket.AF_UNSPEC) -> list[str]:
        """Addresses of a name; a cancelled caller leaves at once.

        Raises:
            OSError: there are none.
        """
        loop = asyncio.get_running_loop()
        waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[list[str]]] = (loop, loop.create_future())
        lookup = self._join((host, family), waiter)
        # time that a test makes stand still or jump must not jump over a thread (`rtcpeer.testing.clock`)
        hold: Callable[[], Any] = getattr(loop, "hold_time", contextlib.nullcontext)
        try:
            with hold():
                return await waiter[1]
        finally:
            self._leave(lookup, waiter)

    def _join(self, key: Key, waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[list[str]]]) -> _Lookup:
        with self._lock:
            lookup = self._under_way.get(key)
            if lookup is None:
                lookup = self._under_way[key] = _Lookup(key)
                self._queue.append(lookup)
                if self._threads < self._limit:
                    self._threads += 1
                    threading.Thread(target=self._work, name="rtcpeer look-up", daemon=True).start()
            lookup.waiters.append(waiter)
            return lookup

    def _leave(
        self, lookup: _Lookup, waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[list[str]]]
    ) -> None:
        with self._lock:
            if waiter in lookup.waiters:
                lookup.waiters.remove(waiter)
            if not lookup.waiters and lookup in self._queue:
                # nobody wants to know any more, and no thread has begun
                self._queue.remove(lookup)
                del self._under_way[lookup.key]

    def _work(self) -> None:
        """A thread's life: while there is something to look up."""
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                lookup = self._queue.popleft()
            found: list[str] = []
            error: Exception | None = None
            try:
                found = self._look_up(lookup.key)
            except Exception as exc:
                error = exc
            with self._lock:
                del self._under_way[lookup.key]
                waiters = list(lookup.waiters)
            for loop, future in waiters:
                # a loop that was closed meanwhile has nobody who waits
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, future, found, error)


def _settle(future: asyncio.Future[list[str]], found: list[str], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(found)
    else:
        future.set_exception(error)


#: That of the process.
lookups = LookupPool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lookups.forget)
