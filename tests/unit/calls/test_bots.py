"""The bots of `examples/calls` in a room, with somebody who checks what they do."""

import asyncio
import math
import re
from array import array

import av
import pytest

from rtcpeer import AudioSource
from rtcpeer.calls import Message, ParticipantJoined, TrackSubscribed, join
from rtcpeer.signaling import RoomServer
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.bots import EXAMPLES, check_echo, example, stop
from tests.unit.calls.fakes import Diary

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


@pytest.fixture
async def url():
    async with RoomServer() as server:
        yield f"room+{server.url}?room=lobby"


async def test_echo(url):
    await check_echo(url)


async def test_recorder(url, tmp_path):
    camera = synthetic_track("video", {"width": 160, "height": 120})
    async with join(url, name="al/ice") as call:
        diary = Diary(call)
        bot = asyncio.ensure_future(example("recorder").bot(url, tmp_path))
        await call.publish(camera, name="camera")
        await diary.get(ParticipantJoined)
        await asyncio.sleep(2)
        await stop(bot)
    await diary.task
    camera.stop()
    with av.open(str(tmp_path / "alice-camera.mkv")) as container:
        assert container.streams[0].codec_context.name.startswith("vp8")
        assert sum(1 for packet in container.demux() if packet.size) > 15


async def test_player(url, tmp_path):
    with av.open(str(tmp_path / "tone.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000)
        stream.layout = "mono"
        for number in range(50):
            sound = av.AudioFrame("s16", "mono", 960)
            sound.planes[0].update(array("h", (int(9000 * math.sin(n / 9)) for n in range(960))).tobytes())
            sound.sample_rate, sound.pts = 48000, number * 960
            container.mux(stream.encode(sound))
    async with join(url) as call:
        diary = Diary(call)
        bot = asyncio.ensure_future(example("player").bot(url, str(tmp_path / "tone.mkv")))
        track = (await diary.get(TrackSubscribed)).track
        for _ in range(70):  # more than the file has: it begins again
            await track.recv()
        await stop(bot)
    await diary.task


async def test_listener_is_interrupted(url, capsys):
    voice = AudioSource(48000)
    async with join(url, name="alice") as call:
        diary = Diary(call)
        bot = asyncio.ensure_future(example("listener").bot(url))
        await call.publish(voice)
        await diary.get(TrackSubscribed)
        await call.send("speak")
        assert (await diary.get(Message)).data == "speaking"
        await asyncio.sleep(0.3)
        await voice.write(array("h", (int(9000 * math.sin(n / 9)) for n in range(24000))))
        async with asyncio.timeout(20):
            while "interrupts" not in (said := capsys.readouterr().out):  # noqa: ASYNC110 (it prints)
                await asyncio.sleep(0.05)
        assert float(re.search(r"alice interrupts: ([\d.]+) s", said)[1]) > 5
        await stop(bot)
    await diary.task
    voice.stop()


async def test_load(url):
    totals = await example("load").main(url, "4", "3")
    assert (totals["joined"], totals["failed"], totals["tracks"]) == (4, 0, 12)
    assert totals["audio"] > 200


def test_each_bot_has_a_readme():
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and not folder.name.startswith("__"):
            text = (folder / "README.md").read_text()
            assert f"python examples/calls/{folder.name}/{folder.name}.py" in text
            assert "You should see:" in text
    program = (EXAMPLES / "echo" / "echo.py").read_text().split("\n")
    assert sum(1 for line in program if line.strip()) <= 25
