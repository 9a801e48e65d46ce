"""Bases of local candidates: the sockets that datagrams leave and arrive by, and what the bases of one agent share.

Owns: first-byte classification (RFC 7983) and per-pair counters of received data: the hot path in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rtcpeer.ice.pair import Pair
from rtcpeer.net.network import Address, DatagramSocket
from rtcpeer.net.offload import split

if TYPE_CHECKING:
    from rtcpeer.dtls.client import DtlsChannel
    from rtcpeer.ice.pair import Base


class BaseContext:
    """Callbacks and settings that all bases of one agent share.

    Attributes:
        receiver: gets every datagram that is not STUN; None while nobody listens.
        run_receiver: gets those that came together over one path; None: each goes to `receiver`.
        clock: the loop's time.
        on_stun: called with (base, data, address).
        on_wake: called with the pair when data arrives after its silence.
        wake_after: how long that is.
        on_unreachable: called with (base, address) when the network refuses the way there.
        is_early: asked with (base, address) whether data that belongs to no pair yet is delivered nevertheless.
    """

    __slots__ = (
        "clock",
        "is_early",
        "on_stun",
        "on_unreachable",
        "on_wake",
        "receiver",
        "run_receiver",
        "wake_after",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        on_stun: Callable[[Base, bytes, Address], None],
        on_wake: Callable[[Pair], None],
        on_unreachable: Callable[[Base, Address], None],
        is_early: Callable[[Inlet, Address], bool],
        wake_after: float,
    ) -> None:
        self.receiver: Callable[[bytes], None] | None = None
        self.run_receiver: Callable[[list[bytes]], None] | None = None
        self.clock: Callable[[], float] = clock
        self.on_stun: Callable[[Base, bytes, Address], None] = on_stun
        self.on_wake: Callable[[Pair], None] = on_wake
        self.on_unreachable: Callable[[Base, Address], None] = on_unreachable
        self.is_early: Callable[[Inlet, Address], bool] = is_early
        self.wake_after: float = wake_after


class Inlet:
    """The receiving half of a base."""

    __slots__ = ("address", "associations", "pipe", "routes", "users")

    protocol: str = "udp"

    def __init__(self, pipe: BaseContext, address: Address) -> None:
        self.pipe: BaseContext = pipe
        self.address: Address = address
        # Remote address -> the pair that its data belongs to; only authenticated checks put entries here.
        self.routes: dict[Address, Pair] = {}
        # The local halves of generations that use it; it is closed when the last one is gone.
        self.users: set[object] = set()
        # Address of a server that is asked over DTLS -> the association with it.
        self.associations: dict[Address, DtlsChannel] = {}

    @property
    def send(self) -> Callable[[bytes, Address], None]:
        """The function that sends one datagram or loses it."""
        raise NotImplementedError

    def send_segments(self, data: bytes, size: int, address: Address) -> None:
        """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""
        for datagram in split(data, size):
            self.send(datagram, address)

    def arrived(self, data: bytes, address: Address) -> None:
        """Not STUN: data, if it comes from a path that a check has validated."""
        pair = self.routes.get(address)
        pipe = self.pipe
        if pair is None:
            association = self.associations.get(address)
            if association is not None:
                association.received_untrusted(data)
            elif pipe.receiver is not None and pipe.is_early(self, address):
                pipe.receiver(data)
            return
        pair.packets_received += 1
        pair.bytes_received += len(data)
        now = pipe.clock()
        silence, pair.heard_at = now - pair.heard_at, now
        if silence >= pipe.wake_after:
            pipe.on_wake(pair)
        receiver = pipe.receiver
        if receiver is not None:
            receiver(data)


class SocketBase(Inlet):
    """A UDP socket on a local address; `send` is the socket's own."""

    __slots__ = ("_socket", "send")

    relay_protocol = None

    send: Callable[[bytes, Address], None]

    def attach(self, socket: DatagramSocket) -> None:
        """The socket is open."""
        self._socket = socket
        self.address = socket.local_address
        self.send = socket.send
        deliver_runs = getattr(socket, "deliver_runs", None)
        if deliver_runs is not None:
            deliver_runs(self.received_run)

    def prepare(self, address: Address) -> None:
        """A socket needs no permission."""

    def send_segments(self, data: bytes, size: int, address: Address) -> None:
        """Send datagrams of one size, in one call where the socket can."""
        send = getattr(self._socket, "send_segments", None)
        if send is not None:
            send(data, size, address)
        else:
            super().send_segments(data, size, address)

    def received(self, data: bytes, address: Address) -> None:
        """The socket's receiver."""
        if data:
            if data[0] > 3:
                self.arrived(data, address)
            else:
                self.pipe.on_stun(self, data, address)

    def received_run(self, datagrams: list[bytes], address: Address) -> None:
        """Datagrams of one source that came together."""
        pair = self.routes.get(address)
        receiver = self.pipe.run_receiver
        if pair is None or receiver is None or min(datagrams) < b"\x04":
            for datagram in datagrams:
                self.received(datagram, address)
            return
        pair.packets_received += len(datagrams)
        pair.bytes_received += sum(map(len, datagrams))
        now = self.pipe.clock()
        silence, pair.heard_at = now - pair.heard_at, now
        if silence >= self.pipe.wake_after:
            self.pipe.on_wake(pair)
        receiver(datagrams)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
