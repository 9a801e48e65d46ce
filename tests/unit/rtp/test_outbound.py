"""One stream that is sent: what is sent again, and what no more."""

from __future__ import annotations

import pytest

from rtcpeer.rtp import rtcp
from rtcpeer.rtp.outbound import HISTORY, REPEAT_BURST, HeaderTemplate, OutboundStream
from rtcpeer.rtp.parameters import SendEncoding


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("rtcpeer.rtp.outbound.wall_time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def stream(sent):
    stream = OutboundStream(SendEncoding(1, 2), sent.append, HeaderTemplate((), "", None))
    stream.rtx_payload_types = {96: 97}
    stream.keep_history(True)
    return stream


def send(stream, payloads, timestamp=0):
    first = stream.sequence_number
    stream.send_frame(96, payloads, timestamp, marker=True, level=0)
    return [first + n & 0xFFFF for n in range(len(payloads))]


def test_what_is_young_is_sent_again(stream, sent, clock):
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 0.1

    assert stream.repeat(numbers[1:], clock.now) is False
    assert len(sent) == 5
    assert stream.retransmitted_packets == 2


@pytest.mark.parametrize("ahead", [0, 1, 300])
def test_what_has_not_been_sent_yet_cannot_be_lost(stream, sent, clock, ahead):
    """Who waits for the end of a picture asks for the next number: no reason for a key frame."""
    numbers = send(stream, [b"a" * 100] * 3)
    assert stream.repeat([numbers[-1] + 1 + ahead & 0xFFFF], clock.now) is False
    assert len(sent) == 3
    # what is older than all that is kept was sent once
    assert stream.repeat([numbers[0] - 1 & 0xFFFF], clock.now) is True


def test_statistics_account_for_the_retransmission_stream(stream, sent, clock):
    """The other end counts what comes over it as part of this stream; only the sender report tells of one SSRC."""
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 0.1
    stream.repeat(numbers[1:], clock.now)
    sent.append(stream.make_padding(50))

    told = stream.stats("video")
    assert (told["packetsSent"], told["retransmittedPacketsSent"]) == (len(sent), 2)
    assert (told["bytesSent"], told["retransmittedBytesSent"]) == (500, 200)
    # a retransmission has two bytes more: the number that it had
    assert told["bytesSent"] + told["headerBytesSent"] == sum(map(len, sent)) - 2 * 2
    report = stream.write_report("name", clock.now)
    assert int.from_bytes(report[20:24], "big") == 3


def test_what_a_report_says_has_arrived_is_of_its_time(stream, clock):
    """webrtc-stats 8.3: of the highest number that the other end had seen, not of what was sent since."""
    numbers = send(stream, [b"a"] * 10)
    block = rtcp.ReceiverInfo(1, 0, 2, numbers[-1], 0, 0, 0)
    send(stream, [b"a"] * 5)
    stream.take_report(block, clock.now)
    assert stream.remote_stats("video")["packetsReceived"] == 8


def test_reports_go_on_when_ntp_begins_anew(stream, sent, clock):
    """RFC 5905 section 6: in February 2036."""
    for clock.now in (2085978495.5, 2085978496.5):
        send(stream, [b"a" * 100])
        report = stream.write_report("name", clock.now)
        seconds = int.from_bytes(report[8:12], "big")
        assert seconds == (int(clock.now) + 2208988800) % (1 << 32)


def test_what_is_old_is_not(stream, sent, clock):
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 1.5

    assert stream.repeat(numbers, clock.now) is True
    assert len(sent) == 3


def test_of_slides_the_one_before_is_sent_again_when_its_loss_can_be_noticed(stream, sent, clock):
    """Of a picture a minute, nobody can know that the last one was lost before the next one comes."""
    first = send(stream, [b"a" * 100] * 3, 1000)
    clock.now += 60
    before = send(stream, [b"b" * 100] * 3, 2000)
    clock.now += 60
    newest = send(stream, [b"c" * 100], 3000)
    clock.now += 0.9
    assert stream.repeat(before, clock.now) is False
    assert stream.retransmitted_packets == 3
    assert stream.repeat(first, clock.now) is True
    clock.now += 0.5
    assert stream.repeat(before, clock.now) is True, "by now the newest one is old too"
    assert stream.repeat(newest, clock.now) is True
    assert stream.retransmitted_packets == 3


def test_a_repetition_does_not_make_it_young(stream, sent, clock):
    numbers = send(stream, [b"a"])
    for _ in range(3):
        clock.now += 0.4
        stream.repeat(numbers, clock.now)

    assert len(sent) == 3


def test_what_was_forgotten_cannot_come(stream, clock):
    (first,) = send(stream, [b"a"])
    send(stream, [b"b"] * HISTORY)

    assert stream.repeat([first], clock.now) is True


def test_not_again_before_the_copy_can_have_arrived(stream, sent, clock):
    numbers = send(stream, [b"a"])
    stream.round_trip = 0.1
    for _ in range(4):
        clock.now += 0.06
        assert stream.repeat(numbers, clock.now) is False

    assert len(sent) == 1 + 2


def test_the_rate_is_bounded(stream, sent, clock):
    """After an outage whole seconds are missing: a burst of them would fill the path that has just come back."""
    numbers = send(stream, [b"a" * 1000] * 200)
    again = 0
    for _ in range(20):
        clock.now += 0.02
        before = stream.retransmitted_bytes
        is_beyond = stream.repeat(numbers[-128:], clock.now)
        again += stream.retransmitted_bytes - before
        numbers += send(stream, [b"b" * 1000] * 2)

    assert is_beyond
    assert again < 1.1 * REPEAT_BURST + 20 * 2 * 1100


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda n: n % 27 * 3000, id="a loop"),
        pytest.param(lambda n: 0, id="standing"),
        pytest.param(lambda n: -n * 3000, id="backwards"),
        pytest.param(lambda n: n * 3000 + (10**9 if n > 50 else 0), id="a leap"),
        pytest.param(lambda n: n * 3000, id="steady"),
    ],
)
def test_timestamps_rise_with_the_clock_whatever_the_source_says(stream, source):
    first = stream.map_timestamp(source(0), 1000.0)
    steps, last = [], first
    for n in range(1, 100):
        timestamp = stream.map_timestamp(source(n), 1000 + n / 30)
        steps.append(timestamp - last & 0xFFFFFFFF)
        last = timestamp

    assert all(2990 <= step <= 3010 for step in steps)


def test_a_pause_of_a_source_that_counts_on_is_a_pause():
    stream = OutboundStream(
        SendEncoding(1, 2), lambda data: None, HeaderTemplate((), "", None), clock_rate=48000
    )
    first = stream.map_timestamp(0, 1000.0)

    # a second late: a stall, what comes is what was to come
    assert stream.map_timestamp(960, 1001.0, least=960) - first & 0xFFFFFFFF == 960
    # ten seconds: nothing was said
    assert stream.map_timestamp(1920, 1011.0, least=960) - first & 0xFFFFFFFF == 960 + 480_000
    # another source, at once: not on top of the last piece
    stream.rebase()
    assert stream.map_timestamp(5, 1011.001, least=960) - first & 0xFFFFFFFF == 960 + 480_000 + 960
