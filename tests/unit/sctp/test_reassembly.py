from __future__ import annotations

from random import Random

import pytest

from rtcpeer.sctp.reassembly import FIRST, LAST, OVERHEAD, UNORDERED, Reassembly
from tests.work import Steps

WHOLE = FIRST | LAST


class Sink:
    def __init__(self):
        self.messages = []
        self.reassembly = Reassembly(lambda stream, protocol, data: self.messages.append((stream, data)))

    def add(self, tsn, flags, data=b"x", stream=1, sequence=0):
        self.reassembly.add(tsn, flags, stream, sequence, 53, data)


@pytest.fixture
def sink():
    return Sink()


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_arrival_gives_the_order_of_the_streams(seed, sink):
    random = Random(seed)
    tsn, sequences, chunks, sent = 1, {}, [], []
    for number in range(60):
        stream, unordered = random.randrange(3), random.random() < 0.3
        parts = [b"%d.%d" % (number, part) for part in range(random.choice((1, 1, 2, 5)))]
        sequence = 0 if unordered else sequences.get(stream, 65500) & 0xFFFF
        if not unordered:
            sequences[stream] = sequence + 1
        for index, part in enumerate(parts):
            flags = (UNORDERED if unordered else 0) | (FIRST if index == 0 else 0)
            flags |= LAST if index == len(parts) - 1 else 0
            chunks.append((tsn, flags, part, stream, sequence))
            tsn += 1
        sent.append((stream, unordered, b"".join(parts)))
    for stream in range(3):
        # their numbers wrap on the way
        sink.reassembly._next[stream] = 65500
    random.shuffle(chunks)

    for chunk in chunks:
        sink.add(*chunk)

    assert sorted(sink.messages) == sorted((stream, data) for stream, _, data in sent)
    for stream in range(3):
        ordered = [data for number, unordered, data in sent if number == stream and not unordered]
        assert [data for number, data in sink.messages if number == stream and data in ordered] == ordered
    assert sink.reassembly.held == 0


def test_descending_order_costs_as_little_as_any():
    """Counted in dictionary look-ups that fail, not in time: each chunk is touched once when its message is whole."""
    sink = Sink()
    for tsn in range(5000, 1, -1):
        sink.add(tsn, LAST if tsn == 5000 else 0)
    assert sink.reassembly.held == 4999 * (1 + OVERHEAD)
    assert len(sink.reassembly._early) == 4999

    sink.add(1, FIRST)

    assert sink.messages == [(1, b"x" * 5000)]
    assert (sink.reassembly.held, sink.reassembly._early, sink.reassembly._growing) == (0, {}, {})


def test_what_is_given_up_is_forgotten(sink):
    sink.add(1, FIRST)
    sink.add(3, 0)
    sink.add(6, WHOLE, b"later", sequence=1)
    assert not sink.messages

    sink.reassembly.skip(0, 6, [(1, 0)])

    assert sink.messages == [(1, b"later")]
    assert sink.reassembly.held == 0
    sink.add(7, WHOLE, b"next", sequence=2)
    assert sink.messages[1:] == [(1, b"next")]


def test_skipping_delivers_what_is_whole_before_it(sink):
    for sequence in (2, 1, 4):
        sink.add(10 + sequence, WHOLE, b"%d" % sequence, sequence=sequence)

    sink.reassembly.skip(0, 13, [(1, 3)])

    assert [data for _, data in sink.messages] == [b"1", b"2", b"4"]
    # said again, and of the past: nothing
    sink.reassembly.skip(13, 13, [(1, 3), (1, 1)])
    sink.add(15, WHOLE, b"5", sequence=5)
    assert [data for _, data in sink.messages][3:] == [b"5"]


def test_a_message_that_begins_inside_another_takes_its_place(sink):
    sink.add(1, FIRST, b"broken")
    sink.add(2, FIRST, b"good")
    sink.add(3, LAST, b"!")

    assert sink.messages == [(1, b"good!")]
    assert sink.reassembly.held == 0


def test_chunks_of_another_stream_do_not_join(sink):
    sink.add(1, FIRST, b"one")
    sink.add(2, LAST, b"two", stream=2)

    assert not sink.messages
    assert sink.reassembly.held == 0


def test_numbers_that_were_or_are_taken_cost_nothing(sink):
    sink.add(1, WHOLE, b"0", sequence=0)
    sink.add(2, WHOLE, b"old", sequence=0)
    sink.add(3, WHOLE, b"2", sequence=2)
    sink.add(4, WHOLE, b"other 2", sequence=2)
    assert sink.reassembly.held == 1 + OVERHEAD
    sink.add(5, WHOLE, b"1", sequence=1)

    assert [data for _, data in sink.messages] == [b"0", b"1", b"2"]
    assert sink.reassembly.held == 0


def test_a_reset_stream_begins_again(sink):
    sink.add(1, WHOLE, b"0")
    sink.add(2, WHOLE, b"2", sequence=2)
    sink.add(3, WHOLE, b"0", stream=2)
    sink.reassembly.reset([1])
    assert sink.reassembly.held == 0

    sink.add(4, WHOLE, b"again")
    sink.add(5, WHOLE, b"1", stream=2, sequence=1)
    sink.reassembly.reset_all()
    sink.add(6, WHOLE, b"again", stream=2)

    assert sink.messages == [(1, b"0"), (2, b"0"), (1, b"again"), (2, b"1"), (2, b"again")]


@pytest.mark.parametrize("waiting", [500, 5000])
def test_giving_up_step_by_step_costs_what_is_skipped_not_what_waits(waiting, sink):
    """Counted in instructions: a packet of the other end names hundreds of steps."""
    for number in range(waiting):
        sink.add(10 + number, WHOLE, sequence=20_000 + number)
    with Steps() as steps:
        for number in range(300):
            sink.reassembly.skip(0, 0, [(1, number)])
    assert steps.count < 300 * 500
    assert not sink.messages
    sink.reassembly.skip(0, 0, [(1, 20_001)])
    assert len(sink.messages) == waiting


def test_a_skip_over_few_and_over_many_delivers_in_order(sink):
    sink.reassembly._next[1] = 65_530
    for number in (65_533, 2, 4, 0, 3, 7):
        sink.add(number + 10, WHOLE, b"%d" % number, sequence=number)
    sink.reassembly.skip(0, 0, [(1, 65_531)])
    sink.reassembly.skip(0, 0, [(1, 65_534)])
    assert [data for _, data in sink.messages] == [b"65533"]
    sink.reassembly.skip(0, 0, [(1, 1)])
    assert [data for _, data in sink.messages] == [b"65533", b"0", b"2", b"3", b"4"]
    sink.reassembly.skip(0, 0, [(1, 100)])
    assert sink.messages[-1] == (1, b"7")
    assert sink.reassembly.held == 0


@pytest.mark.parametrize("following", [0, 1, 40_000, 65_535])
def test_half_of_all_numbers_are_ahead_and_half_are_behind(following, sink):
    """RFC 1982, as RFC 9260 section 1.6 has it for stream sequence numbers."""
    if following:
        sink.reassembly._next[1] = following
    ahead, behind = following + 0x7FFF & 0xFFFF, following + 0x8000 & 0xFFFF
    sink.add(1, WHOLE, sequence=behind)
    sink.add(2, WHOLE, sequence=following - 1 & 0xFFFF)
    assert sink.reassembly.held == 0
    sink.add(3, WHOLE, sequence=ahead)
    assert sink.reassembly.held == OVERHEAD + 1
    sink.reassembly.skip(0, 0, [(1, behind)])
    assert not sink.messages
    sink.reassembly.skip(0, 0, [(1, ahead)])
    assert sink.messages == [(1, b"x")]
    assert sink.reassembly.held == 0


@pytest.mark.parametrize("others", [0, 60])
def test_what_is_skipped_is_what_was_given_up_to_the_last_number(others, sink):
    """With few and with many that wait."""
    sink.reassembly._next[1] = 65_533
    for number in (1, 0, 65_535, 2, *range(1000, 1000 + others)):
        sink.add(number + 1, WHOLE, b"%d" % number, sequence=number)
    sink.reassembly.skip(0, 0, [(1, 2)])
    assert [data for _, data in sink.messages] == [b"65535", b"0", b"1", b"2"]
    sink.add(5000, WHOLE, b"3", sequence=3)
    assert sink.messages[-1] == (1, b"3")


def test_what_is_old_or_waits_for_nothing_does_not_stop_the_others(sink):
    sink.reassembly._next[1] = 10
    sink.add(1, WHOLE, b"late", stream=3, sequence=1)
    sink.reassembly.skip(0, 0, [(1, 9), (2, 0), (3, 0)])
    assert sink.messages == [(3, b"late")]
    sink.add(2, WHOLE, b"first", stream=2, sequence=1)
    assert sink.messages[-1] == (2, b"first")


@pytest.mark.parametrize("length", [3, 40])
def test_chunks_are_forgotten_from_the_first_to_the_last_number_that_was_given_up(length, sink):
    """With fewer numbers than chunks, and with more."""
    before, cumulative = 100, 100 + length
    sink.add(before + 1, 0)  # a piece of a message whose beginning is missing
    sink.add(cumulative - 1, FIRST)  # the last number continues it
    sink.add(cumulative + 1, 0)
    for tsn in range(1000, 1010):
        sink.add(tsn, 0)
    held = sink.reassembly.held
    sink.reassembly.skip(before, cumulative, [])
    assert held - sink.reassembly.held == 2 * (OVERHEAD + 1)
    sink.reassembly.skip(cumulative, cumulative + 1, [])
    assert held - sink.reassembly.held == 3 * (OVERHEAD + 1)
