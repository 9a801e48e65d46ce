"""The AV1 dependency descriptor (AV1 RTP specification, appendix A): which layer a frame belongs to, what it needs.

Any codec may carry it. A structure of templates comes with key frames, and every later packet refers to it, so reading
is stateful per stream. Bounded: a structure has at most 64 templates, 32 decode targets and as many
chains, a frame at most 64 dependencies. Pure.
"""

from __future__ import annotations

from dataclasses import field

from rtcpeer.records import record

_TEMPLATES_MAX = 64
_DIFFERENCES_MAX = 64


@record(frozen=True, slots=True)
class Template:
    """A frame template: layers, decode targets, and how far back the frames are that one of this kind needs."""

    spatial_id: int
    temporal_id: int
    indications: tuple[int, ...] = ()
    differences: tuple[int, ...] = ()
    chains: tuple[int, ...] = ()


@record(frozen=True, slots=True)
class Structure:
    """Templates of a stream from a key frame on."""

    offset: int
    targets: int
    templates: tuple[Template, ...]
    protected_by: tuple[int, ...] = ()
    resolutions: tuple[tuple[int, int], ...] = ()


@record(frozen=True, slots=True)
class Descriptor:
    """The dependency descriptor of one packet.

    Attributes:
        starts, ends: whether it is the first or last packet of its frame.
        frame_number: 16 bits.
        differences: how many frames back those are that this one needs; none for a key frame.
        indications: per decode target, 0 not present, 1 discardable, 2 switch, 3 required.
        structure: that came with it, if one did: a key frame begins.
        active_targets: a bit for each decode target that is sent; None where it is not said.
    """

    starts: bool
    ends: bool
    frame_number: int
    spatial_id: int
    temporal_id: int
    differences: tuple[int, ...]
    indications: tuple[int, ...]
    chains: tuple[int, ...]
    structure: Structure | None = None
    active_targets: int | None = None
    resolution: tuple[int, int] | None = None


@record(slots=True)
class _Bits:
    """Reads numbers of any width, from the highest bit on."""

    data: bytes
    at: int = 0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = 8 * len(self.data)

    def read(self, width: int) -> int:
        end = self.at + width
        if end > self.size:
            raise ValueError("the dependency descriptor is cut off")
        first, last = self.at // 8, (end + 7) // 8
        value = int.from_bytes(self.data[first:last], "big") >> (8 * last - end)
        self.at = end
        return value & (1 << width) - 1

    def read_nonsymmetric(self, count: int) -> int:
        """A value below `count`, in as few bits as it takes (section A.8.2, "ns(n)")."""
        width = count.bit_length()
        short = (1 << width) - count
        value = self.read(width - 1)
        if value < short:
            return value
        return (value << 1) - short + self.read(1)


def begins_keyframe(data: bytes) -> bool:
    """Whether a descriptor is that of the first packet of a key frame: a structure comes with it."""
    return len(data) > 3 and bool(data[0] & 0x80) and bool(data[3] & 0x80)


class DescriptorReader:
    """Reads the descriptors of one stream, in order."""

    def __init__(self) -> None:
        self._structure: Structure | None = None

    @property
    def structure(self) -> Structure | None:
        """The structure in force."""
        return self._structure

    def read_untrusted(self, data: bytes) -> Descriptor:
        """Read the descriptor of a packet.

        Raises:
            ValueError: it is malformed, or refers to a structure that has not been seen.
        """
        bits = _Bits(data)
        starts, ends = bool(bits.read(1)), bool(bits.read(1))
        template_id, frame_number = bits.read(6), bits.read(16)
        structure, found, active = self._structure, None, None
        own_indications = own_differences = own_chains = False
        if len(data) > 3:
            has_structure, has_active = bits.read(1), bits.read(1)
            own_indications, own_differences, own_chains = (bool(bits.read(1)) for _ in range(3))
            if has_structure:
                structure = found = _read_structure(bits)
                active = (1 << structure.targets) - 1
            if structure is not None and has_active:
                active = bits.read(structure.targets)
        if structure is None:
            raise ValueError("the dependency descriptor refers to a structure that was not seen")
        index = (template_id + _TEMPLATES_MAX - structure.offset) % _TEMPLATES_MAX
        if index >= len(structure.templates):
            raise ValueError(f"the dependency descriptor refers to template {index}, which there is not")
        template = structure.templates[index]
        indications = template.indications
        if own_indications:
            indications = tuple([bits.read(2) for _ in range(structure.targets)])
        differences = _read_differences(bits) if own_differences else template.differences
        chains = template.chains
        if own_chains:
            chains = tuple([bits.read(8) for _ in template.chains])
        resolution = None
        if structure.resolutions:
            # there is one for each spatial layer of the templates
            resolution = structure.resolutions[template.spatial_id]
        if found is not None:
            self._structure = found
        return Descriptor(
            starts,
            ends,
            frame_number,
            template.spatial_id,
            template.temporal_id,
            differences,
            indications,
            chains,
            found,
            active,
            resolution,
        )


def _read_differences(bits: _Bits) -> tuple[int, ...]:
    differences: list[int] = []
    while width := bits.read(2):
        differences.append(bits.read(4 * width) + 1)
        if len(differences) > _DIFFERENCES_MAX:
            raise ValueError("a frame depends on too many others")
    return tuple(differences)


def _read_structure(bits: _Bits) -> Structure:
    offset, targets = bits.read(6), bits.read(5) + 1
    layers = _read_layers(bits)
    indications = [tuple([bits.read(2) for _ in range(targets)]) for _ in layers]
    differences = [_read_template_differences(bits) for _ in layers]
    chain_count = bits.read_nonsymmetric(targets + 1)
    protected: tuple[int, ...] = ()
    chains: list[tuple[int, ...]] = [() for _ in layers]
    if chain_count:
        protected = tuple([bits.read_nonsymmetric(chain_count) for _ in range(targets)])
        chains = [tuple([bits.read(4) for _ in range(chain_count)]) for _ in layers]
    resolutions: tuple[tuple[int, int], ...] = ()
    if bits.read(1):
        count = max(spatial for spatial, _temporal in layers) + 1
        resolutions = tuple([(bits.read(16) + 1, bits.read(16) + 1) for _ in range(count)])
    templates = [
        Template(*layer, indications[place], differences[place], chains[place])
        for place, layer in enumerate(layers)
    ]
    return Structure(offset, targets, tuple(templates), protected, resolutions)


def _read_layers(bits: _Bits) -> list[tuple[int, int]]:
    """The spatial and temporal layer of each template (section A.8.2, "template_layers")."""
    spatial = temporal = 0
    layers: list[tuple[int, int]] = []
    while True:
        layers.append((spatial, temporal))
        if len(layers) > _TEMPLATES_MAX:
            raise ValueError("the dependency structure has too many templates")
        step = bits.read(2)
        if step == 1:
            temporal += 1
        elif step == 2:
            spatial, temporal = spatial + 1, 0
        elif step == 3:
            break
        if spatial > 3 or temporal > 7:
            raise ValueError("the dependency structure has too many layers")
    return layers


def _read_template_differences(bits: _Bits) -> tuple[int, ...]:
    differences: list[int] = []
    while bits.read(1):
        differences.append(bits.read(4) + 1)
        if len(differences) > _DIFFERENCES_MAX:
            raise ValueError("a template depends on too many frames")
    return tuple(differences)
