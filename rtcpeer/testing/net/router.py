"""Routers of the virtual network: they join two segments, translate addresses and filter.

Owns: one router's ports. Never: the rules of translation and filtering (`nat`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtcpeer.net.network import Family
from rtcpeer.testing.net.host import Host
from rtcpeer.testing.net.link import Link
from rtcpeer.testing.net.medium import Medium
from rtcpeer.testing.net.nat import Firewall, NatBehaviour, NatTable, read_firewall, read_nat
from rtcpeer.testing.net.packet import Packet, TcpSegment, family_of
from rtcpeer.testing.net.topology import Port, Segment


class Router:
    """Joins an inner segment to an outer one.

    Args:
        medium: of the network.
        name: for people.
        outer: the segment that it leads to.
        inner: the segment behind it.
        add_host: `VirtualNetwork.add_host`.
        nat: a name of `NATS`, a behaviour, or None for a router without NAT.
        firewall: a name of `FIREWALLS`, rules, or None for none.

    Attributes:
        nat: its translation table; None for a router without NAT.
        firewall: what it lets through.
        inside, outside: its ports; ``outside.link`` is the uplink that all hosts behind it share.
        segment: the inner segment, for hosts to be plugged into.
    """

    def __init__(
        self,
        medium: Medium,
        name: str,
        outer: Segment,
        inner: Segment,
        add_host: Callable[..., Host],
        *,
        nat: str | NatBehaviour | None,
        firewall: str | Firewall | None,
    ) -> None:
        self.name = name
        self.segment = inner
        self.firewall: Firewall = read_firewall(firewall)
        behaviour = read_nat(nat)
        self.nat: NatTable | None = NatTable(behaviour, medium.time) if behaviour is not None else None
        self._medium = medium
        self._add_host = add_host
        self.outside: Port = Port(medium, self, "outside", outer)
        self.inside: Port = Port(medium, self, "inside", inner, delay=0.0)
        inner.gateway = self.inside
        for family, prefix in inner.prefixes.items():
            inner.plug(self.inside, inner.new_address(family))
            # IPv6 is routed, not translated; so is everything where there is no NAT
            if family == "ipv6" or self.nat is None:
                outer.add_route(prefix, self.outside)

    def add_host(self, name: str, *addresses: str, **options: Any) -> Host:
        """`VirtualNetwork.add_host` on the inner segment; by default with all families that it has."""
        options.setdefault("ipv6", "ipv6" in self.segment.prefixes)
        return self._add_host(name, *addresses, segment=self.segment, **options)

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
        medium = self._medium
        if not self.firewall.lets_out(packet, medium.time()):
            self._refuse(packet)
            return
        if self.nat is None or packet.family == "ipv6":
            self.outside.send(packet)
            return
        address = self._outer_address("ipv4")
        if address is None:
            medium.dropped(packet, "no outer address")
            return
        hairpin = packet.destination[0] in self.outside.addresses
        translated = self.nat.outbound(packet, address)
        if not hairpin:
            self.outside.send(translated)
            return
        back = self.nat.inbound(translated) if self.nat.behaviour.hairpinning else None
        if back is None:
            medium.dropped(packet, "hairpin")
        else:
            self.inside.send(back)

    def _inbound(self, packet: Packet) -> None:
        translated: Packet | None = packet
        if self.nat is not None and packet.family == "ipv4":
            translated = self.nat.inbound(packet)
        elif packet.destination[0] in self.outside.addresses:
            translated = None
        if translated is None:
            self._medium.dropped(packet, "nat")
        elif not self.firewall.lets_in(translated, self._medium.time()):
            self._medium.dropped(packet, "firewall")
        else:
            self.inside.send(translated)

    def _refuse(self, packet: Packet) -> None:
        self._medium.dropped(packet, "firewall")
        if self.firewall.reject and packet.tcp is not None and packet.tcp.kind != "rst":
            answer = Packet("tcp", packet.destination, packet.source, b"", TcpSegment("rst"))
            self.inside.send(answer)
