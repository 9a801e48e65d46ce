"""aiortc.contrib.media, as it is."""

from aiortc.contrib.media import (
    MediaBlackhole,
    MediaPlayer,
    MediaRecorder,
    MediaRelay,
    PlayerStreamTrack,
    RelayStreamTrack,
)
from av import AudioFrame, VideoFrame

# the frames' classes, too, are imported from here by programs
__all__ = [
    "AudioFrame",
    "MediaBlackhole",
    "MediaPlayer",
    "MediaRecorder",
    "MediaRelay",
    "PlayerStreamTrack",
    "RelayStreamTrack",
    "VideoFrame",
]
