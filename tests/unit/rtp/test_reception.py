"""What a stream lacks."""

import pytest

from rtcpeer.rtp.packet_requests import INTERVAL
from rtcpeer.rtp.reception import JUMP, LIFETIME, MISSING_MAX, Reception


def test_a_gap_is_asked_for_at_once_and_again():
    reception = Reception()
    for number in (1, 2, 5):
        reception.note(number, 10.0)
    assert reception.wanted(10.0) == [3, 4]
    assert reception.wanted(10.0 + INTERVAL / 2) == []
    reception.note(4, 10.01)
    assert reception.wanted(10.0 + INTERVAL) == [3]
    assert reception.due(asks=True) == pytest.approx(10.0 + 2 * INTERVAL)
    assert reception.due(asks=False) == 10.0 + LIFETIME
    reception.note(3, 10.1)
    assert not reception.lacking
    assert reception.due(asks=True) is None
    assert reception.wanted(11.0) == []


def test_what_does_not_come_is_given_up():
    reception = Reception()
    reception.note(1, 0.0)
    reception.note(3, 0.0)
    assert not reception.give_up(LIFETIME)
    assert reception.give_up(LIFETIME + 0.1)
    assert not reception.lacking


def test_it_is_bounded_and_a_jump_is_no_loss():
    reception = Reception()
    reception.note(0, 0.0)
    for number in range(2, 2000, 2):
        reception.note(number, 0.0)
    assert len(reception.wanted(1.0)) == MISSING_MAX
    reception.note(100_000, 0.0)
    assert not reception.lacking
    reception.note(5, 0.0)
    assert not reception.lacking


def test_the_oldest_of_what_is_missing_is_given_up_first_whether_it_is_asked_for_or_not():
    reception = Reception()
    for number, now in ((1, 0.0), (3, 0.0), (5, 0.6)):
        reception.note(number, now)
    assert reception.wanted(0.99) == [2, 4]
    # asked for again only after it is given up
    assert reception.due(asks=True) == reception.due(asks=False) == LIFETIME
    assert reception.give_up(1.1)
    assert reception.due(asks=False) == 0.6 + LIFETIME
    assert not reception.give_up(1.1)


def test_what_was_left_out_is_told_of_and_a_copy_of_the_newest_is_nothing():
    reception = Reception()
    for number in (1, 2, 2):
        reception.note(number, 0.0)
    assert not reception.skipped
    reception.note(4, 0.0)
    assert reception.skipped
    reception.note(4, 0.0)
    assert reception.wanted(0.0) == [3]


def test_what_is_missing_is_asked_for_at_the_distance_of_a_round_trip():
    reception = Reception()
    for number in (1, 3):
        reception.note(number, 0.0)
    assert reception.wanted(0.0, 0.5) == [2]
    assert reception.wanted(0.4, 0.5) == []
    assert reception.wanted(0.8, 0.5) == [2]


@pytest.mark.parametrize(("step", "missing"), [(JUMP - 1, True), (JUMP, False), (-JUMP, False)])
def test_how_far_a_loss_reaches(step, missing):
    reception = Reception()
    reception.note(5000, 0.0)
    reception.note(5000 + step, 0.0)
    assert reception.lacking is missing
    if missing:
        # the newest of what was left out
        assert reception.wanted(0.0) == list(range(5000 + step - MISSING_MAX, 5000 + step))
    reception.note(5000 + step + 1, 0.0)
    assert reception.lacking is missing
