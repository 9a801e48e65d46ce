"""Packets that are sent again from the history that all share: which, how often, how many, and padding."""

import random

import pytest

from rtcpeer.rtp import forwarding, repeating
from rtcpeer.rtp.congestion.repeats import RepeatBudget
from rtcpeer.rtp.headers import URI_MID, URI_TRANSPORT_CC, HeaderPlan
from rtcpeer.rtp.relay_packet import read_packet_untrusted
from tests.unit.rtp.packets import Publisher, Subscriber


def test_a_retransmission_carries_the_payload_of_its_segment():
    plan = HeaderPlan({96: 100}, "mid", {URI_MID: 4})
    first, second, subscriber = Publisher(1), Publisher(2, picture=5), Subscriber(plan=plan)
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.01)
    second.send(0.04, key=True)
    second.send(0.07)
    original = subscriber.sent[-1]
    subscriber.repeats.repeat([original.number, 499, 600], 0.2)
    (again,) = subscriber.sent[3:]
    assert (again.number, again.timestamp, again.body) == (original.number, original.timestamp, original.body)
    # and of the one before
    subscriber.repeats.repeat([500], 0.2)
    assert subscriber.sent[-1].body == subscriber.sent[0].body


def test_of_slides_the_one_before_is_sent_again_when_its_loss_can_be_noticed():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    for at in (0.0, 60.0, 120.0):
        publisher.send(at, key=at == 0.0)
    first, before, newest = (packet.number for packet in subscriber.sent)
    assert subscriber.repeats.repeat([before], 120.9) is False
    assert [packet.number for packet in subscriber.sent[3:]] == [before]
    assert subscriber.repeats.repeat([first], 120.9) is True
    assert subscriber.repeats.repeat([before], 121.5) is True, "by now the newest one is old too"
    assert subscriber.repeats.repeat([newest], 121.5) is True
    assert len(subscriber.sent) == 4


def test_padding_is_counted():
    publisher, subscriber = Publisher(), Subscriber(rtx=(70, {100: 101}))
    assert subscriber.repeats.make_padding(100) is None
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    padding = [subscriber.repeats.make_padding(size) for size in (100, 50)]
    assert subscriber.repeats.padding_packets == 2
    assert subscriber.repeats.padding_bytes == sum(map(len, padding))


def begun(**options):
    """A subscriber that has got one packet, with the number 500, at 0.0."""
    publisher, subscriber = Publisher(), Subscriber(**options)
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    return publisher, subscriber


@pytest.mark.parametrize(
    ("round_trip", "interval"),
    # not so soon that the copy cannot have been heard of, nor so late that the picture has no use for it
    [(None, 0.01), (0.001, 0.01), (0.1, 0.08), (0.3, 0.24), (2.0, 0.25)],
)
def test_when_a_packet_is_sent_again_once_more(round_trip, interval):
    _publisher, subscriber = begun()
    subscriber.repeats.round_trip = round_trip
    for at in (0.02, 0.02 + 0.9 * interval):
        assert subscriber.repeats.repeat([500], at) is False
    assert [packet.number for packet in subscriber.sent] == [500, 500]
    assert subscriber.repeats.repeat([500], 0.02 + 1.01 * interval) is False
    assert [packet.number for packet in subscriber.sent] == [500, 500, 500]
    assert subscriber.repeats.repeated_packets == 2
    assert subscriber.repeats.repeated_bytes == 2 * len(subscriber.sent[0].body)


def test_one_that_was_just_sent_again_hides_no_other():
    publisher, subscriber = begun()
    publisher.send(0.03)
    subscriber.repeats.repeat([500], 0.04)
    subscriber.repeats.repeat([500, 501], 0.045)
    assert [packet.number for packet in subscriber.sent] == [500, 501, 500, 501]


def test_a_retransmission_names_the_number_that_it_repeats():
    """RFC 4588 section 4: a stream with numbers of its own, in front of the payload the one of the original."""
    plan = HeaderPlan({96: 100}, "mid", {URI_MID: 4})
    _publisher, subscriber = begun(plan=plan, rtx=(70, {100: 101}))
    (original,) = subscriber.sent
    subscriber.repeats.rtx_number = 0xFFFF
    subscriber.repeats.repeat([500], 0.5)
    subscriber.repeats.repeat([500], 0.52)
    extensions, payload = plan.fixed_extensions, original.body[len(plan.fixed_extensions) :]
    first, second = subscriber.sent[1:]
    assert (first.payload_type, first.marker, first.ssrc, first.timestamp) == (101, 1, 70, original.timestamp)
    assert first.body == second.body == extensions + (500).to_bytes(2, "big") + payload
    assert [packet.number for packet in (first, second)] == [0xFFFF, 0]


def test_a_retransmission_has_the_marker_and_the_type_of_its_packet():
    """RFC 4588 section 8.6: a type for each that is repeated."""
    publisher, subscriber = (
        Publisher(),
        Subscriber(plan=HeaderPlan({96: 101}, "0", {}), rtx=(70, {100: 104, 101: 106})),
    )
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True, count=2)
    subscriber.repeats.repeat([500, 501], 0.5)
    assert [(packet.payload_type, packet.marker) for packet in subscriber.sent[2:]] == [(106, 0), (106, 1)]


def test_a_retransmission_of_a_picture_whose_numbers_were_moved():
    first, second, subscriber = Publisher(1), Publisher(2, picture=5), Subscriber(rtx=(70, {100: 101}))
    first.stream.join(subscriber.output, 0.0)
    first.send(0.0, key=True)
    second.stream.join(subscriber.output, 0.01)
    second.send(0.04, key=True)
    subscriber.repeats.repeat([501], 0.2)
    _before, original, again = subscriber.sent
    assert again.body == (501).to_bytes(2, "big") + original.body
    assert again.timestamp == original.timestamp


def test_what_has_no_type_for_retransmissions_is_sent_as_it_was():
    _publisher, subscriber = begun(rtx=(70, {99: 101}))
    subscriber.repeats.repeat([500], 0.5)
    original, again = subscriber.sent
    assert vars(again) == vars(original)
    assert subscriber.repeats.rtx_number == 0


def test_what_the_subscriber_cannot_get_any_more_is_not_counted():
    _publisher, subscriber = begun()
    subscriber.output.use(HeaderPlan({}, "0", {}))
    subscriber.repeats.repeat([500], 0.5)
    assert len(subscriber.sent) == 1
    assert (subscriber.repeats.repeated_packets, subscriber.repeats.repeated_bytes) == (0, 0)


def test_what_never_went_out_is_not_sent():
    _publisher, subscriber = begun()
    assert subscriber.repeats.repeat([499, 501, 0xFFFF], 0.5) is False
    assert len(subscriber.sent) == 1
    assert subscriber.repeats.repeat([499, 501, 500], 0.5) is False
    assert subscriber.numbers == [500, 500]


def test_what_the_source_lacks_may_still_come():
    """A key frame helps only when nobody waits for the packet any more."""
    publisher, subscriber = begun()
    publisher.picture_packets()
    publisher.send(0.06)
    assert subscriber.numbers == [500, 502]
    assert subscriber.repeats.repeat([501], 0.1) is False
    publisher.stream.reception.give_up(2.0)
    assert subscriber.repeats.repeat([501], 2.0) is True
    assert subscriber.numbers == [500, 502]


def test_what_is_beyond_hides_nothing_that_can_be_sent():
    publisher, subscriber = begun()
    publisher.send(5.0)
    publisher.send(5.1)
    publisher.send(5.2)
    assert subscriber.repeats.repeat([500, 503], 5.3) is True
    assert subscriber.numbers[4:] == [503]


@pytest.mark.parametrize(("age", "comes"), [(0.99, True), (1.01, False)])
def test_of_the_picture_before_the_newest_the_age_begins_with_the_newest(age, comes):
    """That its end is lost is noticed only then, which may be slides; however many packets the newest one has."""
    publisher, subscriber = begun()
    publisher.send(60.0, count=3)
    publisher.send(120.0, count=200)
    subscriber.sent.clear()
    assert subscriber.repeats.repeat([500], 120.1) is True
    assert subscriber.repeats.repeat([501, 503], 120.0 + age) is not comes
    assert subscriber.numbers == ([501, 503] if comes else [])


def test_a_picture_whose_beginning_is_not_here_has_none_before_it():
    publisher, subscriber = begun()
    publisher.send(60.0)
    publisher.picture_packets()
    publisher.send(120.0)
    assert subscriber.repeats.repeat([501], 120.1) is True
    assert len(subscriber.sent) == 3


def test_a_burst_is_sent_again_and_then_as_much_as_is_sent():
    publisher, subscriber = begun()
    publisher.send(0.01, count=999)
    repeats, size = subscriber.repeats, len(subscriber.sent[0].body)
    numbers = list(range(500, 1500))
    assert [repeats.repeat(numbers, at) for at in (0.1, 0.2, 0.3)] == [False, False, True]
    assert repeats.repeated_bytes == repeating.REPEAT_BURST // size * size
    publisher.send(0.31)
    publisher.send(0.32)
    assert [repeats.repeat([number], 0.4) for number in (500, 501, 502)] == [False, False, True]
    assert repeats.repeated_bytes == (repeating.REPEAT_BURST // size + 2) * size


def test_one_that_the_path_does_not_bear_is_not_sent():
    _publisher, subscriber = begun()
    asked = []
    subscriber.repeats.may_repeat = lambda size, now: asked.append((size, now))
    assert subscriber.repeats.repeat([500], 0.5) is True
    assert asked == [(len(subscriber.sent[0].body), 0.5)]
    assert len(subscriber.sent) == 1


def test_padding_is_part_of_the_retransmission_stream():
    """RFC 4588 section 4: its types and numbers; the time is that of the stream."""
    plan = HeaderPlan({96: 100}, "m", {URI_TRANSPORT_CC: 5, URI_MID: 4})
    _publisher, subscriber = begun(plan=plan, rtx=(70, {100: 101}))
    repeats = subscriber.repeats
    repeats.rtx_number = 0xFFFF
    first, second = repeats.make_padding(100), repeats.make_padding(7)
    read = [read_packet_untrusted(packet, {5: "wide", 4: "mid"}) for packet in (first, second)]
    assert [packet.sequence_number for packet in read] == [0xFFFF, 0]
    assert {(packet.payload_type, packet.ssrc, packet.payload) for packet in read} == {(101, 70, b"")}
    assert {packet.timestamp for packet in read} == {subscriber.sent[0].timestamp}
    assert [packet.padding_size for packet in read] == [100, 7]
    assert read[0].elements == [("wide", bytes(2)), ("mid", b"m")]


def test_padding_has_a_stream_that_runs():
    _publisher, subscriber = begun(rtx=(70, {}))
    assert subscriber.repeats.make_padding(10) is None, "no type for it was negotiated"
    subscriber.repeats.rtx = None
    assert subscriber.repeats.make_padding(10) is None
    assert (subscriber.repeats.padding_packets, subscriber.repeats.padding_bytes) == (0, 0)


def test_ten_percent_loss_is_repaired_from_the_history():
    publisher = Publisher()
    publisher.stream.history = forwarding.History()
    lost = random.Random(3)
    subscribers = [Subscriber(rtx=(70 + n, {100: 101})) for n in range(5)]
    got = [set() for _ in subscribers]
    seen = [0 for _ in subscribers]
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
    now = 0.0
    for picture in range(2000):
        now += 1 / 30
        publisher.send(now, key=picture == 0, count=4)
        for _round in range(4):
            for index, subscriber in enumerate(subscribers):
                for packet in subscriber.sent[seen[index] :]:
                    if lost.random() < 0.9:
                        number = packet.number
                        if packet.payload_type == 101:
                            assert packet.ssrc == 70 + index
                            number = packet.body[0] << 8 | packet.body[1]
                        got[index].add(number)
                seen[index] = len(subscriber.sent)
                highest = subscriber.output.next_number - 1
                missing = [
                    n & 0xFFFF
                    for n in range(max(0x10000 + 500, highest - 30), highest)
                    if n & 0xFFFF not in got[index]
                ]
                subscriber.repeats.repeat(missing, now + 0.02 * _round)
    for subscriber, numbers in zip(subscribers, got, strict=True):
        sent = subscriber.output.counts()[0]
        assert sent == 8000
        assert sent - len(numbers) < sent * 0.001
        assert subscriber.repeats.repeated_packets < sent * 0.2
    # the history and what an output remembers do not grow
    assert publisher.stream.history.bytes <= 1024 * 40
    assert all(len(s.repeats._repeated) <= repeating.REPEATS_MAX for s in subscribers)


def test_a_subscriber_cannot_make_the_relay_send_without_end():
    publisher, subscriber = Publisher(), Subscriber()
    publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True, count=900)
    size = subscriber.output.counts()[1]
    for round_ in range(30):
        subscriber.repeats.repeat([n & 0xFFFF for n in range(65536)], 0.01 * round_)
    assert subscriber.repeats.repeated_bytes <= size + repeating.REPEAT_BURST
    # nor more than its path bears, all of its streams together
    budget = RepeatBudget()
    subscriber.repeats.may_repeat = lambda size, now: budget.take(size, 100_000, now)
    before = subscriber.repeats.repeated_bytes
    for second in range(10):
        publisher.send(1.0 + second, count=900)
        for part in range(10):
            subscriber.repeats.repeat([n & 0xFFFF for n in range(65536)], 1.0 + second + part / 10)
    assert subscriber.repeats.repeated_bytes - before <= 1.25 * 100_000 / 8 * 11
