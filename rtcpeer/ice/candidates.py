"""Rules for candidates: priorities, foundations, addresses that are refused, ranks of interfaces.

Owns: the formulas of RFC 8445 5.1 and our choices inside them.  Pure.
"""

from __future__ import annotations

import binascii
import ipaddress
import secrets
from collections.abc import Iterable
from functools import lru_cache

from rtcpeer.net.network import Interface
from rtcpeer.values import CandidateType, IceParameters

# RFC 8445 5.1.2.2 recommends 126/110/100/0; TCP and the ways to a relay are set apart below them
# (RFC 6544 4.2: UDP before TCP; a relay reached over UDP before TCP before TLS).
_TYPE_PREFERENCE = {
    CandidateType.HOST: 126,
    CandidateType.PRFLX: 110,
    CandidateType.SRFLX: 100,
    CandidateType.RELAY: 2,
}


_TCP_TYPE_PREFERENCE = {
    CandidateType.HOST: 90,
    CandidateType.PRFLX: 80,
    CandidateType.SRFLX: 70,
    CandidateType.RELAY: 0,
}


# Foundations are sums over addresses: without salt, trying out all addresses would undo mDNS names.
_SALT = secrets.token_hex(8)


_RELAY_PENALTY = {"udp": 0, "tcp": 1, "tls": 2}


# Ports of other protocols that nobody may make us connect to: the "bad ports" of the Fetch standard, which browsers
# apply to TCP candidates, for those come from the remote side.
BLOCKED_PORTS = frozenset(
    (
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179),
        *(389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587),
        *(601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061),
        *(6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)


# Interfaces that only reach this machine or a slow detour; their candidates come last.
_VIRTUAL_PREFIXES = (
    "docker",
    "br-",
    "veth",
    "virbr",
    "vmnet",
    "vboxnet",
    "lxc",
    "lxd",
    "cni",
    "flannel",
    "cali",
    "podman",
)


_TUNNEL_PREFIXES = ("tun", "tap", "wg", "utun", "ppp", "tailscale", "zt")


def priority(
    kind: CandidateType,
    local_preference: int,
    *,
    component: int = 1,
    protocol: str = "udp",
    relay_protocol: str = "udp",
) -> int:
    """RFC 8445 5.1.2.1."""
    preferences = _TYPE_PREFERENCE if protocol == "udp" else _TCP_TYPE_PREFERENCE
    preference = preferences[kind]
    if kind is CandidateType.RELAY and protocol == "udp":
        preference -= _RELAY_PENALTY.get(relay_protocol, 0)
    return (preference << 24) | ((local_preference & 0xFFFF) << 8) | (256 - component)


def pair_priority(controlling: int, controlled: int) -> int:
    """RFC 8445 6.1.2.3, from the priorities of the two sides' candidates."""
    return (
        (min(controlling, controlled) << 32) + 2 * max(controlling, controlled) + (controlling > controlled)
    )


def foundation(kind: CandidateType, base_address: str, protocol: str, server: str = "") -> str:
    """Equal for equal type, base address, protocol and server (RFC 8445 5.1.1.3)."""
    return str(binascii.crc32(f"{_SALT}|{kind}|{base_address}|{protocol}|{server}".encode()))


def interface_rank(name: str) -> int:
    """0 for a plain interface, 1 for a tunnel, 2 for a bridge of containers."""
    if name.startswith(_VIRTUAL_PREFIXES):
        return 2
    return 1 if name.startswith(_TUNNEL_PREFIXES) else 0


def order_interfaces(interfaces: Iterable[Interface]) -> list[Interface]:
    """Best first: plain before tunnels before bridges, families interleaved with IPv6 first (RFC 8421 4)."""
    plain = sorted(interfaces, key=lambda i: interface_rank(i.name))
    result: list[Interface] = []
    for rank in (0, 1, 2):
        group = [i for i in plain if interface_rank(i.name) == rank]
        v6 = [i for i in group if i.family == "ipv6"]
        v4 = [i for i in group if i.family == "ipv4"]
        while v6 or v4:
            if v6:
                result.append(v6.pop(0))
            if v4:
                result.append(v4.pop(0))
    return result


@lru_cache(maxsize=1024)
def canonical_address(address: str) -> str | None:
    """The canonical text of an IP address that a candidate may have, or None.

    Refused: what is not an address, unspecified, multicast, broadcast and reserved addresses, IPv6 with a
    scope, link-local IPv6 (useless without a scope) and IPv4 in IPv6 clothing.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if parsed.is_unspecified or parsed.is_multicast:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        # 240.0.0.0/4 holds the broadcast address and nothing that is in use; 0.0.0.0/8 is "this network".
        refused = parsed.is_reserved or parsed.packed[0] == 0
    else:
        refused = parsed.scope_id is not None or parsed.is_link_local or parsed.ipv4_mapped is not None
    return None if refused else str(parsed)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


# RFC 7050 section 2.2: the addresses of ipv4only.arpa
_IPV4_ONLY = (bytes((192, 0, 0, 170)), bytes((192, 0, 0, 171)))


_COMPATIBLE = ipaddress.IPv6Network("::/96")


def embedded_ipv4(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for (mapped, compatible, 6to4, NAT64), None for others."""
    if not isinstance(address, ipaddress.IPv6Address) or address.is_loopback:
        return None
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or address in _COMPATIBLE):
        inner = ipaddress.IPv4Address(address.packed[12:])
    return inner


@lru_cache(maxsize=1024)
def reach_of(address: str) -> str | None:
    """The reach of an address: "loopback", "link-local", or None for anywhere else.

    The first two mean the host, or the link, of whoever sends there. IPv4 counts inside IPv6 too (mapped, compatible,
    6to4, NAT64), and so does the unspecified address, which systems take for their own.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    parsed = embedded_ipv4(parsed) or parsed
    if parsed.is_loopback or parsed.is_unspecified:
        return "loopback"
    return "link-local" if parsed.is_link_local else None


def nat64_address(examples: Iterable[str], address: str) -> str | None:
    """The IPv6 address by which a translator (NAT64) reaches an IPv4 address; None when there is no way.

    Args:
        examples: what ``ipv4only.arpa`` resolves to (RFC 7050); only prefixes of 96 bits are known by it.
        address: IPv4; never of the host or link itself.
    """
    inner = ipaddress.IPv4Address(address)
    if reach_of(address) is not None or inner.packed[0] == 0:
        return None
    for example in examples:
        outer = ipaddress.ip_address(example)
        if isinstance(outer, ipaddress.IPv6Address) and outer.packed[12:] in _IPV4_ONLY:
            return str(ipaddress.IPv6Address(outer.packed[:12] + inner.packed))
    return None


@lru_cache(maxsize=1024)
def is_ipv6(address: str) -> bool:
    """Whether the text of an address is IPv6."""
    return ":" in address


def is_mdns_name(name: str) -> bool:
    """A ``.local`` name of one label, as browsers publish them (and nothing else that ends like it)."""
    label, dot, rest = name.partition(".")
    return (
        bool(dot)
        and rest.lower() == "local"
        and 0 < len(label) <= 63
        and label.isascii()
        and label.replace("-", "").isalnum()
    )


def broadcast_addresses(interfaces: Iterable[Interface]) -> frozenset[str]:
    """The directed broadcast addresses of our own IPv4 networks."""
    return frozenset(
        _broadcast_address(interface.address, interface.prefix_length)
        for interface in interfaces
        if interface.family == "ipv4" and interface.prefix_length < 31
    )


@lru_cache(maxsize=64)
def _broadcast_address(address: str, prefix_length: int) -> str:
    network = ipaddress.ip_network(f"{address}/{prefix_length}", strict=False)
    return str(network.broadcast_address)


# ---- ICE credentials (RFC 8445 5.3: at least 24 and 128 bits of randomness).


# of ice-char (RFC 8839 5.4) all but "+" and "/": some WHIP servers put credentials into regular expressions
_ICE_CHARS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# A random byte becomes one of them, all equally often: 4 times 62 bytes do, the last 8 are drawn again.
_OF_BYTE = (4 * _ICE_CHARS).ljust(256)
_DRAWN_AGAIN = bytes(range(248, 256))


def random_ice_string(length: int) -> str:
    """A string of letters and digits, 5.95 random bits each."""
    drawn = b""
    while len(drawn) < length:
        drawn += secrets.token_bytes(length).translate(_OF_BYTE, _DRAWN_AGAIN)
    return drawn[:length].decode()


def new_credentials() -> IceParameters:
    """Credentials for one generation of one transport: 47 bits of name, 142 bits of password."""
    return IceParameters(ufrag=random_ice_string(8), pwd=random_ice_string(24))
