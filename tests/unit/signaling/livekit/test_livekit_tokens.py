"""LiveKit access tokens."""

from __future__ import annotations

import time

import jwt
import pytest

from rtcpeer.signaling.livekit.tokens import Grants, TokenError, check_token, identity_of, make_token

SECRET = "a secret of at least thirty-two bytes"
KEYS = {"key": SECRET}


def test_round_trip() -> None:
    grants = Grants("bot", "lobby", "Bot", "{}", {"role": "ear"}, can_publish=False)
    token = make_token("key", SECRET, grants)
    assert check_token(token, KEYS) == grants
    assert identity_of(token) == "bot"


@pytest.mark.parametrize(
    ("claims", "secret", "algorithm"),
    [
        ({}, SECRET + "x", "HS256"),
        ({"iss": "other"}, SECRET, "HS256"),
        ({"iss": ""}, SECRET, "HS256"),
        ({"exp": 1}, SECRET, "HS256"),
        ({"nbf": 4_000_000_000}, SECRET, "HS256"),
        ({}, "", "none"),
        ({"video": {"room": "lobby"}}, SECRET, "HS256"),
        ({"video": {"roomJoin": True}}, SECRET, "HS256"),
        ({"video": [1]}, SECRET, "HS256"),
        ({"sub": ""}, SECRET, "HS256"),
    ],
)
def test_refused(claims: dict[str, object], secret: str, algorithm: str) -> None:
    whole = {
        "iss": "key",
        "sub": "bot",
        "exp": int(time.time()) + 60,
        "video": {"roomJoin": True, "room": "lobby"},
    }
    token = jwt.encode({**whole, **claims}, secret, algorithm=algorithm)
    with pytest.raises(TokenError) as caught:
        check_token(token, KEYS)
    assert token not in str(caught.value)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "." * 4000])
def test_no_token(text: str) -> None:
    assert identity_of(text) is None
    with pytest.raises(TokenError):
        check_token(text, KEYS)
