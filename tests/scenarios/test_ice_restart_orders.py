"""ICE restarts that cross, overtake each other, are taken back or told too late."""

import asyncio
import re

import pytest

from rtcpeer import OperationError, RTCPeerConnection
from tests.scenarios.virtual import PeerPair, Stream, scenario, until


def ufrags(description):
    return set(re.findall("a=ice-ufrag:(.*)\r\n", description.sdp))


def silent_states(connection):
    told = []
    for kind in ("iceconnectionstatechange", "connectionstatechange"):
        connection.addEventListener(
            kind, lambda event: told.append((event.type, connection.iceConnectionState))
        )
    return told


@scenario
async def test_nothing_is_told_of_a_restart_on_a_working_path(scene):
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(1)
        told = [silent_states(peer) for peer in (pair.offerer, pair.answerer)]
        transport = pair.offerer.sctp.transport.iceTransport
        before = transport.getSelectedCandidatePair(), transport.getLocalParameters()
        changes = []
        transport.onselectedcandidatepairchange = lambda _: changes.append(transport.state)
        await pair.restart_ice()
        await asyncio.sleep(5)
        assert told == [[], []]
        assert changes
        assert set(changes) <= {"connected", "completed"}
        assert transport.getLocalParameters() != before[1]
        assert not await stream.stop()


@pytest.mark.parametrize("delay", [0.0, 0.1])
@scenario
async def test_both_restart_at_once(scene, delay):
    """Glare: the polite side takes its restart back and makes it again; the path carries all the time."""
    async with PeerPair(network=scene.network, signaling_delay=delay) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(1)
        told = silent_states(pair.offerer)
        one, two = pair.offerer, pair.answerer
        before = ufrags(one.localDescription), ufrags(two.localDescription)
        began = scene.now()
        one.restartIce()
        two.restartIce()
        await one.setLocalDescription()
        await two.setLocalDescription()
        assert one.signalingState == two.signalingState == "have-local-offer"
        offer = one.localDescription
        await two.setRemoteDescription(offer)  # implicit rollback
        await two.setLocalDescription()
        await one.setRemoteDescription(two.localDescription)
        assert not ufrags(one.localDescription) & before[0]
        assert not ufrags(two.localDescription) & before[1]
        await asyncio.sleep(3)
        assert stream.gap(began) < 0.06
        assert told == []
        assert not await stream.stop()


@scenario
async def test_a_restart_while_the_last_one_is_not_answered(scene):
    """Three offers, each with new credentials; only the last is answered, and the answer to the first comes late."""
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(1)
        told = silent_states(pair.offerer)
        one, two = pair.offerer, pair.answerer
        began = scene.now()
        seen = []
        for _ in range(3):
            await one.setLocalDescription(await one.createOffer(iceRestart=True))
            await asyncio.sleep(0.5)
            seen.append(one.localDescription)  # with its candidates
        assert len(set().union(*map(ufrags, seen))) == 3
        old = re.findall("a=(candidate:.*)\r\n", seen[0].sdp)
        await two.setRemoteDescription(one.localDescription)
        await two.setLocalDescription()
        # candidates of the first offer arrive now: their generation is unknown here, and that is all that is wrong
        assert old
        for candidate in old:
            with pytest.raises(OperationError, match="no remote description has usernameFragment"):
                await two.addIceCandidate(
                    {"candidate": candidate, "sdpMid": "0", "usernameFragment": ufrags(seen[0]).pop()}
                )
        await one.setRemoteDescription(two.localDescription)
        await asyncio.sleep(3)
        assert ufrags(one.localDescription) == ufrags(seen[2])
        assert stream.gap(began) < 0.03
        assert told == []
        assert not await stream.stop()


@scenario
async def test_a_restart_is_rolled_back_and_made_again_ten_times(scene):
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(1)
        told = silent_states(pair.offerer)
        began = scene.now()
        for number in range(10):
            await pair.offerer.setLocalDescription(await pair.offerer.createOffer(iceRestart=True))
            await asyncio.sleep(0.01 * number)
            await pair.answerer.setRemoteDescription(pair.offerer.localDescription)
            await asyncio.sleep(0.02)  # the candidates of this offer have arrived
            await pair.answerer.setRemoteDescription({"type": "rollback"})
            await pair.offerer.setLocalDescription({"type": "rollback"})
        await pair.restart_ice()
        await asyncio.sleep(5)
        assert stream.gap(began) < 0.03
        assert told == []
        assert not await stream.stop()
        for peer in (pair.offerer, pair.answerer):
            agent = peer.sctp.transport.iceTransport._core.agent
            assert len(agent.core.generations) == 1
            assert not agent.core.retired
            assert len(agent.pool.sockets) == 1


@scenario
async def test_packets_of_an_old_generation_come_late(scene):
    """A link that delays some packets by seconds: checks of each restart arrive during the next ones."""
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        await pair.connect()
        told = silent_states(pair.offerer)
        alice.link.set(jitter=2.0, reorder=0.3, duplicate=0.3)
        for _ in range(6):
            await pair.negotiate(iceRestart=True)
            await asyncio.sleep(1)
        alice.link.set(jitter=0.0, reorder=0.0, duplicate=0.0)
        await asyncio.sleep(10)
        assert pair.offerer.connectionState == pair.answerer.connectionState == "connected"
        assert "failed" not in [state for _, state in told]
        stream = Stream(pair)
        await pair.negotiate()
        await stream.start()
        await asyncio.sleep(1)
        assert not await stream.stop()


@scenario
async def test_transports_without_bundle_restart_together(scene):
    hosts = scene.network.add_host("alice"), scene.network.add_host("bob")
    peers = []
    for host in hosts:
        with host.active():
            peers.append(RTCPeerConnection())
    alice, bob = peers
    for mine, other in ((alice, bob), (bob, alice)):
        mine.onicecandidate = lambda e, other=other: (
            asyncio.ensure_future(other.addIceCandidate(e.candidate)) if e.candidate else None
        )

    def unbundled(description):
        lines = [line for line in description.sdp.split("\r\n") if not line.startswith("a=group:BUNDLE")]
        return {"type": description.type, "sdp": "\r\n".join(lines).replace("a=bundle-only\r\n", "")}

    async def negotiate():
        await alice.setLocalDescription()
        await bob.setRemoteDescription(unbundled(alice.localDescription))
        await bob.setLocalDescription()
        await alice.setRemoteDescription(unbundled(bob.localDescription))

    alice.addTransceiver("audio")
    alice.addTransceiver("video")
    channel = alice.createDataChannel("x")
    incoming = []
    bob.ondatachannel = lambda event: incoming.append(event.channel)
    await negotiate()
    await asyncio.gather(alice.connected(), bob.connected(), channel.opened())
    await asyncio.sleep(1)
    before = ufrags(alice.localDescription)
    told = silent_states(alice)
    alice.restartIce()
    await negotiate()
    await asyncio.sleep(5)
    assert not ufrags(alice.localDescription) & before
    assert len({id(t.sender.transport) for t in alice.getTransceivers()} | {id(alice.sctp.transport)}) == 3
    assert told == []
    arrived = []
    incoming[0].onmessage = lambda event: arrived.append(event.data)
    channel.send("still here")
    await until(lambda: arrived == ["still here"], 5)
    await alice.close()
    await bob.close()


@scenario
async def test_interfaces_appear_change_and_vanish(scene):
    """Each change is one event; a restart gathers on what there is, and the call lives on what is left."""
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        changes = []
        pair.offerer.onnetworkchange = lambda _: changes.append(scene.now())

        async def after(change):
            changes.clear()
            change()
            await asyncio.sleep(2)
            assert len(changes) == 1

        mobile = scene.network.add_router("carrier").segment
        await after(lambda: alice.add_interface("mobile", mobile))
        assert pair.offerer.connectionState == "connected"
        await pair.restart_ice()
        addresses = {i.address for i in alice.network.interfaces() if not i.is_loopback}
        assert len(addresses) == 2
        await asyncio.sleep(1)
        told = {c.address for c in pair.offerer.sctp.transport.iceTransport.getLocalCandidates()}
        assert addresses <= told
        # the call goes on over the interface that is left, without a restart
        began = scene.now()
        await after(lambda: alice.remove_interface("eth0"))
        await until(lambda: stream.arrived[-1][0] > began + 1.5)
        assert pair.offerer.connectionState == "connected"
        assert stream.gap(began) < 1.5
        await after(lambda: alice.change_address("mobile"))
        await pair.restart_ice()
        assert pair.offerer.connectionState == "connected"
        assert not await stream.stop()
