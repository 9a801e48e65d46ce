"""aiortc.contrib.media: recorder and player are ours, the rest is aiortc's own."""

from aiortc.contrib.media import MediaBlackhole, MediaRelay, RelayStreamTrack
from av import AudioFrame, VideoFrame

from rtcpeer.media.player import MediaPlayer, PlayerStreamTrack
from rtcpeer.media.recorder import MediaRecorder

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
