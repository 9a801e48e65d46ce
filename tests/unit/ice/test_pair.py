"""Pairs: what they are worth, and which candidate they report; the record of a check."""

from __future__ import annotations

import pytest

from rtcpeer.ice.candidates import priority
from rtcpeer.ice.pair import Check, Local, Pair, PairStatus, Remote, rank_of
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, CandidateType
from tests.unit.ice.support import FakeBase, Wire, candidate


def pair(port: int = 1) -> Pair:
    base = FakeBase(Wire(), ("192.0.2.1", 1))
    remote = Remote("R", candidate("192.0.2.2", port), ("192.0.2.2", port))
    return Pair("P", None, Local("L", candidate(), base, 1000), base, remote)


def test_ranks() -> None:
    """A relay is worse than whatever else may be on the way, TCP worse than a NAT."""
    host = candidate()
    srflx = candidate(kind=CandidateType.SRFLX)
    relay = candidate(kind=CandidateType.RELAY)
    over_tls = candidate(kind=CandidateType.RELAY, relay_protocol="tls")
    tcp = candidate(protocol="tcp", tcp_type="active")
    reflexive_tcp = candidate(kind=CandidateType.PRFLX, protocol="tcp", tcp_type="active")
    order = [
        (host, host),
        (host, srflx),
        (tcp, host),
        (reflexive_tcp, host),
        (relay, host),
        (over_tls, host),
        (relay, relay),
        (over_tls, relay),
    ]
    ranks = [rank_of(a, b) for a, b in order]
    assert ranks == sorted(set(ranks))
    assert rank_of(host, relay) == rank_of(relay, host)
    assert rank_of(srflx, host) == rank_of(host, srflx) == rank_of(srflx, srflx)
    assert rank_of(candidate(kind=CandidateType.RELAY, relay_protocol="udp"), host) == rank_of(relay, host)
    assert rank_of(candidate(kind=CandidateType.RELAY, relay_protocol="tcp"), host) == rank_of(over_tls, host)


def test_the_reported_candidate_is_what_the_other_side_sees() -> None:
    made = pair()
    assert made.local_candidate.type is CandidateType.HOST
    assert made.rank == rank_of(candidate(), candidate())
    made.valid_local = Local("L2", candidate(kind=CandidateType.SRFLX), None)
    made.grade()
    assert made.local_candidate.type is CandidateType.SRFLX
    assert made.rank == rank_of(candidate(kind=CandidateType.SRFLX), candidate())


def test_priority_depends_on_the_role() -> None:
    made = pair()
    made.remote.candidate = candidate(priority=50)
    made.set_priority(True)
    ours = made.priority
    made.set_priority(False)
    assert ours == made.priority + 1


def test_a_better_rank_is_preferred_to_any_priority_and_of_equal_ranks_the_higher_priority() -> None:
    near, far, farther, farthest = (pair() for _ in range(4))
    near.rank, near.priority = 0, 1
    far.rank, far.priority = 1, 9
    farther.rank, farther.priority = 1, 8
    farthest.rank, farthest.priority = 2, 99
    ordered = sorted([farther, farthest, near, far], key=lambda each: each.preference)
    assert ordered == [farthest, farther, far, near]


def test_the_priority_in_a_request_is_that_of_a_peer_reflexive_candidate() -> None:
    """RFC 8445 7.1.1: with the local preference of the candidate that the request leaves from."""
    expected = priority(CandidateType.PRFLX, 1000)
    assert pair().priority_attribute == stun.u32(stun.PRIORITY, expected)


def test_a_new_pair_waits_was_never_heard_and_has_counted_nothing() -> None:
    made = pair()
    assert made.state is PairStatus.WAITING
    assert not made.is_valid
    assert (made.heard_at, made.consented_at, made.sent_at) == (-NEVER, -NEVER, -NEVER)
    assert (made.first_valid_at, made.retry_at) == (NEVER, NEVER)
    told = [made.triggered, made.nominated, made.exhausted, made.wanted, made.is_silent]
    assert not any(told)
    counted = [
        *(made.packets_sent, made.packets_received, made.bytes_sent, made.bytes_received),
        *(made.packets_discarded, made.bytes_discarded, made.consent_requests_sent),
        *(made.requests_sent, made.requests_received, made.responses_sent, made.responses_received),
    ]
    assert set(counted) == {0}
    assert (made.rtt, made.total_rtt) == (None, 0)


@pytest.mark.parametrize(("address", "is_ipv6"), [("2001:db8::9", True), ("192.0.2.9", False)])
def test_the_family_of_a_remote_candidate_is_that_of_its_address(address: str, is_ipv6: bool) -> None:
    """Not of its name, which may be one of mDNS."""
    assert Remote("R", candidate("a.local"), (address, 9)).is_ipv6 is is_ipv6


def test_a_check_is_repeated_one_timeout_after_it_was_sent() -> None:
    check = Check(pair(), b"", 7.0, 0.5, nominate=True, controlling=False, probe=False)
    assert (check.sent_at, check.last_at, check.next_at, check.tries) == (7.0, 7.0, 7.5, 1)
