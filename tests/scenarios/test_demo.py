"""The main job, headless: the demo as a user runs it, and what it does when a promise is broken."""

from __future__ import annotations

import asyncio
import fractions
import json
import sys
from pathlib import Path

import av
import pytest

from rtcpeer.cli.demo import demo as module
from rtcpeer.cli.demo.demo import Demo, Unfinished, run_demo
from tests.unit.cli.schema import check

ACTS = ("Connect", "Replace", "Take the old server away", "Black out", "Close", "Recreate", "Close")


def clip(path: Path) -> Path:
    """A real file: two seconds of picture and sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono")
        for index in range(50):
            picture = av.VideoFrame(160, 120, "yuv420p")
            for plane, value in zip(picture.planes, (80 + index, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts, picture.time_base = index, fractions.Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        for index in range(94):
            piece = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            piece.planes[0].update(bytes(piece.planes[0].buffer_size))
            piece.sample_rate, piece.pts = 48000, index * 1024
            container.mux(audio.encode(piece))
        container.mux(audio.encode())
    return path


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_demo_keeps_all_promises_in_time_with_a_real_file(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "rtcpeer", "demo", "--json", "--file", str(clip(tmp_path / "a.mp4")),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), 150)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert err.decode() == ""
    told = json.loads(out)
    check("demo", told)
    broken = [promise for promise in told["promises"] if not promise["kept"]]
    assert broken == []
    assert told["ok"] is True
    assert process.returncode == 0
    assert told["seconds"] < 60  # half of it where nothing else runs
    acts = [entry["event"] for entry in told["timeline"] if entry["who"] == "act"]
    assert len(acts) == len(ACTS)
    assert all(act.startswith(start) for act, start in zip(acts, ACTS, strict=True))
    states = [e["detail"] for e in told["timeline"] if e["who"] == "callee" and e["event"] == "connection"]
    assert states == ["connecting", "connected", "disconnected", "connected", "closed",
                      "connecting", "connected", "closed"]  # fmt: skip
    summary = told["summary"]
    assert summary["messages_lost"] == 0
    assert summary["messages_received"] == summary["messages_sent"] > 1500
    assert summary["pictures_decoded"] > 50
    assert summary["sound_frames_decoded"] > 100
    assert summary["bytes_received"] > 100_000


async def test_a_broken_promise_makes_the_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def connect(self: Demo) -> None:
        self.timeline.promise("connected", False, "not at all")
        raise Unfinished("there is no call")

    monkeypatch.setattr(module.Demo, "connect", connect)
    assert await run_demo() == 1
    assert capsys.readouterr().out.count("BROKEN") == 4


async def test_a_file_that_is_no_media(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no film")
    assert await run_demo(media=path) == 2
    assert "cannot play" in capsys.readouterr().err
