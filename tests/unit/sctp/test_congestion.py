from __future__ import annotations

import pytest

from rtcpeer.sctp.congestion import (
    BACKOFF_MAX,
    BURST,
    CWND_INITIAL,
    CWND_MIN,
    RTO_INITIAL,
    RTO_MAX,
    RTO_MIN,
    CongestionWindow,
    RoundTrip,
)
from rtcpeer.sctp.packets import PACKET_MAX


@pytest.fixture
def window():
    return CongestionWindow()


def acknowledge(window, packets, *, advanced=True, was_full=True, cumulative=1000):
    window.acknowledged(packets * PACKET_MAX, cumulative=cumulative, advanced=advanced, was_full=was_full)


def test_the_timeout_follows_what_was_measured():
    """RFC 9260 section 6.3.1, by hand."""
    trip = RoundTrip()
    assert (trip.timeout, trip.smoothed) == (RTO_INITIAL, None)
    trip.measure(1.0)
    assert (trip.smoothed, trip.variation, trip.timeout) == (1.0, 0.5, 3.0)
    trip.measure(2.0)
    assert trip.variation == pytest.approx(0.75 * 0.5 + 0.25 * 1)
    assert trip.smoothed == pytest.approx(1.125)
    assert trip.timeout == pytest.approx(1.125 + 4 * 0.625)


def test_the_timeout_has_bounds():
    trip = RoundTrip()
    for _ in range(50):
        trip.measure(0.001)
    assert trip.timeout == RTO_MIN
    trip.measure(1000)
    assert trip.timeout == RTO_MAX


def test_the_wait_doubles_to_a_bound_and_is_never_shorter_than_the_timeout():
    trip = RoundTrip()
    waits = []
    for trip.backoff in range(5):
        waits.append(trip.wait)
    assert waits == [0.5, BACKOFF_MAX, BACKOFF_MAX, BACKOFF_MAX, BACKOFF_MAX]
    trip.measure(2.0)
    trip.backoff = 20
    assert trip.wait == trip.timeout == 6.0


@pytest.mark.parametrize(("packets", "growth"), [(1, 1), (2, 1), (3, 2), (10, 5), (64, 32)])
def test_slow_start_grows_by_a_packet_for_every_second_one(window, packets, growth):
    acknowledge(window, packets)

    assert window.size == CWND_INITIAL + growth * PACKET_MAX


@pytest.mark.parametrize("change", [{"advanced": False}, {"was_full": False}])
def test_no_growth_without_need(window, change):
    acknowledge(window, 4, **change)

    assert window.size == CWND_INITIAL


def test_congestion_avoidance_grows_by_a_packet_for_each_window(window):
    window.threshold = window.size - 1
    for count in range(1, 31):
        acknowledge(window, 1)
        assert window.size == CWND_INITIAL + (PACKET_MAX if count >= 10 else 0) + (
            PACKET_MAX if count >= 21 else 0
        )


def test_a_loss_halves_it_until_all_of_the_flight_is_settled(window):
    window.size = 40 * PACKET_MAX
    assert window.lost(500)
    assert window.size == window.threshold == 20 * PACKET_MAX
    assert not window.lost(510)
    acknowledge(window, 10, cumulative=499)
    assert window.size == 20 * PACKET_MAX
    acknowledge(window, 1, cumulative=500)
    assert window.recovery_end is None
    assert window.lost(600)
    assert window.size == 10 * PACKET_MAX


def test_a_loss_leaves_four_packets_and_a_timeout_one(window):
    window.size = 5 * PACKET_MAX
    window.lost(1)
    assert window.size == CWND_MIN == 4 * PACKET_MAX
    window.size = 20 * PACKET_MAX
    window.timed_out(first=True)
    assert (window.size, window.threshold, window.recovery_end) == (PACKET_MAX, 10 * PACKET_MAX, None)
    window.timed_out(first=False)
    assert window.threshold == 10 * PACKET_MAX
    window.path_is_back()
    assert window.size == CWND_MIN


def test_what_may_leave_at_once(window):
    window.size = 100 * PACKET_MAX
    # with an idle path the first window, else a burst
    assert window.limit(0) == CWND_INITIAL
    assert window.limit(30 * PACKET_MAX) == 30 * PACKET_MAX + BURST
    # as much as has arrived, and a burst for each acknowledgement; only once
    acknowledge(window, 10, was_full=False)
    acknowledge(window, 10, was_full=False)
    assert window.limit(30 * PACKET_MAX) == 50 * PACKET_MAX + 2 * BURST
    assert window.limit(30 * PACKET_MAX) == 30 * PACKET_MAX + BURST
    # never more than the window
    acknowledge(window, 90, was_full=False)
    assert window.limit(30 * PACKET_MAX) == window.size


def test_less_leaves_in_recovery(window):
    window.size = 100 * PACKET_MAX
    window.lost(2000)
    assert window.limit(0) == BURST // 2
    acknowledge(window, 10)
    assert window.limit(PACKET_MAX) == 11 * PACKET_MAX


def test_a_pause_takes_it_back_and_slow_start_may_bring_it_again(window):
    window.size, window.threshold = 64 * PACKET_MAX, 20 * PACKET_MAX
    window.idle(1)
    assert (window.size, window.threshold) == (32 * PACKET_MAX, 48 * PACKET_MAX)
    window.idle(1000)
    assert window.size == CWND_INITIAL
    window.size = CWND_MIN
    window.idle(1)
    assert window.size == CWND_MIN


# -- the numbers of RFC 9260 as we have them, written out; P is a packet ----------------------------

P = 1188


def take(window: CongestionWindow, size: int, *, was_full: bool = False) -> None:
    window.acknowledged(size, cumulative=0, advanced=True, was_full=was_full)


def test_the_timeout_follows_what_is_measured():
    trip = RoundTrip()
    assert (trip.timeout, trip.wait) == (0.5, 0.5)
    trip.measure(0.01)
    assert (trip.smoothed, trip.variation, trip.timeout) == (0.01, 0.005, 0.4)
    trip = RoundTrip()
    trip.measure(1.0)
    assert (trip.variation, trip.timeout) == (0.5, 3.0)
    trip.measure(2.0)
    assert (trip.smoothed, trip.variation, trip.timeout) == (1.125, 0.625, 3.625)
    trip.measure(100.0)
    assert trip.timeout == 60.0


@pytest.mark.parametrize(
    ("timeout", "waits"), [(0.4, [0.4, 0.8, 1.0, 1.0]), (0.1, [0.1, 0.2, 0.4, 0.8, 1.0]), (2.0, [2.0, 2.0])]
)
def test_the_wait_doubles_up_to_a_second(timeout, waits):
    trip = RoundTrip()
    trip.timeout = timeout
    found = []
    for trip.backoff in range(len(waits)):
        found.append(trip.wait)
    assert found == waits
    trip.backoff = 1000
    assert trip.wait == waits[-1]


def test_how_many_packets_may_leave_at_once():
    window = CongestionWindow()
    assert window.limit(0) == 10 * P
    assert window.limit(P) == 5 * P
    take(window, P)
    assert window.limit(P) == 6 * P
    assert window.limit(P) == 5 * P, "an acknowledgement counts once"
    window.size = 100 * P
    take(window, 8 * P, was_full=True)
    assert window.size == 104 * P
    assert window.limit(P) == (1 + 8 + 4) * P
    take(window, 10 * P, was_full=True)
    assert window.size == 109 * P
    assert window.limit(P) == (1 + 10 + 4 + 1) * P


def test_what_may_leave_at_once_while_losses_are_mended():
    window = CongestionWindow()
    window.size = 40 * P
    assert window.lost(99)
    assert (window.size, window.threshold) == (20 * P, 20 * P)
    assert window.limit(P) == 3 * P
    take(window, 100)
    assert window.limit(P) == 3 * P
    take(window, 3 * P)
    assert window.limit(P) == 4 * P
    take(window, 3 * P)
    window.path_is_back()
    assert window.limit(P) == 5 * P, "what came before the path was gone counts no more"


def test_slow_start_goes_on_to_the_threshold_itself():
    window = CongestionWindow()
    window.size = window.threshold = 20 * P
    take(window, P, was_full=True)
    assert window.size == 21 * P
    take(window, 20 * P, was_full=True)
    assert window.size == 21 * P
    take(window, P, was_full=True)
    assert window.size == 22 * P
    window.lost(99)
    window.acknowledged(P, cumulative=99, advanced=True, was_full=True)
    take(window, P, was_full=True)
    window.size = window.threshold + P
    take(window, window.size - 1, was_full=True)
    assert window.size == window.threshold + P, "a loss begins the count anew"


def test_only_a_window_that_has_grown_shrinks_when_idle():
    window = CongestionWindow()
    window.threshold = 5 * P
    window.idle(3)
    assert (window.size, window.threshold) == (10 * P, 5 * P)
    window.size = 40 * P
    window.idle(1)
    assert (window.size, window.threshold) == (20 * P, 30 * P)
