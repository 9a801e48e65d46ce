"""Time line of a received track: it goes on, whatever the RTP timestamps of the other end do.

A camera that restarts, a mixer that switches its source and a new SSRC all begin another line of timestamps, anywhere
(RFC 3550 section 5.1).  Readers and recorders need one line that rises with real time.

A leap is a timestamp that goes back by more than pictures are ever reordered, or forward so far that the packet would
have come before it was sent.  A packet that is late is no leap: what was waiting comes in a heap behind it.

Pure: arrival times are arguments.
"""

from __future__ import annotations

# Pictures with B frames are sent out of order, by some pictures.
_BACK_MAX = 0.5
# Jitter and clocks that differ make a packet seem early by less than this.
_EARLY_MAX = 2.0
# How fast the quickest way is forgotten, per frame: clocks drift, paths change.
_FORGET = 0.01


class TrackTimeline:
    """Presentation times of one track, in ticks of the clock rate of the codec that is in use."""

    def __init__(self) -> None:
        self._clock_rate = 0
        # of the frame before: whose it was, its timestamp, its presentation time
        self._ssrc: int | None = None
        self._timestamp = 0
        self._presentation = 0
        # the latest presentation time of all, and the last step forward
        self._latest = 0
        self._step = 0
        # the smallest difference between arrival and presentation, in seconds
        self._quickest = 0.0

    def map(self, ssrc: int, timestamp: int, clock_rate: int, arrived: float) -> int:
        """The presentation time of a frame.

        Args:
            ssrc: of its stream.
            timestamp: its RTP timestamp.
            clock_rate: of its codec.
            arrived: when its first packet came, in seconds.
        """
        if clock_rate != self._clock_rate:
            self._change_clock(clock_rate)
        if self._ssrc is None:
            self._quickest = arrived
            presentation = 0
        elif ssrc == self._ssrc:
            step = ((timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            presentation = self._presentation + step
            early = self._quickest - (arrived - presentation / clock_rate)
            if step < -_BACK_MAX * clock_rate or early > _EARLY_MAX:
                presentation = self._now(arrived)
            elif step > 0:
                self._step = min(step, clock_rate // 10)
        else:
            presentation = self._now(arrived)
        transit = arrived - presentation / clock_rate
        self._quickest = min(transit, self._quickest + (transit - self._quickest) * _FORGET)
        self._ssrc, self._timestamp, self._presentation = ssrc, timestamp, presentation
        self._latest = max(self._latest, presentation)
        return presentation

    def _now(self, arrived: float) -> int:
        """The presentation time of what begins another line: by the clock, and behind all that was."""
        by_clock = round((arrived - self._quickest) * self._clock_rate)
        return max(by_clock, self._latest + max(self._step, self._clock_rate // 100))

    def _change_clock(self, clock_rate: int) -> None:
        if self._clock_rate:
            self._latest = self._latest * clock_rate // self._clock_rate
            self._step = self._step * clock_rate // self._clock_rate
            # its timestamps are another line
            self._ssrc = -1
        self._clock_rate = clock_rate
