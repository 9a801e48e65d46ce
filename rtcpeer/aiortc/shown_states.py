"""The states of a connection as aiortc's programs know them, and when they are told.

Owns: what was last told, and what is kept back while programs cannot listen yet. Never: a state; those are derived by
`rtcpeer.peer.core.states`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from rtcpeer.peer.session.session import PeerSession
from rtcpeer.values import IceTransportState, PeerConnectionState

_UP = (IceTransportState.CONNECTED, IceTransportState.COMPLETED)
_ICE_CONNECTING = IceTransportState.CHECKING


class _Hold(Enum):
    """State changes that are kept back while programs cannot listen yet."""

    ALL = "all"
    CONNECTED = "connected"
    NOTHING = "nothing"


class ShownStates:
    """`iceConnectionState` and `connectionState` of one connection, as aiortc would show them.

    Args:
        session: the connection.
    """

    def __init__(self, session: PeerSession) -> None:
        self._session = session
        # as last told
        self._ice_told = IceTransportState.NEW
        self._told = PeerConnectionState.NEW
        self._hold = _Hold.NOTHING
        # whether it has ever been connected
        self._was_up = False

    @property
    def ice(self) -> IceTransportState:
        """The ICE state as aiortc shows it: "completed" for a connection that works; there is no "connected".

        Nor is there "disconnected" before it: programs give up then, while candidates may still be on their way.
        """
        state = self._session.aggregates.ice_connection
        if self._hold is _Hold.ALL and state is not IceTransportState.CLOSED:
            return self._ice_told
        if state in _UP:
            return _ICE_CONNECTING if self._hold is _Hold.CONNECTED else IceTransportState.COMPLETED
        early = state is IceTransportState.DISCONNECTED and not self._was_up
        if early or (state is IceTransportState.NEW and self._has_both_descriptions()):
            return _ICE_CONNECTING
        return state

    @property
    def connection(self) -> PeerConnectionState:
        """The state as aiortc shows it: "connecting" once both descriptions are applied, candidates or not."""
        state = self._session.aggregates.connection
        if self._hold is _Hold.ALL and state is not PeerConnectionState.CLOSED:
            return self._told
        early = state is PeerConnectionState.DISCONNECTED and not self._was_up
        held = state is PeerConnectionState.CONNECTED and self._hold is _Hold.CONNECTED
        if early or held or (state is PeerConnectionState.NEW and self._has_both_descriptions()):
            return PeerConnectionState.CONNECTING
        return state

    def _has_both_descriptions(self) -> bool:
        state = self._session.engine.state
        both = state.local_description is not None and state.remote_description is not None
        return both and bool(self._session.executor.transports)

    # -- when they are told ------------------------------------------------------------------------

    def begin_hold(self) -> bool:
        """Change no state while our first description is applied; False when one has been told already.

        aiortc begins to connect when `setLocalDescription` ends, so that programs add what async listeners of
        "connecting" need right after it; here the connection may even be there by then.
        """
        if self._told is not PeerConnectionState.NEW:
            return False
        self._hold = _Hold.ALL
        return True

    def end_hold(self) -> None:
        """The first description is applied: all but "connected" may be told."""
        self._hold = _Hold.CONNECTED

    def show_connected(self) -> None:
        """Programs have had a turn of the loop to listen: nothing is kept back."""
        self._hold = _Hold.NOTHING

    def news(self) -> Iterator[str]:
        """Some state has changed: the events to be emitted now, if nothing is kept back."""
        self._was_up = self._was_up or self._session.aggregates.ice_connection in _UP
        if self._hold is _Hold.NOTHING:
            yield from self.untold()

    def untold(self) -> Iterator[str]:
        """The events of changes that listeners have not heard of. They are told one by one: a listener may close."""
        if self.ice != self._ice_told:
            self._ice_told = self.ice
            yield "iceconnectionstatechange"
        if self.connection != self._told:
            self._told = self.connection
            yield "connectionstatechange"
