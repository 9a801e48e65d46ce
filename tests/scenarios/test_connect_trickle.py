"""Two peers get to know each other: trickled, all at once, late, and in the wrong order."""

import asyncio
import contextlib

import pytest

from rtcpeer import RTCPeerConnection
from tests.scenarios.virtual import PeerPair, scenario, until

EVENTS = (
    "signalingstatechange",
    "icegatheringstatechange",
    "iceconnectionstatechange",
    "connectionstatechange",
)


def log_states(connection):
    log = []
    for type in EVENTS:
        attribute = {
            "signalingstatechange": "signalingState",
            "icegatheringstatechange": "iceGatheringState",
            "iceconnectionstatechange": "iceConnectionState",
            "connectionstatechange": "connectionState",
        }[type]
        connection.addEventListener(type, lambda _, a=attribute: log.append((a, str(getattr(connection, a)))))
    return log


def states_of(log, attribute):
    return [value for name, value in log if name == attribute]


@contextlib.asynccontextmanager
async def two(scene):
    connections = []
    for name in ("alice", "bob"):
        with scene.network.add_host(name).active():
            connections.append(RTCPeerConnection())
    try:
        yield connections
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


@scenario
async def test_states_go_through_their_w3c_order(scene):
    async with PeerPair(network=scene.network) as pair:
        logs = log_states(pair.offerer), log_states(pair.answerer)
        await pair.connect()
        await asyncio.sleep(1)
        for log in logs:
            assert states_of(log, "iceGatheringState") == ["gathering", "complete"]
            assert states_of(log, "connectionState") == ["connecting", "connected"]
            ice = states_of(log, "iceConnectionState")
            assert ice[:2] == ["checking", "connected"]
            assert set(ice[2:]) <= {"completed"}
        assert states_of(logs[0], "signalingState") == ["have-local-offer", "stable"]
        assert states_of(logs[1], "signalingState") == ["have-remote-offer", "stable"]


@scenario
async def test_each_candidate_is_told_once_and_stands_in_the_description(scene):
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, network=scene.network) as p,
    ):
        told = []
        p.offerer.onicecandidate = lambda e: told.append(e.candidate and e.candidate.toJSON())
        await p.connect()
        await p.offerer.gathered()
        await asyncio.sleep(0.1)
        # the last two: the empty string says "no more of this generation", None "gathering has ended"
        assert told[-1] is None
        assert told[-2]["candidate"] == ""
        lines = [c["candidate"] for c in told[:-2]]
        assert len(lines) == len(set(lines)) >= 2
        assert {line.split()[7] for line in lines} >= {"host", "relay"}
        sdp = p.offerer.localDescription.sdp
        for line in lines:
            assert f"a={line.partition(' ufrag ')[0]}\r\n" in sdp
        assert "a=end-of-candidates\r\n" in sdp
        ufrag = sdp.split("a=ice-ufrag:")[1].split("\r\n")[0]
        assert {c["usernameFragment"] for c in told[:-1]} == {ufrag}
        assert {(c["sdpMid"], c["sdpMLineIndex"]) for c in told[:-1]} == {("0", 0)}


@scenario
async def test_set_local_description_does_not_wait_for_servers(scene):
    async with two(scene) as (alice, _bob):
        alice.setConfiguration({"iceServers": [{"urls": "stun:203.0.113.1"}]})
        alice.createDataChannel("x")
        began = scene.now()
        await alice.setLocalDescription()
        assert scene.now() == began
        await asyncio.sleep(1)
        assert alice.iceGatheringState == "gathering"


@scenario
async def test_all_candidates_at_once_without_trickle(scene):
    async with two(scene) as (alice, bob):
        channel = alice.createDataChannel("x")
        await alice.setLocalDescription()
        await alice.gathered()
        await bob.setRemoteDescription(alice.localDescription)
        await bob.setLocalDescription()
        await bob.gathered()
        await alice.setRemoteDescription(bob.localDescription)
        await asyncio.gather(alice.connected(), bob.connected(), channel.opened())


@pytest.mark.parametrize("late", ["offerer", "answerer"])
@scenario
async def test_one_side_tells_its_candidates_ten_seconds_later(scene, late):
    async with two(scene) as (alice, bob):
        alice.createDataChannel("x")
        held = []
        sides = {"offerer": (alice, bob), "answerer": (bob, alice)}
        for name, (mine, _) in sides.items():
            if name == late:
                mine.onicecandidate = lambda e: held.append(e.candidate)

        await alice.setLocalDescription()
        await bob.setRemoteDescription(
            {"type": "offer", "sdp": without_candidates(alice.localDescription.sdp)}
        )
        await bob.setLocalDescription()
        await alice.setRemoteDescription(
            {"type": "answer", "sdp": without_candidates(bob.localDescription.sdp)}
        )
        await asyncio.sleep(10)
        assert alice.connectionState == "new"  # nothing can be checked, and no handshake begin
        began = scene.now()
        for candidate in held:
            await sides[late][1].addIceCandidate(candidate)
        await asyncio.gather(alice.connected(), bob.connected())
        # the side that knows nothing learns the other's address from its checks
        assert scene.now() - began < 0.5


def without_candidates(sdp):
    lines = sdp.split("\r\n")
    return "\r\n".join(line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates")))


@scenario
async def test_signaling_as_slow_as_a_satellite(scene):
    async with PeerPair(network=scene.network, signaling_delay=0.6) as pair:
        await pair.connect()
        # two trips of the signaling, then the handshake
        assert scene.now() < 2 * 0.6 + 0.5


@scenario
async def test_both_transports_without_bundle(scene):
    async with PeerPair({"bundlePolicy": "max-compat"}, network=scene.network) as pair:
        pair.offerer.addTransceiver("audio")
        pair.offerer.createDataChannel("x")
        await pair.connect()
        assert pair.offerer.connectionState == "connected"
        assert pair.offerer.sctp.transport is pair.offerer.getTransceivers()[0].sender.transport


@scenario
async def test_a_peer_without_bundle_gets_a_transport_for_each_section(scene):
    async with two(scene) as (alice, bob):
        alice.addTransceiver("audio")
        alice.addTransceiver("video")
        channel = alice.createDataChannel("x")
        for mine, other in ((alice, bob), (bob, alice)):
            mine.onicecandidate = lambda e, other=other: (
                asyncio.ensure_future(other.addIceCandidate(e.candidate)) if e.candidate else None
            )

        def unbundled(description):
            lines = [line for line in description.sdp.split("\r\n") if not line.startswith("a=group:BUNDLE")]
            return {"type": description.type, "sdp": "\r\n".join(lines).replace("a=bundle-only\r\n", "")}

        await alice.setLocalDescription()
        await bob.setRemoteDescription(unbundled(alice.localDescription))
        await bob.setLocalDescription()
        await alice.setRemoteDescription(unbundled(bob.localDescription))
        await asyncio.gather(alice.connected(), bob.connected(), channel.opened())
        transports = {id(t.sender.transport) for t in alice.getTransceivers()} | {id(alice.sctp.transport)}
        assert len(transports) == 3


@scenario
async def test_remote_candidates_before_the_description_are_refused_and_after_it_taken(scene):
    async with two(scene) as (alice, bob):
        alice.createDataChannel("x")
        found = []
        alice.onicecandidate = lambda e: found.append(e.candidate)
        await alice.setLocalDescription()
        await until(lambda: len(found) > 1)
        with pytest.raises(Exception, match="remote description") as refused:
            await bob.addIceCandidate(found[0])
        assert refused.value.name == "InvalidStateError"
        await bob.setRemoteDescription(alice.localDescription)
        await bob.addIceCandidate(found[0])
        await bob.addIceCandidate({"candidate": ""})
        await bob.addIceCandidate(None)
