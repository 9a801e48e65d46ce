"""Listener of an ICE agent: the interface, and the values that it is given.

Owns: the listener protocol and the small records it speaks in.  Every method is called synchronously on
the loop, after the agent's state is consistent; an exception it raises goes to the loop's handler.
"""

from __future__ import annotations

from typing import Protocol

from rtcpeer.records import record
from rtcpeer.values import Candidate, IceGatheringState, IceRole, IceTransportState


@record(frozen=True, slots=True)
class SelectedPair:
    """The candidates between which data flows."""

    local: Candidate
    remote: Candidate


@record(frozen=True, slots=True)
class IceCandidateError:
    """Why a server gave no candidate (webrtc-pc 4.8.2, RTCPeerConnectionIceErrorEvent).

    Attributes:
        address, port: the local end that was used; None when that must not be exposed.
        url: of the server, as the user wrote it.
        error_code: the STUN error code, or 701 when the server could not be reached.
    """

    address: str | None
    port: int | None
    url: str
    error_code: int
    error_text: str


class IceListener(Protocol):
    """Receives what happens to an agent."""

    def on_candidate(self, candidate: Candidate) -> None:
        """A local candidate exists; `candidate.ufrag` names its generation."""

    def on_gathering_state(self, state: IceGatheringState) -> None:
        """Gathering of the newest generation began or ended."""

    def on_candidate_error(self, error: IceCandidateError) -> None:
        """A server gave nothing."""

    def on_state(self, state: IceTransportState) -> None:
        """The transport's state changed (never called for ``closed`` by our own `close`)."""

    def on_wake(self) -> None:
        """The path that carries data was silent (`IceSettings.wake_after`), and is not any more."""

    def on_selected_pair(self, pair: SelectedPair) -> None:
        """Data now flows over this pair."""

    def on_role(self, role: IceRole) -> None:
        """A role conflict, or a lite remote, changed our role."""

    def on_network_change(self) -> None:
        """Addresses of this host appeared, vanished or changed."""
