"""What is sent as H.264 is what the other end says it decodes (RFC 6184 section 8.1)."""

from __future__ import annotations

from random import Random

import pytest
from av import VideoFrame
from av.error import FFmpegError

from rtcpeer import OperationError, registerEncoder
from rtcpeer.media.aiortc_adapter import JitterFrame
from rtcpeer.media.video import annexb, choice
from rtcpeer.media.video.h264 import UNIT_MAX
from rtcpeer.media.video.h264_levels import H264Limits, limits_of, macroblocks
from rtcpeer.media.video.pictures import LONG_SIDE_MAX, PAYLOAD_MAX, SHORT_SIDE_MAX, PictureEncoder
from rtcpeer.values import Codec
from tests.unit.media.video.pictures import picture


def h264(**fmtp) -> Codec:
    return Codec("video/H264", 90000, None, tuple((k.replace("_", "-"), v) for k, v in fmtp.items()))


@pytest.mark.parametrize(
    ("fmtp", "limits"),
    [
        ({"profile_level_id": "42e01f"}, H264Limits(31, 108000, 3600, 14_000_000)),
        ({"profile_level_id": "640034"}, H264Limits(52, 2073600, 36864, 240_000_000)),
        # 1b is 1.1 with a flag, but in the high profiles 9
        ({"profile_level_id": "42f00b"}, H264Limits(9, 1485, 99, 128_000)),
        ({"profile_level_id": "64100b"}, H264Limits(11, 3000, 396, 192_000)),
        ({"profile_level_id": "640009"}, H264Limits(9, 1485, 99, 128_000)),
        # a level that does not exist is the one below; none, or nonsense, is what everybody decodes
        ({"profile_level_id": "42e023"}, H264Limits(32, 216000, 5120, 20_000_000)),
        ({"profile_level_id": "42e001"}, H264Limits(31, 108000, 3600, 14_000_000)),
        ({"profile_level_id": "nonsense"}, H264Limits(31, 108000, 3600, 14_000_000)),
        ({}, H264Limits(31, 108000, 3600, 14_000_000)),
        (
            {"profile_level_id": "42e01f", "max_fs": "8160", "max_mbps": "245000", "max_br": "20000"},
            H264Limits(31, 245000, 8160, 20_000_000),
        ),
        # below the level's own, and nonsense, is ignored
        (
            {"profile_level_id": "42e01f", "max_fs": "99", "max_mbps": "-5", "max_br": "9" * 30},
            H264Limits(31, 108000, 3600, 14_000_000),
        ),
    ],
)
def test_limits(fmtp, limits):
    assert limits_of(h264(**fmtp)) == limits


@pytest.mark.parametrize(
    ("fmtp", "size", "expected"),
    [
        ({"profile_level_id": "42e01f"}, (3840, 2160), (1280, 720)),
        ({"profile_level_id": "42e01f"}, (1280, 720), (1280, 720)),
        ({"profile_level_id": "42e01f"}, (721, 1281), (720, 1280)),
        ({"profile_level_id": "42e01f", "max_fs": "8160"}, (1920, 1080), (1920, 1080)),
        ({"profile_level_id": "42e015"}, (640, 480), (504, 380)),
        ({"profile_level_id": "42e00a"}, (640, 480), (176, 132)),
    ],
)
def test_pictures_beyond_the_level_are_scaled_down(fmtp, size, expected):
    encoder, limits = choice.make_encoder(h264(**fmtp)), limits_of(h264(**fmtp))

    payloads, _ = encoder.encode(picture(0, *size))

    assert payloads
    width, height = encoder.size
    assert limits.fits(width, height)
    # in proportion, and not much smaller than it could be
    assert width / height == pytest.approx(size[0] / size[1], rel=0.04)
    assert width == pytest.approx(expected[0], rel=0.06)
    assert encoder.rate_limit == limits.per_second / macroblocks(width, height)


def test_the_stream_says_the_level_and_profile_of_the_answer():
    for profile, level, iop in ((0x42, 30, 0xC0), (0x64, 40, 0)):
        encoder = choice.make_encoder(h264(profile_level_id=f"{profile:02x}{iop:02x}{level:02x}"))
        payloads, _ = encoder.encode(picture(0))
        # single or aggregated: the sequence parameter set is in there, type 7
        joined = choice.depacketize("H264", payloads)
        sps = next(unit for unit in annexb.units(joined) if unit[0] & 0x1F == 7)
        assert (sps[1], sps[3]) == (profile, level)


def test_the_bitrate_keeps_to_the_level():
    encoder = choice.make_encoder(h264(profile_level_id="42e00d"))

    encoder.set_target_bitrate(5_000_000)
    assert encoder.target_bitrate == 768_000
    encoder.target_bitrate = 2_000_000
    assert encoder.target_bitrate == 768_000


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264", "AV1", "H265"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (321, 241), (16400, 2), (2, 5000), (2600, 2600)])
def test_every_size_is_encoded_as_something_even(name, size):
    encoder = choice.make_encoder(Codec(f"video/{name}", 90000))
    frame = picture(0, 640, 480).reformat(width=size[0], height=size[1])
    frame.pts, frame.time_base = 0, picture(0).time_base

    payloads, _ = encoder.encode(frame)

    assert payloads
    width, height = encoder.size
    assert width % 2 == height % 2 == 0
    assert encoder.smallest <= min(width, height) <= SHORT_SIDE_MAX
    assert max(width, height) <= LONG_SIDE_MAX


@pytest.mark.parametrize("name", ["VP8", "H264", "VP9"])
def test_one_that_failed_is_never_used_again(name, monkeypatch):
    encoder = choice.make_encoder(Codec(f"video/{name}", 90000))
    opened = []
    real = PictureEncoder._open

    class Failing:
        def __init__(self, codec):
            self.width, self.height, self.pix_fmt, self.bit_rate = (
                codec.width,
                codec.height,
                codec.pix_fmt,
                codec.bit_rate,
            )

        def encode(self, picture):
            raise FFmpegError(22, "no")

    def open_one(self, frame):
        codec = real(self, frame)
        opened.append(codec)
        return Failing(codec) if len(opened) == 1 else codec

    monkeypatch.setattr(PictureEncoder, "_open", open_one)

    with pytest.raises(FFmpegError):
        encoder.encode(picture(0))
    assert encoder.encode(picture(1))[0]
    assert encoder.is_key
    assert len(opened) == 2


def noise(number: int, width: int, height: int) -> VideoFrame:
    """A picture that no encoder can make small."""
    random, frame = Random(number), VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(random.randbytes(plane.buffer_size))
    frame.pts, frame.time_base = number * 3000, picture(0).time_base
    return frame


@pytest.mark.parametrize("profile", ["42e01f", "42001f", "640034"])
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_in_packetization_mode_0_each_payload_is_one_unit_and_small_enough(profile, size):
    """RFC 6184 section 6.2: no aggregation, no fragments."""
    for fmtp in ({"packetization_mode": "0"}, {}):
        encoder = choice.make_encoder(h264(profile_level_id=profile, **fmtp))
        encoder.set_target_bitrate(4_000_000)
        decoder = choice.make_decoder(h264(profile_level_id=profile))
        for number in range(3):
            payloads, timestamp = encoder.encode(noise(number, *size), force_keyframe=number == 2)
            assert len(payloads) > 10
            assert {unit[0] & 0x1F for unit in payloads} <= {1, 5, 6, 7, 8}
            assert max(map(len, payloads)) <= PAYLOAD_MAX
            data = choice.depacketize("H264", payloads)
            (frame,) = decoder.decode(JitterFrame(data, timestamp))
            assert (frame.width, frame.height) == size


def test_in_packetization_mode_1_slices_are_fragments():
    encoder = choice.make_encoder(h264(profile_level_id="42e01f", packetization_mode="1"))
    payloads, _ = encoder.encode(noise(0, 640, 480))
    assert {unit[0] & 0x1F for unit in payloads} >= {28}


def test_a_unit_that_does_not_fit_into_a_packet_is_an_error_and_nothing_is_left_out():
    """Pictures that were encoded elsewhere: what is held is sent as it is, in its order."""
    encoder = choice.make_encoder(h264(profile_level_id="42e01f", packetization_mode="0"))
    units = [b"\x67" + b"a" * 20, b"\x68" + b"b" * 5, b"\x65" + b"c" * (UNIT_MAX - 1), b"\x65" + b"d" * 100]
    data = b"".join(annexb.START_CODE + unit for unit in units)
    assert encoder.packetize(data) == units

    with pytest.raises(OperationError, match=r"NAL unit is larger than one packet .* packetization mode 0"):
        encoder.packetize(data + annexb.START_CODE + b"\x65" + b"e" * UNIT_MAX)


def test_a_registered_encoder_that_makes_units_too_large_gives_way_to_ours():
    registerEncoder(
        "video/H264", "libx264", options={"tune": "zerolatency", "x264-params": "slice-max-size=50000"}
    )
    try:
        encoder = choice.make_encoder(h264(profile_level_id="42e01f", packetization_mode="0"))
        payloads, _ = encoder.encode(noise(0, 640, 480))
    finally:
        registerEncoder("video/H264", None)
    assert max(map(len, payloads)) <= PAYLOAD_MAX
    assert encoder.is_key
    assert "packetization mode 0" in str(encoder.warning)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([b"\x09\xf0"], [], id="delimiter"),
        pytest.param(
            [b"\x09\xf0", b"\x06\x05\x04abcd\x80"], [b"\x0c" + b"\xff" * 50 + b"\x80"], id="message, filler"
        ),
        pytest.param([], [b"\x0a"], id="end of sequence"),
        pytest.param([], [b"\x0a", b"\x0b"], id="end of stream"),
    ],
)
def test_units_around_a_picture_do_not_cost_it(before, after):
    """Cameras send delimiters, messages, filler and ends, some of which are a header alone (table 7-1)."""
    encoder = choice.make_encoder(h264(profile_level_id="42e01f"))
    decoder = choice.make_decoder(h264())
    shown = 0
    for number in range(3):
        # each picture begins a sequence
        payloads, timestamp = encoder.encode(picture(number), force_keyframe=True)
        data = choice.depacketize("H264", [*before, *payloads, *after])
        assert choice.picture_size("H264", data) == (128, 96)
        shown += len(decoder.decode(JitterFrame(data, timestamp)))
    assert shown == 3
    for garbage in (b"", b"\0", b"\x1c", b"\x18", b"\x1f"):
        with pytest.raises((ValueError, IndexError)):
            choice.depacketize("H264", [garbage])
