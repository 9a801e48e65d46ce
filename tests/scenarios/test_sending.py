"""What is sent of a track: over outages, and when it cannot be encoded."""

import asyncio
import fractions

import av
import pytest

from rtcpeer import MediaStreamTrack, OperationError, RTCSenderErrorEvent
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, scenario, until


async def outbound(connection, kind):
    report = await connection.getStats()
    return next(s for s in report.values() if s["type"] == "outbound-rtp" and s["kind"] == kind)


class Reader:
    """Reads a connection's tracks and notes when frames came."""

    def __init__(self, scene, connection):
        self.scene, self.times, self.tasks = scene, {"audio": [], "video": []}, []
        connection.addEventListener("track", self._on_track)

    def _on_track(self, event):
        self.tasks.append(asyncio.ensure_future(self._read(event.track)))

    async def _read(self, track):
        while True:
            await track.recv()
            self.times[track.kind].append(self.scene.now())

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@scenario
async def test_media_goes_on_after_a_long_outage(scene):
    async with PeerPair(network=scene.network) as pair:
        reader = Reader(scene, pair.answerer)
        for kind in ("audio", "video"):
            pair.offerer.addTrack(synthetic_track(kind, {"width": 64, "height": 48}))
        await pair.connect()
        await asyncio.sleep(3)
        outage = asyncio.ensure_future(pair.hosts[1].link.outage_of(45))
        # consent expires after 30 s (RFC 7675): from then on nothing is numbered, and nothing encoded
        await asyncio.sleep(36)
        before = [await outbound(pair.offerer, kind) for kind in ("audio", "video")]
        await asyncio.sleep(3)
        after = [await outbound(pair.offerer, kind) for kind in ("audio", "video")]
        for one, other in zip(before, after, strict=True):
            assert one["packetsSent"] == other["packetsSent"]
        assert before[1]["framesEncoded"] == after[1]["framesEncoded"]
        await outage
        keys = after[1]["keyFramesEncoded"]
        await pair.restart_ice()
        await until(lambda: pair.offerer.connectionState == "connected")
        over = scene.now()
        await asyncio.sleep(3)
        for kind in ("audio", "video"):
            heard = [at for at in reader.times[kind] if at > over]
            assert heard[0] - over < 0.5
            assert len(heard) > (120 if kind == "audio" else 70)
        assert (await outbound(pair.offerer, "video"))["keyFramesEncoded"] > keys
        await reader.stop()


class Wrong(MediaStreamTrack):
    """Gives pictures, and now and then something that cannot be sent."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.given = 0

    async def recv(self):
        await asyncio.sleep(1 / 30)
        self.given += 1
        frame = av.VideoFrame(64, 48, "yuv420p")
        if self.given % 10:
            frame.pts, frame.time_base = self.given * 3000, fractions.Fraction(1, 90000)
        return frame


@scenario
async def test_what_cannot_be_encoded_is_told_by_an_event(scene):
    async with PeerPair(network=scene.network) as pair:
        reader = Reader(scene, pair.answerer)
        track, events = Wrong(), []
        sender = pair.offerer.addTrack(track)
        pair.offerer.onsendererror = events.append
        await pair.connect()
        await asyncio.sleep(3)
        # once for the kind, and the others were sent
        (event,) = events
        assert isinstance(event, RTCSenderErrorEvent)
        assert (event.sender, event.track) == (sender, track)
        assert isinstance(event.error, OperationError)
        assert "video/VP8" in str(event.error)
        assert isinstance(event.error.__cause__, ValueError)
        assert len(reader.times["video"]) > 60
        await reader.stop()


def test_the_event_reads_its_members():
    error = OperationError("no")
    event = RTCSenderErrorEvent("sendererror", sender=1, error=error)

    assert (event.sender, event.track, str(event.error)) == (1, None, "no")
    with pytest.raises(TypeError):
        RTCSenderErrorEvent("sendererror", sender=1, error=ValueError())
    with pytest.raises(TypeError):
        RTCSenderErrorEvent("sendererror", error=error)
