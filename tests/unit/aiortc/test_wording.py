"""Descriptions in aiortc's order, and refusals in its words."""

import pytest
from aiortc.exceptions import OperationError
from aiortc.sdp import SessionDescription

from rtcpeer.aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription
from rtcpeer.aiortc.wording import in_aiortcs_order


@pytest.fixture
async def offer():
    async with RTCPeerConnection() as pc:
        pc.addTrack(AudioStreamTrack())
        pc.createDataChannel("chat")
        await pc.setLocalDescription()
        yield pc.localDescription


async def answered(offer):
    pc = RTCPeerConnection()
    await pc.setRemoteDescription(offer)
    await pc.setLocalDescription()
    description = pc.localDescription
    await pc.close()
    return description


async def test_transports_stand_at_the_end(offer):
    sections = offer.sdp.split("m=")[1:]
    assert len(sections) == 2
    for section in sections:
        assert section.splitlines()[-1] == "a=setup:actpass"
    assert offer.sdp.endswith("\r\n")
    assert sections[0].count("a=rtcp:9 IN IP4 0.0.0.0\r\n") == 1
    assert "a=rtcp:" not in sections[1]


async def test_nothing_is_lost_and_twice_is_once(offer):
    again = in_aiortcs_order(offer.sdp)
    assert again == offer.sdp


def test_without_sections():
    assert in_aiortcs_order("v=0\r\ns=-\r\n") == "v=0\r\ns=-\r\n"


async def test_a_description_survives_aiortcs_parser(offer):
    read = SessionDescription.parse(offer.sdp)
    assert all(media.rtcp_mux for media in read.media if media.kind == "audio")
    async with RTCPeerConnection() as pc:
        await pc.setRemoteDescription(RTCSessionDescription(str(read), "offer"))
        await pc.setLocalDescription()
        assert "a=inactive" not in pc.localDescription.sdp


async def test_what_was_created_is_known_again():
    async with RTCPeerConnection() as pc:
        pc.createDataChannel("chat")
        first = await pc.createOffer()
        await pc.setLocalDescription(first)
        await pc.setLocalDescription(await pc.createOffer())
        assert pc.signalingState == "have-local-offer"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a=ice-pwd", "x=ice-pwd", "ICE username fragment or password is missing"),
        (
            "a=setup:active",
            "a=setup:actpass",
            "DTLS setup attribute must be 'active' or 'passive' for an answer",
        ),
        ("m=audio", "m=video", "Media sections in answer do not match offer"),
    ],
)
async def test_refusals(old, new, words):
    async with RTCPeerConnection() as pc:
        pc.addTrack(AudioStreamTrack())
        await pc.setLocalDescription()
        answer = await answered(pc.localDescription)
        with pytest.raises(ValueError, match=words) as caught:
            await pc.setRemoteDescription(RTCSessionDescription(answer.sdp.replace(old, new), answer.type))
        assert caught.value.__cause__ is not None
        assert pc.signalingState == "have-local-offer"


async def test_connecting_begins_with_both_descriptions():
    states = []
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        pc.on("connectionstatechange", lambda: states.append(pc.connectionState))
        pc.on("iceconnectionstatechange", lambda: states.append(pc.iceConnectionState))
        other.createDataChannel("chat")
        # a browser that trickles
        await pc.setRemoteDescription(await other.createOffer())
        assert states == []
        await pc.setLocalDescription()
        assert states == ["checking", "connecting"]


def edited(offer, old, new):
    return RTCSessionDescription(offer.sdp.replace(old, new), "offer")


async def test_an_offer_of_nothing_usable_is_refused():
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        other.addTransceiver("video")
        offer = await other.createOffer()
        with pytest.raises(OperationError, match="Failed to set remote video description send parameters"):
            await pc.setRemoteDescription(edited(offer, "/90000", "/92000"))
        with pytest.raises(ValueError, match="RTCP mux is not enabled"):
            await pc.setRemoteDescription(edited(offer, "a=rtcp-mux\r\n", ""))
        assert pc.signalingState == "stable"


async def test_a_section_that_is_not_usable_is_rejected_alone():
    async with RTCPeerConnection() as pc, RTCPeerConnection() as other:
        other.addTransceiver("video")
        other.createDataChannel("chat")
        await pc.setRemoteDescription(edited(await other.createOffer(), "/90000", "/92000"))
        answer = await pc.createAnswer()
        assert "m=video 0 " in answer.sdp
        assert "m=application 9 " in answer.sdp
