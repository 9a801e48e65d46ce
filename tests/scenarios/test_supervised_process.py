"""The other program is killed and started again: real processes, real sockets, signaling over their pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.signaling.channel import as_message
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.testing import no_leaks
from tests.scenarios.virtual import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OTHER_PROGRAM = """
import asyncio, json, sys
from rtcpeer.signaling.channel import as_message
from rtcpeer.supervisor.peer import SupervisedPeer

class Pipes:
    def __init__(self, reader):
        self.reader = reader

    async def send(self, message):
        print(json.dumps(as_message(message)), flush=True)

    async def __aiter__(self):
        while line := await self.reader.readline():
            yield json.loads(line)

    async def close(self):
        pass

async def main():
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with SupervisedPeer(Pipes(reader), polite=False) as peer:
        def echo(event):
            event.channel.onmessage = lambda message: event.channel.send(sys.argv[1] + message.data)
        peer.ondatachannel = echo
        peer.createDataChannel("hello")
        await peer.closed()

asyncio.run(main())
"""


class Pipes:
    """A signaling channel to whichever process is the other program at the moment."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._arrived: asyncio.Queue[Any] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None

    async def start(self, name: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER_PROGRAM, name,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._process))

    async def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._arrived.put_nowait(json.loads(line))

    async def send(self, message: Any, /) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(as_message(message)).encode() + b"\n")

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            yield await self._arrived.get()

    async def close(self) -> None:
        pass


async def test_the_other_process_is_killed_and_started_again() -> None:
    async with no_leaks(grace=5):
        pipes = Pipes()
        await pipes.start("first ")
        try:
            async with SupervisedPeer(pipes, polite=True) as peer:
                chat = peer.createDataChannel("chat")
                heard: list[str] = []
                news = asyncio.Event()
                chat.on("message", lambda event: (heard.append(event.data), news.set()))

                async def hear(text: str) -> None:
                    async with asyncio.timeout(60):
                        while text not in heard:
                            news.clear()
                            await news.wait()

                await peer.connected(60)
                chat.send("one")
                await hear("first one")
                for generation, name in ((2, "second "), (3, "third ")):
                    await pipes.kill()
                    await pipes.start(name)
                    await until(lambda wanted=generation: peer.generation >= wanted, 90)
                    await peer.connected(60)
                    chat.send(str(generation))
                    await hear(f"{name}{generation}")
                assert peer.generation == 3
        finally:
            await pipes.kill()
