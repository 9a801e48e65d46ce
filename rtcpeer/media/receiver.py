"""MediaReceiver: packets of one media section become frames of one remote track.

Packets come straight from the socket callback, wait in the buffer of their stream, and leave it as whole frames, which
go to `delivery`. What is missing is asked for again, or a key frame in its place.
Owns: the buffers, and when something is asked for. Never: decodes, ends the track (the peer does).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rtcpeer.aio import Gone, wall_time
from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.media.codecs import DECODED_AUDIO, PayloadFormat
from rtcpeer.media.delivery import PICTURE_MAX, FrameDelivery
from rtcpeer.media.depacketizer import RedDepacketizer
from rtcpeer.media.encoded_frames import EncodedFrameReader
from rtcpeer.media.encoded_receiving import EncodedReceiving
from rtcpeer.media.receive_section import ReceiveSection
from rtcpeer.media.tapping import ReceiverTap
from rtcpeer.media.track import RemoteTrack
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.contributing_sources import RtpSource
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import VIDEO_WAIT, EncodedFrame, FrameBuffer
from rtcpeer.rtp.packet import RtpPacket, unwrap_rtx
from rtcpeer.rtp.parameters import ReceiveParameters
from rtcpeer.rtp.payloads import begins_keyframe_untrusted
from rtcpeer.rtp.playout import Playout, SoundPlayout
from rtcpeer.rtp.sound_buffer import Loss, SoundBuffer
from rtcpeer.rtp.source import Source

logger = logging.getLogger(__name__)

# A second key frame is not asked for sooner than this after the first.
PLI_INTERVAL = 0.3
# How long a gap of pictures may last beside two round trips, and at most, in seconds
ANSWER_MARGIN, ANSWER_TIME_MAX = 0.1, 2.0
# No packet for this long: the source gives nothing.
SILENCE = 5.0


class MediaReceiver:
    """Receives one media section.

    Args:
        kind: "audio" or "video".
        sink: the remote track.
        name: for logs.
        picture_max: longer and shorter side of the largest picture that is decoded; larger ones are dropped.

    Attributes:
        encoded: the transform and the readers of encoded frames.
    """

    def __init__(
        self, kind: str, sink: RemoteTrack, *, name: str = "", picture_max: tuple[int, int] = PICTURE_MAX
    ) -> None:
        self.kind = kind
        self._target: float | None = None
        self._playout = Playout(self._take_frame)
        self._sound = SoundPlayout(self._take_frame, self._take_loss)
        self._sink = sink
        self._name = name
        self._section = ReceiveSection(
            kind,
            make_buffer=self._new_buffer,
            on_format=self._on_format,
            on_flow=self._on_flow,
            on_forgotten=self._on_forgotten,
        )
        self._unwrapper = RedDepacketizer()
        self._stopped = False
        # forwards what arrives; made when somebody wants that
        self._tap: ReceiverTap | None = None
        # runs while a packet of a picture is missing
        self._repair_timer: asyncio.TimerHandle | None = None
        self._watchers: list[Callable[[], None]] = []
        self._frames = FrameDelivery(
            kind,
            sink,
            need_keyframe=self._need_keyframe,
            send_pli=self._send_pli,
            request_keyframe=self.request_keyframe,
            picture_max=picture_max,
            name=name,
        )
        self.encoded: EncodedReceiving = self._frames.encoded
        sink.set_control(self)

    # -- what the peer calls -----------------------------------------------------------------------

    def attach(self, dtls: DtlsTransport) -> None:
        """Receive over this transport."""
        session = dtls.rtp
        if session is self._section.session:
            return
        if self._section.session is not None:
            self._section.session.remove_receiver(self)
        self._section.session = session
        if self._tap is not None:
            self._tap.attach(session)
        self._register()

    @property
    def source(self) -> Source:
        """The source of the packets that arrive, to be forwarded as they are."""
        if self._tap is None:
            self._tap = ReceiverTap(self._section, name=self._name)
            self._tap.attach(self._section.session)
            self._section.reads = self._sink.wants_frames()
            if self._stopped:
                self._tap.close()
        return self._tap.source

    def configure(self, parameters: ReceiveParameters | None) -> None:
        """Receive with these parameters from now on, or nothing; as often as descriptions change."""
        if self._stopped or parameters == self._section.parameters:
            return
        self._section.configure(parameters)
        if parameters is None:
            self._stop_repairing()
            self._frames.clear()
            self._playout.clear()
            self._sound.clear()
            for stream in self._section.streams.values():
                stream.needs_keyframe = True
        else:
            for stream in self._section.streams.values():
                stream.fec_discarded += self._unwrapper.discarded(stream.ssrc)
            self._unwrapper = RedDepacketizer(self._section.formats, parameters.header_extensions)
            announced = [source.ssrc for source in parameters.sources]
            shown = self._frames.shown
            if announced and shown is not None and shown.ssrc not in announced:
                self._frames.hide(shown)
        self._register()
        for changed in tuple(self._watchers):
            changed()

    @property
    def formats(self) -> Mapping[int, PayloadFormat]:
        """The formats of its section, by payload type."""
        return self._section.formats

    @property
    def current_format(self) -> PayloadFormat | None:
        """The format of what arrived last; None before the first packet, and while that is no sound or picture."""
        return self._section.current_format

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever it receives something else, or is told to."""
        self._watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        if changed in self._watchers:
            self._watchers.remove(changed)

    @property
    def jitter_buffer_target(self) -> float | None:
        """How long frames are held back against jitter, in ms; None for no longer than needed (W3C)."""
        return self._target

    @jitter_buffer_target.setter
    def jitter_buffer_target(self, value: float | None) -> None:
        self._target = value
        for stream in self._section.streams.values():
            if isinstance(stream.buffer, SoundBuffer):
                stream.buffer.fixed_target = self._fixed_target
            else:
                stream.buffer.wait = self._wait
        self._playout.target = (value or 0.0) / 1000
        self._sound.refresh()

    @property
    def _wait(self) -> float:
        """How long a gap of pictures may last: as long as what is behind it is held back, if that is longer."""
        return max(VIDEO_WAIT, self._fixed_target or 0.0)

    @property
    def _fixed_target(self) -> float | None:
        """The jitter buffer's target that was set, in seconds."""
        return None if self._target is None else self._target / 1000

    def _new_buffer(self, clock_rate: int) -> FrameBuffer | SoundBuffer:
        return (
            FrameBuffer(self._wait) if self.kind == "video" else SoundBuffer(clock_rate, self._fixed_target)
        )

    def set_sink(self, sink: RemoteTrack) -> None:
        """Give the frames to another track from now on: to one that outlives the connection it came with."""
        self._sink = sink
        self._frames.set_sink(sink)
        sink.set_control(self)
        sink.on_flow(self._section.flows)
        self.on_demand()

    def request_keyframe(self) -> None:
        """Ask the other end for a picture that can be decoded by itself."""
        now = wall_time()
        for stream in self._section.streams.values():
            if now - stream.last_packet_at < SILENCE:
                self._send_pli(stream, now, force=True)

    def sources(self) -> list[RtpSource]:
        """The sources that were heard in the last ten seconds, the latest first."""
        return self._section.heard.recent(wall_time())

    def stats(self) -> list[dict[str, object]]:
        """RTCInboundRtpStreamStats and RTCRemoteOutboundRtpStreamStats, without ids."""
        result: list[dict[str, object]] = []
        mid = self._section.parameters.mid if self._section.parameters is not None else None
        repairs, now = self._section.repairs(), wall_time()
        for stream in self._section.streams.values():
            inbound = stream.stats(self.kind, now)
            inbound["mid"] = mid
            if self.kind == "video":
                inbound["fecPacketsDiscarded"] = stream.fec_discarded + self._unwrapper.discarded(stream.ssrc)
            if stream.ssrc in repairs:
                inbound["rtxSsrc"] = repairs[stream.ssrc]
            result.append(inbound)
            remote = stream.remote_stats(self.kind)
            if remote is not None:
                result.append(remote)
        return result

    def stop(self) -> Awaitable[Any]:
        """Receive nothing more, for ever. The track is not ended by this."""
        self.configure(None)
        self._stopped = True
        if self._section.session is not None:
            self._section.session.remove_receiver(self)
        if self._tap is not None:
            self._tap.close()
        return Gone(self._frames.stop())

    def read_encoded(self) -> EncodedFrameReader:
        """Read encoded frames from the next key frame on, which is asked for; see `EncodedFrameReader`."""
        reader = self.encoded.read()
        if self._stopped:
            reader.end()
        self.on_demand()
        return reader

    def mute(self) -> None:
        """The track is muted by a description (webrtc-pc 5.1.1); the next packet that is taken unmutes it."""
        self._section.flows = False
        self._sink.on_flow(False)

    def _register(self) -> None:
        session, parameters = self._section.session, self._section.parameters
        if session is None:
            return
        if parameters is None:
            session.remove_receiver(self)
            return
        ssrcs = [source.ssrc for source in parameters.sources]
        ssrcs += [source.rtx_ssrc for source in parameters.sources if source.rtx_ssrc is not None]
        session.add_receiver(
            self, parameters.mid, ssrcs, list(self._section.formats), parameters.header_extensions
        )

    # -- what the RTP session calls ----------------------------------------------------------------

    def on_rtp(self, packet: RtpPacket, now: float) -> None:
        """Implements `rtp.session.RtpReceiver.on_rtp`."""
        section = self._section
        form = section.formats.get(packet.payload_type)
        if form is None:
            return
        if packet.abs_send_time is not None and self.kind == "video":
            size = len(packet.payload) + packet.padding_size
            section.estimate(packet.abs_send_time, size, packet.ssrc, form, now)
        if self._tap is not None and not self._tap.knows(packet.ssrc):
            self._tap.learn(packet.ssrc, packet.raw, now)
        if form.name == "RTX":
            self._on_repair(packet, form, now)
        elif form.name == "RED":
            self._on_redundant(packet, now)
        else:
            stream = section.count(packet, form, now)
            if packet.rid is not None and stream.rid is None:
                stream.rid = packet.rid
            self._buffer(stream, packet, form, now)

    def on_sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """Implements `rtp.session.RtpReceiver.on_sender_report`."""
        stream = self._section.streams.get(report.ssrc)
        if stream is not None:
            stream.take_report(report, now)
        if self._tap is not None:
            self._tap.on_sender_report(report, now)

    def on_bye(self, ssrc: int) -> None:
        """Implements `rtp.session.RtpReceiver.on_bye`: the track is muted, not ended (webrtc-pc 5.3)."""
        stream = self._section.streams.get(ssrc)
        if stream is None:
            return
        self._frames.hide(stream)
        self._section.set_flow(False)

    def reports(self, now: float) -> list[rtcp.ReceiverInfo]:
        """Implements `rtp.session.RtpReceiver.reports`."""
        alive = [s for s in self._section.streams.values() if now - s.last_packet_at < 2 * SILENCE]
        if all(now - s.last_packet_at > SILENCE for s in alive):
            self._section.set_flow(False)
        for stream in alive:
            if now - stream.last_packet_at < SILENCE:
                self._look_after(stream, now)
        return [stream.report(now) for stream in alive]

    def on_transport(self, connected: bool) -> None:
        """Implements `rtp.session.RtpReceiver.on_transport`: nothing to begin or end."""

    def on_demand(self) -> None:
        """Implements `track.ReceiverControl.on_demand`: decoding begins with a key frame."""
        if not self._section.reads:
            # what was only forwarded until now is not in the buffers
            self._section.reads = True
            for stream in self._section.streams.values():
                stream.buffer = self._new_buffer(stream.clock_rate)
                stream.needs_keyframe = True
        if self.kind == "video":
            now = wall_time()
            for stream in self._section.streams.values():
                is_needed = stream.needs_keyframe or self.encoded.needs_keyframe
                if is_needed and now - stream.last_packet_at < SILENCE:
                    self._need_keyframe(stream, now)

    # -- packets -----------------------------------------------------------------------------------

    def _on_format(self, form: PayloadFormat) -> None:
        """A stream comes in another format than before."""
        decoded = DECODED_AUDIO.get(form.name)
        if decoded is not None:
            self._sink.on_audio_format(*decoded)
        for changed in tuple(self._watchers):
            changed()

    def _on_flow(self, flows: bool) -> None:
        self._sink.on_flow(flows)

    def _on_forgotten(self, stream: InboundStream) -> None:
        """A stream is over."""
        self._frames.hide(stream)
        if self._tap is not None:
            self._tap.forget(stream.ssrc)

    def _on_redundant(self, packet: RtpPacket, now: float) -> None:
        """A packet in RED; what is missing and can be made of it takes its place."""
        stream, size = self._section.streams.get(packet.ssrc), len(packet.payload)
        try:
            form, packets = self._unwrapper.unwrap(packet, stream.buffer.lacks if stream else _lacks_nothing)
        except ValueError as exc:
            logger.debug("%s ignores a packet: %s", self._name, exc)
            return
        if form is not None:
            stream = self._section.count(packet, form, now)
        elif stream is not None:
            stream.count(packet, now)
            # the correction itself has been taken out of it
            stream.bytes_received += size
            stream.fec_packets += 1
            stream.fec_bytes += size
            form = self._section.formats.get(stream.payload_type)
        if stream is None or form is None:
            return
        for each in packets:
            is_made = each is not packets[-1]
            self._buffer(
                stream, each, self._section.formats.get(each.payload_type, form), now, is_made=is_made
            )

    def _on_repair(self, packet: RtpPacket, form: PayloadFormat, now: float) -> None:
        """A retransmission (RFC 4588): put the original in its place."""
        if form.apt is None or form.apt not in self._section.formats:
            return
        ssrc = self._section.repaired_ssrc(packet.ssrc, packet.repaired_rid)
        if ssrc is None:
            return
        stream = self._section.streams.get(ssrc)
        original = unwrap_rtx(packet, form.apt, ssrc)
        if stream is None or original is None:
            return
        stream.retransmitted_packets += 1
        stream.retransmitted_bytes += len(packet.payload)
        repaired = self._section.formats[form.apt]
        if repaired.name == "RED":
            self._on_redundant(original, now)
        else:
            stream.count(original, now)
            self._buffer(stream, original, repaired, now)

    def _buffer(
        self,
        stream: InboundStream,
        packet: RtpPacket,
        form: PayloadFormat,
        now: float,
        *,
        is_made: bool = False,
    ) -> None:
        buffer = stream.buffer
        if isinstance(buffer, SoundBuffer):
            self._sound.push(stream, buffer, packet, now, is_made=is_made)
            return
        frames = buffer.add(packet, now)
        if buffer.skipped:
            self._repair(now)
        elif self._repair_timer is not None and not buffer.is_lacking and not self._is_lacking():
            self._stop_repairing()
        if buffer.lost:
            self._on_gap_given_up(stream, buffer, now)
        for frame in frames:
            self._playout.push(stream, frame, now)

    def _on_gap_given_up(self, stream: InboundStream, buffer: FrameBuffer, now: float) -> None:
        buffer.lost = False
        stream.needs_keyframe = True
        self._send_pli(stream, now)

    def _is_lacking(self) -> bool:
        buffers = (stream.buffer for stream in self._section.streams.values())
        return any(isinstance(buffer, FrameBuffer) and buffer.is_lacking for buffer in buffers)

    def _stop_repairing(self) -> None:
        if self._repair_timer is not None:
            self._repair_timer.cancel()
            self._repair_timer = None

    def _repair(self, now: float) -> None:
        """Ask for packets that are missing, and go on without those that did not come in time.

        Requests and their answers are lost too, so this is repeated though nothing comes any more.
        """
        self._stop_repairing()
        session = self._section.session
        if session is None:
            return
        # over a satellite an answer takes longer than gaps last elsewhere; two tries are worth their time
        answer_time = min(2 * (session.round_trip() or 0.0) + ANSWER_MARGIN, ANSWER_TIME_MAX)
        dues: list[float] = []
        for stream in list(self._section.streams.values()):
            buffer = stream.buffer
            if not isinstance(buffer, FrameBuffer):
                continue
            buffer.skipped = False
            buffer.wait = max(self._wait, answer_time)
            frames = buffer.expire(now)
            if buffer.lost:
                self._on_gap_given_up(stream, buffer, now)
            for frame in frames:
                self._playout.push(stream, frame, now)
            if not buffer.is_lacking:
                continue
            if buffer.due is not None:
                dues.append(buffer.due)
            if self._section.repeats(stream.ssrc):
                missing = stream.requests.take(buffer.missing(), session.round_trip(), now)
                if missing:
                    self._section.ask_packets(stream.ssrc, missing, now)
                if stream.requests.due is not None:
                    dues.append(stream.requests.due)
        if dues:
            delay = max(0.001, min(dues) - now)
            self._repair_timer = asyncio.get_running_loop().call_later(delay, self._on_repair_timer)

    def _on_repair_timer(self) -> None:
        self._repair_timer = None
        self._repair(wall_time())

    def _look_after(self, stream: InboundStream, now: float) -> None:
        """Nothing may have come for a while: the end of a picture may be lost, or a request for a key frame."""
        buffer = stream.buffer
        if not isinstance(buffer, FrameBuffer) or now - stream.last_packet_at <= PLI_INTERVAL:
            return
        if buffer.note_silence(now):
            if now - stream.last_packet_at > buffer.wait:
                self._send_pli(stream, now)
            self._repair(now)
        is_read = stream is self._frames.shown and self._frames.is_wanted
        if stream.needs_keyframe and stream.pli_at and is_read:
            self._need_keyframe(stream, now)

    def _need_keyframe(self, stream: InboundStream, now: float) -> None:
        """Ask for a key frame, unless one has begun to arrive: its sender would make another one."""
        form = self._section.formats.get(stream.payload_type)
        if form is None or not self._is_keyframe_coming(stream, form):
            self._send_pli(stream, now)

    def _is_keyframe_coming(self, stream: InboundStream, form: PayloadFormat) -> bool:
        buffer = stream.buffer
        coming = buffer.waiting() if isinstance(buffer, FrameBuffer) else []
        for packet in (*coming, *self._playout.held(stream)):
            try:
                if packet.payload and begins_keyframe_untrusted(form.name, packet.payload):
                    return True
            except ValueError:
                # it will be dropped where it is read
                continue
        return False

    def _send_pli(self, stream: InboundStream, now: float, *, force: bool = False) -> None:
        forwarded = self._tap.source.streams.get(stream.ssrc) if self._tap is not None else None
        if self._tap is not None and forwarded is not None and not force:
            # together with those who get it forwarded
            self._tap.source.ask(forwarded, now)
        elif self._section.session is not None and (force or now - stream.pli_at > PLI_INTERVAL):
            self._section.ask_keyframe(stream.ssrc, now)

    # -- frames ------------------------------------------------------------------------------------

    def _take_loss(self, stream: InboundStream, loss: Loss, now: float) -> None:
        form = self._section.formats.get(stream.payload_type)
        if form is not None and form.is_media:
            self._frames.take_loss(stream, form, loss, now)

    def _take_frame(self, stream: InboundStream, frame: EncodedFrame, now: float) -> None:
        form = self._section.formats.get(frame.packets[0].payload_type)
        stream.frames_received += 1
        if form is not None and form.is_media and not self._frames.take(stream, form, frame, now):
            self._section.reads = self._tap is None


def _lacks_nothing(_number: int) -> bool:
    """Whether a packet is missing: none is, in a stream that has not begun."""
    return False
