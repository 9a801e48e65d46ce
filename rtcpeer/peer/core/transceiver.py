"""TransceiverCore: one transceiver behind its face objects, with its sender, its receiver and the engine's record.

Owns: the link between a record of the engine and the media objects. Stores nothing that was negotiated: that is
read from the record. Never: W3C argument conversion (the face's), decisions (the engine's).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from rtcpeer.errors import OperationError
from rtcpeer.jsep.state import Transceiver as Record
from rtcpeer.peer.core.context import ConnectionContext
from rtcpeer.peer.events import RTCSenderErrorEvent
from rtcpeer.values import Direction, MediaKind, PeerConnectionState

if TYPE_CHECKING:
    from rtcpeer.media.receiver import MediaReceiver
    from rtcpeer.media.sender import MediaSender
    from rtcpeer.media.source import Track
    from rtcpeer.media.track import RemoteTrack
    from rtcpeer.peer.transports import DtlsTransportCore, RTCDtlsTransport


TransceiverT = TypeVar("TransceiverT")
SenderT = TypeVar("SenderT")
ReceiverT = TypeVar("ReceiverT")


class TransceiverCore(Generic[TransceiverT, SenderT, ReceiverT]):
    """The objects behind one transceiver, and its record in the engine.

    Attributes:
        id: of the record.
        sender_media, receiver_media: what sends and receives.
        transport: of sender and receiver; None is W3C's null.
        track: what is being sent, or None.
        transceiver, sender, receiver: the face objects, given by `show_as`.
    """

    transceiver: TransceiverT
    sender: SenderT
    receiver: ReceiverT

    def __init__(
        self,
        session: ConnectionContext,
        id: int,
        kind: MediaKind,
        sender_media: MediaSender,
        receiver_media: MediaReceiver,
        receiver_track: RemoteTrack,
    ) -> None:
        self.session = session
        self.id = id
        self.kind = kind
        self.sender_media = sender_media
        sender_media.on_error = self.report_sender_error
        self.receiver_media = receiver_media
        self.receiver_track: RemoteTrack = receiver_track
        self.transport: DtlsTransportCore | None = None
        self.track: Track | None = None
        # of the DTMF sender, if there is one
        self.on_stop: Callable[[], None] | None = None
        # the record as last seen: it leaves the engine's set when the transceiver is removed
        self._last = Record(id, kind, Direction.INACTIVE)

    @property
    def record(self) -> Record:
        """The engine's record; the last one, when the transceiver has left the set."""
        record = self.session.engine.state.transceiver(self.id)
        if record is not None:
            self._last = record
        return self._last

    def show_as(self, transceiver: TransceiverT, sender: SenderT, receiver: ReceiverT) -> None:
        """Show these faces from now on: W3C's, or those of other conventions (`rtcpeer.aiortc`)."""
        self.transceiver, self.sender, self.receiver = transceiver, sender, receiver

    def exchange_receiver_track(self, track: RemoteTrack) -> RemoteTrack:
        """Feed another remote track from now on; the one that was fed until now."""
        before, self.receiver_track = self.receiver_track, track
        self.receiver_media.set_sink(track)
        return before

    def report_sender_error(self, error: OperationError) -> None:
        """Something of the track could not be sent: tell the user."""
        init = {"sender": self.sender, "track": self.track, "error": error}
        self.session.fire(RTCSenderErrorEvent("sendererror", init))

    def use_track(self, track: Track | None) -> None:
        """Send this track, or nothing, from now on."""
        self.track = track
        self.sender_media.set_track(track)

    @property
    def can_insert_dtmf(self) -> bool:
        """Whether tones can be sent now (webrtc-pc 7.2 "determine if DTMF can be sent")."""
        record = self.record
        return (
            self.session.aggregates.connection is PeerConnectionState.CONNECTED
            and not record.stopping
            and record.current_direction is not None
            and record.current_direction.sends
            and bool(record.encodings)
            and record.encodings[0].active
            and self.sender_media.can_insert_dtmf
        )

    def insert_tone(self, tone: str, duration_ms: int) -> None:
        """Play one tone."""
        self.sender_media.insert_tone(tone, duration_ms)

    def stop_tones(self) -> None:
        """The sender has stopped: no further tone."""
        on_stop, self.on_stop = self.on_stop, None
        if on_stop is not None:
            on_stop()

    def removed(self) -> None:
        """The record has left the engine's set: what is shown from now on is a stopped transceiver."""
        self._last = dataclasses.replace(
            self._last, mid=None, stopping=True, stopped=True, current_direction=None
        )
        self.transport = None

    @property
    def face_transport(self) -> RTCDtlsTransport | None:
        """`transport` as the user sees it."""
        return None if self.transport is None else self.transport.face
