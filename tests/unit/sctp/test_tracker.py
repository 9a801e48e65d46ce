from __future__ import annotations

from random import Random

import pytest

from rtcpeer.sctp.packets import read_sack_untrusted, write_sack
from rtcpeer.sctp.tracker import AHEAD_MAX, DUPLICATES_MAX, GAPS_MAX, HOLES_MAX, ReceiveTracker


@pytest.mark.parametrize("seed", range(10))
def test_it_knows_what_has_arrived(seed):
    """Against a plain set."""
    random = Random(seed)
    first = random.choice((0, 2**32 - 50, random.getrandbits(32)))
    tracker, model = ReceiveTracker(first), set()
    numbers = [first + 1 + n for n in range(120)] * 2
    random.shuffle(numbers)
    cumulative = first
    for tsn in numbers:
        assert tracker.add(tsn) is (tsn > cumulative and tsn not in model)
        model.add(tsn)
        while cumulative + 1 in model:
            cumulative += 1
        assert tracker.cumulative == cumulative
        behind = {cumulative + n for start, end in tracker.gaps() for n in range(start, end + 1)}
        assert behind == {tsn for tsn in sorted(model) if tsn > cumulative} or len(tracker.gaps()) == GAPS_MAX
        assert tracker.has_holes is (max(model) > cumulative)


def test_gap_blocks_and_duplicates_of_a_sack_are_bounded():
    tracker = ReceiveTracker(0)
    for tsn in range(2, 200, 2):
        tracker.add(tsn)
        tracker.add(tsn)

    assert tracker.gaps() == [(n, n) for n in range(2, 2 + 2 * GAPS_MAX, 2)]
    assert len(tracker.duplicates) == DUPLICATES_MAX


def test_more_holes_are_refused_but_what_fills_them_is_taken():
    tracker = ReceiveTracker(0)
    taken = [tsn for tsn in range(2, 5000, 2) if tracker.add(tsn)]

    assert len(taken) == HOLES_MAX
    assert not tracker.add(9_999)
    for tsn in range(1, 2 * HOLES_MAX, 2):
        assert tracker.add(tsn)
    assert tracker.cumulative == 2 * HOLES_MAX
    assert not tracker.has_holes
    assert tracker.add(9_999)


def test_what_could_not_be_acknowledged_is_refused():
    tracker = ReceiveTracker(7)

    assert tracker.add(7 + AHEAD_MAX)
    assert not tracker.add(8 + AHEAD_MAX)
    assert tracker.gaps() == [(AHEAD_MAX, AHEAD_MAX)]
    assert AHEAD_MAX == 0xFFFF, "the largest offset that a SACK can name"
    assert read_sack_untrusted(write_sack(7, 0, tracker.gaps(), [])[4:]).gaps == [(AHEAD_MAX, AHEAD_MAX)]


def test_the_last_one_is_not_taken_twice():
    tracker = ReceiveTracker(7)
    assert tracker.add(8)
    assert not tracker.add(8)
    assert not tracker.has_holes
    assert (tracker.cumulative, tracker.duplicates) == (8, [8])


@pytest.mark.parametrize(
    ("skip", "cumulative", "gaps"),
    [(0, 0, [(2, 3), (6, 6)]), (1, 3, [(3, 3)]), (2, 3, [(3, 3)]), (3, 3, [(3, 3)]), (4, 4, [(2, 2)]), (5, 6, []),
     (9, 9, [])],
)  # fmt: skip
def test_skipping(skip, cumulative, gaps):
    tracker = ReceiveTracker(0)
    for tsn in (2, 3, 6):
        tracker.add(tsn)

    tracker.skip_to(skip)

    assert (tracker.cumulative, tracker.gaps()) == (cumulative, gaps)
