"""Numbers and times of an output that go on while its source changes: sequence numbers, timestamps, VP8 pictures.

Two maps, both pure. `Renumbering` belongs to a source stream: packets that nobody gets (padding, corrections) leave no
gap, for all outputs alike. `OffsetSegment` belongs to an output: from one change of the source to the next, each number
is that of the source plus an offset, so what arrives late or is asked for again still finds its number.
"""

from __future__ import annotations

from bisect import bisect_right

from rtcpeer.rtp.payloads import Vp8Descriptor
from rtcpeer.rtp.relay_packet import U32

# What was left out before the last so many is not known any more: packets from before that are too late.
SHIFTS_MAX = 256


class Renumbering:
    """Sequence numbers of a stream on an endless line, without those of packets that are left out.

    Attributes:
        highest: the highest number of a packet that came, before anything was left out; None before the first one.
        shift: how many were left out.
    """

    __slots__ = ("_base", "_numbers", "_shifts", "highest", "shift")

    # so that what came before the first packet has a positive number
    OFFSET = 0x10000
    # a jump beyond this is a new beginning of the numbers, or an outage too long to be repaired
    JUMP = 1000

    def __init__(self) -> None:
        self.highest: int | None = None
        self.shift: int = 0
        # from the number at the same index on, this many were left out before
        self._numbers = [0]
        self._shifts = [0]
        # from 16-bit numbers to extended ones
        self._base = self.OFFSET

    def extend(self, sequence_number: int) -> int:
        """The nearest number to the highest one that ends in these 16 bits; it becomes the highest if it is.

        Behind a jump the numbers go on with one missing, so that receivers see that they have missed something.
        """
        highest = self.highest
        if highest is None:
            self.highest = sequence_number + self._base
            return self.highest
        step = ((sequence_number + self._base - highest + 0x8000) & 0xFFFF) - 0x8000
        if not -self.JUMP < step < self.JUMP:
            self._base += 2 - step
            step = 2
        number = highest + step
        if step > 0:
            self.highest = number
        return number

    def sequence_number(self, extended: int) -> int:
        """The 16 bits that an extended number came with."""
        return extended - self._base & 0xFFFF

    def number(self, extended: int) -> int | None:
        """The number of a packet that is forwarded; None if it is too old to tell, or was left out itself."""
        if extended >= self._numbers[-1]:
            return extended - self.shift
        place = bisect_right(self._numbers, extended)
        if not place or self._numbers[place] == extended + 1:
            return None
        return extended - self._shifts[place - 1]

    def leave_out(self, extended: int) -> bool:
        """Leave a packet out, so that nobody gets it; False if later ones have gone out already, and a gap stays."""
        if extended != self.highest or extended < self._numbers[-1]:
            return False
        self.shift += 1
        self._numbers.append(extended + 1)
        self._shifts.append(self.shift)
        if len(self._numbers) > SHIFTS_MAX:
            del self._numbers[0], self._shifts[0]
        return True


class OffsetSegment:
    """The offsets of an output between two changes of its source.

    Attributes:
        stream: whatever the packets come from.
        start: the first number of the stream that belongs to it.
        first: the number that goes out for it.
        offset: from the stream's numbers to those that go out.
        time_offset: likewise for timestamps.
        picture, layer, key: likewise for VP8's picture id, TL0PICIDX and KEYIDX (RFC 7741 section 4.2).
    """

    __slots__ = ("first", "key", "layer", "offset", "picture", "start", "stream", "time_offset")
    picture: int
    layer: int
    key: int

    def __init__(self, stream: object, start: int, first: int, time_offset: int) -> None:
        self.stream: object = stream
        self.start: int = start
        self.first: int = first
        self.offset: int = first - start
        self.time_offset: int = time_offset
        self.picture = self.layer = self.key = 0

    @property
    def rewrites_pictures(self) -> bool:
        """Whether VP8 descriptors have to be changed."""
        return bool(self.picture or self.layer or self.key)


class PictureNumbers:
    """The VP8 numbers that went out last, which the next source has to go on from."""

    __slots__ = ("key", "layer", "picture")

    def __init__(self) -> None:
        # None as long as no packet had one
        self.picture: int | None = None
        self.layer: int | None = None
        self.key: int | None = None

    def note(self, payload: bytes, descriptor: Vp8Descriptor) -> None:
        """Note the numbers that went out."""
        _size, picture_at, _width, picture, layer_at, key_at, flags = descriptor
        if picture_at:
            self.picture = picture
        if layer_at:
            self.layer = payload[layer_at]
        if key_at and flags & 0x10:
            self.key = payload[key_at] & 0x1F

    def align(self, segment: OffsetSegment, payload: bytes, descriptor: Vp8Descriptor) -> None:
        """Set a segment's offsets so that its first packet comes right after these."""
        _size, picture_at, _width, picture, layer_at, key_at, flags = descriptor
        if picture_at and self.picture is not None:
            segment.picture = self.picture + 1 - picture & 0x7FFF
        if layer_at and self.layer is not None:
            segment.layer = self.layer + 1 - payload[layer_at] & 0xFF
        if key_at and flags & 0x10 and self.key is not None:
            segment.key = self.key + 1 - payload[key_at] & 0x1F

    def moved(self, segment: OffsetSegment) -> PictureNumbers:
        """The numbers as they go out in a segment, if these are its source's."""
        result = PictureNumbers()
        if self.picture is not None:
            result.picture = self.picture + segment.picture & 0x7FFF
        if self.layer is not None:
            result.layer = self.layer + segment.layer & 0xFF
        if self.key is not None:
            result.key = self.key + segment.key & 0x1F
        return result


def move_pictures(payload: bytes, descriptor: Vp8Descriptor, segment: OffsetSegment) -> bytes:
    """The VP8 payload descriptor as it goes out in a segment; as long as it was."""
    size, picture_at, width, picture, layer_at, key_at, flags = descriptor
    head = bytearray(payload[:size])
    if picture_at:
        picture += segment.picture
        if width == 2:
            head[picture_at] = 0x80 | picture >> 8 & 0x7F
            head[picture_at + 1] = picture & 0xFF
        else:
            head[picture_at] = picture & 0x7F
    if layer_at:
        head[layer_at] = head[layer_at] + segment.layer & 0xFF
    if key_at and flags & 0x10:
        head[key_at] = head[key_at] & 0xE0 | (head[key_at] + segment.key & 0x1F)
    return bytes(head)


def later(first: int, second: int) -> int:
    """How much later the first of two timestamps is, in ticks; negative if it is earlier."""
    return ((first - second + 0x80000000) & U32) - 0x80000000
