"""Estimate of a path by its receiver, for senders that only know REMB (draft-alvestrand-rmcat-remb-03).

From the times of sending that packets tell (abs-send-time) and when they arrive. Pure: `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.rtp.congestion.delay import Usage
from rtcpeer.rtp.congestion.rate import RateEstimate

# Looked at so often, in seconds, or at once when a queue grows.
UPDATE = 0.2
# Told so often, in seconds, or at once when it fell below this part of what was told.
TELL, FALL = 1.0, 0.97
# The round trip is not known here.
_ROUND_TRIP = 0.1
SSRCS_MAX = 16
# abs-send-time: 24 bits, of which 6 are whole seconds.
_UNIT = 1 / (1 << 18)
_HALF = 1 << 23


class RemoteBitrateEstimator:
    """An estimate of one path."""

    __slots__ = ("_estimate", "_last", "_line", "_size", "_ssrcs", "_told", "_told_at", "_updated_at")

    def __init__(self) -> None:
        self._estimate = RateEstimate()
        # the last time of sending: as it came, and on an endless line
        self._last = -1
        self._line = 0
        # bytes since the last group
        self._size = 0
        self._ssrcs: dict[int, None] = {}
        self._told = 0.0
        self._told_at = 0.0
        self._updated_at = 0.0

    def add(self, send_time: int, size: int, ssrc: int, now: float) -> tuple[int, list[int]] | None:
        """A packet arrived.

        Args:
            send_time: its abs-send-time.
            size: in bytes.
            ssrc: of its stream.
            now: the time, in seconds.

        Returns:
            What to tell the sender, in bit/s, and about which streams; None if there is nothing new to say.
        """
        if self._last < 0:
            self._last = self._line = send_time
        self._line += (send_time - self._last + _HALF & 0xFFFFFF) - _HALF
        self._last = send_time
        self._size += size
        estimate = self._estimate
        if not estimate.trend.add(self._line * _UNIT, now):
            return None
        estimate.throughput.add(self._size, now)
        self._size = 0
        self._ssrcs.pop(ssrc, None)
        self._ssrcs[ssrc] = None
        if now - self._updated_at < UPDATE and estimate.trend.usage is not Usage.OVER:
            return None
        self._updated_at = now
        estimate.update(now, _ROUND_TRIP)
        value = estimate.value
        if value is None or (now - self._told_at < TELL and value > FALL * self._told):
            return None
        self._told, self._told_at = value, now
        while len(self._ssrcs) > SSRCS_MAX:
            del self._ssrcs[next(iter(self._ssrcs))]
        return int(value), list(self._ssrcs)
