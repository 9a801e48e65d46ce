"""A Redis server for tests: a process of its own, on a free port, that keeps nothing on disk."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest


def require() -> str:
    """The server's path; without one the test is skipped with a reason, or fails under CI=true."""
    path = shutil.which("redis-server") or shutil.which("valkey-server")
    if path is None:
        reason = "Redis is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class RedisServer:
    """The process."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port, self._process = port, process
        self.url = f"redis://127.0.0.1:{port}/0"

    async def command(self, *words: str) -> bytes:
        """Send one command by hand; the beginning of its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(" ".join(words).encode() + b"\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    async def length(self, stream: str) -> int:
        """How many entries a stream has."""
        return int((await self.command("XLEN", stream))[1:])

    async def keys(self, pattern: str) -> list[str]:
        """The keys that match."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"KEYS {pattern}\r\n".encode())
        count = int((await reader.readline())[1:])
        lines = [(await reader.readline()).decode().strip() for _ in range(2 * count)]
        writer.close()
        await writer.wait_closed()
        return lines[1::2]

    def kill(self) -> None:
        """End it without a word, and for good."""
        self._process.kill()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While it lasts, the process stands still."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[RedisServer]:
    """Start one."""
    program = require()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    process = await asyncio.create_subprocess_exec(program, *options, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(30):
            server = RedisServer(port, process)
            while True:
                with contextlib.suppress(ConnectionError):
                    if await server.command("PING") == b"+PONG\r\n":
                        break
                await asyncio.sleep(0.02)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
