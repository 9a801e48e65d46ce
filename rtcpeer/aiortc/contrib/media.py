"""aiortc.contrib.media: recorder and player are ours, and the relay forwards where nothing asks for pixels.

`PlayerStreamTrack` is aiortc's: programs use it for players of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaBlackhole, PlayerStreamTrack, RelayStreamTrack
from aiortc.contrib.media import MediaRelay as _MediaRelay
from av import AudioFrame, VideoFrame

from rtcpeer.media.player import MediaPlayer as _MediaPlayer
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


class MediaPlayer(_MediaPlayer):
    """rtcpeer's player; with ``decode=False`` what cannot be sent as it is has no track, as with aiortc's."""

    _decodes_others_: ClassVar[bool] = False


class ForwardableRelayTrack(RelayStreamTrack):
    """A relay's track that tells senders what it relays (see `rtcpeer.media.auto_forwarding`)."""

    @property
    def origin(self) -> Any:
        """The receiver whose media this is; None if it is not a receiver's."""
        return getattr(self._source, "origin", None) if self.readyState == "live" else None

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `origin` may have changed."""
        watch = getattr(self._source, "watch", None)
        if watch is not None:
            watch(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Call it no more."""
        unwatch = getattr(self._source, "unwatch", None)
        if unwatch is not None:
            unwatch(changed)


class MediaRelay(_MediaRelay):
    """aiortc's relay; senders forward its tracks as they came where that is the same, without decoding."""

    def subscribe(self, track: MediaStreamTrack, buffered: bool = True) -> MediaStreamTrack:
        """A track with the frames of another one, for one more consumer.

        Args:
            track: what is relayed.
            buffered: whether frames wait for a consumer that is slow; else it gets the latest one.
        """
        proxy = super().subscribe(track, buffered)
        # the same object, of a class that tells more: aiortc makes it itself
        proxy.__class__ = ForwardableRelayTrack
        return proxy
