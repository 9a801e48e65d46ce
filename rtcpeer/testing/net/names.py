"""Names of a virtual network: its DNS, the names of hosts, and ``.local`` names that neighbours can look up.

Owns: which addresses a name has. Never: hosts; they are known by functions that give their addresses and segments.
"""

from __future__ import annotations

import asyncio
import socket as system
import uuid
from collections.abc import Awaitable, Callable, Collection
from random import Random

from rtcpeer.testing.net.packet import canonical
from rtcpeer.testing.net.topology import Segment

Segments = Callable[[], Collection[Segment]]


class Names:
    """The names of one virtual network.

    Args:
        chance: for fresh ``.local`` names.

    Attributes:
        dns: name -> addresses.
        delay: seconds that a look-up takes.
    """

    def __init__(self, chance: Random) -> None:
        self.dns: dict[str, list[str]] = {}
        self.delay: float = 0.0
        self._random = chance
        self._hosts: dict[str, Callable[[], list[str]]] = {}
        self._local: dict[str, tuple[Segments, str]] = {}

    def add(self, name: str, *addresses: str) -> None:
        """Put a name into the DNS."""
        self.dns[name.lower()] = [canonical(address) for address in addresses]

    def add_host(self, name: str, addresses: Callable[[], list[str]]) -> None:
        """The name of a host; `addresses` gives its present ones."""
        self._hosts[name] = addresses

    async def look_up(self, name: str, asker: Segments) -> list[str]:
        """Resolve a name.

        Args:
            name: in any case, with or without a dot at its end.
            asker: gives the segments that the asking host is plugged into; ``.local`` names are known there only.

        Raises:
            OSError: unknown.
        """
        if self.delay:
            await asyncio.sleep(self.delay)
        name = name.lower().rstrip(".")
        if name == "localhost":
            return ["127.0.0.1", "::1"]
        if name in self.dns:
            return list(self.dns[name])
        if name.endswith(".local"):
            found = self._local.get(name)
            if found is not None and (found[0] == asker or set(found[0]()) & set(asker())):
                return [found[1]]
        elif name in self._hosts:
            return list(self._hosts[name]())
        raise system.gaierror(system.EAI_NONAME, f"name or service not known: {name}")

    def publish(self, owner: Segments, address: str) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Publish a fresh ``.local`` name on the segments of a host.

        Returns:
            The name, and a function that withdraws it.
        """
        name = f"{uuid.UUID(int=self._random.getrandbits(128), version=4)}.local"
        self._local[name] = (owner, address)

        async def withdraw() -> None:
            self._local.pop(name, None)

        return name, withdraw
