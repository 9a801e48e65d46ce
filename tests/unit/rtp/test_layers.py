"""Which layer of a source an output gets, by measured bitrates."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.forwarding import SourceStream
from rtcpeer.rtp.layers import SILENCE, choose, choose_temporal, wanted_bitrate
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
