"""One generation: how long it hopes, and how often it asks."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.consent import Liveness
from rtcpeer.ice.generation import Generation, LocalSide
from rtcpeer.ice.pair import PairStatus
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun

from .support import Side, Wire, candidate, connected_pair, exchange, request


def alone() -> tuple[Wire, Side, Generation]:
    """A side whose remote candidate does not answer."""
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    side.offer_base(generation, side.base("192.0.2.1", 1))
    side.core.set_remote(wire.now, new_credentials())
    side.core.add_remote(wire.now, candidate("192.0.2.9", 9), ("192.0.2.9", 9))
    return wire, side, generation


def failed_after(wire: Wire, side: Side, limit: float = 100.0) -> float:
    began = wire.now
    while side.core.state != "failed" and wire.now - began < limit:
        wire.run(0.1)
    return wire.now - began


@pytest.mark.parametrize("again", ["end_of_remote", "set_gathered"])
def test_saying_again_that_nothing_more_comes_does_not_prolong_the_hope(again: str) -> None:
    wire, side, generation = alone()
    side.core.set_gathered(wire.now, generation)
    side.core.end_of_remote(wire.now, None)
    wire.run(10)
    if again == "end_of_remote":
        side.core.end_of_remote(wire.now, None)
    else:
        side.core.set_gathered(wire.now, generation)
    assert failed_after(wire, side) == pytest.approx(5, abs=0.2)


def test_a_loop_that_stood_still_while_checking_is_not_charged() -> None:
    wire, side, _ = alone()
    wire.run(1)
    wire.now += 40
    side.core.lagged(40)
    side.core.tick(wire.now)
    assert side.core.state == "checking"
    assert failed_after(wire, side) == pytest.approx(29, abs=0.3)


def test_a_loop_that_stood_still_after_both_had_ended_is_not_charged() -> None:
    wire, side, generation = alone()
    side.core.set_gathered(wire.now, generation)
    side.core.end_of_remote(wire.now, None)
    wire.run(1)
    wire.now += 40
    side.core.lagged(40)
    assert failed_after(wire, side) == pytest.approx(14, abs=0.3)


@pytest.mark.parametrize("gathers_late", [False, True])
def test_candidates_without_a_counterpart_are_no_reason_to_look_hopeful(gathers_late: bool) -> None:
    """webrtc-pc 5.6.2, "disconnected": nothing left to check, and waiting for additional remote candidates."""
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    side.offer_base(generation, side.base("192.0.2.1", 1))
    side.core.set_remote(wire.now, new_credentials())
    if not gathers_late:
        side.core.set_gathered(wire.now, generation)
    side.core.add_remote(wire.now, candidate("2001:db8::9", 9), ("2001:db8::9", 9))
    wire.run(0.4)
    side.core.note_remote(wire.now, None)  # another one, from where nothing leads
    wire.run(0.4)
    assert side.core.state == "checking"
    wire.run(0.2)
    if gathers_late:
        assert side.core.state == "checking"  # a candidate of ours may yet fit
        side.core.set_gathered(wire.now, generation)
    assert side.core.state == "disconnected"
    side.core.add_remote(wire.now, candidate("192.0.2.9", 9), ("192.0.2.9", 9))
    assert side.core.state == "checking"
    assert failed_after(wire, side) == pytest.approx(29, abs=0.3)


def requests(wire: Wire, source: str, until: float) -> list[float]:
    return [
        round(at - 100, 3)
        for at, data, (address, _), _ in wire.log
        if address == source and data[:2] == b"\0\1" and at <= 100 + until
    ]


@pytest.mark.parametrize(
    ("delay", "ours"),
    [
        # the answer is there before a repetition could help
        (0.005, [0.0, 0.01]),
        # a check that was on its way for 20 ms is repeated when the other side's comes in: its NAT is open now
        (0.05, [0.0, 0.05, 0.1]),
    ],
)
def test_a_check_is_repeated_for_a_crossing_one_but_not_at_once(delay: float, ours: list[float]) -> None:
    wire = Wire(delay)
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    exchange(left, right, first, second)
    wire.run(0.5)
    assert requests(wire, "192.0.2.1", 2.5 * delay) == ours
    # the controlled side nominates nothing
    assert requests(wire, "192.0.2.2", 2.5 * delay) == [at for at in ours if at < 2 * delay]


@pytest.mark.parametrize("controlling", [True, False])
def test_the_quiet_pair_that_was_nominated_has_failed_when_another_is(controlling: bool) -> None:
    wire, left, right, first, second = connected_pair(addresses=2)
    side, generation = (left, first) if controlling else (right, second)
    before = generation.nominated
    assert before is not None
    wire.dark |= {("192.0.2.1", 1000), ("192.0.2.2", 2000)}
    wire.run(8)
    assert generation.nominated is not before
    assert side.core.route is generation.nominated
    assert before.state is PairStatus.FAILED
    assert before.retry_at > wire.now - 0.5
    assert not before.nominated


def test_a_487_for_a_role_that_we_have_left_changes_neither_role_nor_tie_breaker() -> None:
    wire, side, generation = alone()
    side.context.new_tie_breaker = lambda: 77
    sent = side.bases[0].sent[0][1]
    (pair,) = generation.checklist.pairs.values()
    other = stun.attribute(stun.ICE_CONTROLLING, (2**64 - 1).to_bytes(8, "big"))
    remote = generation.remote
    assert remote is not None
    side.core.on_stun_untrusted(
        wire.now, side.bases[0], request(generation.local, remote.ufrag, extra=other), pair.address
    )
    assert side.core.role == "controlled"
    before = side.context.tie_breaker
    refusal = stun.encode(
        stun.BINDING_ERROR, sent[8:20], stun.error_code(487, "Role Conflict"), remote.pwd.encode()
    )
    side.core.on_stun_untrusted(wire.now, side.bases[0], refusal, pair.address)
    assert side.core.role == "controlled"
    assert side.context.tie_breaker == before


def answer(
    wire: Wire, side: Side, generation: Generation, sent: bytes, kind: int, body: bytes, address: Address
) -> None:
    """An authentic response to what was sent."""
    assert generation.remote is not None
    data = stun.encode(kind, sent[8:20], body, generation.remote.pwd.encode())
    side.core.on_stun_untrusted(wire.now, side.bases[0], data, address)
    side.drain()


def test_an_error_from_elsewhere_fails_no_pair() -> None:
    wire, side, generation = alone()
    sent = side.bases[0].sent[0][1]
    (pair,) = generation.checklist.pairs.values()
    error = stun.error_code(400, "Bad Request")
    answer(wire, side, generation, sent, stun.BINDING_ERROR, error, ("192.0.2.66", 9))
    assert pair.state is PairStatus.IN_PROGRESS
    answer(wire, side, generation, sent, stun.BINDING_ERROR, error, pair.address)
    assert pair.state is PairStatus.FAILED


def test_an_error_in_answer_to_a_consent_request_fails_no_pair() -> None:
    wire, left, _, first, _ = connected_pair()
    pair = left.core.route
    assert pair is not None
    before = len(left.bases[0].sent)
    while len(left.bases[0].sent) == before:
        wire.run(0.1)
    sent = left.bases[0].sent[-1][1]
    # the wire has answered it by now; another is made, and an error is the answer
    first._send_check(wire.now, pair, probe=True)
    sent = left.bases[0].sent[-1][1]
    answer(wire, left, first, sent, stun.BINDING_ERROR, stun.error_code(400, "Bad"), pair.address)
    assert pair.is_valid
    assert left.core.route is pair


def test_a_pair_that_works_again_is_tried_soon_when_it_fails_next() -> None:
    wire, left, right, first, second = connected_pair(addresses=2)
    backup = next(p for p in first.checklist.pairs.values() if p is not left.core.route and p.is_valid)
    backup.retry_pause = 16.0
    first._send_check(wire.now, backup)
    wire.run(0.1)
    assert backup.retry_pause == 0.0
    assert (right.core.state, second.failed) == ("completed", False)


def test_few_other_pairs_are_asked_while_the_selected_one_is_silent() -> None:
    wire, left, _, first, _ = connected_pair(addresses=4)
    for pair in first.checklist.pairs.values():
        pair.state, pair.check = PairStatus.SUCCEEDED, None
    first.checklist.in_progress.clear()
    count = sum(len(base.sent) for base in left.bases)
    first.look_for_backups(wire.now)
    assert len(first.checklist.pairs) == 16
    assert sum(len(base.sent) for base in left.bases) == count + 8


def test_in_silence_pairs_that_had_failed_are_tried_again_within_two_seconds() -> None:
    wire, _, _, first, _ = connected_pair(addresses=2)
    far, near, never = list(first.checklist.pairs.values())[1:4]
    for pair, at in ((far, wire.now + 2.5), (near, wire.now + 1.5), (never, wire.now + 2)):
        pair.state, pair.retry_at = PairStatus.FAILED, at
    first.look_for_backups(wire.now)
    assert [p.retry_at - wire.now for p in (far, near, never)] == pytest.approx([2, 1.5, 2])


def test_the_round_trip_is_counted_from_the_last_transmission() -> None:
    wire = Wire(0.01)
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    wire.dark.add(("192.0.2.2", 2))
    exchange(left, right, first, second)
    wire.run(0.15)
    wire.dark.clear()
    wire.run(0.5)
    (pair,) = first.checklist.pairs.values()
    assert pair.requests_sent > 1
    assert pair.total_rtt < 0.021 * pair.responses_received


def test_an_answer_that_comes_after_the_failure_is_none() -> None:
    wire, side, generation = alone()
    failed_after(wire, side)
    (pair,) = generation.checklist.pairs.values()
    sent = side.bases[0].sent[-1][1]
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 1), sent[8:20])
    answer(wire, side, generation, sent, stun.BINDING_SUCCESS, body, pair.address)
    assert not pair.is_valid
    assert side.core.route is None


def test_what_the_network_says_of_a_path_that_works_is_not_believed() -> None:
    wire, left, _, _, _ = connected_pair()
    pair = left.core.route
    assert pair is not None
    left.core.fail_path(wire.now, pair.base, pair.address)
    assert pair.is_valid
    assert left.core.route is pair
    assert not pair.exhausted


@pytest.mark.parametrize("use_candidate", [True, False])
def test_a_nomination_that_came_before_the_credentials_counts_when_they_are_there(
    use_candidate: bool,
) -> None:
    """RFC 8445 7.3: such a check is answered at once, and processed when the answer has come."""
    wire = Wire()
    side = Side(wire, False)
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    address = ("192.0.2.9", 9)
    assert generation.admit(wire.now, base, address, 77)
    generation.on_request(wire.now, base, address, 77, use_candidate)
    side.core.set_remote(wire.now, new_credentials())
    (pair,) = generation.checklist.pairs.values()
    assert pair.wanted is use_candidate


def test_pairs_of_a_base_that_is_gone_are_tried_again_after_a_pause() -> None:
    wire, left, _right, first, _second = connected_pair(addresses=2)
    selected = left.core.route
    assert selected is not None
    gone = next(p.base for p in first.checklist.pairs.values() if p.base is not selected.base)
    first.lose_base(wire.now, gone)
    lost = [p for p in first.checklist.pairs.values() if p.base is gone]
    assert lost
    assert {p.state for p in lost} == {PairStatus.FAILED}
    assert {p.retry_at - wire.now for p in lost} == {left.context.settings.retry_interval}
    assert selected.is_valid


def test_who_controls_is_not_told_by_the_other_side_what_to_use() -> None:
    wire, left, _right, first, _second = connected_pair(addresses=2)
    nominated = first.nominated
    other = next(p for p in first.checklist.pairs.values() if p is not nominated)
    before = other.requests_received, other.responses_sent
    first.on_request(wire.now, other.base, other.address, 99, True)
    left.core.tick(wire.now)
    assert first.nominated is nominated
    assert not other.wanted
    assert (other.requests_received, other.responses_sent) == (before[0] + 1, before[1] + 1)


def test_what_is_counted_and_kept_of_a_pair_while_it_is_asked() -> None:
    wire, left, _right, _first, _second = connected_pair()
    pair = left.core.route
    assert pair is not None
    since, asked = pair.first_valid_at, pair.consent_requests_sent
    # a round trip after the beginning
    assert since == pytest.approx(100.02)
    pair.exhausted = True
    wire.run(20)
    assert pair.first_valid_at == since
    assert pair.consent_requests_sent > asked
    assert not pair.exhausted


def test_a_role_conflict_about_a_pair_that_works_does_not_end_it() -> None:
    """RFC 8445 7.2.5.1: the check is sent again, in the other role."""
    wire, left, _right, first, _second = connected_pair()
    pair = left.core.route
    assert pair is not None
    first._send_check(wire.now, pair, probe=True)
    sent = left.bases[0].sent[-1][1]
    answer(wire, left, first, sent, stun.BINDING_ERROR, stun.error_code(487, "Role Conflict"), pair.address)
    assert pair.is_valid
    assert left.core.role == "controlled"
    assert first.checklist.next_pair(None) is pair or pair.check is not None


def test_requests_that_nobody_answers_are_not_kept() -> None:
    wire, _left, _right, first, _second = connected_pair()
    wire.dark |= {("192.0.2.2", 2000)}
    wire.run(25)
    assert not first.failed
    assert all(wire.now - check.sent_at <= 8 for check in first._checks._probes.values())
    assert len(first._checks) < 20


def test_the_best_of_the_others_are_asked_when_the_selected_pair_is_quiet() -> None:
    """Each by its server's permission, and no more than a few."""
    wire, left, _right, first, _second = connected_pair(addresses=4)
    valid = [p for p in first.checklist.pairs.values() if p is not first.selected]
    for pair in valid:
        first.checklist.settle(pair, PairStatus.SUCCEEDED)
    for each in left.bases:
        each.sent.clear()
        each.prepared.clear()
    best = sorted(valid, key=lambda pair: pair.preference, reverse=True)[:8]
    assert len(best) < len(valid)
    first.look_for_backups(wire.now)
    asked = [(each, address) for each in left.bases for _at, _data, address in each.sent]
    assert len(asked) == 8
    assert {(pair.base, pair.address) for pair in best} == set(asked)
    assert {(each, address) for each in left.bases for address in each.prepared} >= set(asked)


@pytest.mark.parametrize("which", ["the selected pair", "a better one"])
def test_a_base_that_goes_takes_the_nomination_on_its_way_along(which: str) -> None:
    """Nobody answers it any more; of the pairs that are left one is nominated."""
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    for number in range(2):
        left.offer_base(first, left.base("192.0.2.1", 1000 + number), priority=200 - number)
    right.offer_base(second, right.base("192.0.2.2", 2000))
    exchange(left, right, first, second)
    if which == "a better one":
        wire.run(1)
        first.nomination.pending = next(p for p in first.checklist.pairs.values() if p is not first.nominated)
        first.checklist.settle(first.nomination.pending, PairStatus.SUCCEEDED)
        wire.dark.add(first.nomination.pending.base.address)
        first._send_check(wire.now, first.nomination.pending, nominate=True)
    else:
        wire.run(0.021)
    pending = first.nomination.pending
    assert pending is not None
    wire.dark.add(pending.base.address)
    left.core.lose_base(wire.now, pending.base)
    wire.run(1)
    assert first.nomination.pending is None
    assert first.nominated is not None
    assert first.nominated.base is not pending.base
    assert second.nominated is not None
    assert second.nominated.address == first.nominated.base.address
    assert left.core.state == right.core.state == "completed"


# -- the schedule of checks ------------------------------------------------------------------------


def sent_at(wire: Wire, since: float = 100.0) -> list[float]:
    """When each request left, counted from then."""
    return [round(at - since, 3) for at, data, _, _ in wire.log if data[:2] == b"\0\1" and at >= since]


def test_a_check_is_repeated_after_timeouts_that_double_to_a_bound() -> None:
    """RFC 8445 14.3; while nothing else works there is nothing better to do than going on."""
    wire, side, generation = alone()
    (pair,) = generation.checklist.pairs.values()
    wire.run(7.8)
    assert sent_at(wire) == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1, 4.7, 6.3])
    assert not pair.exhausted
    assert side.core.state == "checking"
    wire.run(4)
    assert sent_at(wire)[8:] == pytest.approx([7.9, 9.5, 11.1])
    assert pair.requests_sent == 11
    assert pair.exhausted
    assert pair.state is PairStatus.IN_PROGRESS


def test_where_a_pair_works_another_has_failed_after_so_many_transmissions() -> None:
    wire, left, _, first, _ = connected_pair()
    address = ("192.0.2.99", 9)
    left.core.add_remote(wire.now, candidate(*address), address)
    pair = first.checklist.find(left.bases[0], address)
    assert pair is not None
    first.checklist.trigger(pair)
    began = wire.now
    wire.run(7.8)
    assert pair.state is PairStatus.IN_PROGRESS
    wire.run(0.2)
    assert pair.state is PairStatus.FAILED
    assert pair.requests_sent == left.context.settings.check_tries
    # and its next chance is a while after
    assert pair.retry_at == pytest.approx(began + 7.9 + left.context.settings.retry_interval)
    assert first.selected is not pair


def test_checks_leave_one_after_the_other_and_the_best_first() -> None:
    """RFC 8445 14.2: paced by Ta."""
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    side.offer_base(generation, side.base("192.0.2.1", 1))
    side.core.set_remote(wire.now, new_credentials())
    for port in (7, 8, 9):
        side.core.add_remote(wire.now, candidate("192.0.2.9", port, priority=port), ("192.0.2.9", port))
    wire.run(0.05)
    pacing = side.context.settings.pacing
    assert sent_at(wire) == pytest.approx([0, pacing, 2 * pacing])
    # the first one was alone when it was there
    assert [target[1] for _, _, _, target in wire.log] == [7, 9, 8]


def test_a_path_that_the_network_refuses_is_not_waited_for() -> None:
    wire, side, generation = alone()
    (pair,) = generation.checklist.pairs.values()
    side.core.fail_path(wire.now, pair.base, ("192.0.2.9", 10))
    assert pair.state is PairStatus.IN_PROGRESS
    side.core.fail_path(wire.now, pair.base, pair.address)
    assert pair.state is PairStatus.FAILED
    assert side.core.state == "disconnected"
    assert pair.retry_at == wire.now + side.context.settings.retry_interval
    before = pair.requests_sent
    wire.run(side.context.settings.retry_interval)
    assert pair.requests_sent == before + 1


# -- what comes in ---------------------------------------------------------------------------------


def test_an_early_check_that_is_refused_does_not_hold_up_those_behind_it() -> None:
    wire = Wire()
    side = Side(wire, True)
    side.context.accepts_remote = lambda told: told.port != 8
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    for port in (7, 8, 9):
        assert generation.admit(wire.now, base, ("192.0.2.9", port), port)
        generation.on_request(wire.now, base, ("192.0.2.9", port), port, False)
    side.core.set_remote(wire.now, new_credentials())
    found = [(remote.address[1], remote.candidate.priority) for remote in generation.remotes]
    assert found == [(7, 7), (9, 9)]
    assert [pair.requests_received for pair in generation.checklist.pairs.values()] == [1, 1]


@pytest.mark.parametrize(
    ("silence", "selected", "woken"), [(1.5, True, True), (1.4, True, False), (1.5, False, False)]
)
def test_the_selected_pair_wakes_up_when_it_is_heard_after_silence(
    silence: float, selected: bool, woken: bool
) -> None:
    _, left, _, first, _ = connected_pair(addresses=2)
    pair = next(p for p in first.checklist.pairs.values() if (p is left.core.route) is selected)
    pair.heard_at = 100.0
    first.on_request(100.0 + silence, pair.base, pair.address, 99, False)
    assert first.woken is (pair if woken else None)
    assert pair.heard_at == 100.0 + silence


def nominated_unheard() -> tuple[Wire, Side, Generation]:
    """A side that controls and has nominated a pair whose other end has sent no check."""
    wire, side, generation = alone()
    for _ in range(2):
        sent = side.bases[0].sent[-1][1]
        body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 1), sent[8:20])
        answer(wire, side, generation, sent, stun.BINDING_SUCCESS, body, ("192.0.2.9", 9))
    assert generation.nominated is not None
    return wire, side, generation


def test_a_nomination_is_said_again_once_when_the_other_side_begins_to_ask() -> None:
    """It may have dropped what it got before it knew our credentials."""
    wire, side, generation = nominated_unheard()
    assert generation.remote is not None
    assert not generation.is_agreed
    packet = request(generation.local, generation.remote.ufrag)
    said = []
    for _ in range(2):
        side.bases[0].sent.clear()
        side.core.on_stun_untrusted(wire.now, side.bases[0], packet, ("192.0.2.9", 9))
        said.append(
            [
                stun.USE_CANDIDATE in message.attributes
                for _, data, _ in side.bases[0].sent
                if (message := stun.parse_untrusted(data)).kind == stun.BINDING_REQUEST
            ]
        )
    assert said == [[True], []]
    assert generation.is_agreed


def test_an_end_that_is_lite_knows_of_the_nomination_without_a_check_of_its_own() -> None:
    """RFC 8445 2.5: it sends none."""
    _, _, generation = nominated_unheard()
    assert generation.remote is not None
    generation.remote = replace(generation.remote, lite=True)
    assert generation.is_agreed
    generation.nomination.nominated = None
    assert not generation.is_agreed


@pytest.mark.parametrize("is_lite", [False, True])
def test_requests_for_consent_nominate_only_for_a_lite_end(is_lite: bool) -> None:
    wire, left, right, first, second = connected_pair()
    assert first.remote is not None
    assert second.remote is not None
    first.remote, second.remote = replace(first.remote, lite=is_lite), replace(second.remote, lite=is_lite)
    for side in (left, right):
        side.bases[0].sent.clear()
    wire.run(20)
    for side in (left, right):
        asked = [stun.parse_untrusted(data) for _, data, _ in side.bases[0].sent]
        said = [
            stun.USE_CANDIDATE in message.attributes
            for message in asked
            if message.kind == stun.BINDING_REQUEST
        ]
        assert len(said) >= 3
        # who is controlled nominates nothing whatever the other one is
        assert set(said) == {is_lite and side is left}


@pytest.mark.parametrize("controlling", [True, False])
def test_while_data_flows_consent_is_asked_for_four_to_six_seconds_after_the_selection_and_each_request(
    controlling: bool,
) -> None:
    """RFC 7675 5.1."""
    wire, left, right, _, _ = connected_pair()
    side = left if controlling else right
    pair = side.core.route
    assert pair is not None
    before = len(side.bases[0].sent)
    for _ in range(200):
        for each in (left, right):
            assert each.core.route is not None
            each.core.route.heard_at = wire.now
        wire.run(0.1)
    times = [
        100.02,
        *(at for at, data, _ in side.bases[0].sent[before:] if data[:2] == b"\0\1"),
    ]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert len(gaps) >= 3
    assert all(3.95 <= gap <= 6.05 for gap in gaps)


# -- loss, failure and what comes after ------------------------------------------------------------


def test_an_outage_that_the_other_end_ends_is_not_told_twice() -> None:
    """Our last answer is from long before it, and our next request is on its way when theirs comes."""
    wire, left, _, first, _ = connected_pair()
    pair = left.core.route
    assert pair is not None
    pair.heard_at, pair.consented_at = wire.now - 8, wire.now - 13
    left.core.tick(wire.now)
    assert left.core.state == "disconnected"

    pair.heard_at = wire.now
    states = []
    for elapsed in (0.0, 0.2, 0.4):
        left.core.woken(wire.now + elapsed, pair)
        states.append(left.core.state)
    assert states == ["completed"] * 3
    # a path that brings data and no answer is in trouble all the same
    pair.heard_at = wire.now + 5
    assert first.level(wire.now + 5) is Liveness.SILENT


def test_a_base_that_goes_is_silence_at_once() -> None:
    wire, left, _, first, _ = connected_pair()
    pair = left.core.route
    assert pair is not None
    assert not pair.is_silent
    wire.dark.add(pair.base.address)
    left.core.lose_base(wire.now, pair.base)
    assert left.core.state == "disconnected"
    assert pair.is_silent
    assert pair.is_valid
    # a path that is silent already is not heard of by that
    pair.heard_at = wire.now - 20
    left.core.lose_base(wire.now, pair.base)
    assert pair.heard_at == wire.now - 20
    assert first.selected is pair


def test_time_that_the_loop_stood_still_is_silence_of_no_pair() -> None:
    wire, left, _, first, _ = connected_pair(addresses=2)
    before = [(p.heard_at, p.consented_at) for p in first.checklist.pairs.values()]
    first.shift(12)
    after = [(p.heard_at, p.consented_at) for p in first.checklist.pairs.values()]
    assert after == [(heard + 12, consented + 12) for heard, consented in before]
    first.give_up(wire.now)
    first.shift(12)
    assert [(p.heard_at, p.consented_at) for p in first.checklist.pairs.values()] == after
    assert left.core.route is first.selected


def test_after_the_failure_the_path_is_asked_ever_more_slowly() -> None:
    wire, left, right, first, _ = connected_pair()
    wire.dark.add(("192.0.2.2", 2000))
    failed_after(wire, left)
    assert first.failed
    assert first.level(wire.now) is Liveness.EXPIRED
    since = wire.now
    left.bases[0].sent.clear()
    wire.run(100)
    times = [at - since for at, _, _ in left.bases[0].sent]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[:5] == pytest.approx([0.5] * 5, abs=0.01)
    assert gaps[-1] == pytest.approx(4)
    assert [round(gap, 6) for gap in gaps] == sorted(round(gap, 6) for gap in gaps)
    wire.dark.clear()
    wire.run(4.5)
    assert left.core.state == right.core.state == "completed"


def test_a_failed_generation_withdraws_what_was_on_its_way() -> None:
    wire, _, generation = alone()
    (pair,) = generation.checklist.pairs.values()
    generation.nomination.pending = pair
    generation.give_up(wire.now)
    assert generation.nomination.pending is None
    assert pair.state is PairStatus.FAILED
    assert pair.check is None
    assert not generation.checklist.is_busy


def test_a_mapping_is_needed_until_a_pair_is_nominated_or_there_is_no_hope() -> None:
    """RFC 8445 5.1.1.4: keepalives of the candidates that a check may still come through."""
    wire, side, generation = alone()
    half = generation.half
    fork = Generation(side.context, half)
    assert (generation.needs_mappings, half.needs_mappings) == (True, True)
    for generation_or_fork in (generation, fork):
        assert half.needs_mappings
        generation_or_fork.give_up(wire.now)
        assert not generation_or_fork.needs_mappings
    assert not half.needs_mappings
    generation.failed = False
    assert half.needs_mappings
    generation.retired_until = wire.now + 1
    assert not half.needs_mappings
    generation.retired_until = None
    generation.nomination.nominated = next(iter(generation.checklist.pairs.values()))
    assert not half.needs_mappings


def test_what_is_retired_waits_for_its_end_alone() -> None:
    wire, side, generation = alone()
    generation.retired_until = wire.now + 3
    assert generation.next_time(wire.now) == wire.now + 3
    sent = len(side.bases[0].sent)
    generation.tick(wire.now + 2)
    generation.decide(wire.now + 50)
    assert len(side.bases[0].sent) == sent
    assert not generation.failed
    (pair,) = generation.checklist.pairs.values()
    assert generation.admit(wire.now, pair.base, pair.address, 1)
    assert not generation.admit(wire.now, pair.base, ("192.0.2.9", 10), 1)


def test_a_generation_is_known_by_our_half_and_both_of_the_remote_credentials() -> None:
    _, side, generation = alone()
    remote = generation.remote
    assert remote is not None
    assert generation.is_between(generation.half, replace(remote, lite=True))
    assert not generation.is_between(generation.half, replace(remote, ufrag="other"))
    assert not generation.is_between(generation.half, replace(remote, pwd="o" * 24))
    other = Generation(side.context, LocalSide(generation.local))
    assert not generation.is_between(other.half, remote)
    assert not other.is_between(other.half, remote)


def test_all_is_at_rest_when_a_pair_is_nominated_and_nothing_is_on_its_way() -> None:
    _, left, _, first, _ = connected_pair()
    pair = left.core.route
    assert pair is not None
    assert first.is_completed
    assert first.is_at_rest(pair)
    first.nomination.pending = pair
    assert not first.is_at_rest(pair)
    first.nomination.pending = None
    first.checklist.trigger(pair)
    assert not first.is_at_rest(pair)
    first.checklist.settle(pair, PairStatus.SUCCEEDED)
    assert first.is_at_rest(pair)
    first.failed = True
    assert not first.is_at_rest(pair)
    first.failed = False
    pair.state = PairStatus.FAILED
    assert not first.is_at_rest(pair)
    # a later look at pairs that failed is no step back
    assert first.is_completed


def test_nothing_is_left_to_find_when_both_have_ended_and_no_better_pair_is_outstanding() -> None:
    wire, side, generation = nominated_unheard()
    assert not generation.is_completed
    side.core.set_gathered(wire.now, generation)
    assert not generation.is_completed
    generation.remote_ended = True
    generation.nomination.nominated, kept = None, generation.nominated
    assert not generation.is_completed
    generation.nomination.nominated = kept
    better = generation.pairing.learn_remote(wire.now, side.bases[0], ("192.0.2.8", 8), 1, None)
    assert kept is not None
    assert better is not None
    better.rank, kept.rank = 0, 1
    assert not generation.is_completed
    better.state = PairStatus.FAILED
    assert generation.is_completed
