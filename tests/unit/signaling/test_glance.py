import pytest

from rtcpeer.signaling.glance import (
    candidate_ufrag_untrusted,
    candidates_untrusted,
    essence_untrusted,
    is_other_connection_untrusted,
    origin_untrusted,
    ufrags_untrusted,
)

SDP = """\
v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
a=ice-ufrag:common
a=fingerprint:sha-256 AB:CD
m=audio 54400 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.1
a=rtcp:9 IN IP4 0.0.0.0
a=mid:0
a=ice-ufrag:abcd
a=candidate:1 1 udp 1 192.0.2.1 54400 typ host
a=end-of-candidates
m=video 0 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=candidate:2 1 udp 1 192.0.2.1 5 typ host
""".replace("\n", "\r\n")


def sdp(identity: int, version: int, fingerprint: str = "AB") -> str:
    return f"v=0\r\no=- {identity} {version} IN IP4 0.0.0.0\r\na=fingerprint:sha-256 {fingerprint}\r\n"


def test_origin() -> None:
    assert origin_untrusted(SDP) == ("4611731400430051336", 2)
    assert origin_untrusted("v=0\no=- x 2 IN IP4 0\n") is None
    assert origin_untrusted("") is None


@pytest.mark.parametrize(
    ("before", "now", "other"),
    [
        (sdp(7, 1), sdp(7, 2), False),
        (sdp(7, 2), sdp(8, 2), True),
        (sdp(7, 1), sdp(8, 1, "CD"), True),
        # aiortc: the time, twice, in every description
        (sdp(3, 3), sdp(4, 4), False),
        (sdp(3, 3), sdp(4, 4, "CD"), True),
        # one of the two alone may have such numbers by chance
        (sdp(3, 3), sdp(8, 2), True),
        (sdp(8, 2), sdp(3, 3), True),
        (sdp(3, 3), "nonsense", False),
        ("", "", False),
    ],
)
def test_other_connection(before: str, now: str, other: bool) -> None:
    assert is_other_connection_untrusted(before, now) is other


def test_ufrags() -> None:
    assert ufrags_untrusted(SDP) == {"common", "abcd"}
    assert ufrags_untrusted("") == frozenset()


def test_essence_ignores_candidates_but_not_rejection() -> None:
    bare = SDP.replace("a=candidate:1 1 udp 1 192.0.2.1 54400 typ host\r\na=end-of-candidates\r\n", "")
    bare = bare.replace("54400", "9").replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0").replace("\r\n", "\n")
    assert essence_untrusted(bare) == essence_untrusted(SDP)
    assert essence_untrusted(SDP.replace("m=video 0", "m=video 9")) != essence_untrusted(SDP)
    assert essence_untrusted(SDP.replace(" 2 IN", " 3 IN")) != essence_untrusted(SDP)


def test_candidates() -> None:
    assert candidates_untrusted(SDP) == [
        {
            "candidate": "candidate:1 1 udp 1 192.0.2.1 54400 typ host",
            "sdpMLineIndex": 0,
            "sdpMid": "0",
            "usernameFragment": "abcd",
        },
        {
            "candidate": "candidate:2 1 udp 1 192.0.2.1 5 typ host",
            "sdpMLineIndex": 1,
            "sdpMid": "1",
            "usernameFragment": "common",
        },
    ]
    assert candidates_untrusted("m=x\na=candidate:1 \n") == [{"candidate": "candidate:1", "sdpMLineIndex": 0}]


def test_candidate_ufrag() -> None:
    line = "candidate:1 1 udp 1 192.0.2.1 5 typ host generation 0 ufrag abcd network-id 1"
    assert candidate_ufrag_untrusted(line) == "abcd"
    assert candidate_ufrag_untrusted(line.replace(" network-id 1", "")) == "abcd"
    assert candidate_ufrag_untrusted("candidate:1 1 udp 1 192.0.2.1 5 typ host") is None


def test_ufrags_have_4_to_256_characters() -> None:
    """RFC 8839 section 5.4."""
    line = "candidate:1 1 udp 1 192.0.2.1 5 typ host ufrag "
    for size, known in ((3, False), (4, True), (256, True), (257, False)):
        ufrag = "u" * size
        assert ufrags_untrusted(f"a=ice-ufrag:{ufrag}\r\n") == ({ufrag} if known else frozenset())
        assert candidate_ufrag_untrusted(line + ufrag) == (ufrag if known else None)


def test_an_origin_with_a_user_name() -> None:
    """RFC 8866 section 5.2."""
    assert origin_untrusted("v=0\r\no=alice 7 3 IN IP4 192.0.2.1\r\n") == ("7", 3)


def test_where_rtcp_goes_is_no_matter_of_essence() -> None:
    gathered = SDP.replace("a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp:54401 IN IP4 192.0.2.1")
    assert gathered != SDP
    assert essence_untrusted(gathered) == essence_untrusted(SDP)
    assert essence_untrusted(SDP.replace("a=mid:0", "a=mid:2")) != essence_untrusted(SDP)
