"""pyee's event emitter, which aiortc's objects are, with one repair: a listener that fails cannot break us.

In aiortc what a listener raises comes out of `setLocalDescription` or `close`, and keeps later listeners from
being called. Here it goes to the loop's exception handler, unless the program listens to "error". (What a listener
of "track" raises the connection lets out of `setRemoteDescription`, when all is done: programs refuse offers so.)
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

logger = logging.getLogger("rtcpeer")


class Emitter(AsyncIOEventEmitter):
    """`on`, `once`, `emit`, `remove_listener`, `remove_all_listeners`, `listeners`; listeners may be async."""

    # what plain listeners raise while `emit_and_collect` is under way
    _failures: list[Exception] | None = None

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners of `event`; True if there are any."""
        if event == "error" and not self.listeners("error"):
            error = args[0] if args else None
            if self._failures is not None and isinstance(error, Exception):
                self._failures.append(error)
            else:
                self._report(error)
            return False
        return bool(super().emit(event, *args, **kwargs))

    def emit_and_tell(self, event: str, *args: Any) -> set[asyncio.Future[Any]]:
        """Call the listeners of `event`; the async ones among them that are not done."""
        before = set(self._waiting)
        self.emit(event, *args)
        return {one for one in self._waiting if one not in before and not one.done()}

    def emit_and_collect(self, event: str, *args: Any) -> list[Exception]:
        """Call the listeners of `event`; what plain ones among them raised."""
        failures: list[Exception] = []
        self._failures = failures
        try:
            self.emit(event, *args)
        finally:
            self._failures = None
        return failures

    def _report(self, error: Any) -> None:
        message = f"a listener of {type(self).__name__} failed"
        cause = error if isinstance(error, BaseException) else None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            logger.error("%s", message, exc_info=cause)
            return
        context: dict[str, Any] = {"message": message}
        if cause is not None:
            context["exception"] = cause
        loop.call_exception_handler(context)
