"""`aiortc.mediastreams`: aiortc's own."""

from aiortc.mediastreams import (
    AUDIO_PTIME,
    VIDEO_CLOCK_RATE,
    VIDEO_PTIME,
    VIDEO_TIME_BASE,
    AudioStreamTrack,
    MediaStreamError,
    MediaStreamTrack,
    VideoStreamTrack,
    convert_timebase,
)

__all__ = [
    "AUDIO_PTIME",
    "AudioStreamTrack",
    "MediaStreamError",
    "MediaStreamTrack",
    "VIDEO_CLOCK_RATE",
    "VIDEO_PTIME",
    "VIDEO_TIME_BASE",
    "VideoStreamTrack",
    "convert_timebase",
]
