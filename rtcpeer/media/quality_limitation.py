"""Why a stream of pictures has a poorer quality than its source and its parameters allow (webrtc-stats 8.4.1).

What the program asks for (maxBitrate, maxFramerate, scaling) is no limitation, it is what is wanted.
Pure: `now` is an argument, and never goes back.
"""

from __future__ import annotations

from enum import StrEnum

# A reason holds for so many seconds after the last picture that was left out, or held down, because of it.
LASTING = 1.0
# An encoder that uses less than this part of what it may use would not use more.
_USED_MIN = 0.75
_WINDOW = 1.0


class QualityLimitationReason(StrEnum):
    """RTCQualityLimitationReason; of several that hold the first counts, NONE being the last (webrtc-stats 8.4.1)."""

    BANDWIDTH = "bandwidth"
    CPU = "cpu"
    OTHER = "other"
    NONE = "none"


class QualityLimitation:
    """The limitation of one stream, and how long each lasted. Time counts from the first picture on.

    Attributes:
        resolution_changes: how often pictures got another size because of a limitation, or its end.
    """

    __slots__ = ("_at", "_bits", "_durations", "_is_held", "_size", "_until", "_window", "resolution_changes")

    def __init__(self) -> None:
        self.resolution_changes: int = 0
        self._at: float | None = None
        self._durations = dict.fromkeys(QualityLimitationReason, 0.0)
        # until when each reason holds as far as is known now
        self._until = dict.fromkeys(QualityLimitationReason, 0.0)
        # of what the encoder makes: since when it is measured, how much, and whether an estimate holds it back
        self._window: float | None = None
        self._bits = 0
        self._is_held = False
        # of the last picture, and the encoder's own scale of it
        self._size: tuple[tuple[int, int], float] | None = None

    def left_out(self, reason: QualityLimitationReason, now: float) -> None:
        """A picture was left out."""
        self._advance(now)
        self._until[reason] = now + LASTING

    def made(
        self,
        now: float,
        *,
        bits: int,
        target: int | None,
        is_held: bool,
        size: tuple[int, int],
        scale: float,
        divisor: float = 1.0,
    ) -> None:
        """A picture was made.

        Args:
            target: the bitrate that the encoder aims at, in bit/s.
            is_held: whether it would aim at more if the path bore it.
            size: of the picture.
            scale: below 1.0 where the encoder has to make pictures smaller than it is asked to.
            divisor: above 1.0 where they are smaller so that the path bears more of them.
        """
        self._advance(now)
        self._measure(now, bits, target, is_held=is_held)
        if self._is_held or divisor > 1.0:
            self._until[QualityLimitationReason.BANDWIDTH] = now + LASTING
        if scale < 1.0:
            self._until[QualityLimitationReason.OTHER] = now + LASTING
        scale /= divisor
        if self._size is not None and self._size[0] != size and self._size[1] != scale:
            self.resolution_changes += 1
        self._size = (size, scale)

    def stop(self, now: float) -> None:
        """Nothing is made any more: nothing limits it either."""
        self._advance(now)
        self._until = dict.fromkeys(QualityLimitationReason, now)
        self._window, self._is_held = None, False

    def stats(self, now: float) -> dict[str, object]:
        """Members of RTCOutboundRtpStreamStats by their W3C names."""
        self._advance(now)
        return {
            "qualityLimitationReason": self._reason(now).value,
            "qualityLimitationDurations": {
                reason.value: self._durations[reason] for reason in QualityLimitationReason
            },
            "qualityLimitationResolutionChanges": self.resolution_changes,
        }

    def _measure(self, now: float, bits: int, target: int | None, *, is_held: bool) -> None:
        """Whether the encoder makes use of what an estimate leaves it: pictures of nothing need no more."""
        if not is_held or target is None:
            self._window, self._is_held = None, False
            return
        if self._window is None:
            # what is before the first picture is unknown
            self._window, self._bits = now, 0
            return
        self._bits += bits
        elapsed = now - self._window
        if elapsed >= _WINDOW:
            self._is_held = self._bits >= _USED_MIN * target * elapsed
            self._window, self._bits = now, 0

    def _reason(self, now: float) -> QualityLimitationReason:
        return next(
            (reason for reason in QualityLimitationReason if self._until[reason] > now),
            QualityLimitationReason.NONE,
        )

    def _advance(self, now: float) -> None:
        """Count the time since the last call, by the reasons that held in it."""
        if self._at is None:
            self._at = now
        while self._at < now:
            reason = self._reason(self._at)
            end = now if reason is QualityLimitationReason.NONE else min(now, self._until[reason])
            self._durations[reason] += end - self._at
            self._at = end
