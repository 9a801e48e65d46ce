"""rtcpeer doctor against servers with faults, behind NATs and firewalls, on the virtual network."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from email.utils import formatdate

import pytest

from rtcpeer.cli.doctor.doctor import run_doctor
from rtcpeer.cli.doctor.run import check_up
from rtcpeer.cli.doctor.verdicts import verdict
from rtcpeer.config.configuration import read_configuration
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing import TurnServer
from rtcpeer.testing.clock import wall_time
from tests.scenarios.virtual import scenario
from tests.unit.cli.schema import check

PASSWORD = "the-password-that-nobody-may-see"


def serve(scene, name="turn.example", transports=("udp",), **options):
    host = scene.network.hosts.get(name) or scene.network.add_host(name, delay=0)
    options.setdefault("users", {"user": PASSWORD})
    return TurnServer(network=host.network, hostname=name, transports=transports, **options)


def entries(*servers):
    return read_configuration({"iceServers": list(servers)}).entries


def turn(server, transport="udp", **changes):
    return server.ice_server(transport) | changes


async def only(server, here, *, tls=None):
    """The verdict on one server, within 10 s."""
    result = await check_up(entries(server), here.network, tls)
    assert result.seconds < 10
    return verdict(result.reports[0])


def host(scene, **router):
    if router:
        return scene.network.add_router("home", delay=0, **router).add_host("here", delay=0.005)
    return scene.network.add_host("here", delay=0.005)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
@scenario
async def test_a_good_server(scene, transport):
    here = host(scene, nat="port-restricted")
    async with serve(scene, transports=(transport,)) as server:
        context = server.client_context() if transport in ("tls", "dtls") else None
        found = await only(turn(server, transport), here, tls=context)
        port = {"udp": 3478, "tcp": 3478, "tls": 5349, "dtls": 5349}[transport]
        assert found.works
        assert found.sentence == (
            f"turn.example:{port} over {transport.upper()}: relays, 10 ms; credential accepted for 600 s"
        )
        await server.released()
        assert server.counters.released == 2


@scenario
async def test_a_stun_server(scene):
    here = host(scene, nat="full-cone")
    async with serve(scene) as server:
        found = await only({"urls": server.stun_url}, here)
        address = scene.network.routers["home"].address
        assert found.sentence.startswith(
            f"turn.example:3478 over UDP (STUN): answers, 10 ms; sees this host as {address}:"
        )


@pytest.mark.parametrize(
    ("faults", "code", "words"),
    [
        ({"silent": True}, "silent", "does not answer"),
        ({"relay_nothing": True}, "relays-nothing", "gives an allocation, 10 ms, but relays nothing"),
        ({"errors": {"allocate": 403}}, "forbidden", "forbids an allocation (403)"),
        ({"errors": {"create_permission": 403}}, "peer-forbidden", "forbids every peer that was tried (403)"),
        ({"errors": {"allocate": 486}}, "refused", "has reached its quota of allocations (486)"),
        ({"errors": {"allocate": 508}}, "refused", "has no capacity left (508)"),
        ({"stale_nonce_every": 1}, "stale-nonce", "calls every nonce stale (438)"),
        ({"sign_wrongly": True}, "unverifiable", "not signed with this credential"),
        ({"garbage": True}, "not-stun", "speaks neither STUN nor TURN"),
        (
            {"redirect": ("198.51.100.250", 3478)},
            "no-route",
            "sends us on to 198.51.100.250:3478: there is no",
        ),
    ],
)
@scenario
async def test_a_server_that_misbehaves(scene, faults, code, words):
    here = host(scene)
    async with serve(scene) as server:
        for name, value in faults.items():
            setattr(server.faults, name, value)
        found = await only(turn(server), here)
        assert not found.works
        assert (found.code, words in found.sentence) == (code, True), found.sentence


@scenario
async def test_a_nonce_that_changes_now_and_then_is_no_failure(scene):
    here = host(scene)
    async with serve(scene) as server:
        server.faults.stale_nonce_every = 3
        found = await only(turn(server), here)
        assert found.works


@pytest.mark.parametrize("changes", [{"credential": "wrong"}, {"username": "nobody"}])
@scenario
async def test_wrong_credentials(scene, changes):
    here = host(scene)
    async with serve(scene) as server:
        found = await only(turn(server, **changes), here)
        assert found.code == "credential"
        assert "refuses the credential (401)" in found.sentence


@scenario
async def test_an_expired_credential_is_called_so(scene):
    here = host(scene)
    async with serve(scene, users={}, secret="s") as server:
        username, credential = server.rest_credentials(ttl=60)
        await asyncio.sleep(60 + 300)
        found = await only(turn(server, username=username, credential=credential), here)
        assert found.sentence.endswith("refuses the credential (401), which expired 5 minutes ago")


@scenario
async def test_a_redirect_is_followed(scene):
    here = host(scene)
    async with serve(scene) as server, serve(scene, "other.example") as other:
        address = scene.network.hosts["other.example"].network.interfaces()[0].address
        server.faults.redirect = (address, 3478)
        found = await only(turn(server), here)
        assert found.works
        assert f"sends us on to {address}:3478: relays" in found.sentence
        server.faults.redirect = (scene.network.hosts["turn.example"].network.interfaces()[0].address, 3478)
        assert (await only(turn(server), here)).code == "redirect"
        await other.released()


@scenario
async def test_names_and_ports_that_lead_nowhere(scene):
    here = host(scene)
    scene.network.add_host("empty.example")
    credentials = {"username": "user", "credential": PASSWORD}
    found = await only({"urls": "turn:nowhere.example", **credentials}, here)
    assert found.code == "unresolved"
    assert "its name cannot be resolved" in found.sentence
    found = await only({"urls": "turn:empty.example?transport=tcp", **credentials}, here)
    assert found.sentence == "empty.example:3478 over TCP: cannot be reached: connection refused"
    found = await only({"urls": "turns:empty.example?transport=udp", **credentials}, here)
    assert found.code == "silent"
    assert "does it serve DTLS" in found.advice[0]
    scene.network.dns_delay = 60
    assert "no answer from the resolver" in (await only({"urls": "stun:empty.example"}, here)).sentence


@scenario
async def test_a_certificate_that_nobody_trusts(scene):
    here = host(scene)
    async with serve(scene, transports=("tls",)) as server:
        found = await only(turn(server, "tls"), here)
        assert found.code == "certificate"
        assert "its certificate is not accepted" in found.sentence


@pytest.mark.parametrize(
    ("nat", "mapping"),
    [
        (None, "none"),
        ("full-cone", "endpoint-independent"),
        ("port-restricted", "endpoint-independent"),
        ("symmetric", "symmetric"),
    ],
)
@scenario
async def test_the_nat_is_recognised(scene, nat, mapping):
    here = host(scene, nat=nat)
    async with serve(scene) as server, serve(scene, "other.example") as other:
        urls = [{"urls": server.stun_url}, {"urls": other.stun_url}]
        result = await check_up(entries(*urls), here.network)
        assert [nat.code for nat in result.nats] == [mapping]


@scenario
async def test_one_turn_server_shows_a_symmetric_nat_too(scene):
    here = host(scene, nat="symmetric")
    async with serve(scene) as server:
        result = await check_up(entries(turn(server)), here.network)
        assert [nat.code for nat in result.nats] == ["symmetric"]
        await server.released()


@scenario
async def test_a_firewall_that_drops_udp(scene, capsys):
    here = host(scene, nat="port-restricted", firewall="block-udp")
    async with serve(scene, transports=("udp", "tcp")) as server:
        status = await run_doctor(entries(*server.ice_servers), network=here.network)
        shown = capsys.readouterr().out
        assert status == 1
        assert "ok     turn.example:3478 over TCP: relays" in shown
        assert "FAILS  turn.example:3478 over UDP: does not answer" in shown
        assert "a firewall between here and there drops UDP" in shown
        assert "1 of 3 servers work" in shown
        await server.released()


@scenario
async def test_both_address_families(scene):
    here = scene.network.add_host("here", ipv6=True)
    scene.network.add_host("turn.example", ipv6=True)
    async with serve(scene) as server:
        found = await only(turn(server), here)
        assert found.works
        assert found.sentence.endswith("(over IPv4 and IPv6)")
        await server.released()


@scenario
async def test_a_quota_that_we_fill_ourselves_is_no_failure(scene):
    here = host(scene)
    async with serve(scene, transports=("udp", "tcp")) as server:
        server.settings.user_quota = 1
        result = await check_up(entries(*server.ice_servers), here.network)
        verdicts = [verdict(report) for report in result.reports]
        assert [one.works for one in verdicts] == [True, True, True]
        assert all("refused (486)" in " ".join(one.advice) for one in verdicts[1:])
        await server.released()


@scenario
async def test_many_dead_servers_take_no_longer_than_one(scene):
    here = host(scene)
    for number in range(20):
        scene.network.add_host(f"dead{number}.example")
    urls = [f"turn:dead{n}.example?transport={t}" for n in range(20) for t in ("udp", "tcp")]
    credentials = {"username": "user", "credential": PASSWORD}
    for n in range(20):
        scene.network.hosts[f"dead{n}.example"].link.set(loss=1.0)
    result = await check_up(entries({"urls": urls, **credentials}), here.network)
    assert result.seconds < 10
    assert {verdict(report).code for report in result.reports} == {"silent"}


@scenario
async def test_json_tells_everything_but_credentials(scene, capsys):
    here = host(scene, nat="symmetric")
    async with serve(scene, transports=("udp", "tcp")) as server:
        assert await run_doctor(entries(*server.ice_servers), as_json=True, network=here.network) == 0
        shown = capsys.readouterr().out
        document = json.loads(shown)
        check("doctor", document)
        assert document["works"]
        assert [s["transport"] for s in document["servers"]] == ["udp", "udp", "tcp"]
        relay = document["servers"][1]["attempts"][0]
        assert relay["lifetime"] == 600
        assert {bounce["peer"] for bounce in relay["data"]} == {"relay", "host"}
        assert PASSWORD not in shown
        await server.released()


@scenario
async def test_cancelled_in_the_middle(scene):
    here = host(scene)
    async with serve(scene, transports=("udp", "tcp")) as server:
        for moment in (0, 0.001, 0.012, 0.022, 0.05, 0.1):
            task = asyncio.create_task(check_up(entries(*server.ice_servers), here.network))
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
        await asyncio.sleep(1)  # streams say goodbye


@scenario
async def test_stuns(scene):
    here = host(scene)
    async with serve(scene, transports=("dtls",)) as server:
        url = {"urls": "stuns:turn.example"}
        trust = server.client_context()
        found = await only(url, here, tls=trust)
        assert found.works
        assert found.sentence.startswith(
            "turn.example:5349 over DTLS (STUN): answers, 10 ms; sees this host as "
        )
        assert (await only(url, here)).code == "certificate"
        server.faults.errors = {"binding": 500}
        assert (await only(url, here, tls=trust)).code == "refused"
        server.faults.errors = {}
        server.faults.garbage = True
        assert (await only(url, here, tls=trust)).code == "not-stun"
        server.faults.silent = True
        assert (await only(url, here, tls=trust)).code == "silent"


@scenario
async def test_a_server_that_denies_its_own_address(scene):
    here = host(scene, nat="port-restricted")
    async with serve(scene) as server:
        own = scene.network.hosts["turn.example"].network.interfaces()[0].address
        server.settings.allow_peer = lambda peer: peer != own
        found = await only(turn(server), here)
        assert found.works
        assert "two relay-only peers cannot call each other" in found.advice[0]
        await server.released()


@scenario
async def test_a_network_that_lets_nothing_but_the_servers_port_out(scene):
    here = host(scene, nat="port-restricted")
    scene.network.routers["home"].firewall.udp = {3478}
    async with serve(scene) as server:
        result = await check_up(entries(turn(server)), here.network)
        assert verdict(result.reports[0]).works
        works = {bounce.peer: bounce.works for bounce in result.reports[0].attempts[0].bounces}
        assert works == {"relay": True, "host": False}
        await server.released()


@pytest.mark.parametrize("moment", [0.001, 0.012, 0.022, 0.032, 0.05])
@scenario
async def test_a_crash_in_the_middle(scene, moment):
    here = host(scene)
    async with serve(scene, transports=("udp", "tcp")) as server:
        task = asyncio.create_task(check_up(entries(*server.ice_servers), here.network))
        await asyncio.sleep(moment)
        server.kill()
        result = await task
        assert result.seconds < 10
        assert not any(verdict(report).works for report in result.reports[1:])
        await asyncio.sleep(1)


@scenario
async def test_a_clock_that_is_wrong_is_named_where_credentials_are_limited_in_time(scene):
    here = host(scene)
    async with serve(scene, users={}, secret="s") as server:
        machine = scene.network.hosts["turn.example"]
        theirs = wall_time() - 3 * 3600  # our clock is three hours ahead

        def answer(stream):
            date = formatdate(theirs + asyncio.get_running_loop().time() - began, usegmt=True)

            def receive(chunk):
                if chunk is None:
                    stream.close()
                else:
                    stream.write(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\n\r\n".encode())

            return receive

        began = asyncio.get_running_loop().time()
        listener = await machine.network.listen_stream(machine.address, 80, answer)
        username, credential = server.rest_credentials(ttl=60)
        await asyncio.sleep(60 + 300)
        found = await only(turn(server, username=username, credential=credential), here)
        listener.close()
        await asyncio.sleep(1)  # the streams say goodbye
        assert found.code == "credential"
        assert "This machine's clock is 3 hours ahead of the server's: it says " in found.advice[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of ICMP errors")
async def test_a_port_on_which_nothing_listens_is_told_at_once():
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    servers = [
        {"urls": f"stun:127.0.0.1:{port}"},
        {"urls": f"turn:127.0.0.1:{port}", "username": "u", "credential": "c"},
        {"urls": f"turns:127.0.0.1:{port}?transport=udp", "username": "u", "credential": "c"},
        {"urls": f"stuns:127.0.0.1:{port}"},
    ]
    result = await check_up(entries(*servers), SystemNetwork(), ssl.create_default_context())
    assert result.seconds < 3, "each alone takes 4.5 s where ICMP is not heard"
    sentences = [verdict(report).sentence for report in result.reports]
    assert len(sentences) == len(entries(*servers))
    for sentence in sentences:
        assert sentence.endswith("cannot be reached: port unreachable: nothing listens there")
