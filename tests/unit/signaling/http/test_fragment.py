import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.sdp.text import parse_untrusted
from rtcpeer.signaling.http.fragment import (
    MAX_CANDIDATES,
    MAX_SIZE,
    Fragment,
    FragmentCandidate,
    fragment_of,
    read_fragment_untrusted,
    rejects_sections,
    restarted,
    with_candidates,
    write_fragment,
)

UFRAG, PWD = "EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"
HOST = "candidate:1 1 udp 2130706431 192.0.2.1 61764 typ host"

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 5228595038118931041 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{PWD}",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        f"a={HOST}",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{UFRAG}",
        f"a=ice-pwd:{PWD}",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:1",
        "a=bundle-only",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:96 VP8/90000",
        "",
    ]
)


def test_the_example_of_the_rfc() -> None:
    """RFC 9725 figure 5, candidates shortened."""
    fragment = read_fragment_untrusted(
        "a=group:BUNDLE 0 1\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        "a=mid:0\r\n"
        f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\n"
        f"a={HOST}\r\na=end-of-candidates\r\n"
    )
    assert (fragment.ufrag, fragment.pwd) == (UFRAG, PWD)
    assert fragment.candidates == (FragmentCandidate(HOST, "0", 0), FragmentCandidate("", "0", 0))
    assert fragment.messages() == [
        {"candidate": HOST, "sdpMid": "0", "usernameFragment": UFRAG},
        {"candidate": "", "sdpMid": "0", "usernameFragment": UFRAG},
    ]


def test_credentials_at_session_level_and_no_section() -> None:
    """What Janus' WHIP server answers to a restart."""
    fragment = read_fragment_untrusted(f"a=ice-lite\na=ice-ufrag:{UFRAG}\na=ice-pwd:{PWD}\n")
    assert fragment == Fragment(UFRAG, PWD)
    assert read_fragment_untrusted(f"a={HOST}").messages() == [{"candidate": HOST, "sdpMLineIndex": 0}]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "neither credentials nor candidates"),
        ("hello", "line 1 is not of the form"),
        ("a=ice-ufrag:abc", "line 1 has malformed ICE credentials"),
        (f"a=ice-ufrag:{UFRAG}\na=ice-pwd:short", "line 2 has malformed"),
        (f"a=ice-ufrag:{UFRAG}\na=ice-ufrag:other", "line 2 has other ICE credentials"),
        (f"a=ice-pwd:{PWD}\na={HOST}", "a=ice-pwd without a=ice-ufrag"),
        ("m=audio 9 X 0\na=mid:\x00", "line 2 is no a=mid"),
        ("a=candidate:1\x1b[31m", "control characters"),
        (f"a={HOST}\n" * (MAX_CANDIDATES + 1), "more than 256 candidates"),
        ("a=x\n" * 20_000, "longer than 65536"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(RTCSyntaxError, match=complaint) as caught:
        read_fragment_untrusted(text)
    assert caught.value.fault == "remote"


@given(st.text(st.sampled_from("am=:-iceufragpwdidnt 019\r\n\x00é"), max_size=200) | st.text(max_size=100))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        fragment = read_fragment_untrusted(text)
    except RTCSyntaxError:
        return
    assert read_fragment_untrusted(write_fragment(fragment)).ufrag == fragment.ufrag


def test_written_is_read_again() -> None:
    fragment = Fragment(UFRAG, PWD, (FragmentCandidate(HOST, "0"), FragmentCandidate("", "0")))
    text = write_fragment(fragment, kind="video")
    assert "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" in text
    assert [c.line for c in read_fragment_untrusted(text).candidates] == [HOST, ""]
    assert "m=application 9 UDP/DTLS/SCTP" in write_fragment(fragment, kind="application")


def test_the_ice_part_of_a_description() -> None:
    fragment, kind, mid = fragment_of(OFFER)
    assert (fragment.ufrag, fragment.pwd, kind, mid) == (UFRAG, PWD, "audio", "0")
    assert fragment.candidates == (FragmentCandidate(HOST, "0"),)
    # the bundle's section counts, not the first one
    assert fragment_of(OFFER.replace("BUNDLE 0 1", "BUNDLE 1 0"))[2] == "1"
    with pytest.raises(RTCSyntaxError, match="no ICE credentials"):
        fragment_of("v=0\r\n")


def test_a_restarted_description() -> None:
    again = restarted(OFFER, Fragment("newfrag", "n" * 24, (FragmentCandidate("candidate:9", "0"),)))
    assert "o=- 5228595038118931041 3 IN IP4" in again
    assert UFRAG not in again
    assert PWD not in again
    assert again.count("a=ice-ufrag:newfrag\r\n") == 2
    assert "a=candidate:9\r\nm=video" in again
    assert HOST not in again
    parse_untrusted(again.replace("a=candidate:9\r\n", ""))
    with pytest.raises(RTCSyntaxError, match="a restart needs"):
        restarted(OFFER, Fragment("newfrag", None))


def test_candidates_are_added_to_the_section_that_carries_the_others() -> None:
    text = with_candidates(OFFER, ["candidate:7", ""])
    assert "a=candidate:7\r\na=end-of-candidates\r\nm=video" in text
    assert with_candidates(OFFER.replace("\r\n", "\n"), ["candidate:7"]).count("\r") == 0


def test_an_answer_that_rejects_a_section() -> None:
    accepted = OFFER.replace("a=bundle-only\r\n", "").replace("m=video 0", "m=video 9")
    assert not rejects_sections(OFFER, accepted)
    assert rejects_sections(OFFER, OFFER)
    assert rejects_sections(OFFER, OFFER.partition("m=video")[0])
    stopped = OFFER.replace("a=bundle-only\r\n", "")  # the offer itself has stopped it
    assert not rejects_sections(stopped, stopped)


def test_candidates_belong_to_the_section_that_they_stand_in() -> None:
    """RFC 8840 section 9: a section without a=mid is known by its number."""
    fragment = read_fragment_untrusted(
        f"a=ice-ufrag:{UFRAG}\na={HOST}\nm=audio 9 X 0\na=mid:a\na={HOST}\nm=video 9 X 0\na={HOST}\nm=x 9 y\na={HOST}"
    )
    assert [(c.mid, c.index) for c in fragment.candidates] == [(None, None), ("a", 0), (None, 1), (None, 2)]
    assert [m.get("sdpMid", m.get("sdpMLineIndex")) for m in fragment.messages()] == [0, "a", 1, 2]


def test_as_much_as_there_may_be() -> None:
    """RFC 8839 section 5.4: 4 to 256 characters, and 22 to 256."""
    for ufrag, pwd in (("u" * 4, "p" * 22), ("u" * 256, "p" * 256)):
        fragment = read_fragment_untrusted(
            f"a=ice-ufrag:{ufrag}\na=ice-pwd:{pwd}\n" + f"a={HOST}\n" * MAX_CANDIDATES
        )
        assert (fragment.ufrag, fragment.pwd, len(fragment.candidates)) == (ufrag, pwd, MAX_CANDIDATES)
    for ufrag, pwd in (("u" * 4, "p" * 21), ("u" * 4, "p" * 257), ("u" * 3, "p" * 22), ("u" * 257, "p" * 22)):
        with pytest.raises(RTCSyntaxError, match="malformed ICE credentials"):
            read_fragment_untrusted(f"a=ice-ufrag:{ufrag}\na=ice-pwd:{pwd}\n")
    text = f"a=ice-ufrag:{UFRAG}\n"
    assert read_fragment_untrusted(text + "\n" * (MAX_SIZE - len(text))).ufrag == UFRAG
    with pytest.raises(RTCSyntaxError, match="longer"):
        read_fragment_untrusted(text + "\n" * (MAX_SIZE + 1 - len(text)))


def test_the_section_of_a_fragment() -> None:
    assert write_fragment(Fragment(UFRAG, PWD)) == f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\n"
    assert "a=mid:7\r\n" in write_fragment(Fragment(UFRAG, PWD), mid="7")
    found = (FragmentCandidate(""), FragmentCandidate(HOST, "3"))
    assert write_fragment(Fragment(candidates=found)) == (
        f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:3\r\na=end-of-candidates\r\na={HOST}\r\n"
    )


def test_the_ice_part_of_other_descriptions() -> None:
    head, audio, video = (
        OFFER.partition("m=audio")[0],
        OFFER[OFFER.index("m=audio") : OFFER.index("m=video")],
        "m=video",
    )
    video += OFFER.partition("m=video")[2]
    # without a bundle the first section in use
    alone = head.replace("a=group:BUNDLE 0 1\r\n", "")
    assert fragment_of(alone + video + audio)[1:] == ("audio", "0")
    assert fragment_of(alone + video)[1:] == ("video", "1")
    ended = fragment_of(OFFER.replace(f"a={HOST}\r\n", f"a={HOST}\r\n" * 300 + "a=end-of-candidates\r\n"))[0]
    assert [c.line for c in ended.candidates] == [HOST] * MAX_CANDIDATES + [""]
    # what stands at session level is of all sections (RFC 8840 section 4.4)
    session = head + f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\na=end-of-candidates\r\nm=audio 9 X 0\r\n"
    assert fragment_of(session)[0] == Fragment(UFRAG, PWD, (FragmentCandidate(""),))
    assert with_candidates(session.rstrip(), [HOST]) == session + f"a={HOST}\r\n"
    assert with_candidates(session + "m=video 9 X 0\r\n", [HOST]).endswith(f"a={HOST}\r\nm=video 9 X 0\r\n")
