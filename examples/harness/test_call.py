"""A test harness: two peers, a TURN server and a hostile network in one pytest process, in virtual time.

The fixtures come with rtcpeer's pytest plugin. A test that asks for `virtual_network` runs in virtual time,
on hosts, links and NATs of that network; without it the same fixtures use real sockets.
"""

import asyncio
import time

from rtcpeer.testing import PeerPair


async def test_a_minute_of_outage_takes_milliseconds(virtual_network, peer_pair):
    channel = peer_pair.offerer.createDataChannel("numbers")
    heard, states = [], []
    peer_pair.answerer.ondatachannel = lambda event: setattr(
        event.channel, "onmessage", lambda message: heard.append(int(message.data))
    )
    peer_pair.offerer.onconnectionstatechange = lambda _: states.append(peer_pair.offerer.connectionState)
    await peer_pair.connect()
    await channel.opened()

    wall, virtual = time.perf_counter(), asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        group.create_task(virtual_network.hosts["bob"].link.outage_of(60))
        for number in range(100):
            channel.send(str(number))
            await asyncio.sleep(0.5)
    assert states[-2:] == ["disconnected", "failed"]

    await asyncio.sleep(15)  # the path is back, and the call with it
    assert states[-1] == "connected"
    assert heard == list(range(100))

    await peer_pair.restart_ice()
    assert states[-1] == "connected"
    virtual = asyncio.get_running_loop().time() - virtual
    print(f"\n{virtual:.0f} seconds in {(time.perf_counter() - wall) * 1000:.0f} ms: {', '.join(states)}")


async def test_symmetric_nats_need_the_relay(virtual_network, turn_server):
    homes = [virtual_network.add_router(name, nat="symmetric") for name in ("home", "office")]
    hosts = [home.add_host(name) for home, name in zip(homes, ("alice", "bob"), strict=True)]
    async with PeerPair({"iceServers": turn_server.ice_servers}, hosts=tuple(hosts)) as pair:
        await pair.connect()
        selected = pair.offerer.sctp.transport.iceTransport.getSelectedCandidatePair()
        assert "relay" in (selected.local.type, selected.remote.type)


async def test_the_same_on_real_sockets(peer_pair, turn_server):
    await peer_pair.connect(timeout=5)
    peer_pair.offerer.setConfiguration({"iceServers": turn_server.ice_servers})
    await peer_pair.restart_ice(timeout=5)
    assert peer_pair.offerer.connectionState == "connected"
