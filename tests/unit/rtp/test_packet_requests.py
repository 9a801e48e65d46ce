"""Which missing packets are asked for, how often and when."""

from itertools import pairwise

import pytest

from rtcpeer.rtp.packet_requests import (
    APART,
    INTERVAL,
    INTERVAL_MAX,
    INTERVAL_MIN,
    TRIES_MAX,
    PacketRequests,
    interval,
)


def asked(requests, missing, round_trip, until):
    """When a timer that follows `due` has each number asked for."""
    now, times = 0.0, {number: [] for number in missing}
    while now < until:
        for number in requests.take(missing, round_trip, now):
            times[number].append(now)
        if requests.due is None:
            break
        now = max(requests.due, now + 0.001)
    return times


@pytest.mark.parametrize("round_trip", [None, 0.01, 0.15, 3.0])
def test_each_packet_is_asked_for_a_bounded_number_of_times(round_trip):
    requests = PacketRequests()
    times = asked(requests, [7, 9], round_trip, 100.0)
    for at in times.values():
        assert len(at) == TRIES_MAX
        assert at[0] == 0.0
        assert [after - before for before, after in pairwise(at)] == pytest.approx(
            [interval(round_trip)] * (TRIES_MAX - 1)
        )
    assert requests.due is None
    assert requests.take([7, 9], round_trip, 1000.0) == []


def test_the_interval_follows_the_round_trip_within_bounds():
    assert interval(None) == INTERVAL
    assert interval(0.0) == INTERVAL_MIN
    assert 0.2 < interval(0.2) < 0.3
    assert interval(5.0) == INTERVAL_MAX


def test_a_new_hole_does_not_wait_for_an_old_one_but_two_requests_are_apart():
    requests = PacketRequests()
    assert requests.take([1], None, 0.0) == [1]
    assert requests.take([1, 3], None, APART / 2) == []
    assert requests.due == APART
    assert requests.take([1, 3], None, APART) == [3]
    assert requests.take([1, 3], None, INTERVAL) == [1]
    assert requests.take([1, 3], None, APART + INTERVAL) == [3]


def test_what_came_and_is_missing_again_begins_anew():
    requests = PacketRequests()
    assert requests.take([1], None, 0.0) == [1]
    assert requests.take([], None, 1.0) == []
    assert requests.due is None
    assert requests.take([1], None, 1.01) == [1]
