"""A sent stream (SSRC): packets are written from payloads, kept for retransmission, counted.

Sequence numbers and timestamps go on over everything that changes behind them: track, codec, pauses.
Owns: numbers and history of one SSRC. Never: encodes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import field
from struct import Struct

from rtcpeer.aio import wall_time
from rtcpeer.records import record
from rtcpeer.rtp import packet as rtp
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import HeaderExtension

# Packets kept for retransmission: two seconds at 1 Mbit/s.
HISTORY = 256
# A packet is not sent again sooner than this, or than its first copy could have been heard of (with a bound, as
# a round trip measured in a bad moment stays for a while): several NACKs ask for the same one.
REPEAT_INTERVAL = 0.01
# Not a whole round trip: who asks again after just that long has missed the copy, too.
REPEAT_ROUND_TRIPS = 0.8
REPEAT_INTERVAL_MAX = 0.25
# Nor when it is older than this: its picture would come too late, and a key frame says more. That the end of a picture
# is lost is noticed when the next one comes, which may be slides: from then on it grows old.
REPEAT_MAX_AGE = 1.0
# Bytes that may be sent again at once; after that, as many as are sent for the first time.
REPEAT_BURST = 30_000
# Timestamps that jump further than this, in seconds, are a new source.
JUMP = 5.0
# So is time that falls behind the clock by more than this, in seconds: a program that was silent counts on.
BEHIND = 2.0
# A report of loss counts for this long.
LOSS_LIFETIME = 5.0
_NTP_EPOCH = 2208988800
_U32 = Struct("!L")


def ntp(now: float) -> int:
    """A wall-clock time as the 64 bits of NTP, which begin anew in 2036 (RFC 5905 section 6)."""
    return int((now + _NTP_EPOCH) * 4294967296) & 0xFFFFFFFFFFFFFFFF


class HeaderTemplate:
    """The header extensions of one stream, written once; what changes per packet is filled in.

    Attributes:
        abs_send_time, audio_level: whether those are written.
        turned: for packets that tell how the picture is held, by quarter turns; empty if the other end
            does not want to know.
    """

    __slots__ = ("_after", "_before", "abs_send_time", "audio_level", "turned")

    def __init__(
        self, extensions: tuple[HeaderExtension, ...], mid: str, rid: str | None, *, turns: int | None = None
    ) -> None:
        ids = {e.uri: e.id for e in extensions if e.id is not None and 0 < e.id < 15}
        elements: list[tuple[int, bytes]] = []
        numbered = rtp.URI_TRANSPORT_CC in ids
        if numbered:
            # the first one, so that the transport finds it when the packet leaves
            elements.append((ids[rtp.URI_TRANSPORT_CC], bytes(2)))
        # longer ones would need the two-byte header, which has to be negotiated (RFC 8285 section 6)
        if 0 < len(mid.encode()) <= 16 and rtp.URI_MID in ids:
            elements.append((ids[rtp.URI_MID], mid.encode()))
        if rid and len(rid.encode()) <= 16 and rtp.URI_RID in ids:
            elements.append((ids[rtp.URI_RID], rid.encode()))
        self.turned: tuple[HeaderTemplate, ...] = ()
        if turns is not None:
            elements.append((ids[rtp.URI_ORIENTATION], bytes((turns,))))
        elif rtp.URI_ORIENTATION in ids:
            self.turned = tuple([HeaderTemplate(extensions, mid, rid, turns=turns) for turns in range(4)])
        # who numbers packets for the transport knows itself when they left
        self.abs_send_time: bool = rtp.URI_ABS_SEND_TIME in ids and not numbered
        self.audio_level: bool = rtp.URI_AUDIO_LEVEL in ids and not self.abs_send_time
        dynamic = 0
        if self.abs_send_time:
            elements.append((ids[rtp.URI_ABS_SEND_TIME], bytes(3)))
            dynamic = 3
        elif self.audio_level:
            elements.append((ids[rtp.URI_AUDIO_LEVEL], bytes(1)))
            dynamic = 1
        # what changes is last, followed by padding only
        written = rtp.write_extensions(elements)
        body = 4 + sum(len(value) + 1 for _id, value in elements)
        self._before = written[: body - dynamic] if elements else b""
        self._after = written[body:] if elements else b""

    def write(self, now: float, level: int) -> bytes:
        """The extensions of a packet that is sent now; `level` is -dBov (RFC 6464)."""
        if self.abs_send_time:
            # 24 bits, of which 6 are whole seconds
            stamp = int((now % 64) * 262144) & 0xFFFFFF
            return self._before + stamp.to_bytes(3, "big") + self._after
        if self.audio_level:
            return self._before + bytes((level & 0x7F,)) + self._after
        return self._before + self._after


def repeat_anything(_size: int, _now: float) -> bool:
    """Allow any retransmission: there is no bound but the stream's own."""
    return True


def count_nothing(_size: int, _now: float) -> None:
    """Count nothing: nobody wants to know."""


@record(slots=True)
class OutboundStream:
    """Numbers of one SSRC; attributes have the meaning of their W3C namesakes."""

    encoding: SendEncoding
    send: Callable[[bytes], None]
    template: HeaderTemplate
    # whether so many bytes may be sent again at this time of day, as far as the whole transport is concerned
    may_repeat: Callable[[int, float], bool] = repeat_anything
    # called for bytes that say nothing new: corrections
    note_overhead: Callable[[int, float], None] = count_nothing
    clock_rate: int = 90000
    # by the payload type that is sent again
    rtx_payload_types: dict[int, int] = field(default_factory=dict)
    packets_sent: int = 0
    bytes_sent: int = 0
    header_bytes_sent: int = 0
    retransmitted_packets: int = 0
    retransmitted_bytes: int = 0
    # headers of what was sent again; packets of padding alone, and their bytes
    retransmitted_header_bytes: int = 0
    padding_packets: int = 0
    padding_bytes: int = 0
    frames_sent: int = 0
    nacks: int = 0
    plis: int = 0
    firs: int = 0
    # sequence numbers begin in the lower half, so that the first wrap cannot confuse SRTP (RFC 3711 3.3.1)
    sequence_number: int = field(default_factory=lambda: random.getrandbits(15))
    rtx_sequence_number: int = field(default_factory=lambda: random.getrandbits(15))
    _first_number: int = 0
    # what packets have waited for their turn in former sessions, in seconds
    send_delay_before: float = 0.0
    # (sequence number, packet without RTX, when it was sent first and last)
    _history: list[tuple[int, bytes, float, float] | None] = field(default_factory=list)
    _repeat_allowance: int = REPEAT_BURST
    # the timestamps of the last two frames, and when the later one was sent
    _last_two: tuple[int, int] = (-1, -1)
    _last_at: float = 0.0
    # the time line: what goes out, what it was made from, when
    timestamp: int = field(default_factory=lambda: random.getrandbits(32))
    _source: int | None = None
    _sent_at: float = 0.0
    # the last report sent: its middle 32 bits and time
    _lsr: int = 0
    _reported_at: float = 0.0
    # what the other end reports
    remote: rtcp.ReceiverInfo | None = None
    remote_at: float = 0.0
    round_trip: float | None = None
    round_trips: int = 0
    round_trip_total: float = 0.0

    def __post_init__(self) -> None:
        self._first_number = self.sequence_number

    def rebase(self) -> None:
        """The next frame comes from another source: its time goes on where this one stopped."""
        self._source = None

    @property
    def sent_at(self) -> float:
        """When the last frame was sent; 0.0 before the first one."""
        return self._sent_at

    def go_on(self, number: int, timestamp: int, sent_at: float, rtx_number: int) -> None:
        """Packets were sent in this stream by somebody else: what comes next goes on from there."""
        self.sequence_number = number & 0xFFFF
        self.timestamp = timestamp
        self._sent_at = sent_at
        self.rtx_sequence_number = rtx_number
        self.rebase()

    def map_timestamp(self, source: int, now: float, *, least: int = 1) -> int:
        """The RTP timestamp of a frame whose own clock says `source` (in ticks); it only ever rises.

        Args:
            least: ticks from the last frame to this one, at least, where the source's own are of no use.
        """
        previous, rate = self._source, self.clock_rate
        step = None if previous is None else source - previous
        elapsed = now - self._sent_at if self._sent_at else 0.0
        if step is None or not 0 < step <= JUMP * rate or elapsed * rate - step > BEHIND * rate:
            # a new beginning: as much later as time has passed
            step = max(least, int(elapsed * rate)) if self._sent_at else 0
        self._source = source
        self._sent_at = now
        self.timestamp = self.timestamp + step & 0xFFFFFFFF
        return self.timestamp

    def send_frame(
        self,
        payload_type: int,
        payloads: list[bytes],
        timestamp: int,
        *,
        marker: bool,
        level: int,
        turns: int | None = None,
        protection: Protection | None = None,
        now: float | None = None,
    ) -> None:
        """Send one frame as packets; `marker` on the last (video) or as given (audio).

        Args:
            level: of sound, in -dBov.
            turns: how the picture is held, told with the last packet; None where it need not be told.
            protection: corrections follow the frame, for one lost packet each.
            now: the time of day, where it is known.
        """
        if now is None:
            now = wall_time()
        if timestamp != self._last_two[1]:
            self._last_two, self._last_at = (self._last_two[1], timestamp), now
        last = len(payloads) - 1
        ending = self.template
        if turns is not None and ending.turned:
            ending = ending.turned[turns]
        count = 0 if protection is None else protection.corrections(len(payloads), self.loss(now))
        wrapped = bytes((payload_type,)) if count else b""
        outer = protection.red if protection is not None and count else payload_type
        sent: list[bytes] = []
        for index, payload in enumerate(payloads):
            extensions = (ending if index == last else self.template).write(now, level)
            sent.append(
                self._send_one(outer, marker and index == last, timestamp, extensions, wrapped + payload, now)
            )
        if protection is not None and count:
            for correction in protection.correct(sent, payload_type, count):
                extensions = self.template.write(now, level)
                packet = self._send_one(outer, False, timestamp, extensions, correction, now)
                self.note_overhead(len(packet), now)
        self.frames_sent += 1
        self._repeat_allowance = min(self._repeat_allowance, REPEAT_BURST)

    def _send_one(
        self, payload_type: int, marker: bool, timestamp: int, extensions: bytes, payload: bytes, now: float
    ) -> bytes:
        number = self.sequence_number
        packet = rtp.write_rtp(
            payload_type, marker, number, timestamp, self.encoding.ssrc, extensions, payload
        )
        if self._history:
            self._history[number % HISTORY] = (number, packet, now, now)
            self._repeat_allowance += len(packet)
        self.sequence_number = number + 1 & 0xFFFF
        self.send(packet)
        self.packets_sent += 1
        self.bytes_sent += len(payload)
        self.header_bytes_sent += len(packet) - len(payload)
        return packet

    def loss(self, now: float) -> float:
        """The part of our packets that was lost lately, as far as the other end told."""
        if self.remote is None or now - self.remote_at > LOSS_LIFETIME:
            return 0.0
        return self.remote.fraction_lost / 256

    def keep_history(self, keep: bool) -> None:
        """Whether packets can be asked for again."""
        if keep and not self._history:
            self._history = [None] * HISTORY
        elif not keep:
            self._history = []

    def repeat(self, numbers: list[int], now: float) -> bool:
        """Send packets again that the other end misses (as RTX where that is negotiated).

        Returns:
            Whether some will never come: too old, or too many. Only a key frame helps then.
        """
        is_beyond = False
        interval = min(
            max(REPEAT_INTERVAL, REPEAT_ROUND_TRIPS * (self.round_trip or 0.0)), REPEAT_INTERVAL_MAX
        )
        for number in numbers:
            kept = self._history[number % HISTORY] if self._history else None
            if (number - self.sequence_number) & 0xFFFF < 0x8000:
                # not sent yet: who waits for the end of a picture guesses its number
                continue
            if kept is None or kept[0] != number or self._is_old(kept[1], kept[2], now):
                is_beyond = True
                continue
            if kept[3] > now - interval:
                continue
            packet = kept[1]
            if len(packet) > self._repeat_allowance or not self.may_repeat(len(packet), now):
                return True
            self._repeat_allowance -= len(packet)
            self._history[number % HISTORY] = (number, packet, kept[2], now)
            rtx_payload_type = self.rtx_payload_types.get(packet[1] & 0x7F)
            if rtx_payload_type is not None and self.encoding.rtx_ssrc is not None:
                packet = rtp.rewrap_rtx(
                    packet, rtx_payload_type, self.rtx_sequence_number, self.encoding.rtx_ssrc
                )
                self.rtx_sequence_number = self.rtx_sequence_number + 1 & 0xFFFF
            self.send(packet)
            headers = rtp.header_size(kept[1])
            self.retransmitted_packets += 1
            self.retransmitted_bytes += len(kept[1]) - headers
            self.retransmitted_header_bytes += headers
        return is_beyond

    def _is_old(self, packet: bytes, sent_at: float, now: float) -> bool:
        """Whether it is too late to send a packet again."""
        if now - sent_at <= REPEAT_MAX_AGE:
            return False
        (timestamp,) = _U32.unpack_from(packet, 4)
        return timestamp != self._last_two[0] or now - self._last_at > REPEAT_MAX_AGE

    def make_padding(self, size: int) -> bytes | None:
        """A packet without content in the retransmission stream (RFC 4588), with so many bytes of padding.

        Returns:
            None where retransmissions were not negotiated, or nothing was sent yet.
        """
        payload_type = next(iter(self.rtx_payload_types.values()), None)
        if payload_type is None or self.encoding.rtx_ssrc is None or not self.packets_sent:
            return None
        number = self.rtx_sequence_number
        self.rtx_sequence_number = number + 1 & 0xFFFF
        packet = rtp.write_padding(
            payload_type,
            number,
            self.timestamp,
            self.encoding.rtx_ssrc,
            self.template.write(wall_time(), 0),
            size,
        )
        self.padding_packets += 1
        self.padding_bytes += len(packet)
        return packet

    def write_report(self, cname: str, now: float, timestamp: int | None = None) -> bytes | None:
        """A sender report with a source description; None before the first packet.

        Args:
            timestamp: the RTP timestamp of what is captured now, where that is known better than from here.
        """
        if not self.packets_sent:
            return None
        stamp = ntp(now)
        self._lsr = stamp >> 16 & 0xFFFFFFFF
        self._reported_at = now
        # the timestamp that a frame would have now (RFC 3550 section 6.4.1)
        since = int((now - self._sent_at) * self.clock_rate) if self._sent_at else 0
        current = self.timestamp + since & 0xFFFFFFFF if timestamp is None else timestamp
        return rtcp.write_sender_report(
            self.encoding.ssrc, stamp, current, self.packets_sent, self.bytes_sent, cname
        )

    def take_report(self, block: rtcp.ReceiverInfo, now: float) -> None:
        """The other end reports about this stream (RFC 3550 section 6.4.1: round trip)."""
        self.remote, self.remote_at = block, now
        if block.lsr and block.lsr == self._lsr:
            rtt = now - self._reported_at - block.dlsr / 65536
            if rtt >= 0:
                self.round_trip = rtt
                self.round_trips += 1
                self.round_trip_total += rtt

    def stats(self, kind: str) -> dict[str, object]:
        """Members of RTCOutboundRtpStreamStats that packets tell, by their W3C names.

        What goes over the retransmission stream is accounted for here too (webrtc-stats 8.4): what is sent
        again is part of `packetsSent` and `bytesSent`, padding is part of `headerBytesSent`.
        """
        return {
            "type": "outbound-rtp",
            "ssrc": self.encoding.ssrc,
            "kind": kind,
            "rid": self.encoding.rid,
            "rtxSsrc": self.encoding.rtx_ssrc,
            "active": self.encoding.active,
            "packetsSent": self.packets_sent + self.retransmitted_packets + self.padding_packets,
            "bytesSent": self.bytes_sent + self.retransmitted_bytes,
            "headerBytesSent": self.header_bytes_sent + self.retransmitted_header_bytes + self.padding_bytes,
            "retransmittedPacketsSent": self.retransmitted_packets,
            "retransmittedBytesSent": self.retransmitted_bytes,
            "nackCount": self.nacks,
        }

    def remote_stats(self, kind: str) -> dict[str, object] | None:
        """Members of RTCRemoteInboundRtpStreamStats; None before the first report."""
        block = self.remote
        if block is None:
            return None
        stats: dict[str, object] = {
            "type": "remote-inbound-rtp",
            "ssrc": self.encoding.ssrc,
            "kind": kind,
            "timestamp": self.remote_at * 1000,
            "packetsLost": block.packets_lost,
            # as far as the report reaches, which is older than what was sent last
            "packetsReceived": max(0, block.highest_sequence - self._first_number + 1 - block.packets_lost),
            "jitter": block.jitter / self.clock_rate,
            "fractionLost": block.fraction_lost / 256,
            "roundTripTimeMeasurements": self.round_trips,
            "totalRoundTripTime": self.round_trip_total,
        }
        if self.round_trip is not None:
            stats["roundTripTime"] = self.round_trip
        return stats
