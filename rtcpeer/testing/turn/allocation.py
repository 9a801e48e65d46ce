"""One TURN allocation: its relayed socket, permissions and channels (RFC 8656 sections 6, 9, 12).

Owns: the data path between one client and its peers.  Never: a request; `service` answers those.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from typing import Protocol

from rtcpeer.net.network import Address, DatagramSocket
from rtcpeer.testing.turn.settings import TurnCounters, TurnFaults
from rtcpeer.testing.turn.stun import Attribute, Kind, Method, ServerStunMessage

CHANNEL_HEADER = struct.Struct("!HH")


class ClientPath(Protocol):
    """The way back to a client: one 5-tuple."""

    @property
    def transport(self) -> str:
        """The transport of the client: "udp", "tcp", "tls" or "dtls"."""
        ...

    @property
    def address(self) -> Address:
        """The client's address as the server sees it."""
        ...

    @property
    def is_stream(self) -> bool:
        """Streams need ChannelData padded to four bytes."""
        ...

    def send(self, data: bytes) -> None:
        """Send one message."""
        ...


class Allocation:
    """The allocation that one client has been given.

    Attributes:
        username: who made it.
        client: address and transport of the client.
        relayed_address: the address that peers send to.
        expires_at: loop time.
        allocate_transaction, allocate_response: to answer a retransmitted Allocate request.
    """

    def __init__(
        self, path: ClientPath, username: str, key: bytes, counters: TurnCounters, faults: TurnFaults
    ) -> None:
        self._path = path
        self._counters = counters
        self._faults = faults
        self.username = username
        self.key = key
        self.transport: str = path.transport
        self.client: Address = path.address
        self.expires_at: float = 0.0
        self.allocate_transaction: bytes = b""
        self.allocate_response: bytes = b""
        self._socket: DatagramSocket | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # peer IP -> loop time until which it may send
        self._permissions: dict[str, float] = {}
        # channel number -> peer, peer -> channel number, channel number -> loop time of its end
        self._peers: dict[int, Address] = {}
        self._channels: dict[Address, int] = {}
        self._channel_ends: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<Allocation {self.transport} {self.client} -> {self.relayed_address} of {self.username!r}>"

    @property
    def relayed_address(self) -> Address:
        """The address that peers send to."""
        return self._socket.local_address if self._socket else ("", 0)

    @property
    def family(self) -> str:
        """The family of the relayed address: "ipv4" or "ipv6"."""
        return "ipv6" if ":" in self.relayed_address[0] else "ipv4"

    @property
    def lifetime(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.expires_at - self._loop.time())

    @property
    def permissions(self) -> frozenset[str]:
        """Peer IP addresses that may send now."""
        now = self._loop.time()
        return frozenset(ip for ip, end in self._permissions.items() if end > now)

    @property
    def channels(self) -> dict[int, Address]:
        """Channels that are bound now."""
        now = self._loop.time()
        return {n: peer for n, peer in self._peers.items() if self._channel_ends[n] > now}

    def attach(self, socket: DatagramSocket) -> None:
        """Take the relayed socket; its receiver is `from_peer`."""
        self._socket = socket

    def refresh(self, lifetime: float, on_expiry: Callable[[Allocation], None]) -> None:
        """Live this much longer from now."""
        if self._timer is not None:
            self._timer.cancel()
        self.expires_at = self._loop.time() + lifetime
        self._timer = self._loop.call_at(self.expires_at, on_expiry, self)

    def close(self) -> None:
        """Let go of the socket and the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()

    def permit(self, host: str, lifetime: float) -> None:
        """Install or refresh a permission."""
        self._permissions[host] = self._loop.time() + lifetime

    def bind(self, number: int, peer: Address, lifetime: float) -> bool:
        """Bind or refresh a channel; False when number or peer are bound otherwise (section 12.2)."""
        now = self._loop.time()
        if number in self._peers and self._channel_ends[number] <= now:
            self._unbind(number)
        other = self._channels.get(peer)
        if other is not None and other != number and self._channel_ends[other] <= now:
            self._unbind(other)
        if self._peers.get(number, peer) != peer or self._channels.get(peer, number) != number:
            return False
        self._peers[number], self._channels[peer] = peer, number
        self._channel_ends[number] = now + lifetime
        return True

    def _unbind(self, number: int) -> None:
        del self._channels[self._peers.pop(number)]
        del self._channel_ends[number]

    def to_peer_on_channel(self, number: int, data: bytes) -> None:
        """ChannelData from the client."""
        peer = self._peers.get(number)
        if peer is None or self._channel_ends[number] <= self._loop.time():
            self._counters.refused += 1
            return
        self.to_peer(peer, data)

    def to_peer(self, peer: Address, data: bytes) -> None:
        """Data from the client, in whatever wrapping."""
        if self._permissions.get(peer[0], 0.0) <= self._loop.time():
            self._counters.refused += 1
            return
        if self._faults.relay_nothing or self._faults.silent or self._socket is None:
            return
        self._counters.packets_to_peers += 1
        self._counters.bytes_to_peers += len(data)
        self._socket.send(data, peer)

    def from_peer(self, data: bytes, peer: Address) -> None:
        """Receiver of the relayed socket."""
        now = self._loop.time()
        if self._permissions.get(peer[0], 0.0) <= now:
            self._counters.refused += 1
            return
        if self._faults.relay_nothing or self._faults.silent:
            return
        self._counters.packets_to_clients += 1
        self._counters.bytes_to_clients += len(data)
        number = self._channels.get(peer)
        if number is not None and self._channel_ends[number] > now:
            wrapped = CHANNEL_HEADER.pack(number, len(data)) + data
            self._path.send(wrapped + bytes(-len(data) % 4) if self._path.is_stream else wrapped)
            return
        message = ServerStunMessage(Method.DATA, Kind.INDICATION, secrets.token_bytes(12))
        message.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data)
        self._path.send(message.to_bytes(fingerprint=False))
