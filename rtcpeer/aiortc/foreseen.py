"""Placeholder transports: what `sender.transport` and `pc.sctp` give, as in aiortc, before a description has made any.

A program that looks at `sender.transport` or `pc.sctp` in between finds the objects that it will find later, in
their first state, without credentials and candidates.
Owns: those objects until a description claims them. Never: what they show afterwards.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import cast

from rtcpeer.aiortc.transports import RTCDtlsTransport, RTCIceTransport, RTCSctpTransport
from rtcpeer.peer.session.session import PeerSession
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.peer.transport_owner import TransportOwner
from rtcpeer.peer.transports import DtlsTransportCore, IceTransportCore, SctpTransportCore
from rtcpeer.values import BundlePolicy

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
