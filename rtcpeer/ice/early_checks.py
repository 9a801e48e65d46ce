"""Checks that came before the credentials of their sender (RFC 8445 7.3): kept within bounds, replayed later.

Owns: that list.  Pure.  An offerer gets the first checks of an answerer before its answer; what proves nothing but
knowledge of our own password must not make us keep much.
"""

from __future__ import annotations

from rtcpeer.ice.pair import Base
from rtcpeer.net.network import Address
from rtcpeer.records import record


@record(slots=True)
class EarlyCheck:
    """A check that came before the credentials are known, and is done again then."""

    base: Base
    address: Address
    priority: int
    use_candidate: bool


class EarlyChecks:
    """The checks of one generation that wait.

    Args:
        limit: how many are kept.
        per_source: how many of one IP address.
    """

    __slots__ = ("_checks", "_limit", "_per_source", "_sources")

    def __init__(self, limit: int, per_source: int) -> None:
        self._limit = limit
        self._per_source = per_source
        self._checks: dict[tuple[int, Address], EarlyCheck] = {}
        self._sources: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._checks)

    def keep(self, base: Base, address: Address, priority: int) -> bool:
        """Keep a check that arrived; False when there is no room for it."""
        key = (id(base), address)
        if key in self._checks:
            return True
        of_source = self._sources.get(address[0], 0)
        if len(self._checks) >= self._limit or of_source >= self._per_source:
            return False
        self._sources[address[0]] = of_source + 1
        self._checks[key] = EarlyCheck(base, address, priority, use_candidate=False)
        return True

    def note(self, base: Base, address: Address, use_candidate: bool) -> None:
        """Note what a check that is kept, or its repetition, says more."""
        known = self._checks.get((id(base), address))
        if known is not None:
            known.use_candidate |= use_candidate

    def has(self, base: object, address: Address) -> bool:
        """Whether one from there is kept."""
        return (id(base), address) in self._checks

    def take(self) -> list[EarlyCheck]:
        """All of them, in order of arrival; none is left."""
        checks = list(self._checks.values())
        self._checks.clear()
        self._sources.clear()
        return checks
