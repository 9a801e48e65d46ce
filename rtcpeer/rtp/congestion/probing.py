"""Probes: whether a path bears more than what is sent over it.

An estimate cannot grow beyond what a sender has to say. So while the sender could use more, a little padding is sent
now and then at a higher rate, for a moment, and how fast it arrives tells whether the path bears that rate. Follows
libwebrtc in its numbers (draft-ietf-rmcat-gcc-02 leaves probing open). Pure: times are arguments.
"""

from __future__ import annotations

from typing import NamedTuple

# A probe lasts so long, in seconds, in so many bursts.
DURATION, BURSTS = 0.025, 6
# Feedback about all of it comes within this, or not at all.
PATIENCE = 1.0
# So much of it has to arrive for it to say something.
ARRIVED_MIN, PACKETS_MIN = 0.8, 5
# Arrived slower than this part of the rate it was sent with: the path is full. Then so much of what arrived is safe.
UNSATURATED, SAFE = 0.9, 0.95
# Of an estimate, and of what is wanted: the rate of the next probe.
STEP, ENOUGH = 2.0, 1.1
RATE_MAX = 20_000_000
# Who sends more than this part of the estimate learns more by that.
LIMITED = 0.65
# Seconds between probes: after one that raised the estimate, and after others in vain, ever longer.
SOON, FIRST, LAST = 0.5, 5.0, 15.0


class ProbeResult(NamedTuple):
    """The result of a probe.

    Attributes:
        rate: what the path bears, in bit/s.
        is_full: whether it bears no more.
    """

    rate: float
    is_full: bool


class Probe:
    """A probe: the packets that are sent between its begin and its end.

    Args:
        rate: in bit/s.
        now: when it begins.
    """

    __slots__ = ("_arrivals", "begun_at", "ended_at", "rate", "sent_bytes")

    def __init__(self, rate: int, now: float) -> None:
        self.rate: int = rate
        self.begun_at: float = now
        # when its last packet was sent; None until then
        self.ended_at: float | None = None
        self.sent_bytes: int = 0
        # (sent, arrived, bytes)
        self._arrivals: list[tuple[float, float, int]] = []

    def covers(self, sent_at: float) -> bool:
        """Whether a packet belongs to it."""
        return sent_at >= self.begun_at and (self.ended_at is None or sent_at <= self.ended_at)

    def note(self, sent_at: float, arrived: float, size: int) -> None:
        """A packet of it arrived, by the other end's clock."""
        self._arrivals.append((sent_at, arrived, size))

    def is_over(self, now: float) -> bool:
        """Whether there is nothing to wait for any more."""
        if self.ended_at is None:
            return False
        arrived = sum([size for _sent, _arrived, size in self._arrivals])
        return arrived >= self.sent_bytes or now - self.ended_at > PATIENCE

    def result(self) -> ProbeResult | None:
        """The result; None if too little of it arrived."""
        arrivals = self._arrivals
        total = sum([size for _sent, _arrived, size in arrivals])
        if len(arrivals) < PACKETS_MIN or total < ARRIVED_MIN * self.sent_bytes:
            return None
        times = [sent for sent, _arrived, _size in arrivals]
        first, last = min(times), max(times)
        # what leaves at the end took no time; nor does what arrives at the beginning
        step = (last - first) / (2 * BURSTS)
        sent = sum([size for at, _arrived, size in arrivals if at < last - step])
        arrivals = sorted(arrivals, key=lambda each: each[1])
        begun, ended = arrivals[0][1], arrivals[-1][1]
        received = total - arrivals[0][2]
        if last <= first or not sent:
            return None
        send_rate = 8 * sent / (last - first)
        receive_rate = 8 * received / (ended - begun) if ended > begun else send_rate
        if receive_rate < UNSATURATED * send_rate:
            return ProbeResult(SAFE * receive_rate, is_full=True)
        return ProbeResult(min(send_rate, receive_rate), is_full=False)


class ProbeSchedule:
    """Says when to probe, and at which rate."""

    __slots__ = ("_interval", "_next_at")

    def __init__(self) -> None:
        self._interval = FIRST
        self._next_at: float | None = None

    def rate(self, now: float, estimate: int, measured: float, wanted: int) -> int | None:
        """The rate of a probe that is due now, in bit/s; None while none is.

        Args:
            estimate: what the path is known to bear, in bit/s.
            measured: what arrives.
            wanted: what could be sent if it bore it.
        """
        if self._next_at is None:
            # the beginning finds its rate by itself
            self._next_at = now + SOON
        if wanted <= estimate or measured > LIMITED * estimate or now < self._next_at:
            return None
        self._next_at = now + self._interval
        return int(min(STEP * estimate, ENOUGH * wanted, RATE_MAX))

    def note(self, now: float, raised: bool) -> None:
        """A probe is over; `raised` says whether the estimate rose by it."""
        self._interval = FIRST if raised else min(LAST, 2 * self._interval)
        self._next_at = now + (SOON if raised else self._interval)
