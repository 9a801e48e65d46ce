"""Framing of a stream to a TURN server: messages are cut by their own lengths (RFC 8656 2.1 and 12.5).  Pure."""

from __future__ import annotations


class Frames:
    """The bytes of a stream that are no whole message yet."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed_untrusted(self, chunk: bytes) -> tuple[list[bytes], bool]:
        """The messages that are complete now, and whether what follows can be one."""
        buffer = self._buffer
        buffer += chunk
        frames: list[bytes] = []
        while len(buffer) >= 4:
            size = buffer[2] << 8 | buffer[3]
            if buffer[0] < 4:
                total = 20 + size
            elif buffer[0] & 0xC0 == 0x40:
                total = 4 + size + (-size & 3)
            else:
                return frames, False
            if len(buffer) < total:
                return frames, True
            frames.append(bytes(buffer[:total]))
            del buffer[:total]
        return frames, True
