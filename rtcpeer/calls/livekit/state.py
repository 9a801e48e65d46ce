"""State of a room as a LiveKit server tells it, told to the call: participants, names of tracks, mute, reasons.

Owns: the last record of each participant, which track arrives under which name, tracks that wait for a session that is
made anew. Never: a connection, a socket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import CallHost
from rtcpeer.signaling.livekit.messages import models

# Tracks that may arrive before the server has said whose they are.
UNKNOWN_MAX = 64

_REASONS: Mapping[int, EndReason] = {
    models.DisconnectReason.CLIENT_INITIATED: EndReason.LEFT,
    models.DisconnectReason.DUPLICATE_IDENTITY: EndReason.REMOVED,
    models.DisconnectReason.PARTICIPANT_REMOVED: EndReason.REMOVED,
    models.DisconnectReason.ROOM_DELETED: EndReason.ROOM_CLOSED,
    models.DisconnectReason.ROOM_CLOSED: EndReason.ROOM_CLOSED,
    models.DisconnectReason.JOIN_FAILURE: EndReason.REFUSED,
    models.DisconnectReason.USER_REJECTED: EndReason.REFUSED,
    models.DisconnectReason.SIGNAL_CLOSE: EndReason.CONNECTION_LOST,
    models.DisconnectReason.CONNECTION_TIMEOUT: EndReason.CONNECTION_LOST,
    models.DisconnectReason.MEDIA_FAILURE: EndReason.CONNECTION_LOST,
}


def end_reason(reason: int) -> EndReason:
    """The call's word for a LiveKit DisconnectReason."""
    return _REASONS.get(reason, EndReason.SIGNALING_ENDED)


def metadata_of(info: models.ParticipantInfo) -> dict[str, Any]:
    """A participant's metadata: the members of its JSON object, else its text as ``text``; and its ``attributes``."""
    found: dict[str, Any] = {}
    if info.metadata:
        try:
            members = json.loads(info.metadata)
        except ValueError:
            members = None
        found = members if isinstance(members, dict) else {"text": info.metadata}
    if info.attributes:
        found["attributes"] = dict(info.attributes)
    return found


class RemoteState:
    """The others in the room.

    Args:
        host: of the call.

    Attributes:
        infos: the last record of each participant, by identity.
        sid: our own, which is never one of the others.
        own: the last record of ourselves.
        on_gone: called with the identity of each participant who has left.
    """

    def __init__(self, host: CallHost) -> None:
        self._host = host
        self.infos: dict[str, models.ParticipantInfo] = {}
        self.sid: str = ""
        self.own: models.ParticipantInfo = models.ParticipantInfo()
        self.on_gone: Callable[[str], object] = lambda _: None
        self._arrived: dict[str, tuple[Any, str, str]] = {}  # (receiver, identity, name), by sid of the track
        self._unknown: dict[str, tuple[Any, str]] = {}  # (receiver, sid of the owner), by sid of the track
        self._kept: dict[
            str, tuple[Any, str, str]
        ] = {}  # (track, identity, name): of a session that has ended

    # -- participants ----------------------------------------------------------------------------------

    def begin(self, infos: list[models.ParticipantInfo]) -> None:
        """A session begins, the first one or a new one: whoever is not in the list is gone."""
        there = {info.identity for info in infos}
        for identity in [one for one in self.infos if one not in there]:
            self.gone(identity, EndReason.LEFT)
        for info in infos:
            self.update(info)
        for sid, (track, identity, name) in list(self._kept.items()):
            if self.track_info(sid) is None:
                del self._kept[sid]
                track.stop()
                self._host.track_unsubscribed(identity, name)

    def update(self, info: models.ParticipantInfo) -> None:
        """News of one participant."""
        if info.sid == self.sid:
            self.own = info
        if not info.identity or info.sid == self.sid:
            return
        former = self.infos.get(info.identity)
        if info.state == models.ParticipantInfo.DISCONNECTED:
            if former is not None and former.sid == info.sid:
                self.gone(info.identity, end_reason(info.disconnect_reason))
            return
        if former is not None and former.sid == info.sid and info.version < former.version:
            return  # overtaken by later news
        if former is not None and former.sid != info.sid:
            self.gone(info.identity, EndReason.CONNECTION_LOST)  # it has begun anew, with other tracks
        if (
            self._host.participant_joined(info.identity, info.name or info.identity, metadata_of(info))
            is None
        ):
            return
        self.infos[info.identity] = info
        published = {track.sid: track for track in info.tracks}
        for sid, (_, owner, _) in list(self._arrived.items()):
            if owner == info.identity and sid not in published:
                self._end(sid)
        for sid in published:
            if sid in self._unknown:
                self.arrived(*self._unknown.pop(sid), sid)
        self._tell_muted(info)

    def _tell_muted(self, info: models.ParticipantInfo) -> None:
        for track in info.tracks:
            if track.sid in self._arrived:
                self._host.track_muted(info.identity, self._arrived[track.sid][2], track.muted)

    def gone(self, identity: str, reason: EndReason) -> None:
        """A participant has left."""
        if self.infos.pop(identity, None) is not None:
            for sid, (_, owner, _) in list(self._arrived.items()):
                if owner == identity:
                    self._end(sid)
            for sid, (track, owner, _) in list(self._kept.items()):
                if owner == identity:
                    del self._kept[sid]
                    track.stop()
            self._host.participant_left(identity, reason)
            self.on_gone(identity)

    def identity_of(self, sid: str) -> str | None:
        """The identity of a participant, ourselves included."""
        if sid == self.sid:
            return self._host.id
        return next((identity for identity, info in self.infos.items() if info.sid == sid), None)

    def sid_of_track(self, identity: str, name: str) -> str | None:
        """The sid of a participant's track, by its name, its kind or its sid."""
        info = self.infos.get(identity)
        tracks = list(info.tracks) if info is not None else []
        kinds = {"audio": models.TrackType.AUDIO, "video": models.TrackType.VIDEO}
        for one in tracks:
            if name in (one.name, one.sid):
                return str(one.sid)
        return next((str(one.sid) for one in tracks if one.type == kinds.get(name)), None)

    def track_info(self, sid: str) -> models.TrackInfo | None:
        """The server's record of a track."""
        return next((t for info in self.infos.values() for t in info.tracks if t.sid == sid), None)

    # -- tracks ----------------------------------------------------------------------------------------

    def arrived(self, receiver: Any, owner: str, sid: str) -> None:
        """A track arrives; it waits until the server has said whose it is."""
        info = next((one for one in self.infos.values() if one.sid == owner), None)
        track = None if info is None else next((t for t in info.tracks if t.sid == sid), None)
        if info is None or track is None:
            if len(self._unknown) >= UNKNOWN_MAX:
                self._host.ignored("track of nobody", sid)
                return
            self._unknown[sid] = (receiver, owner)
            return
        kept = self._kept.pop(sid, None)
        if kept is not None and kept[0].readyState == "live" and kept[0].kind == receiver.track.kind:
            receiver.exchangeTrack(kept[0])
            self._arrived[sid] = (receiver, info.identity, kept[2])
        else:
            name = self._host.track_subscribed(info.identity, track.name, receiver.track)
            if name is None:
                return
            self._arrived[sid] = (receiver, info.identity, name)
            arriving = receiver.track
            arriving.addEventListener("ended", lambda _: self._ended(sid, arriving))
        self._tell_muted(info)

    def _ended(self, sid: str, track: Any) -> None:
        """The server sends it no more: it is not subscribed to any more."""
        receiver, identity, name = self._arrived.get(sid, (None, "", ""))
        if receiver is not None and receiver.track is track:
            del self._arrived[sid]
            self._host.track_unsubscribed(identity, name)

    def _end(self, sid: str) -> None:
        receiver, identity, name = self._arrived.pop(sid)
        track = receiver.track
        if track.readyState == "live":
            receiver.exchangeTrack()  # the section may be used for another one
            track.stop()
        self._host.track_unsubscribed(identity, name)

    def keep_tracks(self) -> None:
        """The session ends and another one follows: tracks live on until the server says that they are gone."""
        for sid, (receiver, identity, name) in self._arrived.items():
            if receiver.track.readyState == "live":
                self._kept[sid] = (receiver.exchangeTrack(), identity, name)
        self._arrived.clear()
        self._unknown.clear()

    def close(self) -> None:
        """End what was kept."""
        for track, _, _ in self._kept.values():
            track.stop()
        self._kept.clear()
