from dataclasses import replace
from types import SimpleNamespace

import pytest

from rtcpeer.ice.agent.listener import IceCandidateError, SelectedPair
from rtcpeer.peer.descriptions import RTCIceCandidate
from rtcpeer.peer.ice_transport import (
    IceTransportCore,
    RTCIceCandidatePair,
    RTCIceParameters,
    RTCIceTransport,
)
from rtcpeer.sdp.candidate import candidate_to_text
from rtcpeer.values import (
    Candidate,
    CandidateType,
    IceGatheringState,
    IceParameters,
    IceRole,
    IceTransportState,
)
from tests.unit.peer.owners import FakeOwner, watch

LOCAL = Candidate("1", 1, "udp", 9, "192.0.2.1", 1000, CandidateType.HOST, ufrag="lu")
REMOTE = Candidate("2", 1, "udp", 8, "192.0.2.2", 2000, CandidateType.HOST, ufrag="ru")
PAIR = SelectedPair(LOCAL, REMOTE)
State = IceTransportState


class FakeAgent:
    role = IceRole.CONTROLLING
    state = State.NEW
    selected_pair = None
    local_parameters = IceParameters("lu", "lp")
    remote_parameters = IceParameters("ru", "rp", lite=True)


def make():
    owner = FakeOwner()
    core = owner.ice = IceTransportCore(owner, 7)
    core.agent = FakeAgent()
    watch(owner.log, core.face, "statechange", "gatheringstatechange", "selectedcandidatepairchange")
    return core, owner


def signaled(candidate, ufrag, mid="0"):
    return RTCIceCandidate(
        candidate=candidate_to_text(candidate), sdpMid=mid, sdpMLineIndex=0, usernameFragment=ufrag
    )


def test_order_of_a_state_change():
    core, owner = make()
    core.on_state(State.CHECKING)
    core.on_state(State.CHECKING)
    assert owner.log == ["ice changed checking", "statechange checking", "announced"]


@pytest.mark.parametrize("first", ["state", "pair"])
def test_pair_and_state_are_one_step_whichever_is_told_first(first):
    core, owner = make()
    core.on_state(State.CHECKING)
    owner.log.clear()
    core.agent.state, core.agent.selected_pair = State.CONNECTED, PAIR
    steps = [lambda: core.on_state(State.CONNECTED), lambda: core.on_selected_pair(PAIR)]
    for step in steps if first == "state" else reversed(steps):
        step()
    assert owner.log == [
        "ice changed connected",
        "selectedcandidatepairchange connected",
        "statechange connected",
        "announced",
    ]


def test_states_told_late_are_not_skipped():
    core, _owner = make()
    core.agent.state, core.agent.selected_pair = State.CONNECTED, PAIR
    core.on_state(State.CHECKING)
    assert core.face.state == "checking"
    assert core.face.getSelectedCandidatePair() is None
    core.on_state(State.CONNECTED)
    assert core.face.getSelectedCandidatePair() is not None


def test_an_agent_that_ran_ahead_is_followed_step_by_step():
    core, owner = make()
    core.on_state(State.CHECKING)
    owner.log.clear()
    core.agent.state, core.agent.selected_pair = State.COMPLETED, PAIR
    core.on_selected_pair(PAIR)
    core.on_state(State.CONNECTED)
    core.on_state(State.COMPLETED)
    assert [line for line in owner.log if "change " in line] == [
        "selectedcandidatepairchange connected",
        "statechange connected",
        "statechange completed",
    ]


def test_pair_change_alone():
    core, owner = make()
    core.agent.state, core.agent.selected_pair = State.CONNECTED, PAIR
    core.on_state(State.CONNECTED)
    before = core.face.getSelectedCandidatePair()
    assert core.face.getSelectedCandidatePair() is before
    owner.log.clear()
    better = SelectedPair(replace(LOCAL, port=1001), REMOTE)
    core.agent.selected_pair = better
    core.on_selected_pair(better)
    assert owner.log == ["ice changed connected", "selectedcandidatepairchange connected", "announced"]
    assert core.face.getSelectedCandidatePair() is not before


def test_selected_pair_shows_what_was_signaled():
    core, _ = make()
    local, remote = signaled(LOCAL, "lu"), signaled(REMOTE, "ru")
    core.add_local(local)
    core.add_remote(remote)
    core.agent.state, core.agent.selected_pair = State.CONNECTED, PAIR
    core.on_state(State.CONNECTED)
    pair = core.face.getSelectedCandidatePair()
    assert pair.local is local
    assert pair.remote is remote
    assert repr(pair) == "<RTCIceCandidatePair host 192.0.2.1:1000 -> host 192.0.2.2:2000>"


def test_selected_pair_with_a_resolved_name_and_a_peer_reflexive_candidate():
    core, _ = make()
    named = signaled(replace(REMOTE, address="abc.local"), "ru")
    core.add_remote(named)
    core.agent.state, core.agent.selected_pair = State.CONNECTED, PAIR
    core.on_state(State.CONNECTED)
    pair = core.face.getSelectedCandidatePair()
    assert pair.remote is named
    assert pair.local.candidate == candidate_to_text(LOCAL)
    assert (pair.local.sdpMid, pair.local.usernameFragment) == (None, "lu")
    reflexive = replace(REMOTE, port=5, foundation="9", type=CandidateType.PRFLX)
    core.on_selected_pair(SelectedPair(LOCAL, reflexive))
    assert core.face.getSelectedCandidatePair().remote.type == "prflx"
    assert core.face.getRemoteCandidates() == [named]


def test_candidates_belong_to_the_current_generation():
    core, _ = make()
    old, new = signaled(LOCAL, "lu"), signaled(replace(LOCAL, ufrag="l2"), "l2")
    core.add_local(old)
    core.add_local(old)
    core.add_local(RTCIceCandidate(sdpMid="0", usernameFragment="lu"))
    assert core.face.getLocalCandidates() == [old]
    core.add_local(new)  # a restart has begun; the agent still runs on the old generation
    assert core.face.getLocalCandidates() == [old]
    core.agent.local_parameters = IceParameters("l2", "p")
    assert core.face.getLocalCandidates() == [new]
    core.agent.local_parameters = IceParameters("l3", "p")
    core.add_local(signaled(LOCAL, "l3"))
    core.agent.local_parameters = IceParameters("lu", "p")
    assert core.face.getLocalCandidates() == []


def test_remote_candidates_without_a_ufrag():
    core, _ = make()
    plain = signaled(replace(REMOTE, ufrag=None), None)
    core.add_remote(plain)
    assert core.face.getRemoteCandidates() == [plain]
    core.agent.remote_parameters = IceParameters("r2", "p")
    assert core.face.getRemoteCandidates() == []
    core.add_remote(plain, "r2")
    assert core.face.getRemoteCandidates() == [plain]


def test_gathering():
    core, owner = make()
    log = owner.log
    core.face.ongatheringstatechange = lambda event: log.append(core.face.gatheringState.value)
    core.on_gathering_state(IceGatheringState.GATHERING)
    core.on_candidate(LOCAL)
    core.on_gathering_state(IceGatheringState.COMPLETE)
    assert log == [
        "gathering changed gathering",
        "gatheringstatechange new",
        "gathering",
        "announced",
        "candidate 1000",
        "candidate None",
        "gathering changed complete",
        "gatheringstatechange new",
        "complete",
        "announced",
    ]


def test_closed_while_the_last_candidate_is_told():
    core, owner = make()
    owner.ice_candidate = lambda candidate: core.close()
    core.on_gathering_state(IceGatheringState.COMPLETE)
    assert owner.log == []
    assert core.face.gatheringState == "new"


def test_the_rest_goes_to_the_owner():
    core, owner = make()
    core.on_candidate_error(IceCandidateError(None, None, "stun:s", 701, "no"))
    core.on_network_change()
    core.on_role(IceRole.CONTROLLED)
    assert owner.log == ["candidate error 701", "network changed"]


def test_close_by_the_connection_is_silent_and_final():
    core, owner = make()
    core.close()
    core.close(announce=True)
    core.on_state(State.CONNECTED)
    core.on_selected_pair(PAIR)
    core.on_gathering_state(IceGatheringState.COMPLETE)
    core.on_candidate(LOCAL)
    core.on_candidate_error(IceCandidateError(None, None, "stun:s", 701, "no"))
    core.on_network_change()
    assert owner.log == []
    assert core.face.state == "closed"
    assert core.face.getSelectedCandidatePair() is None


def test_close_of_one_transport_is_announced():
    core, owner = make()
    core.close(announce=True)
    assert owner.log == ["ice changed closed", "statechange closed", "announced"]


def test_face():
    core, _ = make()
    face = core.face
    assert core.id == 7
    assert (face.role, face.component, face.state, face.gatheringState) == (
        "controlling",
        "rtp",
        "new",
        "new",
    )
    assert face.getLocalParameters() == RTCIceParameters("lu", "lp")
    assert face.getRemoteParameters() == RTCIceParameters("ru", "rp", True)
    assert "lp" not in repr(face.getLocalParameters())
    assert repr(face) == "<RTCIceTransport new, controlling>"
    core.agent.role = IceRole.CONTROLLED
    assert face.role == "controlled"
    with pytest.raises(AttributeError):
        face.state = "x"
    core.agent.remote_parameters = None
    assert face.getRemoteParameters() is None


def test_before_there_is_an_agent():
    owner = FakeOwner()
    core = owner.ice = IceTransportCore(owner)
    assert core.face.role == "unknown"
    assert core.face.getLocalParameters() is None
    assert core.face.getLocalCandidates() == []
    core.add_local(signaled(LOCAL, "lu"))
    assert len(core.face.getLocalCandidates()) == 1
    core.on_selected_pair(PAIR)
    core.on_state(State.CONNECTED)
    assert core.face.getSelectedCandidatePair() is not None


def test_illegal_constructors():
    for make_one in (
        RTCIceTransport,
        RTCIceCandidatePair,
        lambda: RTCIceTransport(SimpleNamespace()),
    ):
        with pytest.raises(TypeError, match="Illegal constructor"):
            make_one()
    assert repr(RTCIceCandidatePair(RTCIceCandidate(sdpMid="0"), RTCIceCandidate(sdpMid="0"))) == (
        "<RTCIceCandidatePair>"
    )
