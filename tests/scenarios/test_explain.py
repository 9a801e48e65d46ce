"""explain() on whole connections that stand still for every reason there is."""

from __future__ import annotations

import asyncio
import time

import pytest

from rtcpeer import OperationError, RTCPeerConnection, RTCSessionDescription, RTCTimeoutError
from rtcpeer.dtls.handshake import PATIENCE_IN_DOUBT
from rtcpeer.ice.settings import IceSettings
from rtcpeer.peer.settings import PeerSettings
from tests.scenarios.virtual import PeerPair, scenario, until


def codes(connection):
    return {finding.code for finding in connection.explain()}


def problems(connection):
    return {finding.code for finding in connection.explain() if finding.level == "problem"}


def texts(connection):
    return "\n".join(map(str, connection.explain()))


@scenario
async def test_the_whole_way_of_a_call(scene):
    async with PeerPair(network=scene.network) as pair:
        assert codes(pair.offerer) == {"state-new", "nothing-to-negotiate"}
        pair.offerer.createDataChannel("x")
        assert "offer-missing" in codes(pair.offerer)
        await pair.connect()
        await asyncio.sleep(1)
        assert codes(pair.offerer) == {"connected", "candidates", "consent", "pair"}
        assert pair.offerer.explain()[0].text.startswith("Connected: host ")
        await pair.answerer.close()
        await asyncio.sleep(1)
        assert "closed-by-remote" in problems(pair.offerer)
    assert codes(pair.offerer) == {"closed"}


@scenario
async def test_signaling_that_waits(scene):
    here, there = scene.network.add_host("a"), scene.network.add_host("b")
    with here.active():
        alice = RTCPeerConnection()
    with there.active():
        bob = RTCPeerConnection()
    async with alice, bob:
        alice.createDataChannel("x")
        await alice.setLocalDescription()
        await asyncio.sleep(1)
        assert "waits-for-answer" in codes(alice)
        await bob.setRemoteDescription(alice.localDescription)
        assert "answer-missing" in codes(bob)
        await bob.setLocalDescription()
        await bob.gathered()
        await alice.setRemoteDescription(bob.localDescription)
        await alice.connected()


@scenario
async def test_candidates_that_nobody_signals(scene):
    here, there = scene.network.add_host("a"), scene.network.add_host("b")
    with here.active():
        alice = RTCPeerConnection()
    with there.active():
        bob = RTCPeerConnection()
    async with alice, bob:
        alice.createDataChannel("x")
        await alice.setLocalDescription(offer := await alice.createOffer())
        await bob.setRemoteDescription(offer)
        await bob.setLocalDescription(answer := await bob.createAnswer())
        await alice.setRemoteDescription(answer)
        await asyncio.sleep(5)
        assert "no-remote-candidates" in problems(alice)
        assert "no-remote-candidates" in problems(bob)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"silent": True}, "the server did not answer"),
        ({"errors": {"allocate": 486}}, "has reached its quota"),
        ({"errors": {"allocate": 403}}, "it forbids this user"),
        ({"stale_nonce_every": 1}, "it calls every nonce stale (438)"),
    ],
)
@scenario
async def test_relay_only_and_no_relay(scene, fault, words):
    async with scene.server() as server:
        for name, value in fault.items():
            setattr(server.faults, name, value)
        configuration = {"iceServers": server.ice_servers, "iceTransportPolicy": "relay"}
        async with PeerPair(configuration, network=scene.network) as pair:
            pair.offerer.createDataChannel("x")
            await pair.negotiate()
            await pair.offerer.gathered()
            await asyncio.sleep(0.1)
            assert {"server-failed", "relay-only-without-relay"} <= problems(pair.offerer)
            assert words in texts(pair.offerer)
            assert "server-not-asked" in codes(pair.offerer)


@scenario
async def test_only_a_relay_would_work_but_its_credential_is_wrong(scene):
    async with scene.server() as server:
        wrong = [{**server.ice_server(), "credential": "hunter-2"}, {"urls": server.stun_url}]
        async with PeerPair({"iceServers": wrong}, hosts=scene.behind("symmetric")) as pair:
            pair.offerer.createDataChannel("x")
            await pair.negotiate()
            await asyncio.sleep(5)
            found = problems(pair.offerer)
            assert {"server-failed", "checks-unanswered", "only-relay-would-work"} <= found
            assert "refuses the credential (401)" in texts(pair.offerer)
            assert "hunter-2" not in texts(pair.offerer)
            # the right credential and a restart mend it
            for connection in (pair.offerer, pair.answerer):
                connection.setConfiguration({"iceServers": server.ice_servers})
            await pair.restart_ice()
            assert not problems(pair.offerer) - {"server-failed"}
        await server.released()


@scenario
async def test_a_firewall_between_neighbours(scene):
    hosts = scene.behind("port-restricted")
    async with PeerPair(hosts=hosts) as pair:
        pair.offerer.createDataChannel("x")
        await pair.negotiate()
        await asyncio.sleep(3)
        assert {"checks-unanswered", "no-turn-server"} <= problems(pair.offerer)
        await until(lambda: pair.offerer.connectionState == "failed")
        assert "ice-failed" in problems(pair.offerer)
        assert "checks sent" in texts(pair.offerer)


@scenario
async def test_an_outage_from_silence_to_failure_and_back(scene):
    async with PeerPair(network=scene.network) as pair:
        await pair.connect()
        link = scene.network.hosts["alice"].link
        with link.outage():
            await asyncio.sleep(8)
            assert problems(pair.offerer) == {"silent"}
            assert "failed in 2" in texts(pair.offerer)
            await asyncio.sleep(30)
            assert {"ice-failed", "path-lost"} <= problems(pair.offerer)
        await pair.restart_ice()
        assert not problems(pair.offerer)


def with_another_fingerprint(description):
    lines = [
        f"{line[:-2]}{'00' if line[-2:] != '00' else '11'}" if line.startswith("a=fingerprint:") else line
        for line in description.sdp.split("\r\n")
    ]
    return RTCSessionDescription(type=description.type, sdp="\r\n".join(lines))


@pytest.mark.parametrize("changed", ["offer", "answer"])
@scenario
async def test_a_description_that_was_changed_on_the_way(scene, changed):
    # the offerer is DTLS server here, the answerer client: each says in the clear that it refuses
    here, there = scene.network.add_host("a"), scene.network.add_host("b")
    with here.active():
        alice = RTCPeerConnection()
    with there.active():
        bob = RTCPeerConnection()
    async with alice, bob:
        alice.createDataChannel("x")
        await alice.setLocalDescription()
        await alice.gathered()
        offer = alice.localDescription
        await bob.setRemoteDescription(with_another_fingerprint(offer) if changed == "offer" else offer)
        await bob.setLocalDescription()
        await bob.gathered()
        answer = bob.localDescription
        await alice.setRemoteDescription(with_another_fingerprint(answer) if changed == "answer" else answer)
        misled, refused = (alice, bob) if changed == "answer" else (bob, alice)
        await until(lambda: misled.connectionState == "failed")
        assert "fingerprint-mismatch" in problems(misled)
        await asyncio.sleep(0.2)
        assert refused.connectionState == "connecting"  # anybody could have said so
        assert "dtls-refused" in problems(refused)
        await until(lambda: refused.connectionState == "failed", PATIENCE_IN_DOUBT + 1)
        assert "dtls-refused" in problems(refused)


async def test_a_loop_that_stood_still(leak_check):
    settings = PeerSettings(ice=IceSettings(consent_interval=(0.1, 0.2)))
    async with PeerPair(settings=settings) as pair:
        await pair.connect()
        time.sleep(0.7)  # noqa: ASYNC251  (that is the point)
        await asyncio.sleep(0.1)
        assert "loop-lag" in problems(pair.offerer) | problems(pair.answerer)


@scenario
async def test_errors_say_why(scene):
    hosts = scene.behind("port-restricted")
    async with PeerPair(hosts=hosts) as pair:
        pair.offerer.createDataChannel("x")
        await pair.negotiate()
        with pytest.raises(RTCTimeoutError, match="never answered"):
            await pair.offerer.connected(timeout=5)
        with pytest.raises(OperationError, match="ICE has failed"):
            await pair.offerer.connected(timeout=60)


async def test_the_error_of_a_wait_carries_what_explain_says() -> None:
    async with RTCPeerConnection() as pc:
        pc.createDataChannel("chat")
        await pc.setLocalDescription()
        with pytest.raises(RTCTimeoutError) as caught:
            await pc.connected(0.01)
        assert [str(finding) for finding in caught.value.findings]
        assert {finding.code for finding in caught.value.findings} == {f.code for f in pc.explain()}
