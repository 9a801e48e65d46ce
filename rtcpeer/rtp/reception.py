"""Reception record: which packets of a forwarded stream are missing, when to ask for them and when to give up.

Pure: `now` is an argument; numbers are extended ones.
"""

from __future__ import annotations

from rtcpeer.rtp.packet_requests import PacketRequests

# A missing packet is given up after this, in seconds: what is older would come too late.
LIFETIME = 1.0
# So many are remembered and asked for at most.
MISSING_MAX = 128
# A jump beyond this is a new beginning of the numbers, not a loss.
JUMP = 1000


class Reception:
    """The numbers that a stream lacks.

    Attributes:
        skipped: whether numbers were left out since this was last set to False.
    """

    __slots__ = ("_highest", "_missing", "_requests", "skipped")

    def __init__(self) -> None:
        self._highest: int | None = None
        # number -> when it was missed
        self._missing: dict[int, float] = {}
        self._requests = PacketRequests()
        self.skipped: bool = False

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
            self.skipped = True
            for lost in range(max(highest + 1, number - MISSING_MAX), number):
                self._missing[lost] = now
            while len(self._missing) > MISSING_MAX:
                del self._missing[next(iter(self._missing))]

    def wanted(self, now: float, round_trip: float | None = None) -> list[int]:
        """The numbers to ask for now, in order; empty as long as the last time is too recent."""
        return self._requests.take(sorted(self._missing), round_trip, now)

    def due(self, *, asks: bool) -> float | None:
        """When there is something to ask for again or to give up; None if nothing is missing.

        Args:
            asks: whether the missing are asked for at all.
        """
        if not self._missing:
            return None
        end = next(iter(self._missing.values())) + LIFETIME
        asking = self._requests.due if asks else None
        return end if asking is None else min(end, asking)

    def give_up(self, now: float) -> bool:
        """Forget what has been missing for too long; True if there was any."""
        old = [number for number, since in self._missing.items() if now - since > LIFETIME]
        for number in old:
            del self._missing[number]
        return bool(old)
