"""A path to a TURN server: a socket or stream of its own, the client on it, the relayed addresses behind it.

Owns: the I/O of one allocation from its first packet to its release.  One attempt is one object; redirects
and second tries make new ones.
"""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL

from rtcpeer.dtls.client import DtlsChannel
from rtcpeer.ice.agent.sockets import BaseContext, Inlet
from rtcpeer.ice.candidates import is_ipv6
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, DatagramSocket, StreamSocket
from rtcpeer.records import record
from rtcpeer.turn.client import NEVER, Allocated, Lost, Refused, Released, TurnClient


class RelayPath:
    """A relay path: one allocation and the way to its server.

    Args:
        url: of the server, as the user wrote it.
        key: what makes two paths interchangeable: URL, user name and credential.
        server: its address (for UDP: the only one that is listened to).
        relay_protocol: "udp" (DTLS included, for which W3C has no name), "tcp" or "tls".
        on_change: called when its deadlines may have changed.
        on_outcome: called with the first outcome of an attempt (also of `verify`).
        on_lost: called with the path when the allocation it had is gone.
    """

    def __init__(
        self,
        pipe: BaseContext,
        settings: IceSettings,
        *,
        url: str,
        key: tuple[str, str, str],
        server: Address,
        relay_protocol: str,
        on_change: Callable[[], None],
        on_lost: Callable[[RelayPath], None],
        timeout: float,
    ) -> None:
        self._pipe = pipe
        self.url = url
        self.key = key
        self.server = server
        self.relay_protocol = relay_protocol
        self._on_change = on_change
        self._on_lost = on_lost
        self.on_outcome: Callable[[Allocated | Refused | Lost], None] | None = None
        self.on_released: Callable[[], None] | None = None
        self._rto = settings.server_rto
        self.users: set[object] = set()
        self.bases: dict[bool, RelayBase] = {}
        self.mapped: Address | None = None
        self.local_address: Address | None = None
        self.release_deadline = NEVER
        self._socket: DatagramSocket | None = None
        self._stream: StreamSocket | None = None
        self._secure: DtlsChannel | None = None
        self.client = TurnClient(
            username=key[1],
            password=key[2],
            send=self._write,
            receive_data=self._from_peer,
            reliable=relay_protocol != "udp",
            ipv6=settings.relay_ipv6 and settings.ipv6,
            rto=settings.server_rto,
            timeout=timeout,
            keepalive=settings.keepalive,
        )

    # -- the way to the server ---------------------------------------------------------------------

    def attach_socket(self, socket: DatagramSocket) -> None:
        """Use a UDP socket."""
        self._socket = socket
        self.local_address = socket.local_address

    async def secure(self, socket: DatagramSocket, connect: Callable[[], SSL.Connection]) -> None:
        """Use a UDP socket with DTLS on it, whose handshake this waits for.

        Raises:
            OSError: there is no association (ssl.SSLError is one).
        """
        self.attach_socket(socket)
        self._secure = DtlsChannel(
            connect,
            send=lambda datagram: socket.send(datagram, self.server),
            receive=self._message_received,
            on_end=lambda: self._path_ended("the server closed the association"),
            rto=self._rto,
        )
        self._secure.start()
        await self._secure.opened

    def attach_stream(self, stream: StreamSocket) -> None:
        """Use a TCP or TLS stream."""
        self._stream = stream
        self.local_address = stream.local_address

    def _write(self, data: bytes) -> None:
        if self._secure is not None:
            self._secure.write(data)
        elif self._socket is not None:
            self._socket.send(data, self.server)
        elif self._stream is not None:
            self._stream.write(data)

    def datagram_received(self, data: bytes, address: Address) -> None:
        """The UDP socket's receiver; only the server is listened to."""
        if address != self.server or not data:
            return
        if self._secure is not None:
            self._secure.received_untrusted(data)
        else:
            self._message_received(data)

    def _message_received(self, data: bytes) -> None:
        if data[0] & 0xC0 == 0x40:
            self.client.receive_channel_data_untrusted(data)
        else:
            self.client.receive_untrusted(self._pipe.clock(), data)
            self._drain()

    def stream_received(self, chunk: bytes | None) -> None:
        """The stream's receiver."""
        if chunk is None:
            self._path_ended("the server closed the connection")
        elif not self.client.feed_untrusted(self._pipe.clock(), chunk):
            self.client.path_lost("the server sent something that is not TURN")
            self.close()
        self._drain()

    def _path_ended(self, text: str) -> None:
        self.client.path_lost(text)
        self._drain()

    # -- what becomes of it ------------------------------------------------------------------------

    def start(self) -> None:
        """Ask for the allocation."""
        self.client.allocate(self._pipe.clock())
        self._drain()

    def verify(self) -> None:
        """Ask whether the allocation still stands."""
        self.client.verify(self._pipe.clock())
        self._drain()

    def prepare(self, peer: Address) -> None:
        """Permission for a peer."""
        self.client.prepare(self._pipe.clock(), peer)
        self._on_change()

    def bind(self, peer: Address) -> None:
        """Channel for a peer."""
        self.client.bind(self._pipe.clock(), peer)
        self._on_change()

    def release(self, deadline: float, on_released: Callable[[], None]) -> None:
        """Give the allocation back; `on_released` is called when it is gone or the deadline has come."""
        self.on_outcome = None
        self.release_deadline = deadline
        self.on_released = on_released
        self.client.release(self._pipe.clock())
        self._drain()

    def close(self) -> None:
        """Close the socket or stream."""
        if self._secure is not None:
            self._secure.close()
        if self._socket is not None:
            self._socket.close()
        if self._stream is not None:
            self._stream.close()

    def next_time(self) -> float:
        """When `tick` wants to be called."""
        return min(self.client.next_time(), self.release_deadline)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.client.tick(now)
        if now + 0.001 >= self.release_deadline:
            self._finish()
        self._drain()

    def _finish(self) -> None:
        self.release_deadline = NEVER
        self.close()
        done, self.on_released = self.on_released, None
        if done is not None:
            done()

    def _drain(self) -> None:
        events = self.client.events
        while events:
            event = events.pop(0)
            if isinstance(event, Released) or (
                self.on_released is not None and not isinstance(event, Allocated)
            ):
                self._finish()
                continue
            if isinstance(event, Allocated):
                self.mapped = event.mapped or self.mapped
                for address in event.relayed:
                    family = is_ipv6(address[0])
                    if family not in self.bases:
                        self.bases[family] = RelayBase(self._pipe, address, self, self.relay_protocol)
            outcome, self.on_outcome = self.on_outcome, None
            if outcome is not None:
                outcome(event)
            if isinstance(event, Lost):
                self._on_lost(self)
        self._on_change()

    def _from_peer(self, data: bytes, peer: Address) -> None:
        base = self.bases.get(":" in peer[0])
        if base is not None:
            base.received(data, peer)


@record(frozen=True, slots=True)
class RelayProblem:
    """Why an allocation is gone, or will end as it is not prolonged.

    Attributes:
        code, text: what the server said; 701 and a text of ours for its silence.
        is_gone: it is gone already.
    """

    code: int
    text: str
    is_gone: bool


class RelayBase(Inlet):
    """A relayed address on a TURN server."""

    __slots__ = ("_path", "relay_protocol")

    def __init__(self, pipe: BaseContext, address: Address, path: RelayPath, relay_protocol: str) -> None:
        super().__init__(pipe, address)
        self._path = path
        self.relay_protocol = relay_protocol

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram through the server."""
        self._path.client.send_data(self.pipe.clock(), data, address)

    @property
    def problem(self) -> RelayProblem | None:
        """The problem of the allocation behind it; None while there is none."""
        problem = self._path.client.problem
        if problem is None:
            return None
        return RelayProblem(*problem, is_gone=self._path.client.phase == "gone")

    def verify(self) -> None:
        """Ask the server whether the allocation still stands."""
        self._path.verify()

    def prepare(self, address: Address) -> None:
        """Ask for the permission now, so that the first check need not wait for it."""
        self._path.prepare(address)

    def bind(self, address: Address) -> None:
        """Give this peer a channel, as it was selected."""
        self._path.bind(address)

    def received(self, data: bytes, address: Address) -> None:
        """A datagram from a peer, unwrapped."""
        if data:
            if data[0] > 3:
                self.arrived(data, address)
            else:
                self.pipe.on_stun(self, data, address)
