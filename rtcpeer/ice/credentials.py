"""Fresh ICE credentials (RFC 8445 5.3: at least 24 and 128 bits of randomness)."""

from __future__ import annotations

import secrets

from rtcpeer.values import IceParameters

_ICE_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def random_ice_string(length: int) -> str:
    """A string of ice-chars (RFC 8839 5.4), six random bits each."""
    bits = secrets.randbits(6 * length)
    return "".join(_ICE_CHARS[bits >> (6 * i) & 63] for i in range(length))


def new_credentials() -> IceParameters:
    """Credentials for one generation of one transport: 48 bits of name, 144 bits of password."""
    return IceParameters(ufrag=random_ice_string(8), pwd=random_ice_string(24))
