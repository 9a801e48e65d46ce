"""The estimate that encoders are told: down at once, up in steps, as a change costs a key frame with most of them.

Pure: `now` is an argument.
"""

from __future__ import annotations

# An estimate swings by about a sixth around what a path bears: up only if it is clearly more, and not too often.
RISE = 1.3
RISE_INTERVAL = 1.0


class EstimateFollower:
    """Follows one estimate.

    Attributes:
        value: in bit/s; None before the first one.
    """

    __slots__ = ("_changed_at", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self._changed_at = 0.0

    def note(self, estimate: int, now: float) -> None:
        """Take a new estimate, in bit/s."""
        held = self.value
        is_more = held is not None and estimate > RISE * held and now - self._changed_at >= RISE_INTERVAL
        if held is None or estimate < held or is_more:
            self.value = estimate
            self._changed_at = now
