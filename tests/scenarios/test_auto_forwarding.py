"""`addTrack(remote_track)`: forwarded as it came while nothing asks for pixels, else decoded and encoded."""

import asyncio
import contextlib

import pytest

from rtcpeer import RTCRtpSender
from rtcpeer.aiortc.contrib.media import MediaRelay
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.test_forwarding import PICTURE, first_track, pictures, receiver_of
from tests.scenarios.virtual import scenario

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")


class Chain:
    """A publisher, a relay that adds the remote track to the subscriber's call, the subscriber."""

    def __init__(self, scene, kind):
        self.scene, self.kind = scene, kind

    @contextlib.asynccontextmanager
    async def running(
        self, *, wrap=lambda track: track, codec=None, choose=lambda first, second: None, **init
    ):
        scene, kind = self.scene, self.kind
        async with contextlib.AsyncExitStack() as stack:
            relay = scene.network.add_host("relay")
            self.first = PeerPair(hosts=(scene.network.add_host("a"), relay))
            self.second = PeerPair(hosts=(relay, scene.network.add_host("b")))
            for pair in (self.first, self.second):
                await stack.enter_async_context(pair)
            self.source = synthetic_track(kind, PICTURE if kind == "video" else {})
            self.first.offerer.addTrack(self.source)
            choose(self.first.offerer.getTransceivers()[0], None)
            await self.first.connect()
            self.remote = receiver_of(self.first.answerer, kind).track
            arriving = first_track(self.second.answerer, kind)
            self.relayed = wrap(self.remote)
            transceiver = self.second.offerer.addTransceiver(self.relayed, {"direction": "sendonly", **init})
            self.sender = transceiver.sender
            if codec is not None:
                codecs = RTCRtpSender.getCapabilities(kind).codecs
                transceiver.setCodecPreferences([c for c in codecs if c.mimeType == codec])
            choose(None, transceiver)
            await self.second.connect()
            self.track = await arriving
            yield self
            self.source.stop()

    async def sent(self):
        stats = (await self.sender.getStats()).values()
        return next(s for s in stats if s["type"] == "outbound-rtp")

    async def is_forwarded(self):
        return (await self.sent()).get("encoderImplementation") == "forwarded"

    async def becomes(self, forwarded):
        """Wait until it is forwarded, or no longer; pictures go on meanwhile."""
        async with asyncio.timeout(3):
            while await self.is_forwarded() is not forwarded:
                await self.track.recv()

    async def decoded(self):
        stats = (await self.first.answerer.getStats()).values()
        return next(s for s in stats if s["type"] == "inbound-rtp").get("framesDecoded", 0)

    async def lost(self):
        stats = (await self.second.answerer.getStats()).values()
        return next(s for s in stats if s["type"] == "inbound-rtp")["packetsLost"]


def luma(picture):
    plane = picture.planes[0]
    return sum(bytes(plane)[: plane.line_size]) / plane.line_size


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize(
    "wrap", [lambda track: track, lambda track: track.clone(), lambda track: MediaRelay().subscribe(track)]
)
@scenario
async def test_a_remote_track_is_forwarded(scene, kind, wrap):
    async with Chain(scene, kind).running(wrap=wrap) as chain:
        await pictures(chain.track, 10)
        assert await chain.is_forwarded()
        assert await chain.decoded() == 0
        assert await chain.lost() == 0


@pytest.mark.parametrize(
    "init",
    [
        {"sendEncodings": [{"scaleResolutionDownBy": 2.0}]},
        {"sendEncodings": [{"maxFramerate": 10}]},
        {"sendEncodings": [{"maxBitrate": 200000}]},
    ],
)
@scenario
async def test_what_asks_for_pixels_is_encoded(scene, init):
    async with Chain(scene, "video").running(**init) as chain:
        await pictures(chain.track, 3)
        assert not await chain.is_forwarded()
        assert await chain.decoded() > 0


@scenario
async def test_another_codec_is_encoded(scene):
    async with Chain(scene, "video").running(codec="video/H264") as chain:
        await pictures(chain.track, 3)
        assert not await chain.is_forwarded()


@scenario
async def test_scaling_and_back_at_run_time(scene):
    """No packet is lost or repeated, and pictures go on."""
    async with Chain(scene, "video").running() as chain:
        await pictures(chain.track, 10)
        for scale, width in ((2.0, 32), (1.0, 64)) * 2:
            parameters = chain.sender.getParameters()
            parameters.encodings[0].scaleResolutionDownBy = scale
            await chain.sender.setParameters(parameters)
            async with asyncio.timeout(20):
                while (await chain.track.recv()).width != width:
                    pass
            await chain.becomes(scale == 1.0)
            await pictures(chain.track, 5)
        assert await chain.lost() == 0
        sent = await chain.sent()
        got = (await chain.second.answerer.getStats()).values()
        got = next(s for s in got if s["type"] == "inbound-rtp")
        assert sent["packetsSent"] - got["packetsReceived"] <= 5
        assert got["framesDropped"] == 0


@scenario
async def test_a_disabled_track_is_black_at_once(scene):
    async with Chain(scene, "video").running() as chain:
        await pictures(chain.track, 5)
        chain.remote.enabled = False
        assert not await chain.is_forwarded()
        async with asyncio.timeout(20):
            while luma(await chain.track.recv()) > 20:
                pass
        assert luma((await pictures(chain.track, 5))[-1]) <= 20
        chain.remote.enabled = True
        async with asyncio.timeout(20):
            while luma(await chain.track.recv()) < 20:
                pass
        await chain.becomes(True)
        assert await chain.lost() == 0


@scenario
async def test_the_publisher_takes_another_codec(scene):
    """What the subscriber has not negotiated is decoded from then on, without negotiation."""
    async with Chain(scene, "video").running(codec="video/VP8") as chain:
        await pictures(chain.track, 5)
        assert await chain.is_forwarded()
        sender = chain.first.offerer.getSenders()[0]
        for name, forwarded in (("video/VP9", False), ("video/VP8", True)):
            parameters = sender.getParameters()
            parameters.encodings[0].codec = next(c for c in parameters.codecs if c.mimeType == name)
            await sender.setParameters(parameters)
            await chain.becomes(forwarded)
            await pictures(chain.track, 10)
            assert await chain.is_forwarded() is forwarded


@scenario
async def test_tones_take_the_place_of_forwarded_sound(scene):
    async with Chain(scene, "audio").running() as chain:
        await pictures(chain.track, 5)
        assert await chain.is_forwarded()
        assert chain.sender.dtmf.canInsertDTMF
        chain.sender.dtmf.insertDTMF("1")
        await asyncio.sleep(1)
        assert not await chain.is_forwarded()
        await pictures(chain.track, 5)


@scenario
async def test_another_track_takes_its_place(scene):
    async with Chain(scene, "video").running() as chain:
        await pictures(chain.track, 5)
        local = synthetic_track("video", {"width": 32, "height": 24, "frameRate": 15})
        await chain.sender.replaceTrack(local)
        async with asyncio.timeout(20):
            while (await chain.track.recv()).width != 32:
                pass
        assert not await chain.is_forwarded()
        await chain.sender.replaceTrack(chain.remote)
        async with asyncio.timeout(20):
            while (await chain.track.recv()).width != 64:
                pass
        await chain.becomes(True)
        assert await chain.lost() == 0
        local.stop()
