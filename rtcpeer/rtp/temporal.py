"""Temporal layers: which one a packet belongs to, and where a subscriber may begin to get more of them.

Read from the dependency descriptor if a packet has one, else from what VP8, VP9 and H.265 say in their payloads.
Stateful for the descriptor alone, whose structure comes with key frames. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from rtcpeer.rtp.dependency import Descriptor, DescriptorReader, Structure
from rtcpeer.rtp.payloads import Vp8Descriptor

ALL = 7
"""The highest temporal layer that a packet can name: three bits."""

_SWITCH = 2
# H.265 (Rec. ITU-T H.265 table 7-1): pictures from which on a higher temporal layer can be decoded
_TSA, _STSA = (2, 3), (4, 5)


class FrameLayer(NamedTuple):
    """The temporal layer of one packet's picture, and where it can be decoded from.

    Attributes:
        temporal: its temporal layer; 0 is needed by all others.
        starts: whether the packet may be the first one of its picture.
        opens_from, opens_to: who has got all layers up to the first can get those up to the second from here on.
    """

    temporal: int
    starts: bool
    opens_from: int = ALL
    opens_to: int = -1


_PLAIN = FrameLayer(0, True, 0, ALL)


class TemporalReader:
    """Reads the layers of one stream.

    Args:
        structure: the last dependency descriptor that brought a structure; None if there was none.
    """

    def __init__(self, structure: bytes | None = None) -> None:
        self._descriptors = DescriptorReader()
        self._structure: Structure | None = None
        # the highest temporal layer of each decode target
        self._targets: tuple[int, ...] = ()
        # the highest layer that was named
        self._highest = 0
        if structure is not None:
            self._read_descriptor(structure)

    def read_untrusted(
        self,
        codec_name: str,
        payload: bytes,
        descriptor: bytes | None,
        vp8: Vp8Descriptor | None,
        *,
        is_key: bool,
    ) -> FrameLayer:
        """The layer of a packet; what cannot be read counts as the lowest, which everybody gets.

        Args:
            codec_name: in upper case.
            descriptor: its dependency descriptor; None without.
            vp8: its payload descriptor, if it is VP8.
            is_key: whether a key frame begins with it.
        """
        found = None if descriptor is None else self._read_descriptor(descriptor)
        if is_key:
            return _PLAIN
        if found is not None:
            layer = self._of_descriptor(found)
        elif vp8 is not None:
            layer = _of_vp8(payload, vp8)
        elif codec_name == "VP9":
            layer = _of_vp9(payload)
        elif codec_name == "H265":
            layer = _of_h265(payload)
        else:
            layer = _PLAIN if descriptor is None else FrameLayer(0, starts=True)
        self._highest = max(self._highest, layer.temporal)
        # who can get the highest one gets whatever there will be
        return layer._replace(opens_to=ALL) if layer.opens_to >= self._highest else layer

    def _read_descriptor(self, data: bytes) -> Descriptor | None:
        try:
            found = self._descriptors.read_untrusted(data)
        except ValueError:
            return None
        structure = self._descriptors.structure
        if structure is not None and structure is not self._structure:
            self._structure = structure
            self._targets = tuple(
                [
                    max((t.temporal_id for t in structure.templates if t.indications[target]), default=0)
                    for target in range(structure.targets)
                ]
            )
            self._highest = max(self._targets)
        return found

    def _of_descriptor(self, found: Descriptor) -> FrameLayer:
        opened = [
            temporal
            for temporal, indication in zip(self._targets, found.indications, strict=False)
            if indication == _SWITCH
        ]
        starts = found.starts and not found.spatial_id
        return FrameLayer(found.temporal_id, starts, found.temporal_id, max(opened, default=-1))


def _of_vp8(payload: bytes, vp8: Vp8Descriptor) -> FrameLayer:
    """RFC 7741 section 4.2: TID, and Y for a picture that needs nothing but the lowest layer."""
    _size, _picture_at, _width, _picture, _layer_at, key_at, flags = vp8
    starts = payload[0] & 0x17 == 0x10
    if not flags & 0x20:
        return _PLAIN._replace(starts=starts)
    temporal, is_synchronized = payload[key_at] >> 6, payload[key_at] & 0x20
    if temporal and is_synchronized:
        # what follows in this layer needs no picture of it from before
        return FrameLayer(temporal, starts, temporal - 1, temporal)
    return FrameLayer(temporal, starts)


def _of_vp9(payload: bytes) -> FrameLayer:
    """RFC 9628 section 4.2: T, and U for a picture behind which higher layers need nothing from before."""
    if len(payload) < 2:
        return FrameLayer(0, starts=False)
    if not payload[0] & 0x20:
        return _PLAIN._replace(starts=bool(payload[0] & 0x08))
    at = 1
    if payload[0] & 0x80:
        at += 2 if payload[1] & 0x80 else 1
    if len(payload) <= at:
        return FrameLayer(0, starts=False)
    temporal, spatial = payload[at] >> 5, payload[at] >> 1 & 7
    starts = bool(payload[0] & 0x08) and not spatial
    if payload[at] & 0x10:
        return FrameLayer(temporal, starts, temporal, ALL)
    return FrameLayer(temporal, starts)


def _of_h265(payload: bytes) -> FrameLayer:
    """RFC 7798 section 1.1.4: TID of the unit header, and the type of the picture."""
    if len(payload) < 3:
        return FrameLayer(0, starts=False)
    temporal, kind = max(0, (payload[1] & 7) - 1), payload[0] >> 1 & 0x3F
    if kind == 49:
        kind = payload[2] & 0x3F
    elif kind == 48:
        kind = payload[4] >> 1 & 0x3F if len(payload) > 4 else 0
    if temporal and kind in _TSA:
        return FrameLayer(temporal, True, temporal - 1, ALL)
    if temporal and kind in _STSA:
        return FrameLayer(temporal, True, temporal - 1, temporal)
    return FrameLayer(temporal, starts=True)
