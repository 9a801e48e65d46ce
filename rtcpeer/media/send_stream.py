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
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.outbound import OutboundStream
from rtcpeer.rtp.red import Redundancy


@dataclass(slots=True)
class SendStream:
    """One encoding.

    Attributes:
        turns: how the last picture was held, in quarter turns clockwise.
        due: when the next frame is due under maxFramerate, in the track's own time.
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
    job: asyncio.Future[EncodedPayloads | None] | None = None
    _second: int = 0
    _second_frames: int = 0

    def send_sound(self, encoded: EncodedPayloads, timestamp: int, level: int) -> None:
        """Send a piece of sound; `level` in -dBov."""
        # RFC 3551 section 4.1: the marker begins a talkspurt
        marker, self.fresh = self.fresh, False
        payload_type, payloads = self.format.payload_type, encoded.payloads
        if self.redundancy is not None:
            payload_type = self.redundancy.payload_type
            payloads = [self.redundancy.wrap(payload, timestamp) for payload in payloads]
        self.packets.send_frame(payload_type, payloads, timestamp, marker=marker, level=level)

    def send_picture(self, encoded: EncodedPayloads, timestamp: int, now: float) -> None:
        """Send a picture, and how it is held."""
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

    def is_due(self, frame: Frame | Packet[Any]) -> bool:
        """Whether a frame is sent under maxFramerate."""
        limit = self.packets.encoding.max_framerate
        if limit is None or not isinstance(frame, VideoFrame):
            return True
        if limit <= 0:
            return False
        if frame.pts is None or frame.time_base is None:
            return True
        at = float(frame.pts * frame.time_base)
        interval = 1 / limit
        if abs(at - self.due) > 10 * interval + 1:
            self.due = at
        # half a frame of tolerance: sources jitter
        if at + interval / 8 < self.due:
            return False
        self.due = max(self.due + interval, at)
        return True

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
                encoderImplementation="libav",
                powerEfficientEncoder=False,
            )
            if self.width:
                outbound.update(frameWidth=self.width, frameHeight=self.height)
        remote = self.packets.remote_stats(kind)
        return [outbound] if remote is None else [outbound, remote]
