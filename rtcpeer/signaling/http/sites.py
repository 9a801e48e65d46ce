"""The pages and host names that a server answers to. Pure.

Owns: that decision: no foreign name for a loopback address (DNS rebinding), no foreign page unless its origin
is allowed. Never: a request of a particular framework.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def hosts_for(host: str, hosts: Collection[str] | None) -> Collection[str] | None:
    """The names a server answers to: what the caller says, else loopback's for a server on loopback; None: any."""
    return LOOPBACK if hosts is None and host in LOOPBACK else hosts


def refuse_site(
    host: str, origin: str | None, *, hosts: Collection[str] | None, origins: Collection[str]
) -> str | None:
    """Why a request is refused.

    Args:
        host: the value of its Host field.
        origin: of its Origin field; None where it has none, as from programs that are no browsers.
        hosts: the names that the server answers to; None: any.
        origins: allowed besides pages of the same host; "*": any.

    Returns:
        A reason for people, or None: it is not refused.
    """
    try:
        name = urlsplit(f"//{host}").hostname
        allowed = origin is None or allows_origin(host, origin, origins)
    except ValueError:  # "[::1" and the like
        return "the Host or Origin of this request is malformed"
    if hosts is not None and name not in hosts:
        return "this server does not answer to that host name"
    return None if allowed else "pages of that origin may not use this server"


def allows_origin(host: str, origin: str, origins: Collection[str]) -> bool:
    """Whether pages of an origin may use a server: those of the same host, and those that are allowed.

    Raises:
        ValueError: the origin is malformed.
    """
    if "*" in origins or origin in origins:
        return True
    source = urlsplit(origin)
    return source.scheme in ("http", "https") and source.netloc == host
