"""Consent of the selected pair (RFC 7675): how alive the pair is, and when it is asked again.

Owns: the times of consent requests.  Never: I/O, clock; `now` is an argument.

Two clocks run on a pair.  *Consent*: the last valid response to a request of ours; 30 s without one and
no data may be sent any more.  *Silence*: the last authenticated packet of any kind.  Both decide what the user
is told: a path that brings data but no answers is in trouble too.

Fresh requests go out every 4 to 6 s, counted from the fresh request before (RFC 7675 5.1).  One that is not
answered is followed by others every `consent_retry`: where outages and short breaks alternate, single requests
could all meet an outage.  Each is a request of its own, none is a retransmission, as section 5.1 has it.  When
nothing has been heard for `probe_after` they come faster too, so an idle path is never called silent and a
returning one is noticed at once.

On an idle path both leave at multiples of `consent_grid` on the loop's clock, so that the process wakes up once
for the requests of many connections: to wake up costs several times what a request does.  Each interval is still
drawn by itself, between the bounds of section 5.1.

After the expiry data stops and requests go on, ever more slowly (`revive_at`).  Deviation from RFC 7675 5.1, "the
same ICE credentials MUST NOT be used on the affected 5-tuple again": whoever answers a fresh request with the
right password consents again, and the alternative is a call that stays dead when the network is back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

from rtcpeer.ice.pair import Pair
from rtcpeer.ice.settings import IceSettings
from rtcpeer.values import NEVER


class Liveness(IntEnum):
    """How alive a pair is."""

    LIVE = 0
    SILENT = 1
    EXPIRED = 2


class Consent:
    """The request schedule of one selected pair."""

    __slots__ = ("_fresh_due", "_grid", "_jitter", "_last_request_at", "_probe_after", "_settings")

    def __init__(self, settings: IceSettings, jitter: Callable[[], float]) -> None:
        self._probe_after = settings.probe_after
        self._settings = settings
        self._jitter = jitter
        low, high = settings.consent_interval
        # Enough places on the grid must be left to choose from.
        self._grid = settings.consent_grid if 4 * settings.consent_grid <= high - low else 0.0
        # When the last request of any kind left, and when the next one that is no retry is due.
        self._last_request_at = 0.0
        self._fresh_due = 0.0

    def start(self, now: float, controlling: bool) -> None:
        """A pair was selected now, just after a successful check."""
        settings = self._settings
        self._probe_after = settings.probe_after + (0.0 if controlling else settings.probe_interval)
        self._last_request_at = now
        self._spread(now)

    def _spread(self, now: float) -> None:
        low, high = self._settings.consent_interval
        self._fresh_due = self._on_grid(now + low + (high - self._grid - low) * self._jitter())

    def _on_grid(self, at: float) -> float:
        """The first place on the grid that is not before."""
        grid = self._grid
        return math.ceil(at / grid) * grid if grid else at

    def level(self, now: float, pair: Pair) -> Liveness:
        """How alive the pair is."""
        settings = self._settings
        silence = now - pair.heard_at
        unanswered = now - pair.consented_at
        if silence >= settings.disconnected_after + settings.failed_after:
            return Liveness.EXPIRED
        if unanswered >= settings.consent_expiry:
            return Liveness.EXPIRED
        if silence >= settings.disconnected_after or now >= self._doubt_at(pair):
            return Liveness.SILENT
        return Liveness.LIVE

    def _doubt_at(self, pair: Pair) -> float:
        """When requests will have been unanswered for `disconnected_after`, those of a silence that is over aside.

        What ends a silence is often a request of the other end, and the answer to ours comes a moment later.
        """
        settings = self._settings
        return (
            max(pair.consented_at + settings.consent_interval[1], pair.woke_at) + settings.disconnected_after
        )

    def is_quiet(self, now: float, pair: Pair) -> bool:
        """Whether the pair has left so many probes unanswered that another should take its place."""
        return now - pair.heard_at >= self._settings.failover_after

    def wants_backup(self, now: float, pair: Pair) -> bool:
        """Whether it is time to see which other pairs would answer."""
        settings = self._settings
        return now - pair.heard_at >= settings.failover_after - 2 * settings.probe_interval

    def request_at(self, pair: Pair) -> float:
        """When the next request is due."""
        settings = self._settings
        last = self._last_request_at
        if pair.sent_at > pair.heard_at:
            # whoever waits for an answer wants to know soon whether there can be one
            probe_at = pair.heard_at + min(self._probe_after, settings.wake_after)
        else:
            probe_at = self._on_grid(pair.heard_at + self._probe_after)
        due = self._fresh_due
        if pair.consented_at < last:
            due = min(due, last + settings.consent_retry)
        return min(due, max(probe_at, last + settings.probe_interval))

    def requested(self, now: float, pair: Pair) -> None:
        """A request left now."""
        is_fresh = pair.consented_at >= self._last_request_at or now >= self._fresh_due
        self._last_request_at = now
        if is_fresh:
            self._spread(now)

    def revive_at(self, failed_at: float) -> float:
        """When the next request is due after expiry; infinity when it is time to leave it to the other side."""
        settings = self._settings
        last = max(self._last_request_at, failed_at)
        if last - failed_at > settings.revive_for:
            return NEVER
        pause = (last - failed_at) / 10
        return last + min(max(pause, settings.consent_retry), settings.consent_interval[0])

    def next_time(self, now: float, pair: Pair) -> float:
        """When to look again; earlier once the first data since it was heard is sent (`request_at`)."""
        settings = self._settings
        silence_at = pair.heard_at + settings.disconnected_after
        doubt_at = self._doubt_at(pair)
        expiry = min(
            pair.consented_at + settings.consent_expiry,
            pair.heard_at + settings.disconnected_after + settings.failed_after,
        )
        # of the two, the first makes it silent, and the second changes nothing any more
        change = min(silence_at, doubt_at)
        return min(self.request_at(pair), change if change > now else expiry, expiry)
