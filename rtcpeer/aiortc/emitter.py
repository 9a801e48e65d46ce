"""pyee's event emitter, which aiortc's objects are, with one repair: a listener that fails cannot break us.

In aiortc what a listener raises comes out of `setLocalDescription` or `close`, and keeps later listeners from
being called. Here it goes to the loop's exception handler, unless the program listens to "error". (What a listener
of "track" raises the connection lets out of `setRemoteDescription`, when all is done: programs refuse offers so.)
"""

from __future__ import annotations

import asyncio
from typing import Any

from rtcpeer.media.pyee_listeners import PyeeListeners, report_failure


class Emitter(PyeeListeners):
    """`on`, `once`, `emit`, `remove_listener`, `remove_all_listeners`, `listeners`; listeners may be async."""

    # what plain listeners raise while `_emit_and_collect_` is under way
    _failures_: list[Exception] | None = None

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners of `event`; True if there are any."""
        if event == "error" and not self.listeners("error"):
            error = args[0] if args else None
            if self._failures_ is not None and isinstance(error, Exception):
                self._failures_.append(error)
            else:
                report_failure(type(self).__name__, error)
            return False
        return super().emit(event, *args, **kwargs)

    def _emit_and_tell_(self, event: str, *args: Any) -> set[asyncio.Future[Any]]:
        """Call the listeners of `event`; the async ones among them that are not done."""
        waiting = self._listeners_().waiting
        before = set(waiting)
        self.emit(event, *args)
        return {one for one in waiting if one not in before and not one.done()}

    def _emit_and_collect_(self, event: str, *args: Any) -> list[Exception]:
        """Call the listeners of `event`; what plain ones among them raised."""
        failures: list[Exception] = []
        self._failures_ = failures
        try:
            self.emit(event, *args)
        finally:
            self._failures_ = None
        return failures
