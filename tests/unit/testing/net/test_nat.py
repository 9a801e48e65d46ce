"""A NAT's table without a network: what keeps a mapping alive."""

from __future__ import annotations

import pytest

from rtcpeer.testing.net.nat import NatBehaviour, NatTable
from rtcpeer.testing.net.packet import Packet, Protocol, TcpSegment

INSIDE, OUTSIDE = ("192.168.1.2", 5000), ("203.0.113.9", 80)


@pytest.mark.parametrize(
    ("protocol", "inbound_refresh", "lives"),
    [
        # RFC 5382 REQ-5: traffic in either direction keeps an established connection
        ("tcp", False, True),
        ("tcp", True, True),
        # RFC 4787 REQ-6: inbound UDP may, and often does not
        ("udp", False, False),
        ("udp", True, True),
    ],
)
def test_what_arrives_alone_keeps_a_mapping(protocol: Protocol, inbound_refresh: bool, lives: bool) -> None:
    now = [0.0]
    behaviour = NatBehaviour(timeout=60.0, tcp_timeout=60.0, inbound_refresh=inbound_refresh)
    table = NatTable(behaviour, lambda: now[0])
    segment = TcpSegment("data", 1, 1) if protocol == "tcp" else None
    outer = table.outbound(Packet(protocol, INSIDE, OUTSIDE, b"x", segment), "198.51.100.1").source
    back = Packet(protocol, OUTSIDE, outer, b"y", segment)
    for _ in range(5):
        now[0] += 50
        arrived = table.inbound(back)
    assert (arrived is not None) is lives
    now[0] += 61
    assert table.inbound(back) is None
