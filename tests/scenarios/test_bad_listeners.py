"""Listeners that raise, block or close never break a connection, and each error is reported once."""

import asyncio

import pytest

from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, scenario, until

EVENTS = (
    "negotiationneeded",
    "icecandidate",
    "icecandidateerror",
    "signalingstatechange",
    "iceconnectionstatechange",
    "icegatheringstatechange",
    "connectionstatechange",
    "track",
    "datachannel",
)
TRANSPORT_EVENTS = ("statechange", "gatheringstatechange", "selectedcandidatepairchange", "error")


class Mine(Exception):
    pass


def reports():
    """What is told to the loop's exception handler."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


@pytest.mark.parametrize("how", ["plain", "async", "handler", "object", "once"])
@scenario
async def test_a_call_in_which_every_listener_raises(scene, how):
    found = reports()
    called = []

    def plain(event):
        called.append(event.type)
        raise Mine(event.type)

    async def asynchronous(event):
        await asyncio.sleep(0.001)
        plain(event)

    class Listener:
        def handleEvent(self, event):
            plain(event)

    def spoil(target, types):
        for type in types:
            if how == "handler":
                if not hasattr(target, f"on{type}"):
                    continue
                setattr(target, f"on{type}", plain)
            elif how == "object":
                target.addEventListener(type, Listener())
            else:
                target.addEventListener(
                    type, asynchronous if how == "async" else plain, {"once": how == "once"}
                )

    async with PeerPair(network=scene.network) as pair:
        for connection in (pair.offerer, pair.answerer):
            spoil(connection, EVENTS)
        channel = pair.offerer.createDataChannel("x")
        spoil(channel, ("open", "message", "close", "closing", "error", "bufferedamountlow"))
        channels, messages, tracks = [], [], []
        pair.answerer.addEventListener("datachannel", lambda e: channels.append(e.channel))
        pair.answerer.addEventListener("track", lambda e: tracks.append(e.track))
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        spoil(pair.offerer.sctp.transport, TRANSPORT_EVENTS)
        spoil(pair.offerer.sctp.transport.iceTransport, TRANSPORT_EVENTS)
        spoil(pair.offerer.sctp, ("statechange",))
        await channel.opened()
        await until(lambda: channels)
        spoil(channels[0], ("message", "close"))
        channels[0].addEventListener("message", lambda e: messages.append(e.data))
        channel.send("one")
        await pair.restart_ice()
        channel.send("two")
        await until(lambda: len(messages) == 2)
        await asyncio.wait_for(tracks[0].recv(), 5)
        channel.close()
        await until(lambda: channel.readyState == "closed")
        await asyncio.sleep(0.1)
        assert pair.offerer.connectionState == pair.answerer.connectionState == "connected"
    await asyncio.sleep(0.01)  # asynchronous listeners that were under way end by themselves
    assert {type(c["exception"]) for c in found} == {Mine}
    assert [str(c["exception"]) for c in found] == called
    assert all(repr(str(c["exception"])) in c["message"] for c in found)
    assert {"icecandidate", "track", "datachannel", "open", "close"} <= set(called)


@scenario
async def test_one_failing_listener_does_not_stop_the_next(scene):
    found = reports()
    async with PeerPair(network=scene.network) as pair:
        seen = []

        def fail(_):
            raise Mine

        pair.offerer.addEventListener("connectionstatechange", fail)
        pair.offerer.onconnectionstatechange = lambda _: seen.append(pair.offerer.connectionState)
        await pair.connect()
        assert seen == ["connecting", "connected"]
        assert len(found) == 2


@scenario
async def test_set_local_description_does_not_raise_what_a_listener_raises(scene):
    found = reports()
    async with PeerPair(network=scene.network) as pair:

        def fail(_):
            raise Mine

        pair.offerer.onsignalingstatechange = fail
        pair.offerer.createDataChannel("x")
        await pair.offerer.setLocalDescription()
        assert pair.offerer.signalingState == "have-local-offer"
        assert len(found) == 1


@scenario
async def test_a_listener_always_sees_the_finished_state(scene):
    async with PeerPair(network=scene.network) as pair:
        seen = []

        def look(event):
            pc = event.target
            seen.append((pc.signalingState, pc.localDescription and pc.localDescription.type,
                         pc.remoteDescription and pc.remoteDescription.type,
                         [t.mid for t in pc.getTransceivers()]))  # fmt: skip

        for connection in (pair.offerer, pair.answerer):
            connection.onsignalingstatechange = look
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        assert seen == [
            ("have-local-offer", "offer", None, ["0"]),
            ("have-remote-offer", None, "offer", ["0"]),
            ("stable", "answer", "offer", ["0"]),
            ("stable", "offer", "answer", ["0"]),
        ]


@scenario
async def test_listeners_that_call_back_into_the_connection(scene):
    """Everything may be called from inside a listener."""
    async with PeerPair(network=scene.network) as pair:
        errors = []

        async def meddle(event):
            pc = event.target
            try:
                await pc.getStats()
                pc.getConfiguration()
                pc.setConfiguration({"iceServers": []})
                await pc.createOffer()
            except Exception as error:
                if getattr(error, "name", None) != "InvalidStateError":
                    errors.append(error)

        for type in EVENTS:
            pair.offerer.addEventListener(type, meddle)
            pair.answerer.addEventListener(type, meddle)
        pair.offerer.addTrack(synthetic_track("audio"))
        await pair.connect()
        await pair.restart_ice()
        await asyncio.sleep(0.1)
        assert errors == []
        assert pair.offerer.connectionState == "connected"
