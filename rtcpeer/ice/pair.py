"""Records of connectivity checks: bases, local and remote candidates, pairs, checks (RFC 8445 6.1).

A `Pair` has one writer for each slot: its check state is written by the check list and its generation, its traffic
counters by the sockets.  Never: I/O, clock; `now` is an argument.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from rtcpeer.ice.candidates import is_ipv6, pair_priority, priority
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, Candidate, CandidateType


class PairStatus(StrEnum):
    """webrtc-stats RTCStatsIceCandidatePairState (RFC 8445 6.1.2.6)."""

    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


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
        self.id: str = id
        self.candidate: Candidate = candidate
        self.base: Base | None = base
        self.local_preference: int = local_preference
        self.network: str | None = network


class Remote:
    """A remote candidate and the address behind it (they differ for mDNS names)."""

    __slots__ = ("address", "candidate", "id", "is_ipv6")

    def __init__(self, id: str, candidate: Candidate, address: Address) -> None:
        self.id: str = id
        self.candidate: Candidate = candidate
        self.address: Address = address
        self.is_ipv6: bool = is_ipv6(address[0])


class Check:
    """A binding request on its way."""

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
        "woke_at",
    )

    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    packets_discarded: int
    bytes_discarded: int
    requests_sent: int
    requests_received: int
    responses_sent: int
    responses_received: int

    def __init__(self, id: str, owner: object, local: Local, base: Base, remote: Remote) -> None:
        self.id: str = id
        # The generation it belongs to.
        self.owner: object = owner
        self.local: Local = local
        self.remote: Remote = remote
        self.base: Base = base
        self.address: Address = remote.address
        self.priority: int = 0
        # Lower is better; see `rank_of`.
        self.rank: int = 0
        self.state: PairStatus = PairStatus.WAITING
        self.check: Check | None = None
        self.triggered: bool = False
        # The local candidate as the remote side sees it; set by the first response.
        self.valid_local: Local | None = None
        self.nominated: bool = False
        # A whole series of checks, or the network, has said that it does not work; they may go on all the same.
        self.exhausted: bool = False
        # Controlled: the remote side asked for this pair while it was not valid yet.
        self.wanted: bool = False
        self.first_valid_at: float = NEVER
        # Anything authenticated, or data on the validated path.
        self.heard_at: float = -NEVER
        # The last valid response to a check of ours (RFC 7675).
        self.consented_at: float = -NEVER
        self.is_silent: bool = False
        # When something was heard again after that, while it was selected.
        self.woke_at: float = -NEVER
        self.retry_at: float = NEVER
        self.retry_pause: float = 0.0
        self.rtt: float | None = None
        self.total_rtt: float = 0.0
        self.sent_at: float = -NEVER
        self.packets_sent = self.packets_received = self.bytes_sent = self.bytes_received = 0
        self.packets_discarded = self.bytes_discarded = 0
        self.requests_sent = self.requests_received = self.responses_sent = self.responses_received = 0
        self.consent_requests_sent: int = 0
        # RFC 8445 7.1.1: the priority that a peer-reflexive candidate discovered by this check would have.
        prflx = priority(CandidateType.PRFLX, local.local_preference, protocol=base.protocol)
        self.priority_attribute: bytes = stun.u32(stun.PRIORITY, prflx)
        self.grade()

    @property
    def is_valid(self) -> bool:
        """Whether a check has succeeded and no later one has failed."""
        return self.state is PairStatus.SUCCEEDED

    @property
    def local_candidate(self) -> Candidate:
        """The candidate to report as the local end."""
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
