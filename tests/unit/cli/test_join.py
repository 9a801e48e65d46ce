"""`rtcpeer join` in a room: lines, files, statuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import av
import pytest

from rtcpeer.calls import ParticipantJoined, TrackSubscribed, join
from rtcpeer.cli.join.join import run_join
from rtcpeer.cli.join.table import LiveTable
from rtcpeer.cli.main import build_parser, main
from rtcpeer.signaling import RoomServer
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fakes import Diary
from tests.unit.cli.schema import check

pytestmark = pytest.mark.timeout(90)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    check("join", *told)
    return told


async def test_it_plays_shows_and_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, folder = tmp_path / "film.mkv", tmp_path / "heard"
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(15):
            picture = av.VideoFrame(160, 120, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([number * 16]) * plane.buffer_size)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    camera, voice = synthetic_track("video", {"width": 160, "height": 120}), synthetic_track("audio")
    async with no_leaks(grace=3), RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="ali/ce") as call:
            diary = Diary(call)
            await call.publish(camera, name="camera")
            await call.publish(voice)
            verb = asyncio.ensure_future(
                run_join(url, name="bot", play=str(film), record=folder, seconds=6, as_json=True)
            )
            seen = await diary.get(TrackSubscribed)
            await seen.track.recv()
            await call.send("hello")
            await diary.get(TrackSubscribed)
            assert await verb == 0
        await diary.task
    camera.stop()
    voice.stop()
    told = events(capsys)
    kinds = [event["event"] for event in told]
    assert kinds[0] == "joined"
    assert kinds[-1] == "ended"
    assert [e["text"] for e in told if e["event"] == "message"] == ["hello"]
    assert {e["track"] for e in told if e["event"] == "track"} == {"camera", "audio"}
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["ali_ce-audio.mkv", "ali_ce-camera.mkv"]
    for path, codec in zip(files, ("opus", "vp8"), strict=True):
        with av.open(str(path)) as container:
            assert container.streams[0].codec_context.name.startswith(codec)  # as it was sent
            assert sum(1 for packet in container.demux() if packet.size) > 20


async def test_ctrl_c_and_a_call_that_cannot_be_joined(capsys: pytest.CaptureFixture[str]) -> None:
    async with no_leaks(grace=3):
        async with RoomServer() as server:
            url = f"room+{server.url}?room=lobby"
            verb = asyncio.ensure_future(run_join(url, as_json=True))
            async with join(url) as call:
                diary = Diary(call)
                await diary.get(ParticipantJoined)
                os.kill(os.getpid(), signal.SIGINT)
                assert await verb == 0
            await diary.task
        assert await run_join(url, as_json=True) == 1
    told = events(capsys)
    assert told[-1]["event"] == "failed"
    assert "cannot be reached" in told[-1]["error"]
    assert [e["reason"] for e in told if e["event"] == "ended"] == ["left"]


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", "ws://example.org/"]) == 2
    assert "names no service" in capsys.readouterr().err
    assert main(["join", "room+ws://example.org/?room=x", "--play", str(tmp_path / "none.mkv")]) == 2
    assert "none.mkv" in capsys.readouterr().err
    assert build_parser().parse_args(["join", "x", "--for", "3"]).seconds == 3


async def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    async with RoomServer() as server:
        url = f"room+{server.url}?room=lobby"
        async with join(url, name="alice\x1b[2J" + "x" * 30), join(url, name="bob") as call:
            table = LiveTable(call, lambda event, **_: print(event), wanted=True)
            assert table.draw()[1] == "alice?[2Jxxxxxxxxxxxx...  -" + " " * 45 + "there"
            table("something")
            table("else")
            table.clear()
    out = capsys.readouterr().out
    assert out.startswith("something\nparticipant")
    assert out.count("\x1b[2F\x1b[J") == 2
