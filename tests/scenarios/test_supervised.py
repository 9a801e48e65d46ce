"""Supervised peers, real connections, a virtual network: what a bot lives through in its hours."""

import asyncio
import random
from typing import Any

import pytest

from rtcpeer import RTCRtpSender
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.config.rest import rest_ice_server
from rtcpeer.peer.connection import RTCPeerConnection
from rtcpeer.peer.errors import InvalidModificationError, InvalidStateError
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.signaling.negotiator import Negotiator
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import Reason
from rtcpeer.testing import TurnServer, TurnSettings, VirtualNetwork, synthetic_track
from rtcpeer.testing.clock import wall_time
from tests.scenarios.bots import Bots, now


async def test_an_address_change_is_survived_within_a_second(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        bots.send_every(0.05)
        await asyncio.sleep(2)
        for _ in range(3):
            start = now()
            bots.hosts["alice"].change_address()
            await asyncio.sleep(0.55)
            await bots.alice.connected(5)
            assert now() - start < 1.0
            await asyncio.sleep(20)
        await bots.stop()
        assert bots.received == list(range(bots.sent))
        assert bots.longest_gap < 1.0
        assert bots.alice.generation == 1
        assert bots.states(bots.alice).count("resuming:network-change") == 3


async def test_a_dead_path_is_replaced_within_eight_seconds(virtual_network: VirtualNetwork) -> None:
    """The old addresses stay and are dead: nothing tells but silence."""
    async with Bots(virtual_network) as bots:
        second = virtual_network.add_router("wifi", nat=None)
        bots.hosts["alice"].add_interface("eth1", second.segment)
        await asyncio.sleep(3)
        bots.send_every(0.05)
        await asyncio.sleep(3)
        bots.hosts["alice"].interface("eth0").link.set(down=True)
        bots.hosts["alice"].set_up("eth0", False)
        await asyncio.sleep(12)
        await bots.stop()
        assert bots.received == list(range(bots.sent))
        assert bots.longest_gap < 8.0


async def test_a_short_outage_loses_nothing(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        bots.send_every(0.05)
        await asyncio.sleep(1)
        await bots.hosts["bob"].link.outage_of(9)
        await asyncio.sleep(10)
        await bots.stop()
        assert bots.received == list(range(bots.sent))
        assert bots.lost == []
        assert bots.alice.generation == 1


async def test_after_a_long_outage_whatever_is_missing_was_told(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        bots.send_every(0.1)
        await asyncio.sleep(3)
        await bots.hosts["bob"].link.outage_of(60)
        await asyncio.sleep(15)
        assert bots.alice.state == bots.bob.state == "connected"
        assert bots.alice.generation == bots.bob.generation > 1
        await bots.stop()
        told = {int(message) for event in bots.lost for message in event.messages}
        missing = set(range(bots.sent)) - set(bots.received)
        assert missing <= told
        assert bots.received == sorted(set(bots.received))
        assert all(event.generation == 1 for event in bots.lost)


async def test_both_ends_tell_why_it_ended(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        await bots.bob.close()
        assert await bots.bob.closed() == Reason.API
        start = now()
        assert await bots.alice.closed() == Reason.REMOTE_CLOSED
        assert now() - start < 1.0


async def test_the_other_program_is_killed_and_started_again(virtual_network: VirtualNetwork) -> None:
    async with Bots(virtual_network) as bots:
        for _ in range(2):
            with bots.hosts["bob"].link.outage():  # no word gets out
                bots.bob._controller_._channel = memory_pair()[0]  # the path stays for its successor
                await bots.bob.close()
            await asyncio.sleep(1)
            bots.bob = bots.bot("bob", polite=False)
            bots.bob.ondatachannel = lambda e: setattr(e.channel, "onmessage", bots._note)
            await bots.bob.start()
            bots.bob.createDataChannel("hello")
            await asyncio.sleep(1)
            await bots.bob.connected(10)
            await bots.alice.connected(10)
        assert bots.alice.generation == 3
        bots.send_every(0.1)
        await asyncio.sleep(2)
        await bots.stop()
        assert bots.received == list(range(bots.sent))


async def test_a_browser_like_peer_that_only_negotiates(virtual_network: VirtualNetwork) -> None:
    """The other side is a plain connection with perfect negotiation: restarts from here work."""
    alice_host, bob_host = virtual_network.add_host("alice"), virtual_network.add_host("bob")
    a, b = memory_pair(delay=0.02)

    def make(configuration: Any) -> RTCPeerConnection:
        with alice_host.active():
            return RTCPeerConnection(configuration)

    with bob_host.active():
        plain = RTCPeerConnection()
    bot = SupervisedPeer(a, polite=False, make_connection=make)
    async with bot, Negotiator(plain, b, polite=True):
        chat = bot.createDataChannel("chat")
        await bot.connected(10)
        alice_host.change_address()
        await asyncio.sleep(1)
        await bot.connected(5)
        bot.restart()
        await asyncio.sleep(1)
        assert bot.state == "connected"
        assert bot.generation == 1
        assert chat.readyState == "open"
    await plain.close()


async def test_turn_credentials_rotate_ten_times_and_nothing_is_lost(virtual_network: VirtualNetwork) -> None:
    """The path runs over a relay whose credentials live for two minutes."""
    host = virtual_network.add_host("turn")
    settings = TurnSettings(secret="north", max_lifetime=120.0)
    async with TurnServer(network=host.network, settings=settings) as server:

        def fetch() -> Any:
            ice_server = rest_ice_server(server.turn_url, "north", ttl=120, now=wall_time())
            return IceServerGrant((ice_server,), 120)

        async with (
            IceServerProvider(fetch, random_source=random.Random(5), wall_clock=wall_time) as provider,
            Bots(virtual_network, provider=provider, iceTransportPolicy="relay") as bots,
        ):
            bots.send_every(0.1)
            await asyncio.sleep(60 * 11)
            await bots.stop()
            states = bots.states(bots.alice) + bots.states(bots.bob)
            assert states.count("resuming:credentials") >= 10
            assert bots.received == list(range(bots.sent))
            assert bots.longest_gap < 0.5
            assert bots.alice.generation == bots.bob.generation == 1
            assert not [s for s in states if s.startswith(("disconnected", "recreating"))]


async def test_tracks_are_sent_again_over_a_new_connection(virtual_network: VirtualNetwork) -> None:
    tracks: list[Any] = []
    async with Bots(virtual_network) as bots:
        bots.bob.ontrack = lambda e: tracks.append((e.generation, e.track))
        mine = synthetic_track("audio", {})
        sender = bots.alice.addTrack(mine)
        bots.alice.addTransceiver("video", direction="recvonly")
        await asyncio.sleep(2)
        assert [(generation, track.kind) for generation, track in tracks] == [(1, "audio")]
        assert await asyncio.wait_for(tracks[0][1].recv(), 5)
        other = synthetic_track("audio", {})
        await sender.replaceTrack(other)
        bots.bob.recreate()
        await asyncio.sleep(3)
        assert bots.alice.generation == 2
        assert [(generation, track.kind) for generation, track in tracks] == [(1, "audio")]
        assert await asyncio.wait_for(tracks[0][1].recv(), 5)
        assert sender.sender.track is other
        assert [t.direction for t in bots.alice.pc.getTransceivers()] == ["sendrecv", "recvonly"]
        bots.alice.removeTrack(sender)
        bots.alice.recreate()
        await asyncio.sleep(3)
        assert tracks[0][1].readyState == "live"
        await asyncio.sleep(4)
        assert tracks[0][1].readyState == "ended"
        assert len(tracks) == 1
        assert mine.readyState == other.readyState == "live"
        mine.stop()
        other.stop()


async def test_codecs_encodings_and_directions_are_those_of_the_next_connection_too(
    virtual_network: VirtualNetwork,
) -> None:
    async with Bots(virtual_network) as bots:
        sound, picture = synthetic_track("audio", {}), synthetic_track("video", {})
        audio = bots.alice.addTrack(sound)
        layers = [{"rid": "low", "scaleResolutionDownBy": 4.0}, {"rid": "high"}]
        video = bots.alice.addTransceiver(picture, direction="sendonly", sendEncodings=layers)
        level = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
        pcma = [c for c in RTCRtpSender.getCapabilities("audio").codecs if c.mimeType == "audio/PCMA"]
        audio.setCodecPreferences(pcma)
        await asyncio.sleep(1)
        audio.transceiver.direction = "sendonly"
        extensions = audio.transceiver.getHeaderExtensionsToNegotiate()
        next(e for e in extensions if e.uri == level).direction = "stopped"
        audio.setHeaderExtensionsToNegotiate(extensions)
        sizes = video.getParameters()
        for encoding in sizes.encodings:
            encoding.scaleResolutionDownTo = {"maxWidth": 320, "maxHeight": 180}
        await video.setParameters(sizes)
        for sender, bitrate in ((audio, 20_000), (video, 90_000)):
            parameters = sender.getParameters()
            parameters.encodings[0].maxBitrate = bitrate
            await sender.setParameters(parameters)
        for generation in (2, 3):
            bots.alice.recreate()
            await asyncio.sleep(2)
            assert bots.alice.generation == generation
            assert bots.alice.state == "connected"
            parameters = audio.getParameters()
            assert [c.mimeType for c in parameters.codecs] == ["audio/PCMA"]
            assert [e.maxBitrate for e in parameters.encodings] == [20_000]
            encodings = video.getParameters().encodings
            assert [(e.rid, e.maxBitrate, e.scaleResolutionDownBy) for e in encodings][:1] == [
                ("low", 90_000, 4.0)
            ]
            assert {e.scaleResolutionDownTo.maxWidth for e in encodings} == {320}
            assert level not in bots.alice.pc.localDescription.sdp
            assert [t.direction for t in bots.alice.pc.getTransceivers()] == ["sendonly", "sendonly"]
        with pytest.raises(InvalidModificationError):
            audio.setCodecPreferences([{"mimeType": "audio/none", "clockRate": 1}])
        bots.alice.recreate()
        await asyncio.sleep(2)
        assert [c.mimeType for c in audio.getParameters().codecs] == ["audio/PCMA"]
        bots.alice.removeTrack(audio)
        with pytest.raises(InvalidStateError):
            audio.setCodecPreferences([])
        with pytest.raises(InvalidStateError):
            audio.setHeaderExtensionsToNegotiate(extensions)
        sound.stop()
        picture.stop()
