"""The sending half of an SCTP association: what is queued, what is on its way, what is sent again, and when.

Implements: RFC 9260 sections 6.1, 6.2.1, 6.3 and 7.2.4; RFC 3758 section 3.5. Pure: `now` is an argument, packets are
returned.

Theory of operation. A message is cut into chunks only when it is sent: only what was sent has a TSN and a number in
its stream, so a message that was given up before costs nobody anything. A chunk is in one of four places:
`_flying` (on its way for the first time), `_repeated` (on its way again), `_again` (lost, to be sent again), `_held`
(arrived behind a gap). All are dictionaries by TSN; the first two stand in the order in which they were sent, so
looking for losses ends at the first chunk that is not lost.

A chunk is lost when a packet that was sent three packets later has arrived. When each packet is acknowledged that
is the rule of three missing reports (RFC 9260 section 7.2.4); it holds for acknowledgements of batches too, and for
chunks that were sent again (RFC 9002 section 6.1.1 does the same). On a path that changes the order of packets it is
lost only when it is later than packets there are (`reordering`), and what turns out to have been late takes the
smaller window back.

When the retransmission timer ends, one packet goes out and then nothing until something is heard or the timer, with
twice the wait, ends again: a path that is dead costs a packet now and then, however much is waiting.
"""

# Longer than 600 lines: a chunk moves between the four places by what is sent, acknowledged, lost and given up alike.

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from struct import Struct
from typing import Final

from rtcpeer.sctp.congestion import BURST, RTO_INITIAL, CongestionWindow, RoundTrip
from rtcpeer.sctp.outgoing import DATA_HEADER_SIZE, Chunk, OutgoingMessage
from rtcpeer.sctp.packets import BODY_MAX, PACKET_MAX
from rtcpeer.sctp.reassembly import FIRST, LAST, UNORDERED
from rtcpeer.sctp.reordering import Reordering

__all__ = ["SendQueue"]

# A packet sent so many packets later has arrived: what is missing is lost (RFC 9260 section 7.2.4)
_REORDERING: Final = 3
# RFC 9260 section 6.2 allows half a second; what is usual
_SACK_DELAY_MAX: Final = 0.2
# Streams that one FORWARD TSN names: it must fit into a packet beside something else
_SKIPPED_STREAMS_MAX: Final = 200

_MASK: Final = 0xFFFFFFFF
_FORWARD_TSN: Final = Struct("!BBHL")
_SKIPPED: Final = Struct("!HH")


class SendQueue:
    """Sends messages as windows allow.

    Args:
        tsn: the first transmission sequence number.

    Attributes:
        tsn: the next number.
        window: the congestion window.
        round_trip: what was measured of the path.
        flight: bytes on their way.
        queued: bytes that were not sent yet.
        deadline: when `expire` is to be called; None while nothing is on its way.
        loss_deadline: when `find_losses` is to be called; None while nothing is later than usual.
    """

    def __init__(self, tsn: int) -> None:
        self.tsn = tsn
        self.window: CongestionWindow = CongestionWindow()
        self.round_trip: RoundTrip = RoundTrip()
        self.flight: int = 0
        self.queued: int = 0
        self.deadline: float | None = None
        self.loss_deadline: float | None = None
        self._reordering = Reordering()
        # the other end's window, less what is on its way; known when the association is there
        self._rwnd = 1 << 17
        self._queue: deque[OutgoingMessage] = deque()
        # the four places of chunks, by TSN
        self._flying: dict[int, Chunk] = {}
        self._repeated: dict[int, Chunk] = {}
        self._again: dict[int, Chunk] = {}
        self._held: dict[int, Chunk] = {}
        # TSNs that were given up and not skipped yet -> their messages
        self._abandoned: dict[int, OutgoingMessage] = {}
        # streams -> number of the next message
        self._sequences: dict[int, int] = {}
        # all up to here has arrived; all up to there has arrived or is given up (RFC 3758 section 3.5)
        self._acked = self._skipped = tsn - 1
        self._skipped_streams: dict[int, tuple[int, int]] = {}
        self._forward_due = False
        # what the last SACK said was behind gaps: TSNs of first and last
        self._gaps: list[tuple[int, int]] = []
        # what any SACK has said so, as ranges in order, never overlapping: no TSN is looked at twice
        self._reported_starts: list[int] = []
        self._reported_ends: list[int] = []
        # number of the next packet, and of the newest one that has arrived
        self._order = 0
        self._newest = -1
        # the round trip of that one, if it was sent once
        self._newest_trip = 0.0
        self._sent_at = 0.0
        # whether the window was used up after the last transmission (RFC 9260 section 7.2.1)
        self._was_full = False
        # one packet may leave beyond the window (RFC 9260 section 7.2.4)
        self._free_packet = False
        # the timer has ended and its packet is out: nothing more before an answer
        self._waits_for_answer = False
        self._probed_at = 0.0

    # -- what the association calls ----------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """Whether less is queued than can leave at once."""
        return self.queued < BURST or self.queued < self.window.size - self.flight

    @property
    def outstanding(self) -> int:
        """Chunks that were sent and have not arrived, as far as is known."""
        return len(self._flying) + len(self._repeated) + len(self._again)

    @property
    def is_starved(self) -> bool:
        """Whether nothing is queued or on its way."""
        return not (self._queue or self._flying or self._repeated or self._again)

    @property
    def is_idle(self) -> bool:
        """Whether everything has arrived or is given up."""
        return not (self._queue or self.outstanding or self._held or self._forward_due)

    def open(self, receiver_window: int) -> None:
        """The association is there; what the other end said about its window."""
        self._rwnd = receiver_window
        # RFC 9260 section 7.2.1 allows any height
        self.window.threshold = max(receiver_window, BURST)

    def write(self, message: OutgoingMessage) -> None:
        """Queue a message; `transmit` sends."""
        self._queue.append(message)
        self.queued += message.size

    def queued_streams(self) -> set[int]:
        """The streams of which part of a message was not sent yet."""
        return {message.stream for message in self._queue}

    def restart_stream(self, stream: int) -> None:
        """The stream was reset: its messages are counted from 0 again (RFC 6525)."""
        self._sequences.pop(stream, None)
        self._skipped_streams.pop(stream, None)

    def unacknowledged(self, stream_id: int, except_protocol: int) -> int:
        """How many messages of a stream may not have arrived: the oldest one not acknowledged, and all behind it.

        Takes time proportional to what is queued and on its way. A message counts as one however many chunks it has;
        what was given up (RFC 3758) does not begin the count, nor do messages of `except_protocol` count.
        """
        missing = [
            tsn
            for place in (self._flying, self._repeated, self._again)
            for tsn, chunk in place.items()
            if chunk.message.stream == stream_id and chunk.message.protocol != except_protocol
        ]
        messages = set(self._queue)
        if missing:
            oldest = min(missing)
            for place in (self._flying, self._repeated, self._again, self._held):
                messages.update(chunk.message for tsn, chunk in place.items() if tsn >= oldest)
            messages.update(message for tsn, message in self._abandoned.items() if tsn >= oldest)
        return sum(m.stream == stream_id and m.protocol != except_protocol for m in messages)

    def transmit(self, now: float, ahead: bytes = b"") -> list[bytes]:
        """Send what windows and burst allow: first what is sent again (RFC 9260 section 6.1).

        Args:
            now: the time.
            ahead: a chunk that shall leave in any case, with the first packet where it fits.

        Returns:
            The chunks of each packet.
        """
        packets: list[bytes] = []
        limit = self.window.limit(self.flight)
        if self._waits_for_answer or not (self._queue or self._again or self._forward_due):
            return [ahead] if ahead else packets
        if not self.flight:
            self._note_idle(now)
        trip = self.round_trip
        # RFC 9260 section 6.3.3 E3: one packet after a timeout
        bound = self._order + 1 if trip.backoff else 1 << 62
        while self._order < bound:
            if self._queue and not (ahead or self._again or self._forward_due):
                self._fill_run(packets, limit, bound, now)
                if self._order == bound:
                    break
            parts = [ahead] if ahead else []
            taken = len(parts)
            room = BODY_MAX - len(ahead)
            if self._forward_due:
                self._forward_due = False
                parts.append(self._write_forward_tsn())
                room -= len(parts[-1])
            if self._again:
                room = self._fill_again(parts, room, limit, now)
            if self._queue and not self._again:
                self._fill(parts, room, limit, now)
            if len(parts) > taken:
                packets.append(parts[0] if len(parts) == 1 else b"".join(parts))
                self._order += 1
                self._free_packet = False
                if self.deadline is None:
                    self.deadline = now + trip.wait
            elif ahead:
                # nothing more may leave, or what comes next fills a packet of its own
                packets.append(ahead)
            else:
                break
            ahead = b""
            if not (self._queue or self._again or self._forward_due):
                break
        self._sent_at = now
        self._was_full = self.flight + PACKET_MAX >= self.window.size
        if trip.backoff:
            self._waits_for_answer = True
            self._probed_at = now
        return packets

    def stop(self) -> None:
        """The association is over: no timer runs any more."""
        self.deadline = self.loss_deadline = None

    def acknowledge(
        self,
        cumulative: int,
        gaps: Sequence[tuple[int, int]],
        window: int,
        now: float,
        duplicates: Sequence[int] = (),
    ) -> bool:
        """A SACK (RFC 9260 section 6.2.1).

        Args:
            cumulative: its cumulative TSN.
            gaps: its gap blocks, in order: offsets from that.
            window: the other end's receiver window.
            now: the time.
            duplicates: TSNs that have come more than once.

        Returns:
            False if it is older than another one, or speaks of what was never sent: it was ignored.
        """
        if cumulative < self._acked or cumulative >= self.tsn:
            if cumulative < self.tsn:
                # on a path that changes the order of packets it may be late itself, and tells of each duplicate once
                self._note_duplicates(duplicates)
            return False
        if gaps and cumulative + gaps[-1][1] >= self.tsn:
            return False
        advanced = cumulative > self._acked
        done = self._take_cumulative(cumulative, now) if advanced else 0
        if gaps or self._gaps or self._reported_starts:
            done += self._take_gaps(cumulative, gaps, now)
        self._waits_for_answer = False
        if advanced or done:
            self.round_trip.backoff = 0
        self.window.acknowledged(done, cumulative=cumulative, advanced=advanced, was_full=self._was_full)
        self._note_duplicates(duplicates)
        if not (self._flying or self._repeated):
            self.loss_deadline = None
        elif done:
            self.find_losses(now)
        self._rwnd = max(0, window - self.flight)
        if not (self._flying or self._repeated or self._again or self._held):
            self.deadline = None
        elif advanced:
            self.deadline = now + self.round_trip.wait
        if self._abandoned or self._forward_due or self._skipped > cumulative or self._skipped_streams:
            self._advance()
        else:
            self._skipped = cumulative
        return True

    def expire(self, now: float) -> None:
        """The retransmission timer has ended (RFC 9260 section 6.3.3); `transmit` sends one packet."""
        self.deadline = None
        self.window.timed_out(first=not self.round_trip.backoff)
        self.round_trip.backoff += 1
        self._lose_all(now)

    @property
    def is_waiting(self) -> bool:
        """Whether an acknowledgement is waited for, or a FORWARD TSN is due."""
        return bool(self.outstanding) or self._skipped != self._acked

    def wake(self, now: float) -> None:
        """A path is back: what has waited for longer than an answer takes goes out with the next `transmit`."""
        if not self.is_waiting:
            return
        trip = self.round_trip
        if self.flight > BURST:
            # a path was exchanged for another under way: what is on it may well arrive (a timeout leaves one packet)
            smoothed = trip.smoothed
            usual = RTO_INITIAL if smoothed is None else smoothed + 4 * trip.variation + _SACK_DELAY_MAX
            oldest = next(iter((self._flying or self._repeated).values()))
            if now - oldest.sent_at < usual:
                return
        trip.backoff = 0
        self.window.path_is_back()
        self.deadline = None
        self._lose_all(now)

    def heard(self, now: float) -> None:
        """A packet of the other end has come: if the timer has long been backing off, the path is back."""
        if self.round_trip.backoff > 1 and now - self._probed_at > self.round_trip.timeout:
            self.wake(now)

    # -- out ---------------------------------------------------------------------------------------

    def _note_idle(self, now: float) -> None:
        periods = int((now - self._sent_at) / self.round_trip.timeout)
        if periods:
            self.window.idle(periods)

    def _fill_again(self, parts: list[bytes], room: int, limit: int, now: float) -> int:
        """Put what is sent again into a packet; the room that is left."""
        again = self._again
        while again:
            tsn = next(iter(again))
            chunk = again[tsn]
            if chunk.size > room or (self.flight >= limit and not self._free_packet):
                break
            if self._is_over(chunk, now):
                self._abandon(chunk.message)
                continue
            del again[tsn]
            self._repeated[tsn] = chunk
            self.flight += chunk.size
            chunk.sent_count += 1
            chunk.sent_at = now
            chunk.order = self._order
            parts.append(chunk.body)
            room -= chunk.size
            if tsn == self._acked + 1:
                # RFC 9260 section 6.3.2 R1 note: the earliest one is on its way again
                self.deadline = now + self.round_trip.wait
        return room

    def _fill(self, parts: list[bytes], room: int, limit: int, now: float) -> None:
        """Put what was never sent into a packet."""
        queue = self._queue
        while queue and self.flight < limit:
            message = queue[0]
            if message.expiry is not None and now > message.expiry:
                self._abandon(message)
                continue
            at = message.at
            length = min(message.part, message.size - at)
            size = DATA_HEADER_SIZE + length + (-length & 3)
            # RFC 9260 section 6.1 A: a window that is closed is probed with one chunk
            if size > room or (size > self._rwnd and self.flight):
                return
            end = at + length
            if at:
                flags = LAST if end == message.size else 0
                data = message.data[at:end]
            else:
                self._number(message)
                message.tsn = self.tsn
                flags = FIRST | LAST if end == message.size else FIRST
                data = message.data if length == message.size else message.data[:end]
            tsn = self.tsn
            self.tsn = tsn + 1
            chunk = Chunk(tsn, message, flags, data, now, self._order)
            message.at = end
            if end == message.size:
                queue.popleft()
            self.queued -= length
            self._flying[tsn] = chunk
            self.flight += size
            self._rwnd -= size
            room -= size
            parts.append(chunk.body)

    def _fill_run(self, packets: list[bytes], limit: int, bound: int, now: float) -> None:
        """Packets that hold one chunk each: of a message that goes on, until its last two, beside which more may fit.

        What `_fill` does, many times over: most of what is sent are pieces of large messages. Each takes more than half
        of a packet.
        """
        message = self._queue[0]
        at, part, last = message.at, message.part, message.size - 2 * message.part
        if not 0 < at <= last or (message.expiry is not None and now > message.expiry):
            return
        size = DATA_HEADER_SIZE + part
        data, flying = message.data, self._flying
        tsn, order, flight, room = self.tsn, self._order, self.flight, self._rwnd
        while at <= last and flight < limit and size <= room and order < bound:
            end = at + part
            chunk = flying[tsn] = Chunk(tsn, message, 0, data[at:end], now, order)
            packets.append(chunk.body)
            at = end
            tsn += 1
            order += 1
            flight += size
            room -= size
        if order == self._order:
            return
        self.queued -= at - message.at
        message.at = at
        self.tsn, self._order, self.flight, self._rwnd = tsn, order, flight, room
        self._free_packet = False
        if self.deadline is None:
            self.deadline = now + self.round_trip.wait

    def _number(self, message: OutgoingMessage) -> None:
        if not message.order:
            stream = message.stream
            sequence = message.sequence = self._sequences.get(stream, 0)
            self._sequences[stream] = sequence + 1 & 0xFFFF

    # -- acknowledgements --------------------------------------------------------------------------

    def _take_cumulative(self, cumulative: int, now: float) -> int:
        """Take what has arrived without a gap; gives how many bytes of it are news."""
        first = self._acked + 1
        is_plain = self._skipped < first and not (
            self._repeated or self._again or self._held or self._abandoned
        )
        self._acked = cumulative
        flying = self._flying
        oldest = flying.get(first)
        if oldest is not None:
            # Karn: only what was sent once (RFC 9260 section 6.3.1 C5)
            self.round_trip.measure(now - oldest.sent_at)
        if is_plain:
            return self._take_run(first, cumulative, now)
        done = 0
        for tsn in range(first, cumulative + 1):
            chunk = flying.pop(tsn, None)
            if chunk is None:
                chunk = self._repeated.pop(tsn, None)
            if chunk is not None:
                self._land(chunk, now)
                done += chunk.size
                continue
            chunk = self._again.pop(tsn, None)
            if chunk is not None:
                done += chunk.size
                self._note_late(chunk, now, certain=True)
            elif self._held.pop(tsn, None) is None:
                self._abandoned.pop(tsn, None)
        return done

    def _take_run(self, first: int, cumulative: int, now: float) -> int:
        """Take out acknowledged chunks that are all on their way for the first time."""
        flying = self._flying
        if cumulative == self.tsn - 1:
            done = self.flight
            last = flying[cumulative]
            flying.clear()
        else:
            done = 0
            for tsn in range(first, cumulative):
                done += flying.pop(tsn).size
            last = flying.pop(cumulative)
            done += last.size
        self._newest = last.order
        self._newest_trip = now - last.sent_at
        self.flight -= done
        return done

    def _land(self, chunk: Chunk, now: float) -> None:
        """A chunk that was on its way has arrived."""
        self.flight -= chunk.size
        self._note_newest(chunk, now)

    def _note_newest(self, chunk: Chunk, now: float) -> None:
        if chunk.sent_count == 1:
            if chunk.order > self._newest:
                self._newest = chunk.order
                self._newest_trip = now - chunk.sent_at
            elif chunk.order < self._newest:
                self._reordering.came_late(now - chunk.sent_at - self._newest_trip, self._usual_trip)
            return
        # it may be the first copy that has come
        since = now - chunk.sent_at
        self._note_late(chunk, now, certain=since < self._newest_trip / 2)
        if chunk.order > self._newest and since >= (self.round_trip.smoothed or RTO_INITIAL) / 2:
            self._newest = chunk.order

    def _note_late(self, chunk: Chunk, now: float, *, certain: bool) -> None:
        """A chunk that was taken for lost has arrived: its first copy, be that certain or possible."""
        if self._reordering.answered(chunk.tsn, now, self._newest_trip, self._usual_trip, certain=certain):
            self.window.take_back()

    def _note_duplicates(self, duplicates: Sequence[int]) -> None:
        for tsn in duplicates:
            if self._reordering.came_twice(tsn, self._usual_trip):
                self.window.take_back()

    @property
    def _usual_trip(self) -> float:
        return self.round_trip.smoothed or self._newest_trip

    def _take_gaps(self, cumulative: int, gaps: Sequence[tuple[int, int]], now: float) -> int:
        """Take what has arrived behind gaps; gives how many bytes of it are news."""
        starts, ends = self._reported_starts, self._reported_ends
        if starts and starts[0] <= cumulative:
            passed = bisect_right(ends, cumulative)
            del starts[:passed], ends[:passed]
        done = 0
        known: list[tuple[int, int]] = []
        for start_offset, end_offset in gaps:
            start, end = cumulative + start_offset, cumulative + end_offset
            known.append((start, end))
            # the ranges that it touches become one with it: only what is between them is looked at
            low, high = bisect_left(ends, start), bisect_right(starts, end)
            at = start
            for index in range(low, high):
                done += self._take_reported(at, starts[index], now)
                at = ends[index] + 1
            done += self._take_reported(at, end + 1, now)
            if low < high:
                start, end = min(start, starts[low]), max(end, ends[high - 1])
            starts[low:high], ends[low:high] = (start,), (end,)
        self._gaps = known
        return done

    def _take_reported(self, start: int, end: int, now: float) -> int:
        """The chunks from `start` to before `end` have arrived behind a gap; gives how many bytes of it are news."""
        done = 0
        for tsn in range(start, end):
            chunk = self._flying.pop(tsn, None) or self._repeated.pop(tsn, None)
            if chunk is not None:
                self._land(chunk, now)
            else:
                chunk = self._again.pop(tsn, None)
                if chunk is None:
                    continue
                self._note_late(chunk, now, certain=True)
            done += chunk.size
            self._held[tsn] = chunk
        return done

    def find_losses(self, now: float) -> None:
        """Find chunks that are missing although later packets have arrived (RFC 9260 section 7.2.4).

        On a path that changes their order, those that are later than that explains (RFC 8985 section 6.2, step 5).
        """
        self.loss_deadline = None
        bound = self._newest - _REORDERING
        tolerance = self._reordering.tolerance
        patience = tolerance and self._newest_trip + tolerance
        lost: list[Chunk] = []
        for place in (self._flying, self._repeated):
            for chunk in place.values():
                if chunk.order > bound:
                    break
                due = chunk.sent_at + patience
                if due > now:
                    if self.loss_deadline is None or due < self.loss_deadline:
                        self.loss_deadline = due
                    break
                lost.append(chunk)
        if not lost:
            return
        last = next(reversed(self._again), None)
        for chunk in lost:
            self._lose(chunk, now)
        if self.window.lost(self.tsn - 1):
            self._free_packet = True
            self._reordering.begin_recovery()
        for chunk in lost:
            self._reordering.lost(chunk.tsn, chunk.sent_at, chunk.sent_count)
        self._sort_again(last)

    # -- losses ------------------------------------------------------------------------------------

    def _lose(self, chunk: Chunk, now: float) -> None:
        """Send a chunk again, or give its message up (RFC 3758 section 3.5)."""
        tsn = chunk.tsn
        if self._flying.pop(tsn, None) is None and self._repeated.pop(tsn, None) is None:
            return  # its message was given up meanwhile
        self.flight -= chunk.size
        if self._is_over(chunk, now):
            self._abandoned[tsn] = chunk.message
            self._abandon(chunk.message)
        else:
            self._again[tsn] = chunk

    def _lose_all(self, now: float) -> None:
        """All that has not arrived is to be sent again, or given up."""
        self._waits_for_answer = False
        self.loss_deadline = None
        self._reordering.forget()
        # the other end may take back what it has acknowledged (RFC 9260 section 6.2.1)
        starts = self._reported_starts = [start for start, _end in self._gaps]
        ends = self._reported_ends = [end for _start, end in self._gaps]
        for tsn in list(self._held):
            index = bisect_right(starts, tsn) - 1
            if index < 0 or ends[index] < tsn:
                chunk = self._held.pop(tsn)
                self._flying[tsn] = chunk
                self.flight += chunk.size
        for chunk in (*self._flying.values(), *self._repeated.values()):
            self._lose(chunk, now)
        self._sort_again(None)
        self._advance()

    def _sort_again(self, last: int | None) -> None:
        """Bring those that are to be sent again into order; up to `last`, if it is there, they are."""
        next_tsn = self.tsn
        for tsn in reversed(self._again):
            if tsn > next_tsn:
                self._again = dict(sorted(self._again.items()))
                return
            if tsn == last:
                return
            next_tsn = tsn

    def _is_over(self, chunk: Chunk, now: float) -> bool:
        message = chunk.message
        limit = message.max_retransmits
        return (
            message.abandoned
            or (limit is not None and chunk.sent_count > limit)
            or (message.expiry is not None and now > message.expiry)
        )

    def _abandon(self, message: OutgoingMessage) -> None:
        """Give a message up: all its chunks that have not arrived; what was not sent yet never will be."""
        message.abandoned = True
        if self._queue and self._queue[0] is message:
            self._queue.popleft()
            self.queued -= message.size - message.at
            if message.at:
                # The number of the message must be skipped though all that was sent of it may have arrived: a TSN that
                # stands for the rest is given up.
                self._abandoned[self.tsn] = message
                self.tsn += 1
        # its chunks have consecutive TSNs
        for tsn in range(message.tsn, message.tsn + -(-message.at // message.part)):
            chunk = self._flying.pop(tsn, None) or self._repeated.pop(tsn, None)
            if chunk is not None:
                self.flight -= chunk.size
            elif self._again.pop(tsn, None) is None:
                continue
            self._abandoned[tsn] = message
        self._advance()

    def _advance(self) -> None:
        """RFC 3758 section 3.5 C1 to C5: skip what is given up at the front, and say so until it is heard."""
        skipped = max(self._skipped, self._acked)
        abandoned = self._abandoned
        # what the other end has heard makes room for others
        streams = {
            number: (sequence, tsn)
            for number, (sequence, tsn) in self._skipped_streams.items()
            if tsn > self._acked
        }
        while len(streams) < _SKIPPED_STREAMS_MAX:
            message = abandoned.pop(skipped + 1, None)
            if message is None:
                break
            skipped += 1
            if message.order != UNORDERED:
                streams[message.stream] = (message.sequence, skipped)
        self._skipped = skipped
        self._skipped_streams = streams
        self._forward_due = skipped != self._acked

    def _write_forward_tsn(self) -> bytes:
        """RFC 3758 section 3.2."""
        skipped = b"".join(
            _SKIPPED.pack(number, sequence) for number, (sequence, _tsn) in self._skipped_streams.items()
        )
        return _FORWARD_TSN.pack(192, 0, 8 + len(skipped), self._skipped & _MASK) + skipped
