"""The page of a call in Chromium, and a dump of Chromium's own beside ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rtcpeer.cli.main import main
from rtcpeer.testing import PeerPair
from rtcpeer.trace import Tracer
from tests.interop.chromium import Chromium, blank_site

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

CALL = """(async () => {
  const a = window.a = new RTCPeerConnection(), b = window.b = new RTCPeerConnection();
  a.onicecandidate = e => b.addIceCandidate(e.candidate);
  b.onicecandidate = e => a.addIceCandidate(e.candidate);
  const channel = a.createDataChannel("x");
  await a.setLocalDescription(); await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription(); await a.setRemoteDescription(b.localDescription);
  await new Promise(r => { channel.onopen = r; });
  channel.send("hello");
})()"""
# a canvas on which something was drawn
INKED = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((part, i) => i % 4 === 3 && part)"
DUMP = """(async () => {
  const made = new Promise(r => { URL.createObjectURL = blob => { r(blob); return "data:,"; }; });
  const button = [...document.querySelectorAll("button")].find(b => /dump|download/i.test(b.textContent));
  if (!button) throw new Error("no button: " + document.body.innerText.slice(0, 500));
  button.click();
  const blob = await made;
  const bytes = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const stream = packed ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob.stream();
  return await new Response(stream).text();
})()"""


async def traced_call() -> dict[str, Any]:
    async with PeerPair() as pair:
        async with Tracer(pair.offerer, interval=0.2) as tracer:
            pair.offerer.createDataChannel("x")
            await pair.connect()
            await asyncio.sleep(1)
        return tracer.dump()


async def test_the_page_opens_without_an_error_or_a_request(tmp_path: Any) -> None:
    (tmp_path / "call.json").write_text(json.dumps(await traced_call()))
    assert main(["report", str(tmp_path / "call.json"), "-o", str(tmp_path / "call.html")]) == 0
    async with Chromium() as browser:
        page = await browser.page((tmp_path / "call.html").as_uri())
        seen = {}
        for dark in (False, True):
            await page.viewport(1000, 800, dark=dark)
            seen[dark] = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert seen[False] != seen[True]
        assert await page.evaluate("performance.getEntriesByType('resource').length") == 0
        drawn = await page.evaluate(f"[...document.querySelectorAll('canvas')].filter({INKED}).length")
        assert drawn >= 3
        assert page.errors == []


async def test_our_dump_has_keys_and_types_of_chromiums() -> None:
    ours = await traced_call()
    async with blank_site() as url, Chromium() as browser:
        internals = await browser.page("chrome://webrtc-internals")
        page = await browser.page(url)
        await page.evaluate(CALL, timeout=60)
        await asyncio.sleep(3)
        theirs = json.loads(await internals.evaluate(DUMP, timeout=60))
    assert ours.keys() <= theirs.keys()
    mine = next(iter(ours["PeerConnections"].values()))
    other = next(iter(theirs["PeerConnections"].values()))
    assert forms(mine).items() <= forms(other).items()


def forms(entry: dict[str, Any]) -> dict[str, str]:
    return {key: type(value).__name__ for key, value in entry.items()}
