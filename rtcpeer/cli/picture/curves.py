"""The charts of a page: bitrate, round trip, loss, jitter, frames, freezes, sound, data.

Owns: which members of statistics are shown, and in which unit. Never: HTML, a file.
"""

from __future__ import annotations

from collections.abc import Iterator

from rtcpeer.cli.picture.chart import Chart
from rtcpeer.cli.picture.dump import CallRecord, Curve, Stat, number_curve, rate_curve

# (type of the statistics object, member, what to call it)
_Wanted = tuple[str, str, str]


def charts_of(record: CallRecord) -> Iterator[Chart]:
    """The charts of one connection, in the order of the page."""
    zero = record.began

    def rates(factor: float, *wanted: _Wanted) -> dict[str, Curve]:
        return {name: rate_curve(stat, member, zero, factor) for name, stat, member in _find(record, wanted)}

    def numbers(factor: float, *wanted: _Wanted) -> dict[str, Curve]:
        return {
            name: [(at, value * factor) for at, value in number_curve(stat, member, zero)]
            for name, stat, member in _find(record, wanted)
        }

    media = (("outbound-rtp", "bytesSent", "sent"), ("inbound-rtp", "bytesReceived", "received"))
    yield Chart("Bitrate of media", "bit/s", rates(8, *media))
    everything = rates(8, ("transport", "bytesSent", "sent"), ("transport", "bytesReceived", "received"))
    everything |= numbers(1, ("candidate-pair", "availableOutgoingBitrate", "estimate"))
    yield Chart("Bitrate of everything", "bit/s", everything)
    trips = numbers(
        1000,
        ("candidate-pair", "currentRoundTripTime", "ICE"),
        ("remote-inbound-rtp", "roundTripTime", "RTCP"),
    )
    yield Chart("Round trip", "ms", trips)
    lost = {
        f"here {_label(record, id, stat)}": _loss(stat, zero) for id, stat in record.of_type("inbound-rtp")
    }
    lost |= numbers(100, ("remote-inbound-rtp", "fractionLost", "there"))
    yield Chart("Loss", "% of packets", lost)
    jitter = numbers(1000, ("inbound-rtp", "jitter", "here"), ("remote-inbound-rtp", "jitter", "there"))
    yield Chart("Jitter", "ms", jitter)
    frames = rates(
        1, ("outbound-rtp", "framesEncoded", "encoded"), ("inbound-rtp", "framesDecoded", "decoded")
    )
    yield Chart("Frames", "1/s", frames)
    freezes = numbers(1, ("inbound-rtp", "freezeCount", "freezes"))
    freezes |= numbers(1, ("inbound-rtp", "totalFreezesDuration", "seconds of freezes"))
    yield Chart("Freezes", "so far", freezes)
    yield Chart("Concealed sound", "% of samples", _concealment(record, zero))
    repairs = rates(
        1,
        ("outbound-rtp", "nackCount", "NACK got"),
        ("outbound-rtp", "pliCount", "PLI got"),
        ("inbound-rtp", "nackCount", "NACK sent"),
        ("inbound-rtp", "pliCount", "PLI sent"),
    )
    yield Chart("Repairs asked for", "1/s", repairs)
    data = (("data-channel", "bytesSent", "sent"), ("data-channel", "bytesReceived", "received"))
    yield Chart("Data channels", "byte/s", rates(1, *data))


def _find(record: CallRecord, wanted: tuple[_Wanted, ...]) -> Iterator[tuple[str, Stat, str]]:
    used: set[str] = set()
    for type, member, label in wanted:
        for id, stat in record.of_type(type):
            if member in stat.members:
                name = f"{label} {_label(record, id, stat)}".strip()
                if name in used:
                    name = f"{name} {id[-8:]}"
                used.add(name)
                yield name, stat, member


def _label(record: CallRecord, id: str, stat: Stat) -> str:
    """The name of a curve for people: kind and layer of media, label of a channel, ends of a pair, or ""."""
    for member in ("kind", "label"):
        value = stat.last(member)
        if value:
            layer = stat.last("rid") or stat.last("mid")
            return f"{str(value)[:40]} {layer}" if layer else str(value)[:40]
    if stat.type == "candidate-pair":
        ends = [record.stats.get(str(stat.last(f"{side}CandidateId"))) for side in ("local", "remote")]
        types = "-".join(str(end.last("candidateType")) if end else "?" for end in ends)
        return f"{types}, selected" if id in record.selected_pairs else types
    return "" if sum(1 for _ in record.of_type(stat.type)) == 1 else id[-8:]


def _loss(stat: Stat, zero: float) -> Curve:
    """The part of the packets sent to us in each second that was lost, in percent."""
    lost, received = rate_curve(stat, "packetsLost", zero), dict(rate_curve(stat, "packetsReceived", zero))
    return [(at, 100 * rate / total) for at, rate in lost if (total := rate + received.get(at, 0)) > 0]


def _concealment(record: CallRecord, zero: float) -> dict[str, Curve]:
    found = {}
    for id, stat in record.of_type("inbound-rtp"):
        concealed = rate_curve(stat, "concealedSamples", zero)
        total = dict(rate_curve(stat, "totalSamplesReceived", zero))
        found[f"here {_label(record, id, stat)}"] = [
            (at, min(100.0, 100 * rate / total[at])) for at, rate in concealed if total.get(at, 0) > 0
        ]
    return found
