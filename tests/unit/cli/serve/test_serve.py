"""The server behind `rtcpeer serve` without a browser: what it refuses, in sentences, and to whom its relays relay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rtcpeer.cli.serve.relays import Relays
from rtcpeer.net.network import Interface

aiohttp = pytest.importorskip("aiohttp")


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    from aiohttp import web

    from rtcpeer.cli.serve.serve import Site

    runner = web.AppRunner(Site().app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


async def asked(address: tuple[str, int], *headers: str) -> str:
    """The answer to a request with these header lines, as it stands on the wire."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write("\r\n".join(("GET / HTTP/1.1", *headers, "Connection: close", "", "")).encode())
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return text


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        (("Host: [::1",), 400, "malformed"),
        (("Host: [zz]:80",), 400, "malformed"),
        (("Host: localhost", "Origin: http://[::1"), 400, "malformed"),
        (("Host: rebound.example",), 403, "localhost only"),
        (("Host: localhost", "Origin: http://elsewhere.example"), 403, "own page only"),
        (("Host: localhost",), 200, "<title>"),
    ],
)
async def test_a_broken_host_is_refused_in_a_sentence(
    headers: tuple[str, ...], status: int, said: str
) -> None:
    async with serving() as address:
        answer = await asked(address, *headers)
        assert f" {status} " in answer.partition("\r\n")[0]
        assert said in answer
        assert "Traceback" not in answer


@pytest.mark.parametrize(
    "text", ["[" * 100_000, json.dumps({"call": 1, "type": "call", "policy": 5}), "not json", "7", "null"]
)
async def test_what_is_no_message_is_answered_in_a_sentence(text: str) -> None:
    async with (
        serving() as (host, port),
        aiohttp.ClientSession() as client,
        client.ws_connect(f"http://{host}:{port}/signaling") as socket,
    ):
        await socket.send_str(text)
        answer = await socket.receive_json(timeout=10)
        assert answer["type"] == "error"
        assert "Error" in answer["message"]
        # the socket lives on
        await socket.send_str("{}")
        assert (await socket.receive_json(timeout=10))["type"] == "error"


class Home:
    """A network, as far as it has interfaces."""

    def interfaces(self) -> list[Interface]:
        return [
            Interface("lo", "127.0.0.1", 8, "ipv4", True),
            Interface("eth0", "192.168.1.5", 24, "ipv4", False),
            Interface("eth0", "fd00::5", 64, "ipv6", False),
        ]


@pytest.mark.parametrize(
    ("host", "peer", "allowed"),
    [
        ("192.168.1.5", "192.168.1.5", True),
        ("192.168.1.5", "fd00::5", True),
        ("192.168.1.5", "198.41.0.4", True),
        ("192.168.1.5", "2606:4700::1", True),
        ("192.168.1.5", "192.168.1.1", False),
        ("192.168.1.5", "10.0.0.1", False),
        ("192.168.1.5", "127.0.0.1", False),
        ("192.168.1.5", "0.0.0.0", False),
        ("192.168.1.5", "::1", False),
        ("192.168.1.5", "::", False),
        ("192.168.1.5", "::ffff:127.0.0.1", False),
        ("192.168.1.5", "::ffff:192.168.1.1", False),
        ("192.168.1.5", "64:ff9b::7f00:1", False),
        ("192.168.1.5", "169.254.169.254", False),
        ("192.168.1.5", "224.0.0.1", False),
        ("192.168.1.5", "100.64.0.1", False),
        ("192.168.1.5", "fd00::1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "192.168.1.5", True),
    ],
)
def test_the_relays_reach_nobody_at_home_but_ourselves(host: str, peer: str, allowed: bool) -> None:
    assert Relays(host, Home()).allows(peer) is allowed  # type: ignore[arg-type]
