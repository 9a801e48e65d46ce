"""Supervised peers on real sockets whose only path runs over coturn: credentials rotate, coturn is killed.

Runs on the wall clock, for about a minute.
"""

import asyncio
import time

import pytest

from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.config.rest import rest_ice_server
from rtcpeer.net.current import current_network
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.testing import no_leaks
from tests.interop import coturn
from tests.interop.chromium import until
from tests.interop.coturn import Coturn

REASON = coturn.why_not()

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


class Here:
    """This machine, as `Coturn` wants it."""

    @property
    def ipv4(self):
        found = [i.address for i in current_network.get().interfaces() if ":" not in i.address]
        return next((a for a in found if not a.startswith("127.")), "127.0.0.1")

    def command(self, *command):
        return list(map(str, command))


class Call:
    """Alice sends numbered messages to Bob over the relay."""

    def __init__(self, provider):
        here, there = memory_pair(delay=0.02)
        options = {"provider": provider, "iceTransportPolicy": "relay"}
        self.alice = SupervisedPeer(here, polite=True, **options)
        self.bob = SupervisedPeer(there, polite=False, **options)
        self.bob.on("datachannel", lambda e: e.channel.on("message", self.note))
        self.sent = 0
        self.received = []
        self.lost = []
        self.longest_gap = 0.0
        self.last = 0.0

    def note(self, event):
        now = time.monotonic()
        if self.received:
            self.longest_gap = max(self.longest_gap, now - self.last)
        self.last = now
        self.received.append(int(event.data))

    def states(self):
        return [f"{e.state}:{e.reason}" for e in self.alice.history + self.bob.history]

    async def __aenter__(self):
        await self.alice.start()
        await self.bob.start()
        self.chat = self.alice.createDataChannel("chat")
        self.chat.on("messageslost", lambda e: self.lost.extend(map(int, e.messages)))
        await asyncio.gather(self.alice.connected(60), self.bob.connected(60))
        self.task = asyncio.create_task(self.send())
        return self

    async def send(self):
        while True:
            self.chat.send(str(self.sent))
            self.sent += 1
            await asyncio.sleep(0.02)

    async def stop(self):
        self.task.cancel()
        await until(lambda: self.received[-1:] == [self.sent - 1])
        await asyncio.sleep(0.5)  # nothing comes twice

    async def __aexit__(self, *_):
        self.task.cancel()
        await self.alice.close()
        await self.bob.close()


def provider_for(turn, ttl):
    def fetch():
        return IceServerGrant((rest_ice_server(turn.url(), turn.secret, user="bot", ttl=ttl),), ttl)

    return IceServerProvider(fetch)


async def test_ten_rotations_and_nothing_is_lost():
    async with (
        no_leaks(),
        Coturn(Here(), secret="north", ports=(3491, 3492)) as turn,
        provider_for(turn, 4) as provider,
        Call(provider) as call,
    ):
        async with asyncio.timeout(150):
            while call.states().count("resuming:credentials") < 20:
                await asyncio.sleep(0.5)
                assert call.alice.state in ("connected", "resuming"), call.alice
        await call.stop()
        assert call.received == list(range(call.sent))
        assert call.longest_gap < 3  # nobody waited for a dead path, which takes five seconds
        assert call.alice.generation == call.bob.generation == 1
        assert not [s for s in call.states() if s.startswith(("disconnected", "recreating"))]


async def test_coturn_is_killed_and_comes_back():
    async with (
        no_leaks(),
        Coturn(Here(), secret="north", ports=(3493, 3494)) as turn,
        provider_for(turn, 3600) as provider,
        Call(provider) as call,
    ):
        await asyncio.sleep(1)
        turn.kill()
        await until(lambda: "connected" not in (call.alice.state, call.bob.state))
        await asyncio.sleep(3)  # the first attempts fail
        assert call.alice.state != "connected"
        await turn.start()
        await asyncio.gather(call.alice.connected(90), call.bob.connected(90))
        await asyncio.sleep(1)
        await call.stop()
        missing = set(range(call.sent)) - set(call.received)
        assert missing <= set(call.lost)
        assert call.received == sorted(set(call.received))
