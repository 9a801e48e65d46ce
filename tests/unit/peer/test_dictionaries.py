"""Dictionary arguments as dataclasses, mappings and keywords: the three say the same."""

import pytest

import rtcpeer
import rtcpeer.dictionaries
from rtcpeer import (
    Event,
    InvalidStateError,
    OperationError,
    RTCAnswerOptions,
    RTCDataChannelInit,
    RTCDTMFToneChangeEvent,
    RTCDTMFToneChangeEventInit,
    RTCError,
    RTCErrorEvent,
    RTCErrorEventInit,
    RTCErrorInit,
    RTCIceCandidate,
    RTCIceCandidateInit,
    RTCLocalSessionDescriptionInit,
    RTCOfferOptions,
    RTCPeerConnection,
    RTCPeerConnectionIceErrorEvent,
    RTCPeerConnectionIceErrorEventInit,
)

HOST = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


@pytest.fixture
async def pc():
    async with RTCPeerConnection() as connection:
        yield connection


async def ufrag_after(pc, *arguments, **keywords):
    description = await pc.createOffer(*arguments, **keywords)
    return next(line for line in description.sdp.split("\r\n") if line.startswith("a=ice-ufrag"))


async def test_options_of_an_offer(pc):
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    same = await ufrag_after(pc)
    assert await ufrag_after(pc, RTCOfferOptions()) == same
    for arguments, keywords in (
        ((RTCOfferOptions(iceRestart=True),), {}),
        (({"iceRestart": True},), {}),
        ((), {"iceRestart": True}),
    ):
        assert await ufrag_after(pc, *arguments, **keywords) != same


async def test_init_of_a_data_channel(pc):
    members = {"ordered": False, "maxRetransmits": 2, "protocol": "p", "negotiated": True, "priority": "high"}
    for number, arguments, keywords in (
        (1, (RTCDataChannelInit(**members, id=1),), {}),
        (2, ({**members, "id": 2},), {}),
        (3, (), {**members, "id": 3}),
    ):
        channel = pc.createDataChannel("x", *arguments, **keywords)
        assert {name: getattr(channel, name) for name in members} == members
        assert channel.id == number
    assert pc.createDataChannel("x", RTCDataChannelInit()).ordered is True


async def test_descriptions_and_candidates(pc):
    async with RTCPeerConnection() as other:
        pc.createDataChannel("x")
        await pc.setLocalDescription(RTCLocalSessionDescriptionInit())
        await other.setRemoteDescription(pc.localDescription)
        for form in (
            other.addIceCandidate(RTCIceCandidateInit(HOST, sdpMid="0")),
            other.addIceCandidate({"candidate": HOST.replace("5000", "5001"), "sdpMid": "0"}),
            other.addIceCandidate(candidate=HOST.replace("5000", "5002"), sdpMid="0"),
            other.addIceCandidate(HOST.replace("5000", "5003"), sdpMLineIndex=0),
            other.addIceCandidate(RTCIceCandidate(RTCIceCandidateInit(HOST.replace("5000", "5004"), "0"))),
            other.addIceCandidate(sdpMid="0"),
        ):
            await form
        sdp = other.remoteDescription.sdp
        assert [port for port in range(5000, 5005) if f" {port} typ host" in sdp] == list(range(5000, 5005))
        assert sdp.count("a=end-of-candidates") == 1
        with pytest.raises(TypeError, match="sdpMid"):
            await other.addIceCandidate(HOST)
        with pytest.raises(OperationError, match="nowhere"):
            await other.addIceCandidate(HOST, sdpMid="nowhere")
        for arguments, keywords in (((RTCAnswerOptions(),), {}), (({"voiceActivityDetection": True},), {})):
            await other.createAnswer(*arguments, **keywords)
        with pytest.raises(TypeError, match="RTCAnswerOptions"):
            await other.createAnswer("now")


async def test_certificates_and_parameters(pc):
    for certificate in (
        await RTCPeerConnection.generateCertificate({"name": "ECDSA", "namedCurve": "P-256"}),
        await RTCPeerConnection.generateCertificate(name="ECDSA", namedCurve="P-256", expires=1000),
    ):
        assert certificate.getFingerprints()
    sender = pc.addTransceiver("video").sender
    await sender.setParameters(sender.getParameters(), encodingOptions=[{"keyFrame": True}])


def test_events():
    class Anything(rtcpeer.EventTarget):
        pass

    heard = []
    target = Anything()
    target.addEventListener("x", heard.append, once=True)
    target.addEventListener("x", heard.append, {"once": True})  # the same listener again: ignored
    for _ in range(2):
        target.dispatchEvent(Event("x"))
    assert len(heard) == 1
    for tone in (
        RTCDTMFToneChangeEvent("tonechange", RTCDTMFToneChangeEventInit("5")),
        RTCDTMFToneChangeEvent("tonechange", {"tone": "5"}),
        RTCDTMFToneChangeEvent("tonechange", tone="5"),
    ):
        assert tone.tone == "5"
    error = RTCError(RTCErrorInit("dtls-failure", sentAlert=40), "why")
    assert (error.errorDetail, error.sentAlert) == ("dtls-failure", 40)
    assert RTCErrorEvent("error", RTCErrorEventInit(error)).error is error
    event = RTCPeerConnectionIceErrorEvent(
        "x", RTCPeerConnectionIceErrorEventInit(701, url="stun:example.org")
    )
    assert (event.errorCode, event.url, event.port, event.errorText) == (701, "stun:example.org", None, "")


async def test_a_closed_connection_says_so_first(pc):
    await pc.close()
    with pytest.raises(InvalidStateError):
        pc.addTransceiver("video", sendEncodings=[{"rid": "?"}])


def test_what_calls_return_is_named_in_the_package():
    for name in ("RTCDtlsFingerprint", "RTCIceParameters", "RTCStats", "RTCSessionDescriptionInit"):
        assert name in rtcpeer.dictionaries.__all__
    assert issubclass(rtcpeer.RTCRtpSynchronizationSource, rtcpeer.RTCRtpContributingSource)


def test_all_are_in_one_module_and_in_the_package():
    assert rtcpeer.dictionaries.RTCOfferOptions is RTCOfferOptions
    for name in rtcpeer.dictionaries.__all__:
        if name.startswith("RTC"):
            assert getattr(rtcpeer, name) is getattr(rtcpeer.dictionaries, name)
            # `import *` brings what programs name
            assert name not in rtcpeer.__all__
