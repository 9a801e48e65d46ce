from __future__ import annotations

import dataclasses
import fractions
import math
from array import array

import av
import pytest

from rtcpeer.media.codecs import capabilities, payload_format
from rtcpeer.media.encoding import EncodeRequest, StreamEncoder, copy_picture, prepare_picture
from rtcpeer.media.frames import blank, is_keyframe
from rtcpeer.rtp.audio_level import audio_level, dbov_to_level, level_to_dbov
from rtcpeer.values import Codec


def sine(amplitude, layout="mono", fmt="s16"):
    frame = av.AudioFrame(format=fmt, layout=layout, samples=960)
    frame.sample_rate = 48000
    frame.pts, frame.time_base = 7, fractions.Fraction(1, 48000)
    channels = 1 if fmt.endswith("p") else len(frame.layout.channels)
    values = [
        int(amplitude * math.sin(2 * math.pi * 440 * n / 48000)) for n in range(960) for _ in range(channels)
    ]
    for plane in frame.planes:
        data = array("h", values).tobytes()
        plane.update(data + bytes(plane.buffer_size - len(data)))
    return frame


def picture(width=100, height=60, value=90):
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes((value,)) * plane.buffer_size)
    frame.pts, frame.time_base = 5, fractions.Fraction(1, 90000)
    return frame


def request(frame, **options):
    defaults = {
        "format": payload_format(capabilities("video").send[0]),
        "force_keyframe": False,
        "scale_down_by": 1.0,
        "max_bitrate": None,
        "estimate": None,
        "shared": False,
        "disabled": False,
    }
    return EncodeRequest(frame=frame, **(defaults | options))


@pytest.mark.parametrize("amplitude", [100, 3000, 20000])
@pytest.mark.parametrize(("layout", "fmt"), [("mono", "s16"), ("stereo", "s16"), ("stereo", "s16p")])
def test_level_of_a_tone(amplitude, layout, fmt):
    level = audio_level(sine(amplitude, layout, fmt))

    assert level == pytest.approx(amplitude / math.sqrt(2) / 32768, rel=0.12)


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("fmt", ["u8", "u8p", "s16p", "s32", "s32p", "s64", "flt", "fltp", "dbl", "dblp"])
def test_level_of_samples_of_every_kind(layout, fmt):
    resampler = av.AudioResampler(format=fmt, layout=layout, rate=48000)
    (frame,) = resampler.resample(sine(8000, layout))

    assert frame.format.name == fmt
    assert audio_level(frame) == pytest.approx(audio_level(sine(8000, layout)), rel=0.05)


def test_level_of_silence_and_of_what_cannot_be_told():
    assert audio_level(sine(0)) == 0.0
    assert audio_level(av.AudioFrame(format="s16", layout="mono", samples=0)) == 0.0


@pytest.mark.parametrize(("value", "level"), [(math.nan, 0.0), (math.inf, 0.0), (1e30, 1.0)])
def test_level_of_numbers_that_are_no_sound(value, level):
    frame = av.AudioFrame(format="flt", layout="mono", samples=960)
    frame.planes[0].update(array("f", [value] * 960).tobytes())

    assert audio_level(frame) == level
    assert 0 <= level_to_dbov(audio_level(frame)) <= 127


@pytest.mark.parametrize(("level", "dbov"), [(0.0, 127), (1.0, 0), (0.1, 20), (1e-9, 127), (2.0, 0)])
def test_levels(level, dbov):
    assert level_to_dbov(level) == dbov


def test_dbov_and_back():
    assert dbov_to_level(127) == 0.0
    assert level_to_dbov(dbov_to_level(30)) == 30


def test_blank_audio():
    frame = blank(sine(20000, "stereo"))

    assert audio_level(frame) == 0.0
    assert (frame.pts, frame.sample_rate, frame.samples) == (7, 48000, 960)


def test_blank_video():
    frame = blank(picture())

    assert (frame.width, frame.height, frame.pts) == (100, 60, 5)
    assert bytes(frame.planes[0])[0] == 16
    packet = av.Packet(b"x")
    assert blank(packet) is packet


@pytest.mark.parametrize("fmt", ["yuv420p", "rgb24"])
@pytest.mark.parametrize("size", [(100, 60), (64, 64), (17, 33)])
def test_a_copy_is_another_frame_with_the_same_picture(fmt, size):
    frame = picture(*size)
    if fmt != "yuv420p":
        frame = frame.reformat(format=fmt)
        frame.pts, frame.time_base = 5, fractions.Fraction(1, 90000)

    copy = copy_picture(frame)

    assert copy is not frame
    assert (copy.width, copy.height, copy.pts, copy.format.name) == (*size, 5, "yuv420p")
    assert abs(bytes(copy.planes[0])[0] - 90) < 4


@pytest.mark.parametrize(("scale", "size"), [(2.0, (50, 30)), (3.0, (32, 20)), (100.0, (2, 2))])
def test_scaled_pictures_have_even_sizes(scale, size):
    scaled = prepare_picture(picture(), request(None, scale_down_by=scale))

    assert (scaled.width, scaled.height) == size
    assert scaled.pts == 5


@pytest.mark.parametrize(
    ("size", "most", "sent"),
    [
        ((1280, 720), (640, 360), (640, 360)),
        ((1280, 720), (360, 640), (640, 360)),
        ((720, 1280), (640, 360), (360, 640)),
        ((120, 60), (60, 60), (60, 30)),
        ((120, 60), (1000, 30), (60, 30)),
        ((120, 60), (1920, 1080), (120, 60)),
        ((1920, 1080), (854, 480), (852, 480)),
        ((120, 60), (1, 1), (2, 2)),
    ],
)
def test_a_picture_is_no_larger_than_its_encoding_allows(size, most, sent):
    """Of the same shape, whichever way it stands, and never made larger; the factor counts for nothing then."""
    wanted = request(picture(*size), scale_down_to=most, scale_down_by=4.0)

    shown = prepare_picture(wanted.frame, wanted)

    assert (shown.width, shown.height) == sent


def test_what_others_use_is_copied():
    frame = picture()

    assert prepare_picture(frame, request(frame)) is frame
    assert prepare_picture(frame, request(frame, shared=True)) is not frame


@pytest.mark.parametrize(
    ("codec", "data", "expected"),
    [
        ("VP8", b"\x10", True),
        ("VP8", b"\x11", False),
        ("VP8", b"", False),
        ("H264", b"\0\0\0\1\x67abc", True),
        ("H264", b"\0\0\0\1\x09\0\0\1\x65", True),
        ("H264", b"\0\0\0\1\x41abc", False),
        ("H264", b"abc", False),
        ("OPUS", b"x", True),
    ],
)
def test_key_frames(codec, data, expected):
    assert is_keyframe(codec, data) is expected


def test_capabilities():
    audio, video = capabilities("audio"), capabilities("video")

    assert [c.name for c in audio.send][:5] == ["opus", "red", "G722", "PCMU", "PCMA"]
    assert [c.name for c in video.send][:2] == ["VP8", "rtx"]
    types = [c.payload_type for c in audio.send + video.send]
    assert len(set(types)) == len(types)
    ids = {e.uri: e.id for e in audio.header_extensions + video.header_extensions}
    assert len(set(ids.values())) == len(ids)
    with pytest.raises(ValueError):
        capabilities("data")


def test_formats():
    rtx = payload_format(Codec("video/rtx", 90000, fmtp=(("apt", "96"),), payload_type=97))
    odd = payload_format(Codec("video/rtx", 90000, fmtp=(("apt", "x"),), payload_type=97))

    assert (rtx.name, rtx.apt, odd.apt, rtx.is_media) == ("RTX", 96, None, False)


@pytest.mark.parametrize("codec", ["video/VP8", "video/VP9"])
def test_a_limit_of_the_other_end_only_takes_away(codec):
    """b=TIAS and b=AS say what may be sent, not what is to be sent; `max_bitrate` says both."""
    found = next(c for c in capabilities("video").send if c.mime_type == codec)

    def target(**options):
        encoder = StreamEncoder()
        encoder.encode(request(picture(), format=payload_format(found), **options))
        return encoder.target

    usual = target()
    assert usual > 100_000
    assert target(bitrate_limit=10 * usual) == usual
    assert target(bitrate_limit=100_000) == 100_000
    assert target(bitrate_limit=100_000, max_bitrate=90_000) == 90_000
    assert target(bitrate_limit=100_000, max_bitrate=10 * usual) == 100_000
    assert target(bitrate_limit=0) > 0


def test_what_the_other_end_takes_of_opus_is_not_exceeded():
    """RFC 7587 section 6.1: maxaveragebitrate is the most that a receiver wants on average."""
    opus = next(c for c in capabilities("audio").send if c.name == "opus")

    def target(wanted, **options):
        fmtp = () if wanted is None else (("maxaveragebitrate", wanted),)
        codec = payload_format(dataclasses.replace(opus, fmtp=fmtp))
        encoder = StreamEncoder()
        encoder.encode(request(sine(8000), format=codec, **options))
        return encoder.target

    usual = target(None)
    assert target("20000") == 20_000
    assert target("20000", max_bitrate=64_000) == 20_000
    assert target("20000", max_bitrate=12_000) == 12_000
    assert target("20000", bitrate_limit=16_000) == 16_000
    assert target("510000") == usual
    assert target("510000", max_bitrate=300_000) == 300_000
    assert target("1") == 6_000
    assert [target(text) for text in ("", "x", "-5", "1e4", "9" * 5000)] == [usual] * 5


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"estimate": 200_000}, 200_000),
        ({"estimate": 200_000, "min_bitrate": 600_000}, 600_000),
        ({"estimate": 900_000, "min_bitrate": 600_000}, 900_000),
        ({"estimate": 60_000, "min_bitrate": 50_000}, 60_000),
        ({"estimate": 200_000, "min_bitrate": 600_000, "max_bitrate": 300_000}, 300_000),
        ({"estimate": 200_000, "min_bitrate": 600_000, "bitrate_limit": 400_000}, 400_000),
        ({"min_bitrate": 5_000_000}, 5_000_000),
    ],
)
def test_an_encoder_aims_at_no_less_than_it_is_told(options, target):
    encoder = StreamEncoder()
    encoder.encode(request(picture(), **options))
    assert encoder.target == target
