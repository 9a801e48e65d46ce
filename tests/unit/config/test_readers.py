import json
from typing import Any

import pytest

from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.readers import (
    IceServerGrant,
    read_cloudflare,
    read_ice_servers,
    read_kinesis_video,
    read_link_headers,
    read_rest,
    read_twilio,
)
from rtcpeer.errors import RTCSyntaxError

TWILIO = {
    "username": "f00",
    "ice_servers": [
        {"url": "stun:global.stun.example:3478", "urls": "stun:global.stun.example:3478"},
        {
            "url": "turn:global.turn.example:3478?transport=udp",
            "username": "f00",
            "urls": "turn:global.turn.example:3478?transport=udp",
            "credential": "hunter2",
        },
        {"url": "turn:global.turn.example:443?transport=tcp", "username": "f00", "credential": "hunter2"},
    ],
    "date_updated": "Fri, 01 May 2020 01:42:57 +0000",
    "account_sid": "AC",
    "ttl": "86400",
    "date_created": "Fri, 01 May 2020 01:42:57 +0000",
    "password": "hunter2",
}
CLOUDFLARE = {
    "iceServers": {
        "urls": [
            "stun:stun.cloud.example:3478",
            "turn:turn.cloud.example:3478?transport=udp",
            "turns:turn.cloud.example:5349?transport=tcp",
        ],
        "username": "bc91",
        "credential": "hunter2",
    }
}
KINESIS = {
    "IceServerList": [
        {
            "Password": "hunter2",
            "Ttl": 300,
            "Uris": [
                "turn:1-2-3-4.kinesis.example:443?transport=udp",
                "turns:1-2-3-4.kinesis.example:443?transport=udp",
                "turns:1-2-3-4.kinesis.example:443?transport=tcp",
            ],
            "Username": "1716123456:djE6YXJu",
        },
        {"Password": "hunter2", "Ttl": 299, "Uris": ["turn:5.example"], "Username": "u"},
    ]
}
REST = {
    "username": "12334939:mbzrxpgjys",
    "password": "hunter2",
    "ttl": 86400,
    "uris": ["turn:1.2.3.4:9991?transport=udp"],
}


def test_twilio() -> None:
    assert read_twilio(json.dumps(TWILIO)) == IceServerGrant(
        (
            RTCIceServer(["stun:global.stun.example:3478"]),
            RTCIceServer(["turn:global.turn.example:3478?transport=udp"], "f00", "hunter2"),
            RTCIceServer(["turn:global.turn.example:443?transport=tcp"], "f00", "hunter2"),
        ),
        86400,
    )


def test_cloudflare_one_object_or_a_list() -> None:
    server = RTCIceServer(CLOUDFLARE["iceServers"]["urls"], "bc91", "hunter2")  # type: ignore[arg-type]
    assert read_cloudflare(CLOUDFLARE) == IceServerGrant((server,), None)
    listed = {
        "iceServers": [{"urls": ["stun:stun.cloud.example"]}, CLOUDFLARE["iceServers"]],
        "lifetimeDuration": "60s",
    }
    assert read_cloudflare(json.dumps(listed).encode()) == IceServerGrant(
        (RTCIceServer(["stun:stun.cloud.example"]), server), 60
    )


def test_kinesis_video_takes_the_shortest_life() -> None:
    grant = read_kinesis_video(KINESIS)
    assert grant.ttl == 299
    assert [server.urls for server in grant.servers] == [entry["Uris"] for entry in KINESIS["IceServerList"]]
    assert grant.servers[0].username == "1716123456:djE6YXJu"
    assert grant.servers[0].credential == "hunter2"
    assert read_kinesis_video({"IceServerList": []}) == IceServerGrant(())


def test_rest() -> None:
    server = RTCIceServer(["turn:1.2.3.4:9991?transport=udp"], "12334939:mbzrxpgjys", "hunter2")
    assert read_rest(REST) == IceServerGrant((server,), 86400)


@pytest.mark.parametrize("document", [TWILIO, CLOUDFLARE, KINESIS, REST, [{"urls": "stun:a.example"}]])
def test_any(document: Any) -> None:
    from_text = read_ice_servers(json.dumps(document))
    assert from_text.servers
    assert from_text == read_ice_servers(document)
    assert "hunter2" not in repr(from_text)


@pytest.mark.parametrize(
    ("headers", "servers"),
    [
        ("", []),
        ([], []),
        ('<stun:stun.example.net>; rel="ice-server"', [RTCIceServer(["stun:stun.example.net"])]),
        (
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="hunter2"; '
            'credential-type="password"',
            [RTCIceServer(["turn:turn.example.net?transport=udp"], "user", "hunter2")],
        ),
        (
            [
                '<stun:a.example>;rel=ice-server, <https://example.org/next>; rel=next; title="a, b" ,'
                '<turns:b.example>;REL="x ice-server" ; username="a\\"b;c,d";credential=""',
                '<https://example.org/ext>; rel="urn:ietf:params:whip:ext:core:server-sent-events"',
                ", <stun:c.example> ; rel=ice-server; flag; rel=other; ",
            ],
            [
                RTCIceServer(["stun:a.example"]),
                RTCIceServer(["turns:b.example"], 'a"b;c,d', ""),
                RTCIceServer(["stun:c.example"]),
            ],
        ),
    ],
)
def test_link_headers(headers: Any, servers: list[RTCIceServer]) -> None:
    assert read_link_headers(headers) == IceServerGrant(tuple(servers))


@pytest.mark.parametrize(
    "headers",
    [
        "nonsense",
        "<stun:a.example; rel=ice-server",
        "<stun:a.example> rel=ice-server",
        '<stun:a.example>; rel="ice-server',
        "<http://a.example>; rel=ice-server",
        "<turn:a.example>; rel=ice-server",
        "<turn:a.example>; rel=ice-server; username=u; credential=hunter2; credential-type=oauth",
        ["<stun:a.example>; rel=ice-server"] * 100_000,
        ["<stun:a.example>; rel=ice-server"] * 2_000,
        "<a>," * 240_000 + "x",
    ],
)
def test_bad_link_headers(headers: Any) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        read_link_headers(headers)
    assert caught.value.fault == "remote"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        b"\xff\xfe",
        "[" * 100_000,
        "null",
        "5",
        '"stun:a.example"',
        "{}",
        None,
        5,
        {"ice_servers": None},
        {"ice_servers": {}},
        {"ice_servers": "stun:a.example"},
        {"ice_servers": [None]},
        {"ice_servers": ["stun:a.example"]},
        {"ice_servers": [{}]},
        {"iceServers": None},
        {"iceServers": [{"urls": None}]},
        {"iceServers": [{"urls": "https://a.example"}]},
        {"iceServers": [{"urls": "turn:a.example", "username": "u"}]},
        {"iceServers": [{"urls": "turn:a.example", "username": "u", "credential": 5}]},
        {"iceServers": [{"urls": "stun:a.example"}] * 1001},
        {"iceServers": [], "ttl": "soon"},
        {"iceServers": [], "ttl": True},
        {"iceServers": [], "ttl": []},
        {"iceServers": [], "ttl": "inf"},
        {"iceServers": [], "ttl": 10**400},
        {"IceServerList": [5]},
        {"IceServerList": [{}]},
        {"uris": None, "username": "u", "password": "hunter2"},
        {"uris": ["turn:user:hunter2@a.example"], "username": "u", "password": "hunter2"},
        "x" * 1_000_001,
    ],
)
def test_rubbish(document: Any) -> None:
    with pytest.raises(RTCSyntaxError) as caught:
        read_ice_servers(document)
    assert caught.value.fault == "remote"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("reader", [read_twilio, read_cloudflare, read_kinesis_video, read_rest])
@pytest.mark.parametrize("document", ["[]", "{}", "x"])
def test_each_reader_refuses_other_documents(reader: Any, document: str) -> None:
    with pytest.raises(RTCSyntaxError):
        reader(document)


ODD: list[Any] = [
    None,
    5,
    ["turn:a.example"],
    "stun:a.example:5349?transport=udp",
    "turnq:a.example",
    "turn:a.example?transport=sctp",
    "turn://a.example",
]


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_url_costs_itself_alone_and_is_reported(odd: Any) -> None:
    good = "turn:b.example?transport=tcp"
    server = {"urls": [odd, good], "username": "u", "credential": "hunter2"}
    grant = read_cloudflare({"iceServers": [server]})
    assert [s.urls for s in grant.servers] == [[good]]
    (sentence,) = grant.dropped
    assert ("is not an ICE server URL" if isinstance(odd, str) else "is no text") in sentence
    assert "hunter2" not in sentence
    rest = read_rest({"uris": [good, odd], "username": "u", "password": "p", "ttl": 60})
    assert [s.urls for s in rest.servers] == [[good]]
    assert len(rest.dropped) == 1


def test_a_server_without_a_usable_url_or_with_something_missing_is_dropped_beside_good_ones() -> None:
    servers = [
        {"urls": "stun:a.example?transport=udp"},
        {"urls": ["turn:b.example"], "username": "u"},
        {"urls": "stun:c.example"},
    ]
    grant = read_cloudflare({"iceServers": servers})
    assert [s.urls for s in grant.servers] == [["stun:c.example"]]
    assert len(grant.dropped) == 2
    assert "server 1: turn:b.example needs a credential" in grant.dropped[1]


def test_an_answer_without_any_usable_server_is_none() -> None:
    with pytest.raises(RTCSyntaxError, match="its scheme is none of"):
        read_cloudflare({"iceServers": [{"urls": ["turnq:a.example"]}]})
    assert read_cloudflare({"iceServers": []}).servers == ()
