"""A track that a program writes to, and a reader of samples."""

from __future__ import annotations

import asyncio
import math
from array import array
from fractions import Fraction

import av
import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.media.aiortc_adapter import MediaStreamError
from rtcpeer.media.audio_source import AudioSource, AudioTap


def samples_of(frame):
    width = len(frame.layout.channels)
    return array("h", bytes(frame.planes[0])[: frame.samples * 2 * width])


async def test_frames_come_in_their_time_and_silence_between():
    source = AudioSource(16000)
    loop = asyncio.get_running_loop()
    source.write_nowait(array("h", [7] * 480))
    begun = loop.time()

    frames = [await source.recv() for _ in range(50)]

    assert loop.time() - begun == pytest.approx(0.98, abs=0.005)
    assert [f.pts for f in frames] == [320 * n for n in range(50)]
    assert frames[0].sample_rate == 16000
    assert list(samples_of(frames[0])) == [7] * 320
    # half a frame, filled up
    assert list(samples_of(frames[1])) == [7] * 160 + [0] * 160
    assert not any(samples_of(frames[2]))


async def test_it_is_bounded_and_writers_wait():
    source = AudioSource(8000, max_seconds=1)
    writer = asyncio.ensure_future(source.write(bytes(2 * 8000 * 3)))
    await asyncio.sleep(0)

    assert source.buffered == 1.0
    with pytest.raises(OperationError, match=r"1\.00 s"):
        source.write_nowait(bytes(2))
    for _ in range(100):
        await source.recv()
    assert await writer is True
    assert source.buffered == pytest.approx(1.0, abs=0.021)
    task = asyncio.ensure_future(source.drained())
    for _ in range(49):
        await source.recv()
    assert not task.done()
    await source.recv()
    await asyncio.sleep(0)
    assert task.done()


async def test_an_interruption_is_heard_with_the_next_frame():
    source = AudioSource(8000, max_seconds=1)
    writer = asyncio.ensure_future(source.write(array("h", [9] * 8000 * 3)))
    await asyncio.sleep(0)
    for _ in range(10):
        assert samples_of(await source.recv())[0] == 9

    assert source.clear() == pytest.approx(1.0, abs=0.021)
    assert await writer is False
    assert not any(samples_of(await source.recv()))
    # and what is written afterwards is spoken
    assert await source.write(array("h", [5] * 160)) is True
    assert samples_of(await source.recv())[0] == 5


async def test_a_stall_is_not_caught_up_with():
    source = AudioSource(8000)
    loop = asyncio.get_running_loop()
    await source.recv()
    await asyncio.sleep(5)
    begun = loop.time()
    for _ in range(3):
        await source.recv()

    assert loop.time() - begun == pytest.approx(0.04, abs=0.005)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(array("f", [0.5] * 320), id="floats"),
        pytest.param(array("d", [0.5] * 320), id="doubles"),
        pytest.param(array("h", [16383] * 320), id="integers"),
        pytest.param(array("h", [16383] * 320).tobytes(), id="bytes"),
    ],
)
async def test_samples_of_several_kinds(data):
    source = AudioSource(16000)
    await source.write(data)

    assert set(samples_of(await source.recv())) == {16383}


async def test_floats_beyond_full_scale_are_clipped_and_frames_are_converted():
    source = AudioSource(16000)
    await source.write(array("f", [3.0, -3.0]))
    assert list(samples_of(await source.recv()))[:2] == [32767, -32767]
    frame = av.AudioFrame(format="fltp", layout="stereo", samples=4800)
    frame.sample_rate = 48000
    for plane in frame.planes:
        plane.update(array("f", [0.25] * 4800).tobytes().ljust(plane.buffer_size, b"\0"))
    await source.write(frame)
    assert source.buffered == pytest.approx(0.1, abs=0.005)
    await source.recv()
    assert abs(samples_of(await source.recv())[0] - 8192) < 50


def shaped(values, *shape):
    """As an array of NumPy with a shape, which memoryview sees the same way."""
    return memoryview(array("h", values)).cast("B").cast("h", shape)


@pytest.mark.parametrize(
    ("channels", "shape", "expected"),
    [
        (1, (6, 1), [1, 2, 3, 4, 5, 6]),
        (1, (1, 6), [1, 2, 3, 4, 5, 6]),
        (2, (3, 2), [1, 2, 3, 4, 5, 6]),
        (2, (2, 3), [1, 4, 2, 5, 3, 6]),
    ],
)
async def test_arrays_with_a_row_or_a_column_for_each_channel(channels, shape, expected):
    source = AudioSource(8000, channels)
    source.write_nowait(shaped(range(1, 7), *shape))

    assert list(samples_of(await source.recv()))[:6] == expected


@pytest.mark.parametrize(
    ("channels", "shape"), [(1, (3, 2)), (1, (2, 3)), (2, (1, 6)), (2, (6, 1)), (2, (1, 3, 2))]
)
async def test_arrays_of_other_shapes_are_refused(channels, shape):
    source = AudioSource(8000, channels)
    with pytest.raises(ValueError, match="shape"):
        source.write_nowait(shaped(range(6), *shape))
    assert source.buffered == 0


async def test_bad_input_changes_nothing():
    for wrong in ({"sample_rate": 44111}, {"sample_rate": 100}, {"channels": 3}, {"max_seconds": 0}):
        with pytest.raises(ValueError, match="must be"):
            AudioSource(**wrong)
    with pytest.raises(TypeError):
        AudioSource("48000")
    source = AudioSource(16000, 2)
    for wrong, error in ((5, TypeError), (bytes(6), ValueError), (array("q", [1]), TypeError)):
        with pytest.raises(error):
            await source.write(wrong)
        with pytest.raises(error):
            source.write_nowait(wrong)
    assert source.buffered == 0
    source.write_nowait(bytes(400))
    source.stop()
    await source.drained()
    with pytest.raises(InvalidStateError):
        await source.write(bytes(4))
    with pytest.raises(InvalidStateError):
        source.write_nowait(bytes(4))
    with pytest.raises(MediaStreamError):
        await source.recv()


async def test_who_waits_to_write_hears_of_the_end():
    source = AudioSource(8000, max_seconds=1)
    writer = asyncio.ensure_future(source.write(bytes(40000)))
    await asyncio.sleep(0)
    source.stop()

    with pytest.raises(InvalidStateError):
        await writer


def stereo(rate, samples, start):
    frame = av.AudioFrame(format="s16", layout="stereo", samples=samples)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    data = array(
        "h", [int(8000 * math.sin(2 * math.pi * 400 * (start + n // 2) / rate)) for n in range(2 * samples)]
    )
    frame.planes[0].update(data.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    return frame


class Stereo(AudioSource):
    async def recv(self):
        frame = await super().recv()
        return stereo(48000, 960, frame.pts)


async def test_a_tap_gives_16_khz_mono_beside_another_reader():
    track = Stereo()
    tap, other = AudioTap(track), AudioTap(track, 48000, 2, seconds=0.1)
    pieces = []
    async for piece in tap:
        pieces.append(piece)
        if len(pieces) == 50:
            break
    wide = [await anext(other) for _ in range(9)]
    track.enabled = False
    await anext(tap)
    silent = [await anext(tap) for _ in range(5)][-1]

    assert {len(piece) for piece in pieces} == {640}
    assert {len(piece) for piece in wide} == {48000 // 10 * 4}
    heard = array("h", b"".join(pieces))[320:]
    assert math.sqrt(sum(v * v for v in heard) / len(heard)) == pytest.approx(8000 / math.sqrt(2), rel=0.05)
    assert not any(silent)
    other.close()
    track.stop()
    # what waited is given, then it ends
    assert {len(piece) async for piece in tap} == {640}
    with pytest.raises(StopAsyncIteration):
        await anext(tap)


async def test_a_tap_refuses_what_is_no_sound():
    track = Stereo()
    with pytest.raises(TypeError):
        AudioTap(object())
    with pytest.raises(ValueError, match="seconds"):
        AudioTap(track, seconds=0)
    with pytest.raises(ValueError, match="channels"):
        AudioTap(track, 16000, 3)

    class Packets(AudioSource):
        async def recv(self):
            await super().recv()
            return av.Packet(b"x")

    packets = Packets()
    tap = AudioTap(packets)
    with pytest.raises(TypeError, match="Packet"):
        await anext(tap)
    tap.close()
