"""What negotiation decided is what senders and receivers are told: one set of parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcpeer.jsep.effects import ConfigureReceiver
from rtcpeer.jsep.encodings import as_negotiated
from rtcpeer.jsep.inputs import EngineSettings
from rtcpeer.jsep.negotiated import _sources
from rtcpeer.rtp.parameters import Capabilities, SendEncoding
from rtcpeer.sdp.model import Media, Ssrc, SsrcGroup
from rtcpeer.values import Codec, Direction, Feedback, SdpType
from tests.unit.jsep.support import AUDIO, H264, MID, RID, RTX, SETTINGS, Peer, negotiate, pair

VP8 = Codec("video/VP8", 90000, payload_type=96)


def test_one_encoding_has_no_rid():
    (encoding,) = as_negotiated((SendEncoding(rid="a", ssrc=1),), (VP8,), None)
    assert (encoding.rid, encoding.ssrc, encoding.rtx_ssrc) == (None, 1, None)
    assert encoding.scale == 1.0


def test_layers_keep_their_rids():
    layers = tuple(
        SendEncoding(rid=rid, ssrc=n, rtx_ssrc=n + 10, scale_resolution_down_by=float(n))
        for n, rid in enumerate("abc", 1)
    )
    assert as_negotiated(layers, (VP8,), None) == layers
    assert [e.scale for e in layers] == [1.0, 2.0, 3.0]


def test_an_encodings_codec_is_the_negotiated_one():
    vp8 = Codec("video/VP8", 90000, None, (), (Feedback("nack"),), 96)
    av1 = Codec("video/AV1", 90000, None, (("profile", "0"), ("level-idx", "5")), (Feedback("nack"),), 98)

    def chosen(wanted: Codec | None) -> Codec | None:
        return as_negotiated((SendEncoding(codec=wanted),), (vp8, av1), None)[0].codec

    assert chosen(None) is None
    assert chosen(Codec("video/vp8", 90000)) is vp8
    # what one side says of itself alone makes no other codec
    assert chosen(Codec("video/AV1", 90000, None, (("profile", "1"), ("level-idx", "8")))) is av1
    assert chosen(Codec("video/VP8", 90000, None, (("max-fr", "30"),))) is vp8
    assert chosen(Codec("video/H265", 90000)) is None


def test_encodings_that_are_sent_share_what_the_other_side_allows():
    layers = [SendEncoding(rid=rid, max_bitrate=300) for rid in "abc"]
    resting = SendEncoding(rid="a", max_bitrate=300, active=False)

    def limits(limit, *encodings):
        told = as_negotiated(encodings, (VP8,), limit)
        assert {e.max_bitrate for e in told} == {300}
        return [e.bitrate_limit for e in told]

    assert limits(None, *layers) == [None] * 3
    assert limits(900, *layers) == [300] * 3
    assert limits(900, layers[0]) == [900]
    assert limits(900, resting, *layers[1:]) == [450] * 3
    assert limits(900, resting) == [900]


def test_a_change_of_encodings_tells_the_sender_what_was_negotiated():
    a, b = Peer("a"), Peer("b")
    id = a.track("video")
    negotiate(a, b)
    (kept,) = a.record(id).encodings

    wanted = replace(kept, codec=Codec("video/VP8", 90000), max_bitrate=5)
    a.carry_out(a.engine.operations.plan_set_encodings(id, [wanted]))

    told = a.record(id).send_parameters
    assert told is not None
    assert told.encodings[0].codec in told.codecs
    assert told.encodings[0].max_bitrate == 5
    assert a.record(id).encodings == (wanted,)


def test_red_is_received_where_the_answer_has_left_it_out():
    """Chromium sends it all the same."""
    red, ulpfec = Codec("video/red", 90000), Codec("video/ulpfec", 90000)
    able = Capabilities(
        (vp8 := Codec("video/VP8", 90000), RTX, red, ulpfec), (vp8, RTX, red, ulpfec), (MID, RID)
    )
    a = Peer("a", EngineSettings({"audio": AUDIO, "video": able}.__getitem__))
    b = Peer("b", SETTINGS)
    id = a.track("video")
    b.track("video")
    negotiate(a, b)

    record = a.record(id)
    told = {c.mime_type: c for c in record.receive_parameters.codecs}
    assert {"video/VP8", "video/red", "video/ulpfec"} <= set(told)
    repaired = {dict(c.fmtp)["apt"] for c in record.receive_parameters.codecs if c.mime_type == "video/rtx"}
    assert str(told["video/red"].payload_type) in repaired
    # what a program is told, and what is sent, is what was negotiated
    assert {c.mime_type for c in record.receive_codecs} == {"video/VP8", "video/rtx"}
    assert {c.mime_type for c in record.send_parameters.codecs} == {"video/VP8", "video/rtx"}
    # who answers has said what may come
    (theirs,) = b.state.transceivers
    assert "video/red" not in {c.mime_type for c in theirs.receive_parameters.codecs}


def test_nothing_is_received_before_anybody_could_have_sent():
    """Before DTLS nobody can: what a first offer says is for the answer to settle."""
    a, b = pair()
    a.track("audio", "s")
    plan = a.carry_out(a.engine.plan_local())
    assert not [effect for effect in plan.start if isinstance(effect, ConfigureReceiver)]
    b.remote(SdpType.OFFER, a.state.local_description.text)
    a.remote(SdpType.ANSWER, b.local())
    # later offers are otherwise, but for what was stopped after the offer was made
    id = a.transceiver("audio")
    offer = a.offer()
    a.carry_out(a.engine.operations.plan_stop(id))
    plan = a.carry_out(a.engine.plan_local(SdpType.OFFER, offer))
    assert not [effect for effect in plan.start if isinstance(effect, ConfigureReceiver)]
    b.remote(SdpType.OFFER, offer)
    a.remote(SdpType.ANSWER, b.local())
    assert a.objects.receivers.get(id) is a.objects.senders.get(id) is None


def test_who_only_sends_has_no_receiver_to_set_up():
    a, b = pair()
    a.transceiver("audio", Direction.SENDONLY)
    negotiate(a, b)
    assert a.objects.senders[0].mid == "0"
    assert 0 not in a.objects.receivers
    assert b.objects.receivers[0].mid == "0"
    assert 0 not in b.objects.senders


@pytest.mark.parametrize("without", ["", "a", "b"])
def test_rtcp_has_a_reduced_size_where_both_sides_take_it(without: str):
    """RFC 5506 5.1."""
    a, b = pair()
    a.transceiver("audio")

    def said(text: str, by: str) -> str:
        return text.replace("a=rtcp-rsize\r\n", "") if by == without else text

    b.remote(SdpType.OFFER, said(a.local(), "a"))
    a.remote(SdpType.ANSWER, said(b.local(), "b"))
    assert a.record(0).reduced_size_rtcp is (without == "")
    assert b.record(0).reduced_size_rtcp is (without != "a")


def test_an_answer_voids_parameters_that_were_read():
    """webrtc-pc 5.2: [[LastReturnedParameters]] is null once what they say may have changed."""
    a, b = pair()
    id = a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    before = [a.record(id).parameters_revision, b.record(0).parameters_revision]
    a.remote(SdpType.ANSWER, b.local())
    assert a.record(id).parameters_revision > before[0]
    assert b.record(0).parameters_revision > before[1]


def test_an_encoding_keeps_its_codec_while_it_is_negotiated():
    """webrtc-pc 4.4.1.5: it goes back to the default where it is not any more."""
    a, b = pair()
    id = a.track("video", "s")
    negotiate(a, b)
    (encoding,) = a.record(id).encodings
    a.carry_out(a.engine.operations.plan_set_encodings(id, [replace(encoding, codec=H264)]))
    negotiate(a, b)
    assert a.record(id).encodings[0].codec == H264
    b.carry_out(b.engine.operations.plan_set_codec_preferences(0, [VP8_PLAIN]))
    negotiate(a, b)
    assert a.record(id).encodings[0].codec is None


VP8_PLAIN = Codec("video/VP8", 90000)


def test_the_mode_of_the_first_negotiated_codec_is_made():
    vp9 = Codec("video/VP9", 90000)
    able = Capabilities((vp9, RTX, VP8_PLAIN), (vp9, RTX, VP8_PLAIN), (MID, RID))
    a, b = pair(EngineSettings({"audio": AUDIO, "video": able}.__getitem__))
    id = a.transceiver("video", encodings=(SendEncoding(scalability_mode="L3T3"),))
    negotiate(a, b)
    assert a.record(id).encodings[0].scalability_mode == "L3T3"


def test_sources_of_corrections_are_no_streams():
    """RFC 5956: of a group FEC-FR the first source is the stream."""
    media = Media(
        "video",
        ssrcs=tuple([Ssrc(n, (("cname", "x"),)) for n in (1, 2, 3, 4)]),
        ssrc_groups=(SsrcGroup("FEC-FR", (1, 2)), SsrcGroup("SIM", (3, 4))),
    )
    assert [s.ssrc for s in _sources(media)] == [1, 3, 4]
