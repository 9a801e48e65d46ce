"""Tokens of members: signed statements of who somebody is in which room, that any node with the secret verifies. Pure.

Owns: the form of a token. Never: a clock, a table of tokens: a token is worth something only as long as the
backend knows the member.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final

from rtcpeer.records import record

_SIGNATURE: Final = 32


@record(frozen=True, slots=True)
class Identity:
    """The member that a token stands for.

    Attributes:
        id: of the member.
        room: that it is in.
        user: what `authorize` has said who it is; None where there is none.
    """

    id: str
    room: str
    user: str | None = None


def sign_token(secret: bytes, identity: Identity) -> str:
    """A token: signature and statement, as base64url."""
    body = json.dumps([identity.id, identity.room, identity.user], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(secret, body) + body).decode().rstrip("=")


def read_token_untrusted(secret: bytes, token: str) -> Identity | None:
    """Read a token; None if it is none of ours. The signature is compared in constant time."""
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        return None
    signature, body = data[:_SIGNATURE], data[_SIGNATURE:]
    if not hmac.compare_digest(signature, _sign(secret, body)):
        return None
    member, room, user = json.loads(body)  # ours, since the signature is
    return Identity(member, room, user)


def _sign(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, b"rtcpeer room member\0" + body, hashlib.sha256).digest()
