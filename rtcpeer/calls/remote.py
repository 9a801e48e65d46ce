"""The tracks that one supervised connection brings, as tracks of participants.

Owns: which of them are published at present, the end of those that are not any more. Never: a connection, a decision
about names (the service knows whose a track is and what it is called).

Theory of operation. A transceiver gives the same receiver and track for ever, so a section that is used again, for
another track or another participant, would continue the old track: a recorder attached to it would go on with somebody
else. So when a section stops to be received, its receiver gets a fresh track and the old one is ended. That a
connection is made anew changes nothing: the supervised peer moves each track over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rtcpeer.media.event_target import fire
from rtcpeer.media.track import MediaStreamTrack
from rtcpeer.peer.events import RTCTrackEvent
from rtcpeer.records import record
from rtcpeer.supervisor.peer import SupervisedPeer

_RECEIVING = ("recvonly", "sendrecv")


@record(slots=True)
class _Arriving:
    """A track that arrives.

    Attributes:
        track: what the application has.
        owner: id of the participant.
        name: under which the host knows it.
        source: what its section carries, as far as the service tells.
    """

    track: MediaStreamTrack
    owner: str
    name: str
    source: object


class ArrivingTracks:
    """The tracks of one supervised peer.

    Args:
        peer: the supervised peer; not started.
        subscribe: called with a ``track`` event; tells the host and returns the participant's id and the name under
            which the host knows the track, or None where the track is to be left alone.
        unsubscribed: called with both when the track has ended.
        source: what the section of a transceiver carries; None where that is not known. A section that goes on with
            another source brings another track, although it was received all the time.
    """

    def __init__(
        self,
        peer: SupervisedPeer,
        subscribe: Callable[[Any], tuple[str, str] | None],
        unsubscribed: Callable[[str, str], object],
        source: Callable[[Any], object] = lambda _: None,
    ) -> None:
        self._peer = peer
        self._subscribe = subscribe
        self._unsubscribed = unsubscribed
        self._source = source
        self._arriving: list[_Arriving] = []
        peer.addEventListener("track", self._on_track)
        peer.addEventListener("signalingstatechange", self._on_state)

    def _on_track(self, event: Any) -> None:
        track = event.track
        known = self._subscribe(event)
        if known is not None:
            one = _Arriving(track, *known, self._source(event.transceiver))
            self._arriving.append(one)
            track.addEventListener("ended", lambda _: self._drop(one))

    def _on_state(self, _event: Any) -> None:
        pc = self._peer.pc
        if pc is not None and str(pc.signalingState) == "stable":
            # tracks of the same description are announced first
            asyncio.get_running_loop().call_soon(self.reconcile)

    def reconcile(self) -> None:
        """End what the connection does not receive any more; announce what has come in the place of something else."""
        pc = self._peer.pc
        if pc is None or str(pc.signalingState) == "closed":
            return
        for transceiver in pc.getTransceivers():
            receiver = transceiver.receiver
            is_received = str(transceiver.currentDirection) in _RECEIVING
            source = self._source(transceiver) if is_received else None
            one = next((a for a in self._arriving if a.track is receiver.track), None)
            if one is not None and (not is_received or one.source != source):
                self._replace(receiver)
                self._drop(one)
                one.track.stop()
                one = None
            if one is None and source is not None:
                fire(pc, _track_event(transceiver))

    def end(self, owner: str) -> None:
        """End all tracks of one participant."""
        pc = self._peer.pc
        receivers = [] if pc is None else [t.receiver for t in pc.getTransceivers()]
        for one in [a for a in self._arriving if a.owner == owner]:
            receiver = next((r for r in receivers if r.track is one.track), None)
            if receiver is not None:
                self._replace(receiver)
            self._drop(one)
            one.track.stop()

    @staticmethod
    def _replace(receiver: Any) -> None:
        if hasattr(receiver, "exchangeTrack") and receiver.track.readyState == "live":
            receiver.exchangeTrack()

    def _drop(self, one: _Arriving) -> None:
        if one in self._arriving:
            self._arriving.remove(one)
            self._unsubscribed(one.owner, one.name)


def _track_event(transceiver: Any) -> RTCTrackEvent:
    """An event like that of a section that begins to be received."""
    receiver = transceiver.receiver
    return RTCTrackEvent("track", track=receiver.track, receiver=receiver, transceiver=transceiver)
