"""Measurements of connections that stay: servers replaced under live traffic, a path that dies.

Everything runs over loopback on real sockets. `LoopbackNetwork` says which loopback addresses this machine has
(all of 127.0.0.0/8 can be bound), and which of them are dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from rtcpeer import RTCPeerConnection
from rtcpeer.config.provider import IceServerProvider
from rtcpeer.config.readers import IceServerGrant
from rtcpeer.net.current import current_network
from rtcpeer.net.network import Address, DatagramReceiver, DatagramSocket, Interface
from rtcpeer.net.system import SystemNetwork
from rtcpeer.signaling.channel import memory_pair
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.servers import Rotation
from rtcpeer.supervisor.session import Session


class LoopbackNetwork(SystemNetwork):
    """The system's network, of which only some loopback addresses are known; dead ones carry nothing."""

    def __init__(self, *addresses: str) -> None:
        super().__init__()
        self.addresses = list(addresses)
        self.dead: set[str] = set()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        token = current_network.set(self)
        try:
            yield
        finally:
            current_network.reset(token)

    def interfaces(self) -> list[Interface]:
        return [Interface(f"lo{i}", a, 8, "ipv4", is_loopback=True) for i, a in enumerate(self.addresses)]

    def watch_interfaces(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Nothing tells but silence."""
        return lambda: None

    async def open_udp(
        self, host: str, port: int, receiver: DatagramReceiver, *, port_range: tuple[int, int] | None = None
    ) -> DatagramSocket:
        def receive(data: bytes, address: Address) -> None:
            if host not in self.dead:
                receiver(data, address)

        inner = await super().open_udp(host, port, receive, port_range=port_range)
        return _Datagrams(self, host, inner)


class _Datagrams:
    def __init__(self, network: LoopbackNetwork, host: str, inner: DatagramSocket) -> None:
        self._network, self._host, self._inner = network, host, inner

    @property
    def local_address(self) -> Address:
        return self._inner.local_address

    def send(self, data: bytes, address: Address) -> None:
        if self._host not in self._network.dead:
            self._inner.send(data, address)

    def close(self) -> None:
        self._inner.close()


async def _until(condition: Callable[[], bool], patience: float = 20.0) -> None:
    """Wait a while for what is still under way; what does not come counts as lost."""
    end = time.perf_counter() + patience
    while not condition() and time.perf_counter() < end:  # noqa: ASYNC110  (counters have no events)
        await asyncio.sleep(0.05)


# --- the path of a supervised pair dies ---------------------------------------------------------------------------


async def path_death(*, told: bool, replaced: bool) -> dict[str, Any]:
    """Kill the only path of a supervised pair that exchanges messages.

    Args:
        told: whether `network_changed` says so, or nothing but silence.
        replaced: whether the dead address is gone and a new one there, or both were there from the beginning.
    """
    old, new, far = "127.1.0.1", "127.1.0.2", "127.1.0.9"
    near = LoopbackNetwork(old) if replaced else LoopbackNetwork(old, new)
    there = LoopbackNetwork(far)

    def on(network: LoopbackNetwork) -> Callable[[Any], RTCPeerConnection]:
        def make(configuration: Any) -> RTCPeerConnection:
            with network.installed():
                return RTCPeerConnection(configuration)

        return make

    a, b = memory_pair(delay=0.02)
    alice = SupervisedPeer(a, polite=True, make_connection=on(near))
    bob = SupervisedPeer(b, polite=False, make_connection=on(there))
    arrivals: list[tuple[float, int]] = []

    def note(event: Any) -> None:
        arrivals.append((time.perf_counter(), int(event.data)))

    bob.ondatachannel = lambda event: setattr(event.channel, "onmessage", note)
    async with alice, bob:
        chat = alice.createDataChannel("chat")
        await asyncio.gather(alice.connected(60), bob.connected(60))
        sent = 0

        async def send_for(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
            nonlocal sent
            end = time.perf_counter() + seconds
            while time.perf_counter() < end and not until():
                chat.send(str(sent))
                sent += 1
                await asyncio.sleep(0.02)

        await send_for(2.0)
        pair = alice.pc.sctp.transport.iceTransport.getSelectedCandidatePair()
        died = time.perf_counter()
        near.dead.add(str(pair.local.address))
        if replaced:
            near.addresses = [new]
        if told:
            alice.network_changed()
        await send_for(40.0, lambda: bool(arrivals) and arrivals[-1][0] > died)
        back = next((when for when, _ in arrivals if when > died), None)
        await send_for(1.0)
        await _until(lambda: len(arrivals) >= sent)
        numbers = [number for _, number in arrivals]
        return {
            "back_after_ms": None if back is None else round((back - died) * 1000),
            "lost": sent - len(numbers),
            "in_order": numbers == sorted(set(numbers)),
            "generation": alice.generation,
        }


# --- servers of a thousand live connections are replaced ----------------------------------------------------------


class _Live:
    """One connected pair; a sends to b, which notes how old each message is."""

    def __init__(self) -> None:
        self.a, self.b = RTCPeerConnection(), RTCPeerConnection()
        self.sent = self.received = 0
        self.ages: list[tuple[float, float]] = []

    async def connect(self) -> None:
        opened, arrived = asyncio.Event(), asyncio.Event()
        self.channel = self.a.createDataChannel("bench")
        self.channel.onopen = lambda _event: opened.set()

        def on_channel(event: Any) -> None:
            event.channel.onmessage = self.note
            arrived.set()

        self.b.ondatachannel = on_channel
        await self.a.setLocalDescription()
        await self.a.gathered()
        await self.b.setRemoteDescription(self.a.localDescription)
        await self.b.setLocalDescription()
        await self.b.gathered()
        await self.a.setRemoteDescription(self.b.localDescription)
        await opened.wait()
        await arrived.wait()

    def note(self, event: Any) -> None:
        now = time.perf_counter()
        self.received += 1
        self.ages.append((now, now - float(event.data)))

    def send(self) -> None:
        self.sent += 1
        self.channel.send(repr(time.perf_counter()))


async def _send_all(lives: list[_Live], period: float) -> None:
    """Each sends once in a period, evenly spread over it."""
    step = period / len(lives)
    begin = time.perf_counter()
    for count in itertools.count(1):
        lives[count % len(lives)].send()
        wait = begin + count * step - time.perf_counter()
        if wait > 0.002:
            await asyncio.sleep(wait)
        elif count % 20 == 0:
            await asyncio.sleep(0)


def _grant(number: int) -> IceServerGrant:
    servers = [
        {"urls": [f"turn:192.0.2.{number}", f"turns:192.0.2.{number}"], "username": "u", "credential": "c"}
    ]
    return IceServerGrant(tuple(Session(iceServers=servers).iceServers), 60)


async def replace_servers_of(count: int, *, period: float = 1.0) -> dict[str, Any]:
    """Replace the servers of `count` connections (half as many pairs) that exchange messages all the while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * count + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    session = Session()
    with LoopbackNetwork("127.1.0.1").installed():
        lives = [_Live() for _ in range(count // 2)]
        for live in lives:
            await live.connect()
    connections = [pc for live in lives for pc in (live.a, live.b)]
    for pc in connections:
        session.adopt(pc)
    gc.collect()
    sending = asyncio.ensure_future(_send_all(lives, period))
    await asyncio.sleep(2)
    calm = time.perf_counter()
    await asyncio.sleep(2)

    # all at once, by hand
    session.iceServers = _grant(1).servers
    began, cpu = time.perf_counter(), time.process_time()
    changed = session.apply()
    at_once = time.process_time() - cpu
    await asyncio.sleep(2)

    # by a provider whose servers change, each connection at its own moment
    number = 1

    def fetch() -> IceServerGrant:
        nonlocal number
        number += 1
        return _grant(number)

    def count_told() -> int:
        return sum(str(number) in pc.getConfiguration().iceServers[0].urls[0] for pc in connections)

    rotated_at = time.perf_counter()
    async with IceServerProvider(fetch, spread=2.0) as provider:
        await provider.servers()
        rotations = [Rotation(pc, provider) for pc in connections]
        await asyncio.sleep(1.1)
        spread_cpu = time.process_time()
        provider.refresh()
        await asyncio.sleep(2.5)
        spread_cpu = time.process_time() - spread_cpu
        await _until(lambda: count_told() == count)
        told = count_told()
        for rotation in rotations:
            rotation.close()
    idle_cpu = time.process_time()
    await asyncio.sleep(2.5)
    idle_cpu = time.process_time() - idle_cpu
    sending.cancel()
    await _until(lambda: all(live.received == live.sent for live in lives))

    def ages(first: float, last: float) -> list[float]:
        return [age * 1000 for live in lives for when, age in live.ages if first <= when < last]

    before, during, spread = ages(calm, began), ages(began, rotated_at), ages(rotated_at, rotated_at + 3.6)
    states = {str(pc.connectionState) for pc in connections}
    lost = sum(live.sent - live.received for live in lives)
    await asyncio.gather(*(pc.close() for pc in connections))
    return {
        "connections": len(connections),
        "changed": changed,
        "cpu_ms": round(at_once * 1000, 1),
        "rotated": told,
        "rotation_cpu_ms": round((spread_cpu - idle_cpu) * 1000, 1),
        "states": sorted(states),
        "lost": lost,
        "age_before_ms": [round(statistics.median(before), 2), round(max(before), 1)],
        "age_during_ms": [round(statistics.median(during), 2), round(max(during), 1)],
        "age_rotation_ms": [round(statistics.median(spread), 2), round(max(spread), 1)],
    }
