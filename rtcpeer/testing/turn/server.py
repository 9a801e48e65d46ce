"""An embedded STUN/TURN server, for tests and demonstrations.

    async with TurnServer(users={"user": "pass"}) as server:
        pc = RTCPeerConnection(iceServers=server.ice_servers)

It listens on UDP, TCP, TLS and DTLS, on real sockets or on a `VirtualNetwork`, knows long-term and time-limited
credentials, can be told to misbehave (`server.faults`), counts (`server.counters`) and shows what it has
given away (`server.allocations`).

Owns: listening sockets, connections, URLs.  The answers come from `service`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from rtcpeer.net.current import current_network
from rtcpeer.net.network import Address, DatagramSocket, Network, StreamListener, StreamReceiver, StreamSocket
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing.clock import wall_time
from rtcpeer.testing.net.tls import CertificateAuthority, TlsStream
from rtcpeer.testing.turn.allocation import Allocation, ClientPath
from rtcpeer.testing.turn.dtls import DtlsServerSocket
from rtcpeer.testing.turn.service import TurnService
from rtcpeer.testing.turn.settings import TurnCounters, TurnFaults, TurnSettings, rest_password
from rtcpeer.turn.framing import Frames

Transport = Literal["udp", "tcp", "tls", "dtls"]

# RFC 7065 section 3.2 and RFC 8656 section 18: where virtual servers listen unless told otherwise
WELL_KNOWN_PORTS: dict[str, int] = {"udp": 3478, "tcp": 3478, "tls": 5349, "dtls": 5349}
PORT_ATTEMPTS = 20

__all__ = ["Allocation", "TurnCounters", "TurnFaults", "TurnServer", "TurnSettings"]


class TurnServer:
    """A STUN/TURN server inside this event loop.

    Args:
        users: user name -> password.
        secret: shared secret for time-limited credentials (see `rest_credentials`).
        transports: what clients may use: "udp", "tcp", "tls", "dtls".
        network: whose sockets to use; by default the one in force (``rtcpeer.net.current.current_network``).
        hosts: addresses to listen on. Default: 127.0.0.1, or all addresses of a virtual host.
        hostname: what stands in URLs and in the certificate instead of the first address.
        ports: transport -> port. Default: any free one; on a virtual network the well-known ones.
        relay_hosts: addresses to relay from, one per family. Default: from `hosts`.
        authority: signs the certificate for "tls" and "dtls". Default: a new one, see `client_context`.
        settings: further settings; `users`, `secret` and `realm` given here win.
        realm: authentication realm.

    Attributes:
        settings, faults, counters: may be read and changed at any time.
    """

    def __init__(
        self,
        users: Mapping[str, str] | None = None,
        *,
        secret: str | None = None,
        transports: Iterable[Transport] = ("udp",),
        network: Network | None = None,
        hosts: Iterable[str] | None = None,
        hostname: str | None = None,
        ports: Mapping[str, int] | None = None,
        relay_hosts: Iterable[str] | None = None,
        authority: CertificateAuthority | None = None,
        settings: TurnSettings | None = None,
        realm: str | None = None,
    ) -> None:
        self.transports: tuple[Transport, ...] = tuple(transports)
        unknown = set(self.transports) - set(WELL_KNOWN_PORTS)
        if unknown or not self.transports:
            raise ValueError(f"transports are some of 'udp', 'tcp', 'tls', 'dtls', not {self.transports!r}")
        self.settings: TurnSettings = settings or TurnSettings()
        self.settings.users.update(users or {})
        if secret is not None:
            self.settings.secret = secret
        if realm is not None:
            self.settings.realm = realm
        self.faults: TurnFaults = TurnFaults()
        self.counters: TurnCounters = TurnCounters()
        self.hostname = hostname
        self._network = network or current_network.get()
        self._hosts: tuple[str, ...] = tuple(hosts or ())
        self._relay_hosts = tuple(relay_hosts or ())
        is_real = isinstance(self._network, SystemNetwork)
        self._ports: dict[str, int] = {t: 0 if is_real else WELL_KNOWN_PORTS[t] for t in self.transports}
        self._ports.update(ports or {})
        self._authority = authority
        self._tls: ssl.SSLContext | None = None
        # certificate and key
        self._dtls: tuple[str, str] | None = None
        self._service: TurnService | None = None
        self._sockets: list[DatagramSocket | DtlsServerSocket | StreamListener] = []
        self._connections: set[_Connection] = set()

    def __repr__(self) -> str:
        state = "stopped" if self._service is None else f"{len(self.allocations)} allocations"
        return f"<TurnServer {self.host} {dict(self._ports)} {state}>"

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. After `kill` or `close` it may be started again: on the same ports, with no memory."""
        if self._service is not None:
            return
        if not self._hosts:
            self._hosts = self._default_hosts()
        relay: dict[str, str] = {}
        for host in self._relay_hosts or self._hosts:
            relay.setdefault("ipv6" if ":" in host else "ipv4", host)
        names = [*([self.hostname] if self.hostname else []), *self._hosts]
        if "tls" in self.transports and self._tls is None:
            self._tls = self.authority.server_context(names)
        if "dtls" in self.transports and self._dtls is None:
            self._dtls = self.authority.issue(names)
        self._service = TurnService(self._network, relay, self.settings, self.faults, self.counters)
        try:
            for transport in self.transports:
                await self._listen(transport)
        except BaseException:
            await self.close()
            raise

    def kill(self) -> None:
        """Vanish at once, as a crashed process would: sockets closed, allocations forgotten, nobody told."""
        self._stop().close()

    async def close(self) -> None:
        """Stop; ends when no socket and no task is left."""
        await self._stop()

    def _stop(self) -> Any:
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.close()
        for connection in list(self._connections):
            connection.close()
        service, self._service = self._service, None
        return service.close() if service is not None else _nothing()

    def _default_hosts(self) -> tuple[str, ...]:
        if isinstance(self._network, SystemNetwork):
            return ("127.0.0.1",)
        return tuple(i.address for i in self._network.interfaces() if not i.is_loopback) or ("127.0.0.1",)

    async def _listen(self, transport: Transport) -> None:
        """Listen on the same port of all hosts, so that one URL fits them all."""
        wanted = self._ports[transport]
        for attempt in range(PORT_ATTEMPTS):
            opened: list[DatagramSocket | DtlsServerSocket | StreamListener] = []
            port = wanted
            try:
                for host in self._hosts:
                    opened.append(await self._open(transport, host, port))
                    port = opened[0].local_address[1]
            except OSError:
                for socket in opened:
                    socket.close()
                if wanted or attempt == PORT_ATTEMPTS - 1:
                    raise
                continue
            self._sockets.extend(opened)
            self._ports[transport] = port
            return

    async def _open(
        self, transport: Transport, host: str, port: int
    ) -> DatagramSocket | DtlsServerSocket | StreamListener:
        if transport == "udp":
            listener = _UdpListener(self)
            socket = await self._network.open_udp(host, port, listener.receive)
            listener.socket = socket
            return socket
        if transport == "dtls" and self._dtls is not None:
            secured = DtlsServerSocket(self._dtls, self.faults, self._handle, self._path_closed)
            secured.socket = await self._network.open_udp(host, port, secured.receive)
            return secured
        context = self._tls if transport == "tls" else None

        def accept(stream: StreamSocket) -> StreamReceiver:
            connection = _Connection(self, transport, stream.remote_address)
            self._connections.add(connection)
            if context is None:
                connection.stream = stream
                return connection.receive
            tls = TlsStream(context, connection.receive, server_side=True)
            connection.stream = tls
            tls.handshaken.add_done_callback(connection.handshake_done)
            tls.start(stream)
            return tls.feed

        return await self._network.listen_stream(host, port, accept)

    # -- where it is -------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The host in URLs: the host name, or the first address, in brackets if need be."""
        host = self.hostname or (self._hosts[0] if self._hosts else "127.0.0.1")
        return f"[{host}]" if ":" in host else host

    def port(self, transport: Transport = "udp") -> int:
        """The port of a transport."""
        return self._ports[transport]

    @property
    def stun_url(self) -> str:
        """``stun:`` URL (over UDP)."""
        return f"stun:{self.host}:{self._ports[self._default_transport]}"

    @property
    def stuns_url(self) -> str:
        """``stuns:`` URL (over DTLS)."""
        return f"stuns:{self.host}:{self._ports['dtls']}"

    @property
    def turn_url(self) -> str:
        """``turn:`` URL over UDP, or over the first transport where there is no UDP."""
        return self.turn_urls[self._default_transport]

    @property
    def turn_urls(self) -> dict[Transport, str]:
        """Transport -> ``turn:`` or ``turns:`` URL."""
        urls: dict[Transport, str] = {}
        for transport in self.transports:
            scheme = "turns" if transport in ("tls", "dtls") else "turn"
            query = "udp" if transport in ("udp", "dtls") else "tcp"
            urls[transport] = f"{scheme}:{self.host}:{self._ports[transport]}?transport={query}"
        return urls

    @property
    def _default_transport(self) -> Transport:
        return "udp" if "udp" in self.transports else self.transports[0]

    @property
    def ice_servers(self) -> list[dict[str, Any]]:
        """For ``RTCConfiguration.iceServers``: the STUN URL and all TURN URLs, with a user that exists."""
        servers: list[dict[str, Any]] = []
        if "udp" in self.transports:
            servers.append({"urls": [self.stun_url]})
        username, credential = self.credentials()
        if username:
            servers.append(
                {"urls": list(self.turn_urls.values()), "username": username, "credential": credential}
            )
        return servers

    def ice_server(self, transport: Transport = "udp") -> dict[str, Any]:
        """An entry for ``iceServers``: TURN over this transport."""
        username, credential = self.credentials()
        return {"urls": [self.turn_urls[transport]], "username": username, "credential": credential}

    def credentials(self) -> tuple[str, str]:
        """A user name and password that work: the first user's, or fresh time-limited ones."""
        for username, password in self.settings.users.items():
            return username, password
        if self.settings.secret is not None:
            return self.rest_credentials()
        return "", ""

    def rest_credentials(self, ttl: float = 3600.0, name: str = "user") -> tuple[str, str]:
        """Time-limited credentials, as an application's web service would make them from the secret.

        Raises:
            ValueError: the server has no secret.
        """
        if self.settings.secret is None:
            raise ValueError("TurnServer(secret=...) is needed for time-limited credentials")
        username = f"{int(wall_time() + ttl)}:{name}"
        return username, rest_password(self.settings.secret, username)

    # -- TLS ---------------------------------------------------------------------------------------

    @property
    def authority(self) -> CertificateAuthority:
        """The authority that signs the server's certificate."""
        if self._authority is None:
            self._authority = CertificateAuthority()
        return self._authority

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this server's certificate, for ``turns:`` and ``stuns:`` URLs."""
        return self.authority.client_context()

    # -- what it has done --------------------------------------------------------------------------

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The allocations that exist now."""
        return tuple(self._service.allocations.values()) if self._service is not None else ()

    def change_nonce(self) -> None:
        """Make all nonces stale: the next request of every client gets 438."""
        if self._service is not None:
            self._service.authenticator.change_nonce()

    async def released(self, timeout: float = 5.0) -> None:
        """Wait until no allocation is left.

        Raises:
            TimeoutError: some are left; they are named.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self.allocations:
            if loop.time() >= end:
                raise TimeoutError(f"still allocated after {timeout:g} s: {list(self.allocations)}")
            await asyncio.sleep(0.01)

    # -- messages ----------------------------------------------------------------------------------

    def _handle(self, key: Hashable, path: ClientPath, data: bytes) -> None:
        if self._service is not None:
            self._service.handle(key, path, data)

    def _connection_closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._path_closed(connection)

    def _path_closed(self, key: Hashable) -> None:
        if self._service is not None:
            self._service.path_closed(key)


async def _nothing() -> None:
    """Wait for nothing."""


class _UdpPath:
    """Back to a UDP client."""

    __slots__ = ("_socket", "address")
    transport = "udp"
    is_stream = False

    def __init__(self, socket: DatagramSocket, address: Address) -> None:
        self._socket = socket
        self.address = address

    def send(self, data: bytes) -> None:
        self._socket.send(data, self.address)


class _UdpListener:
    """One listening UDP socket."""

    def __init__(self, server: TurnServer) -> None:
        self._server = server
        self.socket: DatagramSocket | None = None

    def receive(self, data: bytes, source: Address) -> None:
        if self.socket is not None:
            self._server._handle((self, source), _UdpPath(self.socket, source), data)


class _Connection:
    """A TCP or TLS client: takes the stream apart into messages (RFC 8656 sections 3.1 and 12.5)."""

    is_stream = True

    def __init__(self, server: TurnServer, transport: Transport, address: Address) -> None:
        self._server = server
        self.transport: str = transport
        self.address = address
        self.stream: StreamSocket | None = None
        self._frames = Frames()

    def send(self, data: bytes) -> None:
        if self.stream is not None:
            self.stream.write(data)

    def receive(self, data: bytes | None) -> None:
        if data is None:
            self.close()
            return
        frames, good = self._frames.feed_untrusted(data)
        for frame in frames:
            self._server._handle(self, self, frame)
        if not good:
            self._server.counters.invalid += 1
            self.close()

    def handshake_done(self, handshake: asyncio.Future[None]) -> None:
        if handshake.cancelled() or handshake.exception() is not None:
            self.close()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self._server._connection_closed(self)
