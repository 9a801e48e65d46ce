"""Packets of the virtual network."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, replace
from typing import Literal

from rtcpeer.net.network import Address, Family

Protocol = Literal["udp", "tcp"]

MAX_HOPS = 32
_IP_UDP = {"ipv4": 28, "ipv6": 48}
_IP_TCP = {"ipv4": 40, "ipv6": 60}
# content types of DTLS records: change cipher spec, alert, handshake (RFC 6347 section 4.1)
_HANDSHAKE = (20, 21, 22)


@dataclass(slots=True)
class TcpSegment:
    """The part of a TCP header that matters here."""

    kind: Literal["syn", "synack", "data", "ack", "fin", "rst"]
    sequence: int = 0
    acknowledged: int = 0


@dataclass(slots=True)
class Packet:
    """One IP packet.

    Attributes:
        hops: routers it may still pass.
    """

    protocol: Protocol
    source: Address
    destination: Address
    data: bytes
    tcp: TcpSegment | None = None
    hops: int = MAX_HOPS

    @property
    def family(self) -> Family:
        """The family of its addresses, IPv4 or IPv6."""
        return family_of(self.destination[0])

    @property
    def size(self) -> int:
        """With IP and transport headers."""
        headers = _IP_UDP if self.protocol == "udp" else _IP_TCP
        return len(self.data) + headers[self.family]

    def rewritten(self, *, source: Address | None = None, destination: Address | None = None) -> Packet:
        """The packet as it leaves a NAT."""
        return replace(self, source=source or self.source, destination=destination or self.destination)


def family_of(address: str) -> Family:
    """The family of an IP address."""
    return "ipv6" if ":" in address else "ipv4"


def canonical(address: str) -> str:
    """An IP address in its canonical text form.

    Raises:
        ValueError: it is none.
    """
    return str(ipaddress.ip_address(address))


def is_dtls_handshake(data: bytes) -> bool:
    """Whether a datagram is part of a DTLS handshake, bare or inside TURN's wrapping (RFC 7983)."""
    inner = _unwrap_turn(data)
    return len(inner) > 0 and inner[0] in _HANDSHAKE


def is_dtls(data: bytes) -> bool:
    """Whether a datagram is any DTLS record."""
    inner = _unwrap_turn(data)
    return len(inner) > 0 and 20 <= inner[0] <= 63


def _unwrap_turn(data: bytes) -> bytes:
    if len(data) < 4:
        return data
    if data[0] & 0xC0 == 0x40:
        return data[4:]
    if data[0] == 0 and data[1] in (0x16, 0x17) and len(data) >= 20:
        position = 20
        while position + 4 <= len(data):
            kind, size = struct.unpack_from("!HH", data, position)
            if kind == 0x0013:
                return data[position + 4 : position + 4 + size]
            position += 4 + size + (-size % 4)
    return data
