"""Packets of one stream that were forwarded, kept for whoever asks for them again: one ring for all subscribers.

Bounded in packets and in bytes; subscribers keep only offsets (see `munging`). Pure.
"""

from __future__ import annotations

from rtcpeer.rtp.relay_packet import RelayPacket

# A second at 8 Mbit/s.
PACKETS = 1024
BYTES = 2_000_000


class History:
    """The last packets of a stream by their numbers.

    Args:
        packets: how many are kept, at most.
        size: how many bytes of payload are kept, at most.
    """

    __slots__ = ("_bytes", "_highest", "_lowest", "_packets", "_ring", "_size")

    def __init__(self, packets: int = PACKETS, size: int = BYTES) -> None:
        self._packets = packets
        self._size = size
        self._ring: list[RelayPacket | None] = [None] * packets
        self._bytes = 0
        self._lowest = 0
        self._highest = -1

    @property
    def bytes(self) -> int:
        """How many bytes of payload are kept."""
        return self._bytes

    def add(self, packet: RelayPacket) -> bool:
        """Keep a packet; False if it is here already, or too old to be kept."""
        number = packet.number
        if number < self._lowest:
            return False
        at = number % self._packets
        before = self._ring[at]
        if before is not None:
            if before.number == number:
                return False
            self._bytes -= len(before.payload)
        self._ring[at] = packet
        self._bytes += len(packet.payload)
        if number > self._highest:
            # what came before the first one may still arrive
            self._highest = number
            self._lowest = max(self._lowest, number - self._packets + 1)
        while self._bytes > self._size and self._lowest < self._highest:
            self._forget(self._lowest)
        return True

    def get(self, number: int) -> RelayPacket | None:
        """The packet with this number; None if it is not here."""
        if number < self._lowest:
            return None
        packet = self._ring[number % self._packets]
        return packet if packet is not None and packet.number == number else None

    def clear(self) -> None:
        """Keep nothing of what there is."""
        self._ring = [None] * self._packets
        self._bytes = self._lowest = 0
        self._highest = -1

    def _forget(self, number: int) -> None:
        self._lowest = number + 1
        at = number % self._packets
        packet = self._ring[at]
        if packet is not None and packet.number <= number:
            self._ring[at] = None
            self._bytes -= len(packet.payload)
