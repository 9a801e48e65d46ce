"""Our WHIP, WHEP and offer servers against the libraries of others, in a page of Chromium of another origin."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from rtcpeer import SupervisedPeer
from rtcpeer.cli.relay.relay import RelaySite
from rtcpeer.signaling import HttpOfferServer, WhipSession
from rtcpeer.testing import OutageNetwork, synthetic_track
from tests.interop import web_clients
from tests.interop.chromium import Chromium, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

PUBLISH = """(async () => {
  globalThis.media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  const pc = globalThis.published = new RTCPeerConnection({bundlePolicy: "max-bundle"});
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: "sendonly", streams: [media]});
  globalThis.whip = new WHIPClient();
  await whip.publish(pc, "BASE/whip/murillo", "secret");
})()"""

VIEW = """(async () => {
  const pc = globalThis.viewed = new RTCPeerConnection({bundlePolicy: "max-bundle"});
  pc.addTransceiver("video", {direction: "recvonly"});
  pc.addTransceiver("audio", {direction: "recvonly"});
  const stream = new MediaStream();
  pc.ontrack = ({track}) => { stream.addTrack(track); document.getElementById("video").srcObject = stream; };
  globalThis.whep = new WHEPClient();
  await whep.view(pc, "BASE/whep/murillo");
})()"""

INGEST = """(async () => {
  globalThis.eyevinn = new EyevinnWHIP({endpoint: "BASE/whip/eyevinn", opts: {authkey: "secret", iceServers: []}});
  const copy = new MediaStream(media.getTracks().map(track => track.clone()));
  await eyevinn.ingest(copy);
})()"""

PLAYER = """(async () => {
  globalThis.player = new WebRTCPlayer({video: document.getElementById("video"), type: "whep", iceServers: []});
  await player.load(new URL("BASE/whep/eyevinn"));
})()"""

FRAMES = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"


async def test_whip_whep_and_eyevinns_clients() -> None:
    """They publish with a token and play, from another origin.

    whip-whep's restart is not asked for: it joins the candidates of our answer with commas, which Chromium refuses
    where there is more than one.
    """
    events: list[tuple[str, dict[str, Any]]] = []
    async with web_clients.site() as page_url, Chromium() as browser:
        site = RelaySite(
            lambda event, **details: events.append((event, details)),
            token="secret",
            origins=[page_url.rstrip("/")],
        )
        runner = web.AppRunner(site.app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            page = await browser.page(page_url)
            await page.evaluate(PUBLISH.replace("BASE", url))
            await page.wait_for("published.connectionState === 'connected'")
            await page.evaluate(VIEW.replace("BASE", url))
            await page.wait_for(f"{FRAMES} > 10")
            await page.evaluate("whep.stop()")
            await page.evaluate("document.getElementById('video').srcObject = null")

            await page.evaluate(INGEST.replace("BASE", url))
            await until(lambda: "eyevinn" in [b["name"] for b in site.broadcasts.names()])
            await page.wait_for("eyevinn.getICEConnectionState() === 'connected'")
            await page.evaluate(PLAYER.replace("BASE", url))
            await page.wait_for(f"document.getElementById('video').videoWidth > 0 && {FRAMES} > 5")
            await page.evaluate("eyevinn.destroy()")
            await page.evaluate("whip.stop()")
            await until(lambda: not site.whip.sessions)
            reasons = [details["reason"] for name, details in events if name == "unpublished"]
            assert set(reasons) <= {"client", "closed"}
            assert page.errors == []
        finally:
            await runner.cleanup()


PIPECAT = """(async () => {
  globalThis.heard = [];
  globalThis.states = [];
  const transport = new SmallWebRTCTransport({mediaManager: new WavMediaManager()});
  globalThis.pipecat = new PipecatClient({transport, enableMic: true, enableCam: false, callbacks: {
    onTransportStateChanged: state => states.push(state),
    onServerMessage: data => heard.push(data),
    onTrackStarted: track => { globalThis.botTrack = track; },
  }});
  await pipecat.connect({webrtcRequestParams: {endpoint: "BASE"}});
})()"""


class PipecatBot:
    """Answers "client-ready", greets, counts the sound that arrives, sends a tone."""

    def __init__(self) -> None:
        self.network = OutageNetwork()
        self.sounds = 0
        self.messages: list[Any] = []
        self.peers: list[SupervisedPeer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, session: WhipSession) -> None:
        with self.network.installed():
            peer = SupervisedPeer(session)
        self.peers.append(peer)
        tone = synthetic_track("audio", {})
        peer.addEventListener("track", lambda event: self._keep(self._listen(event.track)))
        peer.addEventListener("datachannel", self._take)
        peer.addTrack(tone)
        async with peer:
            await session.ended()
        tone.stop()

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, track: Any) -> None:
        if track.kind == "audio":
            while track.readyState == "live":
                await track.recv()
                self.sounds += 1

    def _take(self, event: Any) -> None:
        channel = event.channel

        def hear(message: Any) -> None:
            value = json.loads(message.data) if message.data.startswith("{") else {}
            self.messages.append(value)
            if value.get("type") == "client-ready":
                ready = {
                    "label": "rtvi-ai",
                    "type": "bot-ready",
                    "id": value["id"],
                    "data": {"version": "1.0.0"},
                }
                channel.send(json.dumps(ready))
                greeting = {"label": "rtvi-ai", "type": "server-message", "data": {"text": "hello"}}
                channel.send(json.dumps(greeting))

        channel.onmessage = hear


async def test_pipecats_transport_comes_back_after_an_outage() -> None:
    """It connects, sends a microphone, gets sound and a message; 5 s of outage later both flow again."""
    bot = PipecatBot()
    async with web_clients.site() as page_url, Chromium() as browser:
        server = HttpOfferServer(bot.serve, path="/api/offer", origins=[page_url.rstrip("/")])
        async with server:
            page = await browser.page(page_url)
            await page.evaluate(PIPECAT.replace("BASE", server.url))
            await page.wait_for("heard.length && heard[0].text === 'hello'")
            await until(lambda: bot.sounds > 25)
            await page.wait_for("globalThis.botTrack?.kind === 'audio'")
            async with bot.network.outage():
                await asyncio.sleep(5)
            before = bot.sounds
            await until(lambda: bot.sounds > before + 25, 40)
            await page.wait_for("pipecat.state === 'ready'")
            assert len(bot.peers) == 1
            await page.evaluate("pipecat.disconnect()")
            await until(lambda: not server.sessions)
            assert page.errors == []
