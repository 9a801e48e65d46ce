"""Every sentence of explain() from a picture of its own: no connection, no loop."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rtcpeer.errors import RTCError
from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.agent.relay import RelayProblem
from rtcpeer.ice.agent.stats import AgentStats, CandidateStats, PairStats
from rtcpeer.ice.pair import PairStatus
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.session.diagnosis import (
    ConnectionSnapshot,
    Finding,
    Level,
    TransportSnapshot,
    printable,
    server_problem,
)
from rtcpeer.peer.session.explain import explain
from rtcpeer.values import (
    Candidate,
    CandidateType,
    DtlsTransportState,
    IceGatheringState,
    IceRole,
    IceTransportState,
    PeerConnectionState,
    SctpTransportState,
    SignalingState,
)

NOW = 1000.0
TURN = "turn:turn.example:3478"
STUN = "stun:stun.example"


def candidate(id: str, type: str = "host", address: str = "192.0.2.1", **members: object) -> CandidateStats:
    inner = Candidate("f", 1, "udp", 1, address, 5000, CandidateType(type), **members)  # type: ignore[arg-type]
    return CandidateStats(id, inner, id.startswith("R"))


def pair(state: PairStatus = PairStatus.IN_PROGRESS, id: str = "P1", **counts: object) -> PairStats:
    zero = dict.fromkeys((field.name for field in fields(PairStats)), 0)
    members = {
        **zero,
        "id": id,
        "local_candidate_id": "L1",
        "remote_candidate_id": "R1",
        "state": state,
        "last_packet_sent": None,
        "last_packet_received": None,
        "current_round_trip_time": None,
        "nominated": False,
    } | counts
    return PairStats(**members)  # type: ignore[arg-type]


def agent(state: str = "checking", **members: object) -> AgentStats:
    base = AgentStats(
        state=IceTransportState(state),
        role=IceRole.CONTROLLING,
        local_ufrag="here",
        pairs=(),
        local_candidates=(candidate("L1"),),
        remote_candidates=(candidate("R1", address="198.51.100.1"),),
        selected_pair_id=None,
        selected_pair_changes=0,
        packets_sent=0,
        packets_received=0,
        bytes_sent=0,
        bytes_received=0,
        remote_ufrag="there",
    )
    return replace(base, **members)  # type: ignore[arg-type]


def transport(ice: AgentStats | None = None, **members: object) -> TransportSnapshot:
    members.setdefault("gathering", IceGatheringState.COMPLETE)
    return TransportSnapshot(("0",), ice or agent(), **members)  # type: ignore[arg-type]


def picture(*transports: TransportSnapshot, **members: object) -> ConnectionSnapshot:
    base = ConnectionSnapshot(
        NOW, state=PeerConnectionState.CONNECTING, has_local=True, has_remote=True, transports=transports
    )
    return replace(base, **members)  # type: ignore[arg-type]


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


def text(found: list[Finding], code: str) -> str:
    (finding,) = [f for f in found if f.code == code]
    return str(finding)


# --- signaling ------------------------------------------------------------------------------------


def test_closed() -> None:
    assert codes(explain(ConnectionSnapshot(NOW, closed=True))) == ["closed"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"has_local": False}, "nothing-to-negotiate"),
        ({"has_local": False, "needs_negotiation": True}, "offer-missing"),
        ({"signaling": SignalingState.HAVE_LOCAL_OFFER}, "waits-for-answer"),
        ({"signaling": SignalingState.HAVE_REMOTE_OFFER}, "answer-missing"),
        ({"signaling": SignalingState.HAVE_LOCAL_PRANSWER}, "final-answer-missing"),
        ({"signaling": SignalingState.HAVE_REMOTE_PRANSWER}, "waits-for-final-answer"),
        ({}, "nothing-accepted"),
        ({"needs_negotiation": True}, "renegotiation-needed"),
        ({"channels_waiting": 2}, "data-not-negotiated"),
        ({"sctp": SctpTransportState.CLOSED}, "sctp-closed"),
    ],
)
def test_signaling(members: dict[str, object], code: str) -> None:
    found = explain(picture(**members))
    assert code in codes(found)
    assert found[0].text.startswith("The connection is connecting: signaling ")


# --- gathering ------------------------------------------------------------------------------------


def test_servers_one_by_one() -> None:
    stun2 = "stun:second.example"
    relay = candidate("L2", "relay", url=TURN, relay_protocol="tcp")
    error = IceCandidateError(None, None, STUN, 701, "the server did not answer")
    found = explain(
        picture(
            transport(
                agent(local_candidates=(candidate("L1"), relay)),
                gathering=IceGatheringState.GATHERING,
                gathering_since=NOW - 2,
                errors=(error,),
            ),
            servers=(STUN, TURN, stun2),
        )
    )
    assert text(found, "gathering") == "Candidates are being gathered, since 2.0 s."
    assert text(found, "server-failed") == f"{STUN} gave no candidate: the server did not answer."
    assert text(found, "server-gave-candidates") == f"{TURN} gave 1 relay."
    assert text(found, "server-pending") == f"{stun2} has not answered yet."


def test_servers_that_gave_nothing_without_an_error() -> None:
    found = explain(picture(transport(), servers=(STUN,)))
    assert "server-nothing-new" in codes(found)
    found = explain(picture(transport(), servers=(STUN,), relay_only=True))
    assert "server-not-asked" in codes(found)


def test_a_server_that_gave_before_and_refuses_now() -> None:
    relay = candidate("L1", "relay", url=TURN, relay_protocol="udp")
    error = IceCandidateError(None, None, TURN, 486, "")
    found = explain(picture(transport(agent(local_candidates=(relay,)), errors=(error,)), servers=(TURN,)))
    assert text(found, "server-gave-candidates").endswith(
        "gave 1 relay; asked again or from another address: this user has reached its quota of allocations (486)."
    )


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (RelayProblem(437, "x", is_gone=True), "relay-lost", "does not know the allocation (437)"),
        (RelayProblem(701, "closed", is_gone=True), "relay-lost", "which is gone: closed. An ICE restart"),
        (
            RelayProblem(401, "", is_gone=False),
            "relay-ends",
            "does not prolong that: it refuses the credential",
        ),
    ],
)
def test_allocations_that_are_gone_or_will_be(problem: RelayProblem, code: str, words: str) -> None:
    relay = replace(candidate("L1", "relay", url=TURN, relay_protocol="udp"), relay_problem=problem)

    def found(state: str, **members: object) -> Finding:
        ice = agent(state, local_candidates=(candidate("L2"), relay), **members)
        return next(f for f in explain(picture(transport(ice), servers=(TURN,))) if f.code == code)

    assert words in str(found("disconnected"))
    assert f"{TURN} gave us 192.0.2.1:5000" in str(found("disconnected"))
    assert found("disconnected").level is Level.PROBLEM
    on_it = {"pairs": (pair(PairStatus.SUCCEEDED),), "selected_pair_id": "P1"}
    assert found("connected", **on_it).level is Level.PROBLEM
    elsewhere = {"pairs": (pair(PairStatus.SUCCEEDED, local_candidate_id="L2"),), "selected_pair_id": "P1"}
    assert found("completed", **elsewhere).level is Level.FACT


def test_gathering_has_not_begun() -> None:
    assert "gathering-not-begun" in codes(explain(picture(transport(gathering=IceGatheringState.NEW))))
    early = picture(transport(gathering=IceGatheringState.NEW), has_local=False)
    assert "gathering-not-begun" not in codes(explain(early))


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (401, "Unauthorized", "it refuses the credential (401): wrong or expired"),
        (486, "Quota", 'this user has reached its quota of allocations (486); it says "Quota"'),
        (701, "the server did not answer.", "the server did not answer"),
        (701, "", "error 701"),
        (599, "Oops", 'error 599, it says "Oops"'),
    ],
)
def test_server_problems(code: int, said: str, words: str) -> None:
    assert server_problem(code, said) == words


# --- candidates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "no-local-candidates"),
        ({"relay_only": True}, "relay-only-without-turn-server"),
        ({"relay_only": True, "servers": (STUN, TURN)}, "relay-only-without-relay"),
    ],
)
def test_no_local_candidates(members: dict[str, object], code: str) -> None:
    found = explain(picture(transport(agent(local_candidates=())), **members))
    assert code in codes(found)
    assert {f.level for f in found if f.code == code} == {Level.PROBLEM}


@pytest.mark.parametrize(
    ("ended", "signaled", "code"),
    [
        (False, 0, "no-remote-candidates"),
        (True, 0, "remote-has-no-candidates"),
        (True, 3, "remote-candidates-unusable"),
    ],
)
def test_no_remote_candidates(ended: bool, signaled: int, code: str) -> None:
    found = explain(picture(transport(agent(remote_candidates=(), remote_ended=ended), signaled=signaled)))
    assert code in codes(found)


def test_a_peer_without_candidates_that_was_found_by_its_checks_is_no_problem() -> None:
    ice = agent(
        "connected", remote_candidates=(candidate("R1", "prflx"),), pairs=(pair(PairStatus.SUCCEEDED),)
    )
    (finding,) = [f for f in explain(picture(transport(ice))) if f.code == "no-remote-candidates"]
    assert finding.level is Level.FACT


def test_candidate_types_on_both_sides() -> None:
    ice = agent(local_candidates=(candidate("L1"), candidate("L2", "srflx"), candidate("L3", "srflx")))
    found = explain(picture(transport(ice)))
    assert text(found, "candidates") == "Candidates here: 1 host, 2 srflx; there: 1 host."


def test_families_that_do_not_meet() -> None:
    ice = agent(remote_candidates=(candidate("R1", address="2001:db8::1"),))
    assert "no-pairs" in codes(explain(picture(transport(ice))))


# --- checks ---------------------------------------------------------------------------------------


def test_the_first_checks_are_no_problem_yet() -> None:
    found = explain(picture(transport(agent(pairs=(pair(requests_sent=2),)))))
    assert "checking" in codes(found)
    assert Level.PROBLEM not in {f.level for f in found}


def test_checks_are_never_answered() -> None:
    pairs = (pair(PairStatus.FAILED, requests_sent=8), pair(PairStatus.FAILED, "P2", requests_sent=8))
    found = explain(picture(transport(agent(pairs=pairs))))
    assert "16 checks on 2 pairs sent and never answered" in text(found, "checks-unanswered")
    assert "firewall" in text(found, "checks-unanswered")
    assert "no TURN server is configured" in text(found, "no-turn-server")


def test_only_a_relay_would_work_but_there_is_none() -> None:
    error = IceCandidateError(None, None, TURN, 401, "")
    shown = transport(agent(pairs=(pair(requests_sent=5),)), errors=(error,))
    found = explain(picture(shown, servers=(TURN,)))
    assert "no TURN server gave a candidate" in text(found, "only-relay-would-work")
    assert "credential" in text(found, "server-failed")
    # while a server may still answer, that is not said
    gathering = replace(shown, gathering=IceGatheringState.GATHERING)
    assert "only-relay-would-work" not in codes(explain(picture(gathering, servers=(TURN,))))
    # nor when there is a relay, and it does not help either
    relays = agent(pairs=(pair(requests_sent=5),), local_candidates=(candidate("L1", "relay", url=TURN),))
    assert "only-relay-would-work" not in codes(explain(picture(transport(relays), servers=(TURN,))))


def test_only_our_packets_are_lost() -> None:
    ice = agent(pairs=(pair(requests_sent=6, requests_received=4),))
    found = explain(picture(transport(ice)))
    assert "arrive (4)" in text(found, "answers-do-not-arrive")


def test_the_pair_table_is_bounded() -> None:
    ice = agent(pairs=tuple(pair(id=f"P{n}", requests_sent=1) for n in range(50)))
    found = explain(picture(transport(ice)))
    assert codes(found).count("pair") == 8
    assert text(found, "more-pairs") == "42 more pairs."


# --- a path ---------------------------------------------------------------------------------------


def connected(**members: object) -> AgentStats:
    chosen = pair(
        PairStatus.SUCCEEDED,
        requests_sent=3,
        responses_received=3,
        current_round_trip_time=0.0123,
        last_packet_received=NOW - 7,
    )
    members = {"selected_pair_id": "P1", "pairs": (chosen,), "consented_at": NOW - 3.2} | members
    return agent("connected", **members)


def test_connected() -> None:
    shown = transport(connected(), dtls=DtlsTransportState.CONNECTED)
    found = explain(picture(shown, state=PeerConnectionState.CONNECTED))
    assert found[0] == Finding(
        "connected", "Connected: host 192.0.2.1:5000 to host 198.51.100.1:5000, round trip 12 ms."
    )
    assert "3.2 s ago" in text(found, "consent")
    assert Level.PROBLEM not in {f.level for f in found}


def test_several_transports_are_told_apart() -> None:
    shown = transport(connected(), dtls=DtlsTransportState.CONNECTED)
    found = explain(picture(shown, replace(shown, mids=("1", "2")), state=PeerConnectionState.CONNECTED))
    assert found[0].text == "Connected over 2 transports, round trip 12 ms."
    assert [str(f)[-18:] for f in found if f.code == "consent"][1].endswith("(sections 1, 2)")


def test_silence() -> None:
    ice = replace(connected(), state=IceTransportState.DISCONNECTED)
    found = explain(picture(transport(ice), state=PeerConnectionState.DISCONNECTED))
    assert "for 7.0 s" in text(found, "silent")
    assert "failed in 23 s" in text(found, "silent")


def test_failed_after_it_had_worked() -> None:
    ice = connected(selected_pair_id=None)
    found = explain(picture(transport(replace(ice, state=IceTransportState.FAILED))))
    assert {"ice-failed", "path-lost"} <= set(codes(found))


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        ("new", None, "dtls-not-begun"),
        ("connecting", None, "dtls-handshake"),
        ("closed", None, "closed-by-remote"),
        ("failed", RTCError("fingerprint-failure", "x"), "fingerprint-mismatch"),
        ("failed", RTCError("dtls-failure", "x", receivedAlert=42), "dtls-refused"),
        ("failed", RTCError("dtls-failure", "no shared cipher"), "dtls-failed"),
        ("failed", None, "dtls-failed"),
    ],
)
def test_dtls(state: str, error: RTCError | None, code: str) -> None:
    shown = transport(connected(), dtls=DtlsTransportState(state), dtls_error=error)
    assert code in codes(explain(picture(shown)))


@pytest.mark.parametrize(
    ("doubt", "code", "level", "says"),
    [
        (RTCError("dtls-failure", "x", receivedAlert=42), "dtls-refused", "problem", "alert 42"),
        (RTCError("dtls-failure", "both are servers"), "dtls-handshake", "waiting", "both are servers"),
    ],
)
def test_a_handshake_in_doubt(doubt: RTCError, code: str, level: str, says: str) -> None:
    shown = transport(connected(), dtls=DtlsTransportState.CONNECTING, dtls_doubt=doubt)
    found = explain(picture(shown))
    assert [(f.code, f.level) for f in found if f.code.startswith("dtls")] == [(code, level)]
    assert says in text(found, code)


def test_data_channels_wait_for_their_association() -> None:
    shown = transport(connected(), dtls=DtlsTransportState.CONNECTED)
    found = explain(picture(shown, state=PeerConnectionState.CONNECTED, sctp=SctpTransportState.CONNECTING))
    assert "sctp-handshake" in codes(found)


def test_a_loop_that_stood_still() -> None:
    ice = connected(worst_lag=3.24, lagged_at=NOW - 10)
    assert "for 3.2 s, 10 s ago" in text(explain(picture(transport(ice))), "loop-lag")


# --- in general -----------------------------------------------------------------------------------


def test_problems_come_before_what_is_awaited_and_facts() -> None:
    pairs = (pair(PairStatus.FAILED, requests_sent=8),)
    found = explain(
        picture(transport(agent("failed", pairs=pairs)), signaling=SignalingState.HAVE_LOCAL_OFFER)
    )
    levels = [list(Level).index(f.level) for f in found[1:]]
    assert levels == sorted(levels)


def test_text_from_elsewhere_is_made_harmless() -> None:
    assert printable("a\x1b[2Jb\nc") == "a?[2Jb?c"
    assert len(printable("x" * 10_000)) == 200
    error = IceCandidateError(None, None, TURN, 500, "\x1b]0;title\x07" * 100)
    found = explain(picture(transport(errors=(error,)), servers=(TURN,)))
    assert all(str(f).isprintable() for f in found)


def test_a_connection_can_be_asked_before_there_is_a_loop() -> None:
    connection = RTCPeerConnection()
    assert codes(connection.explain()) == ["state-new", "nothing-to-negotiate"]
    connection.close()
    assert codes(connection.explain()) == ["closed"]


@pytest.mark.parametrize("state", ["connected", "failed"])
def test_an_answerer_that_ignored_our_restart(state: str) -> None:
    ice = agent(remote_ufrag="OLDu", restart_ignored=True)
    found = explain(replace(picture(transport(ice)), state=PeerConnectionState(state)))
    (named,) = [f for f in found if f.code == "restart-ignored"]
    assert "OLDu" in named.text
    assert named.level is (Level.FACT if state == "connected" else Level.PROBLEM)
    assert "restart-ignored" not in [f.code for f in explain(picture(transport(agent())))]


def test_media_that_cannot_be_decrypted() -> None:
    found = explain(
        picture(transport(agent("connected"), dtls=DtlsTransportState.CONNECTED, undecrypted_for=7.4))
    )

    assert "for 7 s none could be decrypted" in text(found, "media-undecryptable")
