import json
from types import SimpleNamespace
from typing import Any

import aiortc
import pytest
from aiortc.sdp import candidate_from_sdp

from rtcpeer.peer.descriptions import (
    CandidateInit,
    DescriptionInit,
    RTCIceCandidate,
    RTCSessionDescription,
    RTCSessionDescriptionInit,
    ShownDescriptions,
    candidate_of,
    parsed_candidate,
    read_candidate,
    read_description,
)
from rtcpeer.values import Candidate, CandidateType, SdpType

HOST = (
    "candidate:1905690388 1 udp 2113937151 192.168.0.1 58041 typ host generation 0 ufrag thC8 network-cost 50"
)
TCP = (
    "candidate:435653019 2 tcp 1845501695 192.168.0.196 4444 typ srflx raddr www.example.com rport 22222 "
    "tcptype active"
)
DERIVED = (
    "foundation",
    "component",
    "priority",
    "address",
    "protocol",
    "port",
    "type",
    "tcpType",
    "relatedAddress",
    "relatedPort",
)


# -- descriptions


@pytest.mark.parametrize(
    "make",
    [
        lambda: RTCSessionDescription({"type": "offer", "sdp": "v=0"}),
        lambda: RTCSessionDescription(type="offer", sdp="v=0"),
        lambda: RTCSessionDescription("v=0", "offer"),
        lambda: RTCSessionDescription(aiortc.RTCSessionDescription(sdp="v=0", type="offer")),
        lambda: RTCSessionDescription(RTCSessionDescription({"type": "offer", "sdp": "v=0"})),
        lambda: RTCSessionDescription({"type": "answer", "sdp": "v=0"}, type="offer"),
    ],
)
def test_description_forms(make):
    description = make()
    assert description.type == "offer"
    assert description.type is SdpType.OFFER
    assert description.sdp == "v=0"
    assert description.toJSON() == {"type": "offer", "sdp": "v=0"}
    assert json.loads(json.dumps(description.toJSON())) == {"type": "offer", "sdp": "v=0"}


def test_description_is_a_value():
    one = RTCSessionDescription(type="offer", sdp="v=0")
    same = RTCSessionDescription(type="offer", sdp="v=0")
    assert one == same
    assert len({one, same}) == 1
    assert one != RTCSessionDescription(type="answer", sdp="v=0")
    assert one != "v=0"
    assert repr(one) == "<RTCSessionDescription offer, 3 characters>"
    with pytest.raises(AttributeError):
        one.sdp = "x"
    assert RTCSessionDescription({"type": "rollback"}).sdp == ""


@pytest.mark.parametrize(
    "init", [None, {}, {"sdp": "v=0"}, {"type": "other"}, {"type": "offer", "sdp": 5}, 5]
)
def test_description_refuses(init):
    with pytest.raises(TypeError):
        RTCSessionDescription(init)


def test_created_description_can_be_changed():
    offer = RTCSessionDescriptionInit(type="offer", sdp="a")
    offer.sdp = offer.sdp.replace("a", "b")
    offer.type = "pranswer"
    assert offer.toJSON() == {"type": "pranswer", "sdp": "b"}
    assert offer == RTCSessionDescription(type="pranswer", sdp="b")
    assert isinstance(offer, RTCSessionDescription)
    with pytest.raises(TypeError):
        offer.type = "x"
    with pytest.raises(TypeError):
        hash(offer)


def test_read_description():
    wanted = DescriptionInit(SdpType.ANSWER, "v=0")
    assert read_description({"type": "answer", "sdp": "v=0"}) == wanted
    assert read_description(RTCSessionDescription(type="answer", sdp="v=0")) == wanted
    assert read_description(aiortc.RTCSessionDescription(sdp="v=0", type="answer")) == wanted
    assert read_description(type="answer", sdp="v=0") == wanted
    assert read_description({"type": "rollback"}) == DescriptionInit(SdpType.ROLLBACK, "")
    assert read_description(None, local=True) == DescriptionInit(None, "")
    assert read_description({"sdp": "v=0"}, local=True) == DescriptionInit(None, "v=0")
    for bad in (None, {}, {"sdp": "v=0"}, {"type": "x"}, {"type": "offer", "sdp": 1}, "v=0"):
        with pytest.raises(TypeError):
            read_description(bad)


# -- candidates


def test_candidate_attributes():
    candidate = RTCIceCandidate(
        {
            "candidate": HOST,
            "sdpMid": "video",
            "sdpMLineIndex": 1,
            "usernameFragment": "test",
            "relayProtocol": "udp",
            "url": "stun:stun.example.org",
        }
    )
    assert {name: getattr(candidate, name) for name in DERIVED} == {
        "foundation": "1905690388",
        "component": "rtp",
        "priority": 2113937151,
        "address": "192.168.0.1",
        "protocol": "udp",
        "port": 58041,
        "type": "host",
        "tcpType": None,
        "relatedAddress": None,
        "relatedPort": None,
    }
    assert candidate.ip == "192.168.0.1"
    assert (candidate.relayProtocol, candidate.url) == ("udp", "stun:stun.example.org")
    assert candidate.toJSON() == {
        "candidate": HOST,
        "sdpMid": "video",
        "sdpMLineIndex": 1,
        "usernameFragment": "test",
    }


def test_tcp_candidate_attributes():
    candidate = RTCIceCandidate(candidate=TCP, sdpMid="a")
    assert [getattr(candidate, name) for name in DERIVED] == [
        "435653019",
        "rtcp",
        1845501695,
        "192.168.0.196",
        "tcp",
        4444,
        "srflx",
        "active",
        "www.example.com",
        22222,
    ]


def test_candidate_defaults():
    candidate = RTCIceCandidate({"sdpMLineIndex": 65535})
    assert candidate.toJSON() == {
        "candidate": "",
        "sdpMid": None,
        "sdpMLineIndex": 65535,
        "usernameFragment": None,
    }
    assert RTCIceCandidate({"candidate": HOST, "sdpMid": "a"}).usernameFragment is None


@pytest.mark.parametrize(
    "text", ["<arbitrary string[0] content>;", "candidate:1 3 udp 1 1.2.3.4 5 typ host", "candidate:"]
)
def test_unreadable_candidate_is_kept(text):
    candidate = RTCIceCandidate({"candidate": text, "sdpMid": "a"})
    assert candidate.candidate == text
    assert {getattr(candidate, name) for name in DERIVED} == {None}
    assert parsed_candidate(candidate) is None


@pytest.mark.parametrize(
    "init",
    [
        None,
        {},
        {"candidate": HOST},
        {"sdpMid": None, "sdpMLineIndex": None},
        {"sdpMid": 5},
        {"sdpMid": "0", "sdpMLineIndex": "0"},
        {"sdpMid": "0", "sdpMLineIndex": 65536},
        {"sdpMid": "0", "candidate": 1},
        {"sdpMid": "0", "relayProtocol": "quic"},
        HOST,
    ],
)
def test_candidate_refuses(init):
    with pytest.raises(TypeError):
        RTCIceCandidate(init)


def test_candidate_copy_and_json():
    candidate = RTCIceCandidate({"sdpMid": "v", "relayProtocol": "tls", "url": "turn:t.example"})
    copy = RTCIceCandidate(candidate)
    assert (copy.relayProtocol, copy.url) == ("tls", "turn:t.example")
    signaled = RTCIceCandidate(json.loads(json.dumps(candidate.toJSON())))
    assert (signaled.relayProtocol, signaled.url) == (None, None)
    assert signaled == candidate
    assert hash(signaled) == hash(candidate)
    assert signaled != "x"
    with pytest.raises(AttributeError):
        candidate.sdpMid = "x"


def test_candidate_of_the_floors_below():
    below = Candidate(
        "1", 1, "udp", 5, "192.0.2.1", 9, CandidateType.RELAY, url="turn:t", relay_protocol="tls"
    )
    face = candidate_of(below, mid="0", mline_index=0, ufrag="u")
    assert face.candidate == "candidate:1 1 udp 5 192.0.2.1 9 typ relay"
    assert parsed_candidate(face) is below
    assert (face.url, face.relayProtocol, face.usernameFragment) == ("turn:t", "tls", "u")
    assert repr(face) == "<RTCIceCandidate 1 1 udp 5 192.0.2.1 9 typ relay, mid 0>"
    end = candidate_of(None, mid="0", mline_index=0, ufrag="u")
    assert end.candidate == ""
    assert "end of candidates" in repr(end)
    assert candidate_of(below, text="candidate:x").candidate == "candidate:x"


def test_read_candidate_from_a_browser():
    text = json.dumps({"candidate": HOST, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "thC8"})
    init = read_candidate(json.loads(text))
    assert (init.candidate, init.mid, init.mline_index, init.ufrag) == (HOST, "0", 0, "thC8")
    parsed = parsed_candidate(RTCIceCandidate(json.loads(text)))
    assert parsed is not None
    assert parsed.port == 58041
    assert read_candidate(RTCIceCandidate(json.loads(text))) == init
    assert read_candidate(candidate=HOST, sdpMid="0", sdpMLineIndex=0, usernameFragment="thC8") == init


@pytest.mark.parametrize("value", [None, "", {}, {"candidate": ""}, {"candidate": "", "sdpMid": None}])
def test_read_end_of_all_candidates(value):
    assert read_candidate(value) == CandidateInit("", None, None, None)


def test_read_end_of_one_section():
    assert read_candidate({"candidate": "", "sdpMid": "1"}) == CandidateInit("", "1", None, None)


def test_read_candidate_of_aiortc():
    theirs = candidate_from_sdp(TCP.removeprefix("candidate:"))
    theirs.sdpMid = "0"
    init = read_candidate(theirs)
    assert init.candidate == TCP
    assert (init.mid, init.mline_index) == ("0", None)
    # as programs do it that pass on what a browser sent
    prefixed = candidate_from_sdp(TCP)
    prefixed.sdpMid = "0"
    assert read_candidate(prefixed) == init
    theirs.type = "odd"
    with pytest.raises(TypeError):
        read_candidate(theirs)
    with pytest.raises(TypeError):
        read_candidate(SimpleNamespace(foundation="1", ip="1.2.3.4"))


@pytest.mark.parametrize("value", [{"candidate": HOST}, 5, {"candidate": 5}, HOST])
def test_read_candidate_refuses(value):
    with pytest.raises(TypeError):
        read_candidate(value)


def description(text: str) -> Any:
    return SimpleNamespace(type=SdpType.OFFER, text=text)


def test_an_attribute_gives_the_same_object_as_long_as_nothing_has_changed():
    shown = ShownDescriptions()
    assert shown.show(None) is None
    inforce = [description(str(number)) for number in range(4)]
    objects = [shown.show(one) for one in inforce]
    assert [shown.show(one) for one in inforce] == objects
    assert all(shown.show(one) is known for one, known in zip(inforce, objects, strict=True))
    assert objects[0].sdp == "0"
    assert objects[0].type == "offer"
    changed = shown.show(description("0"))
    assert changed is not objects[0]
