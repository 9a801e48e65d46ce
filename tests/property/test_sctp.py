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
        assert end.association._reassembly.held == 0
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
    assert link.b.association._reassembly.held == 0
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


def test_an_association_survives_mutated_packets():
    """Packets of real ends, changed, cut and sewn together behind a right header, go into a connection in use."""
    seed = int(os.environ.get("RTCPEER_FUZZ_SEED", "0"))
    random = Random(seed)
    source = Link(1, loss=0.1)
    source.connect()
    for stream in range(3):
        for end in source.ends:
            end.association.open_stream(stream)
        source.write(bytes(3000), stream, max_retransmits=0)
    source.a.association.reset_stream(1)
    source.settle(5)
    bodies = sorted({packet[12:60] for _, _, packet in source.sent})
    count = CASES // 4
    for round_ in range(max(1, count // 500)):
        link = Link(round_).connect()
        for stream in range(3):
            link.a.association.open_stream(stream)
        header = PacketHeader(5000, 5000, int.from_bytes(link.a.entropy[:4]))
        for _ in range(min(count, 500)):
            body = bytearray(random.choice(bodies))
            for _ in range(random.randrange(4)):
                body[random.randrange(len(body))] = random.choice(
                    (0, 1, 3, 4, 0x80, 0xFF, random.randrange(256))
                )
            if random.random() < 0.3:
                body = body[: random.randrange(len(body))] + random.choice(bodies)
            if random.random() < 0.3 and len(body) > 8:
                # numbers near to those of this association
                near = random.choice((link.a, link.b)).association
                tsn = (near._outgoing.tsn + random.randrange(-5, 40)) & 0xFFFFFFFF
                body[4:8] = tsn.to_bytes(4)
            if body[:1] in (b"\x06", b"\x07") or b"\x06" in body[::4] or b"\x07" in body[::4]:
                continue  # ABORT and SHUTDOWN end it by right
            link.a.association.receive(header.seal(bytes(body)), link.now)
            for packet in link.a.association.packets(link.now):
                assert len(packet) <= 1188
            deadline = link.a.association.deadline
            if deadline is not None and random.random() < 0.1:
                link.now = max(link.now, deadline)
                link.a.association.expire(link.now)
        assert link.a.association.is_established
        assert link.a.association._outgoing.flight >= 0
        assert link.a.association._reassembly.held >= 0
