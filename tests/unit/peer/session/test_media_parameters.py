"""What negotiation decided becomes what media transports are told."""

from dataclasses import replace

from rtcpeer.jsep import parameters as decided
from rtcpeer.peer.session.media_parameters import receive_parameters, send_parameters
from rtcpeer.values import Codec, Feedback, HeaderExtension, MediaKind

VP8 = Codec("video/VP8", 90000, payload_type=96)
MID = HeaderExtension("urn:ietf:params:rtp-hdrext:sdes:mid", 1)


def sent(*encodings):
    return send_parameters(
        decided.SendParameters(
            mid="0",
            kind=MediaKind.VIDEO,
            codecs=(VP8,),
            header_extensions=(MID,),
            encodings=encodings,
            cname="me",
            reduced_size_rtcp=True,
            active=True,
        )
    )


def test_one_encoding_has_no_rid_and_no_empty_ssrc():
    told = sent(decided.SendEncoding(rid="a", ssrc=1, rtx_ssrc=0))
    assert (told.mid, told.codecs, told.header_extensions) == ("0", (VP8,), (MID,))
    assert (told.cname, told.reduced_size) == ("me", True)
    (encoding,) = told.encodings
    assert (encoding.rid, encoding.ssrc, encoding.rtx_ssrc) == (None, 1, None)
    assert encoding.scale_resolution_down_by == 1.0


def test_layers_keep_their_rids():
    layers = [
        decided.SendEncoding(
            rid=rid, ssrc=n, rtx_ssrc=n + 10, scale_resolution_down_by=float(n), priority="high"
        )
        for n, rid in enumerate("abc", 1)
    ]
    told = sent(*layers).encodings
    assert [e.rid for e in told] == ["a", "b", "c"]
    assert [e.rtx_ssrc for e in told] == [11, 12, 13]
    assert [e.scale_resolution_down_by for e in told] == [1.0, 2.0, 3.0]
    assert {e.priority.value for e in told} == {"high"}


def test_receiving_knows_sources_and_layers():
    sources = (decided.RemoteSource(ssrc=5, rtx_ssrc=6),)
    told = receive_parameters(
        decided.ReceiveParameters("0", MediaKind.VIDEO, (VP8,), (MID,), sources=sources, rids=("a",))
    )
    assert [(e.ssrc, e.rtx_ssrc, e.rid) for e in told.encodings] == [(5, 6, None), (None, None, "a")]


def test_an_encodings_codec_is_the_negotiated_one():
    vp8 = Codec("video/VP8", 90000, None, (), (Feedback("nack"),), 96)
    av1 = Codec("video/AV1", 90000, None, (("profile", "0"), ("level-idx", "5")), (Feedback("nack"),), 98)

    def chosen(wanted: Codec | None) -> Codec | None:
        encodings = (decided.SendEncoding(codec=wanted),)
        given = decided.SendParameters("0", MediaKind.VIDEO, (vp8, av1), (), encodings, "cname")
        return send_parameters(given).encodings[0].codec

    assert chosen(None) is None
    assert chosen(Codec("video/vp8", 90000)) is vp8
    # what one side says of itself alone makes no other codec
    assert chosen(Codec("video/AV1", 90000, None, (("profile", "1"), ("level-idx", "8")))) is av1
    assert chosen(Codec("video/VP8", 90000, None, (("max-fr", "30"),))) is vp8
    assert chosen(Codec("video/H265", 90000)) is None


def test_encodings_that_are_sent_share_what_the_other_side_allows():
    layers = [decided.SendEncoding(rid=rid, max_bitrate=300) for rid in "abc"]
    parameters = decided.SendParameters("0", MediaKind.VIDEO, (VP8,), (), tuple(layers), "me")

    def limits(limit, *encodings):
        told = send_parameters(replace(parameters, max_bitrate=limit, encodings=encodings)).encodings
        assert {e.max_bitrate for e in told} == {300}
        return [e.bitrate_limit for e in told]

    resting = replace(layers[0], active=False)
    assert limits(None, *layers) == [None] * 3
    assert limits(900, *layers) == [300] * 3
    assert limits(900, layers[0]) == [900]
    assert limits(900, resting, *layers[1:]) == [450] * 3
    assert limits(900, resting) == [900]
