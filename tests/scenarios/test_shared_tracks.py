"""One track in many connections, and aiortc's own sources and sinks, unchanged."""

import asyncio
import contextlib
import fractions

import av
import pytest
from aiortc import MediaStreamTrack, VideoStreamTrack
from aiortc.contrib.media import MediaBlackhole, MediaPlayer, MediaRecorder, MediaRelay

from rtcpeer.testing import no_leaks, synthetic_track
from tests.scenarios.virtual import PeerPair, scenario


def first_track(connection):
    found = asyncio.get_running_loop().create_future()

    def take(event):
        if not found.done():
            found.set_result(event.track)

    connection.addEventListener("track", take)
    return found


async def frames(track, count=3):
    return [await asyncio.wait_for(track.recv(), 20) for _ in range(count)]


@pytest.mark.parametrize("kind", ["audio", "video"])
@scenario
async def test_one_track_in_two_connections(scene, kind):
    track = synthetic_track(kind, {"width": 64, "height": 48})
    pairs = []
    for name in ("1", "2"):
        hosts = scene.network.add_host(f"alice{name}"), scene.network.add_host(f"bob{name}")
        pairs.append(PeerPair(hosts=hosts))
    async with contextlib.AsyncExitStack() as stack:
        for pair in pairs:
            await stack.enter_async_context(pair)
            pair.offerer.addTrack(track)
        got = [first_track(pair.answerer) for pair in pairs]
        await asyncio.gather(*(pair.connect() for pair in pairs))
        remote = [await one for one in got]
        # both get all frames, at the pace of the track
        began = scene.now()
        await asyncio.gather(*(frames(one, 30) for one in remote))
        assert scene.now() - began < 30 * (0.02 if kind == "audio" else 1 / 30) * 1.5 + 0.3
        # closing one connection stops neither the track nor the other
        await pairs[0].close()
        assert track.readyState == "live"
        await frames(remote[1], 10)
    assert track.readyState == "live"
    await frames(track)
    track.stop()


@scenario
async def test_a_track_that_ends_ends_for_all(scene):
    track = synthetic_track("audio")
    async with PeerPair(network=scene.network) as pair:
        got = first_track(pair.answerer)
        pair.offerer.addTrack(track)
        await pair.connect()
        await frames(await got)
        track.stop()
        await asyncio.sleep(1)
        # the remote track is muted, or simply silent: it ends with its transceiver
        assert (await got).readyState == "live"
        assert pair.offerer.connectionState == "connected"


@scenario
async def test_remote_tracks_end_when_the_connection_is_closed(scene):
    async with PeerPair(network=scene.network) as pair:
        got = first_track(pair.answerer)
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        track = await got
        await frames(track)
        reading = asyncio.ensure_future(drain(track))
        await pair.answerer.close()
        assert track.readyState == "ended"
        await asyncio.wait_for(reading, 1)


async def drain(track):
    from aiortc.mediastreams import MediaStreamError

    with contextlib.suppress(MediaStreamError):
        while True:
            await track.recv()


# --- aiortc's classes -----------------------------------------------------------------------------


class Ramp(MediaStreamTrack):
    """As users write them for aiortc: subclass, recv(), own timestamps."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.count = 0

    async def recv(self):
        await asyncio.sleep(0.03)
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self.count % 256]) * plane.buffer_size)
        frame.pts = self.count * 2700
        frame.time_base = fractions.Fraction(1, 90000)
        self.count += 1
        return frame


@scenario
async def test_a_track_class_written_for_aiortc(scene):
    async with PeerPair(network=scene.network) as pair:
        got = first_track(pair.answerer)
        mine = Ramp()
        sender = pair.offerer.addTrack(mine)
        assert sender.track is mine
        await pair.connect()
        seen = await frames(await got, 10)
        assert {(frame.width, frame.height) for frame in seen} == {(64, 48)}
    assert mine.readyState == "live"
    mine.stop()


@scenario
async def test_a_remote_track_into_aiortcs_relay_and_blackhole(scene):
    async with PeerPair(network=scene.network) as pair:
        got = first_track(pair.answerer)
        pair.offerer.addTrack(VideoStreamTrack())
        await pair.connect()
        relay = MediaRelay()
        remote = await got
        copies = [relay.subscribe(remote), relay.subscribe(remote, buffered=False)]
        hole = MediaBlackhole()
        hole.addTrack(copies[0])
        await hole.start()
        await frames(copies[1], 5)
        await hole.stop()
        for copy in copies:
            copy.stop()


@pytest.fixture
def film(tmp_path):
    """A second of picture and sound."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=48000)
        audio.layout = "stereo"
        for number in range(45):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([40 + number]) * plane.buffer_size)
            frame.pts, frame.time_base = number, fractions.Fraction(1, 30)
            container.mux(video.encode(frame))
        for number in range(70):
            sound = av.AudioFrame("fltp", "stereo", 1024)
            for plane in sound.planes:
                plane.update(bytes(plane.buffer_size))
            sound.sample_rate, sound.pts, sound.time_base = 48000, number * 1024, fractions.Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


class Counted(MediaStreamTrack):
    """Another track, and how many frames of it were read."""

    def __init__(self, track):
        super().__init__()
        self.kind, self.track, self.count = track.kind, track, 0

    async def recv(self):
        frame = await self.track.recv()
        self.count += 1
        return frame


async def test_player_to_recorder(film, tmp_path):
    """MediaPlayer lives on the wall clock: real sockets, real time."""
    async with no_leaks(grace=15), PeerPair() as pair:
        player = MediaPlayer(str(film), loop=True)
        out = tmp_path / "out.mp4"
        recorder = MediaRecorder(str(out))
        tracks = []

        def record(event):
            tracks.append(Counted(event.track))
            recorder.addTrack(tracks[-1])

        pair.answerer.ontrack = record
        pair.offerer.addTrack(player.audio)
        pair.offerer.addTrack(player.video)
        await pair.connect()
        assert sorted(track.kind for track in tracks) == ["audio", "video"]
        await recorder.start()
        async with asyncio.timeout(30):
            while min(track.count for track in tracks) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await recorder.stop()
        for track in (player.audio, player.video):
            assert track.readyState == "live"
            track.stop()
    with av.open(str(out)) as container:
        assert {stream.type for stream in container.streams} == {"audio", "video"}
        assert sum(1 for _ in container.decode(video=0)) > 5
