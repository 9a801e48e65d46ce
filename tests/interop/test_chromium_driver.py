"""The driver itself: two connections inside one page, so that a failure elsewhere is not the driver's."""

from __future__ import annotations

import pytest

from tests.interop.chromium import Chromium, PageError, blank_site

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

LOOPBACK = """(async () => {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
  const a = new RTCPeerConnection(), b = new RTCPeerConnection();
  a.onicecandidate = e => b.addIceCandidate(e.candidate);
  b.onicecandidate = e => a.addIceCandidate(e.candidate);
  stream.getTracks().forEach(t => a.addTrack(t, stream));
  const video = document.createElement("video");
  video.autoplay = video.muted = video.playsInline = true;
  document.body.append(video);
  b.ontrack = e => { video.srcObject = e.streams[0]; };
  await a.setLocalDescription(); await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription(); await a.setRemoteDescription(b.localDescription);
  for (let i = 0; i < 15; i++) await new Promise(r => video.requestVideoFrameCallback(r));
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 48;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 64, 48);
  const pixels = context.getImageData(0, 0, 64, 48).data;
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 4) sum += (pixels[i] + pixels[i + 1] + pixels[i + 2]) / 3;
  a.close(); b.close();
  return {mean: sum / (64 * 48), frames: video.getVideoPlaybackQuality().totalVideoFrames,
    codecs: RTCRtpSender.getCapabilities("video").codecs.map(c => c.mimeType)};
})()"""


async def test_a_call_inside_one_page_shows_a_picture_that_is_not_black() -> None:
    async with blank_site() as url, Chromium() as browser:
        page = await browser.page(url)
        result = await page.evaluate(LOOPBACK, timeout=120)
        assert result["mean"] > 10
        assert {"video/VP8", "video/H264"} <= set(result["codecs"])
        assert page.errors == []


async def test_an_exception_in_the_page_is_told() -> None:
    async with blank_site() as url, Chromium() as browser:
        page = await browser.page(url)
        with pytest.raises(PageError, match="of the page"):
            await page.evaluate("Promise.reject(new Error('of the page'))")
        await page.evaluate("setTimeout(() => { throw new Error('later') }, 0)")
        await page.evaluate("new Promise(r => setTimeout(r, 50))")
        assert len(page.errors) == 1
        assert "later" in page.errors[0]
