"""Media sections as we write them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtcpeer.jsep.sections import data_section
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.sdp.model import Connection, Media
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import Direction, HeaderExtension, SdpType
from tests.unit.jsep import support
from tests.unit.jsep.support import H264, OPUS, PCMA, PCMU, RTX, SETTINGS, VP8, Peer, host, negotiate, pair


def video_call() -> tuple[Peer, Peer]:
    a, b = pair()
    a.track("video", "s")
    negotiate(a, b)
    return a, b


def test_a_sender_that_pauses_keeps_its_sources_and_their_track() -> None:
    """libwebrtc M106 refuses two sources without a track around them."""
    a, b = video_call()
    before = a.state.current_local.session.media[0]  # type: ignore[union-attr]
    a.carry_out(a.engine.operations.plan_remove_track(0))
    media = parse_untrusted(a.local()).media[0]
    assert not media.direction.sends
    assert media.ssrcs == before.ssrcs
    assert len(media.ssrcs) == 2
    assert media.msids == before.msids != ()
    b.remote(SdpType.OFFER, a.state.local_description.text)  # type: ignore[union-attr]
    assert len(b.tracks()) == 1


@pytest.mark.parametrize("levels", ["session", "section", "both", "none"])
def test_the_answer_allows_mixed_header_extensions_when_the_offer_does_anywhere(levels: str) -> None:
    """RFC 8285 6: it may be said for all sections, or for one."""
    a, b = pair()
    a.track("video", "s")
    text = a.local()
    line = "a=extmap-allow-mixed\r\n"
    assert text.count(line) == 1
    text = text.replace(line, "")
    if levels in ("session", "both"):
        text = text.replace("t=0 0\r\n", "t=0 0\r\n" + line)
    if levels in ("section", "both"):
        text = text.replace("a=mid:0\r\n", "a=mid:0\r\n" + line)
    b.remote(SdpType.OFFER, text)
    assert (line in b.local()) == (levels != "none")


def test_a_later_offer_has_the_codecs_in_the_order_of_the_answer() -> None:
    """RFC 9429 5.2.2; what the answer did not have comes after it, and preferences are stronger."""
    a, b = pair()
    a.transceiver("audio")
    a.transceiver("video")
    b.remote(SdpType.OFFER, a.local())
    b.carry_out(b.engine.operations.plan_set_codec_preferences(0, [PCMA, OPUS]))
    b.carry_out(b.engine.operations.plan_set_codec_preferences(1, [H264, RTX]))
    a.remote(SdpType.ANSWER, b.local())

    def offered(peer: Peer) -> list[list[str]]:
        return [[c.name for c in m.codecs] for m in parse_untrusted(peer.offer()).media]

    assert offered(a) == [["PCMA", "opus", "PCMU"], ["H264", "rtx", "VP8", "rtx"]]
    assert offered(b) == [["PCMA", "opus"], ["H264", "rtx"]]
    a.carry_out(a.engine.operations.plan_set_codec_preferences(0, [PCMU, OPUS]))
    assert offered(a)[0] == ["PCMU", "opus"]


def test_a_later_offer_has_reduced_size_rtcp_as_agreed() -> None:
    """RFC 9429 5.2.2: "a=rtcp-rsize" is not added unless the most recent answer had it."""
    a, b = pair()
    a.transceiver("audio")
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, b.local().replace("a=rtcp-rsize\r\n", ""))
    a.transceiver("video")
    assert [m.rtcp_reduced_size for m in parse_untrusted(a.offer()).media] == [False, True]


def offered(peer: Peer, section: int = 0) -> Media:
    """A section of the peer's next offer."""
    return parse_untrusted(peer.offer()).media[section]


def test_candidates_of_a_bundle_stand_in_the_tagged_section_of_a_later_offer() -> None:
    """RFC 9429 5.2.2; its m= and c= name the default candidate."""
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    negotiate(a, b)
    a.found(0, host(1))
    a.found(0, None)
    tagged, bundled = parse_untrusted(a.offer()).media
    assert [(m.port, m.connection) for m in (tagged, bundled)] == [
        (5001, Connection("192.0.2.1")),
        (9, Connection("0.0.0.0")),
    ]
    assert [c.address for c in tagged.candidates] == ["192.0.2.1"]
    assert (tagged.end_of_candidates, bundled.candidates, bundled.end_of_candidates) == (True, (), False)


def test_multiplexing_of_rtcp_alone_is_said_in_the_first_offer() -> None:
    """RFC 9429 5.2.1 and 5.2.2: a=rtcp-mux-only stands in the offers of a section that is not negotiated yet."""
    a, b = pair()
    a.track("audio", "s")
    assert offered(a).rtcp_mux_only
    negotiate(a, b)
    assert not b.state.current_local.session.media[0].rtcp_mux_only  # type: ignore[union-attr]
    assert not offered(a).rtcp_mux_only
    assert offered(a).rtcp_mux


def layered() -> tuple[Peer, Peer]:
    """A peer with two layers, and another one."""
    a, b = pair()
    a.transceiver("video", encodings=tuple([SendEncoding(rid=rid) for rid in ("q", "f")]))
    return a, b


def test_the_layer_that_an_answer_has_left_is_offered_as_a_source() -> None:
    a, b = layered()
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, b.local().replace("simulcast:recv q;f", "simulcast:recv f"))
    (left,) = a.record(0).encodings
    media = offered(a)
    assert (media.simulcast, media.rids) == (None, ())
    assert [s.ssrc for s in media.ssrcs] == [left.ssrc, left.rtx_ssrc]


def test_an_answer_without_layers_names_the_sources_of_the_encoding_that_is_left() -> None:
    a, b = layered()
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.RECVONLY))
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.SENDRECV))
    assert [e.rid for e in a.record(0).encodings] == ["q", "f"]
    first = a.record(0).encodings[0]
    a.remote(SdpType.OFFER, re.sub("a=(rid|simulcast).*\r\n", "", b.local()).replace("sendonly", "sendrecv"))
    media = parse_untrusted(a.local()).media[0]
    assert media.direction.sends
    assert [s.ssrc for s in media.ssrcs] == [first.ssrc, first.rtx_ssrc]
    assert [e.ssrc for e in a.record(0).encodings] == [first.ssrc]


def test_a_source_of_retransmissions_is_named_where_these_are_offered() -> None:
    a, _ = pair()
    id = a.track("video", "s")
    assert [g.semantics for g in offered(a).ssrc_groups] == ["FID"]
    a.carry_out(a.engine.operations.plan_set_codec_preferences(id, [VP8]))
    media = offered(a)
    assert len(media.ssrcs) == 1
    assert media.ssrc_groups == ()


def test_a_sender_that_never_sent_names_no_sources() -> None:
    a, _ = pair()
    a.transceiver("video", Direction.RECVONLY)
    assert (offered(a).ssrcs, offered(a).msids) == ((), ())


def test_sources_are_not_named_where_that_is_not_wanted() -> None:
    a, b = pair(replace(SETTINGS, declare_ssrcs=False))
    a.track("video", "s")
    negotiate(a, b)
    assert offered(a).ssrcs == ()
    assert [m.stream for m in offered(a).msids] == ["s"]
    a.carry_out(a.engine.operations.plan_remove_track(0))
    assert (offered(a).ssrcs, offered(a).msids) == ((), ())


def test_layers_that_pause_are_no_sources() -> None:
    a, b = layered()
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_set_direction(0, Direction.INACTIVE))
    assert a.record(0).has_sent
    assert offered(a).ssrcs == ()


@pytest.mark.parametrize("wants_to_send", [True, False])
def test_an_answer_names_the_streams_of_who_wants_to_send(wants_to_send: bool) -> None:
    """RFC 9429 5.3.1: by the direction of the transceiver, whatever the offer lets it do."""
    a, b = pair()
    a.transceiver("audio", Direction.SENDONLY)
    b.remote(SdpType.OFFER, a.local())
    if wants_to_send:
        b.track("audio", "s")
    media = parse_untrusted(b.local()).media[0]
    assert media.direction is Direction.RECVONLY
    assert [m.stream for m in media.msids] == (["s"] if wants_to_send else [])


def test_data_sections_have_no_direction() -> None:
    a, b = pair()
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    for text in (a.local(), b.local()):
        assert "webrtc-datachannel\r\n" in text
        assert "a=sctp-port:5000\r\n" in text
        assert not re.findall("a=(sendrecv|sctpmap)", text)


def test_data_in_the_syntax_before_rfc_8841_is_answered_in_it() -> None:
    a, b = pair()
    a.want_data()
    text = re.sub(
        "m=application.*\r\n",
        "m=application 9 DTLS/SCTP 5000\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n",
        a.local(),
    ).replace("a=sctp-port:5000\r\n", "")
    b.remote(SdpType.OFFER, text)
    answer = b.local()
    assert "m=application 9 DTLS/SCTP 5000\r\n" in answer
    assert "a=sctpmap:5000 webrtc-datachannel 65535\r\n" in answer
    assert "a=sctp-port" not in answer
    assert b.state.data is not None
    assert b.state.data.started


def test_a_rejected_section_repeats_what_it_was_offered_as() -> None:
    """RFC 3264 6: with a port of zero, the kind and at least one format stand there all the same."""
    a, b = pair()
    for _ in range(3):
        a.track("video", "s")
    text = a.local().replace("VP8/", "XX8/").replace("H264/", "X264/")
    head, one, two, three = text.split("m=video")
    words = "m=unicorns 9 UDP/FOO bar baz\r\n" + two[two.index("c=") :]
    other = re.sub("^ .*\r\n", "m=application 9 UDP/NOPE webrtc-datachannel\r\n", three)
    b.remote(SdpType.OFFER, re.sub("a=group.*\r\n", "", head) + "m=video" + one + words + other)
    session = parse_untrusted(b.local())
    assert [m.port for m in session.media] == [0, 0, 0]
    assert [m.formats for m in session.media] == [("96",), ("bar", "baz"), ("webrtc-datachannel",)]
    assert [(c.mime_type, c.fmtp, c.feedback) for c in session.media[0].codecs] == [("video/XX8", (), ())]
    assert b.state.transceivers != ()


@pytest.mark.parametrize("offer", [None, Media("application", protocol="UDP/DTLS/SCTP", mid="d")])
def test_the_data_section_says_what_we_take(offer: Media | None) -> None:
    media = data_section("d", replace(SETTINGS, max_message_size=7, sctp_port=6000), offer)
    assert (media.max_message_size, media.sctp_port, media.formats) == (7, 6000, ("webrtc-datachannel",))


def test_an_extension_that_is_not_offered_by_ourselves_is_answered_unless_it_was_stopped() -> None:
    quiet = HeaderExtension("urn:quiet", direction=Direction.STOPPED)
    able = replace(support.AUDIO, header_extensions=(*support.AUDIO.header_extensions, quiet))
    a, b = pair(replace(SETTINGS, capabilities={"audio": able}.__getitem__))
    a.transceiver("audio")

    def extensions(media: Media) -> set[str]:
        return {e.uri for e in media.header_extensions}

    assert quiet.uri not in extensions(offered(a))
    text = re.sub("(a=mid:0\r\n)", r"\1a=extmap:9 urn:quiet\r\n", a.local())
    b.remote(SdpType.OFFER, text)
    assert quiet.uri in extensions(parse_untrusted(b.answer()).media[0])
    chosen = [*support.AUDIO.header_extensions, quiet]
    b.carry_out(b.engine.operations.plan_set_header_extensions(0, chosen))
    assert extensions(parse_untrusted(b.answer()).media[0]) == {
        e.uri for e in support.AUDIO.header_extensions
    }
