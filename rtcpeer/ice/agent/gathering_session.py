"""Gathering session: passes each candidate found to the generation, the core and the listener.

Owns: one gathering and whether it is still wanted.  Never: sockets, servers; those are the gathering's and the pool's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from rtcpeer.ice.agent.gathering import Gathering
from rtcpeer.ice.agent.listener import IceCandidateError, IceListener
from rtcpeer.ice.agent.log import IceLog
from rtcpeer.ice.agent.pool import BasePool
from rtcpeer.ice.agent.relay import RelayPath
from rtcpeer.ice.agent.sockets import BaseContext, SocketBase
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.core import IceCore
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Base, Local
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, Network
from rtcpeer.values import Candidate, IceGatheringState


class GatheringHost(Protocol):
    """The agent, as a phase sees it.

    Attributes:
        settings, clock, core, context, pool, listener, log: the agent's own.
        phases: those that are wanted, newest last.
        gathering_state: of the newest generation.
        is_closed: whether the agent is.
    """

    clock: Callable[[], float]
    core: IceCore
    context: IceContext
    pool: BasePool
    listener: IceListener
    log: IceLog
    phases: list[GatheringSession]
    gathering_state: IceGatheringState

    @property
    def settings(self) -> IceSettings: ...  # noqa: D102 - described above

    @property
    def is_closed(self) -> bool: ...  # noqa: D102 - described above

    def tell(self, step: Callable[..., None], *arguments: Any) -> None:
        """Call this of the listener when all state is consistent."""

    def offered(self, address: str) -> None:
        """A candidate with this address is ours."""

    def flush(self) -> None:
        """Tell, and set the timer."""

    def rearm(self) -> None:
        """Some deadline is earlier now."""


class GatheringSession:
    """One gathering phase as the agent sees it: what it finds goes to its generation and to the listener.

    Args:
        host: the agent, as far as it is needed here.
        generation: which it gathers for.
    """

    __slots__ = ("_host", "gathering", "generation", "task")

    def __init__(
        self, host: GatheringHost, network: Network, pipe: BaseContext, generation: Generation
    ) -> None:
        self._host = host
        self.generation = generation
        self.task: asyncio.Task[None] | None = None
        self.gathering = Gathering(network, host.settings, pipe, host.pool, generation.half, self, host.log)

    def _is_over(self) -> bool:
        return self not in self._host.phases

    async def run(self) -> None:
        """Gather; the first step is in a later turn of the loop than the command."""
        host = self._host
        self._set_state(IceGatheringState.GATHERING)
        host.flush()
        await self.gathering.run()

    def _set_state(self, state: IceGatheringState) -> None:
        host = self._host
        newest = host.core.newest
        if newest is not None and self.generation.half is newest.half:
            host.gathering_state = state
            host.tell(host.listener.on_gathering_state, state)

    def new_local(
        self, candidate: Candidate, base: Base | None, local_preference: int, network: str | None
    ) -> bool:
        """A candidate was found."""
        host = self._host
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
        candidate = replace(candidate, ufrag=generation.local.ufrag)
        allow = host.settings.candidate_filter
        if allow is not None and not allow(candidate):
            return False
        local = Local(host.context.new_id("L"), candidate, base, local_preference, network)
        host.log.local(candidate)
        host.tell(host.listener.on_candidate, candidate)
        host.core.add_local(host.clock(), generation, local)
        host.offered(base.address[0] if base is not None else candidate.address)
        host.flush()
        return True

    def server_failed(self, error: IceCandidateError) -> None:
        """A server gave nothing."""
        host = self._host
        if not self._is_over():
            host.log.server_failed(error)
            host.tell(host.listener.on_candidate_error, error)
            host.flush()

    def gathered(self) -> None:
        """Implements `GatheringSink.gathered`."""
        host = self._host
        if self._is_over():
            return
        host.phases.remove(self)
        host.log.gathered(len(self.generation.locals))
        self._set_state(IceGatheringState.COMPLETE)
        host.core.set_gathered(host.clock(), self.generation)
        host.flush()

    def mapped(self, base: SocketBase, server: Address) -> None:
        """A mapping to keep alive until a pair is chosen."""
        host = self._host
        if not self._is_over():
            half = self.generation.half
            host.pool.keep_mapping(half, base, server, host.clock(), host.settings.keepalive)

    def times_changed(self) -> None:
        """Some deadline is earlier now."""
        self._host.rearm()

    def path_lost(self, path: RelayPath) -> None:
        """An allocation is gone."""
        host = self._host
        if not host.is_closed:
            for base in path.bases.values():
                host.core.lose_base(host.clock(), base)
            host.pool.discard(path)
            host.flush()
