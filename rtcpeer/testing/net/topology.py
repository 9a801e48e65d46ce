"""Segments, the ports plugged into them, and routers between them.

Theory of operation: a segment is one broadcast domain (a LAN; the internet is one, too). A host's interface
or a router's side is plugged into it by a port with a link. A packet goes up its port's link into the
segment, which hands it to the port that has the destination's address, else to the router that leads to its
prefix, else to the gateway; it goes down that port's link, and a router puts it, translated or not, onto its
other segment.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Protocol

from rtcpeer.net.current import Family
from rtcpeer.testing.net.link import Link
from rtcpeer.testing.net.nat import Firewall, NatBehaviour, NatTable, read_firewall, read_nat
from rtcpeer.testing.net.packet import Packet, TcpSegment, family_of

if TYPE_CHECKING:
    from rtcpeer.testing.net.host import Host
    from rtcpeer.testing.net.network import VirtualNetwork

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
        network: VirtualNetwork,
        owner: PortOwner,
        name: str,
        segment: Segment,
        delay: float | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.segment = segment
        self.addresses: list[str] = []
        self.link = Link(network) if delay is None else Link(network, delay=delay)
        self.is_up = True
        self._network = network

    def __repr__(self) -> str:
        return f"<Port {self.owner.name}/{self.name} {', '.join(self.addresses)} on {self.segment.name}>"

    def prefix_length(self, address: str) -> int:
        """Of the segment that the address is in."""
        return self.segment.prefixes[family_of(address)].prefixlen

    def send(self, packet: Packet) -> None:
        """From the owner into the network."""
        if self.is_up:
            self.link.carry_up(packet, self._to_segment)

    def _to_segment(self, packet: Packet) -> None:
        self.segment.forward(packet, self)

    def deliver(self, packet: Packet) -> None:
        """From the network to the owner."""
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

    def __init__(self, network: VirtualNetwork, name: str, prefixes: dict[Family, IpNetwork]) -> None:
        self.name = name
        self.prefixes = prefixes
        self.gateway: Port | None = None
        self._network = network
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
            self._network.dropped(packet, "no route")
            return
        port.deliver(packet)


class Router:
    """Joins an inner segment to an outer one.

    Attributes:
        nat: its translation table; None for a router without NAT.
        firewall: what it lets through.
        inside, outside: its ports; ``outside.link`` is the uplink that all hosts behind it share.
        segment: the inner segment, for hosts to be plugged into.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        name: str,
        outer: Segment,
        inner: Segment,
        *,
        nat: str | NatBehaviour | None,
        firewall: str | Firewall | None,
    ) -> None:
        self.name = name
        self.segment = inner
        self.firewall = read_firewall(firewall)
        behaviour = read_nat(nat)
        self.nat = NatTable(behaviour, network.time) if behaviour is not None else None
        self._network = network
        self.outside = Port(network, self, "outside", outer)
        self.inside = Port(network, self, "inside", inner, delay=0.0)
        inner.gateway = self.inside
        for family, prefix in inner.prefixes.items():
            inner.plug(self.inside, inner.new_address(family))
            # IPv6 is routed, not translated; so is everything where there is no NAT
            if family == "ipv6" or self.nat is None:
                outer.add_route(prefix, self.outside)

    def add_host(self, name: str, *addresses: str, **options: Any) -> Host:
        """`VirtualNetwork.add_host` on the inner segment; by default with all families that it has."""
        options.setdefault("ipv6", "ipv6" in self.segment.prefixes)
        return self._network.add_host(name, *addresses, segment=self.segment, **options)

    def __repr__(self) -> str:
        kind = self.nat.behaviour.mapping if self.nat else "routing"
        return f"<Router {self.name} {kind} {', '.join(self.outside.addresses)}>"

    @property
    def link(self) -> Link:
        """The uplink."""
        return self.outside.link

    @property
    def address(self) -> str:
        """The first outer address."""
        return self.outside.addresses[0]

    def reboot(self) -> None:
        """Forget all mappings."""
        if self.nat is not None:
            self.nat.clear()

    def change_address(self, address: str | None = None) -> str:
        """Get another outer IPv4 address; mappings of the old one are lost."""
        old = next((a for a in self.outside.addresses if ":" not in a), None)
        new = address or self.outside.segment.new_address("ipv4")
        if old is not None:
            self.outside.segment.unplug(self.outside, old)
        self.outside.segment.plug(self.outside, new)
        self.reboot()
        return new

    def receive(self, packet: Packet, port: Port) -> None:
        """Forward a packet from one side to the other."""
        packet.hops -= 1
        if port is self.inside:
            self._outbound(packet)
        else:
            self._inbound(packet)

    def _outer_address(self, family: Family) -> str | None:
        return next((a for a in self.outside.addresses if family_of(a) == family), None)

    def _outbound(self, packet: Packet) -> None:
        network = self._network
        if not self.firewall.lets_out(packet, network.time()):
            self._refuse(packet)
            return
        if self.nat is None or packet.family == "ipv6":
            self.outside.send(packet)
            return
        address = self._outer_address("ipv4")
        if address is None:
            network.dropped(packet, "no outer address")
            return
        hairpin = packet.destination[0] in self.outside.addresses
        translated = self.nat.outbound(packet, address)
        if not hairpin:
            self.outside.send(translated)
            return
        back = self.nat.inbound(translated) if self.nat.behaviour.hairpinning else None
        if back is None:
            network.dropped(packet, "hairpin")
        else:
            self.inside.send(back)

    def _inbound(self, packet: Packet) -> None:
        translated: Packet | None = packet
        if self.nat is not None and packet.family == "ipv4":
            translated = self.nat.inbound(packet)
        elif packet.destination[0] in self.outside.addresses:
            translated = None
        if translated is None:
            self._network.dropped(packet, "nat")
        elif not self.firewall.lets_in(translated, self._network.time()):
            self._network.dropped(packet, "firewall")
        else:
            self.inside.send(translated)

    def _refuse(self, packet: Packet) -> None:
        self._network.dropped(packet, "firewall")
        if self.firewall.reject and packet.tcp is not None and packet.tcp.kind != "rst":
            answer = Packet("tcp", packet.destination, packet.source, b"", TcpSegment("rst"))
            self.inside.send(answer)
