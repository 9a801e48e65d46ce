import dataclasses
import enum
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rtcpeer.config.configuration import (
    RTCConfiguration,
    RTCIceServer,
    check_certificates,
    copy_configuration,
    read_configuration,
)
from rtcpeer.errors import InvalidAccessError, NotSupportedError, RTCSyntaxError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Certificate:
    def __init__(self, expires: Any) -> None:
        self.expires = expires

    def getFingerprints(self) -> list[Any]:
        return []


TURN = {"urls": "turn:turn.example.org", "username": "user", "credential": "hunter2"}


@pytest.mark.parametrize(
    "value", [None, {}, RTCConfiguration(), {"iceTransports": "relay", "sdpSemantics": 1}]
)
def test_defaults(value: Any) -> None:
    configuration = read_configuration(value)
    assert configuration == RTCConfiguration()
    assert configuration.iceServers == []
    assert configuration.iceTransportPolicy == "all"
    assert configuration.bundlePolicy == "balanced"
    assert configuration.rtcpMuxPolicy == "require"
    assert configuration.certificates == []
    assert configuration.iceCandidatePoolSize == 0
    assert configuration.entries == ()


def test_mapping_dataclass_and_keywords_say_the_same() -> None:
    mapping = read_configuration({"iceServers": [TURN], "bundlePolicy": "max-bundle"})
    server = RTCIceServer("turn:turn.example.org", "user", "hunter2")
    assert read_configuration(RTCConfiguration(iceServers=[server], bundlePolicy="max-bundle")) == mapping
    assert read_configuration(iceServers=(server,), bundlePolicy="max-bundle") == mapping
    assert (
        read_configuration({"bundlePolicy": "max-compat", "iceServers": [server]}, bundlePolicy="max-bundle")
        == mapping
    )


def test_a_foreign_dataclass_and_enumeration_are_read() -> None:
    class Policy(enum.Enum):
        MAX_COMPAT = "max-compat"

    @dataclasses.dataclass
    class Server:
        urls: str
        username: str | None = None
        credential: str | None = None
        credentialType: str = "password"

    @dataclasses.dataclass
    class Configuration:
        iceServers: list[Server] | None = None
        bundlePolicy: Policy = Policy.MAX_COMPAT

    assert read_configuration(Configuration()) == RTCConfiguration(bundlePolicy="max-compat")
    read = read_configuration(Configuration([Server("stun:example.org")]))
    assert read.iceServers == [RTCIceServer(["stun:example.org"])]


def test_urls_become_lists_and_entries_keep_the_order() -> None:
    configuration = read_configuration(
        iceServers=[{"urls": ("stun:a.example", "stun:b.example")}, TURN, {"urls": "stun:a.example"}]
    )
    assert [server.urls for server in configuration.iceServers] == [
        ["stun:a.example", "stun:b.example"],
        ["turn:turn.example.org"],
        ["stun:a.example"],
    ]
    assert [entry.url.host for entry in configuration.entries] == [
        "a.example",
        "b.example",
        "turn.example.org",
        "a.example",
    ]
    assert [entry.credential for entry in configuration.entries] == [None, None, "hunter2", None]
    assert RTCConfiguration(iceServers=[RTCIceServer("stun:a.example")]).entries[0].url.host == "a.example"


def test_nothing_is_shared_with_the_argument() -> None:
    urls = ["stun:a.example"]
    given = RTCConfiguration(iceServers=[RTCIceServer(urls)])
    read = read_configuration(given)
    copy = copy_configuration(read)
    urls.append("nonsense")
    given.iceServers.append(RTCIceServer("stun:b.example"))
    assert read.iceServers == [RTCIceServer(["stun:a.example"])] == copy.iceServers
    copy.iceServers[0].urls.append("nonsense")  # type: ignore[union-attr]
    assert read.iceServers == [RTCIceServer(["stun:a.example"])]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, ["RTCConfiguration", "int"]),
        ("stun:example.org", ["RTCConfiguration", "str"]),
        ([], ["RTCConfiguration", "list"]),
        (RTCConfiguration, ["RTCConfiguration", "type"]),
        ({"iceServers": None}, ["iceServers", "None"]),
        (RTCConfiguration(iceServers=None), ["iceServers", "None"]),  # type: ignore[arg-type]
        ({"iceServers": "stun:example.org"}, ["iceServers", "str"]),
        ({"iceServers": {"urls": "stun:example.org"}}, ["iceServers", "dict"]),
        ({"iceServers": 5}, ["iceServers", "int"]),
        ({"iceServers": [None]}, ["iceServers[0]", "None"]),
        ({"iceServers": [TURN, {}]}, ["iceServers[1]", "urls", "required"]),
        ({"iceServers": ["stun:example.org"]}, ["iceServers[0]", "str"]),
        ({"iceServers": [{"urls": None}]}, ["iceServers[0].urls", "None"]),
        ({"iceServers": [{"urls": 5}]}, ["iceServers[0].urls", "int"]),
        ({"iceServers": [{"urls": ["stun:a.example", 5]}]}, ["iceServers[0].urls[1]", "int"]),
        ({"iceServers": [{"urls": b"stun:a.example"}]}, ["iceServers[0].urls", "bytes"]),
        ({"iceServers": [TURN | {"username": 5}]}, ["iceServers[0].username", "int"]),
        (
            {"iceServers": [TURN | {"credential": {"macKey": "hunter2"}}]},
            ["iceServers[0].credential", "dict"],
        ),
        ({"iceTransportPolicy": None}, ["iceTransportPolicy", "'all'", "'relay'", "None"]),
        ({"iceTransportPolicy": "none"}, ["iceTransportPolicy", "'all'", "'relay'", "'none'"]),
        ({"iceTransportPolicy": 1}, ["iceTransportPolicy", "1"]),
        ({"bundlePolicy": None}, ["bundlePolicy", "'balanced'", "'max-compat'", "'max-bundle'"]),
        ({"bundlePolicy": "invalid"}, ["bundlePolicy", "'invalid'"]),
        ({"rtcpMuxPolicy": "never"}, ["rtcpMuxPolicy", "'require'", "'never'"]),
        ({"rtcpMuxPolicy": None}, ["rtcpMuxPolicy", "'require'"]),
        ({"certificates": None}, ["certificates", "None"]),
        ({"certificates": [None]}, ["certificates[0]", "None"]),
        ({"certificates": ["x"]}, ["certificates[0]", "str"]),
        ({"iceCandidatePoolSize": -1}, ["iceCandidatePoolSize", "255", "-1"]),
        ({"iceCandidatePoolSize": 256}, ["iceCandidatePoolSize", "255", "256"]),
        ({"iceCandidatePoolSize": 1e300}, ["iceCandidatePoolSize"]),
        ({"iceCandidatePoolSize": float("nan")}, ["iceCandidatePoolSize", "nan"]),
        ({"iceCandidatePoolSize": None}, ["iceCandidatePoolSize", "None"]),
        ({"iceCandidatePoolSize": "1"}, ["iceCandidatePoolSize", "'1'"]),
        ({"iceCandidatePoolSize": True}, ["iceCandidatePoolSize", "True"]),
    ],
)
def test_wrong_types_name_the_member(value: Any, words: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        read_configuration(value)
    for word in words:
        assert word in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_rtcp_on_a_port_of_its_own_is_not_supported() -> None:
    with pytest.raises(NotSupportedError, match="negotiate"):
        read_configuration({"rtcpMuxPolicy": "negotiate"})


@pytest.mark.parametrize(("given", "read"), [(0, 0), (255, 255), (3.9, 3), (255.5, 255), (-0.5, 0)])
def test_pool_size_is_converted_as_webidl_does(given: Any, read: int) -> None:
    assert read_configuration(iceCandidatePoolSize=given).iceCandidatePoolSize == read


def test_many_servers() -> None:
    servers = [{"urls": f"stun:stun{i}.example.net"} for i in range(1000)]
    assert len(read_configuration(iceServers=servers).entries) == 1000


@pytest.mark.parametrize("urls", ["", [], ["stun:a.example", ""], "relative-url", "http://example.com"])
def test_syntax_errors(urls: Any) -> None:
    with pytest.raises(RTCSyntaxError):
        read_configuration(iceServers=[{"urls": urls}])


@pytest.mark.parametrize("scheme", ["turn", "turns"])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"username": "user"},
        {"credential": "hunter2"},
        {"username": None, "credential": "hunter2"},
        {"username": "u" * 509, "credential": "hunter2"},
        {"username": "\u00e9" * 255, "credential": "hunter2"},
        {"username": "a\nb", "credential": "hunter2"},
        {"username": "user", "credential": "hunter2\x00"},
        {"username": "user", "credential": "hunter2\x85"},
        {"username": "\ud800", "credential": "hunter2"},
    ],
)
def test_credentials_that_turn_cannot_use(scheme: str, members: dict[str, Any]) -> None:
    with pytest.raises(InvalidAccessError) as caught:
        read_configuration(iceServers=[{"urls": f"{scheme}:example.org", **members}])
    assert "hunter2" not in str(caught.value)
    # the same server is fine where no credential is needed
    read_configuration(iceServers=[{"urls": "stun:example.org", **members}])


@pytest.mark.parametrize("members", [("", ""), ("u" * 508, "p" * 5000), ("j\u00fcrgen", "p\u00e4ss wort")])
def test_credentials_that_turn_can_use(members: tuple[str, str]) -> None:
    read = read_configuration(iceServers=[RTCIceServer("turns:example.org", *members)])
    assert (read.iceServers[0].username, read.iceServers[0].credential) == members


def test_only_passwords() -> None:
    assert read_configuration(iceServers=[TURN | {"credentialType": "password"}]).entries
    with pytest.raises(NotSupportedError):
        read_configuration(iceServers=[TURN | {"credentialType": "oauth"}])


def test_reprs_show_no_credential() -> None:
    configuration = read_configuration(iceServers=[TURN])
    assert "hunter2" not in repr(configuration)
    assert "hunter2" not in repr(configuration.iceServers)
    assert "hunter2" not in str(configuration.entries)
    assert repr(RTCIceServer("stun:a.example")) == "RTCIceServer(urls='stun:a.example')"
    assert "user" in repr(configuration)
    assert repr(RTCConfiguration()) == "RTCConfiguration()"
    assert repr(read_configuration(bundlePolicy="max-bundle", iceCandidatePoolSize=1)) == (
        "RTCConfiguration(bundlePolicy=max-bundle, iceCandidatePoolSize=1)"
    )


@pytest.mark.parametrize(
    ("expires", "fine"),
    [
        (NOW + timedelta(seconds=1), True),
        (NOW - timedelta(seconds=1), False),
        ((NOW + timedelta(seconds=1)).replace(tzinfo=None), True),
        ((NOW - timedelta(seconds=1)).replace(tzinfo=None), False),
        (NOW.timestamp() * 1000 + 1, True),
        (int(NOW.timestamp() * 1000) - 1, False),
    ],
)
def test_expired_certificates(expires: Any, fine: bool) -> None:
    certificate = Certificate(expires)
    configuration = read_configuration(certificates=[certificate])
    assert configuration.certificates[0] is certificate
    if fine:
        check_certificates(configuration, NOW)
    else:
        with pytest.raises(InvalidAccessError, match="certificates\\[0\\]"):
            check_certificates(configuration, NOW)


def test_certificates_are_compared_with_the_present() -> None:
    check_certificates(RTCConfiguration(certificates=[Certificate(datetime.now(UTC) + timedelta(days=1))]))
