"""The server behind `rtcpeer serve` without a browser: what it refuses, in sentences, and to whom its relays relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.cli.serve.relays import Relays
from rtcpeer.cli.serve.serve import PAGE, Site
from rtcpeer.net.network import Interface
from rtcpeer.signaling import Negotiator, Room, RoomClient, RoomError, RoomMember

SITES: list[Site] = []  # the newest one last


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    from aiohttp import web

    SITES.append(Site())
    runner = web.AppRunner(SITES[-1].app)
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
        (("Host: [::1",), 403, "malformed"),
        (("Host: [zz]:80",), 403, "malformed"),
        (("Host: localhost", "Origin: http://[::1"), 403, "malformed"),
        (("Host: rebound.example",), 403, "does not answer to that host name"),
        (("Host: localhost", "Origin: http://elsewhere.example"), 403, "pages of that origin"),
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


@asynccontextmanager
async def calling(**metadata: Any) -> AsyncIterator[tuple[Site, Room, RoomMember]]:
    """A browser's part of a call, as far as signaling goes: in a room with a bot."""
    async with (
        serving() as (host, port),
        RoomClient(f"ws://{host}:{port}/rooms", name="browser", metadata=metadata) as client,
    ):
        room = await client.openOrJoin("mine")
        async with asyncio.timeout(20):
            yield SITES[-1], room, await anext(room)


def heard(room: Room) -> asyncio.Queue[dict[str, Any]]:
    """What the bot tells from now on, but for its reports."""
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    room.onbroadcast = lambda event: None if event.data["type"] == "bot" else said.put_nowait(event.data)
    return said


async def next_of(said: asyncio.Queue[dict[str, Any]], kind: str) -> dict[str, Any]:
    while (message := await said.get())["type"] != kind:
        pass
    return message


async def test_a_call_is_a_room_with_a_bot() -> None:
    """The page has no protocol of its own: whoever can be in a room can call the bot, and gets what the page gets."""
    async with calling() as (site, room, bot), RTCPeerConnection() as pc:
        said = heard(room)
        assert (bot.name, bot.polite) == ("bot", room.id < bot.id)
        ready = await next_of(said, "ready")
        assert [url.partition(":")[0] for server in ready["iceServers"] for url in server["urls"]] == [
            "stun",
            "turn",
        ]
        channel = pc.createDataChannel("numbers")
        numbers: asyncio.Queue[str] = asyncio.Queue()
        channel.onmessage = lambda event: numbers.put_nowait(event.data)
        async with Negotiator(pc, bot):
            await pc.connected(20)
            assert [await numbers.get() for _ in range(3)] == ["0", "1", "2"]
            await room.broadcast({"type": "clock", "asked": 17})
            answer = await next_of(said, "clock")
            assert (answer["asked"], abs(answer["at"] - asyncio.get_running_loop().time()) < 5) == (17, True)
            assert len(site.bots) == 1
        await room.close()
        while site.bots:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "asked",
    [
        *(7, None, [], {}, {"type": "fly"}, {"type": "policy"}, {"type": "policy", "policy": "maybe"}),
        *(
            {"type": "outage", "seconds": "x"},
            {"type": "outage", "seconds": "inf"},
            {"type": "clock", "asked": "x"},
        ),
    ],
)
async def test_nonsense_is_answered_in_a_sentence_and_harms_nothing(asked: Any) -> None:
    async with calling() as (site, room, bot):
        said = heard(room)
        await next_of(said, "ready")
        await room.broadcast(asked)
        assert "Error: " in (await next_of(said, "error"))["message"]
        await bot.send({"type": "offer", "sdp": "x"})
        assert (await next_of(said, "event"))["event"] == "error"
        await room.broadcast({"type": "clock", "asked": 1})
        await next_of(said, "clock")
        assert len(site.bots) == 1


async def test_a_bot_that_cannot_call_says_why_and_goes() -> None:
    async with calling(policy="maybe") as (_, room, bot):
        assert "iceTransportPolicy" in (await next_of(heard(room), "error"))["message"]
        async for _message in bot:
            raise AssertionError
        assert bot.endReason == "left"


async def test_a_room_has_one_browser_and_a_token_of_a_bot_is_no_browsers_business() -> None:
    async with serving() as (host, port):
        url = f"ws://{host}:{port}/rooms"
        async with RoomClient(url, name="a") as a, RoomClient(url, name="b") as b, asyncio.timeout(20):
            room = await a.openOrJoin("mine")
            await anext(room)
            with pytest.raises(RoomError, match="full"):
                await b.openOrJoin("mine")
        async with RoomClient(url, name="bot", headers={"Authorization": "Bearer guess"}) as thief:
            with pytest.raises(RoomError, match="no bot of this server"):
                await thief.openOrJoin("other")
        async with RoomClient(url) as asking:
            assert await asking.checkPresence("nobody") == 0
        assert "nobody" not in SITES[-1]._calls


async def test_so_many_calls_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcpeer.cli.serve.serve.MAX_CALLS", 2)
    async with serving() as (host, port), RoomClient(f"ws://{host}:{port}/rooms", name="browser") as client:
        for number in range(2):
            await client.openOrJoin(f"room {number}")
        with pytest.raises(RoomError, match="2 calls are up already"):
            await client.openOrJoin("another")


async def test_who_asks_for_a_bot_and_does_not_come_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcpeer.cli.serve.bot.COMES_WITHIN", 0.1)
    async with serving() as (host, port), RoomClient(f"ws://{host}:{port}/rooms", name="browser") as client:
        with pytest.raises(RoomError, match="there is no room"):
            await client.join("nowhere")
        site = SITES[-1]
        assert len(site._calls) == 1
        async with asyncio.timeout(20):
            while site._calls:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert not site.bots


def test_the_page_is_a_member_of_a_room_by_the_example_of_the_guide() -> None:
    guide = (Path(__file__).parents[4] / "docs/rooms-wire.md").read_text(encoding="utf-8")
    assert (PAGE / "room.js").read_text(encoding="utf-8") in guide


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
        ("192.168.1.5", "64:ff9b::c0a8:101", False),
        ("192.168.1.5", "2002:a00:1::1", False),
        ("192.168.1.5", "::192.168.1.1", False),
        ("192.168.1.5", "64:ff9b::c629:4", True),
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
