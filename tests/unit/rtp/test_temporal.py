"""Which temporal layer a packet belongs to, by what each codec says."""

import pytest

from rtcpeer.rtp.payloads import read_vp8_untrusted
from rtcpeer.rtp.temporal import ALL, FrameLayer, TemporalReader
from tests.unit.rtp.packets import vp8
from tests.unit.rtp.test_dependency import flags, head, structure


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
        ("VP9", b"", 0, False, (ALL, -1)),
        ("VP9", b"\xa8", 0, False, (ALL, -1)),
        # H.265: TID of the unit header; TSA and STSA
        ("H265", bytes((1 << 1, 2, 0)), 1, True, (ALL, -1)),
        ("H265", bytes((2 << 1, 2, 0)), 1, True, (0, ALL)),
        ("H265", bytes((49 << 1, 3, 0x84)), 2, True, (1, ALL)),
        ("H265", b"\x02", 0, False, (ALL, -1)),
        ("H265", b"\x02\x02", 0, False, (ALL, -1)),
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


def test_vp8_by_its_octets() -> None:
    """RFC 7741 section 4.2: X R N S R PID; then TID, Y, KEYIDX, of which each may be there without the other."""
    for first in range(0x80, 0x100):
        starts = bool(first & 0x10) and not first & 0x07
        for last in (0x00, 0x1F, 0x20, 0x21, 0x40, 0x41, 0x60, 0x7F, 0x80, 0xA0, 0xC1, 0xFF):
            temporal, synchronized = last >> 6, bool(last & 0x20)
            found = read(TemporalReader(), "VP8", bytes((first, 0x20, last, 0)))
            opening = (temporal - 1, ALL) if temporal and synchronized else (ALL, -1)
            assert found == (temporal, starts, *opening)
        assert read(TemporalReader(), "VP8", bytes((first, 0x10, 0xFF, 0))) == (0, starts, 0, ALL)


def test_vp9_by_its_octets() -> None:
    """RFC 9628 section 4.2: I P L F B E V Z, a picture id of one or two octets, then T, U, S, D."""
    for first in range(256):
        ids = (b"\x7f", b"\x80\x00") if first & 0x80 else (b"",)
        begins = bool(first & 0x08)
        for layer in (*range(16), 0x10, 0x11, 0x20, 0x31, 0x50, 0x80, 0xE1, 0xF0):
            temporal, spatial = layer >> 5, layer >> 1 & 7
            for number in ids:
                found = read(TemporalReader(), "VP9", bytes((first,)) + number + bytes((layer,)))
                if not first & 0x20:
                    assert found == (0, begins, 0, ALL)
                else:
                    opening = (temporal, ALL) if layer & 0x10 else (ALL, -1)
                    assert found == (temporal, begins and not spatial, *opening)


def h265(kind: int, temporal: int, form: str) -> bytes:
    """A unit of H.265, alone, in fragments, or behind another of an aggregation packet (RFC 7798 section 4.4)."""
    unit = bytes((kind << 1 | 1, temporal + 1))
    if form == "fragment":
        return bytes((49 << 1 | 1, temporal + 1, 0x80 | kind))
    if form == "aggregated":
        return bytes((48 << 1 | 1, temporal + 1, 0, 2)) + unit + b"\0\x03abc"
    return unit + b"a"


@pytest.mark.parametrize("form", ["single", "fragment", "aggregated"])
def test_h265_by_its_kinds(form: str) -> None:
    """Table 7-1: from TSA (2, 3) on all higher layers can be decoded, from STSA (4, 5) on the one of the picture."""
    for temporal in range(6):
        for kind in range(48):
            reader = TemporalReader()
            read(reader, "H265", h265(1, 6, "single"))
            opening = (ALL, -1)
            if temporal and kind in (2, 3):
                opening = (temporal - 1, ALL)
            if temporal and kind in (4, 5):
                opening = (temporal - 1, temporal)
            assert read(reader, "H265", h265(kind, temporal, form)) == (temporal, True, *opening)


def test_h265_that_says_little() -> None:
    # an aggregation packet of nothing; one of one octet; a temporal id that is forbidden
    assert read(TemporalReader(), "H265", bytes((48 << 1, 2, 0, 0))) == (1, True, ALL, -1)
    assert read(TemporalReader(), "H265", bytes((48 << 1, 2, 0, 1, 2 << 1))) == (1, True, 0, ALL)
    assert read(TemporalReader(), "H265", bytes((1 << 1, 0, 0))) == (0, True, ALL, -1)


# dependency descriptors: three temporal layers, and for each a decode target; what each frame is for each of them
NOT_PRESENT, DISCARDABLE, SWITCH, REQUIRED = range(4)
L1T3 = [
    [SWITCH, SWITCH, SWITCH],
    [NOT_PRESENT, SWITCH, REQUIRED],
    [NOT_PRESENT, NOT_PRESENT, DISCARDABLE],
]


def test_the_layers_of_a_dependency_descriptor() -> None:
    """AV1 RTP section A.2: who gets all that a frame needs can switch to a decode target where it says so."""
    begin = structure(flags(head(0), structure=1), [1, 1], targets=3, indications=L1T3).data
    reader = TemporalReader(begin)
    assert [read(reader, "AV1", b"\0", head(template).data) for template in (0, 1, 2)] == [
        (0, True, 0, ALL),
        (1, True, 1, 1),
        (2, True, 2, -1),
    ]
    assert not read(reader, "AV1", b"\0", head(1, starts=0).data).starts
    # a frame says itself that it opens the highest layer, and that it opens none
    own = flags(head(1), dtis=1).put(*((one, 2) for one in (NOT_PRESENT, REQUIRED, SWITCH))).data
    assert read(reader, "AV1", b"\0", own) == (1, True, 1, ALL)
    own = flags(head(0), dtis=1).put(*((REQUIRED, 2) for _ in range(3))).data
    assert read(reader, "AV1", b"\0", own) == (0, True, 0, -1)


def test_a_new_structure_has_layers_of_its_own() -> None:
    reader = TemporalReader(structure(flags(head(0), structure=1), [1, 1], targets=3, indications=L1T3).data)
    begin = structure(
        flags(head(0), structure=1), [1], targets=2, indications=[[SWITCH, SWITCH], [NOT_PRESENT, SWITCH]]
    ).data
    found = reader.read_untrusted("AV1", b"\0", begin, None, is_key=True)
    assert found == (0, True, 0, ALL)
    assert read(reader, "AV1", b"\0", head(1).data) == (1, True, 1, ALL)


def test_a_picture_begins_with_its_lowest_spatial_layer() -> None:
    begin = structure(
        flags(head(0), structure=1), [2], targets=2, indications=[[SWITCH, SWITCH], [NOT_PRESENT, SWITCH]]
    ).data
    reader = TemporalReader(begin)
    assert [read(reader, "AV1", b"\0", head(template).data).starts for template in (0, 1)] == [True, False]


def test_a_decode_target_of_nothing_has_the_lowest_layer() -> None:
    begin = structure(
        flags(head(0), structure=1),
        [1],
        targets=2,
        indications=[[NOT_PRESENT, SWITCH], [NOT_PRESENT, SWITCH]],
    ).data
    own = flags(head(0), dtis=1).put((SWITCH, 2), (NOT_PRESENT, 2)).data
    assert read(TemporalReader(begin), "AV1", b"\0", own) == (0, True, 0, 0)
