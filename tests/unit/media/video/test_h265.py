from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.media.video import annexb, h265
from rtcpeer.media.video.pictures import PAYLOAD_MAX

START = annexb.START_CODE
VPS, SPS, PPS = b"\x40\x01vps", b"\x42\x01sps", b"\x44\x01pps"
IDR, TRAIL = b"\x26\x01" + b"idr" * 10, b"\x02\x01" + b"trail" * 10
bodies = st.binary(max_size=3000).map(lambda body: body.replace(b"\0", b"\1") + b"\x80")
units = st.lists(
    st.builds(lambda kind, body: bytes((kind << 1, 1)) + body, st.integers(0, 40), bodies), min_size=1
)


@given(units)
def test_pieces_make_the_picture_again(parts):
    data = b"".join(START + unit for unit in parts)

    payloads = h265.packetize(data)

    assert h265.depacketize(payloads) == data
    assert max(map(len, payloads)) <= PAYLOAD_MAX


def test_small_units_travel_together():
    (together,) = h265.packetize(b"".join(START + unit for unit in (VPS, SPS, PPS)))
    (alone,) = h265.packetize(START + TRAIL)

    assert together == b"\x60\x01" + b"".join(len(u).to_bytes(2, "big") + u for u in (VPS, SPS, PPS))
    assert alone == TRAIL


def test_large_units_are_fragmented():
    payloads = h265.packetize(START + b"\x26\x01" + b"x" * 3000)

    assert [payload[:3] for payload in payloads] == [b"\x62\x01\x93", b"\x62\x01\x13", b"\x62\x01\x53"]
    assert max(map(len, payloads)) - min(map(len, payloads)) < 3


def test_start_codes_of_both_lengths():
    data = b"\0\0\1" + VPS + b"\0\0\0\1" + SPS + b"\0\0\0\0\1" + PPS + b"\0"

    assert list(annexb.units(data)) == [VPS, SPS, PPS]
    assert list(annexb.units(b"no start")) == []
    assert h265.packetize(b"\0\0\1x") == []


def test_the_ends_of_a_sequence_and_of_the_stream_are_headers_alone():
    ends = [b"\x48\x01", b"\x4a\x01"]
    assert list(annexb.units(h265.depacketize([TRAIL, *ends]))) == [TRAIL, *ends]


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [b""],
        [b"\x02\x01"],
        # an aggregation packet that is cut off, or has a unit without a header
        [b"\x60\x01\x00\x09short"],
        [b"\x60\x01\x00"],
        [b"\x60\x01\x00\x01x"],
        # the end of a fragment, the beginning, and another unit within
        [b"\x62\x01\x53x"],
        [b"\x62\x01\x93x"],
        [b"\x62\x01\x93x", TRAIL],
        [b"\x62\x01\x93x", b"\x62\x01\x93x"],
        [b"\x62\x01\x93"],
        # PACI
        [b"\x64\x01xx"],
    ],
)
def test_what_is_malformed_or_torn_is_refused(payloads):
    with pytest.raises(ValueError):
        h265.depacketize(payloads)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_a_picture_or_refused(payloads):
    try:
        data = h265.depacketize(payloads)
    except ValueError:
        return
    assert len(data) <= 4 * sum(map(len, payloads))
    h265.is_keyframe(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(START + VPS + START + IDR, True), (START + IDR, True), (START + TRAIL, False), (b"", False)],
)
def test_key_frames(data, expected):
    assert h265.is_keyframe(data) is expected
