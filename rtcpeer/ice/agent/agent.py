"""The ICE agent as the floors above see it: an asyncio shell with one timer around the core.

Owns: the loop's side of things: sockets (through `Network`), the timer, the gathering tasks, telling the
listener.  Never: decisions; those are `rtcpeer.ice.core`'s.

Theory of operation.  Everything that happens (a datagram, a timer, a command) goes into the core or the
pool, then `_flush` tells the listener what came of it, when all state is consistent, and moves the one
timer.  The timer may fire a little too early; then it is set again, which is cheaper
than moving it at each packet.  Data does not pass through here: it goes from the socket's callback to
`receiver` and from `send` to the socket.

A facade with the phases it drives; nearly every method is a line of translation, which makes it long, not deep.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from rtcpeer.aio import Alarm, quiet, start_task
from rtcpeer.ice.agent.gathering import open_active
from rtcpeer.ice.agent.gathering_session import GatheringSessions
from rtcpeer.ice.agent.listener import IceCandidateError, IceListener, SelectedPair
from rtcpeer.ice.agent.log import IceLog
from rtcpeer.ice.agent.parts import AgentParts
from rtcpeer.ice.agent.pool import BasePool
from rtcpeer.ice.agent.relay import RelayBase
from rtcpeer.ice.agent.remote_candidates import RemoteCandidateFilter
from rtcpeer.ice.agent.sockets import BaseContext
from rtcpeer.ice.agent.stats import AgentCounters, AgentStats, collect
from rtcpeer.ice.candidates import broadcast_addresses, new_credentials
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.core import IceCore
from rtcpeer.ice.events import (
    ActiveWanted,
    Event,
    GenerationDropped,
    PairSelected,
    RoleChanged,
    StateChanged,
    Woken,
)
from rtcpeer.ice.pair import Base, Pair
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, Network
from rtcpeer.net.offload import split
from rtcpeer.values import (
    Candidate,
    IceGatheringState,
    IceParameters,
    IceRole,
    IceTransportState,
)

__all__ = ["IceAgent", "IceCandidateError", "IceListener", "SelectedPair", "new_credentials"]


class IceAgent:
    """The ICE agent of one transport over its whole life, restarts included.

    Args:
        network: the way to sockets, names and interfaces.
        settings: everything that can be chosen; servers and policy count from the next gathering on.
        role: "unknown" until the offer/answer exchange tells.
        listener: told of everything that happens.
        name: for logs and errors.
    """

    def __init__(
        self, network: Network, settings: IceSettings, role: IceRole, listener: IceListener, *, name: str = ""
    ) -> None:
        self._network = network
        self._settings = settings
        self._listener = listener
        self._name = name
        self.log = IceLog(name)
        self._loop = asyncio.get_running_loop()
        self.clock = self._loop.time
        self.context = IceContext(
            settings=settings,
            controlling=role is IceRole.CONTROLLING,
            tie_breaker=secrets.randbits(64),
            jitter=random.random,
            accepts_remote=self._accepts_remote,
            prefix=secrets.token_hex(3),
        )
        self.core = IceCore(self.context, role_known=role is not IceRole.UNKNOWN)
        self._pipe = BaseContext(
            self.clock,
            self._on_stun,
            self._on_wake,
            self._on_unreachable,
            self.core.is_early,
            settings.wake_after,
        )
        self.pool = BasePool(network, self._pipe, self._spawn, self._check_closed)
        # Where data goes; the core's route, copied so that `send` is short.
        self._route: Pair | None = None
        self._selected: SelectedPair | None = None
        self._counters = AgentCounters()
        self._alarm = Alarm(self._loop, self._wanted, self._on_due)
        self._news: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._telling = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_watching: Callable[[], None] | None = None
        self._candidate_filter = RemoteCandidateFilter(
            network,
            self._spawn,
            self.core.knows_remote,
            self._accepts_remote,
            self._add_remote,
            self._note_remote,
        )
        self._parts = AgentParts(
            network=network,
            clock=self.clock,
            context=self.context,
            core=self.core,
            pipe=self._pipe,
            pool=self.pool,
            listener=listener,
            log=self.log,
            tell=self.tell,
            offered=self._candidate_filter.offered,
            flush=self.flush,
            rearm=self.rearm,
        )
        self._sessions = GatheringSessions(self._parts)
        self._closed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<IceAgent {self._name or hex(id(self))} {self.role}, {self.state}>"

    # -- what can be read --------------------------------------------------------------------------

    @property
    def receiver(self) -> Callable[[bytes], None] | None:
        """Gets every datagram that is not STUN, straight from the socket's callback."""
        return self._pipe.receiver

    @receiver.setter
    def receiver(self, receiver: Callable[[bytes], None] | None) -> None:
        self._pipe.receiver = receiver

    @property
    def run_receiver(self) -> Callable[[list[bytes]], None] | None:
        """Gets those of them that came together; without it each goes to `receiver`."""
        return self._pipe.run_receiver

    @run_receiver.setter
    def run_receiver(self, receiver: Callable[[list[bytes]], None] | None) -> None:
        self._pipe.run_receiver = receiver

    @property
    def settings(self) -> IceSettings:
        """All of it is used from the next generation on; what runs keeps what it began with."""
        return self._settings

    @settings.setter
    def settings(self, settings: IceSettings) -> None:
        self._settings = settings
        self.context.settings = settings

    @property
    def role(self) -> IceRole:
        """Our ICE role; a role conflict may have changed it."""
        return self.core.role

    @property
    def state(self) -> IceTransportState:
        """webrtc-pc 5.6.2."""
        return self.core.state

    @property
    def gathering_state(self) -> IceGatheringState:
        """The gathering state of the newest generation (webrtc-pc 5.6.3)."""
        return self._sessions.state

    @property
    def selected_pair(self) -> SelectedPair | None:
        """The candidates between which data flows, or flowed last."""
        return self._selected

    @property
    def round_trip_time(self) -> float | None:
        """The round trip of the last check on the path that carries data, in seconds; None while there is none."""
        return self._route.rtt if self._route is not None else None

    @property
    def has_path(self) -> bool:
        """Whether the path that carries data has been answered lately."""
        return self._route is not None and self.state in (
            IceTransportState.CONNECTED,
            IceTransportState.COMPLETED,
        )

    @property
    def has_route(self) -> bool:
        """Whether data can be sent: there is a pair, and the other side's consent to it has not expired (RFC 7675)."""
        return self._route is not None

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """The local candidates of the newest generation, in the order in which they were found."""
        newest = self.core.newest
        return tuple(local.candidate for local in newest.locals) if newest is not None else ()

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """The remote candidates of the newest generation that has remote credentials, without peer-reflexive ones."""
        generation = self.core.generation_of_remote(None)
        if generation is None:
            return ()
        return tuple(r.candidate for r in generation.remotes if r.candidate.type != "prflx")

    @property
    def local_parameters(self) -> IceParameters | None:
        """The credentials of the newest generation."""
        newest = self.core.newest
        return newest.local if newest is not None else None

    @property
    def remote_parameters(self) -> IceParameters | None:
        """The remote credentials in use."""
        generation = self.core.generation_of_remote(None)
        return generation.remote if generation is not None else None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed is not None

    def stats(self) -> AgentStats:
        """Everything in numbers, as of now."""
        return collect(self.core, self._counters)

    # -- commands ----------------------------------------------------------------------------------

    def set_role(self, role: IceRole) -> None:
        """Set the role that offer and answer say; call it before checks begin."""
        if self._closed is None:
            self.core.set_role(self.clock(), role)
            self.flush()

    def start_generation(self, local: IceParameters) -> None:
        """Gather with these credentials: the first generation, or a restart beside it.  Returns at once."""
        if self._closed is not None:
            return
        self.log.generation()
        self._watch()
        self._sessions.end(lambda generation: generation.remote is None)
        generation = self.core.start_generation(self.clock(), local)
        self._sessions.start(generation, self._spawn)
        self.flush()

    def set_remote_parameters(self, remote: IceParameters) -> None:
        """The remote side's credentials, after ours; those that are in use already change nothing.

        Others, while ours stay, are those of another end that answered too (forking): checks begin anew.
        """
        if self._closed is None:
            self.log.remote_described(lite=remote.lite)
            self.core.set_remote(self.clock(), remote)
            self.flush()

    def disown_older(self) -> None:
        """Deliver nothing that comes over older paths: another than before is at the other end now."""
        if self._closed is None:
            self.core.disown_older(self.clock())
            self.flush()

    def add_remote_candidate(self, candidate: Candidate) -> None:
        """A remote candidate, at any time; `rtcpeer.ice.agent.remote_candidates` says which are refused silently."""
        if self._closed is None:
            self.log.remote(candidate)
            self._candidate_filter.take(candidate, self._settings)

    def _accepts_remote(self, candidate: Candidate) -> bool:
        """Whether the user's filter accepts a candidate; a filter that fails is reported, and accepts nothing."""
        allow = self._settings.remote_candidate_filter
        if allow is None:
            return True
        try:
            return bool(allow(candidate))
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"{self!r}: the remote candidate filter failed", "exception": exc}
            )
            return False

    def _add_remote(self, candidate: Candidate, address: str) -> None:
        if self._closed is None:
            self.core.add_remote(self.clock(), candidate, (address, candidate.port))
            self.flush()

    def _note_remote(self, ufrag: str | None) -> None:
        if self._closed is None:
            self.core.note_remote(self.clock(), ufrag)
            self.flush()

    def end_of_remote_candidates(self, ufrag: str | None) -> None:
        """The remote side has said that there are no more; None means for its newest credentials."""
        if self._closed is None:
            self.log.remote_ended()
            self.core.end_of_remote(self.clock(), ufrag)
            self.flush()

    def rollback(self) -> None:
        """Drop a generation, or remote credentials, that the other side has not matched."""
        if self._closed is None:
            self._sessions.end(lambda generation: generation.remote is None)
            self.core.rollback(self.clock())
            self._sessions.rolled_back()
            self.flush()

    def send(self, data: bytes) -> None:
        """Send one datagram over the selected pair; dropped while there is none."""
        pair = self._route
        if pair is not None:
            pair.packets_sent += 1
            pair.bytes_sent += len(data)
            is_first = pair.sent_at <= pair.heard_at
            pair.sent_at = now = self.clock()
            if is_first:
                self._ask_in_time(now, pair)
            pair.base.send(data, pair.address)
        else:
            self._counters.discard(len(data))

    def send_segments(self, data: bytes, size: int) -> None:
        """Send the datagrams that stand one behind the other in `data`, each of `size` bytes but perhaps the last."""
        pair = self._route
        if pair is not None:
            pair.packets_sent += -(-len(data) // size)
            pair.bytes_sent += len(data)
            is_first = pair.sent_at <= pair.heard_at
            pair.sent_at = now = self.clock()
            if is_first:
                self._ask_in_time(now, pair)
            pair.base.send_segments(data, size, pair.address)
        else:
            for datagram in split(data, size):
                self._counters.discard(len(datagram))

    def _ask_in_time(self, now: float, pair: Pair) -> None:
        """The first data since the pair was heard: if it stays silent, a check is due; on idle paths no timer fires."""
        doze_at = pair.heard_at + self._pipe.wake_after
        if doze_at > now:
            self._alarm.fire_by(doze_at)

    def close(self) -> Awaitable[None]:
        """Stop now.  The awaitable ends when TURN servers have confirmed the release, or had time to."""
        if self._closed is not None:
            return asyncio.shield(self._closed)
        self._closed = self._loop.create_future()
        if self._stop_watching is not None:
            self._stop_watching()
        for task in self._tasks:
            task.cancel()
        self._sessions.close()
        self._news.clear()
        self._route = None
        self._pipe.receiver = self._pipe.run_receiver = None
        self._counters.absorb((*self.core.generations, *self.core.retired))
        self.core.close()
        self.pool.close(self.clock(), self._settings)
        self.rearm()
        self._check_closed()
        return asyncio.shield(self._closed)

    def release(self) -> None:
        """Closed for good: its parts let go of each other and do not wait for the garbage collector. It can be read.

        Where a server has not confirmed a release, and nobody waits for it any longer, they still need each other.
        """
        if self._closed is None or not self._closed.done():
            return
        self.context.accepts_remote = _accepts_none
        self._sessions.release()
        del self._alarm, self._candidate_filter, self._parts, self._pipe, self.pool

    def _check_closed(self) -> None:
        if self._closed is None or self._closed.done() or self._tasks or self.pool.releasing:
            return
        self._alarm.stop()
        self._closed.set_result(None)

    # -- what happens ------------------------------------------------------------------------------

    def _on_stun(self, base: Base, data: bytes, address: Address) -> None:
        if self._closed is not None:
            return
        if not self._sessions.on_stun_untrusted(data, address):
            self.core.on_stun_untrusted(self.clock(), base, data, address)
        self.flush()

    def _on_wake(self, pair: Pair) -> None:
        self.core.woken(self.clock(), pair)
        # The datagram that woke us is delivered first; the listener hears of the state right after it.
        self._loop.call_soon(self.flush)

    def _on_unreachable(self, base: Base, address: Address) -> None:
        if self._closed is None:
            self.core.fail_path(self.clock(), base, address)
            self.flush()

    def _on_due(self, now: float, late: float) -> None:
        if late > self._settings.lag_tolerance:
            self.core.lagged(late)
            self._counters.lag(late, now)
            self.log.lagged(late)
        self.pool.tick(now)
        self._sessions.tick(now)
        if self._closed is None:
            self.core.tick(now)
        self.flush()

    def tell(self, step: Callable[..., None], *arguments: Any) -> None:
        """Call this of the listener when all state is consistent."""
        self._news.append((step, arguments))

    def flush(self) -> None:
        """Tell what has happened and set the timer; nested calls leave it to the outermost."""
        if self._telling:
            return
        self._telling = True
        try:
            events = self.core.events
            while True:
                if self.log.is_verbose:
                    self.log.look(self.core.generations)
                while events:
                    self._digest(events.pop(0))
                self._route = self.core.route
                if not self._news:
                    break
                tell, arguments = self._news.popleft()
                try:
                    tell(*arguments)
                except Exception as exc:
                    self._loop.call_exception_handler(
                        {"message": f"{tell.__name__} of an ICE listener failed", "exception": exc}
                    )
        finally:
            self._telling = False
        self.rearm()

    def _digest(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self.log.state(event.state)
            self.tell(self._listener.on_state, event.state)
            if event.state is IceTransportState.DISCONNECTED:
                self._verify_relay()
        elif isinstance(event, PairSelected):
            pair = event.pair
            self.log.selected(pair)
            self._selected = SelectedPair(pair.local_candidate, pair.remote.candidate)
            if isinstance(pair.base, RelayBase):
                pair.base.bind(pair.address)
            self.tell(self._listener.on_selected_pair, self._selected)
        elif isinstance(event, Woken):
            self.tell(self._listener.on_wake)
        elif isinstance(event, RoleChanged):
            self.log.role(event.role)
            self.tell(self._listener.on_role, event.role)
        elif isinstance(event, ActiveWanted):
            open_active(self._parts, event.generation)
        elif isinstance(event, GenerationDropped):
            self.log.dropped()
            half = event.generation.half
            self._counters.absorb((event.generation,))
            if not half.users:
                self._sessions.end(lambda generation: generation.half is half)
                self.pool.leave(half, self.clock(), self._settings)

    def _verify_relay(self) -> None:
        """The path is silent: a server that was started anew forgot our allocation, and tells only who asks."""
        pair = self.core.route
        if pair is not None and isinstance(pair.base, RelayBase):
            pair.base.verify()

    def _wanted(self, now: float) -> float:
        """When something is due next; infinity for never."""
        wanted = self.pool.next_time()
        if self._closed is None:
            wanted = min(wanted, self.core.next_time(now), self._sessions.next_time())
        return wanted

    def rearm(self) -> None:
        """Have the timer fire no later than somebody wants it."""
        self._alarm.set()

    # -- gathering ---------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = start_task(work, loop=self._loop)
        quiet(task)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler(
                {"message": f"{self!r}: gathering failed", "exception": task.exception(), "task": task}
            )
        self._check_closed()

    def _watch(self) -> None:
        if self._stop_watching is None:
            interfaces = self._network.interfaces()
            self._candidate_filter.broadcasts = broadcast_addresses(interfaces)
            if self._settings.watch_interfaces:
                self._stop_watching = self._network.watch_interfaces(self._on_network_change)

    def _on_network_change(self) -> None:
        if self._closed is not None:
            return
        now = self.clock()
        interfaces = self._network.interfaces()
        self._candidate_filter.broadcasts = broadcast_addresses(interfaces)
        here = {interface.address for interface in interfaces}
        self.log.network_changed(here)
        for (_, host), base in self.pool.sockets.items():
            if host not in here:
                self.core.lose_base(now, base)
        for path in self.pool.paths:
            if path.local_address is not None and path.local_address[0] not in here:
                for relay in path.bases.values():
                    self.core.lose_base(now, relay)
        self.core.network_changed(now)
        self.tell(self._listener.on_network_change)
        self.flush()


def _accepts_none(_candidate: Candidate) -> bool:
    """The filter of remote candidates of an agent that is closed."""
    return False
