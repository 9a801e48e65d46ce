"""The log of one ICE agent: what its core decided, and how its checks went.

The core does not log. Its events are logged as they are handed on, and for checks the pairs are compared with what
they were before. At INFO: states, selected pairs, restarts. At DEBUG: servers, candidates, checks, nomination.

Owns: what was logged of each pair. Never: credentials, a line per packet, any work while the level is off.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rtcpeer.ice.agent.listener import IceCandidateError
from rtcpeer.ice.pair import Pair, PairStatus
from rtcpeer.values import Candidate, IceRole, IceTransportState

if TYPE_CHECKING:
    from rtcpeer.ice.generation import Generation

logger = logging.getLogger("rtcpeer.ice")


def name_of(candidate: Candidate) -> str:
    """A candidate in a few words; parts that come from elsewhere are made printable."""
    address = ascii(candidate.address[:80])[1:-1]
    host = f"[{address}]" if ":" in address else address
    tcp = " tcp" if candidate.protocol == "tcp" else ""
    via = f" by {candidate.relay_protocol}" if candidate.relay_protocol else ""
    return f"{candidate.type.value}{tcp} {host}:{candidate.port}{via}"


def ends_of(pair: Pair) -> str:
    """The two ends of a pair as text."""
    return f"{name_of(pair.local_candidate)} -> {name_of(pair.remote.candidate)}"


class IceLog:
    """The log of one agent.

    Args:
        name: of the agent, begins each line.
    """

    __slots__ = ("_generations", "_pairs", "name")

    def __init__(self, name: str) -> None:
        self.name = name or "ICE"
        self._generations = 0
        # by pair: its state, whether it is nominated, whether a check was sent and whether one came
        self._pairs: dict[str, tuple[PairStatus, bool, bool, bool]] = {}

    @property
    def is_verbose(self) -> bool:
        """Whether anybody reads what is logged at DEBUG."""
        return logger.isEnabledFor(logging.DEBUG)

    def state(self, state: IceTransportState) -> None:
        """The transport's state is another."""
        logger.info("%s ICE is %s", self.name, state.value)

    def selected(self, pair: Pair) -> None:
        """Data goes over this pair from now on."""
        if logger.isEnabledFor(logging.INFO):
            rtt = "" if pair.rtt is None else f", round trip {pair.rtt * 1000:.1f} ms"
            logger.info("%s selected pair: %s%s", self.name, ends_of(pair), rtt)

    def role(self, role: IceRole) -> None:
        """Our role is another than described."""
        logger.info("%s ICE role is %s now", self.name, role.value)

    def generation(self) -> None:
        """Gathering begins with new credentials."""
        self._generations += 1
        if self._generations == 1:
            logger.debug("%s begins ICE", self.name)
        else:
            logger.info("%s restarts ICE, for the %d. time", self.name, self._generations - 1)

    def dropped(self) -> None:
        """A generation is not needed any more."""
        logger.debug("%s drops an older ICE generation", self.name)

    def network_changed(self, addresses: Iterable[str]) -> None:
        """The addresses of this host are others."""
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s network changed, addresses now: %s", self.name, ", ".join(sorted(addresses)))

    def lagged(self, late: float) -> None:
        """The event loop stood still."""
        logger.info("%s the event loop stood still for %.1f s", self.name, late)

    # -- gathering, at DEBUG -----------------------------------------------------------------------

    def remote_described(self, *, lite: bool) -> None:
        """Remote credentials were given."""
        logger.debug("%s has the remote ICE credentials%s", self.name, " of an ICE-lite end" if lite else "")

    def remote(self, candidate: Candidate) -> None:
        """A remote candidate was given."""
        if self.is_verbose:
            logger.debug("%s remote candidate: %s", self.name, name_of(candidate))

    def remote_ended(self) -> None:
        """The remote side has no more candidates."""
        logger.debug("%s remote candidates are complete", self.name)

    def local(self, candidate: Candidate) -> None:
        """A local candidate was found."""
        if self.is_verbose:
            origin = f", from {candidate.url}" if candidate.url else ""
            logger.debug("%s local candidate: %s%s", self.name, name_of(candidate), origin)

    def asks(self, url: str, addresses: Iterable[str]) -> None:
        """A server is asked."""
        if self.is_verbose:
            logger.debug("%s asks %s at %s", self.name, url, ", ".join(addresses))

    def answered(self, url: str, what: str) -> None:
        """A server has answered."""
        logger.debug("%s %s answered: %s", self.name, url, what)

    def server_failed(self, error: IceCandidateError) -> None:
        """A server gave nothing."""
        logger.debug(
            "%s %s gave nothing: %d %s", self.name, error.url, error.error_code, ascii(error.error_text)[1:-1]
        )

    def gathered(self, count: int) -> None:
        """Gathering is complete."""
        logger.debug("%s gathering is complete: %d candidates", self.name, count)

    # -- checks, at DEBUG --------------------------------------------------------------------------

    def look(self, generations: Iterable[Generation]) -> None:
        """Log what is new about each pair; call it only while `is_verbose`."""
        before, after = self._pairs, {}
        for generation in generations:
            for pair in generation.checklist.pairs.values():
                after[pair.id] = (
                    pair.state,
                    pair.nominated,
                    pair.requests_sent > 0,
                    pair.requests_received > 0,
                )
                if before.get(pair.id) != after[pair.id]:
                    self._tell(pair, before.get(pair.id, (PairStatus.WAITING, False, False, False)))
        self._pairs = after

    def _tell(self, pair: Pair, before: tuple[PairStatus, bool, bool, bool]) -> None:
        state, nominated, sent, received = before
        news = []
        if pair.requests_sent and not sent:
            news.append("check sent")
        if pair.requests_received and not received:
            news.append("check received")
        if pair.state is not state and pair.state is not PairStatus.IN_PROGRESS:
            if pair.state is PairStatus.SUCCEEDED and pair.rtt is not None:
                news.append(f"succeeded in {pair.rtt * 1000:.1f} ms")
            else:
                news.append(pair.state.value)
        if pair.nominated is not nominated:
            news.append("nominated" if pair.nominated else "not nominated any more")
        if news:
            logger.debug("%s pair %s: %s", self.name, ends_of(pair), ", ".join(news))
