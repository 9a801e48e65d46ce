"""Pairs, their order and their bounds."""

from __future__ import annotations

import pytest

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.pair import Check, Local, Pair, PairStatus, Remote
from rtcpeer.ice.settings import IceSettings
from rtcpeer.values import NEVER, CandidateType
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
    for entry in (nominated, same, better):
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


def test_who_may_make_room_and_who_not() -> None:
    checks = Checklist(3)
    kept, nominated, failed = pair(1, 1), pair(2, 2), pair(3, 3)
    for entry in (kept, nominated, failed):
        checks.add(entry)
    nominated.nominated = True
    checks.settle(failed, PairStatus.FAILED)
    assert not checks.add(pair(9, 3), keep=kept)  # no better than the worst
    assert checks.add(pair(9, 4), keep=kept)
    assert checks.find(BASE, ("192.0.2.2", 3)) is None
    # one that must: even a worse one, and one that was tried
    (tried,) = [entry for entry in checks.pairs.values() if entry not in (kept, nominated)]
    checks.start(tried, check(tried))
    assert not checks.add(pair(10, 0), keep=kept)
    assert checks.add(pair(10, 0), keep=kept, must=True)
    assert set(checks.pairs.values()) & {kept, nominated, tried} == {kept, nominated}
    # one that was not tried goes before one that was, whatever their priority
    checks = Checklist(2)
    tried, idle = pair(1, 1), pair(2, 2)
    checks.add(tried)
    checks.add(idle)
    checks.start(tried, check(tried))
    assert checks.add(pair(3, 0), must=True)
    assert checks.find(BASE, ("192.0.2.2", 1)) is tried


def test_a_pair_that_goes_is_told_of_and_no_data_comes_over_it() -> None:
    gone: list[Pair] = []
    checks = Checklist(3)
    checks.on_discard = gone.append
    one, other = pair(1), pair(2)
    BASE.routes[one.address], BASE.routes[other.address] = one, pair(2)
    theirs = BASE.routes[other.address]
    for entry in (one, other):
        checks.add(entry)
        checks.trigger(entry)
        checks.discard(entry)
    assert gone == [one, other]
    assert one.address not in BASE.routes
    assert BASE.routes.pop(other.address) is theirs  # of another generation
    assert not checks.is_busy


def test_a_failed_pair_is_tried_again_after_pauses_that_double_to_a_bound() -> None:
    checks, entry = Checklist(3), pair(1)
    settings = IceSettings(retry_interval=2.0, retry_limit=7.0)
    checks.add(entry)
    pauses = []
    for now in (10.0, 20.0, 30.0, 40.0):
        checks.fail(now, entry, settings)
        pauses.append(checks.next_retry(None) - now)
        checks.retry(now, None)
        assert entry.state is PairStatus.FAILED
        checks.retry(entry.retry_at, None)
        assert entry.state is PairStatus.WAITING
        assert checks.next_retry(None) == NEVER
    assert pauses == [2.0, 4.0, 7.0, 7.0]


@pytest.mark.parametrize(
    ("kind", "silent", "again"),
    [
        (CandidateType.HOST, False, True),
        (CandidateType.SRFLX, False, False),
        (CandidateType.RELAY, False, False),
        (CandidateType.RELAY, True, True),
    ],
)
def test_only_what_would_be_an_improvement_is_tried_again(
    kind: CandidateType, silent: bool, again: bool
) -> None:
    checks, selected, failed = Checklist(3), pair(1, 1, CandidateType.SRFLX), pair(2, 2, kind)
    for entry in (selected, failed):
        checks.add(entry)
    checks.settle(selected, PairStatus.SUCCEEDED)
    selected.is_silent = silent
    selected.retry_at = 1.0  # of the time before it worked
    checks.fail(10.0, failed, IceSettings())
    assert (checks.next_retry(selected) == failed.retry_at) is again
    checks.retry(100.0, selected)
    assert (failed.state is PairStatus.WAITING) is again
    assert selected.state is PairStatus.SUCCEEDED
    # and it is not looked at again and again
    assert checks.next_retry(None) == NEVER


def test_triggered_checks_keep_their_order_and_a_check_of_a_valid_pair_leaves_it_valid() -> None:
    checks, first, second = Checklist(3), pair(1), pair(2)
    for entry in (first, second):
        checks.add(entry)
        checks.trigger(entry)
    assert checks.next_pair(None) is first
    assert checks.is_busy
    checks.settle(second, PairStatus.SUCCEEDED)
    for _ in range(2):
        checks.start(second, check(second))
    assert second.state is PairStatus.SUCCEEDED
    assert checks.in_progress == [second]
    checks.settle(first, PairStatus.SUCCEEDED)
    assert checks.is_busy
    checks.settle(second, PairStatus.SUCCEEDED)
    assert not checks.is_busy


def test_the_best_valid_pair_is_that_of_the_best_preference() -> None:
    checks, entries = (
        Checklist(5),
        [pair(1, 1, CandidateType.SRFLX), pair(2, 9, CandidateType.RELAY), pair(3, 5)],
    )
    for entry in entries:
        checks.add(entry)
    for entry in entries[:2]:
        checks.settle(entry, PairStatus.SUCCEEDED)
    assert checks.best_valid() is max(entries[:2], key=lambda entry: entry.preference)
    checks.settle(entries[2], PairStatus.SUCCEEDED)
    assert checks.best_valid() is max(entries, key=lambda entry: entry.preference) is entries[2]
    checks.settle(entries[2], PairStatus.FAILED)
    assert checks.best_valid() is not entries[2]


def test_hope_and_exhaustion() -> None:
    checks, one, other = Checklist(3), pair(1), pair(2)
    assert not checks.is_exhausted()
    for entry in (one, other):
        checks.add(entry)
    one.exhausted = True
    assert not checks.is_exhausted()
    other.exhausted = True
    assert checks.is_exhausted()
    assert not checks.hope_above(one.rank)
    assert checks.hope_above(one.rank + 1)
    checks.settle(other, PairStatus.FAILED)
    checks.start(one, check(one))
    assert checks.hope_above(one.rank + 1)
    checks.settle(one, PairStatus.SUCCEEDED)
    assert not checks.hope_above(one.rank + 1)
