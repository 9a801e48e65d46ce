"""Demultiplexing table: which generation receives a datagram, by local socket and remote address.

Owns: those claims.  Pure.  Generations share bases (a restart keeps the UDP sockets), so an entry may be another's.
"""

from __future__ import annotations

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.pair import Pair
from rtcpeer.values import NEVER


class Routes:
    """The entries of one generation in the `routes` of its bases: which addresses it asks for.

    Args:
        checklist: its pairs.
    """

    __slots__ = ("_checklist", "is_disowned")

    def __init__(self, checklist: Checklist) -> None:
        self._checklist = checklist
        # Another end has taken the place of this one: data from its paths is nobody's.
        self.is_disowned = False

    def claim(self, pair: Pair) -> None:
        """Data from this address is this pair's, unless an older generation still carries it."""
        if not self.is_disowned:
            pair.base.routes.setdefault(pair.address, pair)

    def claim_all(self) -> None:
        """The generation carries data now: its validated paths are its own."""
        for pair in self._checklist.pairs.values():
            if pair.heard_at > -NEVER:
                pair.base.routes[pair.address] = pair

    def forget(self) -> None:
        """The generation is gone: data from its paths is nobody's."""
        for pair in self._checklist.pairs.values():
            if pair.base.routes.get(pair.address) is pair:
                del pair.base.routes[pair.address]

    def disown(self) -> None:
        """Whoever is at its other end is not the one to talk to any more; its paths stay until there are others."""
        self.is_disowned = True
        self.forget()

    def reclaim(self) -> None:
        """The end of this generation is the one to talk to after all."""
        if self.is_disowned:
            self.is_disowned = False
            self.claim_all()
