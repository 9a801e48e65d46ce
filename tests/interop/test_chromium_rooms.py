"""The browser example of docs/rooms-wire.md in Chromium: a member of a room, over lost sockets, and with a call."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import Negotiator, RoomClient, RoomServer
from tests.interop.chromium import PATIENCE, Chromium

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

GUIDE = Path(__file__).parents[2] / "docs" / "rooms-wire.md"
EXAMPLE = re.findall(r"```javascript\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[0]

ENTER = """(async () => {
  const { Room } = await import("/room.js");
  window.got = [];
  const pc = (window.pc = new RTCPeerConnection());
  const say = (message) => room.send({ type: "message", to: room.peer, message });
  pc.onicecandidate = ({ candidate }) => candidate && say(candidate);
  pc.ondatachannel = ({ channel }) => (channel.onmessage = ({ data }) => channel.send(`you said: ${data}`));
  window.room = new Room(`ws://${location.host}/rooms`, "lobby", async ({ type, from, message }) => {
    if (type !== "message") return;
    room.peer = from;
    if ("counted" in message) got.push(message.counted);
    else if (message.type === "offer") {
      await pc.setRemoteDescription(message);
      await pc.setLocalDescription();
      say(pc.localDescription);
    } else if (message.candidate) await pc.addIceCandidate(message);
  });
})()"""


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[tuple[RoomServer, str]]:
    """The example and a room server at one address: the page needs no allowed origin."""
    server = RoomServer()
    application = web.Application()
    server.add_to(application)

    async def page(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response(text="<!doctype html><title>rooms</title>", content_type="text/html")
        return web.Response(text=EXAMPLE, content_type="text/javascript")

    application.router.add_get("/", page)
    application.router.add_get("/room.js", page)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield server, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_it_is_short() -> None:
    assert len(EXAMPLE.splitlines()) <= 30


async def test_the_example_is_a_member_whose_messages_survive_lost_sockets() -> None:
    async with (
        site() as (server, address),
        Chromium() as browser,
        RoomClient(f"ws://{address}/rooms") as client,
    ):
        page = await browser.page(f"http://{address}/")
        await page.evaluate(ENTER)
        await page.wait_for("room.token")
        room = await client.openOrJoin("lobby")
        member = await anext(room)
        async with asyncio.timeout(PATIENCE):
            for number in range(30):
                await member.send({"candidate": "", "counted": number})
                await page.evaluate(
                    f"room.send({{type: 'message', to: '{room.id}', message: {{n: {number}}}}})"
                )
                if number % 10 == 5:
                    for socket in tuple(server._sockets):
                        assert socket.request.transport is not None
                        socket.request.transport.abort()
            assert [(await anext(member))["n"] for _ in range(30)] == list(range(30))
        await page.wait_for("got.length >= 30")
        assert await page.evaluate("got") == list(range(30))
        assert room.members == (member,)

        async with RTCPeerConnection() as pc, Negotiator(pc, member, polite=False):
            answers: asyncio.Queue[str] = asyncio.Queue()
            channel = pc.createDataChannel("chat")
            channel.onopen = lambda _: channel.send("hello")
            channel.onmessage = lambda event: answers.put_nowait(event.data)
            async with asyncio.timeout(PATIENCE):
                assert await answers.get() == "you said: hello"
        changed = asyncio.Event()
        room.onmetadata = lambda _: changed.set()
        await page.evaluate("room.send({type: 'metadata', metadata: {hand: 'up'}})")
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
        assert member.metadata == {"hand": "up"}
        await page.evaluate("room.socket.close(4000)")
