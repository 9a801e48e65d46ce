"""Which generation a description and a check belong to; what an authentic message may get wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rtcpeer.ice.agent.stats import AgentCounters, collect
from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.settings import IceSettings
from rtcpeer.stun import message as stun
from rtcpeer.values import CandidateType
from tests.unit.ice.support import FakeBase, Side, Wire, candidate, connected_pair, exchange, request


def answers(base: FakeBase, address: tuple[str, int]) -> list[int]:
    return [stun.parse_untrusted(data).kind for _, data, to in base.sent if to == address and data[0] > 0]


# -- generations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", ["the ufrag", "the password"])
def test_a_remote_restart_that_keeps_half_of_its_credentials_moves_the_path(keeps: str) -> None:
    wire, left, right, _first, second = connected_pair()
    old = left.core.route
    fresh = new_credentials()
    fresh = (
        replace(fresh, ufrag=second.local.ufrag)
        if keeps == "the ufrag"
        else replace(fresh, pwd=second.local.pwd)
    )
    theirs, ours = right.start(fresh), left.start()
    right.offer_base(theirs, right.base("192.0.2.2", 3000))
    left.offer_base(ours, left.bases[0])
    exchange(left, right, ours, theirs)
    wire.run(0.5)
    assert left.core.route is not None
    assert left.core.route is not old
    assert left.core.route.owner is ours
    assert left.core.route.address == ("192.0.2.2", 3000)
    assert not ours.is_restart_ignored
    wire.run(60)
    assert left.core.state == right.core.state == "completed"


def test_an_answer_that_keeps_its_credentials_moves_the_path_too() -> None:
    """As rtpengine and servers with one set of credentials answer."""
    wire, left, right, _, second = connected_pair()
    ours = left.start()
    left.offer_base(ours, left.base("192.0.2.1", 1500))
    # the server only learns our new credentials
    right.start(second.local)
    exchange(left, right, ours, right.core.generations[-1])
    right.offer_base(right.core.generations[-1], right.bases[0])
    wire.run(1)
    assert left.core.route is not None
    assert left.core.route.owner is ours
    assert left.core.route.base.address == ("192.0.2.1", 1500)
    assert collect(left.core, AgentCounters()).restart_ignored
    wire.run(60)
    assert left.core.state == "completed"


def test_the_same_answer_again_changes_nothing() -> None:
    wire, left, _, first, second = connected_pair()
    left.core.set_remote(wire.now, second.local)
    assert left.core.generations == [first]
    assert not collect(left.core, AgentCounters()).restart_ignored


# -- checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["them", "", "a:b", "x" * 300])
def test_our_half_of_the_user_name_alone_says_whose_a_check_is(theirs: str) -> None:
    wire, left, _, first, _ = connected_pair()
    base, stranger = left.bases[0], ("203.0.113.9", 99)
    base.sent.clear()
    left.core.on_stun_untrusted(wire.now, base, request(first.local, theirs), stranger)
    assert answers(base, stranger) == [stun.BINDING_SUCCESS]


def test_a_restart_whose_checks_name_the_ufrag_of_before() -> None:
    """werift 0.24 signs with the new password and names its old ufrag."""
    wire, left, right, _, second = connected_pair()
    ours, theirs = left.start(), right.start()
    left.offer_base(ours, left.bases[0])
    right.offer_base(theirs, right.bases[0])
    exchange(left, right, ours, theirs)
    wire.dark.add(("192.0.2.2", 2000))
    base = left.bases[0]
    base.sent.clear()
    left.core.on_stun_untrusted(wire.now, base, request(ours.local, second.local.ufrag), ("192.0.2.2", 2000))
    assert stun.BINDING_SUCCESS in answers(base, ("192.0.2.2", 2000))
    assert sum(pair.requests_received for pair in ours.checklist.pairs.values()) == 1


def test_the_ufrag_of_a_check_prefers_one_of_several_forks() -> None:
    wire, left, _, first, second = connected_pair()
    left.core.set_remote(wire.now, new_credentials())
    newest = left.core.generations[-1]
    source = ("203.0.113.9", 99)
    left.core.on_stun_untrusted(wire.now, left.bases[0], request(first.local, second.local.ufrag), source)
    assert first.checklist.find(left.bases[0], source) is not None
    assert newest.checklist.find(left.bases[0], source) is None


# -- roles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize("tie", [0, 2**64 - 1])
def test_equal_tie_breakers_end_with_one_of_each_role(controlling: bool, tie: int) -> None:
    wire = Wire()
    sides = [Side(wire, controlling, seed=number) for number in (1, 2)]
    generations = []
    for number, side in enumerate(sides):
        side.context.tie_breaker = tie
        generations.append(side.start())
        side.offer_base(generations[-1], side.base(f"192.0.2.{number + 1}", 1000))
    exchange(*sides, *generations)
    wire.run(2)
    assert {str(side.core.role) for side in sides} == {"controlling", "controlled"}
    assert all(side.core.state == "completed" for side in sides)


def test_the_tie_breaker_is_drawn_again_with_the_role_and_only_then() -> None:
    wire = Wire()
    left, right = Side(wire, True), Side(wire, True, seed=2)
    left.context.tie_breaker, right.context.tie_breaker = 5, 9
    right.context.new_tie_breaker = left.context.new_tie_breaker = lambda: 77
    first, second = left.start(), right.start()
    left.offer_base(first, left.base("192.0.2.1", 1))
    right.offer_base(second, right.base("192.0.2.2", 2))
    # the one whose request meets the conflict first decides: 487 for the left one, whose number is smaller
    right.core.set_remote(wire.now, first.local)
    left.core.set_remote(wire.now, second.local)
    left.core.add_remote(wire.now, candidate("192.0.2.2", 2), ("192.0.2.2", 2))
    wire.run(1)
    assert [str(left.core.role), str(right.core.role)] == ["controlled", "controlling"]
    assert (left.context.tie_breaker, right.context.tie_breaker) == (77, 9)


# -- peer-reflexive candidates ---------------------------------------------------------------------


def wander(changes: int, settings: IceSettings | None = None, gap: float = 20.0) -> tuple[Wire, Side, Side]:
    wire, left, right, _, _ = connected_pair(settings)
    for number in range(changes):
        wire.seen_as[("192.0.2.2", 2000)] = (f"203.0.{number % 7}.113", 10000 + number)
        wire.run(gap)
    return wire, left, right


def test_the_other_ends_address_may_change_for_hours() -> None:
    wire, left, right = wander(80)
    assert left.core.state == right.core.state == "completed"
    assert left.core.route is not None
    assert left.core.route.address == wire.seen_as[("192.0.2.2", 2000)]
    (generation,) = left.core.generations
    learned = [r for r in generation.remotes if r.candidate.type is CandidateType.PRFLX]
    assert len(learned) == left.context.settings.max_peer_reflexive
    assert len(left.bases[0].routes) <= len(generation.checklist.pairs)


def fill(left: Side, wire: Wire, generation: Generation, count: int) -> Callable[[int], tuple[str, int]]:
    def source(number: int) -> tuple[str, int]:
        return f"198.51.100.{number % 200}", 5000 + number

    for number in range(count):
        data = request(generation.local, generation.remote.ufrag)  # type: ignore[union-attr]
        left.core.on_stun_untrusted(wire.now + number * 0.001, left.bases[0], data, source(number))
    return source


def test_the_longest_unheard_candidate_makes_room_and_never_the_one_in_use() -> None:
    wire, left, right, first, _second = connected_pair()
    wire.seen_as[("192.0.2.2", 2000)] = ("203.0.113.5", 9000)
    wire.run(20)
    used = left.core.route
    assert used is not None
    assert used.address == ("203.0.113.5", 9000)
    left.bases[0].sent.clear()
    limit = left.context.settings.max_peer_reflexive
    source = fill(left, wire, first, limit + 3)
    assert left.core.route is used
    known = {remote.address for remote in first.remotes}
    assert {source(0), source(1), source(2)} & known == set()
    assert {source(limit + 2), used.address} <= known
    # all of them were answered: for each there was a pair at that time
    for number in range(limit + 3):
        assert stun.BINDING_SUCCESS in answers(left.bases[0], source(number))
    assert right.core.state == "completed"


def test_a_late_answer_for_a_pair_that_made_room_changes_nothing() -> None:
    wire, left, _, first, second = connected_pair()
    limit = left.context.settings.max_peer_reflexive
    source = fill(left, wire, first, 1)
    wire.run(0.02)
    sent = [data for _, data, to in left.bases[0].sent if to == source(0) and data[:2] == b"\0\1"]
    assert sent
    for number in range(1, limit + 1):
        left.core.on_stun_untrusted(
            wire.now, left.bases[0], request(first.local, second.local.ufrag), (f"198.51.101.{number}", 9)
        )
    assert first.checklist.find(left.bases[0], source(0)) is None
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 1000), sent[0][8:20])
    late = stun.encode(stun.BINDING_SUCCESS, sent[0][8:20], body, second.local.pwd.encode())
    left.core.on_stun_untrusted(wire.now, left.bases[0], late, source(0))
    assert source(0) not in left.bases[0].routes


# -- no answer without a pair ----------------------------------------------------------------------


def test_a_check_whose_pair_cannot_be_made_is_not_answered() -> None:
    wire, left, _, first, second = connected_pair()
    unknown = left.base("192.0.2.77", 7)  # belongs to no candidate of this generation
    packet = request(first.local, second.local.ufrag)
    left.core.on_stun_untrusted(wire.now, unknown, packet, ("203.0.113.9", 99))
    assert not unknown.sent
    left.context.accepts_remote = lambda c: not c.address.startswith("10.")
    base = left.bases[0]
    base.sent.clear()
    for address in (("10.0.0.1", 5), ("203.0.113.9", 99)):
        left.core.on_stun_untrusted(wire.now, base, packet, address)
    assert answers(base, ("10.0.0.1", 5)) == []
    assert answers(base, ("203.0.113.9", 99)) == [stun.BINDING_SUCCESS]


def test_a_full_check_list_makes_room_for_a_check_that_has_come() -> None:
    wire, left, _, first, second = connected_pair(IceSettings(max_pairs=4))
    for number in range(10):
        told = candidate("198.51.100.7", 100 + number, priority=2_000_000_000)
        left.core.add_remote(wire.now, told, ("198.51.100.7", 100 + number))
    packet = request(first.local, second.local.ufrag)
    left.core.on_stun_untrusted(wire.now, left.bases[0], packet, ("203.0.113.9", 99))
    assert first.checklist.find(left.bases[0], ("203.0.113.9", 99)) is not None
    assert len(first.checklist.pairs) == 4
    assert left.core.route is not None
    assert first.checklist.find(left.bases[0], left.core.route.address) is left.core.route


def test_an_early_check_beyond_the_bound_is_not_answered() -> None:
    wire = Wire()
    side = Side(wire, True)
    generation = side.start()
    base = side.base("192.0.2.1", 1)
    side.offer_base(generation, base)
    for port in range(100):
        side.core.on_stun_untrusted(wire.now, base, request(generation.local), ("198.51.100.7", 1000 + port))
    kept = side.context.settings.max_early_checks_per_source
    assert len(base.sent) == kept == len(generation._early)


def test_a_retired_generation_answers_on_its_paths_alone() -> None:
    wire, left, right, first, second = connected_pair()
    ours, theirs = left.start(), right.start()
    left.offer_base(ours, left.bases[0])
    right.offer_base(theirs, right.bases[0])
    exchange(left, right, ours, theirs)
    wire.run(0.3)
    assert left.core.retired == [first]
    base = left.bases[0]
    base.sent.clear()
    packet = request(first.local, second.local.ufrag)
    left.core.on_stun_untrusted(wire.now, base, packet, ("203.0.113.9", 99))
    left.core.on_stun_untrusted(wire.now, base, packet, ("192.0.2.2", 2000))
    assert answers(base, ("203.0.113.9", 99)) == []
    assert stun.BINDING_SUCCESS in answers(base, ("192.0.2.2", 2000))
