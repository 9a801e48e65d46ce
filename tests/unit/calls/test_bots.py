"""The bots of `examples/calls` in a room, with somebody who checks what they do."""

import asyncio
import contextlib
import math
import os
import re
import signal
import sys
import wave
from array import array

import av
import pytest

from rtcpeer import AudioSource
from rtcpeer.calls import (
    Message,
    ParticipantJoined,
    ParticipantLeft,
    TrackSubscribed,
    TrackUnsubscribed,
    join,
)
from rtcpeer.signaling import RoomServer
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.bots import EXAMPLES, check_echo, example, stop
from tests.unit.calls.fakes import Diary

pytestmark = pytest.mark.timeout(180)


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
    for seconds in ("3", "30"):  # a busy machine needs more time for as much
        totals = await example("load").main(url, "4", seconds)
        assert (totals["joined"], totals["failed"], totals["tracks"]) == (4, 0, 12)
        if totals["audio"] > 200:
            break
    assert totals["audio"] > 200


async def test_relay(capsys):
    camera = synthetic_track("video", {"width": 160, "height": 120})
    async with RoomServer() as server:
        here, there = f"room+{server.url}?room=a", f"room+{server.url}?room=b"
        async with join(here, name="alice") as alice, join(there, name="bob") as bob:
            heard_a, heard_b = Diary(alice), Diary(bob)
            bot = asyncio.ensure_future(example("relay").bot(here, there))
            shown = await alice.publish(camera, name="camera")
            seen = await heard_b.get(TrackSubscribed)
            assert seen.participant.name == "relay"
            picture = await seen.track.recv()
            assert (picture.width, picture.height) == (160, 120)
            await alice.send("hello")
            await bob.send("good day")
            assert (await heard_b.get(Message)).data == "alice: hello"
            assert (await heard_a.get(Message)).data == "bob: good day"
            await shown.unpublish()
            await heard_b.get(TrackUnsubscribed)
            assert await server.kick("a", next(iter(alice.participants)), "")
            await asyncio.wait_for(bot, 20)  # one call is over, and so is the other
            await heard_b.get(ParticipantLeft)
        await asyncio.gather(heard_a.task, heard_b.task)
    camera.stop()
    assert "carrying: camera of alice" in capsys.readouterr().out


async def run_until_told(name, url, number, tmp_path):
    """Start the program of an example as its users do, wait until it is in the call, and send it a signal."""
    arguments = {
        "player": ["tone.wav"],
        "recorder": ["."],
        "load": ["1", "60"],
        "relay": [url + "-2"],
        "page": ["0"],
        "rooms": ["0"],
    }
    program = EXAMPLES / name / f"{name}.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        *([] if name in SERVERS else [url]),
        *arguments.get(name, []),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
        process.send_signal(number)
        out, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (out, errors)
        assert b"Traceback" not in errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# those who are in no call, and what they say first
SERVERS = {"page": b"open http", "rooms": b"join room+ws"}
BOTS = sorted(folder.name for folder in EXAMPLES.iterdir() if (folder / "README.md").exists())


async def test_signals_end_each_bot_in_order(tmp_path):
    """The status is 0, no exception is shown, and the others hear that it has left, not that it is lost.

    One half of the bots is told by SIGINT, the other by SIGTERM: `test_running` tells that they do the same.
    """
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(bytes(96_000))
    async with RoomServer() as server:

        async def check(name):
            number = (signal.SIGINT, signal.SIGTERM)[BOTS.index(name) % 2]
            url = f"room+{server.url}?room={name}"
            async with join(url, name="alice") as call, contextlib.AsyncExitStack() as stack:
                diary = Diary(call)
                started = contextlib.asynccontextmanager(run_until_told)(name, url, number, tmp_path)
                process = await stack.enter_async_context(started)
                if name in SERVERS:
                    assert SERVERS[name] in await asyncio.wait_for(process.stdout.readline(), 150)
                else:
                    await diary.get(ParticipantJoined, timeout=150)
                await stack.aclose()
                if name not in SERVERS:
                    assert (await diary.get(ParticipantLeft, timeout=60)).reason == "left"
            await diary.task

        await asyncio.gather(*map(check, BOTS))


def test_each_bot_has_a_readme():
    assert {"echo", "recorder", "player", "listener", "relay", "load", "page", "rooms"} <= set(BOTS)
    for name in BOTS:
        text = (EXAMPLES / name / "README.md").read_text()
        assert f"python examples/calls/{name}/{name}.py" in text
        assert "You should see:" in text


@pytest.mark.parametrize(("name", "lines"), [("echo", 25), ("page", 30)])
def test_how_long_the_shortest_are(name, lines):
    assert (
        sum(1 for line in (EXAMPLES / name / f"{name}.py").read_text().splitlines() if line.strip()) <= lines
    )
