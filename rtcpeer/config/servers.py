"""The grammar of ``stun:``, ``stuns:``, ``turn:`` and ``turns:`` URLs.

Owns: the way from a URL to scheme, host, port and transport, and the flattened record of one URL of one
server. Never: I/O, name resolution, a decision whether a server is any good.

Theory of operation. webrtc-pc 4.4.1.6 ("validate an ICE server URL") says what is accepted in terms of the
URL parser of browsers: first the whole URL, whose path must be opaque (no ``//``), then ``https://`` + that
path, which must be a host and an optional port. The two runs are written out here for the few shapes that can
succeed. The grammar of RFC 7064 and RFC 7065 is the same set, except where noted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import field
from functools import lru_cache
from typing import Literal, NoReturn, cast
from urllib.parse import unquote_to_bytes

from rtcpeer.errors import RTCSyntaxError
from rtcpeer.records import record

Scheme = Literal["stun", "stuns", "turn", "turns"]
Transport = Literal["udp", "tcp"]

_SCHEMES = ("stun", "stuns", "turn", "turns")
# RFC 7064 section 3.2, RFC 7065 section 3.2
_PORTS = {"stun": 3478, "stuns": 5349, "turn": 3478, "turns": 5349}
# what is used when the URL does not say: RFC 7065 section 3.2. For "stuns" it is DTLS over UDP (RFC 7350 section 3):
# the address of a TCP connection would be of no use.
_TRANSPORTS: dict[str, Transport] = {"stun": "udp", "stuns": "udp", "turn": "udp", "turns": "tcp"}

_URL = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.IGNORECASE | re.DOTALL)
_HOST_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_TRANSPORT = re.compile(r"transport=(udp|tcp)")
# URL Standard, "forbidden domain code point"
_FORBIDDEN = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_HEX = re.compile(r"[0-9a-f]*")
# What may be shown of a URL that is none: something like a scheme, something like a host
_SHOWN_SCHEME = re.compile(r"[a-z]{1,6}", re.IGNORECASE)
_SHOWN_HOST = re.compile(r"\[[0-9a-f:.]{1,45}\]|[a-z0-9._-]{1,80}", re.IGNORECASE)
# URL Standard: removed before anything else is looked at
_STRIPPED = "".join(map(chr, range(0x21)))
_REMOVED = str.maketrans("", "", "\t\n\r")


@record(frozen=True, slots=True)
class ServerUrl:
    """The parts of one server URL.

    Attributes:
        scheme: "stun", "stuns", "turn" or "turns".
        host: a domain name (ASCII, lower case) or an IP address in its canonical form, IPv6 without brackets.
        port: 1..65535; the scheme's default when the URL has none.
        transport: "udp" or "tcp"; the scheme's default when the URL has none. ``stuns``, and ``turns`` over "udp",
            mean DTLS (RFC 7350).
        url: the URL as it was given, for events and statistics.
    """

    scheme: Scheme
    host: str
    port: int
    transport: Transport
    url: str

    @property
    def is_turn(self) -> bool:
        """Whether it can relay."""
        return self.scheme in ("turn", "turns")

    @property
    def is_secure(self) -> bool:
        """Whether it is reached over TLS (or DTLS)."""
        return self.scheme in ("stuns", "turns")

    def __str__(self) -> str:
        return self.url


@record(frozen=True, slots=True)
class IceServerEntry:
    """One URL of one configured server, with that server's credentials.

    Two entries are equal when URL and credentials are: that is what a difference of configurations compares.
    """

    url: ServerUrl
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@lru_cache(maxsize=1024)
def parse_server_url(url: str) -> ServerUrl:
    """Read one ICE server URL.

    Implements: webrtc-pc 4.4.1.6 "validate an ICE server URL", steps 1 to 6; RFC 7064 section 3.1, RFC 7065
    section 3.1. Step 3 (NotSupportedError for a scheme that is not implemented) has no case: all four are.

    Args:
        url: for example ``"turn:[2001:db8::1]:3478?transport=tcp"``.

    Returns:
        What the URL says.

    Raises:
        RTCSyntaxError: it is not such a URL. The message shows its scheme and host, and nothing that may be secret.
    """
    text = url.strip(_STRIPPED).translate(_REMOVED)
    match = _URL.fullmatch(text)
    if match is None:
        _refuse(url, "it does not begin with stun:, stuns:, turn: or turns:")
    scheme, rest = match[1].lower(), match[2]
    if scheme not in _SCHEMES:
        _refuse(url, "its scheme is none of stun, stuns, turn, turns")
    if "#" in rest:
        _refuse(url, "it has a fragment")
    path, mark, query = rest.partition("?")
    if path.startswith("/"):
        _refuse(url, f'no "//" stands after "{scheme}:"')
    if "@" in path:
        _refuse(url, "credentials do not belong into the URL, but into username and credential")
    if "/" in path or "\\" in path:
        _refuse(url, "it has a path")
    transport = _TRANSPORTS[scheme]
    if mark:
        if scheme in ("stun", "stuns"):
            _refuse(url, f"a {scheme}: URL has no query, also no ?transport=")
        chosen = _TRANSPORT.fullmatch(query)
        if chosen is None:
            _refuse(url, "the query can be ?transport=udp or ?transport=tcp, nothing else")
        transport = cast("Transport", chosen[1])
    host, port = _host_and_port(url, path)
    return ServerUrl(cast("Scheme", scheme), host, port or _PORTS[scheme], transport, text)


def _host_and_port(url: str, path: str) -> tuple[str, int | None]:
    match = _HOST_PORT.fullmatch(path)
    if match is None:
        _refuse(
            url,
            "after the scheme comes a host, perhaps a colon and a port (an IPv6 address stands in brackets)",
        )
    digits = match[2]
    port = None
    if digits:
        digits = digits.lstrip("0")  # int() takes no more than 4,300
        port = int(digits or "0") if len(digits) <= 5 else 65536
        if not 1 <= port <= 65535:  # 0 is in the grammar, but no server can be reached there
            _refuse(url, "the port is not in 1..65535")
    return _host(url, match[1]), port


def _host(url: str, text: str) -> str:
    """Implements: URL Standard, "host parsing" of a special URL."""
    if text.startswith("["):
        try:
            if "%" in text:  # ipaddress takes zone identifiers, URLs do not
                raise ValueError(text)
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            _refuse(url, "what stands in brackets is not an IPv6 address")
    if "%" in text or not text.isascii():
        text = _to_ascii(url, text)
    if not text:
        _refuse(url, "the host is empty")
    text = text.lower()
    if _FORBIDDEN.search(text):
        _refuse(url, "the host has a character that no host has")
    labels = text.removesuffix(".").split(".")
    if _is_number(labels[-1]):
        return _ipv4(url, labels)
    # RFC 1035 section 2.3.4: the URL Standard lets longer ones pass, no resolver does
    if len(text.removesuffix(".")) > 253 or any(not 0 < len(label) < 64 for label in labels):
        _refuse(url, "the host is no domain name: a label has 1 to 63 characters, the name at most 253")
    return text


def _to_ascii(url: str, text: str) -> str:
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
        if decoded.isascii():
            return decoded
        return decoded.encode("idna").decode("ascii")
    except UnicodeError:
        _refuse(url, "the host is not a valid international domain name")


def _is_number(label: str) -> bool:
    return label.isdigit() or (label.startswith("0x") and _HEX.fullmatch(label, 2) is not None)


def _ipv4(url: str, parts: list[str]) -> str:
    """Implements: URL Standard, "IPv4 parser": one to four numbers, the last fills what is left."""
    try:
        numbers = [_number(part) for part in parts]
        if len(numbers) > 4 or any(n > 255 for n in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
            raise ValueError(parts)
    except ValueError:
        _refuse(url, "the host looks like an IPv4 address, but is none")
    value = numbers[-1] + sum(n << 8 * (3 - i) for i, n in enumerate(numbers[:-1]))
    return str(ipaddress.IPv4Address(value))


def _number(part: str) -> int:
    base = 16 if part.startswith("0x") else 8 if part.startswith("0") else 10
    digits = part.removeprefix("0x").lstrip("0")
    # int() takes signs and underscores, and no more than 4,300 digits; 32 bits have 11 at most
    if len(digits) > 11 or _HEX.fullmatch(digits) is None:
        raise ValueError(part)
    return int(digits or "0", base)


def shown_url(url: str) -> str:
    """A URL as messages and ``repr()`` may show it: whole when it is valid, else its scheme and host alone.

    What is malformed may have a password anywhere: in a user part, in the query, before a colon that is missing.
    """
    try:
        return parse_server_url(url).url
    except RTCSyntaxError:
        return _scheme_and_host(url)


def _scheme_and_host(url: str) -> str:
    scheme, colon, rest = url.strip(_STRIPPED).translate(_REMOVED)[:1000].partition(":")
    if not colon or _SHOWN_SCHEME.fullmatch(scheme) is None:
        return "..."
    authority = re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0].rpartition("@")[2]
    host = _SHOWN_HOST.match(authority)
    return f"{scheme}:{host[0] if host is not None else '...'}"


def _refuse(url: str, reason: str) -> NoReturn:
    raise RTCSyntaxError(f"{_scheme_and_host(url)!r} is not an ICE server URL: {reason}")
