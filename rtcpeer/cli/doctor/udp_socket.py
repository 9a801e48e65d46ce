"""A UDP socket of the doctor: it asks servers for its mapped address, and serves as the peer behind a relay.

Owns: one socket per local address, the questions, what was seen.
Never: an allocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rtcpeer.cli.doctor.verdicts import MappingObservation
from rtcpeer.net.network import Address, DatagramSocket, Network
from rtcpeer.stun import message as stun
from rtcpeer.stun.query import Queries

RTO = 0.25
_MAX_STRANGE = 100


class ProbeSocket:
    """A UDP socket for probes; ``await ProbeSocket.open(network, local)``.

    Attributes:
        observations: how servers and relays see this socket.
        unreachable: what ICMP said of servers that were asked.
        strange: who sent something that is neither STUN nor expected.
        on_data: gets what is not STUN, as (data, sender); one listener per sender.
    """

    def __init__(self) -> None:
        self.observations: list[MappingObservation] = []
        self.strange: set[Address] = set()
        self.unreachable: dict[Address, str] = {}
        self.on_data: dict[Address, Callable[[bytes], None]] = {}
        self._queries = Queries()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._socket: DatagramSocket

    @classmethod
    async def open(cls, network: Network, local: str) -> ProbeSocket:
        """Bind to a local address.

        Raises:
            OSError: it cannot be bound.
        """
        lookout = cls()
        lookout._socket = await network.open_udp(local, 0, lookout._received)
        report_errors(lookout._socket, lookout._failed)
        return lookout

    @property
    def local(self) -> Address:
        """The address that it is bound to."""
        return self._socket.local_address

    def send(self, data: bytes, address: Address) -> None:
        """Send one datagram."""
        self._socket.send(data, address)

    async def ask(self, server: Address, timeout: float) -> tuple[Address | None, float, tuple[int, str]]:
        """A binding request: (mapped address, seconds it took, error)."""
        answer: asyncio.Future[tuple[Address | None, tuple[int, str]]] = self._loop.create_future()

        def answered(mapped: Address | None, error: tuple[int, str]) -> None:
            if not answer.done():
                answer.set_result((mapped, error))

        begin = self._loop.time()
        self._queries.ask(begin, server, self._socket.send, answered, rto=RTO, timeout=timeout)
        self._arm()
        mapped, error = await answer
        if mapped is not None:
            self.saw(server, mapped)
        return mapped, self._loop.time() - begin, error

    def saw(self, server: Address, mapped: Address) -> None:
        """Somebody told how this socket looks from there."""
        seen = MappingObservation(self.local, server, mapped)
        if seen not in self.observations:
            self.observations.append(seen)

    def close(self) -> None:
        """Close the socket; open questions get no answer."""
        self._queries.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()

    def _received(self, data: bytes, address: Address) -> None:
        if stun.looks_like_stun(data) and _is_whole(data):
            self._queries.on_stun_untrusted(data, address)
        elif address in self.on_data:
            self.on_data[address](data)
        elif len(self.strange) < _MAX_STRANGE:
            self.strange.add(address)

    def _failed(self, address: Address, problem: str) -> None:
        """ICMP about something that was sent."""
        self.unreachable[address] = problem
        self._queries.give_up(address, (701, problem))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._queries.next_time()
        if due != float("inf"):
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._queries.tick(self._loop.time())
        self._arm()


def report_errors(sock: DatagramSocket, callback: Callable[[Address, str], None]) -> None:
    """Have ICMP errors of a socket reported, where its network can."""
    report: Callable[[Callable[[Address, str], None]], None] | None = getattr(sock, "report_errors", None)
    if report is not None:
        report(callback)


def _is_whole(data: bytes) -> bool:
    try:
        stun.parse_untrusted(data)
    except stun.StunError:
        return False
    return True
