import asyncio
import ssl
import struct

import pytest

from rtcpeer import IceSettings, PeerSettings, RTCPeerConnection
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing import CertificateAuthority, PeerPair, TurnServer, TurnSettings, VirtualNetwork
from rtcpeer.testing.clock import VirtualClock, run_virtual
from rtcpeer.testing.turn.settings import rest_password
from rtcpeer.testing.turn.stun import Attribute as A
from rtcpeer.testing.turn.stun import Kind, Method, ServerStunMessage
from tests.unit.testing.support import UDP_TRANSPORT, Client, address_of, error_of, lifetime_of

TRANSPORT = (A.REQUESTED_TRANSPORT, UDP_TRANSPORT)
PEER_IP = ("127.0.0.1", 9)


def of(server, transport="udp", username="user", password="pass"):
    return Client(("127.0.0.1", server.port(transport)), username, password)


@pytest.fixture
async def server():
    async with TurnServer(users={"user": "pass", "other": "word"}) as server:
        yield server


@pytest.fixture
async def client(server):
    client = await of(server).open()
    yield client
    client.close()


async def gather(host, server, errors):
    """Gather candidates of one server, and note its errors."""
    with host.active():
        pc = RTCPeerConnection(iceServers=server.ice_servers)
    pc.on("icecandidateerror", lambda event: errors.append(event.errorCode))
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    await pc.gathered()
    # until all have come
    await asyncio.sleep(20)
    await pc.close()


class Peer:
    def __init__(self):
        self.queue = asyncio.Queue()

    async def open(self, host="127.0.0.1"):
        self.socket = await SystemNetwork().open_udp(host, 0, lambda d, s: self.queue.put_nowait((d, s)))
        return self

    @property
    def address(self):
        return self.socket.local_address

    async def received(self):
        async with asyncio.timeout(60):
            return await self.queue.get()


@pytest.fixture
async def peer():
    peer = await Peer().open()
    yield peer
    peer.socket.close()


class TestStun:
    async def test_binding_tells_the_address(self, client, server):
        answer = await client.once(Method.BINDING)
        assert answer.kind == Kind.RESPONSE
        assert address_of(answer, A.XOR_MAPPED_ADDRESS) == client.socket.local_address
        assert server.counters.requests == {"binding": 1}

    async def test_unknown_required_attributes_are_named(self, client):
        answer = await client.once(Method.BINDING, (0x7777, b"1234"), (0x8777, b"optional"))
        assert error_of(answer) == 420
        assert answer.get(A.UNKNOWN_ATTRIBUTES) == b"\x77\x77"

    @pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 20, b"\x80" * 40, b"\x40\0", b"\x40\0\xff\xff"])
    async def test_rubbish_is_survived(self, client, server, data):
        client.send(data)
        assert (await client.once(Method.BINDING)).kind == Kind.RESPONSE

    async def test_damaged_messages_are_not_answered(self, client, server):
        data = bytearray(client.request(Method.BINDING).to_bytes())
        data[-1] ^= 1
        client.send(bytes(data))
        await client.once(Method.BINDING)
        assert server.counters.invalid == 1


class TestCredentials:
    async def test_challenge_then_success(self, client, server):
        answer = await client.once(Method.ALLOCATE, TRANSPORT)
        assert error_of(answer) == 401
        assert answer.get_text(A.REALM) == "rtcpeer.test"
        assert answer.get(A.NONCE)
        await client.allocate()
        assert server.counters.errors == {401: 2}

    @pytest.mark.parametrize(("user", "password"), [("user", "wrong"), ("nobody", "pass"), ("", "")])
    async def test_wrong_ones(self, server, user, password):
        client = await of(server, username=user, password=password).open()
        assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 401
        assert server.allocations == ()
        client.close()

    async def test_integrity_without_a_user(self, client):
        message = client.request(Method.ALLOCATE, TRANSPORT)
        client.send(message.to_bytes(b"key"))
        assert error_of(await client.answer()) == 400

    async def test_forced_nonce_change(self, client, server):
        await client.allocate()
        server.change_nonce()
        assert error_of(await client.once(Method.REFRESH)) == 438
        assert (await client.ask(Method.REFRESH)).kind == Kind.RESPONSE

    async def test_nonces_grow_old(self, client, server):
        with VirtualClock(asyncio.get_running_loop()):
            await client.allocate((A.LIFETIME, struct.pack("!I", 3600)))
            await asyncio.sleep(3500)
            assert (await client.once(Method.REFRESH)).kind == Kind.RESPONSE
            await asyncio.sleep(200)
            assert error_of(await client.once(Method.REFRESH)) == 438

    async def test_forged_nonce(self, client):
        await client.allocate()
        for nonce in (b"", b"1.2.3", b"\xff\xfe", client.nonce[:-1] + b"x"):
            client.nonce = nonce
            assert error_of(await client.once(Method.REFRESH)) == 438

    async def test_another_users_allocation(self, client, server):
        await client.allocate()
        client.username, client.password = "other", "word"
        assert error_of(await client.once(Method.REFRESH)) == 441

    async def test_answers_are_signed(self, client):
        await client.allocate()
        assert (await client.once(Method.REFRESH)).is_signed_with(client.key)
        error = await client.once(Method.CREATE_PERMISSION)
        assert error_of(error) == 400
        assert error.is_signed_with(client.key)


class TestTimeLimitedCredentials:
    async def test_they_work_until_they_expire(self):
        async with TurnServer(secret="s3cret") as server:
            username, password = server.rest_credentials(ttl=600, name="alice")
            assert username.endswith(":alice")
            assert password == rest_password("s3cret", username)
            client = await of(server, username=username, password=password).open()
            with VirtualClock(asyncio.get_running_loop()):
                await client.allocate()
                await asyncio.sleep(590)
                assert (await client.ask(Method.REFRESH)).kind == Kind.RESPONSE
                await asyncio.sleep(20)
                assert error_of(await client.once(Method.REFRESH)) == 401
            client.close()

    @pytest.mark.parametrize("username", ["", "alice", "99999999999999999999:x", "-5:x", "1:x"])
    async def test_others_do_not(self, username):
        async with TurnServer(secret="s3cret") as server:
            client = await of(server, username=username, password=rest_password("s3cret", username)).open()
            assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 401
            client.close()

    def test_a_secret_is_needed(self):
        with pytest.raises(ValueError, match="secret"):
            TurnServer(users={"user": "pass"}).rest_credentials()


class TestAllocations:
    async def test_life(self, client, server):
        relayed = await client.allocate()
        (allocation,) = server.allocations
        assert allocation.relayed_address == relayed
        assert allocation.client == client.socket.local_address
        assert (allocation.username, allocation.transport, allocation.family) == ("user", "udp", "ipv4")
        assert allocation.lifetime == pytest.approx(600, abs=1)
        answer = await client.once(Method.REFRESH, (A.LIFETIME, struct.pack("!I", 1200)))
        assert lifetime_of(answer) == 1200
        answer = await client.once(Method.REFRESH, (A.LIFETIME, bytes(4)))
        assert lifetime_of(answer) == 0
        assert server.allocations == ()
        assert (server.counters.created, server.counters.released) == (1, 1)
        await server.released()
        # a retransmitted release: RFC 8656 section 8.2
        assert error_of(await client.once(Method.REFRESH, (A.LIFETIME, bytes(4)))) == 437

    async def test_expiry(self, client, server):
        with VirtualClock(asyncio.get_running_loop()):
            await client.allocate()
            await asyncio.sleep(599)
            assert len(server.allocations) == 1
            with pytest.raises(TimeoutError, match="still allocated"):
                await server.released(timeout=0.1)
            await asyncio.sleep(2)
            assert server.allocations == ()
        assert server.counters.expired == 1

    async def test_lifetimes_are_bounded(self, client, server):
        server.settings.max_lifetime = 30
        answer = await client.ask(Method.ALLOCATE, TRANSPORT, (A.LIFETIME, struct.pack("!I", 99999)))
        assert lifetime_of(answer) == 30

    async def test_retransmission_and_mismatch(self, client, server):
        await client.ask(Method.REFRESH)
        request = client.sign(client.request(Method.ALLOCATE, TRANSPORT))
        client.send(request)
        client.send(request)
        first = await client.answer()
        client.send(request)
        second = await client.answer()
        assert first.transaction_id == second.transaction_id
        assert address_of(first, A.XOR_RELAYED_ADDRESS) == address_of(second, A.XOR_RELAYED_ADDRESS)
        third = await client.once(Method.ALLOCATE, TRANSPORT)
        if third.transaction_id == first.transaction_id:  # unless the first two came together
            third = await client.answer()
        assert error_of(third) == 437
        assert server.counters.created == 1

    @pytest.mark.parametrize(
        ("attributes", "code"),
        [
            ([], 400),
            ([(A.REQUESTED_TRANSPORT, b"\x11")], 400),
            ([(A.REQUESTED_TRANSPORT, bytes((6, 0, 0, 0)))], 442),
            ([TRANSPORT, (A.REQUESTED_ADDRESS_FAMILY, bytes((2, 0, 0, 0)))], 440),
            ([TRANSPORT, (A.REQUESTED_ADDRESS_FAMILY, bytes((7, 0, 0, 0)))], 440),
            ([TRANSPORT, (A.REQUESTED_ADDRESS_FAMILY, b"")], 400),
            ([TRANSPORT, (A.RESERVATION_TOKEN, bytes(8))], 508),
            ([TRANSPORT, (A.RESERVATION_TOKEN, bytes(8)), (A.EVEN_PORT, b"\0")], 400),
            ([TRANSPORT, (A.EVEN_PORT, b"\x80")], 508),
        ],
    )
    async def test_refusals(self, client, server, attributes, code):
        assert error_of(await client.ask(Method.ALLOCATE, *attributes)) == code
        assert server.allocations == ()

    async def test_even_port(self, client):
        for _ in range(12):  # half of all ports are even anyway
            assert (await client.allocate((A.EVEN_PORT, b"\0")))[1] % 2 == 0
            await client.ask(Method.REFRESH, (A.LIFETIME, bytes(4)))

    async def test_quotas(self, client, server):
        server.settings.user_quota = 0
        assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 486
        server.settings.user_quota, server.settings.total_quota = None, 0
        assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 508

    @pytest.mark.parametrize(("quota", "code"), [("user_quota", 486), ("total_quota", 508)])
    def test_a_quota_holds_for_those_who_come_together(self, quota, code):
        async def main():
            network = VirtualNetwork()
            host = network.add_host("server")
            settings = TurnSettings(users={"user": "pass"}, **{quota: 2})
            clients = [network.add_host(f"h{n}") for n in range(5)]
            async with TurnServer(network=host.network, settings=settings) as server:
                errors = []
                async with asyncio.timeout(60):
                    await asyncio.gather(*(gather(client, server, errors) for client in clients))
                assert errors == [code] * 3
            network.close()

        run_virtual(main())

    async def test_no_port_left(self, client, server):
        port = server.port()
        server.settings.relay_ports = (port, port)
        assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 508

    @pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
    async def test_without_an_allocation(self, client, method):
        assert error_of(await client.ask(method)) == 437

    async def test_unknown_method(self, client):
        assert error_of(await client.ask(0x00B)) == 400

    async def test_family_of_a_refresh(self, client):
        await client.allocate()
        assert error_of(await client.once(Method.REFRESH, (A.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0"))) == 443


class TestData:
    async def test_indications_both_ways(self, client, server, peer):
        relayed = await client.allocate()
        await client.once(Method.CREATE_PERMISSION, (A.XOR_PEER_ADDRESS, peer.address))
        message = ServerStunMessage(Method.SEND, Kind.INDICATION, bytes(12))
        message.add_address(A.XOR_PEER_ADDRESS, peer.address).add(A.DATA, b"hello")
        client.send(message.to_bytes())
        assert await peer.received() == (b"hello", relayed)
        peer.socket.send(b"back", relayed)
        assert await client.received() == (peer.address, b"back")
        counters = server.counters
        assert (counters.packets_to_peers, counters.bytes_to_peers) == (1, 5)
        assert (counters.packets_to_clients, counters.bytes_to_clients) == (1, 4)
        assert server.allocations[0].permissions == {"127.0.0.1"}

    async def test_channel_both_ways(self, client, server, peer):
        relayed = await client.allocate()
        bind = (A.CHANNEL_NUMBER, b"\x40\x01\0\0"), (A.XOR_PEER_ADDRESS, peer.address)
        assert (await client.once(Method.CHANNEL_BIND, *bind)).kind == Kind.RESPONSE
        assert (await client.once(Method.CHANNEL_BIND, *bind)).kind == Kind.RESPONSE
        client.send(struct.pack("!HH", 0x4001, 5) + b"hello")
        assert await peer.received() == (b"hello", relayed)
        peer.socket.send(b"back", relayed)
        assert await client.received() == (0x4001, b"back")
        assert server.allocations[0].channels == {0x4001: peer.address}

    async def test_without_permission_nothing_passes(self, client, server, peer):
        relayed = await client.allocate()
        peer.socket.send(b"intruder", relayed)
        message = ServerStunMessage(Method.SEND, Kind.INDICATION, bytes(12))
        client.send(message.add_address(A.XOR_PEER_ADDRESS, peer.address).add(A.DATA, b"x").to_bytes())
        client.send(struct.pack("!HH", 0x4001, 5) + b"hello")
        await client.once(Method.BINDING)
        await client.once(Method.BINDING)
        assert server.counters.refused == 3
        assert peer.queue.empty()
        assert client.data.empty()

    async def test_permissions_and_channels_expire(self, client, server, peer):
        with VirtualClock(asyncio.get_running_loop()):
            await client.allocate((A.LIFETIME, struct.pack("!I", 3600)))
            bind = (A.CHANNEL_NUMBER, b"\x40\x01\0\0"), (A.XOR_PEER_ADDRESS, peer.address)
            await client.once(Method.CHANNEL_BIND, *bind)
            await asyncio.sleep(301)
            assert server.allocations[0].permissions == frozenset()
            client.send(struct.pack("!HH", 0x4001, 5) + b"hello")
            await client.once(Method.BINDING)
            assert server.counters.refused == 1
            await asyncio.sleep(300)
            assert server.allocations[0].channels == {}
            # now the peer may have another number
            bind = (A.CHANNEL_NUMBER, b"\x40\x02\0\0"), (A.XOR_PEER_ADDRESS, peer.address)
            assert (await client.once(Method.CHANNEL_BIND, *bind)).kind == Kind.RESPONSE

    @pytest.mark.parametrize(
        ("attributes", "code"),
        [
            ([], 400),
            ([(A.CHANNEL_NUMBER, b"\x40\0\0\0")], 400),
            ([(A.CHANNEL_NUMBER, b"\x3f\xff\0\0"), (A.XOR_PEER_ADDRESS, PEER_IP)], 400),
            ([(A.CHANNEL_NUMBER, b"\x50\0\0\0"), (A.XOR_PEER_ADDRESS, PEER_IP)], 400),
            ([(A.CHANNEL_NUMBER, b"\x40\0\0\0"), (A.XOR_PEER_ADDRESS, b"??")], 400),
            ([(A.CHANNEL_NUMBER, b"\x40\0\0\0"), (A.XOR_PEER_ADDRESS, ("::1", 9))], 443),
            ([(A.CHANNEL_NUMBER, b"\x40\x01\0\0"), (A.XOR_PEER_ADDRESS, ("127.0.0.1", 10))], 400),
            ([(A.CHANNEL_NUMBER, b"\x40\x02\0\0"), (A.XOR_PEER_ADDRESS, PEER_IP)], 400),
        ],
    )
    async def test_bad_channels(self, client, attributes, code):
        await client.allocate()
        await client.once(
            Method.CHANNEL_BIND, (A.CHANNEL_NUMBER, b"\x40\x01\0\0"), (A.XOR_PEER_ADDRESS, PEER_IP)
        )
        assert error_of(await client.once(Method.CHANNEL_BIND, *attributes)) == code

    async def test_bad_permissions(self, client, server):
        await client.allocate()
        ask = Method.CREATE_PERMISSION
        assert error_of(await client.once(ask)) == 400
        assert error_of(await client.once(ask, (A.XOR_PEER_ADDRESS, b"??"))) == 400
        assert error_of(await client.once(ask, (A.XOR_PEER_ADDRESS, ("::1", 9)))) == 443
        server.settings.allow_peer = lambda host: host != "10.0.0.1"
        both = (A.XOR_PEER_ADDRESS, PEER_IP), (A.XOR_PEER_ADDRESS, ("10.0.0.1", 9))
        assert error_of(await client.once(ask, *both)) == 403
        # all or nothing
        assert server.allocations[0].permissions == frozenset()

    async def test_ipv6(self):
        async with TurnServer(users={"user": "pass"}, hosts=["127.0.0.1", "::1"]) as server:
            client = await of(server).open()
            relayed = await client.allocate((A.REQUESTED_ADDRESS_FAMILY, bytes((2, 0, 0, 0))))
            assert relayed[0] == "::1"
            peer = await Peer().open("::1")
            await client.once(Method.CREATE_PERMISSION, (A.XOR_PEER_ADDRESS, peer.address))
            peer.socket.send(b"six", relayed)
            assert await client.received() == (peer.address, b"six")
            six = await Client(("::1", server.port()), "user", "pass").open(host="::1")
            assert (await six.allocate())[0] == "127.0.0.1"
            for socket in (client, six, peer.socket):
                socket.close()


class TestStreams:
    @pytest.mark.parametrize("transport", ["tcp", "tls"])
    async def test_data_over_a_stream(self, peer, transport):
        async with TurnServer(users={"user": "pass"}, transports=["tcp", "tls"]) as server:
            context = server.client_context() if transport == "tls" else None
            client = await of(server, transport).connect(tls=context, server_hostname="127.0.0.1")
            relayed = await client.allocate()
            bind = (A.CHANNEL_NUMBER, b"\x40\x01\0\0"), (A.XOR_PEER_ADDRESS, peer.address)
            await client.once(Method.CHANNEL_BIND, *bind)
            client.send(struct.pack("!HH", 0x4001, 5) + b"hello" + bytes(3))
            assert await peer.received() == (b"hello", relayed)
            for _ in range(2):
                peer.socket.send(b"b", relayed)
                assert await client.received() == (0x4001, b"b")
            assert server.allocations[0].transport == transport
            client.close()
            await server.released(1)
            assert server.counters.dropped == 1

    async def test_messages_in_pieces_and_several_in_one(self):
        async with TurnServer(transports=["tcp"]) as server:
            client = await of(server, "tcp").connect()
            data = b"".join(client.request(Method.BINDING).to_bytes() for _ in range(3))
            client.send(data[:5])
            await asyncio.sleep(0)
            client.send(data[5:40])
            await asyncio.sleep(0)
            client.send(data[40:])
            assert len([await client.answer() for _ in range(3)]) == 3
            client.close()

    async def test_what_is_not_turn_is_hung_up_on(self):
        async with TurnServer(transports=["tcp", "tls"]) as server:
            client = await of(server, "tcp").connect()
            client.send(b"\xffGET / HTTP/1.1")
            async with asyncio.timeout(60):
                await client.ended.wait()
            client = await of(server, "tls").connect()
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(60):
                await client.ended.wait()

    async def test_certificates_are_verified(self):
        async with TurnServer(transports=["tls"], hostname="turn.example") as server:
            context = server.client_context()
            good = await of(server, "tls").connect(tls=context, server_hostname="turn.example")
            assert (await good.once(Method.BINDING)).kind == Kind.RESPONSE
            good.close()
            with pytest.raises(ssl.SSLCertVerificationError):
                await of(server, "tls").connect(tls=context, server_hostname="other.example")
            stranger = CertificateAuthority().client_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                await of(server, "tls").connect(tls=stranger, server_hostname="turn.example")
            assert server.turn_urls["tls"].startswith("turns:turn.example:")


class TestFaults:
    async def test_silence(self, client, server):
        await client.allocate()
        server.faults.silent = True
        client.send(client.sign(client.request(Method.REFRESH)))
        with pytest.raises(TimeoutError):
            await client.answer(0.02)
        server.faults.clear()
        assert (await client.once(Method.REFRESH)).kind == Kind.RESPONSE

    async def test_silent_methods(self, client, server):
        server.faults.silent_methods = {"binding"}
        client.send(client.request(Method.BINDING).to_bytes())
        await client.allocate()
        assert client.answers.empty()

    async def test_errors(self, client, server):
        server.faults.errors = {"allocate": 486, "binding": 500}
        assert error_of(await client.ask(Method.ALLOCATE, TRANSPORT)) == 486
        assert error_of(await client.ask(Method.BINDING)) == 500

    async def test_slow_answers(self, client, server):
        with VirtualClock(asyncio.get_running_loop()) as clock:
            server.faults.delay = 3.0
            client.send(client.request(Method.BINDING).to_bytes())
            assert (await client.answer(10)).kind == Kind.RESPONSE
            assert clock.elapsed == pytest.approx(3)

    async def test_nonce_changes(self, client, server):
        server.faults.stale_nonce_every = 2
        await client.allocate()
        for _ in range(4):
            assert (await client.ask(Method.REFRESH)).kind == Kind.RESPONSE
        assert server.counters.errors[438] >= 3

    async def test_redirect(self, client, server):
        server.faults.redirect = ("192.0.2.1", 3479)
        answer = await client.ask(Method.ALLOCATE, TRANSPORT)
        assert error_of(answer) == 300
        assert answer.get(A.ALTERNATE_SERVER) == bytes((0, 1)) + struct.pack("!H", 3479) + bytes(
            (192, 0, 2, 1)
        )

    async def test_lies(self, client, server):
        server.faults.mapped_address = ("192.0.2.9", 99)
        assert address_of(await client.once(Method.BINDING), A.XOR_MAPPED_ADDRESS) == ("192.0.2.9", 99)
        server.faults.clear()
        await client.allocate()
        server.faults.sign_wrongly = True
        assert not (await client.once(Method.REFRESH)).is_signed_with(client.key)

    async def test_relaying_nothing(self, client, server, peer):
        relayed = await client.allocate()
        await client.once(Method.CREATE_PERMISSION, (A.XOR_PEER_ADDRESS, peer.address))
        server.faults.relay_nothing = True
        peer.socket.send(b"lost", relayed)
        await client.once(Method.BINDING)
        assert client.data.empty()

    async def test_kill_and_start_again(self, client, server):
        await client.allocate()
        port = server.port()
        server.kill()
        assert server.allocations == ()
        assert server.counters.dropped == 1
        client.send(client.request(Method.BINDING).to_bytes())
        with pytest.raises(TimeoutError):
            await client.answer(0.02)
        await server.start()
        assert server.port() == port
        assert error_of(await client.ask(Method.REFRESH)) == 437

    async def test_kill_while_allocating(self, client, server):
        await client.ask(Method.REFRESH)
        service = server._service
        client.send(client.sign(client.request(Method.ALLOCATE, TRANSPORT)))
        async with asyncio.timeout(60):
            while not service._pending:  # noqa: ASYNC110 - turns of the loop
                await asyncio.sleep(0)
            server.kill()
            while service._tasks:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert service.allocations == {}
        assert server.counters.created == 0


class TestFace:
    async def test_urls(self):
        async with TurnServer(users={"u": "p"}, transports=["udp", "tcp", "tls"], hosts=["::1"]) as server:
            udp, tcp, tls = (server.port(t) for t in server.transports)
            assert server.stun_url == f"stun:[::1]:{udp}"
            assert server.turn_url == f"turn:[::1]:{udp}?transport=udp"
            assert server.turn_urls["tcp"] == f"turn:[::1]:{tcp}?transport=tcp"
            assert server.turn_urls["tls"] == f"turns:[::1]:{tls}?transport=tcp"
            stun, turn = server.ice_servers
            assert stun == {"urls": [server.stun_url]}
            assert turn == {"urls": list(server.turn_urls.values()), "username": "u", "credential": "p"}
            assert server.ice_server("tls")["urls"] == [server.turn_urls["tls"]]
            assert "TurnServer" in repr(server)

    async def test_a_pure_stun_server(self):
        async with TurnServer() as server:
            assert server.ice_servers == [{"urls": [server.stun_url]}]

    def test_settings_do_not_show_secrets(self):
        assert "pass" not in repr(TurnSettings(users={"user": "pass"}, secret="pass"))

    def test_unknown_transport(self):
        with pytest.raises(ValueError, match="transports"):
            TurnServer(transports=["carrier pigeon"])

    async def test_a_taken_port_is_told_and_nothing_left(self, server):
        other = TurnServer(ports={"udp": server.port()})
        with pytest.raises(OSError, match="in use"):
            await other.start()
        assert other._service is None


class TestRestart:
    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
    def test_a_killed_server_starts_again_on_its_port_and_calls_go_on_after_a_restart(self, transport):
        async def main():
            network = VirtualNetwork(seed=1)
            machine = network.add_host("turn.example")
            async with TurnServer(
                {"u": "p"}, network=machine.network, hostname="turn.example", transports=(transport,)
            ) as server:
                settings = PeerSettings(ice=IceSettings(ssl_context=server.client_context()))
                configuration = {"iceServers": [server.ice_server(transport)], "iceTransportPolicy": "relay"}
                async with PeerPair(configuration, network=network, settings=settings) as pair:
                    await pair.connect()
                    port = server.port(transport)
                    server.kill()
                    await server.start()
                    assert server.port(transport) == port
                    assert server.allocations == ()
                    await asyncio.sleep(8)
                    await pair.restart_ice()
                    await asyncio.sleep(5)
                    assert pair.offerer.iceConnectionState in ("connected", "completed")
                    assert len(server.allocations) == 2

        run_virtual(main())

    def test_a_port_is_free_for_a_listener_while_connections_of_before_linger(self):
        async def main():
            network = VirtualNetwork()
            server, client = network.add_host("server"), network.add_host("client")
            listener = await server.network.listen_stream(
                server.address, 80, lambda stream: lambda data: None
            )
            stream = await client.network.open_stream(server.address, 80, receiver=lambda data: None)
            with pytest.raises(OSError, match="in use"):
                await server.network.listen_stream(server.address, 80, lambda stream: lambda data: None)
            listener.close()
            again = await server.network.listen_stream(server.address, 80, lambda stream: lambda data: None)
            assert again.local_address == (server.address, 80)
            again.close()
            stream.close()

        run_virtual(main())
