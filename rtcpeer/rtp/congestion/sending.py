"""The sender's part of transport-wide congestion control: packets are numbered, feedback becomes an estimate.

Owns: the numbers and the estimate of one transport. Never: sends.
"""

from __future__ import annotations

import asyncio

from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.history import SentPackets

_HEADER_SIZE = 12


class SendControl:
    """Numbers the packets of one transport and learns what became of them.

    Args:
        identifier: of the header extension; packets that want a number have it as their first one.

    Attributes:
        identifier: as given.
        acknowledged, lost: packets, as feedback told.
        malformed: packets of feedback that could not be read.
    """

    __slots__ = ("_loop", "_sent", "acknowledged", "identifier", "lost", "malformed")

    def __init__(self, identifier: int) -> None:
        self.identifier = identifier
        self.acknowledged = 0
        self.lost = 0
        self.malformed = 0
        self._sent = SentPackets()
        self._loop: asyncio.AbstractEventLoop | None = None

    def number_packet(self, packet: bytes) -> bytes:
        """A packet that leaves now, with its number if it has a place for one."""
        at = self._place(packet, _HEADER_SIZE + 4 * (packet[0] & 0x0F))
        if not at:
            return packet
        number = self._sent.add(len(packet), self._now())
        return packet[:at] + number.to_bytes(2, "big") + packet[at + 2 :]

    def number_body(self, first: int, body: bytes) -> bytes:
        """Likewise for what follows the fixed header; `first` is the first octet of that."""
        at = self._place(body, 4 * (first & 0x0F))
        if not at:
            return body
        number = self._sent.add(_HEADER_SIZE + len(body), self._now())
        return body[:at] + number.to_bytes(2, "big") + body[at + 2 :]

    def _place(self, data: bytes, at: int) -> int:
        """Where the number is; 0 if there is none. The header extensions begin at `at`."""
        if len(data) < at + 8:
            return 0
        if data[at] == 0xBE:
            # RFC 8285 section 4.2: the id, and the length less one
            return at + 5 if data[at + 4] == self.identifier << 4 | 1 else 0
        return at + 6 if data[at + 4] == self.identifier and data[at + 5] == 2 else 0

    def _now(self) -> float:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    def on_feedback(self, data: bytes) -> None:
        """Take a packet of feedback."""
        try:
            told = feedback.parse_untrusted(data)
        except ValueError:
            self.malformed += 1
            return
        for _at, _size, arrival in self._sent.take(told):
            if arrival is None:
                self.lost += 1
            else:
                self.acknowledged += 1
