"""Which stream an output gets, and who is asked for key frames."""

import itertools

from rtcpeer.rtp.layers import HOLD, HOLD_MAX, LASTED
from rtcpeer.rtp.source import Source
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
