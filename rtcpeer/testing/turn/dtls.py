"""The test server's DTLS: a UDP socket, and an association with each client on it (RFC 7350, RFC 8656 section 3.1).

Owns: the associations.  The messages in them are `turn`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.dtls.trust import server_connection
from rtcpeer.net.current import Address, DatagramSocket
from rtcpeer.testing.turn.allocation import ClientPath
from rtcpeer.testing.turn.settings import TurnFaults

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RTO = 0.25
_MAX_CLIENTS = 1000


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
        """Where it listens."""
        return self.socket.local_address if self.socket is not None else ("", 0)

    def receive(self, data: bytes, source: Address) -> None:
        """The socket's receiver."""
        if self._faults.silent or self.socket is None or not data:
            return
        client = self._clients.get(source)
        hello = data[0] == _HANDSHAKE and data[3:5] == b"\0\0" and data[13:14] == bytes((_CLIENT_HELLO,))
        if hello and client is not None and client.channel.opened.done():
            self._forget(client)  # the port belongs to another association now
            client = None
        if client is None:
            if not hello or len(self._clients) >= _MAX_CLIENTS:
                return
            client = self._clients[source] = self._meet(self.socket, source)
        client.channel.received_untrusted(data)

    def _meet(self, socket: DatagramSocket, source: Address) -> _Client:
        client = _Client(source)
        client.channel = DtlsChannel(
            server_connection(*self._certificate),
            send=lambda datagram: socket.send(datagram, source),
            receive=lambda message: self._handle(client, client, message),
            on_end=lambda: self._forget(client),
            rto=_RTO,
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
    """One client, and the way back to it."""

    transport = "dtls"
    is_stream = False
    channel: DtlsChannel

    def __init__(self, address: Address) -> None:
        self.address = address

    def send(self, data: bytes) -> None:
        """One message."""
        self.channel.write(data)
