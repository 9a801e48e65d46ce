"""What the application wants to send and receive, kept so that it can be said to the next connection again.

Owns: the arguments of `addTrack` and `addTransceiver`, the codec preferences, and the handle that the application
holds. The user's track belongs to the user: it is never stopped here.

What the present connection knows best is read from it when the next one is made: the direction and the encodings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rtcpeer.peer.errors import InvalidStateError


class SupervisedSender:
    """A handle that outlives connections; `addTrack` and `addTransceiver` of `SupervisedPeer` return it."""

    def __init__(
        self, track_or_kind: Any, streams: tuple[Any, ...] = (), init: Mapping[str, Any] | None = None
    ) -> None:
        self._what = track_or_kind
        self._streams = streams
        self._init = dict(init) if init is not None else None  # None: addTrack, which takes what is there
        self._codecs: tuple[Any, ...] | None = None  # None: never chosen
        self._encodings: tuple[Any, ...] = ()  # as the last connection had them; empty: as it began
        self._pc: Any = None
        self._transceiver: Any = None
        self._removed = False

    def __repr__(self) -> str:
        return f"<SupervisedSender {self.kind}{', removed' if self._removed else ''}>"

    @property
    def kind(self) -> str:
        """Either "audio" or "video"."""
        return str(self._what if isinstance(self._what, str) else self._what.kind)

    @property
    def track(self) -> Any:
        """The track that is sent; None for a bare kind."""
        return None if isinstance(self._what, str) else self._what

    @property
    def transceiver(self) -> Any:
        """The RTCRtpTransceiver of the present connection; None before there is one."""
        return self._transceiver

    @property
    def sender(self) -> Any:
        """The RTCRtpSender of the present connection; None before there is one."""
        return self._transceiver.sender if self._transceiver is not None else None

    async def replaceTrack(self, track: Any) -> None:
        """Send another track of the same kind (or None), now and over all further connections.

        Raises:
            InvalidStateError: it was removed.
            TypeError: the track is of another kind.
        """
        if self._removed:
            raise InvalidStateError("the sender was removed")
        if track is not None and track.kind != self.kind:
            raise TypeError(f"the track must be {self.kind}, not {track.kind}")
        if self._transceiver is not None:
            await self._transceiver.sender.replaceTrack(track)
        self._what = self.kind if track is None else track

    def setCodecPreferences(self, codecs: Iterable[Any]) -> None:
        """As of RTCRtpTransceiver, now and over all further connections.

        Raises:
            InvalidStateError: it was removed.
            InvalidModificationError, TypeError: from the connection in force; nothing was changed.
        """
        if self._removed:
            raise InvalidStateError("the sender was removed")
        chosen = tuple(codecs)
        if self._transceiver is not None:
            self._transceiver.setCodecPreferences(list(chosen))
        self._codecs = chosen

    def getParameters(self) -> Any:
        """As of the RTCRtpSender in force; change the encodings and give it to `setParameters`.

        Raises:
            InvalidStateError: there is no connection yet.
        """
        if self._transceiver is None:
            raise InvalidStateError(
                "there is no connection yet: sendEncodings of addTransceiver are for that"
            )
        return self._transceiver.sender.getParameters()

    async def setParameters(self, parameters: Any) -> None:
        """As of the RTCRtpSender in force; the encodings are those of all further connections as well.

        Raises:
            InvalidStateError: there is no connection yet, or what `RTCRtpSender.setParameters` says.
        """
        if self._transceiver is None:
            raise InvalidStateError("there is no connection yet")
        await self._transceiver.sender.setParameters(parameters)

    # -- for the peer ------------------------------------------------------------------------------

    def apply(self, pc: Any) -> Callable[[], Awaitable[None]] | None:
        """Say it to a connection. A direction and encodings that were changed meanwhile are kept.

        Returns:
            What has yet to be called and awaited for that, if anything.
        """
        direction = str(getattr(self._transceiver, "direction", None) or "stopped")
        before = getattr(self._transceiver, "sender", None)
        if before is not None:
            self._encodings = tuple(before.getParameters().encodings)
        unfinished = None
        if self._init is None and self.track is not None:
            sender = pc.addTrack(self.track, *self._streams)
            transceiver = next((t for t in pc.getTransceivers() if t.sender is sender), None)
            if transceiver is not None and direction != "stopped":
                transceiver.direction = direction
            if self._encodings:
                unfinished = partial(_set_encodings, sender, self._encodings)
        else:
            init: dict[str, Any] = (
                {"streams": list(self._streams)} if self._init is None else dict(self._init)
            )
            if direction != "stopped":
                init["direction"] = direction
            if self._encodings:
                init["sendEncodings"] = list(self._encodings)
            transceiver = pc.addTransceiver(self._what, init)
        self._pc, self._transceiver = pc, transceiver
        if self._codecs is not None and transceiver is not None:
            transceiver.setCodecPreferences(list(self._codecs))
        return unfinished

    def remove(self) -> None:
        """Send no more, now and over all further connections."""
        self._removed = True
        if self._transceiver is not None and self._pc.signalingState != "closed":
            self._pc.removeTrack(self._transceiver.sender)


async def _set_encodings(sender: Any, encodings: tuple[Any, ...]) -> None:
    """Where `addTrack` takes none. Layers that the other side asked for are its to ask for again."""
    parameters = sender.getParameters()
    if [e.rid for e in parameters.encodings] == [e.rid for e in encodings]:
        parameters.encodings = [dataclasses.replace(e) for e in encodings]
        await sender.setParameters(parameters)
