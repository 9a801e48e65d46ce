"""Private names of aiortc that many programs reach for have the effect that those programs expect."""

import asyncio
import logging

import pytest
from aioice import Candidate
from aioice.ice import CandidatePair
from aiortc.codecs import h264, vpx
from cryptography.hazmat.primitives.hashes import SHA256

from rtcpeer.aiortc import RTCCertificate, RTCPeerConnection
from rtcpeer.testing import synthetic_track
from tests.scenarios.test_aiortc_replacements import PICTURES, Call, read
from tests.scenarios.virtual import scenario


@scenario
async def test_an_ice_transport_is_asked_for_its_candidates_and_pair(scene):
    async with Call(scene, synthetic_track("audio")) as call:
        await asyncio.sleep(1)
        [ice] = call.client._RTCPeerConnection__iceTransports
        assert ice is call.senders[0].transport.transport
        [dtls] = call.client._RTCPeerConnection__dtlsTransports
        assert dtls.transport is ice
        connection = ice.iceGatherer._connection
        pair = connection._nominated[1]
        assert isinstance(pair.local_candidate, Candidate)
        assert pair.local_addr[0] in {c.host for c in connection.local_candidates}
        assert pair.remote_candidate.type == "host"
        assert pair.remote_addr in {(c.host, c.port) for c in connection.remote_candidates}
        other = call.server.getReceivers()[0].transport.transport._connection
        assert connection.local_username == other.remote_username != ""
        assert other.local_password == connection.remote_password
        assert (connection.ice_controlling, other.ice_controlling) == (True, False)
        with pytest.raises(AttributeError, match="iceTransportPolicy"):
            connection._transport_policy = "relay"
        with pytest.raises(AttributeError, match="setLocalDescription"):
            _ = connection.gather_candidates
        # identity is what programs compare
        assert [p for p in connection._check_list if p is pair]
        assert (pair.state, pair.nominated) == (CandidatePair.State.SUCCEEDED, True)
        assert connection.local_password not in repr(connection)


@scenario
async def test_a_sender_and_a_receiver_are_asked_for_ssrcs_key_frames_and_the_encoder(scene):
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        sender, receiver = call.senders[0], call.receiver
        await read(receiver.track, 5)
        assert (await call.outbound())["ssrc"] == sender._ssrc
        assert list(receiver._RTCRtpReceiver__active_ssrc) == [sender._ssrc]
        [(ssrc, stream)] = receiver._RTCRtpReceiver__remote_streams.items()
        assert (ssrc, stream.packets_lost) == (sender._ssrc, 0)
        assert stream.packets_received > 0
        assert receiver._track is receiver.track
        made = (await call.outbound())["keyFramesEncoded"]
        await receiver._send_rtcp_pli(sender._ssrc)
        await read(receiver.track, 10)
        asked = (await call.outbound())["keyFramesEncoded"]
        assert asked > made
        sender._send_keyframe()
        await read(receiver.track, 10)
        assert (await call.outbound())["keyFramesEncoded"] > asked

        encoder = sender._RTCRtpSender__encoder
        encoder.target_bitrate = 64_000
        await read(receiver.track, 5)
        assert encoder.target_bitrate == 64_000
        assert sender.getParameters().encodings[0].maxBitrate == 64_000

        sender._enabled = False
        await asyncio.sleep(1)
        sent = (await call.outbound())["framesSent"]
        await asyncio.sleep(1)
        assert (await call.outbound())["framesSent"] == sent
        sender._enabled = True
        await read(receiver.track, 5)


@scenario
async def test_limits_written_into_the_codecs_modules_are_those_of_the_senders(scene, monkeypatch):
    monkeypatch.setattr(vpx, "MAX_BITRATE", 7_000_000)
    monkeypatch.setattr(h264, "DEFAULT_BITRATE", 9_000_000)
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        assert call.client.getTransceivers()[0]._codecs[0].name == "VP8"
        assert call.senders[0].getParameters().encodings[0].maxBitrate == 7_000_000
        # what the program says itself stays
        parameters = call.senders[0].getParameters()
        parameters.encodings[0].maxBitrate = 300_000
        await call.senders[0].setParameters(parameters)
        await call.exchange()
        assert call.senders[0].getParameters().encodings[0].maxBitrate == 300_000


@scenario
async def test_the_least_bitrate_of_a_codec_is_what_its_encoder_aims_at(scene, monkeypatch):
    monkeypatch.setattr(vpx, "MIN_BITRATE", 4_000_000)
    async with Call(scene, synthetic_track("video", PICTURES)) as call:
        encoder = call.senders[0]._RTCRtpSender__encoder
        await read(call.receiver.track, 5)
        assert call.senders[0].estimate < 4_000_000 == encoder.target_bitrate
        encoder.target_bitrate = 200_000
        await read(call.receiver.track, 10)
        assert encoder.target_bitrate == 200_000


@scenario
async def test_certificate_and_stream_are_set_on_a_connection_that_has_described_nothing(scene):
    certificate = RTCCertificate.generateCertificate()
    call = Call(scene, synthetic_track("audio"))
    call.client._RTCPeerConnection__certificates = [certificate]
    call.client._RTCPeerConnection__stream_id = "KvsLocalMediaStream"
    async with call:
        sdp = call.client.localDescription.sdp
        assert certificate.getFingerprints()[0].value in sdp
        assert "a=msid:KvsLocalMediaStream" in sdp
        assert call.senders[0]._stream_id == "KvsLocalMediaStream"
        assert call.client._RTCPeerConnection__remoteDescription().media[0].kind == "audio"
        with pytest.raises(Exception, match="described already"):
            call.client._RTCPeerConnection__certificates = [certificate]


@scenario
async def test_the_direction_that_an_offer_leaves(scene):
    call = Call(scene, synthetic_track("audio"))
    call.client.getTransceivers()[0].direction = "sendonly"
    await call.client.setLocalDescription(await call.client.createOffer())
    assert call.client.getTransceivers()[0]._offerDirection is None
    await call.server.setRemoteDescription(call.client.localDescription)
    [transceiver] = call.server.getTransceivers()
    assert transceiver._offerDirection == "recvonly"
    transceiver._offerDirection = "recvonly"
    await call.server._RTCPeerConnection__gather()
    await call.server.setLocalDescription(await call.server.createAnswer())
    assert transceiver.currentDirection == "recvonly"
    await call.__aexit__()


@scenario
async def test_a_loop_that_pushes_the_queue_of_channels(scene):
    call = Call(scene)
    channel = call.client.createDataChannel("file")
    async with call:
        await channel.opened(10)
        channel.send(b"x" * 200_000)
        sctp = call.client.sctp
        # set by programs against a fault of aiortc's: numbers follow from the role
        other = call.server.sctp
        sctp._data_channel_id = other._data_channel_id = 7
        assert sorted((sctp._data_channel_id, other._data_channel_id)) == [0, 1]
        assert channel.id % 2 == sctp._data_channel_id
        shown = sctp.transport._ssl.get_peer_certificate(as_cryptography=True)
        [fingerprint] = other.transport.getLocalParameters().fingerprints
        assert shown.fingerprint(SHA256()).hex(":").upper() == fingerprint.value
        assert sctp.transport._ssl.get_peer_certificate().to_cryptography() == shown
        assert sctp._data_channel_queue == sctp._outbound_queue == [channel]
        async with asyncio.timeout(20):
            while sctp._data_channel_queue or sctp._outbound_queue:
                await sctp._data_channel_flush()
                await sctp._transmit()
                await asyncio.sleep(0.01)
        assert channel.bufferedAmount == 0


async def test_what_cannot_be_had_is_said(caplog):
    pc = RTCPeerConnection()
    receiver = pc.addTransceiver("audio").receiver
    with pytest.raises(AttributeError, match="jitterBufferTarget"):
        _ = receiver._RTCRtpReceiver__jitter_buffer
    assert getattr(receiver, "_handle_rtp_packet", None) is None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pc.nonsense
    with caplog.at_level(logging.WARNING, "rtcpeer.aiortc"):
        pc._RTCPeerConnection__isInitiator = True
    assert "has no effect" in caplog.text
    await pc.close()
