"""A report in aiortc's shape: its dataclasses, by id, of RTP streams and transports only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiortc import stats as aiortc

from rtcpeer.peer.stats import RTCStatsReport

_Entry = Mapping[str, Any]


def report(given: RTCStatsReport) -> aiortc.RTCStatsReport:
    """The part of a W3C report that aiortc has, with aiortc's units (jitter in RTP clock units)."""
    result = aiortc.RTCStatsReport()
    for entry in given.values():
        make = _MAKERS.get(entry["type"])
        if make is not None:
            result.add(make(entry, given))
    return result


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _base(entry: _Entry) -> dict[str, Any]:
    return {"timestamp": _time(entry["timestamp"]), "type": entry["type"], "id": entry["id"]}


def _stream(entry: _Entry) -> dict[str, Any]:
    return _base(entry) | {
        "ssrc": entry.get("ssrc", 0),
        "kind": entry.get("kind", ""),
        "transportId": entry.get("transportId", ""),
    }


def _received(entry: _Entry, given: RTCStatsReport) -> dict[str, Any]:
    codec: _Entry = given.get(entry.get("codecId", ""), {})
    return _stream(entry) | {
        "packetsReceived": entry.get("packetsReceived", 0),
        "packetsLost": entry.get("packetsLost", 0),
        "jitter": int(entry.get("jitter", 0.0) * codec.get("clockRate", 0)),
    }


def _sent(entry: _Entry) -> dict[str, Any]:
    return _stream(entry) | {
        "packetsSent": entry.get("packetsSent", 0),
        "bytesSent": entry.get("bytesSent", 0),
    }


def _inbound(entry: _Entry, given: RTCStatsReport) -> aiortc.RTCStats:
    return aiortc.RTCInboundRtpStreamStats(**_received(entry, given))


def _outbound(entry: _Entry, given: RTCStatsReport) -> aiortc.RTCStats:
    source: _Entry = given.get(entry.get("mediaSourceId", ""), {})
    return aiortc.RTCOutboundRtpStreamStats(**_sent(entry), trackId=source.get("trackIdentifier", ""))


def _remote_inbound(entry: _Entry, given: RTCStatsReport) -> aiortc.RTCStats:
    return aiortc.RTCRemoteInboundRtpStreamStats(
        **_received(entry, given),
        roundTripTime=entry.get("roundTripTime", 0.0),
        fractionLost=entry.get("fractionLost", 0.0),
    )


def _remote_outbound(entry: _Entry, _given: RTCStatsReport) -> aiortc.RTCStats:
    remote = entry.get("remoteTimestamp")
    return aiortc.RTCRemoteOutboundRtpStreamStats(
        **_sent(entry), remoteTimestamp=None if remote is None else _time(remote)
    )


def _transport(entry: _Entry, _given: RTCStatsReport) -> aiortc.RTCStats:
    return aiortc.RTCTransportStats(
        **_base(entry),
        packetsSent=entry.get("packetsSent", 0),
        packetsReceived=entry.get("packetsReceived", 0),
        bytesSent=entry.get("bytesSent", 0),
        bytesReceived=entry.get("bytesReceived", 0),
        iceRole=entry.get("iceRole", ""),
        dtlsState=entry.get("dtlsState", ""),
    )


_MAKERS: dict[str, Callable[[_Entry, RTCStatsReport], aiortc.RTCStats]] = {
    "inbound-rtp": _inbound,
    "outbound-rtp": _outbound,
    "remote-inbound-rtp": _remote_inbound,
    "remote-outbound-rtp": _remote_outbound,
    "transport": _transport,
}
