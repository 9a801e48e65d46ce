"""Remote descriptions that make no sense: the right error, and nothing changed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rtcpeer.errors import InvalidAccessError, OperationError, RTCError, RtcPeerError
from rtcpeer.jsep.validation import MAX_TRANSPORTS, check_remote
from rtcpeer.sdp.model import Group
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.values import SdpType
from tests.unit.jsep.support import Peer, negotiate, pair


def offer_text() -> str:
    a, _ = pair()
    a.track("audio", "s")
    a.track("video", "s")
    return a.local()


def drop(text: str, start: str) -> str:
    return "".join(x for x in text.splitlines(True) if not x.startswith(start))


OFFERS = {
    "no fingerprint": lambda t: drop(t, "a=fingerprint"),
    "no credentials": lambda t: drop(t, "a=ice-ufrag"),
    "no password": lambda t: drop(t, "a=ice-pwd"),
    "odd ufrag": lambda t: t.replace("a=ice-ufrag:a", "a=ice-ufrag:$"),
    "short password": lambda t: re.sub(r"a=ice-pwd:.*", "a=ice-pwd:abc", t),
    "odd password": lambda t: re.sub(r"a=ice-pwd:.*", "a=ice-pwd:abcdefghij$lmnopqrstuvwx", t),
    "no rtcp-mux": lambda t: drop(t, "a=rtcp-mux"),
    "payload type of RTCP": lambda t: t.replace(" 96 ", " 64 ").replace(":96 ", ":64 "),
    "the last payload type of RTCP": lambda t: t.replace(" 96 ", " 95 ").replace(":96 ", ":95 "),
    "same mid twice": lambda t: t.replace("a=mid:1", "a=mid:0").replace("BUNDLE 0 1", "BUNDLE 0"),
    "bundle of strangers": lambda t: t.replace("BUNDLE 0 1", "BUNDLE 0 7"),
    "bundled twice": lambda t: t.replace("BUNDLE 0 1", "BUNDLE 0 1 1"),
    "extension id twice in a section": lambda t: t.replace("extmap:2 ", "extmap:1 "),
    "extension id twice in a bundle": lambda t: t.replace("extmap:3 ", "extmap:2 "),
    "extension id twice in a section of no bundle": lambda t: drop(t, "a=group").replace(
        "extmap:2 ", "extmap:1 "
    ),
    "no rtcp-mux in the tagged section": lambda t: re.sub(
        r"a=rtcp-mux\r\na=rtcp-mux-only\r\n", "", t, count=1
    ),
    "a bundle of strangers behind another group": lambda t: t.replace(
        "a=group:BUNDLE 0 1", "a=group:LS 0 1\r\na=group:BUNDLE 0 7"
    ),
    "extension id twice in a bundle behind another group": lambda t: t.replace(
        "a=group", "a=group:LS 0 1\r\na=group"
    ).replace("extmap:3 ", "extmap:2 "),
    "extension id twice behind sections that inherit theirs": lambda t: (
        inheriting(t)
        + "".join(
            [
                f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\na=extmap:2 urn:{mid}\r\na=rtcp-mux\r\n"
                for mid in (3, 4)
            ]
        )
    ),
    "extension id twice behind a rejected section": lambda t: more(
        t.replace("m=audio 9", "m=audio 0"), "3 urn:other"
    ),
}


def more(text: str, extension: str = "") -> str:
    """The offer with a third section, of video, in the bundle; one line about an extension may be another."""
    section = text[text.index("m=video") :].replace("a=mid:1", "a=mid:2")
    section = re.sub(r"a=(msid|ssrc).*\r\n", "", section)
    if extension:
        section = re.sub(r"a=extmap:3 .*\r\n", f"a=extmap:{extension}\r\n", section)
    return text.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + section


def inheriting(text: str) -> str:
    """The offer with one extension, for all sections at once; and with places for two others in the bundle."""
    text = drop(text, "a=extmap:").replace("t=0 0\r\n", "t=0 0\r\na=extmap:1 urn:one\r\n")
    return text.replace("BUNDLE 0 1", "BUNDLE 0 1 3 4").replace(
        "a=ice-options", transport_lines(text) + "a=ice-options"
    )


def transport_lines(text: str) -> str:
    """The lines about ICE and DTLS of the first section."""
    start = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
    return "".join([x for x in text.splitlines(True) if x.startswith(start)][:4])


@pytest.mark.parametrize("name", OFFERS)
def test_offers_that_are_refused(name: str) -> None:
    b = Peer("b")
    text = OFFERS[name](offer_text())
    before = b.state
    with pytest.raises(InvalidAccessError) as caught:
        b.engine.plan_remote(SdpType.OFFER, text)
    assert caught.value.fault == "remote"
    assert b.state is before


def test_rtcp_mux_of_the_tagged_section_is_that_of_its_bundle() -> None:
    """RFC 9143 7.1.3."""
    head, mux, tail = offer_text().rpartition("a=rtcp-mux\r\na=rtcp-mux-only\r\n")
    assert mux
    Peer("b").remote(SdpType.OFFER, head + tail)


def test_the_extensions_of_a_rejected_section_are_in_no_packet() -> None:
    text = more(offer_text(), "1 urn:other")
    with pytest.raises(InvalidAccessError):
        Peer("b").engine.plan_remote(SdpType.OFFER, text)
    head, middle, last = text.split("m=video")
    Peer("b").remote(SdpType.OFFER, "m=video".join([head, middle, last.replace(" 9 ", " 0 ", 1)]))
    Peer("b").remote(
        SdpType.OFFER, "m=video".join([head, middle, last.replace("UDP/TLS/RTP", "UDP/NOPE/RTP", 1)])
    )


def test_what_is_said_once_for_all_sections_is_taken() -> None:
    text = inheriting(offer_text()).replace("BUNDLE 0 1 3 4", "BUNDLE 0 1")
    b = Peer("b")
    b.remote(SdpType.OFFER, text)
    extensions = [m.header_extensions for m in b.state.pending_remote.session.media]  # type: ignore[union-attr]
    assert [[(e.id, e.uri) for e in own] for own in extensions] == [[(1, "urn:one")]] * 2


@pytest.mark.parametrize("number", [63, 96])
def test_payload_types_beside_those_of_rtcp_are_taken(number: int) -> None:
    text = offer_text().replace(" 96 ", f" {number} ").replace(":96 ", f":{number} ")
    Peer("b").remote(SdpType.OFFER, text)


def test_a_doubled_msid_is_an_operation_error() -> None:
    text = offer_text()
    section = text[text.index("m=video") :].replace("a=mid:1", "a=mid:unique").replace("a=ssrc", "a=x-ssrc")
    with pytest.raises(OperationError):
        Peer("b").engine.plan_remote(SdpType.OFFER, text + section)


@pytest.mark.parametrize("before", ["a rejected section", "a stream without a track"])
def test_a_doubled_msid_is_found_behind_others(before: str) -> None:
    text = more(offer_text())
    doubled = re.findall(r"a=msid:.*\r\n", text)[1]
    if before == "a rejected section":
        text = text.replace("m=audio 9", "m=audio 0").replace("BUNDLE 0 ", "BUNDLE ")
    else:
        doubled = "a=msid:alone\r\n" + doubled
        text = text.replace("a=mid:1\r\n", "a=mid:1\r\na=msid:alone\r\n")
    with pytest.raises(OperationError):
        Peer("b").engine.plan_remote(SdpType.OFFER, text + doubled)


def test_a_doubled_track_without_a_stream_is_an_operation_error_too() -> None:
    a, _ = pair()
    a.track("video")
    text = a.local()
    section = text[text.index("m=video") :].replace("a=mid:0", "a=mid:unique")
    with pytest.raises(OperationError):
        Peer("b").engine.plan_remote(SdpType.OFFER, text + section)


def test_one_track_sent_twice_is_two_in_the_description() -> None:
    a, b = pair()
    for _ in range(2):
        a.transceiver("video", track_id="camera")
    for _ in range(2):
        a.carry_out(a.engine.operations.plan_set_track(a.transceiver("video"), "camera"))
    negotiate(a, b)
    assert a.state.transceivers[0].track_id == "camera"
    assert len({t.remote_track_id for t in b.state.transceivers}) == 4


def test_syntax_errors_pass_through() -> None:
    with pytest.raises(RTCError) as caught:
        Peer("b").engine.plan_remote(SdpType.OFFER, "Invalid SDP")
    assert caught.value.sdpLineNumber == 1


def test_glare_with_a_broken_offer_rolls_back_all_the_same() -> None:
    a, _ = pair()
    a.transceiver()
    a.local()
    with pytest.raises(RTCError):
        a.remote(SdpType.OFFER, "Invalid SDP")
    assert a.signaling == "stable"
    assert a.state.pending_local is None


@pytest.mark.parametrize("bundled", [True, False])
def test_a_payload_type_may_be_another_codec_in_each_section(bundled: bool) -> None:
    """RFC 9143 9.1 forbids it in a bundle, but Firefox does it, and browsers take it."""
    b = Peer("b")
    text = offer_text() if bundled else drop(offer_text(), "a=group")
    text = text.replace(" 97 ", " 96 ").replace(":97 ", ":96 ")
    b.remote(SdpType.OFFER, text.replace("apt=97", "apt=96"))
    b.local()
    assert len(b.objects.transports) == 2 - bundled
    assert [m.rejected for m in b.state.current_local.session.media] == [False, False]


def test_many_transports_are_refused_and_many_bundled_sections_are_not() -> None:
    head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    head += "a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"
    sections = [f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{i}\r\na=rtcp-mux\r\n" for i in range(200)]
    b = Peer("b")
    with pytest.raises(OperationError):
        b.engine.plan_remote(SdpType.OFFER, head + "".join(sections))
    group = "a=group:BUNDLE " + " ".join(map(str, range(200))) + "\r\n"
    b.remote(SdpType.OFFER, head + group + "".join(sections))
    b.local()
    assert b.objects.transports == {0}
    limit = Peer("b")
    with pytest.raises(OperationError):
        limit.engine.plan_remote(SdpType.OFFER, head + "".join(sections[: MAX_TRANSPORTS + 1]))
    limit.remote(SdpType.OFFER, head + "".join(sections[:MAX_TRANSPORTS]))
    # in a long call there are many that are over, and each of them costs nothing
    over = [section.replace("m=audio 9", "m=audio 0") for section in sections[1:]]
    Peer("b").remote(SdpType.OFFER, head + "".join([sections[0], *over]))


def test_mediasoup_like_credentials_are_taken() -> None:
    b = Peer("b")
    text = re.sub(r"a=ice-ufrag:.*", "a=ice-ufrag:ab_c-d=\r", offer_text())
    b.remote(SdpType.OFFER, text)


def answers() -> tuple[Peer, str]:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    return a, b.local()


ANSWERS = {
    "too few sections": lambda t: t[: t.index("m=video")].replace("BUNDLE 0 1", "BUNDLE 0"),
    "too many sections": lambda t: t + t[t.index("m=video") :].replace("mid:1", "mid:2"),
    "other kind": lambda t: t.replace("m=video", "m=audio"),
    "other order": lambda t: (
        t.replace("a=mid:0", "a=mid:x").replace("a=mid:1", "a=mid:0").replace("mid:x", "mid:1")
    ),
    "other mid": lambda t: t.replace("a=mid:1", "a=mid:9").replace("BUNDLE 0 1", "BUNDLE 0 9"),
    "actpass": lambda t: t.replace("a=setup:active", "a=setup:actpass"),
    "holdconn": lambda t: t.replace("a=setup:active", "a=setup:holdconn"),
    "extension moved": lambda t: t.replace(
        "extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "extmap:1 urn:x"
    ),
    "extension replaced": lambda t: t.replace(
        "extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "extmap:2 urn:x"
    ),
    "unknown protocol": lambda t: t.replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/NOPE"),
    "unknown protocol behind a rejected section": lambda t: (
        t.replace("m=audio 9", "m=audio 0")
        .replace("BUNDLE 0 1", "BUNDLE 1")
        .replace("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/NOPE")
    ),
    "too many sections, without mids": lambda t: drop(drop(t + t[t.index("m=video") :], "a=mid"), "a=group"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_that_are_refused(name: str) -> None:
    a, text = answers()
    before = a.state
    with pytest.raises(InvalidAccessError):
        a.engine.plan_remote(SdpType.ANSWER, ANSWERS[name](text))
    assert a.state is before
    a.remote(SdpType.ANSWER, text)


@pytest.mark.parametrize("port", ["9", "0"])
def test_an_answer_cannot_revive_a_rejected_section(port: str) -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    a.carry_out(a.engine.operations.plan_stop(1))
    b.remote(SdpType.OFFER, a.local())
    answer = b.local()
    head, tail = answer.split("m=video 0 ")
    a.remote(
        SdpType.ANSWER, head.replace("BUNDLE 0", "BUNDLE 0 1") + "m=video 9 " + tail
    )  # as pion and werift do
    assert [t.mid for t in a.state.transceivers] == ["0"]
    again = a.state.current_remote
    assert again is not None
    assert [m.rejected for m in again.session.media] == [False, True]
    assert [g.mids for g in again.session.groups] == [("0",)]
    # the section can be used again
    a.track("video", "s")
    negotiate(a, b)
    assert [m.rejected for m in a.state.current_remote.session.media] == [False, False]  # type: ignore[union-attr]


def test_later_offers_keep_their_sections() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    negotiate(a, b)
    text = a.local()
    before = b.state
    one = text[: text.index("m=video")].replace("BUNDLE 0 1", "BUNDLE 0")
    for wrong in (
        one,
        text.replace("m=video", "m=audio"),
        text.replace("mid:1", "mid:5").replace("0 1", "0 5"),
    ):
        with pytest.raises(RtcPeerError):
            b.engine.plan_remote(SdpType.OFFER, wrong)
    assert b.state is before
    b.remote(SdpType.OFFER, text)
    with pytest.raises(InvalidAccessError):  # back to back: as if the first one had been answered
        b.engine.plan_remote(SdpType.OFFER, one)


def test_an_additional_codec_in_the_answer_can_be_sent() -> None:
    from tests.unit.jsep.support import VP8

    a, b = pair()
    id = a.track("video", "s")
    b.track("video", "t")
    a.carry_out(a.engine.operations.plan_set_codec_preferences(id, [VP8]))
    text = (
        a.local()
        .replace("VP8", "no-such-codec")
        .replace("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=video 9 UDP/TLS/RTP/SAVPF 96 63")
    )
    text += "a=rtpmap:63 H264/90000\r\n"
    text += "a=fmtp:63 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())
    assert [(c.name, c.payload_type) for c in a.record(id).send_codecs] == [("H264", 63)]


@pytest.mark.parametrize(("length", "taken"), [(7, False), (8, True), (256, True), (257, False)])
def test_lengths_of_passwords(length: int, taken: bool) -> None:
    """RFC 8839 5.4 wants 22 at least; some send less, and nothing depends on it but their own safety."""
    text = re.sub(r"a=ice-pwd:.*", "a=ice-pwd:" + "p" * length + "\r", offer_text())
    if taken:
        Peer("b").remote(SdpType.OFFER, text)
    else:
        with pytest.raises(InvalidAccessError, match="malformed"):
            Peer("b").engine.plan_remote(SdpType.OFFER, text)


def test_a_later_offer_without_mids_has_its_old_sections_and_new_ones() -> None:
    a, b = pair()
    a.track("audio", "s")
    without = re.sub(r"a=(mid|group):.*\r\n", "", a.local())
    b.remote(SdpType.OFFER, without)
    b.local()
    first = b.record(0).mid
    section = without[without.index("m=audio") :]
    b.remote(SdpType.OFFER, without + re.sub(r"a=(ssrc|msid).*\r\n", "", section))
    assert b.record(0).mid == first
    assert len(b.state.transceivers) == 2
    assert b.record(1).mid not in (first, None)


def test_an_answer_without_mids_answers_the_sections_in_their_order() -> None:
    a, text = answers()
    a.remote(SdpType.ANSWER, drop(drop(text, "a=mid"), "a=group"))
    assert [t.current_direction for t in a.state.transceivers] == ["sendonly", "sendonly"]
    assert [m.mid for m in a.state.current_remote.session.media] == ["0", "1"]  # type: ignore[union-attr]


def test_a_mid_that_is_made_up_is_nobody_elses_and_is_not_told() -> None:
    text = drop(offer_text(), "a=group").replace("a=mid:0\r\n", "a=mid:_1\r\n").replace("a=mid:1\r\n", "")
    b = Peer("b")
    b.remote(SdpType.OFFER, text + re.sub(r"a=(msid|ssrc).*\r\n", "", text[text.index("m=video") :]))
    mids = [t.mid for t in b.state.transceivers]
    assert mids[0] == "_1"
    assert len(set(mids)) == 3
    assert None not in mids
    assert re.findall(r"a=mid:(.*)\r\n", b.local()) == ["_1"]


def test_a_section_without_a_mid_in_the_place_of_a_rejected_one_is_another_one() -> None:
    named = drop(offer_text(), "a=group")
    b = Peer("b")
    b.remote(SdpType.OFFER, named)
    b.local()
    first, second = b.state.transceivers
    b.remote(SdpType.OFFER, named.replace("m=video 9", "m=video 0"))
    b.local()
    assert b.state.transceivers == (b.record(first.id),)
    b.remote(SdpType.OFFER, drop(named, "a=mid"))
    b.local()
    kept, fresh = b.state.transceivers
    assert (kept.id, kept.mid) == (first.id, first.mid)
    assert fresh.id != second.id
    assert fresh.mid not in (None, second.mid)
    assert fresh.current_direction == "recvonly"


def test_an_answered_bundle_is_within_one_that_was_offered() -> None:
    """RFC 9143 7.3; groups of other kinds are not looked at."""
    a, text = answers()
    offer = a.state.pending_local.session  # type: ignore[union-attr]
    answer = parse_untrusted(text)

    def check(*offered: tuple[str, ...]) -> None:
        groups = tuple([Group("BUNDLE", mids) for mids in offered])
        check_remote(
            replace(answer, groups=(Group("LS", ("9",)), *answer.groups)),
            SdpType.ANSWER,
            previous=None,
            answered=None,
            offer=replace(offer, groups=groups),
        )

    check(("0", "1"))
    check(("1", "0"))
    for offered in ((), (("0",),), (("0",), ("1",))):
        with pytest.raises(InvalidAccessError, match="did not bundle"):
            check(*offered)


def test_a_section_that_is_rejected_now_may_be_called_anything() -> None:
    a, b = pair()
    for kind in ("audio", "video", "video"):
        a.track(kind, "s")
    negotiate(a, b)
    text = (
        a.local()
        .replace("m=audio 9", "m=audio 0")
        .replace("a=mid:0", "a=mid:over")
        .replace("BUNDLE 0 ", "BUNDLE ")
    )
    # but it hides nothing of those behind it
    with pytest.raises(InvalidAccessError, match="m-line 2"):
        b.engine.plan_remote(SdpType.OFFER, text.replace("mid:2", "mid:5").replace("1 2", "1 5"))
    b.remote(SdpType.OFFER, text)


def test_an_offer_that_replaces_one_with_a_new_section() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    a.track("video", "s")
    text = a.local()
    b.remote(SdpType.OFFER, text)
    b.remote(SdpType.OFFER, text)
    moved = text.replace("a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "a=extmap:3 urn:other")
    with pytest.raises(InvalidAccessError, match="is now urn:other"):
        b.engine.plan_remote(SdpType.OFFER, moved)
