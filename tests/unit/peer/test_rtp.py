"""RTCRtpTransceiver, RTCRtpSender, RTCRtpReceiver as the user sees them."""

import asyncio

import pytest

from rtcpeer import (
    InvalidModificationError,
    InvalidStateError,
    MediaStream,
    RTCPeerConnection,
    RTCRangeError,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from rtcpeer.testing import synthetic_track


@pytest.fixture
async def pc():
    async with RTCPeerConnection() as connection:
        yield connection


@pytest.fixture
async def other():
    async with RTCPeerConnection() as connection:
        yield connection


async def negotiate(pc, other):
    for mine, theirs in ((pc, other), (other, pc)):
        await mine.setLocalDescription()
        await theirs.setRemoteDescription(mine.localDescription)


@pytest.mark.parametrize("face", [RTCRtpSender, RTCRtpReceiver, RTCRtpTransceiver])
def test_nobody_else_makes_them(face):
    with pytest.raises(TypeError, match="Illegal constructor"):
        face(None)


# --- transceivers ---------------------------------------------------------------------------------


async def test_a_new_transceiver(pc):
    transceiver = pc.addTransceiver("audio", direction="recvonly")
    assert transceiver.kind == "audio"
    assert (transceiver.direction, transceiver.currentDirection, transceiver.mid) == ("recvonly", None, None)
    assert transceiver.stopped is False
    sender, receiver = transceiver.sender, transceiver.receiver
    assert (sender.track, sender.transport, receiver.transport) == (None, None, None)
    assert (receiver.track.kind, receiver.track.muted, receiver.track.readyState) == ("audio", True, "live")
    assert transceiver.sender is sender
    assert transceiver.receiver is receiver
    assert [pc.getSenders(), pc.getReceivers(), pc.getTransceivers()] == [[sender], [receiver], [transceiver]]
    assert repr(transceiver) == "<RTCRtpTransceiver audio mid=None recvonly>"
    assert repr(sender) == "<RTCRtpSender audio unnegotiated>"


async def test_negotiation_fills_in_what_was_open(pc, other):
    transceiver = pc.addTransceiver(synthetic_track("audio"))
    got = []
    other.ontrack = got.append
    await negotiate(pc, other)
    assert (transceiver.mid, transceiver.currentDirection) == ("0", "sendonly")
    event = got[0]
    assert event.transceiver.mid == "0"
    assert event.receiver is event.transceiver.receiver
    assert event.track is event.receiver.track
    assert event.transceiver.direction == event.transceiver.currentDirection == "recvonly"
    assert transceiver.sender.transport is transceiver.receiver.transport
    assert transceiver.sender.transport.iceTransport.role == "controlling"
    assert repr(transceiver.receiver) == "<RTCRtpReceiver audio 0>"
    event.track.stop()


async def test_direction_is_a_wish(pc, other):
    transceiver = pc.addTransceiver("audio")
    await negotiate(pc, other)
    transceiver.direction = "inactive"
    assert (transceiver.direction, transceiver.currentDirection) == ("inactive", "sendonly")
    for wrong in ("up", "stopped", None, 5):
        with pytest.raises(TypeError, match="direction"):
            transceiver.direction = wrong
    assert transceiver.direction == "inactive"


async def test_stop_is_for_good(pc):
    track = synthetic_track("audio")
    transceiver = pc.addTransceiver(track)
    ended = []
    transceiver.receiver.track.onended = ended.append
    transceiver.stop()
    transceiver.stop()
    assert transceiver.direction == "stopped"
    assert transceiver.receiver.track.readyState == "live"  # it ends in a task of its own
    await asyncio.sleep(0)
    assert transceiver.receiver.track.readyState == "ended"
    assert track.readyState == "live"
    for change in (
        lambda: setattr(transceiver, "direction", "sendrecv"),
        lambda: pc.addTransceiver("audio", direction="stopped"),
    ):
        with pytest.raises((InvalidStateError, TypeError), match="stopped"):
            change()
    with pytest.raises(InvalidStateError, match="stopped"):
        await transceiver.sender.replaceTrack(None)
    await asyncio.sleep(0)
    assert len(ended) == 1


async def test_codec_preferences(pc, other):
    transceiver = pc.addTransceiver("audio")
    codecs = RTCRtpReceiver.getCapabilities("audio").codecs
    pcmu = [c for c in codecs if c.mimeType == "audio/PCMU"]
    transceiver.setCodecPreferences(pcmu)
    offer = await pc.createOffer()
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" in offer.sdp
    transceiver.setCodecPreferences([])
    assert "opus" in (await pc.createOffer()).sdp
    with pytest.raises(InvalidModificationError):
        transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities("video").codecs)
    with pytest.raises(TypeError):
        transceiver.setCodecPreferences(None)


async def test_header_extensions(pc, other):
    """The control of webrtc-extensions, through its dictionaries; the rules are tests of `rtcpeer.jsep`."""
    transceiver = pc.addTransceiver("video")
    turned = "urn:3gpp:video-orientation"
    wanted = transceiver.getHeaderExtensionsToNegotiate()
    assert {e.direction for e in wanted if "sdes" in e.uri} == {"sendrecv"}
    assert [e.direction for e in transceiver.getNegotiatedHeaderExtensions()] == ["stopped"] * len(wanted)
    assert [e.uri for e in RTCRtpSender.getCapabilities("video").headerExtensions] == [e.uri for e in wanted]
    next(e for e in wanted if e.uri == turned).direction = "stopped"
    assert turned in (await pc.createOffer()).sdp  # a copy
    transceiver.setHeaderExtensionsToNegotiate(wanted)
    assert transceiver.getHeaderExtensionsToNegotiate() == wanted
    await pc.setLocalDescription()
    assert turned not in pc.localDescription.sdp
    await other.setRemoteDescription(pc.localDescription)
    await other.setLocalDescription()
    await pc.setRemoteDescription(other.localDescription)
    for side in (transceiver, other.getTransceivers()[0]):
        negotiated = {e.uri: e.direction for e in side.getNegotiatedHeaderExtensions()}
        assert negotiated[turned] == "stopped"
        assert negotiated["urn:ietf:params:rtp-hdrext:sdes:mid"] == "sendrecv"
    # mappings are taken, too
    transceiver.setHeaderExtensionsToNegotiate([{"uri": e.uri, "direction": "sendrecv"} for e in wanted])
    assert turned in (await pc.createOffer()).sdp
    for wrong in (
        None,
        [{"uri": turned}],
        [{"direction": "sendrecv"}],
        [{"uri": "", "direction": "sendrecv"}],
        [{"uri": turned, "direction": "both"}],
    ):
        with pytest.raises(TypeError):
            transceiver.setHeaderExtensionsToNegotiate(wrong)
    with pytest.raises(InvalidModificationError, match="directions"):
        transceiver.setHeaderExtensionsToNegotiate(wanted[1:])


# --- senders --------------------------------------------------------------------------------------


async def test_replace_track(pc):
    transceiver = pc.addTransceiver("audio")
    first, second = synthetic_track("audio"), synthetic_track("audio")
    await transceiver.sender.replaceTrack(first)
    assert transceiver.sender.track is first
    replacing = asyncio.ensure_future(transceiver.sender.replaceTrack(second))
    await asyncio.sleep(0)
    assert transceiver.sender.track is first
    await replacing
    assert transceiver.sender.track is second
    for wrong in (synthetic_track("video"), "audio", object()):
        with pytest.raises(TypeError):
            await transceiver.sender.replaceTrack(wrong)
    await transceiver.sender.replaceTrack(None)
    assert transceiver.sender.track is None
    assert first.readyState == second.readyState == "live"


async def test_parameters_are_valid_for_one_turn(pc):
    sender = pc.addTransceiver("video").sender
    first, again = sender.getParameters(), sender.getParameters()
    assert first.transactionId == again.transactionId
    assert first is not again
    first.encodings[0].maxBitrate = 1
    assert again.encodings[0].maxBitrate is None
    again.encodings[0].maxBitrate = 250_000
    await sender.setParameters(again)
    fresh = sender.getParameters()
    assert fresh.transactionId != again.transactionId
    assert fresh.encodings[0].maxBitrate == 250_000
    await asyncio.sleep(0.01)
    with pytest.raises(InvalidStateError, match="getParameters"):
        await sender.setParameters(fresh)


@pytest.mark.parametrize("how", ["gather", "task", "wait_for in a gather"])
async def test_parameters_of_this_turn_may_be_set_by_tasks_which_begin_later(pc, how):
    senders = [pc.addTransceiver(kind).sender for kind in ("video", "audio")]
    pending = []
    for sender in senders:
        parameters = sender.getParameters()
        parameters.encodings[0].maxBitrate = 250_000
        pending.append(sender.setParameters(parameters))
    if how == "task":
        pending = [asyncio.create_task(one) for one in pending]
    elif how == "wait_for in a gather":
        pending = [asyncio.wait_for(one, 5) for one in pending]
    await asyncio.gather(*pending)
    assert [s.getParameters().encodings[0].maxBitrate for s in senders] == [250_000] * 2


async def test_parameters_that_a_description_outdates_before_the_task_begins(pc, other):
    sender = pc.addTransceiver("video").sender
    pending = sender.setParameters(sender.getParameters())
    await negotiate(pc, other)
    with pytest.raises(InvalidStateError, match="getParameters"):
        await pending


async def test_parameters_as_a_mapping(pc):
    sender = pc.addTransceiver("video").sender
    given = sender.getParameters()
    mapping = {
        "transactionId": given.transactionId,
        "encodings": [{"active": False, "maxFramerate": 5}],
        "codecs": [],
        "headerExtensions": [],
        "rtcp": {"cname": given.rtcp.cname, "reducedSize": given.rtcp.reducedSize},
    }
    await sender.setParameters(mapping)
    encoding = sender.getParameters().encodings[0]
    assert (encoding.active, encoding.maxFramerate) == (False, 5.0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda p: setattr(p, "transactionId", "x"), InvalidModificationError),
        (lambda p: p.encodings.append(p.encodings[0]), InvalidModificationError),
        (lambda p: p.encodings.clear(), InvalidModificationError),
        (lambda p: setattr(p.encodings[0], "rid", "x"), InvalidModificationError),
        (lambda p: p.codecs.clear(), InvalidModificationError),
        (lambda p: p.headerExtensions.clear(), InvalidModificationError),
        (lambda p: setattr(p.rtcp, "cname", "x"), InvalidModificationError),
        (lambda p: setattr(p.encodings[0], "scaleResolutionDownBy", 0.5), RTCRangeError),
        (lambda p: setattr(p.encodings[0], "maxFramerate", -1.0), RTCRangeError),
        (lambda p: setattr(p.encodings[0], "maxBitrate", "x"), TypeError),
        (lambda p: setattr(p, "encodings", None), TypeError),
        (lambda p: setattr(p, "degradationPreference", "maintain-everything"), TypeError),
    ],
)
async def test_what_set_parameters_refuses(pc, other, change, error):
    sender = pc.addTransceiver("video").sender
    await negotiate(pc, other)
    before = sender.getParameters()
    assert before.codecs
    parameters = sender.getParameters()
    change(parameters)
    with pytest.raises(error):
        await sender.setParameters(parameters)
    await asyncio.sleep(0.01)
    assert sender.getParameters().encodings == before.encodings
    assert sender.getParameters().degradationPreference is None


async def test_what_suffers_on_a_small_path_is_kept(pc, other):
    """webrtc-extensions: a member of the parameters that only setParameters changes; it may be taken back."""
    sender = pc.addTransceiver("video").sender
    for preference in ("maintain-framerate", "balanced", "maintain-resolution", None):
        parameters = sender.getParameters()
        parameters.degradationPreference = preference
        await sender.setParameters(parameters)
        await negotiate(pc, other)
        assert sender.getParameters().degradationPreference == preference


async def test_a_stream_of_the_other_side_is_told_once_to_who_listens_for_it(pc, other):
    """Browsers still have "addstream"; it comes when all tracks of the description are in the stream."""
    stream, told = MediaStream(), []
    for kind in ("audio", "video"):
        stream.addTrack(synthetic_track(kind))
    for track in stream.getTracks():
        pc.addTrack(track, stream)
    pc.addTransceiver("audio")  # in no stream

    @other.on("addstream")
    def on_stream(event):
        told.append((event.type, event.stream.id, len(event.stream.getTracks())))

    other.ontrack = lambda event: told.append(event.track.kind)
    for _ in range(2):
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
        assert told == [("addstream", stream.id, 2), "audio", "video", "audio"]
    # the stream loses its tracks, and gets one again
    for direction in ("recvonly", "sendrecv"):
        told.clear()
        for transceiver in pc.getTransceivers()[: 1 + (direction == "recvonly")]:
            transceiver.direction = direction
        await pc.setLocalDescription()
        await other.setRemoteDescription(pc.localDescription)
        await other.setLocalDescription()
        await pc.setRemoteDescription(other.localDescription)
    assert told == [("addstream", stream.id, 1), "audio"]
    assert not hasattr(other, "onaddstream")  # W3C's suite wants it gone


async def test_streams_can_be_changed(pc, other):
    sender = pc.addTrack(synthetic_track("audio"))
    got = []
    other.ontrack = got.append
    await negotiate(pc, other)
    assert list(got[0].streams) == []
    one, two = MediaStream(), MediaStream()
    sender.setStreams(one, two, one)
    await negotiate(pc, other)
    assert f"a=msid:{one.id} " in pc.localDescription.sdp
    assert [s.id for s in got[-1].streams] == [one.id, two.id]
    for wrong in ("x", None):
        with pytest.raises(TypeError):
            sender.setStreams(wrong)


async def test_only_audio_has_dtmf(pc):
    audio, video = pc.addTransceiver("audio").sender, pc.addTransceiver("video").sender
    assert video.dtmf is None
    assert audio.dtmf is audio.dtmf
    assert audio.dtmf.canInsertDTMF is False
    with pytest.raises(InvalidStateError):
        audio.dtmf.insertDTMF("1")


# --- receivers ------------------------------------------------------------------------------------


async def test_a_receiver_before_anything_arrives(pc):
    receiver = pc.addTransceiver("audio").receiver
    assert receiver.getContributingSources() == []
    assert receiver.getSynchronizationSources() == []
    assert receiver.getParameters().codecs == []
    receiver.requestKeyFrame()
    assert receiver.jitterBufferTarget is None
    receiver.jitterBufferTarget = 200
    assert receiver.jitterBufferTarget == 200
    for wrong in (-1, 4001):
        with pytest.raises(RTCRangeError, match=str(wrong)):
            receiver.jitterBufferTarget = wrong
    with pytest.raises(TypeError):
        receiver.jitterBufferTarget = "x"
    receiver.jitterBufferTarget = None
    assert receiver.jitterBufferTarget is None


def test_capabilities():
    assert RTCRtpSender.getCapabilities("smell") is None
    assert RTCRtpReceiver.getCapabilities("audio").codecs[0].mimeType == "audio/opus"


async def test_parameters_say_whether_reduced_size_rtcp_was_negotiated(pc, other):
    transceiver = pc.addTransceiver("audio")
    assert transceiver.sender.getParameters().rtcp.reducedSize is False
    await pc.setLocalDescription()
    await other.setRemoteDescription(pc.localDescription)
    await other.setLocalDescription()
    answer = other.localDescription.sdp
    await pc.setRemoteDescription(type="answer", sdp=answer)
    for half in (transceiver.sender, transceiver.receiver):
        assert half.getParameters().rtcp.reducedSize is True
    await pc.setLocalDescription()
    await pc.setRemoteDescription(type="answer", sdp=answer.replace("a=rtcp-rsize\r\n", ""))
    for half in (transceiver.sender, transceiver.receiver):
        assert half.getParameters().rtcp.reducedSize is False


async def test_a_receiver_shows_its_codecs_once_they_are_agreed(pc, other):
    """As browsers and the W3C suite have it; webrtc-pc would show those of a local offer before."""
    receiver = pc.addTransceiver("audio").receiver
    await pc.setLocalDescription()
    assert receiver.getParameters().codecs == []
    await other.setRemoteDescription(pc.localDescription)
    await other.setLocalDescription()
    await pc.setRemoteDescription(other.localDescription)
    assert "audio/opus" in [c.mimeType for c in receiver.getParameters().codecs]


async def test_dtmf_needs_a_connection_that_is_up(virtual_network, peer_pair):
    """webrtc-pc 7.2: "If connection's RTCPeerConnectionState is not connected return false"."""
    dtmf = peer_pair.offerer.addTrack(synthetic_track("audio")).dtmf
    assert not dtmf.canInsertDTMF
    await peer_pair.connect()
    await asyncio.sleep(1)
    assert dtmf.canInsertDTMF
    link = virtual_network.hosts["bob"].link
    await link.outage_of(10)
    assert peer_pair.offerer.connectionState == "disconnected"
    assert not dtmf.canInsertDTMF
    with pytest.raises(InvalidStateError):
        dtmf.insertDTMF("1")


async def test_candidates_of_a_transport_name_their_section(virtual_network, peer_pair):
    """What `getRemoteCandidates` gives can be handed on: `RTCIceCandidate` wants sdpMid or sdpMLineIndex."""
    peer_pair.offerer.addTransceiver("audio")
    peer_pair.offerer.createDataChannel("x")
    await peer_pair.connect()
    for pc in (peer_pair.offerer, peer_pair.answerer):
        ice = pc.sctp.transport.iceTransport
        found = [*ice.getLocalCandidates(), *ice.getRemoteCandidates(), ice.getSelectedCandidatePair().remote]
        assert [(c.sdpMid, c.sdpMLineIndex) for c in found] == [("0", 0)] * len(found)
        assert len(found) >= 3


async def test_a_track_goes_over_to_the_receiver_of_another_connection(pc, other):
    first, second = pc.addTransceiver("video").receiver, other.addTransceiver("video").receiver
    track, unseen = first.track, second.track
    assert second.exchangeTrack(track) is unseen
    assert first.exchangeTrack(unseen) is track
    assert (first.track, second.track) == (unseen, track)
    await pc.close()
    await asyncio.sleep(0)
    assert (unseen.readyState, track.readyState) == ("ended", "live")
    fed = second.exchangeTrack()
    assert fed is track
    assert second.track.kind == "video"
    await other.close()
    await asyncio.sleep(0)
    assert track.readyState == "live"  # nobody feeds it any more, and nobody ends it
    track.end()


async def test_tracks_that_a_receiver_cannot_feed(pc, other):
    receiver = pc.addTransceiver("video").receiver
    before = receiver.track
    with pytest.raises(TypeError, match="a remote video track is needed"):
        receiver.exchangeTrack(other.addTransceiver("audio").receiver.track)
    with pytest.raises(TypeError, match="a remote video track is needed"):
        receiver.exchangeTrack(synthetic_track("video"))
    ended = other.addTransceiver("video").receiver.track
    ended.stop()
    with pytest.raises(InvalidStateError, match="has ended"):
        receiver.exchangeTrack(ended)
    assert receiver.track is before
