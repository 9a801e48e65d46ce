"""One stream that is sent: what is sent again, and what no more."""

from __future__ import annotations

import dataclasses

import pytest

from rtcpeer.rtp import packet as rtp
from rtcpeer.rtp import rtcp
from rtcpeer.rtp.fec import Protection
from rtcpeer.rtp.outbound import HISTORY, LOSS_LIFETIME, REPEAT_BURST, HeaderTemplate, OutboundStream
from rtcpeer.rtp.parameters import SendEncoding
from rtcpeer.values import HeaderExtension


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("rtcpeer.rtp.outbound.wall_time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def stream(sent):
    stream = OutboundStream(SendEncoding(1, 2), sent.append, HeaderTemplate((), "", None))
    stream.rtx_payload_types = {96: 97}
    stream.keep_history(True)
    return stream


def send(stream, payloads, timestamp=0):
    first = stream.sequence_number
    stream.send_frame(96, payloads, timestamp, marker=True, level=0)
    return [first + n & 0xFFFF for n in range(len(payloads))]


def test_what_is_young_is_sent_again(stream, sent, clock):
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 0.1

    assert stream.repeat(numbers[1:], clock.now) is False
    assert len(sent) == 5
    assert stream.retransmitted_packets == 2


@pytest.mark.parametrize("ahead", [0, 1, 300])
def test_what_has_not_been_sent_yet_cannot_be_lost(stream, sent, clock, ahead):
    """Who waits for the end of a picture asks for the next number: no reason for a key frame."""
    numbers = send(stream, [b"a" * 100] * 3)
    assert stream.repeat([numbers[-1] + 1 + ahead & 0xFFFF], clock.now) is False
    assert len(sent) == 3
    # what is older than all that is kept was sent once
    assert stream.repeat([numbers[0] - 1 & 0xFFFF], clock.now) is True


def test_statistics_account_for_the_retransmission_stream(stream, sent, clock):
    """The other end counts what comes over it as part of this stream; only the sender report tells of one SSRC."""
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 0.1
    stream.repeat(numbers[1:], clock.now)
    sent.append(stream.make_padding(50))

    told = stream.stats("video")
    assert (told["packetsSent"], told["retransmittedPacketsSent"]) == (len(sent), 2)
    assert (told["bytesSent"], told["retransmittedBytesSent"]) == (500, 200)
    # a retransmission has two bytes more: the number that it had
    assert told["bytesSent"] + told["headerBytesSent"] == sum(map(len, sent)) - 2 * 2
    report = stream.write_report("name", clock.now)
    assert int.from_bytes(report[20:24], "big") == 3


def test_what_a_report_says_has_arrived_is_of_its_time(stream, clock):
    """webrtc-stats 8.3: of the highest number that the other end had seen, not of what was sent since."""
    numbers = send(stream, [b"a"] * 10)
    block = rtcp.ReceiverInfo(1, 0, 2, numbers[-1], 0, 0, 0)
    send(stream, [b"a"] * 5)
    stream.take_report(block, clock.now)
    assert stream.remote_stats("video")["packetsReceived"] == 8


def test_reports_go_on_when_ntp_begins_anew(stream, sent, clock):
    """RFC 5905 section 6: in February 2036."""
    for clock.now in (2085978495.5, 2085978496.5):
        send(stream, [b"a" * 100])
        report = stream.write_report("name", clock.now)
        seconds = int.from_bytes(report[8:12], "big")
        assert seconds == (int(clock.now) + 2208988800) % (1 << 32)


def test_what_is_old_is_not(stream, sent, clock):
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 1.5

    assert stream.repeat(numbers, clock.now) is True
    assert len(sent) == 3


def test_of_slides_the_one_before_is_sent_again_when_its_loss_can_be_noticed(stream, sent, clock):
    """Of a picture a minute, nobody can know that the last one was lost before the next one comes."""
    first = send(stream, [b"a" * 100] * 3, 1000)
    clock.now += 60
    before = send(stream, [b"b" * 100] * 3, 2000)
    clock.now += 60
    newest = send(stream, [b"c" * 100], 3000)
    clock.now += 0.9
    assert stream.repeat(before, clock.now) is False
    assert stream.retransmitted_packets == 3
    assert stream.repeat(first, clock.now) is True
    clock.now += 0.5
    assert stream.repeat(before, clock.now) is True, "by now the newest one is old too"
    assert stream.repeat(newest, clock.now) is True
    assert stream.retransmitted_packets == 3


def test_a_repetition_does_not_make_it_young(stream, sent, clock):
    numbers = send(stream, [b"a"])
    for _ in range(3):
        clock.now += 0.4
        stream.repeat(numbers, clock.now)

    assert len(sent) == 3


def test_what_was_forgotten_cannot_come(stream, clock):
    (first,) = send(stream, [b"a"])
    send(stream, [b"b"] * HISTORY)

    assert stream.repeat([first], clock.now) is True


def test_not_again_before_the_copy_can_have_arrived(stream, sent, clock):
    numbers = send(stream, [b"a"])
    stream.round_trip = 0.1
    for _ in range(4):
        clock.now += 0.06
        assert stream.repeat(numbers, clock.now) is False

    assert len(sent) == 1 + 2


def test_the_rate_is_bounded(stream, sent, clock):
    """After an outage whole seconds are missing: a burst of them would fill the path that has just come back."""
    numbers = send(stream, [b"a" * 1000] * 200)
    again = 0
    for _ in range(20):
        clock.now += 0.02
        before = stream.retransmitted_bytes
        is_beyond = stream.repeat(numbers[-128:], clock.now)
        again += stream.retransmitted_bytes - before
        numbers += send(stream, [b"b" * 1000] * 2)

    assert is_beyond
    assert again < 1.1 * REPEAT_BURST + 20 * 2 * 1100


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda n: n % 27 * 3000, id="a loop"),
        pytest.param(lambda n: 0, id="standing"),
        pytest.param(lambda n: -n * 3000, id="backwards"),
        pytest.param(lambda n: n * 3000 + (10**9 if n > 50 else 0), id="a leap"),
        pytest.param(lambda n: n * 3000, id="steady"),
    ],
)
def test_timestamps_rise_with_the_clock_whatever_the_source_says(stream, source):
    first = stream.map_timestamp(source(0), 1000.0)
    steps, last = [], first
    for n in range(1, 100):
        timestamp = stream.map_timestamp(source(n), 1000 + n / 30)
        steps.append(timestamp - last & 0xFFFFFFFF)
        last = timestamp

    assert all(2990 <= step <= 3010 for step in steps)


def test_a_pause_of_a_source_that_counts_on_is_a_pause():
    stream = OutboundStream(
        SendEncoding(1, 2), lambda data: None, HeaderTemplate((), "", None), clock_rate=48000
    )
    first = stream.map_timestamp(0, 1000.0)

    # a second late: a stall, what comes is what was to come
    assert stream.map_timestamp(960, 1001.0, least=960) - first & 0xFFFFFFFF == 960
    # ten seconds: nothing was said
    assert stream.map_timestamp(1920, 1011.0, least=960) - first & 0xFFFFFFFF == 960 + 480_000
    # another source, at once: not on top of the last piece
    stream.rebase()
    assert stream.map_timestamp(5, 1011.001, least=960) - first & 0xFFFFFFFF == 960 + 480_000 + 960


# -- header extensions


URIS = (rtp.URI_MID, rtp.URI_RID, rtp.URI_ABS_SEND_TIME, rtp.URI_AUDIO_LEVEL, rtp.URI_ORIENTATION)


def template(*uris, mid="m", rid=None, first=1):
    extensions = tuple(HeaderExtension(uri, first + place) for place, uri in enumerate(uris))
    ids = rtp.ExtensionIds()
    ids.add(extensions)

    def read(written):
        return rtp.parse_rtp_untrusted(rtp.write_rtp(96, False, 1, 2, 3, written, b"x"), ids)

    return HeaderTemplate(extensions, mid, rid), read


@pytest.mark.parametrize(
    ("mid", "told"), [("", None), ("m" * 16, "m" * 16), ("m" * 17, None), ("ä" * 9, None)]
)
def test_a_mid_that_needs_the_header_of_two_bytes_is_not_told(mid, told):
    """RFC 8285 section 6: that form has to be negotiated."""
    made, read = template(rtp.URI_MID, rtp.URI_RID, mid=mid, rid=mid)
    assert read(made.write(0.0, 0)).mid == told
    assert read(made.write(0.0, 0)).rid == told


@pytest.mark.parametrize(("first", "told"), [(14, "m"), (15, None)])
def test_so_is_one_with_an_id_above_14(first, told):
    made, read = template(rtp.URI_MID, first=first)
    assert read(made.write(0.0, 0)).mid == told


@pytest.mark.parametrize(
    ("now", "stamp"), [(64.0, 0), (65.0, 1 << 18), (127.5, 63 << 18 | 1 << 17), (0.25, 1 << 16)]
)
def test_the_time_of_sending_has_six_bits_of_seconds_and_eighteen_of_fractions(now, stamp):
    made, read = template(rtp.URI_ABS_SEND_TIME)
    assert made.write(now, 0).hex() == "bede0001" + "12" + f"{stamp:06x}"
    made, read = template(*URIS)
    packet = read(made.write(now, 33))
    # that one leaves out the level: it is for pictures
    assert (packet.abs_send_time, packet.audio_level, packet.mid) == (stamp, None, "m")


@pytest.mark.parametrize("level", [0, 127])
def test_the_loudness(level):
    """RFC 6464 section 3: one bit of voice activity, which we do not tell, and seven of level."""
    made, read = template(rtp.URI_MID, rtp.URI_AUDIO_LEVEL)
    assert read(made.write(5.0, level)).audio_level == (False, level)


def test_who_numbers_packets_for_the_transport_tells_no_time():
    made, read = template(rtp.URI_MID, rtp.URI_ABS_SEND_TIME, rtp.URI_AUDIO_LEVEL, rtp.URI_TRANSPORT_CC)
    packet = read(made.write(5.0, 33))
    assert (packet.abs_send_time, packet.audio_level, packet.mid) == (None, (False, 33), "m")
    # the place for the number is the first one
    assert made.write(5.0, 33)[4:7] == b"\x41\0\0"


def test_how_a_picture_is_held_is_told_with_its_last_packet(sent, clock):
    made, read = template(*URIS, rid="hi")
    stream = OutboundStream(SendEncoding(1, 2), sent.append, made)
    for turns in (0, 3, None):
        stream.send_frame(96, [b"a", b"b"], 5, marker=True, level=0, turns=turns)
    ids = rtp.ExtensionIds()
    ids.add(tuple(HeaderExtension(uri, 1 + place) for place, uri in enumerate(URIS)))
    packets = [rtp.parse_rtp_untrusted(data, ids) for data in sent]
    assert [packet.turns for packet in packets] == [None, 0, None, 3, None, None]
    assert {(packet.mid, packet.rid, packet.abs_send_time) for packet in packets} == {("m", "hi", 40 << 18)}
    # who does not want to know is not told
    stream.template, read = template(rtp.URI_MID)
    stream.send_frame(96, [b"a"], 5, marker=True, level=0, turns=3)
    assert read(stream.template.write(1000.0, 0)).mid == "m"
    assert sent[-1][12:] == stream.template.write(1000.0, 0) + b"a"


# -- packets, numbers, reports


def test_the_packets_of_a_frame(sent, clock):
    stream = OutboundStream(SendEncoding(7), sent.append, HeaderTemplate((), "", None))
    stream.sequence_number = 0xFFFF
    stream.send_frame(96, [b"a", b"bc"], 5, marker=True, level=0)
    stream.send_frame(97, [b"d"], 6, marker=False, level=0)
    packets = [rtp.parse_rtp_untrusted(data, rtp.ExtensionIds()) for data in sent]
    assert [(p.sequence_number, p.marker, p.payload_type, p.timestamp, p.payload) for p in packets] == [
        (0xFFFF, 0, 96, 5, b"a"),
        (0, 1, 96, 5, b"bc"),
        (1, 0, 97, 6, b"d"),
    ]
    assert {packet.ssrc for packet in packets} == {7}
    told = stream.stats("video")
    assert (stream.frames_sent, told["packetsSent"], told["bytesSent"], told["headerBytesSent"]) == (
        2,
        3,
        4,
        36,
    )


def test_corrections_follow_the_frame_while_packets_are_lost(sent, clock):
    overhead = []
    stream = OutboundStream(
        SendEncoding(7),
        sent.append,
        HeaderTemplate((), "", None),
        note_overhead=lambda *o: overhead.append(o),
    )
    protection = Protection(122, 124, None)

    def send_protected():
        sent.clear()
        stream.send_frame(96, [b"a" * 9, b"b" * 9], 5, marker=True, level=0, protection=protection)
        return [(data[1] & 0x7F, data[1] >> 7, data[12]) for data in sent]

    assert send_protected() == [(96, 0, ord("a")), (96, 1, ord("b"))]
    stream.take_report(rtcp.ReceiverInfo(7, 64, 1, 0, 0, 0, 0), clock.now)
    clock.now += LOSS_LIFETIME
    assert send_protected() == [(122, 0, 96), (122, 1, 96), (122, 0, 124)]
    assert overhead == [(len(sent[-1]), clock.now)]
    clock.now += 0.01
    assert send_protected() == [(96, 0, ord("a")), (96, 1, ord("b"))]


def test_what_is_sent_again_is_the_packet_itself_where_nothing_else_was_negotiated(stream, sent, clock):
    (number,) = send(stream, [b"a"])
    clock.now += 0.1
    stream.rtx_payload_types = {97: 98}
    stream.repeat([number], clock.now)
    assert sent[0] == sent[1]
    stream.rtx_payload_types = {96: 97}
    stream.rtx_sequence_number = 0xFFFF
    for _ in range(2):
        clock.now += 0.1
        stream.repeat([number], clock.now)
    packets = [rtp.parse_rtp_untrusted(data, rtp.ExtensionIds()) for data in sent[2:]]
    assert [(p.payload_type, p.ssrc, p.sequence_number) for p in packets] == [(97, 2, 0xFFFF), (97, 2, 0)]
    assert {p.payload for p in packets} == {number.to_bytes(2, "big") + b"a"}


def test_of_what_is_asked_for_all_is_sent_that_can_be(stream, sent, clock):
    old, young = send(stream, [b"a"], 1), None
    clock.now += 60
    for timestamp in (2, 3):
        young = send(stream, [b"b" * 9], timestamp)
    clock.now += 0.1
    count = len(sent)
    # not sent yet, too old, never sent, and one that can be sent
    assert stream.repeat([young[0] + 1 & 0xFFFF, *old, old[0] - 9 & 0xFFFF, *young], clock.now) is True
    assert len(sent) == count + 1
    # sent again just now, and another one
    other = send(stream, [b"c"], 4)
    clock.now += 0.1
    stream.repeat(young, clock.now)
    assert stream.repeat([*young, *other], clock.now + 0.001) is False
    assert len(sent) == count + 4


def test_a_stream_that_sent_nothing_counts_nothing(stream):
    told = stream.stats("video")
    assert {
        value
        for name, value in told.items()
        if name not in ("type", "ssrc", "kind", "rid", "rtxSsrc", "active")
    } == {0}
    assert (stream.frames_sent, stream.plis, stream.firs, stream.send_delay_before) == (0, 0, 0, 0.0)
    assert (stream.round_trips, stream.round_trip_total, stream.round_trip, stream.remote) == (
        0,
        0.0,
        None,
        None,
    )


def test_nothing_is_kept_for_who_cannot_ask(stream, sent, clock):
    (number,) = send(stream, [b"a"])
    stream.keep_history(True)
    assert stream.repeat([number], clock.now + 0.1) is False
    assert len(sent) == 2
    stream.keep_history(False)
    assert stream.repeat([number], clock.now + 0.2) is True
    send(stream, [b"b"])
    assert len(sent) == 3


def test_the_transport_may_allow_no_more(stream, sent, clock):
    asked = []
    stream.may_repeat = lambda size, now: asked.append((size, now)) or len(asked) < 2
    numbers = send(stream, [b"a" * 100] * 3)
    clock.now += 0.1
    assert stream.repeat(numbers, clock.now) is True
    assert asked == [(112, clock.now)] * 2
    assert len(sent) == 4


@pytest.mark.parametrize(
    ("round_trip", "interval"), [(None, 0.01), (0.005, 0.01), (0.1, 0.08), (0.3, 0.24), (5.0, 0.25)]
)
def test_a_copy_is_not_sent_again_before_it_can_have_been_missed(stream, sent, clock, round_trip, interval):
    numbers = send(stream, [b"a"])
    stream.round_trip = round_trip
    for after, count in ((interval - 0.001, 1), (0.002, 2), (interval - 0.002, 2), (0.003, 3)):
        clock.now += after
        assert stream.repeat(numbers, clock.now) is False
        assert len(sent) == count


def test_padding_needs_a_stream_of_retransmissions_and_a_packet_before_it(stream, sent, clock):
    """RFC 4588 section 4: what is repeated is never empty, so these say nothing."""
    assert stream.make_padding(50) is None
    send(stream, [b"a"], 77)
    stream.timestamp = 77
    stream.rtx_sequence_number = 0xFFFF
    for number in (0xFFFF, 0, 1):
        padding = stream.make_padding(50)
        packet = rtp.parse_rtp_untrusted(padding, rtp.ExtensionIds())
        assert (packet.payload_type, packet.ssrc, packet.sequence_number, packet.timestamp) == (
            97,
            2,
            number,
            77,
        )
        assert (packet.payload, packet.padding_size) == (b"", 50)
    assert (stream.padding_packets, stream.padding_bytes) == (3, 3 * 62)
    stream.rtx_payload_types = {}
    assert stream.make_padding(50) is None
    stream.rtx_payload_types = {96: 97}
    stream.encoding = SendEncoding(1)
    assert stream.make_padding(50) is None


def test_a_sender_report_says_what_time_it_is_in_the_stream(stream, clock):
    """RFC 3550 section 6.4.1: the timestamp of the moment of the report, not of the last packet."""
    assert stream.write_report("name", clock.now) is None
    timestamp = stream.map_timestamp(0, 1000.0)
    send(stream, [b"a" * 5], timestamp)
    (report,) = rtcp.parse_rtcp_untrusted(stream.write_report("name", 1000.5))
    assert (report.ssrc, report.sender_info) == (
        1,
        rtcp.SenderInfo((2208988800 + 1000 << 32) + (1 << 31), timestamp + 45000 & 0xFFFFFFFF, 1, 5),
    )
    (report,) = rtcp.parse_rtcp_untrusted(stream.write_report("name", 1000.5, 1234))
    assert report.sender_info.rtp_timestamp == 1234


def test_the_round_trip_is_told_by_reports_about_our_last_one(stream, clock):
    """RFC 3550 section 6.4.1: the time that passed, without what the other end held it back."""
    block = rtcp.ReceiverInfo(1, 0, 0, 0, 0, 0, 0)
    assert stream.remote_stats("video") is None
    stream.take_report(block, 1000.0)
    assert stream.round_trip is None
    assert "roundTripTime" not in stream.remote_stats("video")
    send(stream, [b"a"])
    stream.write_report("name", 1000.25)
    lsr = ((2208988800 + 1000 << 32) + (1 << 30)) >> 16 & 0xFFFFFFFF
    told = dataclasses.replace(block, lsr=lsr, dlsr=1 << 14, jitter=9000, fraction_lost=64)
    stream.take_report(dataclasses.replace(told, lsr=lsr - 1), 1000.75)
    assert stream.round_trip is None
    stream.take_report(told, 1000.75)
    stream.take_report(told, 1000.875)
    assert stream.round_trip == 0.375
    stats = stream.remote_stats("video")
    assert (stats["roundTripTime"], stats["totalRoundTripTime"]) == (0.375, 0.625)
    assert (stats["roundTripTimeMeasurements"], stats["timestamp"]) == (2, 1000875.0)
    assert (stats["jitter"], stats["fractionLost"]) == (0.1, 0.25)
    # a clock that was set
    stream.take_report(told, 1000.0)
    assert (stream.round_trip, stream.round_trips) == (0.375, 2)
    stream.take_report(told, 1000.5)
    assert (stream.round_trip, stream.round_trips) == (0.0, 3)


def test_another_sender_of_the_same_stream_is_gone_on_from(stream, clock):
    stream.go_on(0x1FFFF, 5000, 1000.0, 77)
    assert (stream.sequence_number, stream.rtx_sequence_number, stream.sent_at) == (0xFFFF, 77, 1000.0)
    assert stream.map_timestamp(123456, 1000.5) == 5000 + 45000


def test_the_first_frame_has_the_random_timestamp(stream):
    """RFC 3550 section 5.1."""
    stream.timestamp = 0xFFFFFFFF
    assert stream.sent_at == 0.0
    assert stream.map_timestamp(500, 1000.0) == 0xFFFFFFFF
    assert stream.map_timestamp(501, 1000.0) == 0
    assert stream.sent_at == 1000.0


@pytest.mark.parametrize(
    ("step", "after", "expected"),
    [
        (5 * 90000, 3.0, 5 * 90000),  # the longest step that is believed
        (5 * 90000 + 1, 4.0, 4 * 90000),
        (1, 2.0, 1),
        (90000, 3.0, 90000),  # two seconds behind the clock are a stall
        (90000, 3.25, 3.25 * 90000),
        (0, 0.0, 7),
        (-5, 0.0, 7),
    ],
)
def test_which_steps_of_a_source_are_believed(stream, step, after, expected):
    first = stream.map_timestamp(1000, 1000.0)
    assert stream.map_timestamp(1000 + step, 1000.0 + after, least=7) - first & 0xFFFFFFFF == expected


def test_sequence_numbers_begin_in_the_lower_half():
    """RFC 3711 section 3.3.1: else the first wrap is confused with packets before it."""
    for _ in range(50):
        stream = OutboundStream(SendEncoding(1, 2), print, HeaderTemplate((), "", None))
        assert stream.sequence_number < 0x8000
        assert stream.rtx_sequence_number < 0x8000


@pytest.mark.parametrize("mid", ["", "m", "mid", "middle"])
def test_what_never_changes_is_written_as_any_other_header_extensions(mid):
    made, _read = template(rtp.URI_MID, rtp.URI_RID, mid=mid, rid="hi")
    elements = [(1, mid.encode())] * bool(mid) + [(2, b"hi")]
    assert made.write(5.0, 33) == rtp.write_extensions(elements)
    made, _read = template(rtp.URI_RID, rtp.URI_AUDIO_LEVEL, mid=mid, rid="hi")
    assert made.write(5.0, 33) == rtp.write_extensions([(1, b"hi"), (2, b"\x21")])
    assert HeaderTemplate((), mid, "hi").write(5.0, 33) == b""
