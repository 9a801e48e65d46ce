"""VP8: what the header of a picture says. The payload format and the coder are aiortc's and libvpx'."""

from __future__ import annotations

from typing import ClassVar

from rtcpeer.media.video.pictures import PictureDecoder

_START_CODE = b"\x9d\x01\x2a"


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame (RFC 6386 section 9.1); None for others, which cannot change it."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != _START_CODE:
        return None
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


class Vp8Decoder(PictureDecoder):
    """Libvpx, as aiortc has it."""

    coder: ClassVar[str] = "libvpx"
