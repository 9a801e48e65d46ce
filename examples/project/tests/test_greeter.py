"""The greeter, called by a peer that does what each test says. The fixtures come with rtcpeer."""

import asyncio
from contextlib import asynccontextmanager

from greeter import greeter

from rtcpeer.testing import ScriptedPeer


@asynccontextmanager
async def at_work(peer, host, servers=()):
    """The greeter, running on a host of the virtual network, at the other end of the peer's signaling."""
    with host.active():
        task = asyncio.create_task(greeter(peer.signaling, servers))
    try:
        yield
        await peer.hang_up()
        await task  # it ends with the call
    finally:
        task.cancel()


async def test_it_greets_and_answers(virtual_network, scripted_peer):
    async with at_work(scripted_peer, virtual_network.add_host("server")):
        await scripted_peer.call()
        assert await scripted_peer.heard() == "hello"
        scripted_peer.say("how are you?")
        assert await scripted_peer.heard() == "HOW ARE YOU?"


async def test_it_has_a_voice(virtual_network, scripted_peer):
    async with at_work(scripted_peer, virtual_network.add_host("server")):
        await scripted_peer.call()
        assert (await scripted_peer.sound()).sample_rate == 48000


async def test_it_survives_an_outage(virtual_network):
    # a caller that sends nothing: a minute without sound costs no time at all
    phone, server = virtual_network.add_host("phone"), virtual_network.add_host("server")
    async with ScriptedPeer(host=phone, sends=()) as caller, at_work(caller, server):
        await caller.call()
        await caller.outage(40)
        await caller.restart()
        caller.say("still there?")
        assert await caller.heard() == "hello"
        assert await caller.heard() == "STILL THERE?"


async def test_a_relay_connects_it_through_two_strict_nats(symmetric_nat, turn_server, scripted_peer):
    scripted_peer.pc.setConfiguration({"iceServers": turn_server.ice_servers})
    async with at_work(scripted_peer, symmetric_nat.hosts["alice"], turn_server.ice_servers):
        await scripted_peer.call()
        assert await scripted_peer.heard() == "hello"
        assert turn_server.counters.packets_to_peers > 0
