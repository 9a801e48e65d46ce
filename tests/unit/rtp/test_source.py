"""Which stream an output gets, and who is asked for key frames."""

import itertools

import pytest

from rtcpeer.rtp.layers import HOLD, HOLD_MAX, LASTED
from rtcpeer.rtp.source import CHOICE_INTERVAL, Source
from rtcpeer.rtp.thinning import NEEDED
from tests.unit.rtp.packets import Publisher, Subscriber


class Layers:
    """A source with three layers of 100, 400 and 1600 kbit/s."""

    def __init__(self, *rids):
        self.asked, self.now = [], 0.0
        self.source = Source("video", self.ask, lambda: None)
        self.publishers = {}
        for index, rid in enumerate(rids or ("q", "h", "f")):
            publisher = Publisher(index + 1, number=1000 * index, picture=500 * index)
            publisher.size = 400 * 4**index
            publisher.silent = False
            self.publishers[rid] = publisher
            self.source.streams[index + 1] = publisher.stream
            publisher.stream.rid = rid
        self.keys = set()

    def ask(self, stream):
        self.asked.append((round(self.now, 2), stream.rid))
        self.keys.add(stream.rid)

    def run(self, seconds):
        for _ in range(round(seconds * 30)):
            self.now += 1 / 30
            for rid, publisher in self.publishers.items():
                if not publisher.silent:
                    publisher.send(self.now, key=rid in self.keys, count=1)
                    publisher.stream.rate.add(publisher.size, self.now)
                    self.keys.discard(rid)
            self.source.poll(self.now)


def test_the_best_layer_without_an_estimate():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    layers.source.add(subscriber.output, None, layers.now)
    layers.run(1)
    assert subscriber.output.stream.rid == "f"
    assert layers.source.layers == ["q", "h", "f"]


def test_a_layer_that_was_asked_for_comes_with_its_key_frame():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    layers.source.add(subscriber.output, "q", layers.now)
    layers.run(1)
    assert subscriber.output.stream.rid == "q"
    before = len(subscriber.sent)
    layers.source.prefer(subscriber.output, "h", layers.now)
    assert subscriber.output.stream.rid == "q"
    layers.run(1)
    assert subscriber.output.stream.rid == "h"
    assert len(subscriber.sent) - before >= 30
    assert [rid for _at, rid in layers.asked] == ["q", "h"]


def test_an_estimate_chooses():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    subscriber.output.estimate = 600_000
    layers.source.add(subscriber.output, None, layers.now)
    layers.run(1)
    assert subscriber.output.stream.rid == "h"
    subscriber.output.estimate = 50_000
    layers.run(1)
    assert subscriber.output.stream.rid == "q"
    subscriber.output.estimate = 5_000_000
    # it has moved down just now
    layers.run(1)
    assert subscriber.output.stream.rid == "q"
    layers.run(HOLD)
    assert subscriber.output.stream.rid == "f"


def test_an_output_whose_estimate_falls_with_each_better_layer_tries_it_less_and_less_often():
    """Its key frame is what the path does not bear; each change is a key frame for all."""
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    subscriber.output.estimate = 2_500_000
    layers.source.add(subscriber.output, None, layers.now)
    layers.run(1)
    changes, before = [], "f"
    for _ in range(480):
        rid = subscriber.output.stream.rid
        subscriber.output.estimate = 1_000_000 if rid == "f" else 2_500_000
        layers.run(0.25)
        if subscriber.output.stream.rid != before:
            before = subscriber.output.stream.rid
            changes.append(layers.now)
    assert 10 < len(changes) < 24
    # a path that bears it all the time does not wait longer than that
    subscriber.output.estimate = 2_500_000
    layers.run(HOLD_MAX + 1)
    assert subscriber.output.stream.rid == "f"
    # what lasted is as good as new
    layers.run(LASTED)
    subscriber.output.estimate = 1_000_000
    layers.run(1)
    assert subscriber.output.stream.rid == "h"
    subscriber.output.estimate = 2_500_000
    layers.run(HOLD + 1)
    assert subscriber.output.stream.rid == "f"


def test_what_the_program_wants_comes_at_once():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    subscriber.output.estimate = 2_500_000
    layers.source.add(subscriber.output, None, layers.now)
    layers.run(1)
    subscriber.output.estimate = 50_000
    layers.run(1)
    assert subscriber.output.stream.rid == "q"
    layers.source.prefer(subscriber.output, "f", layers.now)
    layers.run(0.5)
    assert subscriber.output.stream.rid == "f"


def test_a_silent_layer_is_replaced():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    layers.source.add(subscriber.output, "f", layers.now)
    layers.run(1)
    layers.publishers["f"].silent = True
    layers.run(2)
    assert subscriber.output.stream.rid == "h"
    layers.publishers["f"].silent = False
    layers.run(2)
    assert subscriber.output.stream.rid == "f"


def test_a_stream_that_is_forgotten_is_replaced():
    layers, subscriber = Layers(), Subscriber()
    layers.run(2)
    layers.source.add(subscriber.output, "f", layers.now)
    layers.run(1)
    del layers.publishers["f"]
    layers.source.remove_stream(3, layers.now)
    layers.run(1)
    assert subscriber.output.stream.rid == "h"


def test_a_malicious_subscriber_causes_one_request_in_half_a_second():
    layers, subscriber = Layers("f"), Subscriber()
    layers.run(1)
    layers.source.add(subscriber.output, None, layers.now)
    for _ in range(150):
        for _ in range(5):
            layers.source.request_keyframe(subscriber.output, layers.now)
        layers.run(1 / 30)
    times = [at for at, _rid in layers.asked]
    assert 9 <= len(times) <= 12
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.49


def test_another_source_goes_on_where_the_first_was():
    one, other, subscriber = Layers("f"), Layers("f"), Subscriber()
    one.run(1)
    one.source.add(subscriber.output, None, one.now)
    one.run(1)
    other.now = one.now
    one.source.hand_over(subscriber.output)
    other.source.add(subscriber.output, None, other.now)
    other.run(0.001)
    one.run(0.2)
    assert subscriber.output.stream is one.publishers["f"].stream
    other.now = one.now
    other.run(0.2)
    assert subscriber.output.stream is other.publishers["f"].stream
    numbers = subscriber.numbers
    assert {b - a for a, b in itertools.pairwise(numbers)} == {1}
    assert one.publishers["f"].stream.groups == ()
    assert not one.source.outputs


def test_streams_are_bounded():
    source = Source("video", lambda stream: None, lambda: None)
    for ssrc in range(40):
        source.add_stream(ssrc, clock_rate=90000, rid=None, clock=None, now=float(ssrc))
    assert list(source.streams) == list(range(24, 40))


def test_a_new_ssrc_takes_over_when_the_old_one_is_silent():
    source, subscriber = Source("video", lambda stream: None, lambda: None), Subscriber()
    old, new = Publisher(1), Publisher(2)
    source.streams[1] = old.stream
    old.send(0.0)
    source.add(subscriber.output, None, 0.0)
    old.send(0.1, key=True)
    source.streams[2] = new.stream
    new.send(0.2)
    source.poll(0.55)
    assert source.awaited(subscriber.output) is None
    new.send(0.8)
    source.poll(1.1)
    new.send(1.2, key=True)
    assert subscriber.output.stream is new.stream


class Watch:
    """A source of streams that send when they are told to, and what it asked for."""

    def __init__(self, count, kind="video"):
        self.asked, self.woken = [], 0
        self.source = Source(kind, lambda stream: self.asked.append(stream.ssrc), self.wake)
        self.publishers = [
            Publisher(index + 1, number=1000 * index, is_video=kind == "video") for index in range(count)
        ]
        for publisher in self.publishers:
            publisher.stream.rid = f"r{publisher.stream.ssrc}"
            self.source.streams[publisher.stream.ssrc] = publisher.stream

    def wake(self):
        self.woken += 1

    def send(self, now, *, key=False):
        for publisher in self.publishers:
            publisher.send(now, key=key)

    def subscribe(self, rid, now):
        subscriber = Subscriber()
        self.source.add(subscriber.output, rid, now)
        return subscriber


@pytest.mark.parametrize("temporal", [None, 0])
def test_who_waits_for_a_stream_that_ends_is_given_another(temporal):
    watch = Watch(2)
    watch.send(10.0)
    first, second, other = (watch.subscribe(rid, 10.1) for rid in ("r1", "r1", "r2"))
    watch.source.limit(second.output, temporal, 10.1)
    gone, left = (publisher.stream for publisher in watch.publishers)

    def awaited():
        return [watch.source.awaited(subscriber.output).origin for subscriber in (first, second, other)]

    watch.source.remove_stream(9, 10.2)
    assert awaited() == [gone, gone, left]
    watch.source.remove_stream(1, 10.2)
    assert gone.waiting == ()
    assert awaited() == [left, left, left]
    watch.publishers[1].send(10.3, key=True)
    assert [len(subscriber.sent) for subscriber in (first, second, other)] == [1, 1, 1]


def test_who_gets_another_stream_than_the_one_that_ends_keeps_it():
    watch = Watch(2)
    watch.send(10.0, key=True)
    one, other = watch.subscribe("r1", 10.1), watch.subscribe("r2", 10.1)
    watch.source.remove_stream(1, 10.2)
    for at in (10.3, 10.4):
        watch.publishers[1].send(at)
    assert other.output.stream is watch.publishers[1].stream
    assert len(other.sent) == 3
    assert one.output.stream is watch.publishers[1].stream, "its last key frame, and what was behind it"


def test_who_wants_another_layer_leaves_those_alone_who_wait_with_it():
    watch = Watch(2)
    watch.send(10.0)
    one, other = watch.subscribe("r1", 10.1), watch.subscribe("r1", 10.1)
    watch.source.prefer(one.output, "r2", 10.2)
    watch.source.prefer(other.output, "r1", 10.2)
    assert watch.asked == [1, 2], "what is waited for already is not asked for again"
    assert [publisher.stream.waiting for publisher in watch.publishers] == [(other.output,), (one.output,)]
    watch.send(10.3, key=True)
    assert [s.output.stream.ssrc for s in (one, other)] == [2, 1]
    assert [len(s.sent) for s in (one, other)] == [1, 1]


def test_who_is_no_subscriber_is_given_nothing():
    watch, stranger = Watch(1), Subscriber()
    watch.send(10.0, key=True)
    watch.source.choose_output(stranger.output, 10.1)
    watch.source.prefer(stranger.output, "r1", 10.1)
    watch.source.remove(stranger.output)
    watch.source.request_keyframe(stranger.output, 10.1)
    assert watch.source.wanted(stranger.output, 10.1) == 0
    assert (stranger.output.stream, watch.source.outputs, watch.asked) == (None, {}, [])


def test_sound_has_no_key_frames_to_ask_for():
    watch = Watch(1, "audio")
    subscriber = watch.subscribe(None, 10.0)
    watch.source.request_keyframe(subscriber.output, 10.0)
    watch.send(10.1)
    watch.source.request_keyframe(subscriber.output, 10.2)
    assert subscriber.output.stream is watch.publishers[0].stream
    assert watch.asked == []


def test_the_kind_of_streams_is_that_of_their_source():
    for kind in ("audio", "video"):
        source = Source(kind, lambda stream: None, lambda: None)
        stream = source.add_stream(1, clock_rate=48000, rid=None, clock=None, now=10.0)
        assert stream.is_video is (kind == "video")


def test_when_streams_are_chosen_anew():
    watch = Watch(2)
    watch.send(10.0, key=True)
    assert watch.source.poll(10.0) is None, "there is nobody to choose for"
    subscriber = watch.subscribe("r1", 10.0)
    watch.source.choose_all(10.1)
    assert watch.source.poll(10.3) == 10.1 + CHOICE_INTERVAL
    assert watch.source.poll(10.59) == 10.1 + CHOICE_INTERVAL
    watch.publishers[1].send(10.61)
    assert watch.source.poll(10.61) == 10.61 + CHOICE_INTERVAL
    assert watch.source.awaited(subscriber.output).ssrc == 2, "the other one is silent"
    watch.publishers[1].send(10.62, key=True)
    watch.source.remove_stream(1, 10.7)
    assert watch.source.poll(20.0) is None, "there is nothing to choose"


def test_key_frames_are_asked_for_again_of_all_that_are_waited_for_and_of_no_others():
    watch = Watch(3)
    watch.send(10.0)
    subscribers = [watch.subscribe(f"r{ssrc}", 10.0) for ssrc in (1, 2, 3)]
    streams = [publisher.stream for publisher in watch.publishers]
    assert watch.asked == [1, 2, 3]
    watch.source.remove(subscribers[1].output)
    assert [watch.source.is_used(stream) for stream in streams] == [True, False, True]
    assert watch.source.poll(10.4) == 10.0 + CHOICE_INTERVAL
    watch.send(10.4)
    watch.source.poll(10.6)
    assert watch.asked == [1, 2, 3, 1, 3]
    watch.send(10.7, key=True)
    assert [watch.source.is_used(stream) for stream in streams] == [True, False, True]
    watch.source.poll(11.5)
    assert watch.asked == [1, 2, 3, 1, 3]


def test_packets_are_looked_at_for_their_layer_where_somebody_asks_for_layers():
    watch = Watch(1)
    watch.send(10.0, key=True)
    stream = watch.publishers[0].stream
    subscriber = watch.subscribe(None, 10.0)
    assert stream.on_take is None
    watch.source.limit(subscriber.output, 0, 10.1)
    assert stream.on_take is not None
    assert watch.source.poll(10.2) == 10.2 + NEEDED
    watch.source.remove(subscriber.output)
    watch.source.poll(10.3)
    assert stream.on_take is None
