"""Packets from one stream to its outputs: numbers, late packets, counters."""

import itertools
import random

import pytest

from rtcpeer.rtp import forwarding
from rtcpeer.rtp.headers import HeaderPlan
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
