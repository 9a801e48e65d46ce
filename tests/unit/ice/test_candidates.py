"""Priorities, foundations and the addresses we refuse."""

from __future__ import annotations

import pytest

from rtcpeer.ice import candidates
from rtcpeer.net.network import Interface
from rtcpeer.values import CandidateType


def test_priorities_are_those_of_the_specification() -> None:
    assert candidates.priority(CandidateType.HOST, 65535) == 2130706431
    assert candidates.priority(CandidateType.SRFLX, 65535) == 1694498815


@pytest.mark.parametrize(
    ("kind", "protocol", "type_preference"),
    [
        # RFC 8445 5.1.2.2 recommends these, and RFC 6544 4.2 UDP before TCP
        (CandidateType.HOST, "udp", 126),
        (CandidateType.PRFLX, "udp", 110),
        (CandidateType.SRFLX, "udp", 100),
        (CandidateType.HOST, "tcp", 90),
        (CandidateType.PRFLX, "tcp", 80),
        (CandidateType.SRFLX, "tcp", 70),
        (CandidateType.RELAY, "tcp", 0),
    ],
)
def test_a_priority_is_made_of_type_local_preference_and_component(
    kind: CandidateType, protocol: str, type_preference: int
) -> None:
    """RFC 8445 5.1.2.1."""
    expected = 2**24 * type_preference + 2**8 * 1234 + (256 - 1)
    assert candidates.priority(kind, 1234, protocol=protocol) == expected
    assert candidates.priority(kind, 1234, protocol=protocol, component=2) == expected - 1
    # a local preference is 16 bits and does not reach into the type
    assert candidates.priority(kind, 65536 + 1234, protocol=protocol) == expected


def test_order_of_kinds() -> None:
    host = candidates.priority(CandidateType.HOST, 0)
    tcp = candidates.priority(CandidateType.HOST, 65535, protocol="tcp")
    relays = [
        candidates.priority(CandidateType.RELAY, 65535, relay_protocol=p) for p in ("udp", "tcp", "tls")
    ]
    assert host > tcp > relays[0] > relays[1] > relays[2]


def test_pair_priority() -> None:
    assert candidates.pair_priority(2, 1) == (1 << 32) + 2 * 2 + 1
    assert candidates.pair_priority(1, 2) == (1 << 32) + 2 * 2
    assert candidates.pair_priority(2, 2) == (2 << 32) + 2 * 2
    # RFC 8445 6.1.2.3: whatever the larger one is, the smaller one decides first
    assert candidates.pair_priority(2, 2) > candidates.pair_priority(1, 2**31 - 1)


def test_foundation_depends_on_all_four() -> None:
    f = candidates.foundation
    values = {
        f(CandidateType.HOST, "192.0.2.1", "udp"),
        f(CandidateType.SRFLX, "192.0.2.1", "udp"),
        f(CandidateType.HOST, "192.0.2.2", "udp"),
        f(CandidateType.HOST, "192.0.2.1", "tcp"),
        f(CandidateType.HOST, "192.0.2.1", "udp", "server"),
    }
    assert len(values) == 5
    assert f(CandidateType.HOST, "192.0.2.1", "udp") in values
    assert all(1 <= len(v) <= 32 and v.isalnum() for v in values)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.251",
        "239.1.1.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "ff02::1",
        "fe80::1",
        "fe80::1%eth0",
        "2001:db8::1%1",
        "::ffff:192.0.2.1",
        "example.org",
        "",
        "192.0.2.1 ",
        "192.0.2",
    ],
)
def test_refused_addresses(address: str) -> None:
    assert candidates.canonical_address(address) is None


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_accepted_addresses(address: str, text: str) -> None:
    assert candidates.canonical_address(address) == text


@pytest.mark.parametrize("name", ["9b36eaac-bb2e-49bb-bb78-21c41c499900.local", "a.local", "A.LOCAL"])
def test_mdns_names(name: str) -> None:
    assert candidates.is_mdns_name(name)


def test_a_label_of_a_name_has_at_most_63_letters() -> None:
    """RFC 1035 2.3.4."""
    assert candidates.is_mdns_name("a" * 63 + ".local")
    assert not candidates.is_mdns_name("a" * 64 + ".local")


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::1", "loopback"),
        ("::", "loopback"),
        ("169.254.1.2", "link-local"),
        ("fe80::1", "link-local"),
        # IPv4 inside IPv6: mapped, compatible, 6to4, NAT64
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a9fe:102", "link-local"),
        ("64:ff9b::c000:201", None),
        ("64:ff9b:0:0:0:1:7f00:1", None),  # outside of the prefix
        ("2001:db8::1", None),
        ("192.0.2.1", None),
        ("10.0.0.1", None),
        ("host.example", None),
    ],
)
def test_the_reach_of_an_address(address: str, reach: str | None) -> None:
    assert candidates.reach_of(address) == reach


def test_ports_of_other_protocols_are_blocked() -> None:
    """The list of the Fetch standard, "bad ports", as it is written there."""
    listed = (
        "1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
        "123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 "
        "990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080"
    )
    assert set(map(int, listed.split())) == candidates.BLOCKED_PORTS


@pytest.mark.parametrize(
    "name", ["local", ".local", "a.b.local", "example.org", "a.local.", "ä.local", "a b.local"]
)
def test_no_mdns_names(name: str) -> None:
    assert not candidates.is_mdns_name(name)


def interface(name: str, address: str) -> Interface:
    return Interface(name, address, 24, "ipv6" if ":" in address else "ipv4")


def test_interfaces_are_interleaved_and_bridges_come_last() -> None:
    ordered = candidates.order_interfaces(
        [
            interface("docker0", "172.17.0.1"),
            interface("wg0", "10.9.0.1"),
            interface("eth0", "192.0.2.1"),
            interface("eth1", "192.0.2.2"),
            interface("eth0", "2001:db8::1"),
        ]
    )
    assert [i.address for i in ordered] == ["2001:db8::1", "192.0.2.1", "192.0.2.2", "10.9.0.1", "172.17.0.1"]


def test_broadcast_addresses_of_our_networks() -> None:
    assert candidates.broadcast_addresses(
        [interface("eth0", "192.0.2.1"), interface("eth0", "2001:db8::1")]
    ) == {"192.0.2.255"}


@pytest.mark.parametrize(("prefix_length", "expected"), [(30, {"192.0.2.3"}), (31, set()), (32, set())])
def test_a_network_of_two_addresses_has_no_broadcast(prefix_length: int, expected: set[str]) -> None:
    """RFC 3021."""
    own = Interface("eth0", "192.0.2.1", prefix_length, "ipv4")
    assert candidates.broadcast_addresses([own]) == expected


def test_credentials_are_letters_and_digits() -> None:
    """Some WHIP servers put them into regular expressions, where a "+" means something else."""
    seen = set()
    for _ in range(50):
        made = candidates.new_credentials()
        assert (len(made.ufrag), len(made.pwd)) == (8, 24)
        assert (made.ufrag + made.pwd).isalnum()
        assert (made.ufrag + made.pwd).isascii()
        seen.add(made.pwd)
    assert len(seen) == 50
    # all of them are drawn
    assert len(set("".join(seen))) == 62


@pytest.mark.parametrize(
    ("examples", "address", "expected"),
    [
        (["64:ff9b::c000:aa"], "198.51.100.20", "64:ff9b::c633:6414"),
        (["2001:db8:1::c000:ab"], "192.168.1.2", "2001:db8:1::c0a8:102"),
        # a prefix of another length, and what is no translator's answer at all
        (["2001:db8:122:c000:0:aa00::", "2001:db8::1", "192.0.0.170"], "198.51.100.20", None),
        (["2001:db8::1", "64:ff9b::c000:ab"], "198.51.100.20", "64:ff9b::c633:6414"),
        ([], "198.51.100.20", None),
        # nobody's but the host's and the link's own
        (["64:ff9b::c000:aa"], "127.0.0.1", None),
        (["64:ff9b::c000:aa"], "169.254.1.2", None),
        (["64:ff9b::c000:aa"], "0.0.0.0", None),
        (["64:ff9b::c000:aa"], "0.0.0.7", None),
    ],
)
def test_addresses_behind_a_translator(examples: list[str], address: str, expected: str | None) -> None:
    """RFC 7050 section 3, RFC 6052 section 2.4."""
    assert candidates.nat64_address(examples, address) == expected
