"""Gathering: finds the local candidates of one generation.

Owns: which interfaces and servers are asked, in parallel, and what candidate an answer makes.  Each
candidate is handed on the moment it exists; nothing waits for a server that does not answer.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rtcpeer.aio import quiet
from rtcpeer.dtls.trust import client_connection
from rtcpeer.ice.agent.allocation import AllocationAttempt
from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.agent.log import IceLog
from rtcpeer.ice.agent.parts import AgentParts
from rtcpeer.ice.agent.pool import BasePool
from rtcpeer.ice.agent.relay import RelayBase, RelayPath
from rtcpeer.ice.agent.sockets import BaseContext, SocketBase
from rtcpeer.ice.agent.stun_over_dtls import ask_over_dtls
from rtcpeer.ice.candidates import foundation, is_ipv6, nat64_address, order_interfaces, priority
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Base, Local
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, Family, Interface, Network
from rtcpeer.records import record, replace
from rtcpeer.stun.query import Queries
from rtcpeer.values import Candidate, CandidateType, IceTransportPolicy

if TYPE_CHECKING:
    from rtcpeer.config.servers import IceServerEntry

# Everything about a server is decided within this: the promise is 10 s from the start to the error event.
_SERVER_PATIENCE = 9.5


class GatheringSink(Protocol):
    """Protocol of those who are told what a gathering finds."""

    def new_local(
        self, candidate: Candidate, base: Base | None, local_preference: int, network: str | None
    ) -> bool:
        """A candidate exists; False when it is filtered out, a duplicate, or no longer wanted."""

    def server_failed(self, error: IceCandidateError) -> None:
        """A server gave nothing."""

    def gathered(self) -> None:
        """Gathering is complete: nothing more will come."""

    def mapped(self, base: SocketBase, server: Address) -> None:
        """A NAT maps this base toward that server; the mapping lives only as long as it is used."""

    def times_changed(self) -> None:
        """`next_time` may be earlier now."""

    def path_lost(self, path: RelayPath) -> None:
        """An allocation that had given candidates is gone."""


@record(frozen=True, slots=True)
class _Way:
    """A question to a STUN server: to which address, from which base."""

    entry: IceServerEntry
    server: Address
    base: SocketBase
    interface: Interface
    preference: int


class Gathering:
    """One gathering phase."""

    def __init__(
        self,
        network: Network,
        settings: IceSettings,
        pipe: BaseContext,
        pool: BasePool,
        owner: object,
        sink: GatheringSink,
        log: IceLog,
    ) -> None:
        self._network = network
        self._settings = settings
        self._pipe = pipe
        self._pool = pool
        # The local half of a generation: the user of the bases.
        self._owner = owner
        self._sink = sink
        self._log = log
        self.queries = Queries()
        self._interfaces: list[Interface] = []
        self._hosts: list[tuple[SocketBase, Interface, int]] = []
        self._relay_only = settings.policy is IceTransportPolicy.RELAY

    async def run(self) -> None:
        """Gather everything, then say so."""
        loop = asyncio.get_running_loop()
        self._interfaces = usable_interfaces(self._network, self._settings)
        if not self._relay_only:
            await self._open_hosts()
        servers = self._settings.servers
        if servers:
            deadline = loop.time() + _SERVER_PATIENCE
            async with asyncio.TaskGroup() as group:
                for index, entry in enumerate(servers):
                    quiet(group.create_task(self._ask_server(index, entry, deadline)))
        self._sink.gathered()

    # -- hosts -------------------------------------------------------------------------------------

    async def _open_hosts(self) -> None:
        settings = self._settings
        for index, interface in enumerate(self._interfaces):
            try:
                base = await self._pool.socket(self._owner, interface.address, settings.port_range)
            except OSError:
                continue  # the address is just vanishing, or no port is free: the others still may
            preference = 65535 - 256 * index
            self._hosts.append((base, interface, preference))
            address, port = base.address
            public = settings.nat_1to1.get(address)
            shown = address
            if public is not None and settings.nat_1to1_type == "host":
                shown = public
            elif settings.mdns and not interface.is_loopback:
                shown = await self._pool.name_of(address)
            candidate = Candidate(
                foundation=foundation(CandidateType.HOST, address, "udp"),
                component=1,
                protocol="udp",
                priority=priority(CandidateType.HOST, preference),
                address=shown,
                port=port,
                type=CandidateType.HOST,
            )
            self._sink.new_local(candidate, base, preference, interface.name)
            if public is not None and settings.nat_1to1_type == "srflx":
                self._tell_srflx(base, preference, (public, port), interface, None)
        if settings.tcp not in (None, "auto"):
            for index, interface in enumerate(self._interfaces):
                await self._open_tcp(index, interface)

    async def _open_tcp(self, index: int, interface: Interface) -> None:
        """RFC 6544: an active and a passive candidate, as the settings say."""
        settings = self._settings
        for tcp_type, direction in (("active", 6), ("passive", 4)):
            if settings.tcp not in (tcp_type, "both"):
                continue
            try:
                base = await self._pool.tcp(
                    self._owner, interface.address, settings.port_range, is_active=tcp_type == "active"
                )
            except OSError:
                continue  # as for UDP
            address, port = base.address
            shown = (
                await self._pool.name_of(address) if settings.mdns and not interface.is_loopback else address
            )
            if settings.nat_1to1_type == "host":
                shown = settings.nat_1to1.get(address, shown)
            candidate, preference = tcp_candidate(tcp_type, direction, index, address, (shown, port))
            self._sink.new_local(candidate, base, preference, interface.name)

    def _tell_srflx(
        self,
        base: SocketBase,
        preference: int,
        mapped: Address,
        interface: Interface,
        entry: IceServerEntry | None,
    ) -> None:
        """RFC 8445 5.1.3: one that equals its base adds nothing."""
        if mapped == base.address:
            return
        hidden = self._settings.mdns
        any_address = "::" if is_ipv6(mapped[0]) else "0.0.0.0"
        candidate = Candidate(
            foundation=foundation(
                CandidateType.SRFLX, base.address[0], "udp", entry.url.host if entry else "nat"
            ),
            component=1,
            protocol="udp",
            priority=priority(CandidateType.SRFLX, preference),
            address=mapped[0],
            port=mapped[1],
            type=CandidateType.SRFLX,
            related_address=any_address if hidden else base.address[0],
            related_port=9 if hidden else base.address[1],
            url=entry.url.url if entry else None,
        )
        self._sink.new_local(candidate, None, preference, interface.name)

    # -- servers -----------------------------------------------------------------------------------

    async def _ask_server(self, index: int, entry: IceServerEntry, deadline: float) -> None:
        url = entry.url
        try:
            addresses = await self._resolve(url.host, deadline)
        except OSError as exc:
            self._failed(entry, 701, f"the server's name can not be resolved: {exc}", None)
            return
        if url.scheme in ("turn", "turns") or not self._relay_only:
            self._log.asks(url.url, addresses)
        if url.scheme in ("turn", "turns"):
            await self._ask_relay(index, entry, addresses, deadline)
        elif not self._relay_only:
            await self._ask_reflexive(entry, addresses, deadline)

    async def _resolve(self, host: str, deadline: float) -> list[str]:
        """The addresses of a host name that we can use, one per family, in the resolver's order."""
        now = asyncio.get_running_loop().time()
        families = {interface.family for interface in self._interfaces}
        try:
            # no wait_for: before Python 3.12 it swallows a cancellation that comes with the answer
            async with asyncio.timeout(max(0.0, deadline - now - 4.0)):
                found = await self._network.resolve(host)
                if families == {"ipv6"} and found and not any(is_ipv6(address) for address in found):
                    found = await self._translated(found)
        except TimeoutError:
            raise OSError("no answer from the resolver") from None
        chosen: dict[Family, str] = {}
        for address in found:
            family: Family = "ipv6" if is_ipv6(address) else "ipv4"
            # "this host on this network" (RFC 1122 3.2.1.3), which resolvers make of a number, is nobody's address
            if family in families and not address.startswith("0."):
                chosen.setdefault(family, address)
        if not chosen:
            raise OSError("no address of a family that this host has")
        return list(chosen.values())

    async def _translated(self, found: list[str]) -> list[str]:
        """IPv4 addresses as a host without IPv4 reaches them: through NAT64, if there is one (RFC 8305 7.1).

        DNS64 translates names, but neither addresses in URLs nor what another resolver says.
        """
        try:
            examples = await self._network.resolve("ipv4only.arpa", "ipv6")
        except OSError:
            return found
        return [
            *(a for a in (nat64_address(examples, address) for address in found) if a is not None),
            *found,
        ]

    async def _ask_reflexive(self, entry: IceServerEntry, addresses: list[str], deadline: float) -> None:
        ways = [
            _Way(entry, (host, entry.url.port), *known)
            for host in addresses
            for known in self._hosts
            if is_ipv6(host) is (known[1].family == "ipv6") and not _hopeless(known[1], host)
        ]
        if not ways:
            self._failed(entry, 701, "no local address can reach the server", None)
        elif entry.url.is_secure:
            async with asyncio.TaskGroup() as group:
                for way in ways:
                    quiet(group.create_task(self._ask_secure(way, deadline)))
        else:
            waiting = [self._ask_plain(way, deadline) for way in ways]
            self._sink.times_changed()
            await asyncio.wait(waiting)

    def _ask_plain(self, way: _Way, deadline: float) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(mapped: Address | None, error: tuple[int, str]) -> None:
            if not done.done():
                done.set_result(None)
            self._answered(way, mapped, error)

        now = self._pipe.clock()
        timeout = min(self._settings.server_timeout, deadline - now)
        rto = self._settings.server_rto
        self.queries.ask(now, way.server, way.base.send, answered, rto=rto, timeout=timeout)
        return done

    async def _ask_secure(self, way: _Way, deadline: float) -> None:
        """``stuns:``: over DTLS (RFC 7350), from the base's own socket."""
        settings = self._settings
        connect = partial(client_connection, settings.ssl_context, way.entry.url.host)
        deadline = min(deadline, self._pipe.clock() + settings.server_timeout)
        answer = await ask_over_dtls(
            self._pipe, way.base, way.server, connect, rto=settings.server_rto, deadline=deadline
        )
        self._answered(way, *answer)

    def _answered(self, way: _Way, mapped: Address | None, error: tuple[int, str]) -> None:
        if mapped is None:
            self._failed(way.entry, *error, way.base.address)
            return
        self._log.answered(way.entry.url.url, f"{way.base.address[0]} is mapped to {mapped[0]}:{mapped[1]}")
        self._tell_srflx(way.base, way.preference, mapped, way.interface, way.entry)
        if mapped != way.base.address:
            self._sink.mapped(way.base, way.server)

    # -- relays ------------------------------------------------------------------------------------

    async def _ask_relay(
        self, index: int, entry: IceServerEntry, addresses: list[str], deadline: float
    ) -> None:
        allocating = AllocationAttempt(
            self._network,
            self._settings,
            self._pipe,
            self._pool,
            self._owner,
            self._sink.times_changed,
            self._sink.path_lost,
            self._interfaces,
        )
        result = await allocating.obtain(entry, addresses, deadline)
        if isinstance(result, RelayPath):
            self._tell_relay(index, entry, result)
        else:
            self._failed(entry, *result)

    def _tell_relay(self, index: int, entry: IceServerEntry, path: RelayPath) -> None:
        addresses = ", ".join(f"{host}:{port}" for host, port in (b.address for b in path.bases.values()))
        self._log.answered(entry.url.url, f"relays at {addresses}")
        for base in path.bases.values():
            self._tell_relayed(index, entry, path, base)

    def _tell_relayed(self, index: int, entry: IceServerEntry, path: RelayPath, base: RelayBase) -> None:
        address, port = base.address
        preference = max(0, 65535 - 512 * index - (0 if is_ipv6(address) else 256))
        hidden = self._relay_only or self._settings.mdns or path.mapped is None
        any_address = "::" if is_ipv6(address) else "0.0.0.0"
        related = (any_address, 9) if hidden or path.mapped is None else path.mapped
        candidate = Candidate(
            foundation=foundation(CandidateType.RELAY, address, path.relay_protocol, entry.url.host),
            component=1,
            protocol="udp",
            priority=priority(CandidateType.RELAY, preference, relay_protocol=path.relay_protocol),
            address=address,
            port=port,
            type=CandidateType.RELAY,
            related_address=related[0],
            related_port=related[1],
            url=entry.url.url,
            relay_protocol=path.relay_protocol,
        )
        self._sink.new_local(candidate, base, preference, None)

    def _failed(self, entry: IceServerEntry, code: int, text: str, local: Address | None) -> None:
        """webrtc-pc 4.8.2: our own address only when a host candidate may show it."""
        if self._relay_only or self._settings.mdns:
            local = None
        self._sink.server_failed(
            IceCandidateError(
                address=local[0] if local else None,
                port=local[1] if local else None,
                url=entry.url.url,
                # Codes are 300 to 699 by STUN, 701 by W3C.
                error_code=code if 300 <= code <= 699 else 701,
                error_text=text,
            )
        )


def tcp_candidate(
    tcp_type: str, direction: int, index: int, base_address: str, shown: Address
) -> tuple[Candidate, int]:
    """A host candidate for TCP on the interface with this index, and its local preference.

    RFC 6544 4.2: the direction is the upper part of the local preference.
    """
    preference = (direction << 13) | (8191 - 32 * min(index, 255))
    candidate = Candidate(
        foundation=foundation(CandidateType.HOST, base_address, "tcp"),
        component=1,
        protocol="tcp",
        priority=priority(CandidateType.HOST, preference, protocol="tcp"),
        address=shown[0],
        port=shown[1],
        type=CandidateType.HOST,
        tcp_type=tcp_type,
    )
    return candidate, preference


def usable_interfaces(network: Network, settings: IceSettings) -> list[Interface]:
    """The local addresses to offer, best first; loopback only where there is nothing else or it is wanted."""
    allowed = [
        interface
        for interface in network.interfaces()
        if (settings.ipv4 if interface.family == "ipv4" else settings.ipv6)
        and (not settings.bind_addresses or interface.address in settings.bind_addresses)
        and (settings.interface_filter is None or settings.interface_filter(interface))
    ]
    if settings.include_loopback == "auto":
        wanted = [i for i in allowed if not i.is_loopback or i.address in settings.bind_addresses] or allowed
    else:
        wanted = [i for i in allowed if settings.include_loopback or not i.is_loopback]
    return order_interfaces(wanted)


def _hopeless(interface: Interface, server: str) -> bool:
    """A loopback address reaches only this host."""
    return interface.is_loopback and not server.startswith("127.") and server != "::1"


def open_active(parts: AgentParts, generation: Generation) -> None:
    """Active TCP bases, untold: the passive side learns them from the connections that they make.

    Args:
        parts: of the agent.
        generation: which has learned of a passive remote candidate.
    """
    settings = parts.context.settings
    if settings.tcp != "auto" or settings.policy is IceTransportPolicy.RELAY:
        return
    for index, interface in enumerate(usable_interfaces(parts.network, settings)):
        address = interface.address
        if any(p.base is not None and p.base.address == (address, 9) for p in generation.locals):
            continue
        candidate, preference = tcp_candidate("active", 6, index, address, (address, 9))
        candidate = replace(candidate, ufrag=generation.local.ufrag)
        if settings.candidate_filter is not None and not settings.candidate_filter(candidate):
            continue
        base = parts.pool.active_tcp(generation.half, address)
        local = Local(parts.context.new_id("L"), candidate, base, preference, interface.name)
        parts.core.add_local(parts.clock(), generation, local)
