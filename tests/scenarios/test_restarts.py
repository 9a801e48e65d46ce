"""ICE restarts: make before break, in every order and hurry."""

import asyncio

import pytest

from tests.scenarios.virtual import PeerPair, Stream, scenario, selected, until


def relayed(server):
    return server.counters.packets_to_peers + server.counters.packets_to_clients


@pytest.mark.parametrize("by", ["offerer", "answerer"])
@scenario
async def test_a_restart_on_a_healthy_path_loses_nothing(scene, by):
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(1)
        began = scene.now()
        await pair.negotiate(getattr(pair, by), iceRestart=True)
        await asyncio.sleep(2)
        assert stream.gap(began) < 0.03
        assert not await stream.stop()
        assert pair.offerer.connectionState == "connected"


@scenario
async def test_ten_restarts_in_a_hurry(scene):
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        for number in range(10):
            await pair.negotiate((pair.offerer, pair.answerer)[number % 2], iceRestart=True)
            await asyncio.sleep(0.005 * number)
        await asyncio.sleep(3)
        assert pair.offerer.connectionState == pair.answerer.connectionState == "connected"
        assert not await stream.stop()


@scenario
async def test_an_offer_to_restart_is_rolled_back(scene):
    async with PeerPair(network=scene.network) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await pair.offerer.setLocalDescription(await pair.offerer.createOffer(iceRestart=True))
        await asyncio.sleep(1)
        await pair.offerer.setLocalDescription({"type": "rollback"})
        await asyncio.sleep(10)
        assert pair.offerer.signalingState == "stable"
        assert pair.offerer.connectionState == "connected"
        await pair.restart_ice()
        assert not await stream.stop()


@scenario
async def test_a_server_is_replaced_in_mid_call(scene):
    one, two = scene.server("one.example"), scene.server("two.example")
    async with one, two, PeerPair({"iceServers": one.ice_servers}, hosts=scene.behind("symmetric")) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(3)
        began = scene.now()
        for connection in (pair.offerer, pair.answerer):
            connection.setConfiguration({"iceServers": two.ice_servers})
        await pair.negotiate()  # the changed servers make it a restart (RFC 8829 4.1.18)
        await asyncio.sleep(6)
        assert stream.gap(began) < 0.05
        before = relayed(two)
        await asyncio.sleep(1)
        assert relayed(two) - before > 90
        # what the first server gave is given back
        await one.released(timeout=20)
        one.kill()
        await asyncio.sleep(1)
        assert stream.gap(began) < 0.05
        assert not await stream.stop()


@scenario
async def test_a_server_dies_in_mid_call(scene):
    one, two = scene.server("one.example"), scene.server("two.example")
    async with one, two, PeerPair({"iceServers": one.ice_servers}, hosts=scene.behind("symmetric")) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        await asyncio.sleep(10)
        killed = scene.now()
        one.kill()
        disconnected = await until(lambda: pair.offerer.connectionState == "disconnected")
        assert 5 <= disconnected - killed <= 6.6
        for connection in (pair.offerer, pair.answerer):
            connection.setConfiguration({"iceServers": two.ice_servers})
        began = scene.now()
        await pair.negotiate()
        await asyncio.sleep(3)
        assert stream.first_after(began) < 1
        assert not await stream.stop()


@scenario
async def test_a_policy_is_changed_in_mid_call(scene):
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, network=scene.network) as pair,
    ):
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        assert "relay" not in await selected(pair.offerer)
        for connection in (pair.offerer, pair.answerer):
            connection.setConfiguration({"iceServers": server.ice_servers, "iceTransportPolicy": "relay"})
        await pair.restart_ice()
        await asyncio.sleep(5)
        assert await selected(pair.offerer) == ("relay", "relay")
        assert not await stream.stop()


@pytest.mark.parametrize("who", ["offerer", "answerer"])
@scenario
async def test_an_address_changes(scene, who):
    hosts = scene.network.add_host("alice"), scene.network.add_host("bob")
    async with PeerPair(hosts=hosts) as pair:
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        connection = getattr(pair, who)
        changes = []
        connection.onnetworkchange = lambda _: changes.append(scene.now())
        await asyncio.sleep(1)
        hosts[who == "answerer"].change_address()
        await asyncio.sleep(0.5)
        assert len(changes) == 1
        began = scene.now()
        await pair.negotiate(connection, iceRestart=True)
        await asyncio.sleep(2)
        assert stream.first_after(began) < 0.6
        assert not await stream.stop()


@scenario
async def test_from_one_network_to_another(scene):
    bob = scene.network.add_host("bob")
    alice = scene.network.add_router("home").add_host("alice", delay=0)
    carrier = scene.network.add_router("carrier", nat="symmetric")
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        alice.add_interface("mobile", carrier.segment)
        await asyncio.sleep(1)
        alice.remove_interface("eth0")
        began = scene.now()
        await pair.restart_ice()
        await asyncio.sleep(2)
        assert stream.first_after(began) < 0.6
        assert not await stream.stop()


@scenario
async def test_a_nat_forgets_its_mappings(scene):
    alice, bob = scene.behind("port-restricted")
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        for router in scene.network.routers.values():
            router.reboot()
        await asyncio.sleep(3)
        assert pair.offerer.connectionState == "connected"
        assert not await stream.stop()
