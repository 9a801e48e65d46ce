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
