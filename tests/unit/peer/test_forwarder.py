"""The face of forwarding: what it takes, refuses, and says."""

import pytest

from rtcpeer import Forwarder, InvalidStateError, RTCPeerConnection

# without the helper of forwarding, and with it
pytestmark = pytest.mark.usefixtures("fan_out_way")


@pytest.fixture
async def connections():
    publisher, subscriber = RTCPeerConnection(), RTCPeerConnection()
    yield publisher, subscriber
    await publisher.close()
    await subscriber.close()


async def test_what_cannot_be_forwarded(connections):
    publisher, subscriber = connections
    video = publisher.addTransceiver("video", direction="recvonly")
    with pytest.raises(TypeError):
        Forwarder(video.sender)
    forwarder = Forwarder(video.receiver)
    audio_sender = subscriber.addTransceiver("audio", direction="sendonly").sender
    for wrong in (audio_sender, video.receiver, None):
        with pytest.raises(TypeError):
            forwarder.add(wrong)
    with pytest.raises(TypeError):
        forwarder.source = publisher.addTransceiver("audio").receiver
    stopped = subscriber.addTransceiver("video", direction="sendonly")
    stopped.stop()
    with pytest.raises(InvalidStateError):
        forwarder.add(stopped.sender)
    sender = subscriber.addTransceiver("video", direction="sendonly").sender
    forwarder.add(sender)
    with pytest.raises(InvalidStateError):
        forwarder.add(sender)
    await subscriber.close()
    with pytest.raises(InvalidStateError):
        Forwarder(video.receiver).add(sender)


async def test_outputs(connections):
    publisher, subscriber = connections
    receivers = [publisher.addTransceiver("video", direction="recvonly").receiver for _ in range(2)]
    senders = [subscriber.addTransceiver("video", direction="sendonly").sender for _ in range(2)]
    forwarder = Forwarder(receivers[0])
    first, second = forwarder.add(senders[0], layer="h"), forwarder.add(senders[1])
    assert forwarder.outputs == [first, second]
    assert (first.sender, first.layer, second.layer) == (senders[0], "h", None)
    first.layer = None
    with pytest.raises(TypeError):
        first.layer = 3
    first.paused = True
    assert first.paused
    assert first.stats()["paused"]
    assert not second.paused
    told = second.stats()
    assert (told["packets"], told["layers"], told["waiting"]) == (0, [], False)
    forwarder.source = receivers[1]
    assert forwarder.source is receivers[1]
    assert "paused" in repr(first)
    assert "2 senders" in repr(forwarder)
    forwarder.remove(senders[0])
    forwarder.remove(first)
    assert forwarder.outputs == [second]
    forwarder.close()
    assert forwarder.outputs == []


async def test_a_sender_can_change_its_forwarder(connections):
    publisher, subscriber = connections
    receiver = publisher.addTransceiver("video", direction="recvonly").receiver
    sender = subscriber.addTransceiver("video", direction="sendonly").sender
    one, other = Forwarder(receiver), Forwarder(receiver)
    one.add(sender)
    output = other.add(sender)
    # the first one lets go of what is not its own any more
    assert one.outputs == []
    one.remove(sender)
    assert other.outputs == [output]
    other.close()


async def test_who_leaves_is_not_kept(connections):
    publisher, subscriber = connections
    forwarder = Forwarder(publisher.addTransceiver("video", direction="recvonly").receiver)
    forwarder.add(subscriber.addTransceiver("video", direction="sendonly").sender)
    stopped = subscriber.addTransceiver("video", direction="sendonly")
    forwarder.add(stopped.sender)
    await subscriber.close()
    assert forwarder.outputs == []
