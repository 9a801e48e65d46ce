"""A session changes while it runs: media and data come and go, from either side."""

import asyncio

import pytest

from rtcpeer import MediaStream, RTCRtpSender
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, Stream, scenario, until


async def frames(track, count=3):
    """Read some frames; remote tracks decode only when somebody reads."""
    return [await asyncio.wait_for(track.recv(), 30) for _ in range(count)]


def tracks_of(connection):
    found = []
    connection.addEventListener("track", lambda e: found.append(e))
    return found


def sides(pair, by):
    mine = getattr(pair, by)
    return mine, pair.answerer if mine is pair.offerer else pair.offerer


@scenario
async def test_several_media_both_ways_at_once(scene):
    async with PeerPair(network=scene.network) as pair:
        stream = MediaStream()
        got = tracks_of(pair.answerer), tracks_of(pair.offerer)
        for kind in ("audio", "video"):
            pair.offerer.addTrack(synthetic_track(kind, {"width": 64, "height": 48}), stream)
            pair.answerer.addTrack(synthetic_track(kind, {"width": 64, "height": 48}))
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        assert [e.track.kind for e in got[0]] == ["audio", "video"]
        assert [e.track.kind for e in got[1]] == ["audio", "video"]
        assert [s.id for e in got[0] for s in e.streams] == [stream.id] * 2
        assert [list(e.streams) for e in got[1]] == [[], []]
        for events in got:
            for event in events:
                await frames(event.track)
                assert not event.track.muted
        # one path for everything
        assert len({id(t.receiver.transport) for t in pair.offerer.getTransceivers()}) == 1
        assert len(pair.offerer.getTransceivers()) == len(pair.answerer.getTransceivers()) == 2
        assert not await numbers.stop()


@pytest.mark.parametrize("by", ["offerer", "answerer"])
@pytest.mark.parametrize("kind", ["audio", "video"])
@scenario
async def test_media_is_added_to_a_running_session(scene, by, kind):
    async with PeerPair(network=scene.network) as pair:
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        mine, other = sides(pair, by)
        needed = []
        mine.onnegotiationneeded = lambda _: needed.append(scene.now())
        got = tracks_of(other)
        sender = mine.addTrack(synthetic_track(kind, {"width": 64, "height": 48}))
        await asyncio.sleep(0.01)
        assert len(needed) == 1
        began = scene.now()
        await pair.negotiate(mine)
        assert len(got) == 1
        await frames(got[0].track)
        assert numbers.gap(began) < 0.05
        transceiver = next(t for t in mine.getTransceivers() if t.sender is sender)
        assert transceiver.currentDirection == "sendonly"
        assert got[0].transceiver.currentDirection == "recvonly"
        assert needed == needed[:1]
        assert not await numbers.stop()


@pytest.mark.parametrize("by", ["offerer", "answerer"])
@scenario
async def test_a_track_is_removed_and_added_again(scene, by):
    async with PeerPair(network=scene.network) as pair:
        mine, other = sides(pair, by)
        got = tracks_of(other)
        stream = MediaStream()
        sender = mine.addTrack(synthetic_track("audio"), stream)
        pair.offerer.createDataChannel("x")
        await pair.negotiate(mine)
        await asyncio.gather(mine.connected(), other.connected())
        track = got[0].track
        received = got[0].streams[0]
        await frames(track)

        removed, muted = [], []
        received.onremovetrack = lambda e: removed.append(e.track)
        track.onmute = lambda _: muted.append(scene.now())
        mine.removeTrack(sender)
        await pair.negotiate(mine)
        assert removed == [track]
        assert len(muted) == 1
        assert track.readyState == "live"
        assert received.getTracks() == []
        assert [t.currentDirection for t in mine.getTransceivers()] == ["inactive"]

        # a sender that has sent is not used again by addTrack (webrtc-pc 5.1), but its transceiver can be
        again = mine.addTrack(synthetic_track("audio", {"frequency": 880}), stream)
        assert again is not sender
        await sender.replaceTrack(synthetic_track("audio"))
        sender.setStreams(stream)
        mine.getTransceivers()[0].direction = "sendonly"
        await pair.negotiate(mine)
        assert [e.track for e in got[:2]] == [track, track]
        assert len(got) == 3
        assert received.getTracks() == [e.track for e in got[1:]]
        for event in got[1:]:
            await frames(event.track)


@scenario
async def test_data_is_added_after_media(scene):
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        assert pair.offerer.sctp is None
        channels = []
        pair.offerer.ondatachannel = lambda e: channels.append(e.channel)
        channel = pair.answerer.createDataChannel("late")
        await pair.negotiate(pair.answerer)
        await channel.opened()
        channel.send("hello")
        await until(lambda: channels)
        assert channels[0].label == "late"
        # on the same transport
        assert pair.offerer.sctp.transport is pair.offerer.getSenders()[0].transport


@scenario
async def test_directions_change_and_change_back(scene):
    async with PeerPair(network=scene.network) as pair:
        transceiver = pair.offerer.addTransceiver(synthetic_track("audio"), direction="sendonly")
        got = tracks_of(pair.answerer)
        await pair.connect()
        assert (transceiver.currentDirection, got[0].transceiver.currentDirection) == ("sendonly", "recvonly")
        got[0].transceiver.direction = "sendrecv"
        transceiver.direction = "sendrecv"
        back = tracks_of(pair.offerer)
        await got[0].transceiver.sender.replaceTrack(synthetic_track("audio"))
        await pair.negotiate(pair.answerer)
        assert transceiver.currentDirection == "sendrecv"
        await frames(back[0].track)
        transceiver.direction = "inactive"
        await pair.negotiate()
        assert (transceiver.currentDirection, got[0].transceiver.currentDirection) == ("inactive",) * 2
        transceiver.direction = "sendrecv"
        await pair.negotiate()
        await frames(got[0].track)
        await frames(back[-1].track)


@scenario
async def test_a_track_is_replaced_without_negotiation(scene):
    async with PeerPair(network=scene.network) as pair:
        got = tracks_of(pair.answerer)
        first = synthetic_track("audio")
        sender = pair.offerer.addTrack(first)
        needed = []
        await pair.connect()
        await asyncio.sleep(0.01)
        pair.offerer.onnegotiationneeded = lambda _: needed.append(1)
        reader = got[0].track
        await frames(reader)
        second = synthetic_track("audio", {"frequency": 1000})
        await sender.replaceTrack(second)
        assert sender.track is second
        await frames(reader, 10)
        await sender.replaceTrack(None)
        await asyncio.sleep(1)
        await sender.replaceTrack(first)
        await frames(reader, 10)
        assert first.readyState == second.readyState == "live"
        assert needed == []


# --- sections that end ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["offerer", "answerer"])
@scenario
async def test_a_transceiver_stops_and_its_section_is_used_again(scene, by):
    async with PeerPair(network=scene.network) as pair:
        got = tracks_of(pair.answerer)
        pair.offerer.addTrack(synthetic_track("audio"))
        pair.offerer.addTrack(synthetic_track("audio", {"frequency": 600}))
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        mine, other = sides(pair, by)
        ended = []
        for event in got:
            event.track.addEventListener("ended", lambda e: ended.append(e.target))
        transceiver = mine.getTransceivers()[0]
        transceiver.stop()
        assert transceiver.direction == "stopped"
        await pair.negotiate(mine)
        await asyncio.sleep(0.1)
        assert transceiver.currentDirection == "stopped"
        assert transceiver.mid is None
        assert len(mine.getTransceivers()) == len(other.getTransceivers()) == 1
        if by == "offerer":
            assert ended == [got[0].track]
        await frames(got[1].track)
        sections = mine.localDescription.sdp.count("m=")
        assert "m=audio 0 " in mine.localDescription.sdp
        # the next one takes the free place
        mine.addTransceiver("video")
        await pair.negotiate(mine)
        assert mine.localDescription.sdp.count("m=") == sections
        assert "m=audio 0 " not in mine.localDescription.sdp
        await frames(got[1].track)
        assert not await numbers.stop()


@scenario
async def test_the_first_section_ends_and_the_others_go_on(scene):
    """The section that carries the bundle ends: its transport stays, for the others use it."""
    async with PeerPair(network=scene.network) as pair:
        got = tracks_of(pair.answerer)
        pair.offerer.addTrack(synthetic_track("audio"))
        pair.offerer.addTrack(synthetic_track("video", {"width": 64, "height": 48}))
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        states = []
        pair.offerer.onconnectionstatechange = lambda _: states.append(pair.offerer.connectionState)
        transport = pair.offerer.sctp.transport
        pair.offerer.getTransceivers()[0].stop()
        await pair.negotiate()
        await frames(got[1].track)
        await asyncio.sleep(1)
        assert states == []
        assert pair.offerer.sctp.transport is transport
        assert transport.state == "connected"
        assert not await numbers.stop()


@scenario
async def test_the_answerer_does_not_want_one_of_three(scene):
    """What is stopped while an offer waits is rejected by an offer of its own (webrtc-pc 5.4 stop)."""
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTransceiver("audio")
        video = pair.offerer.addTransceiver("video")
        numbers = Stream(pair)
        needed = []

        def refuse(event):
            if event.track.kind == "video":
                event.transceiver.stop()

        pair.answerer.ontrack = refuse
        pair.answerer.onnegotiationneeded = lambda _: needed.append(pair.answerer.signalingState)
        await pair.connect()
        await numbers.start()
        assert needed == ["stable"]
        assert video.currentDirection == "inactive"
        await pair.negotiate(pair.answerer)
        assert video.currentDirection == "stopped"
        assert [t.kind for t in pair.offerer.getTransceivers()] == ["audio"]
        assert [t.kind for t in pair.answerer.getTransceivers()] == ["audio"]
        assert not await numbers.stop()


@pytest.mark.parametrize("unknown", ["audio", "video"])
@scenario
async def test_a_section_without_a_common_codec_is_rejected_alone(scene, unknown):
    async with PeerPair(network=scene.network) as pair:
        kinds = [unknown, "video" if unknown == "audio" else "audio"]
        transceivers = [pair.offerer.addTransceiver(kind) for kind in kinds]
        transceivers[0].setCodecPreferences([codec_of(unknown, 0)])
        channel = pair.offerer.createDataChannel("x")
        got = tracks_of(pair.answerer)

        def only_another(_):
            pair.answerer.getTransceivers()[0].setCodecPreferences([codec_of(unknown, -1)])

        await pair.offerer.setLocalDescription()
        await pair.answerer.setRemoteDescription(pair.offerer.localDescription)
        only_another(None)
        await pair.answerer.setLocalDescription()
        assert f"m={unknown} 0 " in pair.answerer.localDescription.sdp
        await pair.offerer.setRemoteDescription(pair.answerer.localDescription)
        assert [t.kind for t in pair.offerer.getTransceivers()] == kinds[1:]
        for connection, other in ((pair.offerer, pair.answerer), (pair.answerer, pair.offerer)):
            await connection.gathered()
            for line in connection.localDescription.sdp.splitlines():
                if line.startswith("a=candidate:"):
                    await other.addIceCandidate({"candidate": line[2:], "sdpMid": "1"})
        await channel.opened()
        assert len(got) == 2


def codec_of(kind, index):
    """The first or last real codec of a kind."""
    helpers = ("rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event")
    codecs = RTCRtpSender.getCapabilities(kind).codecs
    real = [c for c in codecs if c.mimeType.split("/")[1] not in helpers]
    return real[index]


@scenario
async def test_all_sections_end_and_the_connection_can_begin_again(scene):
    async with PeerPair(network=scene.network) as pair:
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        pair.offerer.getTransceivers()[0].stop()
        await pair.negotiate()
        await asyncio.sleep(0.1)
        assert pair.offerer.connectionState == pair.answerer.connectionState == "new"
        assert pair.offerer.iceConnectionState == "new"
        got = tracks_of(pair.answerer)
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        await frames(got[0].track)


@scenario
async def test_twenty_rounds_from_both_sides(scene):
    async with PeerPair(network=scene.network) as pair:
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        for number in range(20):
            mine, _ = sides(pair, ("offerer", "answerer")[number % 2])
            if number % 5 == 4:
                live = [t for t in mine.getTransceivers() if t.direction != "stopped"]
                live[0].stop()
            else:
                mine.addTransceiver(("audio", "video")[number % 2])
            await pair.negotiate(mine)
        assert len(pair.offerer.getTransceivers()) == len(pair.answerer.getTransceivers()) == 12
        assert pair.offerer.connectionState == "connected"
        assert not await numbers.stop()


@pytest.mark.parametrize("end", ["rollback", "answer"])
@scenario
async def test_a_track_that_an_offer_mutes_is_unmuted_by_a_rollback_alone(scene, end):
    """`muted` has one owner: what a description takes away, the next packet that is taken gives back."""
    async with PeerPair(network=scene.network) as pair:
        a, b = pair.offerer, pair.answerer
        got = tracks_of(b)
        a.addTrack(synthetic_track("audio"))
        await pair.connect()
        track, log = got[0].track, []
        await frames(track)
        assert not track.muted
        for name in ("mute", "unmute"):
            track.addEventListener(name, lambda e: log.append(e.type))
        offer = {"type": "offer", "sdp": a.localDescription.sdp.replace("a=sendrecv", "a=inactive")}
        await b.setRemoteDescription(offer)  # a itself sends all the time
        await asyncio.sleep(1)
        assert track.muted
        assert log == ["mute"]
        if end == "rollback":
            await b.setRemoteDescription({"type": "rollback"})
            await until(lambda: not track.muted)
            await frames(track)
            assert log == ["mute", "unmute"]
        else:
            await b.setLocalDescription()
            await asyncio.sleep(1)
            assert track.muted
            assert log == ["mute"]
        assert len(got) == (2 if end == "rollback" else 1)


@pytest.mark.parametrize("rolled_back", [False, True])
@scenario
async def test_a_data_channel_takes_the_place_of_the_only_medium(scene, rolled_back):
    async with PeerPair(network=scene.network) as pair:
        a, b = pair.offerer, pair.answerer
        a.addTrack(synthetic_track("audio"))
        await pair.connect()
        a.getTransceivers()[0].stop()
        if rolled_back:
            await a.setLocalDescription()
            await a.setLocalDescription({"type": "rollback"})
        channel = a.createDataChannel("x")
        await pair.negotiate()
        await channel.opened()
        assert (a.connectionState, b.connectionState) == ("connected", "connected")
