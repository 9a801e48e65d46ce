"""From a URL to a service."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rtcpeer.calls import joining
from rtcpeer.calls.request import JoinRequest


def test_own_services_are_the_entry_points_of_the_package():
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())
    registered = project["project"]["entry-points"][joining.GROUP]
    assert {name: value for name, value in registered.items() if name in joining.OWN} == joining.OWN


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ws://example.org",
        "room://x",
        "nothing+ws://example.org/",
        "room+ftp://x/",
        "room+ws://?room=x",
        "room+ws:x",
    ],
)
def test_no_such_service(url):
    with pytest.raises(ValueError, match="names no"):
        joining.join(url)


def test_services_of_others(monkeypatch):
    point = EntryPoint("mine", "tests.unit.calls.fakes:FakeService", joining.GROUP)
    monkeypatch.setattr(joining, "entry_points", lambda group: [point])
    made = joining.join("MINE+wss://example.org/x?a=1", name="bot", token="secret", iceServers=[], depth=3)
    request = made._service.request
    assert (request.url, request.name, request.options) == ("wss://example.org/x?a=1", "bot", {"depth": 3})
    assert "secret" not in repr(request)


def test_unknown_options_and_rooms_without_name():
    with pytest.raises(TypeError, match="'colour'"):
        joining.join("room+ws://example.org/?room=x", colour=1)
    with pytest.raises(ValueError, match="room=NAME"):
        joining.join("room+ws://example.org/")


def test_members_of_the_query():
    request = JoinRequest("ws://h:1/p?room=a%20b&x=1&pin=#y")
    assert request.take("room", "pin") == ("ws://h:1/p?x=1", {"room": "a b", "pin": ""})
