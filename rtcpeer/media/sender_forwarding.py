"""Forwarding by one sender in place of encoding: because the program asked for it, or because its track allows it.

Going from forwarding to encoding leaves no gap: packets are forwarded until the first frame is encoded. Going back,
frames are encoded until the source has a key frame.
Owns: the relay. Never: packets, the encoder (the sender's).
"""

from __future__ import annotations

from collections.abc import Callable

from rtcpeer.media.auto_forwarding import AutoForwarding
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.relaying import Relay
from rtcpeer.media.send_section import SendSection
from rtcpeer.media.send_stream import SendStream


class SenderForwarding:
    """The relay of one sender, if it has one.

    Args:
        section: what the sender sends with.
        update: called when there may be something else to do; it calls `update` here.
        stop_encoding: has the sender encode nothing more for now, at once.
    """

    def __init__(
        self, section: SendSection, *, update: Callable[[], None], stop_encoding: Callable[[], None]
    ) -> None:
        self._section = section
        self._stop_encoding = stop_encoding
        self._relay: Relay | None = None
        self._is_auto = False
        # of an automatic relay: packets of the source leave; it ends with the next encoded frame
        self._begun = False
        self._leaving = False
        self._auto = AutoForwarding(update)

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

    def replaces_encoder(self, *, encodes: bool) -> bool:
        """Whether no frames are to be encoded now; `encodes`: whether some are until now."""
        if self._relay is None:
            return False
        if not self._is_auto:
            return True
        return not self._leaving and (self._begun or not encodes)

    @property
    def is_automatic(self) -> bool:
        """Whether the track is forwarded by itself."""
        return self._relay is not None and self._is_auto

    def _stream(self) -> SendStream | None:
        return next(iter(self._section.active), None)

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

    def update(self, *, is_ready: bool, needs_frames: bool) -> None:
        """Begin, change or end forwarding, as everything around it is now.

        Args:
            is_ready: whether there is a live track, and a way for it.
            needs_frames: whether somebody wants encoded frames, so that packets cannot be forwarded by themselves.
        """
        if self._relay is None or self._is_auto:
            self._decide(self._receiver() if is_ready and not needs_frames else None, is_ready=is_ready)
        relay, section = self._relay, self._section
        if relay is None:
            return
        stream, session, parameters = self._stream(), section.session, section.parameters
        if stream is None or session is None or parameters is None or not session.connected:
            relay.halt()
            return
        relay.run(stream.packets, session, parameters, section.formats)

    def before_encoded_frame(self) -> None:
        """A frame has been encoded: it takes the place of what was forwarded until now."""
        if self._leaving:
            self.end()

    def _decide(self, receiver: MediaReceiver | None, *, is_ready: bool) -> None:
        relay = self._relay
        if receiver is None:
            if relay is None:
                return
            if self._begun and is_ready and self._auto.has_origin and relay.can_go_on:
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
        streams, parameters = self._section.active, self._section.parameters
        if parameters is None or len(streams) != 1 or len(parameters.encodings) != 1:
            return None
        return self._auto.receiver_for(streams[0].packets.encoding, self._section.formats)

    def _on_begin(self) -> None:
        self._begun = True
        self._stop_encoding()
