"""`rtcpeer whip` and `rtcpeer whep` through a relay in this process: lines, files, statuses."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import struct
from pathlib import Path
from typing import Any

import av
import pytest

from rtcpeer.cli.main import build_parser, main
from rtcpeer.cli.whip.play import run_play
from rtcpeer.cli.whip.publish import device_format, run_publish
from tests.unit.cli.schema import check
from tests.unit.cli.test_relay import relaying

WHEP = ("playing", "recording", "saved", "nothing-received")
pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two seconds of H.264 and sound."""
    path = str(tmp_path_factory.mktemp("film") / "film.mkv")
    with av.open(path, "w") as container:
        video: Any = container.add_stream("mpeg4", rate=15)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio: Any = container.add_stream("pcm_s16le", rate=48000)
        audio.layout = "mono"
        for number in range(30):
            picture = av.VideoFrame(160, 120, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([number * 8]) * plane.buffer_size)
            container.mux(video.encode(picture))
            sound = av.AudioFrame("s16", "mono", 3200)
            sound.planes[0].update(
                struct.pack("<3200h", *(int(8000 * math.sin(n / 20)) for n in range(3200)))
            )
            sound.sample_rate, sound.pts = 48000, number * 3200
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
    return path


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for event in told:
        check("whep" if event["event"] in WHEP or "received_bytes" in event else "whip", event)
    return told


async def test_a_file_is_published_and_recorded(
    film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mkv"
    async with relaying() as relay:
        playing = asyncio.ensure_future(run_play(f"{relay.url}/whep/cam", output, as_json=True))
        publishing = run_publish(film, f"{relay.url}/whip/cam", loop=True, seconds=4.0, as_json=True)
        assert await publishing == 0
        assert await asyncio.wait_for(playing, 20) == 0
    told = events(capsys)
    names = [event["event"] for event in told]
    for name in ("publishing", "playing", "recording", "progress", "ended", "saved"):
        assert name in names
    with av.open(str(output)) as container:
        kinds = {stream.type for stream in container.streams}
        frames = sum(1 for _ in container.decode(video=0))
    assert kinds == {"audio", "video"}
    assert frames > 10
    assert [event["bytes"] for event in told if event["event"] == "saved"] == [output.stat().st_size]


async def test_refused_and_not_connected(
    film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with relaying(token="secret") as relay:
        assert await run_publish(film, f"{relay.url}/whip/cam", token="wrong", as_json=True) == 1
        told = events(capsys)
        assert told[1]["event"] == "refused"
        assert told[1]["status"] == 401
        assert "not valid here" in told[-1]["error"]
        assert await run_play(f"{relay.url}/whep/cam", tmp_path / "x.mkv", wait=0.5, as_json=True) == 1
        told = events(capsys)
        assert [event["event"] for event in told if event["event"] != "state"] == [
            *("playing", "refused", "failed", "nothing-received")
        ]
        (failed,) = [event for event in told if event["event"] == "failed"]
        assert "nobody publishes 'cam'" in failed["error"]


async def test_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with relaying() as relay:
        playing = asyncio.ensure_future(run_play(f"{relay.url}/whep/cam", tmp_path / "x.mkv", as_json=True))
        await asyncio.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
        assert await asyncio.wait_for(playing, 10) == 130
    assert "interrupted" in [event["event"] for event in events(capsys)]


def test_wrong_use(film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whip", str(tmp_path / "none.mp4"), "http://127.0.0.1:1/x"]) == 2
    assert "none.mp4" in capsys.readouterr().err
    assert main(["whip", film, "ws://127.0.0.1/x"]) == 2
    assert "http or https" in capsys.readouterr().err
    assert main(["whep", "http://127.0.0.1:1/x", "-o", str(tmp_path / "no.such-format")]) == 2
    for wrong in ("0", "-1", "x", "nan"):
        with pytest.raises(SystemExit):
            build_parser().parse_args(["whep", "http://x", "-o", "f.mkv", f"--for={wrong}"])
        assert "no number of seconds" in capsys.readouterr().err
    options = build_parser().parse_args(["whep", "http://x", "-o", "f.mkv", "--for", "3"])
    assert (options.seconds, options.wait, options.output) == (3.0, 30.0, Path("f.mkv"))


def test_devices() -> None:
    assert device_format("/dev/video0") == "v4l2"
    assert device_format("film.mp4") is None
