"""One generation: how long it hopes, and how often it asks."""

from __future__ import annotations

import pytest

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import PairStatus
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
