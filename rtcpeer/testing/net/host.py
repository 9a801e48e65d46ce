"""Hosts of the virtual network, and the `Network` that programs on them see.

Owns: interfaces, sockets and streams of one host.  Never: what lies between hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as system
import ssl
from collections.abc import Awaitable, Callable, Iterator

from rtcpeer.net.current import current_network
from rtcpeer.net.network import (
    Address,
    DatagramReceiver,
    DatagramSocket,
    Family,
    Interface,
    StreamListener,
    StreamReceiver,
    StreamSocket,
)
from rtcpeer.testing.net.link import Link
from rtcpeer.testing.net.medium import Medium
from rtcpeer.testing.net.names import Names
from rtcpeer.testing.net.packet import Packet, Protocol, TcpSegment, canonical, family_of
from rtcpeer.testing.net.sockets import VirtualListener, VirtualUdpSocket
from rtcpeer.testing.net.tcp import TcpStream
from rtcpeer.testing.net.tls import TlsStream
from rtcpeer.testing.net.topology import Port, Segment

WILDCARDS = ("0.0.0.0", "::")
LOOPBACKS = {"127.0.0.1": 8, "::1": 128}
FIRST_EPHEMERAL, LAST_EPHEMERAL = 49152, 65535


class Host:
    """A computer on the virtual network.

    Args:
        medium: of the network.
        names: of the network.
        internet: the segment where interfaces are plugged in unless told otherwise.
        name: unique.

    Attributes:
        name: its DNS name as well.
        network: what programs on it use; hand it to whoever takes a `Network`, or use `active`.
    """

    def __init__(self, medium: Medium, names: Names, internet: Segment, name: str) -> None:
        self.name = name
        self.network: HostNetwork = HostNetwork(self)
        self._medium = medium
        self._names = names
        self._internet = internet
        self._ports: dict[str, Port] = {}
        self._udp: dict[Address, VirtualUdpSocket] = {}
        self._listeners: dict[Address, VirtualListener] = {}
        self._streams: dict[tuple[Address, Address], TcpStream] = {}
        # streams that are accepted, not yet established: to their listener
        self._accepting: dict[TcpStream, VirtualListener] = {}
        self._next_port = FIRST_EPHEMERAL
        self._watchers: list[Callable[[], None]] = []
        # why programs get no socket, for tests of that: an OSError, or None
        self.socket_error: OSError | None = None

    def __repr__(self) -> str:
        return f"<Host {self.name} {', '.join(self.addresses)}>"

    @contextlib.contextmanager
    def active(self) -> Iterator[HostNetwork]:
        """Connections that are made inside belong to this host."""
        token = current_network.set(self.network)
        try:
            yield self.network
        finally:
            current_network.reset(token)

    # -- interfaces --------------------------------------------------------------------------------

    @property
    def addresses(self) -> list[str]:
        """All addresses but loopback."""
        return [a for port in self._ports.values() if port.is_up for a in port.addresses]

    @property
    def address(self) -> str:
        """The first address."""
        return self.addresses[0]

    @property
    def link(self) -> Link:
        """The link of the first interface."""
        return next(iter(self._ports.values())).link

    def interface(self, name: str = "eth0") -> Port:
        """An interface by its name."""
        return self._ports[name]

    def add_interface(
        self,
        name: str,
        segment: Segment | None = None,
        *,
        addresses: tuple[str, ...] = (),
        delay: float | None = None,
    ) -> Port:
        """Plug an interface into a segment; watchers are told.

        Args:
            name: "wlan0".
            segment: the internet, or a router's ``segment``.
            addresses: default: one per family that the host has already.
            delay: of its link.

        Raises:
            ValueError: name or address are taken.
        """
        if name in self._ports:
            raise ValueError(f"{self.name} has an interface {name} already")
        segment = segment or self._internet
        port = Port(self._medium, self, name, segment, delay)
        if not addresses:
            own = {family_of(address) for address in self.addresses} or set(segment.prefixes)
            addresses = tuple(segment.new_address(f) for f in segment.prefixes if f in own)
        for address in addresses:
            segment.plug(port, canonical(address))
        self._ports[name] = port
        self._changed()
        return port

    def remove_interface(self, name: str) -> None:
        """Unplug an interface and take its addresses away."""
        port = self._ports.pop(name)
        for address in list(port.addresses):
            port.segment.unplug(port, address)
        port.is_up = False
        self._changed()

    def set_up(self, name: str, up: bool) -> None:
        """Switch an interface off (its addresses vanish from `interfaces`) or on again."""
        port = self._ports[name]
        if port.is_up != up:
            port.is_up = up
            self._changed()

    def change_address(self, name: str = "eth0", address: str | None = None) -> str:
        """Give an interface another address of the same family (IPv4 by default); returns it."""
        port = self._ports[name]
        family = family_of(address) if address else "ipv4"
        new = canonical(address) if address else port.segment.new_address(family)
        for old in [a for a in port.addresses if family_of(a) == family]:
            port.segment.unplug(port, old)
        port.segment.plug(port, new)
        self._changed()
        return new

    def move(self, name: str, segment: Segment) -> list[str]:
        """Plug an interface into another segment, where it gets new addresses; returns those."""
        port = self._ports[name]
        families = {family_of(address) for address in port.addresses}
        for old in list(port.addresses):
            port.segment.unplug(port, old)
        port.segment = segment
        for family in segment.prefixes:
            if family in families:
                segment.plug(port, segment.new_address(family))
        self._changed()
        return list(port.addresses)

    def _changed(self) -> None:
        for watcher in list(self._watchers):
            asyncio.get_running_loop().call_soon(self._tell, watcher)

    def _tell(self, watcher: Callable[[], None]) -> None:
        if watcher in self._watchers:
            watcher()

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after each change; returns a function that stops it."""
        self._watchers.append(callback)

        def stop() -> None:
            if callback in self._watchers:
                self._watchers.remove(callback)

        return stop

    def interfaces(self) -> list[Interface]:
        """All addresses of interfaces that are up, loopback included."""
        found = [
            Interface(port.name, address, port.prefix_length(address), family_of(address))
            for port in self._ports.values()
            if port.is_up
            for address in port.addresses
        ]
        families = {i.family for i in found} | {"ipv4"}
        for address, length in LOOPBACKS.items():
            if family_of(address) in families:
                found.append(Interface("lo", address, length, family_of(address), is_loopback=True))
        return found

    def source_address(self, destination: str) -> str | None:
        """The address from which packets to `destination` leave; None without a route."""
        if destination in LOOPBACKS or destination in self.addresses:
            return destination
        family = family_of(destination)
        fallback: str | None = None
        for port in self._ports.values():
            own = next((a for a in port.addresses if family_of(a) == family), None)
            if own is None or not port.is_up:
                continue
            if port.segment.has(destination):
                return own
            if fallback is None and port.segment.next_hop(destination) is not None:
                fallback = own
        return fallback

    # -- names -------------------------------------------------------------------------------------

    def _segments(self) -> list[Segment]:
        return [port.segment for port in self._ports.values() if port.is_up]

    async def look_up(self, name: str) -> list[str]:
        """Resolve a name of the virtual network.

        Raises:
            OSError: unknown.
        """
        return await self._names.look_up(name, self._segments)

    def publish(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Publish a fresh ``.local`` name of an address on the segments that the host is plugged into."""
        return self._names.publish(self._segments, address)

    # -- sockets -----------------------------------------------------------------------------------

    @property
    def sockets(self) -> list[object]:
        """UDP sockets, listeners and streams that programs have not closed."""
        streams = [stream for stream in self._streams.values() if not stream.is_closed]
        return [*self._udp.values(), *self._listeners.values(), *streams]

    def bind(self, protocol: Protocol, host: str, port: int, port_range: tuple[int, int] | None) -> Address:
        """Find a free local endpoint.

        Raises:
            OSError: the address is not ours, or no port is free.
        """
        if self.socket_error is not None:
            raise self.socket_error
        host = canonical(host)
        if host not in WILDCARDS and host not in LOOPBACKS and host not in self.addresses:
            raise OSError(99, f"cannot assign requested address: {host} is not on {self.name}")
        if port:
            # as with SO_REUSEADDR, which servers set: connections of before do not keep their port from a new listener
            if self._is_taken(protocol, (host, port)):
                raise OSError(98, f"address already in use: {host} port {port}")
            return host, port
        first, last = port_range or (FIRST_EPHEMERAL, LAST_EPHEMERAL)
        start = self._next_port if port_range is None else first
        for offset in range(last - first + 1):
            port = first + (start - first + offset) % (last - first + 1)
            if self._is_free(protocol, (host, port)):
                if port_range is None:
                    self._next_port = port + 1 if port < LAST_EPHEMERAL else FIRST_EPHEMERAL
                return host, port
        raise OSError(98, f"no free port on {host}")

    def _is_taken(self, protocol: Protocol, address: Address) -> bool:
        taken = self._udp if protocol == "udp" else self._listeners
        return address in taken or any((wild, address[1]) in taken for wild in WILDCARDS)

    def _is_free(self, protocol: Protocol, address: Address) -> bool:
        if self._is_taken(protocol, address):
            return False
        return protocol == "udp" or all(local != address for local, _ in self._streams)

    def _release(self, protocol: Protocol, address: Address) -> None:
        if protocol == "udp":
            self._udp.pop(address, None)
        else:
            self._listeners.pop(address, None)

    def _send_udp(self, source: Address, destination: Address, data: bytes) -> None:
        """Send a datagram now or drop it; from a wildcard address, the one that leads there."""
        if source[0] in WILDCARDS:
            found = self.source_address(destination[0])
            if found is None:
                return
            source = (found, source[1])
        if (":" in source[0]) == (":" in destination[0]):
            self._transmit(Packet("udp", source, destination, data))

    def _transmit(self, packet: Packet) -> None:
        """Send a packet from one of our addresses; from any other it vanishes."""
        medium = self._medium
        medium.sent(packet)
        destination = packet.destination[0]
        if destination in LOOPBACKS or destination in self.addresses:
            medium.schedule(medium.time(), self._deliver, packet)
            return
        for port in self._ports.values():
            if packet.source[0] in port.addresses and port.is_up:
                port.send(packet)
                return
        medium.dropped(packet, "no interface")

    def receive(self, packet: Packet, port: Port) -> None:
        """A packet has come down a link: handed over in the next turn, never inside somebody's send."""
        self._medium.schedule(self._medium.time(), self._deliver, packet)

    def _deliver(self, packet: Packet) -> None:
        address, number = packet.destination
        if address not in LOOPBACKS and address not in self.addresses:
            self._medium.dropped(packet, "no such address")
            return
        if packet.protocol == "tcp":
            self._deliver_tcp(packet)
            return
        target = self._udp.get(packet.destination)
        if target is None:
            target = self._udp.get(("::" if ":" in address else "0.0.0.0", number))
        if target is None:
            self._medium.dropped(packet, "no socket")
            return
        self._medium.delivered(packet)
        target.receive(packet.data, packet.source)

    # -- streams -----------------------------------------------------------------------------------

    def _deliver_tcp(self, packet: Packet) -> None:
        stream = self._streams.get((packet.destination, packet.source))
        if stream is not None:
            self._medium.delivered(packet)
            stream.receive(packet)
            return
        segment = packet.tcp
        if segment is None or segment.kind == "rst":
            return
        address, number = packet.destination
        listener = self._listeners.get(packet.destination) or self._listeners.get(
            ("::" if ":" in address else "0.0.0.0", number)
        )
        if segment.kind == "syn" and listener is not None:
            stream = self._stream(packet.destination, packet.source, None)
            self._streams[packet.destination, packet.source] = stream
            self._accepting[stream] = listener
            stream.start_accepting()
        elif segment.kind != "ack":
            self._transmit(Packet("tcp", packet.destination, packet.source, b"", TcpSegment("rst")))

    def _stream(self, local: Address, remote: Address, receiver: StreamReceiver | None) -> TcpStream:
        return TcpStream(
            local,
            remote,
            receiver,
            transmit=self._transmit,
            established=self._stream_established,
            gone=self._stream_gone,
        )

    def _stream_established(self, stream: TcpStream) -> None:
        """The handshake is done: an accepted stream gets its receiver."""
        listener = self._accepting.pop(stream, None)
        if listener is not None:
            stream.set_receiver(listener.acceptor(stream))

    def _stream_gone(self, stream: TcpStream) -> None:
        self._accepting.pop(stream, None)
        self._streams.pop((stream.local_address, stream.remote_address), None)

    def add_udp(self, address: Address, receiver: DatagramReceiver) -> VirtualUdpSocket:
        """Open a socket on an endpoint that `bind` has found."""
        found = self._udp[address] = VirtualUdpSocket(
            address, receiver, self._send_udp, lambda: self._release("udp", address)
        )
        return found

    def add_listener(
        self, address: Address, acceptor: Callable[[StreamSocket], StreamReceiver]
    ) -> VirtualListener:
        """Listen on an endpoint that `bind` has found."""
        found = self._listeners[address] = VirtualListener(
            address, acceptor, lambda: self._release("tcp", address)
        )
        return found

    def add_stream(self, local: Address, remote: Address, receiver: StreamReceiver) -> TcpStream:
        """Begin to connect."""
        stream = self._streams[local, remote] = self._stream(local, remote, receiver)
        stream.start_connecting()
        return stream

    def close(self) -> None:
        """Drop all sockets: the host is switched off."""
        for udp in list(self._udp.values()):
            udp.close()
        for listener in list(self._listeners.values()):
            listener.close()
        for stream in list(self._streams.values()):
            stream.abort()
        self._watchers.clear()


class HostNetwork:
    """`rtcpeer.net.network.Network` on a virtual host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def __repr__(self) -> str:
        return f"<HostNetwork of {self.host!r}>"

    def interfaces(self) -> list[Interface]:
        """All addresses of interfaces that are up, loopback included."""
        return self.host.interfaces()

    def source_address(self, host: str) -> str | None:
        """The local address from which packets to this IP address would leave; None without a route."""
        return self.host.source_address(canonical(host))

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        """Bind a UDP socket; never suspends."""
        return self.host.add_udp(self.host.bind("udp", host, port, port_range), receiver)

    async def open_stream(
        self,
        host: str,
        port: int,
        *,
        receiver: StreamReceiver,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        local_host: str | None = None,
    ) -> StreamSocket:
        """Connect a TCP stream, with TLS if a context is given."""
        remote = (await self.resolve(host))[0]
        source = local_host or self.host.source_address(remote)
        if source is None:
            raise OSError(101, f"network is unreachable: {remote} from {self.host.name}")
        local = self.host.bind("tcp", source, 0, None)
        if tls is None:
            stream = self.host.add_stream(local, (remote, port), receiver)
            await _connected(stream, stream.connected)
            return stream
        secure = TlsStream(tls, receiver, server_hostname=server_hostname or host)
        stream = self.host.add_stream(local, (remote, port), secure.feed)
        await _connected(stream, stream.connected)
        secure.start(stream)
        await _connected(secure, secure.handshaken)
        return secure

    async def listen_stream(
        self,
        host: str,
        port: int,
        acceptor: Callable[[StreamSocket], StreamReceiver],
        *,
        port_range: tuple[int, int] | None = None,
    ) -> StreamListener:
        """Listen for TCP streams."""
        return self.host.add_listener(self.host.bind("tcp", host, port, port_range), acceptor)

    async def resolve(self, host: str, family: Family | None = None) -> list[str]:
        """IP addresses of a name of the virtual network."""
        try:
            literal = canonical(host)
        except ValueError:
            found = await self.host.look_up(host)
        else:
            found = [literal]
        matching = [address for address in found if family in (None, family_of(address))]
        if not matching:
            raise system.gaierror(system.EAI_NONAME, f"name or service not known: {host}")
        return matching

    async def publish_name(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """A ``.local`` name that hosts on the same segment can look up."""
        return self.host.publish(canonical(address))

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the loop whenever `interfaces` has changed."""
        return self.host.watch(callback)


async def _connected(stream: StreamSocket, future: asyncio.Future[None]) -> None:
    try:
        await asyncio.shield(future)
    except BaseException:
        stream.close()
        raise
