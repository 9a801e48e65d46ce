"""Calls over WHIP on real sockets: a planned restart, a swap of TURN servers, the death of the path."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from rtcpeer import IceSettings, PeerSettings, RTCPeerConnection, Session, SupervisedPeer
from rtcpeer.signaling import Negotiator, WhipClient, WhipServer, WhipSession
from rtcpeer.supervisor.policy import DefaultPolicy, PolicySettings
from rtcpeer.testing import OutageNetwork, TurnServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

# How long messages may be held up, beyond what this process itself stood still (measured alone: 10 to 25 ms). The
# sender is woken every 5 ms by the loop that carries everything: how late it is, is how long a machine let us wait.
LONGEST_GAP = 0.05
QUICK = PolicySettings(disconnected_wait=0.3, quiet_wait=0.3)


class Counting:
    """A WHIP server that notes when each message of a data channel arrives."""

    def __init__(self, *, restarts: bool = True) -> None:
        self.arrived: list[tuple[float, int]] = []
        self.methods: list[str] = []

        def on_publish(session: WhipSession) -> None:
            session.pc.ondatachannel = self._take

        class Server(WhipServer):
            async def handle_session(self, request: web.Request) -> web.Response:
                noted.append(request.method)
                if not restarts and "*" in request.headers.get("If-Match", ""):
                    return web.Response(status=405)
                return await super().handle_session(request)

        noted = self.methods
        self.server = Server(on_publish)

    def _take(self, event: Any) -> None:
        now = asyncio.get_running_loop().time
        event.channel.onmessage = lambda message: self.arrived.append((now(), int(message.data)))

    def longest_gap(self, since: float) -> float:
        times = [when for when, _ in self.arrived if when >= since]
        return max(b - a for a, b in itertools.pairwise(times))

    def missing(self, sent: int) -> set[int]:
        return set(range(sent)) - {number for _, number in self.arrived}


class Talk:
    """Numbers on a data channel, one each 5 ms."""

    def __init__(self, peer: SupervisedPeer) -> None:
        self.channel = peer.createDataChannel("numbers")
        self.sent = 0
        self.times: list[float] = []

    async def run(self) -> None:
        while True:
            self.times.append(asyncio.get_running_loop().time())
            self.channel.send(str(self.sent))
            self.sent += 1
            await asyncio.sleep(0.005)

    def longest_pause(self, since: float) -> float:
        """How long the sender itself was silent at most."""
        times = [when for when in self.times if when >= since - 0.5]
        return max(b - a for a, b in itertools.pairwise(times))

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(condition: Any, timeout: float = 30.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_planned_restart_is_not_noticed() -> None:
    counting = Counting()
    async with counting.server as server, SupervisedPeer(WhipClient(server.url)) as peer:
        talk = Talk(peer)
        await peer.connected(20)
        async with talk.going():
            await until(lambda: len(counting.arrived) > 40)
            since = asyncio.get_running_loop().time()
            before = peer.pc.remoteDescription.sdp
            peer.restart()
            await until(lambda: peer.pc.remoteDescription.sdp != before and peer.state == "connected")
            await asyncio.sleep(0.3)
        await until(lambda: not counting.missing(talk.sent))
        assert counting.longest_gap(since) - talk.longest_pause(since) < LONGEST_GAP
        assert counting.methods.count("PATCH") >= 1
        assert peer.generation == 1


async def test_a_turn_server_is_replaced_under_traffic() -> None:
    counting = Counting()
    first, second = TurnServer(users={"u": "first"}), TurnServer(users={"u": "second"})
    session = Session(iceTransportPolicy="relay")
    async with first, second, counting.server as server:
        session.iceServers = first.ice_servers
        peer = session.supervise(WhipClient(server.url))
        async with peer:
            talk = Talk(peer)
            await peer.connected(20)
            async with talk.going():
                await until(lambda: len(counting.arrived) > 40)
                since = asyncio.get_running_loop().time()
                before = peer.pc.remoteDescription.sdp
                session.iceServers = second.ice_servers
                assert session.apply() == 1
                await until(lambda: peer.pc.remoteDescription.sdp != before and peer.state == "connected")
                await asyncio.sleep(0.3)
            await until(lambda: not counting.missing(talk.sent))
            assert counting.longest_gap(since) - talk.longest_pause(since) < LONGEST_GAP
            assert peer.generation == 1
            relays = [s for s in (await peer.pc.getStats()).values() if s["type"] == "local-candidate"]
            assert any(s.get("url") in str(second.ice_servers) for s in relays)


@pytest.mark.parametrize("restarts", [True, False], ids=["restart", "refused"])
async def test_a_path_that_dies_is_restarted_by_patch_else_begun_anew(restarts: bool) -> None:
    counting = Counting(restarts=restarts)
    network = OutageNetwork()

    def make(configuration: Any) -> RTCPeerConnection:
        with network.installed():
            return RTCPeerConnection(
                configuration, settings=PeerSettings(ice=IceSettings(disconnected_after=1.0))
            )

    async with counting.server as server:
        client = WhipClient(server.url)
        async with SupervisedPeer(client, make_connection=make, policy=DefaultPolicy(QUICK)) as peer:
            talk = Talk(peer)
            await peer.connected(20)
            async with talk.going():
                await until(lambda: len(counting.arrived) > 20)
                where = client.location
                async with network.outage():
                    await until(lambda: peer.state in ("resuming", "recreating"))
                    await asyncio.sleep(0.3)
                await until(lambda: peer.state == "connected")
                count = len(counting.arrived)
                await until(lambda: len(counting.arrived) > count + 20)
            assert peer.generation == (1 if restarts else 2)
            assert (client.location == where) is restarts
            assert len(server.sessions) == 1  # of the other one nothing is left
        await until(lambda: not server.sessions)


async def test_a_client_that_vanishes_ends_its_session() -> None:
    """Consent is lost (RFC 7675), nobody sends a DELETE, and the session and its URL are gone."""
    settings = PeerSettings(
        ice=IceSettings(disconnected_after=0.5, failed_after=0.5, consent_interval=(0.1, 0.2))
    )
    network = OutageNetwork()
    sessions: list[WhipSession] = []
    server = WhipServer(sessions.append, make_connection=lambda: RTCPeerConnection(settings=settings))
    async with server:
        client = WhipClient(server.url)
        with network.installed():
            pc = RTCPeerConnection(**client.configuration)
        async with pc, client, Negotiator(pc, client):
            pc.createDataChannel("x")
            await pc.connected(20)
            assert len(server.sessions) == 1
            async with network.outage(), asyncio.timeout(20):
                assert await sessions[0].ended() == "failed"
            assert server.sessions == ()
