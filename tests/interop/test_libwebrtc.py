"""Against libwebrtc M106 under Node: the npm package @roamhq/wrtc (`make npm` fetches it)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.chromium import until
from tests.interop.node import environment
from tests.interop.stacks import Scenarios

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ENVIRONMENT = environment("@roamhq/wrtc")


class TestLibwebrtc(Scenarios):
    command = ("node", str(Path(__file__).parent / "wrtc_peer.js"))
    env = ENVIRONMENT
    codecs = ("audio/opus", "video/VP8")

    async def test_layers(self) -> None:
        """It sends two layers by rid, and one of them is shown."""
        async with self.call() as call:
            await call.peer.do("media", kind="video", simulcast=True)
            _, answer = await call.be_offered()
            assert "a=simulcast:recv low;high" in answer
            await call.up()
            await until(lambda: call.eyes.seen.video_frames > 11 and call.eyes.seen.luma > 40, 20)
            assert call.eyes.seen.width in (160, 320)
