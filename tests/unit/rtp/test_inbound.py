"""What is reported about a stream that arrives."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.sound_buffer import SoundBuffer


def stream(*numbers: int) -> InboundStream:
    inbound = InboundStream(1, SoundBuffer(48000), 48000)
    for place, number in enumerate(numbers):
        packet = RtpPacket(96, 0, number, 960 * place, 1, b"x")
        inbound.count(packet, 0.02 * place)
    return inbound


@pytest.mark.parametrize(
    ("numbers", "highest"),
    [
        ((100,), 100),
        ((100, 103, 102), 103),
        ((65534, 65535, 0, 1), 0x10001),
        ((0, 65535, 1), 1),
    ],
)
def test_the_highest_number_counts_cycles_from_zero(numbers: tuple[int, ...], highest: int) -> None:
    """RFC 3550 6.4.1; Firefox takes its packetsReceived from the difference to what it sent first."""
    assert stream(*numbers).report(1.0).highest_sequence == highest


def test_what_came_again_in_a_repair_stream_hides_no_loss() -> None:
    """RFC 4588 4: repairs have an SSRC of their own. Firefox also probes with them for what was never lost."""
    inbound = stream(1, 2, 4)
    for number in (1, 2, 3):
        inbound.retransmitted_packets += 1
        inbound.count(RtpPacket(96, 0, number, 0, 1, b"x"), 1.0)
    report = inbound.report(1.0)
    assert (report.packets_lost, report.fraction_lost) == (1, 64)
    assert (inbound.stats("audio")["packetsLost"], inbound.stats("audio")["packetsReceived"]) == (1, 6)
