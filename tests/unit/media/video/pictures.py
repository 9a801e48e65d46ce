"""Pictures to encode, and what comes back."""

from __future__ import annotations

import fractions

import av


def picture(number: int, width: int = 128, height: int = 96, *, grey: int = 100, fmt: str = "yuv420p"):
    """A picture with a bar that moves, so that no two are the same."""
    frame = av.VideoFrame(width, height, fmt)
    for index, plane in enumerate(frame.planes):
        rows = bytearray((grey if index == 0 else 128,) * plane.buffer_size)
        if index == 0:
            for row in range(plane.height):
                at = row * plane.line_size + 8 * number % (plane.width - 8)
                rows[at : at + 8] = bytes((row * 37 + x * 11 + number) & 0x7F for x in range(8))
        plane.update(bytes(rows))
    frame.pts = number * 3000
    frame.time_base = fractions.Fraction(1, 90000)
    return frame


def luma(frame, x: int = 0, y: int = 0) -> int:
    """One point's brightness."""
    plane = frame.planes[0]
    return bytes(plane)[y * plane.line_size + x]
