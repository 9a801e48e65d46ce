import base64
import hashlib
import hmac

import pytest

from rtcpeer.config.rest import expiry_of, rest_credentials, rest_ice_server
from rtcpeer.errors import RTCSyntaxError


def test_credentials_are_what_the_server_computes() -> None:
    username, credential = rest_credentials("north", user="alice", ttl=3600, now=1_700_000_000.9)
    assert username == "1700003600:alice"
    assert (
        credential == base64.b64encode(hmac.new(b"north", username.encode(), hashlib.sha1).digest()).decode()
    )
    assert rest_credentials(b"north", user="alice", ttl=3600, now=1_700_000_000.9) == (username, credential)


def test_a_known_answer() -> None:
    # printf 1433895918:ninefingers | openssl dgst -sha1 -hmac logen -binary | base64
    assert rest_credentials("logen", user="ninefingers", ttl=18, now=1433895900) == (
        "1433895918:ninefingers",
        "HY+Vd729N0UZ/xCzjg1F0GsoMK8=",
    )


def test_without_user_and_now() -> None:
    username, _ = rest_credentials("north")
    assert ":" not in username
    assert expiry_of(username) is not None


@pytest.mark.parametrize(("secret", "ttl"), [("", 1), (b"", 1), ("x", 0), ("x", -1), ("x", float("nan"))])
def test_bad_arguments(secret: str, ttl: float) -> None:
    with pytest.raises(ValueError):
        rest_credentials(secret, ttl=ttl)


def test_ice_server() -> None:
    server = rest_ice_server(
        ["turn:t.example", "turns:t.example"], "north", user="x", ttl=1, now=1_700_000_000
    )
    assert server.urls == ["turn:t.example", "turns:t.example"]
    assert (server.username, server.credential) == rest_credentials(
        "north", user="x", ttl=1, now=1_700_000_000
    )
    with pytest.raises(RTCSyntaxError):
        rest_ice_server("http://t.example", "north")


@pytest.mark.parametrize(
    ("username", "expiry"),
    [
        ("1700003600:alice", 1700003600.0),
        ("1700003600", 1700003600.0),
        ("1700003600:a:b", 1700003600.0),
        ("alice:1700003600", None),
        ("170000360:alice", None),
        ("user", None),
        ("", None),
        (None, None),
    ],
)
def test_expiry_of(username: str | None, expiry: float | None) -> None:
    assert expiry_of(username) == expiry
