"""Forwarding over networks that lose, delay and stall: numbered pictures from one publisher, counted at subscribers."""

import asyncio
import contextlib
import fractions

import av
import pytest

from rtcpeer import EncodedTrack, Forwarder
from rtcpeer.testing import PeerPair
from tests.scenarios.test_forwarding import Relay, receiver_of
from tests.scenarios.virtual import scenario

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")

FRAME_RATE = 30
TIME_BASE = fractions.Fraction(1, 90000)
# frame tag of a key frame, start code, width and height (RFC 6386 section 9.1)
KEY_HEADER = bytes.fromhex("100000 9d012a 4000 3000")
DELTA_HEADER = bytes.fromhex("110000")


class Feed:
    """Pictures with a number in each, a key frame when one is asked for."""

    def __init__(self, size=4000):
        self.track = EncodedTrack("video", "video/VP8")
        self.track.onkeyframerequest = self.on_request
        self.size, self.number = size, 0
        self.key, self.requests = True, []
        self.task = asyncio.ensure_future(self.run())

    def on_request(self, _event):
        self.key = True
        self.requests.append(asyncio.get_running_loop().time())

    async def run(self):
        while True:
            header, self.key = (KEY_HEADER if self.key else DELTA_HEADER), False
            packet = av.Packet(header + self.number.to_bytes(4, "big") + bytes(self.size))
            packet.pts, packet.time_base = self.number * 90000 // FRAME_RATE, TIME_BASE
            packet.is_keyframe = header is KEY_HEADER
            self.number += 1
            await self.track.write(packet)
            await asyncio.sleep(1 / FRAME_RATE)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.track.stop()


class Counter:
    """Reads encoded pictures and remembers which came, and when."""

    def __init__(self, connection):
        self.numbers, self.times, self.kinds = [], [], []
        self.task = asyncio.ensure_future(self.read(receiver_of(connection, "video")))

    async def read(self, receiver):
        async for frame in receiver.encodedFrames():
            at = len(KEY_HEADER if frame.type == "key" else DELTA_HEADER)
            self.numbers.append(int.from_bytes(frame.data[at : at + 4], "big"))
            self.kinds.append(frame.type)
            self.times.append(asyncio.get_running_loop().time())

    @property
    def missing(self):
        expected = range(self.numbers[0], self.numbers[-1] + 1)
        return len(set(expected) - set(self.numbers))


@contextlib.asynccontextmanager
async def feeding(scene, subscribers, **feed):
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay(scene, stack)
        pair = await stack.enter_async_context(
            PeerPair(hosts=(scene.network.add_host("publisher"), relay.host))
        )
        relay.feed = Feed(**feed)
        stack.push_async_callback(relay.feed.stop)
        pair.offerer.addTrack(relay.feed.track)
        await pair.connect()
        relay.publisher = pair
        relay.forwarder = Forwarder(receiver_of(pair.answerer, "video"))
        relay.pairs, relay.outputs, relay.counters = [], [], []
        for _ in range(subscribers):
            await join(relay)
        await asyncio.sleep(1)
        yield relay


async def join(relay):
    relay.joined = relay.scene.now()
    pair, (output,), _tracks = await relay.subscribe(relay.forwarder)
    relay.pairs.append(pair)
    relay.outputs.append(output)
    relay.counters.append(Counter(pair.answerer))


async def stats(connection, type):
    return next(s for s in (await connection.getStats()).values() if s["type"] == type)


@pytest.mark.parametrize("seed", [1])
@scenario
async def test_ten_percent_loss_on_the_way_down(scene, seed):
    """Repaired from the relay's history: nothing is asked of the publisher, and the others lose nothing."""
    async with feeding(scene, 3) as relay:
        link = scene.network.hosts["subscriber1"].link
        link.set(loss=0.1, reorder=0.05, duplicate=0.05)
        await asyncio.sleep(15)
        link.set(loss=0, reorder=0, duplicate=0)
        await asyncio.sleep(1)
        lossy, *others = relay.counters
        assert len(lossy.numbers) > 400
        assert lossy.missing <= 1
        assert [counter.missing for counter in others] == [0, 0]
        assert relay.outputs[0].stats()["retransmittedPackets"] > 50
        assert relay.outputs[1].stats()["retransmittedPackets"] == 0
        upstream = await stats(relay.publisher.offerer, "outbound-rtp")
        assert upstream["nackCount"] == 0
        assert relay.outputs[0].stats()["missing"] == 0


@scenario
async def test_ten_percent_loss_on_the_way_up(scene):
    """The relay asks for what it lacks, once for all; the publisher's loss is not the subscribers'."""
    async with feeding(scene, 2) as relay:
        link = scene.network.hosts["publisher"].link
        link.set(loss=0.1)
        await asyncio.sleep(12)
        reports = [await stats(pair.offerer, "remote-inbound-rtp") for pair in relay.pairs]
        link.set(loss=0)
        await asyncio.sleep(1)
        assert [counter.missing <= 3 for counter in relay.counters] == [True, True]
        assert (await stats(relay.publisher.offerer, "outbound-rtp"))["nackCount"] > 10
        for report in reports:
            assert report["packetsLost"] <= 5
            assert report["fractionLost"] <= 0.02


@scenario
async def test_who_joins_sees_a_picture_at_once(scene):
    async with feeding(scene, 1) as relay:
        for _ in range(3):
            await asyncio.sleep(2)
            await join(relay)
            connected = scene.now()
            await asyncio.sleep(1)
            # a round trip of 60 ms to the publisher, one picture of 33 ms
            assert relay.counters[-1].times[0] - connected <= 0.06 + 0.034 + 0.1
            assert relay.counters[-1].kinds[0] == "key"
        # fifty at once: one request for all
        before = len(relay.feed.requests)
        for pair in relay.pairs:
            for _ in range(15):
                receiver_of(pair.answerer, "video").requestKeyFrame()
        await asyncio.sleep(0.4)
        assert len(relay.feed.requests) - before == 1


@scenario
async def test_the_first_request_and_the_first_key_frame_are_lost(scene):
    async with feeding(scene, 1) as relay:
        await asyncio.sleep(2)
        link = scene.network.hosts["publisher"].link
        link.set(loss=1)
        await join(relay)
        connected = scene.now()
        await asyncio.sleep(0.7)
        link.set(loss=0)
        await asyncio.sleep(2)
        assert relay.counters[-1].times[0] - connected <= 1.5


@scenario
async def test_one_who_stalls_does_not_hold_up_the_others(scene):
    async with feeding(scene, 4) as relay:
        before = [len(counter.numbers) for counter in relay.counters]
        await scene.network.hosts["subscriber1"].link.outage_of(4)
        await asyncio.sleep(2)
        stalled, *others = relay.counters
        assert [counter.missing for counter in others] == [0, 0, 0]
        assert all(len(c.numbers) - b >= 175 for c, b in zip(others, before[1:], strict=True))
        # it goes on with a key frame soon
        assert stalled.times[-1] > scene.now() - 0.2
        gap = max(b - a for a, b in zip(stalled.times, stalled.times[1:], strict=False))
        assert gap < 4 + 1


@scenario
async def test_sources_change_forty_times(scene):
    """Two publishers; every change begins with a key frame, and the subscriber's decoder sees one stream."""
    async with feeding(scene, 1) as relay:
        pair = PeerPair(hosts=(scene.network.add_host("publisher2"), relay.host))
        second = Feed()
        async with pair:
            pair.offerer.addTrack(second.track)
            second.number = 1_000_000
            await pair.connect()
            sources = [receiver_of(p.answerer, "video") for p in (relay.publisher, pair)]
            counter = relay.counters[0]
            changes = 0
            for index in range(40):
                relay.forwarder.source = sources[index % 2 == 0]
                await asyncio.sleep(0.6)
            numbers = counter.numbers
            for place in range(1, len(numbers)):
                if numbers[place] != numbers[place - 1] + 1:
                    changes += 1
                    assert counter.kinds[place] == "key"
            assert 37 <= changes <= 43
            got = await stats(relay.pairs[0].answerer, "inbound-rtp")
            assert got["packetsLost"] == 0
            assert got["nackCount"] == 0
            await second.stop()


@scenario
async def test_nothing_is_numbered_without_a_way(scene):
    """SRTP's count of cycles (RFC 3711 section 3.3.1) survives an outage of any length."""
    async with feeding(scene, 1, size=8000) as relay:
        before = relay.outputs[0].stats()["packets"]
        link = scene.network.hosts["subscriber1"].link
        await link.outage_of(60)
        during = relay.outputs[0].stats()["packets"] - before
        # until consent is known to be gone
        assert during < 40 * 30 * 8
        await asyncio.sleep(1)
        assert relay.outputs[0].stats()["packets"] - before - during < 300
        await relay.pairs[0].restart_ice()
        begun = len(relay.counters[0].numbers)
        await asyncio.sleep(4)
        assert len(relay.counters[0].numbers) > begun + 30


@scenario
async def test_another_publisher_takes_over_from_one_who_has_left(scene):
    async with feeding(scene, 1) as relay:
        pair = PeerPair(hosts=(scene.network.add_host("publisher2"), relay.host))
        second = Feed()
        async with pair:
            pair.offerer.addTrack(second.track)
            second.number = 1_000_000
            await pair.connect()
            await relay.publisher.close()
            await asyncio.sleep(5)
            relay.forwarder.source = receiver_of(pair.answerer, "video")
            await asyncio.sleep(1)
            numbers = relay.counters[0].numbers
            assert numbers[-1] > 1_000_000
            assert len([number for number in numbers if number > 1_000_000]) > 20
            assert (await stats(relay.pairs[0].answerer, "inbound-rtp"))["packetsLost"] == 0
            await second.stop()
