"""The state cookie of the association's set-up (RFC 9260 section 5.1.3).

Pure: the secret is an argument. The cookie holds what the other end's INIT said, so that nothing needs to be kept
before it comes back. It has no lifetime: its secret lives no longer than one DTLS association, whose other end is
authenticated, and an outage between INIT ACK and COOKIE ECHO may last.
"""

from __future__ import annotations

import hashlib
import hmac
from struct import Struct
from typing import Final

from rtcpeer.sctp.packets import Init

__all__ = ["read_cookie_untrusted", "write_cookie"]

_FIELDS: Final = Struct("!LLHHLBB")
_MAC_SIZE: Final = 16


def write_cookie(secret: bytes, init: Init) -> bytes:
    """The cookie for an end that has said this."""
    fields = _FIELDS.pack(
        init.tag, init.window, init.outbound, init.inbound, init.tsn, init.forward_tsn, init.reconfig
    )
    return fields + _mac(secret, fields)


def read_cookie_untrusted(secret: bytes, cookie: bytes) -> Init:
    """Read a cookie: the INIT of the other end.

    Raises:
        ValueError: the cookie is not one of ours.
    """
    fields = cookie[: _FIELDS.size]
    if len(fields) < _FIELDS.size or not hmac.compare_digest(cookie[_FIELDS.size :], _mac(secret, fields)):
        raise ValueError("a state cookie that is not ours")
    tag, window, outbound, inbound, tsn, forward_tsn, reconfig = _FIELDS.unpack(fields)
    return Init(tag, window, outbound, inbound, tsn, bool(forward_tsn), bool(reconfig))


def _mac(secret: bytes, fields: bytes) -> bytes:
    return hmac.digest(secret, fields, hashlib.sha256)[:_MAC_SIZE]
