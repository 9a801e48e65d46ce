"""Forwarding by one sender in place of encoding: because the program asked for it, or because its track allows it.

Going from forwarding to encoding leaves no gap: packets are forwarded until the first frame is encoded. Going back,
frames are encoded until the source has a key frame.
Owns: the relay. Never: packets, the encoder (the sender's).
"""

from __future__ import annotations

from typing import Protocol

from rtcpeer.media.auto_forwarding import AutoForwarding
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.relaying import Relay
from rtcpeer.media.send_stream import SendStream
from rtcpeer.rtp.parameters import SendParameters
from rtcpeer.rtp.session import RtpSession


class ForwardingHost(Protocol):
    """The part of a sender that is needed here."""

    @property
    def session(self) -> RtpSession | None:
        """The RTP session that packets go to."""

    @property
    def parameters(self) -> SendParameters | None:
        """How they are sent."""

    @property
    def formats(self) -> list[PayloadFormat]:
        """The negotiated ones, best first."""

    @property
    def active_streams(self) -> list[SendStream]:
        """The streams that send now."""

    @property
    def is_ready(self) -> bool:
        """Whether there is a live track, and a way for it."""

    @property
    def encodes(self) -> bool:
        """Whether frames are encoded now."""

    @property
    def changes_frames(self) -> bool:
        """Whether a transform wants encoded frames."""

    def stop_encoding(self) -> None:
        """Encode nothing more for now, at once."""

    def update(self) -> None:
        """Look again what there is to do."""


class SenderForwarding:
    """The relay of one sender, if it has one."""

    def __init__(self, host: ForwardingHost) -> None:
        self._host = host
        self._relay: Relay | None = None
        self._is_auto = False
        # of an automatic relay: packets of the source leave; it ends with the next encoded frame
        self._begun = False
        self._leaving = False
        self._auto = AutoForwarding(host.update)

    # -- what the sender asks ----------------------------------------------------------------------

    @property
    def relay(self) -> Relay | None:
        """The relay that forwards now, for the statistics and feedback of `stream`; None while frames are encoded."""
        relay = self._relay
        if relay is None or not relay.is_running or (self._is_auto and not self._begun):
            return None
        return relay

    @property
    def stream(self) -> SendStream | None:
        """The stream that is forwarded now."""
        return self._stream() if self.relay is not None else None

    @property
    def replaces_encoder(self) -> bool:
        """Whether no frames are to be encoded now."""
        if self._relay is None:
            return False
        if not self._is_auto:
            return True
        return not self._leaving and (self._begun or not self._host.encodes)

    @property
    def is_automatic(self) -> bool:
        """Whether the track is forwarded by itself."""
        return self._relay is not None and self._is_auto

    def _stream(self) -> SendStream | None:
        return next(iter(self._host.active_streams), None)

    # -- what the program says ---------------------------------------------------------------------

    def begin(self, receiver: MediaReceiver, layer: str | None) -> Relay:
        """Forward a receiver, whatever the track is."""
        self.end()
        self._relay = Relay(receiver, layer)
        return self._relay

    def set_track(self, track: object) -> None:
        """Take another track, and forward it if it allows that."""
        if self._is_auto and self._relay is not None:
            # what replaces it begins with a picture of its own
            self.end()
        self._auto.set_track(track)

    def owns(self, relay: Relay) -> bool:
        """Whether the program began this one, and it has not ended."""
        return relay is self._relay and not self._is_auto

    def decline(self) -> None:
        """The sender has to make sound itself: never forward this track again, from now on."""
        self._auto.declined = True
        if self._is_auto:
            self.end()

    def end(self) -> None:
        """Forward nothing more; the stream goes on from here."""
        relay, self._relay = self._relay, None
        self._is_auto = self._begun = self._leaving = False
        if relay is not None:
            relay.close()

    def release(self) -> None:
        """The sender has been stopped."""
        self.end()
        self._auto.release()

    # -- changes -----------------------------------------------------------------------------------

    def update(self) -> None:
        """Begin, change or end forwarding, as everything around it is now."""
        if self._relay is None or self._is_auto:
            self._decide()
        relay, host = self._relay, self._host
        if relay is None:
            return
        stream, session, parameters = self._stream(), host.session, host.parameters
        if stream is None or session is None or parameters is None or not session.connected:
            relay.halt()
            return
        relay.run(stream.packets, session, parameters, host.formats)

    def before_encoded_frame(self) -> None:
        """A frame has been encoded: it takes the place of what was forwarded until now."""
        if self._leaving:
            self.end()

    def _decide(self) -> None:
        receiver = self._receiver()
        relay = self._relay
        if receiver is None:
            if relay is None:
                return
            if self._begun and self._host.is_ready and self._auto.has_origin and relay.can_go_on:
                self._leaving = True
            else:
                self.end()
            return
        self._leaving = False
        if relay is None:
            self._relay = relay = Relay(receiver)
            self._is_auto, self._begun = True, False
            relay.on_begin = self._on_begin
        elif relay.receiver is not receiver:
            relay.switch(receiver)

    def _receiver(self) -> MediaReceiver | None:
        """The receiver whose packets are what this sender has to send; None if there is none."""
        host, streams = self._host, self._host.active_streams
        parameters = host.parameters
        if not host.is_ready or host.changes_frames or parameters is None:
            return None
        if len(streams) != 1 or len(parameters.encodings) != 1:
            return None
        return self._auto.receiver_for(streams[0].packets.encoding, host.formats)

    def _on_begin(self) -> None:
        self._begun = True
        self._host.stop_encoding()
