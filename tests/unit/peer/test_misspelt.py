"""What is misspelt is refused with the word that was meant; what others may say in JSON is not."""

import inspect
import re

import pytest

import rtcpeer
from rtcpeer import (
    Event,
    EventTarget,
    MediaStream,
    MediaStreamTrack,
    RTCIceCandidate,
    RTCPeerConnection,
    RTCPeerConnectionIceErrorEvent,
    SFrameTransform,
    SupervisedPeer,
    memory_pair,
    webidl,
)
from rtcpeer.media.event_target import handler
from rtcpeer.peer import connection_listening, keywords, listening
from rtcpeer.supervisor import listening as supervised
from rtcpeer.supervisor.channel import SupervisedChannel
from rtcpeer.testing import synthetic_track

HOST = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


@pytest.fixture
async def pc():
    async with RTCPeerConnection() as connection:
        yield connection


@pytest.fixture
async def peer():
    here, _there = memory_pair()
    async with SupervisedPeer(here, polite=True) as peer:
        yield peer


async def call(function, *arguments, **keywords):
    result = function(*arguments, **keywords)
    return await result if hasattr(result, "__await__") else result


KEYWORDS = {
    "createOffer": ((), "icerestart", "iceRestart"),
    "setLocalDescription": ((), "typ", "type"),
    "setRemoteDescription": ((), "spd", "sdp"),
    "addIceCandidate": ((HOST,), "sdpMlineIndex", "sdpMLineIndex"),
    "setConfiguration": ((), "iceserver", "iceServers"),
    "addTransceiver": (("audio",), "directon", "direction"),
    "createDataChannel": (("x",), "orderd", "ordered"),
    "generateCertificate": (("ECDSA",), "expire", "expires"),
    "addEventListener": (("track", print), "onse", "once"),
}


@pytest.mark.parametrize("method", KEYWORDS)
async def test_a_keyword_that_no_call_takes(pc, method):
    arguments, wrong, right = KEYWORDS[method]

    with pytest.raises(TypeError, match=f"has no member '{wrong}'; did you mean '{right}'"):
        await call(getattr(pc, method), *arguments, **{wrong: 1})

    assert pc.getTransceivers() == []
    assert pc.sctp is None
    assert pc.signalingState == "stable"


@pytest.mark.parametrize(
    ("make", "right"),
    [
        (lambda: RTCPeerConnection(iceTransportPolcy="relay"), "iceTransportPolicy"),
        (lambda: RTCIceCandidate(candidate=HOST, sdpMId="0"), "sdpMid"),
        (lambda: RTCPeerConnectionIceErrorEvent("icecandidateerror", errorcode=701), "errorCode"),
        (lambda: SFrameTransform(ciphersuite="AES_128_GCM_SHA256_128"), "cipherSuite"),
        (lambda: SupervisedPeer(memory_pair()[0], polite=True, iceServer=[]), "iceServers"),
        (lambda: rtcpeer.Session(icePolicy="relay", bundlePolcy="balanced"), "iceTransportPolicy"),
    ],
)
async def test_a_keyword_that_no_constructor_takes(make, right):
    with pytest.raises(TypeError, match=right):
        make()


async def test_setParameters_has_one_option(pc):
    sender = pc.addTransceiver("video").sender

    with pytest.raises(TypeError, match="did you mean 'encodingOptions'"):
        await sender.setParameters(sender.getParameters(), encodingOption=[{"keyFrame": True}])


async def test_createAnswer_has_no_options(pc):
    with pytest.raises(TypeError, match="RTCAnswerOptions has no member 'iceRestart'; it has none"):
        await pc.createAnswer(iceRestart=True)


@pytest.mark.parametrize(
    ("method", "arguments", "wrong", "right"),
    [
        ("createDataChannel", ("x",), "orderd", "ordered"),
        ("addTransceiver", ("audio",), "directions", "direction"),
        ("setConfiguration", (), "iceserver", "iceServers"),
    ],
)
async def test_a_supervised_peer_refuses_them_at_once(peer, method, arguments, wrong, right):
    with pytest.raises(TypeError, match=f"'{wrong}'; did you mean '{right}'"):
        getattr(peer, method)(*arguments, **{wrong: 1})

    assert peer.channels == ()


async def test_members_of_a_mapping_may_be_unknown(pc):
    pc.setConfiguration({"iceServers": [], "peerIdentity": "x"})
    pc.createDataChannel("x", {"orderd": False})
    pc.addTransceiver("audio", {"directon": "x"})
    offer = await pc.createOffer({"voiceActivityDetection": True})
    await pc.setLocalDescription({"type": "offer", "sdp": offer.sdp, "and": "more"})
    pc.addEventListener("track", print, {"onse": True})
    RTCPeerConnectionIceErrorEvent("icecandidateerror", {"errorCode": 701, "errorcode": 1})

    assert RTCIceCandidate({"candidate": HOST, "sdpMid": "0", "foundation": "1"}).sdpMid == "0"


async def test_events_that_nobody_fires(pc, peer):
    channel = pc.createDataChannel("x")
    for target, wrong, right in (
        (pc, "icecandidat", "icecandidate"),
        (pc, "iceCandidate", "icecandidate"),
        (pc, "message", "signalingstatechange"),
        (channel, "mesage", "message"),
        (peer, "stateChange", "statechange"),
        (peer.createDataChannel("y"), "messagelost", "messageslost"),
        (MediaStream(), "addTrack", "addtrack"),
        (synthetic_track("audio"), "unmuted", "unmute"),
    ):
        for listen in (lambda t, w: t.on(w), lambda t, w: t.on(w, print), lambda t, w: t.events(w)):
            with pytest.raises(TypeError, match=f"fires no event '{wrong}'.*{right}"):
                listen(target, wrong)
        target.addEventListener(wrong, print)
        target.on(right, print)
        assert target.events(right) is not None


async def test_what_a_supervised_peer_passes_on_is_known(peer):
    for type in ("icecandidateerror", "sendererror", "networkchange", "signalingstatechange"):
        peer.on(type, print)


async def test_handlers_that_nobody_calls(pc):
    for target, wrong, right in (
        (pc, "onIceCandidate", "onicecandidate"),
        (pc, "on_track", "ontrack"),
        (pc.createDataChannel("x"), "onmesage", "onmessage"),
        (MediaStream(), "onAddTrack", "onaddtrack"),
        (synthetic_track("audio"), "onend", "onended"),
    ):
        with pytest.raises(TypeError, match=f"has no attribute '{wrong}'; did you mean '{right}'"):
            setattr(target, wrong, print)
        assert not hasattr(target, wrong)
        setattr(target, right, print)
        assert getattr(target, right) is print


async def test_a_track_tells_mute_by_every_way_to_listen():
    told = []
    track = synthetic_track("audio")
    track.on("mute", lambda event: told.append(event.type))
    track.on("ended", lambda: told.append("ended"))

    track.set_muted(True)
    track.stop()

    assert told == ["mute", "ended"]


class Camera(MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.on_frame = print

    async def recv(self):
        raise NotImplementedError


class Call(RTCPeerConnection):
    event_types = ("hangup",)
    onhold = handler("hold")

    def __init__(self):
        super().__init__()
        self.onward = True


async def test_classes_of_programs_have_attributes_and_events_of_their_own():
    camera, told = Camera(), []
    camera.on("picture", told.append)
    camera.emit("picture", 1)
    async with Call() as call:
        call.on("hangup", lambda event: told.append(event.type))
        call.onhold = lambda event: told.append(event.type)
        call.dispatchEvent(Event("hangup"))
        call.dispatchEvent(Event("hold"))
        with pytest.raises(TypeError, match="did you mean 'hangup'"):
            call.on("hangUp", print)
        with pytest.raises(TypeError, match="did you mean 'track'"):
            call.on("tracks", print)

    assert told == [1, "hangup", "hold"]


def test_a_bare_target_fires_what_it_likes():
    class Bus(EventTarget):
        pass

    bus, told = Bus(), []
    bus.on("anything", lambda event: told.append(event.type))
    bus.onanything = told.append
    bus.dispatchEvent(Event("anything"))

    assert told == ["anything"]


async def test_aiortcs_conventions_are_kept():
    from rtcpeer.aiortc import RTCPeerConnection as Aiortcs

    pc = Aiortcs()
    pc.on("whatever", print)
    pc.onIceCandidate = print
    await pc.close()


@pytest.mark.parametrize(
    ("typed", "dictionary"),
    [
        ("ConfigurationKeywords", rtcpeer.RTCConfiguration),
        ("OfferKeywords", rtcpeer.RTCOfferOptions),
        ("AnswerKeywords", rtcpeer.RTCAnswerOptions),
        ("DescriptionKeywords", rtcpeer.RTCLocalSessionDescriptionInit),
        ("CandidateKeywords", rtcpeer.RTCIceCandidateInit),
        ("TransceiverKeywords", rtcpeer.RTCRtpTransceiverInit),
        ("DataChannelKeywords", rtcpeer.RTCDataChannelInit),
    ],
)
def test_type_checkers_know_the_same_keywords(typed, dictionary):
    # the text of a candidate is the argument before its keywords
    assert set(getattr(keywords, typed).__annotations__) == set(webidl.names(dictionary)) - {"candidate"}


@pytest.mark.parametrize(
    ("overloads", "target"),
    [
        (connection_listening.PeerConnectionEvents, RTCPeerConnection),
        (listening.DataChannelEvents, rtcpeer.RTCDataChannel),
        (listening.DtlsTransportEvents, rtcpeer.RTCDtlsTransport),
        (listening.IceTransportEvents, rtcpeer.RTCIceTransport),
        (listening.SctpTransportEvents, rtcpeer.RTCSctpTransport),
        (listening.DtmfSenderEvents, rtcpeer.RTCDTMFSender),
        (supervised.SupervisedPeerEvents, SupervisedPeer),
        (supervised.SupervisedChannelEvents, SupervisedChannel),
    ],
)
def test_type_checkers_know_the_same_events(overloads, target):
    text = inspect.getsource(overloads)
    named = {
        name
        for types in re.findall(r"def on\(\s*self,\s*type: Literal\[(.*?)\]", text, re.DOTALL)
        for name in re.findall(r'"(\w+)"', types)
    }

    assert named == target._known_types_
