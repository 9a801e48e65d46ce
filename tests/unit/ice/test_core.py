"""Two cores against each other: connecting, losing, restarting, disagreeing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.core import IceCore
from rtcpeer.ice.early_checks import EarlyChecks
from rtcpeer.ice.events import ActiveWanted, GenerationDropped, Woken
from rtcpeer.ice.pair import Base
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, CandidateType, IceRole, IceTransportPolicy
from tests.unit.ice.support import Side, Wire, candidate, connected_pair, exchange, request


def test_connects_in_one_round_trip() -> None:
    wire = Wire(delay=0.1)
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    exchange(left, right, first, second)
    wire.run(0.2)
    assert left.core.state == right.core.state == "connected"
    wire.run(0.2)
    assert left.core.state == right.core.state == "completed"
    assert left.states == ["checking", "connected", "completed"]
    assert first.nominated is not None
    assert second.nominated is not None


def test_new_until_a_remote_candidate_is_known() -> None:
    wire = Wire()
    side = Side(wire, True)
    side.start()
    side.core.set_remote(wire.now, new_credentials())
    assert side.core.state == "new"
    side.core.add_remote(wire.now, candidate(), ("192.0.2.9", 9))
    assert side.core.state == "checking"


def test_early_checks_are_answered_and_remembered() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    right.core.set_remote(wire.now, first.local)
    right.core.add_remote(wire.now, candidate("192.0.2.1", 1), ("192.0.2.1", 1))
    wire.run(0.05)
    assert right.core.state == "connected"
    assert left.core.state == "new"
    left.core.set_remote(wire.now, second.local)
    wire.run(0.05)
    assert left.core.state == "connected"
    assert left.selections[0].remote.candidate.type is CandidateType.PRFLX


def test_early_checks_are_bounded() -> None:
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    for number in range(2000):
        source = (f"198.51.{number % 100}.7", 1000 + number)
        side.core.on_stun_untrusted(wire.now, base, request(generation.local), source)
    assert len(generation._early) <= side.context.settings.max_early_checks
    side.core.set_remote(wire.now, new_credentials())
    assert len(generation.remotes) <= side.context.settings.max_peer_reflexive


def test_a_signalled_candidate_gives_a_peer_reflexive_one_its_name() -> None:
    wire, left, _, first, _ = connected_pair()
    remote = first.remotes[0]
    remote.candidate = replace(remote.candidate, type=CandidateType.PRFLX)
    left.core.add_remote(wire.now, candidate("192.0.2.2", 2000, priority=7), ("192.0.2.2", 2000))
    assert [r.candidate.priority for r in first.remotes] == [7]


@pytest.mark.parametrize("what", ["wrong password", "wrong ufrag", "garbage", "no integrity"])
def test_what_is_not_authentic_is_not_answered(what: str) -> None:
    wire, left, _, first, second = connected_pair()
    base = left.bases[0]
    base.sent.clear()
    stranger = ("203.0.113.9", 99)
    data = {
        "wrong password": request(first.local, second.local.ufrag, key="x" * 24),
        "wrong ufrag": request(new_credentials(), second.local.ufrag),
        "garbage": b"\0\1garbage-that-is-no-message",
        "no integrity": stun.encode(1, b"x" * 12, stun.attribute(stun.USERNAME, first.local.ufrag.encode())),
    }[what]
    left.core.on_stun_untrusted(wire.now, base, data, stranger)
    assert not base.sent
    assert len(first.remotes) == 1


def test_unknown_required_attributes_get_420() -> None:
    wire, left, _, first, second = connected_pair()
    base = left.bases[0]
    base.sent.clear()
    data = request(first.local, second.local.ufrag, extra=stun.attribute(0x7777, b""))
    left.core.on_stun_untrusted(wire.now, base, data, ("203.0.113.9", 99))
    answer = stun.parse_untrusted(base.sent[0][1])
    assert answer.error[0] == 420
    assert answer.attributes[stun.UNKNOWN_ATTRIBUTES] == b"\x77\x77"


def test_a_forged_response_changes_nothing() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    base = left.base("192.0.2.1", 1)
    left.offer_base(first, base)
    right.offer_base(second, right.base("192.0.2.2", 2))
    wire.dark.add(("192.0.2.2", 2))
    exchange(left, right, first, second)
    check = stun.parse_untrusted(base.sent[0][1])
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 1), check.transaction_id)
    forged = stun.encode(stun.BINDING_SUCCESS, check.transaction_id, body, b"guess")
    left.core.on_stun_untrusted(wire.now, base, forged, ("192.0.2.2", 2))
    right_key = stun.encode(stun.BINDING_SUCCESS, check.transaction_id, body, second.local_key)
    left.core.on_stun_untrusted(wire.now, base, right_key, ("203.0.113.1", 2))
    assert left.core.state == "checking"
    left.core.on_stun_untrusted(wire.now, base, right_key, ("192.0.2.2", 2))
    assert left.core.state == "connected"
    left.core.on_stun_untrusted(wire.now, base, right_key, ("192.0.2.2", 2))


@pytest.mark.parametrize("controlling", [True, False])
def test_role_conflicts_resolve_themselves(controlling: bool) -> None:
    wire = Wire()
    left, right = Side(wire, controlling, seed=1), Side(wire, controlling, seed=2)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    exchange(left, right, first, second)
    wire.run(2)
    assert left.core.state == right.core.state == "completed"
    assert {left.core.role, right.core.role} == {IceRole.CONTROLLING, IceRole.CONTROLLED}
    assert len(left.roles) + len(right.roles) == 1
    larger = left if left.context.tie_breaker > right.context.tie_breaker else right
    assert larger.core.role is IceRole.CONTROLLING


def test_a_lite_remote_makes_us_controlling_and_hears_use_candidate_in_consent() -> None:
    wire = Wire()
    left, right = Side(wire, False), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    lite = replace(second.local, lite=True)
    left.core.set_remote(wire.now, lite)
    left.core.add_remote(wire.now, candidate("192.0.2.2", 2), ("192.0.2.2", 2))
    right.core.set_remote(wire.now, first.local)
    wire.run(0.5)
    assert left.core.role is IceRole.CONTROLLING
    left.bases[0].sent.clear()
    wire.run(8)
    requests = [
        m for _, d, _ in left.bases[0].sent if (m := stun.parse_untrusted(d)).kind == stun.BINDING_REQUEST
    ]
    assert requests
    assert all(stun.USE_CANDIDATE in m.attributes for m in requests)


def test_silence_disconnects_and_traffic_reconnects() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.run(20)
    assert left.states[-1] == "completed"
    heard = left.core.route.heard_at  # type: ignore[union-attr]
    wire.dark.add(("192.0.2.2", 2000))
    while left.core.state != "disconnected":
        wire.run(0.01)
    assert 5.0 <= wire.now - heard <= 6.5
    wire.dark.clear()
    wire.run(0.5)
    assert left.core.state == right.core.state == "completed"


def test_silence_fails_after_thirty_seconds_and_the_path_is_still_asked_for() -> None:
    wire, left, _, _, _ = connected_pair()
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(29)
    assert left.core.state == "disconnected"
    wire.run(1.6)
    assert left.states[-2:] == ["disconnected", "failed"]
    assert left.core.route is None
    left.bases[0].sent.clear()
    wire.run(60)
    assert 10 < len(left.bases[0].sent) < 60
    wire.run(1000)
    left.bases[0].sent.clear()
    wire.run(600)
    assert not left.bases[0].sent


def test_a_failed_path_comes_back_by_itself() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(60)
    assert left.core.state == right.core.state == "failed"
    wire.dark.clear()
    wire.run(4)
    assert left.states[-2:] == right.states[-2:] == ["failed", "completed"]
    wire.run(60)
    assert left.core.state == right.core.state == "completed"


def test_a_candidate_or_check_that_comes_after_failed_still_counts() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    told = right.offer_base(second, right.base("192.0.2.2", 2))
    left.core.set_remote(wire.now, second.local)
    right.core.set_remote(wire.now, first.local)
    wire.run(40)
    assert left.core.state == right.core.state == "failed"
    left.core.add_remote(wire.now, told, ("192.0.2.2", 2))
    wire.run(1)
    assert left.core.state == right.core.state == "connected"


def test_consent_expires_although_data_arrives() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.cut.add((("192.0.2.1", 1000), ("192.0.2.2", 2000)))
    for _ in range(310):
        pair = left.core.route
        if pair is not None:
            pair.heard_at = wire.now
        wire.run(0.1)
    assert left.core.state == "failed"
    assert right.core.state == "failed"


def test_consent_requests_come_every_four_to_six_seconds_when_data_flows() -> None:
    wire, left, right, _, _ = connected_pair()
    left.bases[0].sent.clear()
    for _ in range(600):
        for side in (left, right):
            side.core.route.heard_at = wire.now  # type: ignore[union-attr]
        wire.run(0.1)
    times = [t for t, d, _ in left.bases[0].sent if stun.parse_untrusted(d).kind == stun.BINDING_REQUEST]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps
    assert all(3.99 <= gap <= 6.01 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.5


def test_lag_is_not_silence() -> None:
    wire, left, _, _, _ = connected_pair()
    wire.now += 12
    left.core.lagged(12)
    left.core.tick(wire.now)
    assert left.core.state == "completed"


def test_no_pair_fails_fifteen_seconds_after_both_ended() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    wire.dark.add(("192.0.2.2", 2))
    exchange(left, right, first, second)
    wire.run(6)
    assert left.core.state == "checking"
    wire.run(8.9)
    assert left.core.state == "disconnected"
    wire.run(0.2)
    assert left.core.state == right.core.state == "failed"
    assert left.states == ["checking", "disconnected", "failed"]


def test_no_candidates_and_no_end_fail_after_thirty_seconds() -> None:
    wire = Wire()
    left = Side(wire, True)
    first = left.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    left.core.set_remote(wire.now, new_credentials())
    wire.run(29.9)
    assert left.core.state == "new"
    wire.run(0.2)
    assert left.core.state == "failed"


def restart(left: Side, right: Side, priority: int = 100) -> tuple[object, object]:
    """A restart over the same bases; gives the new generations."""
    first, second = left.start(), right.start()
    for side, generation in ((left, first), (right, second)):
        for base in side.bases:
            side.offer_base(generation, base, priority=priority)
    exchange(left, right, first, second)
    return first, second


def test_restart_keeps_the_old_pair_until_the_new_one_is_nominated() -> None:
    wire, left, right, first, second = connected_pair()
    old = left.core.route
    wire.delay = 0.1
    new_first, _ = restart(left, right)
    assert left.core.route is old
    assert left.core.state == "completed"
    wire.run(0.15)
    assert left.core.route is old
    wire.run(0.5)
    assert left.core.route is not old
    assert left.core.route.owner is new_first  # type: ignore[union-attr]
    assert left.core.state == right.core.state == "completed"
    assert left.states == ["checking", "connected", "completed"]
    assert first in left.core.retired
    wire.run(4)
    assert not left.core.retired
    assert GenerationDropped(first) in left.events
    assert GenerationDropped(second) in right.events


def test_a_retired_generation_still_answers() -> None:
    wire, left, right, first, second = connected_pair()
    restart(left, right)
    wire.run(0.2)
    base = left.bases[0]
    base.sent.clear()
    left.core.on_stun_untrusted(wire.now, base, request(first.local, second.local.ufrag), ("192.0.2.2", 2000))
    assert stun.parse_untrusted(base.sent[0][1]).kind == stun.BINDING_SUCCESS
    assert all(p.owner is not first for p in [left.core.route])


def test_rollback_returns_to_the_old_generation() -> None:
    wire, left, right, first, _ = connected_pair()
    pending = left.start()
    left.offer_base(pending, left.bases[0])
    assert left.core.state == "completed"
    left.core.rollback(wire.now)
    left.drain()
    assert left.core.generations == [first]
    assert GenerationDropped(pending) in left.events
    wire.run(1)
    assert left.core.state == right.core.state == "completed"


def test_rollback_of_remote_credentials() -> None:
    wire, left, _, first, second = connected_pair()
    left.core.rollback(wire.now)
    fresh = left.start()
    assert fresh.remote is None
    assert first.remote == second.local


def test_a_nomination_that_came_before_the_answer_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """We control and answer a restart; the other side, like Firefox, keeps one early check of each source."""

    def forget_what_repetitions_say(checks: EarlyChecks, base: Base, address: Address, _: bool) -> None:
        assert checks.has(base, address)

    monkeypatch.setattr(EarlyChecks, "note", forget_what_repetitions_say)
    wire, left, right, _, _ = connected_pair()
    old = left.core.route
    fresh, answer = right.start(), left.start()
    right.offer_base(fresh, right.bases[0])
    left.offer_base(answer, left.bases[0])
    left.core.set_remote(wire.now, fresh.local)
    left.core.add_remote(wire.now, fresh.locals[0].candidate, ("192.0.2.2", 2000))
    wire.run(0.3)
    assert answer.nominated is not None
    # what went over the new path now, the other side would drop
    assert left.core.route is old
    right.core.set_remote(wire.now, answer.local)
    right.core.add_remote(wire.now, answer.locals[0].candidate, ("192.0.2.1", 1000))
    wire.run(0.1)
    assert fresh.nominated is not None
    assert right.core.route.owner is fresh  # type: ignore[union-attr]
    assert left.core.route.owner is answer  # type: ignore[union-attr]


def test_ten_restarts_in_a_row_without_an_answer() -> None:
    wire, left, right, first, _ = connected_pair()
    for _ in range(10):
        left.start()
        wire.run(0.01)
    assert len(left.core.generations) == 2
    assert left.core.generations[0] is first
    newest, answer = left.core.generations[-1], right.start()
    left.offer_base(newest, left.bases[0])
    right.offer_base(answer, right.bases[0])
    exchange(left, right, newest, answer)
    wire.run(0.3)
    assert left.core.route.owner is newest  # type: ignore[union-attr]


def test_an_offer_to_restart_that_another_replaces_is_told_and_leaves_nothing() -> None:
    _, left, _, _, _ = connected_pair()
    replaced = left.start()
    left.drain()
    left.start()
    left.drain()
    assert [e.generation for e in left.events if isinstance(e, GenerationDropped)] == [replaced]
    assert replaced not in replaced.half.users


def test_ten_answered_restarts_in_a_row_keep_few_generations() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.delay = 0.2
    for _ in range(10):
        restart(left, right)
        wire.run(0.01)
        assert len(left.core.generations) <= 3
    wire.run(2)
    assert left.core.state == right.core.state == "completed"
    assert len(left.core.generations) == 1
    wire.run(5)
    assert not left.core.retired


def test_failed_is_revived_by_a_restart() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(31)
    assert left.core.state == right.core.state == "failed"
    wire.dark.clear()
    restart(left, right)
    left.drain()
    assert left.core.state == "checking"
    wire.run(0.2)
    assert left.core.state == right.core.state == "completed"


def test_a_restart_while_disconnected_forgets_the_loss() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(8)
    assert left.core.state == "disconnected"
    restart(left, right)
    left.drain()
    assert left.core.state == "checking"
    wire.dark.clear()
    wire.run(0.3)
    assert left.core.state == "completed"


def test_a_restart_that_finds_nothing_leaves_a_working_path_alone() -> None:
    wire, left, right, first, _ = connected_pair()
    fresh, answer = left.start(), right.start()
    exchange(left, right, fresh, answer)
    wire.run(40)
    assert left.core.route.owner is first  # type: ignore[union-attr]
    assert left.core.state in ("connected", "completed")


def test_a_restart_under_the_relay_policy_gives_up_a_direct_path() -> None:
    """The W3C suite: from "all" to "relay" without a relay, both sides fail."""
    wire, left, right, first, _ = connected_pair()
    left.context.settings = replace(left.context.settings, policy=IceTransportPolicy.RELAY)
    wire.run(10)
    assert left.core.state == "completed"  # the path in use is not touched
    fresh, answer = left.start(), right.start()
    right.offer_base(answer, right.bases[0])
    wire.run(1)
    assert left.core.state == "completed"
    exchange(left, right, fresh, answer)
    assert left.core.route is None
    assert first in left.core.retired
    wire.run(15.1)
    assert left.core.state == right.core.state == "failed"
    assert right.states[-2:] == ["disconnected", "failed"]
    left.context.settings = replace(left.context.settings, policy=IceTransportPolicy.ALL)
    fresh, answer = left.start(), right.start()
    left.offer_base(fresh, left.bases[0])
    right.offer_base(answer, right.bases[0])
    exchange(left, right, fresh, answer)
    wire.run(0.5)
    assert left.core.state == right.core.state == "completed"


def test_a_restart_under_the_relay_policy_keeps_a_relayed_path() -> None:
    wire, left, right, first, _ = connected_pair()
    first.selected.local.candidate = replace(  # type: ignore[union-attr]
        first.selected.local.candidate,  # type: ignore[union-attr]
        type=CandidateType.RELAY,
    )
    left.context.settings = replace(left.context.settings, policy=IceTransportPolicy.RELAY)
    exchange(left, right, left.start(), right.start())
    wire.run(40)
    assert left.core.route.owner is first  # type: ignore[union-attr]


def test_data_may_overtake_the_answer_to_a_restart() -> None:
    wire, left, right, _, _ = connected_pair()
    fresh, answer = left.start(), right.start()
    base, far = left.base("192.0.2.1", 3000), right.base("192.0.2.2", 4000)
    left.offer_base(fresh, base)
    right.offer_base(answer, far)
    assert not left.core.is_early(base, far.address)
    wire.dark = {left.bases[0].address}
    wire.run(6)
    right.core.set_remote(wire.now, fresh.local)
    right.core.add_remote(wire.now, fresh.locals[0].candidate, base.address)
    wire.run(0.05)
    assert right.core.route.base is far  # type: ignore[union-attr]
    assert left.core.is_early(base, far.address)
    assert not left.core.is_early(base, ("192.0.2.2", 4001))
    left.core.set_remote(wire.now, answer.local)
    assert not left.core.is_early(base, far.address)
    assert base.routes[far.address].owner is fresh


def test_candidates_of_unknown_generations_are_ignored() -> None:
    wire, left, _, first, _ = connected_pair()
    left.core.add_remote(wire.now, candidate("192.0.2.99", 1, ufrag="none"), ("192.0.2.99", 1))
    left.core.end_of_remote(wire.now, "none")
    assert len(first.remotes) == 1


def test_remote_candidates_are_bounded() -> None:
    wire, left, _, first, _ = connected_pair()
    for port in range(1, 10000):
        left.core.add_remote(wire.now, candidate("192.0.2.99", port), ("192.0.2.99", port))
    settings = left.context.settings
    assert len(first.remotes) <= settings.max_remote_candidates
    assert len(first.checklist.pairs) <= settings.max_pairs


def test_a_backup_takes_over_before_anybody_notices() -> None:
    wire, left, right, _, _ = connected_pair(addresses=2)
    wire.run(3)
    path = left.core.route
    wire.dark.add(path.base.address)  # type: ignore[union-attr]
    wire.run(8)
    assert left.core.route is not path
    assert "disconnected" not in left.states + right.states
    assert left.core.state == right.core.state == "completed"


def test_a_lost_base_is_left_at_once() -> None:
    wire, left, right, _, _ = connected_pair(addresses=2)
    path = left.core.route
    wire.dark.add(path.base.address)  # type: ignore[union-attr]
    left.core.lose_base(wire.now, path.base)  # type: ignore[union-attr]
    wire.run(1)
    assert left.core.route is not path
    assert left.core.state == "completed"
    assert right.core.state == "completed"


def test_a_network_change_looks_at_the_path_at_once() -> None:
    wire, left, _, _, _ = connected_pair()
    left.bases[0].sent.clear()
    left.core.network_changed(wire.now)
    assert left.bases[0].sent
    wire.run(0.1)
    assert left.core.state == "completed"


def relay_and_host(settings: IceSettings | None = None) -> tuple[Wire, Side, Side]:
    """A relay pair that works at once and a host pair that is blocked at first."""
    wire = Wire()
    left, right = Side(wire, True, settings), Side(wire, False, settings)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1), priority=500)
    right.offer_base(second, right.base("192.0.2.2", 2), priority=500)
    relay = left.base("198.51.100.1", 9, CandidateType.RELAY)
    left.offer_base(first, relay, CandidateType.RELAY, priority=1)
    wire.cut |= {(("192.0.2.1", 1), ("192.0.2.2", 2)), (("192.0.2.2", 2), ("192.0.2.1", 1))}
    exchange(left, right, first, second)
    return wire, left, right


def test_data_flows_over_the_relay_while_it_waits_for_a_direct_path() -> None:
    wire, left, right = relay_and_host()
    wire.run(0.3)
    assert left.core.state == right.core.state == "connected"
    assert left.core.generations[0].nominated is None
    wire.cut.clear()
    wire.run(1.7)
    assert left.core.route.remote.candidate.type is CandidateType.HOST  # type: ignore[union-attr]
    assert left.core.route.local.candidate.type is CandidateType.HOST  # type: ignore[union-attr]
    assert left.core.route.nominated  # type: ignore[union-attr]


def test_a_direct_path_found_later_takes_over() -> None:
    wire, left, right = relay_and_host()
    wire.run(3)
    assert left.core.route.base.relay_protocol == "udp"  # type: ignore[union-attr]
    assert left.core.route.nominated  # type: ignore[union-attr]
    wire.run(20)
    wire.cut.clear()
    wire.run(60)
    assert left.core.route.base.relay_protocol is None  # type: ignore[union-attr]
    assert right.core.route.remote.candidate.address == "192.0.2.1"  # type: ignore[union-attr]
    assert sum(p.nominated for p in left.core.generations[0].checklist.pairs.values()) == 1


def test_symmetric_nat_shows_as_peer_reflexive() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("10.0.0.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    wire.seen_as["10.0.0.1", 1] = ("203.0.113.5", 5555)
    exchange(left, right, first, second)
    wire.run(3)
    shown = left.core.route.local_candidate  # type: ignore[union-attr]
    assert (shown.type, shown.address, shown.port) == (CandidateType.PRFLX, "203.0.113.5", 5555)
    assert (shown.related_address, shown.related_port) == ("10.0.0.1", 1)
    assert right.core.route.remote.candidate.type is CandidateType.PRFLX  # type: ignore[union-attr]


def test_heavy_loss_connects() -> None:
    for seed in range(20):
        wire = Wire(delay=0.03)
        wire.loss = 0.2
        wire.random.seed(seed)
        left, right = Side(wire, True, seed=seed), Side(wire, False, seed=seed)
        first, second = left.start(), right.start()
        left.offer_base(first, left.base("192.0.2.1", 1))
        right.offer_base(second, right.base("192.0.2.2", 2))
        exchange(left, right, first, second)
        wire.run(6)
        assert left.core.state in ("connected", "completed"), seed
        assert right.core.state in ("connected", "completed"), seed


def test_close_is_silent_and_final() -> None:
    wire, left, _, first, _ = connected_pair()
    left.core.close()
    assert left.core.state == "closed"
    assert left.core.route is None
    assert not left.bases[0].routes
    left.core.on_stun_untrusted(wire.now, left.bases[0], request(first.local), ("192.0.2.2", 2000))
    assert left.core.state == "closed"


def test_a_short_silence_is_told_when_it_ends_and_an_idle_path_is_left_alone() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.run(20)
    route = left.core.route
    assert route is not None
    assert route.requests_sent < 10
    while wire.now - route.heard_at > 0.1:
        wire.run(0.05)
    left.events.clear()
    route.sent_at = wire.now
    wire.dark.add(("192.0.2.2", 2000))
    left.bases[0].sent.clear()
    heard = route.heard_at
    wire.run(max(0.0, heard + 2.9 - wire.now))
    asked = [when - heard for when, _, _ in left.bases[0].sent]
    assert 1.4 < asked[0] < 1.6
    wire.dark.clear()
    wire.run(0.6)
    assert left.events.count(Woken()) == 1
    assert left.core.state == right.core.state == "completed"


# -- commands --------------------------------------------------------------------------------------


def test_the_role_is_unknown_until_it_is_set_and_says_whose_priority_counts() -> None:
    wire = Wire()
    side = Side(wire, True)
    side.core = IceCore(side.context, role_known=False)
    assert side.core.role is IceRole.UNKNOWN
    assert side.core.newest is None
    generation = side.start()
    assert side.core.newest is generation
    side.offer_base(generation, side.base("192.0.2.1", 1), priority=7)
    side.core.set_role(wire.now, IceRole.CONTROLLING)
    assert side.core.role is IceRole.CONTROLLING
    side.core.set_remote(wire.now, new_credentials())
    side.core.add_remote(wire.now, candidate("192.0.2.9", 9, priority=5), ("192.0.2.9", 9))
    (pair,) = generation.checklist.pairs.values()
    before = pair.priority
    side.core.set_role(wire.now, IceRole.CONTROLLED)
    assert side.core.role is IceRole.CONTROLLED
    assert pair.priority == before - 1
    assert side.roles == []
    side.core.set_role(wire.now, IceRole.UNKNOWN)
    assert side.core.role is IceRole.UNKNOWN


def test_a_candidate_belongs_to_the_generation_that_its_ufrag_names() -> None:
    wire, left, right, first, second = connected_pair()
    assert left.core.knows_remote(second.local.ufrag)
    assert left.core.knows_remote(None)
    assert not left.core.knows_remote("other")
    left.core.note_remote(wire.now, "other")
    wire.delay = 0.1
    new_first, new_second = left.start(), right.start()
    assert left.core.generation_of_remote(None) is first  # the newer one has no remote end yet
    left.core.set_remote(wire.now, new_second.local)
    assert left.core.generation_of_remote(None) is new_first
    assert left.core.generation_of_remote(second.local.ufrag) is first
    told = candidate("192.0.2.98", 9, ufrag=second.local.ufrag)
    left.core.add_remote(wire.now, told, ("192.0.2.98", 9))
    assert ("192.0.2.98", 9) in [remote.address for remote in first.remotes]
    assert new_first.remotes == []
    left.core.end_of_remote(wire.now, new_second.local.ufrag)
    assert new_first.remote_ended


def test_a_core_without_generations_takes_what_comes_late() -> None:
    wire = Wire()
    side = Side(wire, True)
    base = side.base("192.0.2.1", 1)
    side.core.rollback(wire.now)
    side.core.network_changed(wire.now)
    side.core.lose_base(wire.now, base)
    side.core.lagged(3)
    side.core.add_remote(wire.now, candidate(), ("192.0.2.9", 9))
    side.core.end_of_remote(wire.now, None)
    side.core.note_remote(wire.now, None)
    assert not side.core.knows_remote(None)
    assert side.core.next_time(wire.now) == NEVER
    assert side.core.state == "new"


def test_the_candidates_that_cannot_be_paired_are_waited_for_from_the_last_one_on() -> None:
    wire = Wire()
    side = Side(wire, True)
    side.base("192.0.2.1", 1)
    generation = side.start()
    side.core.set_remote(wire.now, new_credentials())
    side.core.set_gathered(wire.now, generation)
    side.core.add_remote(wire.now, candidate(), ("192.0.2.9", 9))
    wire.run(0.4)
    side.core.note_remote(wire.now, None)
    wire.run(0.4)
    assert side.core.state == "checking"
    wire.run(0.2)
    assert side.core.state == "disconnected"


def test_active_connections_are_asked_for_once_when_somebody_listens_on_tcp() -> None:
    wire, left, _, first, _ = connected_pair()
    assert not any(isinstance(event, ActiveWanted) for event in left.events)
    for port in (8, 9):
        told = candidate("192.0.2.9", port, protocol="tcp", tcp_type="passive")
        left.core.add_remote(wire.now, told, ("192.0.2.9", port))
        left.core.tick(wire.now)
        left.drain()
    assert left.events.count(ActiveWanted(first)) == 2


def test_selected_pairs_are_counted() -> None:
    """webrtc-stats: `selectedCandidatePairChanges`."""
    wire, left, right, _, _ = connected_pair()
    assert Side(wire, True).core.selected_pair_changes == 0
    assert left.core.selected_pair_changes == len(left.selections) == 1
    restart(left, right)
    wire.run(0.5)
    assert left.core.selected_pair_changes == len(left.selections) == 2


# -- what comes in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("controlling", "ours", "theirs", "refused"),
    [
        (True, 5, 5, True),
        (True, 6, 5, True),
        (True, 5, 6, False),
        (False, 5, 5, False),
        (False, 6, 5, False),
        (False, 5, 6, True),
    ],
)
def test_who_gives_way_when_both_have_one_role(
    controlling: bool, ours: int, theirs: int, refused: bool
) -> None:
    """RFC 8445 7.3.1.1: who has the larger tie-breaker, or an equal one, is controlling afterwards."""
    wire = Wire()
    side = Side(wire, controlling)
    side.context.tie_breaker = ours
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    role = stun.ICE_CONTROLLING if controlling else stun.ICE_CONTROLLED
    extra = stun.attribute(role, theirs.to_bytes(8, "big"))
    side.core.on_stun_untrusted(wire.now, base, request(generation.local, extra=extra), ("192.0.2.9", 9))
    side.drain()
    answer = stun.parse_untrusted(base.sent[0][1])
    assert answer.authentic(generation.local_key)
    if refused:
        assert (answer.kind, answer.error[0]) == (stun.BINDING_ERROR, 487)
        assert side.roles == []
        assert side.core.role is (IceRole.CONTROLLING if controlling else IceRole.CONTROLLED)
    else:
        assert answer.kind == stun.BINDING_SUCCESS
        assert side.roles == ["controlled" if controlling else "controlling"]


def test_an_error_that_is_no_conflict_changes_no_role() -> None:
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    remote = new_credentials()
    side.core.set_remote(wire.now, remote)
    side.core.add_remote(wire.now, candidate("192.0.2.9", 9), ("192.0.2.9", 9))
    tie_breaker = side.context.tie_breaker
    body = stun.error_code(400, "Bad Request")
    data = stun.encode(stun.BINDING_ERROR, base.sent[0][1][8:20], body, remote.pwd.encode())
    side.core.on_stun_untrusted(wire.now, base, data, ("192.0.2.9", 9))
    assert side.core.role is IceRole.CONTROLLING
    assert side.context.tie_breaker == tie_breaker


def test_a_check_without_a_priority_is_answered() -> None:
    wire, left, _, first, second = connected_pair()
    body = stun.attribute(stun.USERNAME, f"{first.local.ufrag}:{second.local.ufrag}".encode())
    data = stun.encode(stun.BINDING_REQUEST, b"x" * 12, body, first.local_key)
    base = left.bases[0]
    base.sent.clear()
    left.core.on_stun_untrusted(wire.now, base, data, ("203.0.113.9", 99))
    answer = stun.parse_untrusted(base.sent[0][1])
    assert (answer.kind, answer.mapped_address) == (stun.BINDING_SUCCESS, ("203.0.113.9", 99))
    assert first.remotes[-1].candidate.priority == 0


def test_silence_that_ends_is_told_once_though_there_may_be_more_to_find() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, False)
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1000))
    right.offer_base(second, right.base("192.0.2.2", 2000))
    left.core.set_remote(wire.now, second.local)
    left.core.add_remote(wire.now, second.locals[0].candidate, ("192.0.2.2", 2000))
    right.core.set_remote(wire.now, first.local)
    wire.run(1)
    assert left.core.state == "connected"
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(4)
    wire.dark.clear()
    assert Woken() not in left.events
    wire.run(1)
    assert left.events.count(Woken()) == 1
    assert first.woken is None


def test_what_is_heard_without_a_silence_before_it_wakes_nobody() -> None:
    wire, left, _, first, second = connected_pair()
    assert left.core.route is not None
    packet = request(first.local, second.local.ufrag)
    left.core.on_stun_untrusted(wire.now, left.bases[0], packet, left.core.route.address)
    left.drain()
    assert Woken() not in left.events


def test_only_the_pair_that_carries_data_wakes_up() -> None:
    wire, left, _, first, _ = connected_pair(addresses=2)
    other = next(pair for pair in first.checklist.pairs.values() if pair is not left.core.route)
    left.core.woken(wire.now, other)
    left.drain()
    assert Woken() not in left.events
    assert left.core.route is not None
    left.core.woken(wire.now, left.core.route)
    left.drain()
    assert left.events.count(Woken()) == 1


# -- generations -----------------------------------------------------------------------------------


def test_a_restart_takes_over_though_another_was_offered_meanwhile() -> None:
    wire, left, right, _, _ = connected_pair()
    wire.delay = 0.1
    settled, _ = restart(left, right)
    pending = left.start()
    wire.run(1)
    assert left.core.route is not None
    assert left.core.route.owner is settled
    assert left.core.generations == [settled, pending]


def test_a_restart_of_the_other_side_without_a_candidate_gives_a_silent_path_up() -> None:
    """It has nothing any more; while the old path works it is kept."""
    wire, left, right, first, _ = connected_pair()
    fresh, answer = left.start(), right.start()
    left.offer_base(fresh, left.bases[0])
    exchange(left, right, fresh, answer)
    wire.run(16)
    assert fresh.failed
    assert left.core.state == "completed"
    assert left.core.route is not None
    while wire.now - left.core.route.heard_at > 0.1:
        wire.run(0.05)
    wire.dark.add(("192.0.2.2", 2000))
    wire.run(4)
    assert left.core.state == "completed"
    wire.run(2.5)
    assert first.failed
    assert left.core.state == "failed"


def test_what_was_replaced_answers_as_long_as_it_lingers() -> None:
    wire, left, right, first, second = connected_pair()
    restart(left, right)
    while first not in left.core.retired:
        wire.run(0.01)
    retired_at = wire.now
    linger = left.context.settings.linger
    wire.run(linger - 0.1)
    assert left.core.retired == [first]
    assert left.core.next_time(wire.now) <= retired_at + linger
    wire.run(0.2)
    assert left.core.retired == []
    assert left.events.count(GenerationDropped(first)) == 1
    assert first.half.users == []
    assert first.half.left == {second.local.ufrag}
