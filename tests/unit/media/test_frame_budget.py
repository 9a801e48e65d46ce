"""Frames are left out where an encoder makes more than is allowed, and nowhere else."""

import pytest

from rtcpeer.media.frame_budget import FrameBudget


def run(size, bitrate, *, key=0, seconds=10, rate=30):
    """Frames that were made of those that were asked for, and their bit/s; the first one has `key` bytes more."""
    budget, made, total = FrameBudget(), 0, 0
    for index in range(seconds * rate):
        now = 100 + index / rate
        if budget.allows(now):
            budget.spend(size + (key if not made else 0), bitrate, now)
            made, total = made + 1, total + size
    return made / (seconds * rate), 8 * total / seconds


def test_an_encoder_that_keeps_to_its_rate_loses_no_frame():
    assert run(1000, 240_000)[0] == 1.0
    # nor for a key frame of twelve others, nor for a third more during a second
    assert run(1000, 240_000, key=11_000)[0] == 1.0


@pytest.mark.parametrize("bitrate", [30_000, 60_000, 120_000])
def test_one_that_does_not_is_held_to_it(bitrate):
    part, bits = run(1000, bitrate)
    assert part < 1.0
    # but for what may be owed
    assert bitrate * 0.9 < bits < bitrate * 1.15


def test_there_is_a_picture_now_and_then_however_poor_the_path_is():
    budget, now = FrameBudget(), 0.0
    budget.spend(1_000_000, 30_000, now)
    assert not budget.allows(now + 1.4)
    assert budget.allows(now + 1.6)
    assert budget.left_out == 1


def test_nothing_is_owed_where_nobody_says_what_is_allowed():
    budget = FrameBudget()
    budget.spend(1_000_000, 30_000, 0.0)
    budget.forgive()
    assert budget.allows(0.01)


def test_a_clock_that_is_set_back_costs_no_picture():
    budget = FrameBudget()
    budget.spend(1000, 240_000, 100.0)
    assert budget.allows(90.0)
    # nor is what is owed worked off by what did not pass
    budget.spend(100_000, 240_000, 90.0)
    assert not budget.allows(80.0)
    assert not budget.allows(81.4)
    assert budget.allows(81.6)
