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
