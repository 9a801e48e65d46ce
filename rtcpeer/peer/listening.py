"""How channels, transports and DTMF senders are listened to, with the type of each event.

Owns: overloads of `on`, `addEventListener` and `events` for type checkers and editors; nothing at run time. Never: a
name that the `on...` attributes of the class do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from rtcpeer.media.event_target import Event, EventStream, EventTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtcpeer.media.event_target import ListenerOptions
    from rtcpeer.peer.events import (
        MessageEvent,
        RTCDTMFToneChangeEvent,
        RTCErrorEvent,
    )

R = TypeVar("R")


class DataChannelEvents(EventTarget):
    """Types of the events of an `RTCDataChannel`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["message"]
        ) -> Callable[[Callable[[MessageEvent], R]], Callable[[MessageEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["message"], listener: Callable[[MessageEvent], R]
        ) -> Callable[[MessageEvent], R]: ...
        @overload
        def on(
            self, type: Literal["error"]
        ) -> Callable[[Callable[[RTCErrorEvent], R]], Callable[[RTCErrorEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["error"], listener: Callable[[RTCErrorEvent], R]
        ) -> Callable[[RTCErrorEvent], R]: ...
        @overload
        def on(
            self, type: Literal["open", "bufferedamountlow", "closing", "close"]
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self,
            type: Literal["open", "bufferedamountlow", "closing", "close"],
            listener: Callable[[Event], R],
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["message"],
            listener: Callable[[MessageEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["error"],
            listener: Callable[[RTCErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["open", "bufferedamountlow", "closing", "close"],
            listener: Callable[[Event], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            listener: Any,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        def addEventListener(
            self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
        ) -> None:
            """Call a listener for each event of this type, as in DOM. See `EventTarget.addEventListener`."""

        @overload  # type: ignore[override]
        def events(self, *, bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(self, *types: Literal["message"], bound: int = ...) -> EventStream[MessageEvent]: ...
        @overload
        def events(self, *types: Literal["error"], bound: int = ...) -> EventStream[RTCErrorEvent]: ...
        @overload
        def events(
            self, *types: Literal["open", "bufferedamountlow", "closing", "close"], bound: int = ...
        ) -> EventStream[Event]: ...
        @overload
        def events(
            self,
            *types: Literal["message", "error", "open", "bufferedamountlow", "closing", "close"],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""


class DtlsTransportEvents(EventTarget):
    """Types of the events of an `RTCDtlsTransport`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["error"]
        ) -> Callable[[Callable[[RTCErrorEvent], R]], Callable[[RTCErrorEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["error"], listener: Callable[[RTCErrorEvent], R]
        ) -> Callable[[RTCErrorEvent], R]: ...
        @overload
        def on(
            self, type: Literal["statechange"]
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self, type: Literal["statechange"], listener: Callable[[Event], R]
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["error"],
            listener: Callable[[RTCErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["statechange"],
            listener: Callable[[Event], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            listener: Any,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        def addEventListener(
            self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
        ) -> None:
            """Call a listener for each event of this type, as in DOM. See `EventTarget.addEventListener`."""

        @overload  # type: ignore[override]
        def events(self, *, bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(self, *types: Literal["error"], bound: int = ...) -> EventStream[RTCErrorEvent]: ...
        @overload
        def events(self, *types: Literal["statechange"], bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(self, *types: Literal["error", "statechange"], bound: int = ...) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""


class IceTransportEvents(EventTarget):
    """Types of the events of an `RTCIceTransport`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["statechange", "gatheringstatechange", "selectedcandidatepairchange"]
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self,
            type: Literal["statechange", "gatheringstatechange", "selectedcandidatepairchange"],
            listener: Callable[[Event], R],
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["statechange", "gatheringstatechange", "selectedcandidatepairchange"],
            listener: Callable[[Event], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            listener: Any,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        def addEventListener(
            self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
        ) -> None:
            """Call a listener for each event of this type, as in DOM. See `EventTarget.addEventListener`."""

        @overload  # type: ignore[override]
        def events(self, *, bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(
            self,
            *types: Literal["statechange", "gatheringstatechange", "selectedcandidatepairchange"],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""


class SctpTransportEvents(EventTarget):
    """Types of the events of an `RTCSctpTransport`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["statechange"]
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self, type: Literal["statechange"], listener: Callable[[Event], R]
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["statechange"],
            listener: Callable[[Event], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            listener: Any,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        def addEventListener(
            self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
        ) -> None:
            """Call a listener for each event of this type, as in DOM. See `EventTarget.addEventListener`."""

        @overload  # type: ignore[override]
        def events(self, *, bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(self, *types: Literal["statechange"], bound: int = ...) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""


class DtmfSenderEvents(EventTarget):
    """Types of the events of an `RTCDTMFSender`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["tonechange"]
        ) -> Callable[[Callable[[RTCDTMFToneChangeEvent], R]], Callable[[RTCDTMFToneChangeEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["tonechange"], listener: Callable[[RTCDTMFToneChangeEvent], R]
        ) -> Callable[[RTCDTMFToneChangeEvent], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["tonechange"],
            listener: Callable[[RTCDTMFToneChangeEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            listener: Any,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        def addEventListener(
            self, type: str, listener: Any, options: Any = None, **members: Unpack[ListenerOptions]
        ) -> None:
            """Call a listener for each event of this type, as in DOM. See `EventTarget.addEventListener`."""

        @overload  # type: ignore[override]
        def events(self, *, bound: int = ...) -> EventStream[Event]: ...
        @overload
        def events(
            self, *types: Literal["tonechange"], bound: int = ...
        ) -> EventStream[RTCDTMFToneChangeEvent]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""
