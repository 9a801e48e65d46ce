from __future__ import annotations

import pytest

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.sdp.candidate import MAX_CANDIDATE_LENGTH, candidate_to_text, parse_candidate_untrusted
from rtcpeer.values import Candidate, CandidateType

FULL = (
    "candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 10.0.0.17 rport 46154 "
    "generation 0 network-cost 999 ufrag EEtu"
)


def test_everything_a_browser_says() -> None:
    c = parse_candidate_untrusted(FULL)
    assert c == Candidate(
        "842163049",
        1,
        "udp",
        1677729535,
        "203.0.113.9",
        46154,
        CandidateType.SRFLX,
        "10.0.0.17",
        46154,
        None,
        "EEtu",
        extensions=(("generation", "0"), ("network-cost", "999")),
    )
    assert parse_candidate_untrusted(candidate_to_text(c)) == c


@pytest.mark.parametrize(
    "text",
    [
        "candidate:1 1 UDP 2130706431 192.0.2.1 9 typ host",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 9 typ host\r\n",
        "candidate:1 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
        "candidate:a+/Z 2 udp 1 7b1c0a52-9c5d-4a51-8a60-5d0c3c1f0a11.local 65535 typ host",
        "candidate:1 1 udp 0 fe80::1%eth0 1 typ prflx raddr 0.0.0.0 rport 0",
    ],
)
def test_accepted(text: str) -> None:
    c = parse_candidate_untrusted(text)
    assert parse_candidate_untrusted(candidate_to_text(c)) == c


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "candidate:1 1 udp 2130706431 192.0.2.1 9",
        "candidate:1 257 udp 2130706431 192.0.2.1 9 typ host",
        "candidate:1 \u0661 udp 2130706431 192.0.2.1 9 typ host",
        "candidate:1 1 udp 2130706431 192.0.2.1 \u0661 typ host",
        "candidate:1 1 udp 00000000001 192.0.2.1 9 typ host",
        "candidate 1 1 udp 2130706431 192.0.2.1 9 typ host",
        "candidates:1 1 udp 2130706431 192.0.2.1 9 typ host",
        "candidate: 1 1 udp 2130706431 192.0.2.1 9 typ host",
        "candidate:1 1 udp 2130706431 192.0.2.1 9 type host",
        "candidate:1 1 udp 4294967296 192.0.2.1 9 typ host",
        "candidate:1 1 udp -1 192.0.2.1 9 typ host",
        "candidate:1 1 udp 1 192.0.2.1 65536 typ host",
        "candidate:1 1 udp 1 192.0.2.1 9 typ alien",
        "candidate:1 1 sctp 1 192.0.2.1 9 typ host",
        "candidate:1 1 udp 1 <address> 9 typ host",
        "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype lazy",
        "candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=evil:1",
        "candidate:1 1 udp 1 192.0.2.1 9 typ host x \x7f",
        "candidate:1 1 udp 1 192.0.2.1 9 typ host x \x00",
        "candidate:1 1 udp 1 192.0.2.1 9 typ",
        "candidate:1 1 udp 1 [] 9 typ host",
        "candidate:1 1 udp 1 " + "a" * 256 + " 9 typ host",
        "candidate:1 x udp 1 192.0.2.1 9 typ host",
        "candidate:1 1 udp 1 192.0.2.1 x typ host",
        "candidate:1 1 udp 1 192.0.2.1 9 typ host" + " x y" * MAX_CANDIDATE_LENGTH,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        parse_candidate_untrusted(text)
    assert caught.value.fault == "remote"


def test_local_knowledge_is_not_written() -> None:
    c = Candidate(
        "1", 1, "udp", 1, "192.0.2.1", 9, CandidateType.RELAY, url="turn:example.org", relay_protocol="udp"
    )
    assert candidate_to_text(c) == "candidate:1 1 udp 1 192.0.2.1 9 typ relay"


@pytest.mark.parametrize(
    ("text", "foundation", "component", "address"),
    [
        ("candidate:Ha_b-c=1 1 udp 1 192.0.2.1 9 typ host", "Ha_b-c=1", 1, "192.0.2.1"),
        ("candidate:" + "1" * 33 + " 1 udp 1 192.0.2.1 9 typ host", "1" * 33, 1, "192.0.2.1"),
        ("candidate:1 0 udp 1 192.0.2.1 9 typ host", "1", 0, "192.0.2.1"),
        ("candidate:1 1 udp 1 [2001:db8::1] 9 typ host", "1", 1, "2001:db8::1"),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host generation", "1", 1, "192.0.2.1"),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host tcptype lazy", "1", 1, "192.0.2.1"),
        ("Candidate:1 1 UDP 1 192.0.2.1 9 TYP Host RADDR 0.0.0.0 RPort 0", "1", 1, "192.0.2.1"),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ srflx raddr 1.2.3.4 rport 70000", "1", 1, "192.0.2.1"),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ srflx raddr 1.2.3.4 rport x", "1", 1, "192.0.2.1"),
    ],
)
def test_what_real_products_write(text: str, foundation: str, component: int, address: str) -> None:
    c = parse_candidate_untrusted(text)
    assert (c.foundation, c.component, c.address) == (foundation, component, address)
    assert c.tcp_type is None
    assert c.related_port in (None, 0)
    assert parse_candidate_untrusted(candidate_to_text(c)) == c


def test_the_largest_numbers() -> None:
    """RFC 8839 section 5.1: component-id 1 to 256 (0 is written, too), priority 1 to 2**31 - 1, a port."""
    c = parse_candidate_untrusted(
        "candidate:1 256 udp 4294967295 192.0.2.1 65535 typ srflx raddr 192.0.2.2 rport 65535"
    )
    assert (c.component, c.priority, c.port, c.related_port) == (256, 4294967295, 65535, 65535)
    c = parse_candidate_untrusted("candidate:1 0 udp 0 192.0.2.1 0 typ srflx raddr 192.0.2.2 rport 65536")
    assert (c.component, c.priority, c.port, c.related_port) == (0, 0, 0, None)
    host = "a" * 255
    assert parse_candidate_untrusted(f"candidate:1 1 udp 1 {host} 9 typ host").address == host
    text = "candidate:1 1 udp 1 192.0.2.1 9 typ host x "
    assert parse_candidate_untrusted(text + "y" * (MAX_CANDIDATE_LENGTH - len(text))).extensions
    with pytest.raises(RTCSyntaxError, match="too long"):
        parse_candidate_untrusted(text + "y" * (MAX_CANDIDATE_LENGTH + 1 - len(text)))


@pytest.mark.parametrize(
    "text",
    [
        "candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "candidate:1 2 tcp 7 2001:db8::1 9 typ host tcptype active ufrag abcd",
        "candidate:1 1 tcp 7 192.0.2.1 9 typ host tcptype so",
        "candidate:1 1 tcp 7 192.0.2.1 9 typ relay raddr 192.0.2.2 rport 8 tcptype passive generation 0 network-id 3",
        "candidate:1 1 udp 7 192.0.2.1 9 typ prflx raddr 192.0.2.2 x y",
        "candidate:1 1 udp 7 192.0.2.1 9 typ srflx rport 0",
    ],
)
def test_a_candidate_is_written_as_it_was_read(text: str) -> None:
    assert candidate_to_text(parse_candidate_untrusted(text)) == text
    assert candidate_to_text(parse_candidate_untrusted(f"a={text}\r\n")) == text


def test_spaces_between_words_and_words_in_any_case() -> None:
    c = parse_candidate_untrusted(
        "CANDIDATE:1  1 TCP  7 192.0.2.1 9 TYP HOST  TCPTYPE SO UFRAG AbCd Generation 0"
    )
    assert (c.protocol, c.type, c.tcp_type, c.ufrag) == ("tcp", CandidateType.HOST, "so", "AbCd")
    assert c.extensions == (("Generation", "0"),)
