"""Encoders of libav that a program has chosen."""

from __future__ import annotations

import av
import pytest

from rtcpeer import NotSupportedError, OperationError, registerEncoder
from rtcpeer.media.codecs import payload_format
from rtcpeer.media.encoding import EncodeRequest, StreamEncoder
from rtcpeer.media.video import annexb, choice, registered
from rtcpeer.media.video.pictures import PictureEncoder
from rtcpeer.values import Codec
from tests.unit.media.video.pictures import picture

H264 = Codec("video/H264", 90000, None, (("profile-level-id", "42e01f"),), payload_type=96)


@pytest.fixture(autouse=True)
def _unregister():
    yield
    registered._registered.clear()


def profile_of(payloads):
    joined = choice.depacketize("H264", payloads)
    return next(unit for unit in annexb.units(joined) if unit[0] & 0x1F == 7)[1]


def test_the_one_that_is_registered_is_used_with_its_options():
    registerEncoder("video/h264", "libx264", options={"x264-params": "8x8dct=0", "tune": "zerolatency"})
    encoder = choice.make_encoder(H264)

    payloads, timestamp = encoder.encode(picture(0))

    assert (profile_of(payloads), timestamp, encoder.warning) == (77, 0, None)
    # sizes and levels are still ours
    encoder.encode(picture(1, 1921, 1081))
    assert encoder.size[0] > 1200
    assert encoder.allows(*encoder.size)
    registerEncoder("video/H264", None)
    assert profile_of(choice.make_encoder(H264).encode(picture(0))[0]) == 66


def test_hardware_that_is_not_there_is_fallen_back_from_with_the_same_picture():
    registerEncoder("video/H264", "h264_nvenc")
    encoder = StreamEncoder()

    result = encoder.encode(
        EncodeRequest(picture(0), payload_format(H264), False, 1.0, None, None, False, False)
    )

    assert result is not None
    assert result.is_key
    assert (encoder.implementation, encoder.is_hardware) == ("libx264", False)
    assert isinstance(encoder.warning, OperationError)
    assert "h264_nvenc" in str(encoder.warning)
    assert "libx264 is used instead" in str(encoder.warning)


class _Context:
    """Stands for an open encoder that fails, or gives nothing."""

    def __init__(self, frame, bitrate, error):
        self.width, self.height, self.pix_fmt, self.bit_rate = (
            frame.width,
            frame.height,
            frame.format.name,
            bitrate,
        )
        self.error = error

    def encode(self, frame):
        if self.error is not None:
            raise self.error
        return []


@pytest.mark.skipif("h264_qsv" not in av.codecs_available, reason="libav knows no such hardware here")
@pytest.mark.parametrize("error", [None, RuntimeError("the card is gone")])
def test_one_that_fails_or_swallows_pictures_is_replaced(monkeypatch, error):
    registerEncoder("video/H264", "h264_qsv")
    real = PictureEncoder._open

    def open_one(self, frame):
        if self.registered is None:
            return real(self, frame)
        assert frame.format.name == "nv12"
        return _Context(frame, self._bitrate, error)

    monkeypatch.setattr(PictureEncoder, "_open", open_one)
    encoder = choice.make_encoder(H264)
    given = [encoder.encode(picture(n))[0] for n in range(40)]

    first = next(n for n, payloads in enumerate(given) if payloads)
    assert first == (29 if error is None else 0)
    assert all(given[first:])
    assert profile_of(given[first]) == 66
    assert encoder.implementation == "libx264"
    assert encoder.warning is not None
    assert ("given none" if error is None else "the card is gone") in str(encoder.warning)


@pytest.mark.parametrize(
    ("mime_type", "encoder", "error"),
    [
        ("video/H264", "no_such_encoder", NotSupportedError),
        ("video/H264", "libvpx", TypeError),
        ("video/VP8", "libx264", TypeError),
        ("audio/opus", "libopus", NotSupportedError),
        ("video/rtx", "libx264", NotSupportedError),
        ("H264", "libx264", NotSupportedError),
        (5, "libx264", TypeError),
        ("video/H264", 5, TypeError),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(mime_type, encoder, error):
    registerEncoder("video/H264", "h264_nvenc", options={"preset": "p1", "delay": 1})

    with pytest.raises(error):
        registerEncoder(mime_type, encoder)

    found = registered.registered_encoder("H264")
    assert found is not None
    assert (found.name, found.is_hardware) == ("h264_nvenc", True)
    # what hardware needs for low delay, and what was given over it
    options = dict(found.options)
    assert (options["zerolatency"], options["preset"], options["delay"]) == ("1", "p1", "1")


def test_the_successor_of_one_that_hangs_is_ours():
    registerEncoder("video/H264", "libx264")
    first = StreamEncoder()
    form = payload_format(H264)
    assert first._pictures_of(form).registered is not None

    second = first.successor()

    assert second._pictures_of(form).registered is None
    assert second.successor()._pictures_of(form).registered is None
    # ours that hung says nothing against what was registered meanwhile
    ours = StreamEncoder()
    registerEncoder("video/H264", None)
    ours._pictures_of(form)
    registerEncoder("video/H264", "libx264")
    assert ours.successor()._pictures_of(form).registered is not None
