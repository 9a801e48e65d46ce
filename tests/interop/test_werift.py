"""Against werift, WebRTC in TypeScript (npm; `make npm` fetches it).

Its peer encodes nothing: it gives back the packets it receives, so what we see is what we sent.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.interop.chromium import until
from tests.interop.node import environment
from tests.interop.stacks import Scenarios

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ENVIRONMENT = environment("werift")
# About every fifth restart that werift offers goes wrong where its ufrag of before is not understood.
RESTARTS = int(os.environ.get("RTCPEER_RESTARTS", "8"))


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

    @pytest.mark.timeout(600)
    async def test_its_restarts_in_a_row(self) -> None:
        """Each one moves the path: after a restart werift may name the ufrag that it had before in its checks."""
        async with self.call() as call:
            channel = call.pc.createDataChannel("echo")
            await call.offer()
            await call.up()
            await channel.opened(20)
            messages = channel.messages()
            ice = call.pc.sctp.transport.iceTransport
            for number in range(RESTARTS):
                await call.be_offered(restart=True)
                fresh = ice.getLocalParameters().usernameFragment
                await until(lambda fresh=fresh: moved(ice, fresh), 20)
                channel.send(str(number))
                assert await asyncio.wait_for(anext(messages), 20) == str(number)
            assert call.states == ["connecting", "connected"]


def moved(ice, ufrag: str) -> bool:
    """Whether data flow between candidates of these credentials."""
    pair = ice.getSelectedCandidatePair()
    return pair is not None and pair.local.usernameFragment == ufrag
