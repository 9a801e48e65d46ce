"""Encoded frames: read from a receiver, written to a track, changed and encrypted on their way."""

import asyncio
import contextlib
import fractions
import itertools

import av
import pytest

from rtcpeer import (
    EncodedTrack,
    Forwarder,
    InvalidStateError,
    RTCEncodedAudioFrame,
    RTCEncodedVideoFrame,
    RTCRtpScriptTransform,
    SFrameTransform,
)
from rtcpeer.testing import PeerPair, synthetic_track
from tests.scenarios.test_forwarding import PICTURE, first_track, pictures, receiver_of
from tests.scenarios.virtual import scenario

SUITE = "AES_128_GCM_SHA256_128"


def vp8_packets(count, *, size=(64, 48), keys=30):
    """Pictures of one moving square, encoded once."""
    codec = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height = size
    codec.pix_fmt, codec.time_base = "yuv420p", fractions.Fraction(1, 90000)
    codec.options = {"deadline": "realtime", "g": str(keys)}
    packets = []
    for index in range(count):
        frame = av.VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, (index * 7 % 200 + 20, 90, 160), strict=True):
            plane.update(bytes((value,)) * plane.buffer_size)
        frame.pts = index * 3000
        packets += codec.encode(frame)
    return packets


async def write_all(track, packets, interval=1 / 30):
    for packet in packets:
        await track.write(packet)
        await asyncio.sleep(interval)


async def read(receiver, count):
    frames = []
    async with receiver.encodedFrames() as reader:
        async for frame in reader:
            frames.append(frame)
            if len(frames) == count:
                return frames
    return frames


@scenario
async def test_written_pictures_arrive_bit_for_bit(scene):
    packets = vp8_packets(60)
    async with PeerPair(network=scene.network) as pair:
        track = EncodedTrack("video", "video/VP8")
        asked = []
        track.onkeyframerequest = lambda event: asked.append(scene.now())
        pair.offerer.addTrack(track)
        await pair.connect()
        receiver = receiver_of(pair.answerer, "video")
        reading = asyncio.ensure_future(read(receiver, 20))
        await asyncio.sleep(0.1)
        await write_all(track, packets)
        frames = await reading
        assert asked
        sent = [bytes(packet) for packet in packets]
        begin = sent.index(frames[0].data)
        assert [frame.data for frame in frames] == sent[begin : begin + 20]
        assert [frame.type for frame in frames[:2]] == ["key", "delta"]
        assert isinstance(frames[0], RTCEncodedVideoFrame)
        metadata = frames[0].getMetadata()
        assert (metadata.width, metadata.height, metadata.mimeType) == (64, 48, "video/VP8")
        assert metadata.rtpTimestamp == frames[0].timestamp
        assert {b.time - a.time for a, b in itertools.pairwise(frames)} == {3000}
        assert frames[1].packet().pts == frames[1].time
        # nothing was decoded, nothing encoded
        stats = (await pair.answerer.getStats()).values()
        assert [s["framesDecoded"] for s in stats if s["type"] == "inbound-rtp"] == [0]
        track.stop()
        with pytest.raises(InvalidStateError):
            await track.write(packets[0])


@scenario
async def test_a_copy_of_what_arrives_is_sent_on_by_hand(scene):
    """A relay in five lines, of frames instead of packets."""
    async with contextlib.AsyncExitStack() as stack:
        relay = scene.network.add_host("relay")
        first = await stack.enter_async_context(PeerPair(hosts=(scene.network.add_host("a"), relay)))
        second = await stack.enter_async_context(PeerPair(hosts=(relay, scene.network.add_host("b"))))
        sources = [synthetic_track("audio"), synthetic_track("video", PICTURE)]
        for source in sources:
            first.offerer.addTrack(source)
        await first.connect()
        copies = [EncodedTrack("audio"), EncodedTrack("video")]
        arriving = [first_track(second.answerer, kind) for kind in ("audio", "video")]
        for copy in copies:
            second.offerer.addTrack(copy)
        await second.connect()
        receivers = [receiver_of(first.answerer, kind) for kind in ("audio", "video")]
        copies[1].onkeyframerequest = lambda event: receivers[1].requestKeyFrame()

        async def carry(receiver, copy):
            async for frame in receiver.encodedFrames():
                await copy.write(frame)

        tasks = [asyncio.ensure_future(carry(r, c)) for r, c in zip(receivers, copies, strict=True)]
        sound, video = [await track for track in arriving]
        assert len(await pictures(sound, 20)) == 20
        assert (await pictures(video, 10))[-1].width == 64
        await first.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 1)
        for source in [*sources, *copies]:
            source.stop()


@pytest.mark.parametrize("kind", ["audio", "video"])
@scenario
async def test_a_script_changes_frames_and_changes_them_back(scene, kind):
    seen = []

    async def invert(transformer):
        async for frame in transformer.readable:
            seen.append((transformer.options, type(frame)))
            frame.data = bytes(255 - byte for byte in frame.data)
            await transformer.writable.write(frame)

    source = synthetic_track(kind, PICTURE if kind == "video" else {})
    async with PeerPair(network=scene.network) as pair:
        arriving = first_track(pair.answerer, kind)
        sender = pair.offerer.addTrack(source)
        sender.transform = RTCRtpScriptTransform(invert, "out")
        await pair.connect()
        receiver = receiver_of(pair.answerer, kind)
        receiver.transform = RTCRtpScriptTransform(invert, "in")
        assert len(await pictures(await arriving, 10)) == 10
        expected = RTCEncodedVideoFrame if kind == "video" else RTCEncodedAudioFrame
        assert set(seen) == {("out", expected), ("in", expected)}
        # one transform has one owner
        with pytest.raises(InvalidStateError):
            receiver.transform = sender.transform
        with pytest.raises(TypeError):
            sender.transform = invert
        sender.transform = receiver.transform = None
        assert len(await pictures(await arriving, 10)) == 10
        source.stop()


@scenario
async def test_a_transform_makes_and_asks_for_key_frames(scene):
    keys, transformers = [], {}

    async def count(transformer):
        transformers[transformer.options] = transformer
        async for frame in transformer.readable:
            if frame.type == "key" and transformer.options == "out":
                keys.append(frame)
            await transformer.writable.write(frame)

    source = synthetic_track("video", PICTURE)
    async with PeerPair(network=scene.network) as pair:
        arriving = first_track(pair.answerer, "video")
        sender = pair.offerer.addTrack(source)
        sender.transform = RTCRtpScriptTransform(count, "out")
        await pair.connect()
        receiver = receiver_of(pair.answerer, "video")
        receiver.transform = RTCRtpScriptTransform(count, "in")
        await pictures(await arriving, 5)
        before = len(keys)
        await asyncio.wait_for(transformers["out"].generateKeyFrame(), 2)
        assert len(keys) in (before, before + 1)
        await asyncio.sleep(0.3)
        assert len(keys) == before + 1
        refused = []

        def refuse(event):
            refused.append(event.rid)
            event.preventDefault()

        transformers["out"].onkeyframerequest = refuse
        await transformers["in"].sendKeyFrameRequest()
        await asyncio.sleep(0.5)
        assert refused == [None]
        assert len(keys) == before + 1
        transformers["out"].onkeyframerequest = None
        await transformers["in"].sendKeyFrameRequest()
        await asyncio.sleep(0.5)
        assert len(keys) == before + 2
        with pytest.raises(InvalidStateError):
            await transformers["in"].generateKeyFrame()
        with pytest.raises(InvalidStateError):
            await transformers["out"].sendKeyFrameRequest()
        with pytest.raises(LookupError):
            await transformers["out"].generateKeyFrame("x")
        with pytest.raises(TypeError):
            await transformers["out"].generateKeyFrame("no rid!")
        source.stop()


async def sframe(key, key_id, **options):
    transform = SFrameTransform(cipherSuite=SUITE, **options)
    await transform.setEncryptionKey(key, key_id)
    return transform


@scenario
async def test_encrypted_pictures_pass_a_relay_that_cannot_read_them(scene):
    source = synthetic_track("video", PICTURE)
    async with contextlib.AsyncExitStack() as stack:
        relay = scene.network.add_host("relay")
        first = await stack.enter_async_context(PeerPair(hosts=(scene.network.add_host("a"), relay)))
        first.offerer.addTrack(source).transform = await sframe(b"secret", 3, clearHeaders=True)
        await first.connect()
        second = await stack.enter_async_context(PeerPair(hosts=(relay, scene.network.add_host("b"))))
        arriving = first_track(second.answerer, "video")
        transceiver = second.offerer.addTransceiver("video", direction="sendonly")
        Forwarder(receiver_of(first.answerer, "video")).add(transceiver.sender)
        await second.connect()
        receiver_of(second.answerer, "video").transform = await sframe(b"secret", 3, clearHeaders=True)
        assert (await pictures(await arriving, 10))[-1].width == 64
        source.stop()


@pytest.mark.parametrize("kind", ["audio", "video"])
@scenario
async def test_who_has_the_wrong_key_gets_nothing_but_an_event(scene, kind):
    source = synthetic_track(kind, PICTURE if kind == "video" else {})
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTrack(source).transform = await sframe(b"secret", 3)
        arriving = first_track(pair.answerer, kind)
        await pair.connect()
        receiver = receiver_of(pair.answerer, kind)
        receiver.transform = await sframe(b"secret", 3)
        track = await arriving
        await pictures(track, 5)
        failures = []
        receiver.transform = transform = await sframe(b"wrong", 3)
        transform.onerror = lambda event: failures.append((event.errorType, event.keyID))
        with pytest.raises(TimeoutError):
            # what was under way may still come
            await asyncio.wait_for(pictures_for_ever(track), 1)
        assert set(failures) == {("authentication", None)}
        await transform.setEncryptionKey(b"secret", 3)
        await pictures(track, 5)
        receiver.transform = transform = await sframe(b"secret", 4)
        transform.onerror = lambda event: failures.append((event.errorType, event.keyID))
        await asyncio.sleep(0.2)
        assert failures[-1] == ("keyID", 3)
        source.stop()


async def pictures_for_ever(track):
    while True:
        await track.recv()
