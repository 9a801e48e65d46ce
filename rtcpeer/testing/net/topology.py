"""Segments, and the ports of hosts and routers that are plugged into them.

Theory of operation: a segment is one broadcast domain (a LAN; the internet is one, too). A host's interface
or a router's side is plugged into it by a port with a link. A packet goes up its port's link into the
segment, which hands it to the port that has the destination's address, else to the router that leads to its
prefix, else to the gateway; it goes down that port's link, and a router puts it, translated or not, onto its
other segment.
"""

from __future__ import annotations

import ipaddress
from typing import Protocol

from rtcpeer.net.network import Family
from rtcpeer.testing.net.link import Link
from rtcpeer.testing.net.medium import Medium
from rtcpeer.testing.net.packet import Packet, family_of

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class PortOwner(Protocol):
    """A host or a router."""

    name: str

    def receive(self, packet: Packet, port: Port) -> None:
        """A packet has arrived at one of its ports."""
        ...


class Port:
    """An interface as the network sees it: addresses on a segment, and a link to it.

    Attributes:
        name: "eth0".
        addresses: its addresses, IPv4 first.
        link: conditions between the interface and the segment.
        is_up: whether it is plugged in.
    """

    def __init__(
        self,
        medium: Medium,
        owner: PortOwner,
        name: str,
        segment: Segment,
        delay: float | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.segment = segment
        self.addresses: list[str] = []
        self.link: Link = Link(medium) if delay is None else Link(medium, delay=delay)
        self.is_up: bool = True

    def __repr__(self) -> str:
        return f"<Port {self.owner.name}/{self.name} {', '.join(self.addresses)} on {self.segment.name}>"

    def prefix_length(self, address: str) -> int:
        """The prefix length of the segment that the address is in."""
        return self.segment.prefixes[family_of(address)].prefixlen

    def send(self, packet: Packet) -> None:
        """Send a packet from the owner into the network."""
        if self.is_up:
            self.link.carry_up(packet, self._to_segment)

    def _to_segment(self, packet: Packet) -> None:
        self.segment.forward(packet, self)

    def deliver(self, packet: Packet) -> None:
        """Deliver a packet from the network to the owner."""
        if self.is_up:
            self.link.carry_down(packet, self._to_owner)

    def _to_owner(self, packet: Packet) -> None:
        if self.is_up:
            self.owner.receive(packet, self)


class Segment:
    """A broadcast domain.

    Attributes:
        name: for people.
        prefixes: one network per family; addresses are given out from it.
        gateway: where packets go whose destination is not here; None on the internet.
    """

    def __init__(self, medium: Medium, name: str, prefixes: dict[Family, IpNetwork]) -> None:
        self.name = name
        self.prefixes = prefixes
        self.gateway: Port | None = None
        self._medium = medium
        self._ports: dict[str, Port] = {}
        self._routes: list[tuple[IpNetwork, Port]] = []
        self._next: dict[Family, int] = {"ipv4": 1, "ipv6": 1}

    def __repr__(self) -> str:
        return f"<Segment {self.name} {', '.join(map(str, self.prefixes.values()))}>"

    def new_address(self, family: Family) -> str:
        """The next free address."""
        prefix = self.prefixes[family]
        while True:
            address = str(prefix[self._next[family]])
            self._next[family] += 1
            if address not in self._ports:
                return address

    def plug(self, port: Port, address: str) -> None:
        """Let a port have an address.

        Raises:
            ValueError: another port has it.
        """
        if address in self._ports:
            raise ValueError(f"{address} belongs to {self._ports[address]!r} already")
        if family_of(address) not in self.prefixes:
            raise ValueError(f"{self!r} has no {family_of(address)}")
        self._ports[address] = port
        port.addresses.append(address)
        port.addresses.sort(key=lambda a: ":" in a)

    def unplug(self, port: Port, address: str) -> None:
        """Take an address away."""
        if self._ports.get(address) is port:
            del self._ports[address]
            port.addresses.remove(address)

    def add_route(self, prefix: IpNetwork, port: Port) -> None:
        """Addresses of this prefix are behind that port."""
        self._routes.append((prefix, port))

    def has(self, address: str) -> bool:
        """Whether a port here has the address."""
        return address in self._ports

    def next_hop(self, address: str, sender: Port | None = None) -> Port | None:
        """The port that packets to this address are handed to."""
        port = self._ports.get(address)
        if port is not None:
            return port
        parsed = ipaddress.ip_address(address)
        for prefix, behind in self._routes:
            if behind is not sender and parsed.version == prefix.version and parsed in prefix:
                return behind
        return self.gateway if self.gateway is not sender else None

    def forward(self, packet: Packet, sender: Port) -> None:
        """Hand a packet on."""
        port = self.next_hop(packet.destination[0], sender)
        if port is None or packet.hops <= 0:
            self._medium.dropped(packet, "no route")
            return
        port.deliver(packet)
