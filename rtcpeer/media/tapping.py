"""The tap of a receiver: its packets go to the outputs of its `Source` before anything is made of them.

While nobody reads the track, that is all that is done with them, beside counting and asking for what is missing; else
they take the usual way as well. Packets are unwrapped from RTX and RED, corrections and padding are left out.
Owns: the source, two timers, what is registered at the session. Never: decodes, buffers pictures.
"""

from __future__ import annotations

import asyncio
import logging

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.receive_section import ReceiveSection
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.clocks import StreamClock
from rtcpeer.rtp.dependency import begins_keyframe
from rtcpeer.rtp.forwarding import SourceStream
from rtcpeer.rtp.packet import URI_ABS_SEND_TIME, URI_DEPENDENCY, URI_MID, URI_REPAIRED_RID, URI_RID
from rtcpeer.rtp.relay_packet import (
    RelayPacket,
    read_packet_untrusted,
    unwrap_red_untrusted,
    unwrap_rtx_untrusted,
)
from rtcpeer.rtp.session import RtpSession
from rtcpeer.rtp.source import Source

logger = logging.getLogger(__name__)

_CORRECTIONS = frozenset(("ULPFEC", "FLEXFEC", "FLEXFEC-03"))


class ReceiverTap:
    """Forwards what one receiver gets.

    Args:
        section: what the receiver receives.
        name: for logs.

    Attributes:
        source: what outputs join.
        malformed: packets that could not be read.
    """

    def __init__(self, section: ReceiveSection, *, name: str = "") -> None:
        self.malformed: int = 0
        self._section = section
        self._name = name
        self._session: RtpSession | None = None
        self._ssrcs: set[int] = set()
        self._clocks: dict[int, StreamClock] = {}
        self._timer: asyncio.Handle | None = None
        # runs while a packet is missing
        self._repair_timer: asyncio.TimerHandle | None = None
        self.source: Source = Source(section.kind, self._ask, self._wake)

    def attach(self, session: RtpSession | None) -> None:
        """Packets come from here; SSRCs are learned again as they come."""
        if session is self._session:
            return
        self._untap()
        self._session = session

    def knows(self, ssrc: int) -> bool:
        """Whether packets of an SSRC come by the tap already.

        Where two sections use one SSRC, the tap is that of whoever had a packet last, and each has to learn again.
        """
        session = self._session
        return ssrc in self._ssrcs and session is not None and session.tap_of(ssrc) == self._receive

    def learn(self, ssrc: int, data: bytes, now: float) -> None:
        """A packet of an SSRC came that takes only the usual way so far."""
        if self._session is None:
            return
        self._ssrcs.add(ssrc)
        self._session.tap(ssrc, self._receive)
        self._forward(data, now, is_counted=True)

    def on_sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Implements `rtp.session.RtpReceiver.on_sender_report`."""
        clock = self._clocks.get(report.ssrc)
        if clock is not None:
            info = report.sender_info
            clock.note(info.ntp_timestamp, info.rtp_timestamp, now)

    def forget(self, ssrc: int) -> None:
        """A stream is over."""
        self._ssrcs.discard(ssrc)
        self._clocks.pop(ssrc, None)
        if self._session is not None and self._session.tap_of(ssrc) == self._receive:
            self._session.untap(ssrc)
        self.source.remove_stream(ssrc, wall_time())

    def close(self) -> None:
        """Forward nothing more."""
        self._untap()
        self._session = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_repairing()
        for output in list(self.source.outputs):
            self.source.remove(output)

    def _untap(self) -> None:
        if self._session is not None:
            for ssrc in self._ssrcs:
                if self._session.tap_of(ssrc) == self._receive:
                    self._session.untap(ssrc)
        self._ssrcs.clear()

    # -- packets -----------------------------------------------------------------------------------

    def _receive(self, data: bytes, now: float) -> bool:
        is_read = self._section.reads
        return self._forward(data, now, is_counted=is_read) and not is_read

    def _forward(self, data: bytes, now: float, *, is_counted: bool) -> bool:
        """Forward a packet.

        Args:
            is_counted: somebody else takes note of it, and asks for what is missing.

        Returns:
            False if it belongs to another section.
        """
        section, session = self._section, self._session
        if session is None:
            return False
        try:
            packet = read_packet_untrusted(data, session.extension_uris)
            rid, repaired_rid = None, None
            for uri, value in packet.elements:
                if uri == URI_MID:
                    if value.decode("ascii", "replace") != section.mid:
                        return False
                elif uri == URI_ABS_SEND_TIME:
                    form = section.formats.get(packet.payload_type)
                    if not is_counted and form is not None and section.kind == "video":
                        size = len(packet.payload) + packet.padding_size
                        section.estimate(int.from_bytes(value, "big"), size, packet.ssrc, form, now)
                elif uri == URI_DEPENDENCY:
                    packet.is_told_key = begins_keyframe(value)
                elif uri == URI_RID:
                    rid = value.decode("ascii", "replace")
                elif uri == URI_REPAIRED_RID:
                    repaired_rid = value.decode("ascii", "replace")
            self._unwrap(packet, rid, repaired_rid, now, is_counted=is_counted)
        except ValueError as exc:
            self.malformed += 1
            logger.debug("%s forwards no malformed packet: %s", self._name, exc)
        return True

    def _unwrap(
        self, packet: RelayPacket, rid: str | None, repaired_rid: str | None, now: float, *, is_counted: bool
    ) -> None:
        section = self._section
        form = section.formats.get(packet.payload_type)
        if form is None:
            return
        is_repair = form.name == "RTX"
        if is_repair:
            ssrc = section.repaired_ssrc(packet.ssrc, repaired_rid)
            size = len(packet.payload)
            if ssrc is None or form.apt is None or not unwrap_rtx_untrusted(packet, form.apt, ssrc):
                return
            form, rid = section.formats.get(form.apt), repaired_rid
            if form is None:
                return
        inner = form
        if form.name == "RED":
            unwrap_red_untrusted(packet)
            inner = section.formats.get(packet.payload_type, form)
        is_media = inner.is_media or inner.name == "TELEPHONE-EVENT"
        stream = self.source.streams.get(packet.ssrc)
        if stream is None:
            if not is_media:
                return
            stream = self._add(packet, inner, rid, now)
        if stream.rid is None and rid is not None:
            stream.rid = rid
        if not is_counted:
            inbound = section.count(packet, inner if is_media else form, now)
            if inbound.rid is None:
                inbound.rid = rid
            if is_repair:
                inbound.retransmitted_packets += 1
                inbound.retransmitted_bytes += size
        if not packet.payload or inner.name in _CORRECTIONS:
            stream.skip(packet, now)
        elif is_media:
            stream.take(packet, inner.name, now)
        if stream.reception.skipped:
            self._repair(now)
        elif self._repair_timer is not None and not stream.reception.lacking and not self._is_lacking():
            self._stop_repairing()

    def _add(self, packet: RelayPacket, form: PayloadFormat, rid: str | None, now: float) -> SourceStream:
        assert self._session is not None
        clock = self._clocks[packet.ssrc] = StreamClock(self._session.remote_clock, form.clock_rate)
        stream = self.source.add_stream(
            packet.ssrc, clock_rate=form.clock_rate, rid=rid, clock=clock, now=now
        )
        for ssrc in [ssrc for ssrc in self._clocks if ssrc not in self.source.streams]:
            del self._clocks[ssrc]
        return stream

    # -- feedback ----------------------------------------------------------------------------------

    def _is_lacking(self) -> bool:
        return any(stream.reception.lacking for stream in self.source.streams.values())

    def _stop_repairing(self) -> None:
        if self._repair_timer is not None:
            self._repair_timer.cancel()
            self._repair_timer = None

    def _repair(self, now: float) -> None:
        """Ask for packets that are missing, unless somebody else does; where they do not come, for a key frame.

        Requests are lost too, so they are repeated though nothing comes any more.
        """
        self._stop_repairing()
        section, session = self._section, self._session
        if session is None:
            return
        dues: list[float] = []
        for stream in list(self.source.streams.values()):
            reception = stream.reception
            reception.skipped = False
            if not reception.lacking:
                continue
            if reception.give_up(now) and stream.is_video and self.source.is_used(stream):
                self.source.ask(stream, now)
            asks = not section.reads and section.repeats(stream.ssrc)
            if asks:
                wanted = reception.wanted(now, session.round_trip())
                if wanted:
                    numbers = [stream.numbers.sequence_number(number) for number in wanted]
                    section.ask_packets(stream.ssrc, numbers, now)
            due = reception.due(asks=asks)
            if due is not None:
                dues.append(due)
        if dues:
            delay = max(0.001, min(dues) - now)
            self._repair_timer = asyncio.get_running_loop().call_later(delay, self._on_repair_timer)

    def _on_repair_timer(self) -> None:
        self._repair_timer = None
        self._repair(wall_time())

    def _ask(self, stream: SourceStream) -> None:
        self._section.ask_keyframe(stream.ssrc, wall_time())

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_soon(self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = wall_time()
        due = self.source.poll(now)
        if due is not None and self._timer is None:
            delay = max(0.001, due - now)
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)
