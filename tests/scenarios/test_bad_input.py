"""Bad input into a running call: the right exception, nothing changed, nothing told, and the call goes on."""

import asyncio
import contextlib
import inspect
import re
import time

import pytest

from rtcpeer import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    MediaStream,
    OperationError,
    RTCError,
    RTCPeerConnection,
    RTCRangeError,
    RTCSyntaxError,
)
from rtcpeer.testing import synthetic_track
from tests.scenarios.virtual import PeerPair, Stream, scenario

SECRET = "hunter2-secret"
TURN = {"urls": "turn:turn.example", "username": "u", "credential": SECRET}


class Call:
    """A call with numbered messages, watched for side effects."""

    def __init__(self, pair):
        self.pair = pair
        self.pc = pair.offerer
        self.numbers = Stream(pair)
        self.events = []

    async def begin(self):
        self.pc.addTransceiver("audio")
        await self.pair.connect()
        await self.numbers.start()
        await asyncio.sleep(0.2)
        for type in ("negotiationneeded", "signalingstatechange", "connectionstatechange", "track"):
            self.pc.addEventListener(type, lambda e: self.events.append(e.type))

    def state(self):
        pc = self.pc
        descriptions = [
            pc.currentLocalDescription,
            pc.pendingLocalDescription,
            pc.currentRemoteDescription,
            pc.pendingRemoteDescription,
        ]
        return (
            pc.signalingState,
            pc.connectionState,
            [d and (d.type, d.sdp) for d in descriptions],
            pc.getConfiguration(),
            [(t.mid, t.direction, t.currentDirection, t.sender.track) for t in pc.getTransceivers()],
        )


def in_a_call(test):
    """The test gets a `Call`; afterwards nothing is different and every message has arrived."""

    async def run(scene, **parameters):
        async with PeerPair(network=scene.network) as pair:
            call = Call(pair)
            await call.begin()
            before = call.state()
            await test(call, **parameters)
            await asyncio.sleep(0.05)
            assert call.state() == before
            assert call.events == []
            assert call.pair.answerer.connectionState == "connected"
            assert not await call.numbers.stop()

    run.__name__ = test.__name__
    of_test = list(inspect.signature(test).parameters.values())[1:]
    run.__signature__ = inspect.Signature([next(iter(inspect.signature(run).parameters.values())), *of_test])
    return scenario(run)


@contextlib.contextmanager
def refused(kind, name=None, match=None):
    """An exception of exactly this W3C name, whose message helps and tells no secret."""
    with pytest.raises(kind, match=match) as caught:
        yield caught
    error = caught.value
    if name is not None:
        assert error.name == name
    assert len(str(error)) > 10, "the message should help"
    assert len(str(error)) < 1000, "the message should be readable"
    for text in (str(error), repr(error), *map(str, getattr(error, "__notes__", ()))):
        assert SECRET not in text


# --- descriptions ---------------------------------------------------------------------------------

GOOD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
MEDIA = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\na=rtcp-mux\r\n"
)
BROKEN_SDP = {
    "empty": ("", 1),
    "prose": ("hello", 1),
    "no version": (GOOD[5:] + MEDIA, 1),
    "a line without =": (GOOD + "nonsense\r\n", 5),
    "an m-line that ends early": (GOOD + "m=audio\r\n", 5),
    "a port that is no number": (GOOD + MEDIA.replace("audio 9", "audio nine"), 5),
    "a port that is too large": (GOOD + MEDIA.replace("audio 9", "audio 99999"), 5),
    "binary": ("\x00\x01\x02", 1),
    "an origin that ends early": (GOOD.replace("1 1 IN", "1"), 2),
}


@pytest.mark.parametrize("case", BROKEN_SDP)
@in_a_call
async def test_text_that_is_not_sdp(call, case):
    text, line = BROKEN_SDP[case]
    with refused(RTCError, "OperationError") as caught:
        await call.pc.setRemoteDescription({"type": "offer", "sdp": text})
    assert caught.value.errorDetail == "sdp-syntax-error"
    assert caught.value.sdpLineNumber == line
    assert caught.value.fault == "remote"


UNFIT_SDP = {
    "no fingerprint": MEDIA.replace("a=fingerprint", "a=x-fingerprint"),
    "no credentials": MEDIA.replace("a=ice-ufrag", "a=x-ufrag"),
    "two equal mids": MEDIA + MEDIA,
    "fewer sections than agreed": "",
    "another kind in an agreed section": MEDIA.replace("m=audio", "m=video").replace(
        "opus/48000/2", "VP8/90000"
    ),
}


@pytest.mark.parametrize("case", UNFIT_SDP)
@in_a_call
async def test_sdp_that_does_not_fit(call, case):
    with refused(Exception) as caught:
        await call.pc.setRemoteDescription({"type": "offer", "sdp": GOOD + UNFIT_SDP[case]})
    assert caught.value.name in ("InvalidAccessError", "OperationError")


@in_a_call
async def test_ten_megabytes(call):
    attribute = "a=x-padding:" + "x" * 1000 + "\r\n"
    for text in (
        GOOD + MEDIA + attribute * 10_500,
        GOOD + MEDIA * 30_000,
        "x" * 10_500_000,
        GOOD + "a=" + "x" * 10_500_000,
        "\n" * 10_500_000,
    ):
        began = time.thread_time()
        with refused(RTCError, "OperationError", match="at most"):
            await call.pc.setRemoteDescription({"type": "offer", "sdp": text})
        assert time.thread_time() - began < 1


@in_a_call
async def test_the_largest_description_that_is_read_blocks_nobody_for_long(call):
    for line in ("a=x:" + "y" * 90 + "\r\n", MEDIA, "a=x\r\n", "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n"):
        text = GOOD + line * (1_048_000 // len(line))
        began = time.thread_time()
        with contextlib.suppress(OperationError, RTCError, InvalidAccessError):
            await call.pc.setRemoteDescription({"type": "offer", "sdp": text})
        assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    "description",
    [
        None,
        {},
        {"sdp": GOOD},
        {"type": "bid", "sdp": GOOD},
        {"type": 7, "sdp": GOOD},
        "offer",
        5,
        [],
        b"offer",
    ],
    ids=repr,
)
@in_a_call
async def test_what_is_no_description(call, description):
    with refused(TypeError):
        await call.pc.setRemoteDescription(description)


@in_a_call
async def test_descriptions_out_of_order(call):
    pc = call.pc
    answer = {"type": "answer", "sdp": pc.remoteDescription.sdp}
    with refused(InvalidStateError, "InvalidStateError", match="stable"):
        await pc.setRemoteDescription(answer)
    with refused(InvalidStateError, "InvalidStateError", match="stable"):
        await pc.setRemoteDescription({**answer, "type": "pranswer"})
    with refused(InvalidStateError, "InvalidStateError", match="stable"):
        await pc.setRemoteDescription({"type": "rollback"})
    with refused(InvalidStateError, "InvalidStateError", match="stable"):
        await pc.setLocalDescription({"type": "rollback"})
    with refused(InvalidStateError, "InvalidStateError", match="stable"):
        await pc.createAnswer()


@in_a_call
async def test_local_descriptions_that_we_did_not_make(call):
    pc = call.pc
    offer = await pc.createOffer()
    for text in (offer.sdp + "a=x:1\r\n", offer.sdp.replace("sendrecv", "sendonly"), "v=0\r\n", GOOD + MEDIA):
        with refused(Exception) as caught:
            await pc.setLocalDescription({"type": "offer", "sdp": text})
        assert caught.value.name == "InvalidModificationError"


@in_a_call
async def test_an_answer_to_another_offer(call):
    pc = call.pc
    await pc.setLocalDescription()
    pending = pc.pendingLocalDescription.sdp
    for sdp in (GOOD, GOOD + MEDIA * 3, GOOD + MEDIA.replace("actpass", "active")):
        with refused(Exception) as caught:
            await pc.setRemoteDescription({"type": "answer", "sdp": sdp})
        assert caught.value.name in ("InvalidAccessError", "OperationError")
        assert pc.signalingState == "have-local-offer"
        assert pc.pendingLocalDescription.sdp == pending
    await pc.setLocalDescription({"type": "rollback"})
    call.events = [e for e in call.events if e != "signalingstatechange"]


# --- candidates -----------------------------------------------------------------------------------

BROKEN_CANDIDATES = [
    "candidate:",
    "candidate:1",
    "candidate:1 1 udp x 10.0.0.1 5000 typ host",
    "candidate:1 1 udp 1 10.0.0.1 70000 typ host",
    "candidate:1 1 udp 1 10.0.0.1 5000 typ nonsense",
    "candidate:1 1 udp 1 10.0.0.1 5000",
    "(Not) a candidate",
    "\x00",
    "candidate:" + "9" * 100_000 + " 1 udp 1 10.0.0.1 5000 typ host",
    "candidate:1 1 udp 1 10.0.0.1 5000 typ host\r\na=fingerprint:sha-256 AB",
]


@pytest.mark.parametrize("text", BROKEN_CANDIDATES, ids=[str(n) for n in range(len(BROKEN_CANDIDATES))])
@in_a_call
async def test_candidates_that_cannot_be_parsed(call, text):
    with refused(OperationError, "OperationError"):
        await call.pc.addIceCandidate({"candidate": text, "sdpMid": "0"})


HOST = "candidate:1 1 udp 2130706431 198.51.100.77 5000 typ host"


@in_a_call
async def test_candidates_that_belong_nowhere(call):
    add = call.pc.addIceCandidate
    with refused(OperationError, "OperationError", match="nowhere"):
        await add({"candidate": HOST, "sdpMid": "nowhere"})
    with refused(OperationError, "OperationError", match="77"):
        await add({"candidate": HOST, "sdpMLineIndex": 77})
    with refused(OperationError, "OperationError", match="stranger"):
        await add({"candidate": HOST, "sdpMid": "0", "usernameFragment": "stranger"})
    with refused(TypeError, match="sdpMid"):
        await add({"candidate": HOST})
    for wrong in ("text", 5, [HOST], b"x"):
        with refused(TypeError):
            await add(wrong)
    with refused(TypeError):
        await add({"candidate": HOST, "sdpMid": "0", "sdpMLineIndex": "first"})


@scenario
async def test_candidates_that_are_ignored_without_a_word(scene):
    """They parse, but lead nowhere: addresses that no packet must be sent to (RFC 8445, RFC 8838)."""
    sent = []
    scene.network.tap(lambda event, packet, _: event == "sent" and sent.append(packet.destination[0]))
    async with PeerPair(network=scene.network) as pair:
        await pair.connect()
        for address in ("224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "ff02::1", "example.com"):
            text = f"candidate:1 1 udp 2130706431 {address} 5000 typ host"
            await pair.offerer.addIceCandidate({"candidate": text, "sdpMid": "0"})
        await asyncio.sleep(5)
        assert {str(a) for a in sent} <= {h.address for h in scene.network.hosts.values()}


@scenario
async def test_a_flood_of_candidates_is_bounded(scene):
    async with PeerPair(network=scene.network) as pair:
        await pair.connect()
        began = time.thread_time()
        for number in range(1000):
            text = (
                f"candidate:{number} 1 udp 2130706431 198.18.{number % 250}.{number // 250 + 1} 5000 typ host"
            )
            await pair.offerer.addIceCandidate({"candidate": text, "sdpMid": "0"})
        assert time.thread_time() - began < 6
        assert len(pair.offerer.sctp.transport.iceTransport.getRemoteCandidates()) <= 1001
        report = await pair.offerer.getStats()
        assert len(report.of_type("candidate-pair")) <= 250
        await asyncio.sleep(5)
        assert pair.offerer.connectionState == "connected"


# --- configuration --------------------------------------------------------------------------------

BAD_SERVERS = [
    ([{"urls": "stun:"}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": ""}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": "http://x"}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": "stun:x?transport=udp"}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": "stun:x:0x10"}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": "stun:x:99999"}], RTCSyntaxError, "SyntaxError"),
    ([{**TURN, "urls": "turn:x?transport=carrier-pigeon"}], RTCSyntaxError, "SyntaxError"),
    ([{**TURN, "urls": f"turn:u:{SECRET}@x"}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": []}], RTCSyntaxError, "SyntaxError"),
    ([{"urls": "turn:x"}], InvalidAccessError, "InvalidAccessError"),
    ([{"urls": "turn:x", "username": "u"}], InvalidAccessError, "InvalidAccessError"),
    ([{"urls": "turn:x", "credential": SECRET}], InvalidAccessError, "InvalidAccessError"),
    ([TURN, {"urls": "stun:"}], RTCSyntaxError, "SyntaxError"),
    ("stun:x", TypeError, None),
    ({"urls": "stun:x"}, TypeError, None),
    ([SECRET], TypeError, None),
    ([{}], TypeError, None),
    ([{"urls": 5}], TypeError, None),
    ([{"urls": [5]}], TypeError, None),
    ([None], TypeError, None),
    ([{**TURN, "credential": 5}], TypeError, None),
]


@pytest.mark.parametrize("number", range(len(BAD_SERVERS)))
@in_a_call
async def test_servers_that_are_none(call, number):
    servers, kind, name = BAD_SERVERS[number]
    with refused(kind, name):
        call.pc.setConfiguration({"iceServers": servers})
    with refused(kind, name):
        RTCPeerConnection({"iceServers": servers})


@in_a_call
async def test_configurations_that_cannot_be_set(call):
    pc = call.pc
    certificate = await RTCPeerConnection.generateCertificate("ECDSA")
    for members in (
        {"bundlePolicy": "max-bundle"},
        {"iceCandidatePoolSize": 3},
        {"certificates": [certificate]},
    ):
        with refused(InvalidModificationError, "InvalidModificationError", match=next(iter(members))):
            pc.setConfiguration({**members, "iceServers": [TURN]})
    for members in (
        {"iceTransportPolicy": "none"},
        {"bundlePolicy": "max"},
        {"rtcpMuxPolicy": "perhaps"},
        {"iceCandidatePoolSize": "many"},
        {"iceCandidatePoolSize": 256},
        {"iceCandidatePoolSize": -1},
        {"certificates": ["none"]},
        {"iceServers": None, "certificates": 3},
    ):
        with refused(TypeError):
            pc.setConfiguration({"iceServers": [TURN], **members})
    for wrong in (5, "x", [TURN]):
        with refused(TypeError):
            pc.setConfiguration(wrong)


# --- wrong types everywhere -----------------------------------------------------------------------


@in_a_call
async def test_wrong_types(call):
    pc = call.pc
    track = synthetic_track("audio")
    calls = [
        lambda: pc.addTrack(None),
        lambda: pc.addTrack("audio"),
        lambda: pc.addTrack(track, "stream"),
        lambda: pc.addTrack(track, None),
        lambda: pc.addTransceiver("smell"),
        lambda: pc.addTransceiver(None),
        lambda: pc.addTransceiver(5),
        lambda: pc.addTransceiver("audio", direction="up"),
        lambda: pc.addTransceiver("audio", direction="stopped"),
        lambda: pc.addTransceiver("audio", streams="x"),
        lambda: pc.addTransceiver("audio", streams=[1]),
        lambda: pc.addTransceiver("audio", sendEncodings=[5]),
        lambda: pc.addTransceiver("video", sendEncodings=[{"rid": "ä"}]),
        lambda: pc.addTransceiver("video", sendEncodings=[{"rid": "a"}, {"rid": "a"}]),
        lambda: pc.addTransceiver("audio", "sendonly"),
        lambda: pc.removeTrack(None),
        lambda: pc.removeTrack(track),
        lambda: pc.createDataChannel("x", ordered=False, maxRetransmits=1, maxPacketLifeTime=1),
        lambda: pc.createDataChannel("x", maxRetransmits=-1),
        lambda: pc.createDataChannel("x", maxRetransmits=65536),
        lambda: pc.createDataChannel("x", maxRetransmits="few"),
        lambda: pc.createDataChannel("x", negotiated=True),
        lambda: pc.createDataChannel("x", negotiated=True, id=65535),
        lambda: pc.createDataChannel("x" * 65536),
        lambda: pc.createDataChannel("x", protocol="y" * 65536),
        lambda: pc.createDataChannel("x", priority="urgent"),
        lambda: pc.createDataChannel("x", 5),
        lambda: setattr(pc.getTransceivers()[0], "direction", "sideways"),
        lambda: pc.getTransceivers()[0].setCodecPreferences("opus"),
        lambda: pc.getTransceivers()[0].setCodecPreferences([{"mimeType": "audio/opus"}]),
        lambda: pc.getTransceivers()[0].sender.setStreams("x"),
        lambda: pc.addEventListener("track", 5),
        lambda: pc.dispatchEvent("track"),
        lambda: RTCPeerConnection(5),
        lambda: RTCPeerConnection(iceTransportPolicy="x"),
    ]
    for number, attempt in enumerate(calls):
        with refused(TypeError) as caught:
            attempt()
        assert "NoneType' object" not in str(caught.value), (number, caught.value)
    coroutines = [
        lambda: pc.createOffer("x"),
        lambda: pc.setLocalDescription("x"),
        lambda: pc.setLocalDescription({"type": "bid"}),
        lambda: pc.getStats("x"),
        lambda: pc.getTransceivers()[0].sender.replaceTrack("x"),
        lambda: pc.getTransceivers()[0].sender.replaceTrack(synthetic_track("video")),
        lambda: pc.getTransceivers()[0].sender.setParameters(None),
        lambda: pc.getTransceivers()[0].sender.setParameters({}),
        lambda: RTCPeerConnection.generateCertificate(5),
        lambda: RTCPeerConnection.generateCertificate({}),
    ]
    for attempt in coroutines:
        with refused(TypeError):
            await attempt()
    with refused(Exception) as caught:
        await RTCPeerConnection.generateCertificate("ROT13")
    assert caught.value.name == "NotSupportedError"


@in_a_call
async def test_arguments_that_are_not_allowed(call):
    pc, other = call.pc, call.pair.answerer
    with refused(InvalidAccessError, "InvalidAccessError"):
        pc.removeTrack(other.getSenders()[0])
    with refused(InvalidAccessError, "InvalidAccessError"):
        await pc.getStats(synthetic_track("audio"))
    with refused(InvalidModificationError, "InvalidModificationError"):
        pc.getTransceivers()[0].setCodecPreferences([{"mimeType": "audio/mp3", "clockRate": 44100}])
    with refused(RTCRangeError, "RangeError", match="0.5"):
        pc.addTransceiver("video", sendEncodings=[{"scaleResolutionDownBy": 0.5}])
    sender = pc.getTransceivers()[0].sender
    parameters = sender.getParameters()
    parameters.transactionId = "mine"
    with refused(InvalidModificationError, "InvalidModificationError"):
        await sender.setParameters(parameters)
    parameters = sender.getParameters()
    await asyncio.sleep(0.01)
    with refused(InvalidStateError, "InvalidStateError"):
        await sender.setParameters(parameters)


@scenario
async def test_a_track_cannot_be_added_twice(scene):
    with scene.network.add_host("alice").active():
        pc = RTCPeerConnection()
    async with pc:
        track = synthetic_track("audio")
        pc.addTrack(track)
        with refused(InvalidAccessError, "InvalidAccessError"):
            pc.addTrack(track)
        assert len(pc.getSenders()) == 1


@scenario
async def test_bad_messages_into_a_data_channel(scene):
    async with PeerPair(network=scene.network) as pair:
        channel = pair.offerer.createDataChannel("x")
        with refused(InvalidStateError, "InvalidStateError", match="connecting"):
            channel.send("too early")
        await pair.connect()
        await channel.opened()
        for wrong in (None, 5, ["x"], {"a": 1}):
            with refused(TypeError):
                channel.send(wrong)
        with refused(TypeError, match="large|maximum|262144"):
            channel.send(b"x" * 262145)
        assert channel.readyState == "open"
        channel.send("fine")
        channel.close()
        with refused(InvalidStateError, "InvalidStateError"):
            channel.send("too late")


# --- after close ----------------------------------------------------------------------------------


@scenario
async def test_calls_after_close(scene):
    async with PeerPair(network=scene.network) as pair:
        pc = pair.offerer
        track = synthetic_track("audio")
        sender = pc.addTrack(track)
        channel = pc.createDataChannel("x")
        await pair.connect()
        await channel.opened()
        offer = await pair.answerer.createOffer()
        transceiver = pc.getTransceivers()[0]
        parameters = sender.getParameters()
        events = []
        for type in ("signalingstatechange", "iceconnectionstatechange", "connectionstatechange",
                     "icecandidate", "negotiationneeded", "icegatheringstatechange"):  # fmt: skip
            pc.addEventListener(type, events.append)
        for type in ("close", "error", "closing"):
            channel.addEventListener(type, events.append)
        closing = pc.close()

        calls = [
            lambda: pc.addTrack(synthetic_track("audio")),
            lambda: pc.addTransceiver("audio"),
            lambda: pc.removeTrack(sender),
            lambda: pc.createDataChannel("y"),
            lambda: pc.setConfiguration({}),
            lambda: sender.setStreams(MediaStream()),
            lambda: transceiver.stop(),
            lambda: setattr(transceiver, "direction", "inactive"),
            lambda: channel.send("x"),
        ]
        coroutines = [
            lambda: pc.createOffer(),
            lambda: pc.createAnswer(),
            lambda: pc.setLocalDescription(),
            lambda: pc.setLocalDescription({"type": "rollback"}),
            lambda: pc.setRemoteDescription(offer),
            lambda: pc.addIceCandidate({"candidate": HOST, "sdpMid": "0"}),
            lambda: pc.addIceCandidate(),
            lambda: sender.replaceTrack(None),
            lambda: sender.setParameters(parameters),
            lambda: pc.connected(),
            lambda: channel.send_async("x"),
        ]
        for round in range(2):
            for attempt in calls:
                with refused(InvalidStateError, "InvalidStateError", match="close|stopped"):
                    attempt()
            for attempt in coroutines:
                with refused(InvalidStateError, "InvalidStateError", match="close|stopped|getParameters"):
                    await attempt()
            if round == 0:
                await closing
        # bad arguments are still bad arguments
        with refused(TypeError):
            pc.addTransceiver("smell")
        with refused(TypeError):
            await pc.setRemoteDescription({"type": "bid"})
        # what only looks still works
        assert pc.signalingState == pc.connectionState == pc.iceConnectionState == "closed"
        assert pc.getConfiguration().iceServers == []
        assert pc.localDescription is not None
        assert len(pc.getTransceivers()) == 1
        assert transceiver.currentDirection == "stopped"
        assert transceiver.receiver.track.readyState == "ended"
        assert channel.readyState == "closed"
        assert pc.sctp is None or pc.sctp.state == "closed"
        assert (await pc.getStats()).of_type("peer-connection")
        assert "closed" in repr(pc)
        pc.restartIce()
        transceiver.setCodecPreferences([])
        await pc.close()
        await asyncio.sleep(1)
        assert track.readyState == "live"
        assert events == []


@scenario
async def test_what_waits_while_the_connection_is_closed_is_refused(scene):
    """Operations in the chain end; nobody waits for ever."""
    async with PeerPair(network=scene.network) as pair:
        pc = pair.offerer
        pc.createDataChannel("x")
        waiting = [
            asyncio.ensure_future(coroutine)
            for coroutine in (
                pc.createOffer(),
                pc.setLocalDescription(),
                pc.createOffer(),
                pc.connected(timeout=None),
                pc.gathered(timeout=None),
            )
        ]
        await asyncio.sleep(0)
        pc.close()
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
        assert {type(result).__name__ for result in results} == {"InvalidStateError"}
        for result in results:
            assert re.search("closed", str(result))


# --- secrets --------------------------------------------------------------------------------------


@scenario
async def test_credentials_are_nowhere_to_be_seen(scene, caplog):
    caplog.set_level(0)
    async with scene.server() as server:
        server.settings.users["u"] = SECRET
        servers = [{"urls": server.turn_url, "username": "u", "credential": SECRET}]
        wrong = [{"urls": server.turn_url, "username": "u", "credential": SECRET + "wrong"}]
        errors = []
        async with PeerPair({"iceServers": servers}, network=scene.network) as pair:
            pair.offerer.setConfiguration({"iceServers": servers + wrong})
            pair.offerer.onicecandidateerror = errors.append
            await pair.connect()
            await pair.offerer.gathered()
            await asyncio.sleep(1)
            assert [e.errorCode for e in errors] == [401]
            shown = [
                repr(pair.offerer),
                repr(pair.offerer.getConfiguration()),
                str(pair.offerer.getConfiguration().iceServers),
                str(list((await pair.offerer.getStats()).values())),
                pair.offerer.localDescription.sdp,
                *(f"{e!r} {e.errorText} {e.url}" for e in errors),
                *(record.getMessage() for record in caplog.records),
                *map(str, pair.messages),
            ]
        await server.released()
    for text in shown:
        assert SECRET not in text
