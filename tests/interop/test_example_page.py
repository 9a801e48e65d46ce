"""The example of a page and its bot, in Chromium."""

from __future__ import annotations

import asyncio

import pytest

from rtcpeer.testing import no_leaks
from tests.interop.chromium import Chromium
from tests.unit.calls.bots import example, stop

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

BRIGHT = """(() => {
  const canvas = new OffscreenCanvas(16, 12), g = canvas.getContext("2d");
  if (!view.videoWidth) return false;
  g.drawImage(view, 0, 0, 16, 12);
  return g.getImageData(0, 0, 16, 12).data.reduce((sum, value) => sum + value, 0) / (16 * 12) > 300;  // with alpha
})()"""


async def test_the_page_sees_itself_through_the_bot(
    unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with no_leaks(grace=3), Chromium() as browser:
        bot = asyncio.ensure_future(example("page").bot(unused_tcp_port))
        await asyncio.sleep(0.5)
        page = await browser.page(capsys.readouterr().out.split()[-1])
        await page.wait_for("view.srcObject?.getTracks().length === 2")
        await page.wait_for(BRIGHT)
        assert page.errors == []
        await page.close()
        await stop(bot)
