"""The frame rate of the last whole second, also when nothing comes any more."""

from rtcpeer.rtp.frame_rate import FrameRate


def test_it_is_that_of_the_last_whole_second():
    rate = FrameRate()
    assert [rate.at(now) for now in (0.5, 1.5, 100.0)] == [0.0] * 3
    for index in range(75):
        rate.note(100 + index / 30)
    assert rate.at(102.5) == 30.0
    assert rate.at(103.5) == 15.0
    assert rate.at(104.5) == 0.0


def test_it_ends_with_the_frames():
    rate = FrameRate()
    for index in range(30):
        rate.note(100 + index / 30)
    assert rate.at(101.9) == 30.0
    assert rate.at(102.0) == 0.0
    # and the first frame after a pause has no second before it
    rate.note(200.0)
    assert rate.at(200.5) == 0.0
