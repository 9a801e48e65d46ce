"""Jitter buffer of pictures: packets become frames in order, and a gap is waited for within bounds.

Nothing is held back that is complete and in order; only a gap makes frames wait, for a time. So there is no
delay without loss or reordering. This is for pictures; sound has `sound_buffer`.
Pure: `now` is an argument, nothing is sent from here.
"""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import ClassVar

from rtcpeer.records import record
from rtcpeer.rtp.given_up import GivenUp
from rtcpeer.rtp.packet import RtpPacket

# A gap ends after this, in seconds: retransmissions take some round trips.
VIDEO_WAIT = 0.5
VIDEO_PACKETS_MAX = 2048
# A jump of sequence numbers larger than this is a new beginning, not a loss.
JUMP = 1000
# Video goes on behind a gap at once that comes after a silence of so many seconds: that was an outage, and the
# sender does not keep packets for as long.
OUTAGE = 1.0
OUTAGE_GAP = 8
# A frame whose end has not come after so many seconds without any packet has lost it.
SILENCE = 0.1
# So many packets are asked for at once.
NACK_MAX = 128


@record(slots=True)
class EncodedFrame:
    """The packets of one frame, in order.

    Attributes:
        received_at: when its first packet came.
        assembly: seconds between the first packet to come and the last one; None for a frame of one packet.
    """

    timestamp: int
    packets: list[RtpPacket]
    received_at: float
    assembly: float | None = None


@record(slots=True)
class _Waiting:
    packet: RtpPacket
    at: float


class SequenceUnwrapper:
    """16-bit sequence numbers on an endless line, which begins one cycle above 0."""

    __slots__ = ("last",)

    OFFSET: ClassVar[int] = 0x10000

    def __init__(self) -> None:
        self.last: int | None = None

    def unwrap(self, number: int) -> int:
        """The nearest number to the last one that ends in these 16 bits."""
        last = self.last
        if last is None:
            # far from 0, so that packets from before the first one are not negative
            result = number + self.OFFSET
        else:
            result = last + ((number - last + 0x8000) & 0xFFFF) - 0x8000
        if last is None or result > last:
            self.last = result
        return result


@record(slots=True)
class FrameBuffer:
    """Packets of one stream, until they are frames.

    Args:
        wait: how long a gap may last.

    Attributes:
        lost: whether a gap was given up since this was last set to False: video needs a key frame then.
        skipped: whether a packet came before others that it follows, since this was last set to False.
        discarded: packets that came too late, or whose picture is torn; not those that came twice.
    """

    is_video: ClassVar[bool] = True
    wait: float = VIDEO_WAIT
    lost: bool = False
    skipped: bool = False
    discarded: int = 0
    _packets: dict[int, _Waiting] = field(default_factory=dict)
    _unwrapper: SequenceUnwrapper = field(default_factory=SequenceUnwrapper)
    # the next number to deliver; None before the first packet
    _next: int | None = None
    # all of the frame that begins at _next is here, up to this number, which is not here
    _scan: int = 0
    # the number whose absence is a gap, and since when it has been missing although later ones are here
    _gap_at: int = -1
    _gap_since: float = 0.0
    # the highest number when a packet came out of order last: those behind it came in order
    _disordered: int = -1
    # when the last packet came
    _heard_at: float = 0.0
    # whether frames of this stream end with a marker
    _has_markers: bool = False
    # the number that the end of the last frame has, if nothing came for a while: it is missing too
    _cut: int = -1
    _given_up: GivenUp = field(default_factory=GivenUp)

    def add(self, packet: RtpPacket, now: float) -> list[EncodedFrame]:
        """Take a packet; give the frames that are complete with it."""
        last = self._unwrapper.last
        number = self._unwrapper.unwrap(packet.sequence_number)
        silence, self._heard_at = now - self._heard_at, now
        if last is not None and number != last + 1:
            self._disordered = max(number, last)
            if not -JUMP < number - last < JUMP or (silence > OUTAGE and number - last > OUTAGE_GAP):
                number = self._restart(packet)
            elif number > last:
                self.skipped = True
        if self._next is None:
            self._next = self._scan = number
        if number < self._next or number in self._packets:
            if self._given_up.take(number):
                self.discarded += 1
            return []
        self._packets[number] = _Waiting(packet, now)
        frames = self._complete()
        if number > self._scan or len(self._packets) > VIDEO_PACKETS_MAX:
            # it is behind a gap, or of a frame without end
            frames += self.expire(now)
        return frames

    def expire(self, now: float) -> list[EncodedFrame]:
        """Give up the gaps that have lasted too long, though nothing came; give the frames behind them."""
        frames: list[EncodedFrame] = []
        while ((due := self.due) is not None and now > due) or len(self._packets) > VIDEO_PACKETS_MAX:
            self._give_up()
            frames += self._complete()
        return frames

    @property
    def due(self) -> float | None:
        """When `expire` has something to give up; None if nothing is waited for."""
        last, gap = self._unwrapper.last, self._scan
        if last is None or last <= gap:
            return None
        if gap != self._gap_at:
            self._gap_at = gap
            # packets are kept as they came
            self._gap_since = next(waiting.at for n, waiting in self._packets.items() if n > gap)
        return self._gap_since + self.wait

    @property
    def is_lacking(self) -> bool:
        """Whether a packet is missing."""
        first, last = self._next, self._unwrapper.last
        if first is None or last is None:
            return False
        return last - first + 1 > len(self._packets) or self._cut == last + 1

    def note_silence(self, now: float) -> bool:
        """Nothing comes now. If the last frame has no end, that was lost: its number is missing from now on.

        Returns:
            Whether it is.
        """
        last = self._unwrapper.last
        newest = None if last is None else self._packets.get(last)
        if last is None or newest is None or now - self._heard_at <= SILENCE:
            return False
        if not self._has_markers or newest.packet.marker or not newest.packet.payload:
            return False
        self._cut = last + 1
        return True

    def lacks(self, sequence_number: int) -> bool:
        """Whether a packet is missing that is still waited for, or would be next."""
        first, last = self._next, self._unwrapper.last
        if first is None or last is None:
            return False
        number = last + ((sequence_number - last + 0x8000) & 0xFFFF) - 0x8000
        return number >= first and number not in self._packets

    def waiting(self) -> list[RtpPacket]:
        """The packets of frames that are not complete yet."""
        return [waiting.packet for waiting in self._packets.values()]

    def missing(self) -> list[int]:
        """The sequence numbers that are missing between what was delivered and what has come."""
        first, last = self._next, self._unwrapper.last
        if first is None or last is None or not self.is_lacking:
            return []
        newest = last + 1 if self._cut == last + 1 else last - 1
        # from the newest on, so that whoever leaves out thousands of numbers does not have them counted each time
        absent = (n & 0xFFFF for n in range(newest, first - 1, -1) if n not in self._packets)
        found = list(islice(absent, NACK_MAX))
        found.reverse()
        return found

    def _restart(self, packet: RtpPacket) -> int:
        """Forget what came before; the number of the packet with which the stream begins anew."""
        self._packets.clear()
        self._unwrapper = SequenceUnwrapper()
        self._next = None
        self._given_up = GivenUp()
        self._gap_at = self._disordered = self._cut = -1
        self.lost = True
        return self._unwrapper.unwrap(packet.sequence_number)

    def _complete(self) -> list[EncodedFrame]:
        """Take the complete frames from the front."""
        frames: list[EncodedFrame] = []
        packets = self._packets
        position = self._next
        assert position is not None
        while (first := packets.get(position)) is not None:
            if not first.packet.payload:
                # padding, sent to probe the path
                del packets[position]
                position += 1
                continue
            end = self._end_of_frame(max(position, self._scan), first.packet.timestamp)
            if end is None:
                break
            assembly = None if end == position + 1 else self._assembly(position, end)
            taken = [packets.pop(number).packet for number in range(position, end)]
            frames.append(EncodedFrame(first.packet.timestamp, taken, first.at, assembly))
            position = end
        self._next = position
        self._scan = max(position, self._scan)
        return frames

    def _assembly(self, start: int, end: int) -> float:
        """Seconds between the first of these packets to come and the last one."""
        packets = self._packets
        if start > self._disordered:
            return packets[end - 1].at - packets[start].at
        times = [packets[number].at for number in range(start, end)]
        return max(times) - min(times)

    def _end_of_frame(self, scan: int, timestamp: int) -> int | None:
        """The end of the frame that is whole up to `scan`; None while its end is not here."""
        packets = self._packets
        while (waiting := packets.get(scan)) is not None:
            packet = waiting.packet
            if packet.timestamp != timestamp:
                return scan
            scan += 1
            if packet.marker:
                self._has_markers = True
                return scan
        self._scan = scan
        return None

    def _give_up(self) -> None:
        """Go on behind the gap, with the next beginning of a frame."""
        self.lost = True
        packets = self._packets
        numbers = sorted(packets)
        start = None
        # behind the frame that is torn, if the gap is inside one
        torn = packets[self._next].packet.timestamp if self._next in packets else None
        for index, number in enumerate(numbers):
            packet = packets[number].packet
            if packet.timestamp == torn:
                continue
            before = packets.get(number - 1)
            if (before is not None and before.packet.timestamp != packet.timestamp) or (
                index and packet.timestamp != packets[numbers[index - 1]].packet.timestamp
            ):
                start = number
                break
        if start is None:
            start = numbers[-1] + 1
        assert self._next is not None
        self._given_up.add(range(self._next, start), packets)
        for number in numbers:
            if number >= start:
                break
            del packets[number]
            self.discarded += 1
        self._next = self._scan = start
