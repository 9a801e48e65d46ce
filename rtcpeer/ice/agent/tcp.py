"""ICE over TCP (RFC 6544): bases whose datagrams travel in frames of RFC 4571 over streams.

Owns: the streams of one local TCP candidate.  An active base connects to a remote passive candidate when the
first check goes there; a passive one listens, and knows its peers by the checks they send.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from rtcpeer.ice.agent.sockets import BaseContext, Inlet
from rtcpeer.net.network import Address, Network, StreamListener, StreamReceiver, StreamSocket

# Frames kept while a connection is being made; more than a check and its repetitions nobody needs.
_QUEUE = 4
_CONNECT_TIMEOUT = 8.0
# Streams of a passive base. One that was never answered (strangers are not: they know no password) makes room for a
# new one, and is closed after this time.
_MAX_STREAMS = 64
_STRANGER_TIME = 10.0

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class _Framed:
    """A stream, cut into datagrams by two-byte lengths.

    Attributes:
        queue: what waits for the connection.
        stream: None until there is one.
        is_answered: something was sent to it; on a passive base that means that it has proved whose it is.
        timer: of an accepted stream: when it has to have been answered.
    """

    __slots__ = ("_base", "_buffer", "address", "is_answered", "queue", "stream", "timer")

    def __init__(self, base: TcpBase, address: Address) -> None:
        self._base = base
        self._buffer = bytearray()
        self.address = address
        self.queue: list[bytes] = []
        self.stream: StreamSocket | None = None
        self.is_answered = False
        self.timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes) -> None:
        """Send one frame, or put it in the queue until there is a connection."""
        self.is_answered = True
        if self.stream is not None:
            self.stream.write(len(data).to_bytes(2, "big") + data)
        elif len(self.queue) < _QUEUE:
            self.queue.append(data)

    def attach(self, stream: StreamSocket) -> None:
        """Connected: what waited goes out."""
        self.stream = stream
        queue, self.queue = self.queue, []
        for data in queue:
            self.send(data)

    def received(self, chunk: bytes | None) -> None:
        """The stream's receiver."""
        if chunk is None:
            self._base.stream_ended(self)
            return
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= 2:
            end = 2 + (buffer[0] << 8 | buffer[1])
            if len(buffer) < end:
                return
            frame = bytes(buffer[2:end])
            del buffer[:end]
            self._base.received(frame, self.address)


class TcpBase(Inlet):
    """A local TCP candidate: active (connects) or passive (listens)."""

    __slots__ = ("_listener", "_network", "_spawn", "_streams", "is_active", "is_closed")

    protocol = "tcp"
    relay_protocol = None

    def __init__(
        self, pipe: BaseContext, host: str, network: Network, spawn: Spawn, *, is_active: bool
    ) -> None:
        # An active candidate has no port of its own: RFC 6544 4.5 writes 9.
        super().__init__(pipe, (host, 9))
        self._network = network
        self._spawn = spawn
        self._streams: dict[Address, _Framed] = {}
        self._listener: StreamListener | None = None
        self.is_active = is_active
        self.is_closed = False

    async def listen(self, port_range: tuple[int, int] | None) -> None:
        """Passive: open the listening socket.

        Raises:
            OSError: it can not be opened.
        """
        self._listener = await self._network.listen_stream(
            self.address[0], 0, self._accept, port_range=port_range
        )
        self.address = self._listener.local_address

    def _accept(self, stream: StreamSocket) -> StreamReceiver:
        framed = _Framed(self, stream.remote_address)
        if self.is_closed or not self._make_room():
            stream.close()
        else:
            self._streams[framed.address] = framed
            framed.timer = asyncio.get_running_loop().call_later(_STRANGER_TIME, self._judge, framed)
            framed.attach(stream)
        return framed.received

    def _make_room(self) -> bool:
        """Whether there may be one more stream; the oldest stranger, of the host that has most of them, goes for it."""
        if len(self._streams) < _MAX_STREAMS:
            return True
        strangers = [framed for framed in self._streams.values() if not framed.is_answered]
        if not strangers:
            return False
        hosts = Counter(framed.address[0] for framed in strangers)
        most = max(hosts.values())
        self._drop(next(framed for framed in strangers if hosts[framed.address[0]] == most))
        return True

    def _judge(self, framed: _Framed) -> None:
        """The time that a connection has to prove itself is over."""
        if not framed.is_answered:
            self._drop(framed)

    def _drop(self, framed: _Framed) -> None:
        self._forget(framed)
        if framed.stream is not None:
            framed.stream.close()

    def _forget(self, framed: _Framed) -> None:
        if framed.timer is not None:
            framed.timer.cancel()
        if self._streams.get(framed.address) is framed:
            del self._streams[framed.address]

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram to a peer; an active base connects to it first."""
        framed = self._streams.get(address)
        if framed is None:
            if not self.is_active or self.is_closed:
                return
            framed = self._streams[address] = _Framed(self, address)
            self._spawn(self._connect(framed))
        framed.send(data)

    async def _connect(self, framed: _Framed) -> None:
        host, port = framed.address
        try:
            opening = self._network.open_stream(
                host, port, receiver=framed.received, local_host=self.address[0]
            )
            stream = await asyncio.wait_for(opening, _CONNECT_TIMEOUT)
        except OSError:
            # TimeoutError is one.  The next check to this address tries again.
            self._streams.pop(framed.address, None)
            if not self.is_closed:
                self.pipe.on_unreachable(self, framed.address)
            return
        if self.is_closed:
            stream.close()
        else:
            framed.attach(stream)

    def prepare(self, address: Address) -> None:
        """A connection is made by the first check."""

    def stream_ended(self, framed: _Framed) -> None:
        """The other side closed it."""
        was_known = self._streams.get(framed.address) is framed
        self._forget(framed)
        if was_known and self.is_active and not self.is_closed:
            self.pipe.on_unreachable(self, framed.address)

    def received(self, data: bytes, address: Address) -> None:
        """Deliver one frame."""
        if data and not self.is_closed:
            if data[0] > 3:
                self.arrived(data, address)
            else:
                self.pipe.on_stun(self, data, address)

    def close(self) -> None:
        """Close all streams."""
        self.is_closed = True
        if self._listener is not None:
            self._listener.close()
        for framed in list(self._streams.values()):
            self._drop(framed)
