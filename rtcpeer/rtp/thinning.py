"""Fewer temporal layers: streams that are made of another one by leaving pictures out.

Subscribers that want the same number of layers share one such stream, which is a `SourceStream` with numbers and a
history of its own; packets that are left out leave no gap in it, nor in the picture ids of VP8. (VP9 and the dependency
descriptor count back from each picture to those that it needs, so their numbers stay.) An output moves from one of
these streams to another without a key frame, where what it is going to get can be decoded with what it has got.
Pure: `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.rtp.forwarding import Output, Rate, SourceStream
from rtcpeer.rtp.munging import OffsetSegment, Renumbering, move_pictures
from rtcpeer.rtp.packet import URI_DEPENDENCY
from rtcpeer.rtp.payloads import Vp8Descriptor
from rtcpeer.rtp.relay_packet import RelayPacket
from rtcpeer.rtp.temporal import ALL, FrameLayer, TemporalReader

# Bitrates of layers are known when they were measured for so long, in seconds, and for as long after somebody asked.
MEASURED, NEEDED = 1.0, 3.0


class _Pictures:
    """Picture ids of VP8 without those that are left out."""

    __slots__ = ("_line", "_numbers")

    def __init__(self) -> None:
        self._numbers = Renumbering()
        # of the last picture, on an endless line
        self._line: int | None = None

    def _extend(self, picture: int, width: int) -> int:
        half = 0x40 if width == 1 else 0x4000
        if self._line is None:
            self._line = picture
        line = self._line + ((picture - self._line + half) % (2 * half) - half)
        self._line = max(self._line, line)
        return self._numbers.extend(line & 0xFFFF)

    def leave_out(self, descriptor: Vp8Descriptor) -> None:
        """Leave out a picture, so that nobody gets it."""
        _size, picture_at, width, picture, *_rest = descriptor
        if picture_at:
            self._numbers.leave_out(self._extend(picture, width))

    def rewrite(self, payload: bytes, descriptor: Vp8Descriptor) -> bytes:
        """A payload with the picture id that follows on the one before."""
        size, picture_at, width, picture, *_rest = descriptor
        if not picture_at:
            return payload
        extended = self._extend(picture, width)
        number = self._numbers.number(extended)
        if number is None or not number - picture & (0x7F if width == 1 else 0x7FFF):
            return payload
        segment = OffsetSegment(None, 0, 0, 0)
        segment.picture = number - picture
        return move_pictures(payload, descriptor, segment) + payload[size:]


class Thinning:
    """The streams with fewer temporal layers of one stream.

    Args:
        origin: the stream with all of them.
    """

    def __init__(self, origin: SourceStream) -> None:
        self._origin = origin
        self._reader = TemporalReader(origin.structure)
        # by the highest layer that is in them
        self._streams: dict[int, SourceStream] = {}
        self._pictures: dict[int, _Pictures] = {}
        # outputs that are to get other layers from the next picture on where that is possible
        self._moving: dict[Output, int] = {}
        # of each temporal layer, since when they are measured, and when somebody asked last
        self._rates: dict[int, Rate] = {}
        self._since: float | None = None
        self._asked_at = -NEEDED

    @property
    def is_used(self) -> bool:
        """Whether an output gets one of the streams, or is going to."""
        return bool(self._moving) or any(stream.is_used for stream in self._streams.values())

    def is_needed(self, now: float) -> bool:
        """Whether it is used, or somebody wants to know the bitrates of layers."""
        return self.is_used or now - self._asked_at < NEEDED

    def bitrates(self, now: float) -> list[tuple[int, float]]:
        """Each temporal layer with the bit/s of it and all below, the lowest first; empty while that is not known."""
        self._asked_at = now
        if self._since is None or now - self._since < MEASURED:
            return []
        found, total = [], 0.0
        for temporal in sorted(self._rates):
            total += 8 * self._rates[temporal].current(now)
            found.append((temporal, total))
        return found

    def limit_of(self, output: Output) -> int:
        """The highest temporal layer that an output gets, or is going to get as soon as that is possible."""
        stream = output.stream
        held = stream.temporal if stream is not None and stream.origin is self._origin else ALL
        return self._moving.get(output, held)

    def stream(self, limit: int) -> SourceStream:
        """The stream with the layers up to this one; the origin has all."""
        if limit >= ALL:
            return self._origin
        found = self._streams.get(limit)
        if found is None:
            origin = self._origin
            found = SourceStream(origin.ssrc, is_video=origin.is_video, clock_rate=origin.clock_rate)
            found.origin, found.temporal = origin, limit
            found.clock, found.keyframes = origin.clock, origin.keyframes
            self._streams[limit] = found
            self._pictures[limit] = _Pictures()
        return found

    def move(self, output: Output, limit: int) -> None:
        """Let an output that gets one of the streams get the layers up to this one, as soon as that is possible."""
        if output.stream is not None and output.stream.temporal == limit:
            self._moving.pop(output, None)
        else:
            self._moving[output] = limit

    def forget(self, output: Output) -> None:
        """An output is given something else."""
        self._moving.pop(output, None)

    def prune(self) -> None:
        """Make no stream that nobody gets."""
        for limit in [limit for limit, stream in self._streams.items() if not stream.is_used]:
            del self._streams[limit], self._pictures[limit]

    # -- packets -----------------------------------------------------------------------------------

    def take(self, packet: RelayPacket, codec_name: str, now: float) -> None:
        """A packet of the origin, before that sends it: first outputs move, so that nobody gets it twice."""
        origin = self._origin
        layer = self._reader.read_untrusted(
            codec_name, packet.payload, packet.element(URI_DEPENDENCY), packet.vp8, is_key=packet.begins
        )
        rate = self._rates.get(layer.temporal)
        if rate is None:
            rate = self._rates[layer.temporal] = Rate()
        rate.add(len(packet.payload), now)
        if self._since is None:
            self._since = now
        is_new = packet.number > origin.highest and packet.timestamp != origin.timestamp
        if self._moving and layer.starts and is_new:
            self._move(layer)
        for limit, stream in self._streams.items():
            pictures = self._pictures[limit]
            copy = packet.copy()
            if layer.temporal > limit:
                if packet.vp8 is not None:
                    pictures.leave_out(packet.vp8)
                stream.skip(copy, now)
            else:
                if packet.vp8 is not None:
                    copy.payload = pictures.rewrite(packet.payload, packet.vp8)
                stream.take(copy, codec_name, now)
            if stream.reception.lacking:
                stream.reception.give_up(now)

    def skip(self, packet: RelayPacket, now: float) -> None:
        """Take a packet of the origin that nobody gets."""
        for stream in self._streams.values():
            stream.skip(packet.copy(), now)

    def _move(self, layer: FrameLayer) -> None:
        for output, wanted in list(self._moving.items()):
            stream = output.stream
            if stream is None or stream.origin is not self._origin:
                continue
            limit = _next_limit(stream.temporal, wanted, layer)
            if limit == wanted:
                del self._moving[output]
            if limit != stream.temporal:
                output.move(self.stream(limit))
        self.prune()


def _next_limit(held: int, wanted: int, layer: FrameLayer) -> int:
    """The highest layer that an output gets from the picture on that begins with a packet of `layer`."""
    if wanted < held:
        return wanted if layer.temporal <= wanted else held
    if layer.opens_from > held or layer.temporal > wanted:
        return held
    return max(held, min(wanted, layer.opens_to))
