"""How long `setLocalDescription` waits for candidates: aiortc's programs send the description once, and no more.

aiortc waits until every server has answered or 5 s have passed. Here a server that is silent costs less: when
each kind of server that was asked for (STUN, TURN) has answered on every transport, the others get only a short
grace; when a kind has not answered at all, the wait ends after a limit. Host candidates are there at once, so
without servers nothing is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rtcpeer.config.configuration import RTCConfiguration
from rtcpeer.media.event_target import EventStream
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.records import record
from rtcpeer.values import CandidateType, IceGatheringState

if TYPE_CHECKING:
    from rtcpeer.peer.session.session import PeerSession

_COMPLETE = IceGatheringState.COMPLETE


@record(frozen=True, slots=True)
class GatheringPatience:
    """Seconds that `setLocalDescription` waits.

    Attributes:
        grace: since the last candidate, once every kind of server has answered.
        limit: in all, when STUN servers are silent (RFC 8445 asks 500 ms of an answer on a slow path, twice).
        relay_limit: in all, when TURN servers are silent: an allocation takes two to four round trips.
        relay_only_limit: in all, under the policy "relay", where a description without candidates is useless.
    """

    grace: float = 0.2
    limit: float = 1.0
    relay_limit: float = 2.0
    relay_only_limit: float = 5.0

    def in_all(self, configuration: RTCConfiguration) -> float:
        """The limit for these servers."""
        if configuration.iceTransportPolicy == "relay":
            return self.relay_only_limit
        has_turn = any(entry.url.is_turn for entry in configuration.entries)
        return self.relay_limit if has_turn else self.limit


async def gather(session: PeerSession, news: EventStream[Any], patience: GatheringPatience) -> None:
    """Wait until there are candidates enough.

    Args:
        session: the connection.
        news: its icecandidate and icegatheringstatechange events.
        patience: how long.
    """
    loop = asyncio.get_running_loop()
    configuration = session.manager.current
    wanted = _wanted(configuration)
    end = loop.time() + patience.in_all(configuration)
    latest = loop.time()
    while not session.closed and not _is_complete(session.executor.transports.values()):
        until = end
        if wanted and _has_answered(session.executor.transports.values(), wanted):
            until = min(end, latest + patience.grace)
        try:
            async with asyncio.timeout_at(until):
                event = await anext(news, None)
        except TimeoutError:
            return
        if event is None:
            return
        if event.type == "icecandidate":
            latest = loop.time()


def _wanted(configuration: RTCConfiguration) -> set[CandidateType]:
    kinds = {
        CandidateType.RELAY if entry.url.is_turn else CandidateType.SRFLX for entry in configuration.entries
    }
    if configuration.iceTransportPolicy == "relay":
        kinds.discard(CandidateType.SRFLX)
    return kinds


def _has_answered(links: Iterable[PeerTransport], wanted: set[CandidateType]) -> bool:
    return all(wanted <= {c.type for c in link.ice.local_candidates()} for link in links)


def _is_complete(links: Iterable[PeerTransport]) -> bool:
    # the agent is ahead of what was announced: both count, as what is announced is in the description
    return all(
        link.agent.gathering_state is _COMPLETE and link.ice.gathering_state is _COMPLETE for link in links
    )
