"""Both sides offer at once: rollback by hand, implicit rollback, and perfect negotiation under stress."""

import asyncio
import contextlib
import os
import random

import pytest

from rtcpeer import InvalidStateError, RTCPeerConnection
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, Stream, scenario


class PerfectPeer:
    """The example of webrtc-pc 10.7 as it stands there, over a slow wire."""

    def __init__(self, scene, name, *, polite, source):
        with scene.network.add_host(name).active():
            self.pc = RTCPeerConnection()
        self.polite = polite
        self.making_offer = False
        self.ignore_offer = False
        self.is_setting_remote_answer_pending = False
        self.errors = []
        self.offers = 0
        self.rolled_back = 0
        self.inbox = asyncio.Queue()
        self.other = None
        self._source = source
        self._due = 0.0
        self.pc.onnegotiationneeded = self.negotiate
        self.pc.onicecandidate = lambda e: self.send({"candidate": e.candidate and e.candidate.toJSON()})
        self.task = asyncio.create_task(self.receive())

    def send(self, message):
        """Reliable and in order, each message with a delay of its own."""
        loop = asyncio.get_running_loop()
        self._due = max(self._due + 1e-6, loop.time() + self._source.uniform(0, 0.05))
        loop.call_at(self._due, self.other.inbox.put_nowait, message)

    async def negotiate(self, _=None):
        try:
            self.making_offer = True
            await self.pc.setLocalDescription()
            self.offers += 1
            self.send({"description": self.pc.localDescription.toJSON()})
        except Exception as error:
            self.errors.append(error)
        finally:
            self.making_offer = False

    async def receive(self):
        while True:
            message = await self.inbox.get()
            try:
                await self.take(**message)
            except Exception as error:
                self.errors.append(error)

    async def take(self, description=None, candidate=None):
        pc = self.pc
        if description is None:
            try:
                await pc.addIceCandidate(candidate)
            except Exception:
                if not self.ignore_offer:
                    raise
            return
        ready = not self.making_offer and (
            pc.signalingState == "stable" or self.is_setting_remote_answer_pending
        )
        collision = description["type"] == "offer" and not ready
        self.ignore_offer = not self.polite and collision
        if self.ignore_offer:
            return
        self.rolled_back += collision
        self.is_setting_remote_answer_pending = description["type"] == "answer"
        await pc.setRemoteDescription(description)
        self.is_setting_remote_answer_pending = False
        if description["type"] == "offer":
            await pc.setLocalDescription()
            self.send({"description": pc.localDescription.toJSON()})

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.pc.close()


@contextlib.asynccontextmanager
async def two(scene, seed=1, *, polite="alice"):
    source = random.Random(seed)
    alice = PerfectPeer(scene, "alice", polite=polite == "alice", source=source)
    bob = PerfectPeer(scene, "bob", polite=polite == "bob", source=source)
    alice.other, bob.other = bob, alice
    try:
        yield alice, bob
    finally:
        await asyncio.gather(alice.close(), bob.close())


async def settled(*peers):
    """Until both are stable and nobody needs a negotiation for a while."""
    loop = asyncio.get_running_loop()
    quiet_since = loop.time()
    end = loop.time() + 60
    counts = None
    while loop.time() - quiet_since < 1:
        assert loop.time() < end, [(p.pc, p.errors) for p in peers]
        now = [p.offers for p in peers]
        if now != counts or any(p.pc.signalingState != "stable" for p in peers):
            counts, quiet_since = now, loop.time()
        await asyncio.sleep(0.05)


@scenario
async def test_both_add_media_at_the_same_moment(scene):
    async with two(scene) as (alice, bob):
        got = {alice: [], bob: []}
        for peer in (alice, bob):
            peer.pc.ontrack = lambda e, peer=peer: got[peer].append(e.track)
            peer.pc.addTrack(synthetic_track("audio"))
        channel = alice.pc.createDataChannel("x")
        await settled(alice, bob)
        assert (alice.errors, bob.errors) == ([], [])
        assert alice.rolled_back >= 1
        assert bob.rolled_back == 0
        await asyncio.gather(alice.pc.connected(), bob.pc.connected(), channel.opened())
        for peer in (alice, bob):
            assert len(got[peer]) == 1
            await got[peer][0].recv()


# `RTCPEER_GLARE_ROUNDS=1000` for the long run
ROUNDS = int(os.environ.get("RTCPEER_GLARE_ROUNDS", "60"))


@pytest.mark.parametrize("polite", ["alice", "bob"])
@pytest.mark.parametrize("seed", range(4))
@scenario
async def test_perfect_negotiation_under_stress(scene, seed, polite):
    """Both sides do whatever they like, eight times 60 rounds; nothing fails, and in the end both agree."""
    async with two(scene, seed, polite=polite) as (alice, bob):
        source = random.Random(seed + 1000)
        channel = alice.pc.createDataChannel("numbers", negotiated=True, id=0)
        other = bob.pc.createDataChannel("numbers", negotiated=True, id=0)
        got = []
        other.onmessage = lambda e: got.append(int(e.data))
        await asyncio.gather(channel.opened(), other.opened())
        sent = 0
        for _ in range(ROUNDS):
            pc = source.choice((alice, bob)).pc
            act = source.randrange(7)
            live = [t for t in pc.getTransceivers() if t.direction != "stopped"]
            if act in (0, 1) and len(live) < 10:
                pc.addTransceiver(source.choice(("audio", "video")))
            elif act == 2 and live:
                source.choice(live).stop()
            elif act == 3 and live:
                source.choice(live).direction = source.choice(
                    ("sendrecv", "sendonly", "recvonly", "inactive")
                )
            elif act == 4:
                pc.restartIce()
            elif act == 5:
                pc.addTrack(synthetic_track("audio"))
            elif act == 6 and pc.getSenders():
                pc.removeTrack(source.choice(pc.getSenders()))
            channel.send(str(sent))
            sent += 1
            await asyncio.sleep(source.expovariate(1 / 0.03))
        await settled(alice, bob)
        assert (alice.errors, bob.errors) == ([], [])
        await asyncio.sleep(2)
        assert got == list(range(sent))
        by_name = {"alice": alice, "bob": bob}
        assert by_name.pop(polite).rolled_back > ROUNDS / 50
        assert by_name.popitem()[1].rolled_back == 0
        assert alice.pc.connectionState == bob.pc.connectionState == "connected"

        def shown(pc):
            return {t.mid: (t.kind, t.currentDirection) for t in pc.getTransceivers()}

        mirror = {"sendonly": "recvonly", "recvonly": "sendonly"}
        expected = {mid: (kind, mirror.get(d, d)) for mid, (kind, d) in shown(bob.pc).items()}
        assert shown(alice.pc) == expected
        assert None not in expected


# --- rollback -------------------------------------------------------------------------------------


@scenario
async def test_an_offer_of_the_other_side_rolls_ours_back(scene):
    async with PeerPair(network=scene.network) as pair:
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        alice, bob = pair.offerer, pair.answerer
        states = []
        alice.onsignalingstatechange = lambda _: states.append(alice.signalingState)
        mine = alice.addTransceiver("audio")
        await alice.setLocalDescription()
        assert mine.mid is not None
        bob.addTransceiver("video")
        await pair.negotiate(bob)
        assert states == ["have-local-offer", "stable", "have-remote-offer", "stable"]
        assert mine.mid is None
        assert mine in alice.getTransceivers()
        await asyncio.sleep(0.1)
        await pair.negotiate(alice)
        assert mine.mid is not None
        assert len(bob.getTransceivers()) == 2
        assert not await numbers.stop()


@scenario
async def test_rollback_by_hand_takes_everything_back(scene):
    async with PeerPair(network=scene.network) as pair:
        numbers = Stream(pair)
        await pair.connect()
        await numbers.start()
        alice = pair.offerer
        before = alice.localDescription.sdp, alice.remoteDescription.sdp
        offer = (await pair.answerer.createOffer(iceRestart=True)).sdp
        kept = alice.addTransceiver("audio")
        for description in (None, {"type": "offer", "sdp": offer}):
            if description is None:
                await alice.setLocalDescription()
            else:
                await alice.setRemoteDescription(description)
            await asyncio.sleep(0.5)
            if description is None:
                await alice.setLocalDescription({"type": "rollback"})
            else:
                await alice.setRemoteDescription({"type": "rollback"})
            assert alice.signalingState == "stable"
            assert (alice.localDescription.sdp, alice.remoteDescription.sdp) == before
            assert alice.getTransceivers() == [kept]
            with pytest.raises(InvalidStateError):
                await alice.setLocalDescription({"type": "rollback"})
        await asyncio.sleep(8)
        assert alice.connectionState == "connected"
        assert not await numbers.stop()


@scenario
async def test_rollback_of_the_first_offer_leaves_a_fresh_connection(scene):
    with scene.network.add_host("alice").active():
        pc = RTCPeerConnection()
    async with pc:
        pc.createDataChannel("x")
        pc.addTransceiver("audio")
        await pc.setLocalDescription()
        await pc.gathered()
        await pc.setLocalDescription({"type": "rollback"})
        await asyncio.sleep(0.1)
        assert pc.localDescription is None
        assert pc.signalingState == "stable"
        assert pc.iceGatheringState == "new"
        assert [t.mid for t in pc.getTransceivers()] == [None]
        assert pc.sctp is None
        assert scene.network.hosts["alice"].sockets == []


@scenario
async def test_a_remote_offer_that_is_rolled_back_takes_its_tracks_along(scene):
    async with PeerPair(network=scene.network) as pair:
        alice, bob = pair.offerer, pair.answerer
        alice.addTrack(synthetic_track("audio"))
        await alice.setLocalDescription()
        tracks = []
        bob.ontrack = lambda e: tracks.append(e.track)
        await bob.setRemoteDescription(alice.localDescription)
        assert len(tracks) == 1
        muted = []
        await bob.setRemoteDescription({"type": "rollback"})
        await asyncio.sleep(0.1)
        assert bob.getTransceivers() == []
        assert bob.remoteDescription is None
        assert tracks[0].readyState == "ended"
        assert muted == []
