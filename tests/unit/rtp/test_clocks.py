"""The publisher's clock through its reports: sound and picture stay together through a relay."""

import pytest

from rtcpeer.rtp.clocks import RemoteClock, StreamClock

NTP = 2208988800


def ntp(seconds):
    return int((seconds + NTP) * 4294967296)


def captured_at(clock, offset, rate, timestamp, now):
    """When a sample with this timestamp was captured, by a report that is written now from the mapped one."""
    current = clock.timestamp_at(now)
    return now - (current - timestamp) / rate


@pytest.mark.parametrize("ahead", [-100.0, 0.0, 3600.0])
def test_a_late_picture_stays_with_its_sound(ahead):
    """The publisher's video, its reports too, is 200 ms later than its sound; its clock differs from ours."""
    remote = RemoteClock()
    sound, video = StreamClock(remote, 48000), StreamClock(remote, 90000)
    for second in range(1, 30):
        captured = 1000.0 + second
        sound.note(ntp(captured + ahead), second * 48000, captured + 0.03)
        video.note(ntp(captured + ahead), second * 90000, captured + 0.23)
    now = 1040.0
    moment = 35
    heard = captured_at(sound, 0, 48000, moment * 48000, now)
    seen = captured_at(video, 0, 90000, moment * 90000, now)
    assert heard == pytest.approx(seen, abs=0.005)
    # by our clock: when it was captured, and the quickest way
    assert heard == pytest.approx(1000 + moment + 0.03, abs=0.02)


def test_a_stream_with_a_clock_of_its_own():
    remote = RemoteClock()
    one, other = StreamClock(remote, 90000), StreamClock(remote, 90000)
    one.note(ntp(1000.0), 0, 1000.03)
    other.note(ntp(500.0), 0, 1000.05)
    assert one.timestamp_at(1001.03) == pytest.approx(90000, abs=1)
    assert other.timestamp_at(1001.05) == pytest.approx(90000, abs=1)


def test_nothing_is_known_before_a_report():
    clock = StreamClock(RemoteClock(), 90000)
    assert clock.timestamp_at(5.0) is None
    clock.note(0, 77, 5.0)
    assert clock.timestamp_at(5.0) is None


def test_a_clock_that_was_set_is_followed():
    remote = RemoteClock()
    clock = StreamClock(remote, 90000)
    clock.note(ntp(1000.0), 0, 1000.0)
    clock.note(ntp(2000.0), 90000, 1001.0)
    assert clock.timestamp_at(1002.0) == pytest.approx(180000, abs=1)


def test_drift_is_followed():
    remote = RemoteClock()
    clock = StreamClock(remote, 90000)
    for second in range(1000):
        # theirs is slower by 50 us a second
        clock.note(ntp(second * (1 - 5e-5)), second * 90000, second + 0.02)
    assert remote.offset == pytest.approx(0.02 + 1000 * 5e-5, abs=0.01)


def test_a_report_with_an_absurd_time_is_forgotten():
    """Sound and picture that comes 0.2 s later are together again, not each by its own delay for ever."""
    remote = RemoteClock()
    sound, video = StreamClock(remote, 48000), StreamClock(remote, 90000)
    sound.note((1 << 64) - 1, 0, 1000.0)
    for second in range(20):
        at = 1001.0 + second
        sound.note(ntp(at - 0.01), 48000 * second, at)
        video.note(ntp(at - 0.21), round(90000 * (second - 0.2)), at)
    assert sound.timestamp_at(1020.0) / 48000 == pytest.approx(video.timestamp_at(1020.0) / 90000, abs=0.03)
