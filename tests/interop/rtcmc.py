"""RTCMultiConnection's own signaling server under Node, for a test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.interop.node import FOLDER


def package_file(package: str, path: str) -> Path:
    """A file of an npm package, from wherever the package was found."""
    places = [FOLDER, *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    return next(place / package / path for place in places if (place / package / path).exists())


@contextlib.asynccontextmanager
async def node_server(script: Path, environment: dict[str, str], *arguments: str) -> AsyncIterator[int]:
    """A server of a script that listens where PORT says; gives the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="rtcpeer-node-") as folder:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(script),
            *(argument.replace("PORT", str(port)) for argument in arguments),
            cwd=folder,
            env={**os.environ, **environment, "PORT": str(port), "IP": "127.0.0.1"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _listens(port, process)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _listens(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        if process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    raise RuntimeError(f"the server under Node does not listen at port {port}")
