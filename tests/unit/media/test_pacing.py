"""Sound that is there before its time: sent ahead, but not too far and not all at once."""

from __future__ import annotations

import itertools

import pytest

from rtcpeer.media.pacing import LEAD, RATE, SoundPacer

PIECE = 0.02


def send(pacer, count, now):
    """Send pieces as soon as they may go; give their times."""
    times = []
    for _ in range(count):
        now += pacer.delay(now)
        pacer.sent(PIECE, now)
        times.append(now)
    return times


def test_sound_in_its_time_never_waits():
    pacer = SoundPacer()
    for n in range(500):
        # a timer's jitter
        now = 1000 + n * PIECE + (0.004 if n % 3 else 0)
        assert pacer.delay(now) == 0
        pacer.sent(PIECE, now)


def test_speech_goes_ahead_and_then_at_its_pace():
    times = send(SoundPacer(), 500, 1000.0)
    steps = [b - a for a, b in itertools.pairwise(times)]

    assert min(steps) >= PIECE / RATE - 1e-6
    # never further ahead than allowed
    assert max(n * PIECE - (at - times[0]) for n, at in enumerate(times)) <= LEAD * 1.05
    # 3 s of speech in 1.5 s; ten seconds take eight, but for what clocks may differ
    assert times[150] - times[0] <= 1.5
    assert times[-1] - times[0] == pytest.approx(10 - LEAD, rel=0.03)


def test_what_a_stall_held_up_is_sent_quickly():
    pacer = SoundPacer()
    send(pacer, 1, 1000.0)
    times = send(pacer, 50, 1001.0)

    assert times[-1] - times[0] == pytest.approx(49 * PIECE / RATE, abs=0.01)


def test_a_faster_clock_is_never_ahead_for_good():
    pacer, now, waited = SoundPacer(), 1000.0, 0.0
    # ten minutes of a source that is 0.5 % too fast
    for _ in range(30_000):
        now += PIECE * 0.995
        waited = max(waited, pacer.delay(now))
        pacer.sent(PIECE, now)

    assert waited == 0
