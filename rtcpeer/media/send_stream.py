"""An encoding of a sender: its packets, its encoder, what it sends next, its statistics.

Owns: the state of one stream between two frames. Never: the track, the task, the pool (the sender's).
"""

from __future__ import annotations

import asyncio
from dataclasses import field
from typing import Any

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.encoding import EncodedPayloads, StreamEncoder
from rtcpeer.media.encoding_group import EncodeResult, EncodingGroup, bitrate_class
from rtcpeer.media.pacing import SoundPacer
from rtcpeer.media.quality_limitation import QualityLimitation
from rtcpeer.media.sound import PIECE_SECONDS
from rtcpeer.media.source import TrackSource
from rtcpeer.media.video.layering import layers_of
from rtcpeer.media.video.pictures import FRAMERATE
from rtcpeer.records import record
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.frame_rate import FrameRate
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.red import Redundancy
from rtcpeer.values import DegradationPreference

# Frames of this many times the usual size are huge (webrtc-stats 8.4).
_HUGE = 2.5
# What statistics name as the encoder of a stream that is forwarded as it came.
FORWARDED = "forwarded"
# What is told of encoders alone: of what is forwarded the source's statistics tell it.
_OF_AN_ENCODER = (
    "hugeFramesSent",
    "powerEfficientEncoder",
    "scalabilityMode",
    "qualityLimitationReason",
    "qualityLimitationDurations",
    "qualityLimitationResolutionChanges",
    "targetBitrate",
)


@record(slots=True, eq=False)
class SendStream:
    """An encoding of a sender, with all that sending it needs.

    Attributes:
        turns: how the last picture was held, in quarter turns clockwise.
        group: whom it shares its encoder with, while it sends.
        number: of the last frame that the group's encoder made.
        is_synchronized: whether the last picture was sent, so that the next one can be decoded.
        is_held: whether a picture that came encoded could not be sent: none is until the next key frame.
        frames, key_frames, huge_frames, encode_time, bytes_target: for statistics.
        limitation: why pictures are poorer than they are asked for.
        pacer: for sound that is there before its time.
        redundancy: repeats sound where that was preferred.
        protection: corrects pictures where that was negotiated.
        job: the last one that it waited for; it may outlive the sender's task.
    """

    packets: OutboundStream
    format: PayloadFormat
    # stands for the stream in its group
    token: object = field(default_factory=object)
    group: EncodingGroup | None = None
    # cuts frames that are encoded already
    packer: StreamEncoder = field(default_factory=StreamEncoder)
    # the encoder of the last group, for statistics while there is none
    told: StreamEncoder | None = None
    bitrate_class: int | None = None
    number: int = -1
    is_synchronized: bool = False
    is_held: bool = False
    frames: int = 0
    key_frames: int = 0
    huge_frames: int = 0
    encode_time: float = 0.0
    bytes_target: float = 0.0
    epoch: int = -1
    force_keyframe: bool = False
    turns: int = 0
    keyframe_at: float = 0.0
    width: int = 0
    height: int = 0
    fresh: bool = True
    rate: FrameRate = field(default_factory=FrameRate)
    limitation: QualityLimitation = field(default_factory=QualityLimitation)
    redundancy: Redundancy | None = None
    protection: Protection | None = None
    # cuts what a transform gave back, without disturbing the encoder
    cutter: StreamEncoder = field(default_factory=StreamEncoder)
    job: asyncio.Future[Any] | None = None
    pacer: SoundPacer = field(default_factory=SoundPacer)
    _source: TrackSource | None = None

    def use_format(self, form: PayloadFormat) -> None:
        """Send another codec from now on: another time line."""
        self.format = form
        self.packets.rebase()
        self.packets.clock_rate = form.clock_rate

    def map_sound(self, time: int, now: float) -> int:
        """The RTP timestamp of a piece of sound whose encoder says `time`."""
        return self.packets.map_timestamp(time, now, least=round(self.format.clock_rate * PIECE_SECONDS))

    def send_sound(
        self, payload: bytes, time: int, now: float, level: int, timestamp: int | None = None
    ) -> None:
        """Send a piece of sound.

        Args:
            payload: one packet's.
            time: in ticks of the encoder.
            now: the time of day.
            level: in -dBov.
            timestamp: the RTP timestamp, if it was mapped before.
        """
        if timestamp is None:
            timestamp = self.map_sound(time, now)
        # RFC 3551 section 4.1: the marker begins a talkspurt
        marker, self.fresh = self.fresh, False
        payload_type = self.format.payload_type
        if self.redundancy is not None:
            payload_type = self.redundancy.payload_type
            payload = self.redundancy.wrap(payload, timestamp)
        self.packets.send_frame(payload_type, [payload], timestamp, marker=marker, level=level, now=now)
        self.pacer.sent(PIECE_SECONDS, now)

    def send_picture(self, encoded: EncodedPayloads, now: float, timestamp: int | None = None) -> None:
        """Send a picture, and how it is held; `timestamp` is the RTP timestamp, if it was mapped before."""
        if timestamp is None:
            timestamp = self.packets.map_timestamp(encoded.timestamp, now)
        turns = None
        # 3GPP TS 26.114 section 7.4.5: with key frames and when it changes; browsers forget it with each frame
        if encoded.turns or encoded.is_key or self.turns:
            turns = self.turns = encoded.turns
        if encoded.width:
            self.width, self.height = encoded.width, encoded.height
        if encoded.is_key:
            self.keyframe_at = now
        self.rate.note(now)
        self.packets.send_frame(
            self.format.payload_type,
            encoded.payloads,
            timestamp,
            marker=True,
            level=0,
            turns=turns,
            protection=self.protection,
            now=now,
        )

    def count(self, frame: EncodeResult, encoded: EncodedPayloads, now: float) -> None:
        """A frame was encoded for this stream, among others; the first to ask has the costs."""
        self.frames += 1
        self.key_frames += encoded.is_key
        if frame.first is self.token:
            self.encode_time += encoded.seconds
        if encoded.times:
            return
        size = sum([len(payload) for payload in encoded.payloads])
        if encoded.target is not None:
            # until a second has passed, the rate that encoders are told
            usual = encoded.target / 8 / (self.rate.at(now) or FRAMERATE)
            self.bytes_target += usual
            # webrtc-stats 8.4 "hugeFramesSent"
            self.huge_frames += size >= _HUGE * usual
        self.limitation.made(
            now,
            bits=8 * size,
            target=encoded.target,
            is_held=encoded.is_held,
            size=(encoded.width, encoded.height),
            scale=encoded.scale,
            divisor=encoded.divisor,
        )

    def mind_epoch(self, epoch: int) -> None:
        """A new encoder begins a new time line."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.packets.rebase()

    def pause(self) -> None:
        """Send nothing from now on: what comes after it begins anew, and as much later."""
        self.force_keyframe = self.fresh = True
        self.packets.rebase()
        self.leave()

    def join(
        self, source: TrackSource, estimate: int | None, preference: DegradationPreference
    ) -> EncodingGroup:
        """The group that encodes for this stream with its present parameters."""
        encoding, codec = self.packets.encoding, self.format.codec
        self.bitrate_class = bitrate_class(estimate, self.bitrate_class)
        key = (
            codec.name.upper(),
            codec.fmtp,
            encoding.scale,
            encoding.scale_resolution_down_to,
            encoding.max_bitrate,
            encoding.bitrate_limit,
            encoding.min_bitrate,
            encoding.max_framerate,
            layers_of(encoding.scalability_mode),
            preference,
            bool(self.packets.template.turned),
            self.bitrate_class,
        )
        if source is not self._source:
            self.leave()
        group = EncodingGroup.join(source, key, self.token, self.group, preference)
        if group is not self.group:
            # other pictures, another time line
            self.epoch, self.number, self.is_synchronized = -1, -1, False
            self.force_keyframe |= group.is_running
        self.group, self._source = group, source
        return group

    def leave(self) -> None:
        """Have nothing encoded any more."""
        if self.group is not None and self._source is not None:
            self.limitation.stop(wall_time())
            self.told = self.group.encoder
            last = self.group.leave(self._source, self.token)
            if last is not None:
                self.job = last
        self.group = self._source = None

    def accept(self, frame: EncodeResult, encoded: EncodedPayloads | None, *, is_picture: bool) -> bool:
        """Whether the result of a frame can be sent: a picture whose predecessors were not is asked for anew."""
        is_next = frame.number == self.number + 1
        self.number = frame.number
        if encoded is None:
            return False
        if is_picture and not encoded.is_key and not (self.is_synchronized and is_next):
            self.is_synchronized = False
            self.force_keyframe = True
            return False
        self.is_synchronized = True
        return True

    def stats(
        self, kind: str, mid: str | None, index: int, now: float, *, is_forwarded: bool = False
    ) -> list[dict[str, object]]:
        """RTCOutboundRtpStreamStats, and RTCRemoteInboundRtpStreamStats once there was a report; without ids."""
        outbound = self.packets.stats(kind)
        outbound["mid"] = mid
        outbound["payloadType"] = self.format.payload_type
        encoder = (self.told or self.packer) if self.group is None else self.group.encoder
        if encoder.target is not None:
            outbound["targetBitrate"] = float(encoder.target)
        if kind == "video":
            outbound.update(
                encodingIndex=index,
                framesEncoded=self.frames,
                keyFramesEncoded=self.key_frames,
                framesSent=self.packets.frames_sent,
                hugeFramesSent=self.huge_frames,
                framesPerSecond=self.rate.at(now),
                totalEncodeTime=self.encode_time,
                totalEncodedBytesTarget=int(self.bytes_target),
                pliCount=self.packets.plis,
                firCount=self.packets.firs,
                encoderImplementation=encoder.implementation,
                powerEfficientEncoder=encoder.is_hardware,
                # what is made, which may be less than what was asked for (webrtc-svc section 4.2.1)
                scalabilityMode=f"L1T{encoder.layers}",
                **self.limitation.stats(now),
            )
            if self.width:
                outbound.update(frameWidth=self.width, frameHeight=self.height)
        if is_forwarded:
            outbound["encoderImplementation"] = FORWARDED
            for name in _OF_AN_ENCODER:
                outbound.pop(name, None)
        remote = self.packets.remote_stats(kind)
        return [outbound] if remote is None else [outbound, remote]
