"""aiortc.contrib.media, as it is."""

from aiortc.contrib.media import MediaBlackhole, MediaPlayer, MediaRecorder, MediaRelay

__all__ = ["MediaBlackhole", "MediaPlayer", "MediaRecorder", "MediaRelay"]
