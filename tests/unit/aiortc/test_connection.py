"""RTCPeerConnection of the drop-in: arguments, errors and objects, without a network."""

import asyncio
import threading

import aiortc
import pytest
from aiortc.exceptions import InternalError

import rtcpeer
from rtcpeer import aiortc as dropin
from rtcpeer.aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from rtcpeer.ice.settings import IceSettings
from rtcpeer.peer.settings import PeerSettings


class BogusTrack(AudioStreamTrack):
    kind = "bogus"


@pytest.fixture
async def pc():
    connection = RTCPeerConnection(settings=PeerSettings(ice=IceSettings(include_loopback=True)))
    yield connection
    await connection.close()


def test_it_has_the_names_of_aiortc():
    missing = set(aiortc.__all__) - set(dir(dropin))
    assert missing == set()
    assert set(dropin.__all__) >= set(aiortc.__all__)


def test_contrib_is_aiortcs_but_for_what_reads_and_writes_files():
    import aiortc.contrib.media
    import aiortc.contrib.signaling

    from rtcpeer.aiortc.contrib import media, signaling

    for ours, theirs in ((media, aiortc.contrib.media), (signaling, aiortc.contrib.signaling)):
        for name in ours.__all__:
            is_ours = name in ("MediaPlayer", "MediaRecorder", "MediaRelay")
            assert (getattr(ours, name) is getattr(theirs, name)) is not is_ours


def test_values_are_aiortcs_own():
    for name in ("RTCSessionDescription", "RTCIceCandidate", "RTCConfiguration", "RTCIceServer"):
        assert getattr(dropin, name) is getattr(aiortc, name)


def test_made_without_a_loop_and_in_every_way():
    configuration = RTCConfiguration(iceServers=[RTCIceServer(urls=["stun:stun.example"])])
    for connection in (
        RTCPeerConnection(),
        RTCPeerConnection(configuration),
        RTCPeerConnection(configuration=configuration),
        RTCPeerConnection(rtcpeer.RTCConfiguration()),
        RTCPeerConnection({"iceServers": []}),
        RTCPeerConnection(RTCConfiguration(bundlePolicy=dropin.RTCBundlePolicy.MAX_BUNDLE)),
    ):
        connection.addTransceiver("audio")
        connection.createDataChannel("chat")
        assert isinstance(connection, rtcpeer.RTCPeerConnection)
        asyncio.run(connection.close())


def test_no_third_party_is_asked():
    assert RTCPeerConnection().getConfiguration().iceServers == []


async def test_add_track(pc):
    first, second = AudioStreamTrack(), AudioStreamTrack()
    sender = pc.addTrack(first)
    assert isinstance(sender, RTCRtpSender)
    assert pc.getSenders() == [sender]
    with pytest.raises(aiortc.InvalidAccessError, match="Track already has a sender"):
        pc.addTrack(first)
    with pytest.raises(aiortc.InvalidAccessError, match="Track already has a sender"):
        pc.addTransceiver(first)
    with pytest.raises(InternalError, match='Invalid track kind "bogus"'):
        pc.addTrack(BogusTrack())
    pc.addTrack(second)
    assert [s.track for s in pc.getSenders()] == [first, second]
    assert all(isinstance(r, RTCRtpReceiver) for r in pc.getReceivers())


async def test_add_transceiver(pc):
    with pytest.raises(InternalError, match='Invalid direction "bogus"'):
        pc.addTransceiver("audio", direction="bogus")
    with pytest.raises(InternalError, match='Invalid track kind "bogus"'):
        pc.addTransceiver("bogus")
    transceiver = pc.addTransceiver("video", "recvonly")
    assert transceiver.direction == "recvonly"
    assert transceiver.currentDirection is None
    layered = pc.addTransceiver(
        "video", {"direction": "sendonly", "sendEncodings": [{"maxBitrate": 100_000}]}
    )
    assert layered.sender.getParameters().encodings[0].maxBitrate == 100_000
    assert pc.getTransceivers() == [transceiver, layered]


async def test_a_stopped_transceiver_shows_what_it_was(pc):
    transceiver = pc.addTransceiver("audio", direction="sendonly")
    await transceiver.stop()
    await transceiver.stop()
    assert transceiver.stopped
    assert transceiver.direction == "sendonly"
    assert transceiver.currentDirection is None


async def test_replace_track_is_no_coroutine(pc):
    sender = pc.addTransceiver("video").sender
    track = VideoStreamTrack()
    sender.replaceTrack(track)
    assert sender.track is track
    await sender.replaceTrack(None)
    assert sender.track is None
    with pytest.raises(TypeError):
        sender.replaceTrack(AudioStreamTrack())


async def test_codec_preferences(pc):
    transceiver = pc.addTransceiver("video")
    for source in (RTCRtpSender, RTCRtpReceiver, aiortc.RTCRtpSender):
        codecs = [c for c in source.getCapabilities("video").codecs if c.name == "H264"]
        transceiver.setCodecPreferences(codecs)
        offer = await pc.createOffer()
        assert "VP8" not in offer.sdp
        assert "H264" in offer.sdp
    with pytest.raises(ValueError, match="Codec is not in capabilities"):
        transceiver.setCodecPreferences([aiortc.RTCRtpCodecCapability("video/bogus", 90000)])
    with pytest.raises(ValueError, match="unknown media"):
        RTCRtpSender.getCapabilities("bogus")
    transceiver.setCodecPreferences([])
    assert "VP8" in (await pc.createOffer()).sdp


async def test_descriptions_are_aiortcs(pc):
    pc.createDataChannel("chat")
    offer = await pc.createOffer()
    assert type(offer) is aiortc.RTCSessionDescription
    assert (type(offer.type), offer.type) == (str, "offer")
    assert pc.localDescription is None
    await pc.setRemoteDescription(offer)
    assert pc.remoteDescription == offer
    assert pc.sctp.mid == "0"


async def test_states_and_types_that_do_not_fit(pc):
    with pytest.raises(aiortc.InvalidStateError, match='Cannot create answer in signaling state "stable"'):
        await pc.createAnswer()
    with pytest.raises(aiortc.InvalidStateError, match='Cannot handle answer in signaling state "stable"'):
        await pc.setRemoteDescription(RTCSessionDescription("", "answer"))
    pc.createDataChannel("chat")
    offer = await pc.createOffer()
    await pc.setLocalDescription(offer)
    with pytest.raises(aiortc.InvalidStateError, match='Cannot handle offer in signaling state "have-local'):
        await pc.setRemoteDescription(offer)
    await pc.close()
    for call in (pc.createOffer, pc.createAnswer, pc.setLocalDescription):
        with pytest.raises(aiortc.InvalidStateError, match="RTCPeerConnection is closed"):
            await call()
    with pytest.raises(aiortc.InvalidStateError, match="RTCPeerConnection is closed"):
        pc.addTrack(AudioStreamTrack())


async def test_a_bad_description_is_a_value_error(pc):
    with pytest.raises(ValueError) as caught:
        await pc.setRemoteDescription(RTCSessionDescription("nonsense", "offer"))
    assert isinstance(caught.value, rtcpeer.RtcPeerError)
    assert pc.signalingState == "stable"


async def test_an_edited_offer_is_applied_as_it_was(pc, caplog):
    pc.addTransceiver("audio")
    offer = await pc.createOffer()
    offer.sdp = offer.sdp.replace("a=sendrecv", "a=recvonly")
    await pc.setLocalDescription(offer)
    assert "a=sendrecv" in pc.localDescription.sdp
    assert "edited" in caplog.text


async def test_candidates_need_a_place(pc):
    candidate = aiortc.RTCIceCandidate(1, "0", "192.0.2.1", 5000, 1, "udp", "host")
    with pytest.raises(ValueError, match="must have either sdpMid or sdpMLineIndex"):
        await pc.addIceCandidate(candidate)


@pytest.mark.skipif(
    "alwaysNegotiateDataChannels" not in RTCConfiguration.__dataclass_fields__,
    reason="aiortc before 1.15 lacks it",
)
async def test_data_channels_are_negotiated_from_the_start():
    connection = RTCPeerConnection(RTCConfiguration(alwaysNegotiateDataChannels=True))
    connection.addTransceiver("audio")
    kinds = [line[2:7] for line in (await connection.createOffer()).sdp.splitlines() if line.startswith("m=")]
    assert kinds == ["appli", "audio"]
    await connection.close()


async def test_channel_arguments_in_aiortcs_order(pc):
    channel = pc.createDataChannel("a", None, 3, False, "p", True, 7)
    assert (channel.label, channel.maxPacketLifeTime, channel.maxRetransmits) == ("a", None, 3)
    assert (channel.ordered, channel.protocol, channel.negotiated, channel.id) == (False, "p", True, 7)
    assert pc.createDataChannel("b", {"maxRetransmits": 0}).maxRetransmits == 0
    with pytest.raises(ValueError, match="Cannot specify both"):
        pc.createDataChannel("c", maxPacketLifeTime=1, maxRetransmits=1)
    for number in (None, -1, 65535):
        with pytest.raises(ValueError, match="ID must be in range"):
            pc.createDataChannel("d", negotiated=True, id=number)


async def test_w3c_listeners_beside_pyees(pc):
    told = []
    pc.on("icegatheringstatechange", lambda: told.append("pyee"))
    pc.addEventListener("icegatheringstatechange", lambda event: told.append(event.type))
    pc.onicecandidate = lambda event: told.append("candidate")
    pc.on("icecandidate", lambda *args: told.append("never"))
    pc.on("negotiationneeded", lambda *args: told.append("never"))
    pc.createDataChannel("chat")
    await pc.setLocalDescription()
    assert {"pyee", "icegatheringstatechange", "candidate"} == set(told)


def test_a_loop_in_a_thread_of_its_own():
    """Web frameworks without a loop run connections in a thread, and talk to them from outside."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    try:
        server, client = RTCPeerConnection(), RTCPeerConnection()
        server.addTrack(AudioStreamTrack())
        client.addTransceiver("audio", direction="recvonly")
        run(client.setLocalDescription())
        run(server.setRemoteDescription(client.localDescription))
        run(server.setLocalDescription())
        run(client.setRemoteDescription(server.localDescription))
        run(asyncio.wait_for(server.connected(), 60))
        assert server.getTransceivers()[0].currentDirection == "sendonly"
        run(client.close())
        run(server.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
