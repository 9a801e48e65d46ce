"""Watcher of this machine's addresses: netlink on Linux, polling elsewhere.

Owns: one watcher per event loop, alive while somebody listens.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary, ref

# <linux/rtnetlink.h>: links, IPv4 addresses, IPv6 addresses.
_GROUPS = 0x1 | 0x10 | 0x100
# An interface that comes up says so in several messages; look once after them.
_SETTLE = 0.05
_POLL = 2.0

Reader = Callable[[], list[Any]]


class _Watcher:
    def __init__(self, loop: asyncio.AbstractEventLoop, read: Reader, seen: frozenset[Any]) -> None:
        self._loop = loop
        self._read = read
        self._seen = seen
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._socket = _open_netlink()
        if self._socket is not None:
            try:
                loop.add_reader(self._socket.fileno(), self._readable)
            except NotImplementedError:
                self._socket.close()
                self._socket = None
        if self._socket is None:
            self._timer = loop.call_later(_POLL, self._look)

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._callbacks[token] = callback

        def stop() -> None:
            if self._callbacks.pop(token, None) is not None and not self._callbacks:
                self._close()

        return stop

    def _close(self) -> None:
        if _watcher_of(self._loop) is self:
            del _watchers[self._loop]
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        try:
            while self._socket is not None and self._socket.recv(65536):
                pass
        except OSError:
            pass  # nothing left to read, or messages were lost: either way we look ourselves
        if self._timer is None:
            self._timer = self._loop.call_later(_SETTLE, self._look)

    def _look(self) -> None:
        self._timer = self._loop.call_later(_POLL, self._look) if self._socket is None else None
        seen = _snapshot(self._read)
        if seen != self._seen:
            self._seen = seen
            for callback in list(self._callbacks.values()):
                callback()


# Weak at both ends: a loop keeps its watcher (as reader or timer), and must not be kept by it.
_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[_Watcher]] = WeakKeyDictionary()


def _watcher_of(loop: asyncio.AbstractEventLoop) -> _Watcher | None:
    found = _watchers.get(loop)
    return None if found is None else found()


def watch(
    loop: asyncio.AbstractEventLoop, read: Reader, callback: Callable[[], None], known: Iterable[Any]
) -> Callable[[], None]:
    """Call `callback` on the loop whenever `read` gives something else than before (at first: than `known`).

    Returns:
        A function that stops it.
    """
    watcher = _watcher_of(loop)
    if watcher is None:
        watcher = _Watcher(loop, read, frozenset(known))
        _watchers[loop] = ref(watcher)
    return watcher.add(callback)


def _snapshot(read: Reader) -> frozenset[Any]:
    try:
        return frozenset(read())
    except OSError:
        return frozenset()


def _open_netlink() -> socket.socket | None:
    if sys.platform != "linux":
        return None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    except OSError:
        return None
    try:
        sock.bind((0, _GROUPS))
    except OSError:
        sock.close()
        return None
    return sock
