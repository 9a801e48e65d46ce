"""Nomination: which pair of one generation is nominated, and which one carries its data (RFC 8445 8.1.1 and 12.1).

Owns: the nominated and the selected pair, and the nomination on its way.  Never: checks; `rtcpeer.ice.generation`
sends what is proposed here and tells what came of it.  No I/O, no clock; `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.consent import Consent
from rtcpeer.ice.context import SLACK, IceContext
from rtcpeer.ice.pair import Check, Pair, PairStatus
from rtcpeer.ice.pairing import Pairing
from rtcpeer.values import NEVER


class Nomination:
    """The choice among the pairs of one generation.

    Args:
        checklist: the pairs.
        pairing: knows since when there are any.
        consent: knows which pair is quiet.

    Attributes:
        nominated: the pair that both sides were told to use.
        selected: the pair that carries data.
        pending: controlling: the pair whose nomination has no answer yet.
        remote_is_aggressive: the other side nominates every pair (RFC 5245 8.1.1.2).
    """

    __slots__ = (
        "_checklist",
        "_consent",
        "_context",
        "_pairing",
        "_settings",
        "nominated",
        "pending",
        "remote_is_aggressive",
        "selected",
    )

    def __init__(self, context: IceContext, checklist: Checklist, pairing: Pairing, consent: Consent) -> None:
        self._context = context
        # a generation keeps what it began with
        self._settings = context.settings
        self._checklist = checklist
        self._pairing = pairing
        self._consent = consent
        self.nominated: Pair | None = None
        self.selected: Pair | None = None
        self.pending: Pair | None = None
        self.remote_is_aggressive = False

    # -- controlling -------------------------------------------------------------------------------

    def propose(self, now: float, *, failed: bool, ended: bool) -> Pair | None:
        """The pair to nominate now, if any; it is pending from here on.

        Args:
            failed: the generation has failed.
            ended: neither side will have more candidates.
        """
        if self.pending is not None:
            return None
        current = self.nominated
        if current is None or (current.is_valid and self._is_quiet(now, current)):
            # Its silence may end; a pair that answers now is better than one that does not.
            best = self._best_heard(now)
        else:
            best = self._checklist.best_valid()
        if best is None or best is current or (failed and self._is_quiet(now, best)):
            return None
        if current is None:
            hopeless = ended and not self._checklist.hope_above(best.rank)
            if not hopeless and now + SLACK < self._acceptable_at(best):
                return None
        else:
            works = current.is_valid and not self._is_quiet(now, current)
            if works and (best.rank >= current.rank or self._is_quiet(now, best)):
                return None
        self.pending = best
        return best

    def next_time(self, now: float) -> float:
        """When `propose` will have waited long enough; infinity when it does not wait for time to pass."""
        if not self._context.controlling or self.nominated is not None or self.pending is not None:
            return NEVER
        best = self._best_heard(now)
        return self._acceptable_at(best) if best is not None else NEVER

    def _acceptable_at(self, pair: Pair) -> float:
        """When a pair has waited long enough for a better one (settings.acceptance)."""
        acceptance = self._settings.acceptance
        wait = max(acceptance[pair.local_candidate.type], acceptance[pair.remote.candidate.type])
        return self._pairing.first_pair_at + wait

    def withdraw(self, pair: Pair | None = None) -> None:
        """The nomination on its way will come to nothing; with a pair, only if it is of that pair."""
        if pair is None or self.pending is pair:
            self.pending = None

    # -- controlled --------------------------------------------------------------------------------

    def on_use_candidate(self, now: float, pair: Pair) -> None:
        """The controlling side chose this pair (RFC 8445 7.3.1.5).

        Its last word counts.  One that nominates aggressively (RFC 5245 8.1.1.2) says it of every pair from the
        first check on; then the better pair counts, unless it is quiet.
        """
        if pair.requests_received == 1:
            # Who nominates regularly has had an answer on this pair before.
            self.remote_is_aggressive = True
        pair.wanted = True
        if pair.is_valid:
            self._accept(now, pair)

    def _accept(self, now: float, pair: Pair) -> None:
        pair.wanted = False
        current = self.nominated
        if current is pair:
            return
        if current is not None and self.remote_is_aggressive:
            keeps = current.is_valid and now - current.heard_at < 1.0
            if keeps and pair.preference < current.preference:
                return
        self._set_nominated(now, pair)

    # -- both --------------------------------------------------------------------------------------

    def on_success(self, now: float, check: Check) -> None:
        """A check was answered: it may have been the one that nominates, or the one that was waited for."""
        pair = check.pair
        if self._context.controlling:
            if self.pending is pair and check.nominate:
                self.pending = None
                self._set_nominated(now, pair)
        elif pair.wanted:
            self._accept(now, pair)

    def _set_nominated(self, now: float, pair: Pair) -> None:
        """Exactly one pair is nominated; checks that could only find something no better are left alone."""
        checklist = self._checklist
        previous, self.nominated = self.nominated, pair
        pair.nominated = True
        if previous is not None and previous is not pair:
            previous.nominated = False
            if self._is_quiet(now, previous):
                checklist.fail(now, previous, self._settings)
        for other in list(checklist.in_progress):
            if other is not pair and other.rank >= pair.rank:
                checklist.settle(other, PairStatus.SUCCEEDED if other.is_valid else PairStatus.WAITING)

    def select(self, now: float) -> bool:
        """Choose the pair that carries data; True when it is another than before (RFC 8445 12.1).

        It is the nominated one, before that the best valid one.
        """
        current = self.selected
        chosen = self.nominated
        if chosen is None or not chosen.is_valid:
            chosen = self._checklist.best_valid()
        if chosen is not None and self._is_quiet(now, chosen):
            chosen = self._best_heard(now) or current or chosen
        if chosen is None or chosen is current:
            return False
        if current is not None:
            current.is_silent = False
        self.selected = chosen
        return True

    def _best_heard(self, now: float) -> Pair | None:
        heard = [p for p in self._checklist.pairs.values() if p.is_valid and not self._is_quiet(now, p)]
        return max(heard, key=lambda p: p.preference, default=None)

    def _is_quiet(self, now: float, pair: Pair) -> bool:
        return self._consent.is_quiet(now, pair)
