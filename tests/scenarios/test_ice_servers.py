"""STUN and TURN servers as users have them: dead, wrong, overloaded, redirecting, far away, forgotten by a NAT."""

import asyncio

import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.ice.settings import IceSettings
from rtcpeer.peer.settings import PeerSettings
from rtcpeer.testing import NatBehaviour, TurnServer, TurnSettings, VirtualNetwork, run_virtual
from tests.scenarios.virtual import PeerPair, scenario, selected, until

FORGETFUL = NatBehaviour(
    mapping="endpoint-independent",
    filtering="address-and-port-dependent",
    port_preservation=False,
    hairpinning=False,
    timeout=30.0,
)


def errors_of(scene, connection):
    errors = []
    began = scene.now()
    connection.onicecandidateerror = lambda event: errors.append((scene.now() - began, event))
    return errors


@scenario
async def test_two_of_twenty_servers_answer(scene):
    """Unreachable, unknown by name, deaf, refusing and garbling ones first: nothing waits for them."""

    async def took(*, with_dead):
        number = len(scene.network.hosts)
        hosts = tuple(
            scene.network.add_router(f"{side}{number}", nat="symmetric").add_host(f"{side}{number}")
            for side in "ab"
        )
        good, deaf, garbling, refusing = (
            scene.server(f"{name}{number}.example") for name in ("good", "deaf", "garbling", "refusing")
        )
        async with good, deaf, garbling, refusing:
            deaf.faults.silent = True
            garbling.faults.garbage = True
            refusing.faults.errors = {"allocate": 508, "binding": 500}
            dead = [{"urls": f"stun:203.0.113.{n}"} for n in range(1, 7)]
            dead += [{"urls": f"stun:nobody{n}.example"} for n in range(4)]
            dead += [
                {"urls": f"turn:203.0.113.{90 + n}", "username": "u", "credential": "c"} for n in range(5)
            ]
            dead += [
                {**server.ice_server("udp"), "urls": server.turn_url} for server in (deaf, garbling, refusing)
            ]
            assert len(dead) == 18
            servers = (dead if with_dead else []) + [
                {"urls": good.stun_url},
                {**good.ice_server("udp"), "urls": good.turn_url},
            ]
            async with PeerPair({"iceServers": servers}, hosts=hosts) as pair:
                errors = errors_of(scene, pair.offerer)
                began = scene.now()
                await pair.connect()
                took = scene.now() - began
                assert "relay" in await selected(pair.offerer)
                await pair.offerer.gathered()
                assert scene.now() - began < 10
                assert len(errors) == (18 if with_dead else 0)
                assert len({event.url for _, event in errors}) == len(errors)
                assert {event.errorCode for _, event in errors} <= {701, 508}
            await good.released()
        return took

    assert await took(with_dead=True) <= await took(with_dead=False) * 1.1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"errors": {"allocate": 437}}, 437),
        ({"errors": {"allocate": 438}}, 438),
        ({"errors": {"allocate": 486}}, 486),
        ({"errors": {"allocate": 508}}, 508),
        ({"errors": {"allocate": 403}}, 403),
        ({"errors": {"allocate": 500}}, 500),
        ({"redirect": ("203.0.113.77", 3478)}, 701),
        ({"silent": True}, 701),
        ({"garbage": True}, 701),
        ({"sign_wrongly": True}, 701),
        ({"delay": 20.0}, 701),
        ("wrong password", 401),
    ],
)
@scenario
async def test_one_failure_is_one_event_and_costs_one_candidate(scene, fault, code):
    async with scene.server("bad.example") as bad, scene.server("good.example") as good:
        wrong = {**bad.ice_server("udp"), "urls": bad.turn_url}
        if fault == "wrong password":
            wrong["credential"] = "guessed"
        else:
            for name, value in fault.items():
                setattr(bad.faults, name, value)
        servers = [wrong, *good.ice_servers]
        async with PeerPair({"iceServers": servers}, hosts=scene.behind("symmetric")) as pair:
            errors = errors_of(scene, pair.offerer)
            await pair.connect(5)
            assert scene.now() < 1
            assert "relay" in await selected(pair.offerer)
            await asyncio.sleep(15)
            ((moment, event),) = errors
            assert moment < 10
            assert event.errorCode == code
            assert event.url == bad.turn_url
            assert event.errorText
            assert event.address == scene.network.hosts["alice"].address
            assert event.port
        await good.released()


@scenario
async def test_a_redirect_leads_to_the_other_server(scene):
    async with scene.server("one.example") as one, scene.server("two.example") as two:
        one.faults.redirect = (scene.network.hosts["two.example"].address, 3478)
        servers = [{**one.ice_server("udp"), "urls": one.turn_url}]
        async with PeerPair({"iceServers": servers}, hosts=scene.behind("symmetric")) as pair:
            errors = errors_of(scene, pair.offerer)
            await pair.connect()
            assert "relay" in await selected(pair.offerer)
            assert not one.allocations
            assert len(two.allocations) == 2
            assert errors == []
        await two.released()


@scenario
async def test_a_lying_server_costs_only_its_candidate(scene):
    async with scene.server("liar.example") as liar, scene.server("good.example") as good:
        liar.faults.mapped_address = ("198.51.100.66", 6666)
        servers = [{"urls": liar.stun_url}, *good.ice_servers]
        async with PeerPair({"iceServers": servers}, hosts=scene.behind("port-restricted")) as pair:
            await pair.connect()
            assert scene.now() < 1
            await asyncio.sleep(5)
            assert await selected(pair.offerer) == ("srflx", "srflx")
        await good.released()


@scenario
async def test_a_nat_forgets_nothing_while_the_answer_takes_ten_minutes(scene):
    """Neither the reflexive mapping nor the unused allocations are lost (RFC 8445 5.1.1.4)."""
    alice = scene.network.add_router("r1", nat=FORGETFUL).add_host("alice")
    bob = scene.network.add_router("r2", nat=FORGETFUL).add_host("bob")
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        pair.offerer.createDataChannel("x")
        await pair.offerer.setLocalDescription()
        await pair.offerer.gathered()
        first = pair.offerer.localDescription.sdp
        await asyncio.sleep(600)
        assert len(server.allocations) == 1
        await pair.answerer.setRemoteDescription({"type": "offer", "sdp": first})
        await pair.answerer.setLocalDescription()
        await pair.answerer.gathered()
        began = scene.now()
        await pair.offerer.setRemoteDescription(pair.answerer.localDescription)
        await asyncio.gather(pair.offerer.connected(), pair.answerer.connected())
        assert scene.now() - began < 1
        await until(lambda: pair.offerer.iceConnectionState == "completed", 15)
        assert await selected(pair.offerer) == ("srflx", "srflx")


@scenario
async def test_allocations_that_are_not_in_use_are_kept_for_hours(scene):
    """A direct call keeps its relays as a way out; NATs on the way forget after 30 s."""
    alice = scene.network.add_router("r1", nat=FORGETFUL).add_host("alice")
    bob = scene.network.add_router("r2", nat=FORGETFUL).add_host("bob")
    async with (
        scene.server() as server,
        PeerPair({"iceServers": server.ice_servers}, hosts=(alice, bob)) as pair,
    ):
        await pair.connect()
        await asyncio.sleep(3)
        assert await selected(pair.offerer) == ("srflx", "srflx")
        await asyncio.sleep(7200)
        assert len(server.allocations) == 2
        assert server.counters.expired == server.counters.dropped == 0
        assert server.counters.created == 2
        # 25 s apart, beside the refreshes: nothing to be heard of in an idle program
        assert server.counters.invalid == 0
    await server.released()


@scenario
async def test_stuns_gives_a_candidate_by_which_two_nats_are_crossed(scene):
    server = TurnServer(
        network=scene.network.add_host("s.example").network, hostname="s.example", transports=("dtls",)
    )
    async with server:
        for name in ("alice", "bob"):
            router = scene.network.add_router(f"home of {name}", nat="port-restricted")
            router.add_host(name)
        settings = PeerSettings(ice=IceSettings(ssl_context=server.client_context()))
        pair = PeerPair(
            {"iceServers": [{"urls": "stuns:s.example"}]}, network=scene.network, settings=settings
        )
        async with pair:
            errors = errors_of(scene, pair.offerer)
            await pair.connect()
            assert not errors
            # reflexive by whichever way it was learned
            assert (await selected(pair.offerer))[1] in ("srflx", "prflx")


@scenario
async def test_stuns_where_no_dtls_is_spoken_is_reported(scene):
    async with TurnServer(
        users={"user": "pass"}, network=scene.network.add_host("s.example").network, hostname="s.example",
        transports=("udp", "tls"),
    ) as server, PeerPair({"iceServers": [{"urls": "stuns:s.example"}]}, network=scene.network) as pair:  # fmt: skip
        errors = errors_of(scene, pair.offerer)
        await pair.connect()
        await asyncio.sleep(10)
        ((_, event),) = errors
        assert (event.errorCode, event.url) == (701, "stuns:s.example")
        assert "did not answer" in event.errorText
        assert server.counters.created == 0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
@pytest.mark.parametrize("moment", ["gathering", "allocated"])
def test_close_with_a_dead_turn_server_takes_a_fraction_of_a_second(transport, moment):
    """The deallocation is best effort: the server forgets by itself."""

    async def main():
        network = VirtualNetwork(seed=1)
        alice, machine = network.add_host("alice"), network.add_host("turn.example")
        async with TurnServer(
            {"u": "p"}, network=machine.network, hostname="turn.example", transports=(transport,)
        ) as server:
            server.faults.silent = moment == "gathering" and transport in ("udp", "tcp")
            settings = PeerSettings(ice=IceSettings(ssl_context=server.client_context()))
            with alice.active():
                pc = RTCPeerConnection({"iceServers": [server.ice_server(transport)]}, settings=settings)
            pc.createDataChannel("x")
            await pc.setLocalDescription()
            if moment == "gathering":
                await asyncio.sleep(0.1)
            else:
                await pc.gathered()
                assert len(server.allocations) == 1
            server.faults.silent = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            await pc.close()
            assert loop.time() - began < 0.5

    run_virtual(main())


def test_a_call_is_answered_after_a_quarter_of_an_hour():
    """The callee comes when every nonce is stale and permissions for many of its addresses are asked for at once."""

    async def main():
        network = VirtualNetwork(seed=1)
        alice, bob, machine = (network.add_host(name) for name in ("alice", "bob", "turn.example"))
        async with TurnServer(
            {"u": "p"},
            network=machine.network,
            hostname="turn.example",
            settings=TurnSettings(nonce_lifetime=300),
        ) as server:
            relay = {"iceServers": server.ice_servers, "iceTransportPolicy": "relay"}
            with alice.active():
                caller = RTCPeerConnection(relay)
            with bob.active():
                callee = RTCPeerConnection()
            caller.createDataChannel("x")
            await caller.setLocalDescription()
            await caller.gathered()
            await asyncio.sleep(900)
            await callee.setRemoteDescription(caller.localDescription)
            await callee.setLocalDescription()
            await callee.gathered()
            lines = callee.localDescription.sdp.split("\r\n")
            at = next(i for i, line in enumerate(lines) if line.startswith("a=candidate"))
            lines[at:at] = [
                f"a=candidate:{n} 1 udp {2130706431 - n} 198.51.100.{200 + n} 9999 typ host"
                for n in range(12)
            ]
            await caller.setRemoteDescription({"type": "answer", "sdp": "\r\n".join(lines)})
            await caller.connected(timeout=10)
            assert server.counters.errors[438] >= 10
            await asyncio.sleep(900)
            assert caller.connectionState == "connected"
            await asyncio.gather(caller.close(), callee.close())

    run_virtual(main())


@scenario
async def test_a_close_that_waits_no_longer_for_a_silent_server_ends_without_a_fault(scene):
    """By then timers and datagrams of the release are under way; they find what they need."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    settings = PeerSettings(close_timeout=0.2, ice=IceSettings(release_timeout=5.0))
    async with scene.server("turn.example") as server:
        servers = [{**server.ice_server("udp"), "urls": server.turn_url}]
        with scene.network.add_host("a").active():
            pc = RTCPeerConnection({"iceServers": servers}, settings=settings)
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        await pc.gathered()
        assert " relay " in pc.localDescription.sdp
        server.faults.silent = True
        began = scene.now()
        await pc.close()
        assert scene.now() - began < 1
        # a late answer, and what is due when the server is not waited for any longer
        await asyncio.sleep(1)
        server.faults.silent = False
        await asyncio.sleep(10)
    assert failures == []


@pytest.mark.parametrize(("transport", "words"), [("udp", "(437)"), ("tcp", "closed the connection")])
@scenario
async def test_a_server_that_was_started_anew_is_named_and_a_restart_mends_it(scene, transport, words):
    """Over UDP nobody tells of it: whoever finds the path silent asks."""
    async with scene.server(transports=("udp", "tcp")) as server:
        configuration = {"iceServers": [server.ice_server(transport)], "iceTransportPolicy": "relay"}
        async with PeerPair(configuration, hosts=scene.behind("symmetric")) as pair:
            await pair.connect()
            await asyncio.sleep(30)
            server.kill()
            await asyncio.sleep(1)
            await server.start()
            await asyncio.sleep(6)
            for connection in (pair.offerer, pair.answerer):
                assert connection.connectionState == "disconnected"
                (finding,) = [f for f in connection.explain() if f.code == "relay-lost"]
                assert words in str(finding)
            await pair.restart_ice()
            assert not [f for f in pair.offerer.explain() if f.level == "problem"]
        await server.released()


@pytest.mark.parametrize("code", [403, 441, 486])
@scenario
async def test_a_restart_that_the_server_hinders_takes_nothing_from_the_path_in_use(scene, code):
    """Only 437 says that an allocation is gone: what refuses to prolong it goes on to relay until it expires."""
    async with scene.server() as server:
        configuration = {"iceServers": server.ice_servers, "iceTransportPolicy": "relay"}
        async with PeerPair(configuration, hosts=scene.behind("symmetric")) as pair:
            await pair.connect()
            await asyncio.sleep(5)
            states = []
            pair.offerer.on(
                "connectionstatechange", lambda _event: states.append(pair.offerer.connectionState)
            )
            server.faults.errors = dict.fromkeys(
                ("allocate", "refresh", "create_permission", "channel_bind"), code
            )
            await pair.negotiate(iceRestart=True)
            await asyncio.sleep(200)
            assert pair.offerer.connectionState == "connected"
            assert states == []
            assert "relay-ends" in {f.code for f in pair.offerer.explain()}
            server.faults.errors = {}
            await pair.restart_ice()
            await asyncio.sleep(900)
            assert states == []
            assert not [f for f in pair.offerer.explain() if f.level == "problem"]
        await server.released()


@pytest.mark.parametrize("url", ["turn:turn.example", "turn:[64:ff9b::c633:6414]", "turn:198.51.100.20"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@scenario
async def test_a_host_with_ipv6_alone_reaches_a_server_behind_nat64(scene, url, transport):
    """DNS64 gives the server's address in the well-known prefix (RFC 6052); of an IPv4 address we make it ourselves."""
    network = scene.network
    network.add_host("ipv4only.arpa", "192.0.0.170", "64:ff9b::c000:aa")
    alice = network.add_host("alice", ipv4=False, ipv6=True)
    bob = network.add_router("r", nat="port-restricted").add_host("bob")
    addresses = ("198.51.100.20", "64:ff9b::c633:6414")
    host = network.add_host("turn.example", *addresses)
    async with TurnServer(
        users={"user": "pass"}, network=host.network, hosts=addresses, transports=("udp", "tcp")
    ) as server:
        credential = {"username": "user", "credential": "pass"}
        theirs = {"iceServers": [{"urls": "stun:198.51.100.20"}]}
        ours = {"iceServers": [{"urls": f"{url}?transport={transport}", **credential}]}
        async with PeerPair(
            offerer_configuration=ours, answerer_configuration=theirs, hosts=(alice, bob)
        ) as pair:
            errors = errors_of(scene, pair.offerer)
            await pair.connect()
            assert "relay" in await selected(pair.offerer)
            assert errors == []
        await server.released()
