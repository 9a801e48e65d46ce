"""Remote tracks into files as they came, and files sent as they are."""

import asyncio
from itertools import pairwise
from pathlib import Path

import av
import pytest

from rtcpeer import MediaPlayer, MediaRecorder, NotSupportedError, OperationError, RTCRtpSender
from rtcpeer.aiortc.contrib import media as dropin_media
from rtcpeer.media.video import annexb
from rtcpeer.testing import PeerPair, VirtualNetwork, synthetic_track
from tests.scenarios.bots import Bots
from tests.scenarios.test_aiortc_dropin import Programs
from tests.scenarios.virtual import scenario

PICTURE = {"width": 64, "height": 48, "frameRate": 15}


def content(path):
    """What a file holds, by kind: times and bytes of its packets; and how many pictures and samples they give."""
    packets, frames = {"audio": [], "video": []}, {"audio": 0, "video": 0}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                at = float(packet.pts * packet.time_base)
                packets[packet.stream.type].append((at, bytes(packet)))
            for frame in packet.decode():
                frames[packet.stream.type] += getattr(frame, "samples", 1)
    return packets, frames


def nal_units(data):
    """Units of H.264 as files have them: behind their lengths, without trailing zeros."""
    found = []
    while data:
        size = int.from_bytes(data[:4])
        found.append(data[4 : 4 + size].rstrip(b"\0"))
        data = data[4 + size :]
    return found


def prefer(pc, name):
    codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType == f"video/{name}"]
    for transceiver in pc.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences(codecs[:1])


@pytest.mark.parametrize(
    ("codec", "extension"),
    [
        ("VP8", "webm"),
        ("VP8", "mkv"),
        ("VP9", "mkv"),
        ("H264", "mp4"),
        ("AV1", "mkv"),
        ("VP9", "mp4"),
        ("H264", "mkv"),
    ],
)
def test_frames_are_written_as_they_came(tmp_path: Path, codec, extension):
    path = tmp_path / f"call.{extension}"

    @scenario
    async def run(scene):
        async with PeerPair(network=scene.network) as pair:
            tracks = [synthetic_track("audio", {}), synthetic_track("video", PICTURE)]
            for track in tracks:
                pair.offerer.addTrack(track)
            prefer(pair.offerer, codec)
            arrived = {"audio": [], "video": []}
            recorder = MediaRecorder(str(path), transcode=False)

            async def spy(receiver):
                async for frame in receiver.encodedFrames():
                    arrived[receiver.track.kind].append(frame.data)

            readers = []

            def take(event):
                readers.append(asyncio.ensure_future(spy(event.receiver)))
                recorder.addTrack(event.track)

            pair.answerer.ontrack = take
            await recorder.start()
            await pair.connect()
            await asyncio.sleep(3)
            await recorder.stop()
            receiving = {r.track.kind: await r.getStats() for r in pair.answerer.getReceivers()}
            for track in tracks:
                track.stop()
            for reader in readers:
                reader.cancel()
        for stats in receiving.values():
            assert {
                s.framesDecoded for s in stats.values() if s.type == "inbound-rtp" and s.kind == "video"
            } <= {0}
        packets, frames = content(path)
        assert len(packets["video"]) > 30
        assert len(packets["audio"]) > 100
        assert frames["video"] >= len(packets["video"]) - 1
        assert frames["audio"] / 48000 == pytest.approx(len(packets["audio"]) / 50, abs=0.1)
        for kind in ("audio", "video"):
            times = [at for at, _data in packets[kind]]
            assert all(later > earlier for earlier, later in pairwise(times))
            if codec != "AV1" or kind == "audio":  # containers leave out AV1's temporal delimiters
                written = [data for _at, data in packets[kind]]
                if codec == "H264" and kind == "video":
                    written = [nal_units(data) for data in written]
                    arrived[kind] = [list(annexb.units(data)) for data in arrived[kind]]
                begin = arrived[kind].index(written[0])
                assert written == arrived[kind][begin : begin + len(written)]

    run()


def test_what_the_container_cannot_hold_is_encoded_or_refused(tmp_path: Path):
    @scenario
    async def run(scene):
        async with PeerPair(network=scene.network) as pair:
            track = synthetic_track("video", PICTURE)
            pair.offerer.addTrack(track)
            prefer(pair.offerer, "VP8")
            made, refused = (
                MediaRecorder(str(tmp_path / "made.mp4")),
                MediaRecorder(str(tmp_path / "refused.mp4"), transcode=False),
            )
            pair.answerer.ontrack = lambda e: [r.addTrack(e.track) for r in (made, refused)]
            await made.start()
            await refused.start()
            await pair.connect()
            await asyncio.sleep(2)
            await made.stop()
            with pytest.raises(OperationError, match="cannot hold the video of VP8 as it comes") as caught:
                await refused.stop()
            assert isinstance(caught.value.__cause__, NotSupportedError)
            track.stop()
        assert content(tmp_path / "made.mp4")[1]["video"] > 15

    run()


async def test_a_recording_goes_on_over_new_connections(
    virtual_network: VirtualNetwork, tmp_path: Path
) -> None:
    """Both ways of recording: one file as it came, one encoded."""
    paths = [tmp_path / "copied.mkv", tmp_path / "made.mkv"]
    async with Bots(virtual_network) as bots:
        recorders = [
            MediaRecorder(str(path), transcode=how) for path, how in zip(paths, (False, True), strict=True)
        ]
        bots.bob.ontrack = lambda e: [recorder.addTrack(e.track) for recorder in recorders]
        tracks = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
        for track in tracks:
            bots.alice.addTrack(track)
        await asyncio.sleep(1)
        for recorder in recorders:
            await recorder.start()
        await asyncio.sleep(2)
        bots.alice.restart()
        await asyncio.sleep(1)
        bots.bob.recreate()
        await asyncio.sleep(2)
        bots.alice.recreate()
        await asyncio.sleep(2)
        for recorder in recorders:
            await recorder.stop()
        for track in tracks:
            track.stop()
    await asyncio.sleep(0)
    for path in paths:
        packets, frames = content(path)
        assert frames["video"] > 60
        for kind in ("audio", "video"):
            times = [at for at, _data in packets[kind]]
            assert times[-1] - times[0] == pytest.approx(7, abs=0.8)
            assert all(0 < later - earlier < 1.5 for earlier, later in pairwise(times))


def test_a_file_is_sent_as_it_is(tmp_path: Path):
    """What a recorder wrote without encoding is played without decoding, and arrives bit for bit."""
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=30, options={"deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number]) * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    @scenario
    async def run(scene):
        async with PeerPair(network=scene.network) as pair:
            player = MediaPlayer(str(path), decode=False, loop=True)
            recorder = MediaRecorder(str(tmp_path / "again.mkv"), transcode=False)
            pair.offerer.addTrack(player.video)
            prefer(pair.offerer, "VP8")
            pair.answerer.ontrack = lambda e: recorder.addTrack(e.track)
            await recorder.start()
            await pair.connect()
            await asyncio.sleep(6)
            await recorder.stop()
            player.stop()

    run()
    original = [data for _at, data in content(path)[0]["video"]]
    again = [data for _at, data in content(tmp_path / "again.mkv")[0]["video"]]
    assert len(again) > 90
    assert set(again) == set(original)


@pytest.mark.parametrize("extension", ["mp4", "webm"])
def test_a_server_written_for_aiortc_records_sound_and_picture(tmp_path: Path, extension):
    """The shape of aiortc's example server: the recorder starts before the answer, pictures come through a relay."""
    path = tmp_path / f"call.{extension}"

    @scenario
    async def run(scene):
        async with Programs(scene) as programs:
            client, server, relay = programs.client, programs.server, dropin_media.MediaRelay()
            recorder = dropin_media.MediaRecorder(str(path))

            @server.on("track")
            def on_track(track):
                if track.kind == "audio":
                    server.addTrack(synthetic_track("audio", {}))
                    recorder.addTrack(track)
                else:
                    server.addTrack(relay.subscribe(track))
                    recorder.addTrack(relay.subscribe(track))

                @track.on("ended")
                async def on_ended():
                    await recorder.stop()

            tracks = [synthetic_track("audio", {}), synthetic_track("video", PICTURE)]
            for track in tracks:
                client.addTrack(track)
            await client.setLocalDescription(await client.createOffer())
            await server.setRemoteDescription(client.localDescription)
            await recorder.start()
            await server.setLocalDescription(await server.createAnswer())
            await client.setRemoteDescription(server.localDescription)
            await programs.connected()
            await asyncio.sleep(3)
            await client.close()
            await asyncio.sleep(1)
            await recorder.stop()

    run()
    packets, frames = content(path)
    assert frames["video"] > 30
    assert frames["audio"] > 2.5 * 48000
    for kind in ("audio", "video"):
        times = sorted(at for at, _data in packets[kind])
        assert times[-1] - times[0] == pytest.approx(3, abs=0.5)
