"""The sending half of an SCTP association: what is queued, what is on its way, what is sent again, and when.

Implements: RFC 9260 sections 6.1, 6.2.1, 6.3 and 7.2 for the one path that WebRTC has; RFC 3758 section 3.5.
Pure: `now` and `wall` (the time of day, for lifetimes) are arguments, packets leave through a function.

Theory of operation. Chunks get their TSN when they are queued, so `_sent` followed by `_queue` is one line of
consecutive TSNs, and a TSN in a SACK is an index. Chunks are bundled up to the packet size. All sizes are those
of chunks as they are sent, with their headers. When a retransmission timer ends, one packet goes out and then
nothing until something is heard or the timer, with twice the wait, ends again: a path that is dead costs a
packet every few seconds, however much is waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, islice
from struct import Struct
from typing import Final

from rtcpeer.sctp.chunk import FIRST, LAST, UNORDERED, Chunk

__all__ = ["BODY_MAX", "BURST", "PACKET_MAX", "SendQueue"]

# With DTLS, UDP and IPv6 around it a packet stays below 1280 bytes; a multiple of four
PACKET_MAX: Final = 1188
_PACKET_HEADER_SIZE: Final = 12
_CHUNK_HEADER_SIZE: Final = 16
BODY_MAX: Final = PACKET_MAX - _PACKET_HEADER_SIZE
_PAYLOAD_MAX: Final = BODY_MAX - _CHUNK_HEADER_SIZE
# RFC 9260 section 7.2.1: the first window; and section 6.1 D, Max.Burst
_CWND_INITIAL: Final = 4 * PACKET_MAX
BURST: Final = 4 * PACKET_MAX
# RFC 9260 section 16: 1 s. Browsers' dcSCTP uses half a second, as ICE has measured the path already.
RTO_INITIAL: Final = 0.5
# Delayed acknowledgements take up to 0.2 s; below 0.4 s a timer would fire for nothing.
RTO_MIN: Final = 0.4
RTO_MAX: Final = 60.0
# RFC 9260 section 6.2 allows half a second; what is usual
_SACK_DELAY_MAX: Final = 0.2
# RFC 9260 section 6.3.3 E2 doubles the wait up to RTO.Max, and browsers' dcSCTP up to 3 s. ICE tells us of a path that
# was silent for long and is back (`wake`), but not of one that was dead for some seconds only: data must not wait
# much longer than that again, and a packet a second is no load for a path whose consent is being checked anyway.
BACKOFF_MAX: Final = 1.0
# Streams that one FORWARD TSN names: it must fit into a packet beside something else
_SKIPPED_STREAMS_MAX: Final = 200

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000
_DATA: Final = Struct("!BBHLHHL")
_FORWARD_TSN: Final = Struct("!BBHL")
_SKIPPED: Final = Struct("!HH")


class SendQueue:
    """Sends chunks as windows allow.

    Args:
        tsn: the first transmission sequence number.
        send: sends the chunks it is given as one packet; they fit in `BODY_MAX`.

    Attributes:
        tsn: the next number.
        cwnd, flight: the congestion window, and what of it is used, in bytes.
        deadline: when `expire` is to be called; None while nothing is on its way.
        srtt: the smoothed round trip, once one was measured.
        rto: the retransmission timeout (RFC 9260 section 6.3.1), without back-off.
        backoff: how often the timer has ended since something was acknowledged.
    """

    def __init__(self, tsn: int, send: Callable[[list[bytes]], None]) -> None:
        self.tsn = tsn
        self.cwnd = _CWND_INITIAL
        self.flight = 0
        self.deadline: float | None = None
        self.srtt: float | None = None
        self.rto = RTO_INITIAL
        self.backoff = 0
        self.queued = 0
        self._send = send
        self._rttvar = 0.0
        self._ssthresh = 1 << 32
        self._partial = 0
        # the other end's window, less what is on its way; known when the association is there
        self._rwnd = 1 << 17
        self._queue: deque[Chunk] = deque()
        self._sent: deque[Chunk] = deque()
        # chunks in _sent that wait to be sent again
        self._resends = 0
        # all up to here has arrived; all up to there has arrived or is given up (RFC 3758 section 3.5)
        self._acked = self._skipped = tsn - 1 & _MASK
        self._skipped_streams: dict[int, tuple[int, int]] = {}
        self._forward_due = False
        # in fast recovery: its end, and whether one packet may leave beyond the window (RFC 9260 7.2.4)
        self._recovery_end: int | None = None
        self._free_packet = False
        # the timer has ended and its packet is out: nothing more before an answer
        self._held = False
        self._probed_at = 0.0

    # -- what the association calls ----------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """Whether less is queued than one burst."""
        return self.queued < BURST

    @property
    def outstanding(self) -> int:
        """Chunks that are on their way."""
        return len(self._sent)

    def unacknowledged(self, stream_id: int, except_protocol: int) -> int:
        """How many messages of a stream may not have arrived: the oldest one not acknowledged, and all behind it.

        Takes time proportional to what is queued and on its way. A message counts as one however many fragments it
        has; what was given up (RFC 3758) does not count, nor do messages of `except_protocol`.
        """
        count, is_missing = 0, False
        for chunk in chain(self._sent, self._queue):
            if chunk.stream[0] != stream_id or _DATA.unpack_from(chunk.body)[6] == except_protocol:
                continue
            is_missing = is_missing or not (chunk.acked or chunk.abandoned)
            if is_missing and chunk.flags & LAST:
                count += 1
        return count

    def open(self, receiver_window: int) -> None:
        """The association is there; what the other end said about its window."""
        self._rwnd = receiver_window
        # RFC 9260 section 7.2.1 allows any height
        self._ssthresh = max(receiver_window, BURST)

    def write(
        self,
        stream_id: int,
        sequence: int,
        protocol: int,
        data: bytes,
        *,
        ordered: bool,
        expiry: float | None,
        max_retransmits: int | None,
    ) -> None:
        """Queue one message, in fragments; `transmit` sends."""
        size = len(data)
        tsn, order = self.tsn, 0 if ordered else UNORDERED
        stream = (stream_id, sequence)
        for at in range(0, size, _PAYLOAD_MAX):
            part = data[at : at + _PAYLOAD_MAX] if size > _PAYLOAD_MAX else data
            length = len(part)
            flags = order | (0 if at else FIRST) | (LAST if at + length == size else 0)
            header = _DATA.pack(0, flags, _CHUNK_HEADER_SIZE + length, tsn, stream_id, sequence, protocol)
            body = header + part + bytes(-length & 3)
            self._queue.append(Chunk(tsn, flags, stream, body, expiry, max_retransmits))
            self.queued += len(body)
            tsn = tsn + 1 & _MASK
        self.tsn = tsn

    def transmit(self, now: float, wall: float) -> None:
        """Send what windows and burst allow: first what is sent again (RFC 9260 section 6.1)."""
        if self._held or not (self._queue or self._resends or self._forward_due):
            return
        window = min(self.flight + (BURST if self._recovery_end is None else BURST // 2), self.cwnd)
        # RFC 9260 section 6.3.3 E3: one packet after a timeout
        packets = 1 if self.backoff else 1 << 30
        again = deque(chunk for chunk in self._sent if chunk.resend) if self._resends else None
        while packets:
            parts: list[bytes] = []
            room = BODY_MAX
            if self._forward_due:
                self._forward_due = False
                parts.append(self._write_forward_tsn())
                room -= len(parts[0])
            while again:
                chunk = again[0]
                if chunk.size > room or (self.flight >= window and not self._free_packet):
                    break
                again.popleft()
                if chunk.resend:
                    room -= self._launch(chunk, parts, now)
                    if chunk is self._sent[0]:
                        # RFC 9260 section 6.3.2 R1 note: the earliest one is on its way again
                        self.deadline = now + self._timeout
            if not again and self._queue:
                self._fill(parts, room, window, now, wall)
            if not parts:
                break
            self._send(parts)
            self._free_packet = False
            packets -= 1
            if self.deadline is None:
                self.deadline = now + self._timeout
        if self.backoff:
            self._held = True
            self._probed_at = now

    def acknowledge(
        self, cumulative: int, gaps: Sequence[tuple[int, int]], window: int, now: float, wall: float
    ) -> None:
        """A SACK (RFC 9260 section 6.2.1). `gaps` speak of chunks that were sent; the caller has seen to that."""
        steps = cumulative - self._acked & _MASK
        if steps >= _HALF:
            return
        self._acked = cumulative
        was_full = self.flight + PACKET_MAX >= self.cwnd
        done = self._take_cumulative(cumulative, now)
        arrived, is_loss = (0, False)
        if gaps and self._sent:
            arrived, is_loss = self._take_gaps(cumulative, gaps, wall)
        self._held = False
        if steps or arrived:
            self.backoff = 0
        self._adapt(done + arrived if steps else 0, was_full=was_full, is_loss=is_loss)
        self._rwnd = max(0, window - self.flight)
        if not self._sent:
            self.deadline = None
        elif steps:
            self.deadline = now + self._timeout
        self._advance()

    def expire(self, now: float, wall: float) -> None:
        """The retransmission timer has ended (RFC 9260 section 6.3.3)."""
        self.deadline = None
        if not self.backoff:
            # RFC 5681 section 3.1: held while the same data is sent again and again
            self._ssthresh = max(self.cwnd // 2, BURST)
        self.backoff += 1
        self.cwnd = PACKET_MAX
        self._again(wall)
        self.transmit(now, wall)

    def wake(self, now: float, wall: float) -> None:
        """A path is back: what has waited for longer than an answer takes goes out now."""
        if not self._sent and not self._forward_due:
            return
        if not self.backoff and self.flight > BURST:
            # a path was exchanged for another under way: what is on it may well arrive
            usual = RTO_INITIAL if self.srtt is None else self.srtt + 4 * self._rttvar + _SACK_DELAY_MAX
            if now - self._sent[0].sent_at < usual:
                return
        self.backoff = 0
        # RFC 9260 section 7.2.1: what a path begins with
        self.cwnd = max(self.cwnd, _CWND_INITIAL)
        self.deadline = None
        self._again(wall)
        self.transmit(now, wall)

    def heard(self, now: float, wall: float) -> None:
        """A packet of the other end has come: if the timer has long been backing off, the path is back."""
        if self.backoff > 1 and now - self._probed_at > self.rto:
            self.wake(now, wall)

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _timeout(self) -> float:
        if not self.backoff:
            return self.rto
        return max(self.rto, min(self.rto * (1 << min(self.backoff, 16)), BACKOFF_MAX))

    def _launch(self, chunk: Chunk, parts: list[bytes], now: float) -> int:
        """Put a chunk into a packet; give its size."""
        if chunk.resend:
            chunk.resend = False
            self._resends -= 1
            # what was on its way before says nothing about this copy
            chunk.behind = self._sent[-1].tsn
        if not chunk.in_flight:
            chunk.in_flight = True
            self.flight += chunk.size
        chunk.misses = 0
        chunk.sent_count += 1
        chunk.sent_at = now
        parts.append(chunk.body)
        return chunk.size

    def _fill(self, parts: list[bytes], room: int, window: int, now: float, wall: float) -> None:
        """Put what was never sent into a packet."""
        queue = self._queue
        while queue and self.flight < window:
            chunk = queue[0]
            if chunk.expiry is not None and chunk.flags & FIRST and wall > chunk.expiry:
                self._abandon_queued()
                continue
            # RFC 9260 section 6.1 A: a window that is closed is probed with one chunk
            if chunk.size > room or (chunk.size > self._rwnd and self.flight):
                return
            queue.popleft()
            self.queued -= chunk.size
            self._sent.append(chunk)
            self._rwnd -= chunk.size
            room -= self._launch(chunk, parts, now)

    def _land(self, chunk: Chunk) -> None:
        """Count a chunk no longer as being on its way."""
        if chunk.in_flight:
            chunk.in_flight = False
            self.flight -= chunk.size
        if chunk.resend:
            chunk.resend = False
            self._resends -= 1

    def _take_cumulative(self, cumulative: int, now: float) -> int:
        """What has arrived without a gap; how many bytes of it are news."""
        sent, done = self._sent, 0
        is_first = True
        while sent and cumulative - sent[0].tsn & _MASK < _HALF:
            chunk = sent.popleft()
            if is_first and chunk.sent_count == 1 and not chunk.acked:
                # Karn: only what was sent once (RFC 9260 section 6.3.1 C5)
                self._measure(now - chunk.sent_at)
            is_first = False
            if not chunk.acked:
                done += chunk.size
            self._land(chunk)
        return done

    def _take_gaps(self, cumulative: int, gaps: Sequence[tuple[int, int]], wall: float) -> tuple[int, bool]:
        """What has arrived behind gaps, and what is missing: bytes of news, and whether there is a loss."""
        base = self._sent[0].tsn - cumulative & _MASK
        chunks = list(islice(self._sent, max(0, max(end for _start, end in gaps) - base + 1)))
        seen = bytearray(len(chunks))
        arrived, highest = 0, -1
        for start, end in gaps:
            for index in range(max(0, start - base), min(end - base + 1, len(chunks))):
                seen[index] = 1
                chunk = chunks[index]
                if not chunk.acked:
                    chunk.acked = True
                    arrived += chunk.size
                    highest = max(highest, index)
                    self._land(chunk)
        is_loss = False
        newest = chunks[highest].tsn if highest >= 0 else 0
        # RFC 9260 section 7.2.4: missing, while something later has just arrived
        for index in range(highest):
            chunk = chunks[index]
            if seen[index] or chunk.abandoned or chunk.resend or newest - chunk.behind - 1 & _MASK >= _HALF:
                continue
            # the other end may take back what it has acknowledged (section 6.2.1)
            chunk.acked = False
            chunk.misses += 1
            if chunk.misses == 3:
                is_loss = True
                self._mark(chunk, wall)
        return arrived, is_loss

    def _adapt(self, done: int, *, was_full: bool, is_loss: bool) -> None:
        """The congestion window (RFC 9260 section 7.2)."""
        if self._recovery_end is not None:
            if self._acked - self._recovery_end & _MASK < _HALF:
                self._recovery_end = None
            return
        if done and was_full:
            if self.cwnd <= self._ssthresh:
                self.cwnd += min(done, PACKET_MAX)
            else:
                self._partial += done
                if self._partial >= self.cwnd:
                    self._partial -= self.cwnd
                    self.cwnd += PACKET_MAX
        if is_loss and self._sent:
            self.cwnd = self._ssthresh = max(self.cwnd // 2, BURST)
            self._partial = 0
            self._recovery_end = self._sent[-1].tsn
            self._free_packet = True

    def _measure(self, rtt: float) -> None:
        """RFC 9260 section 6.3.1 C2, C3, C6, C7."""
        if self.srtt is None:
            self.srtt, self._rttvar = rtt, rtt / 2
        else:
            self._rttvar = 0.75 * self._rttvar + 0.25 * abs(self.srtt - rtt)
            self.srtt = 0.875 * self.srtt + 0.125 * rtt
        self.rto = max(RTO_MIN, min(self.srtt + 4 * self._rttvar, RTO_MAX))

    def _again(self, wall: float) -> None:
        """All that has not arrived is to be sent again, or given up."""
        self._held = False
        self._recovery_end = None
        self._partial = 0
        if self._sent:
            self._sent[0].acked = False
        for chunk in list(self._sent):
            if not chunk.acked and not chunk.abandoned:
                self._mark(chunk, wall)
        self._advance()

    def _mark(self, chunk: Chunk, wall: float) -> None:
        """Send a chunk again, or give its message up (RFC 3758 section 3.5)."""
        self._land(chunk)
        limit = chunk.max_retransmits
        if (limit is not None and chunk.sent_count > limit) or (
            chunk.expiry is not None and wall > chunk.expiry
        ):
            self._abandon(chunk)
        else:
            chunk.resend = True
            self._resends += 1

    def _abandon(self, chunk: Chunk) -> None:
        """Give the message of a chunk up: all its fragments, also those that were not sent yet."""
        sent = self._sent
        first = last = chunk.tsn - sent[0].tsn & _MASK
        while first and not sent[first].flags & FIRST:
            first -= 1
        while last < len(sent) - 1 and not sent[last].flags & LAST:
            last += 1
        is_whole = bool(sent[last].flags & LAST)
        for index in range(first, last + 1):
            sent[index].abandoned = True
            self._land(sent[index])
        if not is_whole:
            self._abandon_queued()

    def _abandon_queued(self) -> None:
        """Give up what is at the front of the queue, to the end of its message; its TSNs are skipped."""
        while self._queue:
            chunk = self._queue.popleft()
            self.queued -= chunk.size
            chunk.abandoned = True
            self._sent.append(chunk)
            if chunk.flags & LAST:
                break
        self._advance()

    def _advance(self) -> None:
        """RFC 3758 section 3.5 C1 to C5: skip what is given up at the front, and say so until it is heard."""
        if self._acked - self._skipped & _MASK < _HALF:
            self._skipped = self._acked
        streams, sent = self._skipped_streams, self._sent
        while sent and sent[0].abandoned and len(streams) < _SKIPPED_STREAMS_MAX:
            chunk = sent.popleft()
            self._skipped = chunk.tsn
            if not chunk.flags & UNORDERED:
                streams[chunk.stream[0]] = (chunk.stream[1], chunk.tsn)
        if streams:
            self._skipped_streams = {
                number: (sequence, tsn)
                for number, (sequence, tsn) in streams.items()
                if 0 < (tsn - self._acked & _MASK) < _HALF
            }
        self._forward_due = self._skipped != self._acked

    def _write_forward_tsn(self) -> bytes:
        """RFC 3758 section 3.2."""
        skipped = b"".join(
            _SKIPPED.pack(number, sequence) for number, (sequence, _tsn) in self._skipped_streams.items()
        )
        return _FORWARD_TSN.pack(192, 0, 8 + len(skipped), self._skipped) + skipped
