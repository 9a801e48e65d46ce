"""One bot of 25 lines, unchanged in a room, in a VideoRoom of Janus and in a room of RTCMultiConnection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer.signaling import RoomServer
from rtcpeer.testing import no_leaks
from tests.interop.janus import Janus, require
from tests.interop.node import environment
from tests.interop.rtcmc import node_server, package_file
from tests.unit.calls.bots import EXAMPLES, check_echo

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def rooms() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async with RoomServer() as server:
        yield f"room+{server.url}?room=lobby", {}


@contextlib.asynccontextmanager
async def janus() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    require()
    async with Janus() as server:
        yield (
            f"janus+ws://127.0.0.1:{server.port}/?room=1234",
            {"create": {"videocodec": "vp8", "publishers": 6}},
        )
        await server.handles_are_gone()


@contextlib.asynccontextmanager
async def rtcmulticonnection() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    node = environment("rtcmulticonnection-server")
    async with node_server(package_file("rtcmulticonnection-server", "server.js"), node) as port:
        yield f"rtcmc+http://127.0.0.1:{port}/?room=lobby", {}


@pytest.mark.parametrize("service", [rooms, janus, rtcmulticonnection])
async def test_the_same_bot(service: Any) -> None:
    program = (EXAMPLES / "echo" / "echo.py").read_text(encoding="utf-8").splitlines()
    assert sum(1 for line in program if line.strip()) <= 25
    async with no_leaks(grace=3), service() as (url, options):
        await check_echo(url, **options)
