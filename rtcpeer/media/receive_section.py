"""ReceiveSection: what one receiver receives, and over what: the RTP session, the parameters, the streams.

The receiver shares it with its tap (`tapping`), which knows nothing else of the receiver. Both count what comes here,
and ask by it for what is missing.
Owns: the formats, the streams by SSRC, who repairs whom, feedback to the other end. Never: the content of packets.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.media.codecs import PayloadFormat, payload_format
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.congestion.receive_side import RemoteBitrateEstimator
from rtcpeer.rtp.contributing_sources import ContributingSources
from rtcpeer.rtp.inbound import CountedPacket, InboundStream
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.parameters import ReceiveParameters
from rtcpeer.rtp.session import RtpSession, transport_cc_id
from rtcpeer.rtp.sound_buffer import SoundBuffer

# Streams of one section (an SSRC change, simulcast); older ones are forgotten.
STREAMS_MAX = 16


class ReceiveSection:
    """Session, parameters and streams of one receiver.

    Args:
        kind: "audio" or "video".
        make_buffer: makes the buffer of a new stream, given its clock rate.
        on_format: told that a stream comes in another format than before.
        on_flow: told that something comes, or nothing any more.
        on_forgotten: told that a stream is over, as there are too many.

    Attributes:
        session: the RTP session that packets come from.
        parameters: what is received; None for nothing.
        mid: of the section; "" before it has one.
        formats: those of the section, by payload type.
        streams: by SSRC.
        heard: the sources that were heard lately.
        flows: whether packets come.
        reads: whether packets are wanted behind the tap too; while not, they are not buffered.
    """

    def __init__(
        self,
        kind: str,
        *,
        make_buffer: Callable[[int], FrameBuffer | SoundBuffer],
        on_format: Callable[[PayloadFormat], None],
        on_flow: Callable[[bool], None],
        on_forgotten: Callable[[InboundStream], None],
    ) -> None:
        self.kind = kind
        self.session: RtpSession | None = None
        self.parameters: ReceiveParameters | None = None
        self.mid: str = ""
        self.formats: dict[int, PayloadFormat] = {}
        self.streams: dict[int, InboundStream] = {}
        self.heard: ContributingSources = ContributingSources()
        self.flows: bool = False
        self.reads: bool = True
        self._make_buffer = make_buffer
        self._on_format = on_format
        self._on_flow = on_flow
        self._on_forgotten = on_forgotten
        # retransmission SSRC -> media SSRC
        self._repairs: dict[int, int] = {}
        self._estimator: RemoteBitrateEstimator | None = None

    def configure(self, parameters: ReceiveParameters | None) -> None:
        """Receive with these parameters from now on, or nothing."""
        self.parameters = parameters
        self.mid = ""
        self.formats = {}
        self._repairs = {}
        if parameters is None:
            self.flows = False
            return
        self.mid = parameters.mid
        self.formats = {f.payload_type: f for f in map(payload_format, parameters.codecs)}
        for source in parameters.sources:
            if source.rtx_ssrc is not None:
                self._repairs[source.rtx_ssrc] = source.ssrc

    def set_flow(self, flows: bool) -> None:
        """Something comes, or nothing any more."""
        if flows is not self.flows:
            self.flows = flows
            self._on_flow(flows)

    # -- streams -----------------------------------------------------------------------------------

    def count(self, packet: CountedPacket, form: PayloadFormat, now: float) -> InboundStream:
        """Take note of a packet that came, in its stream; `form` is that of what it carries."""
        stream = self.streams.get(packet.ssrc)
        if stream is None:
            stream = self._new_stream(packet.ssrc, form)
        # what a correction is wrapped in is no other format of the stream
        if stream.payload_type != form.payload_type and form.name != "RED":
            stream.payload_type = form.payload_type
            self._on_format(form)
        stream.count(packet, now)
        self.heard.note(packet, now)
        if not self.flows:
            self.set_flow(True)
        return stream

    def _new_stream(self, ssrc: int, form: PayloadFormat) -> InboundStream:
        if len(self.streams) >= STREAMS_MAX:
            oldest = min(self.streams.values(), key=lambda s: s.last_packet_at)
            del self.streams[oldest.ssrc]
            self._on_forgotten(oldest)
        stream = InboundStream(ssrc, self._make_buffer(form.clock_rate), form.clock_rate)
        if self.streams:
            # the time of the track goes on where the previous stream is
            stream.presentation = max(s.presentation for s in self.streams.values()) + form.clock_rate // 30
        self.streams[ssrc] = stream
        return stream

    @property
    def current_format(self) -> PayloadFormat | None:
        """The format of what arrived last; None before the first packet, and while that is no sound or picture."""
        stream = max(self.streams.values(), key=lambda s: s.last_packet_at, default=None)
        form = None if stream is None else self.formats.get(stream.payload_type)
        return form if form is not None and form.is_media else None

    def repaired_ssrc(self, ssrc: int, repaired_rid: str | None) -> int | None:
        """The SSRC that a retransmission stream repairs (RFC 4588); None if that cannot be told."""
        repaired = self._repairs.get(ssrc)
        if repaired is not None or len(self._repairs) >= 2 * STREAMS_MAX:
            return repaired
        if repaired_rid is not None:
            # RFC 8852 section 3.2: the layer that it repairs
            repaired = next((s.ssrc for s in self.streams.values() if s.rid == repaired_rid), None)
        elif len(self.streams) == 1:
            # not announced, but there is only one stream that it can repair
            repaired = next(iter(self.streams))
        if repaired is not None:
            self._repairs[ssrc] = repaired
        return repaired

    def repairs(self) -> dict[int, int]:
        """The SSRCs of retransmissions, by that of the stream that they repair, as far as they are known."""
        return {repaired: ssrc for ssrc, repaired in self._repairs.items()}

    # -- feedback ----------------------------------------------------------------------------------

    def repeats(self, ssrc: int) -> bool:
        """Whether packets of a stream are sent again to who asks for them (NACK was negotiated)."""
        stream = self.streams.get(ssrc)
        form = None if stream is None else self.formats.get(stream.payload_type)
        return form is not None and form.nack

    def ask_packets(self, ssrc: int, numbers: list[int], now: float) -> None:
        """Send a request for packets of a stream that are missing."""
        stream = self.streams.get(ssrc)
        if stream is not None:
            stream.nacks += 1
            self._feed_back(stream, now, lambda own: rtcp.write_nack(own, ssrc, numbers))

    def ask_keyframe(self, ssrc: int, now: float) -> None:
        """Send a request for a key frame of a stream."""
        stream = self.streams.get(ssrc)
        if stream is not None:
            stream.pli_at = now
            stream.plis += 1
            self._feed_back(stream, now, lambda own: rtcp.write_pli(own, ssrc))

    def estimate(self, send_time: int, size: int, ssrc: int, form: PayloadFormat, now: float) -> None:
        """Tell the sender what the path seems to bear (goog-remb).

        Args:
            send_time: of a packet, as abs-send-time has it.
            size: of its payload and padding, in bytes.
        """
        if self._estimator is None:
            if not (form.remb or any(f.remb for f in self.formats.values())):
                return
            extensions = self.parameters.header_extensions if self.parameters is not None else ()
            if transport_cc_id(extensions):
                # the sender estimates itself
                return
            self._estimator = RemoteBitrateEstimator()
        estimate = self._estimator.add(send_time, size, ssrc, now)
        stream = self.streams.get(ssrc)
        if estimate is not None and stream is not None:
            bitrate, ssrcs = estimate
            self._feed_back(stream, now, lambda own: rtcp.write_remb(own, bitrate, ssrcs))

    def _feed_back(self, stream: InboundStream, now: float, write: Callable[[int], bytes]) -> None:
        if self.session is not None and self.parameters is not None:
            self.session.send_feedback(self.mid, stream.report(now), write)
