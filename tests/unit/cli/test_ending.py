"""How commands end: bad arguments, a reader of the output that has gone, Ctrl-C; never with a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from rtcpeer.cli.main import main

pytestmark = pytest.mark.timeout(120)

NOBODY = "http://127.0.0.1:1/x"
# what nobody should type, for every place where something is expected
ODD = (
    *("", " ", "x", "-1", "nan", "1e999", "\udcff\udcfe", "é\u202e", "\x1b[31m", "x" * 3000),
    *("/nowhere/x", "http://", "http://[", "http://[::1", "https://a b/", "ftp://x/", "stun:\udcff"),
    *("room+ws://", "room+ws://[/?room=a", "nosuch+ws://x", "whep+http://127.0.0.1:99999/x"),
)
PLACES: dict[str, list[str]] = {
    "verb": ["?"],
    "doctor URL": ["doctor", "?"],
    "doctor --json-config": ["doctor", "--json-config", "?"],
    "doctor --cafile": ["doctor", "--cafile", "?", "stun:192.0.2.1"],
    "demo --file": ["demo", "--file", "?"],
    "report FILE": ["report", "?", "-o", "/nowhere/x.html"],
    "join URL": ["join", "?", "--wait", "0.2"],
    "join --for": ["join", "room+ws://127.0.0.1:1/?room=a", "--for", "?", "--wait", "-"],
    "whip FILE": ["whip", "?", "not a URL"],
    "whip URL": ["whip", "/nowhere/film.mp4", "?"],
    "whep -o": ["whep", "not a URL", "-o", "?"],
    "serve --port": ["serve", "--no-browser", "--host", "no such host", "--port", "?"],
    "relay --listen": ["relay", "--listen", "?"],
    "relay --max-sessions": ["relay", "--listen", "no such host:0", "--max-sessions", "?"],
    "completion": ["completion", "?"],
}


@pytest.mark.parametrize("place", PLACES)
def test_no_bad_argument_is_a_traceback(
    place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some are names of files that could be made
    for odd in ODD:
        arguments = [odd if part == "?" else part for part in PLACES[place]]
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        assert status in (1, 2), (odd, status)
        assert "Traceback" not in said.err
        assert said.err.strip() or said.out.strip(), odd
        assert "\x1b" not in said.out, "what was typed must not reach the terminal as it is"


# -- in processes of their own, all at once ------------------------------------------------------------


class SilentServer:
    """Takes connections and datagrams, and says nothing. `asked` is set by the first one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.address = ""
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self._stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.set()
        self._stack.callback(writer.close)
        await reader.read()


@dataclass
class Started:
    """A command in a process of its own."""

    name: str
    process: asyncio.subprocess.Process
    server: SilentServer

    async def waits(self) -> None:
        """Until it has printed something or asked its server, whatever it does first."""
        assert self.process.stdout is not None
        first = [asyncio.ensure_future(self.process.stdout.readline())]
        if self.name not in ("demo", "relay", "serve"):
            first = [asyncio.ensure_future(self.server.asked.wait())]
        ended = asyncio.ensure_future(self.process.wait())
        await asyncio.wait([*first, ended], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        assert self.process.returncode is None, f"{self.name} has ended by itself"

    async def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float, str]:
        """A signal as soon as it waits: the status, the seconds until then, what was said on standard error."""
        await self.waits()
        begin = time.perf_counter()
        self.process.send_signal(number)
        assert self.process.stderr is not None
        errors = (await self.process.stderr.read()).decode()
        return await self.process.wait(), time.perf_counter() - begin, errors


def silence(folder: Path) -> str:
    """A file of a second of sound."""
    path = folder / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    return str(path)


def waiting(server: str, folder: Path) -> dict[str, list[str]]:
    """Commands that wait for a server that never answers, or for visitors."""
    config = folder / f"{server}.json"
    config.write_text(
        json.dumps(
            {"iceServers": [{"urls": f"turn:{server}?transport=tcp", "username": "u", "credential": "c"}]}
        )
    )
    return {
        "demo": ["demo"],
        "doctor": ["doctor", "--json-config", str(config)],
        "join": ["join", f"room+ws://{server}/?room=a"],
        "join, opening a file": ["join", "room+ws://127.0.0.1:1/?room=a", "--play", f"tcp://{server}"],
        "relay": ["relay", "--listen", "127.0.0.1:0"],
        "serve": ["serve", "--port", "0", "--no-browser"],
        "whep": ["whep", f"http://{server}/x", "-o", str(folder / "out.mkv")],
        "whip": ["whip", silence(folder), f"http://{server}/x"],
        "whip, opening a file": ["whip", f"tcp://{server}", NOBODY],
    }


async def test_ctrl_c_ends_every_command_at_once_beside_a_dead_server(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        started = []
        for name in waiting("", tmp_path):
            server = await stack.enter_async_context(SilentServer())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rtcpeer", *waiting(server.address, tmp_path)[name]),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            stack.push_async_callback(_end, process)
            started.append(Started(name, process, server))
        *ends, begins = await asyncio.gather(*(one.interrupt() for one in started), _start_of_python())
        for one, (status, seconds, errors) in zip(started, ends, strict=True):
            assert errors == "", (one.name, errors)
            assert status == (0 if one.name in ("relay", "serve") else 130), (one.name, status)
            # 0.3 s where nothing else runs; who waits for a server's answer takes 10 s and more
            assert seconds < 1.5 + 10 * begins, (one.name, seconds, begins)


async def test_sigterm_has_a_status_of_its_own(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        started = []
        for name in ("doctor", "join", "serve"):
            server = await stack.enter_async_context(SilentServer())
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rtcpeer", *waiting(server.address, tmp_path)[name]),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            stack.push_async_callback(_end, process)
            started.append(Started(name, process, server))
        ends = await asyncio.gather(*(one.interrupt(signal.SIGTERM) for one in started))
        assert [status for status, _, _ in ends] == [143, 143, 0]


async def test_a_reader_that_has_gone_ends_every_command_without_a_word(tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    dump.write_text('{"PeerConnections": {}}')
    table = {
        "help": ["--help"],
        "completion": ["completion", "bash"],
        "doctor": ["doctor", "stun:127.0.0.1:1"],
        "relay": ["relay", "--listen", "127.0.0.1:0"],
        "report": ["report", str(dump), "-o", str(tmp_path / "x.html")],
        "serve": ["serve", "--port", "0", "--no-browser"],
        "whep": ["whep", NOBODY, "-o", str(tmp_path / "out.mkv")],
        "whip": ["whip", silence(tmp_path), NOBODY, "--json"],
    }

    async def run(arguments: list[str]) -> tuple[int, str]:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rtcpeer", *arguments), stdout=writing, stderr=asyncio.subprocess.PIPE
            )
        finally:
            os.close(writing)
        try:
            _, errors = await asyncio.wait_for(process.communicate(), 100)
        finally:
            await _end(process)
        assert process.returncode is not None
        return process.returncode, errors.decode()

    ends = await asyncio.gather(*(run(arguments) for arguments in table.values()))
    found = dict(zip(table, ends, strict=True))
    # argparse itself does not mind that nobody reads its help
    assert found.pop("help") in ((0, ""), (141, ""))
    assert found == dict.fromkeys(found, (141, ""))


@pytest.mark.parametrize(
    "command", [["relay", "--listen", "127.0.0.1:0"], ["serve", "--port", "0", "--no-browser"]]
)
async def test_who_waits_for_visitors_ends_when_its_first_line_was_all_that_was_read(
    command: list[str],
) -> None:
    """As in ``rtcpeer serve | head -1``: nothing is printed afterwards, so that nothing could fail."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rtcpeer", *command, "--json"),
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
    finally:
        os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            assert json.loads(await asyncio.to_thread(pipe.readline))["event"] == "listening"
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, errors) == (141, b"")
    finally:
        await _end(process)


async def _start_of_python() -> float:
    """How long Python takes to begin and end here and now: a busy machine has all the time in the world."""
    begin = time.perf_counter()
    await (await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")).wait()
    return time.perf_counter() - begin


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
