"""What a receiver receives: streams that are counted and bounded, who repairs whom, what the other end is asked for."""

from __future__ import annotations

from rtcpeer.media.receive_section import STREAMS_MAX, ReceiveSection
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.jitter_buffer import FrameBuffer
from rtcpeer.rtp.packet import RtpPacket
from rtcpeer.rtp.parameters import ReceiveParameters, RemoteSource
from rtcpeer.values import Codec, Feedback

VP8 = Codec("video/VP8", 90000, feedback=(Feedback("nack"),), payload_type=96)
VP9 = Codec("video/VP9", 90000, payload_type=98)
RED = Codec("video/red", 90000, payload_type=122)


class Session:
    """Notes feedback: its kinds (RTCP packet type and format)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, int]] = []

    def send_feedback(self, mid, report, write) -> None:
        data = write(1)
        self.sent.append((mid, data[1], data[0] & 31))


class Log:
    """A section, and what it told."""

    def __init__(self, *sources: RemoteSource) -> None:
        self.told: list[object] = []
        self.section = ReceiveSection(
            "video",
            make_buffer=lambda clock_rate: FrameBuffer(),
            on_format=lambda form: self.told.append(form.name),
            on_flow=self.told.append,
            on_forgotten=lambda stream: self.told.append(("forgotten", stream.ssrc)),
        )
        self.section.configure(ReceiveParameters(mid="5", codecs=(VP8, VP9, RED), sources=sources))

    def count(self, ssrc: int, payload_type: int, now: float = 1000.0):
        form = self.section.formats[payload_type]
        return self.section.count(RtpPacket(payload_type, 0, 1, 0, ssrc, b"x"), form, now)


def test_a_stream_tells_its_format_and_that_something_comes():
    log = Log()
    stream = log.count(7, 96)
    assert log.told == ["VP8", True]
    # RED wraps the format of before; another codec is another one
    log.count(7, 122)
    assert log.count(7, 98) is stream
    assert log.told == ["VP8", True, "VP9"]
    assert log.section.current_format is log.section.formats[98]
    log.section.set_flow(False)
    log.section.set_flow(False)
    assert log.told[3:] == [False]
    assert stream.packets_received == 3


def test_of_too_many_streams_the_one_that_was_silent_for_longest_is_forgotten():
    log = Log()
    for number in range(STREAMS_MAX + 2):
        log.count(100 + number, 96, 1000.0 + number)
        log.count(100, 96, 1000.5 + number)
    assert [told for told in log.told if isinstance(told, tuple)] == [("forgotten", 101), ("forgotten", 102)]
    assert len(log.section.streams) == STREAMS_MAX


def test_retransmissions_belong_to_the_stream_that_was_announced_or_that_their_layer_tells():
    log = Log(RemoteSource(7, 70))
    assert log.section.repaired_ssrc(70, None) == 7
    log.count(8, 96).rid = "low"
    log.count(9, 96).rid = "high"
    assert log.section.repaired_ssrc(90, None) is None, "of two streams it could be either"
    assert log.section.repaired_ssrc(90, "high") == 9
    assert log.section.repaired_ssrc(90, None) == 9, "what was told once is known"
    assert log.section.repairs() == {7: 70, 9: 90}


def test_what_is_missing_is_asked_for_where_it_is_repeated():
    log = Log()
    stream = log.count(7, 96)
    session = log.section.session = Session()
    assert log.section.repeats(7)
    log.section.ask_packets(7, [3], 1000.0)
    log.section.ask_keyframe(7, 1001.0)
    # a stream that is not there is asked for nothing
    log.section.ask_packets(6, [3], 1000.0)
    log.section.ask_keyframe(6, 1000.0)
    assert session.sent == [("5", rtcp.write_nack(1, 7, [3])[1], 1), ("5", rtcp.write_pli(1, 7)[1], 1)]
    assert (stream.nacks, stream.plis, stream.pli_at) == (1, 1, 1001.0)
    log.count(7, 98)
    assert not log.section.repeats(7)
    assert not log.section.repeats(6)
