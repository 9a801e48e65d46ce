"""Feedback about the packets that arrived: what it names, and what it costs whatever their numbers are."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.congestion import feedback
from rtcpeer.rtp.congestion.arrivals import JUMP, LATE_MAX, PENDING_MAX, Arrivals


def write(arrivals: Arrivals, *numbers: int) -> list[feedback.TransportFeedback]:
    arrivals.pending = [(number & 0xFFFF, 100 + 0.001 * place) for place, number in enumerate(numbers)]
    told, rest = feedback.split_untrusted(b"".join(arrivals.write(1, 2)))
    assert not rest
    return [feedback.parse_untrusted(packet) for packet in told]


def arrived(packets: list[feedback.TransportFeedback]) -> list[int]:
    return [p.base + n & 0xFFFF for p in packets for n, time in enumerate(p.arrivals) if time is not None]


def test_what_is_missing_is_told_of_with_the_next_that_came() -> None:
    arrivals = Arrivals()
    assert write(arrivals) == []
    (first,) = write(arrivals, 65534, 65535, 1)
    assert (first.base, [time is not None for time in first.arrivals]) == (65534, [True, True, False, True])
    (second,) = write(arrivals, 4)
    assert (second.base, [time is not None for time in second.arrivals]) == (2, [False, False, True])


def test_what_comes_late_is_told_of_by_itself_within_bounds() -> None:
    arrivals = Arrivals()
    write(arrivals, *range(0, 100, 2))
    late = write(arrivals, *range(1, 99, 2), 100)
    assert arrived(late) == [*range(1, 1 + 2 * LATE_MAX, 2), 100]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("step", [JUMP, JUMP - 1, 1000])
def test_numbers_that_leap_with_each_packet_make_feedback_no_longer(step: int, again: bool) -> None:
    """An end may number as it likes: 1,000 packets held the loop up for seconds, and were answered by 10,000."""
    arrivals = Arrivals()
    if again:
        write(arrivals, 7)
    numbers = [30_000 + step * place for place in range(PENDING_MAX)]
    packets = write(arrivals, *numbers)
    assert sum(len(packet.arrivals) for packet in packets) <= JUMP + 1 + LATE_MAX
    assert len(packets) < 40
    assert arrived(packets)[-1] == numbers[-1] & 0xFFFF
    (following,) = write(arrivals, numbers[-1] + 1)
    assert following.base == numbers[-1] + 1 & 0xFFFF


def test_a_new_beginning_is_no_gap() -> None:
    arrivals = Arrivals()
    write(arrivals, 1, 2)
    (packet,) = write(arrivals, 2 + JUMP + 1, 2 + JUMP + 2)
    assert packet.base == 2 + JUMP + 1
    assert len(packet.arrivals) == 2
