"""Check list of one generation: its pairs in order, and which one is checked next (RFC 8445 6.1.2).

Owns: the check states of pairs, the waiting queue, triggered checks (RFC 8445 6.1).  Never: I/O, clock; `now` is
an argument.

There is one component and one check list per agent, so the frozen state of RFC 8445 6.1.2.6 would only delay
checks; pairs start out waiting, as in libwebrtc.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rtcpeer.ice.pair import Base, Check, Pair, PairStatus
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address
from rtcpeer.values import NEVER


def _ignore(_pair: Pair) -> None:
    """Nobody asks about pairs that go."""


class Checklist:
    """The pairs of one generation and the order in which they are checked."""

    __slots__ = ("_limit", "_triggered", "in_progress", "on_discard", "pairs")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Called with a pair that is about to go.
        self.on_discard: Callable[[Pair], None] = _ignore
        # (base identity, remote address) -> pair; a dict keeps the order in which they were formed.
        self.pairs: dict[tuple[int, Address], Pair] = {}
        self.in_progress: list[Pair] = []
        self._triggered: deque[Pair] = deque()

    def release(self) -> None:
        """Closed for good: forget all pairs, and who asked about them."""
        self.on_discard = _ignore
        for pair in self.pairs.values():
            pair.owner = None
        self.pairs.clear()
        self.in_progress.clear()
        self._triggered.clear()

    def find(self, base: Base, address: Address) -> Pair | None:
        """The pair with this base and remote address."""
        return self.pairs.get((id(base), address))

    def add(self, pair: Pair, *, keep: Pair | None = None, must: bool = False) -> bool:
        """Take a pair in; when the list is full the worst untouched one makes room, or it is refused.

        Args:
            keep: never makes room.
            must: any other pair that is not nominated may make room, those that were tried too.
        """
        if len(self.pairs) >= self._limit:
            others = [p for p in self.pairs.values() if p is not keep and not p.nominated]
            idle = [p for p in others if p.state in (PairStatus.WAITING, PairStatus.FAILED)]
            worst = min(idle or (others if must else ()), key=_by_priority, default=None)
            if worst is None or (worst.priority >= pair.priority and not must):
                return False
            self.discard(worst)
        self.pairs[id(pair.base), pair.address] = pair
        return True

    def discard(self, pair: Pair) -> None:
        """Forget a pair, and that data may come over it."""
        self.on_discard(pair)
        self.pairs.pop((id(pair.base), pair.address), None)
        if pair.base.routes.get(pair.address) is pair:
            del pair.base.routes[pair.address]
        self.settle(pair, PairStatus.FAILED)

    def settle(self, pair: Pair, state: PairStatus) -> None:
        """Move a pair to a state in which no check is in progress."""
        pair.state = state
        pair.check = None
        if pair in self.in_progress:
            self.in_progress.remove(pair)
        if pair.triggered:
            pair.triggered = False
            self._triggered.remove(pair)

    def fail(self, now: float, pair: Pair, settings: IceSettings) -> None:
        """A pair does not work; it is tried again later, each time after a longer pause."""
        self.settle(pair, PairStatus.FAILED)
        pair.retry_pause = min(max(pair.retry_pause * 2, settings.retry_interval), settings.retry_limit)
        pair.retry_at = now + pair.retry_pause

    def retry(self, due: float, selected: Pair | None) -> None:
        """Failed pairs that would be an improvement get another chance now and then."""
        for pair in self.pairs.values():
            if pair.state is PairStatus.FAILED and pair.retry_at <= due:
                pair.retry_at = NEVER
                if _improves(pair, selected):
                    pair.state = PairStatus.WAITING

    def next_retry(self, selected: Pair | None) -> float:
        """When `retry` will have something to do; infinity for never."""
        wanted = NEVER
        for pair in self.pairs.values():
            if pair.retry_at < wanted and pair.state is PairStatus.FAILED and _improves(pair, selected):
                wanted = pair.retry_at
        return wanted

    def start(self, pair: Pair, check: Check) -> None:
        """A check of this pair is on its way."""
        pair.check = check
        if pair.state is not PairStatus.SUCCEEDED:
            pair.state = PairStatus.IN_PROGRESS
        if pair not in self.in_progress:
            self.in_progress.append(pair)
        if pair.triggered:
            pair.triggered = False
            self._triggered.remove(pair)

    def trigger(self, pair: Pair) -> None:
        """Check this pair before all that wait (RFC 8445 7.3.1.4)."""
        if not pair.triggered and pair.state is not PairStatus.IN_PROGRESS:
            if pair.state is PairStatus.FAILED:
                pair.state = PairStatus.WAITING
            pair.triggered = True
            self._triggered.append(pair)

    def next_pair(self, better_than: Pair | None) -> Pair | None:
        """The pair whose check is due: triggered ones first, then by priority.

        Args:
            better_than: the nominated pair; waiting pairs that would be no improvement stay where they are.
        """
        if self._triggered:
            return self._triggered[0]
        best: Pair | None = None
        for pair in self.pairs.values():
            if pair.state is PairStatus.WAITING and (best is None or pair.priority > best.priority):
                if better_than is not None and pair.rank >= better_than.rank:
                    continue
                best = pair
        return best

    def best_valid(self) -> Pair | None:
        """The valid pair that is best by preference."""
        best: Pair | None = None
        for pair in self.pairs.values():
            if pair.state is PairStatus.SUCCEEDED and (best is None or pair.preference > best.preference):
                best = pair
        return best

    @property
    def is_busy(self) -> bool:
        """Whether a check is in progress or triggered."""
        return bool(self.in_progress or self._triggered)

    def is_exhausted(self) -> bool:
        """Whether there are pairs, and all have been tried to no effect."""
        if not self.pairs:
            return False
        return all(pair.exhausted for pair in self.pairs.values())

    def hope_above(self, rank: int) -> bool:
        """Whether a pair of a better rank may still succeed."""
        return any(
            pair.rank < rank and pair.state in (PairStatus.WAITING, PairStatus.IN_PROGRESS)
            for pair in self.pairs.values()
        )


def _improves(pair: Pair, selected: Pair | None) -> bool:
    return selected is None or pair.rank < selected.rank or selected.is_silent


def _by_priority(pair: Pair) -> int:
    return pair.priority
