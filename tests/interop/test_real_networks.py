"""Peers in network namespaces, behind real NATs and firewalls, with coturn.

Each peer is a process of its own inside a namespace. All uplinks but the servers' take 15 ms one way, as in
the measurements of other stacks that the goals come from; what was measured is printed. Bounds here only tell
whether something waited for a timer that it must not wait for, which is seconds; how quick things are to the
millisecond is for the scenarios in virtual time, which no other program of the machine disturbs.
"""

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import time

import pytest

from tests.interop import coturn, netns
from tests.interop.coturn import Coturn
from tests.interop.netns import ROOT, Lab

REASON = netns.why_not() or coturn.why_not()
if REASON and os.environ.get("CI"):
    raise RuntimeError(f"the real-network tests must run in CI, but: {REASON}")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.network,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(REASON), reason=f"REAL NETWORKS ARE NOT TESTED: {REASON}"),
]


class Process:
    """A process inside a namespace, with some peers."""

    def __init__(self, host, count):
        self.host = host
        self.agents = [Agent(self, number) for number in range(count)]

    async def launch(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.host.command(sys.executable, "-m", "tests.interop.netns_agent", len(self.agents)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 22,
        )
        self.reading = asyncio.create_task(self.read())
        await asyncio.gather(*(agent.until("ready", timeout=100) for agent in self.agents))

    async def read(self):
        while line := await self.process.stdout.readline():
            event = json.loads(line)
            self.agents[event["peer"]].take(event)
        for agent in self.agents:
            agent.take({"event": "ended", "time": time.monotonic()})

    async def end(self):
        if self.process.returncode is None:
            self.process.stdin.close()
            try:
                async with asyncio.timeout(15):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        await self.reading


class Agent:
    """One peer in a process."""

    def __init__(self, process, number):
        self.process, self.number, self.host = process, number, process.host
        self.events = []
        self.peer = None
        self._changed = asyncio.Event()

    def take(self, event):
        self.events.append(event)
        if event["event"] == "signal":
            self.peer.do("signal", message=event["message"])
        self._changed.set()

    def do(self, command, **arguments):
        line = json.dumps({"do": command, "peer": self.number, **arguments})
        self.process.process.stdin.write(line.encode() + b"\n")

    def seen(self, event, since=0.0, **members):
        return [
            e
            for e in self.events
            if e["event"] == event and e["time"] >= since and all(e[k] == v for k, v in members.items())
        ]

    async def until(self, event, *, timeout=45.0, since=0.0, **members):
        """The first such event (since a time); it may have happened already."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := self.seen(event, since, **members)):
                    assert not self.seen("ended"), f"the agent on {self.host.name} has died"
                    self._changed.clear()
                    await self._changed.wait()
                return found[0]
        except TimeoutError:
            told = [e for e in self.events if e["event"] not in ("sent", "message", "signal")]
            raise AssertionError(f"{self.host.name}: no {event} {members} in {timeout} s; {told}") from None

    async def stats(self):
        now = time.monotonic()
        self.do("stats")
        return await self.until("stats", since=now)


class Call:
    """Alice calls Bob."""

    def __init__(self, alice, bob):
        self.alice, self.bob = alice, bob
        self.alice.peer, self.bob.peer = self.bob, self.alice

    async def start(self, configuration, *, theirs=None, authority=None, **settings):
        """Returns how long it took until the channel was open at both ends."""
        ca = authority.pem if authority else None
        self.bob.do("start", configuration=theirs or configuration, ca=ca, **settings)
        self.started = time.monotonic()
        self.alice.do("start", configuration=configuration, ca=ca, offerer=True, **settings)

    async def opened(self, timeout=45.0):
        both = [await agent.until("open", timeout=timeout) for agent in (self.alice, self.bob)]
        return max(event["time"] for event in both) - self.started

    async def types(self):
        stats = await self.alice.stats()
        return stats["local"]["candidateType"], stats["remote"]["candidateType"]

    def stream(self, interval=0.01):
        """Numbered messages from Alice to Bob."""
        self.alice.do("stream", interval=interval)

    async def lost(self, patience=40):
        """Stop the stream; the numbers that were sent and have not arrived."""
        self.alice.do("quiet")
        sent = None
        for _ in range(patience * 10):
            await asyncio.sleep(0.1)
            now = {e["number"] for e in self.alice.seen("sent")}
            missing = now - {e["number"] for e in self.bob.seen("message")}
            if now == sent and not missing:
                break
            sent = now
        return missing

    def gap(self, since):
        """The longest silence at Bob since a moment."""
        times = [since, *(e["time"] for e in self.bob.seen("message", since))]
        return max(b - a for a, b in itertools.pairwise(times))


@contextlib.asynccontextmanager
async def calling_often(alice, bob, count):
    processes = Process(alice, count), Process(bob, count)
    calls = [Call(*agents) for agents in zip(*(process.agents for process in processes), strict=True)]
    await asyncio.gather(*(process.launch() for process in processes))
    try:
        yield calls
        for process in processes:
            assert not [agent.seen("failure") for agent in process.agents if agent.seen("failure")]
    finally:
        await asyncio.gather(*(process.end() for process in processes))


@contextlib.asynccontextmanager
async def calling(alice, bob):
    async with calling_often(alice, bob, 1) as (call,):
        yield call


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


def natted(lab, nat, firewall="open"):
    """Alice and Bob behind routers of their own, and a host for the server."""
    alice = lab.add_router("r1", nat=nat, firewall=firewall).add_host("alice")
    bob = lab.add_router("r2", nat=nat).add_host("bob")
    return alice, bob, lab.add_host("server", wire=False)


def report(**values):
    print(*(f"{name}={value:.3f}" for name, value in values.items()))


# Long tests come first, each before a short one: pytest-xdist hands them out in twos, and both workers end together.


class TestChange:
    async def test_outage_of_40_seconds(self, lab):
        alice, bob = lab.add_host("alice"), lab.add_host("bob")
        async with calling(alice, bob) as call:
            await call.start({})
            await call.opened()
            call.stream(0.1)
            began = time.monotonic()
            with bob.uplink.outage():
                failed = await call.alice.until("state", state="failed", since=began, timeout=60)
                await asyncio.sleep(max(0, began + 40 - time.monotonic()))
                over = time.monotonic()
            call.alice.do("offer", restart=True)
            state = await call.alice.until("state", state="connected", since=over)
            data = await call.bob.until("message", since=over)
            assert not await call.lost()
            report(
                failed_at=failed["time"] - began,
                connected_after_restart=state["time"] - over,
                data_after_restart=data["time"] - over,
            )
            assert failed["time"] - began < 38
            assert state["time"] - over < 4

    async def test_an_address_changes(self, lab):
        alice, _, machine = natted(lab, "port-restricted")
        roamer = lab.add_host("roamer")
        async with Coturn(machine) as turn, calling(alice, roamer) as call:
            await call.start({"iceServers": [turn.stun, turn.ice_server()]})
            await call.opened()
            call.stream()
            await asyncio.sleep(1)
            changed = time.monotonic()
            roamer.change_address("198.51.100.99")
            await call.bob.until("networkchange", since=changed)
            began = time.monotonic()
            call.bob.do("offer", restart=True)
            data = await call.bob.until("message", since=began)
            assert not await call.lost()
            report(data_after_address_change=data["time"] - began)
            assert data["time"] - began < 4

    @pytest.mark.parametrize("loss", [0.2, 0.05])
    async def test_loss(self, lab, loss):
        alice, bob = lab.add_host("alice"), lab.add_host("bob")
        alice.uplink.set(loss=loss)

        async def attempt(number, call):
            await asyncio.sleep(number * 0.4)  # what is measured is the network, not the processor
            await call.start({})
            took = await call.opened(90)
            call.stream(0.02)
            await asyncio.sleep(1)
            return took

        # side by side: each packet is lost or not on its own, and nothing but time is saved
        async with calling_often(alice, bob, 10) as calls:
            times = sorted(await asyncio.gather(*itertools.starmap(attempt, enumerate(calls))))
            alice.uplink.set(loss=0)  # the timers of SCTP have backed off; how far is chance
            assert not any(await asyncio.gather(*(call.lost() for call in calls)))
        report(median=statistics.median(times), worst=times[-1])
        assert statistics.median(times) < 8

    async def test_outage_of_8_seconds(self, lab):
        alice, bob = lab.add_host("alice"), lab.add_host("bob")
        async with calling(alice, bob) as call:
            await call.start({})
            await call.opened()
            call.stream(0.05)
            await asyncio.sleep(0.5)
            began = time.monotonic()
            with bob.uplink.outage():
                state = await call.alice.until("state", state="disconnected", since=began)
                await asyncio.sleep(max(0, began + 8 - time.monotonic()))
                over = time.monotonic()
            await call.alice.until("state", state="connected", since=over)
            data = await call.bob.until("message", since=over)
            assert not await call.lost()
            report(to_disconnected=state["time"] - began, data_after_outage=data["time"] - over)
            assert 4 < state["time"] - began < 12
            assert data["time"] - over < 4


class TestServers:
    async def test_a_server_is_replaced_without_a_gap(self, lab):
        alice, bob, one = natted(lab, "symmetric")
        two = lab.add_host("server2", wire=False)
        async with Coturn(one) as first, Coturn(two) as second, calling(alice, bob) as call:
            await call.start({"iceServers": [first.ice_server()]})
            await call.opened()
            call.stream()
            await asyncio.sleep(1)
            began = time.monotonic()
            replaced = {"iceServers": [second.ice_server()]}
            call.bob.do("configure", configuration=replaced)
            call.alice.do("offer", restart=True, configuration=replaced)
            # a relayed pair must wait for better ones before it is nominated; the old one works meanwhile
            async with asyncio.timeout(40):
                while True:
                    stats = await call.alice.stats()
                    if two.ipv4 in (stats["local"]["address"], stats["remote"]["address"]):
                        break
                    await asyncio.sleep(0.2)
            await asyncio.sleep(1)  # the other side follows the nomination
            first.kill()
            await asyncio.sleep(1)
            gap = call.gap(began)
            assert not await call.lost()
            report(replaced_gap=gap)
            assert gap < 2

    async def test_a_server_is_killed(self, lab):
        alice, bob, one = natted(lab, "symmetric")
        two = lab.add_host("server2", wire=False)
        async with Coturn(one) as first, Coturn(two) as second, calling(alice, bob) as call:
            await call.start({"iceServers": [first.ice_server()], "iceTransportPolicy": "relay"})
            await call.opened()
            call.stream()
            await asyncio.sleep(1)
            killed = time.monotonic()
            first.kill()
            state = await call.alice.until("state", state="disconnected", since=killed)
            to_disconnected = state["time"] - killed
            replaced = {"iceServers": [second.ice_server()], "iceTransportPolicy": "relay"}
            call.bob.do("configure", configuration=replaced)
            began = time.monotonic()
            call.alice.do("offer", restart=True, configuration=replaced)
            data = await call.bob.until("message", since=began)
            assert not await call.lost()
            report(to_disconnected=to_disconnected, data_after_restart=data["time"] - began)
            assert 4 < to_disconnected < 12
            assert data["time"] - began < 5


class TestPaths:
    async def test_no_path_at_all(self, lab):
        alice, bob, _ = natted(lab, "symmetric", "block-udp")
        async with calling(alice, bob) as call:
            await call.start({})
            failed = await call.alice.until("state", state="failed", timeout=60)
            took = failed["time"] - call.started
            report(no_path=took)
            assert 10 < took < 40

    async def test_direct(self, lab):
        async with calling(lab.add_host("alice"), lab.add_host("bob")) as call:
            await call.start({})
            took = await call.opened()
            assert await call.types() in (("host", "host"), ("host", "prflx"))
            report(direct=took)
            assert took < 5

    async def test_port_restricted_nats(self, lab):
        alice, bob, machine = natted(lab, "port-restricted")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.stun, turn.ice_server()]})
            took = await call.opened()
            local, remote = await call.types()
            assert "relay" not in (local, remote)
            report(port_restricted=took)
            assert took < 5

    @pytest.mark.parametrize("secret", [None, "a shared secret"])
    async def test_symmetric_nats_need_the_relay(self, lab, secret):
        alice, bob, machine = natted(lab, "symmetric")
        async with Coturn(machine, secret=secret) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.stun, turn.ice_server()]})
            took = await call.opened()
            assert "relay" in await call.types()
            report(symmetric=took)
            assert took < 5

    async def test_udp_blocked(self, lab):
        alice, bob, machine = natted(lab, "symmetric", "block-udp")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.ice_server("udp", "tcp")]})
            took = await call.opened()
            stats = await call.alice.stats()
            assert (stats["local"]["candidateType"], stats["local"]["relayProtocol"]) == ("relay", "tcp")
            report(udp_blocked=took)
            assert took < 6

    async def test_only_tls_on_443(self, lab):
        alice, bob, machine = natted(lab, "symmetric", "only-443")
        async with Coturn(machine, ports=(3478, 443)) as turn, calling(alice, bob) as call:
            servers = [turn.stun, turn.ice_server("udp", "tcp", "tls")]
            await call.start({"iceServers": servers}, authority=turn.authority)
            took = await call.opened()
            stats = await call.alice.stats()
            assert (stats["local"]["candidateType"], stats["local"]["relayProtocol"]) == ("relay", "tls")
            report(only_tls=took)
            assert took < 6

    async def test_stuns_crosses_nats(self, lab):
        alice, bob, machine = natted(lab, "port-restricted")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.stuns]}, authority=turn.authority)
            took = await call.opened()
            assert not {"host", "relay"} & {(await call.types())[1]}
            assert not call.alice.seen("error")
            report(stuns=took)

    async def test_a_relay_over_dtls(self, lab):
        alice, bob, machine = natted(lab, "symmetric")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.ice_server("dtls")]}, authority=turn.authority)
            took = await call.opened()
            assert "relay" in await call.types()
            assert not call.alice.seen("error")
            report(relay_over_dtls=took)

    async def test_a_strangers_certificate_is_refused(self, lab):
        alice, bob, machine = natted(lab, "symmetric", "only-443")
        async with Coturn(machine, ports=(3478, 443)) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.ice_server("tls")]})
            error = await call.alice.until("error")
            assert error["code"] == 701
            assert error["url"] == turn.url("tls")

    async def test_the_first_server_is_dead(self, lab):
        alice, bob, machine = natted(lab, "symmetric")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            dead = {"urls": "stun:198.51.100.250:3478"}
            dead_turn = {**turn.ice_server(), "urls": "turn:198.51.100.251:3478"}
            await call.start({"iceServers": [dead, dead_turn, turn.stun, turn.ice_server()]})
            took = await call.opened()
            report(first_server_dead=took)
            assert took < 5
            for server in (dead, dead_turn):
                error = await call.alice.until("error", code=701, url=server["urls"])
                assert error["time"] - call.started < 15

    async def test_wrong_credentials(self, lab):
        alice, bob, machine = natted(lab, "port-restricted")
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            wrong = {**turn.ice_server(), "credential": "wrong"}
            await call.start({"iceServers": [turn.stun, wrong]})
            await call.opened()
            assert (await call.alice.until("error"))["code"] == 401

    async def test_the_relay_policy_leaks_nothing(self, lab):
        alice, bob, machine = lab.add_host("alice"), lab.add_host("bob"), lab.add_host("server", wire=False)
        alice.count_udp(bob.ipv4)
        bob.count_udp(alice.ipv4)
        async with Coturn(machine) as turn, calling(alice, bob) as call:
            servers = [turn.stun, turn.ice_server("udp", "tcp")]
            await call.start({"iceServers": servers, "iceTransportPolicy": "relay"})
            await call.opened()
            call.stream()
            await asyncio.sleep(1)
            assert not await call.lost()
            assert alice.counted() == bob.counted() == 0
            told = json.dumps([e for a in (call.alice, call.bob) for e in a.events])
            assert alice.ipv4 not in told
            assert bob.ipv4 not in told

    async def test_ipv6_only(self, lab):
        alice, bob = (lab.add_host(name, ipv4=False, ipv6=True) for name in ("alice", "bob"))
        machine = lab.add_host("server", ipv4=False, ipv6=True, wire=False)
        async with Coturn(machine, machine.ipv6) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.stun, turn.ice_server()]})
            await call.opened()
            stats = await call.alice.stats()
            assert ":" in stats["local"]["address"]

    async def test_ipv6_only_through_the_relay(self, lab):
        alice, bob = (lab.add_host(name, ipv4=False, ipv6=True) for name in ("alice", "bob"))
        machine = lab.add_host("server", ipv4=False, ipv6=True, wire=False)
        async with Coturn(machine, machine.ipv6) as turn, calling(alice, bob) as call:
            await call.start({"iceServers": [turn.ice_server()], "iceTransportPolicy": "relay"})
            await call.opened()
            assert (await call.alice.stats())["local"]["address"] == machine.ipv6
