"""The controller of a supervised peer: makes connections, reads signaling, watches, asks the policy, acts, ends.

Owns: the present connection and its negotiator, the generations, the reading of the signaling channel, the one
task that acts. Never: a decision (that is `policy`), the counting (`recovery`), the conversion of arguments (`peer`).

Two remedies. *Resume*: the newest servers are put into force, then ICE is restarted; DTLS, channels and tracks
live on. *Recreate*: a new RTCPeerConnection of the next generation, to which everything the application has asked
for is said again; the old one is closed when the other side has answered the new one.

The other side need not be supervised. That it has begun anew is seen in its descriptions, which come from another
session (see `signaling.glance`); what it has to do for ours is the same: an offer of another session asks for a
new connection.
"""

# Longer than 600 lines: one state machine; whatever is seen, and whoever begins, ends in the same few transitions.

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rtcpeer.aio import start_task
from rtcpeer.config.configuration import RTCConfiguration
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.errors import RTCSyntaxError, SignalingRefused
from rtcpeer.media.event_target import EventTarget, close_events, fire
from rtcpeer.peer.errors import InvalidStateError, NotSupportedError
from rtcpeer.protocols import PeerConnection
from rtcpeer.signaling.capabilities import capabilities_of
from rtcpeer.signaling.channel import Message, SignalingChannel, read_message_untrusted
from rtcpeer.signaling.glance import is_other_connection_untrusted, origin_untrusted, ufrags_untrusted
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.signaling.notices import Notices
from rtcpeer.supervisor.channel import QueueLimits, copy_event
from rtcpeer.supervisor.events import GaveUp, ServersErrorEvent, SignalingErrorEvent, StateEvent
from rtcpeer.supervisor.handover import Handover
from rtcpeer.supervisor.intents import Intents
from rtcpeer.supervisor.lag import LagMonitor
from rtcpeer.supervisor.observe import MEDIA_INTERVAL, ConnectionWatch, findings_of, has_media
from rtcpeer.supervisor.policy import Action, Decision, DefaultPolicy, PeerState, Policy, Reason
from rtcpeer.supervisor.recovery import RecoveryRecord
from rtcpeer.supervisor.remote_tracks import RemoteTracks
from rtcpeer.supervisor.servers import Servers
from rtcpeer.values import DtlsTransportState, PeerConnectionState

logger = logging.getLogger(__name__)

# events of the connection that are told here as well, with `generation` and `reason`
FORWARDED = (
    "connectionstatechange",
    "iceconnectionstatechange",
    "icegatheringstatechange",
    "signalingstatechange",
    "icecandidateerror",
    "networkchange",
    "sendererror",
)
# how often bytes are counted while nothing arrives
_COUNT_INTERVAL = 0.5
# no decision is repeated faster than this, whatever a policy says
_PAUSE = 0.01
# how long after a new connection is there a track of the old one may be sent again
_TRACK_WAIT = 5.0
ENDED = (PeerState.FAILED, PeerState.CLOSED)
_HISTORY = 1000
# tasks that only tidy up are not cancelled by the end
_SHIELDED = " (tidies up)"
_PAST = 64


class Controller:
    """The logic of `SupervisedPeer`, where its arguments are described.

    Args:
        target: the face, at which events are fired; it gets no event after the end.

    Attributes:
        state, reason: of the peer now.
        generation: of the connection in force, from 1; 0 before `start`.
        pc: the connection in force; None before `start`.
        servers, intents: the configuration, and what the application wants to send.
        history: the newest changes of state.
    """

    def __init__(
        self,
        target: EventTarget,
        channel: SignalingChannel,
        *,
        polite: bool,
        configuration: RTCConfiguration,
        provider: IceServerProvider | None,
        owner: bool,
        policy: Policy,
        make_connection: Callable[[RTCConfiguration], PeerConnection],
        queue: QueueLimits,
        resend_after: float,
        random_source: random.Random,
    ) -> None:
        self._target = target
        self._channel = channel
        self._polite = polite
        self.servers: Servers = Servers(configuration, provider, self._servers_failed)
        self._policy = policy
        self._make_connection = make_connection
        self.intents: Intents = Intents(queue, self._is_sendable, self._complain)
        self._handover = Handover(
            secrets.token_hex(16),
            polite=polite,
            channels=lambda: self.intents.channels,
            senders=self.intents.numbers,
        )
        self._tracks = RemoteTracks()
        self._track_timer: asyncio.TimerHandle | None = None  # until unmatched tracks end
        self._resend_after = resend_after
        self._random = random_source
        self._name = f"peer-{secrets.token_hex(3)}"
        self.state: PeerState = PeerState.NEW
        self.reason: Reason = Reason.START
        self.generation: int = 0
        self.pc: PeerConnection | None = None
        self._negotiator: Negotiator | None = None
        self._recovery = RecoveryRecord(owner=owner, draw=self._random.random)
        self._old: list[PeerConnection] = []  # connections that are closed when the present one is answered
        self._past: deque[str] = deque(maxlen=_PAST)  # remote session ids of former generations
        self._ufrags_before: frozenset[str] = frozenset()  # the remote ones when the attempt began
        self._watch = ConnectionWatch(self._observe)
        self._notices = Notices(self._name)  # of messages that did not get as far as the negotiator
        self.history: deque[StateEvent] = deque(maxlen=_HISTORY)
        self._error: GaveUp | None = None
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()  # set and replaced at each change of state
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stop_lag: Callable[[], None] | None = None
        self._finishing: asyncio.Task[None] | None = None

    # -- asked by the face -------------------------------------------------------------------------

    @property
    def can_restart(self) -> bool:
        """Whether ICE can be restarted: the signaling channel can carry it, and has not been refused for good."""
        return capabilities_of(self._channel).restart != "no" and self._recovery.refused is None

    async def start(self) -> None:
        """Make the first connection and begin to read the channel.

        Raises:
            InvalidStateError: it was started before, or is closed.
        """
        self.check_open()
        if self.generation:
            raise InvalidStateError("the peer was started already")
        loop = asyncio.get_running_loop()
        self._stop_lag = LagMonitor.of(loop).listen(self._stalled)
        await self.servers.fetch()
        self.check_open()
        self.servers.subscribe(self._rotate)
        self._begin(Reason.START)
        self._spawn(self._read(), "reader")
        self._spawn(self._run(), "policy")

    async def connected(self) -> None:
        """Wait until it is connected.

        Raises:
            GaveUp, InvalidStateError: it has ended.
        """
        while self.state != PeerState.CONNECTED:
            self.check_open()
            await self._changed.wait()

    async def closed(self) -> Reason:
        """Wait until it has ended, and why.

        Raises:
            GaveUp: everything was tried.
        """
        while self.state not in ENDED:
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        return self.reason

    def network_changed(self) -> None:
        """Own addresses have changed: restart soon."""
        if self.state not in ENDED and self.pc is not None:
            self._recovery.network_changed_at = self._now()
            self._wake.set()

    async def close(self) -> None:
        """End it, and wait until everything is gone."""
        self.finish(PeerState.CLOSED, Reason.API)
        if self._finishing is not None:
            await asyncio.shield(self._finishing)

    @property
    def _in_force(self) -> PeerConnection:
        """The connection in force; whatever runs by itself runs while there is one."""
        assert self.pc is not None
        return self.pc

    # -- one generation ----------------------------------------------------------------------------

    def _begin(self, reason: Reason) -> None:
        """Make the connection of the next generation and say everything to it."""
        # it may raise: nothing has changed yet
        pc = self._make_connection(self.servers.newest())
        self._retire(reason)
        self.generation += 1
        self.reason = reason
        logger.info("%s makes connection %d (%s): %r", self._name, self.generation, reason.value, pc)
        self._recovery.new_generation()
        self._watch.begin_connection()
        self.servers.begin_connection()
        self._handover.begin_connection()
        self.pc = pc
        for type_ in FORWARDED:
            pc.addEventListener(type_, self._forward)
        pc.addEventListener("datachannel", self._on_datachannel)
        pc.addEventListener("track", self._on_track)
        negotiator = self._negotiator = Negotiator(
            pc,
            self._channel,
            polite=self._polite,
            resend_after=self._resend_after,
            on_error=self._signaling_failed,
            sign=self._handover.sign,
        )
        negotiator.start(read=False)
        for unfinished in self.intents.say_to(pc, self.generation):
            self._spawn(unfinished, "parameters")
        if self.generation > 1 and reason != Reason.REMOTE and not self.intents.are_any:
            # nothing of ours asks for an offer, but the other side has to learn that we begin anew
            self._spawn(negotiator.negotiate(), "offer")

    def _retire(self, reason: Reason) -> None:
        """The present connection is not in force any more. It is closed when the next one is answered."""
        pc, negotiator = self.pc, self._negotiator
        if pc is None or negotiator is None:
            return
        if pc.remoteDescription is not None:
            origin = origin_untrusted(pc.remoteDescription.sdp)
            if origin is not None:
                self._past.append(origin[0])
        for type_ in FORWARDED:
            pc.removeEventListener(type_, self._forward)
        pc.removeEventListener("datachannel", self._on_datachannel)
        pc.removeEventListener("track", self._on_track)
        self.intents.detach(self._recovery.unhealthy_since, reason)
        if self._track_timer is not None:
            self._track_timer.cancel()
        negotiator.stop()
        self._spawn(negotiator.close(), f"negotiator{_SHIELDED}")
        self._close_old()
        self._old.append(pc)

    def _close_old(self) -> None:
        old, self._old = self._old, []
        for pc in old:
            self._tracks.detach(pc)
            # at once: nothing that arrives by it after this is counted
            self._spawn(_closed(pc.close()), f"connection{_SHIELDED}")

    def _forward(self, event: Any) -> None:
        if event.type == "networkchange":
            self._recovery.network_changed_at = self._now()
        self._observe()
        if self.state not in ENDED:
            fire(self._target, copy_event(event, generation=self.generation, reason=self.reason))

    def _on_track(self, event: Any) -> None:
        sender = self._handover.sender_of(event.transceiver.mid)
        if self._tracks.take(self._in_force, event, sender):
            self._forward(event)

    def _wait_for_tracks(self) -> None:
        """The other side has a moment to send again what it sent before; other tracks end."""
        if self._track_timer is not None:
            self._track_timer.cancel()
        self._track_timer = asyncio.get_running_loop().call_later(_TRACK_WAIT, self._tracks.end_unmatched)

    def _on_datachannel(self, event: Any) -> None:
        channel = self.intents.take_channel(event.channel, self.generation)
        if channel is not None:
            event = copy_event(event, generation=self.generation, reason=self.reason)
            event.channel = channel
            fire(self._target, event)

    # -- signaling ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for value in self._channel:
                try:
                    message = read_message_untrusted(value)
                    if "candidate" not in message:
                        self._look_at(message)
                        self._handover.hear(message)
                    if self._negotiator is not None:
                        await self._negotiator.receive(message)
                    if self._in_force.remoteDescription is not None:
                        self._handover.settle()
                    self._observe()
                except Exception as error:
                    kind = "unreadable" if isinstance(error, RTCSyntaxError) else "not for this connection"
                    self._notices.add(kind, f"{type(error).__name__}: {error}")
                    self._signaling_failed(error)
        except Exception as error:
            self._signaling_failed(error)
        # The connection may live on; what needs signaling cannot be begun any more (see `policy`).
        self._recovery.signaling_ended = True
        self._wake.set()

    def _look_at(self, message: Message) -> None:
        """Find out whose description a message has: of the present remote connection, a former or a new one."""
        sdp = str(message.get("sdp", ""))
        origin = origin_untrusted(sdp)
        remote = self._in_force.remoteDescription
        if origin is not None and origin[0] in self._past:
            # The first offer of a connection that has not heard our answer may still find us, if nobody else has
            first = message["type"] == "offer" and message.get("number", 1) == 1
            if remote is not None or not first:
                raise InvalidStateError("a former connection of the other side speaks", fault="remote")
        if remote is None:
            return
        if is_other_connection_untrusted(remote.sdp, sdp):
            if message["type"] != "offer":  # it took our restart for a beginning; so let us begin
                self.ask(Action.RECREATE)
                raise InvalidStateError("the other side answered from a new connection", fault="remote")
            self._begin_attempt(Action.RECREATE, Reason.REMOTE, remote=True)
            self._begin(Reason.REMOTE)
            self._close_old()
            self._set_state(PeerState.RECREATING, Reason.REMOTE)
        elif (
            message["type"] == "offer"
            and not ufrags_untrusted(sdp) & ufrags_untrusted(remote.sdp)
            and self.state in (PeerState.DISCONNECTED, PeerState.RESUMING)
            and not self._recovery.attempt
        ):
            self._begin_attempt(Action.RESTART, Reason.REMOTE, remote=True)
            self._set_state(PeerState.RESUMING, Reason.REMOTE)

    def _signaling_failed(self, error: Exception) -> None:
        if self.state in ENDED:
            return
        fire(self._target, SignalingErrorEvent(error, self.generation))
        if isinstance(error, SignalingRefused) and self.state not in ENDED:
            self._take_refusal(error)

    def _take_refusal(self, error: SignalingRefused) -> None:
        """The signaling service has said no: for good, for a while, or to this one restart."""
        episode, now = self._recovery, self._now()
        if error.fatal:
            episode.refused = error
        if error.retry_after is not None:
            episode.held_until = now + error.retry_after
        elif episode.attempt is not None and episode.attempt.action == Action.RESTART:
            episode.restart_refused = True
            episode.end_attempt(now, error)
        self._wake.set()

    def why(self) -> str:
        """The faults of signaling lately, as the end of a sentence."""
        notices = [self._notices] if self._negotiator is None else [self._notices, self._negotiator.notices]
        return "".join(f"; {text}" for text in map(str, notices) if text)

    def check_change(self, what: str) -> None:
        """Refuse what needs an offer that the channel cannot carry; see `Negotiator.check_change`."""
        if self._negotiator is not None:
            self._negotiator.check_change(what)

    # -- observing ---------------------------------------------------------------------------------

    def _observe(self, _event: object = None) -> None:
        """Look at the connection; whatever has changed goes into the book, and the policy is asked."""
        if self.state in ENDED or self.pc is None:
            return
        now, episode = self._now(), self._recovery
        self._look_at_dtls(now)
        if self.pc.remoteDescription is not None:
            episode.described = True
            episode.answer(now, self.generation)
            if self.state == PeerState.NEW:
                self._set_state(PeerState.CONNECTING, Reason.START)
            self._close_old()
        connection = PeerConnectionState(str(self.pc.connectionState))
        trouble = episode.trouble_since is not None
        if connection == PeerConnectionState.CONNECTED:
            self._watch.forget_bytes()
        if episode.state(connection, now, negotiated=self._is_negotiated()):
            self._set_state(
                PeerState.CONNECTED, Reason.RECOVERED if self.state != PeerState.CONNECTING else self.reason
            )
            self.intents.flush()
            self._wait_for_tracks()
            self._renew()
        elif episode.trouble_since is not None and not trouble and self.state == PeerState.CONNECTED:
            self._set_state(PeerState.DISCONNECTED, Reason.NETWORK)
        self._wake.set()

    def _look_at_dtls(self, now: float) -> None:
        episode = self._recovery
        episode.dtls = self._watch.dtls(self._in_force)
        if episode.dtls == DtlsTransportState.CLOSED and episode.remote_closed_at is None:
            episode.remote_closed_at = now

    def _is_negotiated(self) -> bool:
        """Whether both sides have new ICE credentials since the attempt began."""
        remote = self._in_force.remoteDescription
        return (
            remote is not None
            and str(self._in_force.signalingState) == "stable"
            and not ufrags_untrusted(remote.sdp) & self._ufrags_before
        )

    def _is_sendable(self) -> bool:
        return self._recovery.connection == PeerConnectionState.CONNECTED and self._recovery.dtls in (
            None,
            DtlsTransportState.CONNECTED,
        )

    def _stalled(self, lost: float) -> None:
        self._recovery.stalled(lost, self._now())
        self._wake.set()

    async def _count_bytes(self) -> None:
        """Bytes that arrive while the connection seems dead show that it is not."""
        if await self._watch.has_received(self._in_force):
            self._recovery.quiet_since = self._now()

    async def _look_at_media(self) -> None:
        """Media that arrive and cannot be decrypted: everything else says that all is well."""
        now = self._now()
        broken_for = await self._watch.undecrypted_for(self._in_force, now)
        if broken_for is not None:
            self._recovery.undecrypted_since = now - broken_for if broken_for else None

    # -- acting ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Ask the policy, do what it says, wait, and so on: the one task that acts."""
        while self.state not in ENDED:
            self._wake.clear()
            counting = (
                self._recovery.connection == PeerConnectionState.DISCONNECTED and not self._recovery.attempt
            )
            if counting:
                await self._count_bytes()
            watching = self.state == PeerState.CONNECTED and has_media(self._in_force)
            if watching:
                await self._look_at_media()
            decision = self._decide()
            if decision.action != Action.WAIT:
                try:
                    await self._act(decision)
                except Exception as error:
                    self._recovery.end_attempt(self._now(), error)
                    self._complain(f"{decision.action} failed", error)
                if self.state not in ENDED:
                    await asyncio.sleep(_PAUSE)
                continue
            wait = None if decision.at is None else max(_PAUSE, decision.at - self._now())
            if counting:
                wait = _COUNT_INTERVAL if wait is None else min(wait, _COUNT_INTERVAL)
            if watching:
                wait = MEDIA_INTERVAL if wait is None else min(wait, MEDIA_INTERVAL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _decide(self) -> Decision:
        self._recovery.capabilities = capabilities_of(self._channel)
        seen = self._recovery.observation(self._now())
        try:
            return self._policy.decide(seen)
        except Exception as error:
            self._complain("the policy failed; the default one decides", error)
            return DefaultPolicy().decide(seen)

    async def _act(self, decision: Decision) -> None:
        action, reason = decision.action, decision.reason or Reason.POLICY
        if action == Action.RESTART:
            self._begin_attempt(action, reason)
            self._set_state(PeerState.RESUMING, reason)
            await self._fetch_servers()
            if self.state == PeerState.RESUMING:
                await self._restart()
        elif action == Action.RECREATE:
            fresh = not self._recovery.was_connected
            generation = self.generation
            self._begin_attempt(action, reason)
            self._set_state(PeerState.RECREATING, reason)
            await self._fetch_servers(fresh=fresh)
            # the other side may have begun anew while we fetched
            if self.state == PeerState.RECREATING and self.generation == generation:
                self._begin(reason)
        elif action == Action.ABANDON:
            self._recovery.recovered(self._now())
            self._set_state(PeerState.CONNECTED, reason)
        elif action == Action.CLOSE:
            self.finish(PeerState.CLOSED, reason)
        elif action == Action.GIVE_UP:
            refusal = self._recovery.refused if reason == Reason.SIGNALING_REFUSED else None
            ended = "signaling has ended" if reason == Reason.SIGNALING_ENDED else None
            self._error = GaveUp(
                tuple(self._recovery.attempts), refusal, cause=ended, findings=findings_of(self.pc)
            )
            self.finish(PeerState.FAILED, reason)

    async def _restart(self) -> None:
        """Restart ICE as the channel can: by our offer, or by asking the other side for its."""
        if capabilities_of(self._channel).restart == "ask":
            await self._channel.request_restart()  # type: ignore[attr-defined]
        else:
            self._in_force.restartIce()

    def _begin_attempt(self, action: Action, reason: Reason, *, remote: bool = False) -> None:
        remote_description = self._in_force.remoteDescription
        self._ufrags_before = (
            frozenset() if remote_description is None else ufrags_untrusted(remote_description.sdp)
        )
        logger.info(
            "%s attempts: %s (%s)%s", self._name, action.value, reason.value, ", asked for" if remote else ""
        )
        self.servers.begin_attempt()
        self._recovery.begin(action, reason, self.generation, self._now(), remote=remote)

    def ask(self, action: Action, reason: Reason = Reason.API) -> None:
        """Have the policy's next decision be this action.

        Raises:
            InvalidStateError: the peer has ended, or was not started, or signaling has ended.
            NotSupportedError: the signaling channel cannot carry it.
            SignalingRefused: the signaling service has said no for good.
        """
        self.check_open()
        if self.pc is None:
            raise InvalidStateError("the peer was not started yet")
        if self._recovery.refused is not None:
            raise self._recovery.refused
        if self._recovery.signaling_ended:
            raise InvalidStateError(f"the signaling channel has ended: nobody can be told of a {action}")
        capabilities = capabilities_of(self._channel)
        if (action == Action.RESTART and capabilities.restart == "no") or (
            action == Action.RECREATE and capabilities.offers == "remote"
        ):
            raise NotSupportedError(f"{type(self._channel).__name__} cannot carry what a {action} needs")
        self._recovery.asked, self._recovery.asked_reason = action, reason
        self._wake.set()

    # -- servers -----------------------------------------------------------------------------------

    async def _fetch_servers(self, *, fresh: bool = False) -> None:
        """Put the newest servers into force, if there are some; also those that the signaling service recommends."""
        changed = self.servers.recommend(getattr(self._channel, "ice_servers", None) or [])
        if await self.servers.fetch(fresh=fresh) or changed:
            self.servers.apply(self.pc)

    def _rotate(self, grant: IceServerGrant) -> None:
        """The provider has other servers."""
        if self.state not in ENDED and self.pc is not None:
            self.servers.rotate(self.pc, grant)
            self._renew()

    def _renew(self) -> None:
        """Restart if the path depends on servers that were taken away, also while there was trouble."""
        connected = self.state == PeerState.CONNECTED
        recovery = self._recovery
        can_restart = (
            capabilities_of(self._channel).restart != "no"
            and recovery.refused is None
            and not recovery.signaling_ended
        )
        if connected and can_restart and self.servers.is_restart_due(self._in_force, self._is_negotiated):
            self.ask(Action.RESTART, Reason.CREDENTIALS)

    def _servers_failed(self, error: Exception) -> None:
        fire(self._target, ServersErrorEvent(error, self.generation))

    # -- ending ------------------------------------------------------------------------------------

    def finish(self, state: PeerState, reason: Reason) -> None:
        """Take the whole effect of the end at once; sockets and tasks follow in `_end`."""
        if self.state in ENDED:
            if state == PeerState.CLOSED:
                self._set_state(state, reason if self.state == PeerState.FAILED else self.reason)
            return
        self._set_state(state, reason)
        self.intents.end(reason)
        self.servers.close()
        if self._stop_lag is not None:
            self._stop_lag()
        if self._negotiator is not None:
            self._negotiator.stop()
        old, self._old = self._old, []
        connections = [pc.close() for pc in (*old, self.pc) if pc is not None]
        if self._track_timer is not None:
            self._track_timer.cancel()
        self._tracks.end_unmatched()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            if not task.get_name().endswith(_SHIELDED):
                task.cancel()
        close_events(self._target)
        self._wake.set()
        self._finishing = start_task(self._end(connections, tasks))

    async def _end(self, connections: list[Any], tasks: list[asyncio.Task[Any]]) -> None:
        async def done(waiting: Any) -> None:
            try:
                await waiting
            except Exception as error:
                self._complain("closing failed", error)

        await asyncio.gather(*(done(connection) for connection in connections), done(self._channel.close()))
        if self._negotiator is not None:
            await self._negotiator.close()
        if tasks:
            await asyncio.wait(tasks)

    # -- inside ------------------------------------------------------------------------------------

    def _set_state(self, state: PeerState, reason: Reason) -> None:
        previous = self.state
        if state == previous:
            return
        logger.info("%s is %s (%s), generation %d", self._name, state.value, reason.value, self.generation)
        self.state, self.reason = state, reason
        event = StateEvent(state, previous, self.generation, reason)
        self.history.append(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        fire(self._target, event)

    def check_open(self) -> None:
        """Refuse to go on after the end.

        Raises:
            GaveUp, InvalidStateError: the peer has ended.
        """
        if self._error is not None:
            raise self._error
        if self.state in ENDED:
            raise InvalidStateError(f"the peer is closed: {self.reason}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = start_task(coroutine, name=f"rtcpeer supervisor: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _complain(self, message: str, error: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


async def _closed(closing: Awaitable[None]) -> None:
    await closing
