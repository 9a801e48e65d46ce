"""What is reported about a stream that arrives."""

from __future__ import annotations

import pytest
from av import AudioFrame

from rtcpeer.rtp import rtcp
from rtcpeer.rtp.inbound import CONFIGURATION_MAX, InboundStream
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
    told = inbound.stats("audio", 1.0)
    assert (told["packetsLost"], told["packetsReceived"]) == (1, 6)


def test_a_packet_from_before_the_first_one_counts_as_expected() -> None:
    inbound = stream(100, 98)
    assert (inbound.expected, inbound.lost) == (3, 1)


def test_a_new_time_line_is_no_jitter() -> None:
    inbound = stream(*range(10))
    before = inbound.jitter_seconds
    inbound.count(RtpPacket(96, 0, 10, 48000 * 3600, 1, b"x"), 0.2)
    inbound.count(RtpPacket(96, 0, 11, 48000 * 3600 + 960, 1, b"x"), 0.22)
    assert inbound.jitter_seconds <= before < 1e-6
    # what comes 0.4 s late is jitter
    inbound.count(RtpPacket(96, 0, 12, 48000 * 3600 + 1920, 1, b"x"), 0.64)
    assert inbound.jitter_seconds == pytest.approx(0.4 / 16)


def test_parameter_sets_without_a_picture_are_bounded() -> None:
    inbound = stream(1)
    for _ in range(100):
        inbound.keep_configuration(bytes(1000))
    assert 1000 <= len(inbound.take_configuration()) <= CONFIGURATION_MAX
    assert inbound.take_configuration() == b""
    inbound.keep_configuration(bytes(1_000_000))
    assert len(inbound.take_configuration()) == CONFIGURATION_MAX


def test_a_report_in_which_everything_was_lost_can_be_written() -> None:
    inbound = stream(1)
    inbound.report(1.0)
    inbound.retransmitted_packets += 1
    inbound.count(RtpPacket(96, 0, 2, 0, 1, b"x"), 1.0)  # it came in the repair stream alone
    report = inbound.report(2.0)
    assert report.fraction_lost == 255
    assert bytes(report)


@pytest.mark.parametrize(("passed", "dlsr"), [(1.5, 98304), (-2.0, 0), (0.0, 0), (70000.0, 0)])
def test_the_delay_since_a_sender_report_survives_a_clock_that_is_set(passed: float, dlsr: int) -> None:
    inbound = stream(1)
    info = rtcp.SenderInfo(ntp_timestamp=0x1122334455667788, rtp_timestamp=0, packet_count=1, octet_count=1)
    inbound.take_report(rtcp.SenderReport(ssrc=1, sender_info=info), 1_000_000.0)
    report = inbound.report(1_000_000.0 + passed)
    assert (report.lsr, report.dlsr) == (0x33445566, dlsr)
    assert bytes(report)


def test_the_processing_of_sound_is_counted_for_each_sample_that_came() -> None:
    """webrtc-stats totalProcessingDelay: from a sample's first packet to its decoding; a made up one has no packet."""
    inbound = stream(1)
    piece = AudioFrame(format="s16", layout="mono", samples=960)
    piece.sample_rate = 48000
    inbound.take_decoded(piece, 7.5, 7.25)
    inbound.take_decoded(piece, 8.5, 0.0)

    assert inbound.stats("audio", 9.0)["totalProcessingDelay"] == 0.25 * 960
