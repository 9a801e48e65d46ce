"""A received stream (SSRC): its numbers, its buffer, what to report (RFC 3550 6.4, A.3, A.8).

Owns: counters and the frame buffer of one SSRC. Never: sends, decodes.
"""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from av import AudioFrame, VideoFrame
from av.frame import Frame

from rtcpeer.records import record
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.audio_level import audio_level
from rtcpeer.rtp.contributing_sources import HeardPacket
from rtcpeer.rtp.frame_rate import FrameRate
from rtcpeer.rtp.jitter_buffer import EncodedFrame, FrameBuffer, SequenceUnwrapper
from rtcpeer.rtp.packet_requests import PacketRequests
from rtcpeer.rtp.rendering import Rendering
from rtcpeer.rtp.sound_buffer import SoundBuffer

_NTP_EPOCH = 2208988800
# Parameter sets that are kept for the next picture, in bytes.
CONFIGURATION_MAX = 16384


class CountedPacket(HeardPacket, Protocol):
    """The parts of a packet that are counted, parsed whole or on its way through a relay."""

    @property
    def sequence_number(self) -> int:
        """16 bits."""

    @property
    def payload(self) -> bytes:
        """Without padding."""

    @property
    def header_size(self) -> int:
        """With contributing sources and header extensions, in bytes."""

    @property
    def padding_size(self) -> int:
        """The size of the padding in bytes."""


@record(slots=True)
class InboundStream:
    """Counters and buffer of one SSRC; attributes have the meaning of their W3C namesakes."""

    ssrc: int
    buffer: FrameBuffer | SoundBuffer
    clock_rate: int
    payload_type: int = -1
    packets_received: int = 0
    bytes_received: int = 0
    header_bytes_received: int = 0
    retransmitted_packets: int = 0
    retransmitted_bytes: int = 0
    nacks: int = 0
    plis: int = 0
    frames_received: int = 0
    frames_decoded: int = 0
    key_frames_decoded: int = 0
    frames_dropped: int = 0
    # of those dropped: larger than what is decoded
    oversized_frames: int = 0
    emitted: int = 0
    rendering: Rendering = field(default_factory=Rendering)
    # its name among simulcast layers, once a packet told it
    rid: str | None = None
    buffer_delay: float = 0.0
    target_delay: float = 0.0
    minimum_delay: float = 0.0
    decode_time: float = 0.0
    # from the first packet of a picture to the picture
    processing_delay: float = 0.0
    # decoded pictures of several packets, and from the first to the last of these
    frames_assembled: int = 0
    assembly_time: float = 0.0
    # corrections (RFC 5109): those that came, their payloads, and those that were of no use
    fec_packets: int = 0
    fec_bytes: int = 0
    fec_discarded: int = 0
    samples: int = 0
    samples_duration: float = 0.0
    energy: float = 0.0
    level: float = 0.0
    # of all samples, those that were made up, and of these those that are silence
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    width: int = 0
    height: int = 0
    # quarter turns clockwise that make its pictures upright, as told last
    turns: int = 0
    last_packet_at: float = 0.0
    first_packet_at: float = 0.0
    # of decoded frames
    rate: FrameRate = field(default_factory=FrameRate)
    # reception (RFC 3550 A.3, A.8)
    _unwrapper: SequenceUnwrapper = field(default_factory=SequenceUnwrapper)
    _base: int = 0
    _jitter: float = 0.0
    _transit: float | None = None
    _transit_timestamp: int = -1
    _expected_before: int = 0
    _received_before: int = 0
    # the last sender report: its middle 32 bits, when it came, and its content
    _report: rtcp.SenderReport | None = None
    _report_at: float = 0.0
    reports_received: int = 0
    # presentation times: RTP timestamps on an endless line that begins at 0
    _last_timestamp: int | None = None
    presentation: int = 0
    # the smallest difference between arrival and presentation, in seconds (see `playout`)
    quickest: float | None = None
    # samples per piece of audio (W3C counts those), 1 for a picture
    _weight: int = 1
    # parameter sets that came before the picture they belong to, in packets of their own
    _configuration: bytes = b""
    # the missing packets that were asked for, and when a key frame was
    requests: PacketRequests = field(default_factory=PacketRequests)
    pli_at: float = 0.0
    needs_keyframe: bool = True

    def __post_init__(self) -> None:
        # until two pieces tell: 20 ms
        self._weight = 1 if self.buffer.is_video else self.clock_rate // 50

    def count(self, packet: CountedPacket, now: float) -> None:
        """Take note of a packet that arrived."""
        if not self.packets_received:
            self.first_packet_at = now
        self.packets_received += 1
        self.bytes_received += len(packet.payload)
        self.header_bytes_received += packet.header_size + packet.padding_size
        self.last_packet_at = now
        last = self._unwrapper.last
        number = self._unwrapper.unwrap(packet.sequence_number)
        if last is None or number < self._base:
            self._base = number
        if packet.timestamp != self._transit_timestamp and (last is None or number > last):
            # RFC 3550 A.8, in clock ticks; several packets of a picture count once
            transit = now * self.clock_rate - packet.timestamp
            if self._transit is not None:
                difference = abs(transit - self._transit)
                # a new time line of the sender is no jitter
                if difference < 10 * self.clock_rate:
                    self._jitter += (difference - self._jitter) / 16
            self._transit = transit
            self._transit_timestamp = packet.timestamp

    @property
    def expected(self) -> int:
        """How many packets the sender has sent, as far as one can see."""
        last = self._unwrapper.last
        return 0 if last is None else last - self._base + 1

    @property
    def extended_highest(self) -> int:
        """The highest sequence number, above it how often the numbers began anew (RFC 3550 6.4.1)."""
        last = self._unwrapper.last
        return 0 if last is None else last - SequenceUnwrapper.OFFSET

    @property
    def first_hand(self) -> int:
        """How many came in the stream itself; RFC 4588 repeats packets in a stream of its own."""
        return self.packets_received - self.retransmitted_packets

    @property
    def lost(self) -> int:
        """How many of them did not come at first; negative with duplicates."""
        return self.expected - self.first_hand

    @property
    def jitter_seconds(self) -> float:
        """The interarrival jitter."""
        return self._jitter / self.clock_rate

    def map_timestamp(self, timestamp: int) -> int:
        """The presentation time of an RTP timestamp, in ticks from the beginning of the stream."""
        if self._last_timestamp is not None:
            step = ((timestamp - self._last_timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            self.presentation += step
            if not self.buffer.is_video and 0 < step <= self.clock_rate // 8:
                self._weight = step
        self._last_timestamp = timestamp
        return self.presentation

    def keep_configuration(self, data: bytes) -> None:
        """Parameter sets came without a picture: they belong to the next one."""
        if len(self._configuration) + len(data) > CONFIGURATION_MAX:
            self._configuration = b""
        self._configuration += data[:CONFIGURATION_MAX]

    def take_configuration(self) -> bytes:
        """Take out the configuration that was kept for the picture that comes now."""
        data, self._configuration = self._configuration, b""
        return data

    def note_whole(self, frame: EncodedFrame, now: float) -> None:
        """A frame is whole; what it has waited for so far was its own packets or earlier ones."""
        self.minimum_delay += max(0.0, now - frame.received_at) * self._weight

    def note_passed(self, frame: EncodedFrame, now: float) -> None:
        """A frame is whole and leaves at once."""
        weight = self._weight
        self.emitted += weight
        delay = now - frame.received_at
        if delay > 0:
            self.minimum_delay += delay * weight
            self.buffer_delay += delay * weight

    def note_emitted(self, frame: EncodedFrame, now: float, target: float) -> None:
        """A frame leaves the buffer (webrtc-stats "jitterBufferDelay" and its neighbours)."""
        self.emitted += self._weight
        self.buffer_delay += max(0.0, now - frame.received_at) * self._weight
        self.target_delay += target * self._weight

    def count_decoded(self, now: float) -> None:
        """A picture was decoded: the frame rate."""
        self.frames_decoded += 1
        self.rate.note(now)

    def take_decoded(
        self, frame: Frame, now: float, received_at: float, assembly: float | None = None
    ) -> None:
        """The decoder gave a picture or a piece of sound, whose first packet came at `received_at`; 0 for a loss."""
        if isinstance(frame, VideoFrame):
            self.width, self.height = frame.width, frame.height
            self.count_decoded(now)
            self.processing_delay += max(0.0, now - received_at)
            if assembly is not None:
                self.frames_assembled += 1
                self.assembly_time += assembly
            self.rendering.take(now)
        elif isinstance(frame, AudioFrame):
            duration = frame.samples / (frame.sample_rate or 48000)
            self.level = audio_level(frame)
            self.samples += frame.samples
            # webrtc-stats counts the delay of each sample; what was made up for a loss has none
            if received_at:
                self.processing_delay += max(0.0, now - received_at) * frame.samples
            self.samples_duration += duration
            self.energy += self.level * self.level * duration

    def take_concealed(self, samples: int, silent: int) -> None:
        """A loss was made up for."""
        self.concealed_samples += samples
        self.silent_concealed_samples += silent
        self.concealment_events += 1

    def take_report(self, report: rtcp.SenderReport, now: float) -> None:
        """A sender report came."""
        self._report = report
        self._report_at = now
        self.reports_received += 1

    def report(self, now: float) -> rtcp.ReceiverInfo:
        """The report block about this stream; begins the next interval."""
        expected, received = self.expected, self.first_hand
        expected_now, received_now = expected - self._expected_before, received - self._received_before
        self._expected_before, self._received_before = expected, received
        lost_now = expected_now - received_now
        fraction = min(255, (lost_now << 8) // expected_now) if expected_now > 0 and lost_now > 0 else 0
        lsr = dlsr = 0
        if self._report is not None:
            lsr = self._report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
            delay = now - self._report_at
            dlsr = int(delay * 65536) if 0 < delay < 65536 else 0
        return rtcp.ReceiverInfo(
            ssrc=self.ssrc,
            fraction_lost=fraction,
            packets_lost=rtcp.clamp_packets_lost(self.lost),
            highest_sequence=self.extended_highest & 0xFFFFFFFF,
            jitter=int(self._jitter) & 0xFFFFFFFF,
            lsr=lsr,
            dlsr=dlsr,
        )

    def stats(self, kind: str, now: float) -> dict[str, object]:
        """Members of RTCInboundRtpStreamStats by their W3C names."""
        stats: dict[str, object] = {
            "type": "inbound-rtp",
            "ssrc": self.ssrc,
            "kind": kind,
            "payloadType": self.payload_type,
            "packetsReceived": self.packets_received,
            "packetsLost": self.lost,
            "jitter": self.jitter_seconds,
            "bytesReceived": self.bytes_received,
            "headerBytesReceived": self.header_bytes_received,
            "retransmittedPacketsReceived": self.retransmitted_packets,
            "retransmittedBytesReceived": self.retransmitted_bytes,
            "packetsDiscarded": self.buffer.discarded,
            "lastPacketReceivedTimestamp": self.last_packet_at * 1000,
            "jitterBufferDelay": self.buffer_delay,
            "jitterBufferTargetDelay": self.target_delay,
            "jitterBufferMinimumDelay": self.minimum_delay,
            "jitterBufferEmittedCount": self.emitted,
            "totalProcessingDelay": self.processing_delay,
            "nackCount": self.nacks,
        }
        if kind == "video":
            stats.update(
                framesReceived=self.frames_received,
                framesDecoded=self.frames_decoded,
                keyFramesDecoded=self.key_frames_decoded,
                framesDropped=self.frames_dropped,
                oversizedFrames=self.oversized_frames,
                framesPerSecond=self.rate.at(now),
                totalDecodeTime=self.decode_time,
                framesAssembledFromMultiplePackets=self.frames_assembled,
                totalAssemblyTime=self.assembly_time,
                fecPacketsReceived=self.fec_packets,
                fecBytesReceived=self.fec_bytes,
                firCount=0,
                pliCount=self.plis,
                decoderImplementation="libav",
                powerEfficientDecoder=False,
                **self.rendering.stats(),
            )
            if self.width:
                stats.update(frameWidth=self.width, frameHeight=self.height)
        else:
            stats.update(
                audioLevel=self.level,
                totalAudioEnergy=self.energy,
                totalSamplesDuration=self.samples_duration,
                totalSamplesReceived=self.samples,
                concealedSamples=self.concealed_samples,
                silentConcealedSamples=self.silent_concealed_samples,
                concealmentEvents=self.concealment_events,
                # sound is handed out as it was sent, never stretched
                insertedSamplesForDeceleration=0,
                removedSamplesForAcceleration=0,
            )
        return stats

    def remote_stats(self, kind: str) -> dict[str, object] | None:
        """Members of RTCRemoteOutboundRtpStreamStats; None before the first sender report."""
        if self._report is None:
            return None
        info = self._report.sender_info
        return {
            "type": "remote-outbound-rtp",
            "ssrc": self.ssrc,
            "kind": kind,
            "timestamp": self._report_at * 1000,
            "packetsSent": info.packet_count,
            "bytesSent": info.octet_count,
            "remoteTimestamp": ((info.ntp_timestamp / 4294967296) - _NTP_EPOCH) * 1000,
            "reportsSent": self.reports_received,
            "roundTripTimeMeasurements": 0,
            "totalRoundTripTime": 0.0,
        }
