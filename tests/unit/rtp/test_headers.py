"""What follows the fixed header, as each kind of subscriber gets it: payload types, extensions, the time of sending."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.headers import HOP_BY_HOP, URI_ABS_SEND_TIME, URI_MID, URI_TRANSPORT_CC, HeaderPlan
from rtcpeer.rtp.relay_packet import RelayPacket, read_elements, read_packet_untrusted

LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"


def packet(elements=(), *, marker=0x80, contributors=b""):
    made = RelayPacket(96, marker, 7, 5, 10, b"payload")
    made.elements = list(elements)
    made.csrc_bytes, made.csrc_count = contributors, len(contributors) // 4
    return made


def sent(plan, given, now=0.0):
    """The packet that goes out, as its receiver reads it."""
    first, second, body, at = plan.write(given, now)
    data = bytes((first, second)) + bytes(10) + body
    read = read_packet_untrusted(data, {number: str(number) for number in range(1, 256)})
    assert body[at:] == read.payload == given.payload
    assert plan.overhead == at
    return read


def test_payload_types_are_those_of_the_subscriber():
    plan = HeaderPlan({96: 100, 97: 5}, "", {})
    assert plan.write(packet(), 0.0) == (0x80, 0xE4, b"payload", 0)
    assert plan.write(packet(marker=0), 0.0) == (0x80, 0x64, b"payload", 0)
    assert plan.payload_types == {96: 100, 97: 5}


def test_what_the_subscriber_has_not_negotiated_is_not_for_it():
    assert HeaderPlan({97: 5}, "", {}).write(packet(), 0.0) is None


def test_contributing_sources_stay():
    read = sent(
        HeaderPlan({96: 100}, "a", {URI_MID: 4}), packet(contributors=bytes.fromhex("0000000100000002"))
    )
    assert read.csrc == (1, 2)
    assert read.elements == [("4", b"a")]


def test_extensions_have_the_ids_of_the_subscriber():
    """Those that it has not negotiated are left out (RFC 8285 section 5)."""
    plan = HeaderPlan({96: 100}, "a", {LEVEL: 9, URI_MID: 4})
    read = sent(plan, packet([(LEVEL, b"\x20"), ("urn:else", b"x")]))
    assert sorted(read.elements) == [("4", b"a"), ("9", b"\x20")]
    assert sent(plan, packet()).elements == [("4", b"a")]


@pytest.mark.parametrize("uri", sorted(HOP_BY_HOP))
def test_what_is_between_the_source_and_us_goes_no_further(uri):
    read = sent(HeaderPlan({96: 100}, "", {uri: 3}), packet([(uri, b"from the source")]))
    assert all(value != b"from the source" for _, value in read.elements)


def test_what_only_one_hop_knows():
    """A subscriber would take another transport's numbers, times, names and frames for ours."""
    assert {
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "urn:ietf:params:rtp-hdrext:sdes:mid",
        "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    } <= HOP_BY_HOP


@pytest.mark.parametrize(("name", "is_sent"), [("", False), ("a", True), ("m" * 16, True), ("m" * 17, False)])
def test_the_mid_is_in_each_packet_if_it_fits_the_one_byte_form(name, is_sent):
    plan = HeaderPlan({96: 100}, name, {URI_MID: 4})
    assert sent(plan, packet()).elements == ([("4", name.encode())] if is_sent else [])
    assert HeaderPlan({96: 100}, name, {}).fixed_extensions == b""


@pytest.mark.parametrize("number", [1, 14])
def test_the_transport_finds_its_number_at_the_beginning(number):
    """It writes it when the packet leaves: two octets behind the extensions' own header and the element's."""
    plan = HeaderPlan({96: 100}, "a", {URI_TRANSPORT_CC: number, URI_MID: 4, LEVEL: 5})
    for given in (packet(), packet([(LEVEL, b"\x20")])):
        body = plan.write(given, 0.0)[2]
        assert body[:2] == b"\xbe\xde"
        assert body[4:7] == bytes((number << 4 | 1, 0, 0))
    assert plan.fixed_extensions == plan.write(packet(), 0.0)[2][: -len(b"payload")]


@pytest.mark.parametrize("number", [0, 15, 200])
def test_a_number_that_the_one_byte_form_cannot_name_is_not_written(number):
    """Then the time of sending is, as the receiver may estimate by that."""
    ids = {URI_TRANSPORT_CC: number, URI_ABS_SEND_TIME: 3}
    assert [uri for uri, _ in sent(HeaderPlan({96: 100}, "", ids), packet()).elements] == ["3"]
    assert HeaderPlan({96: 100}, "", ids).fixed_extensions == b""


@pytest.mark.parametrize(
    ("now", "stamp"),
    # 24 bits: 6 of whole seconds, 18 of their parts
    [(0.0, "000000"), (1.0, "040000"), (63.5, "fe0000"), (64.25, "010000"), (1e9 + 2**-18, "000001")],
)
def test_the_time_of_sending(now, stamp):
    plan = HeaderPlan({96: 100}, "", {URI_ABS_SEND_TIME: 3, LEVEL: 5})
    assert sent(plan, packet(), now).elements == [("3", bytes.fromhex(stamp))]
    read = sent(plan, packet([(LEVEL, b"\x20")]), now)
    assert sorted(read.elements) == [("3", bytes.fromhex(stamp)), ("5", b"\x20")]


@pytest.mark.parametrize("number", [1, 14])
def test_who_numbers_packets_does_not_stamp_them(number):
    """The transport knows itself when a numbered packet left."""
    plan = HeaderPlan({96: 100}, "", {URI_TRANSPORT_CC: number, URI_ABS_SEND_TIME: 3})
    assert [uri for uri, _ in sent(plan, packet()).elements] == [str(number)]


def test_what_each_packet_has_is_known_before_the_first():
    """By this, padding is written and room for the payload is reckoned."""
    plan = HeaderPlan({96: 100}, "abc", {URI_MID: 4})
    assert plan.overhead == len(plan.fixed_extensions) == 8
    assert read_elements(plan.fixed_extensions, 0, 8, {4: "mid"}) == [("mid", b"abc")]


def test_equal_plans_are_one_kind():
    one = HeaderPlan({96: 100, 97: 5}, "0", {LEVEL: 5, URI_MID: 4})
    same = HeaderPlan({97: 5, 96: 100}, "0", {URI_MID: 4, LEVEL: 5})
    assert one == same
    assert hash(one) == hash(same)
    others = [
        HeaderPlan({96: 100}, "0", {LEVEL: 5, URI_MID: 4}),
        HeaderPlan({96: 100, 97: 5}, "1", {LEVEL: 5, URI_MID: 4}),
        HeaderPlan({96: 100, 97: 5}, "0", {LEVEL: 6, URI_MID: 4}),
        "a plan",
    ]
    assert all(one != other for other in others)
