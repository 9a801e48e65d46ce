"""Interface of the connection for its transports: what they tell it, and what they let it do within one change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.values import Candidate

Announcement = Callable[[], None]
"""Fires what a connection has to fire after its transport's events."""


class TransportOwner(Protocol):
    """The connection, as one ICE transport and the DTLS transport on it know it."""

    def ice_changed(self) -> Announcement:
        """State or selected pair are set: derive the connection's states, return what to fire afterwards.

        The announcement fires ``iceconnectionstatechange``, then ``connectionstatechange``, if they changed.
        """

    def ice_gathering_changed(self) -> Announcement:
        """The gathering state is set.

        The announcement fires ``icegatheringstatechange`` if it changed, and at its end the null candidate.
        """

    def ice_candidate(self, candidate: Candidate | None) -> None:
        """A local candidate is there (surface it), or (None) the newest generation has no more."""

    def ice_candidate_error(self, error: IceCandidateError) -> None:
        """A server gave nothing."""

    def ice_network_changed(self) -> None:
        """Addresses of this host changed."""

    def dtls_changed(self) -> Announcement:
        """The state is set. The announcement fires ``connectionstatechange``, if it changed."""
