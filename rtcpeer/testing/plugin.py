"""pytest fixtures: networks, time, servers and peers for tests of programs that use rtcpeer.

The fixtures are asynchronous and need pytest-asyncio, in whatever mode: a coroutine test that uses one of them is
marked as asyncio's. A test that asks for ``virtual_network`` runs in virtual time, and ``turn_server`` and
``peer_pair`` live on that network, and so does ``scripted_peer``; without it they use real sockets. Networks that are
hostile have fixtures of their own, by name: ``hotel_wifi``, ``symmetric_nat``, ``carrier_nat``, ``train``. The servers
that speak HTTP (``room_server``, ``whip_server``, ``whep_server``, ``livekit_server``) always use real sockets.

A test that fails says more: `explain()` of both ends of its peer pair, and which packets the network dropped.

Nothing of rtcpeer is imported before a fixture is used: this module is loaded by every pytest run of an
environment in which rtcpeer is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from rtcpeer.signaling.http.whip_server import WhepServer, WhipServer
    from rtcpeer.signaling.rooms.server import RoomServer
    from rtcpeer.testing.clock import VirtualClock
    from rtcpeer.testing.leaks import LeakCheck
    from rtcpeer.testing.livekit.server import LiveKitServer
    from rtcpeer.testing.net.network import VirtualNetwork
    from rtcpeer.testing.peers import PeerPair
    from rtcpeer.testing.scripted import ScriptedPeer
    from rtcpeer.testing.turn.server import TurnServer

F = TypeVar("F", bound=Callable[..., Any])

_failed: pytest.StashKey[bool] = pytest.StashKey()
# what is asked when the test fails: title -> text
_explanations: pytest.StashKey[dict[str, Callable[[], str]]] = pytest.StashKey()

# a plain function that uses one of the fixtures below
_plain: pytest.StashKey[str] = pytest.StashKey()

_HOSTILE = ("hotel_wifi", "symmetric_nat", "carrier_nat", "train")
# fixtures that live on the event loop of a test
_SERVERS = ("room_server", "whip_server", "whep_server", "livekit_server")
_ASYNC = frozenset(
    (
        "leak_check",
        "virtual_time",
        "virtual_network",
        "turn_server",
        "peer_pair",
        "scripted_peer",
        *_SERVERS,
        *_HOSTILE,
    )
)


def _async_fixture(function: F) -> F:
    try:
        import pytest_asyncio
    except ImportError:

        @pytest.fixture(name=function.__name__)
        def missing() -> None:
            pytest.fail(f"the fixture {function.__name__} needs pytest-asyncio", pytrace=False)

        return cast("F", missing)
    return cast("F", pytest_asyncio.fixture(function, loop_scope="function"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Remember whether the test has failed: what it left behind is no news then."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and report.when in ("setup", "call"):
        item.stash[_failed] = True
        for title, explain in item.stash.get(_explanations, {}).items():
            report.sections.append((title, explain()))


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, None]:
    """Mark coroutine tests that use our fixtures, before pytest-asyncio looks for its marker."""
    outcome = yield
    found = outcome.get_result()
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, pytest.Function) and (used := _ASYNC.intersection(item.fixturenames)):
            if inspect.iscoroutinefunction(inspect.unwrap(item.function)):
                item.add_marker("asyncio")
            else:
                item.stash[_plain] = sorted(used - {"leak_check"} or used)[0]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A plain function cannot use what lives on an event loop."""
    name = item.stash.get(_plain, None)
    if name is not None:
        pytest.fail(
            f"{item.name} uses {name}, which lives on an event loop: write `async def {item.name}`, "
            "or use rtcpeer.testing.run_virtual in a plain test",
            pytrace=False,
        )


def _explain_on_failure(request: pytest.FixtureRequest, title: str, explain: Callable[[], str]) -> None:
    request.node.stash.setdefault(_explanations, {})[title] = explain


def pytest_configure(config: pytest.Config) -> None:
    """Describe our marker."""
    config.addinivalue_line(
        "markers",
        "virtual_network(seed=0, delay=None, spare_dtls='handshake'): arguments of the fixture",
    )


@_async_fixture
async def leak_check(request: pytest.FixtureRequest) -> AsyncIterator[LeakCheck]:
    """After the test: no task, socket or thread is left, no exception went unseen."""
    from rtcpeer.testing.leaks import LeakCheck

    check = LeakCheck().start()
    yield check
    failed = request.node.stash.get(_failed, False)
    found = await (check.finish(0) if failed else check.finish())
    if found and not failed:
        pytest.fail("left behind:\n" + "\n".join(found), pytrace=False)


@_async_fixture
async def virtual_time(leak_check: LeakCheck) -> AsyncIterator[VirtualClock]:
    """The test's loop has virtual time: sleeping costs nothing."""
    from rtcpeer.testing.clock import VirtualClock

    with VirtualClock(asyncio.get_running_loop()) as clock:
        yield clock


@_async_fixture
async def virtual_network(
    request: pytest.FixtureRequest, leak_check: LeakCheck, virtual_time: VirtualClock
) -> AsyncIterator[VirtualNetwork]:
    """An empty `VirtualNetwork` on virtual time; sockets left open on it are leaks."""
    from rtcpeer.testing.net.network import VirtualNetwork
    from rtcpeer.testing.net.profiles import PROFILES

    marker = request.node.get_closest_marker("virtual_network")
    network = VirtualNetwork(**(marker.kwargs if marker is not None else {}))
    for name in _HOSTILE:
        if name in request.fixturenames:
            PROFILES[name](network)
    _explain_on_failure(request, "packets that the network dropped", lambda: _drops(network))
    yield network
    for socket in network.sockets:
        leak_check.report(f"a socket is left: {socket!r}")
    network.close()


def _drops(network: VirtualNetwork) -> str:
    return "\n".join(f"{count} x {reason}" for reason, count in network.drops.most_common()) or "none"


def _hostile(name: str) -> Any:
    async def fixture(virtual_network: VirtualNetwork) -> VirtualNetwork:
        return virtual_network

    fixture.__name__ = name
    fixture.__doc__ = f"The hostile network {name}: see `rtcpeer.testing.hostile_network`."
    return _async_fixture(fixture)


hotel_wifi, symmetric_nat, carrier_nat, train = (_hostile(_name) for _name in _HOSTILE)


@pytest.fixture
def network_of_test(request: pytest.FixtureRequest) -> VirtualNetwork | None:
    """The test's virtual network if it asks for one: the switch between virtual and real sockets."""
    if {"virtual_network", *_HOSTILE}.intersection(request.fixturenames):
        return cast("VirtualNetwork", request.getfixturevalue("virtual_network"))
    return None


@_async_fixture
async def turn_server(
    leak_check: LeakCheck, network_of_test: VirtualNetwork | None
) -> AsyncIterator[TurnServer]:
    """A STUN/TURN server (UDP, TCP, TLS) with the user "user", password "pass".

    On a virtual network it is the host "turn.example".
    """
    from rtcpeer.testing.turn.server import TurnServer

    options: dict[str, Any] = {}
    if network_of_test is not None:
        host = network_of_test.add_host("turn.example")
        options = {"network": host.network, "hostname": host.name}
    async with TurnServer(users={"user": "pass"}, transports=("udp", "tcp", "tls"), **options) as server:
        yield server


@_async_fixture
async def peer_pair(
    request: pytest.FixtureRequest, leak_check: LeakCheck, network_of_test: VirtualNetwork | None
) -> AsyncIterator[PeerPair]:
    """Two connections; on a virtual network they live on the hosts "alice" and "bob"."""
    from rtcpeer.testing.peers import PeerPair

    async with PeerPair(network=network_of_test) as pair:
        for name in ("offerer", "answerer"):
            connection = getattr(pair, name)
            _explain_on_failure(request, f"explain() of the {name}", partial(_findings, connection))
        yield pair


def _findings(connection: Any) -> str:
    return "\n".join(str(finding) for finding in connection.explain())


@_async_fixture
async def scripted_peer(
    request: pytest.FixtureRequest, leak_check: LeakCheck, network_of_test: VirtualNetwork | None
) -> AsyncIterator[ScriptedPeer]:
    """A caller that does what the test says; on a virtual network it lives on the host "caller".

    On a hostile network it is "bob", the end behind what the network is named for. Its program gets
    ``scripted_peer.signaling``.
    """
    from rtcpeer.testing.scripted import ScriptedPeer

    host = None
    if network_of_test is not None:
        host = network_of_test.hosts.get("bob") or network_of_test.add_host("caller")
    async with ScriptedPeer(host=host) as peer:
        _explain_on_failure(request, "explain() of the scripted peer", partial(_findings, peer.pc))
        yield peer


def _check_server(request: pytest.FixtureRequest, name: str, extra: str = "signaling") -> None:
    """Refuse virtual time for what listens with aiohttp, on real sockets: virtual time would run away from it."""
    if {"virtual_time", "virtual_network", *_HOSTILE}.intersection(request.fixturenames):
        pytest.fail(
            f"{name} uses real sockets and real time: no test has it on a virtual network",
            pytrace=False,
        )
    needed = ("aiohttp", "livekit", "jwt") if extra == "livekit" else ("aiohttp",)
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        from rtcpeer.lazy import install_hint

        pytest.fail(
            f"{name} needs {missing[0]}, which is not installed: {install_hint(extra)}", pytrace=False
        )


@_async_fixture
async def room_server(request: pytest.FixtureRequest, leak_check: LeakCheck) -> AsyncIterator[RoomServer]:
    """A `RoomServer` on a free port; `room_server.url` is for `RoomClient` and, with "room+" before it, for `join`."""
    _check_server(request, "room_server")
    from rtcpeer.signaling.rooms.server import RoomServer

    async with RoomServer() as server:
        yield server


@_async_fixture
async def whip_server(request: pytest.FixtureRequest, leak_check: LeakCheck) -> AsyncIterator[WhipServer]:
    """A `WhipServer` on a free port that takes every publisher; `whip_server.sessions` has their connections."""
    _check_server(request, "whip_server")
    from rtcpeer.signaling.http.whip_server import WhipServer

    async with WhipServer(_take, path="/whip") as server:
        yield server


@_async_fixture
async def whep_server(request: pytest.FixtureRequest, leak_check: LeakCheck) -> AsyncIterator[WhepServer]:
    """A `WhepServer` on a free port that shows everybody a test picture and a tone."""
    _check_server(request, "whep_server")
    from rtcpeer.signaling.http.whip_server import WhepServer
    from rtcpeer.testing.media import synthetic_track

    tracks = {kind: synthetic_track(kind) for kind in ("audio", "video")}

    async def show(session: Any) -> None:
        for transceiver in await session.apply_offer():
            transceiver.direction = "sendonly"
            await transceiver.sender.replaceTrack(tracks[transceiver.receiver.track.kind])

    async with WhepServer(show, path="/whep") as server:
        yield server
    for track in tracks.values():
        track.stop()


async def _take(session: Any) -> None:
    await session.apply_offer()


@_async_fixture
async def livekit_server(
    request: pytest.FixtureRequest, leak_check: LeakCheck
) -> AsyncIterator[LiveKitServer]:
    """A `LiveKitServer` on a free port; needs the extra ``livekit``."""
    _check_server(request, "livekit_server", "livekit")
    from rtcpeer.testing.livekit.server import LiveKitServer

    async with LiveKitServer() as server:
        yield server
