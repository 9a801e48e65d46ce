"""The first program of the README, called by its own page in Chromium."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.interop.chromium import PATIENCE, Chromium

README = Path(__file__).parents[2] / "README.md"


async def _listening(url: str) -> None:
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


async def _visit(url: str) -> None:
    await _listening(url)
    async with Chromium() as browser:
        page = await browser.page(url)
        shown = await page.evaluate(
            "new Promise(done => { const look = () => log.textContent && video.videoWidth"
            " ? done([log.textContent, video.videoWidth]) : setTimeout(look, 50); look(); })"
        )
        assert shown == ["you said: hello", 640]
        assert page.errors == []


def test_its_page_shows_the_picture_and_the_answer():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)[0]
    program = subprocess.Popen([sys.executable, "-c", text.replace("port=8080", f"port={port}")])
    try:
        asyncio.run(_visit(f"http://127.0.0.1:{port}/"))
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(20)
