"""Which pair is nominated, by either side, and which one carries the data."""

from __future__ import annotations

import itertools

import pytest

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.consent import Consent
from rtcpeer.ice.context import SLACK
from rtcpeer.ice.generation import Generation, LocalSide
from rtcpeer.ice.nomination import Nomination
from rtcpeer.ice.pair import Check, Local, Pair, PairStatus, Remote
from rtcpeer.ice.pairing import Pairing
from rtcpeer.ice.settings import IceSettings
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, CandidateType
from tests.unit.ice.support import Side, Wire, candidate, connected_pair, exchange, request


def nominate(wire: Wire, right: Side, second: Generation, first: Generation, port: int) -> None:
    """A request with USE-CANDIDATE from the left side's address with this port."""
    data = request(second.local, first.local.ufrag, extra=stun.attribute(stun.USE_CANDIDATE, b""))
    base = next(b for b in right.bases if b.address[1] == port + 1000)
    right.core.on_stun_untrusted(wire.now, base, data, ("192.0.2.1", port))
    right.drain()
    wire.run(0.1)


def two_paths() -> tuple[Wire, Side, Side, Generation, Generation]:
    """Connected; the second path is validated too; the left side is still from now on."""
    wire, left, right, first, second = connected_pair(addresses=2)
    data = request(second.local, first.local.ufrag)
    for other in right.bases:
        for port in (1000, 1001):
            right.core.on_stun_untrusted(wire.now, other, data, ("192.0.2.1", port))
    wire.run(0.5)
    return wire, left, right, first, second


def test_the_last_word_of_a_regular_nominator_counts() -> None:
    wire, _, right, first, second = two_paths()
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]
    nominate(wire, right, second, first, 1001)
    assert right.core.route.address == ("192.0.2.1", 1001)  # type: ignore[union-attr]
    nominate(wire, right, second, first, 1000)
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]


def test_of_an_aggressive_nominator_the_better_pair_counts() -> None:
    wire, _, right, first, second = two_paths()
    second.nomination.remote_is_aggressive = True
    nominate(wire, right, second, first, 1001)
    assert right.core.route.address == ("192.0.2.1", 1000)  # type: ignore[union-attr]


def test_aggressive_nomination_connects() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    plain = first._send_check
    first._send_check = lambda now, pair, **kw: plain(now, pair, **{**kw, "nominate": True})  # type: ignore[method-assign]
    exchange(left, right, first, second)
    wire.run(0.1)
    assert second.nomination.remote_is_aggressive
    assert right.core.route.nominated  # type: ignore[union-attr]


# -- the choice itself, among pairs whose state is set by hand -------------------------------------


HOST, SRFLX, RELAY = CandidateType.HOST, CandidateType.SRFLX, CandidateType.RELAY
NOW = 1000.0
QUIET = IceSettings().failover_after


class Lab:
    """A nomination of one generation, and pairs to choose from; the first pair was formed just now."""

    def __init__(self, *, controlling: bool = True) -> None:
        self.side = Side(Wire(), controlling)
        self.checklist = Checklist(100)
        context = self.side.context
        half = LocalSide(new_credentials())
        self.pairing = Pairing(context, half.locals, self, self.checklist)
        self.pairing.first_pair_at = NOW
        self.consent = Consent(context.settings, context.jitter)
        self.nomination = Nomination(context, self.checklist, self.pairing, self.consent)
        self._ports = itertools.count(1000)

    def pair(
        self,
        kind: CandidateType = HOST,
        state: PairStatus = PairStatus.SUCCEEDED,
        *,
        remote: CandidateType = HOST,
        priority: int = 100,
        heard: float = NOW,
    ) -> Pair:
        """A pair of a local candidate of this type, last heard of at `heard`."""
        port = next(self._ports)
        base = self.side.base("192.0.2.1", port)
        local = Local(f"L{port}", candidate("192.0.2.1", port, kind, priority), base, 1000)
        there = Remote(f"R{port}", candidate("192.0.2.2", port, remote, priority), ("192.0.2.2", port))
        pair = Pair(f"P{port}", self, local, base, there)
        pair.set_priority(True)
        pair.state, pair.heard_at = state, heard
        assert self.checklist.add(pair)
        return pair

    def propose(self, now: float = NOW, *, failed: bool = False, ended: bool = False) -> Pair | None:
        return self.nomination.propose(now, failed=failed, ended=ended)

    def nominate(self, pair: Pair, now: float = NOW) -> None:
        """The other end has agreed."""
        self.nomination.pending = pair
        self.nomination.on_success(now, self.check(pair))
        assert self.nomination.nominated is pair

    def check(self, pair: Pair, *, nominate: bool = True) -> Check:
        return Check(pair, b"", NOW, 0.1, nominate=nominate, controlling=True, probe=False)


def test_a_proposed_pair_is_pending_and_nothing_else_is_proposed_meanwhile() -> None:
    lab = Lab()
    worse, best = lab.pair(priority=5), lab.pair(priority=9)
    assert lab.propose() is best
    assert lab.nomination.pending is best
    assert lab.propose() is None
    lab.nomination.withdraw(worse)
    assert lab.nomination.pending is best
    lab.nomination.withdraw(best)
    assert lab.nomination.pending is None
    assert lab.propose() is best
    lab.nomination.withdraw()
    assert lab.nomination.pending is None


def test_nothing_is_proposed_without_a_valid_pair() -> None:
    lab = Lab()
    lab.pair(state=PairStatus.IN_PROGRESS)
    assert lab.propose() is None
    assert lab.nomination.pending is None


@pytest.mark.parametrize(
    ("kind", "remote", "wait"),
    [(HOST, HOST, 0.0), (SRFLX, HOST, 0.5), (HOST, SRFLX, 0.5), (RELAY, SRFLX, 2.0), (HOST, RELAY, 2.0)],
)
def test_a_pair_waits_for_better_ones_as_long_as_its_worse_end(
    kind: CandidateType, remote: CandidateType, wait: float
) -> None:
    lab = Lab()
    pair = lab.pair(kind, remote=remote, heard=NOW + 2)
    lab.pair(state=PairStatus.WAITING)
    assert lab.nomination.next_time(NOW) == NOW + wait
    if wait:
        assert lab.propose(NOW + wait - 0.01) is None
    # a timer is never exactly on time
    assert lab.propose(NOW + wait - SLACK) is pair
    assert lab.nomination.next_time(NOW) == NEVER


def test_the_wait_ends_when_nothing_better_can_come() -> None:
    lab = Lab()
    pair = lab.pair(RELAY)
    better = lab.pair(state=PairStatus.IN_PROGRESS)
    assert lab.propose(ended=True) is None
    better.state = PairStatus.FAILED
    # as long as there may be more candidates, there may be a better pair
    assert lab.propose(ended=False) is None
    assert lab.propose(ended=True) is pair


def test_a_pair_of_the_same_rank_is_not_waited_for() -> None:
    lab = Lab()
    pair = lab.pair(RELAY)
    lab.pair(RELAY, PairStatus.WAITING, priority=500)
    assert lab.propose(ended=True) is pair


def test_next_time_is_never_without_a_choice_to_make() -> None:
    lab = Lab()
    assert lab.nomination.next_time(NOW) == NEVER
    pair = lab.pair(SRFLX)
    assert lab.nomination.next_time(NOW) == NOW + 0.5
    lab.nominate(pair)
    assert lab.nomination.next_time(NOW) == NEVER
    controlled = Lab(controlling=False)
    controlled.pair(SRFLX)
    assert controlled.nomination.next_time(NOW) == NEVER


def test_a_better_rank_takes_over_a_better_priority_does_not() -> None:
    lab = Lab()
    current = lab.pair(RELAY)
    lab.nominate(current)
    assert lab.propose() is None
    lab.pair(RELAY, priority=900)
    assert lab.propose() is None
    direct = lab.pair(HOST)
    assert lab.propose() is direct


def test_a_better_rank_that_is_quiet_does_not_take_over_one_that_works() -> None:
    lab = Lab()
    lab.nominate(lab.pair(RELAY))
    direct = lab.pair(HOST, heard=NOW - QUIET)
    assert lab.propose() is None
    direct.heard_at = NOW
    assert lab.propose() is direct


def test_a_nominated_pair_that_failed_is_replaced_by_any_that_works() -> None:
    lab = Lab()
    current = lab.pair(HOST)
    lab.nominate(current)
    relay = lab.pair(RELAY)
    assert lab.propose() is None
    current.state = PairStatus.FAILED
    assert lab.propose() is relay


def test_a_quiet_nominated_pair_is_replaced_by_the_best_one_that_is_heard() -> None:
    lab = Lab()
    current = lab.pair(HOST, heard=NOW - QUIET)
    lab.nominate(current, NOW - QUIET)
    lab.pair(HOST, heard=NOW - QUIET, priority=900)
    assert lab.propose() is None
    relay, reflexive = lab.pair(RELAY), lab.pair(SRFLX)
    second = lab.pair(SRFLX, priority=5)
    lab.pair(HOST, PairStatus.FAILED)
    assert lab.propose(NOW - 0.001) is None, "it is not quiet yet"
    assert lab.propose() is reflexive
    lab.nomination.withdraw()
    reflexive.state = PairStatus.FAILED
    lab.checklist.discard(second)
    assert lab.propose() is relay


@pytest.mark.parametrize("failed", [True, False])
def test_the_first_pair_that_is_nominated_is_one_that_is_heard(failed: bool) -> None:
    """The better one may have lost its base meanwhile."""
    lab = Lab()
    pair = lab.pair(heard=NOW - QUIET)
    assert lab.propose(failed=failed) is None
    assert lab.nomination.next_time(NOW) == NEVER
    other = lab.pair(SRFLX)
    assert lab.nomination.next_time(NOW) == NOW + 0.5
    assert lab.propose(NOW + 0.5, failed=failed) is other
    lab.nomination.withdraw()
    pair.heard_at = NOW
    assert lab.propose(failed=failed) is pair


def test_a_failed_generation_puts_no_quiet_pair_in_the_place_of_one_that_failed() -> None:
    lab = Lab()
    failed = lab.pair()
    lab.nominate(failed)
    failed.state = PairStatus.FAILED
    pair = lab.pair(heard=NOW - QUIET)
    assert lab.propose(failed=True) is None
    assert lab.propose(failed=False) is pair


def test_a_failed_generation_without_a_valid_pair_nominates_none() -> None:
    lab = Lab()
    pair = lab.pair()
    lab.nominate(pair)
    pair.state = PairStatus.FAILED
    assert lab.propose(failed=True) is None
    assert lab.nomination.pending is None


def test_only_the_answer_to_the_nominating_check_nominates() -> None:
    lab = Lab()
    pair, other = lab.pair(), lab.pair()
    lab.nomination.pending = pair
    lab.nomination.on_success(NOW, lab.check(pair, nominate=False))
    lab.nomination.on_success(NOW, lab.check(other))
    assert lab.nomination.nominated is None
    assert lab.nomination.pending is pair
    lab.nomination.on_success(NOW, lab.check(pair))
    assert lab.nomination.nominated is pair
    assert lab.nomination.pending is None
    assert pair.nominated
    assert not other.nominated


def test_controlling_a_wanted_pair_is_not_accepted() -> None:
    lab = Lab()
    pair = lab.pair()
    pair.wanted = True
    lab.nomination.on_success(NOW, lab.check(pair))
    assert lab.nomination.nominated is None


def test_one_pair_is_nominated_and_a_quiet_one_before_it_is_tried_again_later() -> None:
    lab = Lab()
    lively, quiet, last = lab.pair(), lab.pair(heard=NOW - QUIET), lab.pair()
    lab.nominate(lively)
    lab.nominate(quiet)
    assert lively.state is PairStatus.SUCCEEDED
    assert not lively.nominated
    assert quiet.nominated
    lab.nominate(last)
    assert quiet.state is PairStatus.FAILED
    assert quiet.retry_at == NOW + IceSettings().retry_interval
    assert not quiet.nominated
    assert last.nominated


def test_a_pair_that_is_nominated_again_stays_as_it_is() -> None:
    lab = Lab()
    pair = lab.pair(heard=NOW - QUIET)
    lab.nominate(pair)
    lab.nominate(pair)
    assert pair.nominated
    assert pair.state is PairStatus.SUCCEEDED


def test_checks_of_pairs_that_are_no_better_end_with_the_nomination() -> None:
    lab = Lab()
    pair = lab.pair(SRFLX)
    better, same, worse, valid = lab.pair(HOST), lab.pair(SRFLX), lab.pair(RELAY), lab.pair(RELAY)
    for other in (better, same, worse):
        other.state = PairStatus.WAITING
    for other in (pair, better, same, worse, valid):
        lab.checklist.start(other, lab.check(other))
    assert valid.state is PairStatus.SUCCEEDED
    lab.nominate(pair)
    assert lab.checklist.in_progress == [pair, better]
    assert (same.state, worse.state) == (PairStatus.WAITING, PairStatus.WAITING)
    assert valid.state is PairStatus.SUCCEEDED
    assert pair.check is not None


def test_controlled_what_the_other_side_wants_counts_as_soon_as_it_is_valid() -> None:
    lab = Lab(controlling=False)
    pair = lab.pair(state=PairStatus.IN_PROGRESS)
    pair.requests_received = 2
    lab.nomination.on_use_candidate(NOW, pair)
    assert lab.nomination.nominated is None
    assert not lab.nomination.remote_is_aggressive
    pair.state = PairStatus.SUCCEEDED
    lab.nomination.on_success(NOW, lab.check(pair))
    assert lab.nomination.nominated is pair
    assert not pair.wanted
    # the answer to a later check says nothing new
    other = lab.pair()
    lab.nomination.on_success(NOW, lab.check(other))
    assert lab.nomination.nominated is pair


def test_controlled_the_word_in_a_first_check_is_an_aggressive_nomination() -> None:
    lab = Lab(controlling=False)
    pair = lab.pair()
    pair.requests_received = 1
    lab.nomination.on_use_candidate(NOW, pair)
    assert lab.nomination.remote_is_aggressive
    assert lab.nomination.nominated is pair
    assert not pair.wanted


@pytest.mark.parametrize(
    ("heard", "state", "priority", "stays"),
    [
        (NOW - 0.9, PairStatus.SUCCEEDED, 99, True),
        (NOW - 0.9, PairStatus.SUCCEEDED, 100, False),
        (NOW - 0.9, PairStatus.SUCCEEDED, 101, False),
        (NOW - 1.0, PairStatus.SUCCEEDED, 99, False),
        (NOW - 0.9, PairStatus.FAILED, 99, False),
    ],
)
def test_controlled_an_aggressive_nominator_moves_to_a_worse_pair_only_from_a_quiet_one(
    heard: float, state: PairStatus, priority: int, stays: bool
) -> None:
    lab = Lab(controlling=False)
    lab.nomination.remote_is_aggressive = True
    current, other = lab.pair(), lab.pair(priority=priority)
    lab.nomination.on_use_candidate(NOW, current)
    current.heard_at, current.state = heard, state
    lab.nomination.on_use_candidate(NOW, other)
    assert lab.nomination.nominated is (current if stays else other)


def test_controlled_a_regular_nominator_moves_to_a_worse_pair() -> None:
    lab = Lab(controlling=False)
    current, other = lab.pair(), lab.pair(RELAY)
    lab.nomination.on_use_candidate(NOW, current)
    lab.nomination.on_use_candidate(NOW, other)
    assert lab.nomination.nominated is other


def test_data_go_over_the_best_valid_pair_until_one_is_nominated() -> None:
    lab = Lab()
    assert not lab.nomination.select(NOW)
    relay = lab.pair(RELAY)
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is relay
    assert not lab.nomination.select(NOW)
    direct = lab.pair(HOST)
    relay.is_silent = direct.is_silent = True
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is direct
    assert not relay.is_silent
    assert direct.is_silent
    lab.nominate(relay)
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is relay
    relay.state = PairStatus.FAILED
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is direct


def test_data_leave_a_quiet_pair_for_one_that_is_heard_and_stay_where_none_is() -> None:
    lab = Lab()
    direct, relay = lab.pair(HOST), lab.pair(RELAY)
    lab.nominate(direct)
    assert lab.nomination.select(NOW)
    direct.heard_at = relay.heard_at = NOW - QUIET
    assert not lab.nomination.select(NOW)
    assert lab.nomination.selected is direct
    relay.heard_at = NOW
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is relay
    # both quiet: where the data go they stay, whichever is nominated
    relay.heard_at = NOW - QUIET
    assert not lab.nomination.select(NOW)
    assert lab.nomination.selected is relay


def test_data_go_over_a_quiet_pair_when_there_is_no_other() -> None:
    lab = Lab()
    pair = lab.pair(heard=NOW - QUIET)
    assert lab.nomination.select(NOW)
    assert lab.nomination.selected is pair
