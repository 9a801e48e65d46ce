"""The session behind the face: the negotiation-needed flag, steps before a loop, plans that fail."""

import asyncio
import gc
import weakref

import pytest

from rtcpeer import InvalidStateError, RTCPeerConnection
from rtcpeer.jsep.effects import CreateTransceiver
from rtcpeer.peer.session.transport import PeerTransport
from rtcpeer.testing import synthetic_track


@pytest.fixture
async def pc():
    async with RTCPeerConnection() as connection:
        yield connection


@pytest.fixture
def needed(pc):
    fired = []
    pc.onnegotiationneeded = lambda _: fired.append(pc.signalingState)
    return fired


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# --- negotiation needed (webrtc-pc 4.7) -----------------------------------------------------------


async def test_it_fires_once_for_many_changes(pc, needed):
    pc.addTransceiver("audio")
    pc.addTransceiver("video")
    pc.createDataChannel("x")
    assert needed == []  # in a task of its own
    await turns()
    assert needed == ["stable"]
    pc.addTransceiver("audio")
    await turns()
    assert needed == ["stable"]


async def test_it_waits_until_the_chain_is_empty(pc, needed):
    offer = asyncio.ensure_future(pc.createOffer())
    await asyncio.sleep(0)
    pc.addTransceiver("audio")
    assert needed == []
    await offer
    await turns()
    assert needed == ["stable"]


async def test_it_fires_again_after_an_answer_when_more_is_needed(pc, needed):
    async with RTCPeerConnection() as other:
        pc.addTransceiver("audio")
        await pc.setLocalDescription()
        pc.addTransceiver("video")
        await turns()
        assert needed == []  # the change came while an offer was pending
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
        await turns()
        assert needed == ["stable"]


async def test_it_does_not_fire_when_the_need_is_gone(pc, needed):
    async with RTCPeerConnection() as other:
        transceiver = pc.addTransceiver("audio")
        for mine, theirs in ((pc, other), (other, pc)):
            await mine.setLocalDescription()
            await theirs.setRemoteDescription(mine.localDescription)
        await turns()
        needed.clear()
        transceiver.direction = "inactive"
        transceiver.direction = "sendrecv"
        await turns()
        assert needed == []


async def test_restart_ice_needs_a_negotiation_and_an_offer_clears_it(pc, needed):
    async with RTCPeerConnection() as other:
        pc.createDataChannel("x")
        for mine, theirs in ((pc, other), (other, pc)):
            await mine.setLocalDescription()
            await theirs.setRemoteDescription(mine.localDescription)
        await turns()
        needed.clear()
        before = pc.localDescription.sdp
        pc.restartIce()
        await turns()
        assert needed == ["stable"]
        offer = await pc.createOffer()
        ufrag = before.split("a=ice-ufrag:")[1].split("\r\n")[0]
        assert f"a=ice-ufrag:{ufrag}\r\n" not in offer.sdp


async def test_changed_servers_restart_by_themselves_after_gathering_only(pc, needed):
    servers = [{"urls": "stun:127.0.0.1:9"}]
    pc.createDataChannel("x")
    await turns()
    needed.clear()
    pc.setConfiguration({"iceServers": servers})
    await turns()
    assert needed == []
    async with RTCPeerConnection() as other:
        for mine, theirs in ((pc, other), (other, pc)):
            await mine.setLocalDescription()
            await theirs.setRemoteDescription(mine.localDescription)

        def ufrag(sdp):
            return sdp.split("a=ice-ufrag:")[1].split("\r\n")[0]

        first = ufrag((await pc.createOffer()).sdp)
        pc.setConfiguration({"iceServers": servers})  # the same: no restart
        assert ufrag((await pc.createOffer()).sdp) == first
        pc.setConfiguration({"iceServers": []})
        assert ufrag((await pc.createOffer()).sdp) != first


async def test_a_closed_connection_needs_nothing(pc, needed):
    pc.addTransceiver("audio")
    pc.close()
    await turns()
    assert needed == []


# --- order and atomicity --------------------------------------------------------------------------


async def test_calls_take_effect_in_the_order_in_which_they_were_made(pc):
    pc.addTransceiver("audio")
    order = []

    async def noted(name, call):
        await call
        order.append(name)

    await asyncio.gather(
        noted("offer", pc.createOffer()),
        noted("local", pc.setLocalDescription()),
        noted("rollback", pc.setLocalDescription({"type": "rollback"})),
        noted("again", pc.setLocalDescription()),
    )
    assert order == ["offer", "local", "rollback", "again"]
    assert pc.signalingState == "have-local-offer"


async def test_a_failing_call_does_not_stop_those_behind_it(pc):
    pc.addTransceiver("audio")
    results = await asyncio.gather(
        pc.createAnswer(), pc.setLocalDescription(), pc.createAnswer(), return_exceptions=True
    )
    assert [isinstance(r, InvalidStateError) for r in results] == [True, False, True]


async def test_a_plan_that_cannot_be_carried_out_leaves_nothing(pc, monkeypatch):
    """One of the objects cannot be made: those that were made go, and the state is what it was."""
    made = []
    original = PeerTransport.__init__

    def second_fails(self, *arguments):
        if made:
            raise OSError("no more")
        made.append(self)
        original(self, *arguments)

    monkeypatch.setattr(PeerTransport, "__init__", second_fails)
    pc.addTransceiver("audio")
    pc.addTransceiver("video")
    before = pc._session_.engine.state
    with pytest.raises(OSError, match="no more"):
        await pc.setLocalDescription()
    assert pc._session_.engine.state.signaling == before.signaling
    assert pc.localDescription is None
    assert pc._session_.executor.transports == {}
    await turns()
    assert (pc.signalingState, pc.iceGatheringState, pc.connectionState) == ("stable", "new", "new")
    monkeypatch.undo()
    await pc.setLocalDescription()
    assert pc.signalingState == "have-local-offer"


async def test_a_transceiver_that_cannot_be_made_leaves_none(pc, monkeypatch):
    from rtcpeer.peer.session import executor

    def fail(*_arguments):
        raise RuntimeError("no more")

    monkeypatch.setitem(executor._EFFECTS, CreateTransceiver, fail)
    with pytest.raises(RuntimeError, match="no more"):
        pc.addTrack(synthetic_track("audio"))
    assert pc.getTransceivers() == []
    assert pc._session_.engine.state.transceivers == ()


async def test_a_part_that_fails_to_close_is_reported_and_the_others_close(monkeypatch):
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    pc = RTCPeerConnection()
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    link = next(iter(pc._session_.executor.transports.values()))
    agent = link.agent

    async def broken():
        raise OSError("cannot")

    real = link.close
    monkeypatch.setattr(link, "close", lambda: [*real(), broken()])
    await pc.close()
    assert pc.connectionState == "closed"
    assert [str(r["exception"]) for r in reports] == ["cannot"]
    assert agent.state == "closed"
    await pc.close()


async def test_a_part_that_raises_while_closing_does_not_keep_the_others_open(monkeypatch):
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    pc = RTCPeerConnection()
    transceiver = pc.addTransceiver("audio")
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    agent = next(iter(pc._session_.executor.transports.values())).agent

    def broken():
        raise OSError("cannot")

    monkeypatch.setattr(transceiver._core_.sender_media, "stop", broken)
    await pc.close()
    assert pc.signalingState == pc.connectionState == "closed"
    assert agent.state == "closed"
    assert {str(r["exception"]) for r in reports} == {"cannot"}


async def test_gathering_is_new_again_when_the_last_transport_has_gone(pc):
    other = RTCPeerConnection()
    transceiver = pc.addTransceiver("audio")
    states = []
    try:
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
        await asyncio.gather(pc.gathered(), other.gathered())
        other.onicegatheringstatechange = lambda _: states.append(other.iceGatheringState)
        ice = other.getReceivers()[0].transport.iceTransport
        transceiver.stop()
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        assert ice.state != "closed"  # that is told in a task of its own
        assert (other.iceGatheringState, states) == ("new", ["new"])
        assert other.connectionState == "new"
        await asyncio.sleep(0)
        assert ice.state == "closed"
    finally:
        await other.close()


# --- setParameters() under way (webrtc-pc 4.4.1.5: "wait for all pending setParameters()") ---------


@pytest.mark.parametrize("side", ["local", "remote"])
async def test_a_description_waits_for_set_parameters(pc, side):
    async with RTCPeerConnection() as other:
        sender = pc.addTransceiver("video", direction="sendonly").sender
        other.addTransceiver("video")
        offer = await other.createOffer()
        applied = []
        commit = pc._session_.engine.commit

        def record(plan):
            commit(plan)
            applied.append((plan.next.signaling.value, plan.next.transceivers[0].encodings[0].active))

        pc._session_.engine.commit = record
        call = pc.setLocalDescription() if side == "local" else pc.setRemoteDescription(offer)

        async def change():
            parameters = sender.getParameters()
            parameters.encodings[0].active = False
            await sender.setParameters(parameters)

        # the description has begun, and is before its last step, when setParameters() comes
        described, changed = asyncio.ensure_future(call), asyncio.ensure_future(change())
        await asyncio.gather(described, changed)
        assert applied[:2] == [("stable", False), (f"have-{side}-offer", False)]
        del pc._session_.engine.commit


# --- what is shown and what is kept ---------------------------------------------------------------


async def test_the_repr_of_a_state_shows_no_text_and_no_password(pc):
    async with RTCPeerConnection() as other:
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
        pc.restartIce()
        await pc.createOffer()
        engine = pc._session_.engine
        plan = engine.plan_local()
        passwords = {
            line.removeprefix("a=ice-pwd:")
            for text in (pc.localDescription.sdp, pc.remoteDescription.sdp, engine.state.last_offer.text)
            for line in text.splitlines()
            if line.startswith("a=ice-pwd:")
        }
        assert len(passwords) == 3
        for shown in (repr(engine.state), repr(plan), repr(engine.state.last_offer)):
            assert "\\r\\n" not in shown
            assert "v=0" not in shown
            assert not [password for password in passwords if password in shown]
        assert "have-local-offer" in repr(plan)


async def test_a_connection_that_nobody_holds_and_that_described_nothing_is_collected():
    connection = RTCPeerConnection()
    connection.addTransceiver("audio")
    gone = weakref.ref(connection)
    del connection
    await turns()
    gc.collect()
    assert gone() is None


async def test_a_connection_that_nobody_holds_lives_on_while_the_loop_runs():
    """As in browsers, and as docs/troubleshooting.md says: only close() ends it, or the end of the loop."""
    connection = RTCPeerConnection()
    connection.createDataChannel("x")
    await connection.setLocalDescription()
    await turns()
    kept = weakref.ref(connection)
    del connection
    gc.collect()
    assert kept() is not None
    assert kept().connectionState == "new"
    await kept().close()
    await turns()
    gc.collect()
    assert kept() is None
