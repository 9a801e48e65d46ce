"""Scheduler of channels: they share in proportion to their priority, in bytes (RFC 8831 section 6.4).

Pure. Stride scheduling: each channel has a position that advances by what it has sent, divided by its weight; the one
that is furthest behind is next. A channel that had nothing to send begins where the others are: it has no claim on the
time in which it was silent.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

__all__ = ["Schedule"]


class Weighted(Protocol):
    """Protocol of members that take turns."""

    @property
    def weight(self) -> int:
        """The channel's share, in proportion to the others'."""


_T = TypeVar("_T", bound=Weighted)


class Schedule(Generic[_T]):
    """A queue of members that have something to send, in their order of turn."""

    __slots__ = ("_ahead", "_count", "_heap", "_now", "_positions")

    def __init__(self) -> None:
        # (position, order of arrival, who); one that is alone need not stand here
        self._heap: list[tuple[float, int, _T]] = []
        self._positions: dict[_T, float] = {}
        # where those are that had nothing more to send after their turn
        self._ahead: dict[_T, float] = {}
        self._now = 0.0
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._positions)

    def add(self, member: _T) -> None:
        """Add a member that has something to send; nothing changes if it is in."""
        positions = self._positions
        if member not in positions:
            position = max(self._now, self._ahead.pop(member, 0.0))
            if not positions:
                positions[member] = position
                return
            if len(positions) == 1:
                for other, where in tuple(positions.items()):
                    self._push(other, where)
            self._push(member, position)

    def remove(self, member: _T) -> None:
        """Remove a member that has nothing to send any more."""
        position = self._positions.pop(member, 0.0)
        if position > self._now:
            self._ahead[member] = position

    def forget(self, member: _T) -> None:
        """Forget a member that is gone for good."""
        self._positions.pop(member, None)
        self._ahead.pop(member, None)

    def clear(self) -> None:
        """Remove all members."""
        self._heap.clear()
        self._positions.clear()
        self._ahead.clear()

    @property
    def is_contended(self) -> bool:
        """Whether there is more than one."""
        return len(self._positions) > 1

    def first(self) -> _T | None:
        """The member whose turn it is."""
        heap, positions = self._heap, self._positions
        if len(positions) == 1:
            heap.clear()
            for member, position in positions.items():
                self._now = position
                return member
        while heap:
            position, _order, member = heap[0]
            if positions.get(member) == position:
                self._now = position
                return member
            heappop(heap)
        return None

    def charge(self, member: _T, size: int) -> None:
        """The first one has sent so many bytes."""
        positions = self._positions
        position = positions.get(member)
        if position is None:
            return
        position += size / member.weight
        if len(positions) == 1:
            positions[member] = position
        else:
            self._push(member, position)

    def _push(self, member: _T, position: float) -> None:
        self._positions[member] = position
        self._count += 1
        heappush(self._heap, (position, self._count, member))
