"""Loudness of frames in every sample format, and its form on the wire (RFC 6464)."""

from __future__ import annotations

import math
from struct import pack

import pytest
from av import AudioFrame

from rtcpeer.rtp.audio_level import audio_level, dbov_to_level, level_to_dbov

# what is as loud as can be in each format, as bytes of one sample
FULL = {
    "u8": b"\x00",
    "s16": (-(1 << 15)).to_bytes(2, "little", signed=True),
    "s32": (-(1 << 31)).to_bytes(4, "little", signed=True),
    "flt": b"\x00\x00\x80\xbf",
    "dbl": b"\x00\x00\x00\x00\x00\x00\xf0\xbf",
}
SILENT = {"u8": b"\x80"}


def frame(form: str, sample: bytes, layout: str = "mono", samples: int = 960) -> AudioFrame:
    made = AudioFrame(format=form, layout=layout, samples=samples)
    for plane in made.planes:
        plane.update(sample * (plane.buffer_size // len(sample)))
    return made


@pytest.mark.parametrize("planar", ["", "p"])
@pytest.mark.parametrize("form", FULL)
def test_full_and_none(form, planar):
    silence = SILENT.get(form, bytes(len(FULL[form])))
    for layout in ("mono", "stereo"):
        assert audio_level(frame(form + planar, FULL[form], layout)) == pytest.approx(1.0)
        assert audio_level(frame(form + planar, silence, layout)) == 0.0


def test_half_of_the_samples():
    made = frame("s16", (1 << 14).to_bytes(2, "little") + bytes(2))
    assert audio_level(made) == pytest.approx(0.5 / math.sqrt(2), rel=0.05)


@pytest.mark.parametrize("form", ["s16", "s16p", "fltp"])
@pytest.mark.parametrize("loud", [0, 1])
def test_each_channel_counts(form, loud):
    """Who speaks on one side of a stereo picture of sound speaks."""
    full, packed = FULL[form.removesuffix("p")], not form.endswith("p")
    made = frame(form, bytes(len(full)), "stereo")
    if packed:
        made.planes[0].update((full + bytes(2) if not loud else bytes(2) + full) * 960)
    else:
        made.planes[loud].update(full * (made.planes[loud].buffer_size // len(full)))
    assert audio_level(made) == pytest.approx(1 / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("form", ["s16", "s16p"])
@pytest.mark.parametrize("halves", [b"\0\0\0\x80", b"\0\x80\0\0"])
def test_all_of_a_frame_counts(form, halves):
    made = frame(form, bytes(2), "stereo", samples=900)
    for plane in made.planes:
        count = plane.buffer_size // 4
        plane.update(halves[:2] * count + halves[2:] * count)
    assert audio_level(made) == pytest.approx(1 / math.sqrt(2), rel=0.03)


def test_a_frame_of_nothing():
    assert audio_level(AudioFrame(format="s16", layout="mono", samples=0)) == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_program_whose_arithmetic_went_wrong(value):
    made = frame("flt", pack("<f", value))
    assert audio_level(made) == 0.0


def test_louder_than_can_be():
    assert audio_level(frame("flt", pack("<f", 3.0))) == 1.0


def test_a_few_samples():
    assert audio_level(frame("s16", FULL["s16"], samples=1)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("level", "dbov"),
    [(1.0, 0), (2.0, 0), (0.5, 6), (0.1, 20), (10**-6.3, 126), (1e-9, 127), (0.0, 127), (-1.0, 127)],
)
def test_on_the_wire(level, dbov):
    assert level_to_dbov(level) == dbov


@pytest.mark.parametrize(("dbov", "level"), [(0, 1.0), (20, 0.1), (126, 10**-6.3), (127, 0.0), (200, 0.0)])
def test_from_the_wire(dbov, level):
    assert dbov_to_level(dbov) == pytest.approx(level)
