"""What rollback restores and what it leaves."""

from __future__ import annotations

from rtcpeer.jsep.effects import CloseData, CloseTransport, RemoveTransceiver, StopTransceiver
from rtcpeer.values import Direction, SdpType
from tests.unit.jsep.support import negotiate, pair


def test_local_offer() -> None:
    a, _ = pair()
    a.track("audio", "s")
    a.want_data()
    offer = a.offer()
    a.local(SdpType.OFFER, offer)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.SENDONLY))
    plan = a.carry_out(a.engine.plan_local(SdpType.ROLLBACK))
    assert plan.start[-2:] == (CloseTransport(0), CloseTransport(1))
    assert CloseData(rolled_back=True) in plan.start
    assert a.record(0).mid is None
    assert a.record(0).transport is None
    assert a.record(0).direction == "sendonly"
    assert a.state.local_description is None
    assert a.state.data is None
    assert a.states() == ["have-local-offer", "stable"]
    assert a.local(SdpType.OFFER, offer) == offer  # still the last created one
    assert a.objects.transports == {2, 3}


def test_remote_offer_drops_what_it_made() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_set_track(0, "replaced"))
    plan = b.carry_out(b.engine.plan_remote(SdpType.ROLLBACK, "!<Invalid SDP Content>;"))
    assert b.state.transceivers == ()
    assert [type(e) for e in plan.start] == [StopTransceiver, RemoveTransceiver, CloseTransport]
    assert [type(e).__name__ for e in plan.announce] == [
        "UpdateNegotiationNeeded",
        "SignalingStateChanged",
        "MuteTrack",
        "RemoveRemoteTrack",
    ]


def test_a_transceiver_touched_by_add_track_stays() -> None:
    a, b = pair()
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    b.track("video", "t")
    b.carry_out(b.engine.operations.plan_set_track(0, None))
    b.remote(SdpType.ROLLBACK, "")
    assert len(b.state.transceivers) == 1
    assert b.record(0).mid is None
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    assert b.record(0).mid == "0"


def test_transceivers_with_the_same_mid() -> None:
    a, b = pair()
    a.transceiver("video", Direction.SENDONLY)
    b.transceiver("video", Direction.SENDONLY)
    a.local()
    assert a.record(0).mid == "0"
    b.local()
    a.remote(SdpType.OFFER, b.state.local_description.text)  # type: ignore[union-attr]
    assert a.states() == ["have-local-offer", "stable", "have-remote-offer"]
    assert [t.mid for t in a.state.transceivers] == [None, "0"]
    a.local()
    a.local()
    assert [t.mid for t in a.state.transceivers] == ["1", "0"]


def test_rollback_to_a_negotiated_state_keeps_it() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    before = a.state
    a.transceiver("video")
    a.local()
    a.local(SdpType.ROLLBACK)
    assert a.record(0) == before.transceivers[0]
    assert a.record(1).mid is None
    assert a.record(1).transport is None
    assert a.state.transports == before.transports
    assert a.state.current_local is before.current_local
    negotiate(a, b)


def test_streams_come_back_with_a_track_event() -> None:
    a, b = pair()
    a.track("audio", "s1")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_streams(0, ["s2"]))
    b.remote(SdpType.OFFER, a.local())
    b.remote(SdpType.ROLLBACK, "")
    assert [e.stream_ids for e in b.tracks()] == [("s1",), ("s2",), ("s1",)]
    assert b.record(0).remote_stream_ids == ("s1",)


def test_a_direction_that_went_away_comes_back() -> None:
    a, b = pair()
    a.track("audio", "s1")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    b.remote(SdpType.OFFER, a.local())
    assert b.record(0).fired_direction == "sendonly"
    withdrawn = b.objects.receivers[0]
    assert not withdrawn.active  # [[Receptive]] is false from the offer on
    b.remote(SdpType.ROLLBACK, "")
    assert len(b.tracks()) == 2
    parameters = b.record(0).receive_parameters
    assert parameters is not None
    assert parameters.active


def test_candidates_that_come_between_survive() -> None:
    from tests.unit.jsep.support import host

    a, b = pair()
    a.track("audio", "s1")
    negotiate(a, b)
    a.transceiver("video")
    a.local()
    found = a.found(0, host(9))
    assert found is not None
    b.remote(SdpType.OFFER, b.offer.__self__.state.remote_description.base)  # type: ignore[attr-defined, union-attr]
    b.carry_out(b.engine.plan_remote_candidate(found.text, "0"))
    a.local(SdpType.ROLLBACK)
    assert "192.0.2.9" in a.state.current_local.text  # type: ignore[union-attr]
    assert a.state.transports[0].candidates[0].address == "192.0.2.9"


def test_data_rolls_back_alone() -> None:
    a, b = pair()
    b.transceiver("video")
    a.want_data()
    a.local()
    a.remote(SdpType.OFFER, b.local())
    assert a.state.data is None
    a.local()
    assert a.state.data is None
    assert a.engine.negotiation_needed()
    a.local()
    assert a.state.data is not None


def test_a_stopped_section_of_a_rolled_back_offer_stays_stopped() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.track("audio", "t")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(0))
    b.remote(SdpType.OFFER, a.local())
    b.remote(SdpType.ROLLBACK, "")
    assert b.record(0).stopped
    assert b.record(0).mid == "0"
    negotiate(b, a)
    assert b.state.transceivers == ()


def test_a_version_that_was_rolled_back_is_not_given_to_another_description() -> None:
    """RFC 8829 5.2.2; the other side may have seen the offer, and tells old descriptions by the version."""
    a, b = pair()

    def version() -> int:
        return a.state.local_description.session.origin.version  # type: ignore[union-attr]

    a.track("audio", "s")
    first = a.offer()
    a.local(SdpType.OFFER, first)
    rolled_back = version()
    a.local(SdpType.ROLLBACK)
    assert a.local(SdpType.OFFER, first) == first  # the same one again needs no other version
    a.local(SdpType.ROLLBACK)
    a.track("video", "t")
    b.remote(SdpType.OFFER, a.local())
    assert version() == rolled_back + 1
    a.remote(SdpType.ANSWER, b.local())
    answered = version()
    a.want_data()
    a.local()
    assert version() == answered + 1
    b.track("audio", "u")
    a.remote(SdpType.OFFER, b.local())  # rolls ours back
    a.local()
    assert version() == answered + 2
    offer = a.offer(ice_restart=True)
    a.local(SdpType.OFFER, offer)
    assert version() == answered + 3
    a.local(SdpType.ROLLBACK)
    a.local()
    assert version() in (answered + 3, answered + 4)
