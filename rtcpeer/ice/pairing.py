"""Remote candidates of one generation, and the pairs that they form with local ones (RFC 8445 6.1.2).

Owns: the remote candidates, told and peer-reflexive (RFC 8445 7.3.1.3), and which pairs are formed.  Never: what
becomes of a pair; that is `rtcpeer.ice.generation`'s.  No I/O, no clock; `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtcpeer.ice.candidates import foundation, is_ipv6, priority
from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.pair import Base, Local, Pair, Remote
from rtcpeer.net.network import Address
from rtcpeer.records import replace
from rtcpeer.values import NEVER, Candidate, CandidateType

_OPPOSITE_TCP = {"active": "passive", "passive": "active"}


def can_pair(local: Local, base: Base, remote: Remote) -> bool:
    """RFC 8445 6.1.2.2: same family and transport; RFC 6544 6.2 for TCP."""
    if base.protocol != remote.candidate.protocol or is_ipv6(base.address[0]) is not remote.is_ipv6:
        return False
    return base.protocol != "tcp" or _tcp_matches(local.candidate, remote.candidate)


def _tcp_matches(local: Candidate, remote: Candidate) -> bool:
    """RFC 6544 6.2: the active side checks; a passive one pairs with those who have connected to it."""
    if local.tcp_type == "active":
        return remote.tcp_type == "passive"
    return local.tcp_type == "passive" and remote.type is CandidateType.PRFLX


def reflexive_remote(
    local: Local, base: Base, address: Address, prio: int, number: int, ufrag: str | None
) -> Candidate:
    """The candidate behind a check from an address that we do not know (RFC 8445 7.3.1.3).

    Args:
        prio: PRIORITY of the check.
        number: makes the foundation one of its own.
        ufrag: of the remote credentials.
    """
    return Candidate(
        foundation=foundation(CandidateType.PRFLX, address[0], base.protocol, str(number)),
        component=1,
        protocol=base.protocol,
        priority=prio,
        address=address[0],
        port=address[1],
        type=CandidateType.PRFLX,
        tcp_type=_OPPOSITE_TCP.get(local.candidate.tcp_type or ""),
        ufrag=ufrag,
    )


def reflexive_local(pair: Pair, mapped: Address, locals: Iterable[Local], context: IceContext) -> Local:
    """Our address as the remote side sees it: maybe a candidate that we did not know (RFC 8445 7.2.5.3.1).

    Args:
        mapped: how the remote side sees us.
        locals: the candidates that we know.
    """
    own = pair.local
    if mapped == pair.base.address:
        return own
    for known in locals:
        candidate = known.candidate
        if (candidate.address, candidate.port) == mapped and candidate.protocol == pair.base.protocol:
            return known
    # An address that the candidate hides (mDNS name, 1:1 NAT) must not come out here; a relay's is the server's.
    if own.candidate.type is CandidateType.RELAY or own.candidate.address != pair.base.address[0]:
        return own
    candidate = replace(
        own.candidate,
        foundation=foundation(CandidateType.PRFLX, own.candidate.address, pair.base.protocol),
        priority=priority(CandidateType.PRFLX, own.local_preference, protocol=pair.base.protocol),
        address=mapped[0],
        port=mapped[1],
        type=CandidateType.PRFLX,
        related_address=own.candidate.address,
        related_port=own.candidate.port,
    )
    return Local(context.new_id("L"), candidate, None, own.local_preference, own.network)


class Pairing:
    """Forms the pairs of one generation.

    Args:
        half: our candidates.
        owner: the generation, of which each pair knows.
        checklist: takes the pairs.

    Attributes:
        remotes: the remote candidates, in the order in which they became known.
        first_pair_at: when the first pair was formed.
        wants_active: a remote candidate wants an active TCP base (RFC 6544); the core sees to it.
    """

    __slots__ = (
        "_checklist",
        "_context",
        "_locals",
        "_owner",
        "_reflexive_number",
        "_settings",
        "first_pair_at",
        "remotes",
        "wants_active",
    )

    def __init__(self, context: IceContext, locals: list[Local], owner: object, checklist: Checklist) -> None:
        self._context = context
        # a generation keeps what it began with
        self._settings = context.settings
        self._locals = locals
        self._owner = owner
        self._checklist = checklist
        self.remotes: list[Remote] = []
        self.first_pair_at = NEVER
        self.wants_active = False
        self._reflexive_number = 0

    def release(self) -> None:
        """Closed for good: no pair is formed any more."""
        del self._owner

    def pair_local(self, now: float, local: Local) -> None:
        """Pair a new local candidate; one with a base is paired with all that is known."""
        if local.base is not None:
            for remote in self.remotes:
                self._form(now, local, local.base, remote)

    def add_remote(self, now: float, candidate: Candidate, address: Address) -> bool:
        """A remote candidate arrived; one that we knew as peer-reflexive gets its real name.

        Returns:
            Whether that changed anything.
        """
        for known in self.remotes:
            if known.address == address and known.candidate.protocol == candidate.protocol:
                named = (
                    known.candidate.type is CandidateType.PRFLX and candidate.type is not CandidateType.PRFLX
                )
                if named:
                    known.candidate = candidate
                    self._regrade(known)
                return named
        if len(self.remotes) >= self._settings.max_remote_candidates:
            return False
        self._join(now, Remote(self._context.new_id("R"), candidate, address))
        return True

    def _join(self, now: float, remote: Remote) -> None:
        self.remotes.append(remote)
        if remote.candidate.tcp_type == "passive":
            self.wants_active = True
        for local in self._locals:
            if local.base is not None:
                self._form(now, local, local.base, remote)

    def _regrade(self, remote: Remote) -> None:
        for pair in self._checklist.pairs.values():
            if pair.remote is remote:
                pair.grade()
                pair.set_priority(self._context.controlling)

    def _form(
        self,
        now: float,
        local: Local,
        base: Base,
        remote: Remote,
        *,
        keep: Pair | None = None,
        must: bool = False,
    ) -> Pair | None:
        """RFC 8445 6.1.2.2: same family and transport; redundant pairs share base and remote address.

        Args:
            keep: never makes room for it.
            must: the other side uses it already; another makes room whatever its priority.
        """
        if not can_pair(local, base, remote):
            return None
        if self._checklist.find(base, remote.address) is not None:
            return None
        pair = Pair(self._context.new_id("P"), self._owner, local, base, remote)
        pair.set_priority(self._context.controlling)
        if not self._checklist.add(pair, keep=keep, must=must):
            return None
        base.prepare(pair.address)
        if self.first_pair_at == NEVER:
            self.first_pair_at = now
        return pair

    def learn_remote(
        self,
        now: float,
        base: Base,
        address: Address,
        prio: int,
        ufrag: str | None,
        *,
        keep: Pair | None = None,
    ) -> Pair | None:
        """A check came from there: a peer-reflexive candidate (RFC 8445 7.3.1.3), or a pair that had been pruned.

        A NAT that gives the other end one address after the other makes many of them: the one that was not heard
        of for longest makes room.

        Args:
            prio: PRIORITY of the check.
            ufrag: of the remote credentials.
            keep: the pair in use; it never makes room.

        Returns:
            The pair, or None when there cannot be one.
        """
        local = next((entry for entry in self._locals if entry.base is base), None)
        if local is None:
            return None
        for known in self.remotes:
            if known.address == address and known.candidate.protocol == base.protocol:
                return self._form(now, local, base, known, keep=keep, must=True)
        self._reflexive_number += 1
        candidate = reflexive_remote(local, base, address, prio, self._reflexive_number, ufrag)
        if not self._context.accepts_remote(candidate) or not self._make_room(keep):
            return None
        remote = Remote(self._context.new_id("R"), candidate, address)
        if not can_pair(local, base, remote):
            return None
        pair = self._form(now, local, base, remote, keep=keep, must=True)
        if pair is None:
            return None
        if base.protocol == "tcp":
            # It exists on this connection only.
            self.remotes.append(remote)
        else:
            self._join(now, remote)
        return pair

    def _make_room(self, keep: Pair | None) -> bool:
        """Whether there may be one more peer-reflexive candidate; the longest unheard one goes for it if need be."""
        learned = [r for r in self.remotes if r.candidate.type is CandidateType.PRFLX]
        if len(learned) < self._settings.max_peer_reflexive:
            return True
        heard = {id(remote): -NEVER for remote in learned}
        for pair in self._checklist.pairs.values():
            if id(pair.remote) in heard:
                in_use = pair is keep or pair.nominated
                heard[id(pair.remote)] = NEVER if in_use else max(heard[id(pair.remote)], pair.heard_at)
        oldest = min(learned, key=lambda remote: heard[id(remote)])
        if heard[id(oldest)] == NEVER:
            return False
        self.remotes.remove(oldest)
        for pair in [p for p in self._checklist.pairs.values() if p.remote is oldest]:
            self._checklist.discard(pair)
        return True

    def learn_local(self, pair: Pair, mapped: Address | None) -> None:
        """RFC 8445 7.2.5.3.1: what the remote side sees may be a candidate that we did not know."""
        if mapped is None or pair.valid_local is not None:
            return
        pair.valid_local = reflexive_local(pair, mapped, self._locals, self._context)
        if pair.valid_local is not pair.local:
            pair.grade()

    def recompute_priorities(self) -> None:
        """Our role changed."""
        for pair in self._checklist.pairs.values():
            pair.set_priority(self._context.controlling)
