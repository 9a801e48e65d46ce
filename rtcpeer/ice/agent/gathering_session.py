"""Gathering sessions of an agent: each passes the candidates that it finds to generation, core and listener.

Owns: which gatherings are still wanted, and the gathering state.  Never: sockets, servers; those are the gathering's
and the pool's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from rtcpeer.ice.agent.gathering import Gathering
from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.agent.parts import AgentParts
from rtcpeer.ice.agent.relay import RelayPath
from rtcpeer.ice.agent.sockets import SocketBase
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Base, Local
from rtcpeer.net.network import Address
from rtcpeer.values import NEVER, Candidate, IceGatheringState


class GatheringSession:
    """One gathering phase: what it finds goes to its generation and to the listener.

    Args:
        parts: of the agent.
        sessions: those of the agent; this one is wanted as long as it is among them.
        generation: which it gathers for.
    """

    __slots__ = ("_parts", "_sessions", "gathering", "generation", "task")

    def __init__(self, parts: AgentParts, sessions: GatheringSessions, generation: Generation) -> None:
        self._parts = parts
        self._sessions = sessions
        self.generation = generation
        self.task: asyncio.Task[None] | None = None
        self.gathering = Gathering(
            parts.network, parts.context.settings, parts.pipe, parts.pool, generation.half, self, parts.log
        )

    def _is_over(self) -> bool:
        return self not in self._sessions

    async def run(self) -> None:
        """Gather; the first step is in a later turn of the loop than the command."""
        self._sessions.announce(self, IceGatheringState.GATHERING)
        self._parts.flush()
        await self.gathering.run()

    def new_local(
        self, candidate: Candidate, base: Base | None, local_preference: int, network: str | None
    ) -> bool:
        """A candidate was found."""
        parts = self._parts
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
        candidate = candidate.in_generation(generation.local.ufrag)
        allow = parts.context.settings.candidate_filter
        if allow is not None and not allow(candidate):
            return False
        local = Local(parts.context.new_id("L"), candidate, base, local_preference, network)
        parts.log.local(candidate)
        parts.tell(parts.listener.on_candidate, candidate)
        parts.core.add_local(parts.clock(), generation, local)
        parts.offered(base.address[0] if base is not None else candidate.address)
        parts.flush()
        return True

    def server_failed(self, error: IceCandidateError) -> None:
        """A server gave nothing."""
        parts = self._parts
        if not self._is_over():
            parts.log.server_failed(error)
            parts.tell(parts.listener.on_candidate_error, error)
            parts.flush()

    def gathered(self) -> None:
        """Implements `GatheringSink.gathered`."""
        parts = self._parts
        if self._is_over():
            return
        self._sessions.remove(self)
        del self.gathering  # it knows this session: neither waits for the garbage collector
        parts.log.gathered(len(self.generation.locals))
        self._sessions.announce(self, IceGatheringState.COMPLETE)
        parts.core.set_gathered(parts.clock(), self.generation)
        parts.flush()

    def mapped(self, base: SocketBase, server: Address) -> None:
        """A mapping to keep alive until a pair is chosen."""
        parts = self._parts
        if not self._is_over():
            half = self.generation.half
            parts.pool.keep_mapping(half, base, server, parts.clock(), parts.context.settings.keepalive)

    def times_changed(self) -> None:
        """Some deadline is earlier now."""
        self._parts.rearm()

    def path_lost(self, path: RelayPath) -> None:
        """An allocation is gone."""
        parts = self._parts
        if not self._sessions.is_closed:
            for base in path.bases.values():
                parts.core.lose_base(parts.clock(), base)
            parts.pool.discard(path)
            parts.flush()


class GatheringSessions:
    """The gathering sessions of one agent that are still wanted, newest last.

    Args:
        parts: of the agent.

    Attributes:
        state: the gathering state of the newest generation.
        is_closed: whether `close` was called.
    """

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._wanted: list[GatheringSession] = []
        self.state: IceGatheringState = IceGatheringState.NEW
        self.is_closed: bool = False

    def __contains__(self, session: object) -> bool:
        return session in self._wanted

    def start(
        self, generation: Generation, spawn: Callable[[Coroutine[object, object, None]], asyncio.Task[None]]
    ) -> None:
        """Begin to gather for a generation, in a task that `spawn` makes."""
        session = GatheringSession(self._parts, self, generation)
        self._wanted.append(session)
        self.state = IceGatheringState.NEW
        session.task = spawn(session.run())

    def announce(self, session: GatheringSession, state: IceGatheringState) -> None:
        """Take the state of a session for that of the agent, if it gathers for the newest generation, and tell it."""
        newest = self._parts.core.newest
        if newest is not None and session.generation.half is newest.half:
            self.state = state
            self._parts.tell(self._parts.listener.on_gathering_state, state)

    def rolled_back(self) -> None:
        """Another generation is the newest one now, or there is none."""
        newest = self._parts.core.newest
        if newest is None:
            self.state = IceGatheringState.NEW
        else:
            self.state = IceGatheringState.COMPLETE if newest.gathered else IceGatheringState.GATHERING

    def remove(self, session: GatheringSession) -> None:
        """Want a session no more, as it has gathered everything."""
        self._wanted.remove(session)

    def end(self, over: Callable[[Generation], bool]) -> None:
        """Stop gathering for those generations that this is true of."""
        for session in [one for one in self._wanted if over(one.generation)]:
            self._wanted.remove(session)
            session.gathering.queries.clear()
            if session.task is not None:
                session.task.cancel()

    def close(self) -> None:
        """Want none any more; their tasks are ended by who has spawned them."""
        self.is_closed = True
        self._wanted.clear()

    def release(self) -> None:
        """Closed for good: let go of the agent, so that it does not wait for the garbage collector."""
        del self._parts

    def on_stun_untrusted(self, data: bytes, address: Address) -> bool:
        """Whether a datagram was the answer of a server that one of them has asked."""
        return bool(self._wanted) and any(
            session.gathering.queries.on_stun_untrusted(data, address) for session in self._wanted
        )

    def tick(self, now: float) -> None:
        """Ask servers again that have not answered."""
        for session in tuple(self._wanted):
            session.gathering.queries.tick(now)

    def next_time(self) -> float:
        """When `tick` is to be called; infinity for never."""
        wanted = NEVER
        for session in self._wanted:
            wanted = min(wanted, session.gathering.queries.next_time())
        return wanted
