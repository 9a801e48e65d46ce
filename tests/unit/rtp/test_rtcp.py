"""RTCP as bytes: what other ends send, and what they must be able to read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.rtp import rtcp

INFO = rtcp.SenderInfo(1, 2, 3, 4)
BLOCK = rtcp.ReceiverInfo(7, 0, 0, 0, 0, 0, 0)


def raw(packet_type: int, count: int, body: bytes, *, flags: int = 0x80) -> bytes:
    return struct.pack("!BBH", flags | count, packet_type, len(body) // 4) + body


def description(*names: bytes) -> bytes:
    """A source description with a chunk for each name; each chunk ends with one to four zeros (RFC 3550 6.5)."""
    body = b""
    for number, name in enumerate(names):
        body += struct.pack("!LBB", 0x21111111 * (number + 1), 1, len(name)) + name
        body += bytes(4 - len(body) % 4)
    return raw(202, len(names), body)


def kinds(data: bytes) -> list[str]:
    names = {
        rtcp.SenderReport: "SR",
        rtcp.ReceiverReport: "RR",
        rtcp.Bye: "BYE",
        rtcp.TransportFeedback: "RTPFB",
        rtcp.PayloadFeedback: "PSFB",
    }
    return [names[type(packet)] for packet in rtcp.parse_rtcp_untrusted(data)]


REPORT = bytes(rtcp.SenderReport(ssrc=5, sender_info=INFO, reports=[BLOCK]))


# -- reading


@pytest.mark.parametrize("size", range(1, 9))
def test_reports_before_many_descriptions_are_read(size: int) -> None:
    """Media servers describe all of their streams in one packet: its chunks are padded one by one."""
    data = REPORT + description(b"a" * size, b"b" * 3, b"") + rtcp.write_pli(1, 2)
    assert kinds(data) == ["SR", "PSFB"]


@pytest.mark.parametrize("packet_type", [192, 202, 204, 207, 208, 223])
def test_packets_of_types_that_mean_nothing_here_are_passed_over(packet_type: int) -> None:
    """RFC 3550 section 6.1: "packets of unknown type are ignored"."""
    assert kinds(REPORT + raw(packet_type, 3, b"whatever") + rtcp.write_bye([5])) == ["SR", "BYE"]


def test_what_profiles_add_to_reports_is_passed_over() -> None:
    """RFC 3550 section 6.4.3."""
    sender = raw(200, 1, REPORT[4:] + b"more")
    receiver = raw(201, 1, rtcp.write_receiver_report(5, [BLOCK])[4:] + b"more")
    packets = rtcp.parse_rtcp_untrusted(sender + receiver)
    assert packets == [
        rtcp.SenderReport(ssrc=5, sender_info=INFO, reports=[BLOCK]),
        rtcp.ReceiverReport(ssrc=5, reports=[BLOCK]),
    ]


def test_padding_is_no_content() -> None:
    """RFC 3550 section 6.4.1: its last octet says how much there is."""
    data = raw(206, 1, rtcp.write_pli(1, 2)[4:] + b"\0\0\0\4", flags=0xA0)
    (packet,) = rtcp.parse_rtcp_untrusted(data)
    assert packet == rtcp.PayloadFeedback(fmt=1, ssrc=1, media_ssrc=2)


@pytest.mark.parametrize(
    "data",
    [
        REPORT[:-4],
        REPORT + b"\x80\xce\0",
        REPORT + b"\x80\xca\0\1",
        raw(206, 1, bytes(8), flags=0x40),
        raw(206, 1, bytes(8), flags=0xA0),
        raw(206, 1, bytes(7) + b"\x09", flags=0xA0),
        raw(206, 1, b"", flags=0xA0),
        raw(200, 1, bytes(24)),
        raw(201, 1, bytes(24)),
        raw(203, 2, bytes(4)),
        raw(205, 1, bytes(4)),
        raw(206, 1, bytes(4)),
    ],
    ids=bytes.hex,
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, struct.error, IndexError)):
        rtcp.parse_rtcp_untrusted(data)


# -- NACK


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 0x7FFF), min_size=1, max_size=40, unique=True))
def test_what_is_asked_for_is_what_is_missing_wherever_the_numbers_begin_anew(
    first: int, steps: list[int]
) -> None:
    """RFC 4585 section 6.2.1: "modulo 65536"."""
    missing = [first + step & 0xFFFF for step in sorted(steps)]
    (packet,) = rtcp.parse_rtcp_untrusted(rtcp.write_nack(1, 2, missing))
    assert isinstance(packet, rtcp.TransportFeedback)
    assert (packet.ssrc, packet.media_ssrc) == (1, 2)
    assert rtcp.lost_packets(packet) == missing


@pytest.mark.parametrize(
    ("missing", "written"),
    [
        ([5], "00050000"),
        ([5, 6, 21], "00058001"),
        ([5, 22], "0005000000160000"),
        ([65535, 0, 15], "ffff8001"),
        ([65535, 16], "ffff000000100000"),
    ],
)
def test_the_form_of_a_request(missing: list[int], written: str) -> None:
    data = rtcp.write_nack(1, 2, missing)
    assert data.hex() == f"81cd{2 + len(written) // 8:04x}0000000100000002{written}"


def test_other_feedback_of_the_transport_asks_for_nothing() -> None:
    # TMMBR (RFC 5104 section 4.2.1)
    (packet,) = rtcp.parse_rtcp_untrusted(raw(205, 3, struct.pack("!LLLL", 1, 0, 7, 0x12345678)))
    assert isinstance(packet, rtcp.TransportFeedback)
    assert rtcp.lost_packets(packet) is None
    assert rtcp.is_keyframe_request(packet) is None
    assert rtcp.estimated_bitrate(packet) is None


# -- requests for key frames, and REMB


def feedback(form: int, fci: bytes = b"", media_ssrc: int = 0) -> rtcp.PayloadFeedback:
    (packet,) = rtcp.parse_rtcp_untrusted(raw(206, form, struct.pack("!LL", 1, media_ssrc) + fci))
    assert isinstance(packet, rtcp.PayloadFeedback)
    return packet


@pytest.mark.parametrize(
    ("fci", "targets"),
    [
        (b"", []),
        (struct.pack("!LL", 7, 0x01000000), [7]),
        (struct.pack("!LLLL", 7, 0, 8, 0), [7, 8]),
        (struct.pack("!LLL", 7, 0, 8), [7]),
    ],
)
def test_fir_names_its_streams_inside(fci: bytes, targets: list[int]) -> None:
    """RFC 5104 section 4.3.1: the field for the media source is not used."""
    packet = feedback(4, fci, 99)
    assert rtcp.feedback_targets(packet) == targets
    assert rtcp.is_keyframe_request(packet) == "fir"
    assert rtcp.estimated_bitrate(packet) is None


def test_pli_is_about_its_media_source() -> None:
    packet = feedback(1, media_ssrc=99)
    assert (packet.ssrc, rtcp.feedback_targets(packet)) == (1, [99])
    assert rtcp.is_keyframe_request(packet) == "pli"
    assert bytes(packet) == rtcp.write_pli(1, 99)


@pytest.mark.parametrize(
    ("fci", "told"), [(b"REMB\1\0\0", None), (b"XEMB\0\0\0\1", None), (b"REMB\2\0\0\1\0\0\0\1", None)]
)
def test_what_is_no_remb_says_nothing(fci: bytes, told: int | None) -> None:
    """Feedback of applications (RFC 4585 section 6.4) may be anything."""
    packet = feedback(15, fci + bytes(-len(fci) % 4), 9)
    assert rtcp.estimated_bitrate(packet) is told
    assert rtcp.feedback_targets(packet) == []
    assert rtcp.is_keyframe_request(packet) is None


@pytest.mark.parametrize("bitrate", [0, 1, 262_143, 500_000, 10**9])
def test_remb(bitrate: int) -> None:
    data = rtcp.write_remb(1, bitrate, [7, 8])
    (packet,) = rtcp.parse_rtcp_untrusted(data)
    assert isinstance(packet, rtcp.PayloadFeedback)
    # the media source is zero (draft-alvestrand-rmcat-remb-03 section 2.2)
    assert (packet.fmt, packet.ssrc, packet.media_ssrc) == (15, 1, 0)
    assert rtcp.feedback_targets(packet) == [7, 8]
    # 18 bits of mantissa
    assert rtcp.estimated_bitrate(packet) == pytest.approx(bitrate, rel=2**-17)


def test_slice_loss_asks_for_no_key_frame() -> None:
    packet = feedback(2, bytes(4), 9)
    assert rtcp.is_keyframe_request(packet) is None
    assert rtcp.estimated_bitrate(packet) is None
    assert rtcp.feedback_targets(packet) == [9]


# -- reports


def test_counts_of_a_sender_report_begin_anew_after_32_bits() -> None:
    """RFC 3550 section 6.4.1."""
    (report,) = rtcp.parse_rtcp_untrusted(rtcp.write_sender_report(5, 1, 2, (1 << 32) + 3, (5 << 32) + 4, ""))
    assert report == rtcp.SenderReport(ssrc=5, sender_info=INFO)


def test_a_source_description_names_who_sends() -> None:
    data = rtcp.write_sender_report(5, 1, 2, 3, 4, "name")
    assert data[28:].hex() == "81ca0003" + "00000005" + "0104" + b"name".hex() + "0000"
    assert len(rtcp.write_sender_report(5, 1, 2, 3, 4, "")) == 28
    # the length of an item is one octet
    long = rtcp.write_sender_report(5, 1, 2, 3, 4, "n" * 300)
    assert long[36:38] == b"\x01\xff"
    assert long.count(b"n") == 255


def test_a_receiver_report_and_a_farewell() -> None:
    assert rtcp.parse_rtcp_untrusted(rtcp.write_receiver_report(5, [BLOCK])) == [
        rtcp.ReceiverReport(ssrc=5, reports=[BLOCK])
    ]
    assert rtcp.parse_rtcp_untrusted(rtcp.write_bye([5, 6])) == [rtcp.Bye(sources=[5, 6])]


def test_reports_ask_for_nothing() -> None:
    for packet in rtcp.parse_rtcp_untrusted(REPORT + rtcp.write_receiver_report(5, [BLOCK])):
        assert not isinstance(packet, rtcp.Bye)
        assert rtcp.lost_packets(packet) is None
        assert rtcp.is_keyframe_request(packet) is None
        assert rtcp.estimated_bitrate(packet) is None
