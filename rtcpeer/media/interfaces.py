"""Interfaces between DTLS, SCTP and media."""

from __future__ import annotations

from typing import Protocol

from av.frame import Frame

from rtcpeer.media.encoded_frames import EncodedFrameReader


class ReceiverControl(Protocol):
    """The part of a receiver that its track may ask."""

    def on_demand(self) -> None:
        """Somebody begins to read."""

    def read_encoded(self) -> EncodedFrameReader:
        """Read encoded frames from the next key frame on, which is asked for."""

    def request_keyframe(self) -> None:
        """Ask for a picture that can be decoded by itself."""


class FrameSink(Protocol):
    """The remote track, seen from below."""

    def set_control(self, control: ReceiverControl) -> None:
        """Set who is asked for frames."""

    def wants_frames(self) -> bool:
        """Whether decoding is worth its cost."""

    def push_frame(self, frame: Frame) -> None:
        """A decoded frame."""

    def on_flow(self, flowing: bool) -> None:
        """Packets begin to come, or stop."""

    def on_audio_format(self, rate: int, channels: int) -> None:
        """Set the format that frames will have, as soon as packets say so."""
