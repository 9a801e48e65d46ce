"""The receiving half of an SCTP association: what has arrived, what waits for others, what is acknowledged, and when.

Implements: RFC 9260 sections 6.2, 6.5 to 6.7 and 6.9; RFC 3758 section 3.6; RFC 7053. Pure: `now` is an argument.

What the other end may make us keep is bounded in bytes and number: it is told a window, and what goes beyond it is
refused. Behind a hole less is taken than of what comes next, because that alone can make room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from struct import Struct
from typing import Final

from rtcpeer.sctp.packets import STREAMS_MAX, unwrap, write_sack
from rtcpeer.sctp.reassembly import Reassembly
from rtcpeer.sctp.tracker import AHEAD_MAX, ReceiveTracker

__all__ = ["RECEIVE_WINDOW", "SACK_DELAY", "ReceiveQueue", "ChunkVerdict"]

# What the other end may have on its way and unassembled
RECEIVE_WINDOW: Final = 1 << 20
# What of it beyond is taken nevertheless: behind a hole, and of what comes next
BEHIND_HOLE_MAX: Final = RECEIVE_WINDOW + (128 << 10)
NEXT_MAX: Final = RECEIVE_WINDOW + (512 << 10)
# RFC 9260 section 6.2 allows half a second
SACK_DELAY: Final = 0.05
# A batch of packets (what arrives between two calls of `end_batch`) is acknowledged when so many have come, and at its
# end. Section 6.2 asks for every second packet; less often is enough when they come together, but one lost SACK must
# not take the acknowledgement of the whole batch with it.
_BATCH_SACKS: Final = frozenset((2, 4, 8, *range(16, 1025, 16)))
# With something missing each of the first packets is: other ends count three reports (section 7.2.4)
_BATCH_REPORTS: Final = 3

_DATA: Final = Struct("!LHHL")
# DATA chunk header, and the flag that asks for an acknowledgement at once
_HEADER_SIZE: Final = 16
_IMMEDIATE: Final = 8
_MASK: Final = 0xFFFFFFFF


class ChunkVerdict(IntEnum):
    """The fate of a DATA chunk."""

    TAKEN = 0
    REPEATED = 1
    REFUSED = 2
    NO_SUCH_STREAM = 3


_TAKEN: Final = ChunkVerdict.TAKEN


class ReceiveQueue:
    """Takes chunks and gives messages.

    Args:
        deliver: given each whole message: stream, payload protocol, bytes.

    Attributes:
        deadline: when `expire` is to be called; None while nothing waits to be acknowledged.
        unacknowledged: packets with data since the last SACK.
    """

    __slots__ = ("_batch", "_reassembly", "_sack_now", "_tracker", "deadline", "unacknowledged")

    def __init__(self, deliver: Callable[[int, int, bytes], None]) -> None:
        self.deadline: float | None = None
        self.unacknowledged: int = 0
        self._tracker = ReceiveTracker(0)
        self._reassembly = Reassembly(deliver)
        # packets with data in this batch; whether the next SACK may not wait
        self._batch = 0
        self._sack_now = False

    def begin(self, first_tsn: int) -> None:
        """The association is there; the other end's first TSN."""
        self._tracker = ReceiveTracker(first_tsn - 1)

    def stop(self) -> None:
        """Acknowledge nothing any more."""
        self.deadline = None
        self.unacknowledged = 0

    @property
    def cumulative(self) -> int:
        """All up to this TSN has arrived or was given up."""
        return self._tracker.cumulative

    @property
    def window(self) -> int:
        """The bytes that the other end may send."""
        return max(0, RECEIVE_WINDOW - self._reassembly.held)

    # -- in ----------------------------------------------------------------------------------------

    def take_data(self, body: bytes, at: int, end: int) -> ChunkVerdict:
        """A DATA chunk: `body` from `at` to `end`."""
        if end - at <= _HEADER_SIZE:
            return ChunkVerdict.REFUSED
        value, stream, sequence, protocol = _DATA.unpack_from(body, at + 4)
        tracker, reassembly = self._tracker, self._reassembly
        flags = body[at + 1]
        data = body[at + _HEADER_SIZE : end]
        held = reassembly.held
        tsn = tracker.cumulative + 1
        is_next = value == tsn & _MASK
        if not is_next:
            tsn = unwrap(value, tracker.cumulative)
        if held and held + len(data) > (NEXT_MAX if is_next else BEHIND_HOLE_MAX):
            # the other end goes on filling a window that is closed
            self._sack_now = True
            return ChunkVerdict.REFUSED
        if is_next and not tracker.starts:
            tracker.cumulative = tsn
        else:
            had_holes = tracker.has_holes
            if not tracker.add(tsn):
                self._sack_now = True
                return ChunkVerdict.REPEATED
            if had_holes or tracker.has_holes:
                # section 6.7: each packet behind a gap is acknowledged at once
                self._sack_now = True
        if flags & _IMMEDIATE:
            self._sack_now = True
        if stream >= STREAMS_MAX:
            # RFC 8832 section 5: no data channel has that number
            return ChunkVerdict.NO_SUCH_STREAM
        reassembly.add(tsn, flags, stream, sequence, protocol, data)
        return _TAKEN

    def take_forward_tsn_untrusted(self, value: bytes) -> bool:
        """A FORWARD TSN chunk (RFC 3758 section 3.6); False if it makes no sense."""
        if len(value) < 4:
            return False
        tracker = self._tracker
        before = tracker.cumulative
        self._sack_now = True
        self.unacknowledged += 1
        tsn = unwrap(int.from_bytes(value[:4]), before)
        if tsn <= before:
            return True
        if tsn - before > AHEAD_MAX:
            # it cannot have sent so much that we have not acknowledged
            return False
        tracker.skip_to(tsn)
        streams = [
            (value[at] << 8 | value[at + 1], value[at + 2] << 8 | value[at + 3])
            for at in range(4, len(value) - 3, 4)
        ]
        self._reassembly.skip(before, tracker.cumulative, streams)
        return True

    def reset(self, streams: Iterable[int]) -> None:
        """Begin these streams again (RFC 6525)."""
        self._reassembly.reset(streams)

    def reset_all(self) -> None:
        """All streams begin again."""
        self._reassembly.reset_all()

    # -- acknowledgements --------------------------------------------------------------------------

    def end_packet(self) -> bytes:
        """A packet with data has been taken; the SACK that is due inside a batch, or nothing."""
        self.unacknowledged += 1
        batch = self._batch = self._batch + 1
        if batch in _BATCH_SACKS or (batch <= _BATCH_REPORTS and self._tracker.has_holes):
            return self._write_sack()
        return b""

    def end_batch(self, now: float, *, answering: bool) -> bytes:
        """The SACK, if it is due (section 6.2), when all that has arrived was taken.

        It is due with the second packet, or when something is missing or came twice, or when data goes the other way
        (`answering`); else after a while.
        """
        self._batch = 0
        if self.unacknowledged < 2 and not self._sack_now and not answering:
            if self.unacknowledged and self.deadline is None:
                self.deadline = now + SACK_DELAY
            return b""
        return self._write_sack() if self.unacknowledged else b""

    def expire(self) -> None:
        """The wait for a second packet is over."""
        self.deadline = None
        self._sack_now = True

    def _write_sack(self) -> bytes:
        tracker = self._tracker
        self.unacknowledged = 0
        self._sack_now = False
        self.deadline = None
        gaps = tracker.gaps() if tracker.has_holes else ()
        sack = write_sack(tracker.cumulative, self.window, gaps, tracker.duplicates)
        if tracker.duplicates:
            tracker.duplicates.clear()
        return sack
