"""The page of ``rtcpeer report``: states, pairs, servers, curves and the log of each connection in a dump.

One file: styles and pictures are in it, there is no script, and its content policy forbids every request.
Everything from the dump is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

from rtcpeer.cli.picture.chart import chart, text_of
from rtcpeer.cli.picture.dump import CallRecord, Curve, Stat, number_curve, rate_curve

_LINES_MAX = 5000
_STATES = (
    "connectionstatechange",
    "iceconnectionstatechange",
    "signalingstatechange",
    "icegatheringstatechange",
    "supervisorstate",
)
_STYLE = Path(__file__).with_name("style.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, records: Iterable[CallRecord]) -> str:
    """The whole page."""
    style = _STYLE.read_text(encoding="utf-8")
    body = (
        "".join(_connection(record) for record in records)
        or "<p class=none>There is no connection in it.</p>"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _connection(record: CallRecord) -> str:
    zero = record.began
    ends = [line.at for line in record.lines[-1:]]
    ends += [v[-1][0] for stat in record.stats.values() for v in stat.members.values() if v]
    length = max(ends, default=zero) - zero
    return (
        f"<section><h2>{escape(record.name)} <small>{length:.1f} s</small></h2>"
        f"<h3>States</h3>{_states(record, zero)}<h3>Candidate pairs</h3>{_pairs(record)}"
        f"<h3>Servers</h3>{_servers(record)}"
        f'<h3>Curves</h3><div class="charts">{"".join(_charts(record, zero, length))}</div>'
        f"<h3>Signaling and calls</h3>{_log(record, zero)}</section>"
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; cells are HTML."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return "<p class=none>none</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _states(record: CallRecord, zero: float) -> str:
    return _table(
        ("at", "what", "state"),
        (
            (f"{line.at - zero:.3f} s", escape(line.type.removesuffix("change")), escape(line.value))
            for line in record.lines
            if line.type in _STATES
        ),
    )


def _pairs(record: CallRecord) -> str:
    selected = {stat.last("selectedCandidatePairId") for _id, stat in record.of_type("transport")}
    rows = []
    for id, stat in sorted(record.of_type("candidate-pair"), key=lambda item: item[0] not in selected):
        trip = stat.last("currentRoundTripTime")
        rows.append(
            (
                "selected" if id in selected else "",
                _candidate(record, stat.last("localCandidateId")),
                _candidate(record, stat.last("remoteCandidateId")),
                escape(str(stat.last("state") or "")),
                "" if not isinstance(trip, (int, float)) else f"{trip * 1000:.1f} ms",
                _number(stat, "bytesSent"),
                _number(stat, "bytesReceived"),
            )
        )
    return _table(("", "here", "there", "state", "round trip", "bytes sent", "received"), rows)


def _number(stat: Stat, member: str) -> str:
    value = stat.last(member)
    return text_of(value) if isinstance(value, (int, float)) else ""


def _candidate(record: CallRecord, id: object) -> str:
    stat = record.stats.get(str(id))
    if stat is None:
        return "?"
    host = stat.last("address") or stat.last("ip") or "hidden"
    via = stat.last("relayProtocol")
    text = f"{stat.last('candidateType')} {stat.last('protocol')} {host}:{stat.last('port')}"
    return escape(f"{text} by {via}" if via else text)


def _servers(record: CallRecord) -> str:
    try:
        servers = json.loads(record.configuration).get("iceServers", [])
        urls = [u for s in servers for u in ([s["urls"]] if isinstance(s["urls"], str) else s["urls"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"<pre>{escape(record.configuration)}</pre>"
    problems = [line.value for line in record.lines if line.type == "icecandidateerror"]
    rows = [
        (escape(str(url)), "<br>".join(escape(p) for p in problems if str(url) in p) or "no error")
        for url in urls
    ]
    return _table(("server", "errors"), rows)


def _charts(record: CallRecord, zero: float, length: float) -> Iterable[str]:
    def rates(factor: float, *wanted: tuple[str, str, str]) -> dict[str, Curve]:
        return {
            f"{label} {_label(id, stat)}": rate_curve(stat, member, zero, factor)
            for type, member, label in wanted
            for id, stat in record.of_type(type)
            if member in stat.members
        }

    def numbers(factor: float, *wanted: tuple[str, str, str]) -> dict[str, Curve]:
        return {
            f"{label} {_label(id, stat)}": [(at, v * factor) for at, v in number_curve(stat, member, zero)]
            for type, member, label in wanted
            for id, stat in record.of_type(type)
            if member in stat.members
        }

    media = (("outbound-rtp", "bytesSent", "sent"), ("inbound-rtp", "bytesReceived", "received"))
    all_bytes = (("transport", "bytesSent", "sent"), ("transport", "bytesReceived", "received"))
    yield chart("Bitrate of media", "bit/s", rates(8, *media), length)
    yield chart("Bitrate of everything", "bit/s", rates(8, *all_bytes), length)
    trips = numbers(
        1000,
        ("candidate-pair", "currentRoundTripTime", "ICE"),
        ("remote-inbound-rtp", "roundTripTime", "RTCP"),
    )
    yield chart("Round trip", "ms", trips, length)
    lost = rates(1, ("inbound-rtp", "packetsLost", "here"), ("remote-inbound-rtp", "packetsLost", "there"))
    yield chart("Lost packets", "1/s", lost, length)
    jitter = numbers(1000, ("inbound-rtp", "jitter", "here"), ("remote-inbound-rtp", "jitter", "there"))
    yield chart("Jitter", "ms", jitter, length)
    frames = rates(
        1, ("outbound-rtp", "framesEncoded", "encoded"), ("inbound-rtp", "framesDecoded", "decoded")
    )
    yield chart("Frames", "1/s", frames, length)
    yield chart("Freezes so far", "", numbers(1, ("inbound-rtp", "freezeCount", "here")), length)
    data = (("data-channel", "bytesSent", "sent"), ("data-channel", "bytesReceived", "received"))
    yield chart("Data channels", "byte/s", rates(1, *data), length)


def _label(id: str, stat: Stat) -> str:
    for member in ("kind", "label", "ssrc"):
        value = stat.last(member)
        if value:
            rid = stat.last("rid")
            return f"{str(value)[:40]} {rid}" if rid else str(value)[:40]
    return id[-24:]


def _log(record: CallRecord, zero: float) -> str:
    rows = [
        (f"{line.at - zero:.3f} s", escape(line.type), f"<pre>{escape(line.value)}</pre>")
        for line in record.lines[:_LINES_MAX]
    ]
    if len(record.lines) > _LINES_MAX:
        rows.append(("", "", f"{len(record.lines) - _LINES_MAX} more"))
    return f"<details><summary>{len(record.lines)} lines</summary>{_table(('at', 'what', 'value'), rows)}</details>"
