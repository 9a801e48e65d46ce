"""Whatever a path does to packets: reliable messages arrive once and in order, others as far as they may be sent again.

And whatever an end sends: no exception, and a connection that goes on.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from rtcpeer.sctp.packets import ChunkType, PacketHeader, chunks_untrusted

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))


def _support() -> ModuleType:
    """The link of the unit tests, by path: test folders are no packages."""
    path = Path(__file__).parents[1] / "unit" / "sctp" / "link.py"
    spec = importlib.util.spec_from_file_location("sctp_link", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sctp_link"] = module
    spec.loader.exec_module(module)
    return module


Link = _support().Link


def bad_link(seed: int) -> object:
    random = Random(seed)
    return Link(
        seed,
        loss=random.choice((0, 0.05, 0.2)),
        duplicate=random.choice((0, 0.1)),
        reorder=random.choice((0, 0.1, 0.5)),
        first_tsn=random.choice((None, 2**32 - 40)),
    )


def is_done(link) -> bool:
    return all(not end.association.numbers().unacknowledged for end in link.ends)


@pytest.mark.parametrize("seed", range(40))
def test_reliable_messages_arrive_once_and_in_order(seed):
    link = bad_link(seed).connect()
    random = Random(seed)
    sent = {(source, stream): [] for source in (0, 1) for stream in range(4)}
    for number in range(150):
        source, stream = random.randrange(2), random.randrange(4)
        body = b"%d:" % number + bytes(random.choice((0, 10, 1160, 5000, 30_000)))
        # stream 3 is unordered
        link.write(body, stream, source=source, ordered=stream != 3)
        sent[source, stream].append(body)
        if random.random() < 0.2:
            link.settle(random.random() / 5)
    total = sum(map(len, sent.values()))
    link.run(lambda: sum(len(end.messages) for end in link.ends) == total)
    link.settle(30)

    assert sum(len(end.messages) for end in link.ends) == total
    for (source, stream), bodies in sent.items():
        got = [body for number, _, body in link.ends[1 - source].messages if number == stream]
        assert (sorted(got) if stream == 3 else got) == (sorted(bodies) if stream == 3 else bodies)
    for end in link.ends:
        assert end.association._incoming._reassembly.held == 0
        assert end.association._outgoing.flight == 0
        assert end.association._outgoing.is_idle


@pytest.mark.parametrize("seed", range(30))
def test_messages_are_sent_again_as_often_as_they_may(seed):
    link = bad_link(seed).connect()
    limits = {1: 0, 2: 1, 3: 3}
    random = Random(seed)
    sent = {stream: [] for stream in (0, *limits)}
    for number in range(200):
        stream = random.randrange(4)
        body = b"%04d" % number + bytes(random.choice((0, 100, 3000)))
        link.write(body, stream, max_retransmits=limits.get(stream), ordered=number % 3 > 0)
        sent[stream].append(body)
        if random.random() < 0.2:
            link.settle(random.random() / 5)
    link.settle(120)

    copies: dict[bytes, int] = {}
    for number, _now, packet in link.sent:
        if number == 0:
            for kind, _flags, value in chunks_untrusted(packet[12:]):
                if kind == ChunkType.DATA:
                    copies[value] = copies.get(value, 0) + 1
    for value, count in copies.items():
        stream = value[4] << 8 | value[5]
        if stream in limits:
            assert count <= limits[stream] + 1
    got = [(stream, body) for stream, _, body in link.b.messages]
    assert len(set(got)) == len(got)
    assert {body for stream, body in got if stream == 0} == set(sent[0])
    for stream in limits:
        assert {body for number, body in got if number == stream} <= set(sent[stream])
        if not link.loss and not link.reorder:
            assert len([body for number, body in got if number == stream]) == len(sent[stream])
    # nothing is left behind, and what comes later arrives
    assert link.b.association._incoming._reassembly.held == 0
    assert link.a.association._outgoing.is_idle
    for stream in range(4):
        link.write(b"later", stream)
    link.run(lambda: [body for _, _, body in link.b.messages].count(b"later") == 4)


@pytest.mark.parametrize("seed", range(10))
def test_no_message_is_sent_when_its_time_is_over(seed):
    link = bad_link(seed)
    link.loss = 0.3
    link.connect()
    expiries = {}
    for number in range(100):
        body = b"%04d" % number + bytes(1150)
        expiries[body] = link.now + 0.3
        link.write(body, 1, expiry=expiries[body])
        link.settle(0.01)
    link.write(b"last", 1)
    link.run(lambda: (1, 53, b"last") in link.b.messages)

    late = [
        (when, value)
        for number, when, packet in link.sent
        if number == 0
        for kind, _flags, value in chunks_untrusted(packet[12:])
        if kind == ChunkType.DATA and when > expiries.get(value[12:], when)
    ]
    assert not late
    got = [body for _, _, body in link.b.messages]
    assert got == [*sorted(got[:-1]), b"last"]


def mutated(random: Random, chunks: list[bytes], near: int) -> bytes:
    """Some chunks of real packets, changed; numbers near to the association's; most with a length that fits."""
    body = b""
    for _ in range(random.choice((1, 1, 2, 4))):
        chunk = bytearray(random.choice(chunks))
        if random.random() < 0.6 and len(chunk) >= 8:
            chunk[4:8] = (near + random.randrange(-5, 40) & 0xFFFFFFFF).to_bytes(4)
        for _ in range(random.choice((0, 0, 1, 3))):
            chunk[random.randrange(min(len(chunk), 40))] = random.choice(
                (0, 1, 3, 4, 0x80, 0xFF, random.randrange(256))
            )
        if random.random() < 0.2:
            chunk = chunk[: random.randrange(4, len(chunk) + 1)]
        if random.random() < 0.8:
            chunk[2:4] = len(chunk).to_bytes(2)
        body += bytes(chunk) + bytes(-len(chunk) & 3)
    return body


def ends_it(body: bytes) -> bool:
    """ABORT and SHUTDOWN end an association by right."""
    ending = (ChunkType.ABORT, ChunkType.SHUTDOWN)
    return any(kind in ending for kind, _flags, _value in chunks_untrusted(body))


def test_an_association_survives_mutated_packets():
    random = Random(int(os.environ.get("RTCPEER_FUZZ_SEED", "0")))
    source = Link(1).connect()
    source.loss = 0.4
    for number in range(20):
        stream = number % 3
        for end in source.ends:
            end.association.open_stream(stream)
        source.write(bytes(random.choice((5, 3000))), stream, max_retransmits=0)
        source.settle(0.1)
    source.a.association.reset_stream(1)
    source.settle(5)
    chunks = sorted(
        {
            bytes((kind, flags)) + (len(value) + 4).to_bytes(2) + value
            for _, _, packet in source.sent
            for kind, flags, value in chunks_untrusted(packet[12:])
        }
    )
    assert {chunk[0] for chunk in chunks} >= {0, 1, 2, 3, 10, 11, 130, 192}
    taken = refused = 0
    for round_ in range(max(1, CASES // 2000)):
        link = Link(round_).connect()
        for stream in range(3):
            link.a.association.open_stream(stream)
            link.write(bytes(5000), stream)
        link.flush()
        header = PacketHeader(5000, 5000, int.from_bytes(link.a.entropy[:4]))
        for _ in range(500):
            near = random.choice((link.a, link.b)).association._outgoing.tsn
            body = mutated(random, chunks, near)
            if ends_it(body):
                continue
            before = link.a.association.ignored
            link.a.association.receive(header.seal(body), link.now)
            taken += link.a.association.ignored == before
            refused += link.a.association.ignored > before
            for packet in link.a.association.packets(link.now):
                assert len(packet) <= 1188
            deadline = link.a.association.deadline
            if deadline is not None and random.random() < 0.1:
                link.now = max(link.now, deadline)
                link.a.association.expire(link.now)
        outgoing = link.a.association._outgoing
        places = (outgoing._flying, outgoing._repeated)
        assert link.a.association.is_established
        assert outgoing.flight == sum(chunk.size for place in places for chunk in place.values())
        assert 0 <= link.a.association._incoming._reassembly.held <= 1 << 21
        assert len(link.a.association._incoming._tracker.starts) <= 1024
    assert min(taken, refused) > 50
