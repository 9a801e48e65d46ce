import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer import InvalidModificationError, InvalidStateError, RTCTimeoutError
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.config.provider import IceServerProvider, IceServersUnavailable
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import Action, Decision, PeerState, PolicySettings, Reason
from tests.unit.config.virtual import VirtualLoop, errors, virtual
from tests.unit.signaling.fakes import FakePC, World
from tests.unit.supervisor.duo import Duo


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_connects_and_closes() -> None:
    async with Duo() as duo:
        assert duo.a.state == "new"
        await duo.connect()
        assert duo.states("a") == ["connecting:start", "connected:start"]
        assert duo.states("b") == ["connecting:start", "connected:start"]
        assert duo.a.generation == duo.b.generation == 1
        assert repr(duo.a) == "<SupervisedPeer connected, generation 1, start>"
        await duo.a.close()
        await duo.a.close()
        assert await duo.a.closed() == Reason.API
        assert await duo.b.closed() == Reason.REMOTE_CLOSED
        for call in (
            lambda: duo.a.createDataChannel("x"),
            lambda: duo.a.addTrack(None),
            lambda: duo.a.addTransceiver("audio"),
            duo.a.restart,
            duo.a.recreate,
            duo.a.setConfiguration,
        ):
            with pytest.raises(InvalidStateError):
                call()
        with pytest.raises(InvalidStateError):
            await duo.a.connected()
        with pytest.raises(InvalidStateError):
            await duo.a.start()
        duo.a.network_changed()


@virtual
async def test_messages_flow_and_wait() -> None:
    async with Duo() as duo:
        got: list[Any] = []
        duo.b.ondatachannel = lambda e: setattr(e.channel, "onmessage", lambda m: got.append(m.data))
        chat = duo.a.createDataChannel("chat")
        chat.send("early")
        await duo.a.connected()
        await asyncio.sleep(1)
        chat.send("then")
        await asyncio.sleep(1)
        assert got == ["early", "then"]


@virtual
async def test_a_short_outage_is_no_matter() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.world.path_up = False
        await asyncio.sleep(6)
        assert duo.a.state == "disconnected"
        duo.world.path_up = True
        await asyncio.sleep(2)
        assert duo.states("a")[2:] == ["disconnected:network", "connected:recovered"]
        assert "restartIce" not in duo.a.pc.calls + duo.b.pc.calls


@virtual
async def test_a_dead_path_is_replaced_by_a_restart() -> None:
    async with Duo() as duo:
        await duo.connect()
        chat = duo.a.channels[0]
        start = now()
        duo.world.epoch += 1  # only a new generation finds the new addresses
        await asyncio.sleep(6)
        chat.send("kept")
        assert chat.readyState == "connecting"
        await duo.b.connected(timeout=10)
        await duo.a.connected(timeout=10)
        assert now() - start < 9
        assert duo.states("b")[2:] == ["disconnected:network", "resuming:network", "connected:recovered"]
        assert duo.states("a")[2:] == ["disconnected:network", "resuming:remote", "connected:recovered"]
        # the owner alone has restarted
        assert "restartIce" in duo.b.pc.calls
        assert "restartIce" not in duo.a.pc.calls
        assert duo.a.generation == duo.b.generation == 1
        assert chat.readyState == "open"
        assert chat.bufferedAmount == 0


@virtual
async def test_the_other_side_restarts_when_the_owner_does_not() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.b._controller_._policy = Idle()  # type: ignore[assignment]
        start = now()
        duo.world.epoch += 1
        await asyncio.sleep(6)
        await duo.a.connected(timeout=10)
        assert 10 < now() - start < 12
        assert "restartIce" in duo.a.pc.calls


class Idle:
    def decide(self, _: Any) -> Decision:
        return Decision(Action.WAIT)


@virtual
async def test_restarts_that_fail_end_in_a_new_connection() -> None:
    async with Duo() as duo:
        await duo.connect()
        chat = duo.a.channels[0]
        told: list[Any] = []
        chat.addEventListener("open", told.append)
        first = duo.a.pc
        duo.world.path_up = False
        await asyncio.sleep(50)
        assert duo.b.state == "recreating"
        duo.world.path_up = True
        await duo.a.connected(timeout=15)
        await duo.b.connected(timeout=15)
        assert duo.a.generation > 1
        assert duo.a.pc is not first
        await asyncio.sleep(1)
        assert first.signalingState == "closed"
        assert chat.readyState == "open"
        assert told[-1].generation == duo.a.generation
        assert [pc.signalingState for pc in duo.made["a"][:-1]] == ["closed"] * (len(duo.made["a"]) - 1)


@virtual
async def test_gives_up_with_all_reasons() -> None:
    duo = Duo()
    await duo.a.start()
    await duo.b.start()
    await duo.connect()
    start = now()
    duo.world.path_up = False
    with pytest.raises(GaveUp) as caught:
        await duo.b.closed()
    assert 120 < now() - start < 130
    assert duo.b.state == "failed"
    assert {a.action for a in caught.value.attempts} == {Action.RESTART, Action.RECREATE}
    assert "restart" in str(caught.value)
    assert "recreate" in str(caught.value)
    for call in (duo.b.connected, duo.b.start):
        with pytest.raises(GaveUp):
            await call()
    with pytest.raises(GaveUp):
        await duo.a.closed()
    await duo.b.close()
    assert duo.b.state == "closed"
    await duo.a.close()
    assert all(pc.signalingState == "closed" for pc in duo.world.made)


@virtual
async def test_never_connected_is_recreated_with_fresh_servers() -> None:
    calls: list[float] = []

    def fetch() -> Any:
        calls.append(now())
        return IceServerGrant((RTCIceServer([f"stun:{len(calls)}.example"]),), 3600)

    provider = IceServerProvider(fetch)
    async with Duo(provider=provider) as duo:
        assert [s.urls for s in duo.a.getConfiguration().iceServers] == [["stun:1.example"]]
        duo.world.path_up = False
        duo.a.createDataChannel("chat")
        await asyncio.sleep(20)
        assert duo.a.state == "recreating"
        assert len(calls) > 1
        duo.world.path_up = True
        await duo.a.connected(timeout=15)
        assert duo.a.pc.getConfiguration().iceServers == duo.a.getConfiguration().iceServers
        assert duo.a.pc.getConfiguration().iceServers[0].urls != ["stun:1.example"]
    await provider.close()


@virtual
async def test_waits_for_the_other_side_for_ever() -> None:
    duo = Duo()
    await duo.a.start()
    duo.a.createDataChannel("chat")
    await asyncio.sleep(10_000)
    assert duo.a.state == "new"
    await duo.b.start()
    await duo.a.connected(timeout=10)
    await duo.b.close()
    await duo.a.close()


@virtual
async def test_dtls_failure_is_met_by_a_new_connection() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.b.pc.set_dtls("failed")
        duo.b.pc.set_states("connected", "failed")
        await asyncio.sleep(0.5)
        await duo.b.connected(timeout=5)
        await duo.a.connected(timeout=5)
        assert "recreating:dtls" in duo.states("b")
        assert "recreating:remote" in duo.states("a")
        assert duo.a.generation == duo.b.generation == 2
        assert "restartIce" not in duo.made["b"][0].calls


@virtual
async def test_the_other_process_begins_anew() -> None:
    async with Duo() as duo:
        await duo.connect()
        # the process of b dies without a word; its successor takes its place on the path
        dead = duo.b.pc
        dead.world.pcs.clear()
        for task in tuple(duo.b._controller_._tasks):
            task.cancel()
        assert duo.b._controller_._negotiator is not None
        duo.b._controller_._negotiator.stop()
        assert duo.b._controller_._stop_lag is not None
        duo.b._controller_._stop_lag()
        await asyncio.sleep(3)
        dead.peer = None
        dead.close()
        duo.b = duo.peer("b", polite=False)
        await duo.b.start()
        duo.b.createDataChannel("chat2")
        await duo.b.connected(timeout=10)
        await asyncio.sleep(1)
        await duo.a.connected(timeout=10)
        assert duo.a.generation == 2
        assert "recreating:remote" in duo.states("a")


@virtual
async def test_the_successor_of_the_other_process_answers_a_restart() -> None:
    async with Duo() as duo:
        await duo.connect()
        dead = duo.b.pc
        dead.world.pcs.clear()
        for task in tuple(duo.b._controller_._tasks):
            task.cancel()
        assert duo.b._controller_._negotiator is not None
        assert duo.b._controller_._stop_lag is not None
        duo.b._controller_._negotiator.stop()
        duo.b._controller_._stop_lag()
        dead.peer = None
        dead.close()
        duo.b = duo.peer("b", polite=False)
        await duo.b.start()  # says nothing by itself
        await asyncio.sleep(12)
        await duo.a.connected(timeout=30)
        await duo.b.connected(timeout=30)
        assert duo.a.generation >= 2


@virtual
async def test_asked_for() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.a.restart()
        await asyncio.sleep(1)
        assert duo.states("a")[2:] == ["resuming:api", "connected:recovered"]
        assert duo.a.pc.generation == 1
        duo.a.recreate()
        await asyncio.sleep(1)
        assert duo.states("a")[4:] == ["recreating:api", "connected:recovered"]
        assert duo.a.generation == duo.b.generation == 2


@virtual
async def test_both_recreate_at_once() -> None:
    async with Duo() as duo:
        await duo.connect()
        for _ in range(5):
            duo.a.recreate()
            duo.b.recreate()
            await asyncio.sleep(0.5)
            await duo.a.connected(timeout=10)
            await duo.b.connected(timeout=10)


@virtual
async def test_a_network_change_restarts_soon_and_once() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.world.epoch += 1
        start = now()
        for _ in range(5):
            await asyncio.sleep(0.1)
            duo.a.network_changed()
        await asyncio.sleep(0.51)
        assert duo.a.state == "resuming"
        await duo.a.connected(timeout=5)
        assert now() - start < 1.6
        assert duo.states("a")[2:] == ["resuming:network-change", "connected:recovered"]
        await asyncio.sleep(10)
        assert duo.a.pc.calls.count("restartIce") == 1


@virtual
async def test_a_restart_without_signaling_does_not_harm_a_healthy_path() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.signaling.is_up = False
        duo.a.restart()
        await asyncio.sleep(20)
        assert duo.states("a")[2:] == ["resuming:api", "connected:policy"]
        assert duo.a.generation == 1
        assert duo.a.channels[0].readyState == "open"
        duo.signaling.is_up = True
        await asyncio.sleep(5)
        assert duo.a.pc.signalingState == "stable"


@virtual
async def test_a_loop_that_stood_still_is_no_network_silence() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with Duo() as duo:
        await duo.connect()
        for pc in (duo.a.pc, duo.b.pc):
            pc.timer.cancel()  # nothing was read
            pc.set_states("disconnected", "disconnected")
        await asyncio.sleep(0.1)
        loop.now += 20.0
        await asyncio.sleep(0.6)
        assert duo.a.state == duo.b.state == "disconnected"
        for pc in (duo.a.pc, duo.b.pc):
            pc.timer = None
            pc.set_states("connected", "connected")
            pc.watch()
        await asyncio.sleep(5)
        assert duo.states("b")[-1] == "connected:recovered"
        assert "restartIce" not in duo.a.pc.calls + duo.b.pc.calls


@virtual
async def test_bytes_that_arrive_keep_a_disconnected_path() -> None:
    async with Duo() as duo:
        await duo.connect()
        for pc in (duo.a.pc, duo.b.pc):
            pc.timer.cancel()
            pc.set_states("disconnected", "disconnected")
        for _ in range(20):
            duo.b.pc.bytes += 1
            duo.a.pc.bytes += 1
            await asyncio.sleep(0.5)
        assert duo.b.state == "disconnected"
        await asyncio.sleep(3.6)
        assert duo.b.state == "resuming"
        for pc in (duo.a.pc, duo.b.pc):
            pc.timer = None


@virtual
async def test_what_arrived_before_the_silence_does_not_put_the_restart_off() -> None:
    async with Duo() as duo:
        await duo.connect()
        for pc in (duo.a.pc, duo.b.pc):
            pc.bytes = 123_456
            pc.timer.cancel()
            pc.set_states("disconnected", "disconnected")
        start = now()
        while duo.b.state != "resuming":
            await asyncio.sleep(0.02)
            assert now() < start + 5
        assert now() - start == pytest.approx(2.5, abs=0.1)
        for pc in (duo.a.pc, duo.b.pc):
            pc.timer = None


@virtual
async def test_rotation_restarts_only_where_the_path_depends_on_it() -> None:
    served = 0

    def fetch() -> Any:
        nonlocal served
        served += 1
        return IceServerGrant((RTCIceServer(["turn:t.example"], "u", f"p{served}"),), 1000)

    class Local:
        type = "host"
        url = None

    class Pair:
        local = Local()

    provider = IceServerProvider(fetch)
    async with Duo(provider=provider) as duo:
        await duo.connect()
        for peer in (duo.a, duo.b):
            peer.pc.sctp.transport.getSelectedCandidatePair = Pair
        await asyncio.sleep(600)
        assert served == 2
        assert duo.a.pc.getConfiguration().iceServers[0].credential == "p2"
        assert "restartIce" not in duo.a.pc.calls
        Local.type, Local.url = "relay", "turn:t.example"  # type: ignore[assignment]
        await asyncio.sleep(450)
        assert duo.a.pc.getConfiguration().iceServers[0].credential == "p3"
        assert "resuming:credentials" in duo.states("a") + duo.states("b")
        assert duo.a.state == "connected"
    assert provider.state == "fresh"
    await provider.close()


class Relayed:
    """A selected pair whose local candidate is of a TURN server."""

    class local:
        type = "relay"
        url = "turn:t.example"


@virtual
async def test_servers_that_change_while_a_restart_is_running() -> None:
    """It began with the old ones: when it has succeeded, another one follows."""
    credential = "old"

    def fetch() -> Any:
        return IceServerGrant((RTCIceServer(["turn:t.example"], "u", credential),), 10_000)

    provider = IceServerProvider(fetch, spread=0.0)
    async with Duo(provider=provider) as duo:
        await duo.connect()
        duo.a.pc.sctp.transport.getSelectedCandidatePair = Relayed
        await asyncio.sleep(20)
        before = len(duo.states("a"))
        duo.signaling.is_up = False
        duo.a.restart()
        await asyncio.sleep(1)
        assert duo.a.state == "resuming"
        credential = "new"
        provider.refresh()
        await asyncio.sleep(1)
        assert duo.a.pc.getConfiguration().iceServers[0].credential == "new"
        assert duo.a.state == "resuming"
        duo.signaling.is_up = True
        await asyncio.sleep(10)
        assert duo.states("a")[before:] == [
            "resuming:api",
            "connected:recovered",
            "resuming:credentials",
            "connected:recovered",
        ]
        assert duo.a.generation == 1
    await provider.close()


@virtual
async def test_servers_that_change_before_a_restart_need_no_second_one() -> None:
    credential = "old"

    def fetch() -> Any:
        return IceServerGrant((RTCIceServer(["turn:t.example"], "u", credential),), 10_000)

    provider = IceServerProvider(fetch, spread=0.0)
    async with Duo(provider=provider) as duo:
        await duo.connect()
        duo.a.pc.sctp.transport.getSelectedCandidatePair = Relayed
        await asyncio.sleep(20)
        before = len(duo.states("a"))
        duo.world.epoch += 1
        await asyncio.sleep(6)
        assert duo.a.state == "disconnected"
        credential = "new"
        provider.refresh()
        await asyncio.sleep(0.5)
        duo.a.restart()
        await asyncio.sleep(0.5)
        await asyncio.sleep(20)
        assert duo.a.state == "connected"
        assert "resuming:credentials" not in duo.states("a")[before:]
    await provider.close()


@virtual
async def test_a_provider_that_hangs_delays_the_beginning_by_three_seconds() -> None:
    async def fetch() -> Any:
        await asyncio.sleep(1000)

    told: list[Any] = []
    provider = IceServerProvider(fetch)
    duo = Duo(provider=provider)
    duo.a.onserverserror = told.append
    begin = asyncio.get_running_loop().time()
    async with duo:
        await duo.connect()
        assert asyncio.get_running_loop().time() - begin < 8
        assert isinstance(told[0].error, IceServersUnavailable)
        assert "3 s" in str(told[0].error)
    await provider.close()


@virtual
async def test_a_provider_that_fails_is_told_and_survived() -> None:
    def fetch() -> Any:
        raise OSError("down")

    told: list[Any] = []
    provider = IceServerProvider(fetch)
    duo = Duo(provider=provider)
    duo.a.onserverserror = told.append
    async with duo:
        await duo.connect()
        await asyncio.sleep(10)
        assert len(told) > 2
        assert told[0].generation == 0
    await provider.close()


@virtual
async def test_configuration() -> None:
    async with Duo(iceServers=[{"urls": "stun:a.example"}]) as duo:
        await duo.connect()
        duo.a.setConfiguration(iceServers=[{"urls": "stun:b.example"}])
        assert duo.a.pc.getConfiguration().iceServers[0].urls == ["stun:b.example"]
        with pytest.raises(InvalidModificationError):
            duo.a.setConfiguration(bundlePolicy="max-bundle")
        with pytest.raises(TypeError):
            duo.a.setConfiguration(iceServers=None)
        assert duo.a.getConfiguration().iceServers[0].urls == ["stun:b.example"]
        duo.a.recreate()
        await asyncio.sleep(1)
        assert duo.a.generation == 2
        assert duo.a.pc.getConfiguration().iceServers[0].urls == ["stun:b.example"]


@virtual
async def test_connected_times_out() -> None:
    async with Duo() as duo:
        with pytest.raises(RTCTimeoutError):
            await duo.a.connected(timeout=5)


@virtual
async def test_rubbish_on_the_signaling_path_is_told() -> None:
    async with Duo() as duo:
        told: list[Any] = []
        duo.a.onsignalingerror = told.append
        await duo.connect()
        await duo.signaling[1].send({"type": "offer", "sdp": 5})
        await duo.signaling[1].send({"nonsense": True})
        await duo.signaling[1].send({"type": "offer", "sdp": "o=- 1 1 IN IP4 0.0.0.0\r\nnonsense"})
        await asyncio.sleep(5)
        assert len(told) >= 2
        assert duo.a.state == "connected"


@virtual
async def test_the_end_of_the_signaling_path_leaves_the_connection() -> None:
    async with Duo() as duo:
        await duo.connect()
        await duo.signaling[0].close()
        await asyncio.sleep(100)
        assert duo.a.state == duo.b.state == "connected"


@virtual
async def test_a_policy_that_fails_is_replaced() -> None:
    class Failing:
        def decide(self, _: Any) -> Decision:
            raise RuntimeError("no")

    async with Duo() as duo:
        await duo.connect()
        duo.b._controller_._policy = Failing()  # type: ignore[assignment]
        duo.world.epoch += 1
        await asyncio.sleep(20)
        assert duo.b.state == "connected"
        assert errors()
        errors().clear()


@virtual
async def test_a_connection_that_cannot_be_made_is_an_attempt_that_failed() -> None:
    async with Duo() as duo:
        await duo.connect()
        make = duo.b._controller_._make_connection
        failures = 2

        def flaky(configuration: Any) -> Any:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError("no sockets")
            return make(configuration)

        duo.b._controller_._make_connection = flaky
        duo.b.recreate()  # fails, and the old one is as good as before
        await asyncio.sleep(0.1)
        assert duo.states("b")[2:] == ["recreating:api", "connected:policy"]
        failures = 2
        duo.b.pc.set_dtls("failed")
        duo.b.pc.set_states("connected", "failed")
        await asyncio.sleep(0.1)
        await duo.b.connected(timeout=20)
        assert failures == 0
        assert [str(e["exception"]) for e in errors()] == ["no sockets"] * 3
        errors().clear()


@virtual
async def test_listeners_stay_and_events_tell_generation_and_reason() -> None:
    async with Duo() as duo:
        told: list[tuple[int, str]] = []
        duo.a.onconnectionstatechange = lambda e: told.append((e.generation, e.reason))
        opened: list[Any] = []
        duo.b.ondatachannel = opened.append
        await duo.connect()
        duo.a.recreate()
        await asyncio.sleep(2)
        assert (1, "start") in told
        assert (2, "api") in told or (2, "recovered") in told
        # the other side's channel is the same object as before
        assert len(opened) == 1
        assert opened[0].channel.readyState == "open"
        assert opened[0].generation == 1


@virtual
async def test_negotiated_channels_are_made_on_both_sides() -> None:
    async with Duo() as duo:
        a = duo.a.createDataChannel("n", {"negotiated": True, "id": 7})
        b = duo.b.createDataChannel("n", negotiated=True, id=7)
        got: list[Any] = []
        b.onmessage = lambda e: got.append((e.generation, e.data))
        await duo.a.connected()
        await asyncio.sleep(1)
        a.send("one")
        await asyncio.sleep(1)
        duo.b.recreate()
        await asyncio.sleep(2)
        a.send("two")
        await asyncio.sleep(1)
        assert got == [(1, "one"), (2, "two")]


class Track:
    kind = "audio"
    stopped = False


@virtual
async def test_senders_are_applied_again() -> None:
    async with Duo() as duo:
        sender = duo.a.addTransceiver("audio", direction="sendonly")
        other = duo.a.addTransceiver(Track())
        await duo.connect()
        duo.a.recreate()
        await asyncio.sleep(2)
        assert [len(pc.senders) for pc in duo.made["a"]] == [2, 2]
        duo.a.removeTrack(other)
        duo.a.removeTrack(other)
        duo.a.recreate()
        await asyncio.sleep(2)
        assert [len(pc.senders) for pc in duo.made["a"]] == [2, 2, 1]
        assert repr(sender) == "<SupervisedSender audio>"
        with pytest.raises(TypeError):
            await sender.replaceTrack(type("Video", (), {"kind": "video"})())
        with pytest.raises(InvalidStateError):
            await other.replaceTrack(None)


@virtual
async def test_parameters_need_a_connection() -> None:
    here, _ = memory_pair()
    peer = SupervisedPeer(here, polite=True)
    sender = peer.addTransceiver("audio")
    with pytest.raises(InvalidStateError):
        sender.getParameters()
    with pytest.raises(InvalidStateError):
        await sender.setParameters({})
    await peer.close()


@virtual
async def test_parameters_are_handed_on_at_the_call() -> None:
    """What the sender's getParameters gave is valid in this turn, and a task would begin in the next."""
    async with Duo() as duo:
        sender = duo.a.addTransceiver(Track())
        await duo.connect()
        handed: list[Any] = []

        async def setting() -> None:
            handed.append("awaited")

        carrier = SimpleNamespace(setParameters=lambda parameters: handed.append(parameters) or setting())
        sender._transceiver = SimpleNamespace(sender=carrier)
        pending = sender.setParameters({"encodings": []})
        assert handed == [{"encodings": []}]
        await asyncio.create_task(pending)
        assert handed[1:] == ["awaited"]


@virtual
async def test_close_at_any_moment_leaves_nothing() -> None:
    for moment in range(60):
        duo = Duo()
        await duo.a.start()
        await duo.b.start()
        duo.a.createDataChannel("x")
        await asyncio.sleep(0.004 * moment)
        if moment % 3 == 0:
            duo.a.recreate()
        if moment % 3 == 1:
            duo.b.restart()
        await asyncio.sleep(0.003 * moment)
        await asyncio.gather(duo.a.close(), duo.b.close(), duo.a.close())
        assert all(pc.signalingState == "closed" for pc in duo.world.made)
        await asyncio.sleep(1)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks


@virtual
async def test_start_only_once() -> None:
    async with Duo() as duo:
        with pytest.raises(InvalidStateError):
            await duo.a.start()


@virtual
async def test_closed_before_start() -> None:
    duo = Duo()
    with pytest.raises(InvalidStateError):
        duo.a.restart()
    await duo.a.close()
    await duo.b.close()
    assert duo.a.state == PeerState.CLOSED


@virtual
async def test_hours_without_limits() -> None:
    """Whenever the network and the signaling are up for 15 s, the peers are connected."""
    settings = PolicySettings(max_recreates=None, give_up_after=None)
    path = {"delay": 0.02, "jitter": 0.05, "loss": 0.05, "repeat": 0.05}
    async with Duo(settings, path=path) as duo:
        await duo.connect()
        source = duo.random
        for round_ in range(150):
            await asyncio.sleep(source.uniform(0, 20))
            what = source.randrange(4)
            duo.world.path_up = what == 0
            duo.signaling.is_up = what != 2
            if what == 3 or source.random() < 0.3:
                duo.world.epoch += 1
            await asyncio.sleep(source.expovariate(1 / 40))
            duo.world.path_up = duo.signaling.is_up = True
            await asyncio.sleep(15)
            assert duo.a.state == duo.b.state == "connected", (round_, duo.a, duo.b)
            assert duo.a.pc.is_linked


def test_the_fake_is_enough() -> None:
    @virtual
    async def check() -> None:
        pc = FakePC(World())
        assert not pc.is_linked
        pc.close()

    check()


@virtual
async def test_signaling_that_ends_before_anybody_has_answered() -> None:
    duo = Duo()
    await duo.a.start()
    duo.a.createDataChannel("chat")
    waiting = asyncio.ensure_future(duo.a.connected())
    await asyncio.sleep(0.2)
    await duo.signaling[1].close()
    start = now()
    assert await duo.a.closed() == Reason.SIGNALING_ENDED
    assert now() - start < 0.1
    assert (duo.a.state, duo.a.reason) == ("closed", "signaling-ended")
    with pytest.raises(InvalidStateError, match="closed: signaling-ended"):
        await waiting
    await duo.a.close()
    await duo.b.close()


@virtual
async def test_signaling_that_fails_before_anybody_has_answered() -> None:
    class Broken:
        async def send(self, message: Any) -> None:
            raise ConnectionError("no way")

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            raise ConnectionError("no way back")

        async def close(self) -> None:
            pass

    told: list[Any] = []
    peer = SupervisedPeer(Broken(), polite=True, make_connection=lambda c: FakePC(World(), c))
    peer.onsignalingerror = lambda e: told.append(str(e.error))
    async with peer:
        assert await peer.closed() == Reason.SIGNALING_ENDED
    assert "no way back" in told


@virtual
async def test_a_connection_lives_on_without_signaling_and_ends_with_its_path() -> None:
    async with Duo() as duo:
        await duo.connect()
        for end in duo.signaling:
            await end.close()
        await asyncio.sleep(60)
        assert duo.a.state == duo.b.state == "connected"
        with pytest.raises(InvalidStateError, match="signaling channel has ended"):
            duo.a.restart()
        duo.a.network_changed()
        duo.world.path_up = False
        await asyncio.sleep(8)
        assert duo.a.state == "disconnected"
        duo.world.path_up = True
        await asyncio.sleep(2)
        assert duo.a.state == "connected"
        duo.world.path_up = False
        with pytest.raises(GaveUp, match="since signaling has ended"):
            await duo.a.closed()
        assert (duo.a.state, duo.a.reason) == ("failed", "signaling-ended")
        assert not [state for state in duo.states("a") if state.startswith(("resuming", "recreating"))]


@virtual
async def test_a_new_connection_that_nobody_can_be_told_of() -> None:
    async with Duo() as duo:
        await duo.connect()
        duo.a.recreate()
        await asyncio.sleep(0)
        for end in duo.signaling:
            await end.close()
        start = now()
        with pytest.raises(GaveUp, match="since signaling has ended"):
            await duo.a.closed()
        assert now() - start < 1.0


@virtual
async def test_media_that_cannot_be_decrypted_are_a_reason_to_begin_anew() -> None:
    async with Duo() as duo:
        await duo.connect()
        await asyncio.sleep(20)
        broken = duo.made["b"][0]
        since = now()

        async def statistics() -> Any:
            return {"T": {"type": "transport", "bytesReceived": 5, "undecryptedFor": now() - since}}

        broken.getStats = statistics  # type: ignore[method-assign]
        broken.getTransceivers = lambda: [object()]  # type: ignore[attr-defined]
        duo.b._controller_._wake.set()
        await asyncio.sleep(10)
        assert duo.states("b")[-2:] == ["recreating:media", "connected:recovered"]
        assert duo.a.generation == duo.b.generation == 2
        assert 5 <= now() - since <= 20


@virtual
async def test_errors_say_what_explain_says() -> None:
    class Finding:
        def __init__(self, level: str, text: str) -> None:
            self.level, self.text = level, text

        def __str__(self) -> str:
            return self.text

    findings = [Finding("fact", "a fact."), Finding("problem", "no server answers.")]
    async with Duo(PolicySettings(give_up_after=20.0)) as duo:
        duo.a.createDataChannel("chat")
        duo.made["a"][0].explain = lambda: findings  # type: ignore[attr-defined]
        duo.world.path_up = False
        with pytest.raises(
            RTCTimeoutError, match=r"not connected within 0\.5 s: .*\. no server answers$"
        ) as caught:
            await duo.a.connected(0.5)
        assert caught.value.findings == tuple(findings)
        FakePC.explain = lambda self: findings  # type: ignore[attr-defined]
        try:
            with pytest.raises(GaveUp, match=r"no server answers$") as gave_up:
                await duo.a.closed()
        finally:
            del FakePC.explain  # type: ignore[attr-defined]
        assert gave_up.value.findings == tuple(findings)
