"""Libvpx's encoders as they are called here: bitrates, which change while one runs, and key frames."""

from __future__ import annotations

import fractions
import random

import pytest

from rtcpeer.media.video import libvpx
from tests.unit.media.video.test_pictures import noisy

TIME_BASE = fractions.Fraction(1, 90000)


def opened(interface, bitrate, layers=1):
    encoder = libvpx.open_encoder(
        interface,
        size=(320, 240),
        bitrate=bitrate,
        quantizer=(2, 56),
        threads=1,
        key_distance=3000,
        time_base=TIME_BASE,
        duration=3000,
        controls={libvpx.CPU_USED: 8},
        layers=layers,
    )
    if encoder is None:
        pytest.skip("libvpx cannot be called from here")
    return encoder


def made(encoder, count, since=0):
    """The packets of so many pictures, one of each."""
    chance, packets = random.Random(1), []
    for number in range(since, since + count):
        picture = noisy(number, chance).reformat(320, 240, "yuv420p")
        picture.pts = 3000 * number
        (packet,) = encoder.encode(picture)
        packets.append(packet)
    return packets


@pytest.mark.parametrize("interface", ["vp8", "vp9"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_bitrates_are_those_that_were_set(interface, layers):
    encoder = opened(interface, 2_000_400, layers)
    assert encoder.bit_rate == 2_000_000
    encoder.bit_rate = 1_500_400
    assert encoder.bit_rate == 1_500_000


@pytest.mark.parametrize("interface", ["vp8", "vp9"])
def test_no_bitrate_is_less_than_one_kilobit(interface):
    encoder = opened(interface, 1)
    assert encoder.bit_rate == 1000
    encoder.bit_rate = 2000
    encoder.bit_rate = 0
    assert encoder.bit_rate == 1000


@pytest.mark.parametrize("interface", ["vp8", "vp9"])
def test_a_bitrate_changes_without_a_key_frame(interface):
    encoder = opened(interface, 4_000_000)
    before = made(encoder, 12)
    encoder.bit_rate = 100_000
    after = made(encoder, 12, since=12)
    assert [packet.is_keyframe for packet in (*before, *after)] == [True] + [False] * 23
    assert [packet.pts for packet in before] == [3000 * number for number in range(12)]
    assert sum(packet.size for packet in after[4:]) < sum(packet.size for packet in before[4:]) / 2
    assert encoder.layered is None
