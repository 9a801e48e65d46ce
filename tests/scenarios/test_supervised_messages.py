"""Messages of supervised peers when connections are replaced: each arrives once, or the application is told."""

import asyncio
from typing import Any

import pytest

from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.testing import VirtualNetwork
from tests.scenarios.bots import Bots


@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
@pytest.mark.parametrize("silence", [0.0, 1.0, 4.0])
async def test_each_message_arrives_once(virtual_network: VirtualNetwork, who: str, silence: float) -> None:
    """A path that is dead and not yet noticed, then either side begins anew."""
    async with Bots(virtual_network) as bots:
        bots.send_every(0.02)
        for _ in range(2):
            await asyncio.sleep(1)
            bots.hosts["bob"].link.set(loss=1.0 if silence else 0.0)
            await asyncio.sleep(silence)
            bots.hosts["bob"].link.set(loss=0.0)
            if who != "receiver":
                bots.alice.recreate()
            if who != "sender":
                bots.bob.recreate()
            await asyncio.sleep(3)
        await bots.stop()
        await asyncio.sleep(1)
        assert bots.alice.generation == bots.bob.generation == 3
        assert bots.received == list(range(bots.sent))
        assert bots.lost == []


async def test_a_program_that_crashed_and_is_back_within_five_seconds(
    virtual_network: VirtualNetwork,
) -> None:
    async with Bots(virtual_network) as bots:
        bots.send_every(0.05)
        await asyncio.sleep(2)
        before = len(bots.received)
        assert before
        with bots.hosts["bob"].link.outage():
            bots.bob._controller_._channel = memory_pair()[0]  # the path stays for its successor
            await bots.bob.close()
            await asyncio.sleep(2)
        assert bots.alice.state == "connected"
        bots.bob = bots.bot("bob", polite=False)
        bots.bob.ondatachannel = lambda e: setattr(e.channel, "onmessage", bots._note)
        await bots.bob.start()
        bots.bob.createDataChannel("hello")
        await asyncio.sleep(3)
        await bots.stop()
        await asyncio.sleep(1)
        assert set(bots.received) == set(range(bots.sent))
        assert bots.lost == []


async def test_where_the_other_side_is_not_supervised_what_is_in_doubt_is_told(
    virtual_network: VirtualNetwork,
) -> None:
    hosts = {name: virtual_network.add_host(name) for name in ("alice", "bob")}
    a, b = memory_pair(delay=0.02)
    received: list[int] = []
    lost: list[Any] = []

    def make(configuration: Any = None) -> RTCPeerConnection:
        with hosts["alice"].active():
            return RTCPeerConnection(configuration)

    def page() -> RTCPeerConnection:
        with hosts["bob"].active():
            pc = RTCPeerConnection()
        pc.ondatachannel = lambda e: setattr(e.channel, "onmessage", lambda m: received.append(int(m.data)))
        return pc

    async with SupervisedPeer(a, polite=False, make_connection=make) as bot:
        chat = bot.createDataChannel("chat")
        chat.onmessageslost = lost.append
        first, second = page(), page()
        async with Negotiator(first, b, polite=True):
            await bot.connected(10)
            chat.send("0")
            await asyncio.sleep(1)
            hosts["bob"].link.set(down=True)
            for number in range(1, 31):
                chat.send(str(number))
                await asyncio.sleep(0.1)
        await first.close()  # as a tab that crashes: nothing gets out
        hosts["bob"].link.set(down=False)
        async with Negotiator(second, b, polite=True):
            second.createDataChannel("page")
            await asyncio.sleep(3)
            chat.send("31")
            await asyncio.sleep(1)
            assert bot.state == "connected"
            assert received == [0, 31]
            assert [int(message) for event in lost for message in event.messages] == list(range(1, 31))
            assert not any(event.certain for event in lost)
    await second.close()
