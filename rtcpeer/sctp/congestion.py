"""Congestion window and retransmission timeout of the one path that WebRTC has (RFC 9260 sections 6.3 and 7.2).

Pure. All sizes are those of chunks as they are sent, with their headers.
"""

from __future__ import annotations

from typing import Final

from rtcpeer.sctp.packets import PACKET_MAX

__all__ = ["BACKOFF_MAX", "BURST", "RTO_INITIAL", "RTO_MIN", "CongestionWindow", "RoundTrip"]

# The first window: what RFC 6928 found for TCP, and browsers' dcSCTP uses. RFC 9260 section 7.2.1 has four packets.
CWND_INITIAL: Final = 10 * PACKET_MAX
# RFC 9260 section 7.2.3: a loss leaves at least this
CWND_MIN: Final = 4 * PACKET_MAX
# RFC 9260 section 6.1 D, Max.Burst: what may leave at once beyond what has just arrived
BURST: Final = 4 * PACKET_MAX
# RFC 9260 section 16: 1 s. Browsers' dcSCTP uses half a second, as ICE has measured the path already.
RTO_INITIAL: Final = 0.5
# Delayed acknowledgements take up to 0.2 s; below 0.4 s a timer would fire for nothing.
RTO_MIN: Final = 0.4
RTO_MAX: Final = 60.0
# RFC 9260 section 6.3.3 E2 doubles the wait up to RTO.Max, and browsers' dcSCTP up to 3 s. ICE tells us of a path that
# was silent for long and is back (`wake`), but not of one that was dead for some seconds only: data must not wait
# much longer than that again, and a packet a second is no load for a path whose consent is being checked anyway.
BACKOFF_MAX: Final = 1.0


class RoundTrip:
    """The measured round trip, and the retransmission timeout that follows from it.

    Attributes:
        smoothed: SRTT in seconds, once one was measured.
        variation: RTTVAR.
        timeout: the retransmission timeout, without back-off (RFC 9260 section 6.3.1).
        backoff: how often the timer has ended since something was acknowledged.
    """

    __slots__ = ("backoff", "smoothed", "timeout", "variation")

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation: float = 0.0
        self.timeout: float = RTO_INITIAL
        self.backoff: int = 0

    def measure(self, seconds: float) -> None:
        """RFC 9260 section 6.3.1 C2, C3, C6, C7."""
        smoothed = self.smoothed
        if smoothed is None:
            smoothed, self.variation = seconds, seconds / 2
        else:
            self.variation = 0.75 * self.variation + 0.25 * abs(smoothed - seconds)
            smoothed = 0.875 * smoothed + 0.125 * seconds
        self.smoothed = smoothed
        timeout = smoothed + 4 * self.variation
        self.timeout = RTO_MIN if timeout < RTO_MIN else min(timeout, RTO_MAX)

    @property
    def wait(self) -> float:
        """The timeout with its back-off."""
        if not self.backoff:
            return self.timeout
        return max(self.timeout, min(self.timeout * (1 << min(self.backoff, 16)), BACKOFF_MAX))


class CongestionWindow:
    """How much may be on its way.

    Attributes:
        size: the window (cwnd), in bytes.
        threshold: where slow start ends (ssthresh).
        recovery_end: the TSN with which fast recovery ends; None outside of it.
    """

    __slots__ = ("_before", "_credit", "_partial", "recovery_end", "size", "threshold")

    def __init__(self) -> None:
        self.size: int = CWND_INITIAL
        self.threshold: int = 1 << 32
        self.recovery_end: int | None = None
        # size and threshold as they were before the last loss; None once it can not be taken back
        self._before: tuple[int, int] | None = None
        # acknowledged beyond the last growth by one packet
        self._partial = 0
        # what acknowledgements since the last transmission let leave at once
        self._credit = 0

    def limit(self, flight: int) -> int:
        """Up to how many bytes may be on their way after the next transmission.

        Each acknowledgement lets as much leave as it says has arrived and as the window grew by it, and otherwise
        `BURST`; so does a transmission that none precedes.
        """
        burst = self._credit or (BURST if self.recovery_end is None else BURST // 2)
        if not flight and self.recovery_end is None:
            burst = max(CWND_INITIAL, burst)
        self._credit = 0
        return min(self.size, flight + burst)

    def acknowledged(self, size: int, *, cumulative: int, advanced: bool, was_full: bool) -> None:
        """Something has arrived (RFC 9260 sections 7.2.1 and 7.2.2).

        Args:
            size: bytes of news.
            cumulative: the cumulative TSN.
            advanced: whether that is news.
            was_full: whether the window was used up before.
        """
        if self.recovery_end is not None:
            self._credit += max(size, BURST // 2)
            if cumulative >= self.recovery_end:
                self.recovery_end = None
            return
        self._credit += size + BURST
        if not (advanced and size and was_full):
            return
        if self.size <= self.threshold:
            # One packet for each acknowledgement. That of a whole batch stands for those of every second packet
            # that section 6.2 asks for when packets come one by one.
            packets = -(-size // PACKET_MAX)
            growth = min(size, (packets + 1) // 2 * PACKET_MAX)
            self.size += growth
            self._credit += max(0, growth - BURST)
        else:
            self._partial += size
            if self._partial >= self.size:
                self._partial -= self.size
                self.size += PACKET_MAX

    def lost(self, last_tsn: int) -> bool:
        """Something is missing that was sent before what has arrived; True if that begins fast recovery (7.2.4)."""
        if self.recovery_end is not None:
            return False
        self._before = self.size, self.threshold
        self.size = self.threshold = max(self.size // 2, CWND_MIN)
        self._partial = 0
        self.recovery_end = last_tsn
        return True

    def take_back(self) -> None:
        """All that the last loss began with has arrived late: nothing was lost (RFC 4015 section 3.2, step 5)."""
        if self._before is not None:
            size, threshold = self._before
            self.size, self.threshold = max(self.size, size), max(self.threshold, threshold)
            self._before = self.recovery_end = None

    def timed_out(self, *, first: bool) -> None:
        """The retransmission timer has ended (RFC 9260 section 7.2.3)."""
        if first:
            # RFC 5681 section 3.1: held while the same data is sent again and again
            self.threshold = max(self.size // 2, CWND_MIN)
        self.size = PACKET_MAX
        self._leave_recovery()

    def path_is_back(self) -> None:
        """Grow to the window that a path begins with (RFC 9260 section 7.2.1), and leave recovery."""
        self.size = max(self.size, CWND_MIN)
        self._leave_recovery()

    def idle(self, periods: int) -> None:
        """Shrink after so many retransmission timeouts without sending (RFC 9260 section 7.2.1)."""
        if self.size > CWND_INITIAL:
            # back to where it was by slow start (RFC 7661 section 4.4.3)
            self.threshold = max(self.threshold, self.size * 3 // 4)
            self.size = max(self.size >> min(periods, 32), CWND_INITIAL)

    def _leave_recovery(self) -> None:
        self.recovery_end = self._before = None
        self._partial = self._credit = 0
