"""The line grammar. Fixtures are named by their origin: recorded (Chromium, Firefox, GStreamer) or written after it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rtcpeer.errors import RTCError
from rtcpeer.sdp.attributes import MAX_CANDIDATES, MAX_CANDIDATES_IN_ALL
from rtcpeer.sdp.building import LIMITS
from rtcpeer.sdp.model import Msid, Setup, Simulcast, SimulcastStream
from rtcpeer.sdp.text import MAX_LENGTH, MAX_LINES, MAX_SECTIONS, parse_untrusted, write
from rtcpeer.values import Direction, Feedback, Fingerprint, HeaderExtension
from tests.unit.jsep.support import Peer, pair

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.sdp"))
HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n"


def read(path: Path) -> str:
    return path.read_bytes().decode()


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_fixtures_survive_the_model(path: Path) -> None:
    session = parse_untrusted(read(path))
    again = parse_untrusted(write(session))
    assert again == session
    assert write(again) == write(session)
    for media in session.media:
        assert media.ice is not None
        assert media.fingerprints
        assert media.mid
        assert media.codecs or media.is_data


@pytest.mark.parametrize("path", [p for p in FIXTURES if "offer" in p.stem], ids=lambda p: p.stem)
def test_fixtures_are_answered(path: Path) -> None:
    from rtcpeer.values import SdpType

    peer = Peer("x")
    peer.remote(SdpType.OFFER, read(path))
    answer = parse_untrusted(peer.local())
    assert not any(m.rejected for m in answer.media)
    assert peer.objects.transports == {0}
    assert peer.objects.dtls
    peer.transceiver("video")
    peer.carry_out(peer.engine.operations.plan_restart_ice())
    offer = parse_untrusted(peer.local())
    assert [m.mid for m in offer.media[: len(answer.media)]] == [m.mid for m in answer.media]


def test_an_answer_of_a_lite_server() -> None:
    from rtcpeer.jsep.effects import SetRemoteIce
    from rtcpeer.values import SdpType

    a, _ = pair()
    a.track("audio", "s")
    a.local()
    text = read(Path(__file__).parent / "fixtures" / "lite_server_answer.sdp")
    plan = a.carry_out(a.engine.plan_remote(SdpType.ANSWER, text.replace("111", "96")))
    ice = next(e for e in plan.start if isinstance(e, SetRemoteIce))
    assert ice.remote.lite
    assert len(ice.candidates) == 1
    assert a.objects.dtls == {0: "client"}


def test_an_answer_of_janus_as_a_lite_server() -> None:
    from rtcpeer.jsep.effects import SetRemoteIce
    from rtcpeer.values import SdpType

    a, _ = pair()
    a.track("audio", "s")
    a.local()
    text = read(Path(__file__).parent / "fixtures" / "janus_1.1.2_lite_answer.sdp")
    plan = a.carry_out(a.engine.plan_remote(SdpType.ANSWER, text.replace("111", "96")))
    ice = next(e for e in plan.start if isinstance(e, SetRemoteIce))
    assert ice.remote.lite
    assert len(ice.candidates) == 1
    assert a.objects.dtls == {0: "server"}


def test_what_stands_in_a_section() -> None:
    session = parse_untrusted(read(Path(__file__).parent / "fixtures" / "firefox_offer.sdp"))
    audio, video, data = session.media
    assert audio.mid == "0"
    assert audio.setup is Setup.ACTPASS
    assert audio.fingerprints[0].algorithm == "sha-256"
    assert audio.header_extensions[1] == HeaderExtension(
        "urn:ietf:params:rtp-hdrext:csrc-audio-level", 2, Direction.RECVONLY
    )
    assert [c.name for c in audio.codecs] == ["opus", "G722", "PCMU", "PCMA", "telephone-event"]
    assert audio.codecs[0].fmtp[1] == ("stereo", "1")
    assert audio.codecs[4].fmtp == (("0-15", None),)
    assert audio.codecs[1].channels == 1
    assert video.codecs[0].feedback[1] == Feedback("nack", "pli")
    assert video.codecs[0].channels is None
    assert video.ssrc_groups[0].ssrcs == (290925316, 3621805924)
    assert video.rtcp_reduced_size
    assert data.is_data
    assert (data.sctp_port, data.max_message_size) == (5000, 1073741823)
    assert session.ice_options == ("trickle",)
    assert session.groups[0].mids == ("0", "1", "2")


def test_old_data_sections() -> None:
    session = parse_untrusted(read(Path(__file__).parent / "fixtures" / "aiortc_legacy_data_offer.sdp"))
    data = session.media[1]
    assert data.is_data
    assert data.sctp_port == 5000
    assert data.attributes == (("sctpmap", "5000 webrtc-datachannel 65535"),)


def test_inheritance_from_the_session() -> None:
    text = (
        HEAD
        + "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:SHA-256 aa:bb\r\na=setup:active\r\n"
        + "a=inactive\r\na=ice-lite\r\na=ice-options:trickle x\r\na=extmap:5 urn:x\r\na=extmap-allow-mixed\r\n"
        + AUDIO
        + AUDIO
        + "a=ice-ufrag:efgh\r\na=ice-pwd:1123456789012345678901\r\na=sendonly\r\n"
        + "a=setup:passive\r\na=fingerprint:sha-1 CC\r\n"
    )
    first, second = parse_untrusted(text).media
    assert first.ice is not None
    assert second.ice is not None
    assert (first.ice.ufrag, first.ice.lite, second.ice.ufrag) == ("abcd", True, "efgh")
    assert first.fingerprints == (Fingerprint("sha-256", "AA:BB"),)
    assert second.fingerprints == (Fingerprint("sha-1", "CC"),)
    assert (first.direction, second.direction) == ("inactive", "sendonly")
    assert (first.setup, second.setup) == ("active", "passive")
    assert first.header_extensions == (HeaderExtension("urn:x", 5),)
    assert first.extmap_allow_mixed
    assert first.ice_options == ("trickle", "x")
    session = parse_untrusted(text)
    assert parse_untrusted(write(session)) == session


def test_unknown_attributes_survive_in_order() -> None:
    text = HEAD + "a=x-one:1\r\na=x-two\r\n" + AUDIO + "a=x-three:a b:c\r\na=x-four:\r\na=cat\r\n"
    session = parse_untrusted(text)
    assert session.attributes == (("x-one", "1"), ("x-two", None))
    assert session.media[0].attributes == (("x-three", "a b:c"), ("x-four", ""), ("cat", None))
    assert write(session).startswith(HEAD + "a=x-one:1\r\na=x-two\r\nm=audio")
    assert write(session).endswith("a=x-three:a b:c\r\na=x-four:\r\na=cat\r\n")


def test_simulcast_rids_and_msids() -> None:
    text = (
        HEAD
        + AUDIO
        + "a=msid:- t\r\na=msid:s\r\na=rid:a send pt=96;max-width=1280\r\na=rid:b recv\r\n"
        + "a=simulcast:send a,~b;c recv d\r\n"
    )
    media = parse_untrusted(text).media[0]
    assert media.msids == (Msid("-", "t"), Msid("s", None))
    assert media.simulcast == Simulcast(
        (SimulcastStream(("a", "~b")), SimulcastStream(("c",))), (SimulcastStream(("d",)),)
    )
    assert media.simulcast.send[0].rid == "a"
    assert not media.simulcast.send[0].paused
    assert media.rids[0].restrictions == "pt=96;max-width=1280"
    assert "a=simulcast:send a,~b;c recv d\r\n" in write(parse_untrusted(text))


def test_line_endings_and_blank_lines() -> None:
    text = HEAD + AUDIO
    assert parse_untrusted(text.replace("\r\n", "\n")) == parse_untrusted(text)
    assert parse_untrusted(text + "\r\n\r\n") == parse_untrusted(text)


def test_static_payload_types_need_no_rtpmap() -> None:
    media = parse_untrusted(HEAD + "m=audio 9 RTP/AVP 0 77 8 13\r\n").media[0]
    assert [c.name for c in media.codecs] == ["PCMU", "PCMA", "CN"]
    assert media.formats == ("0", "77", "8", "13")


def test_candidates_of_unknown_kinds_are_ignored() -> None:
    text = (
        HEAD
        + AUDIO
        + "a=candidate:1 1 dccp 1 192.0.2.1 9 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ alien\r\n"
    )
    assert parse_untrusted(text).media[0].candidates == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Invalid SDP", 1),
        ("", 1),
        ("o=- 1 2 IN IP4 0.0.0.0\r\n", 1),
        ("v=1\r\n", 1),
        ("v=0\r\nv=0\r\n", 2),
        ("v=0\r\no=broken\r\n", 2),
        ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n", 4),
        (HEAD + "x=1\r\n", 5),
        (HEAD + "nonsense\r\n", 5),
        (HEAD + "m=audio\r\n", 5),
        (HEAD + "m=audio 99999 RTP/SAVPF 0\r\n", 5),
        (HEAD + "m=audio 9 RTP/SAVPF 128\r\n", 6),
        (HEAD + "m=audio 9 RTP/SAVPF x\r\n", 6),
        (HEAD + "t=a b\r\n", 5),
        (HEAD + "t=0\r\n", 5),
        (HEAD + "t=0 0 0\r\n", 5),
        (HEAD + "t=0 \u0661\r\n", 5),
        (HEAD + "o=- 1 2 IN IP4 127.0.0.1\r\n", 5),
        (HEAD + "=1\r\n", 5),
        (HEAD + "a\r\n", 5),
        (HEAD + "m=audio 65536 RTP/SAVPF 0\r\n", 5),
        (HEAD + "b=AS:\u0661\r\n", 5),
        ("c=IN IP4 192.0.2.1\r\n" + HEAD, 1),
        ("b=AS:1\r\n" + HEAD, 1),
        (HEAD + AUDIO + "t=0 0\r\n", 7),
        (HEAD + AUDIO + "b=AS\r\n", 7),
        (HEAD + "c=IN\r\n", 5),
        (HEAD + "b=AS\r\n", 5),
        (HEAD + AUDIO + "v=0\r\n", 7),
        (HEAD + AUDIO + "c=IN IP4\r\n", 7),
        (HEAD + AUDIO + "a=rtpmap:96\r\n", 7),
        (HEAD + AUDIO + "a=rtcp-fb:96\r\n", 7),
        (HEAD + AUDIO + "a=extmap:1\r\n", 7),
        (HEAD + AUDIO + "a=extmap:1/upwards urn:x\r\n", 7),
        (HEAD + AUDIO + "a=ssrc:99999999999 cname:x\r\n", 7),
        (HEAD + AUDIO + "a=ssrc-group:FID\r\n", 7),
        (HEAD + AUDIO + "a=ssrc-group:FID 99999999999\r\n", 7),
        (HEAD + AUDIO + "a=mid:\r\n", 7),
        (HEAD + AUDIO + "a=mid:a b\r\n", 7),
        (HEAD + AUDIO + "a=msid:a b c\r\n", 7),
        (HEAD + AUDIO + "a=rid:a\r\n", 7),
        (HEAD + AUDIO + "a=simulcast:send\r\n", 7),
        (HEAD + AUDIO + "a=simulcast:send a send b\r\n", 7),
        (HEAD + AUDIO + "a=simulcast:send a;;b\r\n", 7),
        (HEAD + AUDIO + "a=simulcast:send a\r\na=simulcast:recv b\r\n", 8),
        (HEAD + AUDIO + "a=fingerprint:sha-256\r\n", 7),
        (HEAD + AUDIO + "a=setup:maybe\r\n", 7),
        (HEAD + AUDIO + "a=ptime:x\r\n", 7),
        (HEAD + AUDIO + "a=sctp-port:70000\r\n", 7),
        (HEAD + AUDIO + "a=max-message-size:-1\r\n", 7),
        (HEAD + "a=group:\r\n", 5),
    ],
)
def test_errors_name_the_line(text: str, line: int) -> None:
    with pytest.raises(RTCError) as caught:
        parse_untrusted(text)
    assert caught.value.errorDetail == "sdp-syntax-error"
    assert caught.value.name == "OperationError"
    assert caught.value.fault == "remote"
    assert caught.value.sdpLineNumber == line


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        HEAD + "a=x\r\n" * 2_000_000,
        HEAD + AUDIO * 100_000,
        HEAD + AUDIO + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 200_000,
        HEAD + "\r\n" * 400_000,
        HEAD + "m=audio 9 RTP/SAVPF 0\r\n" * 40_000,
    ],
    ids=["one line", "attributes", "sections", "candidates", "blank", "small sections"],
)
def test_huge_descriptions_are_refused_fast(text: str) -> None:
    began = time.thread_time()
    with pytest.raises(RTCError):
        parse_untrusted(text)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    ("number", "name", "rate", "channels"),
    [
        (0, "PCMU", 8000, 1),
        (3, "GSM", 8000, 1),
        (8, "PCMA", 8000, 1),
        (9, "G722", 8000, 1),
        (10, "L16", 44100, 2),
        (11, "L16", 44100, 1),
        (13, "CN", 8000, 1),
        (18, "G729", 8000, 1),
    ],
)
def test_static_payload_types(number: int, name: str, rate: int, channels: int) -> None:
    """RFC 3551 section 6, tables 4 and 5."""
    (codec,) = parse_untrusted(HEAD + f"m=audio 9 RTP/AVP {number}\r\n").media[0].codecs
    assert (codec.name, codec.clock_rate, codec.channels) == (name, rate, channels)


@pytest.mark.parametrize(("number", "name"), [(26, "JPEG"), (31, "H261"), (34, "H263")])
def test_static_payload_types_of_video(number: int, name: str) -> None:
    (codec,) = parse_untrusted(HEAD + f"m=video 9 RTP/AVP {number}\r\n").media[0].codecs
    assert (codec.name, codec.clock_rate, codec.channels) == (name, 90000, None)


def test_a_payload_type_has_three_digits_at_most() -> None:
    with pytest.raises(RTCError):
        parse_untrusted(HEAD + "m=audio 9 RTP/AVP 0008\r\n")
    assert parse_untrusted(HEAD + "m=audio 9 RTP/AVP 008\r\n").media[0].codecs[0].name == "PCMA"


def test_what_a_section_says_itself_goes_before_what_the_session_says() -> None:
    text = HEAD + "a=ice-options:trickle\r\na=ice-ufrag:abcd\r\na=setup:active\r\n" + AUDIO
    inherited = parse_untrusted(text).media[0]
    assert (inherited.ice_options, inherited.setup) == (("trickle",), "active")
    assert inherited.ice is not None
    assert (inherited.ice.ufrag, inherited.ice.pwd) == ("abcd", "")  # nobody has said the password
    own = parse_untrusted(text + "a=ice-options:Ice2 x\r\na=ice-ufrag:efgh\r\na=setup:PASSIVE\r\n").media[0]
    assert (own.ice_options, own.setup) == (("ice2", "x"), "passive")
    assert own.ice is not None
    assert own.ice.ufrag == "efgh"


@pytest.mark.parametrize(
    ("what", "line", "place"),
    [
        ("fingerprint", "a=fingerprint:sha-256 AB:CD", "both"),
        ("extmap", "a=extmap:1 urn:x", "both"),
        ("group", "a=group:LS", "session"),
        ("msid", "a=msid:s t", "section"),
        ("rid", "a=rid:x send", "section"),
        ("rtcp-fb", "a=rtcp-fb:0 nack", "section"),
        ("rtcp-fb for all formats", "a=RTCP-FB:* nack", "section"),
        ("ssrc", "a=ssrc:1 cname:x", "section"),
        ("ssrc-group", "a=ssrc-group:FID 1", "section"),
        ("format parameter", "a=fmtp:0 x", "section"),
    ],
)
def test_how_many_lines_of_a_kind_there_may_be(what: str, line: str, place: str) -> None:
    here, in_all = LIMITS[what]
    section = "m=audio 9 RTP/AVP 0\r\n"
    if place != "section":
        parse_untrusted(HEAD + f"{line}\r\n" * here + section)
        with pytest.raises(RTCError, match=f"more than {here} of '{what}' in one place"):
            parse_untrusted(HEAD + f"{line}\r\n" * (here + 1) + section)
    if place != "session":
        full = section + f"{line}\r\n" * here
        parse_untrusted(HEAD + full)
        with pytest.raises(RTCError, match=f"more than {here} of '{what}' in one place"):
            parse_untrusted(HEAD + full + f"{line}\r\n")
        most = HEAD + full * (in_all // here) + section + f"{line}\r\n" * (in_all % here)
        parse_untrusted(most)
        with pytest.raises(RTCError, match=f"more than {in_all} of '{what}' in one description"):
            parse_untrusted(most + section + f"{line}\r\n")


def test_candidates_beyond_the_bounds_are_ignored() -> None:
    section = "m=audio 9 RTP/AVP 0\r\n" + "".join(
        f"a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n" for n in range(MAX_CANDIDATES + 1)
    )
    counts = [len(m.candidates) for m in parse_untrusted(HEAD + section * 20).media]
    assert counts == [MAX_CANDIDATES] * (MAX_CANDIDATES_IN_ALL // MAX_CANDIDATES) + [0] * 10


@pytest.mark.parametrize("letter", "vost")
def test_what_a_description_must_have(letter: str) -> None:
    """RFC 8866 section 5: v=, o=, s= and t=."""
    lines = [line for line in HEAD.splitlines() if line[0] != letter]
    with pytest.raises(RTCError) as caught:
        parse_untrusted("\r\n".join([*lines, ""]))
    assert caught.value.sdpLineNumber == (1 if letter == "v" else 4)


def test_lines_in_another_order_than_the_grammar_has_them() -> None:
    text = "v=0\r\nt=0 0\r\nb=AS:1\r\ns= \r\na=x\r\nc=IN IP4 192.0.2.1\r\no=- 1 2 IN IP4 127.0.0.1\r\n"
    session = parse_untrusted(text)
    assert session.connection is not None
    assert (session.connection.address, session.bandwidth, session.name) == ("192.0.2.1", (("AS", 1),), "")


def test_what_is_obsolete_is_read_and_not_written() -> None:
    """RFC 8866 section 5.12: k=."""
    session = parse_untrusted(HEAD + "k=prompt\r\n" + AUDIO + "k=clear:secret\r\n")
    assert "secret" not in write(session)
    assert write(session) == write(parse_untrusted(HEAD + AUDIO))


def test_the_line_of_a_section() -> None:
    media = parse_untrusted(HEAD + "m=AUDIO  65535/2  RTP/AVP  0  8 \t\r\n").media[0]
    assert (media.kind, media.port, media.port_count, media.protocol) == ("audio", 65535, 2, "RTP/AVP")
    assert (media.formats, media.line) == (("0", "8"), 5)
    bare = parse_untrusted(HEAD + "m=" + "x" * 64 + " 0 y\r\n").media[0]
    assert (bare.kind, bare.port, bare.port_count, bare.formats) == ("x" * 64, 0, None, ())


@pytest.mark.parametrize(
    ("digits", "read"), [("7", 7), ("0" * 5000 + "7", 10**18 - 1), ("9" * 5000, 10**18 - 1)]
)
def test_a_bandwidth_of_any_length(digits: str, read: int) -> None:
    assert parse_untrusted(HEAD + f"b=AS:{digits}\r\n").bandwidth == (("AS", read),)


def test_a_session_id_of_any_length() -> None:
    """RFC 8866 section 9 sets no limit to numbers, so a parser must not fall over one (it has 4,300 digits at most)."""
    for digits in ("1" * 600, "1" * 601, "1" * 5000):
        session = parse_untrusted(HEAD.replace(" 1 2 ", f" {digits} {digits} "))
        assert session.origin.session_id == session.origin.version >= 10**599
        assert parse_untrusted(write(session)) == session


def test_as_many_lines_and_sections_as_there_may_be() -> None:
    parse_untrusted(HEAD + "\r\n" * (MAX_LINES - 4))
    with pytest.raises(RTCError, match="lines"):
        parse_untrusted(HEAD + "\r\n" * (MAX_LINES - 3))
    section = "m=x 9 y\r\n"
    assert len(parse_untrusted(HEAD + section * MAX_SECTIONS).media) == MAX_SECTIONS
    with pytest.raises(RTCError, match="sections"):
        parse_untrusted(HEAD + section * (MAX_SECTIONS + 1))
    head = HEAD + "a=x:"
    parse_untrusted(head + "x" * (MAX_LENGTH - len(head)))
    with pytest.raises(RTCError, match="characters"):
        parse_untrusted(head + "x" * (MAX_LENGTH + 1 - len(head)))
