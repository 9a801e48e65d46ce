"""Header fields of HTTP signaling, read and written: ETag, If-Match, Link, Retry-After, Authorization. Pure.

Owns: the text of these fields (RFC 9110, RFC 8288, RFC 6750). Never: I/O, a clock.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.readers import read_link_headers
from rtcpeer.errors import RtcPeerError

#: Longer waits than this, in seconds, are not obeyed: nobody would still be there.
MAX_WAIT: Final = 3600.0

_ETAG = re.compile(r'\s*(?:W/)?("(?:[\x21\x23-\x7e\x80-\xff])*"|[^\s,"]+)\s*(?:,|$)')
_BARE_LINK = re.compile(r"(^|,)\s*((?:stun|turn)s?:[^\s;,<>\"]+)", re.IGNORECASE)


def matches(if_match: str, etag: str) -> bool:
    """Whether an If-Match field names this entity tag (RFC 9110 section 13.1.1), or any.

    Args:
        if_match: the value of the field. ``*`` names any; so does ``"*"``, which some clients send.
        etag: the tag in force, with its quotes.
    """
    if if_match.strip() in ("*", '"*"'):
        return True
    position = 0
    while found := _ETAG.match(if_match, position):
        if found[1].strip('"') == etag.strip('"') and not found[0].lstrip().startswith("W/"):
            return True
        position = found.end()
    return False


def is_any(if_match: str) -> bool:
    """Whether an If-Match field asks for a restart of ICE: ``*``, or ``"*"``."""
    return if_match.strip() in ("*", '"*"')


def read_ice_servers_untrusted(links: Iterable[str]) -> list[RTCIceServer]:
    """The ICE servers of Link fields; URLs without brackets, which some services send, are taken too.

    Returns:
        The servers; none when the fields cannot be read: recommended servers are no condition for a session.
    """
    values = list(links)
    for text in (values, [_BARE_LINK.sub(r"\1 <\2>", value) for value in values]):
        try:
            return list(read_link_headers(text).servers)
        except (RtcPeerError, ValueError, TypeError):
            continue
    return []


def write_ice_servers(servers: Iterable[RTCIceServer]) -> list[str]:
    """Link fields for ICE servers, one for each URL (RFC 9725 section 4.6)."""
    fields = []
    for server in servers:
        urls = [server.urls] if isinstance(server.urls, str) else list(server.urls)
        for url in urls:
            field = f'<{url}>; rel="ice-server"'
            if server.username is not None and server.credential is not None:
                field += f'; username="{_quoted(server.username)}"; credential="{_quoted(server.credential)}"'
                field += '; credential-type="password"'
            fields.append(field)
    return fields


def _quoted(value: str) -> str:
    clean = "".join(character for character in value if character.isprintable())
    return clean.replace("\\", "\\\\").replace('"', '\\"')


def read_retry_after_untrusted(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After field asks for (RFC 9110 section 10.2.3), at most an hour; None: it says nothing.

    Args:
        value: the field: a number of seconds or a date.
        now: the time to count a date from; by default that of the system.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,6})?", text):
        return min(float(text), MAX_WAIT)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year or a zone of twenty digits is the latter
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_WAIT)


def read_bearer(authorization: str | None) -> str | None:
    """The token of an Authorization field (RFC 6750 section 2.1); None when it has none."""
    found = re.fullmatch(r"[Bb]earer +([A-Za-z0-9\-._~+/]{1,8192}=*)\s*", authorization or "")
    return found[1] if found else None


def same_token(first: str | None, second: str | None) -> bool:
    """Whether two tokens are equal, compared in constant time."""
    return hmac.compare_digest((first or "").encode(), (second or "").encode())
