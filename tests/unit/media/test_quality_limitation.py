"""What limits a stream of pictures, for how long, and which sizes that has cost."""

import pytest

from rtcpeer.media.quality_limitation import LASTING, QualityLimitation, QualityLimitationReason

SIZE = (640, 480)


def feed(limitation, since, until, *, bits=10_000, target=300_000, is_held=False, size=SIZE, scale=1.0):
    """Thirty pictures a second."""
    for index in range(round((until - since) * 30)):
        now = since + index / 30
        limitation.made(now, bits=bits, target=target, is_held=is_held, size=size, scale=scale)


def reason(limitation, now):
    return limitation.stats(now)["qualityLimitationReason"]


def durations(limitation, now):
    return limitation.stats(now)["qualityLimitationDurations"]


def test_before_the_first_picture_nothing_is_limited_and_no_time_counts():
    stats = QualityLimitation().stats(1000.0)
    assert stats == {
        "qualityLimitationReason": "none",
        "qualityLimitationDurations": {"none": 0, "cpu": 0, "bandwidth": 0, "other": 0},
        "qualityLimitationResolutionChanges": 0,
    }


def test_an_estimate_limits_an_encoder_that_makes_use_of_all_that_it_leaves():
    limitation = QualityLimitation()
    feed(limitation, 100, 110, is_held=True)
    assert reason(limitation, 110) == "bandwidth"
    assert durations(limitation, 110)["bandwidth"] == pytest.approx(9, abs=0.2)
    assert sum(durations(limitation, 110).values()) == pytest.approx(10)


def test_it_limits_none_whose_pictures_need_less():
    limitation = QualityLimitation()
    feed(limitation, 100, 110, is_held=True, bits=7_000)
    assert reason(limitation, 110) == "none"
    assert durations(limitation, 110) == {"none": pytest.approx(10), "cpu": 0, "bandwidth": 0, "other": 0}


@pytest.mark.parametrize(("part", "expected"), [(0.5, "none"), (0.8, "bandwidth")])
def test_of_few_pictures_the_time_between_them_counts(part, expected):
    """Slides, one in three seconds, each of which takes a part of what may be sent in that time."""
    limitation = QualityLimitation()
    for now in (100.0, 103.0, 106.0):
        limitation.made(now, bits=round(part * 900_000), target=300_000, is_held=True, size=SIZE, scale=1.0)
    assert reason(limitation, 106.1) == expected


def test_pictures_that_are_smaller_so_that_the_path_bears_more_of_them_are_limited_by_it():
    limitation = QualityLimitation()
    changes = []
    for now, size, divisor in [
        (100, SIZE, 1.0),
        (101, (480, 360), 4 / 3),
        (102, (320, 240), 2.0),
        (103, SIZE, 1.0),
    ]:
        limitation.made(now, bits=1, target=None, is_held=False, size=size, scale=1.0, divisor=divisor)
        changes.append((reason(limitation, now), limitation.resolution_changes))
    assert changes == [("none", 0), ("bandwidth", 1), ("bandwidth", 2), ("none", 3)]


def test_a_rate_that_is_asked_for_is_no_limitation():
    limitation = QualityLimitation()
    feed(limitation, 100, 110)
    assert reason(limitation, 110) == "none"


@pytest.mark.parametrize(
    "why", [QualityLimitationReason.CPU, QualityLimitationReason.BANDWIDTH, QualityLimitationReason.OTHER]
)
def test_a_picture_that_was_left_out_limits_for_a_moment(why):
    limitation = QualityLimitation()
    feed(limitation, 100, 101)
    limitation.left_out(why, 101.0)
    assert reason(limitation, 101 + LASTING / 2) == why
    # asked in the middle or not: time is counted by what held when it passed
    assert reason(limitation, 103) == "none"
    assert durations(limitation, 103)[why] == pytest.approx(LASTING)
    assert durations(limitation, 103)["none"] == pytest.approx(3 - LASTING)


def test_of_several_reasons_bandwidth_comes_before_cpu_and_that_before_any_other():
    limitation = QualityLimitation()
    limitation.left_out(QualityLimitationReason.OTHER, 100.0)
    assert reason(limitation, 100.1) == "other"
    limitation.left_out(QualityLimitationReason.CPU, 100.2)
    assert reason(limitation, 100.3) == "cpu"
    limitation.left_out(QualityLimitationReason.BANDWIDTH, 100.4)
    assert reason(limitation, 100.5) == "bandwidth"
    # the others are over first
    assert durations(limitation, 102) == {
        "none": pytest.approx(0.6),
        "other": pytest.approx(0.2),
        "cpu": pytest.approx(0.2),
        "bandwidth": pytest.approx(1.0),
    }


def test_a_stream_that_makes_nothing_is_not_limited():
    limitation = QualityLimitation()
    feed(limitation, 100, 105, is_held=True)
    limitation.stop(105.0)
    assert reason(limitation, 105) == "none"
    before = durations(limitation, 105)["bandwidth"]
    # and it takes a second to see whether it is again
    feed(limitation, 110, 110.5, is_held=True)
    assert reason(limitation, 110.5) == "none"
    assert durations(limitation, 110.5)["bandwidth"] == before


def test_resolutions_that_change_because_of_a_limitation_are_counted_and_no_others():
    limitation = QualityLimitation()
    changes = []
    for size, scale in [
        (SIZE, 1.0),
        # another picture of the track
        ((1280, 720), 1.0),
        # and one that the other end does not take, and again
        ((640, 360), 0.5),
        ((640, 360), 0.5),
        # a larger one that becomes as large
        ((640, 360), 0.25),
        ((1280, 720), 1.0),
    ]:
        limitation.made(100.0, bits=1, target=None, is_held=False, size=size, scale=scale)
        changes.append(limitation.resolution_changes)
    assert changes == [0, 0, 1, 1, 1, 2]
    limitation.made(101.0, bits=1, target=None, is_held=False, size=(640, 360), scale=0.5)
    assert reason(limitation, 101.5) == "other"
