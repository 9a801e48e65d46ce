"""The receiving half of SCTP by itself: what is taken, what is acknowledged, and when."""

from __future__ import annotations

import pytest

from rtcpeer.sctp.packets import STREAMS_MAX, Sack, read_sack_untrusted
from rtcpeer.sctp.reassembly import FIRST, LAST, OVERHEAD, UNORDERED
from rtcpeer.sctp.receive_queue import (
    BEHIND_HOLE_MAX,
    NEXT_MAX,
    RECEIVE_WINDOW,
    SACK_DELAY,
    ChunkVerdict,
    ReceiveQueue,
)
from rtcpeer.sctp.tracker import AHEAD_MAX

BEGIN = 1000
WHOLE = FIRST | LAST
NOW = 50.0


class Desk:
    """A queue, and what it has delivered."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, bytes]] = []
        self.queue = ReceiveQueue(lambda *message: self.messages.append(message))
        self.queue.begin(BEGIN)

    def take(
        self,
        tsn: int,
        flags: int = WHOLE | UNORDERED,
        *,
        stream: int = 1,
        sequence: int = 0,
        body: bytes = b"x",
    ) -> ChunkVerdict:
        header = bytes((0, flags)) + (16 + len(body)).to_bytes(2)
        numbers = tsn.to_bytes(4) + stream.to_bytes(2) + sequence.to_bytes(2) + (53).to_bytes(4)
        chunk = header + numbers + body
        return self.queue.take_data(chunk, 0, len(chunk))

    def packet(self, tsn: int, flags: int = WHOLE | UNORDERED, **more: bytes) -> Sack | None:
        """A packet with one chunk; the SACK that it brings inside its batch."""
        self.take(tsn, flags, **more)  # type: ignore[arg-type]
        return read(self.queue.end_packet())

    def end(self, *, answering: bool = False) -> Sack | None:
        return read(self.queue.end_batch(NOW, answering=answering))


def read(chunk: bytes) -> Sack | None:
    return read_sack_untrusted(chunk[4:]) if chunk else None


def test_a_chunk_is_longer_than_its_header_and_its_stream_exists() -> None:
    desk = Desk()
    assert desk.take(BEGIN, body=b"") is ChunkVerdict.REFUSED
    assert desk.queue.cumulative == BEGIN - 1
    assert desk.take(BEGIN, stream=STREAMS_MAX) is ChunkVerdict.NO_SUCH_STREAM
    assert desk.take(BEGIN + 1, stream=STREAMS_MAX - 1) is ChunkVerdict.TAKEN
    assert desk.take(BEGIN + 1) is ChunkVerdict.REPEATED
    assert desk.queue.cumulative == BEGIN + 1
    assert desk.messages == [(STREAMS_MAX - 1, 53, b"x")]


@pytest.mark.parametrize(("behind", "bound"), [(False, NEXT_MAX), (True, BEHIND_HOLE_MAX)])
def test_behind_a_hole_less_is_taken_beyond_the_window_than_of_what_comes_next(
    behind: bool, bound: int
) -> None:
    desk = Desk()
    tsn = BEGIN + behind
    assert desk.take(tsn, FIRST | UNORDERED, body=bytes(60_000)) is ChunkVerdict.TAKEN
    held = 60_000 + OVERHEAD
    while True:
        tsn += 1
        # the bound is looked at before the overhead is added
        expected = ChunkVerdict.TAKEN if held + 60_000 <= bound else ChunkVerdict.REFUSED
        assert desk.take(tsn, UNORDERED, body=bytes(60_000)) is expected
        if expected is ChunkVerdict.REFUSED:
            break
        held += 60_000 + OVERHEAD
    assert held > RECEIVE_WINDOW
    assert BEHIND_HOLE_MAX < NEXT_MAX
    assert desk.queue.window == 0
    exact = bound - held
    assert desk.take(tsn, UNORDERED, body=bytes(exact + 1)) is ChunkVerdict.REFUSED
    assert desk.take(tsn, UNORDERED, body=bytes(exact)) is ChunkVerdict.TAKEN


def test_a_message_of_any_size_is_taken_where_nothing_waits() -> None:
    desk = Desk()
    assert desk.take(BEGIN + 5, FIRST | UNORDERED, body=bytes(10)) is ChunkVerdict.TAKEN
    assert desk.queue.window == RECEIVE_WINDOW - 10 - OVERHEAD


def test_an_end_that_fills_a_closed_window_is_told_at_once() -> None:
    desk = Desk()
    tsn = BEGIN
    while (
        desk.take(tsn, UNORDERED | (FIRST if tsn == BEGIN else 0), body=bytes(60_000)) is ChunkVerdict.TAKEN
    ):
        tsn += 1
    desk.queue.end_packet()
    desk.end(answering=True)
    desk.packet(tsn, UNORDERED, body=bytes(60_000))
    sack = desk.end()
    assert sack is not None
    assert (sack.cumulative, sack.window) == (tsn - 1, 0)


@pytest.mark.parametrize(("ahead", "good"), [(AHEAD_MAX, True), (AHEAD_MAX + 1, False)])
def test_no_more_is_skipped_than_could_be_acknowledged(ahead: int, good: bool) -> None:
    desk = Desk()
    value = (BEGIN - 1 + ahead).to_bytes(4)
    assert desk.queue.take_forward_tsn_untrusted(value) is good
    assert desk.queue.cumulative == BEGIN - 1 + (ahead if good else 0)


@pytest.mark.parametrize("skipped", [0, 3])
def test_a_forward_tsn_is_acknowledged_at_once_also_when_it_says_nothing_new(skipped: int) -> None:
    desk = Desk()
    assert not desk.queue.take_forward_tsn_untrusted(b"\0\0\0")
    assert desk.end() is None
    assert desk.queue.take_forward_tsn_untrusted((BEGIN - 1 + skipped).to_bytes(4) + b"\0\1")
    sack = desk.end()
    assert sack is not None
    assert sack.cumulative == BEGIN - 1 + skipped


def test_streams_go_on_behind_the_messages_that_were_given_up() -> None:
    desk = Desk()
    desk.take(BEGIN + 2, WHOLE, stream=0x0102, sequence=0x0104, body=b"later")
    desk.take(BEGIN + 3, WHOLE, stream=0x0202, sequence=1, body=b"also")
    desk.take(BEGIN + 4, WHOLE, stream=0x0102, sequence=0x0106, body=b"not yet")
    assert desk.messages == []
    skipped = b"\1\2\1\3" + b"\2\2\0\0" + b"\1\2\1"  # and one that is cut off
    assert desk.queue.take_forward_tsn_untrusted((BEGIN + 1).to_bytes(4) + skipped)
    assert desk.messages == [(0x0102, 53, b"later"), (0x0202, 53, b"also")]
    assert desk.queue.cumulative == BEGIN + 4


def test_what_cannot_become_whole_any_more_is_not_kept() -> None:
    desk = Desk()
    desk.take(BEGIN + 1, UNORDERED)  # neither the first nor the last part
    assert desk.queue.window < RECEIVE_WINDOW
    assert desk.queue.take_forward_tsn_untrusted(BEGIN.to_bytes(4))
    assert (desk.queue.cumulative, desk.queue.window) == (BEGIN + 1, RECEIVE_WINDOW)


@pytest.mark.parametrize("everything", [True, False])
def test_a_stream_that_was_reset_counts_from_0(everything: bool) -> None:
    desk = Desk()
    desk.take(BEGIN, WHOLE, sequence=0)
    if everything:
        desk.queue.reset_all()
    else:
        desk.queue.reset([1])
    desk.take(BEGIN + 1, WHOLE, sequence=0, body=b"again")
    assert desk.messages == [(1, 53, b"x"), (1, 53, b"again")]


def test_the_second_packet_is_acknowledged_and_the_wait_begins_with_the_first() -> None:
    """RFC 9260 section 6.2."""
    desk = Desk()
    assert desk.end() is None
    assert desk.queue.deadline is None
    desk.packet(BEGIN)
    desk.end()
    assert desk.queue.end_batch(NOW + 0.02, answering=False) == b""
    assert desk.queue.deadline == NOW + SACK_DELAY
    desk.packet(BEGIN + 1)
    sack = desk.end()
    assert sack is not None
    assert (sack.cumulative, desk.queue.deadline) == (BEGIN + 1, None)


def test_a_copy_is_named_once_and_the_next_packet_may_wait_again() -> None:
    desk = Desk()
    assert desk.packet(BEGIN) is None
    desk.take(BEGIN)
    assert desk.queue.end_packet()[12:] == b"\0\0\0\1" + BEGIN.to_bytes(4)
    assert desk.packet(BEGIN + 1) is None
    assert desk.end() is None
    assert desk.queue.end_batch(NOW, answering=True)[12:] == bytes(4)


def test_with_something_missing_each_of_the_first_four_packets_is_acknowledged() -> None:
    desk = Desk()
    sacks = [desk.packet(tsn) for tsn in range(BEGIN + 1, BEGIN + 10)]
    assert [n for n, sack in enumerate(sacks, 1) if sack is not None] == [1, 2, 3, 4, 8]
    # the next batch begins to count anew
    desk.end()
    assert desk.packet(BEGIN + 20) is not None


def test_in_a_batch_without_gaps_few_packets_are_acknowledged() -> None:
    desk = Desk()
    sacks = [desk.packet(tsn) for tsn in range(BEGIN, BEGIN + 40)]
    assert [n for n, sack in enumerate(sacks, 1) if sack is not None] == [2, 4, 8, 16, 32]
    sack = desk.end()
    assert sack is not None
    assert sack.cumulative == BEGIN + 39
    assert desk.end() is None


def test_one_packet_is_acknowledged_after_a_while_or_with_an_answer() -> None:
    desk = Desk()
    desk.packet(BEGIN)
    assert desk.end() is None
    assert desk.queue.deadline == NOW + SACK_DELAY
    desk.queue.expire()
    assert desk.queue.deadline is None
    assert desk.end() is not None
    desk.packet(BEGIN + 1)
    assert desk.end(answering=True) is not None
    assert desk.queue.deadline is None
    assert desk.end(answering=True) is None


@pytest.mark.parametrize("why", ["asked", "again", "behind a gap", "fills a gap"])
def test_what_is_acknowledged_at_once_though_it_is_alone(why: str) -> None:
    desk = Desk()
    if why == "fills a gap":
        desk.packet(BEGIN + 1)
    elif why == "again":
        desk.packet(BEGIN)
    desk.end(answering=True)
    tsn = BEGIN + 1 if why == "behind a gap" else BEGIN
    desk.take(tsn, WHOLE | UNORDERED | (8 if why == "asked" else 0))
    desk.queue.unacknowledged += 1
    sack = desk.end()
    assert sack is not None
    assert sack.cumulative == BEGIN + {"behind a gap": -1, "fills a gap": 1}.get(why, 0)
    assert sack.gaps == ([(2, 2)] if why == "behind a gap" else [])


def test_after_the_end_nothing_is_acknowledged() -> None:
    desk = Desk()
    desk.packet(BEGIN)
    desk.end()
    desk.queue.stop()
    assert desk.queue.deadline is None
    assert desk.end(answering=True) is None
