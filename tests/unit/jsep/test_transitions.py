"""The table is asked for every combination, and the engine does what the table says."""

from __future__ import annotations

import pytest

from rtcpeer.errors import InvalidStateError, RtcPeerError
from rtcpeer.jsep.transitions import TRANSITIONS
from rtcpeer.values import SdpType, Side, SignalingState
from tests.unit.jsep.support import Peer, pair

STATES = list(SignalingState)
EVERY = [(state, side, type) for state in STATES for side in Side for type in SdpType]
EXPECTED = {
    "stable": {"local offer": "have-local-offer", "remote offer": "have-remote-offer"},
    "have-local-offer": {
        "local offer": "have-local-offer",
        "local rollback": "stable",
        "remote answer": "stable",
        "remote pranswer": "have-remote-pranswer",
    },
    "have-remote-offer": {
        "remote offer": "have-remote-offer",
        "remote rollback": "stable",
        "local answer": "stable",
        "local pranswer": "have-local-pranswer",
    },
    "have-local-pranswer": {"local pranswer": "have-local-pranswer", "local answer": "stable"},
    "have-remote-pranswer": {"remote pranswer": "have-remote-pranswer", "remote answer": "stable"},
    "closed": {},
}


def put_into(state: SignalingState) -> tuple[Peer, Peer]:
    """A peer in this state, and the other side that brought it there."""
    a, b = pair()
    a.transceiver()
    b.transceiver()
    match state:
        case SignalingState.HAVE_LOCAL_OFFER:
            b.remote(SdpType.OFFER, a.local())
        case SignalingState.HAVE_REMOTE_OFFER:
            a.remote(SdpType.OFFER, b.local())
        case SignalingState.HAVE_LOCAL_PRANSWER:
            a.remote(SdpType.OFFER, b.local())
            a.local(SdpType.PRANSWER)
        case SignalingState.HAVE_REMOTE_PRANSWER:
            b.remote(SdpType.OFFER, a.local())
            a.remote(SdpType.PRANSWER, b.local(SdpType.PRANSWER))
        case SignalingState.CLOSED:
            a.carry_out(a.engine.operations.plan_close())
    assert a.signaling is state
    return a, b


def text_for(peer: Peer, other: Peer, side: Side, type: SdpType) -> str:
    if side is Side.LOCAL or type is SdpType.ROLLBACK:
        return ""
    if type is SdpType.OFFER:
        fresh = Peer("c")
        if peer.state.remote_description is not None:
            return peer.state.remote_description.base
        fresh.transceiver()
        return fresh.local()
    if other.signaling is SignalingState.HAVE_REMOTE_OFFER:
        return other.local(SdpType.PRANSWER)
    local = other.state.local_description
    return local.text if local is not None else ""


@pytest.mark.parametrize(("state", "side", "type"), EVERY, ids=lambda v: str(v))
def test_every_combination(state: SignalingState, side: Side, type: SdpType) -> None:
    expected = EXPECTED[state].get(f"{side} {type}")
    assert (TRANSITIONS.get((state, side, type)) or None) == expected

    peer, other = put_into(state)
    text = text_for(peer, other, side, type)
    before = peer.state
    if state is SignalingState.HAVE_LOCAL_OFFER and side is Side.REMOTE and type is SdpType.OFFER:
        plan = peer.engine.plan_remote(type, text)  # glare: the rollback comes first
        assert plan.first is not None
        assert plan.next is before
        peer.remote(type, text)
        assert peer.signaling == "have-remote-offer"
        return
    if expected is None:
        with pytest.raises(InvalidStateError):
            peer.local(type) if side is Side.LOCAL else peer.remote(type, text)
        assert peer.state is before
        return
    if side is Side.LOCAL:
        peer.local(type)
    else:
        peer.remote(type, text)
    assert peer.signaling == expected


@pytest.mark.parametrize("state", STATES, ids=str)
def test_create_offer_and_answer_by_state(state: SignalingState) -> None:
    peer, _ = put_into(state)
    if state in ("stable", "have-local-offer"):
        assert peer.offer().startswith("v=0")
    else:
        with pytest.raises(InvalidStateError):
            peer.offer()
    if state in ("have-remote-offer", "have-local-pranswer"):
        assert peer.answer().startswith("v=0")
    else:
        with pytest.raises(InvalidStateError):
            peer.answer()


@pytest.mark.parametrize("state", STATES, ids=str)
def test_the_type_is_inferred(state: SignalingState) -> None:
    peer, _ = put_into(state)
    if state in ("closed", "have-remote-pranswer"):
        with pytest.raises(RtcPeerError):
            peer.local()
        return
    peer.local()
    after = "have-local-offer" if state in ("stable", "have-local-offer") else "stable"
    assert peer.signaling == after
