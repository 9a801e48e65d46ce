"""MediaSender: frames of one local track become packets of one media section.

One task per sender takes frames from the track's puller (see `source`), has them encoded by the pool of
`workers` and sends the packets. It runs only while there is a track, parameters and a connected transport.
What it sends with is in `send_section`; frames that are encoded already, and forwarding, have modules of their own.
Owns: the hold on the track, the task, what feedback leads to. Never: the track; it is not stopped from here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from av import AudioFrame, VideoFrame
from av.frame import Frame
from av.packet import Packet

from rtcpeer.aio import Gone, TaskSet, can_run, wall_time
from rtcpeer.dtls.transport import DtlsTransport
from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.media.degradation import preference_of
from rtcpeer.media.dtmf import TonePlayer
from rtcpeer.media.encoded_sending import EncodedSending, EncodedSource
from rtcpeer.media.encoding import EncodedPayloads, EncodeRequest
from rtcpeer.media.encoding_group import KEYFRAME_INTERVAL, EncodingGroup
from rtcpeer.media.frame_queue import SOUND_SECONDS
from rtcpeer.media.quality_limitation import QualityLimitationReason
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.relaying import Relay
from rtcpeer.media.send_section import SendSection
from rtcpeer.media.send_stream import SendStream
from rtcpeer.media.sender_forwarding import SenderForwarding
from rtcpeer.media.source import Track, TrackSource, TrackSubscription
from rtcpeer.media.source_statistics import SourceNumbers
from rtcpeer.media.transforms import FrameTransform
from rtcpeer.media.video.layering import layers_of
from rtcpeer.media.video.pictures import BITRATE_DEFAULT
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.audio_level import SILENCE_DBOV, level_to_dbov
from rtcpeer.rtp.parameters import SendParameters
from rtcpeer.values import DegradationPreference

logger = logging.getLogger(__name__)

# A key frame that nobody asked for in so many words, because of packets that cannot be sent again, is rarer.
REFRESH_INTERVAL = 1.0
# So many kinds of failures are told; those that differ in a number only would never end.
_FAILURES_MAX = 20
# What sound takes where nothing else is said, with its headers, in bit/s.
_SOUND_BITRATE = 64_000
_TOO_FAST = (
    f"a track gave sound faster than it is played: more than {SOUND_SECONDS:g} s waited, the oldest was dropped"
    " (its recv() should give each frame when it is due)"
)


class MediaSender:
    """Sends one media section.

    Args:
        kind: "audio" or "video".
        name: for logs.

    Attributes:
        degradation: what suffers when the path is too small; None: nobody has said it.
        on_error: called once per kind of failure: a frame that the encoder cannot take, sound that came so fast that
            some was dropped. Sending goes on.
        encoded: the transform, and what is sent of a track of encoded frames.
        forwarding: what is forwarded in place of encoding.
    """

    def __init__(self, kind: str, *, name: str = "") -> None:
        self.kind = kind
        self.on_error: Callable[[OperationError], None] | None = None
        self.degradation: DegradationPreference | None = None
        self._name = name
        self._track: Track | None = None
        self._section = SendSection(kind)
        self._subscription: TrackSubscription | None = None
        self._tasks = TaskSet(name or f"{kind} sender")
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._failures: set[str] = set()
        self._share: int | None = None
        self._tones: TonePlayer | None = None
        self._source = SourceNumbers()
        self.forwarding: SenderForwarding = SenderForwarding(
            self._section, update=self.update, stop_encoding=self._stop_encoding
        )
        self.encoded: EncodedSending = EncodedSending(
            self._section, failed=self._failed, force_keyframe=self.force_keyframe, name=name
        )
        # sound of the running subscription that is counted already, and pictures
        self._dropped_seconds = 0.0
        self._dropped_pictures = 0

    # -- what the peer calls -----------------------------------------------------------------------

    @property
    def track(self) -> Track | None:
        """The track that is sent."""
        return self._track

    def set_track(self, track: Track | None) -> None:
        """Send another track, or none, from the next frame on; the streams go on over it."""
        if track is self._track:
            return
        self._track = track
        self.forwarding.set_track(track)
        for stream in self._section.known.values():
            stream.packets.rebase()
            stream.leave()
            stream.force_keyframe = True
        self._swap_subscription()
        self.update()

    def attach(self, dtls: DtlsTransport) -> None:
        """Send over this transport."""
        session = dtls.rtp
        if session is self._section.session:
            return
        if self._section.session is not None:
            self._section.session.remove_sender(self)
        self._section.attach(session)
        self._register()
        self.update()

    def configure(self, parameters: SendParameters | None) -> None:
        """Send with these parameters from now on, or nothing; as often as they change."""
        if self._stopped or parameters == self._section.parameters:
            return
        self._section.configure(parameters)
        for stream in self._section.known.values():
            if stream not in self._section.streams or not stream.packets.encoding.active:
                stream.leave()
        self._register()
        self.update()

    def forward(self, receiver: MediaReceiver, layer: str | None = None) -> Relay:
        """Send what a receiver gets, as it is, in place of the track.

        Args:
            receiver: of the same kind.
            layer: the rid that is wanted of several; None for the best one.

        Raises:
            InvalidStateError: the sender has been stopped.
        """
        if self._stopped:
            raise InvalidStateError("the sender has been stopped: nothing can be forwarded with it")
        relay = self.forwarding.begin(receiver, layer)
        self.update()
        return relay

    def set_transform(self, transform: FrameTransform | None) -> None:
        """Change encoded frames before they are sent, beginning with a key frame.

        Raises:
            InvalidStateError: it belongs to somebody else.
        """
        self.encoded.set_transform(transform)
        self.force_keyframe(None)
        self.update()

    def stop_forwarding(self, relay: Relay) -> None:
        """Send the track again, if `relay` is still what is sent."""
        if not self.forwarding.owns(relay):
            relay.close()
            return
        self.forwarding.end()
        for stream in self._section.known.values():
            stream.packets.rebase()
            stream.force_keyframe = True
        self.update()

    def request_keyframe(self) -> None:
        """Make the next picture one that can be decoded by itself."""
        self.force_keyframe(None)

    @property
    def can_insert_dtmf(self) -> bool:
        """Whether tones can be sent now: audio is sent and telephone-event was negotiated."""
        speaks = self._task is not None or self.forwarding.is_automatic
        return speaks and self._section.tone_format() is not None

    def insert_tone(self, tone: str, duration_ms: int) -> None:
        """Send one tone (RFC 4733) in place of the track's audio; a tone that still sounds ends.

        Args:
            tone: one of 0-9, A-D, *, #.
            duration_ms: how long.

        Raises:
            InvalidStateError: tones cannot be sent now.
        """
        form = self._section.tone_format()
        if form is not None and self.forwarding.is_automatic:
            # tones are part of the stream that is made here
            self.forwarding.decline()
            self.update()
        if form is None or not self._section.streams or self._task is None:
            raise InvalidStateError("tones cannot be sent now")
        self._tones = TonePlayer(self._section.streams[0].packets, form, tone, duration_ms)
        self._tasks.start(self._tones.run())

    def stats(self) -> list[dict[str, object]]:
        """RTCOutboundRtpStreamStats and RTCRemoteInboundRtpStreamStats, without ids."""
        result: list[dict[str, object]] = []
        mid = self._section.parameters.mid if self._section.parameters is not None else None
        relayed, relay = self.forwarding.stream, self.forwarding.relay
        now = wall_time()
        if relay is not None:
            relay.settle()
        for index, stream in enumerate(self._section.streams):  # as many as encodings, or none
            told = stream.stats(self.kind, mid, index, now, is_forwarded=stream is relayed)
            told[0]["totalPacketSendDelay"] = self._section.send_delay(stream)
            result += told
        return result

    def source_stats(self) -> dict[str, object]:
        """Members of RTCAudioSourceStats or RTCVideoSourceStats."""
        self._note_drops()
        stats = self._source.stats(self.kind)
        if self._track is not None:
            stats["trackIdentifier"] = self._track.id
        return stats

    def stop(self) -> Awaitable[Any]:
        """Send nothing more, for ever, and say so (BYE). The track is not stopped."""
        if self._stopped:
            return Gone()
        self.forwarding.release()
        session = self._section.session
        if session is not None and session.connected:
            sent = [
                stream.packets.encoding.ssrc
                for stream in self._section.known.values()
                if stream.packets.packets_sent
            ]
            if sent:
                session.send_rtcp(rtcp.write_receiver_report(sent[0], []) + rtcp.write_bye(sent))
        self.configure(None)
        self._stopped = True
        self._track = None
        self._swap_subscription()
        for stream in self._section.known.values():
            stream.leave()
        jobs = [s.job for s in self._section.known.values() if s.job is not None]
        return self._tasks.cancel([*jobs, *self.encoded.stop()])

    # -- set-up ------------------------------------------------------------------------------------

    def _register(self) -> None:
        if self._section.session is None:
            return
        if self._section.parameters is None or not self._section.streams:
            self._section.session.remove_sender(self)
            return
        ssrcs = [stream.packets.encoding.ssrc for stream in self._section.streams]
        self._section.session.add_sender(
            self, self._section.parameters.mid, ssrcs, self._section.parameters.header_extensions
        )

    @property
    def is_ready(self) -> bool:
        """Whether there is a live track, and a way for it."""
        return (
            self._track is not None
            and self._track.readyState == "live"
            and self._section.is_connected
            and bool(self._section.active)
        )

    @property
    def _should_run(self) -> bool:
        return self.is_ready and not self.forwarding.replaces_encoder(encodes=self._task is not None)

    def _stop_encoding(self) -> None:
        """Encode nothing more for now, at once."""
        task, self._task = self._task, None
        if task is None:
            return
        if can_run(task):
            task.cancel()
        for stream in self._section.known.values():
            stream.pause()
        self._swap_subscription()

    def force_keyframe(self, rid: str | None) -> int:
        """Let the encoders make key frames; gives how many."""
        streams = [s for s in self._section.active if rid is None or s.packets.encoding.rid == rid]
        for stream in streams:
            stream.force_keyframe = True
        self.encoded.request_keyframe()
        return len(streams)

    def update(self) -> None:
        """Begin and end whatever there is to do now."""
        if self._stopped:
            return
        self.forwarding.update(is_ready=self.is_ready, needs_frames=self.encoded.transform is not None)
        should_run = self._should_run
        if isinstance(self._track, EncodedSource):
            self.encoded.feed_from(self._track if should_run else None)
            should_run = False
        else:
            self.encoded.feed_from(None)
        if should_run:
            if self._subscription is None:
                self._swap_subscription()
            if self._task is None or self._task.done():
                self._task = self._tasks.start(self._run())
        else:
            self._stop_encoding()

    def _swap_subscription(self) -> None:
        old = self._subscription
        self._note_drops()
        self._dropped_seconds, self._dropped_pictures = 0.0, 0
        self._subscription = None
        if self._track is not None and self._should_run and not isinstance(self._track, EncodedSource):
            self._subscription = TrackSource.of(self._track).subscribe()
        if old is not None:
            old.close()

    # -- what the RTP session calls ----------------------------------------------------------------

    def on_transport(self, connected: bool) -> None:
        """Implements `rtp.session.RtpSender.on_transport`."""
        self.update()

    def on_feedback(self, ssrc: int, packet: rtcp.Feedback, now: float) -> None:
        """Implements `rtp.session.RtpSender.on_feedback`."""
        stream = self._section.known.get(ssrc)
        if stream is None:
            return
        packets = stream.packets
        relay = self.forwarding.relay if stream is self.forwarding.stream else None
        if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
            for block in packet.reports:
                if block.ssrc == ssrc and relay is not None:
                    relay.on_report(block, now)
                elif block.ssrc == ssrc:
                    packets.take_report(block, now)
            return
        lost = rtcp.lost_packets(packet)
        if lost is not None:
            packets.nacks += 1
            if relay is not None:
                relay.on_nack(lost, now)
                return
            # asked for again and again while the key frame is on its way: not more than one a second
            if packets.repeat(lost, now) and now - stream.keyframe_at > REFRESH_INTERVAL:
                stream.force_keyframe = True
                self.encoded.request_keyframe()
            return
        request = rtcp.is_keyframe_request(packet)
        if request is not None:
            packets.plis += request == "pli"
            packets.firs += request == "fir"
            if relay is not None:
                relay.request_keyframe()
            elif self.encoded.allows_keyframe(packets.encoding.rid):
                stream.force_keyframe = True
                self.encoded.request_keyframe()
            return
        bitrate = rtcp.estimated_bitrate(packet)
        if bitrate is not None and self._section.session is not None:
            self._section.session.take_remb(bitrate, now)

    @property
    def need(self) -> int | None:
        """Implements `rtp.session.RtpSender.need`."""
        if not self.is_ready and self.forwarding.relay is None:
            return 0
        if self.kind == "video":
            return None
        return sum([s.packets.encoding.max_bitrate or _SOUND_BITRATE for s in self._section.active])

    @property
    def wanted(self) -> int:
        """Implements `rtp.session.RtpSender.wanted`: the best layer of what is forwarded, or what encoders make."""
        relay = self.forwarding.relay
        if relay is not None:
            return relay.wanted
        if self._task is None:
            return 0
        return sum([s.packets.encoding.max_bitrate or BITRATE_DEFAULT for s in self._section.active])

    @property
    def weight(self) -> float:
        """Implements `rtp.session.RtpSender.weight`."""
        return self._section.weight

    def make_padding(self, size: int) -> bytes | None:
        """Implements `rtp.session.RtpSender.make_padding`."""
        stream = next(iter(self._section.active), None)
        if self.kind != "video" or stream is None:
            return None
        relay = self.forwarding.relay
        return stream.packets.make_padding(size) if relay is None else relay.make_padding(size)

    @property
    def estimate(self) -> int | None:
        """The sender's part of what the path bears, in bit/s; None while that is unknown."""
        if self._section.session is None or self._section.session.estimate is None:
            return None
        return self._share

    def on_estimate(self, bitrate: int) -> None:
        """Implements `rtp.session.RtpSender.on_estimate`."""
        self._share = bitrate
        relay = self.forwarding.relay
        if relay is not None:
            relay.on_estimate(bitrate)

    def sender_reports(self, now: float) -> list[bytes]:
        """Implements `rtp.session.RtpSender.sender_reports`."""
        cname = self._section.parameters.cname if self._section.parameters is not None else ""
        relayed, relay = self.forwarding.stream, self.forwarding.relay
        reports = (
            relay.write_report(cname, now)
            if relay is not None and stream is relayed
            else stream.packets.write_report(cname, now)
            for stream in self._section.streams
        )
        return [report for report in reports if report is not None]

    # -- frames ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while (subscription := self._subscription) is not None:
            frame = await subscription.get()
            if frame is None:
                if subscription is self._subscription:
                    # the track has ended; another one begins a new task
                    self._subscription = None
                continue
            self._note_drops()
            await self._send(frame, subscription.number)
        self._task = None

    async def _send(self, frame: Frame | Packet[Any], number: int) -> None:
        self._source.count(frame)
        active = self._section.active
        if not self._section.has_route:
            # numbers that nobody hears of would leave SRTP's count of their cycles behind (RFC 3711 section 3.3.1)
            for stream in active:
                stream.pause()
            return
        for stream in active:
            await self._send_by(stream, frame, number)

    async def _send_by(self, stream: SendStream, frame: Frame | Packet[Any], number: int) -> None:
        """Have a frame encoded, and send it in one stream."""
        track, now = self._track, wall_time()
        if track is None or stream not in self._section.streams:
            return
        is_picture_packet = self.kind == "video" and isinstance(frame, Packet)
        if isinstance(frame, Packet) and is_picture_packet and not self._takes_packet(stream, frame):
            return
        encoding, source = stream.packets.encoding, TrackSource.of(track)
        share = self._share if self.kind == "video" else None
        estimate = None if share is None else self._section.part_of(stream, share)
        enabled = bool(getattr(track, "enabled", True))
        preference = preference_of(self.degradation, getattr(track, "contentHint", ""))
        group = stream.join(source, estimate, preference)
        request = EncodeRequest(
            frame=frame,
            format=stream.format,
            force_keyframe=stream.force_keyframe and now - stream.keyframe_at > KEYFRAME_INTERVAL,
            scale_down_by=encoding.scale,
            scale_down_to=encoding.scale_resolution_down_to,
            max_bitrate=encoding.max_bitrate,
            estimate=estimate,
            shared=source.is_shared or len(self._section.active) > 1,
            disabled=not enabled,
            tells_turns=bool(stream.packets.template.turned),
            bitrate_limit=encoding.bitrate_limit,
            min_bitrate=encoding.min_bitrate,
            layers=layers_of(encoding.scalability_mode),
        )
        found = group.encode(number, request, now, member=stream.token, max_framerate=encoding.max_framerate)
        if found is None or found.job is None:
            if found is None:
                # the others are ahead
                stream.is_synchronized = False
            elif found.limitation is not QualityLimitationReason.NONE:
                stream.limitation.left_out(found.limitation, now)
            return
        if found.is_forced:
            stream.force_keyframe, stream.keyframe_at = False, now
        stream.job = found.job
        try:
            # shielded: others wait for it, too
            encoded = await asyncio.shield(found.job)
        except Exception as exc:
            if is_picture_packet:
                # what follows refers to it
                stream.is_held = True
            else:
                group.note_failure(found, now)
            stream.force_keyframe |= found.is_forced
            self._failed(stream, exc)
            return
        group.note_success()
        self._note_warning(group)
        if group is not stream.group:
            return
        if not stream.accept(found, encoded, is_picture=isinstance(frame, VideoFrame)) or encoded is None:
            return
        self.forwarding.before_encoded_frame()
        stream.count(found, encoded, wall_time())
        stream.mind_epoch(encoded.epoch)
        if self.kind == "video":
            self.encoded.send_picture(stream, encoded, wall_time())
            return
        level = SILENCE_DBOV
        if enabled and isinstance(frame, AudioFrame) and stream.packets.template.audio_level:
            level = level_to_dbov(self._source.level)
        await self._send_sound(stream, encoded, level)

    def _takes_packet(self, stream: SendStream, packet: Packet[Any]) -> bool:
        """Whether a picture that is encoded already can be sent: not behind one that could not, up to a key frame.

        Of H.264 it is sent in packetization mode 1 where that was negotiated, as its NAL units may have any size.
        """
        form = stream.format
        if form.name == "H264" and form.codec.parameter("packetization-mode") != "1":
            found = self._section.format_of(form.codec.mime_type)
            if found is not None and found.codec != form.codec:
                stream.use_format(found)
        stream.is_held = stream.is_held and not packet.is_keyframe
        return not stream.is_held

    async def _send_sound(self, stream: SendStream, encoded: EncodedPayloads, level: int) -> None:
        """Send the pieces of a frame, each when it is due."""
        track = self._track
        for payload, time in zip(encoded.payloads, encoded.times, strict=True):
            delay = stream.pacer.delay(wall_time())
            if delay > 0:
                await asyncio.sleep(delay)
                if self._track is not track or stream not in self._section.streams:
                    # another one speaks now
                    return
            if self._tones is not None:
                if not self._tones.finished:
                    continue
                self._tones = None
                if stream.redundancy is not None:
                    stream.redundancy.forget()
            self.encoded.send_sound(stream, payload, time, wall_time(), level)

    def _note_drops(self) -> None:
        """Count what the track gave faster than it can be encoded: pictures, and sound, of which it is said once."""
        subscription = self._subscription
        if subscription is None:
            return
        if self.kind == "video":
            if subscription.dropped > self._dropped_pictures:
                self._dropped_pictures, now = subscription.dropped, wall_time()
                for stream in self._section.active:
                    stream.limitation.left_out(QualityLimitationReason.CPU, now)
            return
        more = subscription.dropped_seconds - self._dropped_seconds
        if more > 0:
            self._dropped_seconds += more
            self._source.note_dropped(more)
            self._report("dropped", OperationError(_TOO_FAST))

    def _note_warning(self, group: EncodingGroup) -> None:
        warning = group.encoder.warning
        if warning is not None:
            self._report(str(warning), warning)

    def _failed(self, stream: SendStream, exc: Exception) -> None:
        """A frame could not be encoded: said once per kind of failure, then a later frame is tried."""
        error = OperationError(
            f"a frame cannot be encoded as {stream.format.codec.mime_type}: {type(exc).__name__}: {exc}"
        )
        error.__cause__ = exc
        self._report(f"{type(exc).__name__}: {exc}", error)

    def _report(self, kind: str, error: OperationError) -> None:
        if kind in self._failures or len(self._failures) >= _FAILURES_MAX:
            return
        self._failures.add(kind)
        logger.warning("%s: %s", self._name or self.kind, error)
        if self.on_error is not None:
            self.on_error(error)
