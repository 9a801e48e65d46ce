from __future__ import annotations

import pytest
from aiortc import rtp as aiortc_rtp
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.rtp import packet as rtp
from rtcpeer.rtp.outbound import HeaderTemplate
from rtcpeer.values import HeaderExtension

EXTENSIONS = (
    HeaderExtension(rtp.URI_MID, 1),
    HeaderExtension(rtp.URI_AUDIO_LEVEL, 2),
    HeaderExtension(rtp.URI_ABS_SEND_TIME, 3),
    HeaderExtension(rtp.URI_RID, 4),
    HeaderExtension(rtp.URI_REPAIRED_RID, 5),
)


@pytest.fixture
def ids():
    result = rtp.ExtensionIds()
    result.add(EXTENSIONS)
    return result


def aiortc_map():
    result = aiortc_rtp.HeaderExtensionsMap()
    result.configure(
        RTCRtpParameters(
            headerExtensions=[RTCRtpHeaderExtensionParameters(id=e.id, uri=e.uri) for e in EXTENSIONS]
        )
    )
    return result


@given(
    marker=st.booleans(),
    number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=50),
)
def test_write_and_read(marker, number, timestamp, ssrc, payload):
    data = rtp.write_rtp(96, marker, number, timestamp, ssrc, b"", payload)

    parsed = rtp.parse_rtp_untrusted(data, rtp.ExtensionIds())

    assert (parsed.marker, parsed.sequence_number, parsed.timestamp) == (int(marker), number, timestamp)
    assert (parsed.ssrc, parsed.payload_type, parsed.payload) == (ssrc, 96, payload)


@pytest.mark.parametrize("mid", ["0", "a-long-mid-value!"[:16], "a-mid-that-needs-two-byte-headers"])
def test_extensions_are_read_as_aiortc_writes_them(ids, mid):
    theirs = aiortc_rtp.RtpPacket(payload_type=100, sequence_number=7, payload=b"data")
    theirs.csrc = [1, 2]
    theirs.padding_size = 3
    theirs.extensions.mid = mid
    theirs.extensions.audio_level = (True, 30)
    theirs.extensions.abs_send_time = 0x123456
    theirs.extensions.rtp_stream_id = "hi"

    ours = rtp.parse_rtp_untrusted(theirs.serialize(aiortc_map()), ids)

    assert (ours.mid, ours.audio_level, ours.abs_send_time, ours.rid) == (mid, (True, 30), 0x123456, "hi")
    assert (ours.csrc, ours.payload, ours.padding_size) == ((1, 2), b"data", 3)


@pytest.mark.parametrize(
    "extensions", [EXTENSIONS, EXTENSIONS[:2], EXTENSIONS[:1], EXTENSIONS[2:3], ()], ids=len
)
def test_what_we_write_is_read_by_aiortc(extensions):
    template = HeaderTemplate(extensions, "mid0", "rid0")
    data = rtp.write_rtp(96, True, 1, 2, 3, template.write(1000.5, 42), b"data")

    theirs = aiortc_rtp.RtpPacket.parse(data, aiortc_map())

    uris = {e.uri for e in extensions}
    assert theirs.payload == b"data"
    assert theirs.extensions.mid == ("mid0" if rtp.URI_MID in uris else None)
    assert theirs.extensions.rtp_stream_id == ("rid0" if rtp.URI_RID in uris else None)
    if rtp.URI_ABS_SEND_TIME in uris:
        assert theirs.extensions.abs_send_time == int((1000.5 % 64) * 262144)
    elif rtp.URI_AUDIO_LEVEL in uris:
        assert theirs.extensions.audio_level == (False, 42)


def test_a_retransmission_and_back(ids):
    template = HeaderTemplate(EXTENSIONS, "m", None)
    original = rtp.write_rtp(96, True, 4711, 2, 3, template.write(1.0, 0), b"data")

    repair = rtp.rewrap_rtx(original, 97, 5, 33)
    parsed = rtp.parse_rtp_untrusted(repair, ids)
    unwrapped = rtp.unwrap_rtx(parsed, 96, 3)

    assert (parsed.payload_type, parsed.sequence_number, parsed.ssrc, parsed.mid) == (97, 5, 33, "m")
    assert (unwrapped.sequence_number, unwrapped.payload, unwrapped.ssrc) == (4711, b"data", 3)
    assert unwrapped.marker
    theirs = aiortc_rtp.unwrap_rtx(aiortc_rtp.RtpPacket.parse(repair), 96, 3)
    assert theirs.payload == b"data"


def test_a_retransmission_of_nothing(ids):
    padding = rtp.parse_rtp_untrusted(rtp.write_rtp(97, False, 1, 2, 3, b"", b""), ids)

    assert rtp.unwrap_rtx(padding, 96, 1) is None


@given(st.binary(max_size=80))
def test_anything_is_a_packet_or_a_value_error(data):
    ids = rtp.ExtensionIds()
    ids.add(EXTENSIONS)
    for first in (b"", b"\x80", b"\x90", b"\xbf"):
        try:
            rtp.parse_rtp_untrusted(first + data, ids)
        except ValueError:
            continue


def test_extension_values_that_make_no_sense_are_ignored(ids):
    elements = rtp.write_extensions([(3, b"\1"), (1, b"\xff\xfe"), (9, b"unknown")])

    parsed = rtp.parse_rtp_untrusted(rtp.write_rtp(96, False, 1, 2, 3, elements, b"x"), ids)

    assert parsed.abs_send_time is None
    assert parsed.payload == b"x"


def raw(first: int, *rest: bytes) -> bytes:
    return bytes((first, 96, 0, 1)) + bytes(4) + (7).to_bytes(4, "big") + b"".join(rest)


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        (raw(0xA0, b"abc\0\2"), b"abc"),
        (raw(0xA0, b"\1"), b""),
        (raw(0xA0, b"abc\5"), None),  # more padding than there is
        (raw(0xA0, b"abc\0"), None),  # none, though it was promised
        (raw(0xB0, b"\xbe\xde\0\1\x10a\0\5", b"abc\4"), b""),
        (raw(0xB0, b"\xbe\xde\0\1\x10a\0\5", b"abc\5"), None),  # it would begin in the header
        (raw(0x40, b"abc"), None),
        (raw(0x00, b"abc"), None),
        (raw(0xC0, b"abc"), None),
        (raw(0x81, b"abc"), None),
        (raw(0x81, b"abcd"), b""),
        (raw(0x90, b"abc"), None),
        (raw(0x90, b"\xbe\xde\0\0"), b""),
        (raw(0x90, b"\xbe\xde\0\1\x10a\0\0"), b""),
        (raw(0x90, b"\xbe\xde\0\1abc"), None),
    ],
)
def test_versions_padding_and_lengths(ids, data, payload):
    if payload is None:
        with pytest.raises(ValueError, match=r"."):
            rtp.parse_rtp_untrusted(data, ids)
    else:
        assert rtp.parse_rtp_untrusted(data, ids).payload == payload


@pytest.mark.parametrize(
    ("extension", "mid"),
    [
        (b"\xbe\xde\0\1\x10a\0\0", "a"),
        (b"\xbe\xde\0\1\xf0x\x10a", None),  # RFC 8285 4.2: nothing is read behind an id of 15
        (b"\xbe\xde\0\2\x01xx\x10a\0\0\0", None),  # and of 0 with a length
        (b"\xbe\xde\0\1\x10a\x01\x10", "a"),
        (b"\xbe\xde\0\1\0\0\x10a", "a"),
        (b"\xbe\xde\0\1\x1fabc", "abc"),  # longer than the header: what is behind it is the payload
        (b"\x10\0\0\1\1\1a\0", "a"),
        (b"\x10\0\0\1\0\1\1a", "a"),
        (b"\x10\x05\0\1\1\xffab", "ab"),
        (b"\x20\0\0\1\1\1a\0", None),
    ],
)
def test_extensions_end_where_their_header_says(ids, extension, mid):
    packet = rtp.parse_rtp_untrusted(raw(0x90, extension, b"payload"), ids)
    assert (packet.mid, packet.payload) == (mid, b"payload")


def test_a_repaired_packet_is_of_the_layer_that_was_repaired(ids):
    extensions = rtp.write_extensions([(5, b"hi"), (4, b"lo"), (1, b"0")])
    packet = rtp.parse_rtp_untrusted(rtp.write_rtp(97, False, 5, 9, 8, extensions, b"\1\2data"), ids)
    repaired = rtp.unwrap_rtx(packet, 96, 7)
    assert repaired is not None
    assert (repaired.rid, repaired.mid, repaired.sequence_number, repaired.payload) == (
        "hi",
        "0",
        258,
        b"data",
    )


def test_header_extensions_of_more_than_255_words():
    """RFC 3550 section 5.3.1: the length has 16 bits."""
    elements = rtp.write_extensions([(1, b"m")] + [(9, bytes(255))] * 4)
    assert len(elements) > 4 + 4 * 255
    data = rtp.write_rtp(96, False, 0x0909, 0x09090909, 0x09090909, elements, b"payload")
    read = rtp.parse_rtp_untrusted(data, by_ids({1: rtp.URI_MID}))
    assert (read.mid, read.payload) == ("m", b"payload")
    assert rtp.header_size(data) == 12 + len(elements)


def by_ids(uris: dict[int, str]) -> rtp.ExtensionIds:
    result = rtp.ExtensionIds()
    result.by_id.update(uris)
    return result


def test_what_looks_like_a_header_extension_is_none_without_its_bit():
    # marker and payload type 62 with this number are the profile of the short form
    data = rtp.write_rtp(62, True, 0xDE10, 0x10610000, 0x10610000, b"", b"payload")
    read = rtp.parse_rtp_untrusted(data, by_ids({1: rtp.URI_MID}))
    assert (read.mid, read.payload, read.padding_size) == (None, b"payload", 0)


@pytest.mark.parametrize(
    ("uri", "value", "attribute", "expected"),
    [
        (rtp.URI_AUDIO_LEVEL, b"\x7f", "audio_level", (False, 127)),
        (rtp.URI_AUDIO_LEVEL, b"\x80", "audio_level", (True, 0)),
        (rtp.URI_AUDIO_LEVEL, b"", "audio_level", None),
        (rtp.URI_ORIENTATION, b"", "turns", None),
        # camera and flip are above the turns (3GPP TS 26.114 section 7.4.5)
        (rtp.URI_ORIENTATION, b"\x0d", "turns", 1),
        (rtp.URI_ORIENTATION, b"\x03", "turns", 3),
        (rtp.URI_ABS_SEND_TIME, b"\1\2\3", "abs_send_time", 0x010203),
        (rtp.URI_ABS_SEND_TIME, b"\1\2\3\4", "abs_send_time", None),
        (rtp.URI_DEPENDENCY, b"abc", "dependency", b"abc"),
        (rtp.URI_REPAIRED_RID, b"hi", "repaired_rid", "hi"),
        (rtp.URI_MID, b"\xff", "mid", "\ufffd"),
    ],
)
def test_values_of_header_extensions(uri, value, attribute, expected):
    data = rtp.write_rtp(96, False, 1, 2, 3, rtp.write_extensions([(1, value)]), b"x")
    assert getattr(rtp.parse_rtp_untrusted(data, by_ids({1: uri})), attribute) == expected


def test_a_retransmission_says_of_its_packet_what_the_packet_said():
    """RFC 4588 section 4: header extensions and contributing sources are those of the original; so is the rest."""
    uris = {1: rtp.URI_MID, 2: rtp.URI_AUDIO_LEVEL, 3: rtp.URI_ORIENTATION, 4: rtp.URI_DEPENDENCY}
    uris[5] = rtp.URI_REPAIRED_RID
    elements = rtp.write_extensions([(1, b"0"), (2, b"\x85"), (3, b"\2"), (4, b"structure"), (5, b"hi")])
    written = bytearray(rtp.rewrap_rtx(rtp.write_rtp(96, True, 4711, 9, 8, elements, b""), 97, 5, 33))
    written[0] |= 2
    written[12:12] = b"\0\0\0\1\0\0\0\2"
    packet = rtp.unwrap_rtx(rtp.parse_rtp_untrusted(bytes(written), by_ids(uris)), 96, 8)
    assert packet == rtp.RtpPacket(
        96, 1, 4711, 9, 8, b"", (1, 2),
        mid="0", rid="hi", audio_level=(True, 5), turns=2, dependency=b"structure", header_size=12 + 8 + len(elements),
    )  # fmt: skip


@pytest.mark.parametrize("elements", [[], [(1, b"m")]])
def test_padding_alone(elements):
    """RFC 3550 section 5.1."""
    extensions = rtp.write_extensions(elements)
    for size in (1, 255):
        read = rtp.parse_rtp_untrusted(
            rtp.write_padding(97, 1, 2, 3, extensions, size), by_ids({1: rtp.URI_MID})
        )
        assert (read.payload, read.padding_size, read.mid) == (b"", size, "m" if elements else None)
        assert (read.payload_type, read.marker, read.sequence_number, read.timestamp, read.ssrc) == (
            97,
            0,
            1,
            2,
            3,
        )


@pytest.mark.parametrize(("identifier", "profile"), [(1, b"\xbe\xde"), (14, b"\xbe\xde"), (15, b"\x10\0")])
def test_ids_above_14_need_the_header_of_two_bytes(identifier, profile):
    written = rtp.write_extensions([(identifier, b"a")])
    assert written[:2] == profile
    data = rtp.write_rtp(96, False, 1, 2, 3, written, b"x")
    assert rtp.parse_rtp_untrusted(data, by_ids({identifier: rtp.URI_MID})).mid == "a"


@pytest.mark.parametrize(("size", "profile"), [(16, b"\xbe\xde"), (17, b"\x10\0"), (0, b"\x10\0")])
def test_long_and_empty_values_need_the_header_of_two_bytes(size, profile):
    assert rtp.write_extensions([(1, bytes(size))])[:2] == profile


@pytest.mark.parametrize("marker", [False, True])
def test_a_retransmission_has_the_marker_of_its_packet(marker):
    repair = rtp.rewrap_rtx(rtp.write_rtp(96, marker, 1, 2, 3, b"", b"data"), 97, 5, 33)
    assert repair[1] == 97 | 0x80 * marker
