"""The page of ``rtcpeer report``: states, pairs, servers, curves and the log of each connection in a dump.

One file: styles, uPlot and the numbers are in it, and its content policy forbids every request and every script but
these two. Everything from the dump is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from rtcpeer.cli.picture import uplot
from rtcpeer.cli.picture.chart import text_of
from rtcpeer.cli.picture.curves import charts_of
from rtcpeer.cli.picture.dump import CallRecord, Line, Stat
from rtcpeer.cli.picture.story import SIGNALING, StateLine, bands, marks, states

_LINES_MAX = 5000
# longer values are folded
_LONG = 200
_FOLDER = Path(__file__).parent


def page(title: str, records: Sequence[CallRecord]) -> str:
    """The whole page."""
    style = uplot.STYLE.read_text(encoding="utf-8") + (_FOLDER / "style.css").read_text(encoding="utf-8")
    scripts = [path.read_text(encoding="utf-8") for path in (uplot.SCRIPT, _FOLDER / "report.js")]
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {' '.join(map(_hash, scripts))}"
    body = "".join(_connection(record) for record in records)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><h1>{escape(title)}</h1>"
        "<noscript><p>The curves need scripts; their numbers are below each.</p></noscript>"
        f"{body or '<p class=none>There is no connection in it.</p>'}"
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _connection(record: CallRecord) -> str:
    zero, length = record.began, record.length
    story = states(record)
    charts = list(charts_of(record))
    data = {
        "length": max(length, 0.001),
        "bands": bands(story, length),
        "marks": marks(record),
        "charts": [chart.data() for chart in charts],
    }
    # inside a script element only "<" could end it
    block = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"<section data-call><h2>{escape(record.name)}</h2>{_facts(record, story)}"
        f"<h3>States</h3>{_states(story)}<h3>Candidate pairs</h3>{_pairs(record)}"
        f"<h3>Servers</h3>{_servers(record)}"
        "<h3>Curves</h3><p class=none>Drag over a stretch of time to look closer, double click to see all again.</p>"
        f'<div class="charts">{"".join(chart.html(number) for number, chart in enumerate(charts))}</div>'
        f"<h3>Signaling</h3>{_log(record, zero, [line for line in record.lines if line.type in SIGNALING])}"
        f"<h3>Everything that happened</h3>{_log(record, zero, record.lines)}"
        f'<script type="application/json">{block}</script></section>'
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; cells are HTML, and a cell that begins with a tag of its own is taken as it is."""
    body = "".join(
        f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>"
        for row in rows
    )
    if not body:
        return "<p class=none>none</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _facts(record: CallRecord, story: Sequence[StateLine]) -> str:
    """The facts that one wants to know first."""
    pairs = [stat for id, stat in record.of_type("candidate-pair") if id in record.selected_pairs]
    trips = [
        value
        for pair in pairs
        for _, value in pair.members.get("currentRoundTripTime", ())
        if isinstance(value, (int, float))
    ]
    transports = [stat for _, stat in record.of_type("transport")]
    last = {line.what: line.state for line in story}
    facts = {
        "Duration": f"{record.length:.1f} s",
        "Connection": last.get("connectionstate") or last.get("iceconnectionstate") or "not told",
        "Path": ", ".join(_ends(record, pair) for pair in pairs) or "none",
        "Round trip, median": f"{statistics.median(trips) * 1000:.1f} ms" if trips else "not measured",
        "Sent": f"{text_of(_sum(transports, 'bytesSent'))}B",
        "Received": f"{text_of(_sum(transports, 'bytesReceived'))}B",
        "Lost here": text_of(_sum([s for _, s in record.of_type("inbound-rtp")], "packetsLost")) + " packets",
    }
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in facts.items())
        + "</dl>"
    )


def _ends(record: CallRecord, pair: Stat) -> str:
    local, remote = pair.last("localCandidateId"), pair.last("remoteCandidateId")
    return f"{_candidate(record, local)} to {_candidate(record, remote)}"


def _sum(stats: Iterable[Stat], member: str) -> float:
    return sum(value for stat in stats if isinstance(value := stat.last(member), (int, float)))


def _states(story: Iterable[StateLine]) -> str:
    return _table(
        ("at", "what", "state", "reason"),
        (
            (
                f"{line.at:.3f} s",
                escape(line.what),
                f'<td class="{line.judgement}">{escape(line.state)}</td>',
                "<br>".join(escape(reason) for reason in line.reasons),
            )
            for line in story
        ),
    )


def _pairs(record: CallRecord) -> str:
    rows = []
    for id, stat in sorted(
        record.of_type("candidate-pair"), key=lambda item: item[0] not in record.selected_pairs
    ):
        trip = stat.last("currentRoundTripTime")
        rows.append(
            (
                "selected" if id in record.selected_pairs else "",
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
    shown = f"[{host}]" if ":" in str(host) else host
    via = stat.last("relayProtocol")
    text = f"{stat.last('candidateType')} {stat.last('protocol')} {shown}:{stat.last('port')}"
    return escape(f"{text} by {via}" if via else text)


def _servers(record: CallRecord) -> str:
    try:
        servers = json.loads(record.configuration).get("iceServers", [])
        urls = [u for s in servers for u in ([s["urls"]] if isinstance(s["urls"], str) else s["urls"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"<pre>{escape(record.configuration)}</pre>"
    problems = Counter(line.value for line in record.lines if line.type == "icecandidateerror")
    used = {stat.last("url") for _, stat in record.of_type("local-candidate")}
    rows = [
        (
            escape(str(url)),
            "gave candidates" if url in used else "gave none that was kept",
            "<br>".join(_times(p, count) for p, count in problems.items() if str(url) in p) or "no error",
        )
        for url in urls
    ]
    return _table(("server", "result", "errors"), rows)


def _times(text: str, count: int) -> str:
    return f"{escape(text)} ({count} times)" if count > 1 else escape(text)


def _log(record: CallRecord, zero: float, lines: Sequence[Line]) -> str:
    rows = [(f"{line.at - zero:.3f} s", escape(line.type), _value(line.value)) for line in lines[:_LINES_MAX]]
    if len(lines) > _LINES_MAX:
        rows.append(("", "", f"{len(lines) - _LINES_MAX} more"))
    return f"<details><summary>{len(lines)} lines</summary>{_table(('at', 'what', 'value'), rows)}</details>"


def _value(text: str) -> str:
    if len(text) <= _LONG:
        return f"<pre>{escape(text)}</pre>"
    first = text.partition("\n")[0][:100]
    return f"<details><summary>{escape(first)} ...</summary><pre>{escape(text)}</pre></details>"
