"""The aggregated states of a connection, derived from those of its transports. Pure functions; nobody stores a truth.

Implements: webrtc-pc 4.3.2 (RTCIceGatheringState), 4.3.3 (RTCPeerConnectionState), 4.3.4 (RTCIceConnectionState).
"""

from __future__ import annotations

from collections.abc import Collection

from rtcpeer.values import DtlsTransportState, IceGatheringState, IceTransportState, PeerConnectionState

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
