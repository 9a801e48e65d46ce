"""The story of a connection, from the lines of its log: states with reasons, spans of trouble, marks for charts.

Owns: the meaning of the names of calls and events, of ours and of Chromium's. Never: HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rtcpeer.cli.picture.dump import CallRecord

_STATES = (
    "connectionstatechange",
    "iceconnectionstatechange",
    "signalingstatechange",
    "icegatheringstatechange",
    "supervisorstate",
)
# what is about descriptions and candidates
SIGNALING = frozenset(
    (
        *(
            f"{call}{end}"
            for call in (
                "createOffer",
                "createAnswer",
                "setLocalDescription",
                "setRemoteDescription",
                "addIceCandidate",
            )
            for end in ("", "OnSuccess", "OnFailure", "Failed")
        ),
        "icecandidate",
        "icecandidateerror",
        "negotiationneeded",
        "restartIce",
        "signalingstatechange",
        "icegatheringstatechange",
    )
)
# calls that people look for in curves, and how to name them there
_MARKED = {
    "restartIce": "restart",
    "setConfiguration": "configuration",
    "replaceTrack": "track",
    "setParameters": "parameters",
    "close": "close",
}
_BAD = frozenset(("disconnected", "failed", "gave-up", "gaveUp"))
_GOOD = frozenset(("connected", "completed", "stable"))
_MARKS_MAX = 200


@dataclass(frozen=True)
class StateLine:
    """A state that was told.

    Attributes:
        at: seconds since the beginning.
        what: such as "connectionstate".
        state: the new one.
        reasons: sentences; empty where nobody said why.
    """

    at: float
    what: str
    state: str
    reasons: tuple[str, ...] = ()

    @property
    def judgement(self) -> str:
        """Whether that is "good" or "bad"; empty for neither."""
        return "bad" if self.state in _BAD else "good" if self.state in _GOOD else ""


def states(record: CallRecord) -> list[StateLine]:
    """The states in order, with the explanations that stand behind each."""
    found: list[StateLine] = []
    for line in record.lines:
        if line.type == "explain" and found:
            last = found.pop()
            found.append(StateLine(last.at, last.what, last.state, tuple(line.value.splitlines())))
        elif line.type in _STATES:
            state, colon, reason = line.value.partition(": ")
            found.append(
                StateLine(
                    line.at - record.began,
                    line.type.removesuffix("change"),
                    state,
                    (reason,) if colon else (),
                )
            )
    return found


def bands(story: Sequence[StateLine], length: float) -> list[dict[str, Any]]:
    """The times at which the path was disconnected or failed."""
    name = (
        "connectionstate" if any(line.what == "connectionstate" for line in story) else "iceconnectionstate"
    )
    told = [line for line in story if line.what == name]
    ends = [*(line.at for line in told[1:]), length]
    return [
        {"from": line.at, "to": end, "state": line.state}
        for line, end in zip(told, ends, strict=False)
        if line.state in _BAD
    ]


def marks(record: CallRecord) -> list[dict[str, Any]]:
    """The marks that stand in the charts as lines: changes of state of the path, and calls that change something."""
    found = list(_marks(record))
    return found[:_MARKS_MAX]


def _marks(record: CallRecord) -> Iterable[dict[str, Any]]:
    for line in record.lines:
        text = _MARKED.get(line.type)
        if line.type in ("connectionstatechange", "supervisorstate"):
            text = line.value.partition(":")[0].partition(",")[0]
        if text:
            yield {"at": round(line.at - record.began, 3), "text": text[:24]}
