"""Many datagrams in one system call, on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import weakref

import pytest

from rtcpeer.ice.agent.sockets import Inlet
from rtcpeer.net import offload
from rtcpeer.net.system import UdpSocket, bind_socket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has UDP_SEGMENT and UDP_GRO")


def bound(host="127.0.0.1"):
    return bind_socket(host, 0, socket.SOCK_DGRAM, None)


async def collect(count, received):
    async with asyncio.timeout(10):
        while len(received) < count:  # noqa: ASYNC110 - a list has no events
            await asyncio.sleep(0.001)


@pytest.fixture(params=["127.0.0.1", "::1"])
async def pair(request):
    try:
        socks = bound(request.param), bound(request.param)
    except OSError:
        pytest.skip(f"no {request.param} here")
    received = []
    loop = asyncio.get_running_loop()
    sender = UdpSocket(socks[0], lambda data, address: None, loop)
    receiver = UdpSocket(socks[1], lambda data, address: received.append((data, address)), loop)
    yield sender, receiver, received
    sender.close()
    receiver.close()


def datagrams(count, size=1000, last=400):
    return [bytes((n,)) * size for n in range(count)] + [b"z" * last]


async def test_a_run_arrives_as_the_datagrams_it_is_made_of(pair):
    sender, receiver, received = pair
    wanted = datagrams(50)

    sender.send_segments(b"".join(wanted), 1000, receiver.local_address)
    await collect(51, received)

    assert [data for data, _ in received] == wanted
    assert {address for _, address in received} == {sender.local_address}


async def test_a_socket_with_much_to_read_lets_the_kernel_coalesce(pair):
    sender, receiver, received = pair
    assert receiver._coalesces is None
    for n in range(20):
        sender.send(bytes((n,)), receiver.local_address)
    await collect(20, received)
    assert receiver._coalesces is True

    del received[:]
    wanted = datagrams(50)
    sender.send_segments(b"".join(wanted), 1000, receiver.local_address)
    sender.send(b"single", receiver.local_address)
    await collect(52, received)

    assert [data for data, _ in received] == [*wanted, b"single"]
    assert {address for _, address in received} == {sender.local_address}


async def test_what_was_read_together_is_handed_on_together_if_somebody_takes_it(pair):
    sender, receiver, received = pair
    runs = []
    receiver.deliver_runs(lambda datagrams, address: runs.append((datagrams, address)))
    receiver._coalesces = offload.coalesce(receiver._socket)
    wanted = datagrams(50)

    sender.send_segments(b"".join(wanted), 1000, receiver.local_address)
    sender.send(b"single", receiver.local_address)
    await collect(1, received)

    assert received == [(b"single", sender.local_address)]
    assert [datagram for run, _ in runs for datagram in run] == wanted
    assert {address for _, address in runs} == {sender.local_address}
    assert len(runs) < 5


async def test_a_closed_socket_keeps_nobody_who_took_runs(pair):
    _, receiver, _ = pair

    class Taker:
        def take(self, datagrams, address):
            raise AssertionError

    taker = Taker()
    gone = weakref.ref(taker)
    receiver.deliver_runs(taker.take)
    receiver.close()
    del taker

    assert gone() is None


async def test_a_socket_with_little_to_read_does_not(pair):
    sender, receiver, received = pair
    for n in range(8):
        sender.send(bytes((n,)), receiver.local_address)
    await collect(8, received)

    assert receiver._coalesces is None


async def test_more_than_one_call_can_carry(pair):
    sender, receiver, received = pair
    wanted = [b"%03d" % n for n in range(200)]

    sender.send_segments(b"".join(wanted), 3, receiver.local_address)
    await collect(200, received)

    assert [data for data, _ in received] == wanted


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL])
async def test_a_refusal_is_remembered(pair, number, monkeypatch):
    sender, receiver, received = pair
    calls = []

    def refuse(*arguments):
        calls.append(arguments)
        raise OSError(number, "no")

    monkeypatch.setattr(offload, "send_segments", refuse)
    for _ in range(2):
        sender.send_segments(b"".join(datagrams(20)), 1000, receiver.local_address)
    await collect(42, received)

    assert len(calls) == 1
    assert [data for data, _ in received] == 2 * datagrams(20)


async def test_a_full_buffer_is_loss(pair, monkeypatch):
    sender, receiver, received = pair
    monkeypatch.setattr(
        offload, "send_segments", lambda *_: (_ for _ in ()).throw(BlockingIOError(errno.EAGAIN, "full"))
    )

    sender.send_segments(b"".join(datagrams(20)), 1000, receiver.local_address)
    await asyncio.sleep(0.01)

    assert not received
    assert sender._can_segment


async def test_closed_inside_a_batch(pair):
    sender, receiver, received = pair
    receiver._coalesces = offload.coalesce(receiver._socket)
    receiver._receiver = lambda data, address: (received.append(data), receiver.close())

    sender.send_segments(b"".join(datagrams(20)), 1000, receiver.local_address)
    await collect(1, received)
    await asyncio.sleep(0.01)

    assert received == datagrams(20)[:1]


async def test_a_closed_socket_sends_nothing(pair):
    sender, receiver, received = pair
    sender.close()
    sender.send_segments(b"".join(datagrams(20)), 1000, receiver.local_address)
    await asyncio.sleep(0.01)

    assert not received


def test_bases_without_it_send_one_by_one():
    """And hand down bytes: TCP, TLS and TURN keep the object."""
    sent = []

    class Base(Inlet):
        def send(self, data, address):
            sent.append((data, address))

    Base(None, ("a", 1)).send_segments(b"aabbc", 2, ("b", 2))

    assert sent == [(b"aa", ("b", 2)), (b"bb", ("b", 2)), (b"c", ("b", 2))]
    assert all(type(data) is bytes for data, _ in sent)
