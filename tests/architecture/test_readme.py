"""The README tells the truth: its program runs as it stands, its commands and links exist."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from rtcpeer import MediaStreamTrack, RTCPeerConnection

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def programs(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


async def _answer(url: str) -> tuple[str, int]:
    """Calls the program as its page does: what it says on the channel, and the width of its picture."""
    async with aiohttp.ClientSession() as http, RTCPeerConnection() as pc:
        said: asyncio.Queue[str] = asyncio.Queue()
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        pc.ontrack = lambda event: tracks.put_nowait(event.track)
        pc.addTransceiver("video", direction="recvonly")
        chat = pc.createDataChannel("chat")
        chat.onopen = lambda _: chat.send("hello")
        chat.onmessage = lambda message: said.put_nowait(message.data)
        await pc.setLocalDescription()
        await pc.gathered()
        async with http.post(f"{url}/offer", json=pc.localDescription.toJSON()) as response:
            await pc.setRemoteDescription(await response.json())
        frame = await (await tracks.get()).recv()
        return await said.get(), frame.width


async def _page(url: str, program: subprocess.Popen[str]) -> str:
    """The program's page, as soon as it listens."""
    async with aiohttp.ClientSession() as http:
        while program.poll() is None:
            try:
                async with http.get(url) as response:
                    return await response.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    raise AssertionError(f"the program has ended: {program.communicate()[1]}")


@pytest.mark.timeout(60)
def test_the_first_program_runs_as_it_stands():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = programs(README)[0].replace("port=8080", f"port={port}")
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        assert 'fetch("/offer"' in asyncio.run(_page(url, program))
        assert asyncio.run(_answer(url)) == ("you said: hello", 640)
    finally:
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
    assert errors == ""


def test_the_start_page_has_the_same_program():
    start = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    assert programs(start) == programs(README)[:1]


def test_every_other_program_compiles():
    for program in programs(README)[1:]:
        wrapped = "async def program(pc):\n" + "".join(f"    {line}\n" for line in program.splitlines())
        compile(wrapped, "README.md", "exec")
    assert len(programs(README)) >= 2


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"\bmake ([a-z]+)\b", README))))
def test_every_make_command_exists(verb):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{verb}:", makefile, re.M), f"README names `make {verb}`"


@pytest.mark.parametrize(
    "document", ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_to_a_file_leads_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in t]
    missing = [t for t in targets if not ((ROOT / document).parent / t).exists()]
    assert missing == []
