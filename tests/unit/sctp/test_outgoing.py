from __future__ import annotations

import pytest

from rtcpeer.sctp.outgoing import DATA_HEADER_SIZE, PAYLOAD_MAX, Chunk, OutgoingMessage
from rtcpeer.sctp.packets import PACKET_MAX

# bytes of a packet around the data of its only chunk: common header, chunk header
AROUND = 12 + 16


def make_message(size: int, order: int = 0) -> OutgoingMessage:
    return OutgoingMessage(9, 53, bytes(size), order, None, None)


def pieces(message: OutgoingMessage) -> list[int]:
    """The sizes of the chunks that it is cut into."""
    return [min(message.part, message.size - at) for at in range(0, message.size, message.part)]


@pytest.mark.parametrize("size", [1, 3, 4, PAYLOAD_MAX - 1, PAYLOAD_MAX])
def test_what_fits_into_a_packet_is_one_chunk(size):
    assert PAYLOAD_MAX == PACKET_MAX - AROUND
    assert pieces(make_message(size)) == [size]


@pytest.mark.parametrize(
    "size", [*range(PAYLOAD_MAX + 1, PAYLOAD_MAX + 9), 3 * PAYLOAD_MAX, 100_000, 262_144]
)
def test_what_does_not_fit_is_cut_into_as_few_even_chunks_as_hold_it(size):
    """All but the last are equal and need no padding, so that their datagrams have one size."""
    cut = pieces(make_message(size))
    assert sum(cut) == size
    assert len(cut) == -(-size // PAYLOAD_MAX)
    assert max(cut) <= PAYLOAD_MAX
    assert len(set(cut[:-1])) == 1
    assert cut[0] % 4 == 0
    # the last one makes up for what the others were rounded by, and for nothing else
    assert cut[0] - cut[-1] <= 4 * len(cut)


def test_a_message_begins_unsent():
    message = OutgoingMessage(9, 53, b"abc", 4, 2.5, 3)
    assert (message.stream, message.protocol, message.data, message.order) == (9, 53, b"abc", 4)
    assert (message.expiry, message.max_retransmits, message.at, message.abandoned) == (2.5, 3, 0, False)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, PAYLOAD_MAX])
def test_a_chunk_as_it_stands_on_the_wire(size):
    """RFC 9260 section 3.3.1: its length leaves the padding out, which is zeros."""
    message = make_message(size, order=4)
    message.sequence = 5
    data = b"\xff" * size

    chunk = Chunk(2**32 + 7, message, 3, data, 12.5, 40)

    assert DATA_HEADER_SIZE == 16
    header = bytes.fromhex("0007") + (16 + size).to_bytes(2) + bytes.fromhex("00000007 0009 0005 00000035")
    assert chunk.body == header + data + bytes(-size % 4)
    assert chunk.size == len(chunk.body)
    assert (chunk.tsn, chunk.message) == (2**32 + 7, message)
    assert (chunk.sent_at, chunk.sent_count, chunk.order) == (12.5, 1, 40)


def test_an_unordered_message_has_no_number():
    """RFC 9260 section 3.3.1: the other end ignores what stands there."""
    chunk = Chunk(1, make_message(4, order=4), 3, b"abcd", 0.0, 0)
    assert chunk.body[10:12] == bytes(2)
