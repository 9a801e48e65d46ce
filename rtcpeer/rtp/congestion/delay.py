"""Whether the queue of a path grows: the trend of one-way delay over groups of packets.

Follows draft-ietf-rmcat-gcc-02 sections 5.2 to 5.4, with a least-squares line ("trendline") in place of the Kalman
filter. Pure: times are arguments.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from operator import mul

# Packets that left within this time are one group; a burst of less than this on arrival is, too.
GROUP = 0.005
BURST_MAX = 0.1
# Groups that the line is laid through.
WINDOW = 20
_SMOOTHING = 0.9
_GAIN = 4.0
_COUNT_MAX = 60
# The threshold in ms, how it follows the trend (per ms), and its bounds.
_THRESHOLD = 12.5
_UP, _DOWN = 0.0087, 0.039
_THRESHOLD_MIN, _THRESHOLD_MAX = 6.0, 600.0
_STEP_MAX = 15.0
# A queue grows only if that is seen for so long, in seconds.
_OVERUSE_TIME = 0.01
# Arrival that is so much later than sending, in seconds, is a pause or another path: begin anew.
_PAUSE = 3.0


class Usage(Enum):
    """The use of a path, as the trend of its queue shows it: normal, over or under."""

    NORMAL = 0
    OVER = 1
    UNDER = 2


class DelayTrend:
    """Takes when packets were sent and arrived, each by its own clock.

    Attributes:
        usage: what the queue does now.
        delay: how much later than the fastest of late the last group came, in seconds: the queue.
        shortest: the least `delay` since `take_shortest`; infinite without any.
    """

    __slots__ = (
        "_accumulated",
        "_arrived",
        "_count",
        "_fastest",
        "_first_sent",
        "_grew_since",
        "_last",
        "_line",
        "_origin",
        "_previous",
        "_slope",
        "_smoothed",
        "_threshold",
        "_updated",
        "delay",
        "shortest",
        "usage",
    )

    def __init__(self) -> None:
        self._threshold = _THRESHOLD
        self._reset()

    def _reset(self) -> None:
        self.usage: Usage = Usage.NORMAL
        self.delay: float = 0.0
        self.shortest: float = float("inf")
        # the group that comes: when its first packet left, when its last one left and arrived
        self._first_sent: float | None = None
        self._last = 0.0
        self._arrived = 0.0
        # the one before: when its last packet left and arrived
        self._previous: tuple[float, float] | None = None
        self._accumulated = self._smoothed = 0.0
        self._line: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._origin = 0.0
        self._count = 0
        self._slope = 0.0
        self._grew_since: float | None = None
        self._updated = 0.0
        # least one-way delay (with an unknown offset) of the last and the present 5 s
        self._fastest = (float("inf"), float("inf"), 0.0)

    def add(self, sent: float, arrived: float) -> bool:
        """A packet; gives whether a group is complete with it, so that `usage` was looked at again."""
        first = self._first_sent
        if first is None:
            self._first_sent, self._last, self._arrived = sent, sent, arrived
            return False
        if sent < first:
            # out of order
            return False
        is_burst = (
            arrived - self._arrived <= GROUP
            and (arrived - self._arrived) - (sent - self._last) < 0
            and sent - first < BURST_MAX
        )
        if sent - first <= GROUP or is_burst:
            self._last = max(self._last, sent)
            self._arrived = max(self._arrived, arrived)
            return False
        last, at = self._last, self._arrived
        previous, self._previous = self._previous, (last, at)
        self._first_sent, self._last, self._arrived = sent, sent, arrived
        if previous is None:
            return False
        step, gap = last - previous[0], at - previous[1]
        if abs(gap - step) > _PAUSE or gap < -BURST_MAX:
            self._reset()
            return False
        self._group(step, gap, at, at - last)
        return True

    def _group(self, step: float, gap: float, at: float, one_way: float) -> None:
        self._note_delay(one_way, at)
        self._count += 1
        if not self._line:
            self._origin = at
        self._accumulated += 1000 * (gap - step)
        self._smoothed = _SMOOTHING * self._smoothed + (1 - _SMOOTHING) * self._accumulated
        self._line.append((1000 * (at - self._origin), self._smoothed))
        slope = _slope(self._line) if len(self._line) == WINDOW else self._slope
        trend = min(self._count, _COUNT_MAX) * slope * _GAIN
        if trend > self._threshold:
            if self._grew_since is None:
                self._grew_since = at - gap / 2
            elif at - self._grew_since > _OVERUSE_TIME and slope >= self._slope:
                self.usage = Usage.OVER
        else:
            self._grew_since = None
            self.usage = Usage.UNDER if trend < -self._threshold else Usage.NORMAL
        self._slope = slope
        self._adapt(abs(trend), at)

    def _note_delay(self, one_way: float, at: float) -> None:
        before, fastest, since = self._fastest
        if at - since > 5.0:
            before, fastest, since = fastest, one_way, at
        fastest = min(fastest, one_way)
        self._fastest = (before, fastest, since)
        self.delay = one_way - min(before, fastest)
        self.shortest = min(self.shortest, self.delay)

    def take_shortest(self) -> float:
        """The shortest queue since the last time; that of the last group if there was none since.

        Packets of one picture queue behind each other where they come faster than the path is: the last one waits, and
        the queue is gone before the next picture. What stays is what even the first one finds.
        """
        found, self.shortest = self.shortest, float("inf")
        return self.delay if found == float("inf") else found

    def _adapt(self, trend: float, at: float) -> None:
        elapsed = min(1000 * (at - self._updated), 100.0) if self._updated else 0.0
        self._updated = at
        if trend > self._threshold + _STEP_MAX:
            # a sudden jump is no measure (section 5.4)
            return
        rate = _DOWN if trend < self._threshold else _UP
        moved = self._threshold + rate * (trend - self._threshold) * elapsed
        self._threshold = min(_THRESHOLD_MAX, max(_THRESHOLD_MIN, moved))


def _slope(points: deque[tuple[float, float]]) -> float:
    count = len(points)
    # times from the first one on: differences of large sums would lose what they differ in
    first = points[0][0]
    times = [x - first for x, _y in points]
    delays = [y for _x, y in points]
    total = sum(times)
    over = sum(map(mul, times, delays)) - total * sum(delays) / count
    under = sum(map(mul, times, times)) - total * total / count
    return over / under if under > 0.0 else 0.0
