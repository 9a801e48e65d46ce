"""Offers, answers and what they do, from both ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidModificationError, InvalidStateError
from rtcpeer.jsep.effects import (
    CloseData,
    ConfigureReceiver,
    ConfigureSender,
    CreateTransceiver,
    FireTrack,
    MuteTrack,
    RemoveRemoteTrack,
    SetIceRole,
    SignalingStateChanged,
    StalePlan,
    StartData,
    StartDtls,
    StopTransceiver,
    UpdateNegotiationNeeded,
)
from rtcpeer.jsep.inputs import TransceiverInit
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import Direction, DtlsRole, IceRole, MediaKind, SdpType, SignalingState
from tests.unit.jsep.support import MID, SETTINGS, Peer, negotiate, pair


def full_call() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("audio", "s1")
    a.track("video", "s1")
    a.want_data()
    negotiate(a, b)
    return a, b


def test_a_call_with_audio_video_and_data() -> None:
    a, b = full_call()
    assert [m.kind for m in a.state.current_local.session.media] == ["audio", "video", "application"]  # type: ignore[union-attr]
    for peer in (a, b):
        assert peer.signaling == "stable"
        assert len(peer.objects.transports) == 1
        assert set(peer.objects.transceivers.values()) == set(peer.objects.transports)
        assert peer.state.pending_local is peer.state.pending_remote is None
        assert not peer.engine.negotiation_needed()
    assert a.objects.dtls == {0: DtlsRole.SERVER}
    assert b.objects.dtls == {0: DtlsRole.CLIENT}
    assert [t.mid for t in a.state.transceivers] == ["0", "1"]
    assert [t.current_direction for t in a.state.transceivers] == ["sendonly", "sendonly"]
    assert [t.current_direction for t in b.state.transceivers] == ["recvonly", "recvonly"]
    assert a.objects.senders[0].codecs[0].mime_type == "audio/opus"
    assert a.objects.senders[1].encodings[0].ssrc == b.objects.receivers[1].sources[0].ssrc
    assert a.objects.senders[1].encodings[0].rtx_ssrc == b.objects.receivers[1].sources[0].rtx_ssrc
    assert a.state.data is not None
    assert (a.state.data.max_message_size, a.state.data.started) == (262144, True)
    assert [e.stream_ids for e in b.tracks()] == [("s1",), ("s1",)]


def test_equal_inputs_give_equal_outputs() -> None:
    first, second = full_call()[0], full_call()[0]
    assert first.state == second.state


def test_the_order_of_effects_and_announcements() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    text = a.local()
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, text))
    assert [type(e).__name__ for e in plan.prepare] == ["CreateTransport", "CreateTransceiver", "CreateData"]
    assert [type(e).__name__ for e in plan.announce] == [
        "SignalingStateChanged",
        "AddRemoteTrack",
        "FireTrack",
    ]
    # webrtc-pc 4.4.1.5: the role "always has a value after the first offer is processed"
    assert plan.start == (SetIceRole(0, IceRole.CONTROLLED),)
    plan = b.carry_out(b.engine.plan_local())
    assert [type(e).__name__ for e in plan.start] == [
        "AttachTransport",
        "ConfigureReceiver",
        "StartIceGeneration",
        "SetRemoteIce",
        "StartDtls",
        "StartData",
    ]
    # with an answer the flag is cleared first, and asked for anew
    assert plan.announce == (
        UpdateNegotiationNeeded(clear=True),
        SignalingStateChanged(SignalingState.STABLE),
    )


def test_a_plan_of_an_older_state_is_stale() -> None:
    a, _ = pair()
    plan = a.engine.plan_local()
    a.transceiver()
    with pytest.raises(StalePlan):
        a.engine.commit(plan)


def test_only_the_last_created_description_can_be_set() -> None:
    a, b = pair()
    a.transceiver()
    first = a.offer()
    a.transceiver("video")
    second = a.offer()
    for wrong in (first, second.replace("a=sendrecv", "a=sendonly"), "nonsense"):
        with pytest.raises(InvalidModificationError):
            a.local(SdpType.OFFER, wrong)
    assert a.local(SdpType.OFFER, second) == second
    b.remote(SdpType.OFFER, second)
    with pytest.raises(InvalidModificationError):
        b.local(SdpType.ANSWER, second)


def test_implicit_descriptions_use_what_was_created_while_it_fits() -> None:
    a, b = pair()
    a.transceiver()
    offer = a.offer()
    assert a.local() == offer
    b.remote(SdpType.OFFER, offer)
    answer = b.answer()
    assert b.local() == answer
    a, _ = pair()
    a.transceiver()
    offer = a.offer()
    a.transceiver("video")
    assert "m=video" in a.local()


def test_an_ice_restart_offer_created_before_is_used_implicitly() -> None:
    a, _b = full_call()
    offer = a.offer(ice_restart=True)
    assert a.local() == offer


def test_the_session_version_counts_changes() -> None:
    a, b = full_call()
    version = a.state.current_local.session.origin.version  # type: ignore[union-attr]
    again = parse_untrusted(a.offer())
    assert again.origin.version in (version, version + 1)
    a.transceiver()
    negotiate(a, b)
    assert a.state.current_local.session.origin.version > version  # type: ignore[union-attr]
    assert a.state.current_local.session.origin.session_id == a.state.session_id  # type: ignore[union-attr]


def test_each_description_that_differs_has_a_version_of_its_own() -> None:
    """RFC 9429 5.2.2: <session-version> goes up "on each call to createOffer if the offer might differ"."""
    a, b = pair()
    a.transceiver()

    def version(text: str) -> int:
        return parse_untrusted(text).origin.version

    offers = [version(a.offer()), version(a.offer()), version(a.local())]
    a.local(SdpType.ROLLBACK)
    offers.append(version(a.offer()))
    assert offers == [0, 1, 1, 2]  # fresh credentials each time, but for the one that is set
    b.remote(SdpType.OFFER, a.local())
    answers = [version(b.answer()), version(b.answer()), version(b.local())]
    assert answers[0] < answers[1]
    assert answers[1] == answers[2]  # it is the same


def test_ice_options() -> None:
    """RFC 9429 5.2.1 and 5.3.1: "trickle" and "ice2" in an offer, and in an answer what the offer had of them."""
    a, b = pair()
    a.transceiver()
    offer = a.local()
    assert "\r\na=ice-options:trickle ice2\r\n" in offer
    for offered, answered in (("trickle ice2", "trickle ice2"), ("ice2 x", "ice2"), ("trickle", "trickle")):
        b.remote(SdpType.OFFER, offer.replace("trickle ice2", offered))
        assert f"\r\na=ice-options:{answered}\r\n" in b.answer()
    b.remote(SdpType.OFFER, offer.replace("a=ice-options:trickle ice2\r\n", ""))
    assert "ice-options" not in b.answer()
    b.remote(SdpType.OFFER, offer.replace("a=ice-options:trickle ice2\r\n", "") + "a=ice-options:ice2\r\n")
    assert "\r\na=ice-options:ice2\r\n" in b.answer()
    empty = Peer("c")
    empty.remote(SdpType.OFFER, pair()[0].local())
    assert "\r\na=ice-options:trickle ice2\r\n" in empty.answer()


def test_renegotiation_from_the_other_side_keeps_transport_and_roles() -> None:
    a, b = full_call()
    b.track("video", "t")
    plans = [b.carry_out(b.engine.plan_local())]
    a.remote(SdpType.OFFER, b.state.local_description.text)  # type: ignore[union-attr]
    plans.append(a.carry_out(a.engine.plan_local()))
    plans.append(b.carry_out(b.engine.plan_remote(SdpType.ANSWER, a.state.local_description.text)))  # type: ignore[union-attr]
    effects = [e for p in plans for e in p.start]
    assert not [e for e in effects if isinstance(e, StartDtls | StartData)]
    assert a.objects.dtls == {0: DtlsRole.SERVER}
    assert len(a.objects.transports) == len(b.objects.transports) == 1
    # b's track went into the transceiver that a's offer had made
    assert [t.current_direction for t in b.state.transceivers] == ["recvonly", "sendrecv"]


def test_early_media_a_new_section_of_a_running_bundle_can_receive_at_once() -> None:
    a, _b = full_call()
    new = a.transceiver("audio", Direction.RECVONLY)
    a.local()
    assert a.objects.receivers[new].mid == "3"
    a.local(SdpType.ROLLBACK)
    assert a.objects.receivers[new] is None


def test_add_track_reuses_and_sets_the_direction() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    id = b.track("audio", "t")
    assert id == b.state.transceivers[0].id
    assert b.record(id).direction == "sendrecv"
    negotiate(b, a)
    assert b.record(id).has_sent
    b.carry_out(b.engine.operations.plan_remove_track(id))
    assert b.record(id).direction == "recvonly"
    assert b.track("audio", "t") != id  # it was used to send


def test_transceivers_of_add_transceiver_do_not_pair() -> None:
    a, b = pair()
    a.transceiver()
    mine = b.transceiver()
    negotiate(a, b)
    assert b.record(mine).mid is None
    assert len(b.state.transceivers) == 2


def test_add_track_on_a_transceiver_of_add_transceiver_does_not_make_it_pair() -> None:
    a, b = pair()
    a.transceiver()
    mine = b.transceiver()
    assert b.track("audio", "s") == mine
    b.remote(SdpType.OFFER, a.local())
    assert b.record(mine).mid is None


def test_add_track_pairs_when_the_offer_can_receive() -> None:
    for direction, pairs in (
        (Direction.SENDRECV, True),
        (Direction.RECVONLY, True),
        (Direction.SENDONLY, False),
    ):
        a, b = pair()
        a.transceiver("audio", direction)
        mine = b.track("audio", "s")
        b.remote(SdpType.OFFER, a.local())
        assert (b.record(mine).mid is not None) is pairs


def test_remove_track_mutes_and_takes_the_track_out_of_its_streams() -> None:
    a, b = full_call()
    a.carry_out(a.engine.operations.plan_remove_track(0))
    assert a.engine.negotiation_needed()
    text = a.local()
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, text))
    assert MuteTrack(0) in plan.announce
    assert RemoveRemoteTrack(0, "s1") in plan.announce
    b.local()
    a.remote(SdpType.ANSWER, b.state.local_description.text)  # type: ignore[union-attr]
    assert b.record(0).current_direction == "inactive"
    assert not a.objects.senders[0].active
    assert not b.objects.receivers[0].active


def test_set_streams_moves_the_remote_track() -> None:
    a, b = full_call()
    a.carry_out(a.engine.operations.plan_set_streams(0, ["s2", "s2"]))
    assert a.engine.negotiation_needed()
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, a.local()))
    assert [type(e).__name__ for e in plan.announce] == [
        "SignalingStateChanged",
        "RemoveRemoteTrack",
        "AddRemoteTrack",
        "FireTrack",
    ]
    assert FireTrack(0, ("s2",)) in plan.announce


def test_stop_and_recycling() -> None:
    a, b = pair()
    first = a.transceiver("audio")
    a.transceiver("video")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(first))
    assert a.record(first).shown_direction == "stopped"
    assert a.record(first).shown_current_direction == "sendonly"  # b only listens; it stops with the answer
    text = a.local()
    assert "m=audio 0 " in text
    assert "a=group:BUNDLE 1" in text
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, text))
    assert StopTransceiver(0) in plan.start
    b.local()
    a.remote(SdpType.ANSWER, b.state.local_description.text)  # type: ignore[union-attr]
    assert len(a.state.transceivers) == len(b.state.transceivers) == 1
    assert a.state.transceiver(first) is None
    a.transceiver("video")
    text = a.offer()
    assert text.count("m=") == 2
    assert "m=audio" not in text
    assert "a=mid:2" in text
    negotiate(a, b)
    assert [t.mid for t in b.state.transceivers] == ["1", "2"]


def test_a_transceiver_stopped_before_any_offer_leaves_at_the_next_answer() -> None:
    a, b = pair()
    a.transceiver()
    a.carry_out(a.engine.operations.plan_stop(0))
    assert a.engine.negotiation_needed()
    negotiate(a, b)
    assert a.state.transceivers == ()
    assert not a.engine.negotiation_needed()


def test_stop_after_create_offer() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.track("audio", "t")
    offer = a.offer()
    a.carry_out(a.engine.operations.plan_stop(0))
    a.local(SdpType.OFFER, offer)
    b.remote(SdpType.OFFER, offer)
    a.remote(SdpType.ANSWER, b.local())
    assert a.record(0).current_direction == "sendrecv"
    assert a.record(0).shown_direction == "stopped"
    assert a.tracks() == [FireTrack(0, ("t",))]
    assert a.objects.senders.get(0) is None
    assert a.engine.negotiation_needed()
    negotiate(a, b)
    assert a.state.transceivers == b.state.transceivers == ()


def test_a_stopping_answerer_answers_inactive() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_stop(0))
    a.remote(SdpType.ANSWER, b.local())
    assert a.record(0).current_direction == "inactive"
    assert b.record(0).current_direction == "inactive"
    assert b.engine.negotiation_needed()
    negotiate(b, a)
    assert a.state.transceivers == b.state.transceivers == ()


def test_rejected_data_ends_the_association() -> None:
    a, b = full_call()
    text = b.local()
    a.remote(SdpType.OFFER, text)
    answer = a.local()
    head, tail = answer.split("m=application ")
    answer = (head + "m=application 0" + tail[tail.index(" ") :]).replace("BUNDLE 0 1 2", "BUNDLE 0 1")
    plan = b.carry_out(b.engine.plan_remote(SdpType.ANSWER, answer))
    assert CloseData() in plan.start
    assert b.state.data is None


def test_unknown_sections_are_rejected_alone() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    text = a.local().replace("m=video", "m=unicorns")
    b.remote(SdpType.OFFER, text)
    answer = b.local()
    assert "m=unicorns 0 " in answer
    assert "m=audio 9 " in answer
    assert "a=group:BUNDLE 0\r\n" in answer


def test_sections_without_common_codecs_are_rejected_and_stop() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    text = a.local().replace("VP8/", "XX8/").replace("H264/", "X264/")
    b.remote(SdpType.OFFER, text)
    answer = b.local()
    assert "m=video 0 " in answer
    assert b.record(1).stopped
    a.remote(SdpType.ANSWER, answer)
    assert [t.kind for t in a.state.transceivers] == ["audio"]


def test_offers_without_mids_are_answered_without_mids() -> None:
    a, b = pair()
    a.track("audio", "s")
    text = a.local()
    text = "".join(x for x in text.splitlines(True) if not x.startswith(("a=mid", "a=group")))
    b.remote(SdpType.OFFER, text)
    answer = b.local()
    assert "a=mid" not in answer
    assert b.state.transceivers[0].mid is not None
    a.remote(SdpType.ANSWER, answer)
    assert a.state.transceivers[0].mid == "0"
    assert not b.engine.negotiation_needed()
    negotiate(a, b)


def test_answers_without_mids_take_those_of_the_offer() -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local())
    answer = "".join(x for x in b.local().splitlines(True) if not x.startswith(("a=mid", "a=group")))
    a.remote(SdpType.ANSWER, answer)
    assert a.record(0).current_direction == "sendonly"


def test_streams_by_msid() -> None:
    cases = {
        "": 1,
        "a=msid:- x\r\n": 0,
        "a=msid:foo x\r\n": 1,
        "a=msid:foo\r\n": 1,
        "a=msid:foo x\r\na=msid:bar x\r\n": 2,
    }
    for lines, count in cases.items():
        a, b = pair()
        a.track("audio")
        text = "".join(x for x in a.local().splitlines(True) if not x.startswith("a=msid")) + lines
        b.remote(SdpType.OFFER, text)
        assert len(b.tracks()[0].stream_ids) == count


def test_pranswer_then_answer() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    text = b.local(SdpType.PRANSWER)
    assert b.signaling == "have-local-pranswer"
    assert b.state.pending_local is not None
    assert b.state.pending_local.type == "pranswer"
    a.remote(SdpType.PRANSWER, text)
    assert a.signaling == "have-remote-pranswer"
    assert a.objects.dtls
    assert len(a.objects.transports) == 2  # the second waits: the final answer might not bundle
    with pytest.raises(InvalidStateError):
        a.local(SdpType.ROLLBACK)
    generations = dict(b.objects.generations)
    final = b.local(SdpType.ANSWER)
    assert b.objects.generations == generations
    a.remote(SdpType.ANSWER, final)
    assert a.signaling == b.signaling == "stable"
    assert len(a.objects.transports) == 1


def test_legacy_offer_options() -> None:
    a, _ = pair()
    plan = a.carry_out(
        a.engine.plan_offer(_options(offer_to_receive_audio=True, offer_to_receive_video=True))
    )
    assert [type(e) for e in plan.prepare] == [CreateTransceiver, CreateTransceiver]
    assert [t.direction for t in a.state.transceivers] == ["recvonly", "recvonly"]
    a.offer(offer_to_receive_audio=True)
    assert len(a.state.transceivers) == 2
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.SENDRECV))
    a.offer(offer_to_receive_audio=False, offer_to_receive_video=False)
    assert [t.direction for t in a.state.transceivers] == ["sendonly", "inactive"]


def _options(**more: bool):  # type: ignore[no-untyped-def]
    from rtcpeer.jsep.inputs import OfferOptions

    return OfferOptions(**more)


def test_directions() -> None:
    a, _ = pair()
    id = a.transceiver()
    with pytest.raises(TypeError):
        a.engine.operations.plan_set_direction(id, Direction.STOPPED)
    a.carry_out(a.engine.operations.plan_stop(id))
    with pytest.raises(InvalidStateError):
        a.engine.operations.plan_set_direction(id, Direction.SENDRECV)
    assert a.engine.operations.plan_stop(id).start == ()


def test_after_close_nothing_goes() -> None:
    a, _b = full_call()
    a.carry_out(a.engine.operations.plan_close())
    assert a.signaling == "closed"
    assert [t.shown_current_direction for t in a.state.transceivers] == ["stopped", "stopped"]
    init = TransceiverInit(MediaKind.AUDIO)
    for call in (
        lambda: a.engine.plan_offer(),
        lambda: a.engine.plan_answer(),
        lambda: a.engine.plan_local(),
        lambda: a.engine.plan_remote(SdpType.OFFER, ""),
        lambda: a.engine.operations.plan_add_track(init),
        lambda: a.engine.operations.plan_add_transceiver(init),
        lambda: a.engine.operations.plan_want_data(),
        lambda: a.engine.plan_remote_candidate("", None),
        lambda: a.engine.operations.plan_stop(0),
    ):
        with pytest.raises(InvalidStateError):
            call()
    assert a.engine.operations.plan_restart_ice().start == ()


def test_set_track_keeps_a_msid_that_was_told() -> None:
    a, b = pair()
    a.transceiver("audio")
    a.carry_out(a.engine.operations.plan_set_track(0, "first"))
    assert a.record(0).track_id == "first"
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_track(0, "second"))
    assert a.record(0).track_id == "first"
    assert a.record(0).has_track
    a.carry_out(a.engine.operations.plan_set_track(0, None))
    assert not a.record(0).has_track
    assert not a.engine.negotiation_needed()


def test_an_offer_whose_transceiver_was_taken_by_another_does_not_fit() -> None:
    a, b = pair()
    a.track("video", "s")
    offer = a.offer()
    b.transceiver("audio", Direction.RECVONLY)
    b.transceiver("video", Direction.RECVONLY)
    a.remote(SdpType.OFFER, b.local())
    a.remote(SdpType.ROLLBACK, "")
    a.local(SdpType.OFFER, offer)  # rollback gave it back
    a, b = pair()
    a.transceiver()
    offer = a.offer()
    created = a.state.last_offer
    assert created is not None
    a.carry_out(a.engine.operations.plan_stop(0))
    b.transceiver("audio")
    negotiate(b, a)
    with pytest.raises(InvalidModificationError):
        a.local(SdpType.OFFER, offer)


def test_codec_preferences() -> None:
    from tests.unit.jsep.support import H264, RTX, VP8

    a, b = pair()
    id = a.transceiver("video")
    a.carry_out(a.engine.operations.plan_set_codec_preferences(id, [H264, H264]))
    text = a.local()
    assert "VP8" not in text
    assert "rtx" not in text
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())
    assert [c.name for c in b.record(0).receive_codecs] == ["H264"]
    a.carry_out(a.engine.operations.plan_set_codec_preferences(id, []))
    assert "VP8" in a.offer()
    for wrong in ([RTX], [VP8, H264.__class__("video/none", 90000)]):
        with pytest.raises(InvalidModificationError):
            a.engine.operations.plan_set_codec_preferences(id, wrong)


def test_the_answerers_preferences_decide_the_order() -> None:
    from tests.unit.jsep.support import H264, RTX, VP8

    a, b = pair()
    a.transceiver("video")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_set_codec_preferences(0, [H264, VP8, RTX]))
    names = [c.name for c in parse_untrusted(b.local()).media[0].codecs]
    assert names == ["H264", "rtx", "VP8", "rtx"]


def test_set_encodings_reaches_the_sender_and_keeps_ssrcs() -> None:
    a, _b = full_call()
    current = a.record(1).encodings
    plan = a.carry_out(
        a.engine.operations.plan_set_encodings(1, [replace(current[0], max_bitrate=5, ssrc=1)])
    )
    assert isinstance(plan.start[0], ConfigureSender)
    assert a.objects.senders[1].encodings[0].max_bitrate == 5
    assert a.objects.senders[1].encodings[0].ssrc == current[0].ssrc


def test_payload_types_stay_what_the_other_side_made_them() -> None:
    a, b = pair()
    a.transceiver("video")
    text = a.local()
    b.remote(
        SdpType.OFFER, text.replace(" 96 ", " 120 ").replace(":96 ", ":120 ").replace("apt=96", "apt=120")
    )
    assert "a=rtpmap:120 VP8" in b.local()
    offer = b.offer()
    assert "a=rtpmap:120 VP8" in offer
    assert "a=rtpmap:98 H264" in offer


def test_renegotiation_without_change_reconfigures_nothing() -> None:
    a, b = full_call()
    negotiate(b, a)
    plan = a.carry_out(a.engine.plan_local())
    assert not [e for e in plan.start if isinstance(e, ConfigureReceiver | ConfigureSender)]


@pytest.mark.parametrize(
    ("lines", "limit"),
    [
        ("", None),
        ("b=AS:500\r\n", 459_000),
        ("b=AS:500\r\nb=TIAS:300000\r\n", 300_000),
        ("b=AS:1\r\nb=RR:5\r\n", 0),
        ("b=CT:5\r\n", None),
    ],
)
def test_the_bandwidth_of_a_section_limits_what_is_sent_to_it(lines: str, limit: int | None) -> None:
    """RFC 9429 5.10: TIAS as it stands, else AS * 1000 * 0.95 - (50 * 40 * 8)."""
    a, b = pair()
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    answer = b.local().replace("c=IN IP4 0.0.0.0\r\n", "c=IN IP4 0.0.0.0\r\n" + lines)
    a.remote(SdpType.ANSWER, answer)
    assert a.objects.senders[0].max_bitrate == limit


def test_remove_track_changes_what_it_can() -> None:
    """webrtc-pc 5.1: nothing without a track, nor of what is stopping; what never sent serves a new track."""
    a, _ = pair()
    id = a.track("audio", "s")
    a.carry_out(a.engine.operations.plan_remove_track(id))
    for nothing in (id, 99):
        plan = a.engine.operations.plan_remove_track(nothing)
        assert (plan.announce, plan.next) == ((), a.state)
    assert a.track("audio", "t") == id
    a.carry_out(a.engine.operations.plan_stop(id))
    plan = a.engine.operations.plan_remove_track(id)
    assert (plan.announce, plan.next) == ((), a.state)


def test_encodings_of_another_number_or_of_nobody_change_nothing() -> None:
    a, _b = full_call()
    two = [*a.record(1).encodings] * 2
    for id in (1, 99):
        plan = a.engine.operations.plan_set_encodings(id, two)
        assert (plan.start, plan.next) == ((), a.state)


def test_encodings_of_a_stopping_transceiver_reach_no_sender() -> None:
    a, _b = full_call()
    a.carry_out(a.engine.operations.plan_stop(1))
    assert a.engine.operations.plan_set_encodings(1, a.record(1).encodings).start == ()


def test_mids_that_were_offered_once_are_not_given_to_others() -> None:
    """The other side may have seen an offer that was rolled back."""
    a, _ = pair()
    a.transceiver("audio")
    a.local()
    a.local(SdpType.ROLLBACK)
    a.transceiver("video")
    assert [m.mid for m in parse_untrusted(a.local()).media] == ["1", "2"]


@pytest.mark.parametrize("mid", ["sound", "9999999999999999", "007"])
def test_mids_of_the_other_side_are_kept_in_our_offers(mid: str) -> None:
    a, b = pair()
    a.track("audio", "s")
    b.remote(SdpType.OFFER, a.local().replace("a=mid:0", f"a=mid:{mid}").replace("BUNDLE 0", f"BUNDLE {mid}"))
    b.local()
    b.transceiver("video")
    mids = [m.mid for m in parse_untrusted(b.local()).media]
    assert mids[0] == mid
    assert len(mids[1] or "") < 3
    b.transceiver("video")
    assert len({m.mid for m in parse_untrusted(b.local()).media}) == 3


def test_a_rollback_asks_anew_whether_negotiation_is_needed() -> None:
    a, _ = pair()
    a.transceiver()
    a.local()
    plan = a.engine.plan_local(SdpType.ROLLBACK)
    assert plan.announce == (
        UpdateNegotiationNeeded(clear=True),
        SignalingStateChanged(SignalingState.STABLE),
    )


def test_trickling_is_possible_when_it_is_said_anywhere() -> None:
    """RFC 8840 4.1.1: at session level, which may be all there is, or in a section."""
    a, b = pair()
    b.remote(SdpType.OFFER, a.local())
    assert b.state.can_trickle is True
    a.transceiver()
    text = a.local().replace("a=ice-options:trickle ice2\r\n", "")
    b.remote(SdpType.OFFER, text + "a=ice-options:trickle\r\n")
    assert b.state.can_trickle is True
    b.remote(SdpType.OFFER, text)
    assert b.state.can_trickle is False


def test_what_a_number_has_meant_it_means_for_life() -> None:
    """RFC 9429 5.2.1, RFC 8285 5: also when the section is over in which it was used."""
    quiet = replace(
        SETTINGS, capabilities=lambda kind: replace(SETTINGS.capabilities(kind), header_extensions=(MID,))
    )
    a, b = Peer("a"), Peer("b", quiet)
    a.transceiver("audio")
    negotiate(a, b)
    before = parse_untrusted(a.offer()).media[0]
    a.carry_out(a.engine.operations.plan_stop(0))
    negotiate(a, b)
    a.transceiver("video")
    (media,) = parse_untrusted(a.offer()).media
    assert not {c.payload_type for c in media.codecs} & {c.payload_type for c in before.codecs}
    names = {e.id: e.uri for e in before.header_extensions}
    assert len(names) == len(media.header_extensions) == 2
    assert [names.get(e.id) for e in media.header_extensions] == [MID.uri, None]


def test_a_remote_section_finds_the_first_transceiver_that_waits() -> None:
    """RFC 8829 5.10: made by addTrack, not stopped, and of no other section."""
    a, b = pair()
    for _ in range(2):
        a.transceiver("audio")
    stopped, first, other = (b.track("audio", "s") for _ in range(3))
    b.carry_out(b.engine.operations.plan_stop(stopped))
    head, second = a.local().rsplit("m=audio", 1)
    b.remote(SdpType.OFFER, head.replace("BUNDLE 0 1", "BUNDLE 0"))
    assert [b.record(id).mid for id in (stopped, first, other)] == [None, "0", None]
    b.remote(SdpType.OFFER, f"{head}m=audio{second}")
    assert [b.record(id).mid for id in (stopped, first, other)] == [None, "0", "1"]
    c = Peer("c")
    waiting = c.track("audio", "s")
    c.remote(SdpType.OFFER, f"{head}m=audio{second}")
    assert [t.mid for t in c.state.transceivers] == ["0", "1"]
    assert c.record(waiting).mid == "0"


def test_a_name_that_a_used_section_has_lost_may_be_that_of_a_new_one() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local().replace("VP8/", "XX8/").replace("H264/", "X264/"))
    b.local()
    over = b.record(1)
    assert (over.mid, over.stopped) == ("1", True)
    a.track("video", "t")
    text = (
        a.local()
        .replace("a=mid:1", "a=mid:x")
        .replace("a=mid:2", "a=mid:1")
        .replace("BUNDLE 0 1 2", "BUNDLE 0 1 x")
    )
    b.remote(SdpType.OFFER, text)
    assert b.record(1).mid is None
    assert "m=video 0" not in b.local()
    assert [t.mid for t in b.state.transceivers] == ["0", "x", "1"]
