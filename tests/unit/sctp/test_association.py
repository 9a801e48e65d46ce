"""Two associations over a link made of numbers (see `link`), and an end that breaks the rules."""

from __future__ import annotations

from random import Random

import pytest

from rtcpeer.sctp.association import ENTROPY_SIZE, Association, State
from rtcpeer.sctp.congestion import RTO_INITIAL
from rtcpeer.sctp.handshake import write_cookie
from rtcpeer.sctp.packets import (
    BODY_MAX,
    PACKET_MAX,
    ChunkType,
    Init,
    PacketHeader,
    Parameter,
    chunks_untrusted,
    parameters_untrusted,
    read_sack_untrusted,
    write_chunk,
    write_init,
    write_parameter,
)
from rtcpeer.sctp.receive_queue import BEHIND_HOLE_MAX, NEXT_MAX, RECEIVE_WINDOW, SACK_DELAY
from tests.unit.sctp.link import End, Link


def kinds(packet: bytes) -> list[int]:
    return [kind for kind, _flags, _value in chunks_untrusted(packet[12:])]


def forge(end: End, *chunks: bytes) -> bytes:
    """A packet with these chunks, as the other end would send it to this one."""
    tag = int.from_bytes(end.entropy[:4])
    return PacketHeader(5000, 5000, tag).seal(b"".join(chunks))


def data(tsn: int, flags: int = 3, *, stream: int = 1, sequence: int = 0, body: bytes = b"x") -> bytes:
    header = (tsn & 0xFFFFFFFF).to_bytes(4) + stream.to_bytes(2) + sequence.to_bytes(2) + (53).to_bytes(4)
    return write_chunk(ChunkType.DATA, header + body, flags)


def answers(end: End, now: float = 1000.0) -> list[tuple[int, bytes]]:
    """What an end says: its chunks."""
    packets = end.association.packets(now)
    return [(kind, value) for packet in packets for kind, _flags, value in chunks_untrusted(packet[12:])]


@pytest.fixture
def link():
    return Link(first_tsn=100).connect()


# --- set-up ---------------------------------------------------------------------------------------


def test_both_ends_connect_at_once():
    link = Link().connect()

    assert link.a.events == link.b.events == ["established"]
    # INIT, INIT ACK, COOKIE ECHO: each end has the other's cookie by then
    assert link.now - 1000 == pytest.approx(3 * link.delay)
    assert link.a.association.max_channels == 65535


def test_one_end_alone_connects():
    link = Link()
    link.b.association.connect(link.now)
    link.a.association.connect(link.now)
    link.a.association.packets(link.now)  # its INIT is lost

    link.run(lambda: link.a.association.is_established and link.b.association.is_established)

    assert link.now - 1000 < 0.2


@pytest.mark.parametrize("lost", ["INIT", "INIT_ACK", "COOKIE_ECHO", "COOKIE_ACK"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_packet_of_the_setup_is_lost(lost, times):
    link = Link()
    left = [times, times]

    def deliver(number, packet):
        if kinds(packet)[0] == ChunkType[lost] and left[number]:
            left[number] -= 1
            return False
        return True

    link.deliver = deliver
    link.connect()
    link.write(b"hello")
    link.run(lambda: link.b.messages)

    assert link.a.events == link.b.events == ["established"]
    assert link.now - 1000 < 2.5


def test_data_is_as_good_as_a_cookie_ack():
    link = Link()
    link.deliver = lambda number, packet: not (number == 1 and ChunkType.COOKIE_ACK in kinds(packet))
    for end in link.ends:
        end.association.connect(link.now)
    link.run(lambda: link.b.association.is_established)
    link.write(b"hello", source=1)

    link.run(lambda: link.a.messages, 0.3)

    assert link.a.association.is_established


def test_a_cookie_that_is_not_ours_changes_nothing():
    link = Link()
    link.a.association.connect(1000)
    packet = forge(link.a, write_chunk(ChunkType.COOKIE_ECHO, bytes(34)))

    link.a.association.receive(packet, 1000)

    assert (link.a.association.state, link.a.association.ignored) == (State.COOKIE_WAIT, 1)


@pytest.mark.parametrize(("tag", "answered"), [(7, True), (8, False)])
def test_a_late_cookie_is_acknowledged_when_it_is_of_the_end_that_we_have(tag, answered):
    end = End(0, Random(0))
    end.association.connect(1000)
    secret = end.entropy[8:]
    echo = [
        forge(end, write_chunk(ChunkType.COOKIE_ECHO, write_cookie(secret, Init(t, 1000, 9, 9, 1))))
        for t in (7, tag)
    ]
    end.association.receive(echo[0], 1000)
    assert end.association.is_established
    answers(end)

    end.association.receive(echo[1], 1000)

    assert [kind for kind, _ in answers(end)] == [ChunkType.COOKIE_ACK] * answered
    assert end.events == ["established"]


@pytest.mark.parametrize(("size", "taken"), [(BODY_MAX - 4, True), (BODY_MAX - 3, False)])
def test_a_cookie_that_fits_into_no_packet_is_none(size, taken):
    end = End(0, Random(0))
    end.association.connect(1000)
    end.association.packets(1000)
    init = write_init(Init(7, 1000, 9, 9, 1, cookie=bytes(size)), ChunkType.INIT_ACK)

    end.association.receive(forge(end, init), 1000)

    assert [len(value) for _, value in answers(end)] == [size] * taken
    assert end.association.ignored == 1 - taken


def test_on_a_slow_path_the_setup_is_repeated_no_faster_than_it_can_be_answered():
    association = Association(
        End(0, Random(0)), local_port=5000, remote_port=5000, entropy=bytes(ENTROPY_SIZE), round_trip_time=1.0
    )
    association.connect(1000)
    times = [1000.0]
    for _ in range(3):
        times.append(association.deadline)
        association.expire(association.deadline)
    assert times == [1000, 1003, 1006, 1009]
    # one that answers quickly is asked more often, up to twice a second
    association = Association(
        End(0, Random(0)),
        local_port=5000,
        remote_port=5000,
        entropy=bytes(ENTROPY_SIZE),
        round_trip_time=0.01,
    )
    association.connect(0)
    times = [0.0]
    for _ in range(5):
        times.append(association.deadline)
        association.expire(association.deadline)
    assert times == pytest.approx([0, 0.1, 0.3, 0.7, 1.2, 1.7])


@pytest.mark.parametrize(("outbound", "inbound"), [(10, 65535), (65535, 10)])
def test_there_are_as_many_channels_as_both_directions_have_streams(outbound, inbound):
    end = End(0, Random(0))
    end.association.connect(1000)
    cookie = write_cookie(end.entropy[8:], Init(7, 1000, outbound, inbound, 1))

    end.association.receive(forge(end, write_chunk(ChunkType.COOKIE_ECHO, cookie)), 1000)

    assert end.association.max_channels == 10


@pytest.mark.parametrize(
    "init",
    [
        write_chunk(ChunkType.INIT, bytes(10)),
        write_init(Init(0, 1000, 1, 1, 1), ChunkType.INIT),
        write_init(Init(5, 1000, 0, 1, 1), ChunkType.INIT),
        write_init(Init(5, 1000, 1, 1, 1), ChunkType.INIT) + write_chunk(ChunkType.COOKIE_ACK),
    ],
    ids=["cut off", "no tag", "no streams", "not alone"],
)
def test_an_init_that_cannot_be(init):
    end = End(0, Random(0))
    end.association.connect(1000)
    end.association.packets(1000)

    end.association.receive(PacketHeader(5000, 5000, 0).seal(init), 1000)

    assert not answers(end)
    assert end.association.ignored == 1


def test_unknown_parameters_are_reported_or_skipped():
    end = End(0, Random(0))
    end.association.connect(1000)
    end.association.packets(1000)
    init = write_init(Init(5, 1000, 1, 1, 1), ChunkType.INIT)
    for kind in (0xC00F, 0x800F):
        init += write_parameter(kind, b"what")
    init = init[:2] + len(init).to_bytes(2) + init[4:]

    end.association.receive(PacketHeader(5000, 5000, 0).seal(init), 1000)

    [(kind, value)] = answers(end)
    reported = [
        content for number, content in parameters_untrusted(value, 16) if number == Parameter.UNRECOGNIZED
    ]
    assert (kind, reported) == (ChunkType.INIT_ACK, [write_parameter(0xC00F, b"what")])


def test_an_end_without_partial_reliability_gets_everything():
    link = Link()
    init = write_init(Init(9, 100_000, 10, 10, 500, forward_tsn=False, reconfig=False), ChunkType.INIT)
    end = link.a
    end.association.connect(1000)
    end.association.packets(1000)
    end.association.receive(PacketHeader(5000, 5000, 0).seal(init), 1000)
    [(_kind, value)] = answers(end)
    cookie = next(
        content for number, content in parameters_untrusted(value, 16) if number == Parameter.STATE_COOKIE
    )
    end.association.receive(forge(end, write_chunk(ChunkType.COOKIE_ECHO, cookie)), 1000)
    assert end.association.max_channels == 10

    end.association.write(1, 53, b"x", max_retransmits=0)
    end.association.packets(1000)
    for _ in range(5):
        end.association.expire(end.association.deadline)
        chunks = answers(end, end.association.deadline or 1000)
        assert [kind for kind, _ in chunks] == [ChunkType.DATA]


@pytest.mark.parametrize(
    "chunk",
    [
        data(100),
        write_chunk(ChunkType.FORWARD_TSN, (100).to_bytes(4)),
        write_chunk(ChunkType.SHUTDOWN, bytes(4)),
        write_chunk(ChunkType.INIT_ACK, bytes(10)),
        write_init(Init(7, 1000, 9, 9, 1), ChunkType.INIT_ACK),
        write_init(Init(7, 1000, 9, 9, 1), ChunkType.INIT),
    ],
    ids=["data", "forward TSN", "shutdown", "cut off", "no cookie", "INIT with a tag"],
)
def test_what_has_no_place_before_there_is_an_association(chunk):
    end = End(0, Random(0))
    end.association.connect(1000)
    end.association.packets(1000)

    end.association.receive(forge(end, chunk), 1000)

    assert (end.association.state, end.association.ignored) == (State.COOKIE_WAIT, 1)
    assert (end.messages, end.events, answers(end)) == ([], [], [])


def test_data_may_come_with_the_cookie():
    """RFC 9260 section 5.1: COOKIE ECHO is the first chunk of its packet, and DATA may follow."""
    end = End(0, Random(0))
    end.association.connect(1000)
    cookie = write_cookie(end.entropy[8:], Init(7, 1000, 9, 9, 1))

    end.association.receive(forge(end, write_chunk(ChunkType.COOKIE_ECHO, cookie), data(1)), 1000)

    assert end.messages == [(1, 53, b"x")]


def test_both_ends_may_have_ports_of_their_own():
    ends = [End(n, Random(n)) for n in range(2)]
    for end, other in (ends, ends[::-1]):
        end.association = Association(
            end, local_port=5000 + end.number, remote_port=5000 + other.number, entropy=end.entropy
        )
        end.association.connect(1000)
    for _ in range(3):
        for end, other in (ends, ends[::-1]):
            for packet in end.association.packets(1000):
                other.association.receive(packet, 1000)
    assert ends[0].events == ends[1].events == ["established"]

    # and an abort that reflects the tag comes from there too
    theirs = int.from_bytes(ends[1].entropy[:4])
    reflected = PacketHeader(5001, 5000, theirs).seal(write_chunk(ChunkType.ABORT, flags=1))
    ends[0].association.receive(reflected, 1000)
    assert ends[0].events[-1] == ("ended", None, True)


def test_no_tag_is_0():
    """RFC 9260 section 3.3.2."""
    association = Association(End(0, Random(0)), local_port=1, remote_port=2, entropy=bytes(ENTROPY_SIZE))
    association.connect(1000)
    [packet] = association.packets(1000)
    assert packet[16:20] == b"\0\0\0\1"


def test_what_was_written_before_the_association_is_there_leaves_with_it():
    link = Link()
    link.write(b"early", max_retransmits=0)
    assert not link.a.association.is_starved
    link.connect()

    link.run(lambda: link.b.messages, 1)


@pytest.mark.parametrize("size", [3, ENTROPY_SIZE - 1])
def test_too_little_entropy(size):
    with pytest.raises(ValueError, match=f"{size} random bytes.*{ENTROPY_SIZE}"):
        Association(End(0, Random(0)), local_port=1, remote_port=2, entropy=bytes(size))


def test_the_setup_is_repeated_for_as_long_as_nobody_ends_it():
    end = End(0, Random(0))
    end.association.connect(1000)
    for _ in range(50):
        end.association.expire(end.association.deadline)
        assert [kinds(packet) for packet in end.association.packets(1000)][-1] == [ChunkType.INIT]
    assert end.association.state is State.COOKIE_WAIT
    assert end.events == []


def test_an_init_that_crosses_our_cookie_is_answered():
    """RFC 9260 section 5.2.1."""
    end = End(0, Random(0))
    end.association.connect(1000)
    end.association.packets(1000)
    answer = write_init(Init(7, 1000, 9, 9, 1, cookie=b"cookie"), ChunkType.INIT_ACK)
    end.association.receive(forge(end, answer), 1000)
    assert end.association.state is State.COOKIE_ECHOED
    answers(end)

    init = write_init(Init(7, 1000, 9, 9, 1), ChunkType.INIT)
    end.association.receive(PacketHeader(5000, 5000, 0).seal(init), 1000)

    assert [kind for kind, _ in answers(end)] == [ChunkType.INIT_ACK]


@pytest.mark.parametrize(
    "chunk",
    [
        write_init(Init(9, 1000, 9, 9, 1, cookie=b"cookie"), ChunkType.INIT_ACK),
        write_chunk(ChunkType.COOKIE_ACK),
        write_chunk(ChunkType.SHUTDOWN_COMPLETE),
    ],
    ids=["INIT ACK", "COOKIE ACK", "SHUTDOWN COMPLETE"],
)
def test_late_chunks_of_the_setup_and_of_an_end_that_nobody_asked_for_change_nothing(link, chunk):
    """RFC 9260 sections 5.2.3, 5.2.5 and 9.2."""
    link.a.association.receive(forge(link.a, chunk), link.now)

    assert answers(link.a) == []
    assert (link.a.association.state, link.a.events) == (State.ESTABLISHED, ["established"])
    link.write(b"x")
    link.run(lambda: link.b.messages, 0.1)


def test_the_other_ends_window_counts_from_the_first_packet():
    end = End(0, Random(0))
    end.association.connect(1000)
    cookie = write_cookie(end.entropy[8:], Init(7, 3000, 9, 9, 1))
    end.association.receive(forge(end, write_chunk(ChunkType.COOKIE_ECHO, cookie)), 1000)
    answers(end)
    end.association.write(1, 53, bytes(20_000))

    assert 1500 < sum(map(len, end.association.packets(1000))) <= 3000


# --- the end --------------------------------------------------------------------------------------


def test_an_abort_tells_the_other_end(link):
    packet = link.a.association.abort()
    assert list(chunks_untrusted(packet[12:])) == [(ChunkType.ABORT, 0, b"\0\x0c\0\4")]
    link.b.association.receive(packet, link.now)

    assert link.b.events[-1] == ("ended", 12, True)
    assert link.a.events == ["established"]
    assert link.a.association.abort() is None
    assert link.a.association.deadline is None
    link.b.association.receive(packet, link.now)
    assert len(link.b.events) == 2


@pytest.mark.parametrize(
    "due", ["acknowledgement", "later acknowledgement", "answer", "reset", "data", "nothing"]
)
def test_an_end_that_is_over_says_nothing(link, due):
    one = link.a.association
    if due == "acknowledgement":
        one.receive(forge(link.a, data(100)), link.now)
        one.receive(forge(link.a, data(101)), link.now)
    elif due == "later acknowledgement":
        one.receive(forge(link.a, data(100)), link.now)
        assert one.packets(link.now) == []
    elif due == "answer":
        one.receive(forge(link.a, write_chunk(ChunkType.HEARTBEAT, b"here")), link.now)
    elif due == "reset":
        one.reset_stream(1)
        assert one.packets(link.now)
    elif due == "data":
        link.write(b"x")
    else:
        one.receive(forge(link.a, data(100)), link.now)
    one.receive(forge(link.a, data(102), write_chunk(ChunkType.ABORT)), link.now)
    assert link.a.events[-1] == ("ended", None, True)

    assert one.deadline is None
    one.wake(link.now + 10)
    assert one.packets(link.now + 10) == []


def test_data_waits_until_the_association_is_there():
    end = End(0, Random(0))
    end.association.write(1, 53, b"early")
    end.association.connect(1000)
    assert [kinds(packet) for packet in end.association.packets(1000)] == [[ChunkType.INIT]]
    answer = write_init(Init(7, 1000, 9, 9, 1, cookie=b"cookie"), ChunkType.INIT_ACK)
    end.association.receive(forge(end, answer), 1000)
    assert [kind for kind, _ in answers(end)] == [ChunkType.COOKIE_ECHO]
    end.association.receive(forge(end, write_chunk(ChunkType.COOKIE_ACK)), 1000)
    assert [kind for kind, _ in answers(end)] == [ChunkType.DATA]


@pytest.mark.parametrize("kind", [ChunkType.HEARTBEAT, ChunkType.SHUTDOWN_COMPLETE])
def test_nothing_but_an_abort_may_reflect_the_tag(link, kind):
    theirs = int.from_bytes(link.b.entropy[:4])
    link.a.association.receive(PacketHeader(5000, 5000, theirs).seal(write_chunk(kind, flags=1)), link.now)

    assert link.a.association.is_established
    assert link.a.association.ignored == 1
    assert answers(link.a) == []


def test_a_shutdown_acknowledges(link):
    """RFC 9260 section 9.2: its cumulative TSN counts; a copy of it changes nothing."""
    link.write(b"x")
    link.flush()
    assert link.a.association.numbers().unacknowledged == 1
    shutdown = forge(link.a, write_chunk(ChunkType.SHUTDOWN, (100).to_bytes(4)))
    link.a.association.receive(shutdown, link.now)

    assert link.a.association.numbers().unacknowledged == 0
    assert [kind for kind, _ in answers(link.a)] == [ChunkType.SHUTDOWN_ACK]
    link.a.association.receive(shutdown, link.now)
    assert link.a.association.state is State.SHUTDOWN_ACK_SENT
    assert answers(link.a) == []


def test_an_abort_of_an_end_that_knows_nothing_any_more(link):
    """RFC 9260 section 8.5.1 B: it reflects our tag, and says so."""
    theirs = int.from_bytes(link.b.entropy[:4])
    chunk = write_chunk(ChunkType.ABORT)
    link.a.association.receive(PacketHeader(5000, 5000, theirs).seal(chunk), link.now)
    assert link.a.association.is_established

    link.a.association.receive(PacketHeader(5000, 5000, theirs).seal(b"\6\1\0"), link.now)  # cut off
    assert link.a.association.is_established

    chunk = write_chunk(ChunkType.ABORT, b"\0\x02\0\x08what", flags=1)
    link.a.association.receive(PacketHeader(5000, 5000, theirs).seal(chunk), link.now)

    assert link.a.events[-1] == ("ended", 2, True)


@pytest.mark.parametrize(("value", "cause"), [(b"", None), (b"\0\x0d\0", None), (b"\0\x0d\0\4", 13)])
def test_the_cause_of_an_abort(link, value, cause):
    link.a.association.receive(forge(link.a, write_chunk(ChunkType.ABORT, value)), link.now)

    assert link.a.events[-1] == ("ended", cause, True)


@pytest.mark.parametrize(
    "chunk",
    [write_chunk(ChunkType.SHUTDOWN, bytes(3)), write_chunk(ChunkType.SHUTDOWN_ACK)],
    ids=["cut off", "ack"],
)
def test_a_shutdown_that_cannot_be(link, chunk):
    link.a.association.receive(forge(link.a, chunk), link.now)

    assert link.a.association.is_established
    assert link.a.association.ignored == 1


def test_a_shutdown_waits_for_what_is_on_its_way(link):
    link.write(b"x" * 20_000)
    link.flush()
    shutdown = write_chunk(ChunkType.SHUTDOWN, (99).to_bytes(4))
    link.a.association.receive(forge(link.a, shutdown), link.now)
    assert ChunkType.SHUTDOWN_ACK not in [kind for kind, _ in answers(link.a)]

    link.run(lambda: link.a.association.state is State.SHUTDOWN_ACK_SENT)
    assert link.b.messages == [(1, 53, b"x" * 20_000)]
    link.a.association.receive(forge(link.a, write_chunk(ChunkType.SHUTDOWN_COMPLETE)), link.now)

    assert link.a.events[-1] == ("ended", None, True)


def test_data_that_comes_after_a_shutdown_is_delivered_and_establishes_nothing(link):
    link.write(b"x")
    link.a.association.receive(forge(link.a, write_chunk(ChunkType.SHUTDOWN, (99).to_bytes(4))), link.now)
    link.flush()
    link.a.association.receive(forge(link.a, data(100)), link.now)

    assert link.a.messages == [(1, 53, b"x")]
    assert link.a.association.state is State.SHUTDOWN_RECEIVED
    assert link.a.events == ["established"]


def test_a_shutdown_that_is_never_completed_ends_too(link):
    link.a.association.receive(forge(link.a, write_chunk(ChunkType.SHUTDOWN, (99).to_bytes(4))), link.now)
    link.deliver = lambda number, packet: False
    link.flush()

    link.run(lambda: link.a.events[-1] == ("ended", None, False), 10)

    repeated = [
        packet for number, _, packet in link.sent if number == 0 and ChunkType.SHUTDOWN_ACK in kinds(packet)
    ]
    assert len(repeated) == 6


# --- acknowledgements -----------------------------------------------------------------------------


def test_a_sack_of_many_holes_is_small_and_cheap(link):
    """8,250 holes cost 13.6 ms for each small packet once; now what is kept and said is bounded."""
    end = link.b
    for tsn in range(102, 102 + 2 * 8250, 2):
        end.association.receive(forge(end, data(tsn, 7)), link.now)
        packets = end.association.packets(link.now)
        assert all(len(packet) < 200 for packet in packets)
    _kind, _flags, value = next(iter(chunks_untrusted(packets[-1][12:])))

    assert read_sack_untrusted(value).gaps == [(n, n) for n in range(3, 43, 2)]
    assert len(end.messages) == 1024
    assert end.association.ignored == 0
    # and what fills a hole is taken all the same
    end.association.receive(forge(end, data(100, 7)), link.now)
    end.association.receive(forge(end, data(101, 7)), link.now)
    assert len(end.messages) == 1026


def test_a_chunk_lost_at_the_wrap_of_the_tsn():
    link = Link(first_tsn=2**32 - 2).connect()
    lost = []

    def deliver(number, packet):
        if (
            number == 0
            and not lost
            and kinds(packet) == [ChunkType.DATA]
            and packet[16:20] == b"\xff\xff\xff\xff"
        ):
            lost.append(packet)
            return False
        return True

    link.deliver = deliver
    for n in range(20):
        link.write(b"%02d" % n * 600)
    link.run(lambda: len(link.b.messages) == 20, 1)

    assert lost
    assert [message[2][:2] for message in link.b.messages] == [b"%02d" % n for n in range(20)]
    link.settle()
    assert link.a.association.numbers().unacknowledged == 0


def test_every_second_packet_is_acknowledged_and_the_last_one_after_a_while(link):
    end = link.b
    for n in range(2):
        end.association.receive(forge(end, data(100 + n, sequence=n)), link.now)
        chunks = answers(end)
        assert [kind for kind, _ in chunks] == n * [ChunkType.SACK]
    end.association.receive(forge(end, data(102, sequence=2)), link.now)
    assert not answers(end)
    assert end.association.deadline == pytest.approx(link.now, abs=0.51)

    end.association.expire(end.association.deadline)

    assert [kind for kind, _ in answers(end)] == [ChunkType.SACK]


@pytest.mark.parametrize(("count", "sacks"), [(1, 0), (2, 1), (3, 1), (12, 4), (64, 7)])
def test_a_batch_is_acknowledged_a_few_times(link, count, sacks):
    end = link.b
    for n in range(count):
        end.association.receive(forge(end, data(100 + n, sequence=n)), link.now)

    assert [kind for kind, _ in answers(end)] == sacks * [ChunkType.SACK]


@pytest.mark.parametrize("chunk", [data(100, 3 | 8), data(101)], ids=["asked for", "behind a gap"])
def test_what_is_acknowledged_at_once(link, chunk):
    link.b.association.receive(forge(link.b, chunk), link.now)

    assert [kind for kind, _ in answers(link.b)] == [ChunkType.SACK]


def test_duplicates_are_named(link):
    for _ in range(3):
        link.b.association.receive(forge(link.b, data(100)), link.now)
    [*_, (_kind, value)] = answers(link.b)

    assert value[10:12] == (1).to_bytes(2)
    assert value[12:] == (100).to_bytes(4)
    assert len(link.b.messages) == 1


def test_an_answer_carries_the_acknowledgement(link):
    link.b.on_message_hook = lambda *message: link.b.association.write(*message)
    link.write(b"ping")
    link.run(lambda: link.a.messages)

    mine = [kinds(packet) for number, _, packet in link.sent if number == 1]
    assert mine[-1] == [ChunkType.SACK, ChunkType.DATA]


def test_a_full_packet_and_an_acknowledgement_are_two_packets(link):
    link.b.on_message_hook = lambda *_: link.b.association.write(1, 53, bytes(1160))
    link.write(b"ping")
    link.run(lambda: link.a.messages)

    mine = [kinds(packet) for number, _, packet in link.sent if number == 1]
    assert mine[-2:] == [[ChunkType.SACK], [ChunkType.DATA]]


@pytest.mark.parametrize(
    "sack",
    [
        b"",
        bytes(11),
        (500).to_bytes(4) + bytes(8),
        (103).to_bytes(4) + bytes(8),
        (99).to_bytes(4) + bytes(4) + (1).to_bytes(2) + bytes(2) + b"\0\4\0\4",
        (99).to_bytes(4) + bytes(4) + (1).to_bytes(2) + bytes(2) + b"\0\5\0\5",
        (99).to_bytes(4) + bytes(4) + (2).to_bytes(2) + bytes(2) + b"\0\2\0\2",
        (99).to_bytes(4) + bytes(4) + (2).to_bytes(2) + bytes(2) + b"\0\3\0\3\0\2\0\2",
        (99).to_bytes(4) + bytes(4) + (1).to_bytes(2) + bytes(2) + b"\0\0\0\2",
        (99).to_bytes(4) + bytes(4) + (200).to_bytes(2) + bytes(2) + b"\0\1\xff\xff" * 200,
    ],
)
def test_acknowledgements_of_what_was_never_sent(link, sack):
    for n in range(3):
        link.write(b"%d" % n)
    link.a.association.packets(link.now)

    link.a.association.receive(forge(link.a, write_chunk(ChunkType.SACK, sack)), link.now)

    assert link.a.association.ignored == 1
    assert link.a.association.numbers().unacknowledged == 3


# --- bounds ---------------------------------------------------------------------------------------


def test_an_endless_message_does_not_fill_the_memory(link):
    end = link.b
    for n in range(3000):
        end.association.receive(forge(end, data(100 + n, 0 if n else 2, body=bytes(1100))), link.now)
        end.association.packets(link.now)

    assert end.association.numbers().receiver_window == 0
    assert RECEIVE_WINDOW < end.association._incoming._reassembly.held <= NEXT_MAX
    assert end.association.ignored > 1000


def test_what_waits_for_something_missing_does_not_fill_the_memory(link):
    """And what is missing is taken though the window is full: it alone makes room."""
    end = link.b
    for n in range(1, 3000):
        end.association.receive(forge(end, data(100 + n, sequence=n, body=bytes(1000))), link.now)
    assert end.association._incoming._reassembly.held <= BEHIND_HOLE_MAX

    end.association.receive(forge(end, data(100, body=b"first")), link.now)

    assert end.messages[0] == (1, 53, b"first")
    assert len(end.messages) > 1000
    assert end.association._incoming._reassembly.held == 0


@pytest.mark.parametrize("kind", [ChunkType.HEARTBEAT, 0x7F, 0xFF])
def test_answers_to_a_packet_of_questions_are_bounded(link, kind):
    packet = forge(link.a, *[write_chunk(kind, b"?" * 4) for _ in range(140)])
    for _ in range(20):
        link.a.association.receive(packet, link.now)
    packets = link.a.association.packets(link.now)

    assert all(len(packet) <= PACKET_MAX for packet in packets)
    assert sum(map(len, packets)) <= 2 * PACKET_MAX


def test_many_answers_fill_few_packets(link):
    for n in range(6):
        questions = [write_chunk(ChunkType.HEARTBEAT, bytes((n, m)) * 50) for m in range(10)]
        link.a.association.receive(forge(link.a, *questions), link.now)
    packets = link.a.association.packets(link.now)

    said = [value for packet in packets for _kind, _flags, value in chunks_untrusted(packet[12:])]
    assert said == [bytes((n, m)) * 50 for n in range(6) for m in range(10)]
    # eleven chunks of 104 bytes fit into one
    assert [len(kinds(packet)) for packet in packets] == [11, 11, 11, 11, 11, 5]
    assert all(len(packet) <= PACKET_MAX for packet in packets)


@pytest.mark.parametrize("length", [0, 3, 9])
def test_a_packet_is_read_up_to_a_chunk_whose_length_cannot_be(link, length):
    """RFC 9260 section 6.10: what stands before it counts."""
    broken = b"\x04\0" + length.to_bytes(2) + bytes(4)
    link.b.association.receive(
        forge(link.b, write_chunk(ChunkType.HEARTBEAT, b"one"), data(100), broken), link.now
    )

    assert [kind for kind, _ in answers(link.b)] == [ChunkType.HEARTBEAT_ACK]
    assert link.b.messages == [(1, 53, b"x")]
    assert link.b.association.ignored == 1


def test_answers_that_just_fit_share_a_packet(link):
    half = BODY_MAX // 2
    for n in range(2):
        question = write_chunk(ChunkType.HEARTBEAT, bytes((n,)) * (half - 4))
        link.a.association.receive(forge(link.a, question), link.now)

    assert [len(packet) for packet in link.a.association.packets(link.now)] == [PACKET_MAX]


def test_an_end_that_is_heard_after_a_long_silence_gets_what_it_missed(link):
    link.deliver = lambda number, packet: False
    link.write(b"missed")
    link.flush()
    link.settle(20)
    link.now = link.a.association.deadline
    link.a.association.expire(link.now)
    link.flush()
    link.deliver = lambda number, packet: True
    link.now += 0.6
    assert link.now < link.a.association.deadline - 0.3
    link.a.association.receive(forge(link.a, write_chunk(ChunkType.HEARTBEAT_ACK)), link.now)

    link.run(lambda: link.b.messages, 1.5 * link.delay)


def test_a_heartbeat_is_answered_with_what_it_says(link):
    link.a.association.receive(
        forge(link.a, write_chunk(ChunkType.HEARTBEAT, b"\0\1\0\x0cabcdefgh")), link.now
    )

    assert answers(link.a) == [(ChunkType.HEARTBEAT_ACK, b"\0\1\0\x0cabcdefgh")]


@pytest.mark.parametrize(
    ("kind", "goes_on", "reports"), [(0x3F, 0, 0), (0x7F, 0, 1), (0xBF, 1, 0), (0xFF, 1, 1)]
)
def test_unknown_chunks(link, kind, goes_on, reports):
    """RFC 9260 section 3.2."""
    packet = forge(link.a, write_chunk(kind, b"what"), write_chunk(ChunkType.HEARTBEAT, b"here"))
    link.a.association.receive(packet, link.now)

    assert [kind for kind, _ in answers(link.a)] == reports * [ChunkType.ERROR] + goes_on * [
        ChunkType.HEARTBEAT_ACK
    ]


def test_of_an_unknown_chunk_only_the_beginning_is_told_back(link):
    link.a.association.receive(forge(link.a, write_chunk(0xC3, bytes(1000), 5)), link.now)

    [(kind, value)] = answers(link.a)
    assert kind == ChunkType.ERROR
    assert value == b"\0\6\0\x48" + write_chunk(0xC3, bytes(64), 5)


def test_stream_65535_is_no_stream(link):
    link.b.association.receive(forge(link.b, data(100), data(101, stream=65535, body=b"12345")), link.now)
    link.b.association.receive(forge(link.b, data(102, sequence=1)), link.now)

    chunks = dict(answers(link.b))
    assert link.b.messages == [(1, 53, b"x"), (1, 53, b"x")]
    assert chunks[ChunkType.ERROR] == b"\0\1\0\x08\xff\xff\0\0"
    assert read_sack_untrusted(chunks[ChunkType.SACK]).cumulative == 102


@pytest.mark.parametrize("change", ["tag", "port", "checksum", "cut"])
def test_packets_of_others(link, change):
    packet = bytearray(forge(link.a, data(100)))
    if change == "cut":
        del packet[10:]
    else:
        packet[{"tag": 5, "port": 1, "checksum": 9}[change]] ^= 1
    link.a.association.receive(bytes(packet), link.now)

    assert not link.a.messages
    assert link.a.association.ignored == 1


def test_skipping_further_than_anything_can_have_been_sent(link):
    link.a.association.receive(
        forge(link.a, write_chunk(ChunkType.FORWARD_TSN, (2**31).to_bytes(4))), link.now
    )
    link.write(b"hello", source=1)
    link.run(lambda: link.a.messages, 1)

    assert link.a.association.ignored == 1


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_is_reset_after_what_was_written(link):
    for end in link.ends:
        end.association.open_stream(1)
    link.write(bytes(100_000))
    link.a.association.reset_stream(1)
    link.run(lambda: link.a.events[-1] == link.b.events[-1] == ("closed", 1))

    assert [len(message[2]) for message in link.b.messages] == [100_000]
    assert link.b.events == ["established", ("closing", 1), ("closed", 1)]
    # and its numbers begin again
    for end in link.ends:
        end.association.open_stream(1)
    link.write(b"again")
    link.run(lambda: len(link.b.messages) == 2, 1)


@pytest.mark.parametrize("reorder", [0.05, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_a_path_that_changes_the_order_of_packets_is_not_taken_for_one_that_loses_them(seed, reorder):
    """RFC 8985 section 6.2, RFC 3708: what is late is not sent again for long, nor does it keep the window small."""
    link = Link(seed, delay=0.025, reorder=reorder).connect()
    begin = link.now
    for _ in range(16):
        link.write(bytes(65536))
    link.run(lambda: len(link.b.messages) == 16)

    data = sum(number == 0 and packet[12] == ChunkType.DATA for number, _now, packet in link.sent)
    assert data < 1.05 * 16 * 65536 / 1160
    # 5 to 10 s with a window that each late packet halves, 0.7 s on a path that keeps the order
    assert link.now - begin < 1.5


def test_the_smallest_answer_carries_the_acknowledgement(link):
    """RFC 9260 section 6.2: a SACK goes with data that go the other way."""
    link.write(b"x")
    link.run(lambda: len(link.b.messages) == 1)
    link.sent.clear()
    link.write(b"y", source=1)
    link.flush()
    [packet] = [packet for number, _now, packet in link.sent if number == 1]
    assert [kind for kind, _flags, _value in chunks_untrusted(packet[12:])] == [
        ChunkType.SACK,
        ChunkType.DATA,
    ]


def test_a_packet_that_may_be_late_is_lost_at_last_though_nothing_more_comes():
    link = Link().connect()
    held: list[bytes] = []

    def deliver(number, packet):
        hold = number == 0 and packet[12] == ChunkType.DATA and not held
        if hold:
            held.append(packet)
        return not hold

    link.deliver = deliver
    link.write(bytes(8000))
    link.settle(0.045)
    # it comes after all, 25 ms late
    link.b.association.receive(held[0], link.now)
    link.settle(1)
    assert len(link.b.messages) == 1

    held.clear()
    begin = link.now
    link.write(bytes(8000))
    link.run(lambda: len(link.b.messages) == 2)
    # a round trip of 40 ms, as much as it may be late, and the way; the retransmission timer takes 0.4 s
    assert 0.08 < link.now - begin < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_resets_on_a_bad_path(seed):
    link = Link(seed, loss=0.2, duplicate=0.1, reorder=0.2)
    link.connect()
    for stream in range(300):
        for end in link.ends:
            end.association.open_stream(stream)
        link.write(b"%d" % stream, stream)
        link.ends[stream % 2].association.reset_stream(stream)
    link.run(lambda: all(len([e for e in end.events if e[0] == "closed"]) == 300 for end in link.ends))

    assert sorted(message[0] for message in link.b.messages) == list(range(300))


def test_streams_that_nobody_uses_leave_nothing_behind(link):
    end = link.a
    resets = end.association._resets
    for number in range(500):
        body = (100 + number).to_bytes(4) + bytes(4) + (99).to_bytes(4)
        body += b"".join((number * 100 + n).to_bytes(2) for n in range(100))
        parameter = write_parameter(Parameter.OUTGOING_RESET, body)
        end.association.receive(forge(end, write_chunk(ChunkType.RE_CONFIG, parameter)), link.now)
        end.association.packets(link.now)

    assert not any((resets._open, resets._inbound_done, resets._outbound_done, resets._wanted))
    assert end.events == ["established"]


def respond(end: End, kind: int, body: bytes) -> list[int]:
    """Results that an end gives to a request."""
    end.association.receive(forge(end, write_chunk(ChunkType.RE_CONFIG, write_parameter(kind, body))), 1000)
    return [
        int.from_bytes(content[4:8])
        for chunk, value in answers(end)
        if chunk == ChunkType.RE_CONFIG
        for number, content in parameters_untrusted(value)
        if number == Parameter.RESET_RESPONSE
    ]


def test_requests_are_answered(link):
    end = link.a
    number = lambda n: n.to_bytes(4)  # noqa: E731
    # performed, and said again when asked again
    outgoing = number(100) + number(0) + number(99) + b"\0\1"
    assert respond(end, Parameter.OUTGOING_RESET, outgoing) == [1]
    assert respond(end, Parameter.OUTGOING_RESET, outgoing) == [1]
    # not the next one
    assert respond(end, Parameter.OUTGOING_RESET, number(105) + number(0) + number(99)) == [5]
    # data is missing: in progress, then performed when it has come
    waiting = number(101) + number(0) + number(100) + b"\0\1"
    assert respond(end, Parameter.OUTGOING_RESET, waiting) == [6]
    assert respond(end, Parameter.OUTGOING_RESET, waiting) == [6]
    end.association.receive(forge(end, data(100)), 1000)
    assert ChunkType.RE_CONFIG in [kind for kind, _ in answers(end)]
    assert respond(end, Parameter.OUTGOING_RESET, waiting) == [1]
    # what browsers do not use
    assert respond(end, Parameter.TSN_RESET, number(102)) == [2]
    assert respond(end, Parameter.INCOMING_RESET, number(103) + b"\0\1") == [2]
    # there are all streams already
    assert respond(end, Parameter.ADD_OUTGOING, number(104) + b"\0\1\0\0") == [2]
    # cut off
    assert respond(end, Parameter.OUTGOING_RESET, b"\0") == []


def test_a_reset_that_waits_for_data_is_performed_when_that_is_given_up(link):
    """RFC 6525 section 5.2.2, RFC 3758 section 3.6."""
    end = link.a
    body = (100).to_bytes(4) + bytes(4) + (101).to_bytes(4) + b"\0\1"
    assert respond(end, Parameter.OUTGOING_RESET, body) == [6]

    end.association.receive(forge(end, write_chunk(ChunkType.FORWARD_TSN, (101).to_bytes(4))), 1000)

    assert ChunkType.RE_CONFIG in [kind for kind, _ in answers(end)]
    assert respond(end, Parameter.OUTGOING_RESET, body) == [1]


def test_a_refused_reset_closes_at_once(link):
    end = link.a
    end.association.open_stream(3)
    end.association.reset_stream(3)
    [(kind, value)] = answers(end)
    [(_, content)] = parameters_untrusted(value)
    assert kind == ChunkType.RE_CONFIG
    assert content == (100).to_bytes(4) + (99).to_bytes(4) + (99).to_bytes(4) + b"\0\3"

    respond(end, Parameter.RESET_RESPONSE, content[:4] + (2).to_bytes(4))

    assert end.events[-1] == ("closed", 3)
    assert end.association.deadline is None


def test_a_reset_in_progress_is_asked_for_again(link):
    end = link.a
    end.association.reset_stream(3)
    [(_, value)] = answers(end)
    respond(end, Parameter.RESET_RESPONSE, value[4:8] + (6).to_bytes(4))
    due = end.association.deadline
    assert due > 1000

    end.association.expire(due)

    assert answers(end, due) == [(ChunkType.RE_CONFIG, value)]


def test_a_path_that_is_back_wakes_everything(link):
    link.a.association.open_stream(2)
    link.b.association.open_stream(2)
    link.deliver = lambda number, packet: False
    link.write(b"hello")
    link.a.association.reset_stream(2)
    link.flush()
    link.settle(30)
    link.deliver = lambda number, packet: True
    link.now += 0.001

    link.a.association.wake(link.now)
    link.run(lambda: link.b.messages and ("closing", 2) in link.b.events, 2 * link.delay)


def test_a_path_that_is_back_begins_the_waits_of_the_setup_anew():
    end = End(0, Random(0))
    end.association.connect(1000)
    assert end.association.deadline == 1000 + RTO_INITIAL
    for _ in range(3):
        end.association.expire(end.association.deadline)
    end.association.packets(1010)

    end.association.wake(1010)

    assert [kinds(packet) for packet in end.association.packets(1010)] == [[ChunkType.INIT]]
    assert end.association.deadline == 1010 + RTO_INITIAL


def test_a_message_that_was_given_up_is_skipped(link):
    """RFC 3758: the other end is told so, and what follows is delivered."""
    link.deliver = lambda number, packet: False
    link.write(b"lost", max_retransmits=0)
    link.flush()
    link.deliver = lambda number, packet: True
    link.write(b"after")
    link.run(lambda: link.b.messages, 5)

    assert link.b.messages == [(1, 53, b"after")]
    link.settle()
    assert not link.a.association.is_waiting
    assert (link.a.association.ignored, link.b.association.ignored) == (0, 0)


def test_whether_an_association_waits_and_whether_it_starves():
    link = Link()
    one = link.a.association
    assert (one.is_waiting, one.is_starved) == (False, False)
    one.connect(link.now)
    assert (one.is_waiting, one.is_starved) == (True, False)
    link.connect()
    assert (one.is_waiting, one.is_starved) == (False, True)
    link.write(b"x")
    link.flush()
    assert (one.is_waiting, one.is_starved) == (True, False)
    link.settle()
    assert (one.is_waiting, one.is_starved) == (False, True)
    one.open_stream(1)
    one.reset_stream(1)
    assert one.is_waiting is False  # it is not on its way yet
    link.flush()
    assert (one.is_waiting, one.is_starved) == (True, True)


def test_the_earliest_timer_counts(link):
    """An acknowledgement that is due before a retransmission, and the other way round."""
    link.deliver = lambda number, packet: False
    link.write(b"x")
    link.flush()
    retransmission = link.a.association.deadline
    link.a.association.receive(forge(link.a, data(100)), link.now)
    link.flush()
    assert link.a.association.deadline == link.now + SACK_DELAY < retransmission
    link.a.association.expire(link.now + SACK_DELAY)
    link.a.association.packets(link.now + SACK_DELAY)
    assert link.a.association.deadline == retransmission


def test_unacknowledged_messages_are_counted(link):
    link.deliver = lambda number, packet: False
    link.write(b"open", stream=1)
    association = link.a.association
    for _ in range(3):
        link.write(bytes(3000))
    link.write(b"other", stream=2)
    link.flush()

    assert [association.unacknowledged(stream, 50) for stream in (1, 2, 3)] == [4, 1, 0]
    assert association.unacknowledged(1, 53) == 0
    association.abort()
    assert association.unacknowledged(1, 50) == 4


def test_a_reset_that_is_not_answered_is_asked_for_less_and_less_often(link):
    end = link.a
    end.association.reset_stream(3)
    link.now = 1000.0
    answers(end)
    waits, now = [], 1000.0
    for _ in range(5):
        due = end.association.deadline
        waits.append(round(due - now, 3))
        now = due
        end.association.expire(now)
        assert [kind for kind, _ in answers(end, now)] == [ChunkType.RE_CONFIG]

    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_a_flood_of_inits_is_answered_within_bounds():
    end = End(0, Random(0))
    end.association.connect(1000)
    init = PacketHeader(5000, 5000, 0).seal(write_init(Init(5, 1000, 1, 1, 1), ChunkType.INIT))
    for _ in range(500):
        end.association.receive(init, 1000)

    assert len(end.association.packets(1000)) <= 64
