"""Fewer temporal layers: pictures are left out without a gap, and come back where they can be decoded."""

import random

import pytest

from rtcpeer.rtp.layers import HOLD
from rtcpeer.rtp.relay_packet import RelayPacket
from rtcpeer.rtp.source import Source
from rtcpeer.rtp.temporal import ALL
from rtcpeer.rtp.thinning import MEASURED, NEEDED
from tests.unit.rtp.packets import Subscriber, vp8
from tests.unit.rtp.test_forwarding import steps

# libvpx's pattern of three layers: which layer, and whether it needs only the lowest one
PATTERN = ((0, False), (2, True), (1, True), (2, False), (0, False), (2, True), (1, False), (2, False))


class Layered:
    """A publisher of VP8 with three temporal layers, and a source with outputs."""

    def __init__(self):
        self.source = Source("video", lambda stream: None, lambda: None)
        self.stream = self.source.add_stream(1, clock_rate=90000, rid=None, clock=None, now=0.0)
        self.number, self.timestamp, self.picture, self.base = 65500, 2**32 - 9000, 32760, 250
        self.index, self.now = -1, 0.0

    def subscribe(self, temporal=None):
        subscriber = Subscriber()
        subscriber.output.temporal = temporal
        self.source.add(subscriber.output, None, self.now)
        return subscriber

    def want(self, subscriber, temporal):
        self.source.limit(subscriber.output, temporal, self.now)

    def picture_packets(self, *, key=False, count=2):
        self.index = 0 if key else self.index + 1
        temporal, synchronized = PATTERN[self.index % len(PATTERN)]
        self.now += 1 / 30
        self.timestamp = self.timestamp + 3000 & 0xFFFFFFFF
        self.picture = self.picture + 1 & 0x7FFF
        self.base += not temporal
        packets = []
        for part in range(count):
            payload = vp8(
                self.picture,
                key=key,
                start=part == 0,
                layer=self.base & 0xFF,
                temporal=temporal,
                synchronized=synchronized,
            )
            marker = 0x80 if part == count - 1 else 0
            packets.append(RelayPacket(96, marker, self.number & 0xFFFF, self.timestamp, 1, payload))
            self.number += 1
        return packets

    def send(self, pictures=1, *, key=False, count=2):
        for _ in range(pictures):
            for packet in self.picture_packets(key=key, count=count):
                self.stream.take(packet, "VP8", self.now)
            self.source.poll(self.now)
            key = False


def layers(subscriber, since=0):
    """The temporal layer of each picture that was sent."""
    return [p.body[5] >> 6 for p in subscriber.sent[since:] if p.body[0] & 0x10]


def assert_continuous(subscriber):
    assert set(steps(subscriber.numbers)) == {1}
    pictures = [p.picture for p in subscriber.sent]
    assert set(steps(pictures, 15)) <= {0, 1}
    assert set(steps([p.layer for p in subscriber.sent], 8)) <= {0, 1}
    assert min(steps([p.timestamp for p in subscriber.sent], 32)) >= 0


@pytest.mark.parametrize(("temporal", "found"), [(0, {0}), (1, {0, 1}), (2, {0, 1, 2}), (None, {0, 1, 2})])
def test_layers_are_left_out_without_a_gap(temporal, found):
    publisher = Layered()
    subscriber = publisher.subscribe(temporal)
    everything = publisher.subscribe()
    publisher.send(key=True)
    publisher.send(200)
    assert set(layers(subscriber)) == found
    assert_continuous(subscriber)
    assert_continuous(everything)
    # times are those of the pictures that are left
    gaps = {step for step in steps([p.timestamp for p in subscriber.sent], 32) if step}
    assert gaps == {{0: 12000, 1: 6000}.get(temporal, 3000)}
    assert subscriber.output.holes() == 0
    assert subscriber.output.counts()[0] == len(subscriber.sent)
    assert subscriber.sent[0].is_key


def test_packets_that_come_twice_take_no_others_place():
    """Senders probe the path with packets that they have sent already (RFC 4588); half of those belong to layer 2."""
    publisher = Layered()
    subscriber = publisher.subscribe(1)
    publisher.send(key=True)
    for _ in range(40):
        for packet in publisher.picture_packets():
            for _ in range(2):
                publisher.stream.take(packet.copy(), "VP8", publisher.now)
    assert set(layers(subscriber)) == {0, 1}
    assert_continuous(subscriber)
    assert len(subscriber.sent) == 2 * 21
    assert all(len(packet.body) > 20 for packet in subscriber.sent)
    # nor do they count as what the layer costs
    thinning = publisher.source._thinnings[publisher.stream]
    bits = dict(thinning.bitrates(publisher.now))
    assert bits[2] == pytest.approx(8 * 30 * 2 * len(subscriber.sent[0].body), rel=0.15)


def test_layers_go_and_come_back_without_a_key_frame():
    publisher = Layered()
    subscriber = publisher.subscribe()
    publisher.send(key=True)
    publisher.send(40)
    for wanted, found in ((0, {0}), (None, {0, 1, 2}), (1, {0, 1}), (2, {0, 1, 2}), (0, {0}), (1, {0, 1})):
        publisher.want(subscriber, wanted)
        publisher.send(17)
        since = len(subscriber.sent)
        publisher.send(40)
        assert set(layers(subscriber, since)) == found
    assert_continuous(subscriber)
    assert sum(1 for p in subscriber.sent if p.is_key) == 1
    assert subscriber.output.counts()[0] == len(subscriber.sent)


def test_a_picture_of_a_layer_follows_the_one_before_in_that_layer():
    choice = random.Random(4)
    publisher = Layered()
    subscriber = publisher.subscribe()
    publisher.send(key=True)
    known = {}
    for _ in range(300):
        publisher.want(subscriber, choice.choice((0, 1, 2, None)))
        for _ in range(choice.randint(1, 9)):
            since = len(subscriber.sent)
            publisher.send()
            temporal, synchronized = PATTERN[publisher.index % len(PATTERN)]
            if len(subscriber.sent) > since:
                assert not temporal or synchronized or known.get(temporal), (temporal, publisher.index)
                known[temporal] = True
            else:
                known[temporal] = False


def test_losses_late_packets_and_retransmissions():
    choice = random.Random(5)
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    held = []
    for _ in range(400):
        for packet in publisher.picture_packets():
            if choice.random() < 0.1:
                held.append(packet)
            else:
                publisher.stream.take(packet, "VP8", publisher.now)
        while held and choice.random() < 0.6:
            publisher.stream.take(held.pop(0), "VP8", publisher.now)
    for packet in held:
        publisher.stream.take(packet, "VP8", publisher.now)
    # every number went out once: as a picture of the lowest layer, or empty where it could not be left out any more
    assert len(set(subscriber.numbers)) == len(subscriber.sent)
    assert subscriber.output.holes() == 0
    assert {p.body[5] >> 6 for p in subscriber.sent if p.body} == {0}
    whole = [p for p in subscriber.sent if p.body]
    again = whole[-1]
    before = len(subscriber.sent)
    subscriber.repeats.repeat([again.number], publisher.now)
    (copy,) = subscriber.sent[before:]
    assert copy.body == again.body


def test_subscribers_with_the_same_wish_share_a_stream_and_it_ends_with_the_last():
    publisher = Layered()
    subscribers = [publisher.subscribe(1) for _ in range(5)]
    publisher.send(key=True)
    publisher.send(10)
    assert len({id(s.output.stream) for s in subscribers}) == 1
    assert subscribers[0].output.stream is not publisher.stream
    for subscriber in subscribers[:3]:
        publisher.source.remove(subscriber.output)
    for subscriber in subscribers[3:]:
        publisher.want(subscriber, None)
    publisher.send(20)
    assert publisher.stream.on_take is None
    assert {s.output.stream for s in subscribers[3:]} == {publisher.stream}
    # and packets pass it no more
    publisher.send(10)
    assert_continuous(subscribers[4])


def test_a_wish_before_the_key_frame_and_a_change_of_it():
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(5)
    publisher.want(subscriber, 1)
    publisher.send(5)
    assert subscriber.sent == []
    publisher.send(key=True)
    publisher.send(16)
    assert set(layers(subscriber)) == {0, 1}
    assert publisher.source.awaited(subscriber.output) is None


def test_a_stream_that_goes_leaves_nothing_behind():
    publisher = Layered()
    subscriber = publisher.subscribe(1)
    publisher.send(key=True)
    publisher.send(5)
    publisher.source.remove_stream(1, publisher.now)
    assert subscriber.output.stream is None
    assert publisher.source.streams == {}


def test_streams_without_layers_are_forwarded_whole():
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    for index in range(30):
        payload = b"\x10" + bytes((0 if index == 0 else 1,)) + bytes(20)
        packet = RelayPacket(96, 0x80, index, 3000 * index, 1, payload)
        publisher.stream.take(packet, "VP8", index / 30)
    assert len(subscriber.sent) == 30
    assert set(steps(subscriber.numbers)) == {1}


class Estimated(Layered):
    """The same with a subscriber whose way bears so many bit/s, as it is told ten times a second."""

    def __init__(self):
        super().__init__()
        self.subscriber = self.subscribe()
        self.send(key=True)

    def bear(self, bitrate, seconds):
        """The layers of the pictures that were sent in the second half of the time."""
        pictures = round(30 * seconds)
        for index in range(pictures):
            if index == pictures // 2:
                since = len(self.subscriber.sent)
            if index % 3 == 0:
                self.subscriber.output.estimate = int(bitrate)
                self.source.choose_output(self.subscriber.output, self.now)
            self.send()
        return set(layers(self.subscriber, since))

    @property
    def bitrate(self):
        return 8 * self.stream.rate.current(self.now)


def test_what_the_program_wants_comes_at_once_whatever_it_wanted_before():
    publisher = Estimated()
    assert publisher.bear(10e6, 2) == {0, 1, 2}
    # less and more in turns, as who is in the picture changes: no failure of the path
    for wanted, expected in (
        (0, {0}),
        (None, {0, 1, 2}),
        (1, {0, 1}),
        (None, {0, 1, 2}),
        (0, {0}),
        (2, {0, 1, 2}),
    ):
        publisher.want(publisher.subscriber, wanted)
        assert publisher.bear(10e6, 0.6) == expected


def test_an_estimate_chooses_temporal_layers_where_the_program_has_not():
    publisher = Estimated()
    assert publisher.bear(10e6, 3) == {0, 1, 2}
    full = publisher.bitrate
    # nothing is looked at for its layer as long as all of it fits
    assert publisher.stream.on_take is None
    # of four pictures one is in layer 0, one in layer 1, two in layer 2
    assert publisher.bear(0.7 * full, 4) == {0, 1}
    assert publisher.bear(0.3 * full, 4) == {0}
    # too little for anything is no reason to show nothing
    assert publisher.bear(0.05 * full, 4) == {0}
    assert publisher.bear(0.7 * full, 4) == {0, 1}
    # it has to be a good deal more to go back, so that it does not go to and fro
    assert publisher.bear(1.05 * full, 4) == {0, 1}
    assert publisher.bear(1.3 * full, 4) == {0, 1, 2}
    assert publisher.bear(0.95 * full, 4) == {0, 1, 2}
    assert publisher.bear(1.3 * full, 4) == {0, 1, 2}
    assert publisher.stream.on_take is None
    assert_continuous(publisher.subscriber)


def test_temporal_layers_that_did_not_last_come_back_later():
    """A way that bears more for a moment only, again and again, is no reason to go up and down with it."""
    publisher = Estimated()
    publisher.bear(10e6, 3)
    full = publisher.bitrate
    assert publisher.bear(0.3 * full, 3) == {0}
    assert publisher.bear(10e6, 0.8 * HOLD) == {0}
    assert publisher.bear(0.3 * full, 0.5) == {0}
    assert publisher.bear(10e6, 0.8 * HOLD) == {0}, "what is borne counts from its beginning"
    assert publisher.bear(10e6, HOLD) == {0, 1, 2}
    # it does not last: twice as long next time
    assert publisher.bear(0.3 * full, 3) == {0}
    assert publisher.bear(10e6, 1.8 * HOLD) == {0}
    assert publisher.bear(10e6, 1.2 * HOLD) == {0, 1, 2}


def test_who_waits_for_fewer_layers_waits_for_all_when_its_way_bears_a_good_deal_more():
    publisher = Estimated()
    publisher.bear(10e6, 3)
    full, subscriber = publisher.bitrate, Subscriber()
    publisher.bear(0.5 * full, 2)
    publisher.stream.waiting = ()
    publisher.send(60)  # the last key frame is too old to begin with
    subscriber.output.estimate = int(0.3 * full)
    publisher.source.add(subscriber.output, None, publisher.now)
    for borne, expected in ((0.3, 0), (0.95, 1), (1.3, ALL), (0.95, ALL)):
        publisher.send(90)
        subscriber.output.estimate = int(borne * full)
        publisher.source.choose_output(subscriber.output, publisher.now)
        publisher.send(90)
        publisher.source.choose_output(subscriber.output, publisher.now)
        assert publisher.source.awaited(subscriber.output).temporal == expected, borne


@pytest.mark.parametrize("what", ["temporal", "layer"])
def test_what_a_program_asked_for_is_sent_whatever_the_way_bears(what):
    publisher = Estimated()
    if what == "temporal":
        publisher.want(publisher.subscriber, 7)
    else:
        publisher.source.prefer(publisher.subscriber.output, "f", publisher.now)
    assert publisher.bear(10_000, 4) == {0, 1, 2}


def test_an_estimate_leaves_streams_without_temporal_layers_whole(monkeypatch):
    monkeypatch.setattr("tests.unit.rtp.test_thinning.PATTERN", ((0, False),))
    publisher = Estimated()
    before = len(publisher.subscriber.sent)
    assert publisher.bear(10_000, 4) == {0}
    # two packets a picture
    assert len(publisher.subscriber.sent) - before == 2 * 4 * 30
    assert publisher.subscriber.output.stream is publisher.stream


class Short(Layered):
    """The same with picture ids of seven bits, which wrap every 128 pictures (RFC 7741 section 4.2, M)."""

    def picture_packets(self, **options):
        packets = super().picture_packets(**options)
        for packet in packets:
            payload = packet.payload
            packet.payload = payload[:2] + bytes((self.picture & 0x7F,)) + payload[4:]
        return packets


def test_picture_ids_of_seven_bits_go_on_over_what_is_left_out():
    publisher = Short()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    publisher.send(1000)
    pictures = [packet.body[2] for packet in subscriber.sent if packet.body[0] & 0x10]
    assert len(pictures) == 251
    assert set(steps(pictures, 7)) == {1}
    assert max(pictures) < 128


def test_pictures_that_are_lost_leave_a_gap_in_their_ids():
    """The subscriber sees by that that it has missed something."""
    publisher = Layered()
    subscriber = publisher.subscribe(1)
    publisher.send(key=True)
    for index in range(1, 41):
        packets = publisher.picture_packets()
        for packet in packets if index != 22 else ():
            publisher.stream.take(packet, "VP8", publisher.now)
    pictures = [packet.picture for packet in subscriber.sent if packet.body[0] & 0x10]
    assert sorted(steps(pictures, 15)) == [1] * (len(pictures) - 2) + [2]


def test_streams_without_picture_ids_are_thinned_by_their_packets_alone():
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    for index in range(40):
        temporal = PATTERN[index % 8][0]
        # X, then TID and Y
        payload = bytes((0x90, 0x20, temporal << 6, index > 0)) + bytes(20)
        publisher.stream.take(RelayPacket(96, 0x80, index, 3000 * index, 1, payload), "VP8", index / 30)
    assert set(steps(subscriber.numbers)) == {1}
    assert [packet.body[:3] for packet in subscriber.sent] == [bytes((0x90, 0x20, 0))] * 10


def test_what_a_subscriber_gets_is_known_before_it_changes():
    publisher = Layered()
    subscriber, other = publisher.subscribe(), publisher.subscribe(0)
    publisher.send(key=True)
    publisher.send(8)
    thinning = publisher.source._thinnings[publisher.stream]
    assert (thinning.limit_of(subscriber.output), thinning.limit_of(other.output)) == (7, 0)
    publisher.want(subscriber, 1)
    assert thinning.limit_of(subscriber.output) == 1
    assert subscriber.output.stream is publisher.stream, "not before the next picture of layer 0 or 1"
    publisher.want(subscriber, None)
    assert thinning.limit_of(subscriber.output) == 7
    publisher.send(8)
    assert subscriber.output.stream is publisher.stream
    assert thinning.stream(7) is publisher.stream
    assert thinning.stream(0) is other.output.stream


def test_who_leaves_while_moving_is_forgotten():
    publisher = Layered()
    subscriber, other = publisher.subscribe(), publisher.subscribe(0)
    publisher.send(key=True)
    thinning = publisher.source._thinnings[publisher.stream]
    publisher.want(subscriber, 0)
    publisher.source.remove(subscriber.output)
    publisher.source.remove(other.output)
    assert not thinning.is_used
    publisher.send(8)
    assert publisher.stream.on_take is None
    assert len(subscriber.sent) == 2


def test_bitrates_of_layers_are_measured_while_somebody_asks():
    publisher = Layered()
    everything = publisher.subscribe()
    publisher.send(key=True)
    thinning = publisher.source._thin(publisher.stream)
    assert thinning.bitrates(publisher.now) == []
    publisher.send(round(30 * MEASURED) - 1)
    assert thinning.bitrates(publisher.now) == []
    publisher.send(60)
    found = thinning.bitrates(publisher.now)
    size = 8 * len(everything.sent[0].body) * 2 * 30
    assert [temporal for temporal, _ in found] == [0, 1, 2]
    # of four pictures one is in layer 0, one in layer 1, two in layer 2: each with all below
    assert [bits for _, bits in found] == [pytest.approx(size * part, rel=0.1) for part in (0.25, 0.5, 1)]
    assert thinning.is_needed(publisher.now + NEEDED - 0.1)
    assert not thinning.is_needed(publisher.now + NEEDED)
    assert not thinning.is_used
    publisher.send(round(30 * NEEDED) + 2)
    assert publisher.stream.on_take is None


def test_what_is_not_forwarded_is_not_in_the_thinned_streams():
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    for _ in range(8):
        publisher.stream.skip(RelayPacket(97, 0, publisher.number & 0xFFFF, 0, 1, b"padding"), publisher.now)
        publisher.number += 1
        publisher.send()
    assert_continuous(subscriber)
    assert len(subscriber.sent) == 2 * 3


# what opens at a picture of layer 1: with TSA all above, with STSA that layer alone (RFC 7798, H.265 table 7-1)
@pytest.mark.parametrize(("kind", "layers_behind"), [(2, {0, 1, 2}), (4, {0, 1}), (1, {0})])
def test_higher_layers_come_where_they_can_be_decoded(kind, layers_behind):
    """Kinds of the pictures of layer 1; those of layer 2 open nothing."""
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    got = []
    for index in range(24):
        temporal = (0, 2, 1, 2)[index % 4]
        unit = 19 if index == 0 else (0, kind, 1)[temporal]
        payload = bytes((unit << 1, temporal + 1)) + bytes(20)
        if index == 8:
            publisher.want(subscriber, None)
        before = len(subscriber.sent)
        publisher.stream.take(RelayPacket(96, 0x80, index, 3000 * index, 1, payload), "H265", index / 30)
        if len(subscriber.sent) > before and index >= 12:
            got.append(temporal)
    assert set(got) == layers_behind
    assert set(steps(subscriber.numbers)) == {1}


def test_higher_layers_come_back_with_a_whole_picture():
    """Not with the second packet of one, though who has the lowest layer could go on from it."""
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    publisher.send(1)
    first, second = publisher.picture_packets()
    publisher.stream.take(first, "VP8", publisher.now)
    publisher.want(subscriber, 1)
    publisher.stream.take(second, "VP8", publisher.now)
    assert len(subscriber.sent) == 2
    publisher.send(16)
    assert {0, 1} == set(layers(subscriber))
    whole = [packet.body[0] & 0x10 for packet in subscriber.sent]
    assert whole == [0x10, 0] * (len(whole) // 2)


def test_what_was_lost_is_not_waited_for_for_ever():
    """Then a subscriber that misses it needs a key frame."""
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    publisher.send(3)
    lost, there = publisher.picture_packets()
    publisher.stream.take(there, "VP8", publisher.now)
    missing = subscriber.numbers[-1] - 1
    assert missing not in subscriber.numbers
    assert subscriber.repeats.repeat([missing], publisher.now) is False
    publisher.send(60)
    assert subscriber.repeats.repeat([missing], publisher.now) is True
    publisher.stream.take(lost, "VP8", publisher.now)
    assert missing in subscriber.numbers


def test_a_picture_whose_packets_name_several_layers_harms_nobody():
    """What a publisher says of its layers need not be true: a picture is left out, and then is not."""
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    for _ in range(20):
        for index, packet in enumerate(publisher.picture_packets(count=3)):
            payload = packet.payload
            packet.payload = payload[:5] + bytes(((2, 0, 1)[index] << 6 | payload[5] & 0x3F,)) + payload[6:]
            publisher.stream.take(packet, "VP8", publisher.now)
    before = len(subscriber.sent)
    publisher.send(key=True)
    publisher.send(20)
    assert len(subscriber.sent) - before == 2 * 6
    assert set(steps(subscriber.numbers)) == {1}


def test_streams_that_nobody_gets_are_made_no_more():
    publisher = Layered()
    subscriber = publisher.subscribe(0)
    publisher.send(key=True)
    publisher.send(8)
    thinned = subscriber.output.stream
    publisher.want(subscriber, 1)
    publisher.send(8)
    before = thinned.packets
    publisher.send(8)
    assert subscriber.output.stream is not thinned
    assert thinned.packets == before
