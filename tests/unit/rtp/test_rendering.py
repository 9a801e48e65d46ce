"""Freezes and pauses by the words of webrtc-stats."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.rendering import Rendering


def shown(*delays: float) -> Rendering:
    """So long each picture was waited for, after the first."""
    rendering, now = Rendering(), 100.0
    rendering.take(now)
    for delay in delays:
        now += delay
        rendering.take(now)
    return rendering


STEADY = [0.04] * 40


def test_an_even_flow_has_no_freeze() -> None:
    stats = shown(*STEADY).stats()
    assert stats["framesRendered"] == 41
    assert stats["totalInterFrameDelay"] == pytest.approx(1.6)
    assert stats["totalSquaredInterFrameDelay"] == pytest.approx(0.064)
    assert (stats["freezeCount"], stats["pauseCount"]) == (0, 0)


@pytest.mark.parametrize(
    ("usual", "gap", "frozen"),
    [
        (0.04, 0.189, False),
        (0.04, 0.191, True),  # the usual delay and 150 ms
        (0.1, 0.299, False),
        (0.1, 0.301, True),  # three times the usual delay
    ],
)
def test_a_freeze_is_a_delay_far_above_the_usual_one(usual: float, gap: float, frozen: bool) -> None:
    stats = shown(*[usual] * 40, gap).stats()
    assert stats["freezeCount"] == int(frozen)
    assert stats["totalFreezesDuration"] == pytest.approx(gap if frozen else 0.0)
    assert stats["pauseCount"] == 0


def test_the_usual_delay_is_that_of_the_last_thirty_pictures() -> None:
    slow = shown(*[0.04] * 40, *[0.5] * 31)
    assert (
        slow.freezes == 9
    )  # then three times the mean of the last thirty, 9 of them slow, is above half a second
    slow.take(1e9)
    assert slow.freezes == 10


def test_nothing_is_usual_at_the_beginning() -> None:
    assert shown(0.04, 0.04, 0.04, 0.04, 3.0).freezes == 0
    assert shown(0.04, 0.04, 0.04, 0.04, 0.04, 3.0).freezes == 1


def test_more_than_five_seconds_are_a_pause() -> None:
    assert shown(*STEADY, 5.0).pauses == 0
    stats = shown(*STEADY, 8.0).stats()
    assert (stats["pauseCount"], stats["freezeCount"]) == (1, 1)
    assert stats["totalPausesDuration"] == stats["totalFreezesDuration"] == pytest.approx(8.0)


def test_while_nobody_reads_nothing_stands_still() -> None:
    rendering = shown(*STEADY)
    rendering.interrupt()
    rendering.take(1000.0)
    assert (rendering.freezes, rendering.pauses, rendering.frames) == (0, 0, 42)
    rendering.take(1000.3)
    assert rendering.freezes == 1


def test_a_clock_that_goes_back_gives_no_negative_delay() -> None:
    rendering = shown(*STEADY)
    rendering.take(50.0)
    assert rendering.delay == pytest.approx(1.6)


def test_thirty_delays_are_usual_and_the_one_before_them_is_forgotten() -> None:
    assert shown(1.0, *[0.04] * 29, 0.2).freezes == 0
    assert shown(1.0, *[0.04] * 30, 0.2).freezes == 1
    assert shown(1.0, *[0.04] * 60, 0.2).freezes == 1


def test_three_times_the_usual_delay_is_a_freeze() -> None:
    """webrtc-stats freezeCount: "equal to or greater"."""
    assert shown(*[0.25] * 40, 0.75).freezes == 1


def test_what_is_just_above_five_seconds_is_a_pause() -> None:
    assert shown(*STEADY, 5.01).pauses == 1
