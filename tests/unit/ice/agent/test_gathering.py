"""What is gathered from which interfaces and servers, on the virtual network."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from rtcpeer.ice.agent.agent import IceAgent, new_credentials
from rtcpeer.ice.agent.gathering import usable_interfaces
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Interface
from rtcpeer.testing.clock import run_virtual
from rtcpeer.testing.net.host import Host
from rtcpeer.testing.net.network import VirtualNetwork
from rtcpeer.testing.turn.server import TurnServer
from rtcpeer.values import Candidate, CandidateType, IceRole, IceTransportPolicy
from tests.unit.ice.agents import Recorder, Two, entry


def run(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main)


async def gather(host: Host, settings: IceSettings) -> tuple[IceAgent, Recorder]:
    log = Recorder()
    with host.active() as network:
        agent = IceAgent(network, settings, IceRole.CONTROLLING, log)
    agent.start_generation(new_credentials())
    await asyncio.wait_for(log.gathered.wait(), 12)
    return agent, log


async def serve(network: VirtualNetwork, name: str = "turn", **kw: Any) -> TurnServer:
    host = network.add_host(name, ipv6=kw.pop("ipv6", False), ipv4=kw.pop("ipv4", True))
    with host.active() as own:
        server = TurnServer(users={"u": "p"}, network=own, **kw)
    await server.start()
    return server


def of_kind(agent: IceAgent, kind: CandidateType) -> list[Candidate]:
    return [c for c in agent.local_candidates if c.type is kind]


def test_host_srflx_and_relay_behind_a_nat() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        home = network.add_router("home")
        alice = home.add_host("alice")
        server = await serve(network)
        settings = IceSettings(servers=(entry(server.stun_url), entry(server.turn_url, "u", "p")))
        agent, log = await gather(alice, settings)
        host, srflx, relay = agent.local_candidates
        assert (host.type, srflx.type, relay.type) == ("host", "srflx", "relay")
        assert host.address == alice.address
        assert (srflx.related_address, srflx.related_port) == (host.address, host.port)
        assert srflx.url == server.stun_url
        assert relay.related_address == srflx.address
        assert relay.relay_protocol == "udp"
        assert host.priority > srflx.priority > relay.priority
        assert len({c.foundation for c in agent.local_candidates}) == 3
        assert not log.of("error")
        await agent.close()
        assert server.counters.released == 1
        await server.close()

    run(main())


def test_two_servers_with_the_same_answer_give_one_candidate() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("home").add_host("alice")
        first, second = await serve(network, "a"), await serve(network, "b")
        agent, _ = await gather(alice, IceSettings(servers=(entry(first.stun_url), entry(second.stun_url))))
        assert len(of_kind(agent, CandidateType.SRFLX)) == 1
        await agent.close()
        await first.close()
        await second.close()

    run(main())


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_turn_over_streams_where_udp_is_blocked(transport: Any) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("office", firewall="block-udp").add_host("alice")
        bob = network.add_host("bob")
        server = await serve(network, transports=("udp", "tcp", "tls"))
        context = server.client_context()
        settings = IceSettings(servers=(entry(server.turn_urls[transport], "u", "p"),), ssl_context=context)
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, settings, IceSettings())
        await two.connect(2)
        await asyncio.sleep(1)
        await two.exchange()
        assert two.left.selected_pair is not None
        assert two.left.selected_pair.local.relay_protocol == transport
        await two.close()
        assert server.counters.released == 1
        await server.close()

    run(main())


def test_an_untrusted_certificate_is_refused() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(network, transports=("tls",))
        other = TurnServer(network=alice.network).client_context()
        settings = IceSettings(servers=(entry(server.turn_urls["tls"], "u", "p"),), ssl_context=other)
        agent, log = await gather(alice, settings)
        (error,) = log.of("error")
        assert error.error_code == 701
        assert "certificate" in error.error_text.lower()
        assert not of_kind(agent, CandidateType.RELAY)
        await agent.close()
        await server.close()

    run(main())


def test_ipv6_only() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = (network.add_host(n, ipv4=False, ipv6=True) for n in ("alice", "bob"))
        server = await serve(network, ipv4=False, ipv6=True)
        settings = IceSettings(
            servers=(entry(server.stun_url), entry(server.turn_url, "u", "p")),
            policy=IceTransportPolicy.RELAY,
        )
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right, settings).connect(3)
        assert two.left.selected_pair is not None
        assert ":" in two.left.selected_pair.local.address
        await asyncio.sleep(1)
        await two.exchange()
        await two.close()
        await server.close()

    run(main())


def test_an_allocation_gives_both_families() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice", ipv6=True)
        server = await serve(network, ipv6=True)
        agent, _ = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", "p"),)))
        families = {":" in c.address for c in of_kind(agent, CandidateType.RELAY)}
        assert families >= {False}
        assert len(server.allocations) == 1
        await agent.close()
        await server.close()

    run(main())


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"errors": {"allocate": 486}}, 486),
        ({"errors": {"allocate": 508}}, 508),
        ({"errors": {"allocate": 437}}, 437),
        ({"silent": True}, 701),
        ({"garbage": True}, 701),
        ({"sign_wrongly": True}, 701),
    ],
)
def test_a_lying_server_costs_one_error_within_ten_seconds(fault: dict[str, Any], code: int) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(network)
        for name, value in fault.items():
            setattr(server.faults, name, value)
        begin = asyncio.get_running_loop().time()
        agent, log = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", "p"),)))
        assert asyncio.get_running_loop().time() - begin < 10
        (error,) = log.of("error")
        assert (error.error_code, error.url, error.address) == (code, server.turn_url, alice.address)
        assert error.port
        await agent.close()
        await server.close()

    run(main())


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_three_ports_are_tried_where_a_server_says_that_they_are_in_use(taken: int) -> None:
    """437 (RFC 8656 7.4): the NAT gave us a port that a client had which has just crashed."""

    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(network)
        ports: dict[int, None] = {}

        def watch(event: str, packet: Any, _reason: str) -> None:
            if event == "sent" and packet.data[:2] == b"\0\3":
                ports[packet.source[1]] = None
                server.faults.errors = {"allocate": 437} if len(ports) <= taken else {}

        network.tap(watch)
        agent, log = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", "p"),)))
        assert len(ports) == min(taken + 1, 3)
        assert len(of_kind(agent, CandidateType.RELAY)) == (taken < 3)
        assert [e.error_code for e in log.of("error")] == [437] * (taken == 3)
        await agent.close()
        await server.close()

    run(main())


def test_redirect_and_its_end() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        first, second = await serve(network, "first"), await serve(network, "second")
        first.faults.redirect = (network.hosts["second"].address, 3478)
        settings = IceSettings(servers=(entry(first.turn_url, "u", "p"),))
        agent, log = await gather(alice, settings)
        assert len(of_kind(agent, CandidateType.RELAY)) == 1
        assert len(second.allocations) == 1
        await agent.close()
        second.faults.redirect = (network.hosts["first"].address, 3478)
        agent, log = await gather(alice, settings)
        assert [e.error_code for e in log.of("error")] == [300]
        await agent.close()
        await first.close()
        await second.close()

    run(main())


def test_nonces_that_change_all_the_time() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = (network.add_router(n, nat="symmetric").add_host("h" + n) for n in ("a", "b"))
        server = await serve(network)
        server.faults.stale_nonce_every = 2
        settings = IceSettings(servers=(entry(server.turn_url, "u", "p"),))
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right, settings).connect(4)
        await asyncio.sleep(1300)
        server.change_nonce()
        await asyncio.sleep(700)
        await two.exchange()
        assert two.left.state in ("connected", "completed")
        await two.close()
        await server.released()
        await server.close()

    run(main())


def test_relay_policy_asks_no_stun_server_and_hides_the_address_in_errors() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(network)
        settings = IceSettings(
            servers=(entry(server.stun_url), entry("turn:198.51.100.222", "u", "p")),
            policy=IceTransportPolicy.RELAY,
        )
        agent, log = await gather(alice, settings)
        assert agent.local_candidates == ()
        (error,) = log.of("error")
        assert (error.address, error.port) == (None, None)
        assert server.counters.requests["binding"] == 0
        await agent.close()
        await server.close()

    run(main())


def test_static_nat_and_filter() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        public = {alice.address: "203.0.113.77"}
        agent, _ = await gather(alice, IceSettings(nat_1to1=public))
        assert [c.address for c in agent.local_candidates] == ["203.0.113.77"]
        await agent.close()
        agent, _ = await gather(alice, IceSettings(nat_1to1=public, nat_1to1_type="srflx"))
        assert [c.type for c in agent.local_candidates] == ["host", "srflx"]
        await agent.close()
        agent, log = await gather(
            alice, IceSettings(candidate_filter=lambda c: c.type is not CandidateType.HOST)
        )
        assert agent.local_candidates == ()
        assert log.of("candidate") == []
        await agent.close()

    run(main())


def test_mdns_names_hide_and_still_connect() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        lan = network.add_router("lan")
        alice, bob = lan.add_host("alice"), lan.add_host("bob")
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right, IceSettings(mdns=True)).connect(4)
        for candidate in two.left_log.of("candidate"):
            assert candidate.address.endswith(".local")
        assert alice.address not in repr(two.left.stats())
        await two.exchange()
        await two.close()
        assert not network._names._local

    run(main())


@pytest.mark.parametrize("firewall", ["block-udp", None])
def test_ice_tcp(firewall: str | None) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("office", firewall=firewall, nat=None).add_host("alice")
        bob = network.add_host("bob")
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, IceSettings(tcp="both"))
        await two.connect(4)
        await asyncio.sleep(2)
        await two.exchange()
        assert two.left.selected_pair is not None
        assert two.left.selected_pair.local.protocol == ("tcp" if firewall else "udp")
        await two.close()

    run(main())


def test_tcp_by_default_goes_where_a_passive_candidate_is_offered() -> None:
    """A server that offers TCP alone is reached; nothing of our own is offered for it."""

    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("office", firewall="block-udp", nat="symmetric").add_host("alice")
        bob = network.add_host("bob")
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, right_settings=IceSettings(tcp="passive"))
        await two.connect(4)
        await two.exchange()
        assert two.left.selected_pair is not None
        assert two.left.selected_pair.remote.tcp_type == "passive"
        assert {c.protocol for c in two.left_log.of("candidate")} == {"udp"}
        # a restart finds the stream again
        two.start()
        await asyncio.sleep(3)
        await two.exchange()
        await two.close()

    run(main())


def test_tcp_that_is_refused_is_told_within_a_second() -> None:
    async def main() -> None:
        network = VirtualNetwork(delay=0.015)
        alice, bob = network.add_host("alice"), network.add_host("bob")
        with alice.active() as left:
            two = Two(left, left)
        two.right_log.peer = two.left_log.peer = None
        await asyncio.sleep(0)
        two.left.start_generation(new_credentials())
        remote = new_credentials()
        two.left.set_remote_parameters(remote)
        two.left.add_remote_candidate(passive(bob.address, 22))
        await asyncio.sleep(0.5)
        assert two.left.state == "new"
        two.left.add_remote_candidate(passive(bob.address, 8001))
        await asyncio.sleep(0.5)
        assert two.left_log.of("state") == ["checking", "disconnected"]
        await asyncio.sleep(40)
        assert two.left_log.of("state") == ["checking", "disconnected", "failed"]
        await two.close()

    run(main())


@pytest.mark.parametrize("settings", [IceSettings(tcp=None), IceSettings(policy=IceTransportPolicy.RELAY)])
def test_tcp_is_not_tried_where_it_is_not_wanted(settings: IceSettings) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = network.add_host("alice"), network.add_host("bob")
        with alice.active() as left:
            two = Two(left, left, settings)
        two.left.start_generation(new_credentials())
        two.left.set_remote_parameters(new_credentials())
        packets: list[object] = []
        network.tap(lambda _event, packet, _reason: packets.append(packet))
        two.left.add_remote_candidate(passive(bob.address, 8001))
        await asyncio.sleep(5)
        assert two.left.state == "new"
        assert packets == []
        await two.close()

    run(main())


def passive(address: str, port: int) -> Candidate:
    return Candidate(
        foundation="1",
        component=1,
        protocol="tcp",
        priority=1000,
        address=address,
        port=port,
        type=CandidateType.HOST,
        tcp_type="passive",
    )


def udp(address: str) -> Candidate:
    return replace(passive(address, 8001), protocol="udp", tcp_type=None)


def test_survives_on_the_interface_that_is_left() -> None:
    async def main() -> None:
        network = VirtualNetwork(delay=0.015)
        alice, bob = network.add_host("alice"), network.add_host("bob")
        alice.add_interface("wlan0", delay=0.015)
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right).connect()
        await asyncio.sleep(2)
        assert two.left.selected_pair is not None
        used = two.left.selected_pair.local.address
        name = next(n for n in ("eth0", "wlan0") if used in alice.interface(n).addresses)
        alice.remove_interface(name)
        await asyncio.sleep(1)
        assert two.left_log.of("network")
        assert two.left.selected_pair.local.address != used
        assert two.left.state in ("connected", "completed")
        await two.exchange()
        await two.close()

    run(main())


def test_a_restart_gathers_on_a_new_interface() -> None:
    async def main() -> None:
        network = VirtualNetwork(delay=0.015)
        alice, bob = network.add_host("alice"), network.add_host("bob")
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right).connect()
        alice.add_interface("wlan0", delay=0.015)
        await asyncio.sleep(0.2)
        two.start()
        await asyncio.sleep(1)
        assert len(two.left.local_candidates) == 2
        await two.exchange()
        await two.close()

    run(main())


def test_the_broadcast_address_of_a_new_network_is_no_remote_candidate() -> None:
    async def main() -> None:
        network = VirtualNetwork(delay=0.015)
        alice, bob = network.add_host("alice"), network.add_host("bob")
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right).connect()
        alice.add_interface("wlan0", network.add_router("carrier").segment)
        (added,) = [i for i in left.interfaces() if i.name == "wlan0"]
        await asyncio.sleep(0.2)
        everybody = str(ip_network(f"{added.address}/{added.prefix_length}", strict=False).broadcast_address)
        before = two.left.remote_candidates
        two.left.add_remote_candidate(udp(everybody))
        assert two.left.remote_candidates == before
        two.left.add_remote_candidate(udp(added.address))
        assert len(two.left.remote_candidates) == len(before) + 1
        await two.close()

    run(main())


def test_policy_changed_by_a_restart() -> None:
    async def main() -> None:
        network = VirtualNetwork(delay=0.015)
        alice, bob = network.add_host("alice"), network.add_host("bob")
        server = await serve(network)
        servers = (entry(server.turn_url, "u", "p"),)
        with alice.active() as left, bob.active() as right:
            two = await Two(left, right).connect()
        two.left.settings = IceSettings(servers=servers, policy=IceTransportPolicy.RELAY)
        two.start()
        for number in range(100):
            two.left.send(b"\x80%d" % number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(5)
        assert len(two.right_data) == 100
        assert two.left.selected_pair is not None
        assert two.left.selected_pair.local.type is CandidateType.RELAY
        assert [c.type for c in two.left.local_candidates] == ["relay"]
        await two.close()
        await server.close()

    run(main())


def test_loopback_only_where_there_is_nothing_else() -> None:
    lo = Interface("lo", "127.0.0.1", 8, "ipv4", is_loopback=True)
    eth = Interface("eth0", "192.0.2.1", 24, "ipv4")
    six = Interface("eth0", "2001:db8::1", 64, "ipv6")

    class Fixed:
        def __init__(self, *found: Interface) -> None:
            self.found = found

        def interfaces(self) -> list[Interface]:
            return list(self.found)

    def use(settings: IceSettings, *found: Interface) -> list[str]:
        return [i.address for i in usable_interfaces(Fixed(*found), settings)]  # type: ignore[arg-type]

    assert use(IceSettings(), lo, eth, six) == ["2001:db8::1", "192.0.2.1"]
    assert use(IceSettings(), lo) == ["127.0.0.1"]
    assert use(IceSettings(include_loopback=True), lo, eth) == ["127.0.0.1", "192.0.2.1"]
    assert use(IceSettings(include_loopback=False), lo) == []
    assert use(IceSettings(ipv6=False), lo, eth, six) == ["192.0.2.1"]
    assert use(IceSettings(ipv4=False), lo, eth, six) == ["2001:db8::1"]
    assert use(IceSettings(bind_addresses=("127.0.0.1",)), lo, eth) == ["127.0.0.1"]
    assert use(IceSettings(interface_filter=lambda i: i.name == "lo"), lo, eth) == ["127.0.0.1"]


def test_a_server_named_by_a_small_number_is_refused_at_once() -> None:
    """Resolvers make 0.0.0.123 of it; browsers tell an error at once, not after the time for an answer."""

    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        network.add_name("123", "0.0.0.123")
        settings = IceSettings(servers=(entry("turn:123", "u", "p"),))
        began = asyncio.get_running_loop().time()
        agent, log = await gather(alice, settings)
        assert asyncio.get_running_loop().time() - began < 1
        assert [(e.error_code, e.url, e.address) for e in log.of("error")] == [(701, "turn:123", None)]
        await agent.close()

    run(main())


def test_what_a_servers_one_address_says_is_worth_more_than_the_silence_of_its_other() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice", ipv6=True)
        host = network.add_host("turn", ipv6=True)
        # it answers over IPv4 alone
        server = TurnServer(
            {"u": "p"}, network=host.network, hosts=[a for a in host.addresses if ":" not in a]
        )
        server.hostname = "turn"
        await server.start()
        for credential, code in (("wrong", 401), ("p", None)):
            agent, log = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", credential),)))
            assert [error.error_code for error in log.of("error")] == ([code] if code else [])
            await agent.close()
        server.faults.errors["allocate"] = 486
        agent, log = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", "p"),)))
        assert [error.error_code for error in log.of("error")] == [486]
        await agent.close()
        await server.close()

    run(main())


@pytest.mark.parametrize("remote", [True, False])
def test_a_loopback_base_asks_nobody_but_servers_on_this_host(remote: bool) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        async with TurnServer(
            network=(network.add_host("stun") if remote else alice).network,
            hosts=None if remote else ["127.0.0.1"],
        ) as server:
            settings = IceSettings(servers=(entry(server.stun_url),), include_loopback=True)
            agent, log = await gather(alice, settings)
            assert not log.of("error")
            assert {c.address for c in agent.local_candidates} >= {alice.address, "127.0.0.1"}
            # from eth0 alone; on this host from both
            assert server.counters.requests["binding"] == (1 if remote else 2)
            await agent.close()

    run(main())
