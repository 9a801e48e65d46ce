"""The sockets and allocations of one agent, shared by its generations.

Owns: which base is open, who uses it, and its end.  A restart finds the UDP sockets of the generation before
(NAT bindings and ports stay, the ufrag tells the checks apart) and, for unchanged servers, their allocations.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from rtcpeer.ice.agent.relay import RelayPath
from rtcpeer.ice.agent.sockets import BaseContext, SocketBase
from rtcpeer.ice.agent.tcp import Spawn, TcpBase
from rtcpeer.ice.generation import LocalSide
from rtcpeer.ice.settings import IceSettings
from rtcpeer.net.network import Address, Network
from rtcpeer.stun import message as stun
from rtcpeer.values import NEVER


class _Mapping:
    """A NAT's mapping of a base, kept alive toward the server that told it."""

    __slots__ = ("base", "next_at", "server", "user")

    def __init__(self, user: LocalSide, base: SocketBase, server: Address, next_at: float) -> None:
        self.user = user
        self.base = base
        self.server = server
        self.next_at = next_at


class BasePool:
    """Open bases.

    Args:
        spawn: starts a task that the agent owns.
        on_empty: called when the last allocation has been released after `close`.
    """

    def __init__(
        self, network: Network, pipe: BaseContext, spawn: Spawn, on_empty: Callable[[], None]
    ) -> None:
        self._network = network
        self._pipe = pipe
        self._spawn = spawn
        self._on_empty = on_empty
        # ("udp", "active" or "passive"; local address) -> base
        self.sockets: dict[tuple[str, str], SocketBase | TcpBase] = {}
        # Local address -> its mDNS name and what withdraws it.
        self._names: dict[str, tuple[str, Callable[[], Awaitable[None]] | None]] = {}
        self.paths: list[RelayPath] = []
        self._mappings: list[_Mapping] = []
        self._interval = 0.0
        # Allocations that were given back and whose server has not confirmed yet.
        self.releasing: list[RelayPath] = []

    async def socket(self, user: object, host: str, port_range: tuple[int, int] | None) -> SocketBase:
        """The UDP socket on a local address, opened if need be.

        Raises:
            OSError: it can not be opened.
        """
        base = self.sockets.get(("udp", host))
        if not isinstance(base, SocketBase):
            base = SocketBase(self._pipe, (host, 0))
            base.attach(await self._network.open_udp(host, 0, base.received, port_range=port_range))
            self._keep(("udp", host), base)
        base.users.add(user)
        return base

    async def tcp(
        self, user: object, host: str, port_range: tuple[int, int] | None, *, is_active: bool
    ) -> TcpBase:
        """The active or passive TCP base on a local address.

        Raises:
            OSError: it can not be opened.
        """
        if is_active:
            return self.active_tcp(user, host)
        base = self.sockets.get(("passive", host))
        if not isinstance(base, TcpBase):
            base = TcpBase(self._pipe, host, self._network, self._spawn, is_active=False)
            await base.listen(port_range)
            self._keep(("passive", host), base)
        base.users.add(user)
        return base

    def active_tcp(self, user: object, host: str) -> TcpBase:
        """The active TCP base on a local address; it opens nothing before its first check."""
        base = self.sockets.get(("active", host))
        if not isinstance(base, TcpBase):
            base = TcpBase(self._pipe, host, self._network, self._spawn, is_active=True)
            self._keep(("active", host), base)
        base.users.add(user)
        return base

    def _keep(self, key: tuple[str, str], base: SocketBase | TcpBase) -> None:
        """A gathering that was overtaken may have opened the same: the newer one stays."""
        other = self.sockets.get(key)
        if other is not None:
            other.users.clear()
            other.close()
        self.sockets[key] = base

    def keep_mapping(
        self, user: LocalSide, base: SocketBase, server: Address, now: float, interval: float
    ) -> None:
        """Keep the mapping alive while the user needs it."""
        self._interval = interval
        self._mappings.append(_Mapping(user, base, server, now + interval))

    async def name_of(self, host: str) -> str:
        """The mDNS name that stands for a local address, the same for the life of the agent.

        Where publishing fails the name is made up all the same: nobody will find it, but the address stays
        hidden and the peer still learns the candidate from our checks.
        """
        if host not in self._names:
            try:
                self._names[host] = await self._network.publish_name(host)
            except OSError:
                self._names[host] = (f"{uuid.uuid4()}.local", None)
        return self._names[host][0]

    def reusable_path(self, key: tuple[str, str, str], addresses: frozenset[str]) -> RelayPath | None:
        """A standing allocation for this server and user, on a local address that still exists."""
        for path in self.paths:
            local = path.local_address
            if (
                path.key == key
                and path.client.phase == "allocated"
                and local is not None
                and local[0] in addresses
            ):
                return path
        return None

    def adopt(self, path: RelayPath) -> None:
        """A path is being tried; from now on it is closed with the pool."""
        self.paths.append(path)

    def discard(self, path: RelayPath) -> None:
        """A path came to nothing."""
        if path in self.paths:
            self.paths.remove(path)
        path.close()

    def abandon(self, path: RelayPath, deadline: float) -> None:
        """Give up a path whose outcome nobody waits for any more; if the server grants it, it is given back."""
        if path in self.paths:
            self._release(path, deadline)

    def leave(self, user: object, now: float, settings: IceSettings) -> None:
        """All generations of a local half are gone: close and release what nobody else uses."""
        self._mappings = [m for m in self._mappings if m.user is not user]
        for key, base in list(self.sockets.items()):
            base.users.discard(user)
            if not base.users:
                del self.sockets[key]
                base.close()
        for path in list(self.paths):
            path.users.discard(user)
            if not path.users:
                self._release(path, now + settings.release_timeout)

    def close(self, now: float, settings: IceSettings) -> None:
        """Everything goes; allocations are given back first."""
        self._mappings.clear()
        for base in self.sockets.values():
            base.close()
            base.users.clear()
        self.sockets.clear()
        for _, withdraw in self._names.values():
            if withdraw is not None:
                self._spawn(_withdraw(withdraw))
        self._names.clear()
        for path in list(self.paths):
            self._release(path, now + settings.release_timeout)

    def _release(self, path: RelayPath, deadline: float) -> None:
        self.paths.remove(path)
        self.releasing.append(path)

        def gone() -> None:
            self.releasing.remove(path)
            if not self.releasing:
                self._on_empty()

        path.release(deadline, gone)

    def next_time(self) -> float:
        """When `tick` wants to be called."""
        if not (self.paths or self.releasing or self._mappings):
            return NEVER
        wanted = min((path.next_time() for path in (*self.paths, *self.releasing)), default=NEVER)
        return min(wanted, *(m.next_at for m in self._mappings)) if self._mappings else wanted

    def tick(self, now: float) -> None:
        """Do what is due."""
        for path in (*self.paths, *self.releasing):
            if path.next_time() <= now + 0.001:
                path.tick(now)
        if self._mappings:
            self._mappings = [m for m in self._mappings if m.user.needs_mappings]
            for mapping in self._mappings:
                if mapping.next_at <= now + 0.001:
                    mapping.next_at = now + self._interval
                    indication = stun.encode(stun.BINDING_INDICATION, stun.new_transaction_id(), b"")
                    mapping.base.send(indication, mapping.server)


async def _withdraw(withdraw: Callable[[], Awaitable[None]]) -> None:
    await withdraw()
