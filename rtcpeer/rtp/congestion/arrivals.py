"""The packets that arrived on a transport since the last feedback, by transport-wide number.

Pure: `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.rtp.congestion import feedback

# Feedback is written when so many have arrived, even before its time: it is bounded.
PENDING_MAX = 1000
# A number so far from the last ones is a new beginning, not a gap.
JUMP = 4096
# Packets that come later than others that were told of already are told of in packets of their own.
LATE_MAX = 16


class Arrivals:
    """Takes note of packets and writes feedback about them.

    Attributes:
        pending: (number, when it arrived, in seconds), one after the other.
    """

    __slots__ = ("_index", "_next", "pending")

    def __init__(self) -> None:
        self.pending: list[tuple[int, float]] = []
        # the number behind the last one that was told of, on an endless line; None before the first
        self._next: int | None = None
        self._index = 0

    def write(self, ssrc: int, media_ssrc: int) -> list[bytes]:
        """Feedback about all that is pending."""
        pending, self.pending = self.pending, []
        if not pending:
            return []
        start = self._next
        reference = pending[0][0] if start is None else start - 1
        times: dict[int, int] = {}
        for number, at in pending:
            # on the line, next to the one before
            number = reference + ((number - reference + 0x8000 & 0xFFFF) - 0x8000)
            if abs(number - reference) > JUMP:
                start, times = None, {}
            reference = number
            times.setdefault(number, int(at / feedback.TICK))
        numbers = sorted(times)
        # numbers that leap a little with each packet must not make it long
        start = max(numbers[0] if start is None else start, numbers[-1] - JUMP)
        packets: list[bytes] = []
        for begin, end in _late_runs(numbers, start):
            self._put(packets, ssrc, media_ssrc, begin, [times[n] for n in range(begin, end)])
        if numbers[-1] >= start:
            # packets that are missing in front are told of by the feedback that has the next one that is not
            line = [times.get(n) for n in range(start, numbers[-1] + 1)]
            self._put(packets, ssrc, media_ssrc, start, line)
            start = numbers[-1] + 1
        self._next = start
        return packets

    def _put(
        self, packets: list[bytes], ssrc: int, media_ssrc: int, base: int, times: list[int | None] | list[int]
    ) -> None:
        line: list[int | None] = list(times)
        while line:
            packet, told = feedback.write(ssrc, media_ssrc, self._index, base, line)
            packets.append(packet)
            self._index = self._index + 1 & 0xFF
            base += told
            del line[:told]


def _late_runs(numbers: list[int], start: int) -> list[tuple[int, int]]:
    """The runs (first, end) of numbers before `start`."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if number >= start:
            break
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        elif len(runs) < LATE_MAX:
            runs.append((number, number + 1))
    return runs
