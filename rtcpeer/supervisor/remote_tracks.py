"""Remote tracks of a supervised peer: each stays the same object over all connections.

Owns: which track of an earlier connection a new one's track is, and the end of those that do not come back. Never: a
frame (the receivers feed the tracks), a connection.

Theory of operation. A supervised peer says in its descriptions which of its senders a section is (see `handover`), so
that a track is found again wherever its section moves. Of any other peer the section's mid and kind decide. The new
connection's receiver then feeds the track that the application has, and the old receiver a track that nobody has.
"""

from __future__ import annotations

from typing import Any

from rtcpeer.protocols import PeerConnection
from rtcpeer.records import record


@record(slots=True)
class _Known:
    """Record of one remote track.

    Attributes:
        track: what the application has.
        kind: "audio" or "video".
        mid: of its section in the connection that feeds it.
        sender: the number of the other peer's sender, if it was told.
        pc: the connection that feeds it; None while there is none.
        receiver: of that connection.
    """

    track: Any
    kind: str
    mid: str | None
    sender: int | None
    pc: PeerConnection | None
    receiver: Any


class RemoteTracks:
    """The tracks that the other peer sends."""

    def __init__(self) -> None:
        self._known: list[_Known] = []

    def take(self, pc: PeerConnection, event: Any, sender: int | None) -> bool:
        """A connection has announced a track.

        Args:
            pc: the connection in force.
            event: its ``track`` event.
            sender: the number of the other peer's sender, if it was told.

        Returns:
            Whether it is new to the application. Otherwise the connection feeds the track that the application has.
        """
        self._known = [one for one in self._known if one.track.readyState == "live"]
        track, receiver, mid = event.track, event.receiver, event.transceiver.mid
        before = next((one for one in self._known if one.track is track), None)
        if before is not None:
            before.mid, before.sender = mid, sender
            return True
        fresh = _Known(track, track.kind, mid, sender, pc, receiver)
        found = self._find(fresh)
        if found is None or not hasattr(receiver, "exchangeTrack"):
            self._known.append(fresh)
            return True
        receiver.exchangeTrack(found.track)
        if found.receiver is not None:
            found.receiver.exchangeTrack(track)
        for stream in event.streams:
            stream.removeTrack(track)
            stream.addTrack(found.track)
        found.mid, found.sender, found.pc, found.receiver = mid, sender, pc, receiver
        return False

    def _find(self, fresh: _Known) -> _Known | None:
        free = [one for one in self._known if one.kind == fresh.kind and one.pc is not fresh.pc]
        if fresh.sender is not None:
            told = [one for one in free if one.sender is not None]
            found = next((one for one in told if one.sender == fresh.sender), None)
            if found is not None:
                return found
            free = [one for one in free if one.sender is None]
        return next((one for one in free if one.mid == fresh.mid), None)

    def detach(self, pc: PeerConnection) -> None:
        """A connection is about to be closed: the tracks that it feeds wait, muted, for the next one."""
        for one in self._known:
            if one.pc is pc and one.track.readyState == "live" and hasattr(one.receiver, "exchangeTrack"):
                one.receiver.exchangeTrack()
                one.pc = one.receiver = None
                one.track.set_muted(True)

    def end_unmatched(self) -> None:
        """End the tracks that no connection feeds any more."""
        gone = [one for one in self._known if one.pc is None]
        self._known = [one for one in self._known if one.pc is not None]
        for one in gone:
            one.track.end()
