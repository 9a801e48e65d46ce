"""Pairs, their order and their bounds."""

from __future__ import annotations

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.pair import Check, Local, Pair, PairStatus, Remote, rank_of
from rtcpeer.values import CandidateType
from tests.unit.ice.support import FakeBase, Wire, candidate

WIRE = Wire()
BASE = FakeBase(WIRE, ("192.0.2.1", 1))


def pair(port: int, priority: int = 0, kind: CandidateType = CandidateType.HOST) -> Pair:
    remote = Remote("R", candidate("192.0.2.2", port, kind), ("192.0.2.2", port))
    made = Pair("P", None, Local("L", candidate(), BASE), BASE, remote)
    made.priority = priority
    return made


def check(of: Pair) -> Check:
    return Check(of, b"", 0, 0.1, nominate=False, controlling=True, probe=False)


def test_triggered_before_priority() -> None:
    checks = Checklist(10)
    low, high = pair(1, 1), pair(2, 2)
    assert checks.add(low)
    assert checks.add(high)
    assert checks.next_pair(None) is high
    checks.trigger(low)
    checks.trigger(low)
    assert checks.next_pair(None) is low
    checks.start(low, check(low))
    assert checks.next_pair(None) is high
    checks.trigger(low)
    assert checks.next_pair(None) is high
    checks.settle(low, PairStatus.FAILED)
    checks.trigger(low)
    assert low.state is PairStatus.WAITING
    assert checks.next_pair(None) is low
    checks.settle(low, PairStatus.SUCCEEDED)
    assert checks.next_pair(None) is high
    assert checks.best_valid() is low


def test_after_nomination_only_improvements_are_checked() -> None:
    checks = Checklist(10)
    nominated = pair(1, 5, CandidateType.SRFLX)
    better, same = pair(2, 1), pair(3, 9, CandidateType.SRFLX)
    for entry in (nominated, better, same):
        checks.add(entry)
    checks.settle(nominated, PairStatus.SUCCEEDED)
    assert checks.next_pair(nominated) is better
    assert checks.hope_above(nominated.rank)
    checks.discard(better)
    assert checks.next_pair(nominated) is None
    assert not checks.hope_above(nominated.rank)


def test_the_worst_makes_room() -> None:
    checks = Checklist(3)
    for port in (1, 2, 3):
        assert checks.add(pair(port, port))
    assert not checks.add(pair(9, 0))
    assert checks.add(pair(9, 10))
    assert checks.find(BASE, ("192.0.2.2", 1)) is None
    for entry in list(checks.pairs.values()):
        checks.start(entry, check(entry))
    assert not checks.add(pair(10, 100))


def test_ranks() -> None:
    host = candidate()
    srflx = candidate(kind=CandidateType.SRFLX)
    relay = candidate(kind=CandidateType.RELAY)
    over_tls = candidate(kind=CandidateType.RELAY, relay_protocol="tls")
    tcp = candidate(protocol="tcp", tcp_type="active")
    order = [(host, host), (host, srflx), (tcp, host), (relay, host), (over_tls, host), (relay, relay)]
    ranks = [rank_of(a, b) for a, b in order]
    assert ranks == sorted(set(ranks))
    assert rank_of(host, relay) == rank_of(relay, host)


def test_the_reported_candidate_is_what_the_other_side_sees() -> None:
    made = pair(1)
    assert made.local_candidate.type is CandidateType.HOST
    made.valid_local = Local("L2", candidate(kind=CandidateType.SRFLX), None)
    made.grade()
    assert made.local_candidate.type is CandidateType.SRFLX
    assert made.rank == 1


def test_priority_depends_on_the_role() -> None:
    made = pair(1)
    made.remote.candidate = candidate(priority=50)
    made.set_priority(True)
    ours = made.priority
    made.set_priority(False)
    assert ours == made.priority + 1
