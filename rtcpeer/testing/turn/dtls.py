"""The test server's DTLS: a UDP socket, and an association with each client on it (RFC 7350, RFC 8656 section 3.1).

Owns: the associations.  The messages in them are `turn`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable

from OpenSSL import SSL

from rtcpeer.dtls.client import is_dtls
from rtcpeer.dtls.flight import Flight, written
from rtcpeer.dtls.records import is_clear_data
from rtcpeer.dtls.trust import server_connection
from rtcpeer.net.network import Address, DatagramSocket
from rtcpeer.testing.turn.allocation import ClientPath
from rtcpeer.testing.turn.settings import TurnFaults

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RTO = 0.25
_RTO_LIMIT = 2.0
_READ_SIZE = 16384
_MAX_CLIENTS = 1000


class ServerChannel:
    """A DTLS association, as its server: clients show no certificate, and nobody forges anything here.

    Args:
        connection: of pyOpenSSL, over memory buffers.
        send: puts one datagram on the way.
        receive: gets the plain content of each datagram.
        on_end: called once when the client has ended what was open.

    Attributes:
        is_open: whether the handshake is over.
    """

    def __init__(
        self,
        connection: SSL.Connection,
        *,
        send: Callable[[bytes], None],
        receive: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._ssl: SSL.Connection | None = connection
        self._send = send
        self._receive = receive
        self._on_end = on_end
        self._flight = Flight(connection, send, first_rto=lambda: _RTO, rto_max=_RTO_LIMIT)
        self.is_open: bool = False

    def write(self, data: bytes) -> None:
        """Send one datagram; lost when there is no association (any more), as datagrams are."""
        connection = self._ssl
        if connection is not None and self.is_open:
            try:
                connection.send(data)
            except SSL.Error:
                return  # too large, or just ended by the client, which is told when that is read
            for datagram in written(connection):
                self._send(datagram)

    def received_untrusted(self, data: bytes) -> None:
        """Take one datagram from the client's address."""
        connection = self._ssl
        if connection is None or not is_dtls(data):
            return
        if not self.is_open:
            if not is_clear_data(data):
                connection.bio_write(data)
                self._handshake(connection)
                self._read()
            return
        connection.bio_write(data)
        self._read()
        if data[0] == _HANDSHAKE and not self._flight.flush():
            # the client repeats itself: it has not had our last flight
            self._flight.send()

    def close(self) -> None:
        """Say goodbye."""
        connection = self._ssl
        if connection is not None:
            # it may be too early for a goodbye
            with contextlib.suppress(SSL.Error):
                connection.shutdown()
            self._flight.flush()
        self._end()

    def _handshake(self, connection: SSL.Connection) -> None:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            self._flight.flush()
        except SSL.Error:
            self._flight.flush()  # the alert that tells the client why
            self._end()
        else:
            self._flight.flush()
            self._flight.settle()
            self.is_open = True

    def _read(self) -> None:
        while self._ssl is not None and self.is_open:
            try:
                data = self._ssl.recv(_READ_SIZE)
            except SSL.WantReadError:
                return
            except SSL.Error:
                # a goodbye or an alert; a damaged record is dropped by OpenSSL without a word
                self._end()
                self._on_end()
                return
            self._receive(data)

    def _end(self) -> None:
        self._flight.forget()
        self._ssl = None


class DtlsServerSocket:
    """A listening socket.

    Args:
        certificate: and its key, PEM.
        faults: a server that is silent does not even shake hands.
        handle: gets (key, path, message) of every message.
        closed: called with the key when a client is gone.
    """

    def __init__(
        self,
        certificate: tuple[str, str],
        faults: TurnFaults,
        handle: Callable[[Hashable, ClientPath, bytes], None],
        closed: Callable[[Hashable], None],
    ) -> None:
        self._certificate = certificate
        self._faults = faults
        self._handle = handle
        self._closed = closed
        self._clients: dict[Address, _Client] = {}
        self.socket: DatagramSocket | None = None

    @property
    def local_address(self) -> Address:
        """The address that it listens at."""
        return self.socket.local_address if self.socket is not None else ("", 0)

    def receive(self, data: bytes, source: Address) -> None:
        """The socket's receiver."""
        if self._faults.silent or self.socket is None or not data:
            return
        client = self._clients.get(source)
        hello = data[0] == _HANDSHAKE and data[3:5] == b"\0\0" and data[13:14] == bytes((_CLIENT_HELLO,))
        if hello and client is not None and client.channel.is_open:
            self._forget(client)  # the port belongs to another association now
            client = None
        if client is None:
            if not hello or len(self._clients) >= _MAX_CLIENTS:
                return
            client = self._clients[source] = self._meet(self.socket, source)
        client.channel.received_untrusted(data)

    def _meet(self, socket: DatagramSocket, source: Address) -> _Client:
        client = _Client(source)
        client.channel = ServerChannel(
            server_connection(*self._certificate),
            send=lambda datagram: socket.send(datagram, source),
            receive=lambda message: self._handle(client, client, message),
            on_end=lambda: self._forget(client),
        )
        return client

    def _forget(self, client: _Client) -> None:
        if self._clients.get(client.address) is client:
            del self._clients[client.address]
            client.channel.close()
            self._closed(client)

    def close(self) -> None:
        """Stop: nobody is told, as when a process ends."""
        if self.socket is not None:
            self.socket.close()
        for client in list(self._clients.values()):
            self._forget(client)


class _Client:
    """A client of the DTLS socket, and the way back to it."""

    transport = "dtls"
    is_stream = False
    channel: ServerChannel

    def __init__(self, address: Address) -> None:
        self.address = address

    def send(self, data: bytes) -> None:
        """Send one message to the client."""
        self.channel.write(data)
