"""Binding requests that may still be answered: written, signed, recognised, forgotten."""

from __future__ import annotations

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


def test_only_an_authentic_response_finds_its_check_and_only_once():
    made, pair = transactions()
    check = made.make(0.0, pair, nominate=False, probe=False)
    other = made.make(0.0, pair, nominate=False, probe=False)
    assert made.find(answer(check)) is check
    assert made.find(answer(other)) is other
    assert made.find(answer(check, b"forged")) is None
    made.take(answer(check))
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
