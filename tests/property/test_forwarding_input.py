"""What a malicious publisher or subscriber sends: parsers survive it, and nothing grows."""

import contextlib
import os
import random

import pytest

from rtcpeer.rtp import dependency
from rtcpeer.rtp.forwarding import SEGMENTS_MAX
from rtcpeer.rtp.headers import HeaderPlan
from rtcpeer.rtp.munging import SHIFTS_MAX, OffsetSegment, move_pictures
from rtcpeer.rtp.payloads import begins_keyframe_untrusted, read_vp8_untrusted
from rtcpeer.rtp.relay_packet import (
    RelayPacket,
    read_packet_untrusted,
    unwrap_red_untrusted,
    unwrap_rtx_untrusted,
    write_elements,
)
from rtcpeer.rtp.repeating import REPEATS_MAX
from rtcpeer.rtp.source import Source
from rtcpeer.rtp.temporal import ALL, TemporalReader
from tests.unit.rtp.packets import Publisher, Subscriber, vp8

# how many cases; another number with RTCPEER_FUZZ_CASES
CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))
URIS = {n: f"uri{n}" for n in range(1, 15)}
SEEDS = [
    bytes.fromhex("90e0000100000002000000030001"),
    bytes.fromhex("80600001000000020000000390f0800102030405"),
    bytes.fromhex("906000010000000200000003bede000210313200000000000090f08001020304"),
    bytes.fromhex("b16000010000000200000003000000041000000103020102ff000000aabbccdd04040404"),
    bytes.fromhex("80600001000000020000000300010203040506070809"),
]


def mutated(choice, seed):
    data = bytearray(seed)
    for _ in range(choice.randint(0, 6)):
        kind = choice.randrange(4)
        at = choice.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] = choice.getrandbits(8)
        elif kind == 1:
            data[at:at] = choice.randbytes(choice.randint(1, 8))
        elif kind == 2:
            del data[at : at + choice.randint(1, 8)]
        elif data:
            data[at % len(data)] ^= 1 << choice.randrange(8)
    return bytes(data)


def test_packets_of_the_corpus_are_read_or_refused():
    choice = random.Random(1)
    for _ in range(CASES):
        data = mutated(choice, choice.choice(SEEDS))
        try:
            packet = read_packet_untrusted(data, URIS)
        except ValueError:
            continue
        assert len(packet.payload) + packet.padding_size + 12 <= len(data)
        assert all(len(value) <= len(data) for _uri, value in packet.elements)
        assert len(packet.csrc) == packet.csrc_count
        plan = HeaderPlan({packet.payload_type: 96}, "0", {uri: n for n, uri in URIS.items()})
        first, second, body, at = plan.write(packet, 0.0)
        again = read_packet_untrusted(bytes((first, second)) + data[2:12] + body, URIS)
        assert again.payload == packet.payload == body[at:]
        assert {v for _u, v in again.elements if v} == {v for _u, v in packet.elements if v}
        for unwrap in (unwrap_red_untrusted, lambda p: unwrap_rtx_untrusted(p, 1, 2)):
            try:
                unwrap(packet)
            except ValueError:
                break


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "H265", "AV1", "OPUS"])
def test_payloads_of_the_corpus_are_read_or_refused(codec):
    choice = random.Random(2)
    segment = OffsetSegment(None, 0, 0, 0)
    segment.picture, segment.layer, segment.key = 0x7FFF, 0xFF, 0x1F
    seeds = [
        vp8(77, key=True),
        b"\x8f\xa0\x08\x00",
        b"\x18\x00\x05\x67",
        b"\x7c\x85aa",
        b"\x62\x01\x93",
        b"\x08\x0a",
    ]
    reader = TemporalReader()
    for _ in range(CASES // 2):
        payload = mutated(choice, choice.choice(seeds))
        descriptor = None
        try:
            begins_keyframe_untrusted(codec, payload)
            if codec == "VP8":
                descriptor = read_vp8_untrusted(payload)
                assert len(move_pictures(payload, descriptor, segment)) == descriptor[0] <= len(payload)
        except ValueError:
            assert codec == "VP8"
            continue
        layer = reader.read_untrusted(codec, payload, None, descriptor, is_key=False)
        assert 0 <= layer.temporal <= ALL
        assert -1 <= layer.opens_to <= ALL


def test_descriptors_of_the_corpus_are_read_or_refused():
    choice = random.Random(3)
    seeds = [
        bytes.fromhex(text) for text in ("c1000180028003e8a0", "80000180214eaa860414d14102c11b4e00", "800001")
    ]
    for _ in range(CASES):
        reader = dependency.DescriptorReader()
        for _repeat in range(2):
            try:
                found = reader.read_untrusted(mutated(choice, choice.choice(seeds)))
            except ValueError:
                continue
            assert 0 <= found.temporal_id < 8
            assert reader.structure is not None
            assert 0 <= found.spatial_id < 4
            assert len(found.differences) <= 64


def test_layers_of_the_corpus_of_descriptors_are_read_or_refused():
    choice = random.Random(6)
    structure = bytes.fromhex("80000180214eaa860414d14102c11b4e00")
    reader = TemporalReader(structure)
    for _ in range(CASES):
        descriptor = mutated(choice, choice.choice((structure, b"\xc1\x00\x02", b"\x82\x00\x03\x00")))
        layer = reader.read_untrusted("AV1", b"\x00", descriptor, None, is_key=choice.random() < 0.01)
        assert 0 <= layer.temporal <= ALL
        assert -1 <= layer.opens_to <= ALL


def test_thinned_streams_survive_anything_in_any_order():
    """Layers that make no sense, numbers that jump, wishes that change all the time: nothing grows."""
    choice = random.Random(7)
    source = Source("video", lambda stream: None, lambda: None)
    stream = source.add_stream(1, clock_rate=90000, rid=None, clock=None, now=0.0)
    subscribers = [Subscriber() for _ in range(4)]
    for subscriber in subscribers:
        source.add(subscriber.output, None, 0.0)
    number, now = 5, 0.0
    for index in range(CASES // 8):
        now += choice.choice((0, 0.001, 0.03))
        number = number + choice.choice((1, 1, 1, 1, 1, -3, 5, 2000)) & 0xFFFF
        payload = vp8(choice.getrandbits(15), key=choice.random() < 0.05, temporal=choice.randrange(4))
        if choice.random() < 0.2:
            payload = mutated(choice, payload)
        packet = RelayPacket(96, 0, number, index // 3 * 3000, 1, payload)
        with contextlib.suppress(ValueError):
            if choice.random() < 0.05:
                stream.skip(packet, now)
            else:
                stream.take(packet, "VP8", now)
        if choice.random() < 0.1:
            subscriber = choice.choice(subscribers)
            subscriber.output.temporal = choice.choice((None, 0, 1, 2, 3, 9))
            source.choose_output(subscriber.output, now)
        if choice.random() < 0.1:
            source.poll(now)
            asked = [choice.getrandbits(16) for _ in range(choice.randint(0, 50))]
            choice.choice(subscribers).repeats.repeat(asked, now)
    assert all(len(thinning._streams) <= 4 for thinning in source._thinnings.values())
    for subscriber in subscribers:
        assert len(subscriber.output._segments) <= SEGMENTS_MAX
        assert subscriber.output.holes() >= 0
        assert subscriber.sent


def test_a_stream_survives_anything_in_any_order():
    """Every number, time and payload; numbers wrap, jump and repeat; outputs are bounded."""
    choice = random.Random(4)
    publisher = Publisher()
    subscribers = [Subscriber(rtx=(70, {100: 101})) for _ in range(3)]
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
    publisher.send(0.0, key=True)
    number = publisher.number
    now = 0.0
    for _ in range(CASES // 4):
        now += choice.choice((0, 0.001, 0.03, 2.0))
        number = number + choice.choice((1, 1, 1, 1, -3, 5, 2000, 30000, 0)) & 0xFFFF
        payload = vp8(choice.getrandbits(15), key=choice.random() < 0.1)
        packet = RelayPacket(96, 0, number, choice.getrandbits(32), 1, mutated(choice, payload))
        try:
            if choice.random() < 0.1:
                publisher.stream.skip(packet, now)
            else:
                publisher.stream.take(packet, "VP8", now)
        except ValueError:
            pass
        if choice.random() < 0.1:
            asked = [choice.getrandbits(16) for _ in range(choice.randint(0, 50))]
            choice.choice(subscribers).repeats.repeat(asked, now)
        publisher.stream.reception.give_up(now)
        publisher.stream.reception.wanted(now)
    stream = publisher.stream
    assert stream.history.bytes <= 2_000_000
    assert len(stream.numbers._shifts) <= SHIFTS_MAX
    assert len(stream.reception._missing) <= 128
    for subscriber in subscribers:
        assert len(subscriber.repeats._repeated) <= REPEATS_MAX
        assert subscriber.output.holes() >= 0
        assert all(0 <= packet.number <= 0xFFFF for packet in subscriber.sent)


def test_an_hour_of_pictures_leaves_nothing_behind():
    """Flat memory: an hour at 30 pictures a second, three subscribers, losses and retransmissions all the time."""
    choice = random.Random(5)
    publisher, subscribers = Publisher(), [Subscriber() for _ in range(3)]
    for subscriber in subscribers:
        publisher.stream.join(subscriber.output, 0.0)
        subscriber.output.write = lambda *_: None
    sizes = []
    for picture in range(3600 * 30 // 4):
        now = picture / 7.5
        for packet in publisher.picture_packets(key=picture % 300 == 0):
            if choice.random() < 0.98:
                publisher.take(packet, now)
        publisher.stream.reception.give_up(now)
        if picture % 50 == 0:
            last = publisher.number
            for subscriber in subscribers:
                subscriber.repeats.repeat([last - n & 0xFFFF for n in range(10)], now)
        if picture % 9000 == 4500:
            stream = publisher.stream
            sizes.append(
                len(stream.numbers._shifts)
                + len(stream.reception._missing)
                + sum(len(s.repeats._repeated) + len(s.output._segments) for s in subscribers)
            )
            assert stream.history.bytes <= 1024 * 30
    assert max(sizes) <= 3 * (REPEATS_MAX + 1) + 20


def test_elements_longer_than_sixteen_bytes_take_the_other_form():
    written = write_elements([(1, bytes(17)), (2, b"x")])
    assert written[:2] == b"\x10\x00"
    assert len(written) % 4 == 0
