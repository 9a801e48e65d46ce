"""Reports in aiortc's shape."""

from datetime import UTC, datetime

import aiortc

from rtcpeer.aiortc.reports import report
from rtcpeer.peer.stats import RTCStats, RTCStatsReport

BASE = {"timestamp": 1000.0, "ssrc": 7, "kind": "audio", "transportId": "T", "codecId": "C"}


def given(*entries):
    return RTCStatsReport(RTCStats(entry) for entry in entries)


def test_what_aiortc_has_and_nothing_else():
    result = report(
        given(
            {"id": "P", "type": "peer-connection", "timestamp": 1000.0},
            {"id": "C", "type": "codec", "timestamp": 1000.0, "clockRate": 48000},
            {"id": "S", "type": "media-source", "timestamp": 1000.0, "trackIdentifier": "track"},
            BASE | {"id": "I", "type": "inbound-rtp", "packetsReceived": 5, "packetsLost": 1, "jitter": 0.01},
            BASE
            | {"id": "O", "type": "outbound-rtp", "packetsSent": 3, "bytesSent": 9, "mediaSourceId": "S"},
            BASE | {"id": "RI", "type": "remote-inbound-rtp", "roundTripTime": 0.1, "fractionLost": 0.5},
            BASE | {"id": "RO", "type": "remote-outbound-rtp", "remoteTimestamp": 2000.0},
            {"id": "T", "type": "transport", "timestamp": 1000.0, "iceRole": "controlled", "packetsSent": 4},
        )
    )
    assert isinstance(result, aiortc.RTCStatsReport)
    assert set(result) == {"I", "O", "RI", "RO", "T"}
    assert isinstance(result["I"], aiortc.RTCInboundRtpStreamStats)
    assert result["I"].jitter == 480
    assert result["I"].timestamp == datetime.fromtimestamp(1, UTC)
    assert result["O"].trackId == "track"
    assert (result["O"].packetsSent, result["O"].bytesSent) == (3, 9)
    assert (result["RI"].roundTripTime, result["RI"].fractionLost) == (0.1, 0.5)
    assert result["RO"].remoteTimestamp == datetime.fromtimestamp(2, UTC)
    assert (result["T"].iceRole, result["T"].packetsSent, result["T"].dtlsState) == ("controlled", 4, "")


def test_what_is_not_known_yet():
    result = report(
        given(
            {"id": "O", "type": "outbound-rtp", "timestamp": 0.0},
            {"id": "I", "type": "inbound-rtp", "timestamp": 0.0},
            {"id": "RO", "type": "remote-outbound-rtp", "timestamp": 0.0},
        )
    )
    assert result["O"].trackId == ""
    assert result["I"].jitter == 0
    assert result["RO"].remoteTimestamp is None
