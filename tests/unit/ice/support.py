"""Two cores on a wire of lists: everything about ICE that needs neither sockets nor a loop."""

from __future__ import annotations

import heapq
import itertools
import random

from rtcpeer.ice.candidates import new_credentials
from rtcpeer.ice.context import IceContext
from rtcpeer.ice.core import IceCore
from rtcpeer.ice.events import Event, PairSelected, RoleChanged, StateChanged
from rtcpeer.ice.generation import Generation
from rtcpeer.ice.pair import Local, Pair
from rtcpeer.ice.settings import IceSettings
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER, Candidate, CandidateType, IceParameters

Address = tuple[str, int]


def candidate(
    address: str = "192.0.2.1",
    port: int = 1000,
    kind: CandidateType = CandidateType.HOST,
    priority: int = 100,
    ufrag: str | None = None,
    **more: object,
) -> Candidate:
    return Candidate(
        foundation="1",
        component=1,
        protocol=str(more.pop("protocol", "udp")),
        priority=priority,
        address=address,
        port=port,
        type=kind,
        ufrag=ufrag,
        **more,  # type: ignore[arg-type]
    )


class FakeBase:
    """A base that puts datagrams on the wire."""

    protocol = "udp"

    def __init__(self, wire: Wire, address: Address, relay_protocol: str | None = None) -> None:
        self.wire = wire
        self.address = address
        self.relay_protocol = relay_protocol
        self.routes: dict[Address, Pair] = {}
        self.prepared: list[Address] = []
        self.sent: list[tuple[float, bytes, Address]] = []

    def send(self, data: bytes, address: Address) -> None:
        self.sent.append((self.wire.now, data, address))
        self.wire.carry(data, self.address, address)

    def prepare(self, address: Address) -> None:
        self.prepared.append(address)


class Side:
    """A core with its bases and what it has said."""

    def __init__(
        self, wire: Wire, controlling: bool, settings: IceSettings | None = None, seed: int = 1
    ) -> None:
        self.wire = wire
        rng = random.Random(seed * 2 + controlling)
        self.context = IceContext(
            settings=settings or IceSettings(),
            controlling=controlling,
            tie_breaker=rng.getrandbits(64),
            jitter=rng.random,
            transaction_id=lambda: rng.randbytes(12),
        )
        self.core = IceCore(self.context)
        self.events: list[Event] = []
        self.bases: list[FakeBase] = []

    def base(self, address: str, port: int, kind: CandidateType = CandidateType.HOST) -> FakeBase:
        base = FakeBase(self.wire, (address, port), "udp" if kind is CandidateType.RELAY else None)
        self.bases.append(base)
        self.wire.attach(base, self)
        return base

    def start(self, local: IceParameters | None = None) -> Generation:
        return self.core.start_generation(self.wire.now, local or new_credentials())

    def offer_base(
        self,
        generation: Generation,
        base: FakeBase,
        kind: CandidateType = CandidateType.HOST,
        priority: int = 100,
    ) -> Candidate:
        told = candidate(base.address[0], base.address[1], kind, priority, generation.local.ufrag)
        local = Local(self.context.new_id("L"), told, base, 1000)
        self.core.add_local(self.wire.now, generation, local)
        return told

    def drain(self) -> None:
        self.events += self.core.events
        self.core.events.clear()

    @property
    def states(self) -> list[str]:
        return [str(e.state) for e in self.events if isinstance(e, StateChanged)]

    @property
    def selections(self) -> list[Pair]:
        return [e.pair for e in self.events if isinstance(e, PairSelected)]

    @property
    def roles(self) -> list[str]:
        return [str(e.role) for e in self.events if isinstance(e, RoleChanged)]


class Wire:
    """Delivers after a delay, unless told not to."""

    def __init__(self, delay: float = 0.01) -> None:
        self.now = 100.0
        self.delay = delay
        self.cut: set[tuple[Address, Address]] = set()
        self.dark: set[Address] = set()
        self.loss = 0.0
        self.random = random.Random(5)
        # Inside address -> outside address, as a NAT would do it.
        self.seen_as: dict[Address, Address] = {}
        self.log: list[tuple[float, bytes, Address, Address]] = []
        self._queue: list[tuple[float, int, bytes, Address, Address]] = []
        self._order = itertools.count()
        self._ends: dict[Address, tuple[FakeBase, Side]] = {}

    def attach(self, base: FakeBase, side: Side) -> None:
        self._ends[base.address] = (base, side)

    def carry(self, data: bytes, source: Address, target: Address) -> None:
        self.log.append((self.now, data, source, target))
        if (source, target) in self.cut or source in self.dark or target in self.dark:
            return
        if self.random.random() < self.loss:
            return
        heapq.heappush(self._queue, (self.now + self.delay, next(self._order), data, source, target))

    @property
    def sides(self) -> list[Side]:
        return list(dict.fromkeys(side for _, side in self._ends.values()))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            wanted = min((side.core.next_time(self.now) for side in self.sides), default=NEVER)
            arrival = self._queue[0][0] if self._queue else NEVER
            moment = max(self.now, min(wanted, arrival))
            if moment > end:
                self.now = end
                return
            self.now = moment
            if arrival <= moment:
                _, _, data, source, target = heapq.heappop(self._queue)
                inside = next((i for i, o in self.seen_as.items() if o == target), target)
                entry = self._ends.get(inside)
                if entry is not None and target not in self.dark:
                    base, side = entry
                    side.core.on_stun_untrusted(self.now, base, data, self.seen_as.get(source, source))
                    side.drain()
            else:
                for side in self.sides:
                    if side.core.next_time(self.now) <= self.now:
                        side.core.tick(self.now)
                        side.drain()


def exchange(left: Side, right: Side, first: Generation, second: Generation) -> None:
    """Both sides learn the other's credentials and candidates, and that there are no more."""
    now = left.wire.now
    for side, own, _other, other_gen in ((left, first, right, second), (right, second, left, first)):
        side.core.set_remote(now, other_gen.local)
        for local in other_gen.locals:
            address = local.candidate.address, local.candidate.port
            side.core.add_remote(now, local.candidate, address)
        side.core.set_gathered(now, own)
        side.core.end_of_remote(now, other_gen.local.ufrag)
        side.drain()


def connected_pair(
    settings: IceSettings | None = None, addresses: int = 1
) -> tuple[Wire, Side, Side, Generation, Generation]:
    """Two sides, `addresses` host candidates each, connected."""
    wire = Wire()
    left, right = Side(wire, True, settings), Side(wire, False, settings)
    first, second = left.start(), right.start()
    for index in range(addresses):
        left.offer_base(first, left.base("192.0.2.1", 1000 + index), priority=200 - index)
        right.offer_base(second, right.base("192.0.2.2", 2000 + index), priority=200 - index)
    exchange(left, right, first, second)
    wire.run(0.5)
    assert left.core.state == right.core.state == "completed"
    return wire, left, right, first, second


def request(
    local: IceParameters, theirs: str = "them", *, key: str | None = None, extra: bytes = b""
) -> bytes:
    body = (
        stun.attribute(stun.USERNAME, f"{local.ufrag}:{theirs}".encode())
        + stun.u32(stun.PRIORITY, 99)
        + extra
    )
    return stun.encode(stun.BINDING_REQUEST, stun.new_transaction_id(), body, (key or local.pwd).encode())
