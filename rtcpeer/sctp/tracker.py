"""Receive tracker: which transmission sequence numbers have arrived, as ranges (RFC 9260 section 6.2).

Pure. TSNs are plain integers (see `packets.unwrap`). What is kept and what is said of it is bounded: an end that
leaves holes on purpose costs no more than one that does not.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

__all__ = ["AHEAD_MAX", "DUPLICATES_MAX", "GAPS_MAX", "HOLES_MAX", "ReceiveTracker"]

# What one SACK names at most: with its header 176 bytes
GAPS_MAX: Final = 20
DUPLICATES_MAX: Final = 20
# Holes between what has arrived; a chunk that would make one more is refused and comes again
HOLES_MAX: Final = 1024
# Gap blocks are 16-bit offsets (section 3.3.4): what lies further ahead could not be acknowledged
AHEAD_MAX: Final = 65535


class ReceiveTracker:
    """The TSNs that have arrived.

    Args:
        cumulative: all up to this one count as arrived.

    Attributes:
        cumulative: all up to here have arrived.
        starts: where the ranges behind the first hole begin, in order; for reading.
        duplicates: those that came twice since the last SACK, at most `DUPLICATES_MAX`.
    """

    __slots__ = ("_ends", "cumulative", "duplicates", "starts")

    def __init__(self, cumulative: int) -> None:
        self.cumulative = cumulative
        self.duplicates: list[int] = []
        # the ranges are never adjacent
        self.starts: list[int] = []
        self._ends: list[int] = []

    @property
    def has_holes(self) -> bool:
        """Whether something is missing before what has arrived."""
        return bool(self.starts)

    def add(self, tsn: int) -> bool:
        """Note an arrival; False if it came before, or is refused."""
        starts = self.starts
        if tsn == self.cumulative + 1:
            if starts and starts[0] == tsn + 1:
                del starts[0]
                tsn = self._ends.pop(0)
            self.cumulative = tsn
            return True
        if tsn <= self.cumulative:
            return self._note_duplicate(tsn)
        ends = self._ends
        index = bisect_right(starts, tsn)
        if index and tsn <= ends[index - 1]:
            return self._note_duplicate(tsn)
        if tsn - self.cumulative > AHEAD_MAX:
            return False
        follows = index > 0 and ends[index - 1] == tsn - 1
        precedes = index < len(starts) and starts[index] == tsn + 1
        if follows and precedes:
            ends[index - 1] = ends.pop(index)
            del starts[index]
        elif follows:
            ends[index - 1] = tsn
        elif precedes:
            starts[index] = tsn
        elif len(starts) >= HOLES_MAX:
            return False
        else:
            starts.insert(index, tsn)
            ends.insert(index, tsn)
        return True

    def skip_to(self, tsn: int) -> None:
        """The other end has given up all up to here (RFC 3758 section 3.6)."""
        if tsn <= self.cumulative:
            return
        index = bisect_right(self.starts, tsn + 1)
        if index:
            tsn = max(tsn, self._ends[index - 1])
            del self.starts[:index], self._ends[:index]
        self.cumulative = tsn

    def gaps(self) -> list[tuple[int, int]]:
        """The first `GAPS_MAX` gap blocks of a SACK: offsets from `cumulative`."""
        cumulative = self.cumulative
        pairs = zip(self.starts[:GAPS_MAX], self._ends[:GAPS_MAX], strict=True)
        return [(start - cumulative, end - cumulative) for start, end in pairs]

    def _note_duplicate(self, tsn: int) -> bool:
        if len(self.duplicates) < DUPLICATES_MAX:
            self.duplicates.append(tsn)
        return False
