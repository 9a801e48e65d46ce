"""Watchers of a connection, such as metrics and tracers: told of calls, events and the end.

Owns: the list, and that a watcher that fails harms nobody. Never: a reference that keeps the connection.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from rtcpeer.media.event_target import Event

# also where the description is malformed: to the end of the line
_PASSWORD = re.compile(r"(ice-pwd|crypto|identity)[^\r\n]*", re.IGNORECASE)


class Watcher(Protocol):
    """Told in the middle of the connection's work: it takes notes, and changes nothing."""

    def on_call(self, what: str, detail: str) -> None:
        """A method was called; `detail` has no secrets."""

    def on_event(self, event: Event) -> None:
        """An event is about to be fired at the connection."""

    def on_closing(self) -> None:
        """The connection is about to be closed: the last time that it has statistics."""


class Watchers:
    """The watchers of one connection.

    Attributes:
        failed: told what failed, and of the exception.
    """

    __slots__ = ("_watchers", "failed")

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self.failed = failed
        self._watchers: tuple[Watcher, ...] = ()

    def add(self, watcher: Watcher) -> None:
        """Add a watcher."""
        self._watchers = (*self._watchers, watcher)

    def remove(self, watcher: Watcher) -> None:
        """Remove a watcher; unknown ones are ignored."""
        self._watchers = tuple(w for w in self._watchers if w is not watcher)

    def call(self, what: str, detail: str = "", text: str = "") -> None:
        """Tell of a call.

        Args:
            what: the method.
            detail: its arguments, without secrets.
            text: a description or candidate; its passwords are masked.
        """
        if not self._watchers:
            return
        if text:
            masked = _PASSWORD.sub(r"\1***", text)
            detail = f"{detail}, sdp: {masked}" if detail else masked
        for watcher in self._watchers:
            self._tell(watcher.on_call, what, detail)

    def event(self, event: Event) -> None:
        """Tell of an event."""
        for watcher in self._watchers:
            self._tell(watcher.on_event, event)

    def closing(self) -> None:
        """Tell of the end; nobody watches any more."""
        for watcher in self._watchers:
            self._tell(watcher.on_closing)
        self._watchers = ()

    def _tell(self, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except Exception as error:
            self.failed(f"{step.__qualname__} of a watcher failed", error)
