"""A network inside the event loop: hosts, NATs, firewalls, loss, delay, outages; reproducible from one seed.

    network = VirtualNetwork(seed=7)
    home = network.add_router("home", nat="port-restricted")
    alice, bob = home.add_host("alice"), network.add_host("bob")
    with alice.active():
        pc = RTCPeerConnection()

On a loop with virtual time (`rtcpeer.testing.run_virtual`, the pytest fixture `virtual_network`) a minute of
outage takes milliseconds. Nothing here opens a socket or needs a privilege.

Owns: the clockwork (packets in flight), names, the list of hosts and routers.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import itertools
import random
import socket as system
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from rtcpeer.net.current import Family
from rtcpeer.testing.net.host import Host
from rtcpeer.testing.net.host_network import HostNetwork
from rtcpeer.testing.net.link import Link, LinkSettings
from rtcpeer.testing.net.nat import FIREWALLS, NATS, Firewall, NatBehaviour
from rtcpeer.testing.net.packet import Packet, canonical
from rtcpeer.testing.net.topology import IpNetwork, Port, Router, Segment

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

PacketEvent = Literal["sent", "delivered", "dropped"]
Tap = Callable[[PacketEvent, Packet, str], None]


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
        random: the source of chance.
        hosts, routers: by name.
        drops: how many packets were dropped, by reason.
        names: DNS: name -> addresses. Host names need no entry.
        dns_delay: seconds that a look-up takes.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        spare_dtls: Literal["handshake", "all", False] = "handshake",
        delay: float | None = None,
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.spare_dtls = spare_dtls
        self.delay = delay
        self.internet = Segment(self, "internet", dict(INTERNET_PREFIXES))
        self.hosts: dict[str, Host] = {}
        self.routers: dict[str, Router] = {}
        self.drops: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {}
        self.dns_delay = 0.0
        self._local_names: dict[str, tuple[Host, str]] = {}
        self._queue: list[tuple[float, int, Callable[[Packet], None], Packet]] = []
        self._order = itertools.count()
        self._wake: asyncio.Handle | None = None
        self._wake_at = 0.0
        self._taps: list[Tap] = []
        self._closed = False

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
        host = Host(self, name)
        port = host.add_interface(
            "eth0", segment, addresses=chosen, delay=self.delay if delay is None else delay
        )
        port.link.set(**link)
        self.hosts[name] = host
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
        inner = Segment(self, name, prefixes)
        router = Router(self, name, outer, inner, nat=nat, firewall=firewall)
        outer.plug(router.outside, canonical(address) if address else outer.new_address("ipv4"))
        if ipv6:
            outer.plug(router.outside, outer.new_address("ipv6"))
        if delay is not None or self.delay is not None:
            router.link.set(delay=self.delay if delay is None else delay)
        router.link.set(**link)
        self.routers[name] = router
        return router

    # -- names -------------------------------------------------------------------------------------

    def add_name(self, name: str, *addresses: str) -> None:
        """Put a name into the DNS."""
        self.names[name.lower()] = [canonical(address) for address in addresses]

    async def look_up(self, name: str, asker: Host) -> list[str]:
        """Resolve a name for a host.

        Raises:
            OSError: unknown.
        """
        if self.dns_delay:
            await asyncio.sleep(self.dns_delay)
        name = name.lower().rstrip(".")
        if name == "localhost":
            return ["127.0.0.1", "::1"]
        if name in self.names:
            return list(self.names[name])
        if name.endswith(".local"):
            owner, address = self._local_names.get(name, (None, ""))
            if owner is not None and self._are_neighbours(owner, asker):
                return [address]
        elif name in self.hosts:
            return list(self.hosts[name].addresses)
        raise system.gaierror(system.EAI_NONAME, f"name or service not known: {name}")

    def _are_neighbours(self, one: Host, other: Host) -> bool:
        return one is other or any(
            a.segment is b.segment for a in one.plugged_ports() for b in other.plugged_ports()
        )

    def publish(self, host: Host, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Publish a fresh ``.local`` name on the host's segments."""
        name = f"{uuid.UUID(int=self.random.getrandbits(128), version=4)}.local"
        self._local_names[name] = (host, address)

        async def withdraw() -> None:
            self._local_names.pop(name, None)

        return name, withdraw

    # -- the clockwork -----------------------------------------------------------------------------

    def time(self) -> float:
        """The running loop's time."""
        return asyncio.get_running_loop().time()

    def schedule(self, when: float, action: Callable[[Packet], None], packet: Packet) -> None:
        """Do something with a packet later; equal times keep their order."""
        if self._closed:
            return
        heapq.heappush(self._queue, (when, next(self._order), action, packet))
        self._arm()

    def _arm(self) -> None:
        if not self._queue:
            return
        due = self._queue[0][0]
        if self._wake is not None:
            if self._wake_at <= due:
                return
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake_at = due
        self._wake = loop.call_soon(self._run) if due <= loop.time() else loop.call_at(due, self._run)

    def _run(self) -> None:
        self._wake = None
        queue = self._queue
        now = asyncio.get_running_loop().time()
        # what these actions schedule for this very moment has its turn in the next iteration of the loop
        last = next(self._order)
        try:
            while queue and queue[0][0] <= now and queue[0][1] < last:
                _, _, action, packet = heapq.heappop(queue)
                action(packet)
        finally:
            self._arm()

    # -- watching ----------------------------------------------------------------------------------

    def tap(self, callback: Tap) -> Callable[[], None]:
        """Call ``callback(event, packet, reason)`` for every packet that is sent, delivered or dropped.

        Returns:
            A function that stops it.
        """
        self._taps.append(callback)
        return lambda: self._taps.remove(callback) if callback in self._taps else None

    def sent(self, packet: Packet) -> None:
        """A host has sent a packet."""
        for tap in self._taps:
            tap("sent", packet, "")

    def delivered(self, packet: Packet) -> None:
        """A host has got a packet."""
        for tap in self._taps:
            tap("delivered", packet, "")

    def dropped(self, packet: Packet, reason: str) -> None:
        """A packet is lost."""
        self.drops[reason] += 1
        for tap in self._taps:
            tap("dropped", packet, reason)

    # -- the end -----------------------------------------------------------------------------------

    @property
    def sockets(self) -> list[object]:
        """What programs on all hosts have opened and not closed."""
        return [socket for host in self.hosts.values() for socket in host.sockets]

    def close(self) -> None:
        """Stop the clockwork and drop all sockets."""
        self._closed = True
        self._queue.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        for host in self.hosts.values():
            host.close()
        self._taps.clear()
