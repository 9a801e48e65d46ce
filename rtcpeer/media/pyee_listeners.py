"""pyee's event emitter, which aiortc's objects are, with its state where no program writes by chance.

pyee keeps it in attributes that programs have as well: a lock, a loop, the events, who waits. A subclass with a lock of
its own by that name would break every `emit`.
Owns: listeners of pyee's kind of one object. Never: events of W3C's kind (`event_target`).
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

logger = logging.getLogger("rtcpeer")


def report_failure(of: str, error: Any) -> None:
    """Give what a listener raised to the loop's exception handler.

    Args:
        of: the class of the object that it listened to.
        error: what it raised, or whatever was emitted as "error".
    """
    message = f"a listener of {of} failed"
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


class _State(AsyncIOEventEmitter):
    """The state of one object's listeners. It emits ("new_listener", "error") as its object does."""

    def __init__(self, owner: AsyncIOEventEmitter) -> None:
        super().__init__()
        # weak: an object is freed without the garbage collector
        self.owner = weakref.ref(owner)
        self.owner_class = type(owner).__name__

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        owner = self.owner()
        if owner is not None:
            return bool(owner.emit(event, *args, **kwargs))
        if event == "error":
            # an async listener has outlived its object
            report_failure(self.owner_class, args[0] if args else None)
        return False

    def emit_here(self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Call the listeners."""
        return bool(super().emit(event, *args, **kwargs))

    @property
    def waiting(self) -> set[asyncio.Future[Any]]:
        """The async listeners that are not done."""
        return self._waiting


class PyeeListeners(AsyncIOEventEmitter):
    """`AsyncIOEventEmitter`, with one attribute of a reserved name (`_pyee_`).

    Needs no `__init__`.
    """

    _pyee_: _State | None = None

    def _listeners_(self) -> _State:
        found = self._pyee_
        if found is None:
            found = self._pyee_ = _State(self)
        return found

    def on(self, event: str, f: Any = None) -> Any:
        """Call `f` when `event` is emitted; without `f`, a decorator."""
        return self._listeners_().on(event, f)

    def listens_to(self, event: str) -> Any:
        """A decorator: call the function when `event` is emitted."""
        return self._listeners_().listens_to(event)

    def add_listener(self, event: str, f: Any) -> Any:
        """Call `f` when `event` is emitted."""
        return self._listeners_().add_listener(event, f)

    def once(self, event: str, f: Any = None) -> Any:
        """Call `f` when `event` is emitted next, and no more; without `f`, a decorator."""
        return self._listeners_().once(event, f)

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners of `event`; True if there are any."""
        return self._listeners_().emit_here(event, args, kwargs)

    def event_names(self) -> set[str]:
        """The events that somebody listens to."""
        return set(self._listeners_().event_names())

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """The listeners of `event`."""
        return list(self._listeners_().listeners(event))

    def remove_listener(self, event: str, f: Any) -> None:
        """Call `f` no more."""
        self._listeners_().remove_listener(event, f)

    def remove_all_listeners(self, event: str | None = None) -> None:
        """Forget the listeners of `event`, or all."""
        self._listeners_().remove_all_listeners(event)

    async def wait_for_complete(self) -> None:
        """Wait until the async listeners under way are done."""
        await self._listeners_().wait_for_complete()

    def cancel(self) -> None:
        """Cancel the async listeners under way."""
        self._listeners_().cancel()

    @property
    def complete(self) -> bool:
        """Whether no async listener is under way."""
        return bool(self._listeners_().complete)
