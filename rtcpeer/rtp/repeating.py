"""Packets of an output that are sent again, from the history that all outputs share, and padding in their stream.

Owns: what was sent again and when, its numbers, and how much may be. Never: a packet; those are the source's.
Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.rtp.forwarding import Output, SourceStream
from rtcpeer.rtp.munging import OffsetSegment, move_pictures
from rtcpeer.rtp.packet import write_padding
from rtcpeer.rtp.relay_packet import U16, U32, RelayPacket

# A packet is sent again no sooner than this after the last time, nor sooner than its copy could have been heard of.
REPEAT_INTERVAL = 0.01
# Not a whole round trip: who asks again after just that long has missed the copy, too.
REPEAT_ROUND_TRIPS = 0.8
REPEAT_INTERVAL_MAX = 0.25
# Nor when it is older than this: its picture would come too late, and a key frame says more. That the end of a picture
# is lost is noticed when the next one comes, which may be slides: from then on it grows old.
REPEAT_MAX_AGE = 1.0
# Packets of the newest picture that are looked at to find its beginning
_PICTURE_MAX = 256
# Bytes that may be sent again at once; after that, as many as are sent for the first time.
REPEAT_BURST = 60_000
REPEATS_MAX = 256


class Retransmissions:
    """The retransmissions of one output.

    Args:
        output: whose packets they are.

    Attributes:
        rtx: SSRC of the retransmissions (RFC 4588) and their payload types by the repeated one; None without.
        rtx_number: the sequence number of the next one there.
        round_trip: to the subscriber, in seconds; None while unknown.
        may_repeat: whether so many bytes may be sent again at a time of day, as far as all outputs of a subscriber are
            concerned; None for no such bound.
        repeated_packets, repeated_bytes: sent again.
        padding_packets, padding_bytes: sent without content.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.rtx: tuple[int, dict[int, int]] | None = None
        self.rtx_number: int = 0
        self.round_trip: float | None = None
        self.may_repeat: Callable[[int, float], bool] | None = None
        self.repeated_packets: int = 0
        self.repeated_bytes: int = 0
        self.padding_packets: int = 0
        self.padding_bytes: int = 0
        self._repeated: dict[int, float] = {}
        self._tokens = float(REPEAT_BURST)
        self._tokens_base = 0

    def repeat(self, numbers: list[int], now: float) -> bool:
        """Send packets again that the subscriber misses, from the history that all share.

        Args:
            numbers: as they went out, 16 bits each.
            now: the time of day.

        Returns:
            Whether some will never come: too old, or too many at once. Only a key frame helps then.
        """
        output = self._output
        is_beyond = False
        before_last: tuple[int, float] | None = None
        last = output.next_number - 1
        self._refill()
        interval = min(
            max(REPEAT_INTERVAL, REPEAT_ROUND_TRIPS * (self.round_trip or 0.0)), REPEAT_INTERVAL_MAX
        )
        for sequence_number in numbers:
            number = last - (last - sequence_number & U16)
            found = output.find(number)
            if found is None:
                continue
            segment, packet = found
            is_old = packet is not None and now - packet.at > REPEAT_MAX_AGE
            if packet is not None and is_old:
                if before_last is None:
                    before_last = self._before_last(last)
                is_old = packet.timestamp != before_last[0] or now - before_last[1] > REPEAT_MAX_AGE
            if packet is None or is_old:
                # what the source still lacks will be forwarded when it comes
                is_beyond = is_beyond or packet is not None or self._is_over(segment)
                continue
            if now - self._repeated.get(number, -1.0) < interval:
                continue
            size = len(packet.payload)
            if size > self._tokens or (self.may_repeat is not None and not self.may_repeat(size, now)):
                return True
            self._send_again(segment, packet, number, now)
        return is_beyond

    def _before_last(self, last: int) -> tuple[int, float]:
        """The timestamp of the picture before the newest one, -1 if it is not here, and when the newest one began."""
        newest: RelayPacket | None = None
        for number in range(last, last - _PICTURE_MAX, -1):
            found = self._output.find(number)
            packet = found[1] if found is not None else None
            if packet is None:
                break
            if newest is not None and packet.timestamp != newest.timestamp:
                return packet.timestamp, newest.at
            newest = packet
        return -1, 0.0

    @staticmethod
    def _is_over(segment: OffsetSegment) -> bool:
        stream = segment.stream
        assert isinstance(stream, SourceStream)
        return not stream.reception.lacking

    def _refill(self) -> None:
        sent = self._output.counts()[1]
        self._tokens = min(float(REPEAT_BURST), self._tokens + max(0, sent - self._tokens_base))
        self._tokens_base = sent

    def _send_again(self, segment: OffsetSegment, packet: RelayPacket, number: int, now: float) -> None:
        output = self._output
        written = output.plan.write(packet, now)
        if written is None:
            return
        self._tokens -= len(packet.payload)
        self._repeated[number] = now
        if len(self._repeated) > REPEATS_MAX:
            del self._repeated[next(iter(self._repeated))]
        self.repeated_packets += 1
        self.repeated_bytes += len(packet.payload)
        first, second, body, at = written
        type_again = None if self.rtx is None else self.rtx[1].get(second & 0x7F)
        if self.rtx is None or type_again is None:
            output.send_in(segment, packet, written)
            return
        if segment.rewrites_pictures and packet.vp8 is not None:
            patch = move_pictures(packet.payload, packet.vp8, segment)
            body = body[:at] + patch + body[at + len(patch) :]
        body = body[:at] + (number & U16).to_bytes(2, "big") + body[at:]
        timestamp = packet.timestamp + segment.time_offset & U32
        output.write(first, second & 0x80 | type_again, self.rtx_number, timestamp, self.rtx[0], body)
        self.rtx_number = self.rtx_number + 1 & U16

    def make_padding(self, size: int) -> bytes | None:
        """A packet without content in the retransmission stream; see `outbound.OutboundStream.make_padding`."""
        output = self._output
        if self.rtx is None or not self.rtx[1] or not output.begun:
            return None
        number, timestamp = self.rtx_number, output.last_timestamp[0] or 0
        self.rtx_number = number + 1 & U16
        payload_type = next(iter(self.rtx[1].values()))
        packet = write_padding(
            payload_type, number, timestamp, self.rtx[0], output.plan.fixed_extensions, size
        )
        self.padding_packets += 1
        self.padding_bytes += len(packet)
        return packet
