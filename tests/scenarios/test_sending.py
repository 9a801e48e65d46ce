"""What is sent of a track: over outages, when it cannot be encoded, and when a coder hangs."""

import asyncio
import fractions
import threading

import av
import pytest

from rtcpeer import MediaStreamTrack, OperationError, RTCSenderErrorEvent, threads
from rtcpeer.media.video.vp8 import Vp8Decoder, Vp8Encoder
from rtcpeer.media.workers import PATIENCE, CoderStuckError
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, scenario, until
from tests.unit.media.rig import Pictures


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


@pytest.fixture
def hanging(monkeypatch):
    """The first VP8 encoder, or decoder, that is used hangs; more do when there are more gates to come."""

    class Gates:
        def __init__(self):
            self.opened, self.left = [], 1

        def pass_or_hang(self):
            if self.left:
                self.left -= 1
                self.opened.append(threading.Event())
                self.opened[-1].wait(120)

        def into(self, cls, name):
            work = getattr(cls, name)

            def hang(one, *arguments):
                self.pass_or_hang()
                return work(one, *arguments)

            monkeypatch.setattr(cls, name, hang)

    gates = Gates()
    yield gates
    gates.left = 0
    for gate in gates.opened:
        gate.set()


def impatient():
    """A job in a thread stops the clock for 5 real seconds; these hang on purpose."""
    asyncio.get_running_loop().clock._patience = 0.1


async def gave_back(gates):
    """What hung comes back in the end, and changes nothing."""
    gates.left = 0
    for gate in gates.opened:
        gate.set()
    await asyncio.sleep(0.1)


@scenario
async def test_an_encoder_that_hangs_is_replaced_and_told(scene, hanging):
    hanging.into(Vp8Encoder, "_encode_at")
    impatient()
    stuck_before = set(threads.stuck)
    async with PeerPair(network=scene.network) as pair:
        reader, events = Reader(scene, pair.answerer), []
        sender = pair.offerer.addTrack(Pictures(64, 48, interval=1 / 10))
        pair.offerer.onsendererror = events.append
        channel = pair.offerer.createDataChannel("x")
        await pair.connect()
        await channel.opened()
        await asyncio.sleep(PATIENCE * 1.5 + 10)
        (event,) = events
        assert event.sender is sender
        assert isinstance(event.error.__cause__, CoderStuckError)
        before = len(reader.times["video"])
        await asyncio.sleep(5)
        assert len(reader.times["video"]) > before + 40
        assert channel.readyState == "open"
        assert len(threads.stuck - stuck_before) == 1
        await reader.stop()
        await gave_back(hanging)


@scenario
async def test_an_encoder_that_always_hangs_holds_up_neither_the_call_nor_its_end(scene, hanging):
    hanging.into(Vp8Encoder, "_encode_at")
    hanging.left = 100
    impatient()
    loop = asyncio.get_running_loop()
    pair = PeerPair(network=scene.network)
    async with pair:
        pair.offerer.addTrack(Pictures(64, 48, interval=1.0))
        channel, got = pair.offerer.createDataChannel("x"), []
        pair.answerer.ondatachannel = lambda event: setattr(event.channel, "onmessage", got.append)
        await pair.connect()
        await channel.opened()
        begun = loop.time()
        while loop.time() - begun < 900:
            await asyncio.sleep(60)
            channel.send("alive")
        await asyncio.sleep(1)
        assert len(got) == 15
        # ever more seldom: each has cost a thread
        assert 4 < len(hanging.opened) < 10
        ending = loop.time()
    assert loop.time() - ending < 3
    await gave_back(hanging)


@scenario
async def test_a_decoder_that_hangs_is_replaced(scene, hanging):
    hanging.into(Vp8Decoder, "decode")
    impatient()
    async with PeerPair(network=scene.network) as pair:
        reader = Reader(scene, pair.answerer)
        pair.offerer.addTrack(Pictures(64, 48, interval=1 / 10))
        await pair.connect()
        await asyncio.sleep(PATIENCE * 1.5 + 10)
        before = len(reader.times["video"])
        await asyncio.sleep(5)
        assert len(reader.times["video"]) > before + 40
        assert len(hanging.opened) == 1
        await reader.stop()
        await gave_back(hanging)


def test_the_event_reads_its_members():
    error = OperationError("no")
    event = RTCSenderErrorEvent("sendererror", sender=1, error=error)

    assert (event.sender, event.track, str(event.error)) == (1, None, "no")
    with pytest.raises(TypeError):
        RTCSenderErrorEvent("sendererror", sender=1, error=ValueError())
    with pytest.raises(TypeError):
        RTCSenderErrorEvent("sendererror", error=error)
