"""TURN REST credentials: user name and password from a secret that is shared with the TURN server.

Owns: the arithmetic of draft-uberti-behave-turn-rest-00, which coturn calls ``use-auth-secret``. Never: I/O;
the secret is used and forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from rtcpeer.config.configuration import RTCIceServer, read_configuration

# seconds since 1970 of this century: ten digits; what stands before the colon in other services' names is no
# time
_TIMESTAMPED = re.compile(r"(\d{10})(?::.*)?", re.DOTALL)


def rest_credentials(
    secret: str | bytes, *, user: str = "", ttl: float = 86400.0, now: float | None = None
) -> tuple[str, str]:
    """Make a user name and a password that a TURN server with the same secret accepts until they expire.

    Args:
        secret: coturn's ``static-auth-secret``.
        user: becomes a part of the user name; for the server's logs and quotas.
        ttl: how long they are good for, in seconds.
        now: seconds since 1970; the present when None.

    Returns:
        (username, credential).

    Raises:
        ValueError: the secret is empty or `ttl` is not positive.
    """
    key = secret.encode() if isinstance(secret, str) else secret
    if not key:
        raise ValueError("the secret is empty")
    if not ttl > 0:
        raise ValueError(f"ttl must be positive, not {ttl!r}")
    expiry = int((time.time() if now is None else now) + ttl)
    username = f"{expiry}:{user}" if user else str(expiry)
    # SHA-1 is what the draft and every server use; as HMAC it is not broken
    digest = hmac.new(key, username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode("ascii")


def rest_ice_server(
    urls: str | Sequence[str],
    secret: str | bytes,
    *,
    user: str = "",
    ttl: float = 86400.0,
    now: float | None = None,
) -> RTCIceServer:
    """An `RTCIceServer` with fresh REST credentials; see `rest_credentials`.

    Raises:
        RTCSyntaxError: a URL is malformed.
    """
    username, credential = rest_credentials(secret, user=user, ttl=ttl, now=now)
    server = {"urls": urls, "username": username, "credential": credential}
    return read_configuration({"iceServers": [server]}).iceServers[0]


def expiry_of(username: str | None) -> float | None:
    """When a REST user name expires, in seconds since 1970; None when it is not of that form."""
    match = _TIMESTAMPED.fullmatch(username or "")
    return float(match[1]) if match else None
