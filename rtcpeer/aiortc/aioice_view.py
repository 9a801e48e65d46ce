"""An ICE transport as programs look at it that reach for aiortc's `transport._connection`, an `aioice.Connection`.

It can be asked (candidates, credentials, the pair in use), and never told anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioice import Candidate
from aioice.ice import CandidatePair
from aiortc.rtcicetransport import candidate_to_aioice

from rtcpeer.aiortc import values
from rtcpeer.aiortc.private_names import advice
from rtcpeer.ice.agent.stats import AgentStats
from rtcpeer.ice.pair import PairStatus
from rtcpeer.peer.descriptions import candidate_of
from rtcpeer.peer.ice_transport import RTCIceParameters, RTCIceTransport
from rtcpeer.records import record
from rtcpeer.values import IceRole

_STATES = {
    PairStatus.FROZEN: CandidatePair.State.FROZEN,
    PairStatus.WAITING: CandidatePair.State.WAITING,
    PairStatus.IN_PROGRESS: CandidatePair.State.IN_PROGRESS,
    PairStatus.FAILED: CandidatePair.State.FAILED,
    PairStatus.SUCCEEDED: CandidatePair.State.SUCCEEDED,
}


@record(slots=True)
class PairView:
    """A pair of candidates, with the names of `aioice.ice.CandidatePair`."""

    local_candidate: Candidate
    remote_candidate: Candidate
    state: CandidatePair.State
    nominated: bool
    component: int = 1

    @property
    def local_addr(self) -> tuple[str, int]:
        """Our address."""
        return self.local_candidate.host, self.local_candidate.port

    @property
    def remote_addr(self) -> tuple[str, int]:
        """The address of the other end."""
        return self.remote_candidate.host, self.remote_candidate.port


class ConnectionView:
    """Read-only view of an ICE transport, with the names of `aioice.Connection`."""

    __slots__ = ("_pairs", "_transport")
    _transport: RTCIceTransport
    # by the agent's id: a pair is the same object whenever it is asked for
    _pairs: dict[str, PairView]

    def __init__(self, transport: RTCIceTransport) -> None:
        object.__setattr__(self, "_transport", transport)
        object.__setattr__(self, "_pairs", {})

    @property
    def local_candidates(self) -> list[Candidate]:
        """Our candidates so far."""
        # of the class that W3C has: the drop-in's own shows aiortc's candidates
        found = RTCIceTransport.getLocalCandidates(self._transport)
        return [candidate_to_aioice(values.candidate(c)) for c in found]

    @property
    def remote_candidates(self) -> list[Candidate]:
        """The other end's candidates, as signaled."""
        found = RTCIceTransport.getRemoteCandidates(self._transport)
        return [candidate_to_aioice(values.candidate(c)) for c in found]

    _local_candidates = local_candidates
    _remote_candidates = remote_candidates

    @property
    def _nominated(self) -> dict[int, PairView]:
        """The pair in use, by component."""
        stats = self._look()
        pair = None if stats is None else self._pairs.get(stats.selected_pair_id or "")
        return {} if pair is None else {1: pair}

    @property
    def _check_list(self) -> list[PairView]:
        """The pairs of candidates."""
        self._look()
        return list(self._pairs.values())

    def _look(self) -> AgentStats | None:
        """Bring the pairs up to date."""
        agent = self._transport._core.agent
        if agent is None:
            return None
        stats = agent.stats()
        local = {c.id: c.candidate for c in stats.local_candidates}
        remote = {c.id: c.candidate for c in stats.remote_candidates}
        for gone in self._pairs.keys() - {p.id for p in stats.pairs}:
            del self._pairs[gone]
        for pair in stats.pairs:
            found = self._pairs.get(pair.id)
            if found is None:
                ends = local[pair.local_candidate_id], remote[pair.remote_candidate_id]
                ours, theirs = (candidate_to_aioice(values.candidate(candidate_of(e))) for e in ends)
                self._pairs[pair.id] = PairView(ours, theirs, _STATES[pair.state], pair.nominated)
            else:
                found.state, found.nominated = _STATES[pair.state], pair.nominated
        return stats

    @property
    def ice_controlling(self) -> bool:
        """Whether we choose the pair."""
        return self._transport.role is IceRole.CONTROLLING

    @property
    def local_username(self) -> str:
        """Our user name fragment; empty before a local description."""
        given = self._transport.getLocalParameters()
        return "" if given is None else given.usernameFragment

    @property
    def local_password(self) -> str:
        """Our password; empty before a local description."""
        given = self._transport.getLocalParameters()
        return "" if given is None else given.password

    @property
    def remote_username(self) -> str | None:
        """The other end's user name fragment; None before its description."""
        given: RTCIceParameters | None = self._transport.getRemoteParameters()
        return None if given is None else given.usernameFragment

    @property
    def remote_password(self) -> str | None:
        """The other end's password; None before its description."""
        given: RTCIceParameters | None = self._transport.getRemoteParameters()
        return None if given is None else given.password

    @property
    def remote_is_lite(self) -> bool:
        """Whether the other end is an ICE-lite agent."""
        given: RTCIceParameters | None = self._transport.getRemoteParameters()
        return given is not None and given.iceLite

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Called for what is not there."""
            raise AttributeError(advice(self, name), name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            """Nothing of a transport can be changed here."""
            raise AttributeError(f"nothing can be set: {advice(self, name)}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<ConnectionView of {self._transport!r}>"
