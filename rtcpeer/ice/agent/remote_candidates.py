"""Remote candidates as they come from signaling: which are taken, and the look-up of ``.local`` names.

Owns: the names that are being looked up, the candidates that wait to see what we offer, and their bounds.  Never: a
pair.

Refused without a word, for they come from the remote side: addresses that are no unicast addresses, loopback and
link-local ones unless we offer such ourselves (they would have us probe our own host and link, as a service that
anybody may call must not), host names other than ``.local``, components other than 1, generations that we do not know,
TCP where it is switched off or the port belongs to another protocol, and what the user's filter refuses.  Nothing is
sent to a loopback or link-local one either, but the state says that candidates were told that lead nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rtcpeer.ice.agent.tcp import Spawn
from rtcpeer.ice.candidates import BLOCKED_PORTS, canonical_address, is_mdns_name, reach_of
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Network
from rtcpeer.records import replace
from rtcpeer.values import Candidate, IceTransportPolicy

# Loopback and link-local candidates that wait for one of ours; the newest stay.
_HELD = 16


class RemoteCandidateFilter:
    """The way in.

    Args:
        spawn: starts a task that the agent owns.
        is_known: whether a candidate with this ufrag has a place to go.
        accepts: whether the user's filter lets us send to a candidate.
        add: gets a candidate and its address.
        hold: gets the ufrag of one that waits for a candidate of ours in its reach.

    Attributes:
        broadcasts: addresses of our networks that stand for everybody.
    """

    def __init__(
        self,
        network: Network,
        spawn: Spawn,
        is_known: Callable[[str | None], bool],
        accepts: Callable[[Candidate], bool],
        add: Callable[[Candidate, str], None],
        hold: Callable[[str | None], None],
    ) -> None:
        self._network = network
        self._spawn = spawn
        self._is_known = is_known
        self._accepts = accepts
        self._add = add
        self._hold = hold
        self._lookups = 0
        self.broadcasts: frozenset[str] = frozenset()
        # "loopback", "link-local": where we offer addresses of our own.
        self._offered: set[str] = set()
        # Candidates at such places, while we do not (yet) offer one there: gathering may take a while.
        self._held: deque[tuple[Candidate, str, IceSettings]] = deque(maxlen=_HELD)

    def take(self, candidate: Candidate, settings: IceSettings) -> None:
        """Take one remote candidate, or refuse it."""
        if candidate.component != 1 or not 0 < candidate.port < 65536:
            return
        if candidate.protocol != "udp" and not _takes_tcp(candidate, settings):
            return
        address = canonical_address(candidate.address)
        if address is not None:
            self._hand_on(candidate, address, settings)
        elif is_mdns_name(candidate.address) and self._may_look_up(candidate, settings):
            self._lookups += 1
            self._spawn(self._look_up(candidate, settings))

    def _may_look_up(self, candidate: Candidate, settings: IceSettings) -> bool:
        bounded = self._lookups < settings.max_remote_candidates
        return settings.resolve_mdns and bounded and self._is_known(candidate.ufrag)

    def _hand_on(self, candidate: Candidate, address: str, settings: IceSettings) -> None:
        if address in self.broadcasts or not self._is_known(candidate.ufrag):
            return
        reach = reach_of(address)
        if reach is not None and reach not in self._offered:
            self._held.append((candidate, address, settings))
            self._hold(candidate.ufrag)
            return
        if self._accepts(candidate if candidate.address == address else replace(candidate, address=address)):
            self._add(candidate, address)

    def offered(self, address: str) -> None:
        """We offer a candidate with this address, host or relayed: there others may be too."""
        reach = reach_of(address)
        if reach is None or reach in self._offered:
            return
        self._offered.add(reach)
        held = list(self._held)
        self._held.clear()
        for item in held:
            self._hand_on(*item)

    async def _look_up(self, candidate: Candidate, settings: IceSettings) -> None:
        try:
            found = await self._network.resolve(candidate.address, None)
        except OSError:
            return  # an unknown name is a candidate that can not work; the others may
        finally:
            self._lookups -= 1
        for name in found[:1]:
            address = canonical_address(name)
            if address is not None:
                self._hand_on(candidate, address, settings)


def _takes_tcp(candidate: Candidate, settings: IceSettings) -> bool:
    if candidate.protocol != "tcp" or settings.policy is IceTransportPolicy.RELAY:
        return False
    if candidate.tcp_type == "active":
        return settings.tcp in ("passive", "both")
    return (
        candidate.tcp_type == "passive"
        and settings.tcp in ("auto", "active", "both")
        and candidate.port not in BLOCKED_PORTS
    )
