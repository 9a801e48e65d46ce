"""Sockets of virtual hosts."""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.net.network import Address, DatagramReceiver, StreamReceiver, StreamSocket


class VirtualUdpSocket:
    """A `DatagramSocket`.

    Args:
        address: where it is bound.
        receiver: gets each datagram and its source.
        transmit: sends a datagram from an address to another.
        release: is called when the socket is closed.
    """

    __slots__ = ("_address", "_receiver", "_release", "_transmit")

    def __init__(
        self,
        address: Address,
        receiver: DatagramReceiver,
        transmit: Callable[[Address, Address, bytes], None],
        release: Callable[[], None],
    ) -> None:
        self._address = address
        self._receiver: DatagramReceiver | None = receiver
        self._transmit = transmit
        self._release = release

    def __repr__(self) -> str:
        return f"<VirtualUdpSocket {self._address}>"

    @property
    def local_address(self) -> Address:
        """The address that it is bound to."""
        return self._address

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram now or drop it."""
        if self._receiver is not None:
            self._transmit(self._address, (address[0], address[1]), bytes(data))

    def receive(self, data: bytes, source: Address) -> None:
        """A datagram has arrived for it."""
        if self._receiver is not None:
            self._receiver(data, source)

    def close(self) -> None:
        """Stop at once."""
        if self._receiver is not None:
            self._receiver = None
            self._release()


class VirtualListener:
    """A `StreamListener`.

    Args:
        address: where it listens.
        acceptor: gets each accepted stream and gives its receiver.
        release: is called when it is closed.
    """

    def __init__(
        self,
        address: Address,
        acceptor: Callable[[StreamSocket], StreamReceiver],
        release: Callable[[], None],
    ) -> None:
        self._address = address
        self.acceptor = acceptor
        self._release = release

    def __repr__(self) -> str:
        return f"<VirtualListener {self._address}>"

    @property
    def local_address(self) -> Address:
        """The address that it listens at."""
        return self._address

    def close(self) -> None:
        """Stop listening; accepted streams go on."""
        self._release()
