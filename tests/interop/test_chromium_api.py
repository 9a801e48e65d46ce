"""Our RTCPeerConnection against Chromium's, one feature at a time, without the page of `serve`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtcpeer import IceSettings
from rtcpeer.testing import TurnServer, synthetic_track
from tests.interop import browser_call
from tests.interop.browser_call import Call
from tests.interop.chromium import PATIENCE, Chromium, blank_site, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

PICTURE = {"width": 320, "height": 240, "frameRate": 15}


@contextlib.asynccontextmanager
async def calling(configuration: Any = None, *, ice: IceSettings | None = None) -> AsyncIterator[Call]:
    async with blank_site() as url, Chromium() as browser:
        page = await browser.page(url)
        async with browser_call.calling(page, configuration, ice=ice) as call:
            yield call


async def test_we_offer_media_and_the_browser_answers_with_its_own() -> None:
    tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
    async with calling() as call:
        await call.page.evaluate(
            "pc.ontrack = ((f) => e => { f(e); if (e.track.kind === 'video') camera(); })(pc.ontrack)"
        )
        for track in tracks:
            call.pc.addTrack(track)
        await call.up()
        await call.page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 10")
        assert (await call.page.evaluate("pixels(0)"))["mean"] > 40
        await until(lambda: call.eyes.seen.video_frames > 20 and call.eyes.seen.luma > 20)
        await until(lambda: call.eyes.seen.audio_frames > 20)
        # the browser's tracks took the sections that we had offered
        assert len(call.pc.getTransceivers()) == 2
        assert {str(t.currentDirection) for t in call.pc.getTransceivers()} == {"sendrecv"}
    for track in tracks:
        track.stop()


async def test_data_channels_of_all_kinds_from_both_sides() -> None:
    async with calling() as call:
        pc, page = call.pc, call.page
        echo = pc.createDataChannel("echo", ordered=False, maxRetransmits=500, protocol="p")
        negotiated = pc.createDataChannel("both", negotiated=True, id=40)
        await page.evaluate("keep(pc.createDataChannel('both', {negotiated: true, id: 40})), 0")
        # the last id that there is (webrtc-pc 6.2)
        last = pc.createDataChannel("last", negotiated=True, id=65534)
        await page.evaluate("keep(pc.createDataChannel('last', {negotiated: true, id: 65534})), 0")
        theirs: list[Any] = []
        pc.addEventListener("datachannel", lambda event: theirs.append(event.channel))
        await call.up()
        await echo.opened(PATIENCE)
        await negotiated.opened(PATIENCE)
        await page.wait_for("'echo' in channels")  # our side opens before the page is told of the channel

        there = await page.evaluate(
            "(({ordered, maxRetransmits, protocol, id}) => ({ordered, maxRetransmits, protocol, id}))(channels.echo)"
        )
        assert there == {"ordered": False, "maxRetransmits": 500, "protocol": "p", "id": echo.id}
        sizes = (0, 1, 1200, 65536, 200_000)
        async with echo.events("message") as messages:
            for size in sizes:
                echo.send(b"x" * size)
                assert len((await asyncio.wait_for(anext(messages), PATIENCE)).data) == size
                echo.send("ä" * (size // 4))
                assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == "ä" * (size // 4)

        for channel in (negotiated, last):
            async with channel.events("message") as messages:
                await page.evaluate(f"channels.{channel.label}.send('from there')")
                assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == "from there"
            channel.send("from here")
            await page.wait_for(f"heard.{channel.label}.includes('from here')")

        await page.evaluate(
            "keep(pc.createDataChannel('theirs', {maxPacketLifeTime: 500, protocol: 'q'})), 0"
        )
        await until(lambda: bool(theirs))
        channel = theirs[0]
        assert (channel.label, channel.protocol, channel.maxPacketLifeTime) == ("theirs", "q", 500)
        await page.wait_for("channels.theirs.readyState === 'open'")
        channel.send("hello")
        await page.wait_for("heard.theirs.includes('hello')")

        closed = []
        channel.onclose = closed.append
        await page.evaluate("channels.theirs.close()")
        await until(lambda: bool(closed))
        assert channel.readyState == "closed"
        echo.close()
        await page.wait_for("channels.echo.readyState === 'closed'")
        assert pc.connectionState == "connected"


async def test_both_sides_restart_ice_at_the_same_time_and_nothing_is_lost() -> None:
    async with TurnServer(users={"u": "p"}) as first, TurnServer(users={"u": "p"}) as second:  # noqa: SIM117
        async with calling({"iceServers": first.ice_servers}) as call:
            pc, page = call.pc, call.page
            echo = pc.createDataChannel("echo")
            await call.up()
            await echo.opened(PATIENCE)
            back: list[str] = []
            echo.onmessage = lambda message: back.append(message.data)
            for number in range(300):
                echo.send(str(number))
                if number in (50, 150):
                    configuration = {"iceServers": (second if number == 50 else first).ice_servers}
                    pc.setConfiguration(configuration)
                    restart = asyncio.create_task(
                        page.evaluate(f"pc.setConfiguration({json.dumps(configuration)}), pc.restartIce()")
                    )
                    pc.restartIce()
                await asyncio.sleep(0.01)
            await restart
            await until(lambda: len(back) == 300)
            assert back == [str(number) for number in range(300)]
            await until(lambda: pc.signalingState == "stable")
            assert call.states == ["connecting", "connected"]
            assert await page.evaluate("states") == ["connecting", "connected"]


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.006, 0.012])
async def test_both_sides_call_at_the_same_time(delay: float) -> None:
    tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
    async with calling() as call:
        await call.page.evaluate(
            "navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}}).then(stream => {"
            "setTimeout(() => stream.getTracks().forEach(t => pc.addTrack(t, stream)), 5) })"
        )
        await asyncio.sleep(delay)
        for track in tracks:
            call.pc.addTrack(track)
        await call.up()
        await until(lambda: call.eyes.seen.video_frames > 5 and call.eyes.seen.audio_frames > 5)
        # not by ontrack: Chromium does not always tell it when addTrack came during setRemoteDescription
        await call.page.wait_for(
            "pc.getStats().then(r => [...r.values()].some(s => s.type === 'inbound-rtp' && s.framesDecoded > 5))"
        )
        await until(lambda: call.pc.signalingState == "stable")
        assert len(call.pc.getTransceivers()) == 2
    for track in tracks:
        track.stop()


async def test_failed_is_not_final() -> None:
    async with calling(ice=IceSettings(failed_after=3.0)) as call:
        pc, page = call.pc, call.page
        echo = pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        async with call.network.outage():
            await until(lambda: call.states[-1] == "failed")
            await page.wait_for("states.at(-1) === 'failed'", timeout=120)
            echo.send("sent while all was dead")
        pc.restartIce()
        async with echo.events("message") as messages:
            assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == "sent while all was dead"
        await until(lambda: call.states[-1] == "connected")
        await page.wait_for("states.at(-1) === 'connected'")


async def test_a_call_grows_holds_and_swaps_its_track() -> None:
    voice, bars = synthetic_track("audio"), synthetic_track("video", PICTURE)
    other = synthetic_track("video", {**PICTURE, "width": 160, "height": 120})
    async with calling() as call:
        pc, page = call.pc, call.page
        pc.addTrack(voice)
        await call.up()
        sender = pc.addTrack(bars)
        await page.wait_for(
            "videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 5", what="video was added"
        )

        await sender.replaceTrack(other)
        await page.wait_for("videos[0].videoWidth === 160", what="the other track is shown")

        (transceiver,) = [t for t in pc.getTransceivers() if t.sender is sender]
        transceiver.direction = "inactive"
        await page.wait_for("pc.getTransceivers().at(-1).currentDirection === 'inactive'")
        transceiver.direction = "sendonly"
        await page.wait_for("pc.getTransceivers().at(-1).currentDirection === 'recvonly'")
        await page.wait_for(
            "videos.at(-1).getVideoPlaybackQuality().totalVideoFrames > 10", what="it is shown again"
        )

        pc.removeTrack(sender)
        await page.wait_for("pc.getTransceivers().at(-1).currentDirection === 'inactive'")
        transceiver.stop()
        await page.wait_for("pc.getTransceivers().at(-1)?.currentDirection !== 'inactive'")
        assert pc.connectionState == "connected"
        assert (voice.readyState, bars.readyState, other.readyState) == ("live", "live", "live")
    for track in (voice, bars, other):
        track.stop()


async def test_statistics_agree_with_the_browser() -> None:
    tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
    async with calling() as call:
        await call.page.evaluate("camera()")
        for track in tracks:
            call.pc.addTrack(track)
        await call.up()
        await until(lambda: call.eyes.seen.video_frames > 45)
        await call.page.wait_for(
            "pc.getStats().then(r => [...r.values()]"
            ".filter(s => s.type === 'inbound-rtp' && s.packetsReceived > 5).length === 2)"
        )
        theirs = await call.page.evaluate("pc.getStats().then(r => [...r.values()])")
        report = list((await call.pc.getStats()).values())  # later: at least as much was sent as arrived

        def find(stats: list[Any], **wanted: Any) -> Any:
            return next(s for s in stats if all(s.get(k) == v for k, v in wanted.items()))

        for kind in ("audio", "video"):
            sent = find(report, type="outbound-rtp", kind=kind)
            received = find(theirs, type="inbound-rtp", kind=kind)
            assert sent["ssrc"] == received["ssrc"]
            assert 0 < received["packetsReceived"] <= sent["packetsSent"]
            arrived = find(report, type="inbound-rtp", kind=kind)
            assert arrived["ssrc"] == find(theirs, type="outbound-rtp", kind=kind)["ssrc"]
            assert arrived["packetsReceived"] > 0
        video = find(report, type="inbound-rtp", kind="video")
        assert video["framesDecoded"] > 40
        transport = find(report, type="transport")
        pair = find(report, id=transport["selectedCandidatePairId"])
        assert pair["state"] == "succeeded"
        assert 0 <= pair["currentRoundTripTime"] < 10
        local = find(report, id=pair["localCandidateId"])
        remote_there = find(theirs, type="transport")["selectedCandidatePairId"]
        remote = find(theirs, id=find(theirs, id=remote_there)["remoteCandidateId"])
        assert local["port"] == remote["port"]
    for track in tracks:
        track.stop()


async def test_a_browser_that_closes_is_noticed_at_once() -> None:
    async with calling() as call:
        echo = call.pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        await call.page.evaluate("pc.close()")
        await until(lambda: echo.readyState == "closed")
        assert "disconnected" not in call.states  # it was told, not missed


async def test_dead_servers_cost_nothing() -> None:
    dead = [
        {"urls": "stun:192.0.2.254:3478"},
        {"urls": "turn:192.0.2.253:3478", "username": "u", "credential": "p"},
    ]
    async with calling() as call:
        call.pc.setConfiguration({"iceServers": dead})
        echo = call.pc.createDataChannel("echo")
        started = time.perf_counter()
        await echo.opened(PATIENCE)
        assert time.perf_counter() - started < 6  # servers are given up after more than nine
