"""The network that can go away, on a network of recorded calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rtcpeer.net.current import current_network
from rtcpeer.net.network import Address
from rtcpeer.testing.net.outage import OutageNetwork

FAR = ("192.0.2.9", 9)


class Socket:
    """A datagram socket and a stream in one."""

    local_address: Address = ("192.0.2.1", 1)
    remote_address: Address = FAR
    is_closed = False

    def __init__(self, receiver: Callable[..., None]) -> None:
        self.receiver = receiver
        self.sent: list[bytes] = []

    def send(self, data: bytes, address: Address) -> None:
        self.sent.append(data)

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.is_closed = True


class Inner:
    """A network that remembers the sockets it made."""

    def __init__(self) -> None:
        self.made: list[Socket] = []
        self.acceptor: Callable[[Any], Callable[..., None]] | None = None

    def interfaces(self) -> list[Any]:
        return ["an interface"]

    def source_address(self, host: str) -> str | None:
        return f"towards {host}"

    async def open_udp(self, host: str, port: int, receiver: Any, *, port_range: Any = None) -> Socket:
        self.made.append(Socket(receiver))
        return self.made[-1]

    async def open_stream(self, host: str, port: int, *, receiver: Any, **_: Any) -> Socket:
        self.made.append(Socket(receiver))
        return self.made[-1]

    async def listen_stream(self, host: str, port: int, acceptor: Any, *, port_range: Any = None) -> str:
        self.acceptor = acceptor
        return "a listener"

    async def resolve(self, host: str, family: Any = None) -> list[str]:
        return [f"address of {host}"]

    async def publish_name(self, address: str) -> Any:
        return f"name of {address}"

    def watch_interfaces(self, callback: Any) -> Any:
        return callback


def networks() -> tuple[Inner, OutageNetwork]:
    inner = Inner()
    return inner, OutageNetwork(inner)  # type: ignore[arg-type]


async def test_datagrams_are_lost_both_ways_while_the_path_is_away() -> None:
    inner, network = networks()
    heard: list[bytes] = []
    socket = await network.open_udp("192.0.2.1", 0, lambda data, _address: heard.append(data))
    socket.send(b"1", FAR)
    inner.made[0].receiver(b"a", FAR)
    async with network.outage():
        assert network.active
        socket.send(b"2", FAR)
        inner.made[0].receiver(b"b", FAR)
    socket.send(b"3", FAR)
    inner.made[0].receiver(b"c", FAR)
    assert inner.made[0].sent == [b"1", b"3"]
    assert heard == [b"a", b"c"]
    assert network.dropped == 2
    assert socket.local_address == ("192.0.2.1", 1)
    socket.close()
    assert inner.made[0].is_closed


async def test_streams_stand_still_and_lose_nothing() -> None:
    inner, network = networks()
    heard: list[bytes | None] = []
    stream = await network.open_stream("192.0.2.9", 9, receiver=heard.append)
    network.begin()
    stream.write(b"1")
    stream.write(b"2")
    inner.made[0].receiver(b"a")
    inner.made[0].receiver(None)
    assert (inner.made[0].sent, heard) == ([], [])
    network.end()
    assert inner.made[0].sent == [b"1", b"2"]
    assert heard == [b"a", None]
    assert (stream.local_address, stream.remote_address, stream.is_closed) == (("192.0.2.1", 1), FAR, False)


async def test_a_stream_that_was_closed_meanwhile_hears_nothing() -> None:
    inner, network = networks()
    heard: list[bytes | None] = []
    stream = await network.open_stream("192.0.2.9", 9, receiver=heard.append)
    network.begin()
    inner.made[0].receiver(b"a")
    stream.close()
    network.end()
    assert heard == []
    assert stream.is_closed


async def test_accepted_streams_stand_still_too() -> None:
    inner, network = networks()
    heard: list[bytes | None] = []
    accepted: list[Any] = []

    def accept(stream: Any) -> Callable[[bytes | None], None]:
        accepted.append(stream)
        return heard.append

    assert await network.listen_stream("192.0.2.1", 0, accept) == "a listener"
    assert inner.acceptor is not None
    raw = Socket(lambda _data: None)
    receiver = inner.acceptor(raw)
    network.begin()
    receiver(b"a")
    accepted[0].write(b"1")
    assert (heard, raw.sent) == ([], [])
    network.end()
    assert (heard, raw.sent) == ([b"a"], [b"1"])


async def test_nothing_new_is_reached_while_the_path_is_away() -> None:
    _, network = networks()
    network.begin()
    with pytest.raises(OSError, match="away"):
        await network.open_stream("192.0.2.9", 9, receiver=lambda _data: None)
    with pytest.raises(OSError, match="away"):
        await network.resolve("turn.example")
    assert await network.resolve("192.0.2.9") == ["address of 192.0.2.9"]
    assert await network.resolve("2001:db8::9") == ["address of 2001:db8::9"]
    network.end()
    assert await network.resolve("turn.example") == ["address of turn.example"]


async def test_the_rest_is_the_inner_network() -> None:
    _, network = networks()
    assert network.interfaces() == ["an interface"]
    assert network.source_address("x") == "towards x"
    assert await network.publish_name("y") == "name of y"
    assert network.watch_interfaces(len) is len


def test_connections_made_inside_use_it() -> None:
    before = current_network.get()
    network = OutageNetwork()
    with network.installed() as installed:
        assert current_network.get() is installed is network
    assert current_network.get() is before
