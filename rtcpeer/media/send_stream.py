"""One encoding of a sender: its packets, its encoder, what it sends next, and what it tells of itself.

Owns: the state of one stream between two frames. Never: the track, the task, the pool (the sender's).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from av import VideoFrame
from av.frame import Frame
from av.packet import Packet

from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.encoding import EncodedPayloads, StreamEncoder
from rtcpeer.media.pacing import SoundPacer
from rtcpeer.media.sound import PIECE_SECONDS
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.red import Redundancy

# An encoder that fails with every frame is made anew this often at most, in seconds.
_RETRY_FIRST, _RETRY_MAX = 0.02, 1.0


@dataclass(slots=True)
class SendStream:
    """One encoding.

    Attributes:
        turns: how the last picture was held, in quarter turns clockwise.
        due: when the next picture is due under maxFramerate and the level of the other end's decoder.
        retry_at: when the encoder is tried again, after it has failed.
        pacer: for sound that is there before its time.
        redundancy: repeats sound where that was preferred.
        protection: corrects pictures where that was negotiated.
        job: the one in the pool; an encoder is used by one at a time, also when its task was cancelled.
    """

    packets: OutboundStream
    format: PayloadFormat
    encoder: StreamEncoder = field(default_factory=StreamEncoder)
    epoch: int = -1
    force_keyframe: bool = False
    turns: int = 0
    keyframe_at: float = 0.0
    due: float = 0.0
    width: int = 0
    height: int = 0
    fresh: bool = True
    frames_per_second: float = 0.0
    redundancy: Redundancy | None = None
    protection: Protection | None = None
    # cuts what a transform gave back, without disturbing the encoder
    cutter: StreamEncoder = field(default_factory=StreamEncoder)
    job: asyncio.Future[EncodedPayloads | None] | None = None
    pacer: SoundPacer = field(default_factory=SoundPacer)
    retry_at: float = 0.0
    _failures: int = 0
    _second: int = 0
    _second_frames: int = 0

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
        self.packets.send_frame(payload_type, [payload], timestamp, marker=marker, level=level)
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
        second = int(now)
        if second != self._second:
            self.frames_per_second = float(self._second_frames)
            self._second, self._second_frames = second, 0
        self._second_frames += 1
        self.packets.send_frame(
            self.format.payload_type,
            encoded.payloads,
            timestamp,
            marker=True,
            level=0,
            turns=turns,
            protection=self.protection,
        )

    def is_due(self, frame: Frame | Packet[Any], now: float) -> bool:
        """Whether a frame is sent now: under maxFramerate, and as many as the other end decodes.

        The clock decides, not the track's own time, which may stand still, go back or be in other units.
        """
        if now < self.retry_at:
            return False
        limit, able = self.packets.encoding.max_framerate, self.encoder.rate_limit
        if limit is None or (able is not None and able < limit):
            limit = able
        if limit is None or not isinstance(frame, VideoFrame):
            return True
        if limit <= 0:
            return False
        interval = 1 / limit
        if self.due > now + 1.5 * interval:
            # the limit has changed
            self.due = now
        # a part of a picture of tolerance: sources jitter
        if now < self.due - interval / 4:
            return False
        # after a pause the schedule begins anew
        self.due = (self.due if now - self.due < interval else now) + interval
        return True

    def mind_epoch(self, epoch: int) -> None:
        """A new encoder begins a new time line."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.packets.rebase()

    def pause(self) -> None:
        """Nothing is sent from now on: what comes after it begins anew, and as much later."""
        self.force_keyframe = self.fresh = True
        self.packets.rebase()

    def note_failure(self, now: float) -> None:
        """The encoder has failed: it is tried again soon, and ever later when it fails again."""
        self._failures += 1
        self.retry_at = now + min(_RETRY_MAX, _RETRY_FIRST * 2**self._failures)

    def note_success(self) -> None:
        """The encoder works."""
        self._failures = 0

    def stats(self, kind: str, mid: str | None, index: int) -> list[dict[str, object]]:
        """RTCOutboundRtpStreamStats, and RTCRemoteInboundRtpStreamStats once there was a report; without ids."""
        outbound = self.packets.stats(kind)
        outbound["mid"] = mid
        outbound["payloadType"] = self.format.payload_type
        encoder = self.encoder
        if encoder.target is not None:
            outbound["targetBitrate"] = float(encoder.target)
        if kind == "video":
            outbound.update(
                encodingIndex=index,
                framesEncoded=encoder.frames,
                keyFramesEncoded=encoder.key_frames,
                framesSent=self.packets.frames_sent,
                hugeFramesSent=0,
                framesPerSecond=self.frames_per_second,
                totalEncodeTime=encoder.encode_time,
                totalEncodedBytesTarget=int(encoder.encoded_bytes_target),
                pliCount=self.packets.plis,
                firCount=self.packets.firs,
                qualityLimitationReason="none",
                qualityLimitationResolutionChanges=0,
                encoderImplementation=encoder.implementation,
                powerEfficientEncoder=encoder.is_hardware,
            )
            if self.width:
                outbound.update(frameWidth=self.width, frameHeight=self.height)
        remote = self.packets.remote_stats(kind)
        return [outbound] if remote is None else [outbound, remote]
