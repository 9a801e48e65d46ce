"""What may be sent again: bounded by the path's estimate, whoever asks."""

import pytest

from rtcpeer.rtp.congestion.repeats import BURST_MIN, BURST_TIME, SHARE, RepeatBudget


@pytest.mark.parametrize("estimate", [30_000, 500_000, 10_000_000])
def test_never_more_than_the_share_of_the_estimate(estimate: int) -> None:
    budget, repeated = RepeatBudget(), 0
    for step in range(10_000):
        while budget.take(1100, estimate, 5 + step / 1000):
            repeated += 1100
    rate = SHARE * estimate / 8
    assert 0.9 * rate * 10 <= repeated <= rate * 10 + max(BURST_MIN, BURST_TIME * rate)


@pytest.mark.parametrize("estimate", [100_000, 1_000_000])
def test_with_what_is_new_it_is_no_more_than_the_estimate(estimate: int) -> None:
    """A path that loses much is full: what is asked for again must not keep it so."""
    budget, sent = RepeatBudget(), 0.0
    for step in range(10_000):
        now = 5 + step / 1000
        while budget.take(1100, estimate, now):
            sent += 8 * 1100
        sent += budget.left(estimate, now) / 1000
    # over ten seconds, but for the burst at the beginning, and what is measured late
    assert sent <= 10.5 * estimate + 8 * max(BURST_MIN, BURST_TIME * SHARE * estimate / 8)


def test_without_an_estimate_it_bounds_nothing_and_with_one_at_once() -> None:
    budget = RepeatBudget()
    assert all(budget.take(1100, None, 1.0) for _ in range(1000))
    assert sum(budget.take(1100, 100_000, 1.0) for _ in range(1000)) == 2
    # a clock that goes back gives nothing
    assert not budget.take(1100, 100_000, 0.0)
