from __future__ import annotations

import contextlib
import random

import av
import pytest
from av.error import FFmpegError
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.errors import OperationError
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import payload_format
from rtcpeer.media.encoding import EncodeRequest, StreamEncoder
from rtcpeer.media.frames import is_keyframe
from rtcpeer.media.scheduling import ordinary_scheduling
from rtcpeer.media.video import choice, libvpx
from rtcpeer.media.video.pictures import BITRATE_MAX, BITRATE_MIN, ticks
from rtcpeer.values import Codec
from tests.unit.media.video.pictures import luma, picture

HIGH = Codec("video/H264", 90000, None, (("profile-level-id", "64001f"),))
HIGH_444 = Codec("video/H264", 90000, None, (("profile-level-id", "F4001F"),))
VP8, VP9, AV1, H265 = (Codec(f"video/{name}", 90000) for name in ("VP8", "VP9", "AV1", "H265"))
CODECS = [VP9, AV1, H265, HIGH]


def make_decoder(codec: Codec):
    return choice.make_decoder(codec, 4096 * 2304)


def names(codec: Codec) -> str:
    return codec.name + (codec.parameter("profile-level-id") or "")


def through(decoder, codec, payloads, timestamp):
    data = choice.depacketize(codec.name, payloads)
    return decoder.decode(aiortc_adapter.JitterFrame(data, timestamp)), data


@pytest.mark.parametrize("codec", CODECS, ids=names)
def test_one_picture_in_one_out(codec):
    encoder, decoder = choice.make_encoder(codec), make_decoder(codec)
    keys = []

    for number in range(12):
        payloads, timestamp = encoder.encode(picture(number, grey=180), number == 6)
        frames, data = through(decoder, codec, payloads, timestamp)
        assert timestamp == number * 3000
        assert encoder.is_key is is_keyframe(codec.name, data)
        if encoder.is_key:
            keys.append(number)
        if codec is not HIGH:
            (frame,) = frames
            assert (frame.width, frame.height, frame.pts) == (128, 96, timestamp)
            assert abs(luma(frame, 127, 95) - 180) < 12

    assert keys == [0, 6]


@pytest.mark.parametrize("codec", [VP8, *CODECS], ids=names)
def test_size_and_bitrate_may_change(codec):
    encoder = choice.make_encoder(codec)
    keys = []

    for number, (size, bitrate) in enumerate(
        [
            ((128, 96), 500_000),
            ((128, 96), 520_000),
            ((128, 96), 900_000),
            ((160, 96), 900_000),
            ((160, 96), 0),
        ]
    ):
        encoder.target_bitrate = bitrate
        payloads, _ = encoder.encode(picture(number, *size))
        assert payloads
        assert encoder.size == size
        keys.append(encoder.is_key)

    # where it needs a new encoder, a little more is not worth one
    changes = codec not in (VP8, VP9, HIGH)
    assert keys == [True, False, changes, True, changes]
    assert encoder.target_bitrate == BITRATE_MIN
    encoder.target_bitrate = 1 << 40
    assert encoder.target_bitrate == BITRATE_MAX
    encoder.set_target_bitrate(BITRATE_MAX * 2)
    assert encoder.target_bitrate == BITRATE_MAX * 2


def noisy(number: int, chance: random.Random, width: int = 320, height: int = 240) -> av.VideoFrame:
    """A picture that costs something at any bitrate."""
    frame = picture(number, width, height)
    plane = frame.planes[0]
    lines = bytearray(plane.buffer_size)
    lines[:] = bytes((128,)) * len(lines)
    lines[: len(lines) // 5] = bytes(96 + value % 64 for value in chance.randbytes(len(lines) // 5))
    plane.update(bytes(lines))
    return frame


@pytest.mark.parametrize("codec", [VP8, VP9, HIGH], ids=names)
def test_the_bitrate_follows_an_estimate_without_key_frames(codec):
    """From half to twice as much and far down, in a leap and in steps, as congestion control does."""
    encoder, chance = choice.make_encoder(codec), random.Random(1)
    keys, number = 0, 0
    for bitrate in (400_000, 800_000, 150_000, 400_000):
        sizes = []
        for step in range(40):
            encoder.target_bitrate = int(bitrate * (1 - 0.01 * (step % 10)))
            payloads, _ = encoder.encode(noisy(number, chance))
            sizes.append(8 * sum(map(len, payloads)))
            keys += encoder.is_key
            number += 1
        # at 30 a second
        assert 0.6 * bitrate < 1.5 * sum(sizes[20:]) < 1.4 * bitrate
    assert keys == 1


def test_where_it_needs_a_new_encoder_an_estimate_that_goes_up_and_down_costs_few_key_frames():
    encoder, keys = choice.make_encoder(H265), []

    def run(pictures, bitrate, forced=()):
        begun = len(keys)
        for number in range(begun, begun + pictures):
            encoder.target_bitrate = bitrate(number - begun)
            encoder.encode(picture(number, 64, 48), number - begun in forced)
            keys.append(encoder.is_key)
        return sum(keys[begun:])

    assert run(60, lambda _number: 300_000) == 1
    # to more than three times as much, by little steps
    assert run(60, lambda number: int(300_000 * 1.02**number)) <= 4
    assert run(90, lambda _number: 900_000) <= 1
    # as congestion control goes to and fro
    assert run(90, lambda number: 900_000 - 7_500 * (number % 12)) == 0
    # the path bears much less: at once; a little less: soon
    assert run(1, lambda _number: 500_000) == 1
    assert run(30, lambda _number: 430_000) == 0
    assert run(60, lambda _number: 430_000) == 1
    # a key frame that comes anyway brings the new bitrate along
    assert run(30, lambda _number: 460_000, forced={5}) == 1
    assert encoder._codec.bit_rate == 460_000


@pytest.mark.parametrize("codec", [VP8, VP9], ids=names)
def test_pictures_of_libvpx_itself_are_decoded(codec):
    encoder, decoder = choice.make_encoder(codec), make_decoder(codec)
    for number in range(6):
        payloads, timestamp = encoder.encode(picture(number, 130, 98, grey=180), number == 3)
        assert encoder.is_key is (number in (0, 3))
        (frame,), _ = through(decoder, codec, payloads, timestamp)
        assert (frame.width, frame.height) == (130, 98)
        assert abs(luma(frame, 129, 97) - 180) < 12
    assert isinstance(encoder._codec, libvpx.LibvpxEncoder)


@pytest.mark.parametrize("codec", [VP8, VP9], ids=names)
@pytest.mark.parametrize("reason", ["not found", "another version"])
def test_where_libvpx_cannot_be_called_libav_does_it(codec, reason, monkeypatch):
    if reason == "not found":
        monkeypatch.setattr(libvpx, "_library", lambda: None)
    else:
        monkeypatch.setattr(libvpx, "_VERSIONS", (7,))
    encoder, decoder = choice.make_encoder(codec), make_decoder(codec)
    keys = []
    for number, bitrate in enumerate([500_000, 500_000, 900_000, 900_000]):
        encoder.target_bitrate = bitrate
        payloads, timestamp = encoder.encode(picture(number))
        assert through(decoder, codec, payloads, timestamp)[0]
        keys.append(encoder.is_key)
    assert keys == [True, False, True, False]
    assert not isinstance(encoder._codec, libvpx.LibvpxEncoder)


def test_what_libvpx_refuses_is_told_and_the_next_picture_has_a_new_encoder(monkeypatch):
    encoder = choice.make_encoder(VP8)
    encoder.encode(picture(0))
    held = encoder._codec
    monkeypatch.setattr(held, "_check", lambda _code: libvpx.LibvpxEncoder._check(5))
    with pytest.raises(OperationError, match="libvpx cannot encode: its error 5"):
        encoder.encode(picture(1))
    monkeypatch.undo()
    payloads, _ = encoder.encode(picture(2))
    assert payloads
    assert encoder.is_key
    assert encoder._codec is not held


@pytest.mark.parametrize("codec", CODECS, ids=names)
@pytest.mark.parametrize("size", [(2, 2), (17, 33), (65, 65), (150, 31)])
def test_odd_and_small_pictures(codec, size):
    encoder, decoder = choice.make_encoder(codec), make_decoder(codec)
    frame = picture(0, 200, 200).reformat(width=size[0], height=size[1])
    frame.pts, frame.time_base = 0, picture(0).time_base

    payloads, _ = encoder.encode(frame)

    width, height = encoder.size
    assert width % 2 == height % 2 == 0
    if codec is not HIGH:
        (decoded,), _ = through(decoder, codec, payloads, 0)
        assert (decoded.width, decoded.height) == (width, height)


@pytest.mark.parametrize("codec", CODECS, ids=names)
def test_time_that_jumps_stops_no_encoder(codec):
    encoder = choice.make_encoder(codec)
    frame = picture(0)

    for time in (10**9, 10**9 + 3000, 5, 5, 3005, 10**12):
        frame.pts = time
        payloads, timestamp = encoder.encode(frame)
        assert payloads
        assert timestamp == time
        # the frame is the user's
        assert frame.pts == time


def test_a_frame_without_time_is_refused():
    encoder = choice.make_encoder(VP9)
    frame = picture(0)
    frame.pts = None

    with pytest.raises(ValueError):
        encoder.encode(frame)
    with pytest.raises(TypeError):
        encoder.encode(av.AudioFrame())
    with pytest.raises(ValueError):
        ticks(5, None)


@pytest.mark.parametrize("codec", CODECS, ids=names)
def test_what_is_encoded_already_is_only_cut(codec):
    encoder = choice.make_encoder(codec)
    source = av.CodecContext.create(type(encoder).coder, "w")
    source.width, source.height, source.pix_fmt = 128, 96, "yuv420p"
    source.bit_rate, source.time_base, source.framerate = 500_000, picture(0).time_base, 30
    source.options = encoder.options(128, 96, 500_000)
    with ordinary_scheduling():
        source.open()
    (packet,) = source.encode(picture(0))

    payloads, timestamp = encoder.pack(packet)

    assert (timestamp, encoder.is_key, encoder.size) == (0, True, (0, 0))
    assert is_keyframe(codec.name, choice.depacketize(codec.name, payloads))


def test_full_colour_is_kept_where_it_was_agreed():
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    formats = []
    for codec, fmt in ((HIGH_444, "yuv444p"), (HIGH_444, "yuv420p"), (HIGH, "yuv444p")):
        payloads, _ = choice.make_encoder(codec).encode(picture(0, fmt=fmt))
        frames = decoder.decode(av.Packet(choice.depacketize("H264", payloads))) + decoder.decode(None)
        decoder = av.CodecContext.create("h264", "r")
        formats.append(frames[0].format.name)

    assert formats == ["yuv444p", "yuv420p", "yuv420p"]


def test_ten_bits_arrive_as_eight():
    source = av.CodecContext.create("libx265", "w")
    source.width, source.height, source.pix_fmt = 128, 96, "yuv420p10le"
    source.time_base = picture(0).time_base
    source.options = choice.make_encoder(H265).options(128, 96, 500_000)
    frame = picture(0, grey=180).reformat(format="yuv420p10le")
    frame.pts, frame.time_base = 0, picture(0).time_base
    (packet,) = source.encode(frame)

    (decoded,) = make_decoder(H265).decode(aiortc_adapter.JitterFrame(bytes(packet), 77))

    assert (decoded.format.name, decoded.pts) == ("yuv420p", 77)
    assert abs(luma(decoded, 127, 95) - 180) < 12


def encoded(codec: Codec) -> bytes:
    return choice.depacketize(codec.name, choice.make_encoder(codec).encode(picture(0))[0])


GOOD = {codec.name: encoded(codec) for codec in CODECS if codec is not HIGH and choice.can_encode(codec.name)}


@pytest.mark.parametrize("name", GOOD)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_garbage_stops_a_decoder(name, data):
    """What libav says of it is an error of its own kind, and the next good picture is shown."""
    good = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 12))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(good)))
    decoder = make_decoder(Codec(f"video/{name}", 90000))

    for garbage in (bytes(good[:cut]), bytes(good)):
        with contextlib.suppress(FFmpegError, ValueError):
            decoder.decode(aiortc_adapter.JitterFrame(garbage, 0))

    assert len(decoder.decode(aiortc_adapter.JitterFrame(GOOD[name], 3000))) == 1


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_that_is_too_large_is_not_decoded(name):
    decoder = choice.make_decoder(Codec(f"video/{name}", 90000), 128 * 80)

    with pytest.raises(FFmpegError):
        decoder.decode(aiortc_adapter.JitterFrame(GOOD[name], 0))


def test_a_codec_that_libav_lacks_is_not_offered(monkeypatch):
    monkeypatch.setitem(choice._NEEDED, "AV1", ("no-such-encoder", "no-such-decoder"))
    choice.can_encode.cache_clear()
    choice.can_decode.cache_clear()
    try:
        assert not choice.can_encode("AV1")
        assert not choice.can_decode("AV1")
        assert choice.can_encode("VP9")
        assert choice.can_decode("VP8")
    finally:
        choice.can_encode.cache_clear()
        choice.can_decode.cache_clear()


def test_another_profile_is_another_encoder():
    encoder = StreamEncoder()
    for number, profile in enumerate(("42e01f", "42e01f", "640034")):
        codec = Codec("video/H264", 90000, None, (("profile-level-id", profile),), payload_type=96)
        request = EncodeRequest(
            picture(number), payload_format(codec), False, 1.0, 700_000, 600_000, False, False
        )
        result = encoder.encode(request)
        assert result is not None
        assert result.epoch == (2 if profile == "640034" else 1)
        assert encoder.target == 600_000


def test_seeded_noise_does_not_break_a_decoder_for_good():
    rng = random.Random(7)
    for name in GOOD:
        decoder = make_decoder(Codec(f"video/{name}", 90000))
        for _ in range(20):
            with contextlib.suppress(FFmpegError, ValueError):
                decoder.decode(aiortc_adapter.JitterFrame(rng.randbytes(rng.randrange(1, 400)), 0))
        assert len(decoder.decode(aiortc_adapter.JitterFrame(GOOD[name], 3000))) == 1
