"""The other side goes: at once and told, or silently."""

import asyncio
import gc
import weakref

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import PeerPair as RealPair
from rtcpeer.testing import TurnServer, no_leaks, synthetic_track
from tests.scenarios.virtual import PeerPair, Stream, scenario, until


@pytest.mark.parametrize("who", ["offerer", "answerer"])
@pytest.mark.parametrize("what", ["data", "media", "both"])
@scenario
async def test_a_close_is_seen_at_once(scene, who, what):
    async with PeerPair(network=scene.network) as pair:
        if what != "data":
            pair.offerer.addTrack(synthetic_track("audio"))
        if what != "media":
            numbers = Stream(pair)
        await pair.connect()
        if what != "media":
            await numbers.channel.opened()
        closing = getattr(pair, who)
        other = pair.answerer if who == "offerer" else pair.offerer
        events = []
        for type in ("connectionstatechange", "iceconnectionstatechange", "signalingstatechange"):
            other.addEventListener(type, lambda e: events.append((e.type, e.target.connectionState)))
        if what != "media":
            channel = numbers.channel if other is pair.offerer else None
            if channel is not None:
                channel.onclose = lambda _: events.append(("close", channel.readyState))
        began = scene.now()
        closing.close()
        assert closing.connectionState == closing.iceConnectionState == closing.signalingState == "closed"
        transport = (other.sctp or other.getTransceivers()[0].receiver).transport
        await until(lambda: transport.state == "closed", 1)
        # one trip of the network
        assert scene.now() - began < 0.05
        if what != "media" and other is pair.offerer:
            await until(lambda: channel.readyState == "closed", 1)
            assert ("close", "closed") in events
        # webrtc-pc 4.3.3: a closed DTLS transport alone closes nothing; the connection is ours to close
        assert other.signalingState == "stable"
        assert other.connectionState != "closed"


@scenario
async def test_a_side_that_vanishes_is_missed_after_five_seconds(scene):
    async with PeerPair(network=scene.network) as pair:
        await pair.connect()
        states = []
        pair.offerer.onconnectionstatechange = lambda _: states.append(
            (pair.offerer.connectionState, scene.now())
        )
        gone = scene.now()
        scene.network.hosts["bob"].link.set(down=True)
        await pair.answerer.close()
        await until(lambda: len(states) == 2, 60)
        assert [state for state, _ in states] == ["disconnected", "failed"]
        assert 5 <= states[0][1] - gone < 7


@scenario
async def test_closed_and_recreated(scene):
    """Close both, make new ones: the same program, ten times over."""
    for number in range(10):
        async with PeerPair(network=scene.network) as pair:
            numbers = Stream(pair)
            began = scene.now()
            await pair.connect()
            assert scene.now() - began < 0.3, number
            await numbers.start()
            await asyncio.sleep(0.1)
            assert not await numbers.stop()


@scenario
async def test_one_side_is_recreated_and_the_other_is_new_too(scene):
    """A peer that was replaced is a new session to the other side, which needs a new connection as well."""
    async with PeerPair(network=scene.network) as pair:
        await pair.connect()
        await pair.answerer.close()
        with scene.network.hosts["bob"].active():
            fresh = RTCPeerConnection()
        async with fresh:
            offer = await pair.offerer.createOffer(iceRestart=True)
            await fresh.setRemoteDescription(offer)
            assert fresh.signalingState == "have-remote-offer"


async def test_fifty_connections_leave_nothing():
    async with no_leaks(), TurnServer(users={"u": "p"}) as server:
        for number in range(50):
            pair = RealPair({"iceServers": server.ice_servers} if number % 10 == 0 else None)
            await pair.connect()
            await pair.close()
        await server.released()


async def connect_and_close():
    """Without anything around it that could keep a connection."""
    alice, bob = RTCPeerConnection(), RTCPeerConnection()
    alice.addTransceiver("audio")
    alice.createDataChannel("x")
    await alice.setLocalDescription()
    await alice.gathered()
    await bob.setRemoteDescription(alice.localDescription)
    await bob.setLocalDescription()
    await bob.gathered()
    await alice.setRemoteDescription(bob.localDescription)
    await asyncio.gather(alice.connected(), bob.connected())
    await asyncio.gather(alice.close(), bob.close())
    return weakref.ref(alice), weakref.ref(bob)


async def test_closed_connections_are_not_kept_alive():
    """By nothing, not even by a cycle that waits for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            kept = await connect_and_close()
            await asyncio.sleep(0.01)
            assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()
