"""A path of little bandwidth between our end and a real one: a network around the system's, without rights or tools."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rtcpeer.net.network import Address, DatagramReceiver, DatagramSocket
from rtcpeer.testing import OutageNetwork

# What IP and UDP add to a datagram.
HEADERS = 28


class Direction:
    """One way: datagrams leave one behind the other at a rate; those that the buffer has no room for are lost.

    Attributes:
        rate: bit/s; None: at once.
        buffer: seconds of waiting.
        passed, size, lost: datagrams and bytes that got through, datagrams that did not.
        waits: how long each of those had to wait that were taken.
    """

    def __init__(self, buffer: float) -> None:
        self.rate: float | None = None
        self.buffer = buffer
        self.passed = self.size = self.lost = 0
        self.waits: list[float] = []
        self._busy_until = 0.0
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def carry(self, size: int, deliver: Callable[[], None]) -> None:
        """Deliver a datagram of this size when its turn has come."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._busy_until)
        if self.rate is None and not self._queue:
            self._pass(size)
            deliver()
            return
        if begins - now > self.buffer:
            self.lost += 1
            return
        self._pass(size)
        self.waits.append(begins - now)
        self._busy_until = begins + (8 * size / self.rate if self.rate else 0.0)
        self._queue.append((self._busy_until, deliver))
        if self._timer is None:
            self._timer = loop.call_at(self._busy_until, self._release)

    def _pass(self, size: int) -> None:
        self.passed += 1
        self.size += size

    def _release(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        while self._queue and self._queue[0][0] <= loop.time():
            self._queue.popleft()[1]()
        if self._queue:
            self._timer = loop.call_at(self._queue[0][0], self._release)


class BottleneckNetwork(OutageNetwork):
    """The system's network, whose datagrams pass a bottleneck in each direction.

    Args:
        buffer: of each, in seconds.

    Attributes:
        up, down: from our end, and to it.
    """

    def __init__(self, buffer: float = 0.1) -> None:
        super().__init__()
        self.up, self.down = Direction(buffer), Direction(buffer)

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        """See `Network.open_udp`."""

        def receive(data: bytes, address: Address) -> None:
            self.down.carry(len(data) + HEADERS, lambda: receiver(data, address))

        return Datagrams(self.up, await super().open_udp(host, port, receive, port_range=port_range))


class Datagrams:
    """A socket behind a bottleneck."""

    def __init__(self, up: Direction, socket: DatagramSocket) -> None:
        self._up, self._socket = up, socket

    @property
    def local_address(self) -> Address:
        """Of the socket."""
        return self._socket.local_address

    def send(self, data: bytes, address: Address) -> None:
        """Send when its turn has come."""
        self._up.carry(len(data) + HEADERS, lambda: self._socket.send(data, address))

    def close(self) -> None:
        """Close the socket; what waits is lost."""
        self._socket.close()
