"""Programs written for aiortc, with the import changed, on the virtual network."""

import asyncio
import gc
import json
import weakref

import pytest
from aiortc import RTCIceCandidate as UpstreamCandidate
from aiortc.contrib.media import MediaBlackhole, MediaRelay
from aiortc.contrib.signaling import object_from_string, object_to_string
from aiortc.sdp import candidate_from_sdp

from rtcpeer.aiortc import (
    AudioStreamTrack,
    InvalidStateError,
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from tests.scenarios.virtual import scenario


class Programs:
    """Two programs of aiortc's kind: what one offers, the other answers, each description sent once."""

    def __init__(self, scene, configuration=None, hosts=None, make=RTCPeerConnection):
        hosts = hosts or (scene.network.add_host("alice"), scene.network.add_host("bob"))
        with hosts[0].active():
            self.client = make(configuration)
        with hosts[1].active():
            self.server = make(configuration=configuration)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await asyncio.gather(self.client.close(), self.server.close())

    async def exchange(self):
        offer = await self.client.createOffer()
        await self.client.setLocalDescription(offer)
        # as JSON over HTTP, and through aiortc's own signaling
        sent = json.dumps(
            {"sdp": self.client.localDescription.sdp, "type": self.client.localDescription.type}
        )
        await self.server.setRemoteDescription(RTCSessionDescription(**json.loads(sent)))
        await self.server.setLocalDescription(await self.server.createAnswer())
        answer = object_from_string(object_to_string(self.server.localDescription))
        assert isinstance(answer, RTCSessionDescription)
        await self.client.setRemoteDescription(answer)

    async def connected(self):
        await asyncio.gather(self.client.connected(10), self.server.connected(10))


def record_states(pc):
    states = {name: [getattr(pc, name)] for name in _STATES}
    for name in _STATES:
        pc.on(name.lower() + "change", lambda name=name: states[name].append(getattr(pc, name)))
    return states


_STATES = ("connectionState", "iceConnectionState", "iceGatheringState", "signalingState")


@scenario
async def test_states_are_told_as_in_aiortc(scene):
    async with Programs(scene) as both:
        both.client.createDataChannel("chat")
        client, server = record_states(both.client), record_states(both.server)
        await both.exchange()
        assert both.client.iceGatheringState == "complete"
        assert "a=end-of-candidates" in both.client.localDescription.sdp
        await both.connected()
        await asyncio.sleep(1)
    for states in (client, server):
        assert states["connectionState"] == ["new", "connecting", "connected", "closed"]
        assert states["iceConnectionState"] == ["new", "checking", "completed", "closed"]
        assert states["iceGatheringState"] == ["new", "gathering", "complete"]
    assert client["signalingState"] == ["stable", "have-local-offer", "stable", "closed"]
    assert server["signalingState"] == ["stable", "have-remote-offer", "stable", "closed"]


@scenario
async def test_the_other_ends_close_closes_the_connection(scene):
    async with Programs(scene) as both:
        channel = both.client.createDataChannel("chat")
        closed = []
        channel.on("close", lambda: closed.append("channel"))
        await both.exchange()
        await both.connected()
        both.client.on("connectionstatechange", lambda: closed.append(both.client.connectionState))
        await both.server.close()
        await asyncio.sleep(1)
        assert both.client.connectionState == "closed"
        assert both.client.signalingState == "closed"
        assert closed == ["channel", "closed"]
        assert both.client.listeners("connectionstatechange") == []


@scenario
async def test_an_echo_over_data_channels(scene):
    async with Programs(scene) as both:
        opened, received, done = [], [], asyncio.Event()

        @both.server.on("datachannel")
        async def on_datachannel(channel):
            assert channel.readyState == "open"
            channel.on("open", lambda: opened.append("server"))

            @channel.on("message")
            def on_message(message):
                channel.send(b"echo " + message if isinstance(message, bytes) else "echo " + message)

        channel = both.client.createDataChannel("chat", ordered=False, maxRetransmits=3, protocol="p")

        @channel.on("open")
        def on_open():
            opened.append("client")
            channel.send("text")
            channel.send(b"bytes")

        @channel.on("message")
        def on_message(message):
            received.append(message)
            if len(received) == 2:
                done.set()

        await both.exchange()
        async with asyncio.timeout(10):
            await done.wait()
        assert sorted(map(str, received)) == ["b'echo bytes'", "echo text"]
        # a channel of the other end is open when it is told
        assert opened == ["client"]
        assert both.client.sctp.mid == "0"
        assert channel.transport is both.client.sctp
        assert both.client.sctp.transport.transport.iceGatherer.state == "completed"


@scenario
async def test_a_bot_that_forces_directions_by_index(scene):
    """A voice bot's server: the browser offers, tracks are addressed by position, the sender gets its track late."""
    async with Programs(scene) as both:
        started, ended = [], []

        @both.server.on("track")
        async def on_track(track):
            started.append(track)

            @track.on("ended")
            async def on_ended():
                ended.append(track.kind)

        both.client.addTransceiver("audio", direction="sendrecv")
        both.client.addTransceiver("video", direction="sendrecv")
        await both.client.setLocalDescription(await both.client.createOffer())
        await both.server.setRemoteDescription(both.client.localDescription)
        for transceiver in both.server.getTransceivers():
            transceiver.direction = "sendrecv"
        await both.server.setLocalDescription(await both.server.createAnswer())
        assert both.server.localDescription.sdp.count("a=sendrecv") == 2
        # a browser's program looks for a stream
        assert "a=msid:- " not in both.server.localDescription.sdp
        streams = []
        both.client.addEventListener("track", lambda event: streams.append(len(event.streams)))
        await both.client.setRemoteDescription(both.server.localDescription)
        assert streams == [1, 1]
        await both.connected()
        track = AudioStreamTrack()
        sender = both.server.getTransceivers()[0].sender
        sender.replaceTrack(track)  # not awaited: aiortc's is no coroutine
        assert sender.track is track
        assert [t.kind for t in started] == ["audio", "video"]
        both.server.remove_all_listeners()
        await both.server.close()
        await asyncio.sleep(0.1)
        assert sorted(ended) == ["audio", "video"]
        track.stop()


@scenario
async def test_relayed_tracks_added_in_a_track_listener(scene):
    """What a web app for image filters does: the answerer sends back what it gets, through a relay."""
    async with Programs(scene) as both:
        relay, frames, sinks = MediaRelay(), asyncio.Queue(), []

        class Filter(MediaStreamTrack):
            kind = "video"

            def __init__(self, source):
                super().__init__()
                self.source = source

            async def recv(self):
                return await self.source.recv()

        @both.server.listens_to("track")
        def on_track(track):
            both.server.addTrack(Filter(relay.subscribe(track)))

        @both.client.on("track")
        async def on_back(track):
            frames.put_nowait(await track.recv())

        source = VideoStreamTrack()
        both.client.addTrack(source)
        await both.exchange()
        async with asyncio.timeout(60):
            frame = await frames.get()
        assert (frame.width, frame.height) == (640, 480)
        blackhole = MediaBlackhole()
        blackhole.addTrack(both.client.getReceivers()[0].track)
        await blackhole.start()
        sinks.append(blackhole)
        await asyncio.sleep(2)
        await blackhole.stop()
        report = await both.client.getStats()
        kinds = {s.type for s in report.values()}
        assert {"inbound-rtp", "outbound-rtp", "transport"} <= kinds
        outbound = next(s for s in report.values() if s.type == "outbound-rtp")
        assert outbound.packetsSent > 0
        full = await both.client.getW3CStats()
        assert full.of_type("codec")
        assert full.of_type("candidate-pair")
        source.stop()


@scenario
async def test_candidates_trickled_by_the_other_side(scene):
    """A browser trickles: candidates arrive in pieces, some before the offer, one for no section."""
    async with Programs(scene) as both:
        both.client.createDataChannel("chat")
        await both.client.setLocalDescription(await both.client.createOffer())
        lines = both.client.localDescription.sdp.splitlines(keepends=True)
        bare = "".join(line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates")))
        candidates = [line[2:].strip() for line in lines if line.startswith("a=candidate")]
        early = candidate_from_sdp(candidates[0].partition(":")[2])
        early.sdpMid = "0"
        assert isinstance(early, UpstreamCandidate)
        await both.server.addIceCandidate(early)
        await both.server.setRemoteDescription(RTCSessionDescription(bare, "offer"))
        assert both.server.remoteDescription.sdp.count("a=candidate") == 1
        stray = candidate_from_sdp(candidates[0].partition(":")[2])
        stray.sdpMid = "nowhere"
        await both.server.addIceCandidate(stray)
        for text in candidates[1:]:
            await both.server.addIceCandidate({"candidate": text, "sdpMid": "0"})
        await both.server.addIceCandidate(None)
        assert "a=end-of-candidates" in both.server.remoteDescription.sdp
        await both.server.setLocalDescription()
        await both.client.setRemoteDescription(both.server.localDescription)
        await both.connected()


@pytest.mark.parametrize(
    ("servers", "at_most"),
    [
        ([], 0.05),
        (["stun:silent.example"], 1.05),
        (["stun:turn.example", "stun:silent.example"], 0.5),
        (["turn:silent.example"], 2.05),
    ],
)
@scenario
async def test_silent_servers_cost_little(scene, servers, at_most):
    scene.network.add_host("silent.example")
    async with scene.server():
        configuration = RTCConfiguration(
            [RTCIceServer(url, username="user", credential="pass") for url in servers]
        )
        async with Programs(scene, configuration, hosts=scene.behind("port-restricted")) as both:
            both.client.createDataChannel("chat")
            before = scene.now()
            await both.client.setLocalDescription(await both.client.createOffer())
            assert scene.now() - before < at_most
            sdp = both.client.localDescription.sdp
            assert "typ host" in sdp
            assert ("typ srflx" in sdp) is ("stun:turn.example" in servers)


@scenario
async def test_relay_only_waits_for_the_relay(scene):
    async with scene.server(name="turn.example") as server:
        given = server.ice_server("udp")
        configuration = {"iceServers": [given], "iceTransportPolicy": "relay"}
        async with Programs(scene, configuration, hosts=scene.behind("symmetric")) as both:
            both.client.createDataChannel("chat")
            await both.exchange()
            sdp = both.client.localDescription.sdp
            assert "typ relay" in sdp
            assert "typ host" not in sdp
            await both.connected()
        await server.released()


@scenario
async def test_a_new_connection_instead_of_the_old(scene):
    """Recreation as programs do it: listeners off, close, a new connection with the same offerer."""
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    told = []
    with alice.active():
        client = RTCPeerConnection()
    with bob.active():
        old = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    old.on("connectionstatechange", lambda: told.append(old.connectionState))
    old.remove_all_listeners()
    await old.close()
    await old.close()
    assert told == []
    with pytest.raises(InvalidStateError):
        await old.createOffer()
    client.createDataChannel("ping")
    with bob.active():
        new = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await client.setLocalDescription()
    await new.setRemoteDescription(client.localDescription)
    await new.setLocalDescription()
    await client.setRemoteDescription(new.localDescription)
    await asyncio.gather(client.connected(10), new.connected(10))
    await asyncio.gather(client.close(), new.close())


@scenario
async def test_a_listener_that_fails_or_closes(scene):
    loop, reported = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    async with Programs(scene) as both:

        @both.server.on("signalingstatechange")
        def fails():
            raise RuntimeError("of the program")

        @both.server.on("connectionstatechange")
        async def closes():
            if both.server.connectionState == "connected":
                await both.server.close()

        both.client.createDataChannel("chat")
        await both.exchange()
        await asyncio.sleep(2)
        assert both.server.connectionState == "closed"
        assert both.client.connectionState == "closed"
    assert {str(error) for error in reported} == {"of the program"}
    loop.set_exception_handler(None)


@scenario
async def test_subclasses(scene):
    class Logged(RTCPeerConnection):
        def __init__(self, configuration=None):
            super().__init__(configuration=configuration)
            self.loop = asyncio.get_running_loop()
            self.closed_times = 0

        async def close(self):
            self.closed_times += 1
            await super().close()

    async with Programs(scene, make=Logged) as both:
        both.client.addTransceiver("audio", "recvonly")
        track = AudioStreamTrack()
        transceiver = both.server.addTransceiver(track)
        await both.exchange()
        # aiortc pairs what was added before the offer came
        assert transceiver.mid == "0"
        assert transceiver.currentDirection == "sendonly"
        await both.connected()
        await both.server.close()
        await asyncio.sleep(1)
        assert both.client.closed_times == 1
        track.stop()


@scenario
async def test_what_was_sent_is_stopped(scene):
    """Sources such as MediaPlayer end their thread when the last of their tracks is stopped."""
    async with Programs(scene) as both:
        sent, not_sent, by_transceiver = AudioStreamTrack(), VideoStreamTrack(), VideoStreamTrack()
        both.client.addTrack(sent)
        transceiver = both.client.addTransceiver(by_transceiver)
        await both.exchange()
        await both.connected()
        both.client.addTrack(not_sent)
        await transceiver.stop()
        assert by_transceiver.readyState == "ended"
        await both.client.close()
        assert (sent.readyState, not_sent.readyState) == ("ended", "live")
        not_sent.stop()


@scenario
async def test_closed_connections_are_not_kept_alive(scene):
    gc.collect()
    gc.disable()
    try:
        both = Programs(scene)
        both.client.addTransceiver("audio")
        await both.exchange()
        await both.connected()
        kept = [weakref.ref(both.client), weakref.ref(both.server)]
        await asyncio.gather(both.client.close(), both.server.close())
        del both
        await asyncio.sleep(1)
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()


@scenario
async def test_the_other_end_vanishes_before_it_ever_connected(scene):
    """As in aiortc there is no "disconnected" before "failed": programs would give up while candidates may come."""
    async with Programs(scene) as both:
        both.client.createDataChannel("chat")
        await both.client.setLocalDescription()
        offer = both.client.localDescription
        await both.client.close()
        states = record_states(both.server)
        await both.server.setRemoteDescription(offer)
        await both.server.setLocalDescription()
        await asyncio.sleep(60)
        assert states["iceConnectionState"] == ["new", "checking", "failed"]
        assert states["connectionState"] == ["new", "connecting", "failed"]


@scenario
async def test_connecting_is_seen_by_who_is_there_after_the_call(scene):
    """A bot's runner hears of states through an async listener, and adds its own handlers once it has the answer."""
    async with Programs(scene) as both:
        handlers, heard = [], []

        @both.server.on("connectionstatechange")
        async def on_state():
            for handler in handlers:
                handler(both.server.connectionState)

        both.client.createDataChannel("chat")
        await both.client.setLocalDescription()
        await both.server.setRemoteDescription(both.client.localDescription)
        await both.server.setLocalDescription(await both.server.createAnswer())
        handlers.append(heard.append)
        await both.client.setRemoteDescription(both.server.localDescription)
        await both.connected()
        await asyncio.sleep(1)
        assert heard == ["connecting", "connected"]


@scenario
async def test_candidates_as_a_browsers_program_passes_them_on(scene):
    """The whole "candidate:..." line through aiortc's parser, or split by hand into its first eight words."""
    async with Programs(scene) as both:
        both.client.createDataChannel("chat")
        await both.client.setLocalDescription()
        lines = both.client.localDescription.sdp.splitlines(keepends=True)
        candidates = [line[2:].strip() for line in lines if line.startswith("a=candidate")]
        bare = "".join(line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates")))
        await both.server.setRemoteDescription(RTCSessionDescription(bare, "offer"))
        await both.server.setLocalDescription()
        passed_on = candidate_from_sdp(candidates[0])
        passed_on.sdpMid = "0"
        await both.server.addIceCandidate(passed_on)
        for text in (*candidates[1:], "candidate:1 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active"):
            words = text.split()
            await both.server.addIceCandidate(
                UpstreamCandidate(
                    component=int(words[1]),
                    foundation=words[0].partition(":")[2],
                    protocol=words[2],
                    priority=int(words[3]),
                    ip=words[4],
                    port=int(words[5]),
                    type=words[7],
                    sdpMid="0",
                    sdpMLineIndex=0,
                )
            )
        assert both.server.remoteDescription.sdp.count("a=candidate") >= len(candidates)
        await both.client.setRemoteDescription(both.server.localDescription)
        await both.connected()


@scenario
async def test_messages_from_worker_threads(scene):
    """A handler in a thread reports through the channel, some from a loop of its own."""
    async with Programs(scene) as both:
        received, opened = [], asyncio.Event()
        both.server.on("datachannel", lambda channel: channel.on("message", received.append))
        channel = both.client.createDataChannel("chat")
        channel.on("open", opened.set)
        await both.exchange()
        async with asyncio.timeout(10):
            await opened.wait()

        async def send():
            channel.send("from a loop of its own")

        await asyncio.to_thread(channel.send, b"from a thread")
        await asyncio.to_thread(lambda: asyncio.run(send()))
        await asyncio.sleep(1)
        assert received == [b"from a thread", "from a loop of its own"]
        await both.client.close()
        with pytest.raises(InvalidStateError):
            await asyncio.to_thread(channel.send, "too late")


@scenario
async def test_an_async_datachannel_listener_that_awaits_loses_no_message(scene):
    async with Programs(scene) as programs:
        got, closed, done = [], [], asyncio.Event()
        channel = programs.client.createDataChannel("chat")

        @channel.on("open")
        def opened():
            for number in range(50):
                channel.send(str(number))

        @programs.server.on("datachannel")
        async def on_datachannel(channel):
            await asyncio.sleep(1)  # reads a file, asks a service
            channel.on("message", got.append)
            channel.on("close", lambda: closed.append(True))
            await done.wait()  # and goes on for as long as the call

        await programs.exchange()
        await programs.connected()
        await asyncio.sleep(0.5)
        channel.send("before")
        await asyncio.sleep(1)
        channel.send("after")
        await asyncio.sleep(0.1)
        assert got == [*map(str, range(50)), "before", "after"]
        channel.close()
        await asyncio.sleep(1)
        assert closed == [True]
        done.set()


@scenario
async def test_a_datachannel_listener_that_never_listens_to_messages_holds_nothing_for_ever(scene):
    async with Programs(scene) as programs:
        ended, channels = asyncio.Event(), []
        mine = programs.client.createDataChannel("chat")

        @programs.server.on("datachannel")
        async def on_datachannel(channel):
            channels.append(channel)
            channel.on("close", ended.set)
            await channel.send_async("x" * 200_000)
            await ended.wait()

        await programs.exchange()
        await programs.connected()
        await asyncio.sleep(1)
        for _ in range(3000):
            mine.send("y")
        await asyncio.sleep(1)
        assert channels[0]._core_._deferred is None  # so many are not kept
        mine.close()
        await asyncio.wait_for(ended.wait(), 5)


@scenario
async def test_what_is_sent_just_before_close_arrives(scene):
    """pipecat says goodbye so: a message, and the connection is closed at once."""
    async with Programs(scene) as programs:
        got = []
        channel = programs.client.createDataChannel("signalling")
        programs.server.on("datachannel", lambda channel: channel.on("message", got.append))
        await programs.exchange()
        await programs.connected()
        await asyncio.sleep(0.5)
        channel.send(json.dumps({"type": "peerLeft"}))
        await programs.client.close()
        await asyncio.sleep(1)
        assert got == ['{"type": "peerLeft"}']
        assert programs.server.connectionState == "closed"


@scenario
async def test_what_a_track_listener_raises_refuses_the_offer(scene):
    """fastrtc answers with an error when a track is not of the kind it serves."""
    seen = []
    async with Programs(scene) as both:

        @both.server.on("track")
        def refuses(track):
            raise LookupError(f"no {track.kind} here")

        both.server.on("track", lambda track: seen.append(track.kind))
        both.client.addTrack(AudioStreamTrack())
        with pytest.raises(LookupError, match="no audio here"):
            await both.exchange()
        # the other listener was called, and the description is applied: it may be answered all the same
        assert seen == ["audio"]
        assert both.server.signalingState == "have-remote-offer"
        await both.server.setLocalDescription(await both.server.createAnswer())
        await both.client.setRemoteDescription(both.server.localDescription)
        await both.connected()


@scenario
async def test_remote_tracks_have_the_other_ends_ids(scene):
    """teleoprtc: who offers to receive finds the cameras by the ids of their tracks."""
    cameras, seen = [VideoStreamTrack(), VideoStreamTrack()], []
    async with Programs(scene) as both:
        both.client.on("track", seen.append)
        streams = []
        both.client.addEventListener("track", lambda event: streams.extend(event.streams))
        for camera in cameras:
            both.client.addTransceiver("video", direction="recvonly")
            both.server.addTrack(camera)
        await both.exchange()
        await both.connected()
        assert [track.id for track in seen] == [camera.id for camera in cameras]
        assert [r.track for r in both.client.getReceivers()] == seen
        assert [stream.getTrackById(track.id) for stream, track in zip(streams, seen, strict=True)] == seen
        for track in seen:
            await track.recv()


@scenario
async def test_a_new_channel_takes_the_id_of_one_that_was_closed(scene):
    async with Programs(scene) as both:
        channels = [both.client.createDataChannel(name) for name in ("first", "second")]
        await both.exchange()
        await both.connected()
        await asyncio.gather(*(channel.opened() for channel in channels))
        number = channels[0].id
        closed = asyncio.Event()
        channels[0].on("close", closed.set)
        channels[0].close()
        await closed.wait()
        assert both.client.createDataChannel("third").id == number
