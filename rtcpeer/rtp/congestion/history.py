"""When each packet of a transport was sent and how long it was, until feedback tells of it.

Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator

from rtcpeer.rtp.congestion.feedback import TransportFeedback
from rtcpeer.rtp.send_state import NUMBER, SENT_SIZE, SendState

SIZE = SENT_SIZE


class SentPackets:
    """The last packets that were sent, by transport-wide number.

    Args:
        state: where they are remembered.
    """

    __slots__ = ("_at", "_bytes", "_words")

    def __init__(self, state: SendState | None = None) -> None:
        state = SendState() if state is None else state
        state.remember()
        self._words = state.words
        # 0.0 where there is none, or where its arrival was told already
        self._at = state.sent_at
        self._bytes = state.sent_bytes

    @property
    def number(self) -> int:
        """The number of the next packet, 16 bits."""
        return self._words[NUMBER]

    @number.setter
    def number(self, value: int) -> None:
        self._words[NUMBER] = value

    def add(self, size: int, now: float) -> int:
        """A packet is sent now; gives its number."""
        number = self._words[NUMBER]
        index = number & SIZE - 1
        self._at[index] = now
        self._bytes[index] = size
        self._words[NUMBER] = number + 1 & 0xFFFF
        return number

    def size_since(self, number: int) -> int:
        """Bytes of the packets from this number on."""
        count = min(SIZE, self.number - number & 0xFFFF)
        return sum([self._bytes[self.number - back & SIZE - 1] for back in range(1, count + 1)])

    def take(self, told: TransportFeedback) -> Iterator[tuple[float, int, int | None]]:
        """The packets that feedback tells of, if they are known and not acknowledged yet.

        Yields:
            When it was sent, its size, and its arrival in ticks after the reference (None: lost, or late).
        """
        number = told.base
        newest = self.number - 1 & 0xFFFF
        for arrival in told.arrivals:
            index = number & SIZE - 1
            # what was never sent, or was overwritten, is not ours to know
            if newest - number & 0xFFFF < SIZE:
                at = self._at[index]
                if at:
                    if arrival is not None:
                        self._at[index] = 0.0
                    yield at, self._bytes[index], arrival
            number = number + 1 & 0xFFFF
