"""Real sockets of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from rtcpeer.net import interfaces as watch
from rtcpeer.net import system
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Address, StreamReceiver, StreamSocket
from rtcpeer.net.system import SystemNetwork
from rtcpeer.testing import CertificateAuthority


async def until(condition: Callable[[], object]) -> None:
    """The system tells nobody when a packet has arrived at the other socket."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def test_the_default_network_is_the_system() -> None:
    assert isinstance(current_network.get(), SystemNetwork)


async def test_datagrams() -> None:
    network = SystemNetwork()
    got: list[tuple[bytes, Address]] = []
    one = await network.open_udp("127.0.0.1", 0, lambda d, a: got.append((d, a)))
    two = await network.open_udp("127.0.0.1", 0, lambda d, a: None)
    for number in range(200):
        two.send(b"%d" % number, one.local_address)
    two.send(b"", one.local_address)
    await until(lambda: len(got) == 201)
    assert [d for d, _ in got] == [b"%d" % n for n in range(200)] + [b""]
    assert got[0][1] == two.local_address
    two.send(b"x" * 70000, one.local_address)
    two.send(b"x", ("192.0.2.1", 0))
    two.send(b"x", ("255.255.255.255", 9))
    two.send(b"x", ("2001:db8::1", 99999))
    one.close()
    one.close()
    two.send(b"late", one.local_address)
    two.close()
    two.send(b"later", one.local_address)
    await asyncio.sleep(0.01)
    assert len(got) == 201


async def test_a_receiver_that_closes_its_socket() -> None:
    network = SystemNetwork()
    got: list[bytes] = []

    def receive(data: bytes, _: Address) -> None:
        got.append(data)
        one.close()

    one = await network.open_udp("127.0.0.1", 0, receive)
    two = await network.open_udp("127.0.0.1", 0, lambda d, a: None)
    two.send(b"1", one.local_address)
    two.send(b"2", one.local_address)
    await until(lambda: got)
    await asyncio.sleep(0.02)
    assert got == [b"1"]
    two.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6_addresses_have_two_parts() -> None:
    network = SystemNetwork()
    got: list[Address] = []
    try:
        one = await network.open_udp("::1", 0, lambda d, a: got.append(a))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    one.send(b"x", one.local_address)
    await until(lambda: got)
    assert got == [one.local_address]
    one.close()


async def test_port_ranges() -> None:
    # below the ports that the system hands out by itself
    network = SystemNetwork()
    taken = [
        await network.open_udp("127.0.0.1", 0, lambda d, a: None, port_range=(20210, 20212)) for _ in range(3)
    ]
    assert {s.local_address[1] for s in taken} == {20210, 20211, 20212}
    with pytest.raises(OSError, match="no free port"):
        await network.open_udp("127.0.0.1", 0, lambda d, a: None, port_range=(20210, 20212))
    for each in taken:
        each.close()
    with pytest.raises(OSError, match=r".+"):
        await network.open_udp("192.0.2.254", 0, lambda d, a: None)


async def test_streams() -> None:
    network = SystemNetwork()
    served: list[StreamSocket] = []
    heard: list[bytes | None] = []
    got: list[bytes | None] = []

    def accept(stream: StreamSocket) -> StreamReceiver:
        served.append(stream)
        return heard.append

    listener = await network.listen_stream("127.0.0.1", 0, accept)
    stream = await network.open_stream(*listener.local_address, receiver=got.append, local_host="127.0.0.1")
    stream.write(b"hello")
    await until(lambda: heard)
    assert heard == [b"hello"]
    assert served[0].remote_address == stream.local_address
    served[0].write(b"world")
    await until(lambda: got)
    assert not stream.is_closed
    served[0].close()
    await until(lambda: len(got) == 2 and stream.is_closed)
    assert got == [b"world", None]
    stream.write(b"late")
    stream.close()
    listener.close()
    with pytest.raises(OSError, match=r".+"):
        await network.open_stream(*listener.local_address, receiver=got.append)


async def test_names() -> None:
    network = SystemNetwork()
    assert await network.resolve("192.0.2.1") == ["192.0.2.1"]
    assert await network.resolve("2001:DB8::1") == ["2001:db8::1"]
    assert "127.0.0.1" in await network.resolve("localhost", "ipv4")


async def test_interfaces_and_routes() -> None:
    network = SystemNetwork()
    found = network.interfaces()
    assert any(i.is_loopback for i in found)
    assert not any(i.address.startswith("fe80") for i in found)
    assert network.source_address("127.0.0.1") == "127.0.0.1"
    assert network.source_address("256.1.1.1") is None


async def test_watching_by_polling_and_by_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    addresses = ["192.0.2.1"]
    calls: list[int] = []
    monkeypatch.setattr(watch, "_open_netlink", lambda: None)
    monkeypatch.setattr(watch, "_POLL", 0.01)
    stop = watch.watch(loop, lambda: list(addresses), lambda: calls.append(1), addresses)
    again = watch.watch(loop, lambda: list(addresses), lambda: calls.append(2), addresses)
    await asyncio.sleep(0.03)
    assert calls == []
    addresses.append("192.0.2.2")
    await until(lambda: len(calls) == 2)
    assert calls == [1, 2]
    stop()
    stop()
    addresses.pop()
    await until(lambda: len(calls) == 3)
    assert calls == [1, 2, 2]
    again()
    assert loop not in watch._watchers


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="netlink is Linux")
async def test_netlink_wakes_us(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    monkeypatch.setattr(watch, "_open_netlink", lambda: ours)
    monkeypatch.setattr(watch, "_SETTLE", 0.01)
    addresses = ["192.0.2.1"]
    calls: list[int] = []
    stop = watch.watch(loop, lambda: list(addresses), lambda: calls.append(1), addresses)
    theirs.send(b"message")
    await asyncio.sleep(0.03)
    assert calls == []
    addresses[0] = "192.0.2.2"
    theirs.send(b"message")
    theirs.send(b"message")
    await until(lambda: calls)
    await asyncio.sleep(0.03)
    assert calls == [1]
    stop()
    theirs.close()


async def test_loops_without_readers_use_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SystemNetwork()
    loop = asyncio.get_running_loop()
    got: list[bytes] = []

    def refuse(*_: object) -> None:
        raise NotImplementedError

    real = loop.create_datagram_endpoint

    async def create(*args: object, **kw: object) -> object:
        monkeypatch.undo()
        return await real(*args, **kw)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "add_reader", refuse)
    monkeypatch.setattr(loop, "create_datagram_endpoint", create)
    one = await network.open_udp("127.0.0.1", 0, lambda d, a: got.append(d))
    assert not isinstance(one, system.UdpSocket)
    one.send(b"x", one.local_address)
    await until(lambda: got)
    assert got == [b"x"]
    one.close()
    one.send(b"y", one.local_address)
    await asyncio.sleep(0.01)


class Waiting:
    """A socket as `UdpSocket` sees it: datagrams that wait, and how often it is asked."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.calls = 0

    def getsockname(self) -> Address:
        return "127.0.0.1", 1

    def fileno(self) -> int:
        return 1

    def sendto(self, data: bytes, address: Address) -> int:
        raise AssertionError

    def setsockopt(self, *_: object) -> None:
        raise OSError

    def recvfrom(self, _size: int) -> tuple[bytes, Address]:
        self.calls += 1
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop(0), ("127.0.0.1", 2)


class Readers:
    """As much of a loop as it needs."""

    def add_reader(self, _fd: int, callback: Callable[[], None]) -> None:
        self.callback = callback


def test_datagrams_that_come_alone_cost_little_more_than_one_call_each() -> None:
    sock, loop, got = Waiting(), Readers(), list[bytes]()
    system.UdpSocket(sock, lambda data, _: got.append(data), loop)  # type: ignore[arg-type]
    for number in range(100):
        sock.waiting.append(b"%d" % number)
        loop.callback()
    assert len(got) == 100
    assert sock.calls <= 126

    # a burst is read by few callbacks all the same, in order, and the next one by one
    burst = [b"%d" % number for number in range(40)]
    for most in (5, 1):
        got.clear()
        sock.waiting = list(burst)
        calls = 0
        while sock.waiting:  # as long as something waits, the loop calls
            loop.callback()
            calls += 1
        assert got == burst
        assert calls <= most


@pytest.mark.parametrize("secure", [False, True])
async def test_a_stream_to_an_end_that_reads_no_more_is_closed_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    """Such as one behind a middlebox that has forgotten the connection: nothing is read, no goodbye answered."""
    monkeypatch.setattr(system, "_LAST_WORDS", 0.01)
    authority = CertificateAuthority()
    listener = socket.create_server(("127.0.0.1", 0))
    made: list[asyncio.BaseTransport] = []
    taken: list[socket.socket] = []
    connection_made = system._Stream.connection_made

    def note(stream: system._Stream, transport: asyncio.BaseTransport) -> None:
        made.append(transport)
        connection_made(stream, transport)

    def serve() -> None:
        served, _ = listener.accept()
        taken.append(
            authority.server_context(["127.0.0.1"]).wrap_socket(served, server_side=True)
            if secure
            else served
        )

    monkeypatch.setattr(system._Stream, "connection_made", note)
    serving = asyncio.get_running_loop().run_in_executor(None, serve)
    stream = await SystemNetwork().open_stream(
        *listener.getsockname()[:2],
        receiver=lambda _data: None,
        tls=authority.client_context() if secure else None,
    )
    await serving
    sock = made[0].get_extra_info("socket")
    for _ in range(20_000):
        stream.write(bytes(1000))
    stream.close()
    stream.close()
    await until(lambda: sock.fileno() == -1)
    taken[0].close()
    listener.close()
