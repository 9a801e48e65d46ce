"""The servers of a supervised peer: in force, and taken away while the path may run over them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rtcpeer.config.configuration import read_configuration
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.supervisor.servers import Servers


def configuration(*names: str) -> Any:
    servers = [{"urls": f"turn:{name}.example", "username": "u", "credential": "c"} for name in names]
    return read_configuration({"iceServers": servers})


def grant(*names: str) -> IceServerGrant:
    return IceServerGrant(tuple(configuration(*names).iceServers), 60)


class Connection:
    """As much of one as is asked: its configuration, and a path over the relay of one server."""

    def __init__(self, relay: str, *names: str) -> None:
        local = SimpleNamespace(type="relay", url=f"turn:{relay}.example")
        ice = SimpleNamespace(getSelectedCandidatePair=lambda: SimpleNamespace(local=local))
        self.sctp = SimpleNamespace(transport=SimpleNamespace(iceTransport=ice))
        self.signalingState = "stable"
        self.configuration = configuration(*names)

    def getTransceivers(self) -> list[Any]:
        return []

    def getConfiguration(self) -> Any:
        return self.configuration

    def setConfiguration(self, new: Any) -> None:
        self.configuration = new


def urls(of: Any) -> list[str]:
    return [url for server in of.iceServers for url in server.urls]


def not_asked() -> bool:
    raise AssertionError("nobody needs to know")


async def test_without_a_provider_the_configuration_stays() -> None:
    servers = Servers(configuration("a"), None, lambda error: None)
    servers.subscribe(lambda grant: None)
    assert not await servers.fetch()
    assert urls(servers.newest()) == ["turn:a.example"]
    servers.close()


def test_a_path_over_a_server_that_is_gone_needs_a_restart_once() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("a"), None, lambda error: None)
    assert not servers.is_restart_due(pc, not_asked)
    servers.rotate(pc, grant("b"))
    assert urls(pc.configuration) == ["turn:b.example"]
    assert servers.is_restart_due(pc, not_asked)
    assert not servers.is_restart_due(pc, not_asked)


def test_a_path_over_another_server_needs_none() -> None:
    pc = Connection("a", "a", "b")
    servers = Servers(configuration("a", "b"), None, lambda error: None)
    servers.rotate(pc, grant("a", "c"))
    assert not servers.is_restart_due(pc, not_asked)


def test_two_rotations_in_a_row_are_measured_from_the_first() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("a"), None, lambda error: None)
    servers.rotate(pc, grant("b"))
    servers.rotate(pc, grant("c"))
    assert servers.is_restart_due(pc, not_asked)


def test_an_attempt_that_gathered_from_the_new_servers_has_served() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("a"), None, lambda error: None)
    servers.rotate(pc, grant("b"))
    servers.begin_attempt()
    assert not servers.is_restart_due(pc, lambda: True)


def test_an_attempt_that_is_not_negotiated_has_not() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("a"), None, lambda error: None)
    servers.rotate(pc, grant("b"))
    servers.begin_attempt()
    assert servers.is_restart_due(pc, lambda: False)


def test_a_new_connection_depends_on_nothing_older() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("a"), None, lambda error: None)
    servers.rotate(pc, grant("b"))
    servers.begin_connection()
    assert not servers.is_restart_due(pc, not_asked)


def test_a_closed_connection_is_left_alone() -> None:
    pc = Connection("a", "a")
    servers = Servers(configuration("b"), None, lambda error: None)
    pc.signalingState = "closed"
    servers.apply(pc)
    servers.apply(None)
    assert urls(pc.configuration) == ["turn:a.example"]
    pc.signalingState = "stable"
    servers.apply(pc)
    assert urls(pc.configuration) == ["turn:b.example"]
