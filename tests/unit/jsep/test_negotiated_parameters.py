"""What negotiation decided is what senders and receivers are told: one set of parameters."""

from __future__ import annotations

from dataclasses import replace

from rtcpeer.jsep.encodings import as_negotiated
from rtcpeer.jsep.inputs import EngineSettings
from rtcpeer.rtp.parameters import Capabilities, SendEncoding
from rtcpeer.values import Codec, Feedback
from tests.unit.jsep.support import AUDIO, MID, RID, RTX, SETTINGS, Peer, negotiate

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
