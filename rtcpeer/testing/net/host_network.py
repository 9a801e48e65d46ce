"""The `Network` that programs on a virtual host see.

Owns: nothing; everything belongs to the host.
"""

from __future__ import annotations

import asyncio
import socket as system
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rtcpeer.net.current import (
    DatagramReceiver,
    DatagramSocket,
    Family,
    Interface,
    StreamListener,
    StreamReceiver,
    StreamSocket,
)
from rtcpeer.testing.net.packet import canonical, family_of
from rtcpeer.testing.net.tls import TlsStream

if TYPE_CHECKING:
    from rtcpeer.testing.net.host import Host


class HostNetwork:
    """`rtcpeer.net.current.Network` on a virtual host."""

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
            found = await self.host.world.look_up(host, self.host)
        else:
            found = [literal]
        matching = [address for address in found if family in (None, family_of(address))]
        if not matching:
            raise system.gaierror(system.EAI_NONAME, f"name or service not known: {host}")
        return matching

    async def publish_name(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """A ``.local`` name that hosts on the same segment can look up."""
        return self.host.world.publish(self.host, canonical(address))

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the loop whenever `interfaces` has changed."""
        return self.host.watch(callback)


async def _connected(stream: StreamSocket, future: asyncio.Future[None]) -> None:
    try:
        await asyncio.shield(future)
    except BaseException:
        stream.close()
        raise
