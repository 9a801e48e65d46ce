"""What DTLS, SCTP and media expect of those around them: below, above and beside."""

from __future__ import annotations

from typing import Protocol

from av.frame import Frame


class ReceiverControl(Protocol):
    """What a track may ask of its receiver."""

    def on_demand(self) -> None:
        """Somebody begins to read."""


class FrameSink(Protocol):
    """The remote track, seen from below."""

    def set_control(self, control: ReceiverControl) -> None:
        """Who is asked for frames."""

    def wants_frames(self) -> bool:
        """Whether decoding is worth its cost."""

    def push_frame(self, frame: Frame) -> None:
        """A decoded frame."""

    def on_flow(self, flowing: bool) -> None:
        """Packets begin to come, or stop."""

    def on_audio_format(self, rate: int, channels: int) -> None:
        """What frames will be, as soon as packets say so."""
