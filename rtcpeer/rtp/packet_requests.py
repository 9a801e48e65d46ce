"""Requests for missing packets of one stream: which to name in a NACK now, and when to look again.

A request, or what is sent in answer to it, may be lost as well: each packet is asked for again after about a round
trip, whether or not others come meanwhile, and a bounded number of times.
Pure: `now` is an argument, nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

# A packet is asked for so often, the first time included.
TRIES_MAX = 10
# Before it is asked for again, in seconds: while the round trip is unknown, and the bounds otherwise.
INTERVAL = 0.06
INTERVAL_MIN, INTERVAL_MAX = 0.03, 0.5
# What another end takes to answer, beside the round trip. A gap is not waited for for long, so each try counts.
_ANSWER = 0.01
# Two requests of one stream are so far apart at least: holes that come one by one are asked for together.
APART = 0.01
# A timer comes a little early.
_TIMER = 0.001


def interval(round_trip: float | None) -> float:
    """How long an answer may take before the request counts as lost, in seconds."""
    if round_trip is None:
        return INTERVAL
    return min(INTERVAL_MAX, max(INTERVAL_MIN, round_trip + _ANSWER))


class PacketRequests:
    """How often and when each missing packet of a stream was asked for.

    Attributes:
        due: when to look again; None when all has been asked for as often as it may be.
    """

    __slots__ = ("_asked", "_asked_at", "due")

    def __init__(self) -> None:
        # number -> how often it was asked for, and when it is due again
        self._asked: dict[int, tuple[int, float]] = {}
        self._asked_at = -inf
        self.due: float | None = None

    def take(self, missing: Iterable[int], round_trip: float | None, now: float) -> list[int]:
        """The numbers to ask for now, in the order given; what is not missing any more is forgotten."""
        asked, self._asked = self._asked, {}
        if now < self._asked_at + APART - _TIMER:
            # too early for another one: what was asked for is remembered, and the rest is due then
            self._asked = {number: asked[number] for number in missing if number in asked}
            self.due = self._asked_at + APART
            return []
        again = now + interval(round_trip)
        wanted: list[int] = []
        due = inf
        for number in missing:
            tries, at = asked.get(number, (0, -inf))
            if at <= now + _TIMER and tries < TRIES_MAX:
                tries, at = tries + 1, again
                wanted.append(number)
            self._asked[number] = tries, at
            if tries < TRIES_MAX:
                due = min(due, at)
        if wanted:
            self._asked_at = now
        self.due = None if due == inf else due
        return wanted
