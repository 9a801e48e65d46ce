import pytest

from rtcpeer import errors
from rtcpeer.media.event_target import EventTarget, fire
from rtcpeer.peer import events
from rtcpeer.peer.data_channel import RTCDataChannelEvent
from rtcpeer.peer.descriptions import RTCIceCandidate
from rtcpeer.peer.errors import RTCError


def test_ice_event_defaults():
    for event in (
        events.RTCPeerConnectionIceEvent("type"),
        events.RTCPeerConnectionIceEvent("type", {}),
        events.RTCPeerConnectionIceEvent("type", {"candidate": None, "url": None}),
    ):
        assert (event.type, event.candidate, event.url) == ("type", None, None)
        assert (event.bubbles, event.cancelable, event.composed) == (False, False, False)


def test_ice_event_members():
    candidate = RTCIceCandidate({"sdpMid": "0"})
    event = events.RTCPeerConnectionIceEvent(
        "x", {"candidate": candidate, "url": "stun:a", "bubbles": True, "cancelable": True}
    )
    assert event.candidate is candidate
    assert event.url == "stun:a"
    assert event.bubbles
    assert event.cancelable
    assert events.RTCPeerConnectionIceEvent("y").bubbles is False


def test_ice_event_refuses_a_plain_candidate():
    with pytest.raises(TypeError, match="candidate must be an RTCIceCandidate"):
        events.RTCPeerConnectionIceEvent("x", {"candidate": {"candidate": "", "sdpMid": "0"}})
    with pytest.raises(TypeError):
        events.RTCPeerConnectionIceEvent()
    with pytest.raises(TypeError):
        events.RTCPeerConnectionIceEvent(5)


def test_ice_error_event():
    init = {
        "address": "192.0.2.1",
        "port": 4711,
        "url": "turn:t.example",
        "errorCode": 703,
        "errorText": "no",
    }
    event = events.RTCPeerConnectionIceErrorEvent("x", init)
    assert {name: getattr(event, name) for name in init} == init
    bare = events.RTCPeerConnectionIceErrorEvent("x", {"errorCode": 701})
    assert (bare.address, bare.port, bare.url, bare.errorText) == (None, None, "", "")
    with pytest.raises(TypeError, match="errorCode"):
        events.RTCPeerConnectionIceErrorEvent("x", {})
    with pytest.raises(TypeError, match="port"):
        events.RTCPeerConnectionIceErrorEvent("x", {"errorCode": 701, "port": 70000})


def test_track_event():
    receiver, track, transceiver, stream = object(), object(), object(), object()
    init = {"receiver": receiver, "track": track, "transceiver": transceiver}
    event = events.RTCTrackEvent("track", init)
    assert (event.receiver, event.track, event.transceiver) == (receiver, track, transceiver)
    assert event.streams == ()
    assert event.streams is event.streams
    assert events.RTCTrackEvent("track", init | {"streams": [stream]}).streams == (stream,)
    for missing in init:
        with pytest.raises(TypeError, match=missing):
            events.RTCTrackEvent("track", {k: v for k, v in init.items() if k != missing})
    with pytest.raises(TypeError, match="streams"):
        events.RTCTrackEvent("track", init | {"streams": "ab"})


def test_data_channel_event():
    channel = EventTarget()
    assert RTCDataChannelEvent("x", {"channel": channel}).channel is channel
    for init in (None, {}, {"channel": None}, {"channel": "c"}):
        with pytest.raises(TypeError, match="channel"):
            RTCDataChannelEvent("x", init)


def test_tone_event():
    assert events.RTCDTMFToneChangeEvent("tonechange").tone == ""
    assert events.RTCDTMFToneChangeEvent("tonechange", {"tone": "1"}).tone == "1"


def test_error_event():
    error = RTCError({"errorDetail": "sctp-failure"}, "m")
    assert events.RTCErrorEvent("error", {"error": error}).error is error
    from_below = errors.RTCError("dtls-failure", "m")
    event = events.RTCErrorEvent("error", {"error": from_below})
    assert type(event.error) is RTCError
    for init in (None, {}, {"error": ValueError("x")}):
        with pytest.raises(TypeError):
            events.RTCErrorEvent("error", init)


def test_media_stream_track_event():
    track = object()
    assert events.MediaStreamTrackEvent("addtrack", {"track": track}).track is track
    with pytest.raises(TypeError):
        events.MediaStreamTrackEvent("addtrack", {})


def test_message_event():
    event = events.MessageEvent("message", {"data": b"x", "origin": "o"})
    assert (event.data, event.origin, event.source, event.ports) == (b"x", "o", None, ())
    carried = events.message_event("hi")
    assert (carried.type, carried.data, carried.origin) == ("message", "hi", "")
    seen = []
    target = EventTarget()
    target.addEventListener("message", seen.append)
    fire(target, carried)
    assert seen == [carried]
    assert carried.target is target
