"""Between rtcpeer's values and aiortc's."""

import aiortc
import pytest
from aiortc.sdp import candidate_from_sdp, candidate_to_sdp

from rtcpeer.aiortc import values
from rtcpeer.aiortc.gathering import GatheringPatience
from rtcpeer.config.configuration import read_configuration
from rtcpeer.peer.descriptions import RTCIceCandidate

LINES = [
    "1 1 udp 2130706431 192.0.2.1 5000 typ host",
    "2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
    "3 1 udp 1694498815 198.51.100.1 6000 typ srflx raddr 192.0.2.1 rport 5000",
]


@pytest.mark.parametrize("line", LINES)
def test_a_candidate_there_and_back(line):
    face = RTCIceCandidate({"candidate": f"candidate:{line}", "sdpMid": "0", "sdpMLineIndex": 0})
    converted = values.candidate(face)
    expected = candidate_from_sdp(line)
    expected.sdpMid, expected.sdpMLineIndex = "0", 0
    assert converted == expected
    assert candidate_to_sdp(converted) == line


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_every_capability_names_a_codec(kind):
    found = values.capabilities(kind, sending=True)
    assert isinstance(found, aiortc.RTCRtpCapabilities)
    for capability in found.codecs:
        assert values.codec(kind, capability).mimeType == capability.mimeType
    assert found.headerExtensions


@pytest.mark.parametrize("sending", [True, False])
def test_h264_is_what_aiortc_has_of_it(sending):
    ours, theirs = (
        [dict(c.parameters) for c in found.codecs if c.mimeType == "video/H264"]
        for found in (
            values.capabilities("video", sending=sending),
            aiortc.RTCRtpSender.getCapabilities("video"),
        )
    )
    assert [c["packetization-mode"] for c in ours] == [c["packetization-mode"] for c in theirs]
    assert [c["profile-level-id"] for c in ours] == [c["profile-level-id"] for c in theirs]


@pytest.mark.parametrize(
    ("configuration", "seconds"),
    [
        ({}, 1.0),
        ({"iceServers": [{"urls": "stun:a"}]}, 1.0),
        ({"iceServers": [{"urls": ["stun:a", "turn:a"], "username": "u", "credential": "c"}]}, 2.0),
        ({"iceTransportPolicy": "relay"}, 5.0),
    ],
)
def test_patience(configuration, seconds):
    assert GatheringPatience().in_all(read_configuration(configuration)) == seconds
