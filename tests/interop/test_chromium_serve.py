"""The main job with a browser: the page of `rtcpeer serve` in real Chromium, in a call with the bot.

Pictures and messages are counted on both sides, and read: the browser's pixels from a canvas, the bot's from
decoded frames. Screenshots are kept under artifacts/.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rtcpeer.cli.serve.serve import Site
from tests.interop.chromium import PATIENCE, Chromium, Page, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

CONNECTED = (
    "rtcpeer.call?.pc.connectionState === 'connected' && rtcpeer.bot.states?.connection === 'connected'"
)

# mean brightness and how much neighbouring points differ, of what the <video> shows
PIXELS = """(() => {
  const video = document.getElementById("bot-video");
  const canvas = document.createElement("canvas");
  canvas.width = 160; canvas.height = 120;
  const g = canvas.getContext("2d");
  g.drawImage(video, 0, 0, 160, 120);
  const data = g.getImageData(0, 0, 160, 120).data;
  const luma = [];
  for (let i = 0; i < data.length; i += 4) luma.push(0.3 * data[i] + 0.59 * data[i + 1] + 0.11 * data[i + 2]);
  const mean = luma.reduce((a, b) => a + b, 0) / luma.length;
  const spread = Math.sqrt(luma.reduce((a, b) => a + (b - mean) ** 2, 0) / luma.length);
  return {mean, spread, sum: luma.reduce((a, b, i) => a + b * (i % 97), 0),
          frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth};
})()"""

SHOWN = "document.getElementById('bot-video').getVideoPlaybackQuality().totalVideoFrames"

NUMBERS = """(() => { const here = rtcpeer.call.numbers, there = rtcpeer.bot.numbers;
  const {sent, received, lost, gap, recent} = here;
  return {here: {sent, received, lost, gap, recent}, there}; })()"""

LOG = "rtcpeer.view.log"

UFRAGS = """["local", "remote"].map(side => /a=ice-ufrag:(\\S+)/.exec(
  rtcpeer.call.pc[side + "Description"].sdp)[1]).join()"""


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Site, str]]:
    """The page in this process, so that a test can look at the bots too."""
    site = Site()
    runner = web.AppRunner(site.app, shutdown_timeout=3)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield site, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def dial(page: Page) -> None:
    await page.wait_for("!document.getElementById('call').disabled")
    await page.click("#call-big")
    await page.wait_for(CONNECTED, what="connected on both sides")
    await page.wait_for("rtcpeer.bot.numbers?.received > 0 && rtcpeer.call.numbers.received > 0")


async def bot_frames(site: Site, count: int) -> Any:
    """The only bot's counters, once it has decoded so many pictures and sound frames."""
    (bot,) = site.bots
    seen = bot.eyes.seen
    start_video, start_audio = seen.video_frames, seen.audio_frames
    await until(lambda: seen.video_frames >= start_video + count)
    await until(lambda: seen.audio_frames >= start_audio + count)
    return seen


async def expect_media(site: Site, page: Page) -> None:
    """Moving pictures and sound both ways, from now on."""
    before = await page.evaluate(PIXELS)
    await page.wait_for(f"{SHOWN} > {before['frames']} + 10", what="the bot's picture goes on")
    after = await page.evaluate(PIXELS)
    assert after["mean"] > 40, "the bot's picture is black"
    assert after["spread"] > 20, "the bot's picture is blank"
    assert after["sum"] != before["sum"], "the bot's picture does not move"
    seen = await bot_frames(site, 10)
    # the fake camera begins with black pictures
    await until(lambda: seen.luma > 20)
    # 640 x 360, or less where the browser finds the machine too busy for it
    assert 160 <= seen.width <= 640
    assert seen.width / seen.height == pytest.approx(16 / 9, abs=0.1)
    await page.wait_for("rtcpeer.view.audio.audioLevel > 0.01", what="the tone is heard")


# for how long at worst the page stood still, in ms: how late its timer was
STILL = """(() => {
  globalThis.stood = 0;
  let last = performance.now();
  globalThis.standing = setInterval(() => {
    const now = performance.now();
    stood = Math.max(stood, now - last - 50);
    last = now;
  }, 50);
})()"""


@contextlib.asynccontextmanager
async def standing(page: Page) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """For how many ms at worst the page and this program stood still since now: silence that is not the path's."""
    here = 0.0

    async def count() -> None:
        nonlocal here
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.05)
            here = max(here, (time.perf_counter() - started - 0.05) * 1000)

    async def told() -> float:
        return here + float(await page.evaluate("stood"))

    await page.evaluate(STILL)
    counting = asyncio.create_task(count())
    try:
        yield told
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
        await page.evaluate("clearInterval(standing)")


async def expect_no_loss(page: Page, *, gap_ms: float | None = None) -> None:
    """Every number arrived so far, both ways; and more arrive."""
    before = await page.evaluate(NUMBERS)
    await page.wait_for(
        f"rtcpeer.call.numbers.received > {before['here']['received']} + 20"
        f" && rtcpeer.bot.numbers.received > {before['there']['received']} + 20"
    )
    now = await page.evaluate(NUMBERS)
    assert (now["here"]["lost"], now["there"]["lost"], now["there"]["misplaced"]) == (0, 0, 0)
    if gap_ms is not None:
        assert now["here"]["recent"] < gap_ms
        assert now["there"]["recent"] * 1000 < gap_ms


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_a_call_with_opus_and(codec: str) -> None:
    async with serving() as (site, url), Chromium() as browser:
        page = await browser.page(f"{url}?codec={codec}")
        await dial(page)
        await expect_media(site, page)
        await expect_no_loss(page)
        await page.wait_for("rtcpeer.view.sending?.codec")
        view = await page.evaluate("rtcpeer.view")
        assert view["video"]["codec"] == view["sending"]["codec"] == f"video/{codec}"
        assert view["audio"]["codec"] == "audio/opus"
        assert page.errors == []
        wrong = [entry for entry in view["log"] if entry["wrong"]]
        assert wrong == []


async def test_the_whole_session_on_the_page() -> None:
    """Servers replaced, ICE restarted from each side, outage, recreated; screenshots on the way."""
    async with serving() as (site, url), Chromium() as browser:
        page = await browser.page()
        await page.viewport(1360, 900)
        await page.goto(url)
        await page.wait_for("!document.getElementById('call').disabled")
        await page.screenshot("serve_idle.png")
        await dial(page)
        await expect_media(site, page)
        for button in ("#restart-browser", "#restart-bot"):
            await restart_with_new_servers(site, page, button)
        await asyncio.sleep(2)
        await page.screenshot("serve_call.png", full=True)
        await outage(site, page)
        await page.viewport(1360, 900, dark=True)
        await page.evaluate("new Promise(r => setTimeout(r, 700))")
        await page.screenshot("serve_after_outage_dark.png", full=True)
        await recreate(site, page)
        await page.viewport(390, 844)
        await page.evaluate("new Promise(r => setTimeout(r, 700))")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.screenshot("serve_narrow.png", full=True)
        await page.click("#call")
        await page.wait_for("rtcpeer.call === null")
        await no_bots(site)
        assert page.errors == []


async def restart_with_new_servers(site: Site, page: Page, button: str) -> None:
    (bot,) = site.bots
    before, urls = await page.evaluate(UFRAGS), bot.configuration["iceServers"]
    logged = await page.evaluate("rtcpeer.view.log.length")
    await page.click("#replace")
    await page.wait_for(f"{LOG}.slice({logged}).some(e => e.who === 'bot' && e.what === 'servers')")
    configured = await page.evaluate("rtcpeer.call.pc.getConfiguration().iceServers.map(s => s.urls).flat()")
    assert configured == [url for server in bot.configuration["iceServers"] for url in server["urls"]]
    assert bot.configuration["iceServers"] != urls
    old = before.split(",")
    async with standing(page) as still:
        await page.click(button)  # from here on the page and the bot count the longest silence anew
        await page.wait_for(
            f"(({UFRAGS}).split(',').every(u => !{old}.includes(u)))"
            " && rtcpeer.call.pc.signalingState === 'stable'"
            " && /completed|connected/.test(rtcpeer.call.pc.iceConnectionState)"
        )
        await page.wait_for(f"{LOG}.slice({logged}).some(e => /switched off/.test(e.detail))")
        # nobody waited for a path that was given up, which takes five seconds; less is for the scenarios in
        # virtual time
        await expect_no_loss(page, gap_ms=3000 + await still())
    await expect_media(site, page)
    states = await page.evaluate(f"{LOG}.slice({logged}).map(e => e.what + ' ' + e.detail)")
    assert not [s for s in states if re.search("connection (connecting|disconnected|failed|closed)", s)]


# what the page says while the bot's network is away: how often, and for how long at most it was good news
WATCH = """(() => {
  globalThis.said = [];
  globalThis.watching = setInterval(() => said.push([performance.now(), rtcpeer.view.headline,
    document.getElementById("pair-rtt").textContent]), 100);
})()"""


async def outage(site: Site, page: Page) -> None:
    """Neither the headline nor the path is good news for longer than it takes to notice."""
    logged = await page.evaluate("rtcpeer.view.log.length")
    await page.evaluate(WATCH)
    await page.click("#outage")
    await page.wait_for(f"{LOG}.slice({logged}).some(e => e.what === 'outage' && /is over/.test(e.detail))")
    begins, ends = await page.evaluate(
        f"['begins', 'is over'].map(w => {LOG}.slice({logged})"
        ".find(e => e.what === 'outage' && e.detail.startsWith(w)).time)"
    )
    said = [entry for entry in await page.evaluate("said") if begins + 2500 < entry[0] < ends - 100]
    # fifty on a quiet machine; a busy one runs the page's timer a few times in those seconds
    assert len(said) >= 3
    assert {entry[1]["tone"] for entry in said} == {"bad"}, said
    assert not [entry[2] for entry in said if entry[2].endswith("ms")]
    await page.evaluate("clearInterval(watching)")
    for who in ("browser", "bot"):
        await page.wait_for(
            f"{LOG}.slice({logged}).some(e => e.who === '{who}' && e.detail === 'disconnected')",
            what=f"{who} notices",
        )
    await page.wait_for("!rtcpeer.call.pc.connectionState.includes('dis')")
    await page.wait_for(CONNECTED, what="connected again by itself")
    await expect_no_loss(page)
    await expect_media(site, page)


async def recreate(site: Site, page: Page) -> None:
    (old,) = site.bots
    before = await page.evaluate("rtcpeer.call.id")
    await page.click("#recreate")
    await page.wait_for(f"rtcpeer.call?.id > {before}")
    await page.wait_for(CONNECTED, what="connected anew")
    await until(lambda: old.pc.connectionState == "closed" and len(site.bots) == 1)
    assert old not in site.bots
    await expect_media(site, page)
    await expect_no_loss(page)


async def no_bots(site: Site) -> None:
    await until(lambda: not site.bots)


async def test_through_the_relay_and_to_its_successor() -> None:
    """With "relay only" the selected pair must move from the first server to the second; nothing is lost."""
    async with serving() as (site, url), Chromium() as browser:
        page = await browser.page(f"{url}?path=relay")
        await dial(page)
        await page.wait_for("rtcpeer.view.pair?.relayed")
        await expect_media(site, page)
        first = await page.evaluate("rtcpeer.view.pair")
        assert first["local"].startswith("relay ")
        await restart_with_new_servers(site, page, "#restart-bot")
        await page.wait_for(f"rtcpeer.view.pair.local !== {first['local']!r}")
        second = await page.evaluate("rtcpeer.view.pair")
        assert second["local"].startswith("relay ")
        assert page.errors == []


async def test_two_browsers_a_reload_and_an_end_without_goodbye() -> None:
    async with serving() as (site, url), Chromium() as browser:
        first, second = await browser.page(url), await browser.page(url)
        await dial(first)
        await dial(second)
        assert len(site.bots) == 2
        await expect_no_loss(first)
        await expect_no_loss(second)
        await first.goto(url)  # a reload ends the first call and leaves the second alone
        await until(lambda: len(site.bots) == 1)
        await expect_no_loss(second)
        await dial(first)
        assert len(site.bots) == 2
        await second.close()
        await until(lambda: len(site.bots) == 1)
        await expect_media(site, first)
        assert first.errors == second.errors == []


async def test_a_page_without_camera_still_calls() -> None:
    async with serving() as (site, url), Chromium() as browser:
        page = await browser.page()
        await page.command(
            "Page.addScriptToEvaluateOnNewDocument",
            source="navigator.mediaDevices.getUserMedia = async () => { throw new Error('no camera') }",
        )
        await page.goto(url)
        await dial(page)
        before = await page.evaluate(PIXELS)
        await page.wait_for(f"{SHOWN} > {before['frames']} + 10")
        await page.wait_for("rtcpeer.view.audio.audioLevel > 0.01", what="the bot adds its tone by itself")
        (bot,) = site.bots
        await until(lambda: bot.eyes.seen.video_frames >= 10)
        await until(lambda: bot.eyes.seen.luma > 20)
        assert page.errors == []


@contextlib.asynccontextmanager
async def command() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`rtcpeer serve` in a process of its own, and the URL that it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "rtcpeer", "serve", "--port", "0", "--no-browser",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        found = re.search(r"http://\S+", line)
        assert found, line
        yield process, found.group()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


ENDED = f"{LOG}.find(entry => entry.what === 'call ended')"


async def test_the_command_itself_serves_and_the_page_notices_its_end() -> None:
    """At a signal the bot takes its leave; a killed one says nothing, and the page finds out by itself."""
    async with Chromium() as browser:
        for number, who in ((signal.SIGINT, "bot"), (signal.SIGKILL, "browser")):
            async with command() as (process, url):
                page = await browser.page(url)
                await dial(page)
                await expect_no_loss(page)
                process.send_signal(number)
                out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
                if number == signal.SIGKILL:
                    await page.wait_for("rtcpeer.view.headline.text.startsWith('neither')", what="it shows")
                else:
                    assert (process.returncode, err.decode()) == (0, "")
                    assert "closing" in out.decode()
                await page.wait_for("rtcpeer.call === null", what=f"the page notices {number.name}")
                assert await page.evaluate(f"{ENDED}.who") == who
                assert page.errors == []
                await page.close()


async def test_only_its_own_page_may_talk_to_it() -> None:
    async with serving() as (_, url), aiohttp.ClientSession() as client:
        async with client.get(url) as answer:
            assert answer.status == 200
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", await answer.text())
        async with client.get(f"{url}rooms", headers={"Origin": "http://elsewhere.example"}) as answer:
            assert answer.status == 403
        async with client.get(url, headers={"Host": "rebound.example"}) as answer:
            assert answer.status == 403
        for name in ("none.html", "%2e%2e%2fmain.py", "main.py"):
            async with client.get(f"{url}{name}") as answer:
                assert answer.status == 404
