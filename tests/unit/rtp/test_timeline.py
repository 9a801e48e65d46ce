from __future__ import annotations

import itertools
import random

import pytest

from rtcpeer.rtp.timeline import TrackTimeline

RATE = 90000
STEP = 3000


class Camera:
    """Frames of 30 a second over a path with a delay; what it does to its timestamps is up to the test."""

    def __init__(self, start=1_000_000, ssrc=1):
        self.line = TrackTimeline()
        self.timestamp, self.ssrc, self.at = start, ssrc, 50.0
        self.times: list[float] = []

    def frames(self, count, *, late=lambda n: 0.0):
        for number in range(count):
            time = self.line.map(self.ssrc, self.timestamp & 0xFFFFFFFF, RATE, self.at + late(number))
            self.times.append(time / RATE)
            self.timestamp += STEP
            self.at += STEP / RATE

    @property
    def steps(self):
        return [b - a for a, b in itertools.pairwise(self.times)]


def test_it_begins_at_zero_and_follows_the_timestamps_exactly():
    rng = random.Random(1)
    camera = Camera(0xFFFFFFFF - 20 * STEP)
    camera.frames(100, late=lambda n: rng.uniform(0, 0.3))

    assert camera.times == [n / 30 for n in range(100)]


@pytest.mark.parametrize(
    "leap",
    [-10 * RATE, 10 * RATE, 1 << 31, (1 << 31) - 5, 3600 * RATE, -3600 * RATE, 123456789, -RATE],
)
def test_a_leap_is_no_break(leap):
    camera = Camera()
    camera.frames(60)
    camera.timestamp += leap
    camera.frames(60)

    assert all(0.005 < step < 0.1 for step in camera.steps)
    assert camera.times[-1] == pytest.approx(119 / 30, abs=0.1)


def test_a_restart_after_a_silence_lets_the_silence_be():
    camera = Camera()
    camera.frames(30)
    camera.at += 20
    camera.timestamp = 7
    camera.frames(30)

    assert max(camera.steps) == pytest.approx(20, abs=0.1)
    assert min(camera.steps) > 0


def test_another_stream_goes_on_where_the_first_was():
    camera = Camera()
    for ssrc in (1, 2, 1, 3):
        camera.ssrc = ssrc
        camera.timestamp = 500_000_000 * ssrc
        camera.frames(30)

    assert all(0.005 < step < 0.1 for step in camera.steps)


def test_pictures_out_of_their_order_keep_their_times():
    line = TrackTimeline()
    order = [0, 3, 1, 2, 6, 4, 5]

    assert [line.map(1, 77 + STEP * n, RATE, 1 + i / 30) // STEP for i, n in enumerate(order)] == order


def test_a_path_that_stood_still_is_no_leap():
    camera = Camera()
    camera.frames(30)
    stall = camera.at + 6
    # six seconds later all that waited comes at once, some of it lost, and then things are as before
    camera.frames(180, late=lambda n: max(0.0, stall - camera.at))
    camera.timestamp += 10 * STEP
    camera.at += 10 * STEP / RATE
    camera.frames(30)

    expected = [n / 30 for n in range(210)] + [n / 30 for n in range(220, 250)]
    assert camera.times == pytest.approx(expected)


def test_another_clock_rate_is_another_line_of_timestamps():
    line = TrackTimeline()
    times = [line.map(1, 960 * n, 48000, 5 + n / 50) / 48000 for n in range(50)]
    times += [line.map(1, 99999 + 160 * n, 8000, 6 + n / 50) / 8000 for n in range(50)]

    assert all(0 < b - a < 0.05 for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("drift", [0.9998, 1.0002])
def test_clocks_that_differ(drift):
    line = TrackTimeline()
    times = [line.map(1, STEP * n & 0xFFFFFFFF, RATE, 3 + n / 30 * drift) for n in range(30 * 3600)]

    assert times == [STEP * n for n in range(30 * 3600)]


def test_timestamps_are_followed_to_the_tick():
    line = TrackTimeline()

    assert [line.map(1, 7 + 961 * n, 48000, 3 + n / 50) for n in range(50)] == [961 * n for n in range(50)]


@pytest.mark.parametrize(
    ("leap", "is_followed"), [(-0.45, True), (-0.55, False), (1.9, True), (2.1, False), (0.0, True)]
)
def test_what_is_a_leap(leap, is_followed):
    """Back by more than pictures are reordered, or forward by more than a packet seems early."""
    line = TrackTimeline()
    for n in range(30):
        last = line.map(1, STEP * n, RATE, 1 + n / 30)
    found = line.map(1, 29 * STEP + int(leap * RATE), RATE, 1 + 29 / 30)

    assert found == last + (int(leap * RATE) if is_followed else STEP)


def after(order, step):
    """How many ticks behind the latest frame another stream begins that comes at the same moment."""
    line, end = TrackTimeline(), max(order)
    times = [line.map(1, 50 + step * n, RATE, 1 + min(i, end) * step / RATE) for i, n in enumerate(order)]
    return line.map(2, 900_000, RATE, 1 + end * step / RATE) - max(times)


@pytest.mark.parametrize(
    ("order", "step", "ticks"),
    [
        (range(30), STEP, STEP),
        # what comes before the latest one, or with it, is no step
        ([*range(28), 30, 29, 28], STEP, 3 * STEP),
        ([*range(30), 29, 29], STEP, STEP),
        # slides say nothing of what comes next; nor do frames of a few ticks
        (range(5), 20 * STEP, RATE // 10),
        (range(5), 11, RATE // 100),
    ],
)
def test_another_stream_begins_one_step_behind_the_latest_frame(order, step, ticks):
    assert after(order, step) == ticks


def test_one_late_frame_does_not_delay_what_comes_behind_it():
    """The quickest way is what counts: another stream a second later is a second later."""
    line = TrackTimeline()
    for n in range(30):
        last = line.map(1, STEP * n, RATE, 1 + n / 30 + (0.3 if n == 29 else 0))

    assert line.map(2, 5, RATE, 1 + 29 / 30 + 1) - last == pytest.approx(RATE, abs=0.01 * RATE)


def test_a_way_that_became_longer_is_learned():
    line = TrackTimeline()
    for n in range(1200):
        last = line.map(1, STEP * n, RATE, 1 + n / 30 + (1 if n > 30 else 0))

    assert line.map(2, 5, RATE, 1 + 1199 / 30 + 1 + 1) - last == pytest.approx(RATE, abs=0.01 * RATE)


@pytest.mark.parametrize("ssrc", [0, 1])
@pytest.mark.parametrize("rates", [(48000, 8000), (8000, 48000)])
def test_the_line_goes_on_in_ticks_of_the_other_clock(ssrc, rates):
    """One step behind the latest frame, however its own timestamps stand to those of before."""
    old, new = rates
    line = TrackTimeline()
    for n in range(50):
        line.map(ssrc, old // 50 * n, old, 5 + n / 50)
    first = line.map(ssrc, old // 50 * 49 + new, new, 5 + 49 / 50)

    assert first == new
    assert line.map(ssrc, old // 50 * 49 + new + 160, new, 5 + 49 / 50) == new + 160
