"""Scenarios on the virtual network: whole peers, virtual time, and the demand that nothing is left behind."""

import asyncio
import functools
import inspect
import itertools
import threading

from rtcpeer.testing import PeerPair, TurnServer, VirtualNetwork, no_leaks, run_virtual

DELAY = 0.015


def scenario(test):
    """Make a plain test of an async one whose first argument is a `Scene`."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        async def main():
            async with no_leaks(grace=0):
                scene = Scene(seed=kwargs.get("seed", 0))
                await test(*args[:-1], *args[-1:], scene, **kwargs)
                codec_threads_ended()
                left = scene.network.sockets
                scene.network.close()
            assert left == []

        run_virtual(main())

    parameters = list(inspect.signature(test).parameters.values())
    names = [p for p in parameters if p.name != "scene"]
    run.__signature__ = inspect.Signature(names)
    del run.__wrapped__
    return run


def codec_threads_ended():
    """Let jobs of coders and recorders that were stopped end: their threads live in real time."""
    for thread in threading.enumerate():
        if thread.name.startswith(("rtcpeer-codec", "rtcpeer-recorder")):
            thread.join(2)


class Scene:
    """A network with 15 ms uplinks, and what scenarios keep asking of a call."""

    def __init__(self, seed=0):
        self.network = VirtualNetwork(seed=seed, delay=DELAY)

    def behind(self, nat, firewall=None):
        """Alice and Bob behind routers of their own."""
        alice = self.network.add_router("r1", nat=nat, firewall=firewall, delay=DELAY).add_host(
            "alice", delay=0
        )
        bob = self.network.add_router("r2", nat=nat, delay=DELAY).add_host("bob", delay=0)
        return alice, bob

    def server(self, name="turn.example", **options):
        host = self.network.add_host(name, delay=0)
        options.setdefault("transports", ("udp",))
        return TurnServer(users={"user": "pass"}, network=host.network, hostname=name, **options)

    @staticmethod
    def now():
        return asyncio.get_running_loop().time()


class Stream:
    """Numbered messages from the offerer to the answerer, and what became of them."""

    def __init__(self, pair, interval=0.01):
        self.pair, self.interval = pair, interval
        self.sent, self.arrived = [], []
        self.task = None
        self.channel = pair.offerer.createDataChannel("numbers")
        pair.answerer.ondatachannel = self.listen

    def listen(self, event):
        loop = asyncio.get_running_loop()
        event.channel.onmessage = lambda e: self.arrived.append((loop.time(), int(e.data)))

    async def start(self):
        await self.channel.opened()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        loop = asyncio.get_running_loop()
        while True:
            number = len(self.sent)
            self.sent.append((loop.time(), number))
            self.channel.send(str(number))
            await asyncio.sleep(self.interval)

    async def stop(self, patience=30):
        """Stop sending; returns the numbers that did not arrive."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for _ in range(patience * 10):
            if len(self.arrived) >= len(self.sent):
                break
            await asyncio.sleep(0.1)
        assert [n for _, n in self.arrived] == sorted({n for _, n in self.arrived}), (
            "out of order or repeated"
        )
        return {n for _, n in self.sent} - {n for _, n in self.arrived}

    def gap(self, since):
        times = [since, *(t for t, _ in self.arrived if t >= since)]
        return max(b - a for a, b in itertools.pairwise(times))

    def first_after(self, moment):
        """How long after a moment a message arrived that was sent after it."""
        sent = {n: t for t, n in self.sent}
        return next(t for t, n in self.arrived if t >= moment and sent[n] >= moment) - moment


async def selected(connection):
    """(local type, remote type) of the selected pair."""
    report = await connection.getStats()
    pair = report[report.of_type("transport")[0]["selectedCandidatePairId"]]
    return tuple(report[pair[side]]["candidateType"] for side in ("localCandidateId", "remoteCandidateId"))


async def until(condition, timeout=60):
    """Wait for something to become true; returns the time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while not condition():
        assert loop.time() < end, "it did not become true"
        await asyncio.sleep(0.01)
    return loop.time()


__all__ = ["PeerPair", "Scene", "Stream", "codec_threads_ended", "scenario", "selected", "until"]
