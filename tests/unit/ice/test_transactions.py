"""Binding requests that may still be answered: written, signed, recognised, forgotten."""

from __future__ import annotations

import pytest

from rtcpeer.ice.pair import Check, Local, Pair, Remote
from rtcpeer.ice.transactions import Transactions
from rtcpeer.stun import message as stun
from rtcpeer.values import IceParameters
from tests.unit.ice.support import Side, Wire, candidate

OURS, THEIRS = IceParameters("ours", "our password"), IceParameters("them", "their password")


def transactions(controlling: bool = True) -> tuple[Transactions, Pair]:
    side = Side(Wire(), controlling)
    base = side.base("192.0.2.1", 1000)
    pair = Pair("P1", None, Local("L1", candidate(), base), base, Remote("R1", candidate(), ("192.0.2.9", 9)))
    made = Transactions(side.context)
    made.know(OURS, THEIRS)
    return made, pair


def answer(check: Check, key: bytes = THEIRS.pwd.encode()) -> stun.StunMessage:
    request = stun.parse_untrusted(check.data)
    body = stun.xor_address(stun.XOR_MAPPED_ADDRESS, ("192.0.2.1", 1000), request.transaction_id)
    return stun.parse_untrusted(stun.encode(stun.BINDING_SUCCESS, request.transaction_id, body, key))


def test_a_request_is_signed_with_their_password_and_says_our_role():
    made, pair = transactions()
    request = stun.parse_untrusted(made.make(0.0, pair, nominate=True, probe=False).data)
    assert request.authentic(THEIRS.pwd.encode())
    assert request.text(stun.USERNAME) == "them:ours"
    assert {stun.ICE_CONTROLLING, stun.USE_CANDIDATE, stun.PRIORITY} <= set(request.attributes)
    made, pair = transactions(controlling=False)
    request = stun.parse_untrusted(made.make(0.0, pair, nominate=False, probe=False).data)
    assert stun.ICE_CONTROLLED in request.attributes
    assert stun.USE_CANDIDATE not in request.attributes


@pytest.mark.parametrize("controlling", [True, False])
def test_a_request_carries_the_tie_breaker_and_remembers_the_role(controlling: bool) -> None:
    """RFC 8445 7.1.3: and a role conflict is judged by the role that the request was sent in (7.2.5.1)."""
    made, pair = transactions(controlling)
    context = made._context
    check = made.make(3.0, pair, nominate=False, probe=False)
    request = stun.parse_untrusted(check.data)
    role = stun.ICE_CONTROLLING if controlling else stun.ICE_CONTROLLED
    assert request.attributes[role] == context.tie_breaker.to_bytes(8, "big")
    assert check.controlling is controlling
    assert (check.sent_at, check.last_at, check.rto) == (3.0, 3.0, context.settings.check_rto)


def test_a_check_that_another_replaced_is_waited_for_from_its_last_transmission() -> None:
    made, pair = transactions()
    replaced = made.make(0.0, pair, nominate=False, probe=False)
    pair.check = made.make(1.0, pair, nominate=False, probe=False)
    replaced.last_at = 5.0
    for now, known in ((7.0, True), (11.0, True), (11.1, False)):
        made.make(now, pair, nominate=False, probe=True)
        made.forget(now)
        assert (made.find(answer(replaced)) is replaced) is known
    assert made.find(answer(pair.check)) is pair.check


def test_each_of_several_probes_is_forgotten() -> None:
    made, pair = transactions()
    first, second = (made.make(0.0, pair, nominate=False, probe=True) for _ in range(2))
    made.drop(first)
    made.forget(6.1)
    assert made.find(answer(second)) is None
    assert len(made) == 0


def test_only_an_authentic_response_finds_its_check_and_only_once():
    made, pair = transactions()
    check = made.make(0.0, pair, nominate=False, probe=False)
    other = made.make(0.0, pair, nominate=False, probe=False)
    assert made.find(answer(check)) is check
    assert made.find(answer(other)) is other
    assert made.find(answer(check, b"forged")) is None
    made.drop(check)
    assert made.find(answer(check)) is None
    made.drop(other)
    made.drop(other)
    assert len(made) == 0


def test_a_probe_is_forgotten_after_a_while_and_a_check_that_is_under_way_is_not():
    made, pair = transactions()
    pair.check = made.make(0.0, pair, nominate=False, probe=False)
    probe = made.make(0.0, pair, nominate=False, probe=True)
    made.forget(6.0)
    assert made.find(answer(probe)) is probe
    made.forget(6.1)
    assert made.find(answer(probe)) is None
    assert made.find(answer(pair.check)) is pair.check
    made.clear()
    assert made.find(answer(pair.check)) is None


def test_probes_are_forgotten_one_after_the_other_and_no_check_with_them() -> None:
    made, pair = transactions()
    for sent in (0.0, 1.0):
        made.make(sent, pair, nominate=False, probe=True)
    pair.check = made.make(0.0, pair, nominate=False, probe=False)
    for now, left in ((6.5, 2), (7.5, 1)):
        made.forget(now)
        assert len(made) == left
    assert made.find(answer(pair.check)) is pair.check
