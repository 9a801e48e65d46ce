"""Text -> model.  The writer is `rtcpeer.sdp.writer`; both are reachable from here.

Owns the line grammar of RFC 8866 with the attributes of RFC 8829 (JSEP), 8839 (ICE), 8841 (SCTP), 8843/9143 (BUNDLE),
8851/8853 (rid, simulcast), 8830 (msid), 8122 (fingerprint), 8285 (extmap), 5576 (ssrc), 4585 (rtcp-fb).
Grammar only: whether a description makes sense in a session is asked in `rtcpeer.jsep.validation`.

Accepted beyond the letter: lines that end in LF alone, blank lines, attributes nobody knows (kept in order).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rtcpeer.errors import RTCError
from rtcpeer.sdp.attributes import RTP_ATTRIBUTES, SECTION_READERS, SESSION_READERS, known, read_digits
from rtcpeer.sdp.building import BadValue, Inherited, SectionReader, SessionReader
from rtcpeer.sdp.model import Connection, Media, Origin, SdpSession
from rtcpeer.sdp.writer import write

__all__ = ["parse_untrusted", "write"]

MAX_LENGTH = 1 << 20
"""Characters in a description; a session of 200 sections has about half of this."""
MAX_SECTIONS = 256
MAX_LINES = 20_000

_ORIGIN = re.compile(r"(\S+) +([0-9]+) +([0-9]+) +(\S+) +(\S+) +(\S+)")
_MEDIA = re.compile(r"([!#-'*+.0-9A-Z^-~-]{1,64}) +([0-9]{1,5})(?:/([0-9]{1,5}))? +([!-~]{1,64})( [ -~]*)?")
_CONNECTION = re.compile(r"(\S+) +(\S+) +(\S+)")
_BANDWIDTH = re.compile(r"([!-~]+):([0-9]+)")


_BANDWIDTHS = frozenset(("CT", "AS", "TIAS", "RS", "RR"))
_LARGEST_LIMIT = 10**18 - 1


def parse_untrusted(text: str) -> SdpSession:
    """Read a description.

    Args:
        text: as it came; untrusted, so its size, sections and lines are bounded.

    Returns:
        The model; sections have inherited what the session level said (see `rtcpeer.sdp.model`).

    Raises:
        RTCError: "sdp-syntax-error" with ``sdpLineNumber``.
    """
    if len(text) > MAX_LENGTH:
        raise _error(1, f"description of {len(text)} characters; at most {MAX_LENGTH} are read")
    # what is too much is refused before anything is read
    if text.count("\n") > MAX_LINES:
        raise _error(MAX_LINES, f"more than {MAX_LINES} lines")
    if text.count("\nm=") > MAX_SECTIONS:
        raise _error(1, f"more than {MAX_SECTIONS} media sections")
    lines = text.split("\n")
    session = SessionReader()
    sections: list[SectionReader] = []
    section: SectionReader | None = None
    number = 0
    try:
        for line in lines:
            number += 1
            line = line.rstrip("\r \t")
            if line[:2] == "a=":
                name, colon, value = line[2:].partition(":")
                if section is not None:
                    key = known(SECTION_READERS, name)
                    if key is not None and (section.is_rtp or key not in RTP_ATTRIBUTES):
                        section.spend(key)
                        SECTION_READERS[key](section, value)
                    else:
                        section.attributes.append((name, value if colon else None))
                else:
                    key = known(SESSION_READERS, name)
                    if key is not None:
                        session.spend(key)
                        SESSION_READERS[key](session, value)
                    else:
                        session.attributes.append((name, value if colon else None))
            elif line:
                if line[1:2] != "=":
                    raise BadValue("expected <letter>=<value>")
                if line[0] == "m":
                    section = _section(line[2:], number, session)
                    sections.append(section)
                else:
                    _plain_line(session, section, line[0], line[2:])
        if not session.seen >= {"v", "o", "s", "t"}:
            raise BadValue("v=, o=, s= and t= are required")
        return _finish(session, sections)
    except BadValue as bad:
        raise _error(number, f"{bad} (line {number})") from None


def _error(number: int, message: str) -> RTCError:
    return RTCError("sdp-syntax-error", message, sdpLineNumber=number)


def _section(value: str, number: int, session: SessionReader) -> SectionReader:
    """Read ``m=``."""
    match = _MEDIA.fullmatch(value)
    if match is None:
        raise BadValue("malformed m= line")
    kind, port, count, protocol, formats = match.groups()
    if int(port) > 65535:
        raise BadValue("port out of range")
    return SectionReader(
        kind.lower(),
        int(port),
        int(count) if count else None,
        protocol,
        tuple((formats or "").split()),
        number,
        session.total,
    )


def _plain_line(session: SessionReader, section: SectionReader | None, letter: str, value: str) -> None:
    """Read any line that is neither ``m=`` nor ``a=``."""
    if not session.seen and letter != "v":
        raise BadValue("a description begins with v=0")
    if letter == "c":
        match = _CONNECTION.fullmatch(value)
        if match is None:
            raise BadValue("malformed c= line")
        (section or session).connection = Connection(match[3], match[2], match[1])
        return
    if letter == "b":
        match = _BANDWIDTH.fullmatch(value)
        if match is None:
            raise BadValue("malformed b= line")
        kind, limit = match[1].upper(), min(read_digits(match[2]), _LARGEST_LIMIT)
        (section or session).bandwidth.append((kind if kind in _BANDWIDTHS else match[1], limit))
        return
    if section is not None:
        if letter == "i":
            section.title = value
        elif letter != "k":
            raise BadValue(f"{letter}= is not allowed in a media section")
        return
    reader = _SESSION_LINES.get(letter)
    if reader is None:
        raise BadValue(f"unknown line {letter}=")
    reader(session, value)
    session.seen.add(letter)


def _version(session: SessionReader, value: str) -> None:
    if value != "0" or "v" in session.seen:
        raise BadValue("a description begins with v=0, once")


def _origin(session: SessionReader, value: str) -> None:
    match = _ORIGIN.fullmatch(value)
    if match is None or "o" in session.seen:
        raise BadValue("malformed o= line")
    session_id, version = read_digits(match[2]), read_digits(match[3])
    session.origin = Origin(session_id, version, match[1], match[4], match[5], match[6])


def _name(session: SessionReader, value: str) -> None:
    session.name = value


def _information(session: SessionReader, value: str) -> None:
    session.information = value


def _uri(session: SessionReader, value: str) -> None:
    session.uri = value


def _email(session: SessionReader, value: str) -> None:
    session.emails.append(value)


def _phone(session: SessionReader, value: str) -> None:
    session.phones.append(value)


def _time(session: SessionReader, value: str) -> None:
    words = value.split()
    if len(words) != 2 or not all(w.isascii() and w.isdigit() for w in words):
        raise BadValue("malformed t= line")
    session.timing.append(f"t={words[0]} {words[1]}")


def _repeat(session: SessionReader, value: str) -> None:
    session.timing.append(f"r={value}")


def _zone(session: SessionReader, value: str) -> None:
    session.timing.append(f"z={value}")


def _key(session: SessionReader, value: str) -> None:
    """``k=`` is obsolete (RFC 8866 5.12) and never written again."""


_SESSION_LINES: dict[str, Callable[[SessionReader, str], None]] = {
    "v": _version,
    "o": _origin,
    "s": _name,
    "i": _information,
    "u": _uri,
    "e": _email,
    "p": _phone,
    "t": _time,
    "r": _repeat,
    "z": _zone,
    "k": _key,
}


def _finish(session: SessionReader, sections: list[SectionReader]) -> SdpSession:
    """Hand the session level down and freeze."""
    inherited = Inherited(session)
    media: tuple[Media, ...] = tuple([section.build(session, inherited) for section in sections])
    assert session.origin is not None
    return SdpSession(
        origin=session.origin,
        media=media,
        name=session.name,
        information=session.information,
        uri=session.uri,
        emails=tuple(session.emails),
        phones=tuple(session.phones),
        connection=session.connection,
        bandwidth=tuple(session.bandwidth),
        timing=tuple(session.timing),
        groups=tuple(session.groups),
        ice_lite=session.ice_lite,
        ice_options=session.ice_options,
        extmap_allow_mixed=session.extmap_allow_mixed,
        msid_semantic=session.msid_semantic,
        attributes=tuple(session.attributes),
    )
