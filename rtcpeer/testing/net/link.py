"""Links: what happens to a packet between a host's interface and the segment it is plugged into.

Owns: delay, jitter, loss, duplication, reordering, bandwidth, MTU, outage.  Never: addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from rtcpeer.testing.net.medium import Medium
from rtcpeer.testing.net.packet import Packet, is_dtls, is_dtls_handshake

DEFAULT_DELAY = 0.0005


@dataclass(slots=True)
class LinkSettings:
    """One direction of a link. May be changed at any time; it applies to packets sent from then on.

    Attributes:
        delay: seconds each packet takes.
        jitter: up to this many seconds more, at random; order is kept.
        loss: probability that a packet is lost.
        duplicate: probability that it arrives twice.
        reorder: probability that it is held back by `reorder_delay`, so that later ones overtake it.
        bandwidth: bytes per second; None for no limit.
        queue: seconds of packets that wait for bandwidth before more are dropped.
        mtu: largest IP packet; larger datagrams vanish (TCP finds out by itself). None: no limit.
        down: everything is lost.
    """

    delay: float = DEFAULT_DELAY
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_delay: float = 0.02
    bandwidth: float | None = None
    queue: float = 0.2
    mtu: int | None = None
    down: bool = False


_NAMES = frozenset(field.name for field in fields(LinkSettings))


class _Direction:
    """The settings of one direction and what it remembers."""

    def __init__(self, medium: Medium, settings: LinkSettings) -> None:
        self.medium = medium
        self.settings = settings
        self.busy_until = 0.0
        self.last_arrival = 0.0
        self.counters: Counter[str] = Counter()

    def carry(self, packet: Packet, arrive: Callable[[Packet], None]) -> None:
        settings, medium = self.settings, self.medium
        self.counters["packets"] += 1
        self.counters["bytes"] += packet.size
        reason = self._reason_to_drop(packet)
        if reason is not None:
            self.counters[reason] += 1
            medium.dropped(packet, reason)
            return
        now = medium.time()
        when = now + settings.delay
        if settings.bandwidth is not None:
            self.busy_until = max(self.busy_until, now) + packet.size / settings.bandwidth
            when += self.busy_until - now
        chance = medium.random.random
        if settings.jitter:
            when += chance() * settings.jitter
        if settings.reorder and chance() < settings.reorder:
            self.counters["reordered"] += 1
            when += settings.reorder_delay
        else:
            when = self.last_arrival = max(when, self.last_arrival)
        if settings.duplicate and chance() < settings.duplicate:
            self.counters["duplicated"] += 1
            medium.schedule(when, arrive, packet)
        if when <= now:
            arrive(packet)
        else:
            medium.schedule(when, arrive, packet)

    def _reason_to_drop(self, packet: Packet) -> str | None:
        settings, medium = self.settings, self.medium
        if settings.down:
            return "down"
        if settings.mtu is not None and packet.protocol == "udp" and packet.size > settings.mtu:
            return "mtu"
        if settings.bandwidth is not None and self.busy_until - medium.time() > settings.queue:
            return "queue"
        if settings.loss and not self._is_spared(packet) and medium.random.random() < settings.loss:
            return "loss"
        return None

    def _is_spared(self, packet: Packet) -> bool:
        if packet.protocol != "udp" or not self.medium.spare_dtls:
            return False
        return is_dtls(packet.data) if self.medium.spare_dtls == "all" else is_dtls_handshake(packet.data)


class Link:
    """The two directions between an interface and its segment.

    Attributes:
        up: from the interface into the medium.
        down: from the network to the interface.
    """

    def __init__(self, medium: Medium, *, delay: float = DEFAULT_DELAY) -> None:
        self._up = _Direction(medium, LinkSettings(delay=delay))
        self._down = _Direction(medium, LinkSettings(delay=delay))

    def __repr__(self) -> str:
        return f"<Link up={self.up} down={self.down}>"

    @property
    def up(self) -> LinkSettings:
        """The direction from the interface into the medium."""
        return self._up.settings

    @property
    def down(self) -> LinkSettings:
        """The direction from the network to the interface."""
        return self._down.settings

    @property
    def sent(self) -> Counter[str]:
        """Counters of `up`: packets, bytes, and how many were lost for which reason."""
        return self._up.counters

    @property
    def received(self) -> Counter[str]:
        """Counters of `down`."""
        return self._down.counters

    def set(self, **changes: Any) -> None:
        """Change members of `LinkSettings` in both directions.

        Raises:
            TypeError: there is no such member.
        """
        unknown = set(changes) - _NAMES
        if unknown:
            raise TypeError(f"a link has {', '.join(sorted(_NAMES))}; not {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            setattr(self.up, name, value)
            setattr(self.down, name, value)

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Everything is lost inside."""
        self.set(down=True)
        try:
            yield
        finally:
            self.set(down=False)

    async def outage_of(self, seconds: float) -> None:
        """An outage that lasts this long."""
        with self.outage():
            await asyncio.sleep(seconds)

    def carry_up(self, packet: Packet, arrive: Callable[[Packet], None]) -> None:
        """Take a packet from the interface; `arrive` is called later, perhaps twice, perhaps never."""
        self._up.carry(packet, arrive)

    def carry_down(self, packet: Packet, arrive: Callable[[Packet], None]) -> None:
        """Take a packet to the interface."""
        self._down.carry(packet, arrive)
