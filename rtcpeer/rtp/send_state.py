"""The state of a transport that each packet asks for when it leaves: key, budget, transport-wide numbers.

It lies in plain memory, so that the optional helper (`rtp.fan_out`) reads and changes the same values as Python does.
Owns: that memory, and libsrtp's session while it is named there. Pure.
"""

from __future__ import annotations

import math
from array import array

# Packets that a transport remembers until feedback tells of them: more than in one round trip.
SENT_SIZE = 8192
# Places in `words`: libsrtp's session (0 while packets may not be protected past Python), the id of the header
# extension for transport-wide numbers (0 for none), the next of those numbers, and the addresses of `sent_at` and
# `sent_bytes` (0 while there are none).
SESSION, IDENTIFIER, NUMBER, SENT_AT, SENT_BYTES = range(5)


class SendState:
    """The state of one transport's packets that leave.

    Attributes:
        words: whole numbers of 64 bits, see above.
        budget: one number: bytes that may leave before anybody looks at the clock.
        sent_at: by transport-wide number, when a packet was sent; 0.0 where there is none.
        sent_bytes: likewise its size.
    """

    __slots__ = ("_pins", "_session", "budget", "sent_at", "sent_bytes", "words")

    def __init__(self) -> None:
        self.words: array[int] = array("Q", (0, 0, 1, 0, 0))
        self.budget: array[float] = array("d", (math.inf,))
        # (plain numbers: as objects they would take 320 KB per transport in place of 80)
        self.sent_at: array[float] = array("d")
        self.sent_bytes: array[int] = array("H")
        # an array of which there is a view does not move
        self._pins = [memoryview(self.words), memoryview(self.budget)]
        self._session: object = None

    def remember(self) -> None:
        """Packets are numbered from now on: make place for what is known of them."""
        if self.words[SENT_AT]:
            return
        self.sent_at = array("d", bytes(8 * SENT_SIZE))
        self.sent_bytes = array("H", bytes(2 * SENT_SIZE))
        self._pins += [memoryview(self.sent_at), memoryview(self.sent_bytes)]
        self.words[SENT_BYTES] = self.sent_bytes.buffer_info()[0]
        self.words[SENT_AT] = self.sent_at.buffer_info()[0]

    def open(self, address: int, session: object) -> None:
        """Packets may be protected with libsrtp's session at an address, which lives as long as an object."""
        self._session = session
        self.words[SESSION] = address

    def shut(self) -> None:
        """Packets may not be protected past Python."""
        self.words[SESSION] = 0
        self._session = None
