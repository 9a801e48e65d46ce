"""Temporal layers of what is encoded (webrtc-svc, L1T2 and L1T3): pictures that may be left out without harm to others.

A pattern repeats. In it a picture refers to pictures of its own layer and of lower ones only, so that a relay may take
away the higher ones, for a receiver whose path bears half of the pictures, or a quarter.
Pure: which buffers of the encoder a picture uses and renews, and what its packets say. Encoders and payload formats
act on it.
"""

from __future__ import annotations

from enum import Enum, auto

from rtcpeer.records import record


class Buffer(Enum):
    """A buffer in which VP8 and VP9 keep a picture for others to refer to."""

    LAST = auto()
    GOLDEN = auto()


@record(frozen=True, slots=True)
class Step:
    """A place in a pattern.

    Attributes:
        layer: 0 is the lowest.
        uses: with how many pictures ago what is in there was renewed.
        renews: the buffer into which it goes; None if no picture refers to it.
    """

    layer: int
    uses: tuple[tuple[Buffer, int], ...]
    renews: Buffer | None


_L, _G = Buffer.LAST, Buffer.GOLDEN
PATTERNS: dict[int, tuple[Step, ...]] = {
    2: (Step(0, ((_L, 2),), _L), Step(1, ((_L, 1),), None)),
    3: (
        Step(0, ((_L, 4),), _L),
        Step(2, ((_L, 1),), None),
        Step(1, ((_L, 2),), _G),
        Step(2, ((_G, 1), (_L, 3)), None),
    ),
}
"""The patterns by their number of layers."""
SHARES: dict[int, tuple[float, ...]] = {2: (0.6, 1.0), 3: (0.4, 0.6, 1.0)}
"""How much of the bitrate each layer has together with those below it."""


@record(frozen=True, slots=True)
class LayeredPicture:
    """The place of a picture in temporal layers, as its packets tell it.

    Attributes:
        layer: 0 is the lowest.
        base: counts the pictures of the lowest layer, with 8 bits (TL0PICIDX of RFC 7741).
        ages: how many pictures ago those came that it refers to, which are the references of RFC 9628; none in a key
            frame.
        is_sync: whether it refers to nothing but the last picture of the lowest layer (Y of RFC 7741).
        is_discardable: whether no picture refers to it.
    """

    layer: int
    base: int
    ages: tuple[int, ...]
    is_sync: bool
    is_discardable: bool


class LayerSequence:
    """The place of each picture in the pattern, which begins anew with every key frame.

    Args:
        layers: 2 or 3.
    """

    def __init__(self, layers: int) -> None:
        self.pattern: tuple[Step, ...] = PATTERNS[layers]
        self._position = 0
        self._base = -1

    def next(self, *, is_forced: bool) -> Step:
        """How the next picture is to be encoded.

        Args:
            is_forced: it shall be a key frame.
        """
        if is_forced:
            self._position = 0
        return self.pattern[self._position]

    def note(self, *, is_key: bool) -> LayeredPicture:
        """That picture was encoded; `is_key` though nobody asked for it, too."""
        if is_key:
            self._position = 0
        step = self.pattern[self._position]
        self._position = (self._position + 1) % len(self.pattern)
        if step.layer == 0:
            self._base = self._base + 1 & 0xFF
        return LayeredPicture(
            layer=step.layer,
            base=self._base,
            ages=() if is_key else tuple([age for _buffer, age in step.uses]),
            is_sync=step.layer > 0 and all(buffer is Buffer.LAST for buffer, _age in step.uses),
            is_discardable=step.renews is None,
        )


def layers_of(scalability_mode: str | None) -> int:
    """The number of temporal layers in a mode of webrtc-svc, e.g. 3 of "L1T3"; 1 of none."""
    if scalability_mode is None:
        return 1
    return int(scalability_mode.partition("T")[2][:1])
