from typing import Any

import pytest

from rtcpeer import InvalidAccessError, RTCSyntaxError
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.diagram import state_diagram
from rtcpeer.supervisor.policy import TRANSITIONS
from rtcpeer.supervisor.servers import Rotation, needs_restart, replace_servers
from rtcpeer.supervisor.session import ServerList, Session
from tests.unit.config.virtual import virtual
from tests.unit.signaling.fakes import FakePC

A = {"urls": "stun:a.example"}
TURN = {"urls": "turn:t.example", "username": "u", "credential": "hunter2"}


def test_edits_are_checked_and_done_whole() -> None:
    servers = ServerList([A])
    servers.append(TURN)
    servers.insert(0, RTCIceServer("stun:b.example"))
    servers += [A]
    assert [s.urls for s in servers] == [
        ["stun:b.example"],
        ["stun:a.example"],
        ["turn:t.example"],
        ["stun:a.example"],
    ]
    before = list(servers)
    edits: list[Any] = [
        lambda: servers.append({"urls": "http://x"}),
        lambda: servers.append({"urls": "turn:t.example"}),
        lambda: servers.append(None),  # type: ignore[arg-type]
        lambda: servers.extend([A, {"urls": ""}]),
        lambda: servers.__setitem__(0, {"urls": []}),
        lambda: servers.__setitem__(slice(0, 2), [{"urls": []}]),
        lambda: servers.insert(0, {}),
    ]
    for edit in edits:
        with pytest.raises((TypeError, RTCSyntaxError, InvalidAccessError)):
            edit()
        assert servers == before
    servers[0] = A
    servers[1:3] = [TURN]
    del servers[-1]
    assert servers == ServerList([A, TURN])
    assert servers != [A]
    assert servers[1].username == "u"
    assert len(servers[:1]) == 1
    assert "hunter2" not in repr(servers)


@virtual
async def test_edits_apply_to_the_next_and_on_demand_to_the_living() -> None:
    session = Session(iceServers=[A], bundlePolicy="max-bundle")
    pc = FakePC(configuration=session.configuration)
    session.adopt(pc)
    peer = session.supervise(memory_pair()[0], polite=True, make_connection=lambda c: FakePC(configuration=c))
    idle = session.supervise(memory_pair()[0], polite=True, make_connection=lambda c: FakePC(configuration=c))
    await peer.start()
    session.iceServers = [TURN]  # type: ignore[assignment]
    assert pc.getConfiguration().iceServers[0].urls == ["stun:a.example"]
    assert session.configuration.iceServers[0].urls == ["turn:t.example"]
    assert session.configuration.bundlePolicy == "max-bundle"
    assert repr(session) == "<Session 1 servers, 3 connections>"
    assert session.apply() == 3
    assert session.apply() == 0
    for one in (pc, peer.pc, idle):
        assert one.getConfiguration().iceServers[0].urls == ["turn:t.example"]
    assert "restartIce" not in pc.calls
    session.iceServers[0].credential = "other"
    assert session.apply(restart=True) == 3
    assert pc.calls[-1] == "restartIce"
    session.iceServers[0].urls = "nonsense"  # in place, behind our back
    with pytest.raises(RTCSyntaxError):
        session.apply()
    assert pc.getConfiguration().iceServers[0].urls == ["turn:t.example"]
    pc.close()
    await peer.close()
    await idle.close()
    assert session.live == ()


class Local:
    def __init__(self, type: str, url: str | None) -> None:
        self.type = type
        self.url = url


class Pair:
    def __init__(self, local: Any) -> None:
        self.local = local


@virtual
async def test_what_needs_a_restart() -> None:
    pc = FakePC(configuration={"iceServers": [A, TURN]})
    change = replace_servers(pc, [RTCIceServer("stun:a.example"), RTCIceServer("turn:t.example", "u", "new")])
    assert change.restart_required
    assert not needs_restart(pc, change)
    for local, needed in [
        (Local("host", None), False),
        (Local("srflx", "stun:a.example"), False),
        (Local("relay", "turn:t.example"), True),
        (Local("relay", "turn:other.example"), False),
        (Local("relay", None), True),
        (None, False),
    ]:
        pc.sctp.transport.getSelectedCandidatePair = lambda local=local: Pair(local)  # type: ignore[method-assign, misc]
        assert needs_restart(pc, change) is needed
    pc.close()


@virtual
async def test_rotation_of_a_plain_connection() -> None:
    import asyncio

    served = 0
    failures: list[Exception] = []

    def fetch() -> Any:
        nonlocal served
        served += 1
        if served == 2:
            raise OSError
        return IceServerGrant((RTCIceServer("turn:t.example", "u", f"p{served}"),), 1000)

    async with IceServerProvider(fetch) as provider:
        pc = FakePC(configuration={"iceServers": await provider.servers()})
        pc.sctp.transport.getSelectedCandidatePair = lambda: Pair(Local("relay", "turn:t.example"))  # type: ignore[method-assign]
        with Rotation(pc, provider, failures.append):
            await asyncio.sleep(600)
            assert pc.getConfiguration().iceServers[0].credential == "p3"
            assert pc.calls == ["setConfiguration", "restartIce"]
            assert [type(f) for f in failures] == [IceServersUnavailable]
            pc.close()
            await asyncio.sleep(600)
            assert not provider._subscriptions


def test_the_diagram_is_made_of_the_table() -> None:
    diagram = state_diagram()
    assert diagram.startswith("stateDiagram-v2")
    assert diagram.count("-->") == sum(map(len, TRANSITIONS.values())) + 2
