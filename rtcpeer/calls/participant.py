"""The other participants of a call, and the tracks that we publish there.

Owns: two records of a call's state. Never: a connection; `CallHost` writes participants, the service of the call
carries out what a publication is told.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.protocols import Track


class Participant:
    """Another participant of a call. The call's service keeps it up to date.

    Attributes:
        id: unique in the call.
        name: what it calls itself; None if it says nothing.
        metadata: what it says of itself.
        is_present: False once it has left.
        is_reconnecting: whether the connection to it is being mended.
        is_away: whether the service does not hear it at present.
    """

    def __init__(self, id: str, name: str | None, metadata: Mapping[str, Any]) -> None:
        self.id = id
        self.name = name
        self.metadata: Mapping[str, Any] = MappingProxyType(dict(metadata))
        self.is_present: bool = True
        self.is_reconnecting: bool = False
        self.is_away: bool = False
        self._tracks: dict[str, MediaStreamTrack] = {}
        self._muted: set[str] = set()

    def __repr__(self) -> str:
        state = "" if self.is_present else ", gone"
        return f"<Participant {self.name or self.id}, {len(self._tracks)} tracks{state}>"

    @property
    def tracks(self) -> Mapping[str, MediaStreamTrack]:
        """The tracks that arrive from it, by name; a copy."""
        return dict(self._tracks)

    @property
    def muted(self) -> frozenset[str]:
        """The names of the tracks that it says it has muted."""
        return frozenset(self._muted)

    def track(self, name_or_kind: str) -> MediaStreamTrack | None:
        """The track of this name, else the first one of this kind, else None."""
        found = self._tracks.get(name_or_kind)
        if found is not None:
            return found
        return next((track for track in self._tracks.values() if track.kind == name_or_kind), None)

    # -- for the call's host ---------------------------------------------------------------------------

    def put_track(self, name: str, track: MediaStreamTrack) -> None:
        """Add a track that it publishes."""
        self._tracks[name] = track

    def take_track(self, name: str) -> MediaStreamTrack | None:
        """Remove a track that it does not publish any more; gives the track, or None."""
        self._muted.discard(name)
        return self._tracks.pop(name, None)

    def mark_muted(self, name: str, muted: bool) -> bool:
        """Note that it has muted a track or the contrary; gives whether that is news."""
        if (name in self._muted) == muted:
            return False
        (self._muted.add if muted else self._muted.discard)(name)
        return True


# carries out one order of a publication
Order = Callable[["Publication"], Coroutine[Any, Any, None]]


class Publication:
    """A track of ours in the call; `Call.publish` returns it.

    Attributes:
        track: what is sent. It belongs to the application and is never stopped.
        name: unlike that of every other publication of ours.
        kind: "audio" or "video".
    """

    def __init__(self, track: Track, name: str, *, unpublish: Order, mute: Order) -> None:
        self.track = track
        self.name = name
        self.kind: str = str(track.kind)
        self._unpublish = unpublish
        self._mute = mute
        self._muted = False

    def __repr__(self) -> str:
        return f"<Publication {self.name} ({self.kind}){', muted' if self._muted else ''}>"

    @property
    def muted(self) -> bool:
        """Whether the others get nothing of it at present."""
        return self._muted

    async def mute(self) -> None:
        """Send nothing of it, and tell the others, until `unmute`. It stays published."""
        await self._set_muted(True)

    async def unmute(self) -> None:
        """Send it again."""
        await self._set_muted(False)

    async def unpublish(self) -> None:
        """Take it out of the call."""
        await self._unpublish(self)

    async def _set_muted(self, muted: bool) -> None:
        if self._muted != muted:
            self._muted = muted
            await self._mute(self)
