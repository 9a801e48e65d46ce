"""The size of a picture, read before anything is decoded."""

from __future__ import annotations

import os
import random

import av
import pytest
from av.error import FFmpegError

from rtcpeer.media import aiortc_adapter
from rtcpeer.media.video import choice, vp9
from rtcpeer.media.video.bits import BitReader
from rtcpeer.values import Codec
from tests.unit.media.video.pictures import picture

CASES = int(os.environ.get("RTCPEER_FUZZ_CASES", "20000"))
SIZES = [(128, 96), (176, 144), (320, 240), (642, 362), (96, 400)]
CODECS = {
    "VP8": Codec("video/VP8", 90000),
    "VP9": Codec("video/VP9", 90000),
    "AV1": Codec("video/AV1", 90000),
    "H265": Codec("video/H265", 90000),
    "H264": Codec("video/H264", 90000),
    "H264 high": Codec("video/H264", 90000, None, (("profile-level-id", "64001f"),)),
}


def encoded(name: str, width: int = 128, height: int = 96, count: int = 1) -> list[bytes]:
    encoder = choice.make_encoder(CODECS[name])
    data = []
    for number in range(count + 3):
        payloads, _ = encoder.encode(picture(number, width, height), number == 0)
        if payloads:
            data.append(choice.depacketize(name.split()[0], payloads))
        if len(data) == count:
            break
    return data


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_sizes_of_key_frames(name, size):
    (data,) = encoded(name, *size)

    width, height = choice.picture_size(name.split()[0], data)

    # what is cropped away is decoded too
    assert size[0] <= width < size[0] + 16
    assert size[1] <= height < size[1] + 16


@pytest.mark.parametrize("name", CODECS)
def test_other_pictures_have_the_size_of_those_before(name):
    assert choice.picture_size(name.split()[0], encoded(name, count=3)[2]) is None


def test_sound_and_nothing_have_no_size():
    assert choice.picture_size("OPUS", b"abc") is None
    assert choice.picture_size("VP8", b"") is None


# From cameras and encoders with scaling lists, several layers, field coding: made with x264 and x265 options.
@pytest.mark.parametrize(
    ("coder", "name", "pixels", "options"),
    [
        ("libx264", "H264", "yuv420p", {"x264-params": "cqm=jvt"}),
        ("libx264", "H264", "yuv420p", {"x264-params": "interlaced=1"}),
        ("libx264", "H264", "yuv444p", {"x264-params": "cqm=jvt"}),
        ("libx265", "H265", "yuv420p", {"x265-params": "temporal-layers=2:log-level=none:repeat-headers=1"}),
    ],
)
def test_rarer_parameter_sets(coder, name, pixels, options):
    source = av.CodecContext.create(coder, "w")
    source.width, source.height = 640, 368
    source.pix_fmt = pixels
    source.time_base = picture(0).time_base
    source.options = {"tune": "zerolatency", "preset": "ultrafast", **options}
    packets = []
    for number in range(3):
        frame = picture(number, 640, 368).reformat(format=source.pix_fmt)
        frame.pts, frame.time_base = 3000 * number, picture(0).time_base
        packets += source.encode(frame)
    data = (source.extradata or b"") + bytes(packets[0])

    width, height = choice.picture_size(name, data)

    assert width == 640
    assert 368 <= height <= 384


def bomb(name: str) -> bytes:
    """A key frame that announces 16383 x 16383."""
    (data,) = encoded(name)
    if name == "VP8":
        return data[:6] + b"\xff\x3f\xff\x3f" + data[10:33]
    # frame_marker .. refresh, then 16 bits each (VP9 section 6.2): 8 + 24 + 4 bits before the size
    bits = "".join(f"{octet:08b}" for octet in data)
    bits = bits[:36] + f"{16382:016b}" * 2 + bits[68:]
    return int(bits, 2).to_bytes(len(data), "big")


@pytest.mark.parametrize("name", ["VP8", "VP9"])
def test_a_bomb_says_its_size(name):
    assert choice.picture_size(name, bomb(name)) == (16383, 16383)


def test_libvpx_is_not_asked_for_a_bomb():
    with pytest.raises(ValueError, match="16383 x 16383"):
        choice.make_decoder(CODECS["VP8"]).decode(aiortc_adapter.JitterFrame(bomb("VP8"), 0))


def test_libav_refuses_a_bomb_that_hides_behind_a_picture():
    (small,) = encoded("VP9")
    # without an index, and behind one that leaves it out: libvpx would decode it
    hidden = small + bomb("VP9")
    decoder = choice.make_decoder(CODECS["VP9"], 640 * 480)

    frames = decoder.decode(aiortc_adapter.JitterFrame(hidden, 0))

    assert [(frame.width, frame.height) for frame in frames] == [(128, 96)]
    with pytest.raises(FFmpegError):
        decoder.decode(aiortc_adapter.JitterFrame(bomb("VP9"), 3000))


def test_layers_are_a_superframe_and_the_largest_counts():
    small, large = encoded("VP9")[0], encoded("VP9", 320, 240)[0]
    payloads = [bytes((0x0C,)) + small, bytes((0x08,)) + large[:100], bytes((0x04,)) + large[100:]]

    data = vp9.depacketize(payloads)

    assert choice.picture_size("VP9", data) == (320, 240)
    (frame,) = choice.make_decoder(CODECS["VP9"], 640 * 480).decode(aiortc_adapter.JitterFrame(data, 0))
    assert (frame.width, frame.height) == (320, 240)


@pytest.mark.parametrize("name", CODECS)
def test_fuzz_of_sizes_survives(name):
    """Mutated pictures: a size, or None, or ValueError, and numbers that a header can hold."""
    rng, codec = random.Random(3), name.split()[0]
    good = encoded(name, count=2)
    for _ in range(max(200, CASES // 20)):
        data = bytearray(rng.choice(good)[: rng.choice((20, 60, 100000))])
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = data[: rng.randrange(1, len(data) + 1)]
        try:
            size = choice.picture_size(codec, bytes(data))
        except ValueError:
            continue
        assert size is None or all(0 <= side < 1 << 38 for side in size)


def test_bits():
    # Golomb codes of 0, 1, 2, 3 (H.264 table 9-2), and signed 1, -1 (table 9-3)
    bits = BitReader(bytes((0b10100110, 0b01000100, 0b11000000)))
    assert [bits.unsigned() for _ in range(4)] == [0, 1, 2, 3]
    assert [bits.signed() for _ in range(2)] == [1, -1]
    with pytest.raises(ValueError, match="cut off"):
        bits.read(9)
    with pytest.raises(ValueError, match="too long"):
        BitReader(bytes(40)).unsigned()
