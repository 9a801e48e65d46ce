"""Which path two peers find, on every kind of network."""

import asyncio
import json

import pytest

from tests.scenarios.virtual import PeerPair, Stream, scenario, selected


@scenario
async def test_neighbours(scene):
    lan = scene.network.add_router("lan")
    hosts = lan.add_host("alice"), lan.add_host("bob")
    async with PeerPair(hosts=hosts) as pair:
        await pair.connect()
        assert set(await selected(pair.offerer)) <= {"host", "prflx"}


@pytest.mark.parametrize("nat", ["full-cone", "restricted", "port-restricted"])
@scenario
async def test_cones_need_no_relay(scene, nat):
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=scene.behind(nat)) as pair,
    ):
        stream = Stream(pair)
        await pair.connect()
        await stream.start()
        assert scene.now() < 0.6
        assert "relay" not in await selected(pair.offerer)
        await asyncio.sleep(1)
        assert not await stream.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@scenario
async def test_symmetric_nats_need_the_relay(scene, transport):
    from rtcpeer.ice.settings import IceSettings
    from rtcpeer.peer.settings import PeerSettings

    async with scene.server(transports=(transport,)) as server:
        settings = PeerSettings(
            ice=IceSettings(ssl_context=server.client_context() if transport == "tls" else None)
        )
        servers = [server.ice_server(transport)]
        async with PeerPair(
            {"iceServers": servers}, hosts=scene.behind("symmetric"), settings=settings
        ) as pair:
            stream = Stream(pair)
            await pair.connect()
            await stream.start()
            assert "relay" in await selected(pair.offerer)
            await asyncio.sleep(1)
            assert not await stream.stop()
            assert server.counters.packets_to_peers > 100
        await server.released()


@pytest.mark.parametrize("firewall", ["block-udp", "only-443"])
@scenario
async def test_behind_a_strict_firewall(scene, firewall):
    from rtcpeer.ice.settings import IceSettings
    from rtcpeer.peer.settings import PeerSettings

    hosts = scene.behind("symmetric", firewall)
    async with scene.server(transports=("udp", "tcp", "tls"), ports={"tls": 443}) as server:
        settings = PeerSettings(ice=IceSettings(ssl_context=server.client_context()))
        async with PeerPair({"iceServers": server.ice_servers}, hosts=hosts, settings=settings) as pair:
            await pair.connect(timeout=5)
            assert (await selected(pair.offerer))[0] == "relay"


@scenario
async def test_dead_servers_first_delay_nothing(scene):
    async def took(dead):
        async with scene.server(f"turn{dead}.example") as server:
            servers = [{"urls": f"stun:203.0.113.{n}"} for n in range(1, dead + 1)]
            servers += [{"urls": "turn:203.0.113.99", "username": "u", "credential": "c"}] * (dead > 0)
            servers += server.ice_servers
            errors = []
            hosts = tuple(
                scene.network.add_router(f"{side}{dead}", nat="symmetric").add_host(f"{side}{dead}")
                for side in "ab"
            )
            async with PeerPair({"iceServers": servers}, hosts=hosts) as pair:
                pair.offerer.onicecandidateerror = lambda e: errors.append((e.errorCode, e.url))
                started = scene.now()
                await pair.connect()
                took = scene.now() - started
                await asyncio.sleep(10)
                assert {code for code, _ in errors} <= {701}
                assert len({url for _, url in errors}) == dead + (dead > 0)
            return took

    assert await took(17) <= await took(0) * 1.2


@scenario
async def test_ipv6_only(scene):
    hosts = tuple(scene.network.add_host(name, ipv4=False, ipv6=True) for name in ("alice", "bob"))
    async with PeerPair(hosts=hosts) as pair:
        await pair.connect()
        candidate = pair.messages[1][1]["candidate"]
        assert "2001:db8:" in candidate


@scenario
async def test_the_relay_policy_leaks_nothing(scene):
    alice, bob = scene.network.add_host("alice"), scene.network.add_host("bob")
    direct = []

    def watch(event, packet, _reason):
        if event == "sent" and {packet.source[0], packet.destination[0]} == {alice.address, bob.address}:
            direct.append(packet)

    scene.network.tap(watch)
    async with scene.server() as server:
        configuration = {"iceServers": server.ice_servers, "iceTransportPolicy": "relay"}
        async with PeerPair(configuration, hosts=(alice, bob)) as pair:
            await pair.connect()
            assert await selected(pair.offerer) == ("relay", "relay")
            told = json.dumps(pair.messages)
            stats = str(list((await pair.offerer.getStats()).values()))
            for host in (alice, bob):
                assert host.address not in told
                assert host.address not in stats
        assert direct == []
        await server.released()


@scenario
async def test_no_path_fails_in_time(scene):
    hosts = scene.behind("symmetric", "block-udp")
    async with PeerPair(hosts=hosts) as pair:
        states = []
        pair.offerer.onconnectionstatechange = lambda _: states.append(
            (pair.offerer.connectionState, scene.now())
        )
        pair.offerer.createDataChannel("x")
        await pair.negotiate()
        await asyncio.sleep(40)
        assert [s for s, _ in states] == ["connecting", "disconnected", "failed"]
        assert 14 <= states[-1][1] <= 31


@pytest.mark.parametrize("seed", range(5))
@scenario
async def test_loss_of_20_percent(scene, seed):
    alice, bob = scene.network.add_host("alice", loss=0.2), scene.network.add_host("bob")
    async with PeerPair(hosts=(alice, bob)) as pair:
        stream = Stream(pair, 0.02)
        await pair.connect(timeout=10)
        await stream.start()
        await asyncio.sleep(2)
        assert not await stream.stop(60)
