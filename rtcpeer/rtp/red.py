"""Redundant audio (RFC 2198): a packet repeats the ones before it, so that a loss costs nothing.

A payload is a list of blocks, the oldest first and the newest, the primary one, last. Pure but for the sender's
memory of what it repeats.
Never: decides whether redundancy is worth its bytes; preferring "red" to the codec itself does.
"""

from __future__ import annotations

from dataclasses import field

from rtcpeer.records import record

# Section 3: F and a payload type; 14 bits of timestamp offset and 10 of length
_MORE = 0x80
_OFFSET_MAX = 1 << 14
_LENGTH_MAX = 1 << 10
# As much as may be repeated, in bytes; with the primary block a packet stays below any path's limit.
_REPEATED_MAX = 600
_BLOCKS_MAX = 10


@record(frozen=True, slots=True)
class Block:
    """A block of RED; `age` is how much earlier than the packet it is, in ticks."""

    payload_type: int
    age: int
    data: bytes


def read(payload: bytes) -> list[Block]:
    """The blocks of a payload, the primary one last.

    Raises:
        ValueError: they are malformed.
    """
    heads: list[tuple[int, int, int]] = []
    at = 0
    while at < len(payload) and payload[at] & _MORE:
        head = int.from_bytes(payload[at : at + 4], "big")
        heads.append((head >> 24 & 0x7F, head >> 10 & _OFFSET_MAX - 1, head & _LENGTH_MAX - 1))
        at += 4
        if len(heads) > _BLOCKS_MAX:
            raise ValueError("a RED payload has too many blocks")
    if at >= len(payload):
        raise ValueError("a RED payload has no primary block")
    primary = payload[at]
    at += 1
    blocks = []
    for payload_type, age, length in heads:
        if at + length > len(payload):
            raise ValueError("a RED block is cut off")
        blocks.append(Block(payload_type, age, payload[at : at + length]))
        at += length
    blocks.append(Block(primary, 0, payload[at:]))
    return blocks


def write(blocks: list[Block]) -> bytes:
    """A payload of blocks, the primary one last."""
    heads = [
        (_MORE << 24 | b.payload_type << 24 | b.age << 10 | len(b.data)).to_bytes(4, "big")
        for b in blocks[:-1]
    ]
    primary = bytes((blocks[-1].payload_type,))
    return b"".join((*heads, primary, *(block.data for block in blocks)))


@record(slots=True)
class Redundancy:
    """The redundancy of one stream: it repeats the packet before.

    Attributes:
        payload_type: of "red".
        inner: of the codec that is wrapped.
    """

    payload_type: int
    inner: int
    _before: tuple[int, bytes] | None = field(default=None)

    def wrap(self, payload: bytes, timestamp: int) -> bytes:
        """The payload to send in place of the codec's own."""
        blocks = [Block(self.inner, 0, payload)]
        if self._before is not None:
            age = timestamp - self._before[0] & 0xFFFFFFFF
            data = self._before[1]
            if 0 < age < _OFFSET_MAX and len(data) <= _REPEATED_MAX:
                blocks.insert(0, Block(self.inner, age, data))
        self._before = (timestamp, payload)
        return write(blocks)

    def forget(self) -> None:
        """The packet before was another one's: nothing to repeat."""
        self._before = None
