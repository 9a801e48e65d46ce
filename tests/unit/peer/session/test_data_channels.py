"""Channels through the life of their association: rollback, rejection, a new beginning."""

import asyncio

import pytest

from rtcpeer import OperationError, RTCPeerConnection


@pytest.fixture
async def two():
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        yield pc, other


async def negotiate(pc, other, change=None):
    for mine, theirs in ((pc, other), (other, pc)):
        await mine.setLocalDescription()
        await mine.gathered()
        description = mine.localDescription.toJSON()
        if change is not None and description["type"] == "answer":
            description["sdp"] = change(description["sdp"])
        await theirs.setRemoteDescription(description)


def rejected(sdp):
    """The same answer without its data section."""
    start = sdp.index("m=application")
    line, _, rest = sdp[start:].partition("\r\n")
    return sdp[:start] + "m=application 0 " + line.split(" ", 2)[2] + "\r\n" + rest


async def test_channels_wait_through_a_rollback(two):
    pc, other = two
    channel = pc.createDataChannel("x")
    await pc.setLocalDescription()
    old = pc.sctp
    assert old.state == "connecting"
    await pc.setLocalDescription({"type": "rollback"})
    await asyncio.sleep(0)
    assert pc.sctp is None
    assert channel.readyState == "connecting"
    await negotiate(pc, other)
    await channel.opened()
    assert pc.sctp is not old
    assert old.state == "closed"


async def test_a_rejected_section_closes_its_channels(two):
    pc, other = two
    pc.addTransceiver("audio")
    channel = pc.createDataChannel("x")
    closed = []
    channel.onclose = lambda _: closed.append(channel.readyState)
    await negotiate(pc, other, rejected)
    await asyncio.sleep(0)
    assert pc.sctp is None
    assert closed == ["closed"]


async def test_ids_are_given_out_once(two):
    pc, other = two
    pc.createDataChannel("x", negotiated=True, id=1)
    with pytest.raises(OperationError, match="1"):
        pc.createDataChannel("y", negotiated=True, id=1)
    mine = pc.createDataChannel("z")
    assert mine.id is None
    await negotiate(pc, other)
    await mine.opened()
    assert mine.id in (0, 2, 3)
    theirs = other.createDataChannel("w")
    await theirs.opened()
    assert theirs.id % 2 != mine.id % 2


async def test_counts_of_channels(two):
    pc, other = two
    channel = pc.createDataChannel("x")
    pc.createDataChannel("y")
    await negotiate(pc, other)
    await channel.opened()
    closed = asyncio.Event()
    channel.onclose = lambda _: closed.set()
    channel.close()
    await closed.wait()
    stats = (await pc.getStats()).of_type("peer-connection")[0]
    assert (stats["dataChannelsOpened"], stats["dataChannelsClosed"]) == (2, 1)


async def test_a_channel_made_after_the_other_end_left_waits_for_the_next_one(two):
    pc, other = two
    channel = pc.createDataChannel("x")
    await negotiate(pc, other)
    await channel.opened()
    sctp, states = pc.sctp, []
    sctp.onstatechange = lambda _: states.append(sctp.state)
    closed = asyncio.Event()
    channel.onclose = lambda _: closed.set()
    await other.close()
    await closed.wait()
    assert states == ["closed"]

    waiting = pc.createDataChannel("y", id=6, negotiated=True)
    named = pc.createDataChannel("z")
    assert (waiting.readyState, waiting.id, named.readyState, named.id) == (
        "connecting",
        6,
        "connecting",
        None,
    )
    with pytest.raises(OperationError):
        pc.createDataChannel("again", id=6, negotiated=True)
    assert pc.sctp is sctp

    async with RTCPeerConnection() as fresh:
        got = asyncio.get_running_loop().create_future()
        fresh.ondatachannel = lambda e: got.set_result(e.channel)
        again = fresh.createDataChannel("y", id=6, negotiated=True)
        await pc.setLocalDescription(await pc.createOffer(iceRestart=True))
        await pc.gathered()
        await fresh.setRemoteDescription(pc.localDescription)
        await fresh.setLocalDescription()
        await fresh.gathered()
        await pc.setRemoteDescription(fresh.localDescription)
        await asyncio.gather(waiting.opened(), named.opened(), again.opened())
        assert (await got).label == "z"
        assert named.id is not None
        assert states == ["closed", "connecting", "connected"]
        assert sctp.maxChannels is not None


async def test_a_channel_that_waits_for_an_end_that_never_comes_closes_with_the_connection(two):
    pc, other = two
    channel = pc.createDataChannel("x")
    await negotiate(pc, other)
    await channel.opened()
    closed = asyncio.Event()
    channel.onclose = lambda _: closed.set()
    await other.close()
    await closed.wait()
    waiting = pc.createDataChannel("y")
    pc.addTransceiver("audio")
    await pc.setLocalDescription()  # of no concern to it
    assert waiting.readyState == "connecting"
    await pc.close()
    assert waiting.readyState == "closed"
