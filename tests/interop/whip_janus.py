"""Simple WHIP Server (Debian 13's package simple-whip-server) in front of Janus: a WHIP server that is not ours.

Owns: the server's process and its folder. `make npm` unpacks the program and the modules that it needs under Node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.interop import node
from tests.interop.janus import Janus

BUILD = Path(__file__).resolve().parents[2] / "build"
SOURCES = (
    BUILD / "debian13" / "usr" / "share" / "simple-whip-server" / "src",
    Path("/usr/share/simple-whip-server/src"),
)
MODULES = ("async", "body-parser", "colors", "cors", "debug", "express", "websocket")


def why_not() -> str | None:
    """Why it cannot be run here; None if it can."""
    if not shutil.which("node"):
        return "NOT TESTED against Simple WHIP Server: node is not installed"
    if not any(path.is_dir() for path in SOURCES):
        return "NOT TESTED against Simple WHIP Server: Debian 13's package is not unpacked (make npm)"
    places = [node.FOLDER, Path("/usr/share/nodejs")]
    lacking = [name for name in MODULES if not any((place / name).is_dir() for place in places)]
    return f"NOT TESTED against Simple WHIP Server: npm modules are missing: {lacking}" if lacking else None


class WhipJanus:
    """``async with WhipJanus(janus, strict=True) as server``.

    Args:
        janus: runs already.
        strict: whether it compares ETags.
    """

    def __init__(self, janus: Janus, *, strict: bool = False) -> None:
        self._janus, self._strict = janus, strict

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="rtcpeer-whip-")
        folder = Path(self._folder.name)
        source = next(path for path in SOURCES if path.is_dir())
        for name in ("server.js", "whip-janus.js"):
            shutil.copy(source / name, folder / name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        configuration = {
            "janus": {"address": f"ws://127.0.0.1:{self._janus.port}"},
            "port": self.port,
            "rest": "/whip",
            "strictETags": self._strict,
            "iceServers": [{"uri": "stun:127.0.0.1:3478"}],
        }
        (folder / "config.js").write_text(f"module.exports = {json.dumps(configuration)};")
        self._log = folder / "log"
        with self._log.open("w") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("node", "server.js"),
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "NODE_PATH": f"{node.FOLDER}:/usr/share/nodejs", "DEBUG": "whip:*"},
            )
        self._http = aiohttp.ClientSession()
        await self._listens()
        return self

    async def _listens(self) -> None:
        for _ in range(600):
            with contextlib.suppress(aiohttp.ClientError):
                async with self._http.get(f"{self.base}/healthcheck") as answer:
                    if answer.status == 200:
                        return
            if self._process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise RuntimeError(f"Simple WHIP Server does not start:\n{self.log[-3000:]}")

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._folder.cleanup()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/whip"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def create(self, name: str, room: int, token: str) -> str:
        """An endpoint that publishes into a room of Janus; its URL."""
        body = {"id": name, "room": room, "token": token}
        async with self._http.post(f"{self.base}/create", json=body) as answer:
            assert answer.status == 200, await answer.text()
        return f"{self.base}/endpoint/{name}"

    async def endpoints(self) -> list[dict[str, Any]]:
        """What it has, and which of them are in use."""
        async with self._http.get(f"{self.base}/endpoints") as answer:
            found: list[dict[str, Any]] = json.loads(await answer.text())
            return found
