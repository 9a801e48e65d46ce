"""The publisher's clock through its reports: sound and picture stay together through a relay."""

import pytest

from rtcpeer.rtp.clocks import FOREIGN_MAX, RemoteClock, StreamClock

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


def test_the_least_delay_counts_and_is_forgotten_slowly():
    remote = RemoteClock()
    assert remote.note(100.0, 110.0) == remote.offset == 10.0
    assert remote.note(101.0, 110.5) == remote.offset == 9.5
    # a hundredth of what a report is later
    assert remote.note(102.0, 112.0) == remote.offset == 9.505
    assert remote.note(103.0, 12.0) == remote.offset == -91.0


@pytest.mark.parametrize(("late", "is_foreign"), [(0.99, False), (1.0, True)])
def test_what_disagrees_by_a_second_has_a_clock_of_its_own(late, is_foreign):
    remote = RemoteClock()
    remote.note(0.0, 10.0)
    assert (remote.note(0.0, 10.0 + late) == 10.0 + late) is is_foreign
    assert (remote.offset == 10.0) is is_foreign


def test_it_is_the_first_one_that_was_wrong_if_eight_in_a_row_disagree():
    remote = RemoteClock()
    remote.note(0.0, 10.0)
    for _ in range(2):
        for late in range(FOREIGN_MAX - 1):
            assert remote.note(0.0, 12.0 + late) == 12.0 + late
            assert remote.offset == 10.0
        assert remote.note(0.0, 10.0) == 10.0
    for late in reversed(range(FOREIGN_MAX)):
        remote.note(0.0, 12.0 + late)
    assert remote.offset == 12.0
    # and these are forgotten
    for late in range(FOREIGN_MAX - 1):
        remote.note(0.0, 14.0 + late)
    assert remote.offset == 12.0


def test_timestamps_begin_anew():
    """RFC 3550 section 5.1: 32 bits."""
    clock = StreamClock(RemoteClock(), 90000)
    clock.note(ntp(1000.0), 0xFFFFFFFF, 1000.0)
    assert clock.timestamp_at(1001.0) == 89999
    assert clock.timestamp_at(999.0) == 0xFFFFFFFF - 90000


def test_a_stream_that_agrees_again_has_the_common_clock():
    remote = RemoteClock()
    one, other = StreamClock(remote, 90000), StreamClock(remote, 90000)
    one.note(ntp(1000.0), 0, 1000.0)
    other.note(ntp(500.0), 0, 1000.0)
    other.note(ntp(1001.0), 90000, 1001.0)
    one.note(ntp(1000.5), 45000, 1000.0)
    # the way is quicker by half a second: for both
    assert other.timestamp_at(1001.0) == pytest.approx(135000, abs=1)


def test_of_a_stream_without_reports_nothing_is_known_though_its_neighbours_have_some():
    remote = RemoteClock()
    one, other = StreamClock(remote, 90000), StreamClock(remote, 90000)
    one.note(ntp(1000.0), 0, 1000.0)
    assert other.timestamp_at(1001.0) is None
