from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.media.video import vp9
from rtcpeer.media.video.pictures import PAYLOAD_MAX


@pytest.mark.parametrize("length", [1, 500, 1170, 1171, 1177, 5000])
@pytest.mark.parametrize("is_key", [True, False])
def test_pieces_make_the_picture_again(length, is_key):
    data = bytes(i & 0xFF for i in range(length))

    payloads = vp9.packetize(data, 0x1234, is_key=is_key, size=(640, 480))

    assert vp9.depacketize(payloads) == data
    assert max(map(len, payloads)) <= PAYLOAD_MAX
    assert payloads[0][0] & 0x08
    assert payloads[-1][0] & 0x04
    assert {payload[1:3] for payload in payloads} == {b"\x92\x34"}


def test_the_descriptor_of_a_key_picture_and_of_others():
    (key,) = vp9.packetize(b"x", 1, is_key=True, size=(640, 480))
    (other,) = vp9.packetize(b"x", 1, is_key=False, size=(640, 480))
    (unknown,) = vp9.packetize(b"x", 1, is_key=True, size=(0, 0))

    # I F B E V, id, one spatial layer with its resolution (RFC 9628 section 4.2)
    assert key == b"\x9e\x80\x01\x10\x02\x80\x01\xe0x"
    # I P F B E, id, refers to the picture before it
    assert other == b"\xdc\x80\x01\x02x"
    assert unknown == b"\x9c\x80\x01x"


@pytest.mark.parametrize(
    ("payloads", "data"),
    [
        # non-flexible mode of a browser: I L B E V, 7 bits of id, layers, TL0PICIDX, structure with pictures
        ([b"\xae\x05\x00\x07\x18\x02\x80\x01\xe0\x01\x04\x01KEY"], b"KEY"),
        # I P L B E in non-flexible mode
        ([b"\xec\x85\x06\x10\x08DELTA"], b"DELTA"),
        # flexible with layers and two references
        ([b"\xfc\x85\x06\x10\x03\x04DELTA"], b"DELTA"),
        # two spatial layers in one picture, the second in two packets
        (
            [b"\xac\x85\x06\x00\x08low", b"\xa8\x85\x06\x03\x08hi", b"\xa4\x85\x06\x03\x08gh"],
            # a superframe with its index (VP9 annex B)
            b"lowhigh\xd9\x03\0\0\0\x04\0\0\0\xd9",
        ),
        # without anything
        ([b"\x0cx"], b"x"),
        # structure of three layers with resolutions
        ([b"\x0e\x50" + bytes(12) + b"x"], b"x"),
    ],
)
def test_what_others_send(payloads, data):
    assert vp9.depacketize(payloads) == data


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [b""],
        [b"\x80"],
        [b"\x0c"],
        [b"\x04end"],
        [b"\x08begin"],
        [b"\x08begin", b"\x08begin"],
        [b"\x1cx"],
        [b"\xdc\x01\x03\x03\x03\x02x"],
        [b"\xdc\x01\x03"],
        [b"\x0e\x10\x00"],
        [b"\x0e\x08\x05x"],
    ],
)
def test_what_is_malformed_or_torn_is_refused(payloads):
    with pytest.raises(ValueError):
        vp9.depacketize(payloads)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_a_picture_or_refused(payloads):
    try:
        data = vp9.depacketize(payloads)
    except ValueError:
        return
    # of several layers it has an index
    assert 0 < len(data) <= sum(map(len, payloads)) + 2 + 4 * 8
    vp9.is_keyframe(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x82", True),
        (b"\x86", False),
        (b"\x8a", False),
        (b"\xb1", True),
        (b"\xb2", False),
        (b"\x02", False),
    ],
)
def test_key_frames(data, expected):
    assert vp9.is_keyframe(data) is expected


class Piece(bytes):
    """Bytes that count what is copied when they are added to others."""

    copied = 0

    def __getitem__(self, key):
        piece = super().__getitem__(key)
        return Piece(piece) if isinstance(piece, bytes) else piece

    def __add__(self, other):
        Piece.copied += len(self) + len(other)
        return Piece(super().__add__(other))


def test_a_large_picture_is_copied_once(monkeypatch):
    monkeypatch.setattr(Piece, "copied", 0)
    data = bytes(300_000)
    payloads = [Piece(payload) for payload in vp9.packetize(data, 1, is_key=True, size=(640, 480))]
    assert vp9.depacketize(payloads) == data
    assert Piece.copied <= len(data)
