"""Whole agents: on the virtual network, on real sockets, and against aioice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aioice
import pytest

from rtcpeer.ice.agent.agent import IceAgent, new_credentials
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing.clock import run_virtual
from rtcpeer.testing.net.network import VirtualNetwork
from rtcpeer.testing.turn.server import TurnServer
from rtcpeer.values import Candidate, CandidateType, IceParameters, IceRole, IceTransportPolicy
from tests.unit.ice.agents import Recorder, Two, entry

# -- real sockets ----------------------------------------------------------------------------------


async def test_two_agents_on_this_machine() -> None:
    two = await Two(SystemNetwork()).connect()
    two.left.send(b"\x80hello")
    two.right.send(b"\x16hello")
    await asyncio.sleep(0.05)
    assert (two.right_data, two.left_data) == ([b"\x80hello"], [b"\x16hello"])
    before = len(asyncio.all_tasks())
    await two.close()
    assert len(asyncio.all_tasks()) <= before
    assert two.left.state == "closed"
    assert "closed" not in two.left_log.of("state")


async def test_candidates_come_after_the_call_and_gathering_ends() -> None:
    log = Recorder()
    agent = IceAgent(SystemNetwork(), IceSettings(), IceRole.CONTROLLING, log)
    credentials = new_credentials()
    agent.start_generation(credentials)
    assert not log.log
    assert agent.gathering_state == "new"
    await log.gathered.wait()
    assert log.of("gathering") == ["gathering", "complete"]
    assert log.of("candidate") == list(agent.local_candidates)
    assert {c.ufrag for c in agent.local_candidates} == {credentials.ufrag}
    assert agent.local_parameters == credentials
    await agent.close()


@pytest.mark.parametrize("controlling", [True, False])
async def test_interop_with_aioice(controlling: bool) -> None:
    log = Recorder()
    role = IceRole.CONTROLLING if controlling else IceRole.CONTROLLED
    agent = IceAgent(SystemNetwork(), IceSettings(), role, log)
    theirs = aioice.Connection(ice_controlling=not controlling)
    await theirs.gather_candidates()
    ours = new_credentials()
    theirs.remote_username, theirs.remote_password = ours.ufrag, ours.pwd
    agent.start_generation(ours)
    agent.set_remote_parameters(IceParameters(theirs.local_username, theirs.local_password))
    for c in theirs.local_candidates:
        agent.add_remote_candidate(
            Candidate(
                c.foundation, c.component, c.transport, c.priority, c.host, c.port, CandidateType(c.type)
            )
        )
    agent.end_of_remote_candidates(None)
    await log.gathered.wait()
    for mine in agent.local_candidates:
        await theirs.add_remote_candidate(
            aioice.Candidate(
                mine.foundation, 1, mine.protocol, mine.priority, mine.address, mine.port, str(mine.type)
            )
        )
    await theirs.add_remote_candidate(None)
    await asyncio.wait_for(theirs.connect(), 5)
    await asyncio.wait_for(log.connected.wait(), 5)
    got: list[bytes] = []
    agent.receiver = got.append
    await theirs.send(b"\x80ping")
    agent.send(b"\x80pong")
    assert await asyncio.wait_for(theirs.recv(), 5) == b"\x80pong"
    await asyncio.sleep(0.02)
    assert got == [b"\x80ping"]
    await agent.close()
    await theirs.close()


async def test_closing_is_idempotent_and_final() -> None:
    two = await Two(SystemNetwork()).connect()
    await two.close()
    await two.left.close()
    two.left.start_generation(new_credentials())
    two.left.set_remote_parameters(new_credentials())
    two.left.end_of_remote_candidates(None)
    two.left.rollback()
    two.left.set_role(IceRole.CONTROLLED)
    two.left.send(b"\x80x")
    assert two.left.state == "closed"
    assert two.left.local_candidates == ()


async def test_closing_while_gathering() -> None:
    log = Recorder()
    agent = IceAgent(
        SystemNetwork(), IceSettings(servers=(entry("stun:192.0.2.250"),)), IceRole.CONTROLLING, log
    )
    agent.start_generation(new_credentials())
    await asyncio.sleep(0.01)
    await asyncio.wait_for(agent.close(), 1)
    assert len(asyncio.all_tasks()) == 1


async def test_a_failing_listener_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    reports: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    two = Two(SystemNetwork())
    take = two.left_log.on_candidate

    def on_candidate(candidate: Candidate) -> None:
        take(candidate)
        raise RuntimeError("listener")

    monkeypatch.setattr(two.left_log, "on_candidate", on_candidate)
    await two.connect()
    assert reports
    assert all("on_candidate" in str(r["message"]) for r in reports)
    await two.close()


async def test_port_range_and_bind_address() -> None:
    log = Recorder()
    settings = IceSettings(port_range=(42100, 42110), bind_addresses=("127.0.0.1",))
    agent = IceAgent(SystemNetwork(), settings, IceRole.CONTROLLING, log)
    agent.start_generation(new_credentials())
    await log.gathered.wait()
    assert [c.address for c in agent.local_candidates] == ["127.0.0.1"]
    assert 42100 <= agent.local_candidates[0].port <= 42110
    await agent.close()


async def test_a_hundred_pairs_leave_nothing() -> None:
    network = SystemNetwork()
    for _ in range(100):
        two = await Two(network).connect()
        await two.close()
    assert len(asyncio.all_tasks()) == 1


# -- the virtual network ---------------------------------------------------------------------------


class Topology:
    """alice and bob behind NATs, a TURN server."""

    def __init__(self, nat: str | None = None, seed: int = 1, loss: float = 0.0) -> None:
        self.network = VirtualNetwork(seed=seed, delay=0.015)
        if nat:
            self.alice = self.network.add_router("ra", nat=nat).add_host("alice")
            self.bob = self.network.add_router("rb", nat=nat).add_host("bob")
        else:
            self.alice, self.bob = self.network.add_host("alice"), self.network.add_host("bob")
        if loss:
            self.alice.link.set(loss=loss)
        self.servers: list[TurnServer] = []

    async def server(self, name: str = "server") -> tuple[TurnServer, IceSettings]:
        host = self.network.add_host(name)
        with host.active() as network:
            server = TurnServer(users={"u": "p"}, network=network)
        await server.__aenter__()
        self.servers.append(server)
        return server, IceSettings(
            servers=(entry(f"stun:{host.address}"), entry(f"turn:{host.address}", "u", "p"))
        )

    def two(self, settings: IceSettings | None = None) -> Two:
        with self.alice.active() as left, self.bob.active() as right:
            return Two(left, right, settings)

    async def close(self, two: Two) -> None:
        await two.close()
        for server in self.servers:
            assert not server.allocations
            await server.__aexit__(None, None, None)
        assert len(asyncio.all_tasks()) == 1


def kinds(two: Two) -> tuple[str, str]:
    pair = two.left.selected_pair
    assert pair is not None
    return str(pair.local.type), str(pair.remote.type)


@pytest.mark.parametrize(
    ("nat", "limit", "relayed"),
    [(None, 0.1, False), ("port-restricted", 0.5, False), ("symmetric", 0.5, True)],
)
def test_through_nats(nat: str | None, limit: float, relayed: bool) -> None:
    async def main() -> None:
        topology = Topology(nat)
        _, settings = await topology.server()
        two = topology.two(settings)
        begin = asyncio.get_running_loop().time()
        await two.connect()
        assert asyncio.get_running_loop().time() - begin <= limit
        await asyncio.sleep(3)
        await two.exchange()
        assert ("relay" in kinds(two)) is relayed
        assert two.left.state in ("connected", "completed")
        await topology.close(two)

    run_virtual(main())


def test_relay_policy_leaks_nothing() -> None:
    async def main() -> None:
        topology = Topology()
        _, settings = await topology.server()
        seen: set[tuple[str, str]] = set()
        topology.network.tap(lambda event, packet, _: seen.add((packet.source[0], packet.destination[0])))
        two = topology.two(replace(settings, policy=IceTransportPolicy.RELAY))
        await two.connect()
        await asyncio.sleep(3)
        await two.exchange()
        own = topology.alice.address
        for candidate in two.left_log.of("candidate"):
            assert candidate.type is CandidateType.RELAY
            assert own not in (candidate.address, candidate.related_address)
        assert own not in repr(two.left.stats())
        assert kinds(two) == ("relay", "relay")
        assert (own, topology.bob.address) not in seen
        assert (topology.bob.address, own) not in seen
        await topology.close(two)

    run_virtual(main())


@pytest.mark.parametrize("seed", range(6))
def test_with_twenty_percent_loss(seed: int) -> None:
    async def main() -> None:
        topology = Topology("port-restricted", seed, 0.2)
        _, settings = await topology.server()
        two = await topology.two(settings).connect(8)
        await two.close()
        await topology.servers[0].__aexit__(None, None, None)

    run_virtual(main())


def test_an_outage_of_eight_seconds() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(2)
        await topology.alice.link.outage_of(8)
        ended = asyncio.get_running_loop().time()
        assert two.left.state == two.right.state == "disconnected"
        await asyncio.sleep(0.5)
        assert "disconnected" not in (two.left.state, two.right.state)
        assert max(t for t, kind, _ in two.left_log.log if kind == "state") < ended + 0.5
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_an_outage_of_forty_seconds_and_a_restart() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await topology.alice.link.outage_of(40)
        assert two.left.state == two.right.state == "failed"
        two.left.send(b"\x80lost")
        two.left_log.connected.clear()
        two.right_log.connected.clear()
        await two.connect(0.5)
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_a_restart_loses_no_message() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        sent = 0
        for step in range(300):
            if step in (50, 150, 160, 250):
                two.start()
            two.left.send(b"\x80%d" % sent)
            sent += 1
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert two.right_data == [b"\x80%d" % n for n in range(sent)]
        assert set(two.left_log.of("state")) <= {"checking", "connected", "completed"}
        await topology.close(two)

    run_virtual(main())


def test_servers_replaced_then_the_old_one_taken_away() -> None:
    async def main() -> None:
        topology = Topology("symmetric")
        first, settings = await topology.server("first")
        _, others = await topology.server("second")
        two = await topology.two(settings).connect()
        await asyncio.sleep(3)
        two.left.settings = two.right.settings = others
        two.start()
        for number in range(300):
            two.left.send(b"\x80%d" % number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(4)
        assert two.right_data == [b"\x80%d" % n for n in range(300)]
        assert not first.allocations
        topology.network.hosts["first"].link.set(loss=1.0)
        await asyncio.sleep(20)
        await two.exchange()
        assert two.left.state in ("connected", "completed")
        await topology.close(two)

    run_virtual(main())


def test_unchanged_servers_keep_their_allocation_over_a_restart() -> None:
    async def main() -> None:
        topology = Topology("symmetric")
        server, settings = await topology.server()
        two = await topology.two(settings).connect()
        await asyncio.sleep(3)
        before = [c for c in two.left.local_candidates if c.type is CandidateType.RELAY]
        two.start()
        await asyncio.sleep(8)
        after = [c for c in two.left.local_candidates if c.type is CandidateType.RELAY]
        assert [(c.address, c.port) for c in before] == [(c.address, c.port) for c in after]
        assert before[0].ufrag != after[0].ufrag
        assert len(server.allocations) == 2
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_an_address_change_is_told_and_a_restart_recovers() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(2)
        topology.alice.change_address()
        await asyncio.sleep(0.3)
        assert two.left_log.of("network")
        begin = asyncio.get_running_loop().time()
        two.start()
        while not two.right_data:
            two.left.send(b"\x80x")
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - begin < 0.6
        await asyncio.sleep(4)
        await topology.close(two)

    run_virtual(main())


def test_dead_wrong_and_unresolvable_servers_cost_only_their_candidates() -> None:
    async def main() -> None:
        topology = Topology()
        _server, good = await topology.server()
        host = topology.network.hosts["server"].address
        dead = tuple(entry(f"stun:198.51.100.{n}") for n in range(200, 218))
        bad = (
            entry(f"turn:{host}", "u", "wrong"),
            entry("turn:198.51.100.230", "u", "p"),
            entry("stun:nowhere.example"),
            entry("turn:198.51.100.231?transport=tcp", "u", "p"),
            entry("turns:198.51.100.231:443?transport=tcp", "u", "p"),
        )
        two = topology.two(IceSettings(servers=(*dead, *bad, *good.servers)))
        begin = asyncio.get_running_loop().time()
        await two.connect()
        assert asyncio.get_running_loop().time() - begin < 0.1
        await two.left_log.gathered.wait()
        assert asyncio.get_running_loop().time() - begin < 10
        errors = two.left_log.of("error")
        assert sorted(e.url for e in errors) == sorted(e.url.url for e in (*dead, *bad))
        codes = {e.url: e.error_code for e in errors}
        assert codes.pop(f"turn:{host}") == 401
        assert set(codes.values()) == {701}
        relays = [c for c in two.left.local_candidates if c.type is CandidateType.RELAY]
        assert [c.url for c in relays] == [f"turn:{host}"]
        await topology.close(two)

    run_virtual(main())


def test_a_rolled_back_restart_keeps_everything() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(1)
        old = two.left.local_parameters
        two.left.start_generation(new_credentials())
        await asyncio.sleep(0.1)
        two.left.rollback()
        assert two.left.local_parameters == old
        assert two.left.gathering_state == "complete"
        await asyncio.sleep(10)
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_candidates_we_refuse() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        before = two.left.remote_candidates
        sample = before[0]
        for address in (
            "224.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.51.100.255",
            "example.org",
            "fe80::1",
        ):
            two.left.add_remote_candidate(replace(sample, address=address))
        two.left.add_remote_candidate(replace(sample, address="198.51.100.77", component=2))
        two.left.add_remote_candidate(replace(sample, address="198.51.100.77", port=0))
        two.left.add_remote_candidate(replace(sample, address="198.51.100.77", protocol="sctp"))
        assert two.left.remote_candidates == before
        await topology.close(two)

    run_virtual(main())


def test_statistics_count_what_flows() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(1)
        await two.exchange()
        two.start()
        await asyncio.sleep(5)
        await two.exchange()
        stats = two.left.stats()
        assert (stats.packets_sent, stats.packets_received) == (2, 2)
        assert stats.bytes_sent == 2 * len(b"\x80to the right")
        assert stats.selected_pair_changes == 2
        selected = next(p for p in stats.pairs if p.id == stats.selected_pair_id)
        assert selected.nominated
        assert selected.state == "succeeded"
        assert selected.current_round_trip_time == pytest.approx(0.06)
        assert selected.local_candidate_id in {c.id for c in stats.local_candidates}
        assert selected.remote_candidate_id in {c.id for c in stats.remote_candidates}
        await topology.close(two)

    run_virtual(main())


def test_glare_both_restart_one_rolls_back() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(1)
        left_offer, right_offer, answer = new_credentials(), new_credentials(), new_credentials()
        two.left.start_generation(left_offer)
        two.right.start_generation(right_offer)
        await asyncio.sleep(0.1)
        # The right side is polite: it gives way and answers the left one's offer.
        two.right.rollback()
        two.right.start_generation(answer)
        two.right.set_remote_parameters(left_offer)
        for candidate in two.left.local_candidates:
            two.right.add_remote_candidate(candidate)
        two.left.set_remote_parameters(answer)
        await asyncio.sleep(1)
        assert two.left.remote_parameters == answer
        assert two.right.remote_parameters == left_offer
        assert two.left.state in ("connected", "completed")
        assert "disconnected" not in two.left_log.of("state") + two.right_log.of("state")
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_a_flood_of_candidates_is_bounded() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        sample = two.left.remote_candidates[0]
        for number in range(10000):
            two.left.add_remote_candidate(
                replace(sample, address=f"203.0.{number % 200}.7", port=1 + number % 60000)
            )
            two.left.add_remote_candidate(replace(sample, address=f"{number}.local"))
        assert len(two.left.remote_candidates) <= IceSettings().max_remote_candidates
        assert len(asyncio.all_tasks()) < 150
        await two.exchange()
        await topology.close(two)

    run_virtual(main())


def test_lag_of_the_loop_is_not_silence() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(10)
        # The loop comes back twenty seconds too late: the timer says by how much.
        two.left._alarm._at -= 20
        two.left._alarm._fire()
        assert two.left.state in ("connected", "completed")
        await topology.close(two)

    run_virtual(main())


def test_data_alone_wakes_a_silent_path() -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(1)
        with topology.bob.link.outage():
            await asyncio.sleep(7)
            assert two.left.state == "disconnected"
        two.right.send(b"\x80first after the outage")
        await asyncio.sleep(0.04)
        assert two.left.state in ("connected", "completed")
        assert two.left_data == [b"\x80first after the outage"]
        await topology.close(two)

    run_virtual(main())


@pytest.mark.parametrize("segments", [False, True])
def test_a_path_that_stays_silent_after_data_is_asked_soon(segments: bool) -> None:
    async def main() -> None:
        topology = Topology()
        two = await topology.two().connect()
        await asyncio.sleep(10)
        route = two.left.core.route
        assert route is not None
        # an idle path wakes nobody in between: no timer is set for what is not sent
        heard_at = route.heard_at
        while route.heard_at == heard_at:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.01)
        asked = route.requests_sent
        with topology.bob.link.outage():
            await asyncio.sleep(0.2)
            if segments:
                two.left.send_segments(b"\x80is any\x80body", 7)
            else:
                two.left.send(b"\x80is anybody there")
            wait = route.heard_at + IceSettings().wake_after - asyncio.get_running_loop().time()
            assert wait > 1
            await asyncio.sleep(wait - 0.01)
            assert route.requests_sent == asked
            await asyncio.sleep(0.02)
            assert route.requests_sent == asked + 1
        await topology.close(two)

    run_virtual(main())


def test_a_turn_stream_that_ends_is_noticed_at_once() -> None:
    async def main() -> None:
        topology = Topology("symmetric")
        host = topology.network.add_host("server")
        server = TurnServer(users={"u": "p"}, network=host.network, transports=("tcp",))
        await server.start()
        two = topology.two(IceSettings(servers=(entry(server.turn_urls["tcp"], "u", "p"),)))
        await two.connect()
        await asyncio.sleep(3)
        server.kill()
        await asyncio.sleep(0.2)
        assert two.left.state == "disconnected"
        await server.start()
        two.start()
        await asyncio.sleep(1)
        assert two.left.state in ("connected", "completed")
        await two.exchange()
        await two.close()
        await server.close()

    run_virtual(main())
