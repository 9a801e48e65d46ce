"""Lag of the event loop: while it stands still no packets are read, which is no silence of the network.

Owns: one timer per loop, shared by all who ask, running only while somebody does.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

# how often the loop is looked at, and from which delay on it counts as having stood still
INTERVAL = 0.5
THRESHOLD = 0.5

Listener = Callable[[float], object]

_monitors: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LagMonitor] = weakref.WeakKeyDictionary()


class LagMonitor:
    """Tells listeners for how long the loop stood still, when it moves again. Get it with `LagMonitor.of`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._listeners: dict[object, Listener] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.worst: float = 0.0

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> LagMonitor:
        """The monitor of this event loop; made when first asked for."""
        monitor = _monitors.get(loop)
        if monitor is None:
            monitor = _monitors[loop] = LagMonitor(loop)
        return monitor

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the seconds that were lost; returns a function that ends it."""
        key = object()
        self._listeners[key] = listener
        if self._timer is None:
            self._schedule()

        def stop() -> None:
            self._listeners.pop(key, None)
            if not self._listeners and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return stop

    def _schedule(self) -> None:
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            self._timer = loop.call_later(INTERVAL, self._tick, loop.time() + INTERVAL)

    def _tick(self, due: float) -> None:
        loop = self._loop()
        if loop is None:
            return
        lost = loop.time() - due
        self._schedule()
        if lost >= THRESHOLD:
            self.worst = max(self.worst, lost)
            for listener in tuple(self._listeners.values()):
                listener(lost)
