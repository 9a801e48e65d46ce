"""Descriptions over time: the text that the face shows, and candidates that come after a description was set.

Owns `render` (the only place below `sdp.text` that edits text) and the default candidate of a section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from rtcpeer.records import record
from rtcpeer.sdp.model import Connection, SdpSession
from rtcpeer.values import Candidate, CandidateType, SdpType

END_OF_CANDIDATES = "a=end-of-candidates"
_DEFAULT_ORDER = {
    CandidateType.RELAY: 3,
    CandidateType.SRFLX: 2,
    CandidateType.HOST: 1,
    CandidateType.PRFLX: 0,
}


def make(type_: SdpType, session: SdpSession, text: str) -> Description:
    """A description as it was set."""
    count = len(session.media)
    return Description(type_, session, text, ((),) * count, (None,) * count)


def render(description: Description) -> str:
    """The text with what was added since.

    Lines go to the end of their section; everything else stays byte by byte.
    """
    if not any(description.added) and not any(description.defaults):
        return description.base
    newline = "\r\n" if "\r\n" in description.base else "\n"
    parts = description.base.split("\nm=")
    for index, lines in enumerate(description.added):
        place = index + 1
        if place >= len(parts):
            break
        part = parts[place]
        default = description.defaults[index]
        if default is not None:
            part = _with_default(part, default)
        if lines:
            last = place == len(parts) - 1
            end = newline if last else newline[:-1]  # the final "\n" belongs to the separator
            part = part.rstrip("\r\n") + newline + newline.join(lines) + end
        parts[place] = part
    return "\nm=".join(parts)


def _with_default(part: str, default: tuple[str, int]) -> str:
    """Put the default candidate into ``m=`` and ``c=`` (RFC 8829 5.2.2)."""
    lines = part.split("\n")
    words = lines[0].split(" ", 2)
    words[1] = str(default[1])
    lines[0] = " ".join(words)
    for i, line in enumerate(lines):
        if line.startswith("c="):
            family = "IP6" if ":" in default[0] else "IP4"
            lines[i] = f"c=IN {family} {default[0]}" + ("\r" if line.endswith("\r") else "")
            break
    return "\n".join(lines)


def default_candidate(candidates: Sequence[Candidate]) -> tuple[str, int] | None:
    """The candidate that an endpoint without ICE would reach best (RFC 8445 5.1.4): relay, then srflx, then host."""
    best: Candidate | None = None
    for candidate in candidates:
        if candidate.protocol != "udp" or candidate.component != 1 or candidate.address.endswith(".local"):
            continue
        if best is None or _rank(candidate) > _rank(best):
            best = candidate
    return (best.address, best.port) if best is not None else None


def _rank(candidate: Candidate) -> tuple[int, bool, int]:
    return (_DEFAULT_ORDER[candidate.type], ":" not in candidate.address, candidate.priority)


def connection(default: tuple[str, int] | None) -> Connection:
    """The ``c=`` line of a section."""
    if default is None:
        return Connection()
    return Connection(default[0], "IP6" if ":" in default[0] else "IP4")


def with_line(
    description: Description, index: int, line: str, default: tuple[str, int] | None = None
) -> Description:
    """The description with one more line in a section; a line that is there already is not added again."""
    if line in description.added[index]:
        return description
    added = (*description.added[:index], (*description.added[index], line), *description.added[index + 1 :])
    defaults = description.defaults
    if default is not None and defaults[index] != default:
        defaults = (*defaults[:index], default, *defaults[index + 1 :])
    return Description(description.type, description.session, description.base, added, defaults)


@record(frozen=True, slots=True)
class Description:
    """One of the four descriptions of a connection: what was set, and the candidates that came since.

    Attributes:
        type: offer, pranswer or answer.
        session: the model of ``base``.
        base: the text that was set.
        added: per section, ``a=`` lines that candidates added ("a=candidate:...", "a=end-of-candidates").
        defaults: per section, the (address, port) of the default candidate for ``m=`` and ``c=``, once known
        (local only).
    """

    type: SdpType
    session: SdpSession = field(repr=False)
    base: str = field(repr=False)  # has the password of ICE in it
    added: tuple[tuple[str, ...], ...] = ()
    defaults: tuple[tuple[str, int] | None, ...] = ()

    @property
    def text(self) -> str:
        """The text as ``RTCSessionDescription.sdp`` shows it now: `base` with the added lines in their sections."""
        return render(self)
