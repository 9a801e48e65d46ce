"""The counters of a local track's frames, for RTCMediaSourceStats."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from av import AudioFrame, VideoFrame
from av.frame import Frame
from av.packet import Packet

from rtcpeer.aio import wall_time
from rtcpeer.records import record
from rtcpeer.rtp.audio_level import audio_level
from rtcpeer.rtp.frame_rate import FrameRate


@record(slots=True)
class SourceNumbers:
    """Counts the frames that a sender was given; `level` is that of the last one."""

    frames: int = 0
    width: int = 0
    height: int = 0
    level: float = 0.0
    energy: float = 0.0
    duration: float = 0.0
    rate: FrameRate = field(default_factory=FrameRate)
    dropped_seconds: float = 0.0
    dropped_events: int = 0

    def count(self, frame: Frame | Packet[Any]) -> None:
        """Take note of a frame."""
        self.frames += 1
        if isinstance(frame, AudioFrame):
            self.level = audio_level(frame)
            duration = frame.samples / (frame.sample_rate or 48000)
            self.duration += duration
            self.energy += self.level * self.level * duration
        elif isinstance(frame, VideoFrame):
            self.width, self.height = frame.width, frame.height
            self.rate.note(wall_time())

    def note_dropped(self, seconds: float) -> None:
        """Sound that could not be sent."""
        self.dropped_seconds += seconds
        self.dropped_events += 1

    def stats(self, kind: str) -> dict[str, object]:
        """Members of RTCAudioSourceStats or RTCVideoSourceStats by their W3C names."""
        stats: dict[str, object] = {"type": "media-source", "kind": kind}
        if kind == "audio":
            stats.update(
                audioLevel=self.level,
                totalAudioEnergy=self.energy,
                totalSamplesDuration=self.duration,
                droppedSamplesDuration=self.dropped_seconds,
                droppedSamplesEvents=self.dropped_events,
            )
        else:
            stats.update(frames=self.frames, framesPerSecond=self.rate.at(wall_time()))
            if self.width:
                stats.update(width=self.width, height=self.height)
        return stats
