"""The medium of a virtual network: packets in flight, chance, and who watches.

Owns: the queue of packets that arrive later, the random numbers, the count of what was dropped. Never: addresses; which
way a packet goes is decided by hosts, segments and routers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Literal

from rtcpeer.testing.net.packet import Packet

PacketEvent = Literal["sent", "delivered", "dropped"]
Tap = Callable[[PacketEvent, Packet, str], None]
SpareDtls = Literal["handshake", "all", False]


class Medium:
    """Time, chance and counters that all links, segments, hosts and routers of one virtual network share.

    Args:
        seed: of `random`.
        spare_dtls: what random loss must not touch; see `VirtualNetwork`.

    Attributes:
        random: the source of chance.
        drops: how many packets were dropped, by reason.
    """

    def __init__(self, seed: int, spare_dtls: SpareDtls) -> None:
        self.random: random.Random = random.Random(seed)
        self.spare_dtls: SpareDtls = spare_dtls
        self.drops: Counter[str] = Counter()
        self._queue: list[tuple[float, int, Callable[[Packet], None], Packet]] = []
        self._order = itertools.count()
        self._wake: asyncio.Handle | None = None
        self._wake_at = 0.0
        self._taps: list[Tap] = []
        self._closed = False

    def time(self) -> float:
        """The running loop's time."""
        return asyncio.get_running_loop().time()

    def schedule(self, when: float, action: Callable[[Packet], None], packet: Packet) -> None:
        """Do something with a packet later; equal times keep their order."""
        if self._closed:
            return
        heapq.heappush(self._queue, (when, next(self._order), action, packet))
        self._arm()

    def _arm(self) -> None:
        if not self._queue:
            return
        due = self._queue[0][0]
        if self._wake is not None:
            if self._wake_at <= due:
                return
            self._wake.cancel()
        loop = asyncio.get_running_loop()
        self._wake_at = due
        self._wake = loop.call_soon(self._run) if due <= loop.time() else loop.call_at(due, self._run)

    def _run(self) -> None:
        self._wake = None
        queue = self._queue
        now = asyncio.get_running_loop().time()
        # what these actions schedule for this very moment has its turn in the next iteration of the loop
        last = next(self._order)
        try:
            while queue and queue[0][0] <= now and queue[0][1] < last:
                _, _, action, packet = heapq.heappop(queue)
                action(packet)
        finally:
            self._arm()

    # -- watching ----------------------------------------------------------------------------------

    def tap(self, callback: Tap) -> Callable[[], None]:
        """Call ``callback(event, packet, reason)`` for every packet that is sent, delivered or dropped.

        Returns:
            A function that stops it.
        """
        self._taps.append(callback)
        return lambda: self._taps.remove(callback) if callback in self._taps else None

    def sent(self, packet: Packet) -> None:
        """A host has sent a packet."""
        for tap in self._taps:
            tap("sent", packet, "")

    def delivered(self, packet: Packet) -> None:
        """A host has got a packet."""
        for tap in self._taps:
            tap("delivered", packet, "")

    def dropped(self, packet: Packet, reason: str) -> None:
        """A packet is lost."""
        self.drops[reason] += 1
        for tap in self._taps:
            tap("dropped", packet, reason)

    def close(self) -> None:
        """Stop: nothing that is in flight arrives, and nobody watches any more."""
        self._closed = True
        self._queue.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        self._taps.clear()
