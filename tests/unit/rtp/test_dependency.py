"""The AV1 dependency descriptor, against a writer of bits that follows the specification's syntax (section A.8.2)."""

from __future__ import annotations

import pytest

from rtcpeer.rtp.dependency import DescriptorReader, Template, begins_keyframe


class Bits:
    """Writes numbers of any width, from the highest bit on."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, *pairs: tuple[int, int]) -> Bits:
        for value, width in pairs:
            self.text += format(value, f"0{width}b") if width else ""
        return self

    def put_nonsymmetric(self, value: int, count: int) -> Bits:
        """ns(count), as the AV1 specification writes it (section 4.10.7)."""
        width = count.bit_length()
        short = (1 << width) - count
        return self.put((value, width - 1)) if value < short else self.put((value + short, width))

    @property
    def data(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big") if padded else b""


def head(template: int, number: int = 7, *, starts: int = 1, ends: int = 0) -> Bits:
    return Bits().put((starts, 1), (ends, 1), (template, 6), (number, 16))


def flags(
    bits: Bits, structure: int = 0, active: int = 0, dtis: int = 0, differences: int = 0, chains: int = 0
) -> Bits:
    return bits.put(*((flag, 1) for flag in (structure, active, dtis, differences, chains)))


def structure(
    bits: Bits,
    layers: list[int],
    *,
    offset: int = 0,
    targets: int = 2,
    chains: int = 0,
    indications: list[list[int]] | None = None,
    differences: list[list[int]] | None = None,
    resolutions: list[tuple[int, int]] | None = None,
) -> Bits:
    """A structure; `layers` are the steps from one template to the next: 0 the same, 1 temporal, 2 spatial."""
    bits.put((offset, 6), (targets - 1, 5), *((step, 2) for step in layers), (3, 2))
    count = len(layers) + 1
    for own in indications or [[target % 4 for target in range(targets)] for _ in range(count)]:
        bits.put(*((one, 2) for one in own))
    for own in differences or [[] for _ in range(count)]:
        for one in own:
            bits.put((1, 1), (one - 1, 4))
        bits.put((0, 1))
    bits.put_nonsymmetric(chains, targets + 1)
    if chains:
        for target in range(targets):
            bits.put_nonsymmetric(target % chains, chains)
        bits.put(*((place % 16, 4) for place in range(count) for _ in range(chains)))
    bits.put((int(resolutions is not None), 1))
    for width, height in resolutions or []:
        bits.put((width - 1, 16), (height - 1, 16))
    return bits


def key_frame(**options: object) -> bytes:
    return structure(flags(head(0), structure=1), [1, 2, 1], **options).data  # type: ignore[arg-type]


def test_a_structure_and_its_templates():
    reader = DescriptorReader()
    data = key_frame(chains=2, differences=[[], [1], [1, 16], [2]], resolutions=[(640, 360), (1280, 720)])
    found = reader.read_untrusted(data)
    assert (found.starts, found.ends, found.frame_number) == (True, False, 7)
    assert found.structure is reader.structure
    assert found.structure is not None
    assert found.structure.templates == (
        Template(0, 0, (0, 1), (), (0, 0)),
        Template(0, 1, (0, 1), (1,), (1, 1)),
        Template(1, 0, (0, 1), (1, 16), (2, 2)),
        Template(1, 1, (0, 1), (2,), (3, 3)),
    )
    assert found.structure.protected_by == (0, 1)
    assert (found.active_targets, found.resolution) == (0b11, (640, 360))
    later = reader.read_untrusted(head(2, 8, starts=0, ends=1).data)
    assert (later.starts, later.ends, later.spatial_id, later.temporal_id) == (False, True, 1, 0)
    assert (later.differences, later.resolution) == ((1, 16), (1280, 720))
    assert (later.structure, later.active_targets) == (None, None)


@pytest.mark.parametrize(("targets", "chains"), [(1, 0), (1, 1), (2, 1), (3, 3), (8, 5), (32, 32), (32, 31)])
def test_any_number_of_targets_and_chains(targets, chains):
    found = DescriptorReader().read_untrusted(key_frame(targets=targets, chains=chains))
    assert found.structure is not None
    assert found.structure.targets == targets
    assert found.structure.protected_by == tuple(target % chains for target in range(targets) if chains)
    assert found.chains == (0,) * chains
    assert found.indications == tuple(target % 4 for target in range(targets))
    assert found.active_targets == (1 << targets) - 1


def test_what_a_frame_says_of_itself_goes_before_its_template():
    reader = DescriptorReader()
    reader.read_untrusted(key_frame(chains=1, differences=[[], [1], [], []]))
    bits = flags(head(1), active=1, dtis=1, differences=1, chains=1)
    bits.put((0b01, 2), (3, 2), (2, 2))
    bits.put((1, 2), (15, 4), (2, 2), (16, 8), (3, 2), (4095, 12), (0, 2))
    found = reader.read_untrusted(bits.put((200, 8)).data)
    assert found.active_targets == 0b01
    assert found.indications == (3, 2)
    assert found.differences == (16, 17, 4096)
    assert found.chains == (200,)
    assert reader.read_untrusted(head(1).data).differences == (1,)  # the template's


def test_templates_are_numbered_from_an_offset_and_around():
    reader = DescriptorReader()
    reader.read_untrusted(structure(flags(head(62), structure=1), [1, 2, 1], offset=62).data)
    assert [reader.read_untrusted(head(one).data).spatial_id for one in (62, 63, 0, 1)] == [0, 0, 1, 1]
    for none in (2, 61):
        with pytest.raises(ValueError, match="which there is not"):
            reader.read_untrusted(head(none).data)


def test_without_a_structure_nothing_can_be_read():
    for data in (head(0).data, flags(head(0), active=1).data):
        with pytest.raises(ValueError, match="was not seen"):
            DescriptorReader().read_untrusted(data)


def test_a_cut_off_structure_changes_nothing():
    whole = key_frame(chains=1, resolutions=[(1, 1), (65536, 65536)])
    reader = DescriptorReader()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="dependency"):
            reader.read_untrusted(whole[:size])
    assert reader.structure is None
    before = reader.read_untrusted(whole).structure
    with pytest.raises(ValueError, match="cut off"):
        reader.read_untrusted(whole[:-1])
    assert reader.structure is before


def test_a_structure_whose_frame_is_none_of_it_is_not_kept():
    reader = DescriptorReader()
    with pytest.raises(ValueError, match="which there is not"):
        reader.read_untrusted(structure(flags(head(9), structure=1), [1]).data)
    assert reader.structure is None


@pytest.mark.parametrize(
    ("layers", "fault"),
    [([0] * 64, "too many templates"), ([1] * 8, "too many layers"), ([2] * 4, "too many layers")],
)
def test_structures_beyond_bounds(layers, fault):
    with pytest.raises(ValueError, match=fault):
        DescriptorReader().read_untrusted(structure(flags(head(0), structure=1), layers).data)


@pytest.mark.parametrize("layers", [[0] * 63, [1] * 7, [2] * 3])
def test_structures_at_the_bounds(layers):
    found = DescriptorReader().read_untrusted(structure(flags(head(0), structure=1), layers).data)
    assert found.structure is not None
    assert len(found.structure.templates) == len(layers) + 1


def test_a_frame_that_needs_too_many_others():
    reader = DescriptorReader()
    reader.read_untrusted(key_frame())
    most = flags(head(1), differences=1).put(*[(1, 2), (0, 4)] * 64, (0, 2))
    assert len(reader.read_untrusted(most.data).differences) == 64
    more = flags(head(1), differences=1).put(*[(1, 2), (0, 4)] * 65, (0, 2))
    with pytest.raises(ValueError, match="too many others"):
        reader.read_untrusted(more.data)
    template = structure(flags(head(0), structure=1), [], differences=[[1] * 64])
    assert len(reader.read_untrusted(template.data).differences) == 64
    template = structure(flags(head(0), structure=1), [], differences=[[1] * 65])
    with pytest.raises(ValueError, match="too many frames"):
        reader.read_untrusted(template.data)


def test_where_key_frames_begin():
    assert begins_keyframe(key_frame())
    assert not begins_keyframe(structure(flags(head(0, starts=0), structure=1), [1]).data)
    assert not begins_keyframe(structure(flags(head(1, starts=0), structure=1), [1]).data)
    assert not begins_keyframe(flags(head(0), active=1).data)
    assert not begins_keyframe(flags(head(0), active=1).put((0b111, 3)).data)
    assert not begins_keyframe(head(0).data)
    assert not begins_keyframe(b"")


def test_four_octets_may_say_which_targets_are_sent():
    reader = DescriptorReader()
    reader.read_untrusted(key_frame(targets=3))
    data = flags(head(1), active=1).put((0b101, 3)).data
    assert len(data) == 4
    assert reader.read_untrusted(data).active_targets == 0b101


def test_the_last_field_may_end_with_the_last_octet():
    reader = DescriptorReader()
    reader.read_untrusted(key_frame(targets=3, chains=2))
    bits = flags(head(1), active=1, chains=1).put((0b111, 3), (0xAB, 8), (0xCD, 8))
    assert len(bits.text) % 8 == 0
    assert reader.read_untrusted(bits.data).chains == (0xAB, 0xCD)
