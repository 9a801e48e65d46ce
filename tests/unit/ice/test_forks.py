"""Several ends answer one offer (RFC 9429 3.6): the last answer counts, and the one before must not disturb it."""

from __future__ import annotations

import asyncio

from rtcpeer.ice.agent.agent import IceAgent
from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.events import GenerationDropped
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.settings import IceSettings
from rtcpeer.stun import message as stun
from rtcpeer.testing import VirtualNetwork, run_virtual
from rtcpeer.values import IceRole, IceTransportPolicy
from tests.unit.ice.agent.test_gathering import serve
from tests.unit.ice.agents import Recorder, Two, entry
from tests.unit.ice.support import Side, Wire, connected_pair
from tests.unit.ice.test_core import request

OTHER = ("192.0.2.3", 3000)


def fork(wire: Wire, left: Side, first: Generation) -> tuple[Side, Generation]:
    """A third end that answers the offer of `first`, and whose answer has come."""
    other = Side(wire, False, seed=7)
    theirs = other.start()
    other.offer_base(theirs, other.base(*OTHER))
    answer(left, other, first, theirs)
    return other, theirs


def answer(left: Side, other: Side, first: Generation, theirs: Generation) -> None:
    now = left.wire.now
    other.core.set_remote(now, first.local)
    other.core.set_gathered(now, theirs)
    for local in first.locals:
        other.core.add_remote(now, local.candidate, (local.candidate.address, local.candidate.port))
    other.core.end_of_remote(now, first.local.ufrag)
    left.core.set_remote(now, theirs.local)
    left.core.add_remote(now, theirs.locals[0].candidate, OTHER)
    left.core.end_of_remote(now, theirs.local.ufrag)
    left.drain()


def test_another_answer_takes_over_without_a_break() -> None:
    wire, left, _, first, _ = connected_pair()
    old = left.core.route
    role = left.core.role
    _, theirs = fork(wire, left, first)
    assert left.core.route is old
    wire.run(0.015)
    assert left.core.route is old
    wire.run(0.2)
    route = left.core.route
    assert route is not None
    assert route.address == OTHER
    assert route.nominated
    newest = left.core.generations[-1]
    assert left.core.generations == [newest]
    assert (newest.local, newest.remote) == (first.local, theirs.local)
    assert left.states == ["checking", "connected", "completed"]
    assert left.core.role is role
    wire.run(10)
    assert GenerationDropped(first) in left.events
    assert left.core.state == "completed"


def test_an_answer_before_the_first_one_connected() -> None:
    wire = Wire()
    left, silent = Side(wire, True), new_credentials()
    first = left.start()
    left.offer_base(first, left.base("192.0.2.1", 1000))
    left.core.set_remote(wire.now, silent)
    wire.run(1)
    fork(wire, left, first)
    wire.run(0.2)
    assert left.core.state == "connected"
    assert left.core.generations[-1].half is first.half


def test_candidates_that_are_found_later_are_for_the_last_answer() -> None:
    wire, left, _, first, _ = connected_pair()
    wire.dark.add(("192.0.2.1", 1000))
    first.half.gathered = False
    other, _ = fork(wire, left, first)
    told = left.offer_base(first, left.base("192.0.2.1", 1001))
    other.core.add_remote(wire.now, told, ("192.0.2.1", 1001))
    left.core.set_gathered(wire.now, first)
    wire.run(1)
    newest = left.core.generations[-1]
    assert left.core.route is not None
    assert left.core.route.base.address == ("192.0.2.1", 1001)
    assert left.core.route.owner is newest
    assert newest.gathered


def test_the_end_before_is_answered_for_a_while_and_changes_nothing() -> None:
    wire, left, right, first, second = connected_pair()
    fork(wire, left, first)
    wire.run(0.2)
    base, before = left.bases[0], ("192.0.2.2", 2000)
    route, remotes = left.core.route, list(left.core.generations[-1].remotes)
    base.sent.clear()
    packet = request(first.local, second.local.ufrag, extra=stun.attribute(stun.USE_CANDIDATE, b""))
    left.core.on_stun_untrusted(wire.now, base, packet, before)
    assert [stun.parse_untrusted(d).kind for _, d, to in base.sent if to == before] == [stun.BINDING_SUCCESS]
    wire.run(right.context.settings.linger + 0.5)
    base.sent.clear()
    left.core.on_stun_untrusted(wire.now, base, packet, before)
    assert not [d for _, d, to in base.sent if to == before]
    assert left.core.route is route
    assert left.core.generations[-1].remotes == remotes


def test_one_that_was_disowned_gives_way_to_any_pair_and_its_data_is_nobodys() -> None:
    wire, left, _, first, _ = connected_pair()
    base, before = left.bases[0], ("192.0.2.2", 2000)
    assert before in base.routes
    _, _ = fork(wire, left, first)
    left.core.disown_older(wire.now)
    assert before not in base.routes
    wire.run(0.0201)
    # valid, but the other side has not been heard to nominate
    assert left.core.route is not None
    assert left.core.route.address == OTHER
    wire.run(6)
    assert before not in base.routes
    assert OTHER in base.routes
    assert left.states == ["checking", "connected", "completed"]


def test_what_was_retired_already_is_disowned_too() -> None:
    wire, left, _, first, _ = connected_pair()
    base, before = left.bases[0], ("192.0.2.2", 2000)
    _, _ = fork(wire, left, first)
    wire.run(0.2)
    assert first in left.core.retired
    assert before in base.routes
    left.core.disown_older(wire.now)
    assert before not in base.routes


def test_back_and_forth() -> None:
    wire, left, right, first, second = connected_pair()
    for _ in range(5):
        _, _ = fork(wire, left, first)
        wire.run(0.005)
        left.core.set_remote(wire.now, second.local)
        left.core.add_remote(wire.now, second.locals[0].candidate, ("192.0.2.2", 2000))
        wire.run(0.005)
    wire.run(0.5)
    assert left.core.route is not None
    assert left.core.route.address == ("192.0.2.2", 2000)
    wire.run(5)
    assert not left.core.retired
    assert len(left.core.generations) == 1
    assert len(first.half.users) == 1
    assert right.core.state == "completed"


def test_back_to_one_that_was_disowned() -> None:
    wire, left, _, first, second = connected_pair()
    fork(wire, left, first)
    left.core.disown_older(wire.now)
    left.core.set_remote(wire.now, second.local)
    left.core.disown_older(wire.now)
    assert ("192.0.2.2", 2000) in left.bases[0].routes
    wire.run(6)
    assert left.core.route is not None
    assert left.core.route.owner is first
    assert OTHER not in left.bases[0].routes


def test_the_allocation_stays_while_a_fork_uses_it() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        server = await serve(network)
        alice = network.add_router("office", nat="symmetric").add_host("alice")
        bob, carol = network.add_host("bob"), network.add_host("carol")
        settings = IceSettings(servers=(entry(server.turn_url, "u", "p"),), policy=IceTransportPolicy.RELAY)
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, settings, IceSettings())
        await two.connect(10)
        log = Recorder()
        with carol.active() as own:
            third = IceAgent(own, IceSettings(), IceRole.CONTROLLED, log)
        arrived: list[bytes] = []
        third.receiver = arrived.append
        log.peer = two.left
        offer, answer = two.left.local_parameters, new_credentials()
        assert offer is not None
        third.start_generation(answer)
        third.set_remote_parameters(offer)
        for told in two.left.local_candidates:
            third.add_remote_candidate(told)
        two.left.set_remote_parameters(answer)
        await asyncio.wait_for(log.connected.wait(), 10)
        await two.right.close()
        await asyncio.sleep(20)
        two.left.send(b"\x80to the third")
        await asyncio.sleep(0.5)
        assert arrived == [b"\x80to the third"]
        assert (server.counters.created, server.counters.released) == (1, 0)
        assert "disconnected" not in two.left_log.of("state")
        await third.close()
        await two.left.close()
        assert server.counters.released == 1
        await server.close()

    run_virtual(main())
