"""Packets from one stream to its outputs: numbers, late packets, counters."""

import itertools
import random

import pytest

from rtcpeer.rtp import forwarding
from rtcpeer.rtp.forwarding import SourceStream
from rtcpeer.rtp.headers import HeaderPlan
from rtcpeer.rtp.packet import URI_DEPENDENCY
from rtcpeer.rtp.relay_packet import RelayPacket
from rtcpeer.rtp.source import Source
from tests.unit.rtp.packets import PLAN, Publisher, Subscriber, vp8


def steps(values, bits=16):
    size = 1 << bits
    return [(b - a + size // 2) % size - size // 2 for a, b in itertools.pairwise(values)]


def test_an_output_begins_with_a_key_frame_and_has_no_gap():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    for _ in range(3):
        publisher.send(count=2)
    assert subscriber.sent == []
    publisher.send(key=True, count=3)
    for _ in range(1000):
        publisher.send(count=2)
    assert subscriber.sent[0].is_key
    assert subscriber.numbers[0] == 500
    assert set(steps(subscriber.numbers)) == {1}
    assert {p.payload_type for p in subscriber.sent} == {100}
    assert {p.ssrc for p in subscriber.sent} == {7}
    assert subscriber.output.counts()[0] == len(subscriber.sent) == 2003
    assert subscriber.output.counts()[2] == 1001
    assert subscriber.output.holes() == 0


def test_who_joins_behind_a_key_frame_gets_it_from_the_history():
    publisher, first, second, late = Publisher(), Subscriber(), Subscriber(), Subscriber()
    publisher.stream.join(first.output, 0.0)
    publisher.send(0.0, key=True, count=4)
    publisher.send(0.03, count=2)
    publisher.stream.join(second.output, 0.1)
    assert len(second.sent) == 6
    assert second.sent[0].is_key
    publisher.send(0.13, count=1)
    assert set(steps(second.numbers)) == {1}
    assert second.output.counts()[0] == 7
    publisher.stream.join(late.output, 2.0)
    assert late.sent == []


H264_KEY = [b"\x09\xf0", b"\x67ab", b"\x68c", b"\x65" + b"x" * 9, b"\x65" + b"y" * 9, b"\x7c\x85" + b"z" * 9]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (0, 4, 3, 5, 2, 1)])
def test_of_a_picture_of_many_slices_who_joins_behind_it_gets_all(order):
    """Parameter sets and each slice look like its beginning; replays, and changes of the source, begin at the first."""
    publisher, late = Publisher(number=10), Subscriber()
    packets = [
        RelayPacket(96, 0x80 if index == 5 else 0, 10 + index, 3000, 1, payload)
        for index, payload in enumerate(H264_KEY)
    ]
    for index in order:
        publisher.stream.take(packets[index], "H264", 0.0)
    publisher.stream.join(late.output, 0.1)
    assert [sent.body for sent in late.sent] == H264_KEY[1:]


H265_KEY = [b"\x40\x01v", b"\x42\x01s", b"\x44\x01p", b"\x26\x01" + b"x" * 9, b"\x26\x01" + b"y" * 9]


def apart(codec, markers):
    """A key frame whose parameter sets have a timestamp of their own, one packet before a picture and one behind it."""
    key = H264_KEY[1:5] if codec == "H264" else H265_KEY
    plain = b"\x41q" if codec == "H264" else b"\x02\x01q"
    sets = len(key) - 2
    payloads = [plain, *key, plain]
    times = [0, *[2000] * sets, 3000, 3000, 6000]
    ends = {0, len(key), len(key) + 1, *(range(1, sets + 1) if markers else ())}
    return [
        RelayPacket(96, 0x80 if index in ends else 0, 10 + index, time, 1, payload)
        for index, (payload, time) in enumerate(zip(payloads, times, strict=True))
    ]


@pytest.mark.parametrize("codec", ["H264", "H265"])
@pytest.mark.parametrize("markers", [False, True])
@pytest.mark.parametrize("late", [False, True], ids=["in order", "sets late"])
def test_parameter_sets_with_a_time_of_their_own_belong_to_the_key_frame(codec, markers, late):
    """Who joins behind it gets them, and so does who moves to it from another stream."""
    publisher, joining, other, moving = Publisher(number=10), Subscriber(), Publisher(2), Subscriber()
    other.stream.join(moving.output, 0.0)
    other.send(key=True)
    publisher.stream.join(moving.output, 0.0)
    packets = apart(codec, markers)
    if late:
        packets.insert(-2, packets.pop(1))
    for packet in packets:
        publisher.stream.take(packet, codec, 0.0)
    publisher.stream.join(joining.output, 0.1)

    expected = [packet.payload for packet in apart(codec, markers)][1:]
    assert [sent.body for sent in joining.sent] == expected
    assert [sent.body for sent in moving.sent][-len(expected) :] == expected
    assert set(steps(moving.numbers)) == {1}


def test_late_and_repeated_packets_keep_their_numbers():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    packets = publisher.picture_packets(count=6)
    for index in (0, 1, 4, 5, 3, 3, 2, 0):
        publisher.take(packets[index])
    assert subscriber.numbers == [500, 501, 502, 505, 506, 504, 503]
    assert publisher.stream.dropped == 2
    assert subscriber.output.holes() == 0


def test_a_key_frame_whose_beginning_came_late_is_sent_whole():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send()
    packets = publisher.picture_packets(key=True, count=4)
    for index in (1, 2, 0, 3):
        publisher.take(packets[index])
    publisher.send()
    assert sorted(subscriber.numbers) == [500, 501, 502, 503, 504]
    assert subscriber.output.counts()[0] == 5


def test_what_nobody_gets_leaves_no_gap():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    for _ in range(300):
        publisher.stream.skip(RelayPacket(97, 0, publisher.number, 0, 1, b""), 0.0)
        publisher.number = publisher.number + 1 & 0xFFFF
        publisher.send()
    assert set(steps(subscriber.numbers)) == {1}
    assert not publisher.stream.reception.lacking


def test_what_nobody_gets_and_comes_late_is_filled():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    correction = RelayPacket(97, 0x80, publisher.number, publisher.timestamp, 1, b"correction")
    publisher.number = publisher.number + 1 & 0xFFFF
    publisher.send()
    publisher.stream.skip(correction, 0.0)
    publisher.send()
    assert subscriber.numbers == [500, 502, 501, 503]
    filler = subscriber.sent[2]
    assert (filler.payload_type, filler.marker, filler.body) == (100, 0, b"")
    assert subscriber.output.holes() == 0


@pytest.mark.parametrize("count", [1, 3])
def test_what_nobody_gets_and_comes_twice_takes_no_others_place(count):
    """Padding that a sender repeats; the packet behind it has the number that would have been its own."""
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    padding = [RelayPacket(97, 0, publisher.number + n & 0xFFFF, 0, 1, b"") for n in range(count)]
    publisher.number = publisher.number + count & 0xFFFF
    for packet in (*padding, *padding):
        publisher.stream.skip(packet.copy(), 0.0)
    publisher.send()
    for packet in padding:
        publisher.stream.skip(packet.copy(), 0.0)
    publisher.send()
    assert subscriber.numbers == [500, 501, 502]
    assert [packet.picture for packet in subscriber.sent] == [32701, 32702, 32703]
    assert publisher.stream.dropped == 2 * count


def test_a_jump_of_the_sources_numbers_leaves_one_number_out():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    for jump in (30000, 50000, 1001, 65000 - 1001):
        publisher.number = publisher.number + jump & 0xFFFF
        publisher.send()
        publisher.send()
    assert steps(subscriber.numbers) == [2, 1] * 4


def test_a_thousand_switches_between_three_sources():
    """No gap and no step back in numbers, times and pictures; a first picture that is a key frame after each."""
    choice = random.Random(7)
    sources = [
        Publisher(
            ssrc,
            number=choice.getrandbits(16),
            timestamp=choice.getrandbits(32),
            picture=choice.getrandbits(15),
        )
        for ssrc in (1, 2, 3)
    ]
    subscriber = Subscriber()
    now, begun = 0.0, []
    subscriber.output.on_begin = lambda: begun.append(len(subscriber.sent))
    wanted = sources[0]
    wanted.stream.join(subscriber.output, now)
    switches = 0
    while switches < 1000:
        now += 1 / 30
        for source in sources:
            key = bool(source.stream.waiting) and choice.random() < 0.5
            source.send(now, key=key, count=choice.randint(1, 3))
        if subscriber.output.stream is wanted.stream and choice.random() < 0.6:
            wanted = choice.choice([s for s in sources if s is not wanted])
            wanted.stream.join(subscriber.output, now)
            switches += 1
    assert set(steps(subscriber.numbers)) == {1}
    times = steps([p.timestamp for p in subscriber.sent], 32)
    assert min(times) >= 0
    # one picture in 33 ms, and a beginning behind others of the same moment
    assert max(times) <= 2 * 3000 + 1
    assert set(steps([p.picture for p in subscriber.sent], 15)) <= {0, 1}
    assert set(steps([p.layer for p in subscriber.sent], 8)) <= {0, 1}
    assert len(begun) >= 1000
    assert all(subscriber.sent[index].is_key for index in begun)
    assert len(subscriber.output._segments) <= forwarding.SEGMENTS_MAX


def test_pause_and_go_on():
    publisher, subscriber = Publisher(), Subscriber()
    source = Source("video", lambda stream: None, lambda: None)
    source.streams[1] = publisher.stream
    source.add(subscriber.output, None, 0.0)
    publisher.send(0.0, key=True)
    source.remove(subscriber.output)
    for index in range(90):
        publisher.send(index / 30)
    assert len(subscriber.sent) == 1
    source.add(subscriber.output, None, 3.0)
    publisher.send(3.0, key=True)
    assert steps(subscriber.numbers) == [1]
    assert steps([p.timestamp for p in subscriber.sent], 32) == [270000]
    assert steps([p.picture for p in subscriber.sent], 15) == [1]


def test_other_parameters_take_effect_at_once():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    subscriber.output.use(HeaderPlan({96: 120}, "5", {}))
    publisher.send()
    subscriber.output.use(HeaderPlan({}, "5", {}))
    publisher.send()
    assert [p.payload_type for p in subscriber.sent] == [100, 120]


def test_sound_begins_at_once():
    publisher, subscriber = Publisher(is_video=False), Subscriber(clock_rate=48000)
    publisher.stream.join(subscriber.output, 0.0)
    for index in range(100):
        publisher.send(index * 0.02)
    assert len(subscriber.sent) == 100
    assert set(steps(subscriber.numbers)) == {1}


def test_malformed_payloads_are_dropped_and_counted():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    for payload in (b"", b"\x90", b"\x90\x80", b"\x80\xf0\x80"):
        packet = RelayPacket(96, 0, publisher.number, 0, 1, payload)
        publisher.number = publisher.number + 1 & 0xFFFF
        with pytest.raises(ValueError, match="VP8"):
            publisher.stream.take(packet, "VP8", 0.0)
    assert publisher.stream.dropped == 4
    assert len(subscriber.sent) == 1


def test_outputs_of_one_kind_share_what_is_written(monkeypatch):
    publisher = Publisher()
    subscribers = [Subscriber(plan=HeaderPlan({96: 100}, "0", {})) for _ in range(5)]
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
    written = []
    write = HeaderPlan.write
    monkeypatch.setattr(HeaderPlan, "write", lambda self, *args: written.append(1) or write(self, *args))
    publisher.send(key=True)
    assert all(len(s.sent) == 1 for s in subscribers)
    assert len(written) == 1
    assert subscribers[0].output.plan == PLAN


def test_the_payload_is_untouched_where_nothing_was_switched():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    payload = vp8(77, key=True)
    publisher.stream.take(RelayPacket(96, 0x80, 5, 9, 1, payload), "VP8", 0.0)
    assert subscriber.sent[0].body == payload
    assert subscriber.sent[0].marker == 1


def test_the_former_source_goes_on_until_the_key_frame_is_whole():
    """A key frame may take a while to arrive; the subscriber sees no pause, and no time lost or gained."""
    first, second, subscriber = Publisher(1), Publisher(2, picture=9), Subscriber()
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.0)
    packets = second.picture_packets(key=True, count=5)
    for index, packet in enumerate(packets):
        now = (index + 1) / 30
        first.send(now)
        second.take(packet, now + 0.01)
    assert [p.ssrc for p in subscriber.sent] == [7] * 11
    pictures = [p for p in subscriber.sent if p.body[0] & 0x10]
    assert [bool(p.is_key) for p in pictures] == [True, False, False, False, False, False, True]
    assert set(steps(subscriber.numbers)) == {1}
    # 10 ms behind the last picture of the other source
    assert steps([p.timestamp for p in pictures], 32) == pytest.approx([3000] * 5 + [900], abs=1)
    assert set(steps([p.picture for p in pictures], 15)) == {1}
    second.send(7 / 30)
    assert subscriber.output.counts()[0] == len(subscriber.sent) == 12


def test_a_key_frame_that_is_torn_is_waited_for():
    first, second, subscriber = Publisher(1), Publisher(2), Subscriber()
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.0)
    packets = second.picture_packets(key=True, count=4)
    for index in (0, 1, 3):
        second.take(packets[index], 0.01)
    second.send(0.04)
    assert subscriber.output.stream is first.stream
    second.take(packets[2], 0.06)
    assert subscriber.output.stream is second.stream
    assert len(subscriber.sent) == 1 + 5
    assert set(steps(subscriber.numbers)) == {1}


def test_a_key_frame_without_an_end_costs_the_same_with_each_packet(monkeypatch):
    """Who switches to a publisher waits for its whole key frame; one without an end is not searched each time."""
    first, second, subscriber = Publisher(1), Publisher(2), Subscriber()
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.0)
    packets = second.picture_packets(key=True, count=400)
    looks = 0
    get = second.stream.history.__class__.get

    def count(self, number):
        nonlocal looks
        looks += 1
        return get(self, number)

    monkeypatch.setattr(second.stream.history.__class__, "get", count)
    for packet in packets[:-1]:
        second.take(packet, 0.01)
    assert looks < 4 * len(packets)
    assert subscriber.output.stream is first.stream
    second.take(packets[-1], 0.02)
    assert subscriber.output.stream is second.stream


def test_bytes_per_second_are_those_of_the_last_whole_second():
    rate = forwarding.Rate()
    assert rate.current(10.0) == 0.0
    rate.add(1000, 10.0)
    # of the second that has begun, but not of a moment
    assert (rate.current(10.1), rate.current(10.5)) == (5000, 2000)
    rate.add(500, 10.5)
    rate.add(100, 11.0)
    assert rate.current(11.0) == rate.current(11.9) == 1500
    rate.add(300, 12.5)
    assert rate.current(12.6) == 100 / 1.5
    assert rate.current(14.5) == 100 / 1.5
    assert rate.current(14.6) == 0.0
    rate.add(700, 20.0)
    assert rate.current(20.1) == 300 / 7.5


@pytest.mark.parametrize(("is_video", "kept"), [(True, 1024), (False, forwarding.AUDIO_HISTORY)])
def test_sound_is_asked_for_again_at_once_or_not_at_all(is_video, kept):
    publisher, subscriber = Publisher(is_video=is_video), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True, count=1100)
    last = subscriber.output.next_number - 1
    assert [subscriber.output.find(last - behind)[1] is not None for behind in (0, kept - 1, kept)] == [
        True,
        True,
        False,
    ]


def test_what_a_stream_has_counted():
    publisher, skipped, taken = Publisher(), [], []
    stream = publisher.stream
    assert stream.origin is stream
    assert stream.temporal == 7
    stream.on_take = lambda packet, codec, now: taken.append((packet.sequence_number, codec, now))
    stream.on_skip = lambda packet, now: skipped.append((packet.sequence_number, now))
    packets = publisher.picture_packets(key=True, count=3)
    for packet in packets:
        publisher.take(packet, 1.0)
    padding = RelayPacket(97, 0, publisher.number, 0, 1, b"pad")
    publisher.number += 1
    stream.skip(padding, 2.0)
    assert (stream.last_at, padding.at) == (2.0, 2.0)
    publisher.send(3.0, count=2)
    publisher.take(packets[1], 4.0)
    assert (stream.packets, stream.frames, stream.dropped, stream.last_at) == (5, 2, 1, 4.0)
    assert stream.bytes == 5 * len(packets[0].payload)
    assert (stream.timestamp, stream.timestamp_at) == (publisher.timestamp, 3.0)
    assert [number for number, *_ in taken] == [n & 0xFFFF for n in (65000, 65001, 65002, 65004, 65005)]
    assert taken[0][1:] == ("VP8", 1.0)
    assert skipped == [(65003, 2.0)]


def test_a_late_packet_is_not_the_newest():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    late, newest = publisher.picture_packets(count=1)[0], publisher.picture_packets(count=1)[0]
    publisher.take(newest, 1.0)
    publisher.take(late, 2.0)
    stream = publisher.stream
    assert (stream.timestamp, stream.timestamp_at) == (newest.timestamp, 1.0)
    assert stream.pictures.picture == publisher.picture
    assert subscriber.output.last_timestamp == (newest.timestamp, 1.0)
    assert stream.frames == 2


def test_what_nobody_could_get_is_counted():
    """Padding in front of everything else that comes late has no payload type to be filled with."""
    publisher = Publisher()
    publisher.stream.skip(RelayPacket(97, 0, 100, 0, 1, b""), 0.0)
    publisher.stream.skip(RelayPacket(97, 0, 90, 0, 1, b""), 0.0)
    assert (publisher.stream.dropped, publisher.stream.packets) == (1, 0)


def test_a_filler_is_kept_like_a_packet():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    late = RelayPacket(97, 0x80, publisher.number, publisher.timestamp, 1, b"correction")
    publisher.number += 1
    publisher.send()
    publisher.stream.skip(late.copy(), 0.0)
    publisher.stream.skip(late.copy(), 0.0)
    assert subscriber.numbers == [500, 502, 501]
    assert (publisher.stream.packets, publisher.stream.dropped) == (3, 1)
    assert subscriber.output.find(0x10000 + 501)[1].payload == b""


@pytest.mark.parametrize(
    ("age", "behind", "lost", "is_replayed"),
    [
        (forwarding.REPLAY_AGE, 0, None, True),
        (forwarding.REPLAY_AGE + 0.01, 0, None, False),
        (0.1, forwarding.REPLAY_PACKETS - 1, None, True),
        (0.1, forwarding.REPLAY_PACKETS, None, False),
        (0.1, 10, 9, False),
        (0.1, 10, 1, False),
    ],
)
def test_which_key_frame_is_replayed_to_who_joins(age, behind, lost, is_replayed):
    publisher, subscriber = Publisher(), Subscriber()
    publisher.send(1.0, key=True)
    for index in range(1, behind + 1):
        (packet,) = publisher.picture_packets()
        if index != lost:
            publisher.take(packet, 1.0)
    publisher.stream.join(subscriber.output, 1.0 + age)
    assert len(subscriber.sent) == (behind + 1 if is_replayed else 0)
    assert publisher.stream.is_used
    if is_replayed:
        assert subscriber.output.counts() == (
            behind + 1,
            sum(len(p.body) for p in subscriber.sent),
            behind + 1,
        )


def test_who_has_sent_something_since_gets_nothing_from_before():
    """Its numbers and times would go back."""
    publisher = Publisher()
    publisher.send(1.0, key=True)
    later, earlier = Subscriber(timestamp=5, sent_at=1.1), Subscriber(timestamp=5, sent_at=1.0)
    publisher.stream.join(later.output, 1.2)
    publisher.stream.join(earlier.output, 1.2)
    assert (len(later.sent), len(earlier.sent)) == (0, 1)


@pytest.mark.parametrize(("pause", "ticks"), [(0.0, 1), (0.5, 45000), (2.0, 180000)])
def test_times_go_on_from_what_was_sent_before(pause, ticks):
    publisher = Publisher()
    subscriber = Subscriber(timestamp=2**32 - 10, sent_at=1.0)
    begun = []
    subscriber.output.on_begin = lambda: begun.append(subscriber.output.begun)
    publisher.stream.join(subscriber.output, 1.0)
    publisher.send(1.0 + pause, key=True)
    publisher.send(1.1 + pause)
    assert [packet.timestamp for packet in subscriber.sent] == [
        ticks - 10 & 0xFFFFFFFF,
        ticks - 10 + 3000 & 0xFFFFFFFF,
    ]
    assert begun == [False]
    assert subscriber.output.begun


def test_who_takes_over_from_an_encoder_goes_on_behind_it():
    """Until the key frame is whole the encoder sends."""
    publisher, subscriber = Publisher(), Subscriber()
    output = subscriber.output
    output.is_filled = True
    output.on_begin = lambda: output.go_on_from(0x10000 + 700, 1000, 4.9)
    publisher.stream.join(output, 0.0)
    packets = publisher.picture_packets(key=True, count=3)
    for packet in packets[:2]:
        publisher.take(packet, 5.0)
    assert subscriber.sent == []
    publisher.take(packets[2], 5.0)
    assert subscriber.numbers == [700, 701, 702]
    assert len({packet.timestamp for packet in subscriber.sent}) == 1
    assert subscriber.sent[0].timestamp == pytest.approx(1000 + 9000, abs=1)
    assert output.holes() == 0
    assert output.next_number == 0x10000 + 703


class Clock:
    """What the sender reports of a stream say: its timestamp at any moment."""

    def __init__(self, at_zero):
        self.at_zero = at_zero

    def timestamp_at(self, now):
        return None if self.at_zero is None else round(self.at_zero + now * 90000) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("late", "clocks", "ticks"),
    [
        # both were captured by one clock: the delays of their ways say nothing
        (0.1, (7, 9), 9000),
        (0.29, (7, 9), 9000),
        # the reports say something else than arrival does by far: two clocks
        (0.31, (7, 9), 9000 + 27900),
        # there are none
        (0.1, (None, 9), 18000),
        (0.1, (7, None), 18000),
        (0.1, (7, ...), 18000),
        (0.1, (..., 9), 18000),
        (0.1, None, 18000),
    ],
)
def test_another_stream_of_the_same_clock_is_aligned_by_sender_reports(late, clocks, ticks):
    """A tenth of a second after the last picture of the one the first of the other was captured; it comes late."""
    first, second, subscriber = Publisher(1), Publisher(2), Subscriber(timestamp=5_000_000, sent_at=0.9)
    if clocks is not None:
        first.stream.clock, second.stream.clock = (
            None if at_zero is ... else Clock(at_zero) for at_zero in clocks
        )
    first.stream.join(subscriber.output, 1.0)
    first.timestamp = 7 + 90000 - 3000
    first.send(1.0, key=True)
    second.stream.join(subscriber.output, 1.0)
    second.timestamp = 9 + 99000 - 3000
    second.send(1.1 + late, key=True)
    assert steps([packet.timestamp for packet in subscriber.sent], 32) == [pytest.approx(ticks, abs=1)]


def test_a_stream_that_began_before_the_last_picture_does_not_go_back():
    first, second, subscriber = Publisher(1), Publisher(2), Subscriber()
    first.stream.clock, second.stream.clock = Clock(7), Clock(9)
    first.stream.join(subscriber.output, 1.0)
    first.timestamp = 7 + 90000 - 3000
    first.send(1.0, key=True)
    second.stream.join(subscriber.output, 1.0)
    second.timestamp = 9 + 89000 - 3000
    second.send(1.05, key=True)
    assert steps([packet.timestamp for packet in subscriber.sent], 32) == [4500]


def test_who_leaves_gets_nothing_and_the_others_go_on():
    publisher = Publisher()
    one, two, three = Subscriber(), Subscriber(), Subscriber(plan=HeaderPlan({96: 101}, "0", {}))
    for subscriber in (one, two, three):
        publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    assert [len(group.outputs) for group in publisher.stream.groups] == [2, 1]
    one.output.detach()
    publisher.send()
    three.output.detach()
    publisher.send()
    two.output.detach()
    publisher.send()
    assert [len(subscriber.sent) for subscriber in (one, two, three)] == [1, 3, 2]
    assert [subscriber.output.counts()[0] for subscriber in (one, two, three)] == [1, 3, 2]
    assert not publisher.stream.is_used
    assert one.output.stream is None
    one.output.detach()
    assert one.output.counts()[0] == 1


@pytest.mark.parametrize("how", ["waits", "is about to get it"])
def test_who_waits_for_a_stream_may_leave(how):
    publisher, leaves, stays = Publisher(), Subscriber(), Subscriber()
    for subscriber in (leaves, stays):
        if how == "waits":
            publisher.stream.join(subscriber.output, 0.0)
        else:
            subscriber.output.move(publisher.stream)
    assert publisher.stream.is_used
    publisher.stream.leave(leaves.output)
    publisher.send(key=True)
    assert leaves.sent == []
    assert stays.numbers == [500]


def test_who_moves_to_a_stream_of_the_same_pictures_keeps_its_times():
    """Streams with fewer temporal layers: nothing is aligned, and no key frame is waited for."""
    whole, fewer, subscriber = Publisher(1), Publisher(1), Subscriber(timestamp=77, sent_at=0.0)
    fewer.stream.origin = whole.stream
    whole.stream.join(subscriber.output, 0.0)
    for publisher in (whole, fewer):
        publisher.send(1.0, key=True, count=2)
    offset = subscriber.sent[0].timestamp - whole.timestamp
    subscriber.output.move(fewer.stream)
    for publisher in (whole, fewer):
        publisher.send(5.0, count=2)
    assert subscriber.output.stream is fewer.stream
    assert subscriber.numbers == [500, 501, 502, 503]
    assert subscriber.sent[-1].timestamp - whole.timestamp & 0xFFFFFFFF == offset & 0xFFFFFFFF
    assert subscriber.output.counts() == (4, sum(len(packet.body) for packet in subscriber.sent), 2)
    assert not whole.stream.is_used


def test_outputs_of_three_kinds():
    """Who joins later joins its kind, and takes nobody's place."""
    plans = [HeaderPlan({96: number}, "0", {}) for number in (100, 101, 102)]
    publisher, subscribers = Publisher(), [Subscriber(plan=plan) for plan in (*plans, *plans)]
    publisher.send(0.0, key=True)
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.1)
    assert [[packet.payload_type for packet in s.sent] for s in subscribers] == [
        [number] * 2 for number in (100, 101, 102) * 2
    ]
    assert len(publisher.stream.groups) == 3


def test_the_first_payload_type_is_one_like_others():
    """PCMU is 0 (RFC 3551 section 6): what came late and is not forwarded is filled there, too."""
    publisher, subscriber = Publisher(is_video=False, number=10), Subscriber(plan=HeaderPlan({0: 0}, "0", {}))
    stream = publisher.stream
    stream.join(subscriber.output, 0.0)
    for number in (10, 12):
        stream.take(RelayPacket(0, 0, number, 160 * number, 1, b"sound"), "PCMU", 0.0)
    stream.skip(RelayPacket(13, 0, 11, 160 * 11, 1, b"noise"), 0.0)
    assert subscriber.numbers == [500, 502, 501]


def test_a_packet_with_the_number_of_what_was_left_out_is_dropped():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(key=True)
    (packet,) = publisher.picture_packets()
    publisher.stream.skip(packet.copy(), 0.0)
    publisher.take(packet)
    publisher.send()
    assert subscriber.numbers == [500, 501]
    assert publisher.stream.dropped == 1


def test_the_structure_of_a_key_frame_is_kept_for_who_comes_later():
    """Of the dependency descriptor; the payload may be encrypted."""
    stream = SourceStream(1, is_video=True, clock_rate=90000)
    for number, is_key, value in ((1, True, b"structure"), (2, False, b"frame"), (3, False, b"another")):
        packet = RelayPacket(96, 0x80, number, 3000 * number, 1, b"\x00")
        packet.elements, packet.is_told_key = [(URI_DEPENDENCY, value)], is_key
        stream.take(packet, "AV1", 0.0)
        assert stream.structure == b"structure"
    stream.take(RelayPacket(96, 0x80, 4, 12000, 1, b"\x08"), "AV1", 0.0)
    assert stream.structure == b"structure", "one that says it by its payload brings none"


def test_counts_and_holes_go_on_over_pauses():
    publisher, subscriber = Publisher(), Subscriber()
    output = subscriber.output
    assert output.holes() == 0
    assert output.counts() == (0, 0, 0)
    for at in (0.0, 1.0):
        publisher.stream.join(output, at)
        publisher.send(at, key=True, count=2)
        publisher.picture_packets()
        publisher.send(at + 0.1)
        output.detach()
        publisher.send(at + 0.2, count=3)
    size = sum(len(packet.body) for packet in subscriber.sent)
    assert output.counts() == (6, size, 4)
    assert output.holes() == 2
    assert output.next_number == 0x10000 + 500 + 8


def test_of_what_went_out_long_ago_nothing_is_found():
    """So many changes of the source are remembered, and nothing from before the first packet."""
    publishers, subscriber = [Publisher(1), Publisher(2)], Subscriber()
    for index in range(forwarding.SEGMENTS_MAX + 2):
        publisher = publishers[index % 2]
        publisher.stream.join(subscriber.output, float(index))
        publisher.send(float(index), key=True)
    found = [subscriber.output.find(0x10000 + 500 + n) for n in range(-1, forwarding.SEGMENTS_MAX + 3)]
    assert [one is not None for one in found] == [False] * 3 + [True] * (forwarding.SEGMENTS_MAX + 1)
    assert found[-1][1] is None, "what has not gone out yet is in the last one"
    assert [one[1].ssrc for one in found[3:-1]] == [1, 2] * (forwarding.SEGMENTS_MAX // 2)


def test_what_comes_late_from_before_a_pause_has_its_place_or_none():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    before = publisher.picture_packets(count=2)
    publisher.take(before[1], 0.1)
    subscriber.output.detach()
    pause = publisher.picture_packets(count=2)
    publisher.take(pause[1], 0.2)
    publisher.stream.join(subscriber.output, 0.3)
    publisher.send(0.4, key=True)
    publisher.take(pause[0], 0.5)
    publisher.take(before[0], 0.5)
    assert subscriber.numbers == [500, 502, 503, 501]
    assert subscriber.sent[3].body[2:] == before[0].payload[2:]
    assert subscriber.output.counts()[0] == 4
    assert subscriber.output.counts()[1] == sum(len(packet.body) for packet in subscriber.sent)
    assert subscriber.output.holes() == 0


def test_who_goes_on_with_another_stream_until_the_key_frame_is_whole_keeps_nobody_waiting():
    former, publisher = Publisher(2), Publisher(1)
    watching, *fresh = [Subscriber() for _ in range(3)]
    former.stream.join(watching.output, 0.0)
    former.send(0.0, key=True)
    for subscriber in (watching, *fresh):
        publisher.stream.join(subscriber.output, 0.1)
    packets = publisher.picture_packets(key=True, count=2)
    publisher.take(packets[0], 0.2)
    assert [len(subscriber.sent) for subscriber in (watching, *fresh)] == [1, 1, 1]
    publisher.take(packets[1], 0.2)
    assert [len(subscriber.sent) for subscriber in (watching, *fresh)] == [3, 2, 2]


def test_who_takes_no_such_payload_keeps_it_from_nobody():
    publisher = Publisher()
    subscribers = [
        Subscriber(plan=HeaderPlan(types, "0", {})) for types in ({}, {96: 100}, {97: 100}, {96: 101})
    ]
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    assert [subscriber.numbers for subscriber in subscribers] == [[], [500], [], [500]]


def test_a_late_packet_is_written_for_the_segment_that_it_belongs_to():
    """Of a stream whose picture ids were moved, behind one that a subscriber got before."""
    first, second, subscriber = Publisher(1), Publisher(2, picture=5), Subscriber()
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.01)
    second.send(0.04, key=True)
    late, newest = second.picture_packets()[0], second.picture_packets()[0]
    second.take(newest, 0.1)
    second.take(late, 0.2)
    assert subscriber.numbers == [500, 501, 503, 502]
    assert steps([packet.picture for packet in subscriber.sent], 15) == [1, 2, -1]
    assert [packet.body[:2] for packet in subscriber.sent] == [b"\x90\xf0"] * 4


@pytest.mark.parametrize(("which", "comes"), [("before", True), ("in the pause", False)])
def test_what_comes_late_counts_where_it_is_sent(which, comes):
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    before = publisher.picture_packets(count=2)
    publisher.take(before[1], 0.1)
    subscriber.output.detach()
    pause = publisher.picture_packets(count=2)
    publisher.take(pause[1], 0.2)
    publisher.stream.join(subscriber.output, 0.3)
    publisher.send(0.4, key=True)
    publisher.take(before[0] if which == "before" else pause[0], 0.5)
    assert len(subscriber.sent) == 3 + comes
    assert subscriber.output.counts()[:2] == (3 + comes, sum(len(packet.body) for packet in subscriber.sent))
