"""H.264 beyond aiortc's: an encoder for the high profiles, which need fewer bits for the same picture.

Payloads are aiortc's (RFC 6184), as for the baseline profile. High 4:4:4 Predictive keeps the colours of
pictures that have them in full; others are encoded as High, which each decoder of that profile takes.
"""

from __future__ import annotations

from typing import ClassVar

from av import VideoFrame

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import annexb
from rtcpeer.media.video.pictures import PictureEncoder, threads_for

_FULL_COLOUR = (
    "yuv444p",
    "yuvj444p",
    "rgb24",
    "bgr24",
    "rgba",
    "bgra",
    "argb",
    "abgr",
    "gbrp",
    "bgr0",
    "rgb0",
)


class H264HighEncoder(PictureEncoder):
    """X264 without delay.

    Args:
        keeps_colour: whether pictures in 4:4:4 stay so.
    """

    coder: ClassVar[str] = "libx264"
    smallest: ClassVar[int] = 16

    def __init__(self, *, keeps_colour: bool = False) -> None:
        super().__init__()
        self._keeps_colour = keeps_colour

    def picture_format(self, frame: VideoFrame) -> str:
        """See `PictureEncoder`."""
        return "yuv444p" if self._keeps_colour and frame.format.name in _FULL_COLOUR else "yuv420p"

    def options(self, width: int, height: int, bitrate: int) -> dict[str, str]:
        """See `PictureEncoder`."""
        return {
            "preset": "veryfast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "maxrate": str(bitrate),
            "bufsize": str(bitrate),
            "threads": str(threads_for(width, height)),
        }

    def packetize(self, data: bytes) -> list[bytes]:
        """See `PictureEncoder`."""
        return aiortc_adapter.packetize_h264(list(annexb.units(data)))
