"""An hour of random outages on virtual time."""

import asyncio
import random

from rtcpeer.supervisor.policy import PolicySettings
from rtcpeer.testing import VirtualNetwork
from tests.scenarios.bots import Bots, now


async def test_random_outages_for_an_hour(virtual_network: VirtualNetwork) -> None:
    """Whenever network and signaling are up for 15 s, the logical peer is connected; what is lost is told."""
    settings = PolicySettings(max_recreates=None, give_up_after=None)
    path = {"delay": 0.02, "jitter": 0.05, "loss": 0.05, "repeat": 0.05}
    async with Bots(virtual_network, settings=settings, path=path) as bots:
        source = random.Random(23)
        bots.send_every(1.0)
        start = now()
        while now() - start < 3600:
            await asyncio.sleep(source.uniform(0, 30))
            what = source.randrange(4)
            victim = bots.hosts[source.choice(["alice", "bob"])]
            if what == 0:
                victim.change_address()
            if what in (0, 1, 2):
                victim.link.set(down=True)
            bots.signaling.is_up = what < 2
            await asyncio.sleep(source.expovariate(1 / 30))
            victim.link.set(down=False)
            bots.signaling.is_up = True
            await asyncio.sleep(15)
            assert bots.alice.state == bots.bob.state == "connected", (now() - start, bots.alice, bots.bob)
            assert bots.chat.readyState == "open"
        await bots.stop()
        told = {int(message) for event in bots.lost for message in event.messages}
        assert set(range(bots.sent)) - set(bots.received) <= told
        assert len(bots.received) == len(set(bots.received))
