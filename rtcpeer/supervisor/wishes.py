"""Everything the application has asked of its peer, kept so that it can be said to the next connection again.

Owns: the channels and senders of a supervised peer over all generations. Never: a decision, a connection of
its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from rtcpeer.supervisor.channel import QueueLimits, SupervisedChannel
from rtcpeer.supervisor.policy import Reason
from rtcpeer.supervisor.senders import SupervisedSender

# what is read of a channel that the other side has made
_OPTIONS = ("ordered", "maxRetransmits", "maxPacketLifeTime", "protocol", "id")


class Wishes:
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

    @property
    def are_any(self) -> bool:
        """Whether there is anything to negotiate for."""
        return bool(self.senders) or any(channel.is_ours for channel in self.channels)

    def say_to(self, pc: Any, generation: int) -> list[Coroutine[Any, Any, None]]:
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
        self, sender: SupervisedSender, setting: Callable[[], Awaitable[None]], pc: Any
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
        self, pc: Any, generation: int, label: str, options: Mapping[str, Any]
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

    def add_sender(self, pc: Any, sender: SupervisedSender) -> SupervisedSender:
        """Add a sender; to the connection at once, if there is one."""
        if pc is not None:
            sender.apply(pc)
        self.senders.append(sender)
        return sender

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
