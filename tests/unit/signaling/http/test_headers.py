from datetime import UTC, datetime

import pytest

from rtcpeer.config.configuration import RTCIceServer, read_configuration
from rtcpeer.signaling.http.headers import (
    is_any,
    matches,
    read_bearer,
    read_ice_servers_untrusted,
    read_retry_after_untrusted,
    same_token,
    write_ice_servers,
)


@pytest.mark.parametrize(
    ("if_match", "fits"),
    [
        ('"abc"', True),
        ("*", True),
        ('"*"', True),
        (" * ", True),
        ('"x", "abc"', True),
        ("abc", True),  # some clients lose the quotes
        ('"ab"', False),
        ('W/"abc"', False),  # weak: RFC 9110 13.1.1 compares strongly
        ('"x", W/"abc"', False),
        ("", False),
        (",,,", False),
        ('"abc', False),
    ],
)
def test_if_match(if_match: str, fits: bool) -> None:
    assert matches(if_match, '"abc"') is fits
    assert is_any(if_match) is ("*" in if_match)


def test_ice_servers_there_and_back() -> None:
    servers = read_configuration(
        iceServers=[
            {"urls": "stun:stun.example.net"},
            {
                "urls": ["turn:turn.example.net?transport=udp", "turns:turn.example.net?transport=tcp"],
                "username": 'us"er',
                "credential": "p\\w",
            },
        ]
    ).iceServers
    fields = write_ice_servers(servers)
    assert fields[0] == '<stun:stun.example.net>; rel="ice-server"'
    assert len(fields) == 3
    read = read_ice_servers_untrusted(fields)
    urls = [
        url for server in read for url in ([server.urls] if isinstance(server.urls, str) else server.urls)
    ]
    assert urls == ["stun:stun.example.net", *servers[1].urls]
    assert (read[2].username, read[2].credential) == ('us"er', "p\\w")
    assert read_ice_servers_untrusted([", ".join(fields)]) == read


@pytest.mark.parametrize(
    "field",
    [
        'stun:stun.example.net; rel="ice-server"',
        'turn:t.example?transport=udp; rel="ice-server"; username="u"; credential="c"; credential-type="password"',
    ],
)
def test_links_without_brackets_are_taken(field: str) -> None:
    (server,) = read_ice_servers_untrusted([field])
    assert isinstance(server, RTCIceServer)


def test_unreadable_links_are_no_obstacle() -> None:
    assert read_ice_servers_untrusted(["<<<", "x"]) == []
    assert read_ice_servers_untrusted(['<https://example.net/>; rel="next"']) == []
    assert read_ice_servers_untrusted(['<turn:x>; rel="ice-server"']) == []  # no credentials


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("99999999", 3600.0),
        ("Mon, 30 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("3600.5", 3600.0),
        ("2.25", 2.25),
        ("1234567890", None),
        ("Mon, 30 Nov 2026 13:00:01 GMT", 3600.0),
        ("Mon, 30 Nov 2026 13:00:30 +0100", 30.0),
        ("Mon, 30 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 30 Nov 99999999999999999999 12:00:30 GMT", None),
        ("Mon, 30 Nov 2026 12:00:30 +99999999999999999999", None),
        ("Mon, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert read_retry_after_untrusted(value, datetime(2026, 11, 30, 12, tzinfo=UTC)) == seconds


def test_tokens() -> None:
    assert read_bearer("Bearer abc.def~1+/==") == "abc.def~1+/=="
    assert read_bearer("bearer x") == "x"
    for wrong in (None, "", "Basic abc", "Bearer ", "Bearer a b", "Bearer \x00"):
        assert read_bearer(wrong) is None
    assert same_token("a", "a")
    assert same_token(None, None)
    assert not same_token("a", None)
    assert not same_token("a", "é")


def test_no_field_is_injected_through_credentials() -> None:
    server = RTCIceServer("turn:turn.example.net", 'u\r\nX-Evil: 1\x00"', "p\nw")
    (field,) = write_ice_servers([server])
    assert field.isprintable()
    assert 'username="uX-Evil: 1\\""; credential="pw"; credential-type="password"' in field
    for server in (RTCIceServer("stun:stun.example.net"), RTCIceServer("stun:stun.example.net", "user")):
        assert write_ice_servers([server]) == ['<stun:stun.example.net>; rel="ice-server"']
