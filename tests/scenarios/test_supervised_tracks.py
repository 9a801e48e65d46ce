"""Remote tracks of supervised peers: whoever reads one goes on over restarts and recreations."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.testing import VirtualNetwork, synthetic_track
from tests.scenarios.bots import Bots


class Reader:
    """Reads a track until it ends."""

    def __init__(self, track: Any) -> None:
        self.track = track
        self.times: list[float] = []
        self.ended = False
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            while True:
                frame = await self.track.recv()
                self.times.append(float(frame.pts * frame.time_base))
        except Exception:
            self.ended = True

    async def goes_on(self) -> bool:
        before = len(self.times)
        await asyncio.sleep(1)
        return len(self.times) > before + 5


@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
async def test_a_reader_goes_on_over_recreations(virtual_network: VirtualNetwork, who: str) -> None:
    async with Bots(virtual_network) as bots:
        readers: list[Reader] = []
        bots.bob.ontrack = lambda e: readers.append(Reader(e.track))
        mine = [
            synthetic_track("audio"),
            synthetic_track("video", {"width": 64, "height": 48, "frameRate": 10}),
        ]
        for track in mine:
            bots.alice.addTrack(track)
        await asyncio.sleep(1)
        bots.alice.restart()
        await asyncio.sleep(1)
        for generation in (2, 3):
            if who != "receiver":
                bots.alice.recreate()
            if who != "sender":
                bots.bob.recreate()
            await asyncio.sleep(1.5)
            assert bots.bob.generation == generation
            assert [await reader.goes_on() for reader in readers] == [True, True]
        for reader in readers:
            assert all(0 < later - earlier < 3 for earlier, later in pairwise(reader.times))
        receivers = [t.receiver.track for t in bots.bob.pc.getTransceivers()]
        assert {id(track) for track in receivers} == {id(reader.track) for reader in readers}
        for track in mine:
            track.stop()
    await asyncio.sleep(0)
    assert all(reader.ended for reader in readers)


async def test_tracks_are_told_apart_by_the_senders_intent(virtual_network: VirtualNetwork) -> None:
    """Sections of the next connection stand in another order: the mids are others."""
    async with Bots(virtual_network) as bots:
        heard: list[Any] = []
        bots.bob.ontrack = lambda e: heard.append(e.track)
        first, second = (
            synthetic_track("video", {"width": 64, "height": 48, "frameRate": 10}),
            synthetic_track("video", {"width": 64, "height": 48, "frameRate": 10}),
        )
        dropped = bots.alice.addTrack(first)
        await asyncio.sleep(1)
        bots.alice.addTrack(second)
        await asyncio.sleep(1)
        readers = [Reader(track) for track in heard]
        assert len(readers) == 2
        bots.alice.removeTrack(dropped)
        bots.alice.recreate()
        await asyncio.sleep(8)
        assert readers[0].ended
        assert await readers[1].goes_on()
        assert len(heard) == 2
        first.stop()
        second.stop()
    await asyncio.sleep(0)


async def test_a_program_that_was_started_again_sends_the_same_track(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        heard: list[Any] = []
        bots.alice.ontrack = lambda e: heard.append(e.track)
        track = synthetic_track("video", {"width": 64, "height": 48, "frameRate": 10})
        bots.bob.addTrack(track)
        await asyncio.sleep(1)
        reader = Reader(heard[0])
        assert await reader.goes_on()
        successor: SupervisedPeer
        with bots.hosts["bob"].link.outage():
            bots.bob._controller_._channel = memory_pair()[0]  # the path stays for its successor
            await bots.bob.close()
        successor = bots.bob = bots.bot("bob", polite=False)
        successor.addTrack(track)
        await successor.start()
        await asyncio.sleep(3)
        assert await reader.goes_on()
        assert len(heard) == 1
        assert heard[0].muted is False
        track.stop()
    await asyncio.sleep(0)
    assert reader.ended
