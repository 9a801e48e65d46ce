"""Our RTCPeerConnection against Firefox's: one browser for all tests, one tab for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rtcpeer import RTCPeerConnection, RTCRtpReceiver
from rtcpeer.testing import synthetic_track
from tests.interop import browser_call
from tests.interop.browser_call import Call
from tests.interop.chromium import PATIENCE, blank_site, turn, until
from tests.interop.firefox import Firefox
from tests.interop.loss import lose_until_repaired

# One browser for all: to start it takes as long as two of these tests.
pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

PICTURE = {"width": 320, "height": 240, "frameRate": 15}
OBFUSCATE = "media.peerconnection.ice.obfuscate_host_addresses"
BOTH = "pc.ontrack = (f => e => { f(e); if (e.track.kind === 'video') camera(); })(pc.ontrack), 0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firefox() -> AsyncIterator[tuple[Firefox, str]]:
    async with blank_site() as url, contextlib.AsyncExitStack() as stack:
        async with turn():
            browser = await stack.enter_async_context(Firefox())
        yield browser, url


@contextlib.asynccontextmanager
async def calling(firefox: tuple[Firefox, str], **options: Any) -> AsyncIterator[Call]:
    browser, url = firefox
    async with turn():
        page = await browser.page(url)
        async with browser_call.calling(page, **options) as call:
            yield call
        await page.close()


@contextlib.contextmanager
def tracks(*kinds: str) -> Any:
    made = [synthetic_track(kind, PICTURE) for kind in kinds]
    try:
        yield made
    finally:
        for track in made:
            track.stop()


async def media_flow(call: Call) -> None:
    """Pictures that are not black and sound, from now on, both ways."""
    decoded = await call.page.evaluate("decoded()")
    seen = call.eyes.seen
    pictures, sounds = seen.video_frames, seen.audio_frames
    await call.page.wait_for(f"decoded().then(n => n > {decoded} + 10)", what="Firefox decodes")
    assert (await call.page.evaluate("pixels(videos.length - 1)"))["mean"] > 40
    await until(lambda: seen.video_frames > pictures + 10 and seen.luma > 20)
    await until(lambda: seen.audio_frames > sounds + 20)


async def transport_statistics(pc: RTCPeerConnection) -> Any:
    return next(s for s in (await pc.getStats()).values() if s["type"] == "transport")


@pytest.mark.parametrize("codec", ["VP8", "VP9"])
async def test_we_offer_media(firefox: Any, codec: str) -> None:
    async with calling(firefox) as call:
        await call.page.evaluate(BOTH)
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            capabilities = RTCRtpReceiver.getCapabilities("video").codecs
            wanted = [c for c in capabilities if c.mimeType == f"video/{codec}"]
            call.pc.getTransceivers()[1].setCodecPreferences(wanted)
            await call.up()
            await media_flow(call)
            assert [str(t.currentDirection) for t in call.pc.getTransceivers()] == ["sendrecv", "sendrecv"]
            report = await call.pc.getStats()
            for kind in ("inbound-rtp", "outbound-rtp"):
                (video,) = [s for s in report.of_type(kind) if s["kind"] == "video"]
                assert report[video["codecId"]]["mimeType"] == f"video/{codec}"
            assert (await transport_statistics(call.pc))["dtlsRole"] == "server"


async def test_firefox_offers_media(firefox: Any) -> None:
    """And statistics of both ends say the same."""
    async with calling(firefox) as call:
        pc, page = call.pc, call.page
        with tracks("audio", "video") as ours:

            def answer(event: Any) -> None:
                if event.track.kind == "video":
                    for track in ours:
                        pc.addTrack(track)

            pc.addEventListener("track", answer)
            await page.evaluate("camera()")
            await call.up()
            await media_flow(call)
            assert (await transport_statistics(pc))["dtlsRole"] == "client"
            assert len(pc.getTransceivers()) == 2
            # reports of both ends have arrived
            await page.wait_for(
                "pc.getStats().then(r => [...r.values()].filter(s => s.type === 'remote-inbound-rtp').length === 2)"
            )
            there = await page.evaluate("pc.getStats().then(r => [...r.values()])")
            here = list((await pc.getStats()).values())
            for kind in ("audio", "video"):
                sent, received = find(here, "outbound-rtp", kind), find(there, "inbound-rtp", kind)
                assert sent["ssrc"] == received["ssrc"]
                assert 0 < received["packetsReceived"] <= sent["packetsSent"]
                sent, received = find(there, "outbound-rtp", kind), find(here, "inbound-rtp", kind)
                assert sent["ssrc"] == received["ssrc"]
                assert received["packetsReceived"] > 0
                told = find(there, "remote-inbound-rtp", kind)
                # from our report's highest number; repairs are on top of it
                assert 0 < told["packetsReceived"] <= sent["packetsSent"]
                assert told["packetsLost"] == received["packetsLost"] == 0


def find(report: list[Any], kind: str, media: str) -> Any:
    return next(s for s in report if s["type"] == kind and s["kind"] == media)


@pytest.mark.parametrize("polite", [False, True])
async def test_data_channels(firefox: Any, polite: bool) -> None:
    """With us as DTLS server and as client; which one decides the parity of the ids."""
    async with calling(firefox, polite=polite) as call:
        pc, page = call.pc, call.page
        if polite:
            await page.evaluate("keep(pc.createDataChannel('first')), 0")
            await page.wait_for("pc.localDescription !== null")
            await call.up()
        echo = pc.createDataChannel("echo", ordered=False, maxRetransmits=5, protocol="p")
        negotiated = pc.createDataChannel("both", negotiated=True, id=40)
        await page.evaluate("keep(pc.createDataChannel('both', {negotiated: true, id: 40})), 0")
        theirs: list[Any] = []
        pc.addEventListener("datachannel", lambda event: theirs.append(event.channel))
        await call.up()
        await echo.opened(PATIENCE)
        await negotiated.opened(PATIENCE)
        await page.wait_for("'echo' in channels")
        assert echo.id % 2 == (0 if polite else 1)
        assert await page.evaluate(
            "(({ordered, maxRetransmits, protocol, id}) => ({ordered, maxRetransmits, protocol, id}))(channels.echo)"
        ) == {"ordered": False, "maxRetransmits": 5, "protocol": "p", "id": echo.id}
        async with echo.events("message") as messages:
            for size in (0, 1, 1200, 65536, 200_000):
                echo.send(b"x" * size)
                assert len((await asyncio.wait_for(anext(messages), PATIENCE)).data) == size
                echo.send("ä" * (size // 4))
                assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == "ä" * (size // 4)
        async with negotiated.events("message") as messages:
            await page.evaluate("channels.both.send('from there')")
            assert (await asyncio.wait_for(anext(messages), PATIENCE)).data == "from there"

        await page.evaluate("keep(pc.createDataChannel('theirs', {maxPacketLifeTime: 500})), 0")
        await until(lambda: "theirs" in [channel.label for channel in theirs])
        channel = theirs[-1]
        assert (channel.maxPacketLifeTime, channel.ordered) == (500, True)
        closed: list[Any] = []
        channel.onclose = closed.append
        await page.wait_for("channels.theirs.readyState === 'open'")
        await page.evaluate("channels.theirs.close()")
        await until(lambda: bool(closed))
        echo.close()
        await page.wait_for("channels.echo.readyState === 'closed'")
        assert call.states == ["connecting", "connected"]


@pytest.mark.parametrize("who", ["we", "they", "both"])
async def test_ice_restarts_lose_nothing(firefox: Any, who: str) -> None:
    async with calling(firefox) as call:
        pc, page = call.pc, call.page
        echo = pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        before = ufrags(pc)
        back: list[str] = []
        echo.onmessage = lambda message: back.append(message.data)
        restart: asyncio.Task[Any] | None = None
        for number in range(150):
            echo.send(str(number))
            if number in (30, 90):
                if who != "we":
                    restart = asyncio.create_task(page.evaluate("pc.restartIce()"))
                if who != "they":
                    pc.restartIce()
            await asyncio.sleep(0.01)
        if restart is not None:
            await restart
        await until(lambda: len(back) == 150)
        assert back == [str(number) for number in range(150)]
        await until(lambda: pc.signalingState == "stable" and not before & ufrags(pc))
        assert call.states == ["connecting", "connected"]
        assert await page.evaluate("states") == ["connecting", "connected"]


def ufrags(pc: RTCPeerConnection) -> set[str]:
    both = f"{pc.localDescription.sdp}{pc.remoteDescription.sdp}"
    return {line for line in both.splitlines() if line.startswith("a=ice-ufrag:")}


async def test_a_slow_answer_to_a_restart_loses_nothing(firefox: Any) -> None:
    """We control and nominate before Firefox has our answer: it forgets that, and is told again."""
    async with calling(firefox) as call:
        pc, page = call.pc, call.page
        echo = pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        await page.evaluate(
            "hear = (f => async m => { await new Promise(r => setTimeout(r, 400)); await f(m); })(hear), 0"
        )
        before = ufrags(pc)
        back: list[str] = []
        echo.onmessage = lambda message: back.append(message.data)
        restart = asyncio.create_task(page.evaluate("pc.restartIce()"))
        for number in range(150):
            echo.send(str(number))
            await asyncio.sleep(0.01)
        await restart
        await until(lambda: len(back) == 150)
        assert not before & ufrags(pc)
        await page.wait_for("/connected|completed/.test(pc.iceConnectionState)")
        assert call.states == ["connecting", "connected"]


@pytest.mark.parametrize(("polite", "delay"), [(False, 0.0), (False, 0.006), (True, 0.003), (True, 0.012)])
async def test_both_sides_call_at_the_same_time(firefox: Any, polite: bool, delay: float) -> None:
    async with calling(firefox, polite=polite) as call:
        await call.page.evaluate(
            "navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}}).then(stream => {"
            "setTimeout(() => stream.getTracks().forEach(t => pc.addTrack(t, stream)), 5) })"
        )
        await asyncio.sleep(delay)
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            await call.up()
            await until(lambda: call.eyes.seen.video_frames > 5 and call.eyes.seen.audio_frames > 5)
            await call.page.wait_for("decoded().then(n => n > 5)")
            await until(lambda: call.pc.signalingState == "stable")
            assert [str(t.currentDirection) for t in call.pc.getTransceivers()] == ["sendrecv", "sendrecv"]


async def test_firefox_refuses_a_restart_after_its_own_rollback_and_the_call_goes_on(firefox: Any) -> None:
    """Its next offer, and no answer, tells us so: we give way, restart after that, and nothing is lost."""
    async with calling(firefox) as call:
        pc, page = call.pc, call.page
        echo = pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        before = ufrags(pc)
        back: list[str] = []
        echo.onmessage = lambda message: back.append(message.data)
        # its offer stays there until ours has met it, and what it refuses is its own affair
        await page.evaluate("""
            var late = [], tell = say, listen = hear, refused = [];
            say = message => late.push(message);
            hear = message => listen(message).catch(error => { refused.push(String(error)); });
            0
        """)
        await page.evaluate("""(async () => {
            const made = new Promise(done => pc.addEventListener("signalingstatechange", done, {once: true}));
            pc.addTransceiver("audio");
            await made;
        })()""")
        pc.restartIce()
        await page.wait_for("late.filter(m => m.type === 'offer').length > 1", what="ours is refused")
        await page.evaluate("say = tell, late.forEach(say)")
        for number in range(100):
            echo.send(str(number))
            await asyncio.sleep(0.01)
        await until(lambda: pc.signalingState == "stable" and not before & ufrags(pc))
        assert len(pc.getTransceivers()) == 1
        await page.wait_for("pc.signalingState === 'stable'")
        await until(lambda: back == [str(number) for number in range(100)])
        assert call.states == ["connecting", "connected"]
        refused = [error for error in await page.evaluate("refused") if "Unknown ufrag" not in error]
        assert len(refused) == 1, "the offer; else candidates of it alone"
        assert "did not request ICE restart" in refused[0]


async def test_a_call_grows_swaps_holds_stops_and_grows_again(firefox: Any) -> None:
    async with calling(firefox) as call:
        pc, page = call.pc, call.page
        with tracks("audio", "video") as (voice, bars):
            other = synthetic_track("video", {**PICTURE, "width": 160, "height": 120})
            pc.addTrack(voice)
            await call.up()
            sender = pc.addTrack(bars)
            await page.wait_for("decoded().then(n => n > 5)", what="video was added")
            await sender.replaceTrack(other)
            await page.wait_for("videos[0].videoWidth === 160", what="the other track is shown")
            other.stop()
            (transceiver,) = [t for t in pc.getTransceivers() if t.sender is sender]
            transceiver.direction = "inactive"
            await page.wait_for("pc.getTransceivers().at(-1).currentDirection === 'inactive'")
            transceiver.stop()
            await page.wait_for("pc.getTransceivers().length === 1")
            await until(lambda: pc.signalingState == "stable" and len(pc.getTransceivers()) == 1)

            pc.addTrack(bars)
            await page.wait_for(
                "videos.length === 2 && decoded().then(n => n > 5)", what="the m-line is used again"
            )
            assert pc.localDescription.sdp.count("m=") == 2
            await page.evaluate("camera()")
            await media_flow(call)
            await page.evaluate("pc.getSenders().filter(s => s.track).forEach(s => pc.removeTrack(s)), 0")
            await until(
                lambda: [str(t.currentDirection) for t in pc.getTransceivers()] == ["sendonly", "sendonly"]
            )
            await page.evaluate("pc.getTransceivers().at(-1).stop(), 0")
            await until(lambda: len(pc.getTransceivers()) == 1)
            assert call.states == ["connecting", "connected"]


async def test_firefox_adds_sections_whose_payload_types_ours_use_for_other_codecs(firefox: Any) -> None:
    """What Firefox adds has its own numbers: 124 is its RTX, and ULPFEC in the section that we had offered."""
    async with calling(firefox) as call:
        with tracks("video") as (ours,):
            call.pc.addTrack(ours)
            await call.up()
            await call.page.evaluate("""navigator.mediaDevices.getUserMedia({audio: true, video: true}).then(stream =>
                stream.getTracks().forEach(track => pc.addTransceiver(track, {streams: [stream]})))""")
            await until(lambda: call.eyes.seen.video_frames > 10 and call.eyes.seen.audio_frames > 20)
            sections = call.pc.remoteDescription.sdp.split("\r\nm=")[1:]
            assert any("a=rtpmap:124 rtx" in section for section in sections)
            assert any("a=rtpmap:124 ulpfec" in section for section in sections)
            decoded = await call.page.evaluate("decoded()")
            await call.page.wait_for(f"decoded().then(n => n > {decoded} + 10)", what="Firefox decodes")


async def test_simulcast_is_received(firefox: Any) -> None:
    async with calling(firefox) as call:
        await call.page.evaluate(
            "navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}}).then(stream =>"
            " pc.addTransceiver(stream.getVideoTracks()[0], {direction: 'sendonly', streams: [stream], sendEncodings:"
            " [{rid: 'h'}, {rid: 'm', scaleResolutionDownBy: 2}, {rid: 'l', scaleResolutionDownBy: 4}]})).then(() => 0)"
        )
        await call.up()
        assert "a=simulcast:recv h;m;l" in call.pc.localDescription.sdp
        await until(lambda: call.eyes.seen.video_frames > 20 and call.eyes.seen.luma > 20)
        inbound = (await call.pc.getStats()).of_type("inbound-rtp")
        assert len(inbound) > 1


async def test_what_is_lost_is_sent_again_and_else_a_key_frame(firefox: Any) -> None:
    async with calling(firefox) as call:
        await call.page.evaluate(BOTH)
        with tracks("audio", "video") as ours:
            for track in ours:
                call.pc.addTrack(track)
            await call.up()
            await media_flow(call)
            await lose_until_repaired(call.pc, call.network)
            await media_flow(call)
            before = find(list((await call.pc.getStats()).values()), "inbound-rtp", "video")
            async with call.network.outage():
                await asyncio.sleep(1.5)
            await media_flow(call)
            later = list((await call.pc.getStats()).values())
            received, sent = find(later, "inbound-rtp", "video"), find(later, "outbound-rtp", "video")
            assert received["pliCount"] + sent["pliCount"] > 0
            assert received["framesDecoded"] > before["framesDecoded"]
            assert call.states == ["connecting", "connected"]


async def test_rsa_certificates_in_both_roles(firefox: Any) -> None:
    certificate = await RTCPeerConnection.generateCertificate(
        {"name": "RSASSA-PKCS1-v1_5", "modulusLength": 2048, "publicExponent": b"\1\0\1", "hash": "SHA-256"}
    )
    for polite in (False, True):
        async with calling(firefox, polite=polite, ours={"certificates": [certificate]}) as call:
            await call.page.evaluate(
                "RTCPeerConnection.generateCertificate({name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048,"
                " publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256'}).then(c => begin({certificates: [c]},"
                f" {json.dumps(not polite)}))"
            )
            if polite:
                await call.page.evaluate("keep(pc.createDataChannel('theirs')), 0")
            else:
                call.pc.createDataChannel("ours")
            await call.up()
            transport = await transport_statistics(call.pc)
            assert transport["dtlsRole"] == ("client" if polite else "server")
            assert "_RSA_" in transport["dtlsCipher"]


async def test_each_side_sees_the_other_close(firefox: Any) -> None:
    async with calling(firefox) as call:
        echo = call.pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        await call.page.evaluate("pc.close()")
        await until(lambda: echo.readyState == "closed", timeout=10)
    async with calling(firefox) as call:
        echo = call.pc.createDataChannel("echo")
        await call.up()
        await echo.opened(PATIENCE)
        await call.page.wait_for("'echo' in channels")
        await call.pc.close()
        await call.page.wait_for("channels.echo.readyState === 'closed'", timeout=10)


async def test_hidden_addresses() -> None:
    """Firefox's default: host candidates are .local names, which multicast DNS resolves."""
    async with turn(), blank_site() as url, Firefox({OBFUSCATE: True}) as browser:
        page = await browser.page(url)
        async with browser_call.calling(page) as call:
            echo = call.pc.createDataChannel("echo")
            await call.up()
            await echo.opened(PATIENCE)
            hosts = [
                line
                for line in call.pc.remoteDescription.sdp.splitlines()
                if line.startswith("a=candidate:") and " typ host" in line
            ]
            assert hosts
            assert all(".local " in line for line in hosts)
