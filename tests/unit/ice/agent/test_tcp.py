"""ICE-TCP: framing, and strangers that connect to a passive candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rtcpeer.ice.agent.sockets import BaseContext
from rtcpeer.ice.agent.tcp import _MAX_STREAMS, TcpBase
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, StreamSocket
from rtcpeer.testing import VirtualNetwork, run_virtual
from tests.unit.ice.agents import Two


class Stream:
    """An accepted stream."""

    def __init__(self, address: Address) -> None:
        self.remote_address = address
        self.local_address = ("192.0.2.1", 1)
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True


class Passive:
    """A passive base on a listener of lists."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, Address]] = []
        self.acceptor: Callable[[StreamSocket], Callable[[bytes | None], None]]
        pipe = BaseContext(
            asyncio.get_running_loop().time,
            lambda base, data, address: self.seen.append((data, address)),
            lambda pair: None,
            lambda base, address: None,
            lambda base, address: False,
            1.5,
        )
        self.base = TcpBase(pipe, "192.0.2.1", self, lambda work: None, is_active=False)  # type: ignore[arg-type]

    async def listen_stream(self, host: str, port: int, acceptor: Any, **_: Any) -> Any:
        self.acceptor = acceptor
        return Stream((host, 4000))

    async def opened(self) -> Passive:
        await self.base.listen(None)
        return self

    def connect(self, host: str, port: int) -> tuple[Stream, Callable[[bytes | None], None]]:
        stream = Stream((host, port))
        return stream, self.acceptor(stream)


def virtual(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        run_virtual(test())

    run.__name__ = test.__name__
    return run


@virtual
async def test_silent_strangers_do_not_hold_the_slots() -> None:
    passive = await Passive().opened()
    strangers = [passive.connect("203.0.113.1", 1 + number)[0] for number in range(_MAX_STREAMS * 3)]
    friend, feed = passive.connect("198.51.100.7", 7)
    assert not friend.is_closed
    feed(b"\0\4\0\1ab")
    assert passive.seen == [(b"\0\1ab", ("198.51.100.7", 7))]
    passive.base.send(b"answer", ("198.51.100.7", 7))
    assert friend.written == [b"\0\6answer"]
    for number in range(_MAX_STREAMS):
        passive.connect("203.0.113.2", 1 + number)
    assert not friend.is_closed
    assert sum(not stranger.is_closed for stranger in strangers) < _MAX_STREAMS
    await asyncio.sleep(11)
    assert all(stranger.is_closed for stranger in strangers)
    assert not friend.is_closed
    passive.base.close()
    assert friend.is_closed


@virtual
async def test_a_host_with_many_streams_makes_room_before_others() -> None:
    passive = await Passive().opened()
    single, _ = passive.connect("198.51.100.7", 7)
    crowd = [passive.connect("203.0.113.1", 1 + number)[0] for number in range(_MAX_STREAMS)]
    assert not single.is_closed
    assert [stream.is_closed for stream in crowd[:2]] == [True, False]
    passive.base.close()


@virtual
async def test_who_was_answered_never_makes_room() -> None:
    passive = await Passive().opened()
    known = [passive.connect("203.0.113.1", 1 + number)[0] for number in range(_MAX_STREAMS)]
    for stream in known:
        passive.base.send(b"answer", stream.remote_address)
    late, _ = passive.connect("198.51.100.7", 7)
    assert late.is_closed
    await asyncio.sleep(60)
    assert not any(stream.is_closed for stream in known)
    # one that ends leaves its place
    passive.base.stream_ended(passive.base._streams[known[0].remote_address])
    later, _ = passive.connect("198.51.100.7", 8)
    assert not later.is_closed
    passive.base.close()


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3], [400]])
def test_frames_arrive_however_they_are_cut(sizes: list[int]) -> None:
    async def main() -> None:
        passive = await Passive().opened()
        _, feed = passive.connect("198.51.100.7", 7)
        frames = [bytes([0, 1]) + bytes(number) for number in range(5)]
        wire = b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames) + b"\0\0"
        position = count = 0
        while position < len(wire):
            size = sizes[count % len(sizes)]
            feed(wire[position : position + size])
            position, count = position + size, count + 1
        assert [data for data, _ in passive.seen] == frames
        passive.base.close()

    run_virtual(main())


@virtual
async def test_a_call_over_tcp_connects_while_strangers_fill_the_listener() -> None:
    network = VirtualNetwork(seed=2)
    alice, bob, mallory = (network.add_host(name) for name in ("alice", "bob", "mallory"))
    settings = IceSettings(tcp="passive")
    two = Two(alice.network, bob.network, settings, IceSettings(tcp="active"))
    opened: list[StreamSocket] = []

    async def crowd() -> None:
        await asyncio.sleep(0.001)
        port = next(c.port for c in two.left.local_candidates if c.protocol == "tcp")
        opening = (
            mallory.network.open_stream(alice.address, port, receiver=lambda data: None)
            for _ in range(_MAX_STREAMS + 5)
        )
        opened.extend(await asyncio.gather(*opening))

    two.right_log.trickle = lambda c: c.protocol == "tcp"
    two.left_log.trickle = lambda c: False
    two.start()
    await crowd()
    for told in two.left.local_candidates:
        if told.protocol == "tcp":
            two.right.add_remote_candidate(told)
    await asyncio.wait_for(two.right_log.connected.wait(), 20)
    assert two.right.selected_pair is not None
    assert two.right.selected_pair.local.protocol == "tcp"
    for stream in opened:
        stream.close()
    await two.close()
