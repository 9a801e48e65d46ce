"""What transports tell the connection that owns them, and what they let it do within one change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rtcpeer.ice.agent.listener import IceCandidateError
    from rtcpeer.peer.ice_transport import IceTransportCore
    from rtcpeer.peer.transports import DtlsTransportCore, SctpTransportCore
    from rtcpeer.sctp.transport import DataChannel
    from rtcpeer.values import Candidate

Announcement = Callable[[], None]
"""Fires what a connection has to fire after its transport's events."""


class TransportOwner(Protocol):
    """The connection, as its transports know it."""

    def ice_changed(self, ice: IceTransportCore) -> Announcement:
        """State or selected pair are set: derive the connection's states, return what to fire afterwards.

        The announcement fires ``iceconnectionstatechange``, then ``connectionstatechange``, if they changed.
        """

    def ice_gathering_changed(self, ice: IceTransportCore) -> Announcement:
        """The gathering state is set.

        The announcement fires ``icegatheringstatechange`` if it changed, and at its end the null candidate.
        """

    def ice_candidate(self, ice: IceTransportCore, candidate: Candidate | None) -> None:
        """A local candidate is there (surface it), or (None) the newest generation has no more."""

    def ice_candidate_error(self, ice: IceTransportCore, error: IceCandidateError) -> None:
        """A server gave nothing."""

    def ice_network_changed(self, ice: IceTransportCore) -> None:
        """Addresses of this host changed."""

    def dtls_changed(self, dtls: DtlsTransportCore) -> Announcement:
        """The state is set. The announcement fires ``connectionstatechange``, if it changed."""

    def data_channel(self, sctp: SctpTransportCore, channel: DataChannel) -> None:
        """The other end opened a channel: make a `DataChannelCore`, fire ``datachannel``, announce it."""
