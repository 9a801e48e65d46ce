from __future__ import annotations

import pytest

from rtcpeer.sctp.reordering import Reordering

TRIP = 0.1


@pytest.fixture
def reordering():
    return Reordering()


def test_a_path_that_keeps_its_order_is_waited_for_no_longer(reordering):
    assert reordering.tolerance == 0
    reordering.came_late(0.0, TRIP)
    reordering.came_late(-0.01, TRIP)
    assert reordering.tolerance == 0


@pytest.mark.parametrize(("lateness", "tolerance"), [(0.001, 0.026), (0.05, 0.075), (0.075, 0.1), (0.4, 0.1)])
def test_the_tolerance_is_what_was_late_and_a_quarter_but_no_more_than_a_round_trip(
    reordering, lateness, tolerance
):
    """RFC 8985 section 6.2, step 4."""
    reordering.came_late(lateness, TRIP)
    assert reordering.tolerance == pytest.approx(tolerance)
    reordering.came_late(0.0001, TRIP)
    assert reordering.tolerance == pytest.approx(tolerance)


def test_it_is_forgotten_after_sixteen_recoveries_in_which_nothing_came_late(reordering):
    """RFC 8985 section 6.2, step 4."""
    reordering.came_late(0.01, TRIP)
    for _ in range(16):
        reordering.begin_recovery()
        assert reordering.tolerance > 0
    reordering.came_late(0.01, TRIP)
    for _ in range(16):
        reordering.begin_recovery()
        assert reordering.tolerance > 0
    reordering.begin_recovery()
    assert reordering.tolerance == 0


def test_nothing_was_lost_when_all_of_it_has_come_late(reordering):
    """RFC 3708 section 3: by duplicates, or by answers that come before there could be one."""
    reordering.begin_recovery()
    for tsn in (5, 7, 9):
        reordering.lost(tsn, 10.0, 1)

    assert not reordering.answered(5, 10.13, TRIP, TRIP, certain=True)
    assert not reordering.answered(9, 10.15, TRIP, TRIP, certain=False)
    # of others, and of what was heard of already, nothing follows
    assert not reordering.answered(6, 10.2, TRIP, TRIP, certain=True)
    assert not reordering.answered(5, 10.2, TRIP, TRIP, certain=True)
    assert not reordering.came_twice(7, TRIP)
    assert not reordering.answered(7, 10.14, TRIP, TRIP, certain=True)
    assert reordering.tolerance == pytest.approx(0.04 + TRIP / 4)
    assert reordering.came_twice(9, TRIP)
    assert reordering.tolerance == pytest.approx(0.05 + TRIP / 4)
    assert not reordering.came_twice(9, TRIP)


def test_something_was_lost_when_one_of_them_came_once(reordering):
    reordering.begin_recovery()
    reordering.lost(5, 10.0, 1)
    reordering.lost(7, 10.0, 1)
    assert not reordering.answered(5, 10.2, TRIP, TRIP, certain=False)
    assert not reordering.answered(7, 10.12, TRIP, TRIP, certain=True)


def test_of_what_was_lost_twice_nothing_is_known(reordering):
    """RFC 3708 section 3: two copies were sent again, and a duplicate says nothing of the first."""
    reordering.begin_recovery()
    reordering.lost(5, 10.0, 1)
    reordering.lost(5, 10.1, 2)
    assert not reordering.answered(5, 10.2, TRIP, TRIP, certain=False)
    assert not reordering.came_twice(5, TRIP)

    reordering.begin_recovery()
    reordering.lost(6, 10.1, 2)
    assert not reordering.answered(6, 10.12, TRIP, TRIP, certain=True)


@pytest.mark.parametrize("end", ["begin_recovery", "forget"])
def test_what_was_lost_before_is_not_asked_any_more(reordering, end):
    reordering.lost(5, 10.0, 1)
    reordering.lost(6, 10.0, 1)
    reordering.answered(6, 10.1, TRIP, TRIP, certain=False)

    getattr(reordering, end)()

    assert not reordering.answered(5, 10.12, TRIP, TRIP, certain=True)
    assert not reordering.came_twice(6, TRIP)
    assert reordering.tolerance == 0
    reordering.lost(8, 10.0, 1)
    assert reordering.answered(8, 10.12, TRIP, TRIP, certain=True)
