"""Which layer of a source an output gets, by measured bitrates."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.forwarding import SourceStream
from rtcpeer.rtp.layers import (
    HOLD,
    HOLD_MAX,
    LASTED,
    SILENCE,
    Damping,
    choose,
    choose_temporal,
    wanted_bitrate,
)
from rtcpeer.rtp.temporal import ALL


def stream(rid: str | None, size: int, last_at: float = 10.0) -> SourceStream:
    """A stream that brings so many bytes a second."""
    made = SourceStream(1, is_video=True, clock_rate=90000)
    made.rid = rid
    made.last_at = last_at
    made.rate.add(size, 9.0)
    made.rate.add(0, 10.0)
    return made


LOW, MIDDLE, HIGH = stream("q", 10_000), stream("h", 50_000), stream("f", 200_000)
LAYERS = (HIGH, LOW, MIDDLE)


def chosen(wanted: str | None = None, estimate: int | None = None, current: SourceStream | None = None):
    return choose(LAYERS, wanted=wanted, estimate=estimate, current=current, now=10.0)


def test_the_layer_that_was_asked_for_whatever_the_estimate():
    assert chosen(wanted="h", estimate=1) is MIDDLE


def test_one_that_is_hardly_better_is_not_worth_a_key_frame():
    for size, expected in ((59_000, MIDDLE), (61_000, None)):
        better = stream("f", size)
        found = choose([better, MIDDLE], wanted=None, estimate=None, current=MIDDLE, now=10.0)
        assert found is (expected or better)


def test_without_an_estimate_the_best_one():
    assert chosen() is HIGH
    assert chosen(current=LOW) is HIGH


@pytest.mark.parametrize(
    ("estimate", "current", "expected"),
    [
        (1, None, LOW),
        (400_000, LOW, LOW),  # as much as the layer takes is not enough to move up to it
        (460_001, LOW, MIDDLE),
        (361_000, MIDDLE, MIDDLE),  # less than it takes is enough to stay
        (359_000, MIDDLE, LOW),
        (10_000_000, LOW, HIGH),
    ],
)
def test_the_estimate_bounds_the_layer_with_a_margin(estimate, current, expected):
    assert chosen(estimate=estimate, current=current) is expected


def test_a_silent_layer_gives_way_until_all_are_silent():
    silent = stream("f", 200_000, last_at=10.0 - SILENCE)
    assert choose([silent, LOW], wanted="f", estimate=None, current=silent, now=10.0) is LOW
    late = stream("q", 10_000, last_at=1.0)
    assert choose([silent, late], wanted=None, estimate=None, current=late, now=10.0) is late
    assert choose([silent, late], wanted=None, estimate=None, current=None, now=10.0) is silent
    assert choose([], wanted=None, estimate=None, current=None, now=10.0) is None


def test_streams_without_names_are_no_layers():
    """A source that begins with another SSRC: the new one, but no hopping to and fro."""
    before, after = stream(None, 90_000, last_at=9.8), stream(None, 10, last_at=10.0)
    assert choose([before, after], wanted=None, estimate=1, current=None, now=10.0) is after
    assert choose([before, after], wanted=None, estimate=1, current=before, now=10.0) is before


def test_temporal_layers_by_their_sums():
    sums = [(0, 100_000.0), (1, 150_000.0), (2, 200_000.0)]
    assert choose_temporal([], estimate=1, held=1) == 1
    assert choose_temporal(sums, estimate=1, held=2) == 0
    assert choose_temporal(sums, estimate=160_000, held=0) == 0
    assert choose_temporal(sums, estimate=160_000, held=1) == 1
    assert choose_temporal(sums, estimate=240_000, held=0) == ALL


def test_the_wanted_bitrate_is_that_of_the_layer_with_the_margin_to_move_up():
    assert wanted_bitrate(LAYERS, wanted="h", now=10.0) == pytest.approx(460_000, abs=1)
    assert wanted_bitrate(LAYERS, wanted=None, now=10.0) == pytest.approx(1_840_000, abs=1)
    assert wanted_bitrate(LAYERS, wanted="unknown", now=10.0) == pytest.approx(1_840_000, abs=1)
    assert wanted_bitrate(LAYERS, wanted=None, now=99.0) == 0


def waits(damping, now):
    """How long the estimate has to bear more from now on, until the output may move up; it moves then."""
    damping.stay()
    for step in range(1000):
        if damping.may_rise(now + step / 10):
            return step / 10
    raise AssertionError("it never may")


def test_who_has_never_moved_down_moves_up_at_once():
    damping = Damping()
    assert waits(damping, 1.0) == 0
    assert waits(damping, 1.0) == 0


def test_behind_a_move_down_the_estimate_has_to_bear_more_for_a_while_on_end():
    damping = Damping()
    damping.fall(1.0)
    assert not damping.may_rise(5.0)
    damping.stay()
    assert waits(damping, 5.0) == HOLD
    damping.fall(50.0)
    assert not damping.may_rise(60.0)
    damping.fall(61.0)
    assert not damping.may_rise(60.1 + HOLD), "what it bore before the move down says nothing"


def test_the_waits_double_up_to_a_bound_and_begin_anew_behind_what_lasted():
    damping, now, found = Damping(), 100.0, []
    damping.fall(now)
    for lasts in (1.0, 1.0, 1.0, 1.0, 1.0, LASTED, 1.0):
        found.append(waits(damping, now))
        now += found[-1] + lasts
        damping.fall(now)
    found.append(waits(damping, now))
    assert found == [HOLD, 2 * HOLD, 4 * HOLD, 8 * HOLD, HOLD_MAX, HOLD_MAX, HOLD, 2 * HOLD]


def test_further_down_is_the_same_failure_and_later_another_one():
    damping = Damping()
    damping.fall(50.0)
    damping.fall(50.0 + waits(damping, 50.0) + 1)
    damping.fall(55.0)
    assert waits(damping, 55.0) == 2 * HOLD
    # it has moved up then; that lasted, and what follows is no failure of it
    damping.fall(100.0)
    damping.fall(101.0)
    assert waits(damping, 101.0) == HOLD


def test_a_fall_long_after_another_one_is_the_first_again():
    damping = Damping()
    damping.fall(50.0)
    damping.fall(50.0 + waits(damping, 50.0) + 1)
    damping.fall(53.0 + LASTED)
    assert waits(damping, 70.0) == HOLD
