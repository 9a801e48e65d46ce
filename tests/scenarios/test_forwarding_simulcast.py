"""Simulcast through a relay: layers received by rid, one chosen per subscriber, changed without a gap."""

import asyncio
import contextlib

import pytest

from rtcpeer import Forwarder
from rtcpeer.media.track import MediaStreamError
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.test_forwarding import Relay, pictures, receiver_of
from tests.scenarios.virtual import scenario

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")

SIZES = {"q": 64, "h": 128, "f": 256}


@contextlib.asynccontextmanager
async def simulcast(scene, rids=("q", "h", "f")):
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay(scene, stack)
        pair = PeerPair(hosts=(scene.network.add_host("publisher"), relay.host))
        await stack.enter_async_context(pair)
        source = synthetic_track("video", {"width": 256, "height": 192, "frameRate": 15})
        encodings = [{"rid": rid, "scaleResolutionDownBy": 256 / SIZES[rid]} for rid in rids]
        relay.sender = pair.offerer.addTransceiver(
            source, {"direction": "sendonly", "sendEncodings": encodings}
        ).sender
        await pair.connect()
        relay.publisher = pair
        relay.forwarders = [Forwarder(receiver_of(pair.answerer, "video"))]
        await asyncio.sleep(2)
        yield relay
        source.stop()


class Watcher:
    """Reads a track all the time: what is not read is not decoded."""

    def __init__(self, track):
        self.width = self.pictures = 0
        self.task = asyncio.ensure_future(self.read(track))

    async def read(self, track):
        with contextlib.suppress(MediaStreamError):
            while True:
                self.width = (await track.recv()).width
                self.pictures += 1

    async def sees(self, width, timeout=10):
        async with asyncio.timeout(timeout):
            while self.width != width:  # noqa: ASYNC110 - its reader has no event
                await asyncio.sleep(0.02)


async def received(pair):
    stats = (await pair.answerer.getStats()).values()
    return next(s for s in stats if s["type"] == "inbound-rtp" and s["kind"] == "video")


@scenario
async def test_each_subscriber_gets_the_layer_it_wants(scene):
    async with simulcast(scene) as relay:
        pair, (output,), (track,) = await relay.subscribe(*relay.forwarders)
        other_pair, (other,), (other_track,) = await relay.subscribe(*relay.forwarders)
        first, second = Watcher(track), Watcher(other_track)
        await first.sees(256)
        other.layer = "q"
        assert sorted(output.stats()["layers"]) == ["f", "h", "q"]
        await second.sees(64)
        assert output.stats()["layer"] == "f"
        assert other.stats()["layer"] == "q"
        before = [(await received(each))["framesDropped"] for each in (pair, other_pair)]
        for layer in ("h", "q", "f", "h", "f", "q"):
            output.layer = layer
            await first.sees(SIZES[layer])
            assert output.stats()["layer"] == layer
        for each, dropped in zip((pair, other_pair), before, strict=True):
            got = await received(each)
            assert got["packetsLost"] == 0
            # no picture that could not be decoded at once
            assert got["framesDropped"] == dropped
        # without a wish, the best one
        other.layer = None
        await second.sees(256)


@scenario
async def test_a_layer_that_stops_is_replaced_until_it_is_back(scene):
    async with simulcast(scene, ("q", "f")) as relay:
        pair, (output,), (track,) = await relay.subscribe(*relay.forwarders)
        watcher = Watcher(track)
        await watcher.sees(256)
        for active, width in ((False, 64), (True, 256)):
            parameters = relay.sender.getParameters()
            parameters.encodings[1].active = active
            await relay.sender.setParameters(parameters)
            await watcher.sees(width)
        assert output.stats()["layer"] == "f"
        assert (await received(pair))["packetsLost"] == 0


@scenario
async def test_two_subscribers_who_change_layers_all_the_time_ask_sparingly(scene):
    async with simulcast(scene, ("q", "f")) as relay:
        _pair, (output,), (track,) = await relay.subscribe(*relay.forwarders)
        await pictures(track, 3)

        async def plis():
            stats = (await relay.publisher.answerer.getStats()).values()
            return sum(s["pliCount"] for s in stats if s["type"] == "inbound-rtp")

        before, began = await plis(), scene.now()
        for index in range(100):
            output.layer = "qf"[index % 2]
            await asyncio.sleep(0.04)
        asked = await plis() - before
        assert 2 <= asked <= 2 * (2 * (scene.now() - began) + 1)
        await pictures(track, 5)
