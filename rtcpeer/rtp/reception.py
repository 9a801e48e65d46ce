"""Reception record: which packets of a forwarded stream are missing, when to ask for them and when to give up.

Pure: `now` is an argument; numbers are extended ones.
"""

from __future__ import annotations

# A missing packet is asked for again after this, in seconds.
INTERVAL = 0.06
# And given up after this: what is older would come too late.
LIFETIME = 1.0
# So many are remembered and asked for at most.
MISSING_MAX = 128
# A jump beyond this is a new beginning of the numbers, not a loss.
JUMP = 1000


class Reception:
    """The numbers that a stream lacks.

    Attributes:
        given_up: how many never came.
    """

    __slots__ = ("_asked_at", "_highest", "_missing", "given_up")

    def __init__(self) -> None:
        self._highest: int | None = None
        # number -> when it was missed
        self._missing: dict[int, float] = {}
        self._asked_at = 0.0
        self.given_up: int = 0

    @property
    def lacking(self) -> bool:
        """Whether any number is missing."""
        return bool(self._missing)

    def note(self, number: int, now: float) -> None:
        """A packet came, for the first time or not."""
        highest = self._highest
        if highest is None or not -JUMP < number - highest < JUMP:
            self._highest = number
            self._missing.clear()
            return
        if number <= highest:
            self._missing.pop(number, None)
            return
        self._highest = number
        if number > highest + 1:
            for lost in range(max(highest + 1, number - MISSING_MAX), number):
                self._missing[lost] = now
            while len(self._missing) > MISSING_MAX:
                del self._missing[next(iter(self._missing))]
                self.given_up += 1

    def wanted(self, now: float) -> list[int]:
        """The numbers to ask for now, in order; empty as long as the last time is too recent."""
        if not self._missing or now - self._asked_at < INTERVAL:
            return []
        self._asked_at = now
        return sorted(self._missing)

    def give_up(self, now: float) -> bool:
        """Forget what has been missing for too long; True if there was any."""
        old = [number for number, since in self._missing.items() if now - since > LIFETIME]
        for number in old:
            del self._missing[number]
        self.given_up += len(old)
        return bool(old)
