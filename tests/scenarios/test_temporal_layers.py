"""`scalabilityMode`: temporal layers from our encoder through a relay that takes them away."""

import asyncio
import contextlib

import pytest

from rtcpeer import Forwarder, RTCRtpScriptTransform, RTCRtpSender
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.test_forwarding import PICTURE, Relay, pictures, receiver_of
from tests.scenarios.test_forwarding_simulcast import Watcher, received
from tests.scenarios.virtual import scenario


def outbound(report):
    return next(s for s in report.values() if s["type"] == "outbound-rtp")


@contextlib.asynccontextmanager
async def publishing(scene, codec, mode):
    """A publisher who sends a mode, and a relay."""
    async with contextlib.AsyncExitStack() as stack:
        relay = Relay(scene, stack)
        pair = PeerPair(hosts=(scene.network.add_host("publisher"), relay.host))
        await stack.enter_async_context(pair)
        source = synthetic_track("video", {**PICTURE, "frameRate": 20})
        transceiver = pair.offerer.addTransceiver(
            source, direction="sendonly", sendEncodings=[{"scalabilityMode": mode}]
        )
        transceiver.setCodecPreferences(
            [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType in (codec, "video/rtx")]
        )
        relay.sender = transceiver.sender
        await pair.connect()
        relay.publisher = pair
        relay.forwarders = [Forwarder(receiver_of(pair.answerer, "video"))]
        yield relay
        source.stop()


@pytest.mark.parametrize("codec", ["video/VP8", "video/VP9"])
@scenario
async def test_layers_are_made_and_taken_away_on_the_way(scene, codec):
    async with publishing(scene, codec, "L1T3") as relay:
        pair, (output,), (track,) = await relay.subscribe(*relay.forwarders)
        Watcher(track)
        shown = []
        for layer in (0, 1, 2, None, 0):
            output.temporalLayer = layer
            await asyncio.sleep(1)
            before = await received(pair)
            await asyncio.sleep(4)
            after = await received(pair)
            shown.append((after["framesDecoded"] - before["framesDecoded"]) / 4)
            assert after["packetsLost"] == 0
        # a quarter, half, all of 20 pictures a second, back and forth without another key frame
        assert shown == pytest.approx([5, 10, 20, 20, 5], abs=1)
        assert after["keyFramesDecoded"] == 1
        assert after["framesDropped"] == 0
        assert outbound(await relay.sender.getStats())["scalabilityMode"] == "L1T3"


@scenario
async def test_the_mode_may_be_changed_and_statistics_say_what_is_made(scene):
    async with publishing(scene, "video/VP8", "L1T1") as relay:
        pair, _outputs, (track,) = await relay.subscribe(*relay.forwarders)
        await pictures(track, 20)
        before = await received(pair)
        for mode in ("L1T2", "L1T1", "L1T3"):
            parameters = relay.sender.getParameters()
            parameters.encodings[0].scalabilityMode = mode
            await relay.sender.setParameters(parameters)
            await pictures(track, 20)
            assert outbound(await relay.sender.getStats())["scalabilityMode"] == mode
        # each change is a new encoder
        assert (await received(pair))["keyFramesDecoded"] == before["keyFramesDecoded"] + 3


@scenario
async def test_what_an_encoder_has_not_is_not_said_to_be_made(scene):
    async with publishing(scene, "video/H264", "L1T3") as relay:
        _pair, _outputs, (track,) = await relay.subscribe(*relay.forwarders)
        await pictures(track, 5)
        assert outbound(await relay.sender.getStats())["scalabilityMode"] == "L1T1"


@scenario
async def test_a_transform_sees_the_layers_and_keeps_them(scene):
    async with publishing(scene, "video/VP8", "L1T2") as relay:
        seen = []

        async def look(transformer):
            async for frame in transformer.readable:
                seen.append(frame.getMetadata().temporalIndex)
                await transformer.writable.write(frame)

        relay.sender.transform = RTCRtpScriptTransform(look)
        pair, (output,), (track,) = await relay.subscribe(*relay.forwarders)
        output.temporalLayer = 0
        Watcher(track)
        await asyncio.sleep(1)
        before = await received(pair)
        await asyncio.sleep(4)
        after = await received(pair)
        assert (after["framesDecoded"] - before["framesDecoded"]) / 4 == pytest.approx(10, abs=1)
        assert set(seen) == {0, 1}
