"""How late packets come on a path that changes their order, and which losses were none.

Implements: the reordering window of RACK (RFC 8985 section 6.2, step 4), measured instead of guessed; detection of
spurious retransmissions by duplicate TSNs (RFC 3708) and by answers that come too early. Pure.

A path that keeps its order costs nothing here: `tolerance` is 0, and three later packets mean a loss (RFC 9260
section 7.2.4). Once a packet has come behind one that was sent later, a missing one is waited for as long as
that one was late, before it counts as lost.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Reordering"]

# RFC 8985 section 6.2, step 4: the window grows by quarters of a round trip
_STEPS: Final = 4
# and is forgotten after so many recoveries in which nothing came late
_RECOVERIES_MAX: Final = 16


class Reordering:
    """Reordering of one path: how long a missing packet is waited for, and whether losses were none.

    Attributes:
        tolerance: how long a missing packet is waited for beyond the round trip of a later one, in seconds.
    """

    __slots__ = ("_answered", "_lost", "_missing", "_recoveries", "tolerance")

    def __init__(self) -> None:
        self.tolerance: float = 0.0
        # TSNs that this recovery takes for lost -> when they were sent first
        self._missing: dict[int, float] = {}
        # those of them that have been acknowledged since -> how late they were, if it was their first copy that came
        self._answered: dict[int, float] = {}
        # how many of all have not turned out to be late
        self._lost = 0
        self._recoveries = 0

    def came_late(self, lateness: float, round_trip: float) -> None:
        """A packet has come so much later than one that was sent after it; at most a round trip is waited for."""
        if lateness > 0:
            step = round_trip / _STEPS
            self.tolerance = max(self.tolerance, min(lateness + step, round_trip))
            self._recoveries = 0

    def begin_recovery(self) -> None:
        """Fast recovery begins; `lost` names what is taken for lost."""
        self.forget()
        self._recoveries += 1
        if self._recoveries > _RECOVERIES_MAX:
            self.tolerance = 0.0

    def lost(self, tsn: int, sent_at: float, sent_count: int) -> None:
        """A chunk is taken for lost. One that was sent again already is not asked about (RFC 3708 section 3)."""
        self._lost += 1
        if sent_count == 1:
            self._missing[tsn] = sent_at

    def answered(self, tsn: int, now: float, usual: float, round_trip: float, *, certain: bool) -> bool:
        """A chunk that may be one of those was acknowledged.

        Args:
            tsn: its number.
            now: the time.
            usual: the round trip of the newest packet that has come.
            round_trip: the smoothed one.
            certain: whether it must have been the first copy.

        Returns:
            Whether none of those was lost, as is known now.
        """
        sent_at = self._missing.pop(tsn, None)
        if sent_at is None:
            return False
        lateness = now - sent_at - usual
        if certain:
            return self._refute(lateness, round_trip)
        self._answered[tsn] = lateness
        return False

    def came_twice(self, tsn: int, round_trip: float) -> bool:
        """A SACK reports a duplicate (RFC 3708 section 3); whether none of those was lost, as is known now."""
        lateness = self._answered.pop(tsn, None)
        return lateness is not None and self._refute(lateness, round_trip)

    def forget(self) -> None:
        """Ask about no loss so far any more."""
        self._missing.clear()
        self._answered.clear()
        self._lost = 0

    def _refute(self, lateness: float, round_trip: float) -> bool:
        self.came_late(lateness, round_trip)
        self._lost -= 1
        return self._lost == 0
