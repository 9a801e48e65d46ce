"""Loudness of audio frames (W3C audioLevel) and its form on the wire (RFC 6464).  Pure functions."""

from __future__ import annotations

import math
from typing import Any

from av import AudioFrame


def audio_level(frame: AudioFrame) -> float:
    """The level of a frame as W3C has it: 0.0 for silence to 1.0 for 0 dBov (RMS of a sample of samples)."""
    form = _SAMPLES.get(frame.format.name.removesuffix("p"))
    if form is None or not frame.samples:
        return 0.0
    code, size, middle, loudest = form
    channels = 1 if frame.format.is_planar else len(frame.layout.channels)
    planes = frame.planes
    count = frame.samples * channels
    # an odd step walks over all channels and phases
    step = count * len(planes) // _LEVEL_SAMPLES | 1
    picked: list[float] = []
    for plane in planes:
        picked += memoryview(plane)[: count * size].cast("B").cast(code)[::step].tolist()
    energy = math.fsum([(sample - middle) ** 2 for sample in picked]) / len(picked)
    level = math.sqrt(energy) / loudest
    # a program's arithmetic may have gone wrong
    return min(level, 1.0) if math.isfinite(level) else 0.0


def level_to_dbov(level: float) -> int:
    """-dBov as RFC 6464 has it: 0 is loudest, 127 silence."""
    if level <= 0:
        return SILENCE_DBOV
    return min(SILENCE_DBOV, max(0, round(-20 * math.log10(level))))


def dbov_to_level(dbov: int) -> float:
    """The W3C audioLevel of an RFC 6464 level (webrtc-pc 5.6: 127 means silence)."""
    return 0.0 if dbov >= SILENCE_DBOV else 10 ** (-dbov / 20)


# RFC 6464 section 3: silence
SILENCE_DBOV = 127


# samples looked at per frame; 48 of the 960 of 20 ms keep the error below 1 dB for speech and tones
_LEVEL_SAMPLES = 96
# formats of libav: type for `memoryview`, bytes, silence, and what is as loud as can be
_SAMPLES: dict[str, tuple[Any, int, int, int]] = {
    "u8": ("B", 1, 128, 128),
    "s16": ("h", 2, 0, 1 << 15),
    "s32": ("i", 4, 0, 1 << 31),
    "s64": ("q", 8, 0, 1 << 63),
    "flt": ("f", 4, 0, 1),
    "dbl": ("d", 8, 0, 1),
}
