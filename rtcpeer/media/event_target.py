"""EventTarget and Event (DOM): the one dispatcher of events, for connections, tracks and streams.

Owns: listeners, ``on<type>`` handlers and event iterators of one object. Never: a queue between the
cause and the listener (dispatch is synchronous), or an exception of a listener that reaches the caller.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypedDict, TypeVar, Unpack, overload

from rtcpeer import webidl
from rtcpeer.aio import Inbox, start_task
from rtcpeer.errors import InvalidStateError

logger = logging.getLogger(__name__)

Listener = Callable[[Any], Any]

_E = TypeVar("_E", bound="Event")
_E_co = TypeVar("_E_co", bound="Event", covariant=True)

# An iterator that nobody reads keeps this many events; older ones are dropped and counted.
EVENTS_BOUND = 1000


class ListenerOptions(TypedDict, total=False):
    """DOM "AddEventListenerOptions"; `capture` and `passive` mean nothing here."""

    once: bool
    signal: Any
    capture: bool
    passive: bool


_LISTENER_MEMBERS = frozenset(ListenerOptions.__annotations__)


class Event:
    """DOM "Event", as far as it makes sense without a tree: nothing bubbles, nothing is captured.

    Args:
        type: the name of the event.
        init: EventInit: only ``cancelable`` matters here; subclasses read their own members.

    Attributes:
        type: the name of the event.
        target: the object it was dispatched on; None before.
        currentTarget: the same while listeners run, else None.
        timeStamp: when it was made, in ms of ``time.monotonic``.
    """

    bubbles: ClassVar[bool] = False
    composed: ClassVar[bool] = False

    def __init__(self, type: str, init: Mapping[str, Any] | None = None) -> None:
        if not isinstance(type, str):
            raise TypeError(f"the type of an event is a string, not {type!r}")
        self.type: str = type
        self.target: Any = None
        self.currentTarget: Any = None
        self.cancelable: bool = (
            init is not None and isinstance(init, Mapping) and bool(init.get("cancelable", False))
        )
        self.defaultPrevented: bool = False
        # True for what the library fires itself; set by `fire`
        self.isTrusted: bool = False
        self.timeStamp: float = time.monotonic() * 1000
        self._stopped = False
        self._dispatching = False

    def preventDefault(self) -> None:
        """Mark the event as handled, if it can be cancelled."""
        if self.cancelable:
            self.defaultPrevented = True

    def stopPropagation(self) -> None:
        """Do nothing: events have one target here. Present because portable code calls it."""

    def stopImmediatePropagation(self) -> None:
        """Keep the listeners that come later from being called."""
        self._stopped = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type!r}>"


class _Registration:
    """A listener of one type. `callback` of a handler attribute changes in place and keeps its turn."""

    __slots__ = ("callback", "is_handler", "once", "removed")

    def __init__(self, callback: Any, *, once: bool = False, is_handler: bool = False) -> None:
        self.callback = callback
        self.once = once
        self.is_handler = is_handler
        self.removed = False


class EventStream(AsyncIterator[_E_co], Generic[_E_co]):
    """The iterator of `EventTarget.events`: events in order, bounded (the oldest go), until the target closes."""

    def __init__(self, types: frozenset[str], bound: int) -> None:
        self._types = types
        self._inbox: Inbox[Any] = Inbox(bound=bound)

    @property
    def dropped(self) -> int:
        """How many events were dropped because nobody read them."""
        return self._inbox.dropped

    def _push(self, event: Event) -> None:
        if not self._types or event.type in self._types:
            self._inbox.put(event)

    def _end(self) -> None:
        self._inbox.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _E_co:
        event: _E_co = await self._inbox.get()
        return event

    async def aclose(self) -> None:
        """Stop listening."""
        self._inbox.items.clear()
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()


class EventTarget:
    """DOM "EventTarget", with Python's ways of listening beside it.

    Three ways to listen, one dispatcher: ``target.addEventListener("x", f)`` (or ``@target.on("x")``),
    ``target.onx = f``, ``async for event in target.events("x")``. ``f`` may be a plain or an ``async def``
    function and gets one event object. What a listener raises goes to the loop's exception handler
    with the event's name; the other listeners and the caller go on.

    `on`, `events` and ``on<type>`` take what the class has, and refuse misspelt names; `addEventListener` takes any
    type, as in DOM. A class of a program that inherits from one of ours may declare types of its own in
    `event_types`, or with `handler`, and have any attribute.

    Needs no ``__init__``: what is not used costs nothing.

    Attributes:
        event_types: types that objects of this class fire beside those with an ``on<type>`` attribute. When there are
            none of both kinds, every type is taken.
    """

    event_types: ClassVar[Sequence[str]] = ()
    # those of base classes and of handlers as well
    _known_types_: ClassVar[frozenset[str]] = frozenset()
    # whether an attribute that looks like a handler must be one
    _refuses_attributes_: ClassVar[bool] = False

    _registrations_: dict[str, list[_Registration]] | None = None
    _streams_: list[weakref.ref[EventStream[Any]]] | None = None
    _listener_tasks_: set[asyncio.Task[Any]] | None = None
    _events_closed_: bool = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        inherited: list[frozenset[str]] = [
            getattr(base, "_known_types_", frozenset()) for base in cls.__mro__[1:]
        ]
        handled = {value.type for value in vars(cls).values() if isinstance(value, handler)}
        cls._known_types_ = frozenset(handled.union(vars(cls).get("event_types", ()), *inherited))
        # aiortc's objects take every attribute and every event, and so do those that stand in for them
        home = cls.__module__.split(".")
        cls._refuses_attributes_ = home[0] == "rtcpeer" and home[1:2] != ["aiortc"]

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("on") and self._refuses_attributes_ and not hasattr(type(self), name):
            meant = webidl.nearest(name, [f"on{one}" for one in self._known_types_])
            raise TypeError(f"{type(self).__name__} has no attribute {name!r}{meant}")
        super().__setattr__(name, value)

    def addEventListener(
        self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
    ) -> None:
        """Call `listener` with each event of this type.

        Args:
            type: the name of the event.
            listener: a callable, an object with ``handleEvent``, or None (ignored).
            options: a mapping with ``once`` and ``signal`` (an object with ``aborted`` that fires "abort"); a
                bare boolean is DOM's ``capture`` and means nothing here.
            **members: the members of ``options`` as keywords.

        Raises:
            TypeError: the listener is none of these, or a keyword is no member.
        """
        webidl.check_keywords("AddEventListenerOptions", members, _LISTENER_MEMBERS)
        if listener is None:
            return
        if not callable(listener) and not callable(getattr(listener, "handleEvent", None)):
            raise TypeError(f"a listener is a callable, not {listener!r}")
        given = {**(options if isinstance(options, Mapping) else {}), **members}
        once, signal = bool(given.get("once", False)), given.get("signal")
        if signal is not None and getattr(signal, "aborted", False):
            return
        found = self._find_(type, listener)
        if found is None:
            self._register_(type, _Registration(listener, once=once))
            if signal is not None:
                signal.addEventListener("abort", lambda _event: self.removeEventListener(type, listener))

    def removeEventListener(self, type: str, listener: Any, options: Any = None) -> None:
        """Stop calling `listener`; unknown ones are ignored."""
        found = self._find_(type, listener)
        if found is not None and self._registrations_ is not None:
            found.removed = True
            remaining = [r for r in self._registrations_[type] if r is not found]
            self._registrations_[type] = remaining

    @overload
    def on(self, type: str) -> Callable[[Listener], Listener]: ...
    @overload
    def on(self, type: str, listener: Listener) -> Listener: ...
    def on(self, type: str, listener: Listener | None = None) -> Any:
        """``@target.on("x")`` or ``target.on("x", f)``: `addEventListener` that returns the listener.

        Raises:
            TypeError: objects of this class fire no such event; the message has the nearest name.
        """
        self._check_types_((type,))
        if listener is None:

            def decorate(function: Listener) -> Listener:
                self.addEventListener(type, function)
                return function

            return decorate
        self.addEventListener(type, listener)
        return listener

    def events(self, *types: str, bound: int = EVENTS_BOUND) -> EventStream[Any]:
        """An async iterator over the events of these types (all, if none is named) from now on.

        It is bounded (the oldest events are dropped) and ends when the target is closed.

        Raises:
            TypeError: objects of this class fire no such event; the message has the nearest name.
        """
        self._check_types_(types)
        stream: EventStream[Any] = EventStream(frozenset(types), bound)
        if self._events_closed_:
            stream._end()
            return stream
        live = [ref for ref in self._streams_ or () if ref() is not None]
        live.append(weakref.ref(stream))
        self._streams_ = live
        return stream

    def dispatchEvent(self, event: Event) -> bool:
        """Give the event to the listeners, now and in their order (DOM "dispatch").

        Returns:
            False if a listener prevented the default action.

        Raises:
            TypeError: it is no event.
            InvalidStateError: the event is being dispatched already.
        """
        if not isinstance(event, Event):
            raise TypeError(f"an Event is dispatched, not {event!r}")
        if event._dispatching:
            raise InvalidStateError("the event is being dispatched already")
        event.isTrusted = False
        return self._dispatch_(event)

    # -- inside ------------------------------------------------------------------------------------

    def _fire_(self, event: Event) -> bool:
        # a class with listeners of another kind as well (`rtcpeer.aiortc`) extends this and the next one
        event.isTrusted = True
        return self._dispatch_(event)

    def _has_listeners_(self, type: str) -> bool:
        return bool(self._streams_) or bool((self._registrations_ or {}).get(type))

    def _close_events_(self) -> None:
        self._events_closed_ = True
        streams, self._streams_ = self._streams_ or (), None
        for ref in streams:
            stream = ref()
            if stream is not None:
                stream._end()

    def _forget_listeners_(self) -> None:
        self._registrations_ = None

    def _check_types_(self, types: Iterable[str]) -> None:
        known = self._known_types_
        for one in types:
            if known and one not in known:
                name = self.__class__.__name__
                raise TypeError(f"{name} fires no event {one!r}{webidl.nearest(str(one), known)}")

    def _find_(self, type: str, listener: Any) -> _Registration | None:
        for registration in (self._registrations_ or {}).get(type, ()):
            if not registration.is_handler and registration.callback == listener:
                return registration
        return None

    def _register_(self, type: str, registration: _Registration) -> None:
        if self._registrations_ is None:
            self._registrations_ = {}
        # a new list each time, so that a dispatch under way keeps the listeners it began with
        self._registrations_[type] = [*self._registrations_.get(type, ()), registration]

    def _dispatch_(self, event: Event) -> bool:
        event.target = event.currentTarget = self
        event._dispatching = True
        event._stopped = False
        try:
            for registration in (self._registrations_ or {}).get(event.type, ()):
                if registration.removed:
                    continue
                if registration.once:
                    self.removeEventListener(event.type, registration.callback)
                self._call_(registration.callback, event)
                if event._stopped:
                    break
        finally:
            event._dispatching = False
            event.currentTarget = None
        for ref in self._streams_ or ():
            stream = ref()
            if stream is not None:
                stream._push(event)
        return not event.defaultPrevented

    def _call_(self, callback: Any, event: Event) -> None:
        try:
            result = callback(event) if callable(callback) else callback.handleEvent(event)
        except Exception as exc:
            self._report_(event, callback, exc)
            return
        if result is not None and asyncio.iscoroutine(result):
            self._own_(result, event, callback)

    def _own_(self, coroutine: Coroutine[Any, Any, Any], event: Event, callback: Any) -> None:
        try:
            task = start_task(coroutine)
        except RuntimeError as exc:
            coroutine.close()
            self._report_(event, callback, exc)
            return
        if self._listener_tasks_ is None:
            self._listener_tasks_ = set()
        self._listener_tasks_.add(task)

        def done(finished: asyncio.Task[Any]) -> None:
            if self._listener_tasks_ is not None:
                self._listener_tasks_.discard(finished)
            if not finished.cancelled() and (exc := finished.exception()) is not None:
                self._report_(event, callback, exc)

        task.add_done_callback(done)

    def _report_(self, event: Event, callback: Any, exc: BaseException) -> None:
        message = f"a listener of {type(self).__name__} event {event.type!r} failed"
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            logger.error("%s", message, exc_info=exc)
            return
        context = {"message": message, "exception": exc, "event": event, "listener": callback}
        loop.call_exception_handler(context)


# -- for the library: what programs need not see on every object ------------------------------------


def fire(target: EventTarget, event: Event) -> bool:
    """Give an event of the library's own to the listeners, as `EventTarget.dispatchEvent` does; it is trusted.

    Returns:
        False if a listener prevented the default action.
    """
    return target._fire_(event)


def has_listeners(target: EventTarget, type: str) -> bool:
    """Whether anybody would notice an event of this type, so that making one can be spared."""
    return target._has_listeners_(type)


def close_events(target: EventTarget) -> None:
    """End all iterators: the target is closed and no event follows."""
    target._close_events_()


def forget_listeners(target: EventTarget) -> None:
    """Drop all listeners: nothing will ever fire again, and what they hold may go."""
    target._forget_listeners_()


def listener_tasks(target: EventTarget) -> frozenset[asyncio.Task[Any]]:
    """The tasks of ``async def`` listeners that are still running."""
    return frozenset(target._listener_tasks_ or ())


class handler(Generic[_E]):
    """An ``on<type>`` attribute (HTML "event handler IDL attribute").

    Setting a callable listens, setting anything else stops; a handler keeps its turn among the
    listeners when it is replaced.
    """

    def __init__(self, type: str) -> None:
        self.type: str = type

    @overload
    def __get__(self, target: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, target: EventTarget, owner: type | None = None) -> Callable[[_E], Any] | None: ...
    def __get__(self, target: EventTarget | None, owner: type | None = None) -> Any:
        if target is None:
            return self
        registration = self._registration(target)
        return None if registration is None else registration.callback

    def __set__(self, target: EventTarget, value: Callable[[_E], Any] | None) -> None:
        registration = self._registration(target)
        if not callable(value):
            # HTML "deactivate an event handler": a handler set later goes to the end of the row
            if registration is not None and target._registrations_ is not None:
                registration.removed = True
                rest = [r for r in target._registrations_[self.type] if r is not registration]
                target._registrations_[self.type] = rest
        elif registration is None:
            target._register_(self.type, _Registration(value, is_handler=True))
        else:
            registration.callback = value

    def _registration(self, target: EventTarget) -> _Registration | None:
        for registration in (target._registrations_ or {}).get(self.type, ()):
            if registration.is_handler:
                return registration
        return None
