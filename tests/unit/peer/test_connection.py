"""The face: arguments in every form, descriptions, awaiting, the words it shows."""

import asyncio
import gc
import json
import warnings

import pytest

from rtcpeer import (
    InvalidStateError,
    OperationError,
    PeerSettings,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCTimeoutError,
)
from rtcpeer.ice.settings import IceSettings
from rtcpeer.testing import PeerPair, VirtualNetwork, no_leaks, run_virtual, synthetic_track


@pytest.fixture
async def pc():
    async with RTCPeerConnection() as connection:
        yield connection


def in_virtual_time(test):
    def run():
        async def main():
            async with no_leaks(grace=0):
                network = VirtualNetwork(delay=0.01)
                await test(network)
                assert network.sockets == []
                network.close()

        run_virtual(main())

    run.__name__ = test.__name__
    return run


# --- construction and configuration ---------------------------------------------------------------

SERVER = {"urls": "stun:stun.example"}


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ({"iceServers": [SERVER], "iceTransportPolicy": "relay"}, {}),
        (None, {"iceServers": [SERVER], "iceTransportPolicy": "relay"}),
        ({"iceServers": [SERVER]}, {"iceTransportPolicy": "relay"}),
        (RTCConfiguration(iceServers=[RTCIceServer("stun:stun.example")], iceTransportPolicy="relay"), {}),
        ({"iceServers": [SERVER], "iceTransportPolicy": "relay", "future": 1}, {}),
    ],
)
async def test_configuration_in_every_form(given, keywords):
    async with RTCPeerConnection(given, **keywords) as pc:
        read = pc.getConfiguration()
        assert [s.urls for s in read.iceServers] in (["stun:stun.example"], [["stun:stun.example"]])
        assert read.iceTransportPolicy == "relay"
        # replaced whole: what is left out takes its default
        pc.setConfiguration(iceServers=[SERVER])
        assert pc.getConfiguration().iceTransportPolicy == "all"
        pc.setConfiguration()
        assert pc.getConfiguration().iceServers == []


async def test_get_configuration_gives_copies(pc):
    first = pc.getConfiguration()
    first.iceServers.append(RTCIceServer("stun:x"))
    assert pc.getConfiguration().iceServers == []


def test_it_can_be_made_without_a_loop():
    pc = RTCPeerConnection()
    pc.addTransceiver("audio")
    pc.createDataChannel("x")
    fired = []
    pc.onnegotiationneeded = lambda _: fired.append(True)

    async def main():
        offer = await pc.createOffer()
        assert "m=audio" in offer.sdp
        await asyncio.sleep(0)
        await pc.close()

    asyncio.run(main())
    assert fired == [True]


# --- descriptions ---------------------------------------------------------------------------------


async def test_descriptions_keep_their_identity_until_they_change(pc):
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    assert pc.localDescription is pc.pendingLocalDescription
    before = pc.localDescription
    assert pc.localDescription is before
    await pc.gathered()
    assert pc.localDescription is not before
    assert pc.localDescription.sdp.startswith(before.sdp.partition("m=")[0])
    assert (pc.currentLocalDescription, pc.remoteDescription) == (None, None)


async def test_descriptions_in_every_form(pc):
    pc.createDataChannel("x")
    offer = await pc.createOffer()
    async with RTCPeerConnection() as other:
        for form in (offer, {"type": "offer", "sdp": offer.sdp}, json.loads(json.dumps(offer.toJSON()))):
            await other.setRemoteDescription(form)
        await other.setRemoteDescription(type="offer", sdp=offer.sdp)
        assert other.remoteDescription.type == "offer"
        assert other.signalingState == "have-remote-offer"


async def test_offer_options_as_mapping_and_keyword(pc):
    for options, keywords in (({"offerToReceiveAudio": True}, {}), (None, {"offerToReceiveVideo": True})):
        await pc.createOffer(options, **keywords)
    assert [t.kind for t in pc.getTransceivers()] == ["audio", "video"]
    await pc.setLocalDescription()

    def ufrag(sdp):
        return sdp.split("a=ice-ufrag:")[1].split("\r\n")[0]

    first = ufrag(pc.localDescription.sdp)
    assert ufrag((await pc.createOffer()).sdp) == first
    assert ufrag((await pc.createOffer({"iceRestart": True})).sdp) != first


async def test_an_offer_changes_nothing(pc):
    pc.addTransceiver("audio")
    await pc.createOffer()
    assert pc.signalingState == "stable"
    assert pc.getTransceivers()[0].mid is None
    assert pc.localDescription is None


# --- awaiting -------------------------------------------------------------------------------------


@in_virtual_time
async def test_connected_says_where_it_stands_when_time_is_up(network):
    with network.add_host("alice").active():
        pc = RTCPeerConnection()
    async with pc:
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        with pytest.raises(RTCTimeoutError, match=r"not connected within 2 s.*have-local-offer") as caught:
            await pc.connected(2)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.name == "TimeoutError"


@in_virtual_time
async def test_connected_raises_when_the_connection_fails(network):
    async with PeerPair(network=network) as pair:
        network.hosts["bob"].link.set(down=True)
        with pytest.raises(OperationError, match="failed") as caught:
            await pair.connect(60)
        assert caught.value.fault == "network"


@in_virtual_time
async def test_connected_and_gathered_end_with_the_connection(network):
    with network.add_host("alice").active():
        pc = RTCPeerConnection({"iceServers": [{"urls": "stun:203.0.113.9"}]})
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    waiting = [asyncio.ensure_future(w) for w in (pc.connected(None), pc.gathered(None))]
    await asyncio.sleep(1)
    await pc.close()
    for waiter in waiting:
        with pytest.raises(InvalidStateError, match="closed"):
            await waiter


@in_virtual_time
async def test_waiting_may_be_cancelled(network):
    async with PeerPair(network=network) as pair:
        waiting = asyncio.ensure_future(pair.offerer.connected())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pair.connect()
        await pair.offerer.connected(0)


@in_virtual_time
async def test_events_can_be_iterated(network):
    async with PeerPair(network=network) as pair:
        states = []

        async def follow():
            wanted = ("connectionstatechange", "signalingstatechange")
            states.extend([event.type async for event in pair.offerer.events(*wanted)])

        following = asyncio.ensure_future(follow())
        await asyncio.sleep(0)
        await pair.connect()
        await pair.offerer.close()
        await following  # ends with the connection
        assert states == ["signalingstatechange"] * 2 + ["connectionstatechange"] * 2


@in_virtual_time
async def test_all_ways_to_listen(network):
    async with PeerPair(network=network) as pair:
        called = []
        pc = pair.offerer

        @pc.on("connectionstatechange")
        def one(event):
            called.append("decorator")

        pc.on("connectionstatechange", lambda event: called.append("on"))
        pc.addEventListener("connectionstatechange", lambda event: called.append("add"), {"once": True})

        async def later(event):
            await asyncio.sleep(0)
            called.append("async")

        pc.onconnectionstatechange = later
        await pair.connect()
        await asyncio.sleep(0.01)
        assert sorted(called) == ["add", *["async"] * 2, *["decorator"] * 2, *["on"] * 2]


# --- settings -------------------------------------------------------------------------------------


@in_virtual_time
async def test_settings_reach_the_agents(network):
    settings = PeerSettings(
        ice=IceSettings(disconnected_after=1.0, failed_after=2.0, probe_after=0.5), max_message_size=1000
    )
    async with PeerPair(network=network, settings=settings) as pair:
        channel = pair.offerer.createDataChannel("x")
        await pair.connect()
        await channel.opened()
        assert pair.offerer.sctp.maxMessageSize == 1000
        states = []
        pair.offerer.onconnectionstatechange = lambda e: states.append(e.target.connectionState)
        await network.hosts["bob"].link.outage_of(4)
        assert states == ["disconnected", "failed"]


# --- words ----------------------------------------------------------------------------------------


async def test_it_says_what_it_is(pc):
    pc.addTransceiver("audio")
    assert "stable, new, ice new, 1 transceiver>" in repr(pc)
    await pc.close()
    assert "closed, closed, ice closed, 1 transceiver>" in repr(pc)


async def test_an_unclosed_connection_warns_when_it_had_transports():
    pc = RTCPeerConnection()
    pc.createDataChannel("x")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del pc
        gc.collect()
    assert not [w for w in caught if "not closed" in str(w.message)]
    pc = RTCPeerConnection()
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    await pc.gathered()
    pc_session = pc._session_
    with pytest.warns(ResourceWarning, match="was not closed"):
        pc.__del__()
    await pc.close()
    assert pc_session.closed


@pytest.mark.parametrize("loop_of_close", ["another", "none"])
def test_a_call_whose_loop_was_closed_can_still_be_closed(loop_of_close: str) -> None:
    """A program that closes its loop without `close()`: what ran in it stays where it was, sockets are given back."""
    loop = asyncio.new_event_loop()
    # its tasks are never to end: that is the program's fault, and asyncio says so
    loop.set_exception_handler(lambda *_: None)
    track = synthetic_track("audio")

    async def begin() -> list[RTCPeerConnection]:
        pc, other = RTCPeerConnection(), RTCPeerConnection()
        pc.createDataChannel("x")
        pc.addTrack(track)
        await pc.setLocalDescription()
        await pc.gathered()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await other.gathered()
        await pc.setRemoteDescription(other.localDescription)
        await asyncio.gather(pc.connected(), other.connected())
        return [pc, other]

    async def end() -> None:
        await asyncio.gather(*(pc.close() for pc in both))

    both = loop.run_until_complete(begin())
    loop.close()
    if loop_of_close == "another":
        asyncio.run(end())
    else:
        for pc in both:
            pc.close()
    track.stop()
    assert [pc.signalingState for pc in both] == ["closed"] * 2
