"""Relay: what arrives at a receiver leaves in a sender's stream, without being decoded.

The stream's numbers, times and counters go on over the change from encoding to forwarding and back.
Owns: one output of the receiver's source. Never: the stream itself (the sender's), decodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.rtp import fan_out, rtcp
from rtcpeer.rtp.forwarding import Output
from rtcpeer.rtp.headers import HeaderPlan
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.parameters import SendParameters
from rtcpeer.rtp.repeating import Retransmissions
from rtcpeer.rtp.session import RtpSession
from rtcpeer.rtp.source import Source
from rtcpeer.rtp.temporal import ALL

# What changes how a payload is read; of parameters that are not here, receivers take any value.
_ESSENTIAL = {
    "H264": ("packetization-mode", "profile-level-id"),
    "H265": ("profile-id", "tx-mode"),
    "VP9": ("profile-id",),
    "AV1": ("profile",),
}
_DEFAULTS = {
    "packetization-mode": "0",
    "profile-id": "0",
    "profile": "0",
    "tx-mode": "SRST",
    "profile-level-id": "420010",
}
# Over so many seconds the part of packets is worked out that a subscriber lost, while the source loses some too.
REPORT_WINDOW = 2.0
# Sequence numbers of an output begin so far up, so that what comes before the first packet is not negative.
_OFFSET = 0x10000

# packets, bytes and pictures; packets and bytes sent again; packets and bytes of padding
NOTHING = (0, 0, 0, 0, 0, 0, 0)


def same_codec(one: PayloadFormat, other: PayloadFormat) -> bool:
    """Whether payloads of one format that arrive can be sent as another: the same codec, profile and packetization.

    Who takes fragments of H.264 takes single NAL units as well (RFC 6184 section 6.3), not the other way round.
    """
    if one.name != other.name or one.clock_rate != other.clock_rate:
        return False
    if (one.codec.channels or 1) != (other.codec.channels or 1):
        return False
    for name in _ESSENTIAL.get(one.name, ()):
        ours = one.codec.parameter(name) or _DEFAULTS[name]
        theirs = other.codec.parameter(name) or _DEFAULTS[name]
        if one.name == "H264" and name == "profile-level-id":
            # the level at the end is a limit, and baseline is constrained baseline with more allowed
            ours, theirs = ours[:2].lower(), theirs[:2].lower()
        if name == "packetization-mode" and ours == "0" and theirs == "1":
            continue
        if one.name == "H265" and name == "profile-id":
            ours, theirs = ours if ours != "0" else "1", theirs if theirs != "0" else "1"
        if ours != theirs:
            return False
    return True


def payload_type_map(received: Iterable[PayloadFormat], sent: list[PayloadFormat]) -> dict[int, int]:
    """Payload types that are sent, by those that arrive; what has no counterpart is left out."""
    result: dict[int, int] = {}
    for form in received:
        if form.is_media or form.name == "TELEPHONE-EVENT":
            # those that could be forwarded in return, before those that take more
            alike = [other for other in sent if same_codec(form, other)]
            match = next((other for other in alike if same_codec(other, form)), alike[0] if alike else None)
            if match is not None:
                result[form.payload_type] = match.payload_type
    return result


class Relay:
    """The forwarding of one sender.

    Args:
        receiver: where it comes from.
        layer: the rid that is wanted; None for the best one.

    Attributes:
        on_begin: called when the first packet of a source is about to leave.
        on_close: called once when it has ended for ever: the sender was stopped, or forwards something else.
    """

    def __init__(self, receiver: MediaReceiver, layer: str | None = None) -> None:
        self.on_begin: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self._receiver = receiver
        self._source: Source = receiver.source
        receiver.watch(self._update_plan)
        self._layer = layer
        self._temporal: int | None = None
        self._paused = False
        self._closed = False
        self._output: Output | None = None
        self._repeats: Retransmissions | None = None
        self._packets: OutboundStream | None = None
        self._session: RtpSession | None = None
        self._parameters = SendParameters("", (), ())
        self._formats: list[PayloadFormat] = []
        # counted by outputs that have ended
        self._past: tuple[int, ...] = NOTHING
        # counted in the stream already
        self._settled: tuple[int, ...] = NOTHING
        self.keyframe_requests: int = 0
        # for reports of loss without that of the source: when a window began, what was lost and the highest number
        # that had arrived by then; and the part that was lost in the last one, of 256
        self._window = (0.0, 0, 0)
        self._fraction = 0
        self._had_holes = False

    @property
    def receiver(self) -> MediaReceiver:
        """The receiver that packets come from."""
        return self._receiver

    @property
    def is_running(self) -> bool:
        """Whether packets are forwarded, or would be if any came."""
        return self._output is not None

    @property
    def can_go_on(self) -> bool:
        """Whether what arrives now can still be sent as it is."""
        current = self._receiver.current_format
        if self._output is None or self._receiver.encoded.transform is not None:
            return False
        return current is None or current.payload_type in self._output.plan.payload_types

    # -- what the user says ------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether nothing is forwarded; numbers and times go on without a gap afterwards."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._paused = value
        output = self._output
        if output is None:
            return
        if value:
            self.settle()
            self._source.remove(output)
        elif output not in self._source.outputs:
            self._source.add(output, self._layer, wall_time())

    @property
    def layer(self) -> str | None:
        """The rid that is wanted; None for the best one that the way to the subscriber bears."""
        return self._layer

    @layer.setter
    def layer(self, value: str | None) -> None:
        self._layer = value
        if self._output is not None:
            self._source.prefer(self._output, value, wall_time())

    @property
    def current_layer(self) -> str | None:
        """The rid of what is forwarded now; None if it has none, or nothing is."""
        stream = None if self._output is None else self._output.stream
        return None if stream is None else stream.origin.rid

    @property
    def current_temporal_layer(self) -> int | None:
        """The highest temporal layer of what is forwarded now; None for all."""
        stream = None if self._output is None else self._output.stream
        return None if stream is None or stream.temporal >= ALL else stream.temporal

    @property
    def temporal_layer(self) -> int | None:
        """The highest temporal layer that is wanted; None for all, or for those that the way bears (see `Source`)."""
        return self._temporal

    @temporal_layer.setter
    def temporal_layer(self, value: int | None) -> None:
        self._temporal = value
        if self._output is not None:
            self._source.limit(self._output, value, wall_time())

    def switch(self, receiver: MediaReceiver) -> None:
        """Forward what another receiver gets, from its next key frame on; until then, go on as before."""
        if receiver is self._receiver:
            return
        before, self._source = self._source, receiver.source
        self._receiver.unwatch(self._update_plan)
        receiver.watch(self._update_plan)
        self._receiver = receiver
        output = self._output
        if output is not None and not self._paused:
            # the former source may have ended; then there is nothing to go on with meanwhile
            before.hand_over(output)
            self._source.add(output, self._layer, wall_time())
        self._update_plan()

    def request_keyframe(self) -> None:
        """The subscriber needs a picture that can be decoded by itself."""
        self.keyframe_requests += 1
        if self._output is not None:
            self._source.request_keyframe(self._output, wall_time())

    # -- what the sender says ----------------------------------------------------------------------

    def run(
        self,
        packets: OutboundStream,
        session: RtpSession,
        parameters: SendParameters,
        formats: list[PayloadFormat],
    ) -> None:
        """Forward in this stream, or go on so with what was negotiated now."""
        if self._closed:
            return
        if self._output is not None and (packets is not self._packets or session is not self._session):
            self.halt()
        self._packets, self._session = packets, session
        self._parameters, self._formats = parameters, formats
        plan = self._plan()
        if self._output is None:
            self._start(packets, session, plan)
        else:
            self._output.use(plan)
        self._set_rtx()

    def halt(self) -> None:
        """Forward nothing; the stream goes on from here."""
        output, packets, repeats = self._output, self._packets, self._repeats
        if output is None or packets is None or repeats is None:
            return
        self.settle()
        self._past = tuple([before + now for before, now in zip(self._past, self._settled, strict=True)])
        self._source.remove(output)
        self._output = self._repeats = None
        timestamp, sent_at = output.last_timestamp
        if output.begun and timestamp is not None:
            packets.go_on(output.next_number, timestamp, sent_at, repeats.rtx_number)
        output.on_begin = None

    def close(self) -> None:
        """Forward nothing, for ever."""
        self.halt()
        self._closed = True
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()
        self._receiver.unwatch(self._update_plan)
        self.on_begin = None

    def _start(self, packets: OutboundStream, session: RtpSession, plan: HeaderPlan) -> None:
        self._settled = NOTHING
        output = self._output = Output(
            packets.encoding.ssrc,
            plan,
            session.send_parts,
            number=packets.sequence_number + _OFFSET,
            timestamp=packets.timestamp if packets.sent_at else None,
            sent_at=packets.sent_at,
            clock_rate=self._clock_rate(plan),
        )
        repeats = self._repeats = Retransmissions(output)
        repeats.rtx_number = packets.rtx_sequence_number
        repeats.round_trip = packets.round_trip
        repeats.may_repeat = session.may_repeat
        output.gather, output.session = fan_out.gather(), session
        output.temporal = self._temporal
        output.on_begin = self._begun
        output.is_filled = bool(packets.sent_at)
        if not self._paused:
            self._source.add(output, self._layer, wall_time())

    def _begun(self) -> None:
        if self.on_begin is not None:
            self.on_begin()
        output, packets, repeats = self._output, self._packets, self._repeats
        if output is not None and packets is not None and repeats is not None and not output.begun:
            # frames may have been encoded until now
            timestamp = packets.timestamp if packets.sent_at else None
            output.go_on_from(packets.sequence_number + _OFFSET, timestamp, packets.sent_at)
            repeats.rtx_number = packets.rtx_sequence_number

    def _clock_rate(self, plan: HeaderPlan) -> int:
        sent = set(plan.payload_types.values())
        rates = [f.clock_rate for f in self._formats if f.payload_type in sent and f.is_media]
        return rates[0] if rates else 90000

    def _plan(self) -> HeaderPlan:
        types = payload_type_map(self._receiver.formats.values(), self._formats)
        extensions = self._parameters.header_extensions
        ids = {e.uri: e.id for e in extensions if e.id is not None and 0 < e.id < 256}
        return HeaderPlan(types, self._parameters.mid, ids)

    def _update_plan(self) -> None:
        if self._output is not None:
            plan = self._plan()
            self._output.clock_rate = self._clock_rate(plan)
            self._output.use(plan)
            self._set_rtx()

    def _set_rtx(self) -> None:
        repeats, packets = self._repeats, self._packets
        if repeats is None or packets is None:
            return
        ssrc, types = packets.encoding.rtx_ssrc, packets.rtx_payload_types
        repeats.rtx = None if ssrc is None or not types else (ssrc, dict(types))

    # -- what the other end says -------------------------------------------------------------------

    def on_report(self, block: rtcp.ReceiverInfo, now: float) -> None:
        """The subscriber reports: packets that we never had are no loss of its own."""
        packets, output, repeats = self._packets, self._output, self._repeats
        if packets is None or output is None or repeats is None:
            return
        holes = output.holes()
        if holes or self._had_holes:
            self._had_holes = True
            lost = max(0, block.packets_lost - holes)
            since, lost_before, highest_before = self._window
            if now - since >= REPORT_WINDOW:
                # over a while: what is missing in one moment comes in the next
                expected = block.highest_sequence - highest_before & 0xFFFFFFFF
                part = 256 * (lost - lost_before) // expected if since and expected else 0
                self._fraction = min(255, max(0, part))
                self._window = (now, lost, block.highest_sequence)
            block = dataclasses.replace(block, packets_lost=lost, fraction_lost=self._fraction)
        packets.take_report(block, now)
        repeats.round_trip = packets.round_trip

    def on_nack(self, numbers: list[int], now: float) -> None:
        """The subscriber misses packets."""
        output, repeats = self._output, self._repeats
        if output is not None and repeats is not None and repeats.repeat(numbers, now):
            self._source.request_keyframe(output, now)

    def on_estimate(self, bitrate: int) -> None:
        """Take the bitrate that the way to the subscriber bears, in bit/s."""
        if self._output is not None:
            self._output.estimate = bitrate
            self._source.choose_output(self._output, wall_time())

    @property
    def wanted(self) -> int:
        """The bitrate that would be forwarded if the way to the subscriber bore it, in bit/s."""
        return 0 if self._output is None else self._source.wanted(self._output, wall_time())

    def make_padding(self, size: int) -> bytes | None:
        """Implements `rtp.session.RtpSender.make_padding`."""
        return None if self._repeats is None else self._repeats.make_padding(size)

    def write_report(self, cname: str, now: float) -> bytes | None:
        """A sender report that keeps sound and picture of the source together; None before the first packet."""
        packets, output = self._packets, self._output
        if packets is None or output is None:
            return None
        self._mind_route(output, now)
        self.settle()
        timestamp = None
        stream = output.stream
        if stream is not None:
            captured = None if stream.clock is None else stream.clock.timestamp_at(now)
            if captured is None:
                # as long as the source has not reported: as if its last packet had been captured when it came
                captured = stream.timestamp + int((now - stream.timestamp_at) * stream.clock_rate)
            timestamp = captured + output.time_offset & 0xFFFFFFFF
        elif output.last_timestamp[0] is not None:
            last, sent_at = output.last_timestamp
            timestamp = (last or 0) + int((now - sent_at) * output.clock_rate) & 0xFFFFFFFF
        return packets.write_report(cname, now, timestamp)

    def _mind_route(self, output: Output, now: float) -> None:
        """Forward nothing while there is no way to the subscriber.

        Numbers that nobody hears of would leave SRTP's count of their cycles behind (RFC 3711 section 3.3.1).
        """
        has_route = self._session is not None and self._session.has_route()
        if not has_route and output in self._source.outputs:
            self._source.remove(output)
        elif has_route and not self._paused and output not in self._source.outputs:
            self._source.add(output, self._layer, now)

    # -- counters ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Count in the stream what went out since the last time."""
        output, packets, repeats = self._output, self._packets, self._repeats
        if output is None or packets is None or repeats is None:
            return
        repeated = repeats.repeated_packets, repeats.repeated_bytes
        counted = (*output.counts(), *repeated, repeats.padding_packets, repeats.padding_bytes)
        sent, size, frames, again, again_size, padding, padding_size = (
            now - before for now, before in zip(counted, self._settled, strict=True)
        )
        self._settled = counted
        packets.packets_sent += sent
        packets.bytes_sent += size
        packets.header_bytes_sent += sent * (12 + output.plan.overhead)
        packets.frames_sent += frames
        packets.retransmitted_packets += again
        packets.retransmitted_bytes += again_size
        packets.retransmitted_header_bytes += again * (12 + output.plan.overhead)
        packets.padding_packets += padding
        packets.padding_bytes += padding_size

    def stats(self) -> dict[str, object]:
        """The numbers of what was forwarded since forwarding began.

        Returns:
            packets, bytes, frames, retransmittedPackets, retransmittedBytes, keyFrameRequests; `layer`, the rid that
            is forwarded now; `layers`, those that the source gives; `temporalLayer`, as it was set;
            `currentTemporalLayer`, the highest that is forwarded now, None for all; `waiting` for a key frame; `lost`,
            packets that the subscriber reports lost; `missing`, packets that never reached us;
            `estimate` in bit/s or None; `roundTripTime` in s or None.
        """
        output = self._output
        self.settle()
        current = NOTHING if output is None else self._settled
        remote = None if self._packets is None else self._packets.remote
        total = [a + b for a, b in zip(self._past, current, strict=True)]
        packets, size, frames, again, again_size = total[:5]
        return {
            "packets": packets,
            "bytes": size,
            "frames": frames,
            "retransmittedPackets": again,
            "retransmittedBytes": again_size,
            "keyFrameRequests": self.keyframe_requests,
            "layer": self.current_layer,
            "layers": self._source.layers,
            "temporalLayer": self._temporal,
            "currentTemporalLayer": self.current_temporal_layer,
            "waiting": output is not None and (self._source.awaited(output) is not None or not output.begun),
            "lost": 0 if remote is None else max(0, remote.packets_lost),
            "missing": 0 if output is None else output.holes(),
            "estimate": None if output is None else output.estimate,
            "roundTripTime": None if self._repeats is None else self._repeats.round_trip,
        }
