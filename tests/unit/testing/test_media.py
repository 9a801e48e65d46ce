import asyncio
import importlib
import itertools
import time
from fractions import Fraction

import pytest
from aiortc.mediastreams import MediaStreamError

from rtcpeer.errors import RTCRangeError
from rtcpeer.testing import synthetic_track
from rtcpeer.testing.media import _Picture


def rows(frame, plane=0):
    p = frame.planes[plane]
    data = bytes(p)
    return [data[r * p.line_size : r * p.line_size + p.width] for r in range(p.height)]


async def test_the_first_frame_comes_at_once_and_is_never_black():
    track = synthetic_track("video", {})
    frame = await track.recv()
    assert (frame.width, frame.height, frame.format.name) == (640, 480, "yuv420p")
    assert (frame.pts, frame.time_base) == (0, Fraction(1, 90000))
    picture = b"".join(rows(frame))
    assert sum(picture) / len(picture) > 80
    track.stop()


async def test_the_picture_moves_and_the_counter_counts():
    track = synthetic_track("video", {"frameRate": 200, "width": 320, "height": 240})
    first, second = await track.recv(), await track.recv()
    assert rows(first) != rows(second)
    assert second.pts == 450
    track.stop()


@pytest.mark.parametrize("signal", [0, 100, 255])
async def test_signal_is_the_grey_of_the_square(signal):
    track = synthetic_track("video", {"width": 160, "height": 120})
    track.synthetic_signal = signal
    frame = await track.recv()
    luma = rows(frame)
    expected = 16 + round(signal * 219 / 255)
    assert {luma[y][x] for x in range(20, 60) for y in range(20, 60)} == {expected}
    assert {row[15] for row in rows(frame, 1)[10:30]} == {128}


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (22, 22), (62, 98), (318, 240), (1280, 720)])
def test_any_size_can_be_drawn(size):
    picture = _Picture(*size)
    for index in range(3):
        frame = picture.draw(index, index * 33, 128)
    assert (frame.width, frame.height) == size


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"width": 200, "height": 100}, (200, 100)),
        ({"width": {"exact": 321}, "height": {"ideal": 99.7}}, (320, 98)),
        ({"width": {"max": 320}, "height": {"min": 720}}, (320, 720)),
        ({"width": {"min": 100, "max": 2000}, "deviceId": "x"}, (640, 480)),
    ],
)
def test_settings_as_constraints(settings, size):
    track = synthetic_track("video", settings)
    assert track.synthetic_size == size
    assert track.getSettings()["width"] == size[0]


@pytest.mark.parametrize(
    ("kind", "settings", "error"),
    [
        ("smell", {}, TypeError),
        ("video", 3, TypeError),
        ("video", {"width": "big"}, TypeError),
        ("video", {"width": True}, TypeError),
        ("video", {"width": 0}, RTCRangeError),
        ("video", {"frameRate": float("nan")}, RTCRangeError),
        ("video", {"height": 1e9}, RTCRangeError),
        ("audio", {"channelCount": 9}, RTCRangeError),
    ],
)
def test_bad_settings(kind, settings, error):
    with pytest.raises(error):
        synthetic_track(kind, settings)


@pytest.mark.parametrize("channels", [1, 2])
async def test_audio_is_a_tone_in_20_ms(channels):
    track = synthetic_track("audio", {"channelCount": channels})
    first, second = await track.recv(), await track.recv()
    assert (first.samples, first.sample_rate, first.format.name) == (960, 48000, "s16")
    assert len(first.layout.channels) == channels
    assert (first.pts, second.pts, second.time_base) == (0, 960, Fraction(1, 48000))
    samples = memoryview(bytes(first.planes[0])).cast("h")
    assert max(samples) > 7000
    assert min(samples) < -7000
    if channels == 2:
        assert samples[0::2].tolist() == samples[1::2].tolist()
    assert track.synthetic_size == ()


async def test_the_tone_has_no_click_where_it_begins_again():
    track = synthetic_track("audio", {"frequency": 440})
    frames = [await track.recv() for _ in range(6)]
    samples = [s for f in frames for s in memoryview(bytes(f.planes[0])).cast("h")]
    assert max(abs(a - b) for a, b in itertools.pairwise(samples)) < 600


async def test_stop_ends_a_waiting_reader():
    track = synthetic_track("video", {"frameRate": 0.1})
    await track.recv()
    reader = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await asyncio.wait_for(reader, 60)
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert track.readyState == "ended"


async def test_a_reader_that_was_away_gets_the_present():
    loop = asyncio.get_running_loop()
    track = synthetic_track("audio", {})
    await track.recv()
    track._start = loop.time() - 10
    frame = await track.recv()
    assert 9.9 <= frame.pts / 48000 <= 10.1


async def test_a_clone_lives_on():
    track = synthetic_track("video", {"width": 64, "height": 64})
    clone = track.clone()
    track.stop()
    assert clone.readyState == "live"
    assert clone.id != track.id
    assert (await clone.recv()).width == 64
    assert track.clone().readyState == "ended"


def test_drawing_is_cheap():
    picture = _Picture(640, 480)
    times = []
    for index in range(20):
        start = time.thread_time()
        picture.draw(index, index * 33, 128)
        times.append(time.thread_time() - start)
    assert min(times) < 1e-3


def test_names_are_imported_on_demand():
    testing = importlib.import_module("rtcpeer.testing")
    assert set(testing.__all__) <= set(dir(testing))
    assert not hasattr(testing, "nothing_of_this_name")
