"""A bottleneck between our end and Chromium's, which both send video that could be much more."""

from __future__ import annotations

import asyncio
import random
from fractions import Fraction
from typing import Any

import av
import pytest

from rtcpeer import MediaStreamTrack
from tests.interop import browser_call
from tests.interop.bottleneck import BottleneckNetwork, Direction
from tests.interop.chromium import Chromium, blank_site

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

WIDTH, HEIGHT, FRAME_RATE = 320, 240, 20
# Lines of noise, which cost what there is: some 100 kbit/s at the worst quality, some Mbit/s at the best.
NOISE_LINES = 40
# Chromium sends no more than 600 kbit/s of pictures of this size
HIGH, LOW = 500_000, 250_000

# the same from the page: a canvas of which some lines are noise
PAINT = """(async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  const noise = context.createImageData(WIDTH, 3 * LINES);
  for (let i = 0; i < noise.data.length; i += 4) {
    noise.data[i] = noise.data[i + 1] = noise.data[i + 2] = 96 + Math.random() * 64;
    noise.data[i + 3] = 255;
  }
  window.painting = setInterval(
    () => context.putImageData(noise, 0, -2 * LINES + Math.floor(Math.random() * LINES)), 1000 / RATE);
  const [track] = canvas.captureStream(RATE).getVideoTracks();
  const transceiver = pc.addTransceiver(track, {direction: "sendrecv"});
  const {codecs} = RTCRtpReceiver.getCapabilities("video");
  transceiver.setCodecPreferences(codecs.filter(c => ["video/VP8", "video/rtx"].includes(c.mimeType)));
})()"""


class Noise(MediaStreamTrack):
    """Pictures of which some lines are noise."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        choice = random.Random(1)
        self._noise = bytes([96 + value % 64 for value in choice.randbytes(3 * NOISE_LINES * WIDTH)])
        self._choice, self._number, self._due = choice, 0, 0.0

    async def recv(self) -> Any:
        """The next picture, when its time has come."""
        loop = asyncio.get_running_loop()
        self._due = max(self._due + 1 / FRAME_RATE, loop.time() - 0.2)
        await asyncio.sleep(max(0.0, self._due - loop.time()))
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        start = self._choice.randrange(2 * NOISE_LINES * WIDTH)
        for index, plane in enumerate(frame.planes):
            picture = bytearray((128,)) * plane.buffer_size
            if index == 0:
                picture[: NOISE_LINES * WIDTH] = self._noise[start : start + NOISE_LINES * WIDTH]
            plane.update(bytes(picture))
        self._number += 1
        frame.pts, frame.time_base = self._number * 90000 // FRAME_RATE, Fraction(1, 90000)
        return frame


class Seen:
    """What passed a direction in a while."""

    def __init__(self, direction: Direction, before: tuple[int, int, int], seconds: float) -> None:
        passed, size, lost = before
        self.rate = 8 * (direction.size - size) / seconds
        self.loss = (direction.lost - lost) / max(1, direction.lost - lost + direction.passed - passed)
        waits = direction.waits[-(direction.passed - passed) :]
        self.wait = sum(waits) / max(1, len(waits))

    def keeps_to(self, rate: float) -> bool:
        """Whether most of it was used, with a short queue and next to no loss."""
        return self.rate > 0.7 * rate and self.loss < 0.03 and self.wait < 0.09

    def __repr__(self) -> str:
        return f"{self.rate / 1000:.0f} kbit/s, {self.loss:.1%} lost, {1000 * self.wait:.0f} ms waited"


async def watched(network: BottleneckNetwork, seconds: float) -> tuple[Seen, Seen]:
    """What passes up and down meanwhile."""
    directions = (network.up, network.down)
    before = [(d.passed, d.size, d.lost) for d in directions]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds)
    took = loop.time() - began
    up, down = (Seen(d, held, took) for d, held in zip(directions, before, strict=True))
    return up, down


async def settled(network: BottleneckNetwork, rate: float, within: float) -> float:
    """Seconds until both ends have kept to a rate for two seconds."""
    network.up.rate = network.down.rate = rate
    loop = asyncio.get_running_loop()
    began, found = loop.time(), []
    while loop.time() - began < within:
        found.append(await watched(network, 2.0))
        if all(seen.keeps_to(rate) for seen in found[-1]):
            return loop.time() - began
    raise AssertionError(f"neither kept to {rate}: {found}")


async def test_both_ends_keep_to_a_bottleneck_whose_width_changes() -> None:
    network = BottleneckNetwork(buffer=0.15)
    network.up.rate = network.down.rate = HIGH
    track = Noise()
    paint = PAINT
    for name, value in (("WIDTH", WIDTH), ("HEIGHT", HEIGHT), ("LINES", NOISE_LINES), ("RATE", FRAME_RATE)):
        paint = paint.replace(name, str(value))
    async with blank_site() as url, Chromium() as browser:
        page = await browser.page(url)
        async with browser_call.calling(page, network=network) as call:
            await page.evaluate(paint)
            await call.up()
            call.pc.addTrack(track)
            await page.wait_for("videos.length > 0")
            took = [await settled(network, rate, 30.0) for rate in (HIGH, LOW, HIGH)]
            print("seconds to", HIGH, LOW, HIGH, [round(each, 1) for each in took])
            # and both are shown
            assert (await page.evaluate("decoded()")) > 20
            assert call.eyes.seen.video_frames > 20
    track.stop()
