"""Transports under aiortc's names: `transport.transport`, `iceGatherer`, `sctp.mid`.

They are made with the first track or channel, and have something to show once a description has been applied.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Self

from aiortc import (
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCIceCandidate,
    RTCIceParameters,
    RTCSctpCapabilities,
)

from rtcpeer.aiortc import values
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.media.event_target import Event
from rtcpeer.peer import ice_transport as w3c_ice
from rtcpeer.peer import transports as w3c
from rtcpeer.sctp.transport import LOCAL_MAX_MESSAGE_SIZE
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

    def become(self, core: w3c_ice.IceTransportCore) -> Self:
        """Show this core from now on."""
        self._core = core
        return self

    @property
    def iceGatherer(self) -> RTCIceGatherer:
        """What gives the local candidates."""
        return self._gatherer

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # type: ignore[override]
        """The other end's candidates."""
        return [values.candidate(c) for c in super().getRemoteCandidates()]

    def _fire(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super()._fire(event)
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

    def become(self, core: w3c.DtlsTransportCore) -> Self:
        """Show this core from now on."""
        self._core = core
        return self

    @property
    def core(self) -> w3c.DtlsTransportCore:
        """What it shows."""
        return self._core

    @property
    def transport(self) -> w3c_ice.RTCIceTransport:
        """The ICE transport that it runs over."""
        return self.iceTransport

    @property
    def _role(self) -> str:
        # aiortc's name; ours is "dtlsRole" in the statistics
        inner = self._core.transport
        return "auto" if inner is None else inner.role.value

    def getLocalParameters(self) -> RTCDtlsParameters:
        """Our fingerprints and role."""
        connection = None if self._connection is None else self._connection()
        return RTCDtlsParameters(
            fingerprints=[
                RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value)
                for f in (() if connection is None else connection.fingerprints)
            ],
            role=self._role,
        )

    def _fire(self, event: Event) -> bool:
        """Tell both kinds of listeners, and the connection: it closes with the other end."""
        result = super()._fire(event)
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

    def become(self, core: w3c.SctpTransportCore) -> Self:
        """Show this core from now on."""
        self._core = core
        return self

    @classmethod
    def getCapabilities(cls) -> RTCSctpCapabilities:
        """The largest message that we take."""
        return RTCSctpCapabilities(maxMessageSize=LOCAL_MAX_MESSAGE_SIZE)

    @property
    def mid(self) -> str | None:
        """The mid of its media section."""
        connection = None if self._connection is None else self._connection()
        return None if connection is None else connection.data_mid

    def _fire(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super()._fire(event)
        self.emit(event.type)
        return result
