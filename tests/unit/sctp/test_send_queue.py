"""The sending half of SCTP by itself: a clock made of numbers, packets in a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from struct import unpack_from

import pytest

from rtcpeer.sctp.congestion import BACKOFF_MAX, BURST, CWND_INITIAL, CWND_MIN
from rtcpeer.sctp.outgoing import OutgoingMessage
from rtcpeer.sctp.packets import BODY_MAX, PACKET_MAX, unwrap
from rtcpeer.sctp.reassembly import UNORDERED
from rtcpeer.sctp.send_queue import SendQueue
from tests.work import Steps

FIRST = 1000
DCEP = 50
WINDOW = 1 << 20


def split(body: bytes) -> list[bytes]:
    """The chunks of a packet, as they stand there."""
    chunks, at = [], 0
    while at < len(body):
        length = body[at + 2] << 8 | body[at + 3]
        end = at + length + (-length & 3)
        chunks.append(body[at:end])
        at = end
    return chunks


@dataclass
class Path:
    """A queue, the packets that left it, and an end that takes what arrives."""

    first: int = FIRST
    now: float = 100.0
    packets: list[list[bytes]] = field(default_factory=list)
    received: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.queue = SendQueue(self.first)
        self.queue.open(WINDOW)
        self.cumulative = self.first - 1

    def write(
        self,
        data: bytes = b"message",
        count: int = 1,
        *,
        stream: int = 1,
        protocol: int = 53,
        ordered: bool = True,
        expiry: float | None = None,
        max_retransmits: int | None = None,
    ) -> None:
        order = 0 if ordered else UNORDERED
        for _ in range(count):
            self.queue.write(OutgoingMessage(stream, protocol, data, order, expiry, max_retransmits))

    def send(self) -> None:
        self.packets += [split(body) for body in self.queue.transmit(self.now)]

    def transmit(self) -> list[list[bytes]]:
        del self.packets[:]
        self.send()
        return self.packets

    def pass_time(self, seconds: float) -> list[list[bytes]]:
        """Let time pass, and the timers end when they are due; what was sent."""
        del self.packets[:]
        end, queue = self.now + seconds, self.queue
        while True:
            timeout, loss = queue.deadline, queue.loss_deadline
            due = min((time for time in (timeout, loss) if time is not None), default=end + 1)
            if due > end:
                break
            self.now = due
            if due == loss:
                queue.find_losses(due)
            if due == timeout:
                queue.expire(due)
            self.send()
        self.now = end
        return list(self.packets)

    def wake(self) -> None:
        self.queue.wake(self.now)
        self.send()

    def arrive(self, packet: list[bytes]) -> None:
        for chunk in packet:
            tsn = unwrap(int.from_bytes(chunk[4:8]), self.cumulative)
            if chunk[0] == 192:
                self.cumulative = max(tsn, self.cumulative)
            else:
                self.received[tsn] = chunk[16 : chunk[2] << 8 | chunk[3]]
        while self.cumulative + 1 in self.received:
            self.cumulative += 1

    def acknowledge(self, cumulative: int, gaps=(), window: int = WINDOW, duplicates=()) -> bool:
        return self.queue.acknowledge(cumulative, gaps, window, self.now, duplicates)

    def sack(self, window: int = WINDOW) -> None:
        """What the other end says now; the queue goes on with it."""
        offsets = sorted(tsn - self.cumulative for tsn in self.received if tsn > self.cumulative)
        self.acknowledge(self.cumulative, [(offset, offset) for offset in offsets], window)
        self.send()


@pytest.fixture
def path():
    return Path()


def tsns(packets):
    return [unpack_from("!L", chunk, 4)[0] for packet in packets for chunk in packet]


def test_small_messages_share_a_packet(path):
    path.write(b"x" * 100, 9)

    packets = path.transmit()

    assert [len(packet) for packet in packets] == [9]
    assert tsns(packets) == list(range(FIRST, FIRST + 9))
    assert path.queue.flight == sum(map(len, packets[0]))


def test_no_packet_is_too_large_and_the_window_counts_headers(path):
    for size in (1, 3, 400, 1159, 1160, 1161, 5000, 40_000):
        path.write(bytes(size))
    sent = path.transmit()

    assert all(sum(map(len, packet)) <= BODY_MAX for packet in sent)
    assert path.queue.window.size <= path.queue.flight < path.queue.window.size + PACKET_MAX
    assert path.queue.flight == sum(len(chunk) for packet in sent for chunk in packet)


def test_what_is_idle_starved_or_waiting(path):
    """Nothing, what waits, what is on its way, what was lost, what came behind a gap, what was given up."""
    queue = path.queue

    def look() -> tuple[bool, bool, bool, int]:
        return queue.is_idle, queue.is_starved, queue.is_waiting, queue.outstanding

    assert look() == (True, True, False, 0)
    path.write(b"x" * 1000, 2)
    assert look() == (False, False, False, 0)
    path.transmit()
    assert look() == (False, False, True, 2)
    queue.expire(path.now)
    assert look() == (False, False, True, 2)
    path.transmit()
    path.acknowledge(FIRST - 1, [(2, 2)])
    assert look() == (False, False, True, 1)
    path.acknowledge(FIRST + 1)
    assert look() == (True, True, False, 0)
    path.write(max_retransmits=0)
    path.write(b"x" * 1160)
    path.transmit()
    path.acknowledge(FIRST + 1, [(2, 2)])
    queue.expire(path.now)
    path.transmit()
    # the one is given up, but the other end may still throw away what it has of the other
    assert look() == (False, True, True, 0)
    path.acknowledge(FIRST + 3)
    assert look() == (True, True, False, 0)
    path.write(max_retransmits=0)
    path.transmit()
    queue.expire(path.now)
    assert look() == (False, True, True, 0)
    path.transmit()
    assert look() == (True, True, True, 0)
    path.acknowledge(FIRST + 4)
    assert look() == (True, True, False, 0)


@pytest.mark.parametrize("gaps", [[], [(1, 1)], [(2, 3)]], ids=["cumulative", "gap at the end", "gap beyond"])
def test_what_was_never_sent_cannot_be_acknowledged(path, gaps):
    path.write(b"x" * 1000, 3)
    path.transmit()
    cumulative = {0: FIRST + 3, 1: FIRST + 2, 2: FIRST}[len(gaps) and gaps[0][0]]

    assert path.acknowledge(cumulative, gaps) is False
    assert path.queue.outstanding == 3
    assert path.acknowledge(FIRST - 1, [(1, 1), (3, 4)]) is False
    assert path.acknowledge(FIRST, [(1, 2)]) is True
    assert path.acknowledge(FIRST - 1) is False  # older than what is known


def test_an_acknowledgement_without_news_does_not_end_the_back_off(path):
    path.write(b"x" * 1000, 3)
    path.transmit()
    path.pass_time(2)
    backoff = path.queue.round_trip.backoff
    assert backoff > 1

    path.acknowledge(FIRST - 1)

    assert path.queue.round_trip.backoff == backoff
    assert len(path.transmit()) == 1


def test_up_to_the_window_and_no_further(path):
    limit = path.queue.window.size
    path.write(b"x" * 984, limit // 1000)
    path.write(b"x" * (limit % 1000 - 16))
    path.write(b"beyond")
    path.transmit()

    assert path.queue.flight == limit
    assert path.queue.queued == len(b"beyond")


@pytest.mark.parametrize(("window", "sent"), [(2048, 2), (2047, 1)])
def test_what_just_fits_into_the_receivers_window_is_sent(path, window, sent):
    path.queue.open(window)
    path.write(b"x" * 1008, 3)

    assert tsns(path.transmit()) == list(range(FIRST, FIRST + sent))


def test_a_packet_that_skips_many_streams_is_not_overfull(path):
    for stream in range(100):
        path.write(stream=stream, max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    path.write(b"x" * 900)
    ahead = b"\3\0\0\x10" + bytes(12)

    [packet] = path.queue.transmit(path.now, ahead)

    assert len(packet) <= BODY_MAX
    sack, skip = split(packet)
    assert sack == ahead
    assert (skip[0], skip[2] << 8 | skip[3]) == (192, 8 + 4 * 100)


def test_what_was_skipped_is_said_again_when_that_was_lost(path):
    """An acknowledgement that does not know of it; no stream is named, as the message was unordered."""
    path.write(max_retransmits=0, ordered=False)
    path.transmit()
    path.queue.expire(path.now)
    [[skip]] = path.transmit()
    assert skip == b"\xc0\0\0\x08" + FIRST.to_bytes(4)

    path.acknowledge(FIRST - 1)

    assert path.queue.is_waiting
    assert path.transmit() == [[skip]]
    path.acknowledge(FIRST)
    assert not path.queue.is_waiting


def test_fragments_are_marked(path):
    path.write(bytes(3000))

    flags = [chunk[1] for packet in path.transmit() for chunk in packet]

    assert flags == [2, 0, 1]


def test_acknowledged_data_makes_room(path):
    path.write(bytes(100_000))
    path.transmit()
    rounds = 0
    while path.queue.outstanding:
        path.now += 0.02
        flying, path.packets[:] = list(path.packets), []
        for packet in flying:
            path.arrive(packet)
            path.sack()
        rounds += 1
        assert rounds < 20

    assert b"".join(path.received[tsn] for tsn in sorted(path.received)) == bytes(100_000)
    assert path.queue.flight == 0
    assert path.queue.deadline is None
    assert path.queue.round_trip.smoothed == pytest.approx(0.02)
    assert path.queue.window.size > 4 * PACKET_MAX


def test_numbers_wrap():
    path = Path(first=2**32 - 3)
    path.write(b"x", 6)

    for packet in path.transmit():
        path.arrive(packet)
    path.sack()

    assert path.queue.outstanding == 0
    assert path.queue.tsn % 2**32 == 3


def test_a_dead_path_costs_a_packet_now_and_then(path):
    """8 s of 100 small messages a second, nothing is heard."""
    sent = []
    for _ in range(800):
        path.write(b"x" * 100)
        sent += path.transmit()
        sent += path.pass_time(0.01)

    before_the_timer = [packet for packet in sent if len(packet) == 1]
    probes = [packet for packet in sent if len(packet) > 1]
    assert len(before_the_timer) <= 50
    assert 6 <= len(probes) <= 9
    assert all(tsns([packet])[0] == FIRST for packet in probes)


def test_the_wait_doubles_to_a_bound(path):
    path.write()
    path.transmit()
    waits = []
    for _ in range(8):
        before = path.now
        path.pass_time(path.queue.deadline - path.now)
        waits.append(path.now - before)

    assert waits == pytest.approx([0.5] + 7 * [BACKOFF_MAX])


def test_a_path_that_is_back_is_used_at_once(path):
    path.write(b"x" * 500, 40)
    path.transmit()
    path.pass_time(20)
    del path.packets[:]

    path.wake()

    assert path.queue.window.size == CWND_MIN
    assert 4 <= len(path.packets) <= 5
    assert tsns(path.packets)[0] == FIRST
    assert path.queue.round_trip.backoff == 0


def test_hearing_the_other_end_is_as_good(path):
    path.write()
    path.transmit()
    path.pass_time(10)
    path.pass_time(path.queue.deadline - path.now)
    del path.packets[:]

    path.now += 0.1
    path.queue.heard(path.now)
    path.send()
    assert not path.packets
    path.now += 0.9
    path.queue.heard(path.now)
    path.send()
    assert tsns(path.packets) == [FIRST]


def test_an_exchanged_path_does_not_repeat_what_is_under_way(path):
    path.write(bytes(200_000))
    for packet in path.transmit():
        path.arrive(packet)
    for _ in range(3):
        path.now += 0.01
        path.sack()
        for packet in path.packets:
            path.arrive(packet)
    del path.packets[:]
    assert path.queue.flight > BURST

    path.wake()

    assert not path.packets


def test_after_an_outage_all_arrives_soon(path):
    path.write(b"x" * 100)
    path.transmit()
    for _ in range(800):
        path.write(b"x" * 100)
        path.transmit()
        path.pass_time(0.01)
    del path.packets[:]
    path.wake()

    trips = 0
    while path.queue.outstanding or path.queue.queued:
        arriving = list(path.packets)
        del path.packets[:]
        for packet in arriving:
            path.arrive(packet)
            path.sack()
        path.now += 0.03
        trips += 1
        assert trips < 15
    assert len(path.received) == 801


def test_one_lost_packet_is_sent_again_without_waiting(path):
    path.write(b"x" * 1000, 12)
    first, *others = path.transmit()
    path.now += 0.1
    for packet in others:
        path.arrive(packet)
        path.sack()
    path.now += 0.1
    for packet in list(path.packets[4:]):
        path.arrive(packet)
        path.sack()

    assert tsns(path.packets).count(FIRST) == 2
    assert BURST <= path.queue.window.size <= BURST + PACKET_MAX
    path.arrive(first)
    path.sack()
    assert FIRST not in tsns(path.transmit())


def test_a_repetition_that_is_lost_is_found_by_later_repetitions(path):
    """Without waiting for the timer, as by packets that are sent for the first time (RFC 9002 section 6.1.1)."""
    path.write()
    path.transmit()
    path.now += 0.1
    path.acknowledge(FIRST)
    path.write(b"x" * 1000, 10)
    path.transmit()
    path.now += 0.1
    del path.packets[:]
    path.acknowledge(FIRST, [(7, 10)])
    for _ in range(4):
        path.send()
    repeated = tsns(path.packets)
    assert repeated[:4] == [FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4]
    path.now += 0.1
    del path.packets[:]
    path.acknowledge(FIRST, [(2, len(repeated)), (7, 10)])
    path.send()
    assert tsns(path.packets)[0] == FIRST + 1


def test_what_is_taken_back_is_sent_again(path):
    path.write(b"x" * 1000, 4)
    path.transmit()
    path.acknowledge(FIRST - 1, [(2, 4)])
    # the other end has thrown it away
    sent = path.pass_time(0.6)
    assert tsns(sent) == [FIRST]
    path.acknowledge(FIRST)

    sent = path.pass_time(1) + path.pass_time(1)

    assert FIRST + 1 in tsns(sent)


def test_what_is_not_taken_back_is_not_sent_again(path):
    path.write(b"x" * 1000, 6)
    path.transmit()
    path.acknowledge(FIRST - 1, [(2, 2), (4, 4), (6, 6)])
    path.acknowledge(FIRST - 1, [(2, 2), (6, 6)])
    path.queue.expire(path.now)
    path.send()
    path.acknowledge(FIRST, [(1, 1), (5, 5)])

    assert path.queue.outstanding == 3
    path.acknowledge(FIRST + 5)
    assert path.queue.outstanding == 0


def test_what_is_between_two_known_ranges_is_news(path):
    path.write(b"x" * 1000, 6)
    path.transmit()
    path.acknowledge(FIRST - 1, [(2, 2), (5, 5)])
    assert path.queue.outstanding == 4
    path.acknowledge(FIRST - 1, [(2, 6)])
    assert path.queue.outstanding == 1


def test_nothing_is_kept_of_what_was_said_behind_gaps(path):
    for _ in range(50):
        path.write(b"x", 4)
        path.transmit()
        path.acknowledge(path.queue.tsn - 4, [(2, 2)])
        path.acknowledge(path.queue.tsn - 1)
    assert path.queue._reported_starts == path.queue._reported_ends == []


def test_the_timer_begins_anew_when_the_earliest_is_sent_again(path):
    """RFC 9260 section 6.3.2, R1."""
    path.write(b"x" * 1000, 4)
    _first, *others = path.transmit()
    path.now += 0.1
    for packet in others:
        path.arrive(packet)
    path.sack()

    assert path.queue.deadline == path.now + path.queue.round_trip.wait


def test_numbers_of_a_stream_wrap_and_begin_again_with_a_reset(path):
    path.queue._sequences[1] = 0xFFFF
    path.write(b"x", 2)
    [packet] = path.transmit()
    assert [chunk[10:12] for chunk in packet] == [b"\xff\xff", b"\0\0"]
    path.queue.restart_stream(1)
    path.write(b"x", 2)
    [packet] = path.transmit()
    assert [chunk[10:12] for chunk in packet] == [b"\0\0", b"\0\1"]


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_message_is_sent_again_as_often_as_it_may_be(path, limit):
    path.write(max_retransmits=limit)
    sent = list(path.transmit())
    kinds = [packet[0][0] for packet in sent + path.pass_time(6)]

    assert kinds[: limit + 2] == [0] * (limit + 1) + [192]
    assert 0 not in kinds[limit + 1 :]


@pytest.mark.parametrize(("window", "threshold"), [(20_000, 20_000), (100, BURST)])
def test_slow_start_ends_at_the_receivers_window(window, threshold):
    queue = SendQueue(FIRST)
    queue.open(window)
    assert queue.window.threshold == threshold


def test_the_threshold_is_held_while_the_same_is_sent_again(path):
    """RFC 9260 section 7.2.3, RFC 5681 section 3.1."""
    path.write()
    path.transmit()
    path.queue.window.size = 100_000
    path.pass_time(5)

    assert path.queue.round_trip.backoff > 2
    assert path.queue.window.threshold == 50_000


def test_more_should_be_written_while_less_is_queued_than_can_leave(path):
    queue = path.queue
    path.write(bytes(BURST - 1))
    assert queue.is_writable
    queue.window.size = BURST + 2
    path.write(b"x" * 2)
    assert queue.is_writable
    path.write(b"x")
    assert not queue.is_writable
    # what is on its way takes its part of the window
    path.transmit()
    queue.window.size = 4 * BURST
    assert queue.flight > BURST
    path.write(bytes(4 * BURST - queue.flight - queue.queued))
    assert not queue.is_writable
    # and a window that is full keeps nobody from writing a little
    queue.window.size = 0
    path.queue.queued = BURST - 1
    assert queue.is_writable


@pytest.mark.parametrize("news", ["behind a gap", "skipped"])
def test_any_news_ends_the_back_off(path, news):
    path.write(max_retransmits=0 if news == "skipped" else None)
    path.write(b"x" * 1000)
    path.transmit()
    path.pass_time(2)
    assert path.queue.round_trip.backoff > 1

    if news == "skipped":
        assert path.acknowledge(FIRST)
    else:
        assert path.acknowledge(FIRST - 1, [(2, 2)])

    assert path.queue.round_trip.backoff == 0


def test_a_little_that_is_on_its_way_is_sent_again_when_a_path_is_exchanged(path):
    path.write()
    path.transmit()
    del path.packets[:]
    path.wake()
    assert tsns(path.packets) == [FIRST]


@pytest.mark.parametrize(("seconds", "again"), [(0.2, False), (0.3, True)])
def test_much_is_sent_again_after_the_time_that_an_answer_takes(path, seconds, again):
    """The round trip and its variation, and what an acknowledgement may wait for a second packet (section 6.2)."""
    path.write()
    path.transmit()
    path.now += 0.02
    path.acknowledge(FIRST)
    assert path.queue.round_trip.smoothed + 4 * path.queue.round_trip.variation == pytest.approx(0.06)
    path.write(b"x" * 1000, 10)
    path.transmit()
    assert path.queue.flight > BURST
    del path.packets[:]

    path.now += seconds
    path.wake()

    assert (FIRST + 1 in tsns(path.packets)) is again


def test_a_first_timeout_waits_for_its_answer(path):
    path.write()
    path.transmit()
    path.pass_time(0.5)
    assert path.queue.round_trip.backoff == 1
    del path.packets[:]
    path.now += 0.9
    path.queue.heard(path.now)
    path.send()
    assert path.packets == []


def skips(packets):
    """What FORWARD TSN chunks say: TSN, and (stream, sequence) of each that is skipped."""
    return [
        (unpack_from("!L", chunk, 4)[0], [unpack_from("!HH", chunk, at) for at in range(8, len(chunk), 4)])
        for packet in packets
        for chunk in packet
        if chunk[0] == 192
    ]


def test_a_stream_is_skipped_until_that_was_heard(path):
    """RFC 3758 section 3.5 C4: what the other end knows to be skipped is not said again."""
    path.write(stream=1, max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    assert skips(path.transmit()) == [(FIRST, [(1, 0)])]
    path.acknowledge(FIRST)
    path.write(stream=2, max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    assert skips(path.transmit()) == [(FIRST + 1, [(2, 0)])]


def test_a_stream_that_was_reset_is_not_skipped_any_more(path):
    """The acknowledgement is late: the other end has reset the stream, so it knows, and counts from 0 again."""
    path.write(stream=1, max_retransmits=0)
    path.write(stream=2, max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    path.transmit()
    path.queue.restart_stream(1)
    path.queue.expire(path.now)
    assert skips(path.transmit()) == [(FIRST + 1, [(2, 0)])]


def test_more_streams_than_one_chunk_can_name_are_skipped_one_part_after_the_other(path):
    for stream in range(300):
        path.write(b"x", stream=stream, max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    named = []
    for _ in range(2):
        packets = path.transmit()
        assert all(sum(map(len, packet)) <= BODY_MAX for packet in packets)
        [(tsn, streams)] = skips(packets)
        named += [stream for stream, _sequence in streams]
        path.acknowledge(tsn)
    assert named == list(range(300))
    assert not path.queue.is_waiting


def test_a_closed_window_is_probed(path):
    path.queue.open(1200)
    path.write(b"x" * 1000, 5)
    assert tsns(path.transmit()) == [FIRST]
    path.arrive(path.packets[0])
    del path.packets[:]

    path.sack(window=0)
    assert tsns(path.packets) == [FIRST + 1]
    path.sack(window=0)
    assert len(path.packets) == 1
    path.arrive(path.packets[0])
    path.sack()
    assert tsns(path.packets) == [FIRST + n for n in range(1, 5)]


def test_a_message_that_may_be_sent_once_is_given_up(path):
    path.write(bytes(3000), max_retransmits=0)
    path.write(b"kept")
    path.transmit()

    sent = path.pass_time(0.6)

    assert sent[0][0][0] == 192
    assert unpack_from("!LHH", sent[0][0], 4) == (FIRST + 2, 1, 0)
    assert tsns([sent[0][1:]]) == [FIRST + 3]


def test_giving_up_is_said_until_it_is_heard(path):
    path.write(max_retransmits=0, ordered=False)
    path.transmit()
    sent = path.pass_time(6)

    assert len(sent) >= 3
    assert all(packet[0][0] == 192 and len(packet[0]) == 8 for packet in sent)
    path.arrive(sent[0])
    path.sack()
    assert path.queue.deadline is None
    assert not path.pass_time(10)


def test_a_message_whose_time_is_over_before_it_was_sent(path):
    path.write(bytes(20_000), expiry=path.now + 0.2)
    path.write(b"late", expiry=path.now + 0.2)
    path.write(b"whole")
    path.transmit()
    sent = path.pass_time(0.7)

    assert b"late" not in b"".join(chunk for packet in sent for chunk in packet)
    for packet in sent:
        path.arrive(packet)
    path.sack()
    for packet in path.packets:
        path.arrive(packet)
    assert b"whole" in path.received.values()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("limit", [None, 1])
def test_whatever_is_lost_all_that_must_arrive_does(seed, limit):
    random = Random(seed)
    path = Path(first=random.getrandbits(32))
    wanted = set()
    for number in range(200):
        may_be_lost = limit is not None and random.random() < 0.5
        data = b"%06d" % number + bytes(random.choice((0, 50, 1500, 3000)))
        path.write(data, max_retransmits=limit if may_be_lost else None, ordered=random.random() < 0.5)
        if not may_be_lost:
            wanted.add(data[:6])
    path.transmit()
    for _ in range(20_000):
        flying, path.packets[:] = list(path.packets), []
        for packet in flying:
            if random.random() < 0.8:
                path.arrive(packet)
        path.now += 0.02
        if flying and random.random() < 0.8:
            path.sack()
        if path.queue.deadline is not None and path.queue.deadline <= path.now:
            path.queue.expire(path.now)
            path.send()
        if not path.queue.outstanding and not path.queue.queued:
            break

    assert path.queue.flight == 0
    assert path.queue.queued == 0
    assert wanted <= {data[:6] for data in path.received.values()}


def test_messages_that_were_not_acknowledged() -> None:
    path = Path()
    path.write(b"open", protocol=DCEP)
    path.write(bytes(3000))
    path.write(count=3)
    path.write(b"another stream", stream=2)
    assert path.queue.unacknowledged(1, DCEP) == 4  # nothing was sent
    path.transmit()
    assert [path.queue.unacknowledged(number, DCEP) for number in (1, 2, 3)] == [4, 1, 0]
    # the open, and the first of three fragments
    path.acknowledge(FIRST + 1, ())
    assert path.queue.unacknowledged(1, DCEP) == 4
    # the last fragment and the next message, behind a gap: the message is not whole, and all behind it wait for it
    path.acknowledge(FIRST + 1, ((2, 3),))
    assert path.queue.unacknowledged(1, DCEP) == 4
    path.acknowledge(FIRST + 4, ())
    assert path.queue.unacknowledged(1, DCEP) == 2
    path.acknowledge(FIRST + 6, ())
    assert [path.queue.unacknowledged(number, DCEP) for number in (1, 2)] == [0, 1]


def test_the_opening_of_a_channel_does_not_begin_the_count() -> None:
    path = Path()
    path.write(b"open", protocol=DCEP, ordered=False)
    path.write(b"arrived", ordered=False)
    path.write(b"lost", ordered=False)
    path.transmit()
    path.acknowledge(FIRST - 1, [(2, 2)])
    assert path.queue.unacknowledged(1, DCEP) == 1


def test_what_was_given_up_is_not_waited_for() -> None:
    path = Path()
    path.write(max_retransmits=0)
    path.transmit()
    assert path.queue.unacknowledged(1, DCEP) == 1
    path.pass_time(1)
    assert path.queue.unacknowledged(1, DCEP) == 0
    # behind one that is waited for it counts
    path = Path()
    path.write()
    path.write(max_retransmits=0)
    path.transmit()
    path.queue.expire(path.now)
    assert path.queue.unacknowledged(1, DCEP) == 2


def test_a_round_trip_is_not_measured_with_what_was_sent_twice(path):
    """Karn's rule (RFC 9260 section 6.3.1 C5): lost once, answered late."""
    path.write()
    path.transmit()
    path.now += 0.05
    path.arrive(path.packets[0])
    path.sack()
    measured = path.queue.round_trip.smoothed
    path.write()
    path.transmit()
    path.pass_time(0.6)
    path.now += 3
    path.arrive(path.packets[-1] if path.packets else [])
    path.acknowledge(FIRST + 1)

    assert path.queue.round_trip.smoothed == measured == pytest.approx(0.05)


def test_the_receivers_window_is_less_by_what_is_on_its_way(path):
    """RFC 9260 section 6.2.1 D: 10 kB, of which 8 kB are on their way: 2 kB more."""
    path.write(b"x" * 1000, 40)
    assert len(path.transmit()) == 12
    for packet in path.packets[:4]:
        path.arrive(packet)
    del path.packets[:]

    path.sack(window=10_000)

    assert path.queue.flight == 9 * 1016


def test_the_last_packet_is_lost(path):
    """Nothing comes after it: it is sent again within one timeout, which follows the measured round trip."""
    path.write(b"x" * 1000, 5)
    for packet in path.transmit()[:4]:
        path.arrive(packet)
    path.now += 0.03
    path.sack()
    del path.packets[:]

    sent = path.pass_time(path.queue.round_trip.timeout)

    assert path.queue.round_trip.timeout == 0.4
    assert tsns(sent) == [FIRST + 4]


def test_a_repetition_that_is_lost_too_is_found_without_the_timer(path):
    path.write(b"x" * 1000, 60)
    path.transmit()
    copies = 0
    while path.queue.outstanding:
        flying, path.packets[:] = list(path.packets), []
        path.now += 0.02
        assert path.now < 101, "it took the timer"
        for packet in flying:
            if FIRST in tsns([packet]) and copies < 3:
                copies += 1
                continue
            path.arrive(packet)
            path.sack()

    assert copies == 3
    assert path.queue.round_trip.backoff == 0


def test_packets_that_were_overtaken_by_two_are_not_lost(path):
    path.write(b"x" * 1000, 10)
    first, *others = path.transmit()
    del path.packets[:]
    for packet in others[:2]:
        path.arrive(packet)
        path.sack()

    assert FIRST not in tsns(path.packets)
    assert path.queue.window.recovery_end is None
    path.arrive(first)
    path.sack()
    assert path.queue.window.recovery_end is None


def test_a_loss_halves_the_window_once_for_all_that_was_on_its_way(path):
    path.write(b"x" * 1000, 400)
    path.transmit()
    for _ in range(4):
        flying, path.packets[:] = list(path.packets), []
        for packet in flying:
            path.arrive(packet)
        path.now += 0.02
        path.sack()
    size = path.queue.window.size
    assert size > 30 * PACKET_MAX
    flying, path.packets[:] = list(path.packets), []
    for index, packet in enumerate(flying):
        if index % 5:
            path.arrive(packet)
            path.sack()

    assert path.queue.window.size == size // 2
    assert path.queue.window.size > CWND_MIN


def test_a_burst_after_a_pause_is_no_larger_than_the_first_window(path):
    path.write(b"x" * 1000, 400)
    path.transmit()
    while path.queue.outstanding:
        flying, path.packets[:] = list(path.packets), []
        for packet in flying:
            path.arrive(packet)
        path.now += 0.02
        path.sack()
    assert path.queue.window.size > 2 * CWND_INITIAL
    path.now += 60
    path.write(b"x" * 1000, 400)

    path.transmit()

    assert len(path.packets) <= CWND_INITIAL // PACKET_MAX + 2
    assert path.queue.window.size == CWND_INITIAL


def test_a_message_given_up_half_sent_does_not_stop_its_stream(path):
    """All that was sent of it has arrived: a TSN that stands for the rest tells the other end to go on without it."""
    path.queue.open(5000)
    path.write(bytes(20_000), expiry=path.now + 1)
    path.write(b"later")
    count = len(path.transmit())
    for packet in path.packets:
        path.arrive(packet)
    path.now += 2
    del path.packets[:]
    path.sack(window=5000)

    skips = [chunk for packet in path.packets for chunk in packet if chunk[0] == 192]
    placeholder = FIRST + count
    assert [unpack_from("!LHH", chunk, 4) for chunk in skips] == [(placeholder, 1, 0)]
    assert path.queue.queued == 0
    assert [chunk[8:12] for packet in path.packets for chunk in packet if chunk[0] == 0] == [b"\0\1\0\1"]


def test_an_acknowledgement_rides_in_front_where_it_fits(path):
    path.write(b"x" * 100)
    assert [split(body)[0] for body in path.queue.transmit(path.now, b"\3\0\0\4")] == [b"\3\0\0\4"]
    path.write(b"x" * 1160)
    assert [len(body) for body in path.queue.transmit(path.now, b"\3\0\0\4")] == [4, BODY_MAX]
    assert path.queue.transmit(path.now, b"\3\0\0\4") == [b"\3\0\0\4"]
    assert path.queue.transmit(path.now) == []


def test_fragments_have_one_size(path):
    path.write(bytes(8000))

    sizes = [chunk[2] << 8 | chunk[3] for packet in path.transmit() for chunk in packet]

    assert len(sizes) == 7
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0]


def test_three_packets_behind_it_are_enough(path):
    path.write(b"x" * 1000, 4)
    _first, *others = path.transmit()
    del path.packets[:]
    path.now += 0.1
    for packet in others:
        path.arrive(packet)
    path.sack()

    assert tsns(path.packets) == [FIRST]
    path.now += 0.1
    path.acknowledge(FIRST + 2)
    assert path.queue.window.recovery_end is not None
    path.acknowledge(FIRST + 3)
    assert path.queue.window.recovery_end is None


def test_an_end_that_is_heard_after_two_timeouts(path):
    path.write()
    path.transmit()
    path.pass_time(0.5)
    path.pass_time(1.0)
    assert path.queue.round_trip.backoff == 2
    path.now += 0.9
    del path.packets[:]

    path.queue.heard(path.now)
    path.send()

    assert tsns(path.packets) == [FIRST]
    assert path.queue.round_trip.backoff == 0


def test_a_late_first_copy_says_nothing_of_the_second(path):
    """All is sent again, then the first copies are acknowledged but one: its second copy may well be on its way."""
    path.write()
    path.transmit()
    path.now += 0.2
    path.arrive(path.packets[0])
    path.sack()
    path.write(b"x" * 1000, 4)
    path.transmit()
    path.now += 5
    path.wake()
    path.now += 0.01
    del path.packets[:]

    path.acknowledge(FIRST, [(2, 4)])
    path.send()
    assert path.packets == []
    path.now += 0.2
    path.acknowledge(FIRST + 4)
    assert path.queue.outstanding == 0


def test_what_is_lost_is_sent_again_at_once_though_the_window_is_full(path):
    """RFC 9260 section 7.2.4, step 3."""
    path.write(b"x" * 1000, 400)
    path.transmit()
    for _ in range(4):
        flying, path.packets[:] = list(path.packets), []
        for packet in flying:
            path.arrive(packet)
        path.now += 0.02
        path.sack()
    lost, also, *others = path.packets
    del path.packets[:]
    for packet in others[:5]:
        path.arrive(packet)
        path.sack()

    assert path.queue.flight > path.queue.window.size
    # that is one packet; the other one waits for room
    assert tsns(path.packets).count(tsns([lost])[0]) == 1
    assert tsns([also])[0] not in tsns(path.packets)


# -- work -------------------------------------------------------------------------------------------


def outstanding(chunks: int) -> SendQueue:
    """A queue of which so many chunks are on their way: the other end has pretended to get all that came before."""
    path = Path()
    queue = path.queue
    queue.write(OutgoingMessage(1, 53, b"first", 0, None, None))
    queue.transmit(path.now)
    while queue.outstanding < chunks:
        for _ in range(64):
            queue.write(OutgoingMessage(1, 53, b"x", 0, None, None))
        if queue.transmit(path.now):
            continue
        # all arrives behind the first one, so the window opens, and then nothing more
        path.now += 0.01
        assert queue.acknowledge(queue.tsn - 1, (), WINDOW, path.now)
    return queue


@pytest.mark.parametrize("chunks", [500, 2000])
def test_gap_blocks_that_say_the_same_again_in_other_words_cost_what_they_are(chunks):
    queue = outstanding(chunks)
    acked, behind = queue.tsn - queue.outstanding - 1, queue.outstanding
    assert queue.acknowledge(acked, [(2, behind)], WINDOW, 200.0)
    with Steps() as steps:
        for start in range(3, 103):
            assert queue.acknowledge(acked, [(start, behind)], WINDOW, 200.0)
            assert queue.acknowledge(acked, [], WINDOW, 200.0)
    assert steps.count < 200 * 1000


@pytest.mark.parametrize("chunks", [500, 2000])
def test_what_is_taken_back_is_found_by_what_was_held_not_by_all_gap_blocks(chunks):
    queue = outstanding(chunks)
    acked, behind = queue.tsn - queue.outstanding - 1, queue.outstanding
    gaps = [(at, at) for at in range(2, behind, 2)]
    assert queue.acknowledge(acked, gaps, WINDOW, 200.0)
    with Steps() as steps:
        queue.expire(201.0)
    assert steps.count < 250 * chunks
    assert queue.outstanding == behind - len(gaps)


@pytest.mark.parametrize("chunks", [500, 2000])
def test_a_message_that_is_given_up_costs_its_own_chunks(chunks):
    queue = outstanding(chunks)
    queue.acknowledge(queue.tsn - queue.outstanding - 1, (), 0, 200.0)
    for _ in range(200):
        queue.write(OutgoingMessage(2, 53, b"late", 0, 201.0, None))
    before = queue.queued
    assert queue.acknowledge(queue.tsn - queue.outstanding, (), WINDOW, 202.0)
    with Steps() as steps:
        queue.transmit(202.0)
    assert queue.queued == before - 200 * len(b"late")
    assert steps.count < 200 * 500


class OneByOne(SendQueue):
    """A queue that puts packets of one chunk together like all others."""

    def _fill_run(self, packets, limit, bound, now):
        pass


def compare_runs(seed):
    """A random script for a queue and for one without runs; how many packets they sent."""
    chance = Random(seed)
    run, one = Path(), Path()
    one.queue = OneByOne(FIRST)
    one.queue.open(WINDOW)
    count = 0
    for _ in range(60):
        step = chance.randrange(8)
        if step < 2:
            size = chance.choice((1, 500, 1160, 1161, 2320, 2321, 3000, 5000, 16384, 65536, 200_000))
            options = {
                "expiry": run.now + chance.uniform(0, 2) if chance.random() < 0.1 else None,
                "max_retransmits": chance.choice((None, None, None, 0, 1)),
            }
            data = chance.randbytes(size)
            for path in (run, one):
                path.write(data, **options)
        elif step < 7:
            size = chance.choice((0, 16, 176))
            ahead = bytes((3, 0, 0, size)).ljust(size, b"\0") if size else b""
            sent, expected = (path.queue.transmit(path.now, ahead) for path in (run, one))
            assert sent == expected
            count += len(sent)
            for packet in map(split, sent):
                if chance.random() < 0.98:
                    for path in (run, one):
                        path.arrive([chunk for chunk in packet if chunk[0] != 3])
            window = chance.choice((WINDOW, WINDOW, WINDOW, 20_000, 1000, 0))
            gaps = sorted(tsn - run.cumulative for tsn in run.received if tsn > run.cumulative)
            for path in (run, one):
                path.acknowledge(path.cumulative, [(offset, offset) for offset in gaps], window)
        else:
            seconds = chance.uniform(0, 3)
            assert run.pass_time(seconds) == one.pass_time(seconds)
        for name in ("tsn", "flight", "queued", "deadline", "_order", "_rwnd", "_acked", "_was_full"):
            assert getattr(run.queue, name) == getattr(one.queue, name), name
    return count


def test_pieces_of_large_messages_leave_as_all_chunks_do():
    assert sum(map(compare_runs, range(60))) > 10_000


def test_one_packet_leaves_after_a_timeout_though_a_large_message_goes_on(path):
    path.queue.open(3000)
    path.write(bytes(1000), max_retransmits=0)
    path.write(bytes(100_000))
    assert len(path.transmit()) == 2
    path.acknowledge(FIRST - 1, [(2, 2)])
    # the first message is given up, and nothing is on its way any more
    assert [chunk[0] for packet in path.pass_time(path.queue.deadline - path.now) for chunk in packet] == [
        192
    ]

    path.acknowledge(FIRST - 1, [(2, 2)])
    assert len(path.transmit()) == 1


# -- paths that change the order of packets ----------------------------------------------------------

# the round trip of these tests
TRIP = 0.1


def send_and_hear(path, count, gaps):
    """So many packets leave; after a round trip these of them are told to have arrived."""
    first = path.queue.tsn
    path.write(b"x" * 1100, count)
    path.transmit()
    path.now += TRIP
    del path.packets[:]
    path.acknowledge(first - 1, gaps)
    path.send()
    return first


def make_late(path, lateness=0.04):
    """A packet arrives so much later than its followers, and counts as lost meanwhile."""
    first = send_and_hear(path, 8, [(2, 8)])
    assert tsns(path.packets) == [first]
    path.now += lateness
    path.acknowledge(first + 7)
    assert not path.queue.flight


def test_what_was_late_makes_the_next_ones_be_waited_for(path):
    """RFC 8985 section 6.2, steps 4 and 5: later packets alone are no loss on a path that changes their order."""
    make_late(path)
    first = send_and_hear(path, 8, [(2, 8)])

    assert path.packets == []
    assert path.queue.window.recovery_end is None
    # as late as that one was, and a quarter of a round trip
    assert path.pass_time(0.05) == []
    assert tsns(path.pass_time(0.03)) == [first]
    assert path.queue.window.recovery_end == path.queue.tsn - 1
    assert path.queue.loss_deadline is None


def test_a_packet_that_was_overtaken_teaches_though_it_did_not_count_as_lost(path):
    first = send_and_hear(path, 3, [(2, 3)])
    assert path.packets == []
    path.now += 0.01
    path.acknowledge(first + 2)

    send_and_hear(path, 8, [(2, 8)])
    assert path.packets == []
    # 10 ms, and a quarter of the 0.11 s that were measured
    assert path.queue.loss_deadline == pytest.approx(path.now + 0.01 + 0.0275)


def test_what_is_late_within_the_tolerance_is_not_sent_again(path):
    make_late(path)
    first = send_and_hear(path, 8, [(2, 8)])
    path.now += 0.04
    path.acknowledge(first + 7)

    assert path.queue.loss_deadline is path.queue.deadline is None
    assert path.pass_time(5.0) == []


def test_each_missing_packet_is_waited_for_by_itself(path):
    make_late(path)
    first = path.queue.tsn
    for _ in range(2):
        path.write(b"x" * 1100, 4)
        path.send()
        path.now += 0.02
    path.now += TRIP - 0.02
    del path.packets[:]
    path.acknowledge(first - 1, [(2, 4), (6, 8)])
    path.send()
    assert path.packets == []

    assert tsns(path.pass_time(0.046)) == [first]
    assert tsns(path.pass_time(0.02)) == [first + 4]


def test_what_was_sent_again_is_waited_for_beside_what_was_not(path):
    make_late(path)
    first = send_and_hear(path, 8, [(2, 8)])
    again_at = path.queue.loss_deadline
    assert tsns(path.pass_time(0.08)) == [first]
    path.now = again_at + 0.02
    path.write(b"x" * 1100, 4)
    for _ in range(3):  # two packets at a time
        path.send()
    assert path.queue.tsn == first + 12
    path.now += TRIP
    path.acknowledge(first - 1, [(2, 8), (10, 12)])

    # that of the earlier one comes first, then that of the later one
    assert path.queue.loss_deadline == pytest.approx(again_at + TRIP + 0.065)
    path.queue.find_losses(path.queue.loss_deadline)
    assert path.queue.loss_deadline == pytest.approx(again_at + 0.02 + TRIP + 0.065)


def shrunk(path, missing=(1,)):
    """Eight packets are on their way and some of them are taken for lost; what the window was before, and the first."""
    first = path.queue.tsn
    path.write(b"x" * 1100, 8)
    path.transmit()
    before = path.queue.window.size, path.queue.window.threshold
    path.now += TRIP
    gaps = [(n, n) for n in range(1, 9) if n not in missing]
    path.acknowledge(first - 1, gaps)
    path.send()
    assert path.queue.window.size < before[0]
    return before, first


def test_an_answer_that_comes_too_early_takes_the_smaller_window_back(path):
    """RFC 4015: it is that of the first copy."""
    before, first = shrunk(path)
    path.now += 0.4 * TRIP
    path.acknowledge(first + 7)
    assert path.queue.window.recovery_end is None
    assert path.queue.window.size >= before[0]
    assert path.queue.window.threshold == before[1]


def test_an_answer_that_comes_in_time_takes_nothing_back(path):
    before, first = shrunk(path)
    path.now += TRIP
    path.acknowledge(first + 7)
    assert path.queue.window.size < before[0]


def test_a_duplicate_takes_the_smaller_window_back(path):
    """RFC 3708 section 3: both copies have come, so the first was only late."""
    before, first = shrunk(path)
    path.now += 0.8 * TRIP
    path.acknowledge(first + 7)
    assert path.queue.window.size < before[0]
    path.now += 0.2 * TRIP
    path.acknowledge(first + 7, duplicates=[first + 1])
    assert path.queue.window.size < before[0]
    path.acknowledge(first + 7, duplicates=[first])
    assert path.queue.window.size >= before[0]
    assert path.queue.window.threshold == before[1]


def test_a_duplicate_counts_though_its_report_is_late_itself(path):
    """Each is told once (RFC 9260 section 3.3.4), and the path changes the order of reports too."""
    before, first = shrunk(path)
    path.now += 0.8 * TRIP
    path.acknowledge(first + 7)
    path.write(b"x" * 1100)
    path.send()
    path.acknowledge(first + 8)
    path.now += 0.2 * TRIP
    assert not path.acknowledge(first + 7, duplicates=[first])
    assert path.queue.window.size >= before[0]


def test_a_report_of_what_was_never_sent_takes_nothing_back(path):
    before, first = shrunk(path)
    path.now += 0.8 * TRIP
    path.acknowledge(first + 7)
    assert not path.acknowledge(path.queue.tsn, duplicates=[first])
    assert path.queue.window.size < before[0]


def test_the_window_is_not_taken_back_while_one_may_be_lost(path):
    before, first = shrunk(path, missing=(1, 3))
    path.now += 0.4 * TRIP
    path.acknowledge(first + 1, [(2, 6)])
    assert path.queue.window.size < before[0]
    path.now += TRIP
    path.acknowledge(first + 7)
    assert path.queue.window.size < before[0]


def test_what_is_lost_later_in_a_recovery_belongs_to_it(path):
    before, first = shrunk(path, missing=(1, 5, 6, 7, 8))
    path.now += 0.01
    path.acknowledge(first - 1, [(2, 4), (6, 8)])
    path.send()
    path.now += 0.01
    # the fifth was only late, the first one is still missing
    path.acknowledge(first - 1, [(2, 8)])
    assert path.queue.window.size < before[0]
    path.now += 0.02
    path.acknowledge(first + 7)
    assert path.queue.window.size >= before[0]


def test_one_packet_leaves_beyond_the_smaller_window(path):
    """RFC 9260 section 7.2.4, step 3: the first that is sent again, and no more of them."""
    path.write(b"x" * 1100, 10)
    path.transmit()
    path.now += TRIP
    del path.packets[:]
    path.acknowledge(FIRST - 1, [(4, 4)])
    assert path.queue.flight > path.queue.window.size
    path.send()
    assert tsns(path.packets) == [FIRST]
    # what is lost behind it has to wait for room
    del path.packets[:]
    path.acknowledge(FIRST - 1, [(4, 5)])
    assert path.queue.outstanding == 8
    path.send()
    assert tsns(path.packets) == []


def test_what_comes_before_it_could_be_sent_again_takes_the_window_back(path):
    before, first = shrunk(path, missing=(1, 2, 3))
    # the window is full: one of three is on its way again
    assert path.queue.outstanding == 3
    path.now += 0.3 * TRIP
    path.acknowledge(first + 7)
    assert path.queue.window.size >= before[0]


def test_after_a_timeout_the_window_is_not_taken_back(path):
    """Nobody has heard of the path meanwhile."""
    _before, first = shrunk(path)
    path.pass_time(0.5)
    size = path.queue.window.size
    path.acknowledge(first + 7, duplicates=[first])
    assert path.queue.window.size <= size + PACKET_MAX


@pytest.mark.parametrize("end", ["timeout", "stop", "all has come"])
def test_no_timer_for_late_packets_is_left_behind(path, end):
    make_late(path)
    first = send_and_hear(path, 8, [(2, 8)])
    assert path.queue.loss_deadline is not None
    if end == "timeout":
        path.queue.expire(path.now)
    elif end == "stop":
        path.queue.stop()
    else:
        path.acknowledge(first + 7)
    assert path.queue.loss_deadline is path.queue.deadline is None
