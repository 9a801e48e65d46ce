"""The network as an ICE agent needs it, as protocols; real and virtual networks fulfil them.

Owns: the protocols and `Interface`.  Never: a socket.  `rtcpeer.net.current` re-exports all of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from rtcpeer.records import record

Address = tuple[str, int]
Family = Literal["ipv4", "ipv6"]
DatagramReceiver = Callable[[bytes, Address], None]
StreamReceiver = Callable[[bytes | None], None]


@record(frozen=True, slots=True)
class Interface:
    """One address of one network interface.

    Attributes:
        name: "eth0"; one interface with several addresses is listed several times.
        address: in canonical text form, without a scope.
        prefix_length: of the network it is in.
        is_loopback: 127.0.0.0/8 or ::1.
    """

    name: str
    address: str
    prefix_length: int
    family: Family
    is_loopback: bool = False


class DatagramSocket(Protocol):
    """A bound UDP socket whose receiver is called for each datagram."""

    @property
    def local_address(self) -> Address:
        """The real address and port that it is bound to."""
        ...

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram now or drop it; never raises, also after `close`."""
        ...

    def close(self) -> None:
        """Stop at once: the receiver is not called again.  Idempotent."""
        ...


class StreamSocket(Protocol):
    """A connected TCP or TLS stream whose receiver gets chunks, and None once when it has ended."""

    @property
    def local_address(self) -> Address:
        """The address of our end."""
        ...

    @property
    def remote_address(self) -> Address:
        """The address of the other end."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether either side has ended it."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes; never raises.  A network may drop whole writes when the queue is beyond bounds."""
        ...

    def close(self) -> None:
        """Stop at once: the receiver is not called again.  Idempotent."""
        ...


class StreamListener(Protocol):
    """A listening TCP socket."""

    @property
    def local_address(self) -> Address:
        """The address that it listens at."""
        ...

    def close(self) -> None:
        """Stop listening; accepted streams go on.  Idempotent."""
        ...


class Network(Protocol):
    """The only way of an ICE agent to sockets, names and interfaces."""

    def interfaces(self) -> list[Interface]:
        """All addresses of interfaces that are up, loopback included, link-local IPv6 excluded."""
        ...

    def source_address(self, host: str) -> str | None:
        """The local address from which packets to this IP address would leave; None without a route."""
        ...

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        """Bind a UDP socket.  Completes without suspending where the system allows it.

        Args:
            host: a local address of `interfaces`.
            port: 0 for any (or any inside `port_range`).
            receiver: called on the loop with (data, (host, port)) for each datagram.
            port_range: (first, last) ports to choose from.

        Raises:
            OSError: the address is not ours, or no port is free.
        """
        ...

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
        """Connect a TCP stream, with TLS if a context is given (`server_hostname` is verified).

        Raises:
            OSError: no connection (ssl.SSLError is one).
        """
        ...

    async def listen_stream(
        self,
        host: str,
        port: int,
        acceptor: Callable[[StreamSocket], StreamReceiver],
        *,
        port_range: tuple[int, int] | None = None,
    ) -> StreamListener:
        """Listen for TCP streams; `acceptor` is called with each and gives its receiver.

        Raises:
            OSError: the address is not ours, or no port is free.
        """
        ...

    async def resolve(self, host: str, family: Family | None = None) -> list[str]:
        """IP addresses of a name, best first; an address literal is itself.  ``.local`` names by mDNS.

        Raises:
            OSError: the name is not known (socket.gaierror is one).
        """
        ...

    async def publish_name(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Publish a fresh ``.local`` name for a local address by mDNS.

        Returns:
            The name and a function that withdraws it.

        Raises:
            OSError: there is no multicast here.
        """
        ...

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the loop whenever `interfaces` has changed; returns a function that stops it."""
        ...
