"""The ``candidate`` attribute (RFC 8839 section 5.1) <-> `Candidate`.

Pure; used for ``a=candidate`` lines and for the strings of ``RTCIceCandidate`` alike.
"""

from __future__ import annotations

import re
from typing import Any

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.values import Candidate, CandidateType

MAX_CANDIDATE_LENGTH = 2048
"""No real candidate comes near; bounds the work that one remote string can cause."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"[0-9A-Za-z.:_%-]{1,255}")
_BRACKETED = re.compile(r"\[(.+)\]")
_TYPES = {t.value: t for t in CandidateType}
_TCP_TYPES = ("active", "passive", "so")


def parse_candidate_untrusted(text: str) -> Candidate:
    """Read ``candidate:...`` (with or without ``a=``).

    Raises:
        RTCSyntaxError: it is not a candidate that we know (grammar, range, or an unknown type or transport).
    """
    if len(text) > MAX_CANDIDATE_LENGTH:
        raise RTCSyntaxError("candidate is too long", fault="remote")
    text = text.strip("\r\n")
    name, _, rest = text.removeprefix("a=").partition(":")
    words = [word for word in rest.split(" ") if word]
    if (
        name.lower() != "candidate"
        or rest.startswith(" ")
        or len(words) < 8
        or words[6].lower() != "typ"
        or _CONTROL.search(rest) is not None
    ):
        raise RTCSyntaxError(f"not a candidate: {text[:80]!r}", fault="remote")
    foundation, component, protocol, priority, address, port, _typ, kind, *extensions = words
    type_ = _TYPES.get(kind.lower())
    protocol = protocol.lower()
    if type_ is None or protocol not in ("udp", "tcp"):
        raise RTCSyntaxError(f"unknown candidate type or transport: {kind} {protocol}", fault="remote")
    numbers = _number(component, 256), _number(priority, 2**32 - 1), _number(port, 65535)
    if None in numbers:
        raise RTCSyntaxError(f"component, priority or port out of range: {text[:80]!r}", fault="remote")
    number, prio, port_number = (n or 0 for n in numbers)
    bracketed = _BRACKETED.fullmatch(address)
    if bracketed is not None:
        address = bracketed[1]
    if _ADDRESS.fullmatch(address) is None:
        raise RTCSyntaxError(f"not an address: {address[:80]!r}", fault="remote")
    return Candidate(
        foundation, number, protocol, prio, address, port_number, type_, **_extensions(protocol, extensions)
    )


def _number(word: str, most: int) -> int | None:
    """A number from 0 to `most`, or None."""
    if not (word.isascii() and word.isdigit()) or len(word) > 10 or int(word) > most:
        return None
    return int(word)


def _extensions(protocol: str, words: list[str]) -> dict[str, Any]:
    """The members of `Candidate` that follow the type; what makes no sense there is left out."""
    if not words:
        return {}
    related_address: str | None = None
    related_port: int | None = None
    tcp_type: str | None = None
    ufrag: str | None = None
    extensions: list[tuple[str, str]] = []
    for name, value in zip(words[::2], words[1::2], strict=False):  # a last word without a value says nothing
        known = name.lower()
        if known == "raddr":
            related_address = value
        elif known == "rport":
            related_port = _number(value, 65535)
        elif known == "tcptype":
            tcp_type = value.lower()
            if tcp_type not in _TCP_TYPES:
                if protocol == "tcp":
                    raise RTCSyntaxError(f"bad tcptype: {value!r}", fault="remote")
                tcp_type = None
        elif known == "ufrag":
            ufrag = value
        else:
            extensions.append((name, value))
    return {
        "related_address": related_address,
        "related_port": related_port,
        "tcp_type": tcp_type,
        "ufrag": ufrag,
        "extensions": tuple(extensions),
    }


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
