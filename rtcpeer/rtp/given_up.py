"""Numbers that a buffer has given up: tells a packet that comes too late from one that comes a second time.

webrtc-stats "packetsDiscarded" counts the first kind and leaves out the second one (RFC 7002, section 3.2).
"""

from __future__ import annotations

from collections.abc import Container

# So many are remembered, the newest ones: what is older than a thousand packets no longer comes.
_REMEMBERED_MAX = 1024


class GivenUp:
    """The numbers of one stream that are not waited for any more."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        # in the order in which they were given up; a dict for that order
        self._numbers: dict[int, None] = {}

    def add(self, numbers: range, here: Container[int] = ()) -> None:
        """Give up these numbers, but for those that are here."""
        self._numbers.update((n, None) for n in numbers[-_REMEMBERED_MAX:] if n not in here)
        while len(self._numbers) > _REMEMBERED_MAX:
            del self._numbers[next(iter(self._numbers))]

    def take(self, number: int) -> bool:
        """Whether this number was given up; only the first time, as the next packet with it comes twice."""
        if number not in self._numbers:
            return False
        del self._numbers[number]
        return True
