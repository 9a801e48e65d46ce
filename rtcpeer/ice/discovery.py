"""Pairing and peer-reflexive discovery (RFC 8445 7.2.5.3.1 and 7.3.1.3).

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rtcpeer.ice.candidates import foundation, is_ipv6, priority
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.pair import Base, Local, Pair, Remote
from rtcpeer.net.network import Address
from rtcpeer.values import Candidate, CandidateType

_OPPOSITE_TCP = {"active": "passive", "passive": "active", "so": "so"}


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
