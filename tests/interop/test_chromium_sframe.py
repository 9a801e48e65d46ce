"""End-to-end encryption with a page: SFrame here by `SFrameTransform`, there by WebCrypto in a worker."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rtcpeer import SFrameTransform
from rtcpeer.testing import synthetic_track
from tests.interop import browser_call
from tests.interop.browser_call import Call
from tests.interop.chromium import Chromium, blank_site, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

WORKER = (Path(__file__).parent / "sframe_worker.js").read_text(encoding="utf-8")
OURS, THEIRS = (b"our secret", 7), (b"the secret of the page", 400)
SUITE = "AES_128_GCM_SHA256_128"

PAGE = """
var counts = {}, kept = [];
function transform(key, keyId, encrypts, name) {
  const url = URL.createObjectURL(new Blob([WORKER], {type: "text/javascript"}));
  const {port1, port2} = new MessageChannel();
  port1.onmessage = ({data}) => { counts[name] = data; };
  const worker = new Worker(url);
  worker.onerror = ({message}) => { throw Error(message); };
  kept.push(worker, port1);
  return new RTCRtpScriptTransform(worker, {key, keyId, encrypts, port: port2}, [port2]);
}
async function encrypted(ours, theirs) {
  const shown = pc.ontrack;
  pc.ontrack = event => {
    shown(event);
    if (event.track.kind === "audio") {
      // sound that nobody hears is not taken off the network
      const audio = new Audio();
      audio.autoplay = true;
      audio.srcObject = new MediaStream([event.track]);
    }
  };
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  for (const track of stream.getTracks())
    pc.addTrack(track, stream).transform = transform(...theirs, true, "sealed " + track.kind);
  for (const {receiver} of pc.getTransceivers())
    receiver.transform = transform(...ours, false, "opened " + receiver.track.kind);
}
"""


async def cipher(key: bytes, key_id: int) -> SFrameTransform:
    transform = SFrameTransform(cipherSuite=SUITE, clearHeaders=True)
    await transform.setEncryptionKey(key, key_id)
    return transform


@contextlib.asynccontextmanager
async def encrypted(*, there: bytes = OURS[0]) -> AsyncIterator[tuple[Call, list[Any]]]:
    """A call with sound and pictures, encrypted both ways; the page opens ours with the key `there`."""
    errors: list[Any] = []
    tracks = [
        synthetic_track("audio"),
        synthetic_track("video", {"width": 320, "height": 240, "frameRate": 15}),
    ]
    async with blank_site() as url, Chromium() as browser:
        page = await browser.page(url)
        async with browser_call.calling(page) as call:
            if not await page.evaluate("'RTCRtpScriptTransform' in self"):
                pytest.skip("this Chromium has no RTCRtpScriptTransform")
            await page.evaluate(PAGE.replace("WORKER", json.dumps(WORKER)))
            ours, theirs = ([list(key), key_id] for key, key_id in ((there, OURS[1]), THEIRS))
            await page.evaluate(f"encrypted({json.dumps(ours)}, {json.dumps(theirs)})")
            for track in tracks:
                call.pc.addTrack(track).transform = await cipher(*OURS)
            for transceiver in call.pc.getTransceivers():
                transceiver.receiver.transform = opening = await cipher(*THEIRS)
                opening.onerror = lambda event: errors.append(event.errorType)
                if transceiver.receiver.track.kind == "video":
                    vp8 = ("video/VP8", "video/rtx")
                    codecs = transceiver.receiver.getCapabilities("video").codecs
                    transceiver.setCodecPreferences([c for c in codecs if c.mimeType in vp8])
            await call.up()
            yield call, errors
    for track in tracks:
        track.stop()


async def test_sound_and_pictures_pass_both_ways() -> None:
    async with encrypted() as (call, errors):
        page, seen = call.page, call.eyes.seen
        # what the page shows is our picture, and what we decode is that of its camera
        await page.wait_for("videos[0]?.getVideoPlaybackQuality().totalVideoFrames > 20")
        assert (await page.evaluate("pixels(0)"))["mean"] > 20
        await until(lambda: seen.video_frames > 20 and seen.luma > 20 and seen.audio_frames > 20)
        await page.wait_for("counts['opened audio']?.passed > 20 && counts['opened video']?.passed > 20")
        counts = await page.evaluate("counts")
        assert {name: count["failed"] for name, count in counts.items()} == dict.fromkeys(
            ("opened audio", "opened video", "sealed audio", "sealed video"), 0
        )
        assert errors == []


async def test_another_key_opens_nothing() -> None:
    async with encrypted(there=b"not our secret") as (call, errors):
        await call.page.wait_for("counts['opened audio']?.failed > 20 && counts['opened video']?.failed > 5")
        counts = await call.page.evaluate("counts")
        assert counts["opened audio"]["passed"] == counts["opened video"]["passed"] == 0
        assert await call.page.evaluate("decoded()") == 0
        assert errors == []
