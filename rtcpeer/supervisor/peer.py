"""SupervisedPeer: one object for hours, over as many connections as it takes.

Owns: the conversion of arguments, and waiting with a timeout. What it does is in `controller`, what it decides in
`policy`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, Unpack

from rtcpeer import webidl
from rtcpeer.config.configuration import RTCConfiguration, RTCIceServer, read_configuration
from rtcpeer.config.manager import Difference, difference
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.media.event_target import Event, handler
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.data_channel import INIT_MEMBERS, RTCDataChannelEvent
from rtcpeer.peer.dictionaries import RTCDataChannelInit
from rtcpeer.peer.errors import RTCTimeoutError, w3c_errors
from rtcpeer.peer.events import RTCTrackEvent
from rtcpeer.peer.keywords import ConfigurationKeywords, DataChannelKeywords, TransceiverKeywords
from rtcpeer.peer.parameters import TRANSCEIVER_MEMBERS, RTCRtpTransceiverInit
from rtcpeer.signaling.capabilities import politeness
from rtcpeer.signaling.channel import SignalingChannel
from rtcpeer.supervisor.channel import QueueLimits, SupervisedChannel
from rtcpeer.supervisor.controller import ENDED, FORWARDED, Controller
from rtcpeer.supervisor.events import ServersErrorEvent, SignalingErrorEvent, StateEvent, problems
from rtcpeer.supervisor.intents import SupervisedSender
from rtcpeer.supervisor.listening import SupervisedPeerEvents
from rtcpeer.supervisor.observe import findings_of
from rtcpeer.supervisor.policy import Action, DefaultPolicy, PeerState, Policy, Reason


class SupervisedPeer(SupervisedPeerEvents):
    """A logical peer over one signaling channel.

        async with SupervisedPeer(channel, polite=True, iceServers=[...]) as peer:
            chat = peer.createDataChannel("chat")
            peer.addTrack(track)
            await peer.connected()
            await peer.closed()     # hours later; raises GaveUp when everything was tried

    Events: `statechange` (a `StateEvent`), `track`, `datachannel` (its `channel` is a `SupervisedChannel`),
    `connectionstatechange` and the other states of the connection, `signalingerror`, `serverserror`. Each
    carries `generation`, and those of the connection `reason` too. Listeners stay over all generations.

    Args:
        channel: the way to the other side; read by this object alone, and closed with it.
        polite: whether we give way when both sides offer at once. Exactly one side is polite. None: as the channel
            knows it, which the channels of this package do.
        configuration: as for RTCPeerConnection.
        provider: where the servers come from, instead of `iceServers`.
        owner: whether we restart first; the other side waits twice as long. By default the impolite side.
        policy: decides what to do; see `policy`.
        make_connection: makes a connection from an `RTCConfiguration`; RTCPeerConnection by default.
        queue: how much may wait in each data channel.
        resend_after: repeat an unanswered offer after so many seconds; see `Negotiator`.
        random_source: for jitter.
        **members: single members of the configuration.
    """

    event_types: ClassVar[Sequence[str]] = FORWARDED
    onstatechange: handler[StateEvent] = handler("statechange")
    ontrack: handler[RTCTrackEvent] = handler("track")
    ondatachannel: handler[RTCDataChannelEvent] = handler("datachannel")
    onconnectionstatechange: handler[Event] = handler("connectionstatechange")
    onsignalingerror: handler[SignalingErrorEvent] = handler("signalingerror")
    onserverserror: handler[ServersErrorEvent] = handler("serverserror")

    @w3c_errors
    def __init__(
        self,
        channel: SignalingChannel,
        *,
        polite: bool | None = None,
        configuration: Any = None,
        provider: IceServerProvider | None = None,
        owner: bool | None = None,
        policy: Policy | None = None,
        make_connection: Callable[[RTCConfiguration], Any] | None = None,
        queue: QueueLimits | None = None,
        resend_after: float = 1.0,
        random_source: random.Random | None = None,
        **members: Unpack[ConfigurationKeywords],
    ) -> None:
        polite = politeness(channel, polite)
        self._controller_ = Controller(
            self,
            channel,
            polite=polite,
            configuration=_with_defaults(read_configuration(configuration, **members), channel),
            provider=provider,
            owner=not polite if owner is None else owner,
            policy=policy or DefaultPolicy(),
            make_connection=make_connection or RTCPeerConnection,
            queue=queue or QueueLimits(),
            resend_after=resend_after,
            random_source=random_source or random.Random(),
        )

    def __repr__(self) -> str:
        return f"<SupervisedPeer {self.state}, generation {self.generation}, {self.reason}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- what can be asked -------------------------------------------------------------------------

    @property
    def state(self) -> PeerState:
        """The state of the peer; `policy.TRANSITIONS` says which follow which."""
        return self._controller_.state

    @property
    def reason(self) -> Reason:
        """Why it is in this state."""
        return self._controller_.reason

    @property
    def generation(self) -> int:
        """The number of the connection in force, from 1; 0 before `start`."""
        return self._controller_.generation

    @property
    def pc(self) -> Any:
        """The RTCPeerConnection in force. Another one after each recreation; None before `start`."""
        return self._controller_.pc

    @property
    def is_ended(self) -> bool:
        """Whether it is closed or has given up."""
        return self._controller_.state in ENDED

    @property
    def can_restart(self) -> bool:
        """Whether ICE can be restarted: the signaling channel can carry it, and has not been refused for good."""
        return self._controller_.can_restart

    @property
    def history(self) -> tuple[StateEvent, ...]:
        """The newest changes of state, at most a thousand."""
        return tuple(self._controller_.history)

    @property
    def channels(self) -> tuple[SupervisedChannel, ...]:
        """The data channels of both sides that are not closed."""
        return tuple(self._controller_.intents.channels)

    async def connected(self, timeout: float | None = None) -> None:
        """Wait until it is connected; at once, if it is.

        Raises:
            GaveUp: everything was tried.
            InvalidStateError: it was closed, or signaling has ended before anybody had answered.
            RTCTimeoutError: it took longer than `timeout`; its `findings` are what `explain()` says.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._controller_.connected()
        except TimeoutError:
            findings = findings_of(self._controller_.pc)
            error = RTCTimeoutError(
                f"not connected within {timeout:g} s: {self.state}{self._controller_.why()}{problems(findings)}",
                fault="network",
            )
            error.findings = findings
            raise error from None

    async def closed(self) -> Reason:
        """Wait until it has ended.

        Returns:
            Why: API (`close()` was called), REMOTE_CLOSED, or SIGNALING_ENDED (before anybody had answered).

        Raises:
            GaveUp: everything was tried; `.attempts` tells what.
        """
        return await self._controller_.closed()

    # -- what can be done --------------------------------------------------------------------------

    async def start(self) -> None:
        """Make the first connection and begin to read the channel. `async with` does it.

        Raises:
            InvalidStateError: it was started before, or is closed.
        """
        await self._controller_.start()

    @w3c_errors
    def createDataChannel(
        self,
        label: str,
        options: RTCDataChannelInit | Mapping[str, Any] | None = None,
        **members: Unpack[DataChannelKeywords],
    ) -> SupervisedChannel:
        """Make a data channel, as RTCPeerConnection does; it is made again on every new connection.

        Raises:
            InvalidStateError: the peer has ended.
            TypeError: an option is not valid.
            NotSupportedError: it is the first channel, and the signaling channel carries no further offer.
        """
        self._controller_.check_open()
        if not self._controller_.intents.channels:
            self._controller_.check_change("createDataChannel()")
        options = webidl.members("RTCDataChannelInit", options, members, INIT_MEMBERS)
        return self._controller_.intents.open_channel(
            self._controller_.pc, self._controller_.generation, label, options
        )

    def addTrack(self, track: Any, *streams: Any) -> SupervisedSender:
        """Send a track, as RTCPeerConnection does; it is added to every new connection, and never stopped.

        Raises:
            InvalidStateError: the peer has ended.
            NotSupportedError: the signaling channel carries no further offer.
        """
        self._controller_.check_open()
        self._controller_.check_change("addTrack()")
        return self._controller_.intents.add_sender(self._controller_.pc, SupervisedSender(track, streams))

    def addTransceiver(
        self,
        track_or_kind: Any,
        init: RTCRtpTransceiverInit | Mapping[str, Any] | None = None,
        **members: Unpack[TransceiverKeywords],
    ) -> SupervisedSender:
        """Add a transceiver, as RTCPeerConnection does; it is added to every new connection.

        Raises:
            InvalidStateError: the peer has ended.
            NotSupportedError: the signaling channel carries no further offer.
        """
        self._controller_.check_open()
        self._controller_.check_change("addTransceiver()")
        given = webidl.members("RTCRtpTransceiverInit", init, members, TRANSCEIVER_MEMBERS)
        sender = SupervisedSender(track_or_kind, init=given)
        return self._controller_.intents.add_sender(self._controller_.pc, sender)

    def removeTrack(self, sender: SupervisedSender) -> None:
        """Send no more what `addTrack` or `addTransceiver` has added."""
        self._controller_.intents.remove_sender(sender)

    def getConfiguration(self) -> RTCConfiguration:
        """The configuration of the present and the next connections; a copy."""
        return read_configuration(self._controller_.servers.configuration)

    @w3c_errors
    def setConfiguration(
        self,
        configuration: RTCConfiguration | Mapping[str, Any] | None = None,
        **members: Unpack[ConfigurationKeywords],
    ) -> None:
        """Set the configuration, as of RTCPeerConnection, of the present and the next connections. It restarts nothing.

        Raises:
            InvalidStateError: the peer has ended.
            InvalidModificationError, TypeError, RTCSyntaxError, InvalidAccessError: nothing was changed.
        """
        self._controller_.check_open()
        read = read_configuration(configuration, **members)
        if self._controller_.pc is not None:
            self._controller_.pc.setConfiguration(read)
        self._controller_.servers.configuration = read

    @w3c_errors
    def replace_servers(self, servers: Iterable[RTCIceServer | Mapping[str, Any]]) -> Difference:
        """Put other servers into force, and leave the rest of the configuration. It restarts nothing.

        Raises:
            InvalidStateError: the peer has ended.
            TypeError, RTCSyntaxError, InvalidAccessError: nothing was changed.
        """
        old = self._controller_.servers.configuration
        self.setConfiguration(old, iceServers=list(servers))
        return difference(old, self._controller_.servers.configuration)

    def restart(self) -> None:
        """Restart ICE now, with the servers in force.

        Raises:
            InvalidStateError: the peer has ended, or was not started.
            NotSupportedError: the signaling channel cannot carry a restart.
            SignalingRefused: the signaling service has said no for good.
        """
        self._controller_.ask(Action.RESTART)

    def recreate(self) -> None:
        """Make a new connection now.

        Raises:
            InvalidStateError: the peer has ended, or was not started.
            NotSupportedError: the other side alone makes offers on this signaling channel.
            SignalingRefused: the signaling service has said no for good.
        """
        self._controller_.ask(Action.RECREATE)

    def network_changed(self) -> None:
        """Own addresses have changed: restart soon. RTCPeerConnection tells it by itself."""
        self._controller_.network_changed()

    async def close(self) -> None:
        """End it: connection, channel, tasks. Idempotent; tracks of the user go on."""
        await self._controller_.close()


def _with_defaults(configuration: RTCConfiguration, channel: Any) -> RTCConfiguration:
    """The configuration, with what the channel needs (WHIP wants one bundle) where the application left the default."""
    plain = RTCConfiguration()
    needed = {
        name: value
        for name, value in getattr(channel, "configuration", {}).items()
        if getattr(configuration, name) == getattr(plain, name)
    }
    return read_configuration(configuration, **needed) if needed else configuration
