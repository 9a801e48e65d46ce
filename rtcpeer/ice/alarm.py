"""One timer for everything that is due at some time.

Owns: the timer.  It may fire a little too early; then it is set again, which is cheaper than moving it each time that
something is put off: on idle paths each packet puts off what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcpeer.ice.checklist import NEVER

# The loop's clock and its timers may disagree by this much.
_EARLY = 0.0005
# A timer that is set this much too early is moved; less is not worth the trouble.
_LATE = 1.0


class Alarm:
    """The timer.

    Args:
        wanted: asked with the time for when something is due; infinity for never.
        due: called with the time and by how much it is too late.
        lag_tolerance: how late it may be before `due` is called in any case.
    """

    __slots__ = ("_at", "_due", "_lag_tolerance", "_loop", "_timer", "_wanted")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wanted: Callable[[float], float],
        due: Callable[[float, float], None],
        lag_tolerance: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._wanted = wanted
        self._due = due
        self._lag_tolerance = lag_tolerance
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
        if late <= self._lag_tolerance() and self._wanted(now) > now + _EARLY:
            # What it was set for has moved away since: on idle paths the usual case.
            self.set()
            return
        self._due(now, late)
