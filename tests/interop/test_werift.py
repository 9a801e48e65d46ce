"""Against werift, WebRTC in TypeScript (npm; `make npm` fetches it).

Its peer encodes nothing: it gives back the packets it receives, so what we see is what we sent.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.chromium import until
from tests.interop.node import environment
from tests.interop.stacks import Scenarios

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ENVIRONMENT = environment("werift")


class TestWerift(Scenarios):
    command = ("node", str(Path(__file__).parent / "werift_peer.js"))
    env = ENVIRONMENT
    largest = 65_535
    empty_messages = False  # an empty ordered one of werift 0.24 never leaves it, nor does anything after it

    async def test_their_close_is_seen(self) -> None:
        """werift 0.24 leaves without a word (its own "todo"): what is seen is silence."""
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.offer()
            await call.up()
            await channel.opened(20)
            await call.peer.do("close")
            await until(lambda: call.states[-1] == "disconnected", 20)
