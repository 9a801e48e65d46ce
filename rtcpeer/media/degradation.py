"""Smaller pictures where the path does not bear as many as there are (mst-content-hint, degradationPreference).

An encoder at its worst quality that still makes too much has pictures left out (`frame_budget`). Who prefers many
pictures to large ones gets smaller ones instead: one step down for each window in which too many were left out. How
much those of a size cost is remembered, so that they grow again when the path bears it.
Pure: `now` is an argument.
"""

from __future__ import annotations

from rtcpeer.values import DegradationPreference

# By what width and height are divided.
STEPS = (1.0, 4 / 3, 2.0, 8 / 3, 4.0)
# Pictures of so few pixels are never made smaller: 320 x 180.
PIXELS_MIN = 320 * 180
# So many seconds and pictures are looked at before a step, in either direction.
WINDOW, PICTURES_MIN = 2.0, 10
# A larger size is taken again when the path bears so many times what it has cost.
_MARGIN = 1.25
# A cost is forgotten by half in so many seconds, as pictures may have become simpler; in twice as many each time that a
# larger size has lasted for less than so many seconds.
_HALF_LIFE, _HALF_LIFE_MAX, _LASTING = 20.0, 160.0, 10.0


# The part of pictures that may be left out before they become smaller.
_LEFT_OUT_MAX = {
    DegradationPreference.MAINTAIN_FRAMERATE: 0.1,
    DegradationPreference.BALANCED: 1 / 3,
    DegradationPreference.MAINTAIN_RESOLUTION: 1.0,
}


class Degradation:
    """The size of one encoder's pictures.

    Args:
        preference: what suffers.

    Attributes:
        divisor: what width and height are divided by now.
    """

    __slots__ = (
        "_bits",
        "_costs",
        "_grown_at",
        "_half_life",
        "_left_out",
        "_made",
        "_since",
        "_step",
        "divisor",
        "preference",
    )

    def __init__(self, preference: DegradationPreference) -> None:
        self.preference: DegradationPreference = preference
        self.divisor: float = 1.0
        self._step = 0
        # of each larger size: bit/s that it took for every picture, and when that was found
        self._costs: list[tuple[float, float]] = []
        self._half_life = _HALF_LIFE
        self._grown_at = -_LASTING
        # of the present window
        self._since: float | None = None
        self._made = self._left_out = self._bits = 0

    def note_left_out(self) -> None:
        """The path did not bear a picture."""
        self._left_out += 1

    def note_made(self, bits: int) -> None:
        """A picture was made."""
        self._made += 1
        self._bits += bits

    def settle(self, now: float, *, pixels: int, allowed: int | None) -> None:
        """Choose the size of the next picture.

        Args:
            now: the time of day.
            pixels: of a picture in its full size.
            allowed: bit/s that the path bears; None if nobody knows: then pictures have their full size.
        """
        if allowed is None:
            self._costs.clear()
            self._use(0)
            self._since = None
            return
        if self._since is None:
            self._since = now
            return
        elapsed, seen = now - self._since, self._made + self._left_out
        if elapsed < WINDOW or seen < PICTURES_MIN:
            return
        if self._left_out / seen > _LEFT_OUT_MAX[self.preference]:
            self._shrink(now, pixels, elapsed)
        elif self._costs:
            cost, at = self._costs[-1]
            if allowed >= _MARGIN * cost * 0.5 ** ((now - at) / self._half_life):
                self._costs.pop()
                self._grown_at = now
                self._use(self._step - 1)
        self._since = now
        self._made = self._left_out = self._bits = 0

    def _shrink(self, now: float, pixels: int, elapsed: float) -> None:
        smaller = self._step + 1
        if smaller == len(STEPS) or pixels / STEPS[smaller] ** 2 < PIXELS_MIN or not self._made:
            return
        lasted = now - self._grown_at >= _LASTING
        self._half_life = _HALF_LIFE if lasted else min(_HALF_LIFE_MAX, 2 * self._half_life)
        every = self._bits / self._made * (self._made + self._left_out)
        self._costs.append((every / elapsed, now))
        self._use(smaller)

    def _use(self, step: int) -> None:
        self._step, self.divisor = step, STEPS[step]


def preference_of(wanted: DegradationPreference | None, content_hint: str) -> DegradationPreference:
    """The preference that the program says, or that the contentHint of its track lets one suppose.

    Without either the size is kept: programs and their receivers may count on it.
    """
    if wanted is not None:
        return wanted
    if content_hint == "motion":
        return DegradationPreference.MAINTAIN_FRAMERATE
    return DegradationPreference.MAINTAIN_RESOLUTION
