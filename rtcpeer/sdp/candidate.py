"""The ``candidate`` attribute (RFC 8839 section 5.1) <-> `Candidate`.

Pure; used for ``a=candidate`` lines and for the strings of ``RTCIceCandidate`` alike.
"""

from __future__ import annotations

import re

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.values import Candidate, CandidateType

MAX_CANDIDATE_LENGTH = 2048
"""No real candidate comes near; bounds the work that one remote string can cause."""

_CANDIDATE = re.compile(
    r"(?:a=)?candidate:([A-Za-z0-9+/]{1,32}) +([0-9]{1,3}) +([A-Za-z0-9-]{1,16}) +([0-9]{1,10}) +"
    r"([0-9A-Za-z.:_%-]{1,255}) +([0-9]{1,5}) +typ +([A-Za-z]{1,16})((?: +\S+)*) *"
)
_TYPES = {t.value: t for t in CandidateType}
_TCP_TYPES = ("active", "passive", "so")


def parse_candidate_untrusted(text: str) -> Candidate:
    """Read ``candidate:...`` (with or without ``a=``).

    Raises:
        RTCSyntaxError: it is not a candidate that we know (grammar, range, or an unknown type or transport).
    """
    if len(text) > MAX_CANDIDATE_LENGTH:
        raise RTCSyntaxError("candidate is too long", fault="remote")
    match = _CANDIDATE.fullmatch(text.strip("\r\n"))
    if match is None:
        raise RTCSyntaxError(f"not a candidate: {text[:80]!r}", fault="remote")
    foundation, component, protocol, priority, address, port, kind, rest = match.groups()
    type_ = _TYPES.get(kind.lower())
    protocol = protocol.lower()
    if type_ is None or protocol not in ("udp", "tcp"):
        raise RTCSyntaxError(f"unknown candidate type or transport: {kind} {protocol}", fault="remote")
    number, prio, port_number = int(component), int(priority), int(port)
    if not (1 <= number <= 256 and prio < 2**32 and port_number <= 65535):
        raise RTCSyntaxError(f"component, priority or port out of range: {text[:80]!r}", fault="remote")
    if not rest:
        return Candidate(foundation, number, protocol, prio, address, port_number, type_)
    return _with_extensions(
        Candidate(foundation, number, protocol, prio, address, port_number, type_), rest.split()
    )


def _with_extensions(base: Candidate, words: list[str]) -> Candidate:
    """The candidate with what follows the type, as (name, value) pairs; an odd last word is not grammar."""
    if len(words) % 2:
        raise RTCSyntaxError(f"candidate extension without a value: {words[-1]!r}", fault="remote")
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None
    ufrag: str | None = None
    extensions: list[tuple[str, str]] = []
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name == "raddr":
            related_address = value
        elif name == "rport":
            if not (value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= 65535):
                raise RTCSyntaxError(f"bad rport: {value!r}", fault="remote")
            related_port = int(value)
        elif name == "tcptype":
            if value not in _TCP_TYPES:
                raise RTCSyntaxError(f"bad tcptype: {value!r}", fault="remote")
            tcp_type = value
        elif name == "ufrag":
            ufrag = value
        else:
            extensions.append((name, value))
    return Candidate(
        base.foundation,
        base.component,
        base.protocol,
        base.priority,
        base.address,
        base.port,
        base.type,
        related_address,
        related_port,
        tcp_type,
        ufrag,
        extensions=tuple(extensions),
    )


def candidate_to_text(candidate: Candidate) -> str:
    """Write ``candidate:...``; ``url`` and ``relay_protocol`` are local knowledge and are not written."""
    c = candidate
    text = f"candidate:{c.foundation} {c.component} {c.protocol} {c.priority} {c.address} {c.port} typ {c.type.value}"
    if c.related_address is not None:
        text += f" raddr {c.related_address}"
    if c.related_port is not None:
        text += f" rport {c.related_port}"
    if c.tcp_type is not None:
        text += f" tcptype {c.tcp_type}"
    for name, value in c.extensions:
        text += f" {name} {value}"
    if c.ufrag is not None:
        text += f" ufrag {c.ufrag}"
    return text
