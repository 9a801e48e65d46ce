"""A call for hours on virtual time: outages of seconds and minutes, loss, jitter; sound and picture after each.

A few minutes in the tests, 24 hours under `make explore` (HYPOTHESIS_PROFILE=explore) or with RTCPEER_SOAK_HOURS.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.ice.settings import IceSettings
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.testing import PeerPair, VirtualNetwork, run_virtual
from tests.unit.media.rig import Pictures, Tone

EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
HOURS = float(os.environ.get("RTCPEER_SOAK_HOURS", "24" if EXPLORE else "0.1"))
SEED = random.randrange(1 << 30) if EXPLORE else 4


class Ear:
    """Reads a track for ever: how many frames came, and whether their time always rose."""

    def __init__(self, track) -> None:
        self.kind = track.kind
        self.count, self.last, self.broken = 0, -1.0, 0
        self.task = asyncio.create_task(self._read(track))

    async def _read(self, track) -> None:
        while True:
            frame = await track.recv()
            at = float(frame.pts * frame.time_base)
            self.broken += at <= self.last
            self.last = at
            self.count += 1


async def undecrypted(pc: RTCPeerConnection) -> float:
    report = await pc.getStats()
    return max(
        (s.get("undecryptedFor", 0.0) for s in report.values() if s["type"] == "transport"), default=0.0
    )


def size_of(pc: RTCPeerConnection) -> int:
    """Objects that the process holds: what grows with time shows here."""
    gc.collect()
    return len(gc.get_objects())


async def call() -> None:
    rng = random.Random(SEED)
    network = VirtualNetwork(seed=SEED)
    # a path that is gone for an hour comes back by itself, if it is asked for all the while
    settings = PeerSettings(ice=IceSettings(revive_for=86400.0))
    async with PeerPair(network=network, settings=settings) as pair:
        for host in network.hosts.values():
            host.link.set(delay=0.02, jitter=0.03, loss=0.02)
        pair.offerer.addTrack(Tone(interval=0.25))
        pair.offerer.addTrack(Pictures(32, 32, interval=1.0))
        ears = []
        pair.answerer.ontrack = lambda event: ears.append(Ear(event.track))
        await pair.connect()
        loop, begun = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        await asyncio.sleep(60)
        before = size_of(pair.answerer)
        while loop.time() - begun < HOURS * 3600:
            await asyncio.sleep(rng.uniform(10, 600))
            outage = rng.choice((0.5, 5, 40, 700, 1500))
            network.hosts[rng.choice(("alice", "bob"))].link.set(down=True)
            await asyncio.sleep(outage * rng.uniform(0.5, 1.5))
            for host in network.hosts.values():
                host.link.set(down=False)
            await asyncio.sleep(15)
            counts = [ear.count for ear in ears]
            await asyncio.sleep(10)
            seed = f"seed {SEED}, after {loop.time() - begun:.0f} s, outage of {outage} s"
            assert len(ears) == 2
            for ear, count in zip(ears, counts, strict=True):
                assert not ear.task.done(), (seed, ear.kind)
                # of 40 and 10; a picture that is lost, and whose repair is lost too, takes the three behind it along
                assert ear.count - count >= (25 if ear.kind == "audio" else 3), (
                    seed,
                    ear.kind,
                    ear.count - count,
                )
                assert ear.broken == 0, (seed, ear.kind)
            assert await undecrypted(pair.answerer) == 0, seed
        assert size_of(pair.answerer) < before + 20_000
        for ear in ears:
            ear.task.cancel()
        await asyncio.gather(*(ear.task for ear in ears), return_exceptions=True)


@pytest.mark.timeout(7200)
def test_a_call_of_hours_survives() -> None:
    run_virtual(call())
