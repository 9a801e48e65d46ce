"""`examples/relay` as a server: a page publishes, others watch it, and a file in another room."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtcpeer import MediaRecorder
from rtcpeer.testing import synthetic_track
from tests.interop.chromium import Chromium

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
SHOWS = "video.getVideoPlaybackQuality().totalVideoFrames > 20 && video.videoWidth === WIDTH"


@contextlib.asynccontextmanager
async def example(*arguments: str) -> AsyncIterator[str]:
    """The example as a process of its own, which ends with Ctrl-C; gives its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "examples/relay/relay.py", "--listen", "127.0.0.1:0", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield line.split()[1].partition("/#")[0]
        process.send_signal(signal.SIGINT)
        _out, err = await asyncio.wait_for(process.communicate(), 20)
        assert (process.returncode, err.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def film(path: Path) -> None:
    track = synthetic_track("video", {"width": 320, "height": 240, "frameRate": 15})
    recorder = MediaRecorder(str(path))
    recorder.addTrack(track)
    await recorder.start()
    await asyncio.sleep(3)
    await recorder.stop()
    track.stop()


async def test_pages_watch_what_a_page_publishes_and_a_file(tmp_path: Path) -> None:
    path = tmp_path / "film.webm"
    await film(path)
    async with example("--file", "film", str(path)) as url, Chromium() as browser:
        # who comes first waits for the publisher
        early = await browser.page(f"{url}/#live")
        publisher = await browser.page(f"{url}/#live,publish")
        await publisher.wait_for("pc.connectionState === 'connected'")
        late, viewer = await browser.page(f"{url}/#live"), await browser.page(f"{url}/#film")
        for page, width in ((early, 640), (late, 640), (viewer, 320)):
            await page.wait_for(SHOWS.replace("WIDTH", str(width)))
            assert page.errors == []
