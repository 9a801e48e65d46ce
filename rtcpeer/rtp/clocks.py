"""Clock of a sender, read from its reports, in our own time: needed for lip sync through a relay.

All streams of one transport are taken to have one clock, so the least delay that any of their reports had counts for
all: a stream whose packets take longer than another's does not seem to be captured later. Pure.
"""

from __future__ import annotations

from rtcpeer.rtp.relay_packet import U32

_NTP_EPOCH = 2208988800
# Clocks drift: the least delay is forgotten so fast, per report.
FORGET = 0.01
# A stream that disagrees with the others by more than this, in seconds, has a clock of its own.
FOREIGN = 1.0
# When so many reports in a row do, it is the first one that was wrong.
FOREIGN_MAX = 8


class RemoteClock:
    """How far the clock of the other end is behind ours, the quickest way included."""

    __slots__ = ("_foreign", "offset")

    def __init__(self) -> None:
        self.offset: float | None = None
        # what reports said in a row that disagree with it
        self._foreign: list[float] = []

    def note(self, sent_at: float, now: float) -> float:
        """A report says when it was sent, by the other clock, in seconds; gives the offset to use for it."""
        seen = now - sent_at
        offset = self.offset
        if offset is None or seen < offset:
            # a first report, a quicker way, or a clock that was set
            self.offset = seen
        elif seen < offset + FOREIGN:
            self.offset = offset + (seen - offset) * FORGET
        else:
            self._foreign.append(seen)
            if len(self._foreign) < FOREIGN_MAX:
                return seen
            self.offset = min(self._foreign)
        self._foreign.clear()
        return self.offset


class StreamClock:
    """The sender reports of one stream.

    Args:
        remote: the clock that it shares with the other streams of its transport.
        clock_rate: of its timestamps, in Hz.
    """

    __slots__ = ("_clock_rate", "_own", "_remote", "_sent_at", "_timestamp")

    def __init__(self, remote: RemoteClock, clock_rate: int) -> None:
        self._remote = remote
        self._clock_rate = clock_rate
        self._sent_at: float | None = None
        self._timestamp = 0
        # the offset of a stream with a clock of its own
        self._own: float | None = None

    def note(self, ntp_timestamp: int, rtp_timestamp: int, now: float) -> None:
        """A sender report came (RFC 3550 section 6.4.1)."""
        if not ntp_timestamp:
            # "a sender that has no notion of wallclock": nothing to learn
            return
        sent_at = ntp_timestamp / 4294967296 - _NTP_EPOCH
        offset = self._remote.note(sent_at, now)
        self._own = None if offset == self._remote.offset else offset
        self._sent_at, self._timestamp = sent_at, rtp_timestamp

    def timestamp_at(self, now: float) -> int | None:
        """The RTP timestamp of what is captured at a time of day of ours; None before the first report."""
        offset = self._remote.offset if self._own is None else self._own
        if self._sent_at is None or offset is None:
            return None
        return self._timestamp + round((now - offset - self._sent_at) * self._clock_rate) & U32
