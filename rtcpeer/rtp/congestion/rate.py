"""Estimate of what a path bears, in bit/s: up while its queue does not grow and nothing is lost, else down.

Follows draft-ietf-rmcat-gcc-02 sections 5.5 and 6, but doubles each second until the first queue is seen. What is sent
bounds what can be known; beyond that there are probes (see `probing`). Pure: times are arguments.
"""

from __future__ import annotations

from collections import deque

from rtcpeer.rtp.congestion.delay import DelayTrend, Usage
from rtcpeer.rtp.congestion.probing import ProbeResult

START = 500_000.0
RATE_MIN, RATE_MAX = 30_000.0, 200_000_000.0
# After a queue was seen: this part of what arrived.
DECREASE = 0.85
# Growth per second: until the first queue, after one, and when none was seen for a while.
GROWTH_START, GROWTH, GROWTH_FAST = 2.0, 1.08, 1.3
FAST_AFTER = 2.5
# What arrives while a queue grows is what the path bears now, if it is beyond these parts of what it bore.
CAPACITY_LOW, CAPACITY_HIGH = 0.85, 1.15
# Near what a path bore, no more than this part per second. The step grows by itself for each second without a queue:
# as much for all flows of a path, which makes them equal, and little enough to be seen before it is too much, as a
# queue is seen about a second late.
STEP_MAX, ACCELERATION = 0.15, 1.0
# The longer the queue, in seconds, the slower the growth; when it is longer than this, none until it has drained.
QUEUE_MAX = 0.04
# One that grows is longer than this even for the first packet of a picture.
OVER_MIN = 0.01
# One that stays this long for such a time has to go, even if it does not grow: a full buffer cannot.
STANDING, STANDING_TIME = 0.05, 0.3
# More than what is sent cannot be known: so much of it, and more where nothing spoke against it for a while.
LIMIT, LIMIT_QUIET, QUIET = 1.5, 4.0, 5.0
# Who sends less than this part of an estimate learns nothing by that, and what the path bore counts for so long.
LIMITED, REMEMBERED = 0.65, 20.0
# What arrives is measured over this time, in seconds.
MEASURED = 0.5
# Loss below the first is nothing, above the second is congestion (section 6).
LOSS_LOW, LOSS_HIGH = 0.02, 0.1
LOSS_PACKETS, LOSS_TIME = 20, 0.2


class Throughput:
    """Bytes that arrived of late."""

    __slots__ = ("_bytes", "_steps")

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def add(self, size: int, arrived: float) -> None:
        """Count bytes that arrived at a time of the other end's clock."""
        steps = self._steps
        if steps and not -1.0 < arrived - steps[-1][0] < 2.0:
            steps.clear()
            self._bytes = 0
        steps.append((arrived, size))
        self._bytes += size
        while arrived - steps[0][0] > MEASURED:
            self._bytes -= steps.popleft()[1]

    def rate(self) -> float | None:
        """The throughput in bit/s; None while there is too little to tell."""
        steps = self._steps
        span = steps[-1][0] - steps[0][0] if steps else 0.0
        if span < MEASURED / 2:
            return None
        # what came first ended before the time that is measured
        return 8 * (self._bytes - steps[0][1]) / span


class RateEstimate:
    """An estimate from delay and loss.

    Attributes:
        value: in bit/s; None while there is too little to tell.
        throughput: what arrives.
        trend: of the delay.
    """

    __slots__ = (
        "_at",
        "_capacity",
        "_capacity_at",
        "_decreased_at",
        "_has_queued",
        "_is_over",
        "_long_at",
        "_loss_at",
        "_loss_limit",
        "_lost",
        "_low_at",
        "_shadow_until",
        "_told",
        "throughput",
        "trend",
        "value",
    )

    def __init__(self) -> None:
        self.value: float | None = None
        self.throughput: Throughput = Throughput()
        self.trend: DelayTrend = DelayTrend()
        self._has_queued = False
        # as of the last update
        self._is_over: bool = False
        # of a probe
        self._shadow_until: float = 0.0
        self._at = 0.0
        self._decreased_at = 0.0
        # when the queue was short
        self._low_at = 0.0
        # when the queue was half of what ends the growth
        self._long_at = 0.0
        # what arrived when a queue was seen: near this, growth is slow
        self._capacity: float | None = None
        self._capacity_at: float = 0.0
        self._loss_limit: float | None = None
        self._lost = self._told = 0
        self._loss_at = 0.0

    def update(self, now: float, round_trip: float) -> None:
        """Look again at what was added.

        Args:
            now: of our clock, in seconds.
            round_trip: in seconds.
        """
        measured = self.throughput.rate()
        if measured is None:
            return
        if self.value is None:
            self.value, self._at = max(START, measured), now
            self._decreased_at = self._low_at = now
            return
        elapsed, self._at = min(1.0, max(0.0, now - self._at)), now
        queue = self.trend.take_shortest()
        if queue < STANDING:
            self._low_at = now
        if queue > QUEUE_MAX / 2:
            self._long_at = now
        # packets of one picture that queue behind each other look like a queue that grows, for a moment
        self._is_over = self.trend.usage is Usage.OVER and queue > OVER_MIN
        if now < self._shadow_until:
            self._is_over, self._low_at = False, now
        elif self._is_over or now - self._low_at > STANDING_TIME:
            self._decrease(measured, now, round_trip)
        elif self.trend.usage is not Usage.UNDER and queue < QUEUE_MAX:
            self._increase(measured, now, elapsed * (1 - queue / QUEUE_MAX), round_trip)
        self.value = min(RATE_MAX, max(RATE_MIN, self.value))
        if self._loss_limit is not None:
            self.value = max(RATE_MIN, min(self.value, self._loss_limit))

    def _decrease(self, measured: float, now: float, round_trip: float) -> None:
        assert self.value is not None
        if self._has_queued and now - self._decreased_at < max(0.1, round_trip):
            # what was done has not been seen yet
            return
        self._has_queued = True
        self._decreased_at = self._low_at = now
        self._capacity_at = now
        capacity = self._capacity
        # what is far off is no noise: the path is another one now
        if capacity is None or not CAPACITY_LOW * capacity < measured < CAPACITY_HIGH * capacity:
            self._capacity = measured
        else:
            self._capacity = 0.7 * capacity + 0.3 * measured
        self.value = min(self.value, DECREASE * measured)

    def _increase(self, measured: float, now: float, elapsed: float, round_trip: float) -> None:
        assert self.value is not None
        value, quiet = self.value, now - self._decreased_at
        limit = (LIMIT_QUIET if quiet > QUIET else LIMIT) * measured + 10_000
        if value >= limit:
            return
        capacity = self._capacity
        if capacity is not None and measured > CAPACITY_HIGH * capacity:
            capacity = self._capacity = None
        if capacity is not None and now - self._capacity_at < REMEMBERED and measured < LIMITED * value:
            # less is sent than the path bears: nothing would tell that it is too much, but a probe
            limit = min(limit, 1.1 * capacity)
            if value >= limit:
                return
        if not self._has_queued:
            value *= GROWTH_START**elapsed
        elif capacity is not None and value > 0.8 * capacity and quiet < QUIET:
            # half a packet per response time (section 5.5), and more the longer no queue was seen, or fast paths would
            # be shared after minutes only
            step = max(4000.0, 4800 / (0.1 + round_trip))
            since = now - max(self._decreased_at, self._long_at)
            value += min(step * (1 + ACCELERATION * since), STEP_MAX * value) * elapsed
        elif quiet > FAST_AFTER:
            value *= GROWTH_FAST**elapsed
        else:
            value *= GROWTH**elapsed
        self.value = min(value, max(limit, self.value))

    def begin_anew(self) -> None:
        """Nothing was heard of the path for long: it may be another one, and is found out as at the beginning."""
        if self.value is not None:
            self.value = min(self.value, START)
        self._has_queued, self._capacity, self._loss_limit = False, None, None
        self._lost = self._told = 0

    def expect_probe(self, until: float) -> None:
        """A probe is sent: the queue that it may make until then says nothing of what is sent beside it."""
        self._shadow_until = until

    def take_probe(self, found: ProbeResult, now: float) -> bool:
        """A probe has shown what the path bears; gives whether the estimate rises by that.

        It never falls: a receiver that was busy for a moment looks like a path that is full.
        """
        value = self.value
        if value is None or found.rate <= value or self._is_over:
            return False
        # nothing of it was lost to speak of
        self._loss_limit = None
        self.value = min(RATE_MAX, found.rate)
        if found.is_full:
            self._capacity, self._has_queued, self._capacity_at = found.rate, True, now
        elif self._capacity is not None and found.rate > CAPACITY_HIGH * self._capacity:
            self._capacity = None
        return True

    def note_loss(self, lost: int, told: int, now: float) -> None:
        """Note how many of how many packets were lost."""
        self._lost += lost
        self._told += told
        if self._told < LOSS_PACKETS or now - self._loss_at < LOSS_TIME or self.value is None:
            return
        part = self._lost / self._told
        self._lost = self._told = 0
        self._loss_at = now
        if part > LOSS_HIGH:
            # a sender that cannot adapt loses at random: what arrives all the same is borne by the path
            floor = min(self.value, DECREASE * (self.throughput.rate() or 0.0))
            self._loss_limit = max(floor, self.value * (1 - 0.5 * part))
            self._has_queued = True
            self._decreased_at = now
        elif part > LOSS_LOW:
            # neither up nor down
            self._loss_limit = min(self.value, self._loss_limit or self.value)
        elif self._loss_limit is not None:
            self._loss_limit *= 1.08
            if self._loss_limit > 2 * self.value:
                self._loss_limit = None
