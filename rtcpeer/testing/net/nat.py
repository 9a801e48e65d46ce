"""Network address translation by RFC 4787 (UDP) and RFC 5382 (TCP), and firewalls.

Owns: mappings and filters.  Never: a packet's way; `topology` asks what becomes of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from rtcpeer.net.network import Address
from rtcpeer.testing.net.packet import Packet, Protocol

Dependence = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]

FIRST_PORT, LAST_PORT = 1024, 65535


@dataclass(frozen=True, slots=True)
class NatBehaviour:
    """The behaviours that RFC 4787 names.

    Attributes:
        mapping: when an inner endpoint gets another outer port (section 4.1).
        filtering: who may send to a mapping (section 5).
        port_preservation: the outer port is the inner one where it is free (section 4.2.1).
        hairpinning: inner hosts reach each other by their outer addresses (section 6).
        timeout: a UDP mapping without traffic lives this long (section 4.3).
        inbound_refresh: inbound packets keep a mapping alive as well as outbound ones.
        tcp_timeout: the same for TCP (RFC 5382 section 5).
    """

    mapping: Dependence = "endpoint-independent"
    filtering: Dependence = "address-and-port-dependent"
    port_preservation: bool = True
    hairpinning: bool = False
    timeout: float = 120.0
    inbound_refresh: bool = False
    tcp_timeout: float = 7440.0


_EI: Dependence = "endpoint-independent"
_AD: Dependence = "address-dependent"
_APD: Dependence = "address-and-port-dependent"

#: NATs by their common names
NATS: dict[str, NatBehaviour] = {
    "full-cone": NatBehaviour(mapping=_EI, filtering=_EI),
    "restricted": NatBehaviour(mapping=_EI, filtering=_AD),
    "port-restricted": NatBehaviour(mapping=_EI, filtering=_APD),
    "symmetric": NatBehaviour(mapping=_APD, filtering=_APD, port_preservation=False),
}


def read_nat(value: str | NatBehaviour | None) -> NatBehaviour | None:
    """A behaviour from its name; None and "none" mean routing without translation."""
    if value is None or value == "none":
        return None
    if isinstance(value, NatBehaviour):
        return value
    try:
        return NATS[value]
    except KeyError:
        raise ValueError(f"a NAT is one of {', '.join(NATS)}, or a NatBehaviour; not {value!r}") from None


def _part(remote: Address, dependence: Dependence) -> tuple[str, int] | str | None:
    """The part of a remote endpoint that a mapping or a filter depends on."""
    if dependence == "endpoint-independent":
        return None
    return remote[0] if dependence == "address-dependent" else remote


@dataclass(slots=True)
class Mapping:
    """An outer endpoint that stands for an inner one."""

    inner: Address
    outer: Address
    used_at: float
    # remote endpoints (or what filtering looks at of them) that were sent to
    allowed: set[object] = field(default_factory=set)


class NatTable:
    """The mappings of one router.

    Args:
        behaviour: how it translates.
        clock: gives the present.
        first_port: where ports are taken from that are not preserved.
    """

    def __init__(self, behaviour: NatBehaviour, clock: Callable[[], float], first_port: int = 40000) -> None:
        self.behaviour = behaviour
        self._clock = clock
        self._next_port = first_port
        self._by_inner: dict[tuple[Protocol, Address, object, str], Mapping] = {}
        self._by_outer: dict[tuple[Protocol, Address], Mapping] = {}

    def __len__(self) -> int:
        return len(self._by_outer)

    def clear(self) -> None:
        """Forget all mappings, as a router does that is switched off and on."""
        self._by_inner.clear()
        self._by_outer.clear()

    def _lives(self, mapping: Mapping, protocol: Protocol) -> bool:
        limit = self.behaviour.timeout if protocol == "udp" else self.behaviour.tcp_timeout
        return self._clock() - mapping.used_at <= limit

    def outbound(self, packet: Packet, address: str) -> Packet:
        """Translate a packet that leaves, from this outer address."""
        behaviour = self.behaviour
        key = (packet.protocol, packet.source, _part(packet.destination, behaviour.mapping), address)
        mapping = self._by_inner.get(key)
        if mapping is None or not self._lives(mapping, packet.protocol):
            if mapping is not None:
                self._by_outer.pop((packet.protocol, mapping.outer), None)
            outer = (address, self._choose_port(packet.protocol, address, packet.source[1]))
            mapping = Mapping(packet.source, outer, self._clock())
            self._by_inner[key] = self._by_outer[packet.protocol, outer] = mapping
        mapping.used_at = self._clock()
        mapping.allowed.add(_part(packet.destination, behaviour.filtering))
        return packet.rewritten(source=mapping.outer)

    def inbound(self, packet: Packet) -> Packet | None:
        """Translate a packet that arrives; None when it is filtered."""
        mapping = self._by_outer.get((packet.protocol, packet.destination))
        if mapping is None or not self._lives(mapping, packet.protocol):
            return None
        if _part(packet.source, self.behaviour.filtering) not in mapping.allowed:
            return None
        if self.behaviour.inbound_refresh or packet.protocol == "tcp":
            mapping.used_at = self._clock()
        return packet.rewritten(destination=mapping.inner)

    def _choose_port(self, protocol: Protocol, address: str, wanted: int) -> int:
        if self.behaviour.port_preservation and self._is_free(protocol, (address, wanted)):
            return wanted
        for _ in range(FIRST_PORT, LAST_PORT):
            port = self._next_port
            self._next_port = port + 1 if port < LAST_PORT else FIRST_PORT
            if self._is_free(protocol, (address, port)):
                return port
        # all are taken: the oldest makes room, as in a router whose table is full
        oldest = min(self._by_outer.values(), key=lambda mapping: mapping.used_at)
        del self._by_outer[protocol, oldest.outer]
        return oldest.outer[1]

    def _is_free(self, protocol: Protocol, outer: Address) -> bool:
        taken = self._by_outer.get((protocol, outer))
        return taken is None or not self._lives(taken, protocol)


@dataclass(slots=True)
class Firewall:
    """A firewall: the packets that a router lets through. Ports are those of the outer end.

    Attributes:
        udp, tcp: True for all ports, False for none, or the ports that pass.
        stateful: what comes from outside passes only as an answer, within `timeout` (for routers without
            NAT).
        reject: blocked TCP connections are refused at once instead of vanishing.
    """

    udp: bool | Collection[int] = True
    tcp: bool | Collection[int] = True
    stateful: bool = False
    reject: bool = False
    timeout: float = 120.0
    _flows: dict[tuple[Protocol, Address, Address], float] = field(default_factory=dict, repr=False)

    def lets_out(self, packet: Packet, now: float) -> bool:
        """Whether a packet may leave."""
        if not self._allows(packet.protocol, packet.destination[1]):
            return False
        if self.stateful:
            self._flows[packet.protocol, packet.source, packet.destination] = now
        return True

    def lets_in(self, packet: Packet, now: float) -> bool:
        """Whether a packet (its destination already the inner one) may enter."""
        if not self._allows(packet.protocol, packet.source[1]):
            return False
        if not self.stateful:
            return True
        flow = self._flows.get((packet.protocol, packet.destination, packet.source))
        return flow is not None and now - flow <= self.timeout

    def _allows(self, protocol: Protocol, port: int) -> bool:
        rule = self.udp if protocol == "udp" else self.tcp
        return rule if isinstance(rule, bool) else port in rule


#: Firewalls by name, as functions because each router needs its own
FIREWALLS: dict[str, Callable[[], Firewall]] = {
    "open": Firewall,
    "stateful": lambda: Firewall(stateful=True),
    "block-udp": lambda: Firewall(udp=False),
    "only-web": lambda: Firewall(udp=False, tcp={80, 443}),
    "only-443": lambda: Firewall(udp=False, tcp={443}),
    "closed": lambda: Firewall(udp=False, tcp=False),
}


def read_firewall(value: str | Firewall | None) -> Firewall:
    """A firewall from its name."""
    if value is None:
        return Firewall()
    if isinstance(value, Firewall):
        return value
    try:
        return FIREWALLS[value]()
    except KeyError:
        names = ", ".join(FIREWALLS)
        raise ValueError(f"a firewall is one of {names}, or a Firewall; not {value!r}") from None
