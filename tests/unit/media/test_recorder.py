"""The recorder, with tracks of our own and files that are read again."""

from __future__ import annotations

import asyncio
import io
import threading
from fractions import Fraction

import av
import pytest

from rtcpeer.errors import InvalidStateError, NotSupportedError, OperationError
from rtcpeer.media.recorder import MediaRecorder
from rtcpeer.media.track import RemoteTrack
from rtcpeer.media.workers import CoderStuckError
from rtcpeer.testing import run_virtual


def picture(number, width=64, height=48, *, at=None):
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([40 + number % 100]) * plane.buffer_size)
    frame.pts, frame.time_base = round((number / 30 if at is None else at) * 90000), Fraction(1, 90000)
    return frame


def piece(number, *, layout="mono", rate=48000, level=8000, at=None):
    samples = rate // 50
    frame = av.AudioFrame(format="s16", layout=layout, samples=samples)
    channels = len(frame.layout.channels)
    frame.planes[0].update(level.to_bytes(2, "little", signed=True) * samples * channels)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = number * samples if at is None else round(at * rate)
    return frame


def read(path):
    """What a file holds: times of pictures, sizes, samples of sound."""
    times, sizes, sound = [], set(), bytearray()
    with av.open(path) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                times.append(float(frame.pts * frame.time_base))
                sizes.add((frame.width, frame.height))
            else:
                for part in av.AudioResampler(format="s16", layout="mono", rate=48000).resample(frame):
                    sound += bytes(part.planes[0])[: part.samples * 2]
    return times, sizes, memoryview(bytes(sound)).cast("h")


def tracks():
    video, audio = RemoteTrack("video"), RemoteTrack("audio")
    return video, audio


async def give(video, audio, seconds=1.0, *, make=picture, first=0):
    for number in range(first, first + round(seconds * 50)):
        audio.push_frame(piece(number))
        if number % 5 in (0, 2, 4):
            video.push_frame(make(number * 3 // 5))
        await asyncio.sleep(0.001)


async def test_sound_without_samples_is_left_out(tmp_path):
    path = str(tmp_path / "file.mkv")
    _video, audio = tracks()
    recorder = MediaRecorder(path)
    recorder.addTrack(audio)
    await recorder.start()
    for number in range(50):
        audio.push_frame(piece(number))
        audio.push_frame(av.AudioFrame(format="s16", layout="mono", samples=0))
        await asyncio.sleep(0.001)
    await recorder.stop()
    _times, _sizes, sound = read(path)
    assert 0.9 * 48000 < len(sound) < 1.1 * 48000


async def test_sound_without_a_sample_rate_is_an_error_that_says_so(tmp_path):
    _video, audio = tracks()
    recorder = MediaRecorder(str(tmp_path / "file.mkv"))
    recorder.addTrack(audio)
    await recorder.start()
    async with asyncio.timeout(20):
        while recorder.error is None:
            audio.push_frame(av.AudioFrame(format="s16", layout="mono", samples=960))
            await asyncio.sleep(0.001)
    with pytest.raises(OperationError, match="sample_rate"):
        await recorder.stop()


@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm"])
async def test_sound_and_picture(tmp_path, extension):
    path = str(tmp_path / f"file.{extension}")
    video, audio = tracks()
    recorder = MediaRecorder(path)
    recorder.addTrack(video)
    recorder.addTrack(audio)
    recorder.addTrack(audio)
    assert repr(recorder) == f"<MediaRecorder {path} waiting, 2 tracks>"
    await recorder.start()
    await recorder.start()
    await asyncio.sleep(0)
    await give(video, audio)
    await recorder.stop()
    await recorder.stop()
    times, sizes, sound = read(path)
    assert len(times) == 30
    assert times == sorted(set(times))
    assert times[-1] - times[0] == pytest.approx(29 / 30, abs=0.01)
    assert sizes == {(64, 48)}
    assert len(sound) / 48000 == pytest.approx(1.0, abs=0.06)
    assert recorder.dropped == 0


async def test_the_file_waits_for_what_it_was_promised(tmp_path):
    path = str(tmp_path / "file.mp4")
    video, audio = tracks()
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(audio)
        recorder.addTrack(video)
        await asyncio.sleep(0)
        for number in range(10):
            audio.push_frame(piece(number))
        await asyncio.sleep(0.1)
        await give(video, audio, 0.4, first=10)
    times, _sizes, sound = read(path)
    assert len(times) == 12
    assert len(sound) / 48000 >= 0.55


async def test_the_file_does_not_wait_for_ever(tmp_path, caplog):
    path = str(tmp_path / "file.mp4")
    video, audio = tracks()
    recorder = MediaRecorder(path, wait=0.02)
    recorder.addTrack(audio)
    recorder.addTrack(video)
    await recorder.start()
    await asyncio.sleep(0)
    for number in range(20):
        audio.push_frame(piece(number))
        await asyncio.sleep(0.005)
    video.push_frame(picture(0))
    with pytest.raises(InvalidStateError, match="has begun without this video track"):
        recorder.addTrack(RemoteTrack("video"))
    await recorder.stop()
    assert "begins without a video track that gave nothing" in caplog.text
    times, _sizes, sound = read(path)
    assert times == []
    assert len(sound) > 15 * 960


async def test_pictures_of_other_sizes_are_fitted_in(tmp_path):
    path = str(tmp_path / "file.mkv")
    sizes = [(64, 48), (128, 96), (48, 64), (65, 49), (64, 48)]
    video, audio = tracks()

    def make(number):
        return picture(number, *sizes[number * len(sizes) // 30])

    async with MediaRecorder(path) as recorder:
        recorder.addTrack(video)
        recorder.addTrack(audio)
        await asyncio.sleep(0)
        await give(video, audio, make=make)
    times, found, _sound = read(path)
    assert len(times) == 30
    assert found == {(64, 48)}


async def test_a_size_of_ones_own(tmp_path):
    path = str(tmp_path / "file.mp4")
    video = RemoteTrack("video")
    async with MediaRecorder(path, size=(160, 91)) as recorder:
        recorder.addTrack(video)
        await asyncio.sleep(0)
        for number in range(5):
            video.push_frame(picture(number))
    assert read(path)[1] == {(160, 92)}


async def test_times_that_leap_and_sound_that_is_missing(tmp_path):
    path = str(tmp_path / "file.mkv")
    video, audio = tracks()
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(video)
        recorder.addTrack(audio)
        await asyncio.sleep(0)
        for number in range(10):
            audio.push_frame(piece(number))
            video.push_frame(picture(number))
        await asyncio.sleep(0.3)
        for number in range(10):
            audio.push_frame(piece(number, at=3600 + number / 50))
            video.push_frame(picture(number, at=2 + number / 30))
        await asyncio.sleep(0)
    times, _sizes, sound = read(path)
    assert len(times) == 20
    assert times == sorted(set(times))
    assert 0.3 < times[-1] - times[0] < 1.2
    assert 0.45 < len(sound) / 48000 < 1.0
    middle = sound[round(0.24 * 48000) : round(0.26 * 48000)]
    assert max(map(abs, middle)) < 200  # silence, where there was nothing


async def test_hours_of_silence_are_written_in_steps_none_of_which_is_taken_for_a_coder_that_hangs(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("rtcpeer.media.file_streams._CATCH_UP", 10 * 48000, raising=False)
    path = str(tmp_path / "file.wav")
    audio = RemoteTrack("audio")
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(audio)
        await asyncio.sleep(0)
        audio.push_frame(piece(0))
        await asyncio.sleep(100)
        run, steps = recorder._workers_.run, []
        monkeypatch.setattr(
            type(recorder._workers_), "run", lambda _, *step: (steps.append(step), run(*step))[1]
        )
        audio.push_frame(piece(1, at=100))
        await asyncio.sleep(1)
        written = len(steps)
    _times, _sizes, sound = read(path)
    assert len(sound) / 48000 == pytest.approx(100, abs=0.1)
    assert 10 <= written <= 12


async def test_mono_stays_at_its_level(tmp_path):
    path = str(tmp_path / "file.wav")
    audio = RemoteTrack("audio")
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(audio)
        await asyncio.sleep(0)
        for number in range(10):
            audio.push_frame(piece(number, rate=16000, level=10000))
    with av.open(path) as container:
        frames = list(container.decode())
    assert {len(frame.layout.channels) for frame in frames} == {2}
    samples = memoryview(b"".join(bytes(frame.planes[0])[: frame.samples * 4] for frame in frames)).cast("h")
    assert samples[len(samples) // 2] == pytest.approx(10000, abs=100)


async def test_another_track_goes_on_in_the_stream_of_one_that_has_ended(tmp_path):
    path = str(tmp_path / "file.wav")
    first, second = RemoteTrack("audio"), RemoteTrack("audio")
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(first)
        await asyncio.sleep(0)
        for number in range(10):
            first.push_frame(piece(number))
        await asyncio.sleep(0.05)
        first.end()
        await asyncio.sleep(0.05)
        recorder.addTrack(second)
        await asyncio.sleep(0)
        for number in range(10):
            second.push_frame(piece(number))
    assert 0.4 <= len(read(path)[2]) / 48000 < 1.0


async def test_a_disabled_track_is_silent(tmp_path):
    path = str(tmp_path / "file.wav")
    audio = RemoteTrack("audio")
    audio.enabled = False
    async with MediaRecorder(path) as recorder:
        recorder.addTrack(audio)
        await asyncio.sleep(0)
        for number in range(5):
            audio.push_frame(piece(number))
    sound = read(path)[2]
    assert len(sound) >= 4 * 960
    assert max(map(abs, sound)) == 0


async def test_images(tmp_path):
    video = RemoteTrack("video")
    async with MediaRecorder(str(tmp_path / "picture-%03d.png")) as recorder:
        recorder.addTrack(video)
        await asyncio.sleep(0)
        for number in range(3):
            video.push_frame(picture(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"picture-{n:03}.png" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("name", "kind"), [("file.wav", "video"), ("file.mp3", "video"), ("picture-%d.png", "audio")]
)
async def test_what_a_container_cannot_hold(tmp_path, name, kind):
    recorder = MediaRecorder(str(tmp_path / name))
    with pytest.raises(NotSupportedError, match=f"holds no {kind}"):
        recorder.addTrack(RemoteTrack(kind))
    await recorder.stop()


async def test_nothing_was_recorded(tmp_path, caplog):
    recorder = MediaRecorder(str(tmp_path / "file.mp4"))
    recorder.addTrack(RemoteTrack("video"))
    await recorder.start()
    await asyncio.sleep(0)
    await recorder.stop()
    assert "nothing was recorded" in caplog.text
    with pytest.raises(InvalidStateError, match="stopped"):
        await recorder.start()
    with pytest.raises(InvalidStateError, match="stopped"):
        recorder.addTrack(RemoteTrack("audio"))


async def test_a_file_that_cannot_be_written(caplog):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    audio = RemoteTrack("audio")
    recorder = MediaRecorder(Full(), format="wav")
    recorder.addTrack(audio)
    await recorder.start()
    await asyncio.sleep(0)
    for number in range(200):
        audio.push_frame(piece(number))
        await asyncio.sleep(0)
    with pytest.raises(OperationError, match="is not whole"):
        await recorder.stop()
    assert recorder.error is not None


def test_a_coder_that_hangs_ends_the_recording_and_not_the_program(monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(MediaRecorder, "_write_", lambda self, batch: gate.wait(60))

    async def main():
        loop = asyncio.get_running_loop()
        loop.clock._patience = 0.05
        audio = RemoteTrack("audio")
        recorder = MediaRecorder(io.BytesIO(), format="wav")
        recorder.addTrack(audio)
        await recorder.start()
        await asyncio.sleep(0)
        audio.push_frame(piece(0))
        await asyncio.sleep(1)
        # the file is not touched: a thread is still in it
        monkeypatch.setattr(MediaRecorder, "_finish_", lambda self, container: pytest.fail("touched"))
        with pytest.raises(OperationError, match="is not whole"):
            await recorder.stop()
        assert isinstance(recorder.error, CoderStuckError)
        assert loop.time() < 90
        gate.set()

    run_virtual(main())


async def test_stopped_before_it_could_begin(tmp_path):
    recorder = MediaRecorder(str(tmp_path / "file.mp4"))
    recorder.addTrack(RemoteTrack("video"))
    await recorder.start()
    await asyncio.wait_for(recorder.stop(), 5)


async def test_a_stop_that_is_cancelled_leaves_a_whole_file(tmp_path):
    """As at Ctrl-C while the file of somebody who has left is finished; whoever stops it again waits for it."""
    path = str(tmp_path / "file.mkv")
    audio = RemoteTrack("audio")
    recorder = MediaRecorder(path)
    recorder.addTrack(audio)
    await recorder.start()
    await asyncio.sleep(0)
    for number in range(50):
        audio.push_frame(piece(number))
        await asyncio.sleep(0)
    stopping = asyncio.ensure_future(recorder.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await recorder.stop()
    await asyncio.wait([stopping])
    assert stopping.cancelled()
    assert len(read(path)[2]) > 40 * 960
