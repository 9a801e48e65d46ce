"""Descriptions as real products write them: what both browsers take is taken, what both refuse is refused."""

from __future__ import annotations

import re

import pytest

from rtcpeer.errors import InvalidAccessError
from rtcpeer.jsep.effects import AddRemoteCandidate, CloseData, SetRemoteIce
from rtcpeer.values import Direction, DtlsRole, SdpType
from tests.unit.jsep.support import Peer, negotiate, pair


def offer_text() -> str:
    a, _ = pair()
    a.track("audio", "s")
    a.track("video", "s")
    a.want_data()
    return a.local()


def accepted(text: str) -> Peer:
    """A peer that has answered; every section is accepted."""
    b = Peer("b")
    b.remote(SdpType.OFFER, text)
    assert not re.findall(r"^m=\w+ 0 ", b.local(), re.MULTILINE)
    return b


def session_level(text: str, *starts: str) -> str:
    """The lines that begin so, once, at session level instead of in every section."""
    lines = text.splitlines(True)
    moved = list(dict.fromkeys(x for x in lines if x.startswith(starts)))[: len(starts)]
    kept = [x for x in lines if not x.startswith(starts)]
    first = next(i for i, x in enumerate(kept) if x.startswith("m="))
    return "".join([*kept[:first], *moved, *kept[first:]])


def without_transport(text: str, section: int) -> str:
    """The text whose section has no lines about ICE and DTLS."""
    head, *sections = re.split(r"^(?=m=)", text, flags=re.M)
    sections[section] = re.sub(r"^a=(ice|fingerprint|setup).*\r\n", "", sections[section], flags=re.M)
    return "".join([head, *sections])


TAKEN = {
    "the tagged section of a bundle without transport attributes": lambda t: without_transport(t, 0),
    "another section of a bundle without transport attributes": lambda t: without_transport(t, 1),
    "o= with numbers of any length": lambda t: re.sub(
        r"^o=- \d+ \d+", "o=- " + "9" * 5000 + " " + "1" * 30, t, flags=re.M
    ),
    "max-message-size of any length": lambda t: re.sub(
        r"max-message-size:\d+", "max-message-size:" + "9" * 400, t
    ),
    "a=fmtp with a word": lambda t: t + "a=fmtp:webrtc-datachannel max-message-size=100000\r\n",
    "a=fmtp with a star": lambda t: t.replace("a=rtpmap:96 ", "a=fmtp:* x=1\r\na=rtpmap:96 ", 1),
    "ufrag in the section, password at session level": lambda t: session_level(t, "a=ice-pwd"),
    "password in the section, ufrag at session level": lambda t: session_level(t, "a=ice-ufrag"),
    "a number sign in ufrag": lambda t: re.sub(r"a=ice-ufrag:.*", "a=ice-ufrag:a#b/+=-_", t),
    "a=setup in another case": lambda t: t.replace("a=setup:actpass", "a=setup:ActPass"),
    "literals in another case": lambda t: (
        t.replace("a=setup:actpass", "a=Setup:ACTPASS")
        .replace("a=sendrecv", "a=SendRecv")
        .replace("a=group:BUNDLE", "a=group:Bundle")
        .replace("UDP/TLS/RTP/SAVPF", "udp/tls/rtp/savpf")
        .replace("UDP/DTLS/SCTP", "udp/dtls/sctp")
        .replace("m=audio", "m=Audio")
        .replace("a=rtcp-mux", "a=RTCP-MUX")
        .replace("sha-256", "SHA-256")
        .replace(" nack pli", " NACK PLI")
    ),
    "a=bundle-only outside a group": lambda t: re.sub(r"a=group:.*\r\n", "", t).replace(
        "a=mid:1\r\n", "a=mid:1\r\na=bundle-only\r\n"
    ),
    "a candidate that nobody can read": lambda t: t + "a=candidate:1\r\na=candidate:1 1 dccp x y z typ q\r\n",
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    text = TAKEN[name](offer_text())
    assert text != offer_text()
    b = accepted(text)
    assert b.signaling == "stable"
    assert all(t.current_direction == "recvonly" for t in b.state.transceivers)


def test_literals_in_another_case_mean_the_same() -> None:
    plain, odd = accepted(offer_text()), accepted(TAKEN["literals in another case"](offer_text()))
    assert {t.dtls_role for t in odd.state.transports} == {t.dtls_role for t in plain.state.transports}
    assert len(odd.state.transports) == 1
    for one, other in zip(plain.state.transceivers, odd.state.transceivers, strict=True):
        assert one.receive_codecs == other.receive_codecs
        assert one.send_codecs == other.send_codecs
    assert DtlsRole.CLIENT in {t.dtls_role for t in odd.state.transports}


def test_a_direction_in_another_case_is_a_direction() -> None:
    b = Peer("b")
    b.remote(SdpType.OFFER, offer_text().replace("a=sendrecv", "a=INACTIVE"))
    b.local()
    assert {t.current_direction for t in b.state.transceivers} == {Direction.INACTIVE}


def test_any_message_size_is_taken_for_what_it_is() -> None:
    b = accepted(re.sub(r"max-message-size:\d+", "max-message-size:" + "9" * 400, offer_text()))
    assert b.state.data is not None
    assert b.state.data.max_message_size == 2**63 - 1


def test_a_bundle_only_section_outside_a_group_stands_for_itself() -> None:
    b = accepted(TAKEN["a=bundle-only outside a group"](offer_text()))
    assert len(b.state.transports) == 3
    # and with port zero it is rejected, as without that line (RFC 9143 6)
    text = TAKEN["a=bundle-only outside a group"](offer_text()).replace("m=video 9", "m=video 0")
    b = Peer("b")
    b.remote(SdpType.OFFER, text)
    assert "m=video 0 " in b.local()


def as_in_rfc_8843(text: str, *drop: str) -> str:
    """The answer with transport attributes in the tagged section alone; the others have port 0 and a=bundle-only."""
    head, first, *rest = text.split("\r\nm=")
    out = [head, first]
    for section in rest:
        words, *lines = section.split("\r\n")
        words = re.sub(r" \d+ ", " 0 ", words, count=1)
        own = ("a=ice-", "a=fingerprint", "a=setup", "a=candidate", "c=", "a=rtcp-mux", *drop)
        out.append("\r\n".join([words, "a=bundle-only", *[x for x in lines if x and not x.startswith(own)]]))
    return "\r\nm=".join(out).rstrip() + "\r\n"


def test_port_zero_with_bundle_only_in_the_group_of_an_answer_is_accepted() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.track("video", "s")
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, as_in_rfc_8843(b.local()))
    assert [t.current_direction for t in a.state.transceivers] == ["sendonly", "sendonly"]
    assert a.state.data is not None
    assert a.state.data.started
    assert len(a.state.transports) == 1


def test_port_zero_outside_the_group_of_an_answer_is_rejected() -> None:
    a, b = pair()
    a.track("audio", "s")
    video = a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, as_in_rfc_8843(b.local()).replace("BUNDLE 0 1", "BUNDLE 0"))
    assert a.state.transceiver(video) is None


def remains(text: str, mid: str, port: int) -> str:
    """The text whose section has gone from the bundle; what Firefox leaves of it has no ICE."""
    head, *sections = re.split(r"^(?=m=)", text, flags=re.M)
    index = next(i for i, section in enumerate(sections) if f"a=mid:{mid}\r\n" in section)
    kind = sections[index][2:7]
    sections[index] = (
        f"m={kind} {port} UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.2\r\na=inactive\r\na=mid:{mid}\r\n"
        "a=rtpmap:96 VP8/90000\r\n"
    )
    return re.sub(rf"(BUNDLE.*?) {mid}\b", r"\1", "".join([head, *sections]))


@pytest.mark.parametrize("port", [0, 9, 51176])
def test_a_section_that_was_stopped_and_keeps_a_port_is_rejected(port: int) -> None:
    a, b = pair()
    a.want_data()
    a.track("video", "s")
    negotiate(a, b)
    a.track("audio", "s")
    b.remote(SdpType.OFFER, remains(a.local(), "0", port))
    answer = b.local()
    assert re.findall(r"^m=(\w+ \d+)", answer, re.M) == ["video 0", "application 9", "audio 9"]
    assert [(t.mid, t.current_direction) for t in b.state.transceivers] == [("2", "recvonly")]
    assert len(b.state.transports) == 1


def test_in_an_answer_too_a_section_with_no_more_than_a_port_is_rejected() -> None:
    a, b = pair()
    a.want_data()
    video = a.track("video", "s")
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, remains(b.local(), "0", 51176))
    assert a.state.transceiver(video) is None
    assert a.state.data is not None


def test_a_live_section_without_ice_is_refused() -> None:
    a, b = pair()
    a.want_data()
    a.track("video", "s")
    with pytest.raises(InvalidAccessError, match="section '0' has no ice-ufrag"):
        b.remote(SdpType.OFFER, remains(a.local(), "0", 51176).replace("a=inactive", "a=sendonly"))


def test_end_of_candidates_at_session_level_is_for_all() -> None:
    b = Peer("b")
    b.remote(SdpType.OFFER, offer_text().replace("t=0 0\r\n", "t=0 0\r\na=end-of-candidates\r\n"))
    plan = b.engine.plan_local()
    assert [e.end_of_candidates for e in plan.start if isinstance(e, SetRemoteIce)] == [True]


@pytest.mark.parametrize("ufrag", ["", None])
def test_an_empty_username_fragment_says_nothing(ufrag: str | None) -> None:
    a, b = pair()
    a.want_data()
    negotiate(a, b)
    plan = a.engine.plan_remote_candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host", "0", None, ufrag)
    assert [type(e) for e in plan.start] == [AddRemoteCandidate]


@pytest.mark.parametrize("by", ["mid", "index"])
def test_a_candidate_for_a_rejected_first_section_belongs_to_its_bundle(by: str) -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    b.remote(SdpType.OFFER, a.local())
    a.remote(SdpType.ANSWER, b.local().replace("m=audio 9", "m=audio 0").replace("BUNDLE 0 1", "BUNDLE 1"))
    where = ("0", None) if by == "mid" else (None, 0)
    plan = a.carry_out(a.engine.plan_remote_candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host", *where))
    (effect,) = plan.start
    assert isinstance(effect, AddRemoteCandidate)
    assert a.state.data is not None
    assert effect.transport == a.state.data.transport
    # what cannot be read, or is of nobody, is refused nowhere where nothing is expected
    for text, ufrag in (("nonsense", None), ("candidate:1 1 udp 1 192.0.2.1 9 typ host", "nobody")):
        assert not a.engine.plan_remote_candidate(text, *where, ufrag).start


def test_a_mid_that_fits_into_no_header_extension_is_refused() -> None:
    text = offer_text()
    for length, fits in ((16, True), (17, False), (300, False)):
        long = text.replace("a=mid:0", "a=mid:" + "m" * length).replace("BUNDLE 0", "BUNDLE " + "m" * length)
        if fits:
            accepted(long)
        else:
            b = Peer("b")
            before = b.state
            with pytest.raises(InvalidAccessError, match="characters"):
                b.engine.plan_remote(SdpType.OFFER, long)
            assert b.state is before


def test_an_extension_id_stays_with_its_uri() -> None:
    a, b = pair()
    a.track("audio", "s")
    negotiate(a, b)
    text = a.local()
    moved = text.replace("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid", "a=extmap:1 urn:another")
    assert moved != text
    before = b.state
    with pytest.raises(
        InvalidAccessError, match="was urn:ietf:params:rtp-hdrext:sdes:mid and is now urn:another"
    ):
        b.engine.plan_remote(SdpType.OFFER, moved)
    assert b.state is before
    fresh = text.replace("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n", "a=extmap:9 urn:another\r\n")
    b.remote(SdpType.OFFER, fresh)  # one that nobody had is fine


def test_our_offers_use_no_id_that_the_other_side_has_offered_for_something_else() -> None:
    # libwebrtc M106 could answer such an offer no more
    a, b = pair()
    a.track("audio", "s")
    text = a.local().replace("urn:ietf:params:rtp-hdrext:ssrc-audio-level", "urn:another")
    taken = re.findall(r"a=extmap:(\d+) urn:another", text)
    assert taken
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())

    later = b.local()

    assert "urn:ietf:params:rtp-hdrext:ssrc-audio-level" in later
    assert not re.findall(rf"a=extmap:{taken[0]} ", later)


def test_an_extension_id_that_we_never_took_may_move() -> None:
    # browsers compare what both sides know; the W3C suite lets an id go from an unknown URI to a known one
    a, b = pair()
    a.track("audio", "s")
    text = a.local().replace("urn:ietf:params:rtp-hdrext:sdes:mid", "urn:another")
    b.remote(SdpType.OFFER, text)
    a.remote(SdpType.ANSWER, b.local())
    b.remote(SdpType.OFFER, a.local())
    assert "urn:ietf:params:rtp-hdrext:sdes:mid" in b.local()


@pytest.mark.parametrize(
    ("said", "streams"),
    [
        (["msid:one x"], ("one",)),
        (["msid:one x", "cname:c", "msid:two x", "msid:one y"], ("one", "two")),
        (["cname:c"], None),
        (["msid: "], None),
    ],
)
def test_streams_that_only_the_sources_name(said: list[str], streams: tuple[str, ...] | None) -> None:
    """GStreamer writes a=ssrc:... msid: without a=msid, as browsers did before RFC 8830."""
    text = re.sub(
        r"a=(msid|ssrc).*\r\n", "", offer_text().split("m=video")[0].replace("BUNDLE 0 1 2", "BUNDLE 0")
    )
    b = accepted(text + "".join([f"a=ssrc:{n} {value}\r\n" for n, value in enumerate(said, 1)]))
    (event,) = b.tracks()
    assert event.stream_ids == (streams or (b.state.default_stream,))
    assert b.record(0).remote_stream_ids == event.stream_ids


@pytest.mark.parametrize("words", ["0 UDP/DTLS/SCTP", "9 UDP/NOPE/SCTP"])
def test_a_data_section_that_nobody_can_use_is_rejected_and_makes_nothing(words: str) -> None:
    text = offer_text().replace("m=application 9 UDP/DTLS/SCTP", f"m=application {words}")
    b = Peer("b")
    b.remote(SdpType.OFFER, text.replace("BUNDLE 0 1 2", "BUNDLE 0 1"))
    assert b.state.data is None
    assert re.findall(r"^m=(\w+ \d+)", b.local(), re.MULTILINE) == ["audio 9", "video 9", "application 0"]
    assert b.state.data is None


def test_sections_that_are_rejected_or_of_an_unknown_kind_are_passed_over() -> None:
    text = re.sub(r"a=group:.*\r\n", "", offer_text())
    head, audio, video, data = re.split(r"(?=^m=)", text, flags=re.M)
    audio = re.sub("^m=audio 9", "m=audio 0", audio)
    unicorns = "m=unicorns 9 UDP/FOO bar\r\na=mid:u\r\n"
    a, b = Peer("a"), Peer("b")
    b.remote(SdpType.OFFER, head + audio + unicorns + video + data)
    answer = b.local()
    assert re.findall(r"^m=(\w+ \d+)", answer, re.M) == ["audio 0", "unicorns 0", "video 9", "application 9"]
    assert [(t.kind, t.current_direction) for t in b.state.transceivers] == [("video", "recvonly")]
    assert b.state.data is not None
    assert b.state.data.started
    # and the other way round
    a.transceiver("audio")
    a.transceiver("video")
    a.want_data()
    b = Peer("b")
    b.remote(SdpType.OFFER, a.local().replace("opus/", "xpus/").replace("PCM", "XCM").replace(" 0 8", ""))
    a.remote(SdpType.ANSWER, b.local())
    assert [(t.kind, t.current_direction) for t in a.state.transceivers] == [("video", "sendonly")]


@pytest.mark.parametrize("unnamed", [{"0", "1", "2"}, {"2"}, {"1"}])
def test_a_section_that_gets_a_mid_later_is_the_same_section(unnamed: set[str]) -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    a.local()
    a.track("video", "s")
    text = re.sub(r"a=group:.*\r\n", "", a.local())
    first = text
    for mid in unnamed:
        first = first.replace(f"a=mid:{mid}\r\n", "")
    b.remote(SdpType.OFFER, first)
    b.local()
    before = b.state
    assert before.data is not None
    plan = b.carry_out(b.engine.plan_remote(SdpType.OFFER, text))
    assert plan.prepare == ()
    b.local()
    assert [t.mid for t in b.state.transceivers] == ["0", "2"]
    assert [(t.id, t.transport) for t in b.state.transceivers] == [
        (t.id, t.transport) for t in before.transceivers
    ]
    assert b.state.data is not None
    assert b.state.data.transport == before.data.transport
    assert {t.id for t in b.state.transports} == {t.id for t in before.transports}
    assert {mid for mid, _ in b.state.bindings} == {"0", "1", "2"}


def test_a_rejected_section_that_had_no_mid_gets_one_later() -> None:
    text = re.sub(r"a=(group|mid):.*\r\n", "", offer_text()).replace("VP8/", "XX8/").replace("H264/", "X264/")
    b = accepted_in_part(text)
    b.remote(SdpType.OFFER, re.sub(r"a=group:.*\r\n", "", offer_text()).replace("m=video 9", "m=video 0"))
    b.local()
    assert [t.mid for t in b.state.transceivers] == ["0"]


def accepted_in_part(text: str) -> Peer:
    """A peer that has answered; some sections are rejected."""
    b = Peer("b")
    b.remote(SdpType.OFFER, text)
    assert re.findall(r"^m=\w+ 0 ", b.local(), re.MULTILINE)
    return b


def test_a_data_section_that_gets_a_mid_when_it_is_over_ends_its_association() -> None:
    a, b = pair()
    a.track("audio", "s")
    a.want_data()
    text = re.sub(r"a=group:.*\r\n", "", a.local())
    b.remote(SdpType.OFFER, text.replace("a=mid:1\r\n", ""))
    b.local()
    assert b.state.data is not None
    b.remote(SdpType.OFFER, text.replace("m=application 9", "m=application 0"))
    plan = b.carry_out(b.engine.plan_local())
    assert CloseData() in plan.start
    assert b.state.data is None
