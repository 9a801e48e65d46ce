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

from rtcpeer.ice.bases import Pipe, RelayBase, SocketBase
from rtcpeer.ice.candidates import BLOCKED_PORTS, broadcast_addresses, canonical_address, is_mdns_name
from rtcpeer.ice.checklist import NEVER, Base, Local, Pair
from rtcpeer.ice.core import (
    ActiveWanted,
    Event,
    GenerationDropped,
    IceCore,
    PairSelected,
    RoleChanged,
    StateChanged,
    Woken,
)
from rtcpeer.ice.credentials import new_credentials
from rtcpeer.ice.gathering import Gathering, tcp_candidate, usable_interfaces
from rtcpeer.ice.generation import Context, Generation
from rtcpeer.ice.listener import IceCandidateError, IceListener, SelectedPair
from rtcpeer.ice.netbase import Address, Network
from rtcpeer.ice.pool import BasePool
from rtcpeer.ice.quiet import quiet
from rtcpeer.ice.relay import RelayPath
from rtcpeer.ice.settings import IceSettings
from rtcpeer.ice.stats import AgentStats, Counters, collect
from rtcpeer.ice.tcp import TcpBase
from rtcpeer.values import (
    Candidate,
    IceGatheringState,
    IceParameters,
    IceRole,
    IceTransportPolicy,
    IceTransportState,
)

__all__ = ["IceAgent", "IceCandidateError", "IceListener", "SelectedPair", "new_credentials"]

# The loop's clock and its timers may disagree by this much.
_EARLY = 0.0005
# A timer that is set this much too early is moved; less is not worth the trouble.
_LATE = 1.0


class IceAgent:
    """One ICE transport over its whole life, restarts included.

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
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._context = Context(
            settings=settings,
            controlling=role is IceRole.CONTROLLING,
            tie_breaker=secrets.randbits(64),
            jitter=random.random,
            prefix=secrets.token_hex(3),
        )
        self._core = IceCore(self._context, role_known=role is not IceRole.UNKNOWN)
        self._pipe = Pipe(
            self._clock,
            self._on_stun,
            self._on_wake,
            self._on_unreachable,
            self._core.is_early,
            settings.wake_after,
        )
        self._pool = BasePool(network, self._pipe, self._spawn, self._check_closed)
        # The gathering phases that are still running, newest last.
        self._phases: list[_Phase] = []
        self._gathering_state = IceGatheringState.NEW
        # Where data goes; the core's route, copied so that `send` is short.
        self._route: Pair | None = None
        self._selected: SelectedPair | None = None
        self._counters = Counters()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._news: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._telling = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_watching: Callable[[], None] | None = None
        self._broadcasts: frozenset[str] = frozenset()
        self._lookups = 0
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
    def settings(self) -> IceSettings:
        """All of it is used from the next generation on; what runs keeps what it began with."""
        return self._settings

    @settings.setter
    def settings(self, settings: IceSettings) -> None:
        self._settings = settings
        self._context.settings = settings

    @property
    def role(self) -> IceRole:
        """Ours; a role conflict may have changed it."""
        return self._core.role

    @property
    def state(self) -> IceTransportState:
        """webrtc-pc 5.6.2."""
        return self._core.state

    @property
    def gathering_state(self) -> IceGatheringState:
        """Of the newest generation."""
        return self._gathering_state

    @property
    def selected_pair(self) -> SelectedPair | None:
        """The candidates between which data flows, or flowed last."""
        return self._selected

    @property
    def round_trip_time(self) -> float | None:
        """Of the last check on the path that carries data; None while there is none."""
        return self._route.rtt if self._route is not None else None

    @property
    def _newest(self) -> Generation | None:
        return self._core.generations[-1] if self._core.generations else None

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """Those of the newest generation, in the order in which they were found."""
        newest = self._newest
        return tuple(local.candidate for local in newest.locals) if newest is not None else ()

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """Those of the newest generation that has remote credentials; peer-reflexive ones are not told."""
        generation = self._core.generation_of_remote(None)
        if generation is None:
            return ()
        return tuple(r.candidate for r in generation.remotes if r.candidate.type != "prflx")

    @property
    def local_parameters(self) -> IceParameters | None:
        """The credentials of the newest generation."""
        newest = self._newest
        return newest.local if newest is not None else None

    @property
    def remote_parameters(self) -> IceParameters | None:
        """The remote credentials in use."""
        generation = self._core.generation_of_remote(None)
        return generation.remote if generation is not None else None

    def stats(self) -> AgentStats:
        """Everything in numbers, as of now."""
        return collect(self._core, self._counters)

    # -- commands ----------------------------------------------------------------------------------

    def set_role(self, role: IceRole) -> None:
        """What offer and answer say; call it before checks begin."""
        if self._closed is None:
            self._core.set_role(self._clock(), role)
            self._flush()

    def start_generation(self, local: IceParameters) -> None:
        """Gather with these credentials: the first generation, or a restart beside it.  Returns at once."""
        if self._closed is not None:
            return
        self._watch()
        self._end_phases(lambda phase: phase.generation.remote is None)
        generation = self._core.start_generation(self._clock(), local)
        phase = _Phase(self, generation)
        self._phases.append(phase)
        self._gathering_state = IceGatheringState.NEW
        phase.task = self._spawn(phase.run())
        self._flush()

    def set_remote_parameters(self, remote: IceParameters) -> None:
        """The remote side's credentials, after ours; those that are in use already change nothing.

        Others, while ours stay, are those of another end that answered too (forking): checks begin anew.
        """
        if self._closed is None:
            self._core.set_remote(self._clock(), remote)
            self._flush()

    def disown_older(self) -> None:
        """Another than before is at the other end now: nothing that comes over older paths is for the receiver."""
        if self._closed is None:
            self._core.disown_older(self._clock())
            self._flush()

    def add_remote_candidate(self, candidate: Candidate) -> None:
        """A remote candidate, at any time.

        Refused without a word, for they come from the remote side: addresses that are no unicast addresses,
        host names other than ``.local``, components other than 1, generations that we do not know, TCP where
        it is switched off or the port belongs to another protocol.
        """
        if self._closed is not None or candidate.component != 1 or not 0 < candidate.port < 65536:
            return
        if candidate.protocol != "udp" and not self._takes_tcp(candidate):
            return
        address = canonical_address(candidate.address)
        if address is not None:
            self._add_remote(candidate, address)
        elif is_mdns_name(candidate.address) and self._may_look_up(candidate):
            self._lookups += 1
            self._spawn(self._look_up(candidate))

    def _takes_tcp(self, candidate: Candidate) -> bool:
        settings = self._settings
        if candidate.protocol != "tcp" or settings.policy is IceTransportPolicy.RELAY:
            return False
        if candidate.tcp_type == "active":
            return settings.tcp in ("passive", "both")
        return (
            candidate.tcp_type == "passive"
            and settings.tcp in ("auto", "active", "both")
            and candidate.port not in BLOCKED_PORTS
        )

    def _may_look_up(self, candidate: Candidate) -> bool:
        settings = self._settings
        return (
            settings.resolve_mdns
            and self._lookups < settings.max_remote_candidates
            and self._core.knows_remote(candidate.ufrag)
        )

    def _add_remote(self, candidate: Candidate, address: str) -> None:
        if address not in self._broadcasts:
            self._core.add_remote(self._clock(), candidate, (address, candidate.port))
            self._flush()

    async def _look_up(self, candidate: Candidate) -> None:
        try:
            found = await self._network.resolve(candidate.address, None)
        except OSError:
            return  # an unknown name is a candidate that can not work; the others may
        finally:
            self._lookups -= 1
        if self._closed is None:
            for name in found[:1]:
                address = canonical_address(name)
                if address is not None:
                    self._add_remote(candidate, address)

    def end_of_remote_candidates(self, ufrag: str | None) -> None:
        """The remote side has said that there are no more; None means for its newest credentials."""
        if self._closed is None:
            self._core.end_of_remote(self._clock(), ufrag)
            self._flush()

    def rollback(self) -> None:
        """Drop a generation, or remote credentials, that the other side has not matched."""
        if self._closed is None:
            self._end_phases(lambda phase: phase.generation.remote is None)
            self._core.rollback(self._clock())
            newest = self._newest
            self._gathering_state = (
                IceGatheringState.NEW
                if newest is None
                else IceGatheringState.COMPLETE
                if newest.gathered
                else IceGatheringState.GATHERING
            )
            self._flush()

    def send(self, data: bytes) -> None:
        """Send one datagram over the selected pair; dropped while there is none."""
        pair = self._route
        if pair is not None:
            pair.packets_sent += 1
            pair.bytes_sent += len(data)
            pair.sent_at = self._clock()
            pair.base.send(data, pair.address)
        else:
            self._counters.discard(len(data))

    def close(self) -> Awaitable[None]:
        """Stop now.  The awaitable ends when TURN servers have confirmed the release, or had time to."""
        if self._closed is not None:
            return asyncio.shield(self._closed)
        self._closed = self._loop.create_future()
        if self._stop_watching is not None:
            self._stop_watching()
        for task in self._tasks:
            task.cancel()
        self._phases.clear()
        self._news.clear()
        self._route = None
        self._pipe.receiver = None
        self._counters.absorb((*self._core.generations, *self._core.retired))
        self._core.close()
        self._pool.close(self._clock(), self._settings)
        self._arm()
        self._check_closed()
        return asyncio.shield(self._closed)

    def _check_closed(self) -> None:
        if self._closed is None or self._closed.done() or self._tasks or self._pool.releasing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._closed.set_result(None)

    # -- what happens ------------------------------------------------------------------------------

    def _on_stun(self, base: SocketBase | RelayBase | TcpBase, data: bytes, address: Address) -> None:
        if self._closed is not None:
            return
        for phase in self._phases:
            if phase.gathering.queries.on_stun_untrusted(data, address):
                break
        else:
            self._core.on_stun_untrusted(self._clock(), base, data, address)
        self._flush()

    def _on_wake(self, pair: Pair) -> None:
        self._core.woken(self._clock(), pair)
        # The datagram that woke us is delivered first; the listener hears of the state right after it.
        self._loop.call_soon(self._flush)

    def _on_unreachable(self, base: TcpBase, address: Address) -> None:
        if self._closed is None:
            self._core.fail_path(self._clock(), base, address)
            self._flush()

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock()
        late = now - self._timer_at
        self._timer_at = NEVER
        if late > self._settings.lag_tolerance:
            self._core.lagged(late)
            self._counters.lag(late, now)
        elif self._wanted(now) > now + _EARLY:
            # What it was set for has moved away since: on idle paths the usual case.
            self._arm()
            return
        self._pool.tick(now)
        for phase in list(self._phases):
            phase.gathering.queries.tick(now)
        if self._closed is None:
            self._core.tick(now)
        self._flush()

    def _flush(self) -> None:
        """Tell what has happened and set the timer; nested calls leave it to the outermost."""
        if self._telling:
            return
        self._telling = True
        try:
            events = self._core.events
            while True:
                while events:
                    self._digest(events.pop(0))
                self._route = self._core.route
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
        self._arm()

    def _digest(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self._news.append((self._listener.on_state, (event.state,)))
        elif isinstance(event, PairSelected):
            pair = event.pair
            self._selected = SelectedPair(pair.local_candidate, pair.remote.candidate)
            if isinstance(pair.base, RelayBase):
                pair.base.bind(pair.address)
            self._news.append((self._listener.on_selected_pair, (self._selected,)))
        elif isinstance(event, Woken):
            self._news.append((self._listener.on_wake, ()))
        elif isinstance(event, RoleChanged):
            self._news.append((self._listener.on_role, (event.role,)))
        elif isinstance(event, ActiveWanted):
            self._open_active(event.generation)
        elif isinstance(event, GenerationDropped):
            half = event.generation.half
            self._counters.absorb((event.generation,))
            if not half.users:
                self._end_phases(lambda phase: phase.generation.half is half)
                self._pool.leave(half, self._clock(), self._settings)

    def _open_active(self, generation: Generation) -> None:
        """Active TCP bases, untold: the passive side learns them from the connections that they make."""
        settings = self._settings
        if settings.tcp != "auto" or settings.policy is IceTransportPolicy.RELAY:
            return
        for index, interface in enumerate(usable_interfaces(self._network, settings)):
            address = interface.address
            if any(p.base is not None and p.base.address == (address, 9) for p in generation.locals):
                continue
            candidate, preference = tcp_candidate("active", 6, index, address, (address, 9))
            candidate = _with_ufrag(candidate, generation.local.ufrag)
            if settings.candidate_filter is not None and not settings.candidate_filter(candidate):
                continue
            base = self._pool.active_tcp(generation.half, address)
            local = Local(self._context.new_id("L"), candidate, base, preference, interface.name)
            self._core.add_local(self._clock(), generation, local)

    def _wanted(self, now: float) -> float:
        """When something is due next; infinity for never."""
        wanted = self._pool.next_time()
        if self._closed is None:
            wanted = min(wanted, self._core.next_time(now))
            for phase in self._phases:
                wanted = min(wanted, phase.gathering.queries.next_time())
        return wanted

    def _arm(self) -> None:
        """Have the timer fire no later than somebody wants it."""
        now = self._clock()
        wanted = self._wanted(now)
        if wanted < self._timer_at - _EARLY or wanted > self._timer_at + _LATE or self._timer is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._timer_at = wanted
            if wanted != NEVER:
                self._timer_at = max(wanted, now)
                self._timer = self._loop.call_at(self._timer_at, self._on_timer)

    # -- gathering ---------------------------------------------------------------------------------

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
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

    def _end_phases(self, over: Callable[[_Phase], bool]) -> None:
        for phase in [p for p in self._phases if over(p)]:
            self._phases.remove(phase)
            phase.gathering.queries.clear()
            if phase.task is not None:
                phase.task.cancel()

    def _watch(self) -> None:
        if self._stop_watching is None:
            interfaces = self._network.interfaces()
            self._broadcasts = broadcast_addresses(interfaces)
            if self._settings.watch_interfaces:
                self._stop_watching = self._network.watch_interfaces(self._on_network_change)

    def _on_network_change(self) -> None:
        if self._closed is not None:
            return
        now = self._clock()
        interfaces = self._network.interfaces()
        self._broadcasts = broadcast_addresses(interfaces)
        here = {interface.address for interface in interfaces}
        for (_, host), base in self._pool.sockets.items():
            if host not in here:
                self._core.lose_base(now, base)
        for path in self._pool.paths:
            if path.local_address is not None and path.local_address[0] not in here:
                for relay in path.bases.values():
                    self._core.lose_base(now, relay)
        self._core.network_changed(now)
        self._news.append((self._listener.on_network_change, ()))
        self._flush()


class _Phase:
    """One gathering phase as the agent sees it: what it finds goes to its generation and to the listener."""

    __slots__ = ("_agent", "gathering", "generation", "task")

    def __init__(self, agent: IceAgent, generation: Generation) -> None:
        self._agent = agent
        self.generation = generation
        self.task: asyncio.Task[None] | None = None
        self.gathering = Gathering(
            agent._network, agent._settings, agent._pipe, agent._pool, generation.half, self
        )

    def _is_over(self) -> bool:
        return self not in self._agent._phases

    async def run(self) -> None:
        """Gather; the first step is in a later turn of the loop than the command."""
        agent = self._agent
        self._set_state(IceGatheringState.GATHERING)
        agent._flush()
        await self.gathering.run()

    def _set_state(self, state: IceGatheringState) -> None:
        agent = self._agent
        newest = agent._newest
        if newest is not None and self.generation.half is newest.half:
            agent._gathering_state = state
            agent._news.append((agent._listener.on_gathering_state, (state,)))

    def new_local(
        self, candidate: Candidate, base: Base | None, local_preference: int, network: str | None
    ) -> bool:
        """A candidate was found."""
        agent = self._agent
        generation = self.generation
        if self._is_over():
            return False
        for known in generation.locals:
            other = known.candidate
            if (other.address, other.port, other.protocol, other.type) == (
                candidate.address,
                candidate.port,
                candidate.protocol,
                candidate.type,
            ):
                return False
        candidate = _with_ufrag(candidate, generation.local.ufrag)
        allow = agent._settings.candidate_filter
        if allow is not None and not allow(candidate):
            return False
        local = Local(agent._context.new_id("L"), candidate, base, local_preference, network)
        agent._news.append((agent._listener.on_candidate, (candidate,)))
        agent._core.add_local(agent._clock(), generation, local)
        agent._flush()
        return True

    def server_failed(self, error: IceCandidateError) -> None:
        """A server gave nothing."""
        agent = self._agent
        if not self._is_over():
            agent._news.append((agent._listener.on_candidate_error, (error,)))
            agent._flush()

    def gathered(self) -> None:
        """Nothing more will come."""
        agent = self._agent
        if self._is_over():
            return
        agent._phases.remove(self)
        self._set_state(IceGatheringState.COMPLETE)
        agent._core.set_gathered(agent._clock(), self.generation)
        agent._flush()

    def mapped(self, base: SocketBase, server: Address) -> None:
        """A mapping to keep alive until a pair is chosen."""
        agent = self._agent
        if not self._is_over():
            half = self.generation.half
            agent._pool.keep_mapping(half, base, server, agent._clock(), agent._settings.keepalive)

    def times_changed(self) -> None:
        """Some deadline is earlier now."""
        self._agent._arm()

    def path_lost(self, path: RelayPath) -> None:
        """An allocation is gone."""
        agent = self._agent
        if agent._closed is None:
            for base in path.bases.values():
                agent._core.lose_base(agent._clock(), base)
            agent._pool.discard(path)
            agent._flush()


def _with_ufrag(candidate: Candidate, ufrag: str) -> Candidate:
    return Candidate(
        foundation=candidate.foundation,
        component=candidate.component,
        protocol=candidate.protocol,
        priority=candidate.priority,
        address=candidate.address,
        port=candidate.port,
        type=candidate.type,
        related_address=candidate.related_address,
        related_port=candidate.related_port,
        tcp_type=candidate.tcp_type,
        ufrag=ufrag,
        url=candidate.url,
        relay_protocol=candidate.relay_protocol,
        extensions=candidate.extensions,
    )
