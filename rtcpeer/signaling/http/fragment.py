"""Trickle ICE SDP fragments (RFC 8840 section 9, as RFC 9725 section 4.3 uses them), read and written. Pure.

Owns: the text of a fragment, what a fragment changes in a description. Never: I/O, a session, a decision.

A fragment holds ICE credentials and candidates without the rest of a description:

    a=ice-ufrag:EsAw
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
    m=audio 9 UDP/TLS/RTP/SAVPF 0
    a=mid:0
    a=candidate:1 1 udp 2130706431 192.0.2.1 61764 typ host
    a=end-of-candidates
"""

from __future__ import annotations

import re
from typing import Any, Final

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.records import record

#: The media type of a fragment.
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"

MAX_SIZE: Final = 65_536
MAX_CANDIDATES: Final = 256

_UFRAG = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")  # RFC 8839 5.4, and the two characters that some add
_PWD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")
_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]{1,64}")
_ORIGIN = re.compile(r"^(o=\S+ \S+ )(\d{1,20})( )", re.MULTILINE)
_CANDIDATE_LINES = re.compile(r"^a=(?:candidate:.*|end-of-candidates)[ \t]*\r?\n", re.MULTILINE)


@record(frozen=True, slots=True)
class FragmentCandidate:
    """A candidate of a fragment.

    Attributes:
        line: "candidate:..." as in an RTCIceCandidate; "" says that no more will come.
        mid: the section it belongs to; None when the fragment does not say it.
        index: the number of the section within the fragment, from 0; None at session level.
    """

    line: str
    mid: str | None = None
    index: int | None = None


@record(frozen=True, slots=True)
class Fragment:
    """The content of a trickled SDP fragment.

    Attributes:
        ufrag, pwd: ICE credentials; None where it has none.
        candidates: in order, the end of candidates among them.
    """

    ufrag: str | None = None
    pwd: str | None = None
    candidates: tuple[FragmentCandidate, ...] = ()

    def messages(self) -> list[dict[str, Any]]:
        """The candidates in the form of RTCIceCandidateInit. Those that name no section belong to the first one."""
        found = []
        for candidate in self.candidates:
            message: dict[str, Any] = {"candidate": candidate.line}
            if candidate.mid is not None:
                message["sdpMid"] = candidate.mid
            else:
                message["sdpMLineIndex"] = candidate.index or 0
            if self.ufrag is not None:
                message["usernameFragment"] = self.ufrag
            found.append(message)
        return found


def read_fragment_untrusted(text: str) -> Fragment:
    """Read a fragment. Lines that it need not have are passed over; credentials may stand at either level.

    Raises:
        RTCSyntaxError: it is too long, has a malformed line, contradicting credentials, or nothing at all.
    """
    if len(text) > MAX_SIZE:
        raise _wrong(f"it is longer than {MAX_SIZE} characters")
    reader = _Reader()
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            reader.take(line.rstrip(), number)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.ufrag: str | None = None
        self.pwd: str | None = None
        self.found: list[FragmentCandidate] = []
        self.mid: str | None = None
        self.index: int | None = None

    def take(self, line: str, number: int) -> None:
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise _wrong(f"line {number} is not of the form x=value")
        if line.startswith("m="):
            self.index = 0 if self.index is None else self.index + 1
            self.mid = None
        if not line.startswith("a="):
            return
        name, _, value = line[2:].partition(":")
        if name == "ice-ufrag":
            self.ufrag = _same(self.ufrag, value, _UFRAG, number)
        elif name == "ice-pwd":
            self.pwd = _same(self.pwd, value, _PWD, number)
        elif name == "mid":
            if not _TOKEN.fullmatch(value):
                raise _wrong(f"line {number} is no a=mid")
            self.mid = value
        elif name == "candidate":
            self._add(f"candidate:{value}", number)
        elif name == "end-of-candidates":
            self._add("", number)

    def _add(self, line: str, number: int) -> None:
        if len(self.found) >= MAX_CANDIDATES:
            raise _wrong(f"it has more than {MAX_CANDIDATES} candidates, line {number}")
        if not line.isprintable():
            raise _wrong(f"line {number} has control characters")
        self.found.append(FragmentCandidate(line, self.mid, self.index))

    def finish(self) -> Fragment:
        if self.ufrag is None and not self.found:
            raise _wrong("it has neither credentials nor candidates")
        if self.pwd is not None and self.ufrag is None:
            raise _wrong("it has a=ice-pwd without a=ice-ufrag")
        return Fragment(self.ufrag, self.pwd, tuple(self.found))


def _same(before: str | None, value: str, form: re.Pattern[str], number: int) -> str:
    if not form.fullmatch(value):
        raise _wrong(f"line {number} has malformed ICE credentials")
    if before not in (None, value):
        # RFC 9725 4.3.1: all sections are bundled, so there is one set of credentials
        raise _wrong(f"line {number} has other ICE credentials than a line before")
    return value


def _wrong(what: str) -> RTCSyntaxError:
    return RTCSyntaxError(f"the SDP fragment cannot be used: {what}", fault="remote")


def write_fragment(fragment: Fragment, *, kind: str = "audio", mid: str | None = None) -> str:
    """The text of a fragment.

    Args:
        fragment: what to say. Its candidates stand under one section, since all sections are bundled.
        kind: of that section, "audio", "video" or "application".
        mid: of that section; by default that of the first candidate.
    """
    lines = []
    if fragment.ufrag is not None:
        lines.append(f"a=ice-ufrag:{fragment.ufrag}")
    if fragment.pwd is not None:
        lines.append(f"a=ice-pwd:{fragment.pwd}")
    if mid is None:
        mid = next((c.mid for c in fragment.candidates if c.mid is not None), None)
    if fragment.candidates or mid is not None:
        protocol = "UDP/DTLS/SCTP webrtc-datachannel" if kind == "application" else "UDP/TLS/RTP/SAVPF 0"
        lines.append(f"m={kind} 9 {protocol}")
        if mid is not None:
            lines.append(f"a=mid:{mid}")
    lines += [f"a={c.line}" if c.line else "a=end-of-candidates" for c in fragment.candidates]
    return "".join(f"{line}\r\n" for line in lines)


def fragment_of(sdp: str) -> tuple[Fragment, str, str | None]:
    """The ICE part of a description: the fragment, and kind and mid of the section that carries the others.

    Raises:
        RTCSyntaxError: the description has no ICE credentials.
    """
    session, *sections = re.split(r"^(?=m=)", sdp.replace("\r\n", "\n"), flags=re.MULTILINE)
    tagged = _tagged(session, sections)
    # credentials of a rejected or bundle-only section are never used
    text = session + tagged
    ufrag = re.search(r"^a=ice-ufrag:(\S+)$", tagged, re.MULTILINE) or re.search(
        r"^a=ice-ufrag:(\S+)$", session, re.MULTILINE
    )
    pwd = re.search(r"^a=ice-pwd:(\S+)$", tagged, re.MULTILINE) or re.search(
        r"^a=ice-pwd:(\S+)$", session, re.MULTILINE
    )
    if ufrag is None or pwd is None:
        raise RTCSyntaxError("the description has no ICE credentials", fault="remote")
    mid = _mid(tagged)
    kind = re.match(r"m=(\w+)", tagged)
    found = [
        FragmentCandidate(line, mid)
        for line in re.findall(r"^a=(candidate:.*)$", text, re.MULTILINE)[:MAX_CANDIDATES]
    ]
    if re.search(r"^a=end-of-candidates$", text, re.MULTILINE):
        found.append(FragmentCandidate("", mid))
    return Fragment(ufrag[1], pwd[1], tuple(found)), kind[1] if kind else "audio", mid


def _tagged(session: str, sections: list[str]) -> str:
    """The section whose transport the bundle uses (RFC 9143 section 7); without a bundle, the first one in use."""
    bundle = re.search(r"^a=group:BUNDLE (\S+)", session, re.MULTILINE)
    for section in sections:
        if bundle is not None and _mid(section) == bundle[1]:
            return section
    used = [section for section in sections if not re.match(r"m=\w+ 0 ", section)]
    return (used or sections or [""])[0]


def _mid(section: str) -> str | None:
    found = re.search(r"^a=mid:(\S+)$", section, re.MULTILINE)
    return found[1] if found else None


def restarted(sdp: str, fragment: Fragment) -> str:
    """A description after an ICE restart: the old one with other credentials and candidates, one version later.

    Args:
        sdp: the description in force.
        fragment: has credentials; its candidates go into the section that carries the others.

    Raises:
        RTCSyntaxError: the fragment has no credentials, or the description none to replace.
    """
    if fragment.ufrag is None or fragment.pwd is None:
        raise _wrong("a restart needs a=ice-ufrag and a=ice-pwd")
    _, _, mid = fragment_of(sdp)
    text = _CANDIDATE_LINES.sub("", sdp)
    text = re.sub(r"^a=ice-ufrag:.*?(\r?)$", rf"a=ice-ufrag:{fragment.ufrag}\1", text, flags=re.MULTILINE)
    text = re.sub(r"^a=ice-pwd:.*?(\r?)$", rf"a=ice-pwd:{fragment.pwd}\1", text, flags=re.MULTILINE)
    text = _ORIGIN.sub(lambda found: f"{found[1]}{int(found[2]) + 1}{found[3]}", text, count=1)
    return _with_candidates(text, mid, [c.line for c in fragment.candidates])


def with_candidates(sdp: str, lines: list[str]) -> str:
    """A description whose bundle's section has these candidates in addition; "" stands for the end of candidates."""
    return _with_candidates(sdp, fragment_of(sdp)[2], lines)


def _with_candidates(text: str, mid: str | None, lines: list[str]) -> str:
    session, *sections = re.split(r"^(?=m=)", text, flags=re.MULTILINE)
    chosen = 0
    for number, section in enumerate(sections):
        if mid is not None and _mid(section.replace("\r\n", "\n")) == mid:
            chosen = number
    end = "\r\n" if "\r\n" in text else "\n"
    added = "".join(f"a={line or 'end-of-candidates'}{end}" for line in lines)
    if sections:
        kept = sections[chosen]
        sections[chosen] = (kept if kept.endswith("\n") else kept + end) + added
    return session + "".join(sections)


def rejects_sections(offer: str, answer: str) -> bool:
    """Whether an answer rejects a section that was offered: port 0, and not carried by the bundle."""
    offered = re.split(r"^(?=m=)", offer.replace("\r\n", "\n"), flags=re.MULTILINE)[1:]
    answered = re.split(r"^(?=m=)", answer.replace("\r\n", "\n"), flags=re.MULTILINE)[1:]
    return any(
        re.match(r"m=\w+ 0 ", theirs) and (not re.match(r"m=\w+ 0 ", ours) or "\na=bundle-only" in ours)
        for ours, theirs in zip(offered, answered, strict=False)
    ) or len(answered) < len(offered)
