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
