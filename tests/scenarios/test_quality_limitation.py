"""What statistics say limits a video: a narrow path, a slow encoder, one that fails; and what is no limitation."""

import asyncio
import fractions
import random

import av
import pytest

from rtcpeer import MediaStreamTrack
from rtcpeer.media.encoding import StreamEncoder
from rtcpeer.media.workers import Workers
from rtcpeer.testing import PeerPair
from tests.scenarios.virtual import scenario

RATE = 15


class Noise(MediaStreamTrack):
    """Pictures that cost as much as they are given."""

    kind = "video"

    def __init__(self, width=160, height=120, part=1.0):
        super().__init__()
        self.chance, self.number, self.size, self.part = random.Random(1), 0, (width, height), part

    async def recv(self):
        await asyncio.sleep(1 / RATE)
        picture = av.VideoFrame(*self.size, "yuv420p")
        for plane in picture.planes:
            noise = int(self.part * plane.buffer_size)
            plane.update(self.chance.randbytes(noise) + bytes(plane.buffer_size - noise))
        self.number += 1
        picture.pts, picture.time_base = self.number * 90000 // RATE, fractions.Fraction(1, 90000)
        return picture


async def outbound(pair):
    report = await pair.offerer.getStats()
    return next(s for s in report.values() if s["type"] == "outbound-rtp")


def told(stats):
    return stats["qualityLimitationReason"]


@scenario
async def test_a_path_that_narrows_and_widens(scene):
    sender, receiver = scene.network.add_host("sender"), scene.network.add_host("receiver")
    path = sender.link._up
    path.settings.queue, path.settings.bandwidth = 0.1, 3e6 / 8
    async with PeerPair(hosts=(sender, receiver)) as pair:
        pair.offerer.addTrack(Noise())
        await pair.connect()
        await asyncio.sleep(15)
        wide = await outbound(pair)
        assert told(wide) == "none"
        path.settings.bandwidth = 1e5 / 8
        await asyncio.sleep(10)
        narrow = await outbound(pair)
        assert told(narrow) == "bandwidth"
        path.settings.bandwidth = 3e6 / 8
        await asyncio.sleep(30)
        again = await outbound(pair)
        assert told(again) == "none"
    before, during, after = (s["qualityLimitationDurations"] for s in (wide, narrow, again))
    assert during["bandwidth"] - before["bandwidth"] > 5
    for durations in (before, during, after):
        assert durations["cpu"] == durations["other"] == 0
    # all the time between is one or the other
    seconds = (again["timestamp"] - wide["timestamp"]) / 1000
    assert sum(after.values()) - sum(before.values()) == pytest.approx(seconds)
    # packets wait for their turn where the path bears little
    waited = [s["totalPacketSendDelay"] for s in (wide, narrow)]
    assert 0 <= waited[0] < waited[1]
    sent = narrow["packetsSent"] - wide["packetsSent"]
    assert 0.001 < (waited[1] - waited[0]) / sent < 0.2
    # it is the quality that suffers, and the rate: pictures keep their size
    assert again["qualityLimitationResolutionChanges"] == 0


@pytest.mark.parametrize("prefers", ["maintain-framerate", None])
@scenario
async def test_the_size_suffers_where_the_program_prefers_many_pictures(scene, prefers):
    sender, receiver = scene.network.add_host("sender"), scene.network.add_host("receiver")
    path = sender.link._up
    path.settings.queue, path.settings.bandwidth = 0.1, 4e6 / 8
    async with PeerPair(hosts=(sender, receiver)) as pair:
        noise = Noise(640, 368, part=0.15)
        rtp_sender = pair.offerer.addTransceiver(noise, sendEncodings=[{"maxBitrate": 3_000_000}]).sender
        parameters = rtp_sender.getParameters()
        parameters.degradationPreference = prefers
        await rtp_sender.setParameters(parameters)
        await pair.connect()
        await asyncio.sleep(20)
        wide = await outbound(pair)
        assert wide["frameWidth"] == 640
        path.settings.bandwidth = 250e3 / 8
        widths, before = [], 0
        for second in range(30):
            await asyncio.sleep(1)
            narrow = await outbound(pair)
            widths.append(narrow["frameWidth"])
            if second == 9:
                before = narrow["framesEncoded"]
        rate = (narrow["framesEncoded"] - before) / 20
        if prefers is None:
            assert set(widths) == {640}
            assert rate < 3
            assert narrow["qualityLimitationResolutionChanges"] == 0
            return
        # larger ones are tried now and then
        assert sum(width < 640 for width in widths[10:]) > 12
        assert rate > 6
        assert told(narrow) == "bandwidth"
        assert narrow["qualityLimitationResolutionChanges"] > 0
        path.settings.bandwidth = 4e6 / 8
        await asyncio.sleep(30)
        again = await outbound(pair)
        assert again["frameWidth"] == 640
        assert told(again) == "none"


@scenario
async def test_an_encoder_that_is_too_slow(scene, monkeypatch):
    async def slowly(workers, call, *arguments):
        await asyncio.sleep(0.2)
        return call(*arguments)

    run = Workers.run

    def slow(workers, call, *arguments):
        if getattr(call, "__func__", None) is StreamEncoder.encode:
            return asyncio.ensure_future(slowly(workers, call, *arguments))
        return run(workers, call, *arguments)

    monkeypatch.setattr(Workers, "run", slow)
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTrack(Noise(64, 48))
        await pair.connect()
        await asyncio.sleep(5)
        stats = await outbound(pair)
        assert told(stats) == "cpu"
        assert stats["qualityLimitationDurations"]["cpu"] > 3
        assert stats["framesPerSecond"] == pytest.approx(5, abs=1)


@scenario
async def test_an_encoder_that_fails(scene, monkeypatch):
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTrack(Noise(64, 48))
        await pair.connect()
        await asyncio.sleep(2)
        assert told(await outbound(pair)) == "none"

        def fail(_encoder, _request):
            raise ValueError("no more")

        monkeypatch.setattr(StreamEncoder, "encode", fail)
        await asyncio.sleep(5)
        stats = await outbound(pair)
        assert told(stats) == "other"
        # and a rate that is told ends with the pictures
        assert stats["framesPerSecond"] == 0


@scenario
async def test_what_the_program_asks_for_is_no_limitation(scene):
    async with PeerPair(network=scene.network) as pair:
        sender = pair.offerer.addTrack(Noise())
        await pair.connect()
        parameters = sender.getParameters()
        encoding = parameters.encodings[0]
        encoding.maxBitrate, encoding.maxFramerate, encoding.scaleResolutionDownBy = 30_000, 5, 2.0
        await sender.setParameters(parameters)
        await asyncio.sleep(10)
        stats = await outbound(pair)
        assert (stats["frameWidth"], stats["frameHeight"]) == (80, 60)
        assert told(stats) == "none"
        assert stats["qualityLimitationResolutionChanges"] == 0
        # but for the first seconds, when nobody knew what the path bears
        assert sum(stats["qualityLimitationDurations"].values()) == pytest.approx(10, abs=1)
