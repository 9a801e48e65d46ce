"""Programs that put attributes of their own on our objects, under every name that comes to mind: calls work on."""

import asyncio

import aiortc
import av

import rtcpeer
import rtcpeer.aiortc as dropin
from rtcpeer.aiortc.contrib.media import MediaPlayer, MediaRecorder
from rtcpeer.testing.media import synthetic_track
from tests.scenarios.test_aiortc_dropin import Programs
from tests.scenarios.virtual import scenario
from tests.unit.config.virtual import virtual
from tests.unit.supervisor.duo import Duo

_PLAUSIBLE = """
active agent answer app args attributes audio buffer bytes call callback callbacks candidates certificate channel
channels client close closed closing closing_task codec codecs complete config configuration conn connected
connection connections container context control controller core count data data_channel dc descriptions dispatch
dtmf enabled end ended engine error errors event events executor failures file find fire foreseen format frame
frames handler handlers has_ended hint host id incoming init inputs interval is_closed jitter_buffer_target key
kind label last layer limits listeners lock log logger loop manager map media messages meta mode muted name
negotiation negotiator network offer on_close on_message on_open on_state on_track options origin original own
owner params path pc peer peer_id peers pending player policy port queue rate read readers reading receiver
receivers recorder records refusals register registrations relay remote report reports result role room run running
samples sdp send sender senders session sessions settings shift sid signal signaling size source sources start
start_time started state states stats stop stopped stopping stream streams subscription taps task tasks thread time
timeout timer timestamp track tracks transceiver transceivers transport transports url user user_id uuid version
video waiter waiters waiting watchers worker workers write writer
"""
NAMES = [f"_{name}" for name in _PLAUSIBLE.split()]

# what aiortc itself has under such a name, so that programs for it have no other meaning for it
_AIORTCS_TRACK = {"_id", "_events", "_lock", "_loop", "_waiting", "_start", "_timestamp", "_queue"}
_AIORTCS_RTP = {"_enabled", "_track", "_codecs", "_id"}


class Theirs:
    """Something of a program: of no use to us, whatever we would try."""

    def __bool__(self):
        raise AssertionError("ours was overwritten")


def overwrite(thing, leave=frozenset()):
    for name in NAMES:
        if name not in leave:
            setattr(thing, name, Theirs())


def public_names(ours, aiortcs):
    """What we have in public and aiortc has not, but for what cannot be set."""
    found = [n for n in dir(ours) if not n.startswith(("_", "on")) and not hasattr(aiortcs, n)]
    return [n for n in found if not isinstance(getattr(ours, n), property)]


class Connection(dropin.RTCPeerConnection):
    """A program's subclass, with attributes from before and after aiortc's constructor."""

    def __init__(self, *args, **kwargs):
        overwrite(self)
        super().__init__(*args, **kwargs)
        overwrite(self)
        for name in public_names(dropin.RTCPeerConnection, aiortc.RTCPeerConnection):
            setattr(self, name, Theirs())


class Pictures(dropin.VideoStreamTrack):
    def __init__(self):
        super().__init__()
        overwrite(self, _AIORTCS_TRACK)


@scenario
async def test_a_program_for_aiortc(scene):
    async with Programs(scene, make=Connection) as both:
        got, pictures, ended = asyncio.Queue(), asyncio.Queue(), []
        both.client.addTrack(Pictures())
        channel = both.client.createDataChannel("chat")

        @both.server.on("datachannel")
        def on_channel(channel):
            overwrite(channel)
            channel.on("message", got.put_nowait)
            channel.on("close", lambda: ended.append("channel"))

        @both.server.on("track")
        async def on_track(track):
            overwrite(track, {"_id"})
            pictures.put_nowait(await track.recv())
            track.on("ended", lambda: ended.append("track"))

        for name in public_names(dropin.RTCDataChannel, aiortc.RTCDataChannel):
            setattr(channel, name, Theirs())
        overwrite(channel)
        for transceiver in both.client.getTransceivers():
            overwrite(transceiver, _AIORTCS_RTP)
            overwrite(transceiver.sender, _AIORTCS_RTP)
            overwrite(transceiver.receiver, _AIORTCS_RTP)
        states = []
        both.client.on("connectionstatechange", lambda: states.append(both.client.connectionState))
        channel.on("open", lambda: channel.send("hello"))
        await both.exchange()
        async with asyncio.timeout(20):
            assert await got.get() == "hello"
            assert (await pictures.get()).width == 640
        assert states == ["connecting", "connected"]
        assert {one.type for one in (await both.client.getStats()).values()} >= {"outbound-rtp", "transport"}
        assert "connected" in repr(both.client)
        await both.client.close()
        await asyncio.sleep(1)
    assert states[-1] == "closed"
    assert sorted(ended) == ["channel", "track"]


class W3CConnection(rtcpeer.RTCPeerConnection):
    def __init__(self, *args, **kwargs):
        overwrite(self)
        super().__init__(*args, **kwargs)
        overwrite(self)
        self.events = self.explain = self.gathered = Theirs()


class W3CPictures(rtcpeer.MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.inner = synthetic_track("video")
        overwrite(self)

    async def recv(self):
        return await self.inner.recv()


@scenario
async def test_a_program_for_w3c(scene):
    hosts = scene.network.add_host("alice"), scene.network.add_host("bob")
    with hosts[0].active():
        a = W3CConnection()
    with hosts[1].active():
        b = W3CConnection()
    got, pictures, ended = asyncio.Queue(), asyncio.Queue(), []
    track, stream = W3CPictures(), rtcpeer.MediaStream()
    overwrite(stream)
    track.on("ended", lambda: ended.append("pictures"))
    sender = a.addTrack(track, stream)
    for thing in (sender, *a.getReceivers(), *a.getTransceivers()):
        overwrite(thing)
    channel = a.createDataChannel("chat")
    overwrite(channel)
    channel.onopen = lambda event: channel.send("hello")

    @b.on("datachannel")
    def on_channel(event):
        overwrite(event.channel)
        event.channel.onmessage = lambda event: got.put_nowait(event.data)
        event.channel.onclose = lambda event: ended.append("channel")

    @b.on("track")
    async def on_track(event):
        overwrite(event.track)
        overwrite(event.streams[0])
        clone = event.track.clone()
        overwrite(clone)
        pictures.put_nowait(await event.track.recv())
        pictures.put_nowait(await clone.recv())
        event.track.onended = lambda event: ended.append("track")

    for one, other in ((a, b), (b, a)):
        one.onicecandidate = lambda event, other=other: asyncio.ensure_future(
            other.addIceCandidate(event.candidate)
        )
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    async with asyncio.timeout(20):
        await asyncio.gather(a.connected(), b.connected())
        assert await got.get() == "hello"
        for _ in range(2):
            assert (await pictures.get()).width > 0
    assert any(one["type"] == "inbound-rtp" for one in (await b.getStats()).values())
    track.stop()
    await a.close()
    await asyncio.sleep(1)
    await b.close()
    assert sorted(ended) == ["channel", "pictures", "track"]


class Player(MediaPlayer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        overwrite(self)


class Recorder(MediaRecorder):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        overwrite(self)


async def test_a_player_and_a_recorder(tmp_path):
    path = str(tmp_path / "tone.wav")
    with av.open(path, "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame("s16", "mono", 1600)
        frame.planes[0].update(bytes(3200))
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
    player, recorder = Player(path), Recorder(str(tmp_path / "copy.wav"))
    overwrite(player.audio)
    recorder.addTrack(player.audio)
    ended = asyncio.Event()
    player.audio.on("ended", ended.set)
    await recorder.start()
    async with asyncio.timeout(20):
        await ended.wait()
    await recorder.stop()
    with av.open(str(tmp_path / "copy.wav")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 0


@scenario
async def test_other_sources(scene):
    source = rtcpeer.AudioSource(48000, 1)
    overwrite(source)
    await source.write(bytes(1920))
    assert (await source.recv()).samples == 960
    source.stop()


@virtual
async def test_a_supervised_peer():
    async with Duo() as duo:
        for peer in (duo.a, duo.b):
            overwrite(peer)
        got = asyncio.Queue()

        def on_channel(event):
            overwrite(event.channel)
            event.channel.onmessage = lambda message: got.put_nowait(message.data)

        duo.b.ondatachannel = on_channel
        channel = duo.a.createDataChannel("notes")
        overwrite(channel)
        channel.send("hello")
        await duo.connect()
        async with asyncio.timeout(20):
            assert await got.get() == "hello"
