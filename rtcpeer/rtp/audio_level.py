"""Loudness of audio frames (W3C audioLevel) and its form on the wire (RFC 6464).  Pure functions."""

from __future__ import annotations

import math
from array import array

from av import AudioFrame


def audio_level(frame: AudioFrame) -> float:
    """The level of a frame as W3C has it: 0.0 for silence to 1.0 for 0 dBov (RMS of a sample of samples)."""
    if frame.format.name not in ("s16", "s16p"):
        return 0.0
    plane = frame.planes[0]
    channels = 1 if frame.format.is_planar else len(frame.layout.channels)
    samples = memoryview(plane)[: frame.samples * channels * 2].cast("B").cast("h")
    count = len(samples)
    if not count:
        return 0.0
    # an odd step walks over all channels and phases
    step = max(1, count // _LEVEL_SAMPLES) | 1
    picked = array("h", samples[::step].tolist())
    energy = math.fsum(sample * sample for sample in picked) / len(picked)
    return math.sqrt(energy) / 32768


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
