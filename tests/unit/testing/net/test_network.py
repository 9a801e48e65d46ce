import asyncio
import socket

import pytest

from rtcpeer.net.current import current_network
from rtcpeer.testing import Firewall, NatBehaviour, TurnServer, VirtualNetwork
from rtcpeer.testing.clock import run_virtual
from rtcpeer.testing.net.packet import is_dtls, is_dtls_handshake
from rtcpeer.testing.turn.stun import Attribute as A
from rtcpeer.testing.turn.stun import Kind, Method, ServerStunMessage
from tests.unit.testing.support import Client, address_of


def virtual(test):
    """Runs an async test in virtual time."""

    def run(*args, **kwargs):
        return run_virtual(test(*args, **kwargs), debug=True)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__signature__ = __import__("inspect").signature(test)
    return run


class Udp:
    def __init__(self):
        self.received = []
        self.times = []

    async def open(self, host, port=0, address=None):
        self.socket = await host.network.open_udp(address or host.address, port, self.receive)
        return self

    def receive(self, data, source):
        self.received.append((data, source))
        self.times.append(asyncio.get_running_loop().time())

    @property
    def data(self):
        return [data for data, _ in self.received]

    @property
    def address(self):
        return self.socket.local_address

    def send(self, data, other):
        self.socket.send(data, other.address if isinstance(other, Udp) else other)


async def pair(network=None, **options):
    network = network or VirtualNetwork(**options)
    a, b = network.add_host("a"), network.add_host("b")
    return network, a, b, await Udp().open(a), await Udp().open(b)


class TestDatagrams:
    @virtual
    async def test_there_and_back_takes_the_links_delays(self):
        _, _a, _b, left, right = await pair(delay=0.01)
        left.send(b"x", right)
        assert right.data == []
        await asyncio.sleep(1)
        assert right.received == [(b"x", left.address)]
        assert right.times == [pytest.approx(0.02)]
        right.send(b"y", left)
        await asyncio.sleep(1)
        assert left.data == [b"y"]

    @virtual
    async def test_open_udp_does_not_suspend(self):
        host = VirtualNetwork().add_host("a")
        coroutine = host.network.open_udp(host.address, 0, print)
        with pytest.raises(StopIteration):
            coroutine.send(None)

    @virtual
    async def test_closed_and_absent_sockets_lose(self):
        network, _a, _b, left, right = await pair()
        right.socket.close()
        right.socket.close()
        left.send(b"x", right)
        left.send(b"x", ("203.0.113.99", 5))
        left.send(b"x", ("2001:db8::5", 5))
        await asyncio.sleep(1)
        assert right.data == []
        assert network.drops == {"no socket": 1, "no route": 1}
        right.send(b"x", left)
        await asyncio.sleep(1)
        assert left.data == []

    @virtual
    async def test_a_socket_closed_by_its_receiver(self):
        _, _a, b, left, _right = await pair()
        sockets = []
        sockets.append(await b.network.open_udp(b.address, 5000, lambda d, s: sockets[0].close()))
        left.send(b"1", (b.address, 5000))
        left.send(b"2", (b.address, 5000))
        await asyncio.sleep(1)
        assert b.sockets == [_right.socket]

    @virtual
    async def test_binding(self):
        host = VirtualNetwork().add_host("a")
        first = await Udp().open(host, 1000)
        with pytest.raises(OSError, match="in use"):
            await Udp().open(host, 1000)
        with pytest.raises(OSError, match="not on a"):
            await Udp().open(host, address="192.0.2.1")
        first.socket.close()
        await Udp().open(host, 1000)
        ports = set()
        for _ in range(3):
            socket = await host.network.open_udp(host.address, 0, print, port_range=(2000, 2002))
            ports.add(socket.local_address[1])
        assert ports == {2000, 2001, 2002}
        with pytest.raises(OSError, match="no free port"):
            await host.network.open_udp(host.address, 0, print, port_range=(2000, 2002))
        host.socket_error = PermissionError("tests say so")
        with pytest.raises(PermissionError):
            await Udp().open(host)

    @virtual
    async def test_loopback_and_own_address_and_wildcard(self):
        _network, a, _b, left, _right = await pair()
        a.link.set(down=True)
        own = await Udp().open(a, address="127.0.0.1")
        every = await Udp().open(a, 7, address="0.0.0.0")
        own.send(b"1", own)
        left.send(b"2", left)
        left.send(b"3", (a.address, 7))
        every.send(b"4", left)
        await asyncio.sleep(0.1)
        assert own.data == [b"1"]
        assert left.data == [b"2", b"4"]
        assert left.received[1][1] == (a.address, 7)
        assert every.data == [b"3"]

    @virtual
    async def test_ipv6(self):
        network = VirtualNetwork()
        a, b = network.add_host("a", ipv6=True), network.add_host("b", "2001:DB8::99")
        assert b.addresses == ["2001:db8::99"]
        left, right = await Udp().open(a, address=a.addresses[1]), await Udp().open(b)
        left.send(b"6", right)
        await asyncio.sleep(1)
        assert right.data == [b"6"]
        assert [i.address for i in b.network.interfaces()] == ["2001:db8::99", "127.0.0.1", "::1"]

    @virtual
    async def test_interfaces_and_routes(self):
        network = VirtualNetwork()
        lan = network.add_router("lan")
        host = network.add_host("a")
        host.add_interface("wlan0", lan.segment)
        neighbour = lan.add_host("n")
        assert host.network.source_address(neighbour.address) == host.addresses[1]
        other = network.add_host("o")
        assert host.network.source_address(other.address) == host.addresses[0]
        assert host.network.source_address("127.0.0.1") == "127.0.0.1"
        assert host.network.source_address("2001:db8::7") is None
        host.set_up("eth0", False)
        assert host.network.source_address(other.address) == host.addresses[0]
        assert host.addresses[0].startswith("192.168.")
        host.remove_interface("wlan0")
        assert host.network.source_address(other.address) is None


class TestLinks:
    @virtual
    async def test_loss_is_as_often_as_asked_and_repeatable(self):
        async def run(seed):
            _, a, _b, left, right = await pair(seed=seed)
            a.link.set(loss=0.2)
            for number in range(1000):
                left.send(b"%d" % number, right)
            await asyncio.sleep(1)
            return right.data

        first, again, other = await run(1), await run(1), await run(2)
        assert first == again != other
        assert 740 < len(first) < 860

    @virtual
    async def test_jitter_keeps_order_and_reordering_does_not(self):
        _, a, _b, left, right = await pair()
        a.link.set(jitter=0.05)
        for number in range(100):
            left.send(bytes([number]), right)
        await asyncio.sleep(1)
        assert right.data == [bytes([n]) for n in range(100)]
        assert len(set(right.times)) > 3
        a.link.set(jitter=0, reorder=0.3)
        for number in range(100):
            left.send(bytes([number]), right)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        assert sorted(right.data[100:]) == [bytes([n]) for n in range(100)]
        assert right.data[100:] != sorted(right.data[100:])

    @virtual
    async def test_duplication(self):
        _, _a, b, left, right = await pair()
        b.link.set(duplicate=1.0)
        left.send(b"twice", right)
        await asyncio.sleep(1)
        assert right.data == [b"twice"] * 2

    @virtual
    async def test_mtu(self):
        network, a, _b, left, right = await pair()
        a.link.set(mtu=1280)
        left.send(bytes(1252), right)
        left.send(bytes(1253), right)
        await asyncio.sleep(1)
        assert [len(d) for d in right.data] == [1252]
        assert a.link.sent["mtu"] == network.drops["mtu"] == 1

    @virtual
    async def test_bandwidth(self):
        _, a, _b, left, right = await pair(delay=0)
        a.link.up.bandwidth = 100_000
        for _ in range(100):
            left.send(bytes(972), right)
        await asyncio.sleep(10)
        assert 20 <= len(right.data) <= 22  # 0.2 s of queue
        assert right.times[9] - right.times[0] == pytest.approx(0.09)
        assert a.link.sent["queue"] >= 78

    @virtual
    async def test_outage(self):
        _, a, _b, left, right = await pair()
        with a.link.outage():
            left.send(b"lost", right)
            right.send(b"lost", left)
            await asyncio.sleep(60)
        left.send(b"found", right)
        await asyncio.sleep(1)
        assert (left.data, right.data) == ([], [b"found"])
        task = asyncio.create_task(a.link.outage_of(5))
        await asyncio.sleep(1)
        assert a.link.up.down
        await task
        assert not a.link.up.down

    @virtual
    async def test_dtls_handshakes_are_spared(self):
        network, a, _b, left, right = await pair()
        a.link.set(loss=1.0)
        handshake, data = bytes([22, 254, 253, 0]), bytes([23, 254, 253, 0])
        wrapped = bytes((0x40, 1, 0, 4)) + handshake
        indication = ServerStunMessage(Method.SEND, Kind.INDICATION, bytes(12))
        indication.add_address(A.XOR_PEER_ADDRESS, ("1.2.3.4", 5)).add(A.DATA, handshake)
        for packet in (handshake, wrapped, indication.to_bytes(), data):
            left.send(packet, right)
        await asyncio.sleep(1)
        assert len(right.data) == 3
        network.spare_dtls = "all"
        left.send(data, right)
        left.send(b"\x80rtp", right)
        await asyncio.sleep(1)
        assert right.data[3:] == [data]
        network.spare_dtls = False
        left.send(handshake, right)
        left.send(data, right)
        await asyncio.sleep(1)
        assert len(right.data) == 4
        assert is_dtls(data)
        assert not is_dtls_handshake(data)
        assert not is_dtls(b"\x80rtp")

    @virtual
    async def test_unknown_settings(self):
        host = VirtualNetwork().add_host("a")
        with pytest.raises(TypeError, match="bandwidth"):
            host.link.set(los=0.2)


class TestNat:
    async def scene(self, nat, **options):
        network = VirtualNetwork()
        router = network.add_router("r", nat=nat, **options)
        inner = await Udp().open(router.add_host("inner"), 5000)
        one, two = network.add_host("one"), network.add_host("two")
        return (
            network,
            router,
            inner,
            await Udp().open(one, 1),
            await Udp().open(one, 2),
            await Udp().open(two, 1),
        )

    @pytest.mark.parametrize(
        ("nat", "same_address_port", "other_address", "from_other_port", "from_other_address"),
        [
            ("full-cone", True, True, True, True),
            ("restricted", True, True, True, False),
            ("port-restricted", True, True, False, False),
            ("symmetric", False, False, False, False),
            (NatBehaviour("address-dependent", "endpoint-independent", False), True, False, True, True),
        ],
    )
    @virtual
    async def test_mapping_and_filtering(
        self, nat, same_address_port, other_address, from_other_port, from_other_address
    ):
        _, router, inner, one, one_b, two = await self.scene(nat)
        inner.send(b"a", one)
        await asyncio.sleep(1)
        outer = one.received[0][1]
        assert outer[0] == router.address
        one_b.send(b"from other port", outer)
        two.send(b"from other address", outer)
        one.send(b"answer", outer)
        await asyncio.sleep(1)
        assert b"answer" in inner.data
        assert (b"from other port" in inner.data) == from_other_port
        assert (b"from other address" in inner.data) == from_other_address
        inner.send(b"b", one_b)
        inner.send(b"c", two)
        await asyncio.sleep(1)
        assert (one_b.received[0][1] == outer) == same_address_port
        assert (two.received[0][1] == outer) == other_address

    @virtual
    async def test_port_preservation(self):
        _network, router, inner, one, _, _ = await self.scene("port-restricted")
        rival = await Udp().open(router.add_host("rival"), 5000)
        inner.send(b"a", one)
        rival.send(b"b", one)
        await asyncio.sleep(1)
        assert [source[1] == 5000 for _, source in one.received] == [True, False]

    @virtual
    async def test_mappings_expire_and_are_kept_alive_from_inside(self):
        _, _router, inner, one, _, _ = await self.scene(NatBehaviour(timeout=30))
        inner.send(b"a", one)
        for _ in range(3):
            await asyncio.sleep(25)
            inner.send(b"a", one)
        await asyncio.sleep(25)
        one.send(b"in time", one.received[0][1])
        await asyncio.sleep(10)
        one.send(b"late", one.received[0][1])
        await asyncio.sleep(1)
        assert inner.data == [b"in time"]

    @pytest.mark.parametrize("hairpinning", [True, False])
    @virtual
    async def test_hairpinning(self, hairpinning):
        behaviour = NatBehaviour(filtering="endpoint-independent", hairpinning=hairpinning)
        _, router, inner, one, _, _ = await self.scene(behaviour)
        other = await Udp().open(router.add_host("other"), 6000)
        inner.send(b"a", one)
        await asyncio.sleep(1)
        other.send(b"hello neighbour", one.received[0][1])
        await asyncio.sleep(1)
        assert inner.received == ([(b"hello neighbour", (router.address, 6000))] if hairpinning else [])

    @virtual
    async def test_unsolicited_packets_and_private_addresses(self):
        network, router, inner, one, _, _ = await self.scene("full-cone")
        one.send(b"x", (router.address, 5000))
        one.send(b"x", inner.address)
        await asyncio.sleep(1)
        assert inner.data == []
        assert network.drops == {"nat": 1, "no route": 1}

    @virtual
    async def test_nat_behind_nat(self):
        network = VirtualNetwork()
        carrier = network.add_router("carrier", nat="symmetric", prefix="100.64.0.0/24")
        home = network.add_router("home", segment=carrier.segment)
        inner, outer = await Udp().open(home.add_host("inner")), await Udp().open(network.add_host("outer"))
        inner.send(b"out", outer)
        await asyncio.sleep(1)
        assert outer.received[0][1][0] == carrier.address
        outer.send(b"back", outer.received[0][1])
        await asyncio.sleep(1)
        assert inner.received == [(b"back", outer.address)]

    @virtual
    async def test_reboot_and_new_address(self):
        _, router, inner, one, _, _ = await self.scene("full-cone")
        inner.send(b"a", one)
        await asyncio.sleep(1)
        before = one.received[0][1]
        new = router.change_address()
        inner.send(b"b", one)
        one.send(b"lost", before)
        await asyncio.sleep(1)
        assert one.received[1][1][0] == new != before[0]
        assert inner.data == []

    @virtual
    async def test_routing_without_nat_and_ipv6_through_a_nat(self):
        network = VirtualNetwork()
        plain = network.add_router("plain", nat=None)
        six = network.add_router("six", ipv6=True, firewall="stateful")
        a = await Udp().open(plain.add_host("a"))
        host = six.add_host("b")
        b = await Udp().open(host, address=host.addresses[1])
        outside_host = network.add_host("c", ipv6=True)
        c4 = await Udp().open(outside_host)
        c6 = await Udp().open(outside_host, address=outside_host.addresses[1])
        c4.send(b"to a", a)
        c6.send(b"unasked", b)
        await asyncio.sleep(1)
        assert a.received == [(b"to a", c4.address)]
        assert b.data == []
        b.send(b"ask", c6)
        await asyncio.sleep(1)
        assert c6.received == [(b"ask", b.address)]
        c6.send(b"answer", b)
        await asyncio.sleep(1)
        assert b.data == [b"answer"]

    def test_unknown_names(self):
        network = VirtualNetwork()
        with pytest.raises(ValueError, match="symmetric"):
            network.add_router("r", nat="spherical")
        with pytest.raises(ValueError, match="block-udp"):
            network.add_router("q", firewall="paper")


class TestFirewall:
    @virtual
    async def test_no_udp(self):
        network = VirtualNetwork()
        router = network.add_router("r", nat=None, firewall="block-udp")
        inner, outer = await Udp().open(router.add_host("i")), await Udp().open(network.add_host("o"))
        inner.send(b"x", outer)
        outer.send(b"x", inner)
        await asyncio.sleep(1)
        assert inner.data == outer.data == []
        assert network.drops["firewall"] == 2
        router.firewall.udp = {outer.address[1]}
        inner.send(b"x", outer)
        await asyncio.sleep(1)
        assert outer.data == [b"x"]

    @virtual
    async def test_reject(self):
        network = VirtualNetwork()
        router = network.add_router("r", firewall=Firewall(tcp=False, reject=True))
        inner, outer = router.add_host("i"), network.add_host("o")
        with pytest.raises(ConnectionRefusedError):
            await inner.network.open_stream(outer.address, 80, receiver=print)


class Stream:
    def __init__(self):
        self.chunks, self.ended, self.stream = [], asyncio.Event(), None

    def receive(self, data):
        if data is None:
            self.ended.set()
        else:
            self.chunks.append(data)

    @property
    def data(self):
        return b"".join(self.chunks)

    def accept(self, stream):
        self.stream = stream
        return self.receive


class TestStreams:
    async def scene(self, behind_nat=False, **options):
        network = VirtualNetwork(**options)
        b = network.add_host("b")
        a = network.add_router("r", nat="symmetric").add_host("a") if behind_nat else network.add_host("a")
        server, client = Stream(), Stream()
        listener = await b.network.listen_stream(b.address, 443, server.accept)
        client.stream = await a.network.open_stream(b.address, 443, receiver=client.receive)
        return network, a, b, client, server, listener

    @pytest.mark.parametrize("behind_nat", [False, True])
    @virtual
    async def test_both_ways_in_order(self, behind_nat):
        _network, a, b, client, server, _ = await self.scene(behind_nat)
        message = bytes(range(256)) * 400
        client.stream.write(message)
        client.stream.write(b"end")
        await asyncio.sleep(5)
        assert server.data == message + b"end"
        server.stream.write(b"answer")
        await asyncio.sleep(1)
        assert client.data == b"answer"
        assert server.stream.remote_address[0] == ("198.51.100.2" if behind_nat else a.address)
        assert client.stream.remote_address == (b.address, 443)

    @pytest.mark.parametrize("closer", ["client", "server"])
    @virtual
    async def test_close(self, closer):
        network, a, b, client, server, listener = await self.scene()
        await asyncio.sleep(1)
        near, far = (client, server) if closer == "client" else (server, client)
        near.stream.write(b"last words")
        near.stream.close()
        near.stream.close()
        near.stream.write(b"ignored")
        assert near.stream.is_closed
        await far.ended.wait()
        assert far.data == b"last words"
        assert far.stream.is_closed
        assert not near.ended.is_set()
        listener.close()
        listener.close()
        await asyncio.sleep(10)
        assert network.sockets == []
        assert (a._streams, b._streams) == ({}, {})

    @virtual
    async def test_loss_delays_and_loses_nothing(self):
        _network, a, _b, client, server, _ = await self.scene(seed=3)
        a.link.set(loss=0.2, reorder=0.1, duplicate=0.1)
        message = bytes(range(256)) * 800
        client.stream.write(message)
        for _ in range(600):
            await asyncio.sleep(0.1)
            if len(server.data) >= len(message):
                break
        assert server.data == message

    @virtual
    async def test_an_outage_stops_it_and_the_end_of_it_continues(self):
        _, a, _b, client, server, _ = await self.scene()
        with a.link.outage():
            client.stream.write(b"patience")
            await asyncio.sleep(20)
            assert server.data == b""
        await asyncio.sleep(16)
        assert server.data == b"patience"

    @virtual
    async def test_a_dead_path_ends_it(self):
        _, a, _b, client, _server, _ = await self.scene()
        a.link.set(down=True)
        client.stream.write(b"x")
        async with asyncio.timeout(80):
            await client.ended.wait()
        assert client.stream.is_closed

    @virtual
    async def test_nobody_listens(self):
        network, a, b, *_ = await self.scene()
        with pytest.raises(ConnectionRefusedError):
            await a.network.open_stream(b.address, 444, receiver=print)
        with pytest.raises(OSError, match="unreachable"):
            await network.add_host("six", ipv4=False, ipv6=True).network.open_stream(
                "1.2.3.4", 1, receiver=print
            )

    @virtual
    async def test_no_answer(self):
        _network, a, b, *_ = await self.scene()
        b.link.set(down=True)
        with pytest.raises(TimeoutError):
            await a.network.open_stream(b.address, 443, receiver=print)
        assert asyncio.get_running_loop().time() == pytest.approx(31, abs=1)
        assert len(a.sockets) == 1

    @virtual
    async def test_a_cancelled_connect_leaves_nothing(self):
        _network, a, b, client, *_ = await self.scene()
        b.link.set(down=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await a.network.open_stream(b.address, 443, receiver=print)
        assert a.sockets == [client.stream]
        await asyncio.sleep(100)


class TestNames:
    @virtual
    async def test_dns(self):
        network = VirtualNetwork()
        a, b = network.add_host("a", ipv6=True), network.add_host("b.example")
        network.add_name("Turn.Example", "203.0.113.5", "2001:db8::0005")
        resolve = a.network.resolve
        assert await resolve("turn.example") == ["203.0.113.5", "2001:db8::5"]
        assert await resolve("turn.example.", "ipv6") == ["2001:db8::5"]
        assert await resolve("b.example") == [b.address]
        assert await resolve("198.51.100.9") == ["198.51.100.9"]
        assert await resolve("localhost", "ipv4") == ["127.0.0.1"]
        for unknown in ("nowhere.example", "x.local"):
            with pytest.raises(socket.gaierror):
                await resolve(unknown)
        with pytest.raises(socket.gaierror):
            await resolve("b.example", "ipv6")
        network.dns_delay = 2
        await resolve("b.example")
        assert asyncio.get_running_loop().time() == 2

    @virtual
    async def test_local_names_stay_on_their_segment(self):
        network = VirtualNetwork()
        lan = network.add_router("lan")
        a, b, far = lan.add_host("a"), lan.add_host("b"), network.add_host("far")
        name, withdraw = await a.network.publish_name(a.address)
        assert name.endswith(".local")
        assert await b.network.resolve(name) == [a.address]
        with pytest.raises(socket.gaierror):
            await far.network.resolve(name)
        await withdraw()
        with pytest.raises(socket.gaierror):
            await b.network.resolve(name)


class TestChange:
    @virtual
    async def test_watchers_are_told_and_can_stop(self):
        network = VirtualNetwork()
        host = network.add_host("a")
        told = []
        stop = host.network.watch_interfaces(lambda: told.append(host.addresses))
        old = host.address
        new = host.change_address()
        assert told == []
        await asyncio.sleep(0)
        assert told == [[new]]
        assert new != old
        host.add_interface("wlan0")
        await asyncio.sleep(0)
        assert len(told[1]) == 2
        host.set_up("eth0", False)
        await asyncio.sleep(0)
        host.move("wlan0", network.add_router("lan").segment)
        await asyncio.sleep(0)
        assert told[3][0].startswith("192.168.")
        stop()
        stop()
        host.remove_interface("wlan0")
        await asyncio.sleep(0)
        assert len(told) == 4

    @virtual
    async def test_the_old_address_is_dead(self):
        network, a, _b, left, right = await pair()
        a.change_address()
        left.send(b"x", right)
        right.send(b"x", left)
        await asyncio.sleep(1)
        assert left.data == right.data == []
        assert network.drops == {"no interface": 1, "no route": 1}
        again = await Udp().open(a)
        again.send(b"x", right)
        await asyncio.sleep(1)
        assert right.data == [b"x"]

    @virtual
    async def test_taken_names_and_addresses(self):
        network = VirtualNetwork()
        host = network.add_host("a", "198.51.100.77")
        for bad in (
            lambda: network.add_host("a"),
            lambda: network.add_host("b", "198.51.100.77"),
            lambda: host.add_interface("eth0"),
            lambda: network.add_host("c", "not an address"),
        ):
            with pytest.raises(ValueError):
                bad()


class TestWhole:
    @virtual
    async def test_active_sets_the_network_in_force(self):
        host = VirtualNetwork().add_host("a")
        before = current_network.get()
        with host.active() as network:
            assert current_network.get() is network is host.network
        assert current_network.get() is before

    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
    @virtual
    async def test_a_turn_server_on_it(self, transport):
        network = VirtualNetwork()
        machine = network.add_host("turn.example", "203.0.113.1", ipv6=True)
        router = network.add_router("home", nat="symmetric")
        home = router.add_host("home")
        server = TurnServer(
            users={"u": "p"},
            network=machine.network,
            transports=["udp", "tcp", "tls"],
            hostname="turn.example",
        )
        async with server:
            assert server.stun_url == "stun:turn.example:3478"
            assert server.turn_urls["tls"] == "turns:turn.example:5349?transport=tcp"
            client = Client(("203.0.113.1", server.port(transport)), "u", "p")
            if transport == "udp":
                await client.open(home.network, home.address)
            else:
                tls = server.client_context() if transport == "tls" else None
                await client.connect(home.network, tls=tls, server_hostname="turn.example")
            mapped = address_of(await client.once(Method.BINDING), A.XOR_MAPPED_ADDRESS)
            assert mapped[0] == router.address
            relayed = await client.allocate()
            peer = await Udp().open(network.add_host("peer"))
            await client.ask(Method.CREATE_PERMISSION, (A.XOR_PEER_ADDRESS, peer.address))
            peer.send(b"hello", relayed)
            assert await client.received() == (peer.address, b"hello")
            client.close()
        network.close()
        assert network.sockets == []

    @virtual
    async def test_taps(self):
        network, _a, _b, left, right = await pair()
        seen = []
        stop = network.tap(lambda event, packet, reason: seen.append((event, packet.data, reason)))
        left.send(b"1", right)
        left.send(b"2", ("192.0.2.1", 1))
        await asyncio.sleep(1)
        assert sorted(seen) == [
            ("delivered", b"1", ""),
            ("dropped", b"2", "no route"),
            ("sent", b"1", ""),
            ("sent", b"2", ""),
        ]
        stop()
        left.send(b"3", right)
        await asyncio.sleep(1)
        assert len(seen) == 4

    @virtual
    async def test_close(self):
        network, a, b, left, right = await pair()
        await b.network.listen_stream(b.address, 1, lambda s: print)
        await a.network.open_stream(b.address, 1, receiver=print)
        left.send(b"x", right)
        assert len(network.sockets) == 5
        network.close()
        assert network.sockets == []
        await asyncio.sleep(100)
        assert right.data == []

    @virtual
    async def test_reprs(self):
        network, a, _b, left, _ = await pair()
        router = network.add_router("r")
        texts = [
            repr(x)
            for x in (network, a, a.network, left.socket, router, router.segment, a.interface(), a.link)
        ]
        assert all(text.startswith("<") for text in texts)

    async def test_it_works_on_the_wall_clock_too(self):
        _, _a, _b, left, right = await pair(delay=0.001)
        left.send(b"x", right)
        for _ in range(100):
            await asyncio.sleep(0.002)
            if right.data:
                break
        assert right.data == [b"x"]
