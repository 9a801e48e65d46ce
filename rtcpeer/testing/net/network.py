"""A network inside the event loop: hosts, NATs, firewalls, loss, delay, outages; reproducible from one seed.

    network = VirtualNetwork(seed=7)
    home = network.add_router("home", nat="port-restricted")
    alice, bob = home.add_host("alice"), network.add_host("bob")
    with alice.active():
        pc = RTCPeerConnection()

On a loop with virtual time (`rtcpeer.testing.run_virtual`, the pytest fixture `virtual_network`) a minute of
outage takes milliseconds. Nothing here opens a socket or needs a privilege.

Owns: the list of hosts and routers; what is in flight is in `medium`, names are in `names`.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from rtcpeer.net.network import Family
from rtcpeer.testing.net.host import Host, HostNetwork
from rtcpeer.testing.net.link import Link, LinkSettings
from rtcpeer.testing.net.medium import Medium, SpareDtls, Tap
from rtcpeer.testing.net.names import Names
from rtcpeer.testing.net.nat import FIREWALLS, NATS, Firewall, NatBehaviour
from rtcpeer.testing.net.packet import Packet, canonical
from rtcpeer.testing.net.router import Router
from rtcpeer.testing.net.topology import IpNetwork, Port, Segment

__all__ = [
    "FIREWALLS",
    "NATS",
    "Firewall",
    "Host",
    "HostNetwork",
    "Link",
    "LinkSettings",
    "NatBehaviour",
    "Packet",
    "Port",
    "Router",
    "Segment",
    "VirtualNetwork",
]

# Documentation prefixes (RFC 5737, RFC 3849): they exist nowhere else
INTERNET_PREFIXES: dict[Family, IpNetwork] = {
    "ipv4": ipaddress.ip_network("198.51.100.0/24"),
    "ipv6": ipaddress.ip_network("2001:db8::/64"),
}


class VirtualNetwork:
    """The whole network.

    Args:
        seed: of the one `random.Random` behind loss, jitter and the rest.
        spare_dtls: what random loss must not touch: "handshake" (the default: OpenSSL's retransmission timer
            reads the wall clock, so that in virtual time a lost flight is never sent again), "all" DTLS, or
            False.
        delay: of each link unless told otherwise, in seconds.

    Attributes:
        internet: the segment that everything leads to.
        hosts, routers: by name.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        spare_dtls: SpareDtls = "handshake",
        delay: float | None = None,
    ) -> None:
        self.seed = seed
        self._medium = Medium(seed, spare_dtls)
        self._names = Names(self._medium.random)
        self.delay = delay
        self.internet: Segment = Segment(self._medium, "internet", dict(INTERNET_PREFIXES))
        self.hosts: dict[str, Host] = {}
        self.routers: dict[str, Router] = {}

    def __repr__(self) -> str:
        return f"<VirtualNetwork seed={self.seed} {len(self.hosts)} hosts, {len(self.routers)} routers>"

    # -- building ----------------------------------------------------------------------------------

    def add_host(
        self,
        name: str,
        *addresses: str,
        segment: Segment | None = None,
        ipv4: bool = True,
        ipv6: bool = False,
        delay: float | None = None,
        **link: Any,
    ) -> Host:
        """Add a host with one interface, "eth0".

        Args:
            name: unique; a DNS name as well.
            addresses: default: one per wanted family of the segment.
            segment: where it is plugged in; default: the internet. `Router.segment` is a router's inside.
            ipv4: whether it gets an IPv4 address.
            ipv6: whether it gets an IPv6 address.
            delay: of its link.
            link: further members of `LinkSettings`.

        Raises:
            ValueError: name or address are taken.
        """
        if name in self.hosts:
            raise ValueError(f"there is a host {name} already")
        segment = segment or self.internet
        families: list[Family] = [*(["ipv4"] if ipv4 else []), *(["ipv6"] if ipv6 else [])]  # type: ignore[list-item]
        chosen = addresses or tuple(segment.new_address(f) for f in families if f in segment.prefixes)
        host = Host(self._medium, self._names, self.internet, name)
        port = host.add_interface(
            "eth0", segment, addresses=chosen, delay=self.delay if delay is None else delay
        )
        port.link.set(**link)
        self.hosts[name] = host
        self._names.add_host(name, lambda: host.addresses)
        return host

    def add_router(
        self,
        name: str,
        *,
        nat: str | NatBehaviour | None = "port-restricted",
        firewall: str | Firewall | None = None,
        segment: Segment | None = None,
        address: str | None = None,
        prefix: str | None = None,
        ipv6: bool = False,
        delay: float | None = None,
        **link: Any,
    ) -> Router:
        """Add a router with a segment behind it; plug hosts into that with ``segment=router.segment``.

        Args:
            name: unique.
            nat: "full-cone", "restricted", "port-restricted", "symmetric", a `NatBehaviour`, or None.
            firewall: "open", "stateful", "block-udp", "only-web", "only-443", "closed", or a `Firewall`.
            segment: the outer side; default: the internet. Another router's segment makes a double NAT.
            address: outer IPv4 address.
            prefix: of the inner segment; default: 192.168.n.0/24.
            ipv6: whether the inner segment has (routed, not translated) IPv6.
            delay: of the uplink.
            link: further members of `LinkSettings`, for the uplink.
        """
        if name in self.routers:
            raise ValueError(f"there is a router {name} already")
        number = len(self.routers) + 1
        prefixes: dict[Family, IpNetwork] = {"ipv4": ipaddress.ip_network(prefix or f"192.168.{number}.0/24")}
        if ipv6:
            prefixes["ipv6"] = ipaddress.ip_network(f"2001:db8:{number:x}::/64")
        outer = segment or self.internet
        inner = Segment(self._medium, name, prefixes)
        router = Router(self._medium, name, outer, inner, self.add_host, nat=nat, firewall=firewall)
        outer.plug(router.outside, canonical(address) if address else outer.new_address("ipv4"))
        if ipv6:
            outer.plug(router.outside, outer.new_address("ipv6"))
        if delay is not None or self.delay is not None:
            router.link.set(delay=self.delay if delay is None else delay)
        router.link.set(**link)
        self.routers[name] = router
        return router

    # -- names -------------------------------------------------------------------------------------

    @property
    def names(self) -> dict[str, list[str]]:
        """DNS: name -> addresses. Host names need no entry."""
        return self._names.dns

    @property
    def dns_delay(self) -> float:
        """Seconds that a look-up takes."""
        return self._names.delay

    @dns_delay.setter
    def dns_delay(self, value: float) -> None:
        self._names.delay = value

    def add_name(self, name: str, *addresses: str) -> None:
        """Put a name into the DNS."""
        self._names.add(name, *addresses)

    # -- chance and watching -----------------------------------------------------------------------

    @property
    def random(self) -> random.Random:
        """The source of chance."""
        return self._medium.random

    @property
    def drops(self) -> Counter[str]:
        """Counts of dropped packets, by reason."""
        return self._medium.drops

    @property
    def spare_dtls(self) -> SpareDtls:
        """The DTLS packets that random loss spares: "handshake", "all" or False."""
        return self._medium.spare_dtls

    @spare_dtls.setter
    def spare_dtls(self, value: SpareDtls) -> None:
        self._medium.spare_dtls = value

    def tap(self, callback: Tap) -> Callable[[], None]:
        """Call ``callback(event, packet, reason)`` for every packet that is sent, delivered or dropped.

        Returns:
            A function that stops it.
        """
        return self._medium.tap(callback)

    # -- the end -----------------------------------------------------------------------------------

    @property
    def sockets(self) -> list[object]:
        """The sockets that programs on all hosts have opened and not closed."""
        return [socket for host in self.hosts.values() for socket in host.sockets]

    def close(self) -> None:
        """Stop the clockwork and drop all sockets."""
        self._medium.close()
        for host in self.hosts.values():
            host.close()
