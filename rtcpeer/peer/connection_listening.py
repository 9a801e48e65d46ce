"""How a connection is listened to, with the type of each event.

Owns: overloads of `on`, `addEventListener` and `events` for type checkers and editors; nothing at run time. Never: a
name that the `on...` attributes of the class do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from rtcpeer.media.event_target import Event, EventStream, EventTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtcpeer.media.event_target import ListenerOptions
    from rtcpeer.media.stream import MediaStreamEvent
    from rtcpeer.peer.data_channel import RTCDataChannelEvent
    from rtcpeer.peer.events import (
        RTCPeerConnectionIceErrorEvent,
        RTCPeerConnectionIceEvent,
        RTCSenderErrorEvent,
        RTCTrackEvent,
    )

R = TypeVar("R")


class PeerConnectionEvents(EventTarget):
    """Types of the events of an `RTCPeerConnection`."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # a misspelt type shall not pass
        def on(
            self, type: Literal["track"]
        ) -> Callable[[Callable[[RTCTrackEvent], R]], Callable[[RTCTrackEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["track"], listener: Callable[[RTCTrackEvent], R]
        ) -> Callable[[RTCTrackEvent], R]: ...
        @overload
        def on(
            self, type: Literal["addstream"]
        ) -> Callable[[Callable[[MediaStreamEvent], R]], Callable[[MediaStreamEvent], R]]: ...
        @overload
        def on(
            self, type: Literal["addstream"], listener: Callable[[MediaStreamEvent], R]
        ) -> Callable[[MediaStreamEvent], R]: ...
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
            self, type: Literal["icecandidate"]
        ) -> Callable[
            [Callable[[RTCPeerConnectionIceEvent], R]], Callable[[RTCPeerConnectionIceEvent], R]
        ]: ...
        @overload
        def on(
            self, type: Literal["icecandidate"], listener: Callable[[RTCPeerConnectionIceEvent], R]
        ) -> Callable[[RTCPeerConnectionIceEvent], R]: ...
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
                "negotiationneeded",
                "signalingstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "connectionstatechange",
                "networkchange",
            ],
        ) -> Callable[[Callable[[Event], R]], Callable[[Event], R]]: ...
        @overload
        def on(
            self,
            type: Literal[
                "negotiationneeded",
                "signalingstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "connectionstatechange",
                "networkchange",
            ],
            listener: Callable[[Event], R],
        ) -> Callable[[Event], R]: ...
        def on(self, type: Any, listener: Any = None) -> Any:
            """Call a listener for each event of this type; without one, a decorator. See `EventTarget.on`."""

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
            type: Literal["addstream"],
            listener: Callable[[MediaStreamEvent], object] | None,
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
            type: Literal["icecandidate"],
            listener: Callable[[RTCPeerConnectionIceEvent], object] | None,
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
                "negotiationneeded",
                "signalingstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "connectionstatechange",
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
        def events(self, *types: Literal["track"], bound: int = ...) -> EventStream[RTCTrackEvent]: ...
        @overload
        def events(self, *types: Literal["addstream"], bound: int = ...) -> EventStream[MediaStreamEvent]: ...
        @overload
        def events(
            self, *types: Literal["datachannel"], bound: int = ...
        ) -> EventStream[RTCDataChannelEvent]: ...
        @overload
        def events(
            self, *types: Literal["icecandidate"], bound: int = ...
        ) -> EventStream[RTCPeerConnectionIceEvent]: ...
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
                "negotiationneeded",
                "signalingstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "connectionstatechange",
                "networkchange",
            ],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        @overload
        def events(
            self,
            *types: Literal[
                "track",
                "addstream",
                "datachannel",
                "icecandidate",
                "icecandidateerror",
                "sendererror",
                "negotiationneeded",
                "signalingstatechange",
                "iceconnectionstatechange",
                "icegatheringstatechange",
                "connectionstatechange",
                "networkchange",
            ],
            bound: int = ...,
        ) -> EventStream[Event]: ...
        def events(self, *types: Any, bound: int = 0) -> Any:
            """An async iterator over events of these types, or of all. See `EventTarget.events`."""
