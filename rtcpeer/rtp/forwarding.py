"""Streams of a source, forwarded to its outputs: each packet is read once and written once per output.

A `SourceStream` is one SSRC that arrives; a `Source` is all of one receiver (simulcast has several, by rid); an
`Output` is one stream that leaves towards one subscriber. An output moves from one stream to another where a key frame
begins, and its numbers and times go on. What an output has counted is worked out from its stream when somebody asks:
forwarding a packet changes nothing in the output.
Pure: `now` is an argument, sending and asking are callables that were handed in.
"""

# Longer than 600 lines: a stream and its outputs read each other's numbers with every packet.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rtcpeer.rtp.clocks import StreamClock
from rtcpeer.rtp.headers import HeaderPlan, Written
from rtcpeer.rtp.history import History
from rtcpeer.rtp.keyframes import KeyframeRequests
from rtcpeer.rtp.munging import OffsetSegment, PictureNumbers, Renumbering, later, move_pictures
from rtcpeer.rtp.packet import URI_DEPENDENCY
from rtcpeer.rtp.payloads import begins_keyframe_untrusted, is_configuration, read_vp8_untrusted
from rtcpeer.rtp.reception import Reception
from rtcpeer.rtp.relay_packet import U16, U32, RelayPacket
from rtcpeer.rtp.temporal import ALL

# Sound is asked for again at once or not at all.
AUDIO_HISTORY = 64
# Who joins gets the last key frame from the history if it is no older, in seconds, and has no more packets behind it.
REPLAY_AGE = 0.5
REPLAY_PACKETS = 128
# Changes of the source that an output remembers, for packets that come late or are asked for again.
SEGMENTS_MAX = 16
# Packets in front of a picture that only configure it; each parameter set may come in one of its own.
CONFIGURATION_MAX = 32
# Two sources of one clock are aligned by their sender reports if arrival says the same within so many seconds.
ALIGN_MAX = 0.3


class Write(Protocol):
    """Sends one packet: the fixed header in parts, and what follows it; `patch` overwrites bytes at `patch_at`."""

    def __call__(
        self,
        first: int,
        second: int,
        number: int,
        timestamp: int,
        ssrc: int,
        body: bytes,
        patch_at: int = 0,
        patch: bytes = b"",
    ) -> None:
        """Send it, or drop it; never raises for what the network does."""


class Batch(Protocol):
    """Sends packets to several outputs of one plan at once; see `fan_out`."""

    def send(self, packet: RelayPacket, written: Written) -> Sequence[Output]:
        """Send a packet to those outputs for which nothing is in the way; gives the others, which it leaves alone."""


class OutputGroup:
    """Outputs whose packets are written in the same way; replaced, never changed, so that a loop over it is safe.

    Attributes:
        plan: how they are written.
        outputs: those.
        batch: sends to several at once; None as long as nobody has asked for it.
    """

    __slots__ = ("batch", "outputs", "plan")

    def __init__(self, plan: HeaderPlan, outputs: tuple[Output, ...]) -> None:
        self.plan: HeaderPlan = plan
        self.outputs: tuple[Output, ...] = outputs
        self.batch: Batch | None = None


class Rate:
    """Bytes per second, over the last whole second."""

    __slots__ = ("_bytes", "_since", "value")

    def __init__(self) -> None:
        self._bytes = 0
        self._since: float | None = None
        self.value: float = 0.0

    def add(self, size: int, now: float) -> None:
        """Count bytes that came."""
        since = self._since
        if since is None:
            self._since = since = now
        elif now - since >= 1.0:
            self.value = self._bytes / (now - since)
            self._bytes = 0
            self._since = now
        self._bytes += size

    def current(self, now: float) -> float:
        """Bytes per second; of the second that has begun if there was none before, 0.0 after two without any."""
        if self._since is None or now - self._since > 2.0:
            return 0.0
        return self.value or self._bytes / max(0.2, now - self._since)


class SourceStream:
    """A stream that arrives, one SSRC of a source: its numbers, its history, the outputs that get it.

    Args:
        ssrc: of the media stream.
        is_video: whether pictures begin with key frames.
        clock_rate: of its timestamps, in Hz.

    Attributes:
        rid: its name among the layers, once known.
        rate: its bitrate.
        clock: its sender reports, if there are any.
        packets, bytes: forwarded for the first time, without headers.
        last_at: when its last packet arrived.
        dropped: packets that nobody could get: twice, too late, malformed.
        origin: the stream that it is made of by leaving temporal layers out; itself, if it is none of those.
        temporal: the highest temporal layer that it has.
        on_take: called with each packet that is forwarded, its codec and the time, before the outputs get it.
        on_skip: called with each packet that is not forwarded, and the time.
        structure: the last dependency descriptor with a structure; None if there was none.
        arriving: outputs that get it from the packet on that is taken now.
    """

    def __init__(self, ssrc: int, *, is_video: bool, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.origin = self
        self.temporal: int = ALL
        self.on_take: Callable[[RelayPacket, str, float], None] | None = None
        self.on_skip: Callable[[RelayPacket, float], None] | None = None
        self.structure: bytes | None = None
        self.arriving: tuple[Output, ...] = ()
        self.is_video = is_video
        self.clock_rate = clock_rate
        self.rid: str | None = None
        self.rate: Rate = Rate()
        self.clock: StreamClock | None = None
        self.keyframes: KeyframeRequests = KeyframeRequests()
        self.reception: Reception = Reception()
        self.history: History = History() if is_video else History(AUDIO_HISTORY)
        self.packets: int = 0
        self.bytes: int = 0
        self.frames: int = 0
        self.dropped: int = 0
        self.last_at: float = 0.0
        self.numbers: Renumbering = Renumbering()
        # of the packet with the highest number
        self.highest: int = -1
        self.timestamp: int = 0
        self.timestamp_at: float = 0.0
        self.pictures: PictureNumbers = PictureNumbers()
        # of the last packet that was forwarded
        self._payload_type = -1
        self._codec_name = ""
        # where the last key frame began
        self._key: RelayPacket | None = None
        # all of the frame that begins with it is here, up to this number
        self._key_reach = 0
        self.groups: tuple[OutputGroup, ...] = ()
        self.waiting: tuple[Output, ...] = ()

    # -- packets -----------------------------------------------------------------------------------

    def skip(self, packet: RelayPacket, now: float) -> None:
        """A packet came that is not forwarded: padding, a correction.

        Its number is left out; if later ones have gone out already, it is filled with an empty packet, or subscribers
        would wait for it.
        """
        if self.on_skip is not None:
            self.on_skip(packet, now)
        extended = self.numbers.extend(packet.sequence_number)
        self.reception.note(extended, now)
        self.last_at = packet.at = now
        if self.numbers.leave_out(extended):
            return
        number = self.numbers.number(extended)
        if number is None or self._payload_type < 0:
            self.dropped += 1
            return
        packet.number, packet.payload, packet.marker = number, b"", 0
        packet.payload_type = self._payload_type
        if not self.history.add(packet):
            self.dropped += 1
            return
        self.packets += 1
        self._fan_out(packet, now)

    def take(self, packet: RelayPacket, codec_name: str, now: float) -> None:
        """Forward a packet to all outputs of the stream.

        Args:
            codec_name: of its payload, in upper case.
            now: the time of day.

        Raises:
            ValueError: the payload is malformed; the packet is dropped.
        """
        extended = self.numbers.extend(packet.sequence_number)
        self.reception.note(extended, now)
        self.last_at = packet.at = now
        number = self.numbers.number(extended)
        if number is None:
            self.dropped += 1
            return
        packet.number = number
        if self.is_video:
            try:
                packet.begins = packet.is_told_key or begins_keyframe_untrusted(codec_name, packet.payload)
                if codec_name == "VP8":
                    packet.vp8 = read_vp8_untrusted(packet.payload)
            except ValueError:
                self.dropped += 1
                raise
        else:
            packet.begins = True
        is_newest = number > self.highest
        if not self.history.add(packet):
            self.dropped += 1
            return
        if self.on_take is not None:
            self.on_take(packet, codec_name, now)
        self.packets += 1
        self.bytes += len(packet.payload)
        self.rate.add(len(packet.payload), now)
        self._payload_type, self._codec_name = packet.payload_type, codec_name
        if is_newest:
            if packet.timestamp != self.timestamp:
                self.frames += 1
            self.highest = number
            self.timestamp, self.timestamp_at = packet.timestamp, now
            if packet.vp8 is not None:
                self.pictures.note(packet.payload, packet.vp8)
        if packet.begins:
            self._on_beginning(packet, now, is_newest)
        if self.arriving:
            arriving, self.arriving = self.arriving, ()
            for output in arriving:
                output.begin(self, packet, now)
                output.count(packet)
        self._fan_out(packet, now)
        if self.waiting:
            self._on_whole_key(now)

    def _on_beginning(self, packet: RelayPacket, now: float, is_newest: bool) -> None:
        if self.is_video:
            self.keyframes.seen()
            key = self._key
            # several packets of one picture look like its beginning: parameter sets, and each slice
            is_same = key is not None and self._are_of_one_picture(key, packet)
            if key is None or (packet.number > key.number) is not is_same:
                self._key, self._key_reach = packet, packet.number
                if packet.is_told_key:
                    self.structure = packet.element(URI_DEPENDENCY)
        waiting = self.waiting
        # who shows something already goes on with that until the key frame is whole: it may take a while to come
        self.waiting = tuple([output for output in waiting if self.is_video and output.shows_something])
        for output in waiting:
            if output in self.waiting:
                continue
            output.begin(self, packet, now)
            output.count(packet)
            if not is_newest:
                # it came late: what is behind it has passed already
                self._replay(output, packet, packet.number + 1, now)

    def _are_of_one_picture(self, key: RelayPacket, packet: RelayPacket) -> bool:
        """Whether two packets belong to one key frame; its parameter sets may have a timestamp of their own."""
        times = (key.timestamp, self._picture_time(key))
        return packet.timestamp in times or self._picture_time(packet) in times

    def _picture_time(self, first: RelayPacket) -> int | None:
        """The timestamp of the picture that begins with this packet, or behind it; None if it is not here."""
        number = first.number
        packet: RelayPacket | None = first
        for _ in range(CONFIGURATION_MAX):
            if packet is None or not is_configuration(self._codec_name, packet.payload):
                break
            number += 1
            packet = self.history.get(number)
        return None if packet is None else packet.timestamp

    def _on_whole_key(self, now: float) -> None:
        """Hand the last key frame to outputs that wait for it, if all of it is here."""
        key = self._key
        if key is None or not self._has_end(key):
            return
        waiting, self.waiting = self.waiting, ()
        for output in waiting:
            output.begin(self, key, now)
            self._replay(output, key, key.number, now)

    def _has_end(self, key: RelayPacket) -> bool:
        """Whether the frame that begins with this packet is here, up to its last one."""
        if self.history.get(key.number) is not key:
            return False
        time = self._picture_time(key)
        # what was here at the last look is here still: a frame without an end costs the same with each packet
        for number in range(self._key_reach, self.highest + 1):
            packet = self.history.get(number)
            if packet is None:
                return False
            is_ahead = is_configuration(self._codec_name, packet.payload)
            if packet.timestamp != time and not is_ahead:
                return False
            self._key_reach = number
            # parameter sets may have a marker of their own
            if packet.marker and not is_ahead:
                return True
        return False

    def _fan_out(self, packet: RelayPacket, now: float) -> None:
        number, timestamp = packet.number, packet.timestamp
        for group in self.groups:
            written = group.plan.write(packet, now)
            if written is None:
                continue
            outputs: Sequence[Output] = group.outputs
            batch = group.batch
            if batch is not None:
                outputs = batch.send(packet, written)
            elif outputs[0].gather is not None:
                group.batch = batch = outputs[0].gather(group.outputs)
                outputs = batch.send(packet, written)
            first, second, body, at = written
            for output in outputs:
                if number < output.start:
                    if not output.send_late(self, packet, written):
                        output.count(packet, -1)
                elif output.patches and packet.vp8 is not None:
                    patch = move_pictures(packet.payload, packet.vp8, output.segment)
                    output.write(
                        first,
                        second,
                        number + output.offset & U16,
                        timestamp + output.time_offset & U32,
                        output.ssrc,
                        body,
                        at,
                        patch,
                    )
                else:
                    output.write(
                        first,
                        second,
                        number + output.offset & U16,
                        timestamp + output.time_offset & U32,
                        output.ssrc,
                        body,
                    )

    # -- outputs -----------------------------------------------------------------------------------

    def join(self, output: Output, now: float) -> None:
        """Send this stream to an output from its next beginning on, or from one that is just past."""
        key = self._key
        if key is not None and output.may_replay(key) and now - key.at <= REPLAY_AGE and self._is_whole(key):
            output.begin(self, key, now)
            self._replay(output, key, key.number, now)
            return
        self.waiting = (*self.waiting, output)

    def leave(self, output: Output) -> None:
        """Send nothing more to an output."""
        self.waiting = tuple([other for other in self.waiting if other is not output])
        self.arriving = tuple([other for other in self.arriving if other is not output])
        groups = []
        for group in self.groups:
            kept = tuple([other for other in group.outputs if other is not output])
            if len(kept) == len(group.outputs):
                groups.append(group)
            elif kept:
                groups.append(OutputGroup(group.plan, kept))
        self.groups = tuple(groups)

    def put(self, output: Output) -> None:
        """Send every packet to an output from now on."""
        for index, group in enumerate(self.groups):
            if group.plan == output.plan:
                grown = OutputGroup(group.plan, (*group.outputs, output))
                self.groups = (*self.groups[:index], grown, *self.groups[index + 1 :])
                return
        self.groups = (*self.groups, OutputGroup(output.plan, (output,)))

    @property
    def is_used(self) -> bool:
        """Whether an output gets it or waits for it."""
        return bool(self.groups or self.waiting or self.arriving)

    def _is_whole(self, key: RelayPacket) -> bool:
        if self.highest - key.number >= REPLAY_PACKETS:
            return False
        return all(self.history.get(n) is not None for n in range(key.number, self.highest + 1))

    def _replay(self, output: Output, first: RelayPacket, start: int, now: float) -> None:
        """Send what there is from a number on, behind or with the packet that the output has begun with."""
        timestamp = first.timestamp
        for number in range(start, self.highest + 1):
            packet = self.history.get(number)
            written = None if packet is None else output.plan.write(packet, now)
            if packet is not None and written is not None and output.send_late(self, packet, written):
                output.count(packet, pictures=int(packet.timestamp != timestamp))
                timestamp = packet.timestamp


class Output:
    """A stream that leaves: where it comes from, and its numbers.

    Args:
        ssrc: it is sent with.
        plan: how its packets are written.
        write: sends one.
        number: the sequence number of its first packet.
        timestamp: what the first packet's timestamp has to go on from; None if nothing was sent before.
        sent_at: when that was.
        clock_rate: of its timestamps, in Hz.

    Attributes:
        is_filled: somebody else sends in this stream until it begins.
        estimate: what the way to the subscriber bears, in bit/s; None while unknown.
        temporal: the highest temporal layer that is wanted; None for all.
        on_begin: called when it is about to get a stream; `go_on_from` may be called then.
        gather: makes one `Batch` of outputs that belong together; None where each is sent to by itself.
        session: what a batch sends with, past `write`; None if it may not.
    """

    def __init__(
        self,
        ssrc: int,
        plan: HeaderPlan,
        write: Write,
        *,
        number: int,
        timestamp: int | None,
        sent_at: float,
        clock_rate: int,
    ) -> None:
        self.ssrc = ssrc
        self.plan: HeaderPlan = plan
        self.write = write
        self.clock_rate = clock_rate
        self.estimate: int | None = None
        self.temporal: int | None = None
        self.on_begin: Callable[[], None] | None = None
        self.gather: Callable[[tuple[Output, ...]], Batch] | None = None
        self.session: object = None
        self.stream: SourceStream | None = None
        self.begun: bool = False
        self.is_filled: bool = False
        # the segment in force, its values once more for the loop over all outputs
        self.segment: OffsetSegment = OffsetSegment(None, 0, 0, 0)
        self.start: int = 0
        self.offset: int = 0
        self.time_offset: int = 0
        self.patches: bool = False
        self._segments: list[OffsetSegment] = []
        # what went out last when no stream is joined: the next number, the last timestamp and when
        self._next = number
        self._timestamp = timestamp
        self._sent_at = sent_at
        self._pictures = PictureNumbers()
        # the stream that it has left for one of other temporal layers
        self._left: SourceStream | None = None
        # counters: of streams that were left, and where the one that is joined stood
        self._packets = self._bytes = self._frames = 0
        self._base = (0, 0, 0)
        # numbers that went out unused: the source lacked them
        self._first: int | None = None

    # -- where it comes from -----------------------------------------------------------------------

    def may_replay(self, key: RelayPacket) -> bool:
        """Whether packets from before now may begin it: not from before what it has sent already."""
        return self.stream is None and (self._timestamp is None or key.at >= self._sent_at)

    @property
    def shows_something(self) -> bool:
        """Whether the subscriber gets something until this begins: another stream, or what is encoded for it."""
        return self.stream is not None or self.is_filled

    def begin(self, stream: SourceStream, packet: RelayPacket, now: float) -> None:
        """Go on with this packet of a stream; the numbers and times that go out have no gap.

        Args:
            packet: the first one; it may have arrived a while before now.
        """
        if self.on_begin is not None:
            self.on_begin()
        before = self.stream
        last = self._last()
        if before is not None:
            self.settle()
            before.leave(self)
        number, timestamp, sent_at, pictures = last
        left, self._left = self._left, None
        if timestamp is None:
            moved = packet.timestamp
        elif left is not None and left.origin is stream.origin:
            moved = packet.timestamp + self.time_offset & U32
        else:
            elapsed = max(1, int((now - sent_at) * self.clock_rate))
            moved = timestamp + self._align(before, stream, packet, timestamp, elapsed) & U32
        segment = OffsetSegment(stream, packet.number, number, moved - packet.timestamp & U32)
        if packet.vp8 is not None:
            pictures.align(segment, packet.payload, packet.vp8)
        self.segment = segment
        self._segments.append(segment)
        if len(self._segments) > SEGMENTS_MAX:
            del self._segments[0]
        self.start, self.offset, self.time_offset = segment.start, segment.offset, segment.time_offset
        self.patches = segment.rewrites_pictures
        self.stream = stream
        self.begun = True
        if self._first is None:
            self._first = number
        self._base = (stream.packets, stream.bytes, stream.frames)
        self._frames += 1
        stream.put(self)

    def go_on_from(self, number: int, timestamp: int | None, sent_at: float) -> None:
        """Somebody else has sent in this stream until now: begin behind that."""
        self._next, self._timestamp, self._sent_at = number, timestamp, sent_at

    def detach(self) -> None:
        """Get nothing any more; what comes next goes on from here."""
        stream = self.stream
        if stream is None:
            return
        self._next, self._timestamp, self._sent_at, self._pictures = self._last()
        self.settle()
        self.stream = None
        stream.leave(self)

    def move(self, stream: SourceStream) -> None:
        """Get a stream with other temporal layers of the same pictures, from the packet on that it takes next."""
        left = self.stream
        self.detach()
        self._left = left
        stream.arriving = (*stream.arriving, self)

    def use(self, plan: HeaderPlan) -> None:
        """Write packets in another way from now on."""
        if plan == self.plan:
            return
        stream = self.stream
        if stream is not None:
            stream.leave(self)
        self.plan = plan
        if stream is not None:
            stream.put(self)

    def _last(self) -> tuple[int, int | None, float, PictureNumbers]:
        """The next number, the last timestamp and when it was, and the last VP8 numbers."""
        stream = self.stream
        if stream is None:
            return self._next, self._timestamp, self._sent_at, self._pictures
        timestamp = stream.timestamp + self.time_offset & U32
        pictures = stream.pictures.moved(self.segment)
        return max(stream.highest, self.start) + self.offset + 1, timestamp, stream.timestamp_at, pictures

    def _align(
        self, before: SourceStream | None, stream: SourceStream, packet: RelayPacket, last: int, elapsed: int
    ) -> int:
        """How many ticks after the last one the first packet of another stream is.

        Arrival says it roughly; sender reports of both streams say it exactly, if their clocks are one.
        """
        if before is None or before is stream or before.clock is None or stream.clock is None:
            return elapsed
        old, new = before.clock.timestamp_at(packet.at), stream.clock.timestamp_at(packet.at)
        if old is None or new is None:
            return elapsed
        # both timestamps at one moment: what this packet would have had in the old stream
        moved = packet.timestamp - new + old + self.time_offset & U32
        exact = later(moved, last)
        return exact if exact > 0 and abs(exact - elapsed) < ALIGN_MAX * self.clock_rate else elapsed

    # -- numbers for those who ask -----------------------------------------------------------------

    @property
    def next_number(self) -> int:
        """The number of the next packet, beyond 16 bits."""
        return self._last()[0]

    @property
    def last_timestamp(self) -> tuple[int | None, float]:
        """The timestamp that went out last, and when it arrived here."""
        _number, timestamp, sent_at, _pictures = self._last()
        return timestamp, sent_at

    def counts(self) -> tuple[int, int, int]:
        """Packets, bytes of payload and pictures that went out for the first time."""
        packets, size, frames = self._packets, self._bytes, self._frames
        if self.stream is not None:
            packets += self.stream.packets - self._base[0]
            size += self.stream.bytes - self._base[1]
            frames += self.stream.frames - self._base[2]
        return packets, size, frames

    def count(self, packet: RelayPacket, times: int = 1, *, pictures: int = 0) -> None:
        """A packet went out that the stream has counted without us; -1: one did not that it has counted for us.

        Args:
            pictures: 1 if it is the first one of a picture that the stream has counted without us, too.
        """
        self._packets += times
        self._bytes += times * len(packet.payload)
        self._frames += pictures

    def holes(self) -> int:
        """How many numbers went by without a packet: the source never gave it to us."""
        if self._first is None:
            return 0
        return max(0, self.next_number - self._first - self.counts()[0])

    def settle(self) -> None:
        """Keep what was counted so far, before the stream or its counters change."""
        stream = self.stream
        if stream is None:
            return
        self._packets += stream.packets - self._base[0]
        self._bytes += stream.bytes - self._base[1]
        self._frames += stream.frames - self._base[2]
        self._base = (stream.packets, stream.bytes, stream.frames)

    # -- packets beside the loop -------------------------------------------------------------------

    def send_late(self, stream: SourceStream, packet: RelayPacket, written: Written) -> bool:
        """Send a packet that belongs to an earlier segment, or comes from the history.

        Returns:
            False if it has no place between what went out: it came before this output got the stream.
        """
        segment = self._segment_of(stream, packet.number)
        if segment is not None:
            self.send_in(segment, packet, written)
        return segment is not None

    def send_in(self, segment: OffsetSegment, packet: RelayPacket, written: Written) -> None:
        """Send a packet with the numbers that it has in a segment."""
        first, second, body, at = written
        patch = b""
        if segment.rewrites_pictures and packet.vp8 is not None:
            patch = move_pictures(packet.payload, packet.vp8, segment)
        number = packet.number + segment.offset & U16
        timestamp = packet.timestamp + segment.time_offset & U32
        self.write(first, second, number, timestamp, self.ssrc, body, at if patch else 0, patch)

    def _segment_of(self, stream: SourceStream, number: int) -> OffsetSegment | None:
        """The segment in which a stream's packet goes out; None if it would take the place of another."""
        end: int | None = None
        for segment in reversed(self._segments):
            if segment.stream is stream and number >= segment.start:
                return segment if end is None or number + segment.offset < end else None
            end = segment.first
        return None

    def find(self, number: int) -> tuple[OffsetSegment, RelayPacket | None] | None:
        """The segment that a number went out in, with the packet if the history has it; None if there is none."""
        for segment in reversed(self._segments):
            if number >= segment.first:
                stream = segment.stream
                assert isinstance(stream, SourceStream)
                return segment, stream.history.get(number - segment.offset)
        return None
