"""What rollback restores and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.jsep.effects import (
    AddRemoteTrack,
    AttachData,
    CloseData,
    CloseTransport,
    RemoveTransceiver,
    StopTransceiver,
)
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import Direction, SdpType
from tests.unit.jsep.support import Peer, negotiate, pair


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
    plan = b.carry_out(b.engine.plan_remote(SdpType.ROLLBACK, ""))
    assert b.record(0).stopped
    assert b.record(0).mid == "0"
    assert not [x for x in plan.announce if isinstance(x, AddRemoteTrack)]
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


def test_what_a_second_offer_of_the_round_has_added_is_as_if_it_had_never_been_offered() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    a.local()
    new = a.transceiver("video")
    a.local()
    assert a.record(new).transport == 0
    assert a.objects.receivers[new].active  # DTLS runs already: pictures may come before the answer
    a.local(SdpType.ROLLBACK)
    record = a.record(new)
    assert (record.mid, record.transport, record.receive_codecs) == (None, None, ())
    assert a.objects.receivers[new] is None


def test_data_that_an_offer_takes_to_another_transport_goes_back() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    negotiate(a, b)
    text = a.local()
    b.remote(SdpType.OFFER, text.replace("BUNDLE 0 1", "BUNDLE 0"))
    assert b.objects.data == 1
    b.remote(SdpType.ROLLBACK, "")
    assert b.objects.data == 0
    b.remote(SdpType.OFFER, text)
    plan = b.carry_out(b.engine.plan_remote(SdpType.ROLLBACK, ""))
    assert not [x for x in plan.start if isinstance(x, AttachData | CloseData)]


def limited(peer: Peer, id: int) -> list[SendEncoding]:
    """The encodings after the program has set a bitrate for each."""
    peer.carry_out(
        peer.engine.operations.plan_set_encodings(
            id, [replace(e, max_bitrate=5) for e in peer.record(id).encodings]
        )
    )
    return list(peer.record(id).encodings)


def test_what_a_program_sets_meanwhile_stays_set() -> None:
    """webrtc-pc 4.4.1.5 restores [[SendEncodings]] only where the offer had proposed others."""
    a, b = pair()
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    b.track("video", "t")
    kept = limited(b, 0)
    b.remote(SdpType.ROLLBACK, "")
    assert list(b.record(0).encodings) == kept
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    b.carry_out(b.engine.operations.plan_set_encodings(0, [replace(kept[0], max_bitrate=6)]))
    b.remote(SdpType.ROLLBACK, "")
    assert b.record(0).encodings == (replace(kept[0], max_bitrate=6),)


@pytest.mark.parametrize("left", ["q;f", "f"])
def test_layers_that_a_program_sets_meanwhile_stay_set(left: str) -> None:
    a, b = pair()
    layers = tuple([SendEncoding(rid=rid) for rid in ("q", "f")])
    id = a.transceiver("video", encodings=layers)
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, b.local().replace("simulcast:recv q;f", f"simulcast:recv {left}"))
    assert [e.rid for e in a.record(id).encodings] == left.split(";")
    a.remote(SdpType.OFFER, b.local())
    kept = limited(a, id)
    a.remote(SdpType.ROLLBACK, "")
    assert list(a.record(id).encodings) == kept


def test_layers_of_a_transceiver_that_is_made_meanwhile_stay() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local())
    layers = tuple([SendEncoding(rid=rid) for rid in ("q", "f")])
    id = b.transceiver("video", encodings=layers)
    before = b.record(id)
    b.remote(SdpType.ROLLBACK, "")
    assert b.record(id) == before


def offer_to_receive_two(b: Peer) -> str:
    b.transceiver("video", Direction.RECVONLY)
    return b.local() + "a=rid:foo recv\r\na=rid:bar recv\r\na=simulcast:recv foo;bar\r\n"


@pytest.mark.parametrize("made_by_the_offer", [True, False])
def test_one_encoding_is_left_of_layers_that_an_offer_has_proposed(made_by_the_offer: bool) -> None:
    a, b = pair()
    if not made_by_the_offer:
        a.track("video", "s")
    a.remote(SdpType.OFFER, offer_to_receive_two(b))
    if made_by_the_offer:
        a.track("video", "s")
    first = a.record(0).encodings[0]
    revision = a.record(0).parameters_revision
    before = a.state.stable.transceiver(0) if a.state.stable is not None else None
    a.remote(SdpType.ROLLBACK, "")
    (left,) = a.record(0).encodings
    expected = first if before is None else before.encodings[0]
    assert (left.rid, left.ssrc, left.rtx_ssrc) == (None, expected.ssrc, expected.rtx_ssrc)
    assert left.scale_resolution_down_by == 1.0
    # what the program has read of them before is nothing that could be set now
    assert a.record(0).parameters_revision > revision


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("used", [True, False])
def test_whether_a_remote_section_finds_a_transceiver_outlives_a_rollback(pairs: bool, used: bool) -> None:
    """Those of addTrack are found (RFC 8829 5.10); by aiortc's conventions those of addTransceiver as well."""
    a, b = pair()
    a.transceiver("video")
    b.remote(SdpType.OFFER, a.local())
    mine = b.transceiver("audio", pairs_with_remote=pairs)
    if used:
        assert b.track("audio", "s") == mine
    b.remote(SdpType.ROLLBACK, "")
    c = Peer("c")
    c.transceiver("audio")
    b.remote(SdpType.OFFER, c.local())
    assert (b.record(mine).mid is not None) is pairs
