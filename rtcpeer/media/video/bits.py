"""Reader of single bits, for the headers of video codecs."""

from __future__ import annotations


class BitReader:
    """Bits of a byte string, the highest of each byte first.

    Args:
        data: read from its beginning.
    """

    __slots__ = ("_bits", "_left")

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """A number of so many bits.

        Raises:
            ValueError: there are not so many.
        """
        self._left -= count
        if self._left < 0:
            raise ValueError("a video header is cut off")
        return self._bits >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        """A number in unsigned exponential Golomb code (H.264 section 9.1).

        Raises:
            ValueError: it is cut off, or longer than 32 bits.
        """
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("a number of a video header is too long")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """A signed number of any length (H.264 section 9.1.1)."""
        value = self.unsigned()
        return (value + 1) // 2 if value & 1 else -(value // 2)
