"""The real network: sockets of the operating system on the running asyncio loop.

Owns: system sockets and their readiness callbacks.  Never: ICE.

Theory of operation: one readiness callback per UDP socket drains it (2.3 us a datagram, against 5.5 for
asyncio's own datagram transport); loops without `add_reader` (Windows' default) get that transport instead.
A socket on which many datagrams wait at once has the kernel coalesce them from then on (`offload`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import ifaddr

from rtcpeer.net import icmp, mdns, offload
from rtcpeer.net import interfaces as watch
from rtcpeer.net.lookup import lookups
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

# Datagrams read per readiness callback: enough to empty a burst, few enough not to starve the loop.
_DRAIN = 64
# After a datagram that came alone, so many readiness callbacks read one without asking whether there is another: one
# that is left keeps the socket readable.
_ALONE = 3
# So many that waited at once, and the kernel is asked to coalesce: to read what came alone costs more then.
_MANY = 16
_DATAGRAM_SIZE = 65536
_RECEIVE_BUFFER = 1 << 20
# Bytes waiting in a stream beyond which whole writes are dropped: what it carries is datagrams.
_STREAM_LIMIT = 1 << 20
# How long a stream that is closed may take to give what is queued to the system: an end that has vanished without a
# word reads nothing for a quarter of an hour, and answers no goodbye of TLS.
_LAST_WORDS = 1.0
_INTERFACES_FRESH = 1.0


class UdpSocket:
    """A UDP socket read by one readiness callback."""

    __slots__ = (
        "_address",
        "_alone",
        "_can_segment",
        "_coalesces",
        "_loop",
        "_on_error",
        "_receive_run",
        "_receiver",
        "_sendto",
        "_socket",
    )

    def __init__(
        self, sock: socket.socket, receiver: DatagramReceiver, loop: asyncio.AbstractEventLoop
    ) -> None:
        name = sock.getsockname()
        self._address: Address = (name[0], name[1])
        self._loop = loop
        self._receiver: DatagramReceiver | None = receiver
        self._socket = sock
        self._sendto = sock.sendto
        self._can_segment = offload.IS_POSSIBLE
        self._alone = 0
        # None until it was worth asking for
        self._coalesces: bool | None = None
        self._on_error: Callable[[Address, str], None] | None = None
        self._receive_run: Callable[[list[bytes], Address], None] | None = None
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def local_address(self) -> Address:
        """The address that it is bound to."""
        return self._address

    def send(self, data: bytes, address: Address) -> None:
        """Send now or drop: a full buffer, a vanished route and a closed socket are all loss."""
        try:
            self._sendto(data, address)
        except (OSError, OverflowError):
            return

    def send_segments(self, data: bytes, size: int, address: Address) -> None:
        """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""
        if self._can_segment:
            try:
                offload.send_segments(self._socket, data, size, address)
            except OSError as exc:
                if not offload.is_refusal(exc):
                    return  # as for one datagram: loss
                self._can_segment = False
            except OverflowError:
                return
            else:
                return
        for datagram in offload.split(data, size):
            self.send(datagram, address)

    def close(self) -> None:
        """Stop at once."""
        if self._receiver is not None:
            self._receiver = self._receive_run = None
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def deliver_runs(self, callback: Callable[[list[bytes], Address], None]) -> None:
        """Have datagrams of one sender that were read together handed on together, not each to the receiver."""
        self._receive_run = callback

    def report_errors(self, callback: Callable[[Address, str], None]) -> None:
        """Have ICMP errors reported: called with the destination and what is wrong, where the system tells."""
        if icmp.listen(self._socket):
            self._on_error = callback

    def _readable(self) -> None:
        if self._on_error is not None:
            # a queue that is not emptied keeps the socket readable
            for destination, problem in list(icmp.read(self._socket)):
                self._on_error(destination, problem)
            if self._receiver is None:
                return
        if self._coalesces:
            self._read_coalesced()
            return
        receive = self._socket.recvfrom
        alone = self._alone
        self._alone = max(0, alone - 1)
        for count in range(_DRAIN):
            receiver = self._receiver
            if receiver is None or (count and alone):
                return
            try:
                data, address = receive(_DATAGRAM_SIZE)
            except (BlockingIOError, InterruptedError):
                if count == 1:
                    self._alone = _ALONE
                elif count >= _MANY and self._coalesces is None:
                    self._coalesces = offload.coalesce(self._socket)
                return
            except OSError:
                continue  # an ICMP error of an earlier send, reported here; the next read is good
            receiver(data, address if len(address) == 2 else address[:2])
        if self._coalesces is None and self._receiver is not None:
            self._coalesces = offload.coalesce(self._socket)

    def _read_coalesced(self) -> None:
        """Read what waits, where one read may give many datagrams."""
        left = _DRAIN
        while left > 0:
            if self._receiver is None:
                return
            try:
                data, size, address = offload.receive(self._socket)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                left -= 1
                continue
            if len(address) != 2:
                address = address[:2]
            if size == len(data):
                left -= 1
                self._receiver(data, address)
                continue
            datagrams = offload.split(data, size)
            left -= len(datagrams)
            if self._receive_run is not None:
                self._receive_run(datagrams, address)
                continue
            for datagram in datagrams:
                receiver = self._receiver
                if receiver is None:
                    return
                receiver(datagram, address)


class _TransportUdpSocket(asyncio.DatagramProtocol):
    """A UDP socket over asyncio's datagram transport, for loops without readiness callbacks."""

    def __init__(self, receiver: DatagramReceiver) -> None:
        self._receiver: DatagramReceiver | None = receiver
        self._transport: asyncio.DatagramTransport | None = None
        self._address: Address = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        name = transport.get_extra_info("sockname")
        self._address = (name[0], name[1])

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self._receiver is not None:
            self._receiver(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """An unreachable destination is loss, and loss is the checks' business."""

    @property
    def local_address(self) -> Address:
        return self._address

    def send(self, data: bytes, address: Address) -> None:
        if self._transport is not None and self._receiver is not None:
            self._transport.sendto(data, address)

    def close(self) -> None:
        self._receiver = None
        if self._transport is not None:
            self._transport.close()


class _Stream(asyncio.Protocol):
    """A TCP or TLS stream as a plain pair of callbacks."""

    def __init__(
        self,
        receiver: StreamReceiver | None = None,
        acceptor: Callable[[StreamSocket], StreamReceiver] | None = None,
    ) -> None:
        self._receiver = receiver
        self._acceptor = acceptor
        self._transport: asyncio.Transport | None = None
        self._local: Address = ("", 0)
        self._remote: Address = ("", 0)
        self._last_words: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._local = transport.get_extra_info("sockname")[:2]
        self._remote = transport.get_extra_info("peername")[:2]
        if self._acceptor is not None:
            self._receiver = self._acceptor(self)

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver(data)

    def connection_lost(self, exc: Exception | None) -> None:
        receiver, self._receiver, self._transport = self._receiver, None, None
        if self._last_words is not None:
            self._last_words.cancel()
        if receiver is not None:
            receiver(None)

    @property
    def local_address(self) -> Address:
        return self._local

    @property
    def remote_address(self) -> Address:
        return self._remote

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        transport = self._transport
        if (
            transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() < _STREAM_LIMIT
        ):
            transport.write(data)

    def close(self) -> None:
        self._receiver = None
        transport = self._transport
        if transport is not None and not transport.is_closing():
            # `close` by itself waits for the other end to read what is queued; a datagram pipe owes it nothing but the
            # last words (a release)
            transport.close()
            if transport.get_write_buffer_size():
                self._last_words = asyncio.get_running_loop().call_later(_LAST_WORDS, transport.abort)


class _Listener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        name = server.sockets[0].getsockname()
        self._address: Address = (name[0], name[1])

    @property
    def local_address(self) -> Address:
        return self._address

    def close(self) -> None:
        self._server.close()


_default_tls: ssl.SSLContext | None = None


def default_tls_context() -> ssl.SSLContext:
    """A verifying client context, made once: loading the authorities takes milliseconds."""
    global _default_tls
    if _default_tls is None:
        _default_tls = ssl.create_default_context()
    return _default_tls


class SystemNetwork:
    """The network of this machine."""

    def __init__(self) -> None:
        # Enumerating takes 0.2 ms; a burst of connections asks once.
        self._interfaces: list[Interface] = []
        self._fresh_until = -1.0

    def interfaces(self) -> list[Interface]:
        """All addresses, loopback included, link-local IPv6 excluded; at most a second old."""
        now = asyncio.get_running_loop().time()
        if not self._interfaces or not self._fresh_until - _INTERFACES_FRESH <= now < self._fresh_until:
            self._interfaces = read_interfaces()
            self._fresh_until = now + _INTERFACES_FRESH
        return list(self._interfaces)

    def source_address(self, host: str) -> str | None:
        """The local address that the routing table gives; connecting a UDP socket sends nothing."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((host, 9))
                return str(sock.getsockname()[0])
        except OSError:
            return None

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        """Bind a UDP socket; suspends only on loops without `add_reader`."""
        loop = asyncio.get_running_loop()
        sock = bind_socket(host, port, socket.SOCK_DGRAM, port_range)
        try:
            return UdpSocket(sock, receiver, loop)
        except NotImplementedError:
            _, protocol = await loop.create_datagram_endpoint(
                lambda: _TransportUdpSocket(receiver), sock=sock
            )
            return protocol
        except BaseException:
            sock.close()
            raise

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
        """Connect a TCP or TLS stream."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: _Stream(receiver),
            host,
            port,
            ssl=tls,
            server_hostname=(server_hostname or host) if tls is not None else None,
            ssl_shutdown_timeout=_LAST_WORDS if tls is not None else None,
            local_addr=(local_host, 0) if local_host is not None else None,
        )
        return protocol

    async def listen_stream(
        self,
        host: str,
        port: int,
        acceptor: Callable[[StreamSocket], StreamReceiver],
        *,
        port_range: tuple[int, int] | None = None,
    ) -> StreamListener:
        """Listen for TCP streams."""
        loop = asyncio.get_running_loop()
        sock = bind_socket(host, port, socket.SOCK_STREAM, port_range)
        return _Listener(await loop.create_server(lambda: _Stream(acceptor=acceptor), sock=sock))

    async def resolve(self, host: str, family: Family | None = None) -> list[str]:
        """Addresses by the system's resolver, ``.local`` names by mDNS."""
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return [str(literal)]
        if host.lower().endswith(".local"):
            return await mdns.resolve(host)
        kinds = {None: socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
        return await lookups.resolve(host, kinds[family])

    async def publish_name(self, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Publish a fresh ``.local`` name."""
        return await mdns.publish(address)

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Netlink on Linux, polling elsewhere; one watcher per loop however many ask."""

        def changed() -> None:
            self._fresh_until = -1.0
            callback()

        return watch.watch(asyncio.get_running_loop(), read_interfaces, changed, self.interfaces())


def read_interfaces() -> list[Interface]:
    """Ask the system now."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text.partition("%")[0])
            if address.is_unspecified or (address.version == 6 and address.is_link_local):
                continue
            found.append(
                Interface(
                    name=adapter.nice_name,
                    address=str(address),
                    prefix_length=ip.network_prefix,
                    family="ipv6" if address.version == 6 else "ipv4",
                    is_loopback=address.is_loopback,
                )
            )
    return found


def bind_socket(
    host: str, port: int, kind: socket.SocketKind, port_range: tuple[int, int] | None
) -> socket.socket:
    """A bound, non-blocking socket; inside a range the first try is random, so that agents spread.

    Raises:
        OSError: the address is not ours, or no port is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if port or port_range is None:
            sock.bind((host, port))
            return sock
        first, last = port_range
        start = random.randint(first, last)
        for candidate in (*range(start, last + 1), *range(first, start)):
            try:
                sock.bind((host, candidate))
            except OSError:
                continue
            return sock
        raise OSError(f"no free port in {first}-{last} on {host}")
    except BaseException:
        sock.close()
        raise
