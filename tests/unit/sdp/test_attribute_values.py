"""What attributes say, what of them is refused, and that a description is written as it was read."""

from __future__ import annotations

from typing import Any

import pytest

from rtcpeer.errors import RTCError
from rtcpeer.sdp.building import LIMITS
from rtcpeer.sdp.model import Connection, Group, Media, Msid, Origin, Rid, SsrcGroup
from rtcpeer.sdp.text import parse_untrusted, write
from rtcpeer.values import Direction, Feedback, HeaderExtension

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n"

# in the order of RFC 8866 section 5, and of RFC 9429 section 5.2.1 within a section
WHOLE = """\
v=0
o=alice 4611731400430051336 17 IN IP6 2001:db8::1
s=a talk
i=about something
u=https://example.org/talk
e=alice@example.org
e=bob@example.org
p=+1 617 555-6011
p=+1 617 555-6012
c=IN IP6 2001:db8::2
b=AS:128
b=X-own:9
t=3034423619 3042462419
r=7d 1h 0 25h
z=2882844526 -1h 2898848070 0
a=group:BUNDLE a v d
a=group:LS a v
a=ice-lite
a=ice-options:trickle ice2
a=extmap-allow-mixed
a=msid-semantic: WMS *
a=x-flag
a=x-value:of the session
m=audio 49170/2 UDP/TLS/RTP/SAVPF 96 0 97
i=the microphone
c=IN IP4 192.0.2.1
b=TIAS:64000
a=rtcp:49171 IN IP4 192.0.2.1
a=candidate:1 1 udp 2130706431 192.0.2.1 49170 typ host
a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active
a=end-of-candidates
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=ice-options:trickle
a=fingerprint:sha-256 AA:BB
a=fingerprint:sha-1 CC
a=setup:actpass
a=mid:a
a=extmap:1 urn:x
a=extmap:2/sendonly urn:y
a=sendonly
a=msid:- track
a=msid:stream
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtpmap:96 opus/48000/2
a=rtcp-fb:96 nack
a=rtcp-fb:96 ccm fir
a=fmtp:96 minptime=10;useinbandfec=1
a=rtpmap:0 PCMU/8000
a=rtpmap:97 telephone-event/48000
a=fmtp:97 0-15
a=ptime:20
a=maxptime:120
a=x-flag
a=x-value:of the section
m=video 0 UDP/TLS/RTP/SAVPF 98
a=mid:v
a=bundle-only
a=rtpmap:98 VP8/90000
a=rid:hi send max-width=1280
a=rid:lo recv
a=simulcast:send hi,~me;lo recv lo
a=ssrc-group:FID 1 4294967295
a=ssrc:1 cname:x y
a=ssrc:1 flag
a=ssrc:4294967295 cname:x y
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:d
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")


def section(*lines: str, head: str = HEAD, media: str = AUDIO) -> Media:
    return parse_untrusted(head + media + "".join(f"{line}\r\n" for line in lines)).media[0]


def refused(*lines: str, head: str = HEAD, media: str = AUDIO) -> RTCError:
    with pytest.raises(RTCError) as caught:
        section(*lines, head=head, media=media)
    return caught.value


def test_a_description_is_written_as_it_was_read() -> None:
    assert write(parse_untrusted(WHOLE)) == WHOLE


def test_each_line_says_something_of_its_own() -> None:
    """Two descriptions that differ in a line are not equal: nothing is read and forgotten."""
    whole = parse_untrusted(WHOLE)
    lines = WHOLE.split("\r\n")[:-1]
    for number, line in enumerate(lines):
        # what must be there, what says in full what holds without it, and what may be left out within a section
        if line[:2] in ("v=", "o=", "s=", "t=", "m="):
            continue
        less = parse_untrusted("\r\n".join([*lines[:number], *lines[number + 1 :], ""]))
        if line in ("a=rtpmap:0 PCMU/8000",):
            assert less == whole, line
        else:
            assert less != whole, line


def test_the_session_level() -> None:
    session = parse_untrusted(WHOLE)
    assert session.origin == Origin(4611731400430051336, 17, "alice", "IN", "IP6", "2001:db8::1")
    assert (session.name, session.information) == ("a talk", "about something")
    assert session.uri == "https://example.org/talk"
    assert session.emails == ("alice@example.org", "bob@example.org")
    assert session.phones == ("+1 617 555-6011", "+1 617 555-6012")
    assert session.connection == Connection("2001:db8::2", "IP6", "IN")
    assert session.bandwidth == (("AS", 128), ("X-own", 9))
    assert session.timing[0] == "t=3034423619 3042462419"
    assert session.groups == (Group("BUNDLE", ("a", "v", "d")), Group("LS", ("a", "v")))
    assert session.ice_lite
    assert session.extmap_allow_mixed
    assert session.msid_semantic == "WMS *"
    assert [m.line for m in session.media] == [
        n for n, line in enumerate(WHOLE.split("\r\n"), 1) if line[:2] == "m="
    ]
    bare = parse_untrusted(HEAD)
    assert (bare.ice_lite, bare.extmap_allow_mixed, bare.information, bare.uri) == (False, False, None, None)
    assert (bare.emails, bare.phones, bare.connection, bare.groups) == ((), (), None, ())


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("i=the microphone", "title", "the microphone"),
        ("c=IN IP6 ::1", "connection", Connection("::1", "IP6", "IN")),
        ("b=as:7", "bandwidth", (("AS", 7),)),
        ("b=X-y:7", "bandwidth", (("X-y", 7),)),
        ("a=mid:a+b", "mid", "a+b"),
        ("a=SENDONLY", "direction", Direction.SENDONLY),
        ("a=recvonly", "direction", Direction.RECVONLY),
        ("a=inactive", "direction", Direction.INACTIVE),
        ("a=msid:" + "s" * 256, "msids", (Msid("s" * 256),)),
        ("a=msid:s  " + "t" * 256, "msids", (Msid("s", "t" * 256),)),
        ("a=ice-options:ICE2 Own", "ice_options", ("ice2", "Own")),
        ("a=end-of-candidates", "end_of_candidates", True),
        ("a=setup:HoldConn", "setup", "holdconn"),
        ("a=bundle-only", "bundle_only", True),
        ("a=rtcp:5 IN IP4 0.0.0.0", "rtcp", "5 IN IP4 0.0.0.0"),
        ("a=rtcp-mux", "rtcp_mux", True),
        ("a=RTCP-MUX-ONLY", "rtcp_mux_only", True),
        ("a=rtcp-rsize", "rtcp_reduced_size", True),
        ("a=ptime:20", "packet_time", 20),
        ("a=ptime:2.5", "packet_time", 2),
        ("a=maxptime:60.0", "max_packet_time", 60),
        ("a=extmap-allow-mixed", "extmap_allow_mixed", True),
        (
            "a=extmap:14/RecvOnly urn:x and more",
            "header_extensions",
            (HeaderExtension("urn:x", 14, Direction.RECVONLY),),
        ),
        ("a=rid:r RECV pt=96", "rids", (Rid("r", "recv", "pt=96"),)),
        ("a=ssrc-group:fid 1 2", "ssrc_groups", (SsrcGroup("FID", (1, 2)),)),
        ("a=ssrc-group:own 00000000000000000001", "ssrc_groups", (SsrcGroup("own", (1,)),)),
        ("a=ssrc-group:SIM 0 4294967295", "ssrc_groups", (SsrcGroup("SIM", (0, 4294967295)),)),
        ("a=sctp-port:0", "sctp_port", 0),
        ("a=sctp-port:65535", "sctp_port", 65535),
        ("a=max-message-size:0", "max_message_size", 0),
        ("a=max-message-size:1073741823", "max_message_size", 1073741823),
        ("a=sctpmap:5001 webrtc-datachannel 1024", "sctp_port", 5001),
        ("a=fmtp:tk x=1", "attributes", (("fmtp", "tk x=1"),)),
        ("a=fmtp:0096 x=1", "attributes", (("fmtp", "0096 x=1"),)),
    ],
)
def test_a_line_of_a_section(line: str, field: str, value: Any) -> None:
    """Literals in any case (RFC 5234 section 2.3); what is not known of them stays as it is."""
    assert getattr(section(line), field) == value
    assert getattr(section(), field) != value


def test_what_of_an_empty_section_holds() -> None:
    bare = section()
    assert bare.direction is Direction.SENDRECV
    assert not bare.has_direction
    assert section("a=sendrecv").has_direction
    assert (bare.mid, bare.title, bare.ice, bare.setup, bare.rtcp) == (None, None, None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        "a=ssrc:4294967296 cname:x",
        "a=ssrc-group:FID 1 4294967296",
        "a=ssrc-group:FID " + "0" * 12 + "4294967296",
        "a=ssrc-group:FID " + "0" * 5000 + "1",
        "a=ssrc-group:FID -1",
        "a=ssrc-group:FID \u0661",
        "a=ssrc-group:",
        "a=sctp-port:65536",
        "a=sctp-port:",
        "a=msid:" + "s" * 257,
        "a=msid:s " + "t" * 257,
        "a=msid:",
        "a=fmtp:",
        "a=fmtp: x",
        "a=simulcast:send a recv",
        "a=simulcast:send a recv b send c",
        "a=simulcast:",
        "a=setup:",
        "a=ptime:",
        "a=ptime:\u0661",
        "a=rtpmap:96 opus",
        "a=rtpmap:0096 opus/48000",
    ],
)
def test_what_is_refused(line: str) -> None:
    assert refused(line).sdpLineNumber == 7


def test_format_parameters_of_all_lines_of_a_format_count() -> None:
    (codec,) = section("a=fmtp:96 a=1; b ;;c=", "a=fmtp:96 d=4", "a=fmtp:96", "a=fmtp:97 e=5").codecs
    assert codec.fmtp == (("a", "1"), ("b", None), ("c", ""), ("d", "4"))


def test_feedback_for_all_formats_and_for_one() -> None:
    first, second = section(
        "a=rtpmap:97 VP9/90000", "a=RTCP-FB:* NACK PLI", "a=rtcp-fb:97 Goog-Remb", "a=rtcp-fb:96 x-own Thing",
        media="m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 vp8/90000\r\n",
    ).codecs  # fmt: skip
    assert first.feedback == (Feedback("nack", "pli"), Feedback("x-own", "Thing"))
    assert second.feedback == (Feedback("nack", "pli"), Feedback("goog-remb"))
    assert (first.mime_type, second.mime_type) == ("video/VP8", "video/VP9")


def test_the_first_mapping_of_a_format_counts_and_a_format_that_is_named_twice_is_one() -> None:
    codecs = section(
        "a=rtpmap:96 PCMA/8000", media="m=audio 9 RTP/AVP 96 96\r\na=rtpmap:96 OPUS/48000/2\r\n"
    ).codecs
    assert [(c.name, c.clock_rate, c.channels) for c in codecs] == [("opus", 48000, 2)]


@pytest.mark.parametrize(
    ("kind", "said", "channels"), [("audio", "", 1), ("audio", "/2", 2), ("video", "/2", None)]
)
def test_channels_are_of_audio_alone(kind: str, said: str, channels: int | None) -> None:
    """RFC 8866 section 6.6: one where nothing is said."""
    (codec,) = section(media=f"m={kind} 9 RTP/AVP 96\r\na=rtpmap:96 x/8000{said}\r\n").codecs
    assert codec.channels == channels


def test_attributes_of_rtp_mean_nothing_elsewhere() -> None:
    lines = ("a=rtpmap:what", "a=fmtp:", "a=ssrc:x", "a=simulcast:?")
    media = section(*lines, media="m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")
    assert [f"a={name}:{value}" for name, value in media.attributes] == list(lines)
    assert media.codecs == ()


def test_what_only_sections_of_rtp_inherit() -> None:
    head = HEAD + "a=extmap:5 urn:x\r\na=extmap-allow-mixed\r\na=end-of-candidates\r\n"
    rtp, data = parse_untrusted(head + AUDIO + "m=application 9 UDP/DTLS/SCTP x\r\n").media
    assert rtp.header_extensions
    assert rtp.extmap_allow_mixed
    assert data.header_extensions == ()
    assert not data.extmap_allow_mixed
    assert rtp.end_of_candidates  # RFC 8840 section 4.4: of the session it is of all sections
    assert data.end_of_candidates


@pytest.mark.parametrize("level", ["session", "section"])
def test_a_ufrag_and_a_password_may_stand_on_two_levels(level: str) -> None:
    ufrag, pwd = "a=ice-ufrag:abcd\r\n", "a=ice-pwd:0123456789012345678901\r\n"
    text = HEAD + ufrag + AUDIO + pwd if level == "session" else HEAD + pwd + AUDIO + ufrag
    ice = parse_untrusted(text).media[0].ice
    assert ice is not None
    assert (ice.ufrag, ice.pwd, ice.lite) == ("abcd", "0123456789012345678901", False)


@pytest.mark.parametrize(
    ("what", "line", "each"),
    [
        ("format parameter", "a=fmtp:96 {}", ";"),
        ("grouped source", "a=ssrc-group:SIM {}", " "),
        ("layer", "a=simulcast:send {}", ";"),
        ("layer", "a=simulcast:send {}", ","),
        ("ICE option", "a=ice-options:{}", " "),
    ],
)
def test_how_much_there_may_be_in_a_line(what: str, line: str, each: str) -> None:
    most = LIMITS[what][0]
    section(line.format(each.join(["1"] * most)))
    assert f"more than {most} of '{what}' in one place" in str(
        refused(line.format(each.join(["1"] * (most + 1))))
    )


def test_how_many_sections_may_be_grouped_and_formats_listed() -> None:
    most = LIMITS["grouped mid"][0]
    head = HEAD + "a=group:BUNDLE" + " x" * most + "\r\n"
    section(head=head)
    assert "'grouped mid'" in str(refused(head=head + "a=group:LS x\r\n"))
    section(head=head + "a=group:LS\r\n")
    most = LIMITS["format"][0]
    section(media="m=audio 9 RTP/AVP" + " 0" * most + "\r\n")
    assert "'format'" in str(refused(media="m=audio 9 RTP/AVP" + " 0" * (most + 1) + "\r\n"))
    assert "'format'" in str(refused(media="m=x 9 y" + " z" * (most + 1) + "\r\n"))


def test_semantics_of_groups_in_any_case() -> None:
    session = parse_untrusted(HEAD + "a=group:bundle a\r\na=group:Own a\r\n" + AUDIO + "a=mid:a\r\n")
    assert [group.semantics for group in session.groups] == ["BUNDLE", "Own"]
    assert session.bundle_of("a") is session.groups[0]
