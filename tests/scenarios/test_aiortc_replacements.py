"""What docs/moving-from-aiortc.md gives for the private reaches of programs, pair by pair, seen to have its effect."""

import asyncio
import threading

import pytest

import rtcpeer
from rtcpeer import IceSettings, PeerSettings
from rtcpeer.aiortc import RTCPeerConnection
from rtcpeer.config.servers import parse_server_url
from rtcpeer.testing import synthetic_track
from tests.scenarios.test_aiortc_dropin import Programs
from tests.scenarios.virtual import scenario

PICTURES = {"width": 160, "height": 120, "frameRate": 15}


class Call(Programs):
    """The client sends, the server receives."""

    def __init__(self, scene, *tracks, **options):
        super().__init__(scene, **options)
        self.tracks = tracks
        self.senders = [self.client.addTrack(track) for track in tracks]

    async def __aenter__(self):
        await self.exchange()
        await self.connected()
        return self

    async def __aexit__(self, *exc):
        await super().__aexit__(*exc)
        for track in self.tracks:
            track.stop()

    @property
    def receiver(self):
        return self.server.getReceivers()[0]

    async def inbound(self):
        [stats] = (await self.server.getW3CStats()).of_type("inbound-rtp")
        return stats

    async def outbound(self):
        [stats] = (await self.client.getW3CStats()).of_type("outbound-rtp")
        return stats


async def read(track, count):
    async with asyncio.timeout(20):
        for _frame in range(count):
            await track.recv()


@scenario
async def test_a_track_that_nobody_reads_costs_no_decoding(scene):
    """`receiver._enabled = False`, a task that drains `track._queue`, a MediaBlackhole only to drain."""
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        await asyncio.sleep(5)
        stats = await call.inbound()
        assert stats["packetsReceived"] > 50
        assert stats["framesDecoded"] == 0
        await read(call.receiver.track, 3)
        assert (await call.inbound())["framesDecoded"] >= 3


@scenario
async def test_a_reader_that_stalls_goes_on_with_what_is_now(scene):
    """The idle watcher that empties the queue before it reads on."""
    async with Call(scene, synthetic_track("audio")) as call:
        track = call.receiver.track
        await read(track, 5)
        first = await track.recv()
        await asyncio.sleep(10)
        later = await track.recv()
        passed = float(later.pts * later.time_base - first.pts * first.time_base)
        # not the next 20 ms, and no more than a second old
        assert passed > 9


@scenario
async def test_the_jitter_buffer_keeps_what_it_is_told_to(scene):
    """`receiver._RTCRtpReceiver__jitter_buffer`, `JitterBuffer(capacity=...)`."""
    delays = []
    for target in (None, 400):
        async with Call(scene, synthetic_track("audio"), hosts=None if not delays else hosts(scene)) as call:
            call.receiver.jitterBufferTarget = target
            await read(call.receiver.track, 100)
            stats = await call.inbound()
            delays.append(stats["jitterBufferDelay"] / stats["jitterBufferEmittedCount"])
    assert delays[1] > delays[0] + 0.2


def hosts(scene):
    return scene.network.add_host("carol"), scene.network.add_host("dave")


@scenario
async def test_a_limit_of_the_bit_rate(scene):
    """`DEFAULT_BITRATE` and `MAX_BITRATE` of the codecs' modules, `_Vp8Encoder__target_bitrate`."""
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        [sender] = call.senders
        for limit in (400_000, 80_000):
            parameters = sender.getParameters()
            parameters.encodings[0].maxBitrate = limit
            await sender.setParameters(parameters)
            await read(call.receiver.track, 5)
            assert (await call.outbound())["targetBitrate"] <= limit
        parameters = sender.getParameters()
        parameters.encodings[0].active = False
        await sender.setParameters(parameters)
        await asyncio.sleep(1)
        before = (await call.outbound())["packetsSent"]
        await asyncio.sleep(2)
        assert (await call.outbound())["packetsSent"] == before


@scenario
async def test_key_frames_from_both_ends(scene):
    """`sender._send_keyframe()`, a hand-made PLI, a renegotiation for the sake of a picture."""
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        [sender] = call.senders
        track = call.receiver.track
        await read(track, 5)
        made = (await call.outbound())["keyFramesEncoded"]
        call.receiver.requestKeyFrame()
        await asyncio.sleep(0.5)
        await read(track, 5)
        asked = (await call.outbound())["keyFramesEncoded"]
        assert asked > made
        await sender.setParameters(sender.getParameters(), {"encodingOptions": [{"keyFrame": True}]})
        await asyncio.sleep(0.5)
        await read(track, 5)
        assert (await call.outbound())["keyFramesEncoded"] > asked


@scenario
async def test_what_is_in_use_is_in_the_statistics(scene):
    """`_RTCPeerConnection__iceTransports`, `iceGatherer._connection`, `sender._RTCRtpSender__encoder`, `_role`."""
    async with Call(scene, synthetic_track("audio")) as call:
        await asyncio.sleep(1)
        report = await call.client.getW3CStats()
        [pair] = [p for p in report.of_type("candidate-pair") if p["nominated"]]
        local = report[pair["localCandidateId"]]
        assert (local["candidateType"], report[pair["remoteCandidateId"]]["type"]) == (
            "host",
            "remote-candidate",
        )
        assert {c["mimeType"] for c in report.of_type("codec")} >= {"audio/opus"}
        [transport] = report.of_type("transport")
        assert {transport["dtlsRole"], call.client.getSenders()[0].transport._role} == {"server"}
        selected = call.senders[0].transport.transport.getSelectedCandidatePair()
        assert selected.local.address == local["address"]


@scenario
async def test_packets_of_data_channels_fit_into_what_every_ipv6_path_carries(scene):
    """`aiortc.rtcsctptransport.USERDATA_MAX_LENGTH`."""
    narrow = [scene.network.add_host(name, mtu=1280) for name in ("alice", "bob")]
    async with Programs(scene, hosts=narrow) as both:
        received = asyncio.get_running_loop().create_future()
        both.server.on("datachannel", lambda channel: channel.on("message", received.set_result))
        channel = both.client.createDataChannel("chat")
        await both.exchange()
        await channel.opened(timeout=10)
        await channel.send_async(b"x" * 100_000)
        async with asyncio.timeout(10):
            assert len(await received) == 100_000


@scenario
async def test_messages_before_a_channel_is_open_and_more_than_fit(scene):
    """A queue of messages until the channel opens; a loop that waits on `bufferedAmount`."""
    async with Programs(scene) as both:
        received = []
        both.server.on("datachannel", lambda channel: channel.on("message", received.append))
        channel = both.client.createDataChannel("chat")

        async def talk():
            await channel.opened(timeout=10)
            for number in range(200):
                await channel.send_async(b"%03d" % number + bytes(20_000))

        task = asyncio.create_task(talk())
        await both.exchange()
        await task
        await asyncio.sleep(5)
        assert [int(message[:3]) for message in received] == list(range(200))


@scenario
async def test_a_certificate_and_a_stream_of_ones_own(scene):
    """`pc._RTCPeerConnection__certificates`, `pc._RTCPeerConnection__stream_id`."""
    kept = (
        await rtcpeer.RTCPeerConnection.generateCertificate({"name": "ECDSA", "namedCurve": "P-256"})
    ).to_pem()
    certificate = rtcpeer.RTCCertificate.from_pem(kept)
    track = synthetic_track("audio")
    with scene.network.add_host("alice").active():
        pc = RTCPeerConnection(certificates=[certificate])
    pc.addTrack(track, rtcpeer.MediaStream(id="lobby"))
    offer = await pc.createOffer()
    assert certificate.getFingerprints()[0].value.upper() in offer.sdp
    assert "a=msid:lobby " in offer.sdp
    await pc.close()
    track.stop()


def test_server_urls():
    """`aiortc.rtcicetransport.parse_stun_turn_uri`."""
    server = parse_server_url("turn:[2001:db8::1]:3479?transport=tcp")
    assert (server.scheme, server.host, server.port, server.transport) == ("turn", "2001:db8::1", 3479, "tcp")
    with pytest.raises(ValueError, match="stun:"):
        parse_server_url("stun:host?transport=udp")


@scenario
async def test_a_range_of_ports(scene):
    """A patched `create_datagram_endpoint`."""
    settings = PeerSettings(ice=IceSettings(port_range=(50000, 50010)))
    with scene.network.add_host("alice").active():
        pc = RTCPeerConnection(settings=settings)
    pc.createDataChannel("chat")
    await pc.setLocalDescription()
    gatherer = pc.sctp.transport.transport.iceGatherer
    assert all(50000 <= c.port <= 50010 for c in gatherer.getLocalCandidates())
    await pc.close()


@scenario
async def test_the_end_leaves_no_thread(scene):
    """`_RTCRtpReceiver__stop_decoder` at exit."""
    before = set(threading.enumerate())
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        await read(call.receiver.track, 3)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


@scenario
async def test_a_path_that_dies_is_seen_and_restarted(scene):
    """A ping over the channel to notice a lost peer; `createOffer` in the place of `restartIce`."""
    alice, bob = hosts(scene)
    async with Programs(scene, hosts=(alice, bob)) as both:
        states = []
        both.client.createDataChannel("chat")
        await both.exchange()
        await both.connected()
        await asyncio.sleep(1)
        both.client.on("connectionstatechange", lambda: states.append(both.client.connectionState))
        await bob.link.outage_of(7)
        assert states == ["disconnected"]
        both.client.restartIce()
        await both.exchange()
        await asyncio.sleep(5)
        assert states[-1] == "connected"
