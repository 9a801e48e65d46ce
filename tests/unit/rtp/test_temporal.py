"""Which temporal layer a packet belongs to, by what each codec says."""

import pytest

from rtcpeer.rtp.payloads import read_vp8_untrusted
from rtcpeer.rtp.temporal import ALL, FrameLayer, TemporalReader
from tests.unit.rtp.packets import vp8

# of Chromium's encoder: L1T3 of AV1, a key frame with its structure, then three of its templates
STRUCTURE = bytes.fromhex("c0000180014214eaa860414d141020842701df00d8")


def read(reader: TemporalReader, codec: str, payload: bytes, descriptor: bytes | None = None) -> FrameLayer:
    descriptor_of_vp8 = read_vp8_untrusted(payload) if codec == "VP8" else None
    return reader.read_untrusted(codec, payload, descriptor, descriptor_of_vp8, is_key=False)


@pytest.mark.parametrize(
    ("codec", "payload", "temporal", "starts", "opening"),
    [
        # RFC 7741: TID and Y
        ("VP8", vp8(1, temporal=0, synchronized=False), 0, True, (ALL, -1)),
        ("VP8", vp8(1, temporal=1), 1, True, (0, ALL)),
        ("VP8", vp8(1, temporal=2, start=False), 2, False, (1, ALL)),
        ("VP8", vp8(1, temporal=2, synchronized=False), 2, True, (ALL, -1)),
        ("VP8", b"\x10\x01abc", 0, True, (0, ALL)),
        # RFC 9628: I, L and B; then T, U, S, D
        ("VP9", bytes((0xA8, 0x81, 0x02, 0b01010000, 0)), 2, True, (2, ALL)),
        ("VP9", bytes((0xA8, 0x01, 0b00100000, 0)), 1, True, (ALL, -1)),
        ("VP9", bytes((0xA8, 0x01, 0b00100010, 0)), 1, False, (ALL, -1)),
        ("VP9", bytes((0x88, 0x01, 0x55)), 0, True, (0, ALL)),
        ("VP9", b"\xa8\x81\x02", 0, False, (ALL, -1)),
        ("VP9", b"", 0, False, (0, ALL)),
        # H.265: TID of the unit header; TSA and STSA
        ("H265", bytes((1 << 1, 2, 0)), 1, True, (ALL, -1)),
        ("H265", bytes((2 << 1, 2, 0)), 1, True, (0, ALL)),
        ("H265", bytes((49 << 1, 3, 0x84)), 2, True, (1, ALL)),
        ("H265", b"\x02", 0, False, (ALL, -1)),
        ("H264", b"\x41abc", 0, True, (0, ALL)),
    ],
)
def test_payloads(codec: str, payload: bytes, temporal: int, starts: bool, opening: tuple[int, int]) -> None:
    found = read(TemporalReader(), codec, payload)
    assert (found.temporal, found.starts) == (temporal, starts)
    assert (found.opens_from, found.opens_to) == opening


def test_a_key_frame_opens_everything() -> None:
    found = TemporalReader().read_untrusted("VP8", vp8(1), None, read_vp8_untrusted(vp8(1)), is_key=True)
    assert found == (0, True, 0, ALL)


def test_a_layer_above_which_there_are_others_opens_only_itself() -> None:
    reader = TemporalReader()
    read(reader, "VP8", vp8(1, temporal=2))
    assert read(reader, "VP8", vp8(2, temporal=1))[2:] == (0, 1)
    assert read(reader, "VP8", vp8(3, temporal=2))[2:] == (1, ALL)


def test_what_cannot_be_read_is_what_everybody_gets() -> None:
    reader = TemporalReader()
    assert read(reader, "AV1", b"\x00", b"\xc1\x00\x01") == (0, True, ALL, -1)
    assert read(reader, "AV1", b"\x00", b"\xc1") == (0, True, ALL, -1)
