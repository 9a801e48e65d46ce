"""A supervised peer obeys what its signaling channel refuses, delays and cannot do."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from rtcpeer import NotSupportedError, RTCTimeoutError, Session, SignalingRefused
from rtcpeer.signaling import ChannelCapabilities
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState, Reason
from tests.unit.config.virtual import virtual
from tests.unit.signaling.fakes import FakePC, World
from tests.unit.signaling.service import ONE_EXCHANGE, Service

RESTARTS = replace(ONE_EXCHANGE, restart="offer")


class Answering(Service):
    """A service that answers offers with connections of its own, each session with the same one."""

    def __init__(self, world: World, capabilities: ChannelCapabilities, **options: Any) -> None:
        super().__init__(capabilities, **options)
        self.world = world
        self.others: dict[str, FakePC] = {}
        self.asked = 0

    async def send(self, message: Any, /) -> None:
        await super().send(message)
        value = self.sent[-1][1]
        if value.get("type") == "offer":
            session = value["sdp"].split("o=- ")[1].split(" ")[0]
            other = self.others.setdefault(session, FakePC(self.world))
            await other.setRemoteDescription(value)
            await other.setLocalDescription()
            self.arrived.put_nowait(other.localDescription.toJSON())  # type: ignore[union-attr]

    async def request_restart(self) -> None:
        self.asked += 1

    async def close(self) -> None:
        for other in self.others.values():
            other.close()
        await super().close()


def make_peer(world: World, service: Service) -> SupervisedPeer:
    return SupervisedPeer(service, make_connection=lambda configuration: FakePC(world, configuration))


@virtual
async def test_a_fatal_refusal_ends_it_within_50_ms_after_one_send() -> None:
    service = Service(ONE_EXCHANGE, failures=[SignalingRefused("bad token", status=401)] * 20)
    peer = make_peer(World(), service)
    await peer.start()
    peer.createDataChannel("x")
    async with asyncio.timeout(0.05):
        with pytest.raises(GaveUp, match=r"refuses \(401\): bad token") as caught:
            await peer.connected()
    assert caught.value.refusal is not None
    assert caught.value.refusal.status == 401
    assert peer.state == PeerState.FAILED
    assert peer.reason == Reason.SIGNALING_REFUSED
    assert service.kinds() == ["offer"]
    await peer.close()


@virtual
async def test_a_slow_answer_is_waited_for() -> None:
    world = World()
    service = Answering(world, ONE_EXCHANGE)
    service.slow = 20.0
    async with make_peer(world, service) as peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        assert service.kinds().count("offer") == 1


@virtual
async def test_what_needs_another_offer_raises_at_the_call() -> None:
    world = World()
    async with make_peer(world, Answering(world, ONE_EXCHANGE)) as peer:
        peer.addTransceiver("audio")
        await peer.connected(60)
        for call in (
            lambda: peer.addTransceiver("video"),
            lambda: peer.addTrack(object()),
            lambda: peer.createDataChannel("x"),
        ):
            with pytest.raises(NotSupportedError, match="carries one offer"):
                call()
        assert len(peer.pc.senders) == 1
        assert not peer.channels


@virtual
async def test_restart_by_offer_then_recreation_when_it_is_refused() -> None:
    world = World()
    no = SignalingRefused("no restart", status=405, fatal=False)
    service = Answering(world, RESTARTS)
    async with make_peer(world, service) as peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        assert len(service.others) == 1
        peer.restart()
        await asyncio.sleep(2)
        assert peer.state == PeerState.CONNECTED
        assert (peer.generation, len(service.others)) == (1, 1)
        assert service.kinds().count("offer") == 2
        world.path_up = False
        service.failures = [no]
        await asyncio.sleep(8.5)
        world.path_up = True
        world.epoch += 1
        await peer.connected(60)
        assert peer.generation == 2
        assert len(service.others) == 2


@virtual
async def test_where_restarts_are_impossible_the_connection_is_made_anew() -> None:
    world = World()
    async with make_peer(world, Answering(world, replace(ONE_EXCHANGE, restart="no"))) as peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        with pytest.raises(NotSupportedError, match="Answering cannot carry what a restart needs"):
            peer.restart()
        peer.network_changed()
        await asyncio.sleep(5)
        assert peer.generation == 1  # what works is not given up because of an address
        world.epoch += 1
        await asyncio.sleep(20)
        assert peer.state == PeerState.CONNECTED
        assert peer.generation == 2


@virtual
async def test_servers_are_applied_without_a_restart_where_none_is_possible() -> None:
    world = World()
    session = Session(iceServers=[{"urls": "stun:one.example"}])
    service = Answering(world, replace(ONE_EXCHANGE, restart="no"))
    peer = session.supervise(service, make_connection=lambda configuration: FakePC(world, configuration))
    async with peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        assert not peer.can_restart
        session.iceServers = [{"urls": "stun:two.example"}]
        assert session.apply(restart=True) == 1
        await asyncio.sleep(5)
        assert service.kinds().count("offer") == 1
        assert "two.example" in str(peer.pc.getConfiguration().iceServers)


@virtual
async def test_a_restart_is_asked_for_where_only_the_other_side_can_begin_it() -> None:
    world = World()
    service = Answering(world, ChannelCapabilities(offers="remote", restart="ask"))
    async with make_peer(world, service) as peer:
        other = FakePC(world)
        await other.setLocalDescription()
        assert other.localDescription is not None
        service.arrived.put_nowait(other.localDescription.toJSON())
        await asyncio.sleep(0.1)
        answer = next(m for _, m in service.sent if m.get("type") == "answer")
        await other.setRemoteDescription(answer)
        await peer.connected(60)
        peer.restart()
        await asyncio.sleep(1)
        assert service.asked == 1
        assert "offer" not in service.kinds()
        with pytest.raises(NotSupportedError):
            peer.recreate()
        other.close()


@virtual
async def test_an_attempt_waits_as_long_as_the_service_says() -> None:
    world = World()
    service = Answering(world, replace(ONE_EXCHANGE, restart="no"))
    async with make_peer(world, service) as peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        service.sent.clear()
        service.failures = [SignalingRefused("busy", status=503, retry_after=40.0)]
        peer.recreate()
        await asyncio.sleep(70)
        offers = [when for when, message in service.sent if message.get("type") == "offer"]
        assert offers[1] - offers[0] == pytest.approx(40.0, abs=0.5)
        assert peer.state == PeerState.CONNECTED


@virtual
async def test_a_refusal_does_not_end_what_is_connected() -> None:
    world = World()
    service = Answering(world, RESTARTS)
    async with make_peer(world, service) as peer:
        peer.createDataChannel("x")
        await peer.connected(60)
        service.failures = [SignalingRefused("token expired", status=401)] * 9
        peer.restart()
        await asyncio.sleep(30)
        assert peer.state == PeerState.CONNECTED
        with pytest.raises(SignalingRefused, match="token expired"):
            peer.restart()
        world.path_up = False
        with pytest.raises(GaveUp, match="token expired"):
            await peer.closed()


@virtual
async def test_a_time_out_names_what_went_wrong_in_signaling() -> None:
    service = Service(
        ONE_EXCHANGE, failures=[SignalingRefused("come later", status=503, retry_after=5.0)] * 99
    )
    async with make_peer(World(), service) as peer:
        peer.createDataChannel("x")
        service.arrived.put_nowait(["rubbish"])
        with pytest.raises(RTCTimeoutError, match=r"1 unreadable.*2 refused for now.*come later"):
            await peer.connected(9)
