"""What is reported about a stream that arrives."""

from __future__ import annotations

import av
import pytest
from av import AudioFrame

from rtcpeer.rtp import rtcp
from rtcpeer.rtp.inbound import CONFIGURATION_MAX, InboundStream
from rtcpeer.rtp.jitter_buffer import EncodedFrame, FrameBuffer
from rtcpeer.rtp.packet import ExtensionIds, RtpPacket, parse_rtp_untrusted, write_extensions, write_rtp
from rtcpeer.rtp.relay_packet import read_packet_untrusted
from rtcpeer.rtp.sound_buffer import SoundBuffer


def video() -> InboundStream:
    return InboundStream(1, FrameBuffer(), 90000)


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


@pytest.mark.parametrize("elements", [[], [(1, b"mid"), (2, b"level")]])
@pytest.mark.parametrize("sources", [0, 3])
@pytest.mark.parametrize("padding", [b"", b"\0\0\3"])
@pytest.mark.parametrize(
    "read",
    [lambda data: parse_rtp_untrusted(data, ExtensionIds()), lambda data: read_packet_untrusted(data, {})],
)
def test_header_and_other_bytes_are_all_there_are(elements, sources, padding, read) -> None:
    """webrtc-stats: "headerBytesReceived + bytesReceived equals the number of bytes received"."""
    data = bytearray(write_rtp(96, False, 1, 2, 3, write_extensions(elements), b"payload") + padding)
    data[12:12] = bytes(4 * sources)
    data[0] |= sources | 0x20 * bool(padding)
    inbound = video()
    for _ in range(2):
        inbound.count(read(bytes(data)), 1.0)
    told = inbound.stats("video", 1.0)
    assert told["bytesReceived"] == 2 * len(b"payload")
    assert told["headerBytesReceived"] == 2 * (len(data) - len(b"payload"))


def test_a_stream_counts_from_its_first_packet_to_its_last_one() -> None:
    inbound = stream()
    assert (inbound.expected, inbound.extended_highest, inbound.jitter_seconds) == (0, 0, 0.0)
    for place in range(3):
        inbound.count(RtpPacket(96, 0, 7 + 2 * place, 0, 1, b"x"), 5.0 + place)
    assert (inbound.first_packet_at, inbound.last_packet_at) == (5.0, 7.0)
    told = inbound.stats("audio", 9.0)
    assert (told["packetsReceived"], told["packetsLost"]) == (3, 2)
    assert told["lastPacketReceivedTimestamp"] == 7000.0


def test_jitter_is_of_one_packet_of_each_picture_in_their_order() -> None:
    """RFC 3550 A.8: packets of one picture have one timestamp, and what comes out of order is no measure."""
    inbound = video()
    for number, timestamp, now in (
        (1, 0, 1.0),
        (2, 0, 1.9),
        (4, 9000, 1.116),
        (3, 0, 3.0),
        (5, 18000, 1.216),
    ):
        inbound.count(RtpPacket(96, 0, number, timestamp, 1, b"x"), now)
    # 16 ms late once, then in time
    assert inbound.jitter_seconds == pytest.approx(0.016 / 16 * 15 / 16)
    assert inbound.report(4.0).jitter == int(90000 * 0.016 / 16 * 15 / 16)


def test_ten_seconds_are_a_new_time_line() -> None:
    for late, jitter in ((9.5, 9.5 / 16), (10.0, 0.0)):
        inbound = stream(0)
        inbound.count(RtpPacket(96, 0, 1, 960, 1, b"x"), 0.02 + late)
        assert inbound.jitter_seconds == pytest.approx(jitter)


def test_each_report_is_about_its_interval() -> None:
    """RFC 3550 6.4.1 and A.3: the fraction since the report before, the number since the beginning."""
    inbound = stream(10, 12, 13, 14)
    for numbers, fraction, lost in (((), 51, 1), ((), 0, 1), ((15, 16, 19, 20), 85, 3), ((17, 18), 0, 1)):
        for number in numbers:
            inbound.count(RtpPacket(96, 0, number, 0, 1, b"x"), 1.0)
        report = inbound.report(1.0)
        assert (report.ssrc, report.fraction_lost, report.packets_lost) == (1, fraction, lost)
        assert (report.lsr, report.dlsr) == (0, 0)


def test_more_packets_than_were_sent_are_a_negative_loss() -> None:
    """RFC 3550 6.4.1: copies count."""
    inbound = stream(1, 1, 1, 2)
    report = inbound.report(1.0)
    assert (report.packets_lost, report.fraction_lost) == (-2, 0)


def test_timestamps_lie_on_a_line_that_begins_at_zero() -> None:
    inbound = video()
    line = [inbound.map_timestamp(t & 0xFFFFFFFF) for t in (-3000, 0, 3000, -6000, 0x7FFFFFFF - 6000)]
    assert line == [0, 3000, 6000, -3000, 0x7FFFFFFF - 3000]


@pytest.mark.parametrize(("step", "weight"), [(480, 480), (6000, 6000), (6001, 960), (0, 960), (-480, 960)])
def test_delays_of_sound_are_those_of_its_samples(step, weight) -> None:
    """webrtc-stats jitterBufferEmittedCount counts samples; 20 ms until two pieces tell, 125 ms at most."""
    inbound = stream()
    inbound.map_timestamp(48000)
    inbound.map_timestamp(48000 + step)
    frame = EncodedFrame(0, [], 10.0)
    inbound.note_whole(frame, 10.5)
    inbound.note_emitted(frame, 11.0, 0.25)
    told = inbound.stats("audio", 12.0)
    assert told["jitterBufferEmittedCount"] == weight
    assert told["jitterBufferDelay"] == weight
    assert told["jitterBufferTargetDelay"] == weight / 4
    assert told["jitterBufferMinimumDelay"] == weight / 2
    inbound.note_passed(frame, 10.25)
    assert (inbound.emitted, inbound.buffer_delay) == (2 * weight, 1.25 * weight)
    assert inbound.minimum_delay == 0.75 * weight


def test_delays_of_pictures_are_those_of_each_one() -> None:
    inbound = video()
    inbound.map_timestamp(0)
    inbound.map_timestamp(960)
    frame = EncodedFrame(0, [], 10.0)
    for now in (10.5, 9.0):
        inbound.note_passed(frame, now)
    assert (inbound.emitted, inbound.buffer_delay, inbound.minimum_delay) == (2, 0.5, 0.5)
    # a clock that was set
    for now in (10.5, 9.0):
        inbound.note_whole(frame, now)
        inbound.note_emitted(frame, now, 0.0)
    assert (inbound.emitted, inbound.buffer_delay, inbound.minimum_delay) == (4, 1.0, 1.0)


def test_what_the_decoder_gave() -> None:
    inbound = video()
    assert "frameWidth" not in inbound.stats("video", 1.0)
    for number, assembly in ((0, None), (1, 0.25)):
        inbound.take_decoded(av.VideoFrame(64, 48, "yuv420p"), 10.0 + number / 8, 9.5, assembly)
    inbound.take_decoded(av.VideoFrame(64, 48, "yuv420p"), 9.0, 9.5)
    told = inbound.stats("video", 10.125)
    assert (told["framesDecoded"], told["frameWidth"], told["frameHeight"]) == (3, 64, 48)
    assert told["totalProcessingDelay"] == 0.5 + 0.625
    assert (told["framesAssembledFromMultiplePackets"], told["totalAssemblyTime"]) == (1, 0.25)
    assert told["framesRendered"] == 3


def test_what_was_heard() -> None:
    inbound = stream()
    loud = av.AudioFrame("s16", "mono", 24000)
    loud.sample_rate = 48000
    loud.planes[0].update(b"\0\x40" * 24000)
    inbound.take_decoded(loud, 1.0, 0.5)
    inbound.take_concealed(960, 480)
    inbound.take_concealed(960, 0)
    told = inbound.stats("audio", 1.0)
    assert told["audioLevel"] == 0.5
    assert (told["totalSamplesReceived"], told["totalSamplesDuration"]) == (24000, 0.5)
    assert told["totalAudioEnergy"] == 0.5 * 0.5 * 0.5
    assert (told["concealedSamples"], told["silentConcealedSamples"], told["concealmentEvents"]) == (
        1920,
        480,
        2,
    )


def test_what_the_other_end_says_of_its_stream() -> None:
    inbound = stream(1)
    assert inbound.remote_stats("audio") is None
    info = rtcp.SenderInfo(
        ntp_timestamp=(2208988800 + 1000 << 32) + (1 << 31), rtp_timestamp=0, packet_count=3, octet_count=4
    )
    for now in (1.0, 2.0):
        inbound.take_report(rtcp.SenderReport(ssrc=1, sender_info=info), now)
    told = inbound.remote_stats("audio")
    assert (told["packetsSent"], told["bytesSent"], told["reportsSent"]) == (3, 4, 2)
    assert (told["timestamp"], told["remoteTimestamp"]) == (2000.0, 1000500.0)


def test_a_delay_of_more_than_16_bits_of_seconds_cannot_be_told() -> None:
    inbound = stream(1)
    inbound.take_report(rtcp.SenderReport(ssrc=1, sender_info=rtcp.SenderInfo(1 << 16, 0, 1, 1)), 0.0)
    assert inbound.report(65535.5).dlsr == 0xFFFF8000
    assert inbound.report(65536.0).dlsr == 0


def test_a_configuration_is_of_all_that_came_before_the_picture() -> None:
    inbound = video()
    for part in (b"a" * (CONFIGURATION_MAX - 1), b"b"):
        inbound.keep_configuration(part)
    assert inbound.take_configuration() == b"a" * (CONFIGURATION_MAX - 1) + b"b"


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_stream_of_which_nothing_came_counts_nothing(kind) -> None:
    inbound = video() if kind == "video" else stream()
    told = inbound.stats(kind, 1.0)
    words = {"type", "ssrc", "kind", "payloadType", "decoderImplementation"}
    assert {value for name, value in told.items() if name not in words} == {0}
    assert (told["payloadType"], inbound.fec_discarded, inbound.presentation) == (-1, 0, 0)


def test_sound_without_a_rate_of_its_own_is_of_48_khz() -> None:
    inbound = stream()
    inbound.take_decoded(av.AudioFrame("s16", "mono", 480), 1.0, 0.5)
    assert inbound.samples_duration == 0.01
