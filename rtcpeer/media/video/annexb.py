"""The byte stream of H.264 and H.265 (Annex B): NAL units behind start codes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

START_CODE = b"\0\0\0\1"


def plain(unit: bytes, size: int) -> bytes:
    """The first bytes of a unit without those that keep start codes out of it (H.264 section 7.4.1)."""
    return unit[:size].replace(b"\0\0\3", b"\0\0")


def units(data: bytes) -> Iterator[bytes]:
    """The NAL units of a stream, without start codes and the zeros behind them; empty ones are left out."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\0\0\1", begin)
        # a unit never ends with a zero byte (7.4.1); zeros there belong to the next start code
        unit = (data[begin:] if at < 0 else data[begin:at]).rstrip(b"\0")
        if unit:
            yield unit
