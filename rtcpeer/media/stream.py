"""W3C's MediaStream: a set of tracks with a name (mediacapture-main 4.2).

Owns: the set. Never: the tracks' life; stopping one is its user's business.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rtcpeer.media.event_target import Event, EventTarget, fire, handler

if TYPE_CHECKING:
    from rtcpeer.media.source import Track


class MediaStreamTrackEvent(Event):
    """A track was added to or removed from a stream by the library, not by the program.

    Attributes:
        track: which one.
    """

    def __init__(self, type: str, init: Mapping[str, Any] | None = None) -> None:
        super().__init__(type, init)
        if init is None or init.get("track") is None:
            raise TypeError("MediaStreamTrackEvent needs the member track")
        self.track: Track = init["track"]


class MediaStreamEvent(Event):
    """A stream of the other side came, told by "addstream": an event that browsers still have and W3C has not.

    Attributes:
        stream: it, with the tracks that one description has put into it.
    """

    def __init__(self, type: str, init: Mapping[str, Any] | None = None) -> None:
        super().__init__(type, init)
        self.stream: MediaStream | None = None if init is None else init.get("stream")


class MediaStream(EventTarget):
    """A set of tracks.

    Args:
        source: nothing, another stream (its tracks are shared, not cloned), or tracks.
        id: the stream's name, for streams of the other end; otherwise drawn.
    """

    onaddtrack: handler[MediaStreamTrackEvent] = handler("addtrack")
    onremovetrack: handler[MediaStreamTrackEvent] = handler("removetrack")

    def __init__(self, source: MediaStream | Iterable[Track] | None = None, *, id: str | None = None) -> None:
        self._id_ = id if id is not None else str(uuid.uuid4())
        self._tracks_: dict[str, Track] = {}
        if source is None:
            return
        tracks = source.getTracks() if isinstance(source, MediaStream) else list(source)
        for track in tracks:
            self.addTrack(track)

    @property
    def id(self) -> str:
        """The identifier of the stream."""
        return self._id_

    @property
    def active(self) -> bool:
        """Whether one of its tracks is live."""
        return any(track.readyState == "live" for track in self._tracks_.values())

    def getTracks(self) -> list[Track]:
        """All tracks, in the order in which they were added."""
        return list(self._tracks_.values())

    def getAudioTracks(self) -> list[Track]:
        """The audio tracks."""
        return [track for track in self._tracks_.values() if track.kind == "audio"]

    def getVideoTracks(self) -> list[Track]:
        """The video tracks."""
        return [track for track in self._tracks_.values() if track.kind == "video"]

    def getTrackById(self, trackId: str) -> Track | None:
        """The track with this id, or None."""
        return self._tracks_.get(trackId)

    def addTrack(self, track: Track) -> None:
        """Add a track, unless it is there already. Tells nobody: who calls, knows.

        Raises:
            TypeError: it is no track.
        """
        if getattr(track, "kind", None) not in ("audio", "video") or not hasattr(track, "recv"):
            raise TypeError(f"a stream takes tracks, not {track!r}")
        self._tracks_.setdefault(track.id, track)

    def removeTrack(self, track: Track) -> None:
        """Remove a track, if it is there. Tells nobody."""
        if self._tracks_.get(getattr(track, "id", "")) is track:
            del self._tracks_[track.id]

    def clone(self) -> MediaStream:
        """A stream with another id, of clones of the tracks."""
        # streams are there in every connection, media in some
        from rtcpeer.media.track import ClonedTrack

        clones: list[Track] = []
        for track in self._tracks_.values():
            clone = getattr(track, "clone", None)
            clones.append(clone() if clone is not None else ClonedTrack(track))
        return MediaStream(clones)

    def __repr__(self) -> str:
        return f"<MediaStream {self._id_} {len(self._tracks_)} tracks>"


def add_track(stream: MediaStream, track: Track) -> None:
    """Add a track and fire "addtrack", unless it is there already (for the library)."""
    if stream.getTrackById(track.id) is None:
        stream.addTrack(track)
        fire(stream, MediaStreamTrackEvent("addtrack", {"track": track}))


def remove_track(stream: MediaStream, track: Track) -> None:
    """Remove a track and fire "removetrack", if it is there (for the library)."""
    if stream.getTrackById(track.id) is track:
        stream.removeTrack(track)
        fire(stream, MediaStreamTrackEvent("removetrack", {"track": track}))
