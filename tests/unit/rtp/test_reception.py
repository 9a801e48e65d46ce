"""What a stream lacks."""

import pytest

from rtcpeer.rtp.packet_requests import INTERVAL
from rtcpeer.rtp.reception import LIFETIME, MISSING_MAX, Reception


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
    assert reception.given_up == 1


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
