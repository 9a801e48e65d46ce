"""Sockets of virtual hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rtcpeer.net.current import Address, DatagramReceiver, StreamReceiver, StreamSocket
from rtcpeer.testing.net.packet import Packet

if TYPE_CHECKING:
    from rtcpeer.testing.net.host import Host

WILDCARDS = ("0.0.0.0", "::")


class VirtualUdpSocket:
    """A `DatagramSocket`."""

    __slots__ = ("_address", "_host", "_receiver")

    def __init__(self, host: Host, address: Address, receiver: DatagramReceiver) -> None:
        self._host = host
        self._address = address
        self._receiver: DatagramReceiver | None = receiver

    def __repr__(self) -> str:
        return f"<VirtualUdpSocket {self._host.name} {self._address}>"

    @property
    def local_address(self) -> Address:
        """Where it is bound."""
        return self._address

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram now or drop it."""
        if self._receiver is None:
            return
        source = self._address
        if source[0] in WILDCARDS:
            found = self._host.source_address(address[0])
            if found is None:
                return
            source = (found, source[1])
        if (":" in source[0]) == (":" in address[0]):
            self._host.transmit(Packet("udp", source, (address[0], address[1]), bytes(data)))

    def receive(self, packet: Packet) -> None:
        """A packet has arrived for it."""
        if self._receiver is not None:
            self._receiver(packet.data, packet.source)

    def close(self) -> None:
        """Stop at once."""
        if self._receiver is not None:
            self._receiver = None
            self._host.release("udp", self._address)


class VirtualListener:
    """A `StreamListener`."""

    def __init__(
        self, host: Host, address: Address, acceptor: Callable[[StreamSocket], StreamReceiver]
    ) -> None:
        self._host = host
        self._address = address
        self.acceptor = acceptor

    def __repr__(self) -> str:
        return f"<VirtualListener {self._host.name} {self._address}>"

    @property
    def local_address(self) -> Address:
        """Where it listens."""
        return self._address

    def close(self) -> None:
        """Stop listening; accepted streams go on."""
        self._host.release("tcp", self._address)
