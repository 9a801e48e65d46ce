"""Two supervised peers on fake connections, with a network and a signaling path that can be broken."""

import asyncio
import random
from typing import Any, Self

from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import TRANSITIONS, DefaultPolicy, PeerState, PolicySettings
from tests.unit.signaling.fakes import FakePC, World


class Duo:
    def __init__(
        self,
        settings: PolicySettings | None = None,
        *,
        path: dict[str, Any] | None = None,
        seed: int = 1,
        **options: Any,
    ) -> None:
        self.world = World()
        self.signaling = memory_pair(**({"delay": 0.02} | (path or {})))
        self.made: dict[str, list[FakePC]] = {"a": [], "b": []}
        self.settings = settings
        self.options = options
        self.random = random.Random(seed)
        self.a = self.peer("a", polite=True)
        self.b = self.peer("b", polite=False)

    def peer(self, name: str, *, polite: bool, **options: Any) -> SupervisedPeer:
        def make(configuration: Any) -> FakePC:
            pc = FakePC(self.world, configuration)
            self.made[name].append(pc)
            return pc

        return SupervisedPeer(
            self.signaling[0 if polite else 1],
            polite=polite,
            policy=DefaultPolicy(self.settings),
            make_connection=make,
            random_source=random.Random(self.random.random()),
            **(self.options | options),
        )

    async def __aenter__(self) -> Self:
        await self.a.start()
        await self.b.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.a.close()
        await self.b.close()
        for peer in (self.a, self.b):
            assert peer.state == PeerState.CLOSED
            for event in peer.history:
                assert event.state in TRANSITIONS[event.previous], event
        for pc in self.world.made:
            assert pc.signalingState == "closed", pc.number

    def states(self, name: str = "a") -> list[str]:
        peer = self.a if name == "a" else self.b
        return [f"{event.state}:{event.reason}" for event in peer.history]

    async def connect(self) -> None:
        self.a.createDataChannel("chat")
        async with asyncio.timeout(20):
            await self.a.connected()
            await self.b.connected()
