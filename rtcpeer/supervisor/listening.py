"""How supervised peers and channels are listened to, with the type of each event.

Owns: overloads of `on`, `addEventListener` and `events` for type checkers and editors; nothing at run time. Never: a
name that the `on...` attributes of the class do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from rtcpeer.media.event_target import Event, EventStream, EventTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtcpeer.media.event_target import ListenerOptions
    from rtcpeer.peer.data_channel import RTCDataChannelEvent
    from rtcpeer.peer.events import (
        MessageEvent,
        RTCErrorEvent,
        RTCPeerConnectionIceErrorEvent,
        RTCSenderErrorEvent,
        RTCTrackEvent,
    )
    from rtcpeer.supervisor.events import (
        MessagesLostEvent,
        ServersErrorEvent,
        SignalingErrorEvent,
        StateEvent,
    )

R = TypeVar("R")


class SupervisedPeerEvents(EventTarget):
    """Types of the events of a `SupervisedPeer`; those of the connection carry `generation` and `reason`, too."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["statechange"]
        ) -> Callable[[Callable[[StateEvent], R]], Callable[[StateEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["statechange"], listener: Callable[[StateEvent], R]
        ) -> Callable[[StateEvent], R]: ...
        @overload
        def on(
            self, type: Literal["track"]
        ) -> Callable[[Callable[[RTCTrackEvent], R]], Callable[[RTCTrackEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["track"], listener: Callable[[RTCTrackEvent], R]
        ) -> Callable[[RTCTrackEvent], R]: ...
        @overload
        def on(
            self, type: Literal["datachannel"]
        ) -> Callable[[Callable[[RTCDataChannelEvent], R]], Callable[[RTCDataChannelEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["datachannel"], listener: Callable[[RTCDataChannelEvent], R]
        ) -> Callable[[RTCDataChannelEvent], R]: ...
        @overload
        def on(
            self, type: Literal["signalingerror"]
        ) -> Callable[[Callable[[SignalingErrorEvent], R]], Callable[[SignalingErrorEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["signalingerror"], listener: Callable[[SignalingErrorEvent], R]
        ) -> Callable[[SignalingErrorEvent], R]: ...
        @overload
        def on(
            self, type: Literal["serverserror"]
        ) -> Callable[[Callable[[ServersErrorEvent], R]], Callable[[ServersErrorEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["serverserror"], listener: Callable[[ServersErrorEvent], R]
        ) -> Callable[[ServersErrorEvent], R]: ...
        @overload
        def on(
            self, type: Literal["icecandidateerror"]
        ) -> Callable[
            [Callable[[RTCPeerConnectionIceErrorEvent], R]], Callable[[RTCPeerConnectionIceErrorEvent], R]
        ]: ...
        @overload
        def on(
            self, type: Literal["icecandidateerror"], listener: Callable[[RTCPeerConnectionIceErrorEvent], R]
        ) -> Callable[[RTCPeerConnectionIceErrorEvent], R]: ...
        @overload
        def on(
            self, type: Literal["sendererror"]
        ) -> Callable[[Callable[[RTCSenderErrorEvent], R]], Callable[[RTCSenderErrorEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["sendererror"], listener: Callable[[RTCSenderErrorEvent], R]
        ) -> Callable[[RTCSenderErrorEvent], R]: ...
        @overload
        def on(
            self,
            type: Literal[
                "connectionstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "signalingstatechange",
                "networkchange",
            ],
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self,
            type: Literal[
                "connectionstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "signalingstatechange",
                "networkchange",
            ],
            listener: Callable[[Event], R],
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

        @overload
        def addEventListener(
            self,
            type: Literal["statechange"],
            listener: Callable[[StateEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["track"],
            listener: Callable[[RTCTrackEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["datachannel"],
            listener: Callable[[RTCDataChannelEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["signalingerror"],
            listener: Callable[[SignalingErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["serverserror"],
            listener: Callable[[ServersErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["icecandidateerror"],
            listener: Callable[[RTCPeerConnectionIceErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["sendererror"],
            listener: Callable[[RTCSenderErrorEvent], object] | None,
            options: Mapping[str, Any] | bool | None = None,
            **members: Unpack[ListenerOptions],
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal[
                "connectionstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "signalingstatechange",
                "networkchange",
            ],
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
        def events(self, *types: Literal["statechange"], bound: int = ...) -> EventStream[StateEvent]: ...
        @overload
        def events(self, *types: Literal["track"], bound: int = ...) -> EventStream[RTCTrackEvent]: ...
        @overload
        def events(
            self, *types: Literal["datachannel"], bound: int = ...
        ) -> EventStream[RTCDataChannelEvent]: ...
        @overload
        def events(
            self, *types: Literal["signalingerror"], bound: int = ...
        ) -> EventStream[SignalingErrorEvent]: ...
        @overload
        def events(
            self, *types: Literal["serverserror"], bound: int = ...
        ) -> EventStream[ServersErrorEvent]: ...
        @overload
        def events(
            self, *types: Literal["icecandidateerror"], bound: int = ...
        ) -> EventStream[RTCPeerConnectionIceErrorEvent]: ...
        @overload
        def events(
            self, *types: Literal["sendererror"], bound: int = ...
        ) -> EventStream[RTCSenderErrorEvent]: ...
        @overload
        def events(
            self,
            *types: Literal[
                "connectionstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "signalingstatechange",
                "networkchange",
            ],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        @overload
        def events(
            self,
            *types: Literal[
                "statechange",
                "track",
                "datachannel",
                "signalingerror",
                "serverserror",
                "icecandidateerror",
                "sendererror",
                "connectionstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "signalingstatechange",
                "networkchange",
            ],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""


class SupervisedChannelEvents(EventTarget):
    """Types of the events of a `SupervisedChannel`."""

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
            self, type: Literal["messageslost"]
        ) -> Callable[[Callable[[MessagesLostEvent], R]], Callable[[MessagesLostEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["messageslost"], listener: Callable[[MessagesLostEvent], R]
        ) -> Callable[[MessagesLostEvent], R]: ...
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
            self, type: Literal["open", "bufferedamountlow", "close"]
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self, type: Literal["open", "bufferedamountlow", "close"], listener: Callable[[Event], R]
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
            type: Literal["messageslost"],
            listener: Callable[[MessagesLostEvent], object] | None,
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
            type: Literal["open", "bufferedamountlow", "close"],
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
        def events(
            self, *types: Literal["messageslost"], bound: int = ...
        ) -> EventStream[MessagesLostEvent]: ...
        @overload
        def events(self, *types: Literal["error"], bound: int = ...) -> EventStream[RTCErrorEvent]: ...
        @overload
        def events(
            self, *types: Literal["open", "bufferedamountlow", "close"], bound: int = ...
        ) -> EventStream[Event]: ...
        @overload
        def events(
            self,
            *types: Literal["message", "messageslost", "error", "open", "bufferedamountlow", "close"],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""
