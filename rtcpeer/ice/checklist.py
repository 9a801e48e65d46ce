"""Candidates, pairs and checks of one generation: the records, their order, and which pair is next.

Owns: `Pair` and its states, the waiting queue, triggered checks (RFC 8445 6.1).  Never: I/O, clock; `now` is
an argument.

There is one component and one check list per agent, so the frozen state of RFC 8445 6.1.2.6 would only delay
checks; pairs start out waiting, as in libwebrtc.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from rtcpeer.ice.agent.stats import PairStatus
from rtcpeer.ice.candidates import is_ipv6, pair_priority, priority
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, Candidate, CandidateType


class Base(Protocol):
    """Something that datagrams leave from: a UDP socket, a relayed address, a TCP endpoint.

    Attributes:
        address: where it sends from; a candidate may hide it behind a name or a mapped address.
        routes: remote address -> the pair whose data arrives from there; filled by authenticated checks only.
        relay_protocol: how the TURN server is reached; None when this is no relay.
        protocol: "udp" or "tcp", of the candidate.
    """

    @property
    def address(self) -> Address: ...  # noqa: D102 - described above

    @property
    def relay_protocol(self) -> str | None: ...  # noqa: D102 - described above
    @property
    def protocol(self) -> str: ...  # noqa: D102 - described above

    routes: dict[Address, Pair]

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram or lose it."""

    def send_segments(self, data: bytes, size: int, address: Address) -> None:
        """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""

    def prepare(self, address: Address) -> None:
        """Checks to this address will follow (a relay asks for its permission)."""


class Local:
    """A local candidate; those with a base form pairs, the others (srflx) are only told."""

    __slots__ = ("base", "candidate", "id", "local_preference", "network")

    def __init__(
        self,
        id: str,
        candidate: Candidate,
        base: Base | None,
        local_preference: int = 0,
        network: str | None = None,
    ) -> None:
        self.id = id
        self.candidate = candidate
        self.base = base
        self.local_preference = local_preference
        self.network = network


class Remote:
    """A remote candidate and the address behind it (they differ for mDNS names)."""

    __slots__ = ("address", "candidate", "id", "is_ipv6")

    def __init__(self, id: str, candidate: Candidate, address: Address) -> None:
        self.id = id
        self.candidate = candidate
        self.address = address
        self.is_ipv6 = is_ipv6(address[0])


class Check:
    """One binding request on its way."""

    __slots__ = (
        "controlling",
        "data",
        "last_at",
        "next_at",
        "nominate",
        "pair",
        "probe",
        "rto",
        "sent_at",
        "tries",
    )

    def __init__(
        self,
        pair: Pair,
        data: bytes,
        now: float,
        rto: float,
        *,
        nominate: bool,
        controlling: bool,
        probe: bool,
    ) -> None:
        self.pair = pair
        self.data = data
        self.sent_at = now
        self.last_at = now
        self.rto = rto
        self.next_at = now + rto
        self.tries = 1
        # Whether it carries USE-CANDIDATE.
        self.nominate = nominate
        # Our role when it was sent: a 487 counts only for that role (RFC 8445 7.2.5.1).
        self.controlling = controlling
        # A consent request or a look at a backup: sent once, its loss changes no state.
        self.probe = probe


class Pair:
    """A candidate pair: where its data goes, how its checks stand, and its counters."""

    __slots__ = (
        "address",
        "base",
        "bytes_discarded",
        "bytes_received",
        "bytes_sent",
        "check",
        "consent_requests_sent",
        "consented_at",
        "exhausted",
        "first_valid_at",
        "heard_at",
        "id",
        "is_silent",
        "local",
        "nominated",
        "owner",
        "packets_discarded",
        "packets_received",
        "packets_sent",
        "priority",
        "priority_attribute",
        "rank",
        "remote",
        "requests_received",
        "requests_sent",
        "responses_received",
        "responses_sent",
        "retry_at",
        "retry_pause",
        "rtt",
        "sent_at",
        "state",
        "total_rtt",
        "triggered",
        "valid_local",
        "wanted",
    )

    def __init__(self, id: str, owner: object, local: Local, base: Base, remote: Remote) -> None:
        self.id = id
        # The generation it belongs to.
        self.owner = owner
        self.local = local
        self.remote = remote
        self.base = base
        self.address = remote.address
        self.priority = 0
        # Lower is better; see `rank_of`.
        self.rank = 0
        self.state = PairStatus.WAITING
        self.check: Check | None = None
        self.triggered = False
        # The local candidate as the remote side sees it; set by the first response.
        self.valid_local: Local | None = None
        self.nominated = False
        # A whole series of checks, or the network, has said that it does not work; they may go on all the same.
        self.exhausted = False
        # Controlled: the remote side asked for this pair while it was not valid yet.
        self.wanted = False
        self.first_valid_at = NEVER
        # Anything authenticated, or data on the validated path.
        self.heard_at = -NEVER
        # The last valid response to a check of ours (RFC 7675).
        self.consented_at = -NEVER
        self.is_silent = False
        self.retry_at = NEVER
        self.retry_pause = 0.0
        self.rtt: float | None = None
        self.total_rtt = 0.0
        self.sent_at = -NEVER
        self.packets_sent = self.packets_received = self.bytes_sent = self.bytes_received = 0
        self.packets_discarded = self.bytes_discarded = 0
        self.requests_sent = self.requests_received = self.responses_sent = self.responses_received = 0
        self.consent_requests_sent = 0
        # RFC 8445 7.1.1: the priority that a peer-reflexive candidate discovered by this check would have.
        prflx = priority(CandidateType.PRFLX, local.local_preference, protocol=base.protocol)
        self.priority_attribute = stun.u32(stun.PRIORITY, prflx)
        self.grade()

    @property
    def is_valid(self) -> bool:
        """Whether a check has succeeded and no later one has failed."""
        return self.state is PairStatus.SUCCEEDED

    @property
    def local_candidate(self) -> Candidate:
        """What to report as the local end."""
        return (self.valid_local or self.local).candidate

    def grade(self) -> None:
        """Derive the rank from what the two ends are now known to be."""
        self.rank = rank_of(self.local_candidate, self.remote.candidate)

    def set_priority(self, controlling: bool) -> None:
        """Derive the pair priority for our role."""
        ours, theirs = self.local.candidate.priority, self.remote.candidate.priority
        self.priority = pair_priority(ours, theirs) if controlling else pair_priority(theirs, ours)

    @property
    def preference(self) -> tuple[int, int]:
        """Greater is better: rank first, then the priority of RFC 8445."""
        return -self.rank, self.priority


def rank_of(local: Candidate, remote: Candidate) -> int:
    """How far from direct a pair is; a lower rank is worth a move of running traffic, a mere priority is not.

    Relays count most, then TCP anywhere on the way, then whether an end is behind a NAT.
    """
    rank = 0
    for candidate in (local, remote):
        if candidate.type is CandidateType.RELAY:
            rank += 4
    if local.protocol != "udp" or local.relay_protocol in ("tcp", "tls"):
        rank += 2
    if local.type is not CandidateType.HOST or remote.type is not CandidateType.HOST:
        rank += 1
    return rank


class Checklist:
    """The pairs of one generation and the order in which they are checked."""

    __slots__ = ("_limit", "_triggered", "in_progress", "on_discard", "pairs")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Called with a pair that is about to go.
        self.on_discard: Callable[[Pair], None] = lambda pair: None
        # (base identity, remote address) -> pair; a dict keeps the order in which they were formed.
        self.pairs: dict[tuple[int, Address], Pair] = {}
        self.in_progress: list[Pair] = []
        self._triggered: deque[Pair] = deque()

    def find(self, base: Base, address: Address) -> Pair | None:
        """The pair with this base and remote address."""
        return self.pairs.get((id(base), address))

    def add(self, pair: Pair, *, keep: Pair | None = None, must: bool = False) -> bool:
        """Take a pair in; when the list is full the worst untouched one makes room, or it is refused.

        Args:
            keep: never makes room.
            must: any other pair that is not nominated may make room, those that were tried too.
        """
        if len(self.pairs) >= self._limit:
            others = [p for p in self.pairs.values() if p is not keep and not p.nominated]
            idle = [p for p in others if p.state in (PairStatus.WAITING, PairStatus.FAILED)]
            worst = min(idle or (others if must else ()), key=_by_priority, default=None)
            if worst is None or (worst.priority >= pair.priority and not must):
                return False
            self.discard(worst)
        self.pairs[id(pair.base), pair.address] = pair
        return True

    def discard(self, pair: Pair) -> None:
        """Forget a pair, and that data may come over it."""
        self.on_discard(pair)
        self.pairs.pop((id(pair.base), pair.address), None)
        if pair.base.routes.get(pair.address) is pair:
            del pair.base.routes[pair.address]
        self.settle(pair, PairStatus.FAILED)

    def settle(self, pair: Pair, state: PairStatus) -> None:
        """Move a pair to a state in which no check is in progress."""
        pair.state = state
        pair.check = None
        if pair in self.in_progress:
            self.in_progress.remove(pair)
        if pair.triggered:
            pair.triggered = False
            self._triggered.remove(pair)

    def fail(self, now: float, pair: Pair, settings: IceSettings) -> None:
        """A pair does not work; it is tried again later, each time after a longer pause."""
        self.settle(pair, PairStatus.FAILED)
        pair.retry_pause = min(max(pair.retry_pause * 2, settings.retry_interval), settings.retry_limit)
        pair.retry_at = now + pair.retry_pause

    def retry(self, due: float, selected: Pair | None) -> None:
        """Failed pairs that would be an improvement get another chance now and then."""
        for pair in self.pairs.values():
            if pair.state is PairStatus.FAILED and pair.retry_at <= due:
                pair.retry_at = NEVER
                if _improves(pair, selected):
                    pair.state = PairStatus.WAITING

    def next_retry(self, selected: Pair | None) -> float:
        """When `retry` will have something to do; infinity for never."""
        wanted = NEVER
        for pair in self.pairs.values():
            if pair.retry_at < wanted and pair.state is PairStatus.FAILED and _improves(pair, selected):
                wanted = pair.retry_at
        return wanted

    def start(self, pair: Pair, check: Check) -> None:
        """A check of this pair is on its way."""
        pair.check = check
        if pair.state is not PairStatus.SUCCEEDED:
            pair.state = PairStatus.IN_PROGRESS
        if pair not in self.in_progress:
            self.in_progress.append(pair)
        if pair.triggered:
            pair.triggered = False
            self._triggered.remove(pair)

    def trigger(self, pair: Pair) -> None:
        """Check this pair before all that wait (RFC 8445 7.3.1.4)."""
        if not pair.triggered and pair.state is not PairStatus.IN_PROGRESS:
            if pair.state is PairStatus.FAILED:
                pair.state = PairStatus.WAITING
            pair.triggered = True
            self._triggered.append(pair)

    def next_pair(self, better_than: Pair | None) -> Pair | None:
        """Whose check is due: triggered ones first, then by priority.

        Args:
            better_than: the nominated pair; waiting pairs that would be no improvement stay where they are.
        """
        if self._triggered:
            return self._triggered[0]
        best: Pair | None = None
        for pair in self.pairs.values():
            if pair.state is PairStatus.WAITING and (best is None or pair.priority > best.priority):
                if better_than is not None and pair.rank >= better_than.rank:
                    continue
                best = pair
        return best

    def best_valid(self) -> Pair | None:
        """The valid pair that is best by preference."""
        best: Pair | None = None
        for pair in self.pairs.values():
            if pair.state is PairStatus.SUCCEEDED and (best is None or pair.preference > best.preference):
                best = pair
        return best

    def is_exhausted(self) -> bool:
        """Whether there are pairs, and all have been tried to no effect."""
        if not self.pairs:
            return False
        return all(pair.exhausted for pair in self.pairs.values())

    def hope_above(self, rank: int) -> bool:
        """Whether a pair of a better rank may still succeed."""
        return any(
            pair.rank < rank and pair.state in (PairStatus.WAITING, PairStatus.IN_PROGRESS)
            for pair in self.pairs.values()
        )


def _improves(pair: Pair, selected: Pair | None) -> bool:
    return selected is None or pair.rank < selected.rank or selected.is_silent


def _by_priority(pair: Pair) -> int:
    return pair.priority
