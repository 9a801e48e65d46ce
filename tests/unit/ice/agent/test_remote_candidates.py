"""Remote candidates: which are taken, and where a TURN server may send us."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtcpeer.ice.agent.agent import IceAgent, new_credentials
from rtcpeer.ice.agent.allocation import _may_follow
from rtcpeer.ice.agent.remote_candidates import RemoteCandidateFilter
from rtcpeer.ice.settings import IceSettings
from rtcpeer.testing import TurnServer, VirtualNetwork, run_virtual
from rtcpeer.values import Candidate, CandidateType, IceRole, IceTransportPolicy
from tests.unit.ice.agent.test_gathering import gather, serve
from tests.unit.ice.agents import Recorder, Two, entry
from tests.unit.ice.support import candidate

HOUSE = [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::5",
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fe80::1",
]


async def taken(
    settings: IceSettings, *told: Candidate, loopback_only: bool = False, link: bool = False
) -> list[str]:
    """Addresses of the candidates that an agent with these settings takes."""
    network = VirtualNetwork()
    host = network.add_host("alice")
    host.interface().is_up = not loopback_only
    if link:
        host.add_interface("zeroconf0", addresses=("169.254.7.7",))
    agent = IceAgent(host.network, settings, IceRole.CONTROLLING, Recorder())
    theirs = new_credentials()
    agent.start_generation(new_credentials())
    agent.set_remote_parameters(theirs)
    for one in told:
        agent.add_remote_candidate(one)
    await asyncio.sleep(0.1)
    found = [c.address for c in agent.remote_candidates]
    await agent.close()
    return found


def take(*args: Any, **how: Any) -> list[str]:
    return run_virtual(taken(*args, **how))


@pytest.mark.parametrize("address", HOUSE)
def test_nobody_makes_us_probe_our_own_host_or_link(address: str) -> None:
    assert take(IceSettings(), candidate(address), candidate("198.51.100.7")) == ["198.51.100.7"]


@pytest.mark.parametrize(
    ("told", "states"),
    [
        (candidate("127.0.0.1"), ["disconnected"]),
        (candidate("169.254.9.9"), ["disconnected"]),
        (candidate("127.0.0.1", 8001, protocol="tcp", tcp_type="passive"), ["disconnected"]),
        (candidate("127.0.0.1", 22, protocol="tcp", tcp_type="passive"), []),  # no place for peers at all
    ],
)
def test_a_candidate_that_leads_nowhere_is_told_by_the_state(told: Candidate, states: list[str]) -> None:
    """Nothing is sent there, and whoever waits for the connection sees that nothing is being tried."""

    async def main() -> None:
        network = VirtualNetwork()
        host = network.add_host("alice")
        log = Recorder()
        agent = IceAgent(host.network, IceSettings(), IceRole.CONTROLLING, log)
        agent.start_generation(new_credentials())
        agent.set_remote_parameters(new_credentials())
        agent.add_remote_candidate(told)
        await asyncio.sleep(0.4)
        assert log.of("state") == []
        await asyncio.sleep(0.2)
        assert log.of("state") == states
        assert not agent.remote_candidates
        # what works is tried all the same
        agent.add_remote_candidate(candidate("198.51.100.7"))
        await asyncio.sleep(0.1)
        assert log.of("state") == [*states, "checking"]
        await agent.close()

    run_virtual(main())


@pytest.mark.parametrize("address", ["192.168.1.1", "10.0.0.1", "2001:db8::9"])
def test_private_addresses_are_taken(address: str) -> None:
    assert take(IceSettings(), candidate(address)) == [address]


def test_who_offers_loopback_or_link_local_addresses_takes_such() -> None:
    both = (candidate("127.0.0.1"), candidate("169.254.9.9"))
    assert take(IceSettings(include_loopback=True), *both) == ["127.0.0.1"]
    assert take(IceSettings(), *both, link=True) == ["169.254.9.9"]
    # "auto" offers loopback where there is nothing else
    assert take(IceSettings(), *both, loopback_only=True) == ["127.0.0.1"]
    relay = IceSettings(include_loopback=True, policy=IceTransportPolicy.RELAY)
    assert take(relay, *both, link=True) == []


@pytest.mark.parametrize("early", [True, False])
def test_a_relayed_loopback_address_of_ours_counts_too(early: bool) -> None:
    """A TURN server on this host, as in demonstrations; the other side's candidates may come before ours."""

    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        async with TurnServer({"u": "p"}, network=alice.network, hosts=["127.0.0.1"]) as server:
            servers = (entry(server.turn_url, "u", "p"),)
            settings = IceSettings(servers=servers, policy=IceTransportPolicy.RELAY)
            two = Two(alice.network, alice.network, settings)
            if not early:
                two.right_log.trickle = lambda _: False
            await_both = asyncio.gather(two.left_log.connected.wait(), two.right_log.connected.wait())
            two.start()
            if not early:
                await asyncio.sleep(1)
                for told in two.right.local_candidates:
                    two.left.add_remote_candidate(told)
            await asyncio.wait_for(await_both, 10)
            await two.close()

    run_virtual(main())


def test_what_waits_to_see_our_candidates_is_bounded() -> None:
    told = [candidate("127.0.0.1", 1 + number) for number in range(1000)]
    assert len(take(IceSettings(include_loopback=True), *told)) == 16


def test_a_name_that_resolves_to_our_own_host_is_refused() -> None:
    async def main() -> list[str]:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        seen: list[str] = []
        settings = IceSettings(remote_candidate_filter=lambda c: bool(seen.append(c.address)) or True)
        agent = IceAgent(alice.network, settings, IceRole.CONTROLLING, Recorder())

        async def resolve(host: str, family: object = None) -> list[str]:
            return {"trap.local": ["127.0.0.1"], "good.local": ["198.51.100.7"]}[host]

        alice.network.resolve = resolve  # type: ignore[method-assign,assignment]
        agent.start_generation(new_credentials())
        agent.set_remote_parameters(new_credentials())
        agent.add_remote_candidate(candidate("trap.local"))
        agent.add_remote_candidate(candidate("good.local", 2))
        await asyncio.sleep(0.1)
        found = [c.address for c in agent.remote_candidates]
        await agent.close()
        return [*seen, *found]

    # the filter sees the address, not the name
    assert run_virtual(main()) == ["198.51.100.7", "good.local"]


def test_the_users_filter_refuses_and_nothing_is_sent_there() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = network.add_host("alice"), network.add_host("bob")
        settings = IceSettings(remote_candidate_filter=lambda c: c.address == bob.address)
        two = Two(alice.network, bob.network, settings, IceSettings())
        two.left.start_generation(offer := new_credentials())
        two.right.start_generation(answer := new_credentials())
        two.left.set_remote_parameters(answer)
        two.right.set_remote_parameters(offer)
        two.left.add_remote_candidate(candidate("198.51.100.7", 9999))
        await asyncio.wait_for(two.left_log.connected.wait(), 10)
        assert {c.address for c in two.left.remote_candidates} == {bob.address}
        assert {p.remote_candidate_id for p in two.left.stats().pairs} == {
            c.id for c in two.left.stats().remote_candidates
        }
        await two.close()

    run_virtual(main())


def test_the_filter_holds_for_addresses_that_only_checks_reveal() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = network.add_host("alice"), network.add_host("bob")
        types: list[CandidateType] = []

        def refuse(c: Candidate) -> bool:
            types.append(c.type)
            return False

        two = Two(alice.network, bob.network, IceSettings(remote_candidate_filter=refuse), IceSettings())
        two.right_log.trickle = lambda _: False
        two.start()
        await asyncio.sleep(5)
        assert set(types) == {CandidateType.PRFLX}
        assert two.left.stats().pairs == ()
        assert all(p.responses_received == 0 for p in two.right.stats().pairs)
        await two.close()

    run_virtual(main())


def test_a_filter_that_fails_refuses_and_is_reported() -> None:
    async def main() -> tuple[list[str], list[dict[str, Any]]]:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

        def fail(c: Candidate) -> bool:
            raise RuntimeError("broken")

        return await taken(IceSettings(remote_candidate_filter=fail), candidate("198.51.100.7")), reports

    found, reports = run_virtual(main())
    assert found == []
    assert [str(report["exception"]) for report in reports] == ["broken"]


def test_each_candidate_costs_the_same_however_many_came_before() -> None:
    """Counted, not timed: beyond the bound a candidate changes nothing, so nothing is looked at again."""

    async def main() -> int:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        agent = IceAgent(alice.network, IceSettings(), IceRole.CONTROLLING, Recorder())
        agent.start_generation(new_credentials())
        agent.set_remote_parameters(new_credentials())
        await asyncio.sleep(0.1)
        settles = 0
        settle = agent.core._settle

        def count(now: float) -> None:
            nonlocal settles
            settles += 1
            settle(now)

        agent.core._settle = count  # type: ignore[method-assign]
        for number in range(5000):
            agent.add_remote_candidate(candidate(f"203.0.{number // 250}.{number % 250}", 9))
        await agent.close()
        return settles

    assert run_virtual(main()) == IceSettings().max_remote_candidates


# -- redirects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "alternate", "signed", "follows"),
    [
        ("192.0.2.1", "192.0.2.2", False, True),
        ("192.0.2.1", "10.0.0.1", False, True),
        ("192.0.2.1", "127.0.0.1", False, False),
        ("192.0.2.1", "127.0.0.1", True, True),
        ("127.0.0.1", "127.0.0.2", False, True),
        ("127.0.0.1", "169.254.169.254", False, False),
        ("192.0.2.1", "169.254.169.254", False, False),
        ("2001:db8::1", "::ffff:127.0.0.1", True, False),
        ("192.0.2.1", "0.0.0.0", True, False),
        ("192.0.2.1", "224.0.0.1", True, False),
    ],
)
def test_where_a_redirect_may_lead(server: str, alternate: str, signed: bool, follows: bool) -> None:
    assert _may_follow((server, 3478), (alternate, 3478), signed=signed) is follows


def test_a_redirect_to_our_own_host_is_an_error_of_that_server() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        async with await serve(network, "turn") as server:
            server.faults.redirect = ("127.0.0.1", 3478)
            # what is answered before the credentials were asked for carries no signature
            server._service._request = unsigned_redirect(server)  # type: ignore[union-attr,method-assign]
            agent, log = await gather(alice, IceSettings(servers=(entry(server.turn_url, "u", "p"),)))
            (error,) = log.of("error")
            assert (error.error_code, "127.0.0.1" in error.error_text) == (300, True)
            await agent.close()

    run_virtual(main())


def unsigned_redirect(server: Any) -> Any:
    from rtcpeer.testing.turn.stun import Attribute, Kind, ServerStunMessage

    def answer(key: object, path: Any, request: ServerStunMessage) -> None:
        response = ServerStunMessage(request.method, Kind.ERROR, request.transaction_id)
        response.add_error(300, "Try Alternate")
        response.add_address(Attribute.ALTERNATE_SERVER, ("127.0.0.1", 3478))
        path.send(response.to_bytes(None))

    return answer


def test_the_guide_for_bots_runs() -> None:
    guide = (Path(__file__).parents[4] / "docs" / "bots.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.S)

    async def main() -> None:
        names: dict[str, Any] = {}
        exec(program, names)
        with VirtualNetwork().add_host("bot").active():
            connection = names["answer"]()
        await connection.close()
        assert names["is_public"](candidate("198.41.0.4"))
        assert not names["is_public"](candidate("192.168.1.1"))

    run_virtual(main())


# -- the filter alone ------------------------------------------------------------------------------


async def handed_on(
    settings: IceSettings, *told: Candidate, found: tuple[str, ...] = (), known: bool = True
) -> tuple[list[tuple[str, int]], list[str]]:
    """Addresses that the filter hands on, and the names that were looked up; each twice, one after the other."""
    looked_up: list[str] = []

    class Names:
        async def resolve(self, name: str, _family: object) -> list[str]:
            looked_up.append(name)
            await asyncio.sleep(1)
            if not found:
                raise OSError("nobody of that name")
            return list(found)

    network: Any = Names()
    taken: list[tuple[str, int]] = []
    way_in = RemoteCandidateFilter(
        network,
        lambda work: asyncio.ensure_future(work),
        lambda ufrag: known,
        lambda candidate: True,
        lambda candidate, address: taken.append((address, candidate.port)),
        lambda ufrag: None,
    )
    for _ in range(2):
        for one in told:
            way_in.take(one, settings)
        await asyncio.sleep(2)
    return taken, looked_up


@pytest.mark.parametrize("port", [-1, 0, 65536, 70000])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    told = (candidate(port=port), candidate(port=1), candidate(port=65535))
    taken, _ = run_virtual(handed_on(IceSettings(), *told))
    assert [port for _, port in taken] == [1, 65535] * 2


@pytest.mark.parametrize("component", [0, 2, 256])
def test_a_candidate_of_another_component_is_refused(component: int) -> None:
    """There is one, as RTP and RTCP share it (RFC 8829 4.1.1)."""
    told = replace(candidate(), component=component)
    assert run_virtual(handed_on(IceSettings(), told)) == ([], [])


def test_so_many_names_are_looked_up_at_a_time_and_others_when_these_are_done() -> None:
    names = [candidate(f"name{number}.local") for number in range(3)]
    for found, expected in (((), []), (("198.51.100.7",), [("198.51.100.7", 1000)] * 4)):
        settings = IceSettings(max_remote_candidates=2)
        taken, looked_up = run_virtual(handed_on(settings, *names, found=found))
        assert looked_up == ["name0.local", "name1.local"] * 2
        assert taken == expected


def test_a_name_is_one_candidate_and_looked_up_only_if_it_may_be_of_use() -> None:
    name = candidate("name.local")
    several = ("198.51.100.7", "198.51.100.8")
    taken, _ = run_virtual(handed_on(IceSettings(), name, found=several))
    assert taken == [("198.51.100.7", 1000)] * 2
    for settings, known in ((IceSettings(resolve_mdns=False), True), (IceSettings(), False)):
        assert run_virtual(handed_on(settings, name, found=several, known=known)) == ([], [])
