"""One pending request for a key frame per stream."""

from rtcpeer.rtp.keyframes import INTERVAL, REPEATS_MAX, KeyframeRequests


def test_fifty_in_a_second_are_one_per_half_second():
    requests = KeyframeRequests()
    sent = 0
    for step in range(50):
        now = step / 50
        sent += requests.ask(now)
        requests.seen()
    assert sent == 2
    assert requests.asked == 50
    assert requests.sent == 2


def test_a_request_is_repeated_until_the_frame_is_seen():
    requests = KeyframeRequests()
    assert requests.pending is False
    assert requests.due() is None
    assert requests.ask(0.0)
    assert not requests.poll(0.4)
    assert requests.due() == INTERVAL
    assert requests.poll(0.5)
    assert requests.pending is True
    requests.seen()
    assert requests.due() is None
    assert not requests.poll(5.0)


def test_who_asks_too_early_is_served_when_it_is_time():
    requests = KeyframeRequests()
    assert requests.ask(0.0)
    requests.seen()
    assert not requests.ask(0.2)
    assert requests.due() == INTERVAL
    assert requests.poll(INTERVAL)


def test_a_dead_source_is_not_asked_for_ever():
    requests = KeyframeRequests()
    requests.ask(0.0)
    sent = 1 + sum(requests.poll(n * INTERVAL) for n in range(1, 100))
    assert sent == REPEATS_MAX
    assert requests.due() is None
    # somebody new may ask again, and is served as well as the first one
    assert requests.ask(100.0)
    assert 1 + sum(requests.poll(100.0 + n * INTERVAL) for n in range(1, 100)) == REPEATS_MAX
