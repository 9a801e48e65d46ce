"""Priorities, foundations and the addresses we refuse."""

from __future__ import annotations

import pytest

from rtcpeer.ice import candidates
from rtcpeer.net.network import Interface
from rtcpeer.values import CandidateType


def test_priorities_are_those_of_the_specification() -> None:
    assert candidates.priority(CandidateType.HOST, 65535) == 2130706431
    assert candidates.priority(CandidateType.SRFLX, 65535) == 1694498815


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
