"""Libraries that pages use (npm): one script of them, on a site of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.interop import node

ENTRY = Path(__file__).parent / "web_clients.js"
PACKAGES = ("whip-whep", "@eyevinn/whip-web-client", "@eyevinn/webrtc-player", "@pipecat-ai/client-js")


def require() -> Path:
    """The bundler; without the packages the test is skipped with a reason."""
    bundler = node.FOLDER / ".bin" / "esbuild"
    lacking = [name for name in PACKAGES if not (node.FOLDER / name).is_dir()]
    if lacking or not bundler.exists():
        pytest.skip(f"NOT TESTED against web clients: {lacking or 'esbuild'} not installed (make npm)")
    return bundler


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[str]:
    """A page that has all of them; its URL."""
    process = await asyncio.create_subprocess_exec(
        *(str(require()), str(ENTRY), "--bundle", "--format=iife", "--log-level=error"),
        stdout=asyncio.subprocess.PIPE,
        env={"NODE_PATH": str(node.FOLDER), "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )
    script, _ = await process.communicate()
    assert process.returncode == 0

    async def page(_: web.Request) -> web.Response:
        text = "<!doctype html><title>web clients</title><video id=video autoplay muted></video>"
        return web.Response(text=f"{text}<script src=clients.js></script>", content_type="text/html")

    async def clients(_: web.Request) -> web.Response:
        return web.Response(body=script, content_type="text/javascript", charset="utf-8")

    application = web.Application()
    application.router.add_get("/", page)
    application.router.add_get("/clients.js", clients)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
