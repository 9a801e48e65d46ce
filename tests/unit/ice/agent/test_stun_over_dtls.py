"""``stuns:`` and ``turns:`` over UDP: DTLS to servers (RFC 7350), on the virtual network."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from cryptography import x509

from rtcpeer.dtls.client import is_dtls
from rtcpeer.dtls.trust import is_for
from rtcpeer.ice.agent.sockets import SocketBase
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.system import default_tls_context
from rtcpeer.testing import CertificateAuthority, TurnServer, VirtualNetwork, run_virtual
from rtcpeer.values import CandidateType, IceTransportPolicy
from tests.unit.dtls.ends import Ends
from tests.unit.ice.agent.test_gathering import gather, of_kind, serve
from tests.unit.ice.agents import Two, entry


def secure(server: TurnServer, *urls: str, trust: ssl.SSLContext | None = None) -> IceSettings:
    return IceSettings(
        servers=tuple(entry(url, "u", "p") for url in urls),
        ssl_context=trust or server.client_context(),
    )


def test_the_answer_is_a_candidate_of_the_socket_that_asked() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("home", nat="port-restricted").add_host("alice")
        server = await serve(network, transports=("udp", "dtls"))
        plain, _ = await gather(alice, IceSettings(servers=(entry(server.stun_url),)))
        await plain.close()
        agent, log = await gather(alice, secure(server, server.stuns_url, server.stun_url))
        assert not log.of("error")
        (host,) = of_kind(agent, CandidateType.HOST)
        # one mapping toward both: an endpoint-independent NAT shows the same, and the second is no news
        (reflexive,) = of_kind(agent, CandidateType.SRFLX)
        assert (reflexive.related_address, reflexive.related_port) == (host.address, host.port)
        assert reflexive.url in (server.stuns_url, server.stun_url)
        await agent.close()
        await server.close()

    run_virtual(main())


def test_a_call_by_what_was_learned_over_dtls() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("a", nat="port-restricted").add_host("alice")
        bob = network.add_router("b", nat="port-restricted").add_host("bob")
        server = await serve(network, transports=("dtls",))
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, secure(server, server.stuns_url))
        await two.connect(5)
        await asyncio.sleep(1)
        await two.exchange()
        assert server.counters.requests["binding"] >= 2
        assert not two.left_log.of("error")
        await two.close()
        await server.close()

    run_virtual(main())


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_relay_over_dtls(loss: float) -> None:
    async def main() -> None:
        network = VirtualNetwork(seed=3)
        alice = network.add_router("office", nat="symmetric").add_host("alice")
        bob = network.add_host("bob")
        server = await serve(network, transports=("dtls",))
        alice.link.set(loss=loss)
        settings = secure(server, server.turn_urls["dtls"])
        with alice.active() as left, bob.active() as right:
            two = Two(
                left,
                right,
                IceSettings(**{**_fields(settings), "policy": IceTransportPolicy.RELAY}),
                IceSettings(),
            )
        await two.connect(20)
        await asyncio.sleep(5)
        alice.link.set(loss=0)
        # refreshed over the same association
        await asyncio.sleep(1300)
        await two.exchange()
        assert two.left.selected_pair is not None
        assert two.left.selected_pair.local.relay_protocol == "udp"
        await two.close()
        assert server.counters.released == 1
        await server.close()

    run_virtual(main())


def _fields(settings: IceSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__slots__}


@pytest.mark.parametrize("kind", ["stuns", "turns"])
@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("stranger", "unable to get local issuer certificate"),
        ("name", "it is not for other.example"),
        ("silent", "did not"),
        ("plain", "did not"),
    ],
)
def test_what_goes_wrong_is_told_once_and_in_time(kind: str, problem: str, said: str) -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(
            network, name="turn.example", hostname="turn.example", transports=("udp", "dtls")
        )
        network.add_name("other.example", server_address(network))
        url = {"stuns": server.stuns_url, "turns": server.turn_urls["dtls"]}[kind]
        trust = CertificateAuthority().client_context() if problem == "stranger" else None
        if problem == "name":
            url = url.replace("turn.example", "other.example")
        elif problem == "plain":
            url = url.replace(":5349", ":3478")
        server.faults.silent = problem == "silent"
        began = asyncio.get_running_loop().time()
        agent, log = await gather(alice, secure(server, url, trust=trust))
        ((when, _, error),) = [e for e in log.log if e[1] == "error"]
        assert (error.error_code, error.url) == (701, url)
        assert said in error.error_text
        assert when - began < 10
        assert [c.type for c in agent.local_candidates] == [CandidateType.HOST]
        await agent.close()
        server.faults.clear()
        await server.close()

    run_virtual(main())


def server_address(network: VirtualNetwork) -> str:
    return network.hosts["turn.example"].address


def test_a_server_that_goes_away_takes_its_candidate_along() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice, bob = network.add_host("alice"), network.add_host("bob")
        server = await serve(network, transports=("dtls",))
        settings = IceSettings(
            **{**_fields(secure(server, server.turn_urls["dtls"])), "policy": IceTransportPolicy.RELAY}
        )
        with alice.active() as left, bob.active() as right:
            two = Two(left, right, settings, IceSettings())
        await two.connect(5)
        server.kill()
        await asyncio.sleep(8)
        assert two.left.state == "disconnected"
        await two.close()

    run_virtual(main())


def test_two_gatherings_at_once_share_the_socket() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_router("home").add_host("alice")
        server = await serve(network, transports=("dtls",))
        agent, log = await gather(alice, secure(server, server.stuns_url, server.stuns_url))
        assert not log.of("error")
        assert len(of_kind(agent, CandidateType.SRFLX)) == 1
        assert server.counters.requests["binding"] == 2
        await agent.close()
        await server.close()

    run_virtual(main())


def test_closing_in_the_middle_of_a_handshake_leaves_nothing() -> None:
    async def main() -> None:
        network = VirtualNetwork()
        alice = network.add_host("alice")
        server = await serve(network, transports=("dtls",))
        for pause in (0, 0.005, 0.015, 0.025, 0.04):
            with alice.active() as own:
                two = Two(own, own, secure(server, server.stuns_url, server.turn_urls["dtls"]))
            two.start()
            await asyncio.sleep(pause)
            await two.close()
        await asyncio.sleep(1)
        await server.released()
        await server.close()
        assert network.sockets == []

    run_virtual(main())


def test_datagrams_of_a_server_are_told_by_source_and_first_byte() -> None:
    """RFC 7983: what a server's address sends and is no DTLS is dropped; what others send never gets there."""
    taken: list[bytes] = []

    class Taker:
        ended: Any = None

        def received_untrusted(self, data: bytes) -> None:
            taken.append(data)

    class Pipe:
        receiver = taken.append
        is_early = staticmethod(lambda *_: False)

    base = SocketBase(Pipe(), ("192.0.2.1", 1))  # type: ignore[arg-type]
    base.associations["192.0.2.9", 5349] = Taker()
    base.received(b"\x16hello", ("192.0.2.9", 5349))
    base.received(b"\x16hello", ("192.0.2.9", 5350))
    base.received(b"\x16hello", ("192.0.2.8", 5349))
    assert taken == [b"\x16hello"]
    assert is_dtls(b"\x16")
    assert not is_dtls(b"\x80")
    assert not is_dtls(b"")


@pytest.mark.parametrize("lost", [(), *((n,) for n in range(1, 7)), (1, 2, 3), (2, 3, 4, 5), (4, 5, 6)])
def test_whatever_is_lost_of_the_handshake_is_repeated_by_the_clock_of_the_loop(
    lost: tuple[int, ...],
) -> None:
    async def main() -> None:
        authority = CertificateAuthority()
        ends = Ends(authority.client_context(), authority)
        ends.lost = set(lost)
        ends.client.start()
        await asyncio.wait_for(ends.client.opened, 8)
        while not ends.server.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ends.lost.clear()
        ends.client.write(b"there")
        ends.server.write(b"back")
        await asyncio.sleep(0.1)
        assert (ends.got["server"], ends.got["client"]) == ([b"there"], [b"back"])
        ends.client.close()
        await asyncio.sleep(0.1)
        assert ends.over == ["server"]
        assert ends.client.ended.is_set()
        ends.client.write(b"nobody hears it")

    run_virtual(main())


def test_clear_text_and_garbage_do_not_end_a_handshake() -> None:
    async def main() -> None:
        authority = CertificateAuthority()
        ends = Ends(authority.client_context(), authority)
        ends.client.start()
        for data in (b"", b"\0", b"\x17\xfe\xfd\0\0" + bytes(8), b"\x16" + bytes(30), b"\x3f" * 20):
            ends.client.received_untrusted(data)
        await asyncio.wait_for(ends.client.opened, 8)
        ends.client.received_untrusted(b"\x17\xfe\xfd\0\1" + bytes(40))
        assert not ends.over
        ends.client.close()
        ends.server.close()

    run_virtual(main())


def test_a_context_that_verifies_nothing_is_taken_at_its_word() -> None:
    async def main() -> None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
        ends = Ends(trust, CertificateAuthority(), host="b.example")
        ends.client.start()
        await asyncio.wait_for(ends.client.opened, 8)
        ends.client.close()
        ends.server.close()

    run_virtual(main())


def test_the_systems_authorities_are_the_default() -> None:
    async def main() -> None:
        ends = Ends(default_tls_context(), CertificateAuthority())
        ends.client.start()
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            await asyncio.wait_for(ends.client.opened, 8)
        ends.server.close()

    run_virtual(main())


@pytest.mark.parametrize(
    ("names", "host", "good"),
    [
        (["turn.example"], "turn.example", True),
        (["turn.example"], "TURN.example.", True),
        (["turn.example"], "a.turn.example", False),
        (["*.turn.example"], "a.turn.example", True),
        (["*.turn.example"], "turn.example", False),
        (["*.turn.example"], "a.b.turn.example", False),
        (["*.example"], "turn.example", False),
        (["a*.turn.example"], "ab.turn.example", False),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["2001:db8::1"], "2001:db8:0::1", True),
        (["turn.example", "192.0.2.1"], "192.0.2.1", True),
    ],
)
def test_names(names: list[str], host: str, good: bool) -> None:
    certificate, _ = CertificateAuthority().issue(names)
    assert is_for(x509.load_pem_x509_certificate(certificate.encode()), host) is good
