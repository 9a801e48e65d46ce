"""Statistics of an ICE agent: frozen records with the meaning of W3C webrtc-stats.

Owns: the records and how they are filled.  Times are on the agent's monotonic clock (seconds), None when it
has not happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rtcpeer.ice.agent.relay import RelayBase, RelayProblem
from rtcpeer.ice.pair import PairStatus
from rtcpeer.records import record
from rtcpeer.values import Candidate, IceRole, IceTransportState

if TYPE_CHECKING:
    from rtcpeer.ice.core import IceCore
    from rtcpeer.ice.generation import Generation
    from rtcpeer.ice.pair import Local, Pair


@record(frozen=True, slots=True)
class CandidateStats:
    """Statistics of a candidate; `id` is stable for the life of the agent.

    Attributes:
        relay_problem: what is wrong with the allocation of a relayed candidate of ours; None while nothing is.
    """

    id: str
    candidate: Candidate
    is_remote: bool
    network: str | None = None
    relay_problem: RelayProblem | None = None


@record(frozen=True, slots=True)
class PairStats:
    """RTCIceCandidatePairStats in snake_case (webrtc-stats 8.19)."""

    id: str
    local_candidate_id: str
    remote_candidate_id: str
    state: PairStatus
    nominated: bool
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    last_packet_sent: float | None
    last_packet_received: float | None
    total_round_trip_time: float
    current_round_trip_time: float | None
    requests_received: int
    requests_sent: int
    responses_received: int
    responses_sent: int
    consent_requests_sent: int
    packets_discarded_on_send: int
    bytes_discarded_on_send: int


@record(frozen=True, slots=True)
class AgentStats:
    """RTCTransportStats' ICE part, and the lists behind it.

    Byte and packet counts are application data (not checks) over all pairs, also of generations gone.

    Attributes:
        remote_ufrag: of the newest remote credentials; None while there are none.
        remote_ended: the remote side has said end-of-candidates for them.
        restart_ignored: the other side answered our last restart with the credentials that it had before.
        consented_at: when a request of ours was last answered on the selected pair (RFC 7675).
        worst_lag, lagged_at: by how much the event loop was late at worst, and when that was.
    """

    state: IceTransportState
    role: IceRole
    local_ufrag: str | None
    pairs: tuple[PairStats, ...]
    local_candidates: tuple[CandidateStats, ...]
    remote_candidates: tuple[CandidateStats, ...]
    selected_pair_id: str | None
    selected_pair_changes: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    remote_ufrag: str | None = None
    remote_ended: bool = False
    restart_ignored: bool = False
    consented_at: float | None = None
    worst_lag: float = 0.0
    lagged_at: float | None = None


class AgentCounters:
    """Counters that no pair has: data over pairs that are gone or for want of one, and the lag of the loop."""

    __slots__ = (
        "bytes_discarded",
        "bytes_received",
        "bytes_sent",
        "lagged_at",
        "packets_discarded",
        "packets_received",
        "packets_sent",
        "worst_lag",
    )

    def __init__(self) -> None:
        self.packets_sent = self.packets_received = self.bytes_sent = self.bytes_received = 0
        self.packets_discarded = self.bytes_discarded = 0
        self.worst_lag = 0.0
        self.lagged_at: float | None = None

    def lag(self, late: float, now: float) -> None:
        """The event loop stood still; the worst case is kept."""
        if late > self.worst_lag:
            self.worst_lag, self.lagged_at = late, now

    def discard(self, size: int) -> None:
        """Count a datagram that had nowhere to go."""
        self.packets_discarded += 1
        self.bytes_discarded += size

    def absorb(self, generations: Iterable[Generation]) -> None:
        """Keep the sums of generations that are going."""
        for generation in generations:
            for pair in generation.checklist.pairs.values():
                self.packets_sent += pair.packets_sent
                self.packets_received += pair.packets_received
                self.bytes_sent += pair.bytes_sent
                self.bytes_received += pair.bytes_received


def collect(core: IceCore, gone: AgentCounters) -> AgentStats:
    """The report of an agent."""
    totals = AgentCounters()
    totals.absorb((*core.generations, *core.retired))
    pairs: list[PairStats] = []
    local: dict[str, CandidateStats] = {}
    remote: dict[str, CandidateStats] = {}
    for generation in core.generations:
        for entry in generation.locals:
            local[entry.id] = _local_stats(entry)
        for other in generation.remotes:
            remote[other.id] = CandidateStats(other.id, other.candidate, True)
        for pair in generation.checklist.pairs.values():
            shown = pair.valid_local or pair.local
            local.setdefault(shown.id, _local_stats(shown))
            pairs.append(_pair_stats(pair))
    settled = core.generation_of_remote(None)
    return AgentStats(
        state=core.state,
        role=core.role,
        local_ufrag=core.generations[-1].local.ufrag if core.generations else None,
        pairs=tuple(pairs),
        local_candidates=tuple(local.values()),
        remote_candidates=tuple(remote.values()),
        selected_pair_id=core.route.id if core.route is not None else None,
        selected_pair_changes=core.selected_pair_changes,
        packets_sent=gone.packets_sent + totals.packets_sent,
        packets_received=gone.packets_received + totals.packets_received,
        bytes_sent=gone.bytes_sent + totals.bytes_sent,
        bytes_received=gone.bytes_received + totals.bytes_received,
        remote_ufrag=settled.remote.ufrag if settled is not None and settled.remote is not None else None,
        remote_ended=settled is not None and settled.remote_ended,
        restart_ignored=settled is not None and settled.is_restart_ignored,
        consented_at=_time(core.route.consented_at) if core.route is not None else None,
        worst_lag=gone.worst_lag,
        lagged_at=gone.lagged_at,
    )


def _local_stats(local: Local) -> CandidateStats:
    problem = local.base.problem if isinstance(local.base, RelayBase) else None
    return CandidateStats(local.id, local.candidate, False, local.network, problem)


def _pair_stats(pair: Pair) -> PairStats:
    return PairStats(
        id=pair.id,
        local_candidate_id=(pair.valid_local or pair.local).id,
        remote_candidate_id=pair.remote.id,
        state=pair.state,
        nominated=pair.nominated,
        packets_sent=pair.packets_sent,
        packets_received=pair.packets_received,
        bytes_sent=pair.bytes_sent,
        bytes_received=pair.bytes_received,
        last_packet_sent=_time(pair.sent_at),
        last_packet_received=_time(pair.heard_at),
        total_round_trip_time=pair.total_rtt,
        current_round_trip_time=pair.rtt,
        requests_received=pair.requests_received,
        requests_sent=pair.requests_sent,
        responses_received=pair.responses_received,
        responses_sent=pair.responses_sent,
        consent_requests_sent=pair.consent_requests_sent,
        packets_discarded_on_send=pair.packets_discarded,
        bytes_discarded_on_send=pair.bytes_discarded,
    )


def _time(value: float) -> float | None:
    return None if value == float("-inf") else value
