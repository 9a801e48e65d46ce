"""The time line of a recorded file."""

import pytest

from rtcpeer.media.file_time import FileTime


def placed(frames, *, length=0.0, step_min=0.0):
    line = FileTime(step_min)
    return [round(line.place(at, length, now), 3) for at, now in frames]


@pytest.mark.parametrize(
    ("frames", "begins"),
    [
        # the track's own steps count, not the jitter of arrival
        ([(7.0, 0.5), (7.1, 0.65), (7.2, 0.68)], [0.5, 0.6, 0.7]),
        # leaps forward and back: as much later as time has passed
        ([(7.0, 0.5), (3607.0, 0.6), (3607.1, 0.7)], [0.5, 0.6, 0.7]),
        ([(7.0, 0.5), (0.0, 0.6), (0.1, 0.71)], [0.5, 0.6, 0.7]),
        # a time that stands, and none at all
        ([(7.0, 0.5), (7.0, 0.5), (7.0, 0.6)], [0.5, 0.501, 0.6]),
        ([(None, 0.5), (None, 0.6), (3.0, 0.7), (3.1, 0.9)], [0.5, 0.6, 0.7, 0.8]),
        # an outage of the track
        ([(7.0, 0.5), (7.1, 0.6), (37.1, 30.6), (37.2, 30.7)], [0.5, 0.6, 30.6, 30.7]),
        # a time line that runs at half speed does not lead ever further away
        ([(0.0, 0.0), (0.9, 1.8), (1.8, 3.6), (2.7, 5.4)], [0.0, 0.9, 1.8, 5.4]),
    ],
)
def test_pictures(frames, begins):
    assert placed(frames, step_min=0.001) == begins


@pytest.mark.parametrize(
    ("frames", "begins"),
    [
        ([(7.0, 0.0), (7.02, 0.09), (7.04, 0.09)], [0.0, 0.02, 0.04]),
        # what is missing is a gap, what comes too early follows what is there
        ([(7.0, 0.0), (7.06, 0.06)], [0.0, 0.06]),
        ([(7.0, 0.5), (0.0, 0.505), (0.02, 0.51)], [0.5, 0.52, 0.54]),
        ([(7.0, 0.0), (9999.0, 4.0), (9999.02, 4.0)], [0.0, 4.0, 4.02]),
        ([(None, 0.0), (None, 0.5), (None, 5.0)], [0.0, 0.02, 5.0]),
    ],
)
def test_sound(frames, begins):
    assert placed(frames, length=0.02) == begins


@pytest.mark.parametrize(
    ("frames", "begins"),
    [
        # a recording begins with its first frame or its beginning, whichever is later
        ([(7.0, -0.5), (7.1, -0.4)], [0.0, 0.1]),
        # a step of a second is a pause of the same line, a longer one another line
        ([(7.0, 0.0), (8.0, 0.5)], [0.0, 1.0]),
        ([(7.0, 0.0), (8.1, 0.5)], [0.0, 0.5]),
        # two seconds before or behind the time that has passed is as far as the own line counts
        ([(float(at), at / 2) for at in range(6)], [0.0, 1.0, 2.0, 3.0, 4.0, 4.001]),
        ([(float(at), at * 2.0) for at in range(4)], [0.0, 1.0, 2.0, 6.0]),
        # without a time of its own a picture is where it arrives, before and after one that has
        ([(7.0, 0.0), (None, 0.7), (7.1, 0.9)], [0.0, 0.7, 0.9]),
        # the file's line never stands or goes back
        ([(None, 0.5), (None, 0.4), (None, 0.3)], [0.5, 0.501, 0.502]),
    ],
)
def test_pictures_at_the_bounds(frames, begins):
    assert placed(frames, step_min=0.001) == begins


@pytest.mark.parametrize(
    ("frames", "begins"),
    [
        # rounding: a beginning up to a millisecond before the end of what was before it follows that
        ([(7.0, 0.0), (7.0195, 0.5)], [0.0, 0.02]),
        ([(7.0, 0.0), (7.0185, 0.5)], [0.0, 0.5]),
        # sound without times follows what was before it for a second
        ([(None, 0.0), (None, 1.0), (None, 1.5)], [0.0, 0.02, 1.5]),
        ([(7.0, 0.0), (None, 0.9), (7.5, 0.9)], [0.0, 0.02, 0.04]),
        # what came behind the last end is measured from there
        ([(7.0, 0.0), (7.52, 0.3), (7.54, 0.3)], [0.0, 0.52, 0.54]),
    ],
)
def test_sound_at_the_bounds(frames, begins):
    assert placed(frames, length=0.02) == begins


def test_pieces_of_sound_of_any_length_lie_behind_each_other():
    line = FileTime()
    lengths = [0.02, 0.06, 0.01, 0.12]
    places = [line.place(None, length, 0.0) for length in lengths]
    assert [round(place, 3) for place in places] == [0.0, 0.02, 0.08, 0.09]
