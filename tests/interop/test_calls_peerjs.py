"""PeerJS: its server under Node, its library in Chromium, data and calls in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rtcpeer.calls.peerjs.connections import PeerJSCall, PeerJSData
from rtcpeer.calls.peerjs.peer import PeerJS
from rtcpeer.cli.demo.observer import MediaObserver
from rtcpeer.errors import NetworkError, SignalingRefused
from rtcpeer.testing import no_leaks, synthetic_track
from tests.interop.chromium import Chromium, blank_site, until
from tests.interop.node import environment
from tests.interop.rtcmc import node_server, package_file
from tests.interop.stacks import PICTURE

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

NODE = environment("peer")
SERVER = package_file("peer", "dist/bin/peerjs.js")

PAGE = """
var heard = [], calls = [], peer, frames = 0;
function begin(port) {
  peer = new peerjs.Peer("page", {host: "127.0.0.1", port, path: "/", config: {iceServers: []}});
  peer.on("connection", c => c.on("data", data => { heard.push(data); c.send(data); }));
  peer.on("call", async call => {
    call.answer(await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}}));
    calls.push(call);
  });
  return new Promise((done, fail) => { peer.on("open", () => done(true)); peer.on("error", fail); });
}
async function seen() {
  let frames = 0;
  for (const s of (await calls.at(-1).peerConnection.getStats()).values())
    if (s.type === "inbound-rtp" && s.kind === "video") frames += s.framesDecoded ?? 0;
  return frames;
}
true
"""


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with no_leaks(grace=3):
        yield


async def test_bots_and_a_browser() -> None:
    camera, voice = synthetic_track("video", PICTURE), synthetic_track("audio")
    observer = MediaObserver()
    async with (
        node_server(SERVER, NODE, "--port", "PORT") as port,
        blank_site() as site,
        Chromium() as browser,
        PeerJS(f"http://127.0.0.1:{port}/", id="bot") as bot,
    ):
        page = await browser.page(site)
        await page.evaluate(package_file("peerjs", "dist/peerjs.min.js").read_text() + "\n;true")
        await page.evaluate(PAGE)
        await page.evaluate(f"begin({port})")
        # data from here: each serialization comes back as it was sent
        value = {"list": [1, -2.5, True, None], "text": "ü", "bytes": b"\x00\x01"}
        long = {"text": "x" * 100_000}
        for serialization, values in (
            ("binary", [value, long]),
            ("json", [{"a": [1, "ü"]}]),
            ("raw", ["hi", b"\x01"]),
        ):
            data = await bot.connect("page", serialization=serialization, metadata={"from": "bot"})
            for sent in values:
                await data.send(sent)
                assert await asyncio.wait_for(anext(data), 20) == sent
            await data.close()
        # data from there
        await page.evaluate(
            "var dc = peer.connect('bot', {label: 'chat', metadata: {x: 1}}); "
            "dc.on('open', () => dc.send({hello: 'bot'})); true"
        )
        incoming = await asyncio.wait_for(anext(bot), 20)
        assert isinstance(incoming, PeerJSData)
        assert (incoming.peer_id, incoming.label, incoming.metadata) == ("page", "chat", {"x": 1})
        assert await asyncio.wait_for(anext(incoming), 20) == {"hello": "bot"}
        # a call from here
        call = await bot.call("page", camera, voice)
        for kind in ("video", "audio"):
            observer.watch(await asyncio.wait_for(call.track(kind), 20))
        await until(lambda: observer.seen.video_frames > 20 and observer.seen.luma > 40, 30)
        await until(lambda: observer.seen.audio_frames > 50 and observer.seen.level > 0.005, 30)
        await page.wait_for("seen().then(n => n > 20)")
        await call.close()
        # a call from there
        await page.evaluate(
            "navigator.mediaDevices.getUserMedia({audio: true, video: true})"
            ".then(s => { calls.push(peer.call('bot', s)); return true; })"
        )
        other = await asyncio.wait_for(anext(bot), 20)
        assert isinstance(other, PeerJSCall)
        await other.answer(camera, voice)
        before = observer.seen.video_frames
        observer.watch(await asyncio.wait_for(other.track("video"), 20))
        await until(lambda: observer.seen.video_frames > before + 20, 30)
        await page.wait_for("seen().then(n => n > 20)")
        assert not bot.counters
        await page.close()
    await observer.close()
    camera.stop()
    voice.stop()


async def test_refused_and_unreachable() -> None:
    async with node_server(SERVER, NODE, "--port", "PORT") as port:
        url = f"http://127.0.0.1:{port}/"
        async with PeerJS(url, id="a") as first, PeerJS(url) as second:
            assert second.id
            with pytest.raises(SignalingRefused, match="ID-TAKEN"):
                async with PeerJS(url, id="a"):
                    pass
            data = await second.connect("a", serialization="json")
            await data.send([1])
            incoming = await asyncio.wait_for(anext(first), 20)
            assert isinstance(incoming, PeerJSData)
            assert await asyncio.wait_for(anext(incoming), 20) == [1]
            await incoming.send({"a": 2})
            assert await asyncio.wait_for(anext(data), 20) == {"a": 2}
    with pytest.raises(NetworkError):
        async with PeerJS(url, id="b"):
            pass
