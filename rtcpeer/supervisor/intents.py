"""Intents: what the application wants to send and receive, kept to be repeated on the next connection.

Owns: the arguments of `addTrack` and `addTransceiver`, the codec preferences, and the handle that the application
holds. The user's track belongs to the user: it is never stopped here.

What the present connection knows best is read from it when the next one is made: the direction and the encodings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

from rtcpeer.media.stream import MediaStream
from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.protocols import PeerConnection, SenderLike, Track, TransceiverLike
from rtcpeer.supervisor.channel import QueueLimits, SupervisedChannel
from rtcpeer.supervisor.policy import Reason


class SupervisedSender:
    """A handle that outlives connections; `addTrack` and `addTransceiver` of `SupervisedPeer` return it."""

    def __init__(
        self,
        track_or_kind: Track | str,
        streams: tuple[MediaStream, ...] = (),
        init: Mapping[str, Any] | None = None,
    ) -> None:
        self._what = track_or_kind
        self._streams = streams
        self._init = dict(init) if init is not None else None  # None: addTrack, which takes what is there
        self._codecs: tuple[Any, ...] | None = None  # None: never chosen
        self._extensions: tuple[Any, ...] | None = None  # likewise
        self._encodings: tuple[Any, ...] = ()  # as the last connection had them; empty: as it began
        self._pc: Any = None
        self._transceiver: TransceiverLike | None = None
        self._removed = False
        self.number: int = 0  # among the senders of its peer; given when it is added

    def __repr__(self) -> str:
        return f"<SupervisedSender {self.kind}{', removed' if self._removed else ''}>"

    @property
    def kind(self) -> str:
        """Either "audio" or "video"."""
        return str(self._what if isinstance(self._what, str) else self._what.kind)

    @property
    def track(self) -> Track | None:
        """The track that is sent; None for a bare kind."""
        return None if isinstance(self._what, str) else self._what

    @property
    def transceiver(self) -> TransceiverLike | None:
        """The RTCRtpTransceiver of the present connection; None before there is one."""
        return self._transceiver

    @property
    def sender(self) -> SenderLike | None:
        """The RTCRtpSender of the present connection; None before there is one."""
        return self._transceiver.sender if self._transceiver is not None else None

    async def replaceTrack(self, track: Track | None) -> None:
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
        """Set the codecs that are offered, as of RTCRtpTransceiver, now and over all further connections.

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

    def setHeaderExtensionsToNegotiate(self, extensions: Iterable[Any]) -> None:
        """Set the directions of RTP header extensions, as of RTCRtpTransceiver, now and over all further connections.

        Raises:
            InvalidStateError: it was removed, or there is no connection yet.
            InvalidModificationError, TypeError: from the connection in force; nothing was changed.
        """
        if self._removed:
            raise InvalidStateError("the sender was removed")
        if self._transceiver is None:
            raise InvalidStateError("there is no connection yet")
        chosen = tuple(extensions)
        self._transceiver.setHeaderExtensionsToNegotiate(list(chosen))
        self._extensions = chosen

    def getParameters(self) -> Any:
        """The parameters of the RTCRtpSender in force; change the encodings and give it to `setParameters`.

        Raises:
            InvalidStateError: there is no connection yet.
        """
        if self._transceiver is None:
            raise InvalidStateError(
                "there is no connection yet: sendEncodings of addTransceiver are for that"
            )
        return self._transceiver.sender.getParameters()

    def setParameters(self, parameters: Any) -> Coroutine[Any, Any, None]:
        """Set the parameters of the RTCRtpSender in force; the encodings are those of all further connections as well.

        Raises:
            InvalidStateError: there is no connection yet, or what `RTCRtpSender.setParameters` says.
        """
        if self._transceiver is None:
            raise InvalidStateError("there is no connection yet")
        return _waiting(self._transceiver.sender.setParameters(parameters))

    # -- for the peer ------------------------------------------------------------------------------

    def apply(self, pc: PeerConnection) -> Callable[[], Awaitable[None]] | None:
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
        if self._extensions is not None and transceiver is not None:
            transceiver.setHeaderExtensionsToNegotiate(list(self._extensions))
        return unfinished

    def remove(self) -> None:
        """Send no more, now and over all further connections."""
        self._removed = True
        if self._transceiver is not None and self._pc.signalingState != "closed":
            self._pc.removeTrack(self._transceiver.sender)


async def _waiting(pending: Awaitable[None]) -> None:
    """The coroutine of a call that has been made: a task takes coroutines only."""
    await pending


async def _set_encodings(sender: Any, encodings: tuple[Any, ...]) -> None:
    """Set encodings where `addTrack` takes none. Layers that the other side asked for are its to ask for again."""
    parameters = sender.getParameters()
    if [e.rid for e in parameters.encodings] == [e.rid for e in encodings]:
        parameters.encodings = [dataclasses.replace(e) for e in encodings]
        await sender.setParameters(parameters)


# ---- Channels and senders of a supervised peer over all generations.


# what is read of a channel that the other side has made
_OPTIONS = ("ordered", "maxRetransmits", "maxPacketLifeTime", "protocol", "id")


class Intents:
    """Channels and senders.

    Args:
        limits: for each channel.
        is_connected: whether messages may be handed to the connection.
        on_error: called when something cannot be said to a connection.
    """

    def __init__(
        self,
        limits: QueueLimits,
        is_connected: Callable[[], bool],
        on_error: Callable[[str, Exception], object],
    ) -> None:
        self._limits = limits
        self._is_connected = is_connected
        self._on_error = on_error
        self.channels: list[SupervisedChannel] = []
        self.senders: list[SupervisedSender] = []
        self._numbered = 0

    @property
    def are_any(self) -> bool:
        """Whether there is anything to negotiate for."""
        return bool(self.senders) or any(channel.is_ours for channel in self.channels)

    def say_to(self, pc: PeerConnection, generation: int) -> list[Coroutine[Any, Any, None]]:
        """Ask a new connection for everything. What it refuses is told, and the rest goes on.

        Returns:
            What has to be run for that; none of it raises.
        """
        unfinished: list[Coroutine[Any, Any, None]] = []
        for channel in tuple(self.channels):
            if channel.is_ours:
                try:
                    channel.attach(pc.createDataChannel(channel.label, channel.options), generation)
                except Exception as error:
                    self._on_error(f"the channel {channel.label!r} could not be made again", error)
        for sender in self.senders:
            try:
                setting = sender.apply(pc)
            except Exception as error:
                self._on_error(f"{sender!r} could not be added to the new connection", error)
            else:
                if setting is not None:
                    unfinished.append(self._finish(sender, setting, pc))
        return unfinished

    async def _finish(
        self, sender: SupervisedSender, setting: Callable[[], Awaitable[None]], pc: PeerConnection
    ) -> None:
        try:
            await setting()
        except Exception as error:
            if str(pc.signalingState) != "closed":
                self._on_error(f"the parameters of {sender!r} could not be set again", error)

    def detach(self, unhealthy_since: float | None, reason: Reason) -> None:
        """The connection is not in force any more."""
        for channel in tuple(self.channels):
            channel.detach(unhealthy_since, reason)

    def flush(self) -> None:
        """Send what waits."""
        for channel in tuple(self.channels):
            channel.flush()

    def end(self, reason: Reason) -> None:
        """The peer has ended."""
        for channel in tuple(self.channels):
            channel.end(reason)

    def open_channel(
        self, pc: PeerConnection | None, generation: int, label: str, options: Mapping[str, Any]
    ) -> SupervisedChannel:
        """Make a channel; on the connection at once, if there is one.

        Raises:
            TypeError, ...: whatever the connection says against the options. Nothing is kept then.
        """
        channel = self._new(label, options, is_ours=True)
        if pc is not None:
            channel.attach(pc.createDataChannel(label, channel.options), generation)
        self.channels.append(channel)
        return channel

    def take_channel(self, made: Any, generation: int) -> SupervisedChannel | None:
        """The other side has made a channel.

        Returns:
            The new one; None when it is an earlier one that the other side has made again.
        """
        for channel in self.channels:
            if not channel.is_ours and channel.channel is None and channel.label == made.label:
                channel.attach(made, generation)
                return None
        options = {name: getattr(made, name, None) for name in _OPTIONS}
        channel = self._new(made.label, options, is_ours=False)
        self.channels.append(channel)
        channel.attach(made, generation)
        return channel

    def add_sender(self, pc: PeerConnection | None, sender: SupervisedSender) -> SupervisedSender:
        """Add a sender; to the connection at once, if there is one."""
        if pc is not None:
            sender.apply(pc)
        self._numbered += 1
        sender.number = self._numbered
        self.senders.append(sender)
        return sender

    def numbers(self) -> dict[str, int]:
        """The number of each sender by the mid of its section in the connection in force."""
        sections = ((getattr(sender.transceiver, "mid", None), sender.number) for sender in self.senders)
        return {mid: number for mid, number in sections if mid is not None}

    def remove_sender(self, sender: SupervisedSender) -> None:
        """Remove it; unknown ones are ignored."""
        if sender in self.senders:
            self.senders.remove(sender)
            sender.remove()

    def _new(self, label: str, options: Mapping[str, Any], *, is_ours: bool) -> SupervisedChannel:
        return SupervisedChannel(
            label,
            options,
            is_ours=is_ours,
            is_connected=self._is_connected,
            limits=self._limits,
            on_closed=self._forget,
        )

    def _forget(self, channel: SupervisedChannel) -> None:
        if channel in self.channels:
            self.channels.remove(channel)
