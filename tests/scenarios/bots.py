"""Two supervised peers on a virtual network, one of which sends numbered messages to the other."""

import asyncio
import random
from typing import Any, Self

from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import DefaultPolicy, PolicySettings
from rtcpeer.testing import VirtualNetwork


def now() -> float:
    return asyncio.get_running_loop().time()


class Bots:
    """Alice (polite) sends numbered messages to Bob (impolite), who notes them."""

    def __init__(
        self,
        network: VirtualNetwork,
        *,
        settings: PolicySettings | None = None,
        path: Any = None,
        **options: Any,
    ) -> None:
        self.network = network
        self.hosts = {name: network.add_host(name) for name in ("alice", "bob")}
        self.signaling = memory_pair(**({"delay": 0.02} | (path or {})))
        self.settings = settings
        self.options = options
        self.alice = self.bot("alice", polite=True)
        self.bob = self.bot("bob", polite=False)
        self.bob.ondatachannel = lambda e: setattr(e.channel, "onmessage", self._note)
        self.sent = 0
        self.received: list[int] = []
        self.lost: list[Any] = []
        self.longest_gap = 0.0
        self._last = 0.0
        self._sending: asyncio.Task[None] | None = None

    def bot(self, name: str, *, polite: bool) -> SupervisedPeer:
        def make(configuration: Any) -> RTCPeerConnection:
            with self.hosts[name].active():
                return RTCPeerConnection(configuration)

        return SupervisedPeer(
            self.signaling[0 if polite else 1],
            polite=polite,
            policy=DefaultPolicy(self.settings),
            make_connection=make,
            random_source=random.Random(7),
            **self.options,
        )

    def _note(self, event: Any) -> None:
        self.received.append(int(event.data))
        self.longest_gap = max(self.longest_gap, now() - self._last)
        self._last = now()

    async def __aenter__(self) -> Self:
        await self.alice.start()
        await self.bob.start()
        self.chat = self.alice.createDataChannel("chat")
        self.chat.onmessageslost = self.lost.append
        await self.alice.connected(10)
        await self.bob.connected(10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self.alice.close()
        await self.bob.close()

    def send_every(self, interval: float) -> None:
        async def send() -> None:
            while True:
                self.chat.send(str(self.sent))
                self.sent += 1
                await asyncio.sleep(interval)

        self._last = now()
        self._sending = asyncio.get_running_loop().create_task(send())

    async def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
            await asyncio.sleep(0.5)

    def states(self, bot: SupervisedPeer) -> list[str]:
        return [f"{event.state}:{event.reason}" for event in bot.history]
