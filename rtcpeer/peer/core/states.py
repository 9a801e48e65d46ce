"""connectionState, iceConnectionState and iceGatheringState: derived from the transports, and announced.

Implements: webrtc-pc 4.3.2 (RTCIceGatheringState), 4.3.3 (RTCPeerConnectionState), 4.3.4 (RTCIceConnectionState). The
rules are pure functions. Owns: what was last announced. Never: a state of a transport.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from rtcpeer.media.event_target import Event
from rtcpeer.peer.events import RTCPeerConnectionIceEvent
from rtcpeer.values import DtlsTransportState, IceGatheringState, IceTransportState, PeerConnectionState

logger = logging.getLogger("rtcpeer.peer")

_ICE_NEW = {IceTransportState.NEW, IceTransportState.CLOSED}
_ICE_DONE = {IceTransportState.COMPLETED, IceTransportState.CLOSED}
_ICE_UP = _ICE_DONE | {IceTransportState.CONNECTED}
_DTLS_NEW = {DtlsTransportState.NEW, DtlsTransportState.CLOSED}
_DTLS_UP = {DtlsTransportState.CONNECTED, DtlsTransportState.CLOSED}


def ice_connection_state(ice: Collection[IceTransportState], *, closed: bool) -> IceTransportState:
    """The RTCIceConnectionState of a connection whose ICE transports are in these states (4.3.4)."""
    if closed:
        return IceTransportState.CLOSED
    if IceTransportState.FAILED in ice:
        return IceTransportState.FAILED
    if IceTransportState.DISCONNECTED in ice:
        return IceTransportState.DISCONNECTED
    if all(state in _ICE_NEW for state in ice):
        return IceTransportState.NEW
    if all(state in _ICE_DONE for state in ice):
        return IceTransportState.COMPLETED
    if all(state in _ICE_UP for state in ice):
        return IceTransportState.CONNECTED
    return IceTransportState.CHECKING


def connection_state(
    ice: Collection[IceTransportState], dtls: Collection[DtlsTransportState], *, closed: bool
) -> PeerConnectionState:
    """The RTCPeerConnectionState of a connection whose transports are in these states (4.3.3)."""
    if closed:
        return PeerConnectionState.CLOSED
    if IceTransportState.FAILED in ice or DtlsTransportState.FAILED in dtls:
        return PeerConnectionState.FAILED
    if IceTransportState.DISCONNECTED in ice:
        return PeerConnectionState.DISCONNECTED
    if all(state in _ICE_NEW for state in ice) and all(state in _DTLS_NEW for state in dtls):
        return PeerConnectionState.NEW
    if all(state in _ICE_UP for state in ice) and all(state in _DTLS_UP for state in dtls):
        return PeerConnectionState.CONNECTED
    return PeerConnectionState.CONNECTING


def ice_gathering_state(gathering: Collection[IceGatheringState]) -> IceGatheringState:
    """The RTCIceGatheringState of a connection whose ICE transports gather like this (4.3.2)."""
    if IceGatheringState.GATHERING in gathering:
        return IceGatheringState.GATHERING
    if not gathering or IceGatheringState.NEW in gathering:
        return IceGatheringState.NEW
    return IceGatheringState.COMPLETE


class Transports(Protocol):
    """The transports of a connection, from whose states the connection's own are derived."""

    def ice_states(self) -> Sequence[IceTransportState]:
        """The states of all ICE transports."""

    def dtls_states(self) -> Sequence[DtlsTransportState]:
        """The states of all DTLS transports."""

    def gathering_states(self) -> Sequence[IceGatheringState]:
        """How all ICE transports gather."""


def _nothing() -> None:
    """The announcement of a change that changed nothing."""


class Aggregates:
    """The states of one connection as a whole.

    A state is derived in one step with its cause; what is given back then tells the listeners. After `close`
    nothing changes.

    Args:
        name: of the connection, for the log.
        transports: whose states are aggregated.
        fire: fires an event at the connection.

    Attributes:
        connection, ice_connection, ice_gathering: the states as last announced.
    """

    def __init__(self, name: str, transports: Transports, fire: Callable[[Event], None]) -> None:
        self._name = name
        self._transports = transports
        self._fire = fire
        self._closed = False
        self.connection: PeerConnectionState = PeerConnectionState.NEW
        self.ice_connection: IceTransportState = IceTransportState.NEW
        self.ice_gathering: IceGatheringState = IceGatheringState.NEW

    def derive(self) -> Callable[[], None]:
        """Derive iceConnectionState and connectionState; webrtc-pc 5.6.3 has them announced in this order."""
        if self._closed:
            return _nothing
        # "change the selected candidate pair and state", 9.3 to 9.6; what is given back is 12 and 13
        ice = self._transports.ice_states()
        state = ice_connection_state(ice, closed=False)
        changed = state is not self.ice_connection
        if changed:
            logger.debug("%s ICE connection is %s", self._name, state.value)
        self.ice_connection = state
        announce_connection = self._derive_connection(ice)

        def announce() -> None:
            if changed:
                self._fire(Event("iceconnectionstatechange"))
            announce_connection()

        return announce

    def derive_connection(self) -> Callable[[], None]:
        """Derive connectionState (webrtc-pc 4.4.1.3)."""
        return _nothing if self._closed else self._derive_connection(self._transports.ice_states())

    def _derive_connection(self, ice: Sequence[IceTransportState]) -> Callable[[], None]:
        # "update the connection state", 3 to 5; what is given back is 6
        state = connection_state(ice, self._transports.dtls_states(), closed=False)
        if state is self.connection:
            return _nothing
        self.connection = state
        logger.info("%s is %s", self._name, state.value)
        return lambda: self._fire(Event("connectionstatechange"))

    def derive_gathering(self) -> Callable[[], None]:
        """Derive iceGatheringState (webrtc-pc 4.4.1.4); the null candidate follows its end."""
        if self._closed:
            return _nothing
        # "update the ICE gathering state": 3 and 4; what is given back is 7 and 8
        state = ice_gathering_state(self._transports.gathering_states())
        if state is self.ice_gathering:
            return _nothing
        self.ice_gathering = state
        logger.debug("%s gathering is %s", self._name, state.value)

        def announce() -> None:
            self._fire(Event("icegatheringstatechange"))
            if state is IceGatheringState.COMPLETE:
                self._fire(RTCPeerConnectionIceEvent("icecandidate", {"candidate": None}))

        return announce

    def announce_all(self) -> None:
        """Derive and announce everything: transports came or went."""
        self.derive_gathering()()
        self.derive()()

    def close(self) -> None:
        """The connection is closed (webrtc-pc 4.4.1.10): without an event."""
        self._closed = True
        self.connection = PeerConnectionState.CLOSED
        self.ice_connection = IceTransportState.CLOSED

    def release(self) -> None:
        """Closed for good: the connection is not needed any more."""
        del self._transports, self._fire
