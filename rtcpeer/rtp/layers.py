"""Layer selection: which simulcast layer of a source an output gets, and how many temporal layers of it.

Pure: `now` is an argument, bitrates were measured by the streams.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtcpeer.rtp.forwarding import SourceStream
from rtcpeer.rtp.temporal import ALL

# A stream that gives nothing for so many seconds gives way to another one.
SILENCE = 0.5
# An estimate has to be so much above a layer's bitrate to move up to it, and may be so much below to stay.
UP = 1.15
STAY = 0.9
# Without an estimate, a layer of so much more bitrate is a better one.
BETTER = 1.2
# After a move down the estimate has to bear more for so many seconds before the next one up; twice as many each time
# that what was moved up to did not last.
HOLD, HOLD_MAX = 2.0, 16.0
LASTED = 10.0


class Damping:
    """When an output may move up again: each change costs a key frame, which itself is what the path may not bear."""

    __slots__ = ("_borne_since", "_fallen_at", "_hold", "_raised_at")

    def __init__(self) -> None:
        # 0.0 as long as it has never moved down
        self._hold = 0.0
        self._raised_at: float | None = None
        self._fallen_at: float | None = None
        self._borne_since: float | None = None

    def may_rise(self, now: float) -> bool:
        """Whether it may move up: the estimate bears more now."""
        if self._borne_since is None:
            self._borne_since = now
        if now - self._borne_since < self._hold:
            return False
        self._raised_at, self._borne_since = now, None
        return True

    def stay(self) -> None:
        """The estimate bears no more than what it gets."""
        self._borne_since = None

    def fall(self, now: float) -> None:
        """The output moves to a smaller layer."""
        if self._raised_at is not None and now - self._raised_at < LASTED:
            self._hold = min(HOLD_MAX, max(HOLD, 2 * self._hold))
        elif self._fallen_at is None or now - self._fallen_at >= LASTED:
            self._hold = HOLD
        # else it falls further, as the path bears even less: one failure, not two
        self._raised_at = self._borne_since = None
        self._fallen_at = now


def choose(
    streams: Iterable[SourceStream],
    *,
    wanted: str | None,
    estimate: int | None,
    current: SourceStream | None,
    now: float,
) -> SourceStream | None:
    """The stream that an output should get now.

    Args:
        streams: of the source.
        wanted: the rid that was asked for; another one is given as long as that is silent. None: the best one.
        estimate: what the way to the subscriber bears, in bit/s; None while unknown.
        current: what it gets.
        now: the time of day.

    Returns:
        None if there is none at all.
    """
    known = list(streams)
    alive = [stream for stream in known if now - stream.last_at < SILENCE]
    if not alive:
        return current if current in known else max(known, key=lambda s: s.last_at, default=None)
    if wanted is not None:
        for stream in alive:
            if stream.rid == wanted:
                return stream
    if all(stream.rid is None for stream in alive):
        # a new SSRC of the same picture, not layers: the one that began last, but no hopping to and fro
        return current if current in alive else max(alive, key=lambda s: s.last_at)
    ranked = sorted(alive, key=lambda s: s.rate.current(now))
    if estimate is None:
        best = ranked[-1]
        if current in alive and current.rate.current(now) * BETTER >= best.rate.current(now):
            return current
        return best
    chosen = ranked[0]
    for stream in ranked[1:]:
        bits = 8 * stream.rate.current(now)
        if estimate >= bits * (STAY if stream is current else UP):
            chosen = stream
    return chosen


def choose_temporal(bitrates: list[tuple[int, float]], *, estimate: int, held: int) -> int:
    """The highest temporal layer that an output should get now.

    Args:
        bitrates: of the stream: each temporal layer with the bit/s of it and all below, the lowest first.
        estimate: what the way to the subscriber bears, in bit/s.
        held: the highest one that it gets.

    Returns:
        `ALL` for all of them; `held` while nothing is known.
    """
    if not bitrates:
        return held
    chosen = bitrates[0][0]
    for temporal, bits in bitrates:
        if estimate >= bits * (STAY if temporal <= held else UP):
            chosen = temporal
    return ALL if chosen == bitrates[-1][0] else chosen


def wanted_bitrate(streams: Iterable[SourceStream], *, wanted: str | None, now: float) -> int:
    """The estimate that an output needs to get all that it is to get, in bit/s; 0 if there is nothing.

    Args:
        streams: of the source.
        wanted: the rid that was asked for; None for the best one.
        now: the time of day.
    """
    alive = [stream for stream in streams if now - stream.last_at < SILENCE]
    asked = [stream for stream in alive if stream.rid == wanted] if wanted is not None else []
    return int(UP * 8 * max([stream.rate.current(now) for stream in asked or alive], default=0.0))
