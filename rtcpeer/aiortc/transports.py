"""Transports under aiortc's names: `transport.transport`, `iceGatherer`, `sctp.mid`.

They exist once a description has been applied (aiortc makes them with the first track or channel).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from aiortc import RTCIceCandidate, RTCIceParameters

from rtcpeer.aiortc import values
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.media.eventtarget import Event
from rtcpeer.peer import icetransport as w3c_ice
from rtcpeer.peer import transports as w3c
from rtcpeer.values import IceGatheringState

if TYPE_CHECKING:
    from rtcpeer.aiortc.connection import RTCPeerConnection


class RTCIceGatherer(Emitter):
    """Gives the local candidates and credentials of an ICE transport."""

    def __init__(self, transport: RTCIceTransport) -> None:
        super().__init__()
        self._transport = transport

    @property
    def state(self) -> str:
        """Its state: "new", "gathering" or "completed"."""
        state = self._transport.gatheringState
        return "completed" if state is IceGatheringState.COMPLETE else state.value

    def getLocalCandidates(self) -> list[RTCIceCandidate]:
        """Our candidates so far."""
        return [values.candidate(c) for c in self._transport.getLocalCandidates()]

    def getLocalParameters(self) -> RTCIceParameters:
        """Our credentials."""
        given = self._transport.getLocalParameters()
        if given is None:
            return RTCIceParameters()
        return RTCIceParameters(given.usernameFragment, given.password, given.iceLite)


class RTCIceTransport(Emitter, w3c_ice.RTCIceTransport):  # type: ignore[misc]  # `on` is pyee's
    """An ICE transport. pyee's event: statechange."""

    def __init__(self, core: w3c_ice.IceTransportCore | None = None) -> None:
        Emitter.__init__(self)
        w3c_ice.RTCIceTransport.__init__(self, core)
        self._gatherer = RTCIceGatherer(self)

    @property
    def iceGatherer(self) -> RTCIceGatherer:
        """What gives the local candidates."""
        return self._gatherer

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # type: ignore[override]
        """The other end's candidates."""
        return [values.candidate(c) for c in super().getRemoteCandidates()]

    def fire(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super().fire(event)
        if event.type == "statechange":
            self.emit("statechange")
        elif event.type == "gatheringstatechange":
            self._gatherer.emit("statechange")
        return result


class RTCDtlsTransport(Emitter, w3c.RTCDtlsTransport):  # type: ignore[misc]
    """A DTLS transport. pyee's event: statechange."""

    def __init__(
        self, core: w3c.DtlsTransportCore | None = None, connection: RTCPeerConnection | None = None
    ) -> None:
        Emitter.__init__(self)
        w3c.RTCDtlsTransport.__init__(self, core)
        # weak: a connection is freed without the garbage collector
        self._connection = None if connection is None else weakref.ref(connection)

    @property
    def transport(self) -> w3c_ice.RTCIceTransport:
        """The ICE transport that it runs over."""
        return self.iceTransport

    def fire(self, event: Event) -> bool:
        """Tell both kinds of listeners, and the connection: it closes with the other end."""
        result = super().fire(event)
        if event.type == "statechange":
            self.emit("statechange")
            connection = None if self._connection is None else self._connection()
            if connection is not None:
                connection.dtls_changed()
        return result


class RTCSctpTransport(Emitter, w3c.RTCSctpTransport):  # type: ignore[misc]
    """The transport of the data channels. pyee's event: statechange."""

    def __init__(
        self, core: w3c.SctpTransportCore | None = None, connection: RTCPeerConnection | None = None
    ) -> None:
        Emitter.__init__(self)
        w3c.RTCSctpTransport.__init__(self, core)
        self._connection = None if connection is None else weakref.ref(connection)

    @property
    def mid(self) -> str | None:
        """The mid of its media section."""
        connection = None if self._connection is None else self._connection()
        return None if connection is None else connection.data_mid

    def fire(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super().fire(event)
        self.emit(event.type)
        return result
