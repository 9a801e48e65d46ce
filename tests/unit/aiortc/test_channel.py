"""RTCDataChannel of the drop-in."""

import aiortc
import pytest

from rtcpeer.aiortc import RTCDataChannel, RTCPeerConnection, RTCSctpTransport
from rtcpeer.media.event_target import has_listeners
from rtcpeer.peer.data_channel import RTCDataChannel as W3CDataChannel


@pytest.fixture
async def channel():
    pc = RTCPeerConnection()
    yield pc.createDataChannel("chat")
    await pc.close()


async def test_it_is_ours(channel):
    assert isinstance(channel, RTCDataChannel)
    assert isinstance(channel, W3CDataChannel)
    assert channel.readyState == "connecting"
    assert isinstance(channel.transport, RTCSctpTransport)


async def test_sending_too_early(channel):
    with pytest.raises(aiortc.InvalidStateError):
        channel.send("hello")


async def test_threshold(channel):
    channel.bufferedAmountLowThreshold = 4294967295
    assert channel.bufferedAmountLowThreshold == 4294967295
    for value in (-1, 4294967296):
        with pytest.raises(ValueError, match="must be in range"):
            channel.bufferedAmountLowThreshold = value


async def test_closed_before_it_opened(channel):
    told = []
    channel.on("close", lambda: told.append("close"))
    channel.close()
    channel.close()
    assert channel.readyState == "closed"
    assert told == ["close"]


async def test_the_end_of_the_connection_is_told():
    pc, told = RTCPeerConnection(), []
    channel = pc.createDataChannel("chat")
    channel.once("close", lambda: told.append(channel.readyState))
    await pc.close()
    assert told == ["closed"]
    assert channel.listeners("close") == []


async def test_listeners_of_both_kinds_count(channel):
    assert not has_listeners(channel, "message")
    channel.onmessage = lambda event: None
    assert has_listeners(channel, "message")
    channel.onmessage = None
    channel.on("message", print)
    assert has_listeners(channel, "message")


async def test_its_transport_is_there_at_once_and_stays():
    """rtcbot listens to its ICE transport when it has made a channel."""
    pc, told = RTCPeerConnection(), []
    channel = pc.createDataChannel("chat")
    assert channel.transport is pc.sctp
    channel.transport.transport.on("statechange", lambda: told.append(channel.transport.transport.state))
    await pc.setLocalDescription(await pc.createOffer())
    assert channel.transport is pc.sctp
    await pc.close()
    assert told == ["closed"]
