from __future__ import annotations

import asyncio
import dataclasses
import fractions
import itertools
import random
import threading

import av
import pytest

from rtcpeer.errors import InvalidStateError, OperationError
from rtcpeer.media import aiortc_adapter
from rtcpeer.media.codecs import capabilities
from rtcpeer.media.decoding import DecodeQueue
from rtcpeer.media.receiver import MediaReceiver
from rtcpeer.media.sender import KEYFRAME_INTERVAL, MediaSender
from rtcpeer.media.track import RemoteTrack
from rtcpeer.rtp import rtcp as rtcp_packets
from rtcpeer.rtp.packet import URI_TRANSPORT_CC
from rtcpeer.rtp.parameters import ReceiveParameters, RemoteSource, SendEncoding, SendParameters
from tests.unit.media.pipes import lossy, until
from tests.unit.media.rig import Pictures, Tone, connect, make_ends


class Call:
    """A sender on one end, a receiver on the other."""

    def __init__(self, kind, codec=None, *, mid="0", ssrc=1000):
        self.kind = kind
        self.ends = make_ends()
        self.sender = MediaSender(kind, name="sender")
        self.track = RemoteTrack(kind)
        self.receiver = MediaReceiver(kind, self.track, name="receiver")
        caps = capabilities(kind)
        codecs = caps.send
        if codec is not None:
            name, _, profile = codec.partition(" ")
            chosen = next(
                c for c in codecs if c.name == name and profile in (c.parameter("profile-level-id") or "")
            )
            apt = str(chosen.payload_type)
            codecs = (
                chosen,
                *(c for c in codecs if c.parameter("apt") == apt or c.name == "telephone-event"),
            )
        extensions = caps.header_extensions
        self.send = SendParameters(mid, codecs, (SendEncoding(ssrc, ssrc + 1),), extensions, "cname")
        self.receive = ReceiveParameters(mid, codecs, (RemoteSource(ssrc, ssrc + 1),), extensions)

    async def begin(self, track=None, **encoding):
        a, b = self.ends
        self.sender.attach(a.dtls)
        self.receiver.attach(b.dtls)
        self.receiver.configure(self.receive)
        self.update(**encoding)
        if track is not None:
            self.sender.set_track(track)
        await connect(a, b)

    def update(self, **encoding):
        (one,) = self.send.encodings
        self.send = dataclasses.replace(self.send, encodings=(dataclasses.replace(one, **encoding),))
        self.sender.configure(self.send)

    async def frames(self, count, timeout=60.0):
        async with asyncio.timeout(timeout):
            return [await self.track.recv() for _ in range(count)]

    async def end(self):
        await self.sender.stop()
        await self.receiver.stop()
        self.track.end()
        for end in self.ends:
            await end.stop()

    @property
    def outbound(self):
        return self.sender.stats()[0]

    @property
    def inbound(self):
        return self.receiver.stats()[0]


@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1", "H265", "H264 640034"])
async def test_video(codec):
    call = Call("video", codec)
    await call.begin(Pictures(96, 64, grey=180))

    frames = await call.frames(10)

    assert {(f.width, f.height) for f in frames} == {(96, 64)}
    assert abs(bytes(frames[-1].planes[0])[10] - 180) < 12
    assert all(b.pts > a.pts for a, b in itertools.pairwise(frames))
    assert call.outbound["framesEncoded"] >= 10
    assert call.outbound["encodingIndex"] == 0
    assert call.inbound["framesDecoded"] >= 10
    assert call.inbound["frameWidth"] == call.outbound["frameWidth"] == 96
    await call.end()


@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU", "PCMA"])
async def test_audio(codec):
    call = Call("audio", codec)
    await call.begin(Tone())

    frames = await call.frames(10)

    assert frames[-1].format.name == "s16"
    assert max(abs(x) for x in memoryview(frames[-1].planes[0]).cast("B").cast("h")) > 2000
    assert call.inbound["totalAudioEnergy"] > 0
    assert call.sender.source_stats()["audioLevel"] > 0.2
    await call.end()


@pytest.mark.parametrize(
    "tone",
    [
        Tone(8000),
        Tone(44100, "stereo"),
        Tone(fmt="fltp", layout="stereo"),
        Tone(48000, "5.1", "flt"),
        Tone(16000, "mono", "s16p"),
    ],
    ids=lambda t: f"{t.rate}{t.layout}{t.fmt}",
)
async def test_audio_of_any_format(tone):
    call = Call("audio", "opus")
    await call.begin(tone)

    assert len(await call.frames(5)) == 5

    await call.end()


async def test_audio_level_goes_along():
    call = Call("audio", "opus")
    await call.begin(Tone(level=16384))
    await call.frames(3)

    (source,) = call.receiver.sources()

    assert source.source == 1000
    assert 0.3 < source.audio_level < 0.7
    assert source.rtp_timestamp > 0
    await call.end()


async def test_a_track_is_unmuted_by_its_first_packet():
    call = Call("video")
    events = []
    call.track.addEventListener("unmute", lambda event: events.append(event.type))
    assert call.track.muted

    await call.begin(Pictures())
    await until(lambda: events)

    assert not call.track.muted
    await call.end()


async def test_what_nobody_reads_is_not_decoded_and_then_begins_at_once():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await until(lambda: call.receiver.stats() and call.inbound["packetsReceived"] > 40)
    assert call.inbound["framesDecoded"] == 0
    assert threading.active_count() < 8

    await call.frames(3, timeout=1.0)

    assert call.inbound["pliCount"] >= 1
    assert call.outbound["pliCount"] >= 1
    await call.end()


async def test_replace_track_keeps_the_stream():
    call = Call("video", "VP8")
    first, second = Pictures(grey=40), Pictures(32, 32, grey=200)
    await call.begin(first)
    before = await call.frames(5)

    call.sender.set_track(second)
    async with asyncio.timeout(60):
        while (frame := await call.track.recv()).width != 32:
            before.append(frame)
    call.sender.set_track(None)
    await asyncio.sleep(0.05)
    call.sender.set_track(first)
    async with asyncio.timeout(60):
        while (await call.track.recv()).width != 64:
            pass

    assert first.readyState == second.readyState == "live"
    assert len(call.receiver.stats()) <= 2
    assert call.inbound["packetsLost"] == 0
    assert frame.pts > before[-1].pts
    await call.end()


async def test_a_codec_change_keeps_the_ssrc():
    call = Call("video")
    await call.begin(Pictures())
    await call.frames(3)
    assert call.outbound["payloadType"] == call.receive.codecs[0].payload_type

    h264 = tuple(c for c in call.send.codecs if c.name == "H264")
    call.sender.configure(dataclasses.replace(call.send, codecs=h264))
    await until(lambda: call.inbound["payloadType"] == h264[0].payload_type)

    assert len(await call.frames(5)) == 5
    assert call.outbound["ssrc"] == 1000
    assert call.inbound["packetsLost"] == 0
    await call.end()


async def test_start_and_stop_as_often_as_one_likes():
    call = Call("audio", "opus")
    track = Tone()
    await call.begin(track)
    for _ in range(3):
        await call.frames(3)
        call.sender.configure(None)
        given = track.given
        await asyncio.sleep(0.03)
        assert track.given <= given + 1
        call.sender.configure(call.send)
    await call.frames(3)

    assert call.inbound["packetsLost"] == 0
    assert track.readyState == "live"
    await call.end()


async def test_directions_of_the_receiver():
    call = Call("audio", "opus")
    await call.begin(Tone())
    await call.frames(2)
    call.receiver.configure(None)
    received = call.inbound["packetsReceived"]
    await asyncio.sleep(0.03)
    assert call.inbound["packetsReceived"] == received

    call.receiver.configure(call.receive)

    assert len(await call.frames(2)) == 2
    await call.end()


async def test_encodings():
    call = Call("video", "VP8")
    track = Pictures(128, 96)
    await call.begin(track, scale_resolution_down_by=2.0, max_bitrate=60_000)
    frames = await call.frames(3)
    assert {(f.width, f.height) for f in frames} == {(64, 48)}
    assert call.outbound["targetBitrate"] == 60_000

    call.update(scale_resolution_down_by=2.0, scale_resolution_down_to=(96, 96))
    assert {(f.width, f.height) for f in (await call.frames(6))[-2:]} == {(96, 72)}

    call.update(scale_resolution_down_by=1.0, scale_resolution_down_to=None, max_framerate=0)
    await asyncio.sleep(0.03)
    sent = call.outbound["framesSent"]
    await asyncio.sleep(0.05)
    assert call.outbound["framesSent"] == sent

    call.update(max_framerate=None, active=False)
    given = track.given
    await asyncio.sleep(0.05)
    assert track.given <= given + 1

    call.update(active=True, max_framerate=10)
    loop, count = asyncio.get_running_loop(), call.outbound["framesSent"]
    begun = loop.time()
    await until(lambda: call.outbound["framesSent"] >= count + 4)
    # by the clock, whatever the track's own time says
    assert loop.time() - begun > 0.2
    await call.end()


async def test_one_track_feeds_two_senders_whole():
    track = Pictures(interval=0.02)
    calls = [Call("video", "VP8"), Call("video", "H264")]
    for call in calls:
        await call.begin(track)
    await asyncio.gather(*(call.frames(10) for call in calls))

    # both got what the track gave since the later one began
    sent = [call.outbound["framesEncoded"] for call in calls]
    assert min(sent) >= track.given - 6
    await calls[0].end()
    assert track.readyState == "live"
    assert len(await calls[1].frames(3)) == 3
    await calls[1].end()


async def test_a_disabled_track_sends_black():
    call = Call("video", "VP8")
    track = Pictures(grey=200)
    await call.begin(track)
    await call.frames(2)

    track.enabled = False
    async with asyncio.timeout(60):
        while bytes((await call.track.recv()).planes[0])[10] > 20:
            pass

    await call.end()


async def test_loss_is_repaired():
    call = Call("video", "VP8")
    await call.begin(Pictures(256, 192, interval=0.01))
    await call.frames(2)
    media = lossy(3, 0.1, lambda data: 127 < data[0] < 192)
    call.ends[0].pipe.drop = media

    await call.frames(60)

    call.ends[0].pipe.drop = lambda data: False
    assert call.outbound["nackCount"] > 0
    assert call.outbound["retransmittedPacketsSent"] > 0
    assert call.inbound["retransmittedPacketsReceived"] > 0
    await call.end()


async def test_reports_both_ways(monkeypatch):
    monkeypatch.setattr("rtcpeer.rtp.session.RTCP_INTERVAL", 0.02)
    call = Call("audio", "opus")
    await call.begin(Tone())
    await call.frames(5)

    await until(lambda: len(call.sender.stats()) == 2 and len(call.receiver.stats()) == 2)
    await until(lambda: call.sender.stats()[1].get("roundTripTime") is not None)

    remote_inbound = call.sender.stats()[1]
    remote_outbound = call.receiver.stats()[1]
    assert remote_inbound["type"] == "remote-inbound-rtp"
    assert remote_inbound["packetsLost"] == 0
    assert 0 <= remote_inbound["roundTripTime"] < 0.5
    assert remote_outbound["packetsSent"] > 0
    await call.end()


async def test_statistics_of_pictures_on_their_way(monkeypatch):
    """From the first packet of a picture until it is decoded: a quarter of a second each."""
    hand_on = DecodeQueue._hand_on

    def later(queue, job, frames):
        job.received_at -= 0.25
        hand_on(queue, job, frames)

    monkeypatch.setattr(DecodeQueue, "_hand_on", later)
    call = Call("video", "VP8")
    call.receive = dataclasses.replace(call.receive, sources=(RemoteSource(1000, 1001),))
    await call.begin(Pictures())
    await call.frames(3)

    inbound = call.inbound
    assert inbound["framesDecoded"] >= 3
    assert inbound["totalDecodeTime"] > 0
    assert inbound["totalProcessingDelay"] == pytest.approx(inbound["framesDecoded"] / 4)
    assert (inbound["ssrc"], inbound["rtxSsrc"]) == (1000, 1001)
    await call.end()


async def test_a_stream_whose_retransmissions_nothing_has_named_has_no_ssrc_of_them():
    call = Call("video", "VP8")
    call.receive = dataclasses.replace(call.receive, sources=())
    await call.begin(Pictures())
    await call.frames(2)

    assert "rtxSsrc" not in call.inbound
    await call.end()


async def test_bye_mutes_and_does_not_end():
    call = Call("audio", "opus")
    await call.begin(Tone())
    await call.frames(2)

    await call.sender.stop()
    await until(lambda: call.track.muted)

    assert call.track.readyState == "live"
    await call.end()


async def test_a_stream_that_nobody_announced_is_found_by_mid():
    call = Call("video", "VP8")
    call.receive = dataclasses.replace(call.receive, sources=())
    await call.begin(Pictures())

    assert len(await call.frames(3)) == 3

    await call.end()


async def test_simulcast_is_sent_and_one_layer_is_shown():
    call = Call("video", "VP8")
    layers = tuple(
        SendEncoding(1000 + 10 * n, 1001 + 10 * n, rid=str(n), scale_resolution_down_by=2.0**n)
        for n in range(3)
    )
    call.send = dataclasses.replace(call.send, encodings=layers)
    call.receive = dataclasses.replace(call.receive, sources=())
    a, b = call.ends
    call.sender.attach(a.dtls)
    call.receiver.attach(b.dtls)
    call.receiver.configure(call.receive)
    call.sender.configure(call.send)
    call.sender.set_track(Pictures(256, 192))
    await connect(a, b)

    frames = await call.frames(10)

    assert len({frame.width for frame in frames}) == 1
    assert sorted(s["frameWidth"] for s in call.sender.stats() if s["type"] == "outbound-rtp") == [
        64,
        128,
        256,
    ]
    assert {s["rid"] for s in call.sender.stats() if s["type"] == "outbound-rtp"} == {"0", "1", "2"}
    await call.end()


async def test_a_new_ssrc_is_shown_when_the_old_one_is_silent(monkeypatch):
    monkeypatch.setattr("rtcpeer.media.delivery.SWITCH_AFTER", 0.03)
    call = Call("video", "VP8")
    call.receive = dataclasses.replace(call.receive, sources=())
    await call.begin(Pictures())
    before = await call.frames(5)

    call.update(ssrc=2000, rtx_ssrc=2001)
    after = await call.frames(8)

    assert [s["ssrc"] for s in call.receiver.stats() if s["type"] == "inbound-rtp"] == [1000, 2000]
    assert after[-1].pts > before[-1].pts
    await call.end()


async def test_two_sections_with_the_same_payload_types():
    a, b = make_ends()
    calls = [Call("video", "VP8", mid=str(n), ssrc=100 * (n + 1)) for n in range(2)]
    for n, call in enumerate(calls):
        call.receive = dataclasses.replace(call.receive, sources=())
        call.ends = (a, b)
        call.sender.attach(a.dtls)
        call.receiver.attach(b.dtls)
        call.receiver.configure(call.receive)
        call.sender.configure(call.send)
        call.sender.set_track(Pictures(32 * (n + 1), 32))
    await connect(a, b)

    for n, call in enumerate(calls):
        assert {f.width for f in await call.frames(4)} == {32 * (n + 1)}

    for call in calls:
        await call.end()


async def test_the_users_broken_track_is_its_own_affair(caplog):
    class Broken(Pictures):
        async def recv(self):
            if self.given > 3:
                raise RuntimeError("no camera")
            return await super().recv()

    call = Call("video", "VP8")
    await call.begin(Broken())
    await until(lambda: any("no camera" in str(r.exc_info) for r in caplog.records))

    call.sender.set_track(Pictures())

    assert len(await call.frames(3)) == 3
    await call.end()


async def test_sound_without_samples_is_no_sound_and_no_end():
    class Now(Tone):
        async def recv(self):
            if self.given % 5:
                return await super().recv()
            self.given += 1
            return av.AudioFrame(format=self.fmt, layout=self.layout, samples=0)

    call = Call("audio", "opus")
    await call.begin(Now())

    assert len(await call.frames(20)) == 20
    await call.end()


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_recv_that_returns_none_is_told_unless_the_track_has_ended(is_stopped, caplog):
    class Forgetful(Pictures):
        async def recv(self):
            frame = await super().recv()
            if self.given <= 3:
                return frame
            if is_stopped:
                self.stop()
            return None

    call = Call("video", "VP8")
    track = Forgetful()
    await call.begin(track)
    await until(lambda: track.given > 3)
    await asyncio.sleep(0.05)

    assert ("returned None" in caplog.text) is not is_stopped
    await call.end()


async def test_a_frame_that_cannot_be_encoded_is_told_once():
    class Wrong(Pictures):
        async def recv(self):
            await asyncio.sleep(0.001)
            self.given += 1
            return object()

    call = Call("video", "VP8")
    errors = []
    call.sender.on_error = errors.append
    track = Wrong()
    await call.begin(track)
    await until(lambda: track.given > 10)

    assert [type(e) for e in errors] == [OperationError]
    assert "video/VP8" in str(errors[0])
    assert isinstance(errors[0].__cause__, TypeError)
    await call.end()


async def test_an_ended_track_is_followed_by_another():
    call = Call("video", "VP8")
    await call.begin(Pictures(count=5))
    await call.frames(3)
    await asyncio.sleep(0.05)

    call.sender.set_track(Pictures())

    assert len(await call.frames(3)) == 3
    await call.end()


async def test_tones():
    call = Call("audio", "opus")
    await call.begin(Tone())
    await call.frames(2)
    assert call.sender.can_insert_dtmf
    sent = []
    original = call.ends[1].dtls.rtp._receive_rtp

    def spy(data):
        if data[1] & 0x7F == 110:
            sent.append(data)
        original(data)

    call.ends[1].dtls.rtp._receive_rtp = spy
    call.sender.insert_tone("5", 100)
    await until(lambda: len(sent) >= 7)
    await call.frames(2)

    events = [data[-4:] for data in sent]
    assert {event[0] for event in events} == {5}
    assert [event[1] >> 7 for event in events] == [0] * 5 + [1] * 3
    assert int.from_bytes(events[-1][2:], "big") == 4800
    assert sent[0][1] & 0x80
    assert len({data[4:8] for data in sent}) == 1
    await call.end()


async def test_tones_need_audio_and_a_codec():
    call = Call("video")
    with pytest.raises(InvalidStateError):
        call.sender.insert_tone("1", 100)
    assert not call.sender.can_insert_dtmf
    await call.end()


async def test_nothing_is_left():
    call = Call("video", "VP8")
    track = Pictures()
    await call.begin(track)
    await call.frames(3)

    await call.end()
    for thread in threading.enumerate():
        if thread.name.startswith("rtcpeer-codec"):
            thread.join(10)  # its last job may be under way

    assert len(asyncio.all_tasks()) == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("rtcpeer-codec")]
    assert track.readyState == "live"


async def test_stop_need_not_be_awaited():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)

    call.sender.stop()
    call.receiver.stop()
    call.sender.stop()
    call.receiver.stop()
    call.sender.configure(call.send)
    for end in call.ends:
        await end.stop()
    await asyncio.sleep(0.02)

    assert len(asyncio.all_tasks()) == 1


async def test_reading_an_ended_track_raises():
    track = RemoteTrack("video")
    reader = asyncio.ensure_future(track.recv())
    await asyncio.sleep(0)

    track.end()

    with pytest.raises(aiortc_adapter.MediaStreamError):
        await reader
    with pytest.raises(aiortc_adapter.MediaStreamError):
        await track.recv()


async def test_malformed_media_is_ignored():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)
    session = call.ends[1].dtls.rtp
    rtcp = rtcp_packets.write_nack(1, 1000, [1, 2])

    for data in (b"", b"\x80", bytes(12), b"\x90\x60" + bytes(10), b"\x80\x60" + bytes(10) + b"x" * 40):
        call.ends[1].pipe.receiver(b"\x80" + data)
        try:
            session._receive_rtp(data)
        except ValueError:
            continue
    for data in (b"\x80\xc8", rtcp[:-3], b"\x81\xc8\0\6" + bytes(24), b"\x81\xcd\0\3" + bytes(11), rtcp * 3):
        session._receive_rtcp(data)

    assert len(await call.frames(3)) == 3
    await call.end()


async def test_a_picture_that_is_garbage_leads_to_a_key_frame():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)
    stream = call.receiver._section.streams[1000]
    before = call.inbound["pliCount"]

    class Bad:
        def decode(self, frame):
            raise ValueError("garbage")

    decoder = call.receiver._frames._decoder._decoder
    good, decoder._decoder = decoder._decoder, Bad()
    await until(lambda: stream.frames_dropped > 0)
    decoder._decoder = good

    assert len(await call.frames(2)) == 2
    assert call.inbound["pliCount"] > before
    await call.end()


@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1", "H265"])
async def test_garbage_in_packets_is_a_dropped_picture(codec, caplog):
    call = Call("video", codec)
    await call.begin(Pictures(96, 64))
    await call.frames(2)
    rng, take, spoiled = random.Random(5), call.receiver.on_rtp, []

    def spoil(packet, now):
        if len(spoiled) < 60 and rng.random() < 0.5:
            spoiled.append(packet)
            kind = len(spoiled) % 3
            size = rng.randrange(1, 60)
            packet.payload = (
                rng.randbytes(size)
                if kind == 0
                else packet.payload[:size]
                if kind == 1
                else packet.payload[:3] + rng.randbytes(size)
            )
        take(packet, now)

    call.receiver.on_rtp = spoil
    await until(lambda: len(spoiled) == 60)

    before = call.inbound["framesDecoded"]
    await until(lambda: call.inbound["framesDecoded"] > before + 5)
    assert call.inbound["framesDropped"] > 0
    # the decoder's complaints are expected, an error of ours is not
    assert not [
        record for record in caplog.records if record.levelname == "ERROR" and "rtcpeer" in record.name
    ]
    await call.end()


class Packets(Pictures):
    """Gives encoded pictures, as aiortc's MediaPlayer does without decoding."""

    def __init__(self):
        super().__init__()
        self.codec = av.CodecContext.create("libvpx", "w")
        self.codec.width, self.codec.height = self.width, self.height
        self.codec.pix_fmt = "yuv420p"
        self.codec.time_base = fractions.Fraction(1, 90000)
        self.codec.options = {"lag-in-frames": "0", "deadline": "realtime"}

    async def recv(self):
        frame = await super().recv()
        frame.pict_type = av.video.frame.PictureType.I
        (packet,) = self.codec.encode(frame)
        return packet


async def test_what_is_encoded_already_is_sent_as_it_is():
    call = Call("video", "VP8")
    await call.begin(Packets())

    assert {frame.width for frame in await call.frames(5)} == {64}

    await call.end()


async def test_key_frames_on_request():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)
    await asyncio.sleep(KEYFRAME_INTERVAL)
    before = call.outbound["keyFramesEncoded"]

    call.receiver.request_keyframe()
    await until(lambda: call.outbound["keyFramesEncoded"] > before)
    await asyncio.sleep(KEYFRAME_INTERVAL)
    before = call.outbound["keyFramesEncoded"]
    call.sender.request_keyframe()
    await until(lambda: call.outbound["keyFramesEncoded"] > before)

    await call.end()


class WithoutNumbers(Call):
    """The other end knows REMB alone."""

    def __init__(self, *args):
        super().__init__(*args)
        kept = tuple(e for e in self.send.header_extensions if e.uri != URI_TRANSPORT_CC)
        self.send = dataclasses.replace(self.send, header_extensions=kept)
        self.receive = dataclasses.replace(self.receive, header_extensions=kept)


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H265"])
async def test_the_receivers_estimate_reaches_the_encoder(codec, monkeypatch):
    class Estimator:
        def add(self, send_time, size, ssrc, now):
            assert abs(send_time / 262144 - now % 64) < 1
            return 300_000, [ssrc]

    monkeypatch.setattr("rtcpeer.media.receive_section.RemoteBitrateEstimator", Estimator)
    call = WithoutNumbers("video", codec)
    await call.begin(Pictures())

    await until(lambda: call.outbound.get("targetBitrate") == 300_000)

    await call.end()


async def test_a_decoder_that_is_too_slow_skips_to_a_key_frame(monkeypatch):
    monkeypatch.setattr("rtcpeer.media.decoding.QUEUE_MAX", 3)
    call = Call("video", "VP8")
    await call.begin(Pictures(interval=0.001))
    await call.frames(2)
    decoder = call.receiver._frames._decoder._decoder
    good = decoder._decoder
    slow = threading.Event()

    class Slow:
        def decode(self, frame):
            slow.wait(2)
            return good.decode(frame)

    decoder._decoder = Slow()
    reader = asyncio.ensure_future(call.frames(5))
    await until(lambda: call.inbound["framesDropped"] > 3)
    slow.set()

    assert len(await reader) == 5
    await call.end()


async def test_a_retransmission_that_nobody_announced():
    call = Call("video", "VP8")
    call.receive = dataclasses.replace(call.receive, sources=())
    await call.begin(Pictures(interval=0.01))
    await call.frames(2)
    call.ends[0].pipe.drop = lossy(5, 0.1, lambda data: 127 < data[0] < 192)

    await call.frames(50)

    call.ends[0].pipe.drop = lambda data: False
    assert call.inbound["retransmittedPacketsReceived"] > 0
    await call.end()


async def test_fir_is_a_request_for_a_key_frame():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)
    fir = rtcp_packets.PayloadFeedback(fmt=4, ssrc=1, media_ssrc=0, fci=(1000).to_bytes(4, "big") + bytes(4))

    call.ends[1].dtls.rtp.send_rtcp(bytes(fir))
    await until(lambda: call.outbound["firCount"] == 1)

    await call.end()


async def test_silence_mutes(monkeypatch):
    monkeypatch.setattr("rtcpeer.rtp.session.RTCP_INTERVAL", 0.01)
    monkeypatch.setattr("rtcpeer.media.receiver.SILENCE", 0.05)
    call = Call("audio", "opus")
    await call.begin(Tone())
    await call.frames(2)
    assert not call.track.muted

    call.sender.set_track(None)
    await until(lambda: call.track.muted)
    call.sender.set_track(Tone())
    await until(lambda: not call.track.muted)

    await call.end()


async def test_moving_to_another_transport():
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(2)
    a, b = make_ends()
    await connect(a, b)

    call.sender.attach(a.dtls)
    call.receiver.attach(b.dtls)

    assert len(await call.frames(5)) == 5
    await a.stop()
    await b.stop()
    await call.end()


async def test_a_longer_wait_for_what_is_missing():
    call = Call("video")
    call.receiver.jitter_buffer_target = 900.0
    await call.begin(Pictures())
    await call.frames(2)

    assert call.receiver._section.streams[1000].buffer.wait == 0.9

    await call.end()


async def test_an_outage_ends_with_a_key_frame_and_without_a_burst(monkeypatch):
    monkeypatch.setattr("rtcpeer.rtp.jitter_buffer.OUTAGE", 0.2)
    call = Call("video", "VP8")
    await call.begin(Pictures(256, 192, interval=0.01))
    await call.frames(5)
    pipe = call.ends[0].pipe
    pipe.drop = lambda data: 127 < data[0] < 192
    sent = call.outbound["packetsSent"]
    await until(lambda: call.outbound["packetsSent"] > sent + 30)
    await asyncio.sleep(0.2)
    before = call.outbound

    pipe.drop = lambda data: False
    await call.frames(4)

    after = call.outbound
    assert after["retransmittedPacketsSent"] - before["retransmittedPacketsSent"] < 5
    assert after["keyFramesEncoded"] > before["keyFramesEncoded"]
    await call.end()


@pytest.mark.parametrize(("kind", "codec"), [("video", "VP8"), ("audio", "opus")])
async def test_more_than_half_a_cycle_of_numbers_is_lost_while_the_path_is_there(kind, codec):
    call = Call(kind, codec)
    await call.begin(Pictures() if kind == "video" else Tone())
    await call.frames(3)
    a, _b = call.ends
    a.pipe.blocked = True
    packets = call.sender._section.streams[0].packets
    for _ in range(4):
        # as many as nobody would wait for here
        packets.sequence_number = packets.sequence_number + 17_000 & 0xFFFF
        packets.send_frame(
            call.send.codecs[0].payload_type, [b"lost"], packets.timestamp, marker=True, level=0
        )
    a.pipe.blocked = False
    # more than can have waited
    assert len(await call.frames(30)) == 30
    assert call.ends[1].dtls.undecrypted_for == 0
    await call.end()


async def test_asking_for_what_is_gone_brings_a_key_frame(monkeypatch):
    monkeypatch.setattr("rtcpeer.media.sender.REFRESH_INTERVAL", 0.0)
    call = Call("video", "VP8")
    await call.begin(Pictures())
    await call.frames(5)
    before = call.outbound["keyFramesEncoded"]
    packet = rtcp_packets.write_nack(
        1, 1000, [(call.sender._section.known[1000].packets.sequence_number - 2000) & 0xFFFF]
    )

    call.ends[1].dtls.rtp.send_rtcp(packet)
    await until(lambda: call.outbound["keyFramesEncoded"] > before)

    await call.end()


def delay(before, after):
    """The mean delay in the jitter buffer between two reports, in seconds."""
    emitted = after["jitterBufferEmittedCount"] - before["jitterBufferEmittedCount"]
    return (after["jitterBufferDelay"] - before["jitterBufferDelay"]) / emitted


@pytest.mark.parametrize(("kind", "track", "per_frame"), [("video", Pictures, 1), ("audio", Tone, 960)])
async def test_a_jitter_buffer_target_holds_frames_back(kind, track, per_frame):
    call = Call(kind)
    source = track(interval=0.02)
    await call.begin(source)
    await call.frames(3)
    reports = [call.inbound]
    await call.frames(10)
    reports.append(call.inbound)
    assert delay(*reports) < 0.01
    assert reports[1]["jitterBufferTargetDelay"] == 0

    call.receiver.jitter_buffer_target = 200.0
    await call.frames(12)
    reports.append(call.inbound)
    await call.frames(10)
    reports.append(call.inbound)

    assert 0.15 < delay(*reports[2:]) < 0.25
    emitted = reports[3]["jitterBufferEmittedCount"] - reports[2]["jitterBufferEmittedCount"]
    assert emitted % per_frame == 0
    targets = reports[3]["jitterBufferTargetDelay"] - reports[2]["jitterBufferTargetDelay"]
    assert targets / emitted == pytest.approx(0.2)
    assert reports[3]["jitterBufferMinimumDelay"] / reports[3]["jitterBufferEmittedCount"] < 0.02
    call.receiver.jitter_buffer_target = 0.0
    await call.frames(15)
    reports.append(call.inbound)
    await call.frames(5)
    assert delay(reports[-1], call.inbound) < 0.01
    await call.end()


async def test_nothing_is_held_after_the_end():
    call = Call("audio")
    await call.begin(Tone(interval=0.02))
    await call.frames(2)
    call.receiver.jitter_buffer_target = 4000.0
    await asyncio.sleep(0.1)
    assert not call.receiver._sound.is_idle

    await call.end()

    assert call.receiver._sound.is_idle


class LeftOnly(Tone):
    """A tone in the left channel, silence in the right."""

    async def recv(self):
        frame = await super().recv()
        stereo = av.AudioFrame(format="s16", layout="stereo", samples=frame.samples)
        wave = bytes(frame.planes[0])[: 2 * frame.samples]
        stereo.planes[0].update(b"".join(wave[n : n + 2] + b"\0\0" for n in range(0, len(wave), 2)))
        stereo.sample_rate, stereo.pts, stereo.time_base = frame.sample_rate, frame.pts, frame.time_base
        return stereo


async def test_stereo_arrives_as_stereo():
    call = Call("audio", "opus")
    await call.begin(LeftOnly())

    frame = (await call.frames(20))[-1]
    data = memoryview(bytes(frame.planes[0])[: 4 * frame.samples]).cast("h")
    left, right = (max(map(abs, data[n::2])) for n in (0, 1))

    assert frame.layout.name == "stereo"
    assert left > 4000
    assert right < left / 10
    assert call.track.getSettings()["channelCount"] == 2
    await call.end()


async def test_the_sender_estimates_itself_where_both_number_packets():
    call = Call("video", "VP8")
    await call.begin(Pictures(interval=0.02))
    await call.frames(3)
    session = call.ends[0].dtls.rtp

    await until(lambda: session.estimate is not None)

    assert session.estimate >= 500_000
    assert session.control.acknowledged > 10
    assert session.control.lost == session.control.malformed == 0
    assert call.receiver._section._estimator is None
    await until(lambda: call.outbound.get("targetBitrate") is not None)
    await call.end()
    assert not session._pacing.queued
