from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.media.video import av1
from rtcpeer.media.video.pictures import PAYLOAD_MAX

DELIMITER = b"\x12\x00"


def obu(kind: int, body: bytes, *, extension: bytes = b"") -> bytes:
    header = kind << 3 | (4 if extension else 0) | 2
    return bytes((header,)) + extension + av1.write_leb128(len(body)) + body


SEQUENCE, FRAME = obu(1, b"seq"), obu(6, b"frame" * 10)
units = st.lists(
    st.builds(
        lambda kind, body, extension: obu(kind, body, extension=extension),
        st.sampled_from([1, 3, 4, 5, 6]),
        st.binary(max_size=3000),
        st.sampled_from([b"", b"\x28"]),
    ),
    min_size=1,
    max_size=6,
)


@given(units)
def test_pieces_make_the_picture_again(parts):
    data = DELIMITER + b"".join(parts)

    payloads = av1.packetize(data)

    assert av1.depacketize(payloads) == data
    assert max(map(len, payloads)) <= PAYLOAD_MAX


def test_the_aggregation_header():
    assert av1.packetize(DELIMITER + SEQUENCE + obu(6, b"f")) == [b"\x08\x04\x08seq\x02\x30f"]
    assert av1.packetize(DELIMITER + obu(6, b"f")) == [b"\x00\x02\x30f"]
    first, second = av1.packetize(SEQUENCE + obu(6, bytes(1500)))
    # N and Y, then Z
    assert (first[0], second[0]) == (0x48, 0x80)


def test_what_is_not_sent():
    assert av1.packetize(DELIMITER) == []
    assert av1.packetize(DELIMITER + obu(15, b"padding") + obu(8, b"tiles") + obu(6, b"f")) == [
        b"\x00\x02\x30f"
    ]
    # an OBU without a size is the last one
    assert av1.packetize(DELIMITER + b"\x30f") == [b"\x00\x02\x30f"]


@pytest.mark.parametrize(
    ("payloads", "data"),
    [
        # W = 1: no length
        ([b"\x18\x08seq"], SEQUENCE),
        # W = 2: the last one has none
        ([b"\x28\x04\x08seq\x30f"], SEQUENCE + obu(6, b"f")),
        # W = 0: all have one
        ([b"\x08\x04\x08seq\x02\x30f"], SEQUENCE + obu(6, b"f")),
        # in two packets, with W = 1
        ([b"\x50\x30fr", b"\x90ame"], obu(6, b"frame")),
        # in three, with something behind
        ([b"\x50\x30f", b"\xd0ra", b"\xa0\x02me\x30x"], obu(6, b"frame") + obu(6, b"x")),
        # with its size, which is allowed
        ([b"\x10" + FRAME], FRAME),
        # a delimiter that should not be there, and an empty element
        ([b"\x20\x01\x10\x30f"], obu(6, b"f")),
        ([b"\x00\x00\x02\x30f"], obu(6, b"f")),
    ],
)
def test_what_others_send(payloads, data):
    assert av1.depacketize(payloads) == DELIMITER + data


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [b""],
        [b"\x10"],
        [b"\x00"],
        [b"\x90rest"],
        [b"\x50\x30f"],
        [b"\x50\x30f", b"\x10\x30f"],
        [b"\x00\x09short"],
        [b"\x00\xff\xff\xff\xff\xff\x01"],
        [b"\x00\xff"],
        [b"\x30\x01a"],
    ],
)
def test_what_is_malformed_or_torn_is_refused(payloads):
    with pytest.raises(ValueError):
        av1.depacketize(payloads)


@pytest.mark.parametrize("data", [b"\x32\x09short", b"\x32\xff", b"\x36"])
def test_what_no_encoder_gives_is_refused(data):
    with pytest.raises(ValueError):
        av1.packetize(data)


def test_too_many_pieces_are_refused():
    with pytest.raises(ValueError):
        av1.depacketize([b"\x00" + b"\x01\x30" * 5000])


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_a_picture_or_refused(payloads):
    try:
        data = av1.depacketize(payloads)
    except ValueError:
        return
    # each element may grow by its size, written in up to five bytes
    assert len(data) <= 2 + 6 * sum(map(len, payloads))
    av1.is_keyframe(data)


@given(st.integers(0, (1 << 35) - 1), st.binary(max_size=3))
def test_leb128(value, rest):
    data = av1.write_leb128(value)

    assert av1.read_leb128(data + rest, 0) == (value, len(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(DELIMITER + SEQUENCE + FRAME, True), (SEQUENCE, True), (DELIMITER + FRAME, False), (DELIMITER, False)],
)
def test_key_frames(data, expected):
    assert av1.is_keyframe(data) is expected
