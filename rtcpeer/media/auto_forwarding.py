"""Decides whether a sender may forward what its track receives, in place of decoding and encoding it.

A remote track is forwarded as long as nothing asks for its pixels or samples and the codecs match; every change that
could matter is watched.
Owns: what is watched. Never: packets; the sender begins and ends forwarding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.relaying import same_codec
from rtcpeer.rtp.parameters import SendEncoding


@runtime_checkable
class ForwardableTrack(Protocol):
    """A track that gives what a receiver gets, unchanged."""

    @property
    def origin(self) -> Any:
        """The receiver; None while the track gives something else, for example while it is disabled."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `origin` may have changed."""

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Call it no more."""


class AutoForwarding:
    """The decision of one sender.

    Args:
        changed: called when `receiver_for` may give something else than before.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._track: ForwardableTrack | None = None
        self._receiver: MediaReceiver | None = None
        # the sender needs samples of its own: tones
        self.declined: bool = False

    def set_track(self, track: object) -> None:
        """Decide about another track from now on."""
        if self._track is not None:
            self._track.unwatch(self._changed)
        self._track = track if isinstance(track, ForwardableTrack) else None
        self.declined = False
        self._follow(None)
        if self._track is not None:
            self._track.watch(self._changed)

    def receiver_for(self, encoding: SendEncoding, sent: list[PayloadFormat]) -> MediaReceiver | None:
        """The receiver whose packets are to be forwarded in an encoding; None if frames have to be encoded.

        Args:
            encoding: the only one of the sender.
            sent: the negotiated formats, best first.
        """
        receiver = None if self._track is None else self._track.origin
        if not isinstance(receiver, MediaReceiver):
            self._follow(None)
            return None
        self._follow(receiver)
        if self.declined or _changes_pixels(encoding) or receiver.encoded.transform is not None:
            return None
        current = receiver.current_format
        received = [f for f in receiver.formats.values() if f.is_media] if current is None else [current]
        if encoding.codec is not None:
            sent = [form for form in sent if form.codec == encoding.codec]
        # before the first packet: as if the sender at the other end took the best codec
        matches = any(same_codec(form, other) for form in received[:1] for other in sent)
        return receiver if matches else None

    @property
    def has_origin(self) -> bool:
        """Whether the track gives what a receiver gets; while it is disabled it does not."""
        return self._track is not None and self._track.origin is not None

    def release(self) -> None:
        """Watch nothing any more."""
        self.set_track(None)

    def _follow(self, receiver: MediaReceiver | None) -> None:
        if receiver is self._receiver:
            return
        if self._receiver is not None:
            self._receiver.unwatch(self._changed)
        self._receiver = receiver
        if receiver is not None:
            receiver.watch(self._changed)


def _changes_pixels(encoding: SendEncoding) -> bool:
    """Whether an encoding asks for something that only an encoder can do."""
    return (
        encoding.scale != 1.0
        or encoding.scale_resolution_down_to is not None
        or encoding.max_framerate is not None
        or encoding.max_bitrate is not None
        or encoding.bitrate_limit is not None
    )
