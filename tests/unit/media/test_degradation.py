from __future__ import annotations

import itertools

import pytest

from rtcpeer.media.degradation import PICTURES_MIN, STEPS, WINDOW, Degradation, preference_of
from rtcpeer.media.frame_budget import FrameBudget
from rtcpeer.values import DegradationPreference

HD = 1280 * 720
FRAMERATE, RESOLUTION, BALANCED = (
    DegradationPreference.MAINTAIN_FRAMERATE,
    DegradationPreference.MAINTAIN_RESOLUTION,
    DegradationPreference.BALANCED,
)


class Picturing:
    """Thirty pictures a second, each of which costs as many bits as a picture of its size does."""

    def __init__(self, preference, *, full=40_000, pixels=HD):
        self.degradation = Degradation(preference)
        self.full, self.pixels, self.now = full, pixels, 0.0
        self.budget = FrameBudget()

    def run(self, seconds, allowed):
        """Let time pass on a path of so many bit/s; gives the part of pictures that were sent."""
        sent = 0
        for _ in range(30 * seconds):
            self.now += 1 / 30
            if not self.budget.allows(self.now):
                self.degradation.note_left_out()
                continue
            self.degradation.settle(self.now, pixels=self.pixels, allowed=allowed)
            cost = self.full / self.degradation.divisor**2
            self.degradation.note_made(round(cost))
            self.budget.spend(round(cost / 8), allowed or 1_000_000_000, self.now)
            sent += 1
        return sent / (30 * seconds)


def test_pictures_become_smaller_until_the_path_bears_all_and_larger_again():
    call = Picturing(FRAMERATE)
    assert call.run(10, 2_000_000) == 1.0
    assert call.degradation.divisor == 1.0

    # each second costs 1.2 Mbit in full size, 0.3 Mbit in half
    call.run(10, 350_000)
    assert call.degradation.divisor == 2.0
    assert call.run(10, 350_000) == 1.0

    # a little more is not enough to grow, as it would not last
    assert call.run(4, 400_000) == 1.0
    assert call.degradation.divisor == 2.0

    call.run(5, 2_000_000)
    assert call.degradation.divisor == 1.0


def test_a_larger_size_is_tried_again_as_pictures_may_have_become_simpler():
    call = Picturing(FRAMERATE)
    call.run(10, 350_000)
    call.full = 10_000

    call.run(60, 350_000)

    assert call.degradation.divisor == 1.0


def test_sizes_do_not_go_up_and_down_all_the_time():
    call = Picturing(FRAMERATE)
    call.run(10, 350_000)
    sizes = []
    for _ in range(120):
        call.run(1, 350_000)
        sizes.append(call.degradation.divisor)
    changes = sum(before != after for before, after in itertools.pairwise(sizes))
    # the first times they are tried again after some twenty seconds, then ever later
    assert changes <= 8


@pytest.mark.parametrize(("allowed", "expected"), [(900_000, 1.0), (700_000, 4 / 3)])
def test_balanced_gives_up_a_third_of_the_pictures_first(allowed, expected):
    call = Picturing(BALANCED)
    call.run(10, allowed)
    assert call.degradation.divisor == expected


def test_the_size_is_kept_where_that_is_wanted():
    call = Picturing(RESOLUTION)
    assert call.run(10, 100_000) < 0.2
    assert call.degradation.divisor == 1.0


def test_small_pictures_are_not_made_smaller():
    call = Picturing(FRAMERATE, pixels=320 * 180)
    call.run(10, 100_000)
    assert call.degradation.divisor == 1.0

    call = Picturing(FRAMERATE, pixels=640 * 360)
    call.run(20, 10_000)
    assert call.degradation.divisor == 2.0

    call = Picturing(FRAMERATE, pixels=4096 * 2304)
    call.run(30, 10_000)
    assert call.degradation.divisor == STEPS[-1]


def test_without_an_estimate_pictures_have_their_full_size_at_once():
    call = Picturing(FRAMERATE)
    call.run(10, 350_000)
    call.run(1, None)
    assert call.degradation.divisor == 1.0


def test_few_pictures_say_nothing():
    degradation = Degradation(FRAMERATE)
    degradation.settle(0.0, pixels=HD, allowed=1000)
    degradation.note_made(100)
    for _ in range(PICTURES_MIN - 2):
        degradation.note_left_out()
    degradation.settle(WINDOW + 1, pixels=HD, allowed=1000)
    assert degradation.divisor == 1.0

    degradation.note_left_out()
    degradation.settle(WINDOW + 1, pixels=HD, allowed=1000)
    assert degradation.divisor > 1.0


@pytest.mark.parametrize(
    ("wanted", "hint", "expected"),
    [
        (None, "", RESOLUTION),
        (None, "motion", FRAMERATE),
        (None, "detail", RESOLUTION),
        (BALANCED, "motion", BALANCED),
        (RESOLUTION, "motion", RESOLUTION),
    ],
)
def test_who_says_what_suffers(wanted, hint, expected):
    assert preference_of(wanted, hint) is expected


def test_pictures_grow_by_the_step_that_the_path_bears():
    call = Picturing(FRAMERATE)
    call.run(10, 350_000)
    assert call.degradation.divisor == 2.0

    # 1.2 Mbit a second in full size, 0.675 in three quarters of it
    call.run(5, 800_000)
    assert call.degradation.divisor == 4 / 3


def test_a_size_that_does_not_last_is_tried_again_after_twice_the_time():
    call = Picturing(FRAMERATE)
    call.run(10, 350_000)
    grown, before = [], call.degradation.divisor
    for _ in range(900):
        call.run(1, 350_000)
        if call.degradation.divisor < before:
            grown.append(call.now)
        before = call.degradation.divisor
    gaps = [later - earlier for earlier, later in itertools.pairwise(grown)]

    factors = [later / earlier for earlier, later in itertools.pairwise(gaps)]
    assert factors[:2] == [pytest.approx(2, abs=0.3)] * 2
    # up to a bound: pictures may become simpler at any time
    assert factors[3:] == [pytest.approx(1, abs=0.1)] * len(factors[3:])
    assert len(gaps) > 4
