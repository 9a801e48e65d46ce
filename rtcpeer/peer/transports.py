"""RTCDtlsTransport and RTCSctpTransport (webrtc-pc 5.5, 6.1.1), each a view over a core.

Owns: the states that listeners see, and the order of a change (as in `ice_transport`, whose classes are to be
had from here too). Never: handshakes, channels, descriptions.

A core listens to the transport below (`DtlsListener`, `DataListener`). After `close` it neither changes nor
tells anything.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rtcpeer.errors import RTCError as InnerRTCError
from rtcpeer.media.event_target import Event, close_events, fire, handler, has_listeners
from rtcpeer.peer.errors import RTCError, to_face
from rtcpeer.peer.events import RTCErrorEvent
from rtcpeer.peer.ice_transport import (
    ICE_UP,
    IceTransportCore,
    RTCIceCandidatePair,
    RTCIceParameters,
    RTCIceTransport,
)
from rtcpeer.peer.listening import DtlsTransportEvents, SctpTransportEvents
from rtcpeer.peer.transport_owner import Announcement, TransportOwner
from rtcpeer.sctp.transport import LOCAL_MAX_MESSAGE_SIZE
from rtcpeer.values import DtlsTransportState, SctpTransportState

if TYPE_CHECKING:
    from rtcpeer.dtls.transport import DtlsTransport
    from rtcpeer.sctp.transport import DataTransport

__all__ = [
    "Announcement",
    "DtlsTransportCore",
    "IceTransportCore",
    "RTCDtlsTransport",
    "RTCIceCandidatePair",
    "RTCIceParameters",
    "RTCIceTransport",
    "RTCSctpTransport",
    "SctpTransportCore",
    "TransportOwner",
]


class DtlsTransportCore:
    """State of one DTLS transport of a connection. Implements `rtcpeer.dtls.transport.DtlsListener`.

    Args:
        owner: the connection.
        ice: what it runs over.

    Attributes:
        transport: set it (again after a restart with new fingerprints) right after the transport was made.
        state: [[DtlsTransportState]].
        remote_certificates: [[RemoteCertificates]], in DER.
        error: why it failed.
    """

    def __init__(self, owner: TransportOwner, ice: IceTransportCore) -> None:
        self.owner = owner
        self.ice = ice
        self.transport: DtlsTransport | None = None
        self.state: DtlsTransportState = DtlsTransportState.NEW
        self.remote_certificates: list[bytes] = []
        self.error: RTCError | None = None
        self._face: RTCDtlsTransport | None = None
        # the handshake is prepared, but there is no path for it yet: for webrtc-pc 5.5 it "has not started"
        self._prepared = False
        # set by close(): nothing follows. A restart brings a state of "closed" back to "new", this never
        self._closed = False

    @property
    def face(self) -> RTCDtlsTransport:
        """The RTCDtlsTransport."""
        if self._face is None:
            self._face = RTCDtlsTransport(self)
        return self._face

    @face.setter
    def face(self, face: RTCDtlsTransport) -> None:
        # a program that was written for other conventions is shown another class (`rtcpeer.aiortc`)
        self._face = face

    def on_dtls_state(self, state: DtlsTransportState, error: InnerRTCError | None) -> None:
        """Implements `DtlsListener.on_dtls_state`; webrtc-pc 5.5."""
        if state is self.state or self._closed:
            return
        if state is DtlsTransportState.CONNECTING and self.ice.state not in ICE_UP:
            self._prepared = True
            return
        if self._prepared:
            self._prepared = False
            if state is DtlsTransportState.CONNECTED:  # sooner than ICE could tell of its path
                self._change(DtlsTransportState.CONNECTING, None)
        self._change(state, error)

    def on_path(self) -> None:
        """ICE has a path: the handshake goes on it now."""
        if self._prepared and not self._closed:
            self._prepared = False
            self._change(DtlsTransportState.CONNECTING, None)

    def _change(self, state: DtlsTransportState, error: InnerRTCError | None) -> None:
        self.state = state
        if state is DtlsTransportState.CONNECTED and self.transport is not None:
            self.remote_certificates = list(self.transport.remote_certificates)
        if error is not None:
            face_error = to_face(error)
            assert isinstance(face_error, RTCError)
            self.error = face_error
        announce = self.owner.dtls_changed()
        if state is DtlsTransportState.FAILED and self.error is not None and self._face is not None:
            fire(self._face, RTCErrorEvent("error", {"error": self.error}))
        if self._face is not None:
            fire(self._face, Event("statechange"))
        announce()

    def close(self, *, announce: bool = False) -> None:
        """Become closed; with events only when the connection lives on."""
        if self._closed:
            return
        if announce:
            self.on_dtls_state(DtlsTransportState.CLOSED, None)
        self._closed = True
        self.state = DtlsTransportState.CLOSED
        if self._face is not None:
            close_events(self._face)

    def release(self) -> None:
        """Closed for good: the connection is not needed any more."""
        del self.owner


class RTCDtlsTransport(DtlsTransportEvents):
    """The DTLS transport of one or more media sections (webrtc-pc 5.5). Events: statechange, error."""

    onstatechange: handler[Event] = handler("statechange")
    onerror: handler[RTCErrorEvent] = handler("error")

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, DtlsTransportCore):
            raise TypeError("Illegal constructor: DTLS transports are made by descriptions")
        self._core = core

    @property
    def iceTransport(self) -> RTCIceTransport:
        """The transport below this one."""
        return self._core.ice.face

    @property
    def state(self) -> DtlsTransportState:
        """The state of the transport."""
        return self._core.state

    def getRemoteCertificates(self) -> list[bytes]:
        """The other end's certificates, in DER; empty before it is connected."""
        return list(self._core.remote_certificates)

    def __repr__(self) -> str:
        return f"<RTCDtlsTransport {self.state.value}>"


class SctpTransportCore:
    """The SCTP association of a connection.

    Args:
        dtls: what it runs over; assign another when bundling moves it.

    Attributes:
        data: set it right after the transport was made.
        state: [[SctpTransportState]].
        max_message_size: [[MaxMessageSize]]; None before an answer, `inf` for any size.
        max_channels: [[MaxChannels]]; None before it is connected.
    """

    def __init__(self, dtls: DtlsTransportCore) -> None:
        self.dtls = dtls
        self.data: DataTransport | None = None
        self.state: SctpTransportState = SctpTransportState.CONNECTING
        self.max_message_size: float | None = None
        self.max_channels: int | None = None
        self._face: RTCSctpTransport | None = None

    @property
    def face(self) -> RTCSctpTransport:
        """The RTCSctpTransport."""
        if self._face is None:
            self._face = RTCSctpTransport(self)
        return self._face

    @face.setter
    def face(self, face: RTCSctpTransport) -> None:
        # a program that was written for other conventions is shown another class (`rtcpeer.aiortc`)
        self._face = face

    def update_max_message_size(self, remote: int, can_send: int = LOCAL_MAX_MESSAGE_SIZE) -> None:
        """Apply what a description said (webrtc-pc 6.1.1.1); 0 stands for any size."""
        sizes = [size for size in (remote, can_send) if size]
        self.max_message_size = min(sizes) if sizes else float("inf")

    def on_sctp_state(self, state: SctpTransportState, error: InnerRTCError | None) -> None:
        """Implements `DataListener.on_sctp_state`. The channels are told afterwards, by themselves."""
        if state is self.state or self.state is SctpTransportState.CLOSED:
            return
        self.state = state
        if state is SctpTransportState.CONNECTED and self.data is not None:
            self.max_channels = self.data.max_channels
        if self._face is not None:
            fire(self._face, Event("statechange"))

    def begin_again(self) -> None:
        """Begin again with another association, after one that may have ended (RFC 8841 section 9)."""
        if self.state is not SctpTransportState.CONNECTING:
            self.state = SctpTransportState.CONNECTING
            self.max_channels = None
            if self._face is not None:
                fire(self._face, Event("statechange"))

    def close(self, *, announce: bool = False) -> None:
        """Become closed at once; the event comes at once when the connection lives on, else in a task.

        webrtc-pc 6.1.2 queues a task for it also when the connection was closed: the only event that follows then.
        """
        if self.state is SctpTransportState.CLOSED:
            return
        self.state = SctpTransportState.CLOSED
        face = self._face
        if face is None:
            return
        if announce:
            self._last_event(face)
        elif has_listeners(face, "statechange"):
            asyncio.get_running_loop().call_soon(self._last_event, face)
        else:
            close_events(face)

    @staticmethod
    def _last_event(face: RTCSctpTransport) -> None:
        fire(face, Event("statechange"))
        close_events(face)


class RTCSctpTransport(SctpTransportEvents):
    """The SCTP transport of the data channels of a connection (webrtc-pc 6.1.1). Event: statechange."""

    onstatechange: handler[Event] = handler("statechange")

    def __init__(self, core: object = None) -> None:
        if not isinstance(core, SctpTransportCore):
            raise TypeError("Illegal constructor: the SCTP transport is RTCPeerConnection.sctp")
        self._core = core

    @property
    def transport(self) -> RTCDtlsTransport:
        """The transport below this one."""
        return self._core.dtls.face

    @property
    def state(self) -> SctpTransportState:
        """The state of the transport."""
        return self._core.state

    @property
    def maxMessageSize(self) -> float | None:
        """The largest message that `RTCDataChannel.send` takes, in bytes; `inf` for any."""
        return self._core.max_message_size

    @property
    def maxChannels(self) -> int | None:
        """The number of channels that there can be; None before it is connected."""
        return self._core.max_channels

    def __repr__(self) -> str:
        return f"<RTCSctpTransport {self.state.value}>"
