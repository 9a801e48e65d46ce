"""WHIP and WHEP against programs that are not ours: FFmpeg publishes, a page in Chromium watches and publishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from rtcpeer.cli.relay.relay import RelaySite
from rtcpeer.signaling import WhipServer, WhipSession
from tests.interop import ffmpeg
from tests.interop.chromium import Chromium, blank_site, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


async def test_ffmpeg_publishes_ten_seconds_and_every_frame_arrives() -> None:
    """H.264 and Opus, exit status 0, no complaint on its log."""
    frames: dict[str, int] = {"audio": 0, "video": 0}
    tasks: list[asyncio.Task[None]] = []
    sessions: list[WhipSession] = []

    async def count(track: Any) -> None:
        with contextlib.suppress(Exception):
            while True:
                frame = await track.recv()
                frames[track.kind] += 1
                if track.kind == "video":
                    assert (frame.width, frame.height) == (640, 360)

    def on_publish(session: WhipSession) -> None:
        sessions.append(session)
        session.pc.ontrack = lambda event: tasks.append(asyncio.ensure_future(count(event.track)))

    async with WhipServer(on_publish) as server:
        status, complaints = await ffmpeg.publish(f"{server.url}/cam", 10)
        await asyncio.wait(tasks, timeout=5)
        assert (status, complaints) == (0, [])
        assert frames["video"] == 250
        # what is still in the jitter buffer when the publisher leaves is not heard: less than a tenth of a second
        assert frames["audio"] > 495
        assert await sessions[0].ended() == "client"
        assert server.sessions == ()


@contextlib.asynccontextmanager
async def relaying() -> AsyncIterator[tuple[RelaySite, str, list[tuple[str, dict[str, Any]]]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    site = RelaySite(lambda event, **details: events.append((event, details)))
    runner = web.AppRunner(site.app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield site, f"http://127.0.0.1:{runner.addresses[0][1]}", events
    finally:
        await runner.cleanup()


FRAMES = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"


async def test_ffmpeg_to_chromium_through_the_relay() -> None:
    """What FFmpeg publishes is watched on the relay's page, forwarded without decoding."""
    async with relaying() as (site, url, events), Chromium() as browser:
        publishing = asyncio.ensure_future(ffmpeg.publish(f"{url}/whip/cam", 25))
        try:
            page = await browser.page(f"{url}/#cam")
            await page.wait_for("relay.player?.pc.connectionState === 'connected'")
            await page.wait_for(f"{FRAMES} > 50")
            assert await page.evaluate("document.getElementById('video').videoWidth") == 640
            kinds = await page.evaluate("relay.player.stream.getTracks().map(t => t.kind).sort().join()")
            assert kinds == "audio,video"
            assert site.broadcasts.names() == [{"name": "cam", "kinds": ["audio", "video"], "viewers": 1}]
            receivers = [t.receiver for t in site.whip.sessions[0].pc.getTransceivers()]
            report = await site.whip.sessions[0].pc.getStats()
            decoded = [
                s.get("framesDecoded", 0) for s in map(dict, report.values()) if s.get("kind") == "video"
            ]
            assert len(receivers) == 2
            assert sum(decoded) == 0
            await page.evaluate("relay.player.close()")
            await until(lambda: "stopped" in [name for name, _ in events])
            assert page.errors == []
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])


PUBLISH = """(async () => {
  const pc = globalThis.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: "sendonly", streams: [media]});
  await pc.setLocalDescription();
  const answer = await fetch(URL_HERE, {method: "POST", body: pc.localDescription.sdp,
    headers: {"Content-Type": "application/sdp", "Authorization": "Bearer secret"}});
  if (answer.status !== 201) throw new Error(await answer.text());
  const where = new URL(answer.headers.get("Location"), answer.url);
  let etag = answer.headers.get("ETag");
  await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
  pc.onicecandidate = async ({candidate}) => { if (candidate?.candidate) await fetch(where, {method: "PATCH",
    headers: {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag, "Authorization": "Bearer secret"},
    body: `a=mid:${candidate.sdpMid}\\r\\na=${candidate.candidate}\\r\\n`}); };
  globalThis.restart = async () => {
    const offer = await pc.createOffer({iceRestart: true});
    await pc.setLocalDescription(offer);
    const found = (text, name) => new RegExp(`a=${name}:(.*)\\r\\n`).exec(text)[1];
    const [ufrag, pwd] = ["ice-ufrag", "ice-pwd"].map(name => found(offer.sdp, name));
    const said = await fetch(where, {method: "PATCH", body: `a=ice-ufrag:${ufrag}\\r\\na=ice-pwd:${pwd}\\r\\n`,
      headers: {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*", "Authorization": "Bearer secret"}});
    if (said.status !== 200) throw new Error(await said.text());
    etag = said.headers.get("ETag");
    const text = await said.text();
    const sdp = pc.remoteDescription.sdp.replace(/a=(candidate:.*|end-of-candidates)\\r\\n/g, "")
      .replace(/a=ice-ufrag:.*/g, `a=ice-ufrag:${found(text, "ice-ufrag")}`)
      .replace(/a=ice-pwd:.*/g, `a=ice-pwd:${found(text, "ice-pwd")}`)
      .replace("a=mid:0\\r\\n", "a=mid:0\\r\\n" + text.match(/a=candidate:.*\\r\\n/g).join(""));
    await pc.setRemoteDescription({type: "answer", sdp});
  };
  globalThis.stop = () => fetch(where, {method: "DELETE", headers: {"Authorization": "Bearer secret"}});
  return answer.headers.get("Link") ?? "none";
})()"""


async def test_a_page_of_another_origin_publishes_with_fetch() -> None:
    """Camera and microphone of Chromium, with CORS, a token, candidates by PATCH and a DELETE."""
    sessions: list[WhipSession] = []
    tracks: list[Any] = []

    def on_publish(session: WhipSession) -> None:
        sessions.append(session)
        session.pc.ontrack = lambda event: tracks.append(event.track)

    async with blank_site() as site:
        server = WhipServer(
            on_publish, origins=[site.rstrip("/")], authorize=lambda request, name, token: token == "secret"
        )
        async with server, Chromium() as browser:
            page = await browser.page(site)
            assert await page.evaluate(PUBLISH.replace("URL_HERE", repr(server.url))) == "none"
            await page.wait_for("pc.connectionState === 'connected'")
            async with asyncio.timeout(20):
                picture = await next(track for track in tracks if track.kind == "video").recv()
                sound = await next(track for track in tracks if track.kind == "audio").recv()
            before = sessions[0].pc.localDescription.sdp
            await page.evaluate("restart()")
            await until(lambda: sessions[0].pc.localDescription.sdp != before)
            await page.wait_for("['connected', 'completed'].includes(pc.iceConnectionState)")
            async with asyncio.timeout(20):
                for _ in range(20):
                    picture = await next(track for track in tracks if track.kind == "video").recv()
            assert picture.width > 100
            assert sound.samples > 100
            assert await page.evaluate("stop().then(answer => answer.status)") == 200
            assert await sessions[0].ended() == "client"
            assert page.errors == []
