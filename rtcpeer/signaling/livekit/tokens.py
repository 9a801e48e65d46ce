"""LiveKit access tokens: JSON Web Tokens signed with the secret of an API key (HS256).

Owns: making one and checking one. Never: a log or an error that contains one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import jwt

from rtcpeer.records import record

# How much longer than it says a token is accepted, in seconds: clocks differ.
LEEWAY = 10.0


@record(frozen=True, slots=True)
class Grants:
    """The rights that a token gives to its bearer.

    Attributes:
        identity: unique in a room.
        room: which room may be joined.
        name: shown to others.
        metadata: text, shown to others.
        attributes: texts by name, shown to others.
        can_publish, can_subscribe, can_publish_data, can_update_metadata: what is allowed.
        hidden: whether the others are not to know of it.
        kind: "standard", "agent", "ingress", "egress" or "sip".
    """

    identity: str
    room: str
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_update_metadata: bool = True
    hidden: bool = False
    kind: str = "standard"


class TokenError(ValueError):
    """A token is not valid; the message says why and never contains it."""


def make_token(key: str, secret: str, grants: Grants, *, ttl: float = 6 * 3600.0) -> str:
    """An access token.

    Args:
        key, secret: the API key and its secret.
        grants: what it says.
        ttl: how long it is valid, in seconds.
    """
    now = int(time.time())
    claims = {
        "iss": key,
        "sub": grants.identity,
        "nbf": now,
        "exp": int(now + ttl),
        "name": grants.name,
        "metadata": grants.metadata,
        "attributes": dict(grants.attributes),
        "kind": grants.kind,
        "video": {
            "roomJoin": True,
            "room": grants.room,
            "canPublish": grants.can_publish,
            "canSubscribe": grants.can_subscribe,
            "canPublishData": grants.can_publish_data,
            "canUpdateOwnMetadata": grants.can_update_metadata,
            "hidden": grants.hidden,
        },
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def check_token(token: str, keys: Mapping[str, str]) -> Grants:
    """Verify a token; gives the rights in it.

    Args:
        token: as it came from the network.
        keys: the secret of each API key.

    Raises:
        TokenError: it is not signed by one of the keys, is too old or too new, or grants no room.
    """
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        secret = keys.get(issuer) if isinstance(issuer, str) else None
        if secret is None:
            raise TokenError("the token's API key is unknown")
        claims = jwt.decode(
            token, secret, algorithms=["HS256"], leeway=LEEWAY, options={"require": ["exp", "iss", "sub"]}
        )
    except jwt.PyJWTError as error:
        raise TokenError(f"the token is not valid: {type(error).__name__}") from None
    return _grants(claims)


def identity_of(token: str) -> str | None:
    """The identity that a token names, not checked; None when it is no token."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    return _text(claims, "sub") or None


def _grants(claims: dict[str, Any]) -> Grants:
    video = claims.get("video")
    if not isinstance(video, dict) or video.get("roomJoin") is not True:
        raise TokenError("the token does not allow to join a room")
    room, identity = _text(video, "room"), _text(claims, "sub")
    if not room or not identity:
        raise TokenError("the token names no room or no identity")
    attributes = claims.get("attributes")
    pairs = attributes.items() if isinstance(attributes, dict) else ()
    return Grants(
        identity=identity,
        room=room,
        name=_text(claims, "name"),
        metadata=_text(claims, "metadata"),
        attributes={str(key): str(value) for key, value in pairs},
        can_publish=video.get("canPublish") is not False,
        can_subscribe=video.get("canSubscribe") is not False,
        can_publish_data=video.get("canPublishData") is not False,
        can_update_metadata=video.get("canUpdateOwnMetadata") is not False,
        hidden=video.get("hidden") is True,
        kind=_text(claims, "kind") or "standard",
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""
