"""Transports under aiortc's names: `transport.transport`, `iceGatherer`, `sctp.mid`.

They are made with the first track or channel, and have something to show once a description has been applied. A program
that looks at `sender.transport` or `pc.sctp` in between finds the objects that it will find later, in their first
state, without credentials and candidates.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Self, cast

import aiortc
from aiortc import (
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCIceCandidate,
    RTCIceParameters,
    RTCSctpCapabilities,
)
from cryptography import x509
from OpenSSL import crypto

from rtcpeer.aiortc import values
from rtcpeer.aiortc.aioice_view import ConnectionView
from rtcpeer.aiortc.emitter import Emitter
from rtcpeer.aiortc.ortc import by_hand
from rtcpeer.aiortc.private_names import PrivateNames
from rtcpeer.media.event_target import Event
from rtcpeer.peer import ice_transport as w3c_ice
from rtcpeer.peer import transports as w3c
from rtcpeer.peer.data_channel import RTCDataChannel
from rtcpeer.peer.session.session import PeerSession
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.peer.transport_owner import TransportOwner
from rtcpeer.peer.transports import DtlsTransportCore, IceTransportCore, SctpTransportCore
from rtcpeer.sctp.transport import LOCAL_MAX_MESSAGE_SIZE
from rtcpeer.values import BundlePolicy, DtlsRole, IceGatheringState


class RTCIceGatherer(PrivateNames, Emitter):
    """Gives the local candidates and credentials of an ICE transport."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, RTCIceTransport, aiortc.RTCIceGatherer, args, kwargs)

    def __init__(self, transport: RTCIceTransport) -> None:
        super().__init__()
        self._transport = transport

    @property
    def _connection(self) -> ConnectionView:
        return self._transport._connection

    @classmethod
    def getDefaultIceServers(cls) -> list[aiortc.RTCIceServer]:
        """The servers that aiortc asks when none is named. A connection of ours asks nobody then."""
        return aiortc.RTCIceGatherer.getDefaultIceServers()

    @property
    def state(self) -> str:
        """The state: "new", "gathering" or "completed"."""
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


class RTCIceTransport(PrivateNames, Emitter, w3c_ice.RTCIceTransport):
    """An ICE transport. pyee's event: statechange."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, w3c_ice.IceTransportCore, aiortc.RTCIceTransport, args, kwargs)

    def __init__(self, core: w3c_ice.IceTransportCore | None = None) -> None:
        w3c_ice.RTCIceTransport.__init__(self, core)
        self._gatherer = RTCIceGatherer(self)
        self._view: ConnectionView | None = None

    def become(self, core: w3c_ice.IceTransportCore) -> Self:
        """Show this core from now on."""
        self._core = core
        return self

    @property
    def _connection(self) -> ConnectionView:
        if self._view is None:
            self._view = ConnectionView(self)
        return self._view

    @property
    def iceGatherer(self) -> RTCIceGatherer:
        """The gatherer of the local candidates."""
        return self._gatherer

    def getRemoteCandidates(self) -> list[RTCIceCandidate]:  # type: ignore[override]
        """The other end's candidates."""
        return [values.candidate(c) for c in super().getRemoteCandidates()]

    def _fire_(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super()._fire_(event)
        if event.type == "statechange":
            self.emit("statechange")
        elif event.type == "gatheringstatechange":
            self._gatherer.emit("statechange")
        return result


class _PeerCertificate:
    """The other end's certificate, as programs ask `dtls._ssl` for it, which is pyOpenSSL's connection in aiortc."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def get_peer_certificate(self, *, as_cryptography: bool = False) -> x509.Certificate | crypto.X509:
        """The certificate, of pyOpenSSL's class or cryptography's."""
        certificate = x509.load_der_x509_certificate(self._der)
        return certificate if as_cryptography else crypto.X509.from_cryptography(certificate)


class RTCDtlsTransport(PrivateNames, Emitter, w3c.RTCDtlsTransport):
    """A DTLS transport. pyee's event: statechange.

    Args:
        core: what it shows.
        session: whose it is.
        changed: is called after each change of state.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, w3c.DtlsTransportCore, aiortc.RTCDtlsTransport, args, kwargs)

    def __init__(
        self,
        core: w3c.DtlsTransportCore | None = None,
        session: PeerSession | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        w3c.RTCDtlsTransport.__init__(self, core)
        # weak: a connection is freed without the garbage collector
        self._session = None if session is None else weakref.ref(session)
        self._changed = changed

    def become(self, core: w3c.DtlsTransportCore) -> Self:
        """Show this core from now on."""
        self._core = core
        return self

    @property
    def core(self) -> w3c.DtlsTransportCore:
        """The state of the W3C transport that this one shows."""
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

    @property
    def _ssl(self) -> _PeerCertificate | None:
        found = self.getRemoteCertificates()
        return _PeerCertificate(found[0]) if found else None

    def getLocalParameters(self) -> RTCDtlsParameters:
        """Our fingerprints and role."""
        session = None if self._session is None else self._session()
        if session is not None:
            session.context.ensure_certificate()
        return RTCDtlsParameters(
            fingerprints=[
                RTCDtlsFingerprint(algorithm=f.algorithm, value=f.value)
                for f in (() if session is None else session.engine.fingerprints)
            ],
            role=self._role,
        )

    def _fire_(self, event: Event) -> bool:
        """Tell both kinds of listeners, and the connection: it closes with the other end."""
        result = super()._fire_(event)
        if event.type == "statechange":
            self.emit("statechange")
            if self._changed is not None:
                self._changed()
        return result


class RTCSctpTransport(PrivateNames, Emitter, w3c.RTCSctpTransport):
    """The transport of the data channels. pyee's event: statechange."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Aiortc's own when a program makes one (the ORTC way)."""
        return by_hand(cls, w3c.SctpTransportCore, aiortc.RTCSctpTransport, args, kwargs)

    def __init__(self, core: w3c.SctpTransportCore | None = None, session: PeerSession | None = None) -> None:
        w3c.RTCSctpTransport.__init__(self, core)
        self._session = None if session is None else weakref.ref(session)

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
        session = None if self._session is None else self._session()
        data = None if session is None else session.engine.state.data
        return None if data is None else data.mid

    @property
    def _data_channel_id(self) -> int:
        # the role in DTLS decides (RFC 8832 section 6), whenever channels are made
        inner = self._core.dtls.transport
        return 1 if inner is not None and inner.role is DtlsRole.SERVER else 0

    @_data_channel_id.setter
    def _data_channel_id(self, id: int) -> None:
        # set against aiortc's, which decides before the role is known
        pass

    # programs that send a file in a loop push the queue on by hand, and look at what is left of it

    async def _data_channel_flush(self) -> None:
        await asyncio.sleep(0)

    async def _transmit(self) -> None:
        await asyncio.sleep(0)

    @property
    def _data_channel_queue(self) -> list[RTCDataChannel]:
        session = None if self._session is None else self._session()
        channels = () if session is None else session.executor.data.channels
        return [c.face for c in channels if c.face.bufferedAmount]

    _outbound_queue = _data_channel_queue

    def _fire_(self, event: Event) -> bool:
        """Tell both kinds of listeners."""
        result = super()._fire_(event)
        self.emit(event.type)
        return result


# cores that nothing drives have nothing to tell their owner
_NOBODY = cast("TransportOwner", None)


class ForeseenTransports:
    """The transports that each section of a connection will run over, by its bundle policy (RFC 9429 4.1.1).

    Args:
        session: whose.
        policy: its bundle policy.
        changed: is called after each change of state of a DTLS transport.
    """

    def __init__(self, session: PeerSession, policy: BundlePolicy, changed: Callable[[], None]) -> None:
        # weak: a connection is freed without the garbage collector
        self._session = weakref.ref(session)
        self._policy = policy
        self._changed = changed
        # by the group of sections that share it
        self._faces: dict[str, RTCDtlsTransport] = {}
        self._sctp: RTCSctpTransport | None = None

    def of_section(self, kind: str, id: int = 0) -> RTCDtlsTransport:
        """The transport of a section.

        Args:
            kind: "audio", "video" or "application".
            id: of its transceiver.
        """
        group = self._group(kind, id)
        found = self._faces.get(group)
        if found is None:
            ice = IceTransportCore(_NOBODY)
            ice.face = RTCIceTransport(ice)
            found = self._faces[group] = self._dtls_face(DtlsTransportCore(_NOBODY, ice))
            found.core.face = found
        return found

    def sctp(self) -> RTCSctpTransport:
        """The transport of the data channels."""
        if self._sctp is None:
            dtls = self.of_section("application")
            self._sctp = RTCSctpTransport(SctpTransportCore(dtls.core), self._session())
        return self._sctp

    def claim(self, link: PeerTransport, kind: str, id: int = 0) -> None:
        """Show a real transport as the one that was foreseen for this section, unless another is shown as that."""
        face = self.of_section(kind, id)
        if face.core.transport is not None:
            face = self._dtls_face(link.dtls)
            link.ice.face = RTCIceTransport(link.ice)
        else:
            ice = face.transport
            assert isinstance(ice, RTCIceTransport)
            link.ice.face = ice.become(link.ice)
        link.dtls.face = face.become(link.dtls)

    def _dtls_face(self, core: DtlsTransportCore) -> RTCDtlsTransport:
        return RTCDtlsTransport(core, self._session(), self._changed)

    def _group(self, kind: str, id: int) -> str:
        if self._policy is BundlePolicy.MAX_BUNDLE:
            return ""
        return kind if self._policy is BundlePolicy.BALANCED else f"{kind} {id}"
