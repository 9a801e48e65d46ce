"""A relay on the virtual network: one publisher, subscribers that get its media as it came."""

import asyncio
import contextlib

import pytest

from rtcpeer import Forwarder
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.virtual import scenario

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")

PICTURE = {"width": 64, "height": 48, "frameRate": 15}


def first_track(connection, kind):
    found = asyncio.get_running_loop().create_future()

    def take(event):
        if not found.done() and event.track.kind == kind:
            found.set_result(event.track)

    connection.addEventListener("track", take)
    return found


def receiver_of(connection, kind):
    return next(r for r in connection.getReceivers() if r.track.kind == kind)


class Relay:
    """A publisher's call, and as many subscribers' calls as are wanted, all at one relay host."""

    def __init__(self, scene, stack):
        self.scene, self.stack = scene, stack
        self.host = scene.network.add_host("relay")
        self.subscribers = 0

    async def publish(self, *tracks, name="publisher"):
        pair = PeerPair(hosts=(self.scene.network.add_host(name), self.host))
        await self.stack.enter_async_context(pair)
        for track in tracks:
            pair.offerer.addTrack(track)
        await pair.connect()
        return pair

    async def subscribe(self, *forwarders, link=None):
        """One more subscriber; gives its pair, the outputs and its tracks."""
        self.subscribers += 1
        host = self.scene.network.add_host(f"subscriber{self.subscribers}")
        pair = PeerPair(hosts=(self.host, host))
        await self.stack.enter_async_context(pair)
        outputs, tracks = [], []
        for forwarder in forwarders:
            kind = forwarder.source.track.kind
            tracks.append(first_track(pair.answerer, kind))
            transceiver = pair.offerer.addTransceiver(kind, direction="sendonly")
            outputs.append(forwarder.add(transceiver.sender))
        await pair.connect()
        return pair, outputs, [await track for track in tracks]


@contextlib.asynccontextmanager
async def relaying(scene, *kinds):
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay(scene, stack)
        relay.tracks = [synthetic_track(kind, PICTURE if kind == "video" else {}) for kind in kinds]
        relay.publisher = await relay.publish(*relay.tracks)
        relay.forwarders = [Forwarder(receiver_of(relay.publisher.answerer, kind)) for kind in kinds]
        yield relay
        for track in relay.tracks:
            track.stop()


async def pictures(track, count):
    return [await asyncio.wait_for(track.recv(), 20) for _ in range(count)]


@scenario
async def test_media_are_forwarded_without_decoding(scene):
    async with relaying(scene, "audio", "video") as relay:
        subscribers = [await relay.subscribe(*relay.forwarders) for _ in range(3)]
        for _pair, _outputs, tracks in subscribers:
            sound, video = tracks
            await pictures(sound, 5)
            picture = (await pictures(video, 5))[-1]
            assert (picture.width, picture.height) == (64, 48)
        received = [r async for r in stats(relay.publisher.answerer, "inbound-rtp")]
        assert [r["framesDecoded"] for r in received if r["kind"] == "video"] == [0]
        for pair, outputs, _tracks in subscribers:
            sent = {r["kind"]: r async for r in stats(pair.offerer, "outbound-rtp")}
            assert sent["video"]["encoderImplementation"] == "forwarded"
            assert sent["video"]["framesEncoded"] == 0
            assert sent["video"]["packetsSent"] >= 5
            assert sent["video"]["bytesSent"] > 0
            assert outputs[1].stats()["missing"] == 0
            got = {r["kind"]: r async for r in stats(pair.answerer, "inbound-rtp")}
            assert got["video"]["packetsLost"] == got["audio"]["packetsLost"] == 0


async def stats(connection, kind):
    for record in (await connection.getStats()).values():
        if record["type"] == kind:
            yield record
