"""OutageNetwork: a network that can be switched off, for blackouts of a real peer's path.

Owns: the switch, and what is counted while it is on.  Never: sockets of its own; it wraps another network
and works on real sockets and on virtual ones alike.

    network = OutageNetwork()
    with network.installed():
        pc = RTCPeerConnection()        # made inside, so its packets pass through here
    async with network.outage():
        ...                             # nothing goes out, nothing comes in
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from rtcpeer.net.current import current_network
from rtcpeer.net.network import (
    Address,
    DatagramReceiver,
    DatagramSocket,
    Family,
    Interface,
    Network,
    StreamListener,
    StreamReceiver,
    StreamSocket,
)


class OutageNetwork:
    """Another network with a switch: while `active`, datagrams are lost and streams stand still.

    A stream's bytes are held back and delivered at the end, as TCP's own retransmission would.

    Attributes:
        active: whether the path is away.
        dropped: datagrams lost so far, both ways.
    """

    def __init__(self, inner: Network | None = None) -> None:
        self._inner = current_network.get() if inner is None else inner
        self._held: list[Callable[[], None]] = []
        self.active: bool = False
        self.dropped: int = 0

    def begin(self) -> None:
        """Take the path away."""
        self.active = True

    def end(self) -> None:
        """Give it back; what streams held is delivered now, in order."""
        self.active = False
        held, self._held = self._held, []
        for deliver in held:
            deliver()

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncIterator[Self]:
        """The path is away inside the ``async with``."""
        self.begin()
        try:
            yield self
        finally:
            self.end()

    @contextlib.contextmanager
    def installed(self) -> Iterator[Self]:
        """Connections that are made inside the ``with`` use this network."""
        token = current_network.set(self)
        try:
            yield self
        finally:
            current_network.reset(token)

    # What an agent asks of a network

    def interfaces(self) -> list[Interface]:
        """Implements `Network.interfaces`."""
        return self._inner.interfaces()

    def source_address(self, host: str) -> str | None:
        """Implements `Network.source_address`."""
        return self._inner.source_address(host)

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        """Implements `Network.open_udp`."""

        def receive(data: bytes, address: Address) -> None:
            if self.active:
                self.dropped += 1
            else:
                receiver(data, address)

        return _Datagrams(self, await self._inner.open_udp(host, port, receive, port_range=port_range))

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
        """Implements `Network.open_stream`; while the path is away there is no connection."""
        if self.active:
            raise OSError("the path is away")
        held = _Stream(self)
        held.stream = await self._inner.open_stream(
            host,
            port,
            receiver=held.receive(receiver),
            tls=tls,
            server_hostname=server_hostname,
            local_host=local_host,
        )
        return held

    async def listen_stream(
        self,
        host: str,
        port: int,
        acceptor: Callable[[StreamSocket], StreamReceiver],
        *,
        port_range: tuple[int, int] | None = None,
    ) -> StreamListener:
        """Implements `Network.listen_stream`."""

        def accept(stream: StreamSocket) -> StreamReceiver:
            held = _Stream(self)
            held.stream = stream
            return held.receive(acceptor(held))

        return await self._inner.listen_stream(host, port, accept, port_range=port_range)

    async def resolve(self, host: str, family: Family | None = None) -> list[str]:
        """Implements `Network.resolve`; while the path is away only literals are known."""
        if self.active and not host.replace(".", "").isdigit() and ":" not in host:
            raise OSError("the path is away")
        return await self._inner.resolve(host, family)

    async def publish_name(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Implements `Network.publish_name`."""
        return await self._inner.publish_name(address)

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Implements `Network.watch_interfaces`."""
        return self._inner.watch_interfaces(callback)

    def hold(self, deliver: Callable[[], None]) -> None:
        """Do it now, or at the end of the outage."""
        if self.active:
            self._held.append(deliver)
        else:
            deliver()


class _Datagrams:
    __slots__ = ("_network", "_socket")

    def __init__(self, network: OutageNetwork, socket: DatagramSocket) -> None:
        self._network, self._socket = network, socket

    @property
    def local_address(self) -> Address:
        return self._socket.local_address

    def send(self, data: bytes, address: Address) -> None:
        if self._network.active:
            self._network.dropped += 1
        else:
            self._socket.send(data, address)

    def close(self) -> None:
        self._socket.close()


class _Stream:
    __slots__ = ("_closed", "_network", "stream")

    stream: StreamSocket

    def __init__(self, network: OutageNetwork) -> None:
        self._network, self._closed = network, False

    @property
    def local_address(self) -> Address:
        return self.stream.local_address

    @property
    def remote_address(self) -> Address:
        return self.stream.remote_address

    @property
    def is_closed(self) -> bool:
        return self.stream.is_closed

    def receive(self, receiver: StreamReceiver) -> StreamReceiver:
        def deliver(data: bytes | None) -> None:
            if not self._closed:
                receiver(data)

        return lambda data: self._network.hold(lambda: deliver(data))

    def write(self, data: bytes) -> None:
        self._network.hold(lambda: self.stream.write(data))

    def close(self) -> None:
        self._closed = True
        self.stream.close()
