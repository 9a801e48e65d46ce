"""One offer, answered by several ends (RFC 9429 3.6): a provisional answer of one, the final one of another."""

import asyncio

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import scenario, until


def trickle(source, *targets):
    """Candidates to everyone who has the description for them."""

    async def add(target, candidate):
        # candidates that precede the answer are in the description that is handed over later
        if target.signalingState != "closed" and target.remoteDescription is not None:
            await target.addIceCandidate(candidate)

    def tell(event):
        if event.candidate:
            tasks.extend(asyncio.ensure_future(add(target, event.candidate)) for target in targets)

    tasks = []
    source.onicecandidate = tell


def peer(scene, name):
    host = scene.network.hosts.get(name) or scene.network.add_host(name)
    with host.active():
        return RTCPeerConnection()


async def answered(answerer, offerer, kind):
    """Answer the offer; the offerer has it then."""
    await answerer.setRemoteDescription(offerer.localDescription)
    await answerer.setLocalDescription()
    await offerer.setRemoteDescription({"type": kind, "sdp": answerer.localDescription.sdp})


def messages(channel):
    got = asyncio.Queue()
    channel.onmessage = lambda e: got.put_nowait(e.data)
    return got


@scenario
@pytest.mark.parametrize("pause", [0, 0.02, 0.04, 0.06, 0.1, 2])
@pytest.mark.parametrize("nat", [False, True])
async def test_a_provisional_answer_of_one_and_the_answer_of_another(scene, pause, nat):
    if nat:
        scene.network.add_router("home", nat="port-restricted", delay=0).add_host("caller")
    caller, one, two = (peer(scene, name) for name in ("caller", "one", "two"))
    async with caller, one, two:
        trickle(caller, one, two)
        trickle(one, caller)
        trickle(two, caller)
        states = []
        caller.oniceconnectionstatechange = lambda e: states.append(caller.iceConnectionState)
        first = caller.createDataChannel("first")
        await caller.setLocalDescription()
        await answered(one, caller, "pranswer")
        assert caller.signalingState == "have-remote-pranswer"
        await asyncio.sleep(pause)
        if pause == 2:
            await first.opened()
        await answered(two, caller, "answer")
        channels = asyncio.Queue()
        two.ondatachannel = lambda e: channels.put_nowait(e.channel)
        await two.connected()
        await caller.connected()
        channel = first if first.readyState != "closed" else caller.createDataChannel("second")
        await channel.opened()
        theirs = await channels.get()
        here, there = messages(channel), messages(theirs)
        await theirs.opened()
        channel.send("to two")
        theirs.send("from two")
        assert await there.get() == "to two"
        assert await here.get() == "from two"
        # the end that was left is still there, and what it sends changes nothing
        changes = len(states)
        await asyncio.sleep(12)
        channel.send("again")
        assert await there.get() == "again"
        assert states[changes:] in ([], ["completed"])
        assert {"disconnected", "failed"}.isdisjoint(states)
        assert caller.connectionState == "connected"
        report = await caller.getStats()
        pair = report[report.of_type("transport")[0]["selectedCandidatePairId"]]
        assert report[pair["remoteCandidateId"]]["address"] == scene.network.hosts["two"].address


@scenario
async def test_the_media_goes_to_who_answered_last(scene):
    caller, one, two = (peer(scene, name) for name in ("caller", "one", "two"))
    async with caller, one, two:
        trickle(caller, one, two)
        trickle(one, caller)
        trickle(two, caller)
        heard = []
        two.ontrack = lambda e: heard.append(e.track)
        caller.addTrack(synthetic_track("audio"))
        await caller.setLocalDescription()
        await answered(one, caller, "pranswer")
        await one.connected()
        await answered(two, caller, "answer")
        await two.connected()
        await until(lambda: heard)
        await asyncio.wait_for(heard[0].recv(), 10)
        assert caller.iceConnectionState in ("connected", "completed")


@scenario
async def test_the_call_is_handed_over_by_a_new_offer_and_back(scene):
    caller, one, two = (peer(scene, name) for name in ("caller", "one", "two"))
    async with caller, one, two:
        trickle(caller, one, two)
        trickle(one, caller)
        trickle(two, caller)
        caller.createDataChannel("first")
        await caller.setLocalDescription()
        await answered(one, caller, "answer")
        await caller.connected()
        await caller.setLocalDescription(await caller.createOffer())
        await answered(two, caller, "answer")
        await one.close()
        await two.connected()
        channel = caller.createDataChannel("second")
        got = asyncio.Queue()
        two.ondatachannel = lambda e: setattr(e.channel, "onmessage", lambda m: got.put_nowait(m.data))
        await channel.opened()
        channel.send("hello")
        assert await got.get() == "hello"
        # and on to a third end
        three = peer(scene, "three")
        async with three:
            trickle(caller, three)
            trickle(three, caller)
            await caller.setLocalDescription(await caller.createOffer())
            await answered(three, caller, "answer")
            three.ondatachannel = lambda e: setattr(e.channel, "onmessage", lambda m: got.put_nowait(m.data))
            await three.connected()
            last = caller.createDataChannel("third")
            await last.opened()
            last.send("there")
            assert await got.get() == "there"


@pytest.mark.parametrize("final", ["bundled", "apart"])
@scenario
async def test_the_states_under_a_provisional_answer_that_bundles(scene, final):
    """What it bundles away waits for the final answer, and the states of the connection do not wait for it."""
    caller, callee = peer(scene, "caller"), peer(scene, "callee")
    async with caller, callee:
        trickle(caller, callee)
        trickle(callee, caller)
        caller.addTransceiver("audio")
        caller.addTransceiver("video")
        channel = caller.createDataChannel("x")
        await caller.setLocalDescription()
        assert len({id(t.sender.transport) for t in caller.getTransceivers()}) == 2
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription({"type": "pranswer", "sdp": (await callee.createAnswer()).sdp})
        await caller.setRemoteDescription({"type": "pranswer", "sdp": callee.localDescription.sdp})
        await channel.opened()
        for side, state in ((caller, "have-remote-pranswer"), (callee, "have-local-pranswer")):
            await side.connected(timeout=10)
            assert side.signalingState == state
            assert side.connectionState == "connected"
            await until(lambda side=side: side.iceGatheringState == "complete")
            assert side.iceConnectionState in ("connected", "completed")
        if final == "apart":  # another end answers, that does not bundle
            other = peer(scene, "other")
            async with other:
                trickle(other, caller)
                text = caller.localDescription.sdp.replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0")
                await other.setRemoteDescription({"type": "offer", "sdp": text})
                await other.setLocalDescription()
                await caller.setRemoteDescription(other.localDescription)
                assert caller.connectionState == "connecting"  # the others are needed again
                assert len({id(t.sender.transport) for t in caller.getTransceivers()}) == 2
                await caller.connected(timeout=10)
            return
        await callee.setLocalDescription()
        await caller.setRemoteDescription(callee.localDescription)
        assert caller.connectionState == callee.connectionState == "connected"
        assert caller.iceGatheringState == "complete"
