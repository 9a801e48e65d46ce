"""The path goes away and comes back."""

import asyncio

import pytest

from tests.scenarios.virtual import PeerPair, Stream, scenario, until


def watch(scene, connection):
    states = []
    connection.addEventListener(
        "connectionstatechange", lambda _: states.append((connection.connectionState, scene.now()))
    )
    return states


@pytest.mark.parametrize("through", ["direct", "relay"])
@scenario
async def test_8_seconds_heal_by_themselves(scene, through):
    alice, bob = scene.behind("symmetric") if through == "relay" else (
        scene.network.add_host("alice"), scene.network.add_host("bob")
    )  # fmt: skip
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        stream = Stream(pair, 0.05)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(10)
        states = watch(scene, pair.offerer)
        began = scene.now()
        await bob.link.outage_of(8)
        over = scene.now()
        await asyncio.sleep(2)
        assert [s for s, _ in states] == ["disconnected", "connected"]
        assert 5 <= states[0][1] - began <= 6.5
        assert stream.first_after(over) < 0.5
        assert not await stream.stop()


# A silent path is asked every 0.4 s and told of after 5: what ends 0.5 s before is over in time, whatever the phase.
@pytest.mark.parametrize("length", [1.7, 2.2, 3, 4.2, 4.5])
@scenario
async def test_short_ones_are_over_when_they_are_over(scene, length):
    """No state tells of them, and data waits for no timer of SCTP that has backed off meanwhile."""
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair, 0.05)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(10)
        states = watch(scene, pair.offerer)
        await pair.hosts[1].link.outage_of(length)
        over = scene.now()
        await asyncio.sleep(4)
        assert stream.first_after(over) < 0.55
        assert not states
        assert not await stream.stop()


@scenario
async def test_40_seconds_fail_and_a_restart_revives(scene):
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, 0.1)
        await pair.connect()
        await stream.start()
        states = watch(scene, pair.offerer)
        began = scene.now()
        await bob.link.outage_of(40)
        over = scene.now()
        assert [s for s, _ in states] == ["disconnected", "failed"]
        assert 28 <= states[1][1] - began <= 31.5
        await pair.restart_ice()
        assert scene.now() - over < 0.5
        await asyncio.sleep(1)
        assert stream.first_after(over) < 1
        assert not await stream.stop()


@scenario
async def test_failed_is_not_final_even_without_a_restart(scene):
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, 0.1)
        await pair.connect()
        await stream.start()
        await bob.link.outage_of(300)
        assert pair.offerer.connectionState == "failed"
        await pair.restart_ice()
        assert not await stream.stop(120)


@pytest.mark.parametrize("through", ["direct", "relay"])
@scenario
async def test_the_network_is_back_long_after_failed_and_nobody_restarts(scene, through):
    alice, bob = scene.behind("symmetric") if through == "relay" else (
        scene.network.add_host("alice"), scene.network.add_host("bob")
    )  # fmt: skip
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        stream = Stream(pair, 0.1)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(10)
        states = watch(scene, pair.offerer)
        await bob.link.outage_of(100)
        over = scene.now()
        await until(lambda: pair.offerer.connectionState == "connected", 10)
        assert scene.now() - over < 4.5
        assert [s for s, _ in states] == ["disconnected", "failed", "connected"]
        assert not await stream.stop(120)
        assert pair.answerer.connectionState == "connected"


@pytest.mark.parametrize("talking", ["much", "little", "idle"])
@pytest.mark.parametrize("seed", range(4))
@scenario
async def test_ten_outages_with_breaks_of_one_second(scene, talking, seed):
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, {"much": 0.05, "little": 2, "idle": 600}[talking])
        await pair.connect()
        await stream.start()
        await asyncio.sleep(3 + seed)
        states = [watch(scene, peer) for peer in (pair.offerer, pair.answerer)]
        for number in range(10):
            await (alice, bob)[number % 2].link.outage_of(1 + number / 2)
            await asyncio.sleep(1)
        over = scene.now()
        await until(lambda: pair.offerer.connectionState == pair.answerer.connectionState == "connected", 5)
        assert scene.now() - over < 1
        await asyncio.sleep(60)
        for told in states:
            assert "failed" not in [s for s, _ in told]
            assert [s for s, _ in told[::2]] == ["disconnected"] * (len(told) // 2)
        assert not await stream.stop()


@scenario
async def test_one_way_loss_is_told_before_it_is_failed(scene):
    """Bob hears Alice and she does not hear him: data alone is no consent."""
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, 0.1)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(5)
        states = watch(scene, pair.answerer)
        bob.link.up.loss = 1.0
        await asyncio.sleep(45)
        assert [s for s, _ in states] == ["disconnected", "failed"]
        bob.link.up.loss = 0.0
        await until(lambda: pair.offerer.connectionState == pair.answerer.connectionState == "connected", 5)
        assert not await stream.stop(120)


@scenario
async def test_the_event_loops_lag_is_not_silence(scene):
    """Both programs compute for 4 s now and then: packets and timers of that time come all at once."""
    clock = asyncio.get_running_loop().time.__self__
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair, 0.5)
        await pair.connect()
        await stream.start()
        states = watch(scene, pair.offerer), watch(scene, pair.answerer)
        for number in range(20):
            clock._now += 4.0 + number
            await asyncio.sleep(0.1 + number / 3)
        await asyncio.sleep(60)
        assert states == ([], [])
        assert not await stream.stop()


@scenario
async def test_an_idle_call_stays_up(scene):
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=scene.behind("symmetric")) as pair,
    ):
        stream = Stream(pair, 600)
        await pair.connect()
        states = watch(scene, pair.offerer)
        await stream.start()
        await asyncio.sleep(4000)  # longer than a nonce lives
        assert states == []
        assert not await stream.stop()
        assert server.counters.requests["refresh"] >= 14
        # also the one that is not in use, in spite of the NAT in front of it
        assert len(server.allocations) == 2


@scenario
async def test_short_outages_again_and_again(scene):
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, 0.05)
        await pair.connect()
        await stream.start()
        for number in range(5):
            await (alice, bob)[number % 2].link.outage_of(1 + number / 2)
            await asyncio.sleep(3)
        await until(lambda: pair.offerer.connectionState == "connected")
        assert not await stream.stop()
